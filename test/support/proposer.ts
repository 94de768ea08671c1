/** A whole cluster in one process, over real gRPC on loopback, for tests of proposers: disks of acceptors are in memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAcceptor } from '../../services/acceptor/acceptor.ts';
import type { RunningAcceptor } from '../../services/acceptor/acceptor.ts';
import { acceptorSettings } from '../../services/acceptor/config.ts';
import { learnerSettings } from '../../services/learner/config.ts';
import { startLearner } from '../../services/learner/learner.ts';
import type { RunningLearner } from '../../services/learner/learner.ts';
import { proposerSettings } from '../../services/proposer/config.ts';
import { startProposer } from '../../services/proposer/service.ts';
import type { RunningProposer } from '../../services/proposer/service.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { ProposerServiceService as Service } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import type { ProposeRequest, ProposeResponse } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { errorOf } from '../../shared/wire/status.ts';
import { MemoryDisk } from './memory-disk.ts';
import { freePorts } from './ports.ts';
import { silentLog } from './silent-log.ts';
import { until } from './until.ts';

export const CLUSTER = 'test';
export const CLIENT = Buffer.from('c1'.repeat(16), 'hex');

export class TestCluster {
  readonly proposers = new Map<number, RunningProposer>();
  readonly acceptors = new Map<number, RunningAcceptor>();
  readonly fatals: string[] = [];
  #learner: RunningLearner | undefined;
  readonly #folder = mkdtempSync(join(tmpdir(), 'synod-proposer-'));
  readonly #disks = new Map<number, MemoryDisk>();
  readonly #connections = new Map<string, Connection>();
  readonly #faults: boolean;
  readonly #quorum: string;
  #addresses: Record<'acceptors' | 'proposers' | 'learners', Map<number, string>> = {
    acceptors: new Map(),
    proposers: new Map(),
    learners: new Map(),
  };

  private constructor(faults: boolean, quorum: string) {
    this.#faults = faults;
    this.#quorum = quorum;
  }

  /** Three acceptors, or as many as are asked for, and a learner that run, and the ports of two proposers that do not. */
  static async start({ faults = false, acceptors = 3, quorum = 'majority' } = {}): Promise<TestCluster> {
    const cluster = new TestCluster(faults, quorum);
    const ports = await freePorts(acceptors + 3);
    const addresses = (from: number, to: number): Map<number, string> =>
      new Map(ports.slice(from, to).map((port, i) => [i + 1, `127.0.0.1:${String(port)}`]));
    const [to, last] = [acceptors + 2, acceptors + 3];
    cluster.#addresses = {
      acceptors: addresses(0, acceptors),
      proposers: addresses(acceptors, to),
      learners: addresses(to, last),
    };
    await Promise.all([...cluster.#addresses.acceptors.keys()].map((id) => cluster.startAcceptor(id)));
    await cluster.startLearner();
    return cluster;
  }

  /** A cluster whose two proposers are ready and hear each other. */
  static async startAll(options: Parameters<typeof TestCluster.start>[0] = {}): Promise<TestCluster> {
    const cluster = await TestCluster.start(options);
    await Promise.all([cluster.startProposer(1), cluster.startProposer(2)]);
    await cluster.ready();
    return cluster;
  }

  async ready(): Promise<void> {
    await until(() => [...this.proposers.values()].every((p) => p.notReady().length === 0));
    await until(() =>
      [...this.proposers.values()].every(
        (p) => p.node.machine.peers().filter((peer) => peer.alive).length === this.proposers.size - 1,
      ),
    );
  }

  async startAcceptor(id: number): Promise<void> {
    const disk = this.#disks.get(id)?.kill() ?? new MemoryDisk();
    this.#disks.set(id, disk);
    const config = acceptorSettings.parse({ ...this.#common('acceptors', id), data: 'unused' });
    const small = { 'journal.segment.bytes': 256 * 1024, 'journal.bytes.max': 16 * 1024 * 1024 };
    const acceptor = await startAcceptor({ ...config, ...small }, disk, {
      log: silentLog,
      onFatal: (reason, error) => this.fatals.push(`${reason} ${String(error)}`),
      onRefused: (reason) => this.fatals.push(reason),
    });
    this.acceptors.set(id, acceptor);
  }

  async stopAcceptor(id: number): Promise<void> {
    await this.acceptors.get(id)?.stop(0);
    this.acceptors.delete(id);
  }

  /** Names of the logs that acceptors know. */
  async logsOfAcceptors(): Promise<string[]> {
    const request = { header: undefined, log: '', after: '', limit: 0, all: false };
    const answers = await Promise.all(
      [...this.acceptors.values()].map(async ({ address }) => {
        const connection = connect(address, { fromStatus: (status) => errorOf(status).error });
        try {
          return await connection.unary(AcceptorServiceService.logs, request, { timeoutMs: 5_000 });
        } finally {
          connection.close();
        }
      }),
    );
    return answers.flatMap(({ logs }) => logs.map(({ log }) => log));
  }

  async startLearner(): Promise<void> {
    const config = learnerSettings.parse({ ...this.#common('learners', 1), data: join(this.#folder, 'learner') });
    this.#learner = await startLearner(config, {
      log: silentLog,
      onFatal: (reason, error) => this.fatals.push(`${reason} ${String(error)}`),
      onRefused: (reason) => this.fatals.push(reason),
    });
  }

  async stopLearner(): Promise<void> {
    await this.#learner?.stop(500);
    this.#learner = undefined;
  }

  async startProposer(id: number, changes: Record<string, string> = {}): Promise<RunningProposer> {
    const config = proposerSettings.parse({ ...this.#common('proposers', id), ...changes });
    const proposer = await startProposer(config, {
      log: silentLog,
      onFatal: (reason, error) => this.fatals.push(`${reason} ${String(error)}`),
    });
    this.proposers.set(id, proposer);
    return proposer;
  }

  /** Ends a proposer without a hand-over, as its death would. */
  async killProposer(id: number): Promise<void> {
    const proposer = this.proposers.get(id);
    this.proposers.delete(id);
    proposer?.node.stop();
    await proposer?.close(0);
  }

  /** A client's connection to a proposer. */
  client(id: number): Connection {
    const address = this.#addresses.proposers.get(id) ?? '';
    let connection = this.#connections.get(address);
    if (connection === undefined) {
      connection = connect(address, { fromStatus: (status) => errorOf(status).error, ownConnection: true });
      this.#connections.set(address, connection);
    }
    return connection;
  }

  /** Where a member of any role serves. */
  at(role: 'acceptors' | 'proposers' | 'learners', id: number): string {
    return this.#addresses[role].get(id) ?? '';
  }

  addressOf(proposer: number): string {
    return this.#addresses.proposers.get(proposer) ?? '';
  }

  /** Proposes through a proposer. */
  propose(id: number, change: Partial<ProposeRequest> = {}, timeoutMs = 30_000): Promise<ProposeResponse> {
    return this.client(id).unary(Service.propose, request(change), { timeoutMs });
  }

  /** Opens the session of `CLIENT`. */
  async openSession(id: number, log: string): Promise<number> {
    const opened = await this.client(id).unary(
      Service.openSession,
      { header: undefined, log, client: CLIENT, protocol: 0 },
      { timeoutMs: 30_000 },
    );
    return opened.session;
  }

  /** The proposer that leads a log, once both know it. */
  async leaderOf(log: string): Promise<number> {
    const said = (): (number | undefined)[] => [...this.proposers.values()].map((p) => p.node.machine.leaderOf(log));
    await until(() => said()[0] !== undefined && said().every((each) => each === said()[0]));
    return said()[0] ?? 0;
  }

  async end(): Promise<void> {
    for (const connection of this.#connections.values()) connection.close();
    await Promise.all([...this.proposers.values()].map((p) => p.close(0)));
    await this.stopLearner();
    await Promise.all([...this.acceptors.values()].map((a) => a.stop(0)));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #common(role: 'acceptors' | 'proposers' | 'learners', id: number): Record<string, string> {
    const list = (addresses: ReadonlyMap<number, string>): string =>
      [...addresses].map(([each, address]) => `${String(each)}=${address}`).join(',');
    return {
      cluster: CLUSTER,
      id: String(id),
      listen: this.#addresses[role].get(id) ?? '',
      http: '127.0.0.1:0',
      acceptors: list(this.#addresses.acceptors),
      proposers: list(this.#addresses.proposers),
      learners: list(this.#addresses.learners),
      'log.level': 'silent',
      faults: String(this.#faults),
      quorum: this.#quorum,
    };
  }
}

export function request(change: Partial<ProposeRequest> = {}): ProposeRequest {
  const none = Buffer.alloc(0);
  return {
    ...{ header: undefined, log: 'a', protocol: 0, payload: Buffer.from('value'), client: none },
    ...{ session: 0, sequence: 0, acknowledged: 0, retry: false, decree: false },
    ...change,
  };
}
