/** Learners and fake acceptors for tests: real gRPC in one process, free ports, folders that are removed at the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeEntry } from '../../shared/machine/entry.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { errorOf } from '../../shared/wire/status.ts';
import type { LearnerConfig } from '../../services/learner/config.ts';
import { startLearner } from '../../services/learner/learner.ts';
import type { RunningLearner } from '../../services/learner/learner.ts';
import { FakeAcceptor } from './fake-acceptor.ts';
import { freePorts } from './ports.ts';
import { silentLog } from './silent-log.ts';

export const CLIENT = 'c1'.repeat(16);

export const open = (client = CLIENT): Uint8Array => encodeEntry({ kind: 'open-session', client });
export const command = (session: number, sequence: number, text: string, acknowledged = 0): Uint8Array =>
  encodeEntry({ kind: 'command', client: CLIENT, session, sequence, acknowledged, payload: Buffer.from(text) });
export const noOp = (): Uint8Array => encodeEntry({ kind: 'no-op' });

export class TestCluster {
  readonly acceptors: FakeAcceptor[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'synod-learner-'));
  readonly refusals: string[] = [];
  readonly fatals: string[] = [];
  #ports: number[] = [];
  readonly #learners = new Map<number, RunningLearner>();
  readonly #connections: Connection[] = [];

  /** Three acceptors that listen, and the ports of `learners` learners that do not run yet. */
  static async start(learners = 1): Promise<TestCluster> {
    const cluster = new TestCluster();
    const ports = await freePorts(3 + 1 + learners);
    for (const [i, port] of ports.splice(0, 3).entries()) {
      const acceptor = new FakeAcceptor(i + 1);
      await acceptor.listen(`127.0.0.1:${String(port)}`);
      cluster.acceptors.push(acceptor);
    }
    cluster.#ports = ports;
    return cluster;
  }

  async startLearner(id = 1, changes: Partial<LearnerConfig> = {}, store?: LearnerStore): Promise<RunningLearner> {
    const config = this.#config(id, changes);
    const learner = await startLearner(config, {
      log: silentLog,
      onFatal: (reason) => this.fatals.push(reason),
      onRefused: (reason) => this.refusals.push(reason),
      ...(store === undefined ? {} : { store }),
    });
    this.#learners.set(id, learner);
    return learner;
  }

  async stopLearner(id: number): Promise<void> {
    await this.#learners.get(id)?.stop(600);
    this.#learners.delete(id);
  }

  /** A client's connection to a learner. */
  client(learner: RunningLearner): Connection {
    const connection = connect(learner.address, { fromStatus: (status) => errorOf(status).error, ownConnection: true });
    this.#connections.push(connection);
    return connection;
  }

  /** All acceptors vote for the entries. */
  vote(log: string, first: number, entries: readonly Uint8Array[], voters = this.acceptors): void {
    for (const acceptor of voters) acceptor.vote(log, first, entries);
  }

  async end(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    for (const id of [...this.#learners.keys()]) await this.stopLearner(id);
    for (const acceptor of this.acceptors) await acceptor.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #config(id: number, changes: Partial<LearnerConfig>): LearnerConfig {
    const learners = this.#ports.slice(1).map((port, i) => [i + 1, `127.0.0.1:${String(port)}`] as const);
    return {
      cluster: 'test',
      id,
      listen: { host: '127.0.0.1', port: this.#ports[id] ?? 0 },
      http: { host: '127.0.0.1', port: 0 },
      quorum: 'majority',
      'log.level': 'silent',
      'calls.max': 1_000,
      'streams.max': 100,
      'call.deadline': 5_000,
      'stop.grace': 1_000,
      reflection: false,
      faults: false,
      acceptors: new Map(this.acceptors.map((a) => [a.id, a.address])),
      // Nobody listens there.
      proposers: new Map([[1, `127.0.0.1:${String(this.#ports[0])}`]]),
      learners: new Map(learners),
      data: join(this.folder, `learner-${String(id)}`),
      'reads.waiting.max': 1_000,
      'subscribers.max': 10,
      'apply.queue.max': 64 * 1024 * 1024,
      'apply.interval': 5,
      'compare.interval': 20,
      'discovery.interval': 100,
      'discovery.forget': 60_000,
      'discovery.server': undefined,
      ...changes,
    };
  }
}
