/** Acceptors in one process, over real gRPC on loopback, with disks in memory or real folders. */
import { acceptorSettings } from '../../services/acceptor/config.ts';
import type { AcceptorConfig } from '../../services/acceptor/config.ts';
import { startAcceptor } from '../../services/acceptor/acceptor.ts';
import type { RunningAcceptor } from '../../services/acceptor/acceptor.ts';
import { Batch } from '../../shared/base/batch.ts';
import type { SynodError } from '../../shared/base/errors.ts';
import { CLASSIC } from '../../shared/paxos/ballot.ts';
import type { Ballot } from '../../shared/paxos/ballot.ts';
import type { Accept, FromAcceptor, Prepare, ToAcceptor } from '../../shared/paxos/messages.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { ChannelTuning } from '../../shared/platform/grpc/options.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { raw } from '../../shared/wire/raw.ts';
import type { Disk } from '../../shared/ports/disk.ts';
import {
  decodeSessionResponse,
  encodeSessionHello,
  encodeToAcceptor,
  writeAccept,
  writePrepare,
} from '../../shared/wire/codec/acceptor.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Welcome } from '../../shared/wire/codec/introduction.ts';
import { decodeFollowResponse, encodeFollowHello, encodeFromLearner } from '../../shared/wire/codec/learner.ts';
import type { FollowHello, FromLearner, ToLearnerOrTip } from '../../shared/wire/codec/learner.ts';
import { AcceptorServiceService as Service } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { AcceptResponse, PrepareResponse } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { errorOf } from '../../shared/wire/status.ts';
import { MemoryDisk } from '../support/memory-disk.ts';
import { until } from '../support/until.ts';

export const CLUSTER = 'test';
export const INCARNATION = '00000000000000a1';
export const LEARNER_DISK = 'ab'.repeat(16);
const KIB = 1024;

export const cleanups: (() => void | Promise<void>)[] = [];

/** To be called after each test: ends everything that the test started, newest first. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

export function configOf(change: Record<string, string> = {}, small: Partial<AcceptorConfig> = {}): AcceptorConfig {
  const given = {
    cluster: CLUSTER,
    id: '1',
    listen: '127.0.0.1:0',
    acceptors: '1=127.0.0.1:1',
    data: 'unused',
    ...change,
  };
  const config = acceptorSettings.parse(given);
  return { ...config, 'journal.segment.bytes': 256 * KIB, 'journal.bytes.max': 4096 * KIB, ...small };
}

export interface Started {
  readonly acceptor: RunningAcceptor;
  readonly disk: Disk;
  readonly refusals: string[];
  readonly deaths: string[];
  /** What was logged as a warning or worse. */
  readonly logged: string[];
}

/** Starts an acceptor; alone in its configuration, unless `config` says otherwise, so that it speaks at once. */
export async function start(config: AcceptorConfig = configOf(), disk: Disk = new MemoryDisk()): Promise<Started> {
  const refusals: string[] = [];
  const deaths: string[] = [];
  const logged: string[] = [];
  const note = (_fields: object, message: string): void => {
    logged.push(message);
  };
  const acceptor = await startAcceptor(config, disk, {
    log: { debug: () => undefined, info: () => undefined, warn: note, error: note, fatal: note },
    onFatal: (reason) => deaths.push(reason),
    onRefused: (reason) => refusals.push(reason),
  });
  cleanups.push(() => acceptor.stop(0));
  if (config.acceptors.size === 1) await until(() => acceptor.core.membership.silentBecause === undefined);
  return { acceptor, disk, refusals, deaths, logged };
}

export function to(acceptor: { readonly address: string }, tuning: ChannelTuning = {}): Connection {
  const connection = connect(acceptor.address, {
    fromStatus: (received) => errorOf(received).error,
    ownConnection: true,
    ...tuning,
  });
  cleanups.push(() => {
    connection.close();
  });
  return connection;
}

export function proposer(change: Partial<Header> = {}): Header {
  const configuration = configurationId(CLUSTER, [1], 'majority');
  return { cluster: CLUSTER, configuration, role: 'proposer', id: 1, incarnation: INCARNATION, ...change };
}

export function ballot(round: number, of: Partial<Ballot> = {}): Ballot {
  return { round, proposer: 1, incarnation: INCARNATION, kind: CLASSIC, ...of };
}

export function prepare(round: number, change: Partial<Prepare> = {}): Prepare {
  const rest = { from: 0, to: undefined, purpose: 'lead', fromWatermark: false, override: false, ask: false } as const;
  return { kind: 'prepare', log: 'a', ballot: ballot(round), ...rest, ...change };
}

export function accept(round: number, first: number, values: readonly string[], change: Partial<Accept> = {}): Accept {
  const batch = Batch.of(values.map((value) => Buffer.from(value)));
  return { kind: 'accept', log: 'a', ballot: ballot(round), first, batch, watermark: 0, ...change };
}

export function callPrepare(
  connection: Connection,
  message: Prepare,
  header = proposer(),
  timeoutMs = 5_000,
): Promise<PrepareResponse> {
  return connection.unary(
    Service.prepare,
    { header: writeHeader(header), prepare: writePrepare(message) },
    { timeoutMs },
  );
}

export function callAccept(
  connection: Connection,
  message: Accept,
  header = proposer(),
  timeoutMs = 5_000,
): Promise<AcceptResponse> {
  return connection.unary(Service.accept, { header: writeHeader(header), accept: writeAccept(message) }, { timeoutMs });
}

export interface TestSession {
  readonly welcomes: Welcome[];
  readonly received: FromAcceptor[];
  /** Frames that messages came in. */
  readonly frames: FromAcceptor[][];
  readonly errors: SynodError[];
  send(...messages: ToAcceptor[]): void;
  end(): void;
}

export function openSession(connection: Connection, header = proposer()): TestSession {
  const stream = connection.bidi(raw(Service.session));
  const session: TestSession = {
    ...{ welcomes: [], received: [], frames: [], errors: [] },
    send: (...messages) => void stream.write(encodeToAcceptor(messages)),
    end: () => {
      stream.end();
    },
  };
  stream.on('data', (bytes: Buffer) => {
    const { welcome, messages } = decodeSessionResponse(bytes);
    if (welcome !== undefined) session.welcomes.push(welcome);
    if (messages.length > 0) session.frames.push(messages);
    session.received.push(...messages);
  });
  stream.on('error', (error) => session.errors.push(connection.errorOf(error as never)));
  stream.write(encodeSessionHello(header));
  return session;
}

export interface TestFollower {
  readonly welcomes: Welcome[];
  readonly received: ToLearnerOrTip[];
  /** The position of every frame with messages. */
  readonly positions: number[];
  readonly errors: SynodError[];
  send(...messages: FromLearner[]): void;
  /** Stops and goes on reading: a learner that is busy. */
  pause(): void;
  resume(): void;
}

export function follow(connection: Connection, change: Partial<FollowHello> = {}): TestFollower {
  const stream = connection.bidi(raw(Service.follow));
  const follower: TestFollower = {
    ...{ welcomes: [], received: [], positions: [], errors: [] },
    send: (...messages) => void stream.write(encodeFromLearner(messages)),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
  };
  stream.on('data', (bytes: Buffer) => {
    const { welcome, position, messages } = decodeFollowResponse(bytes);
    if (welcome !== undefined) follower.welcomes.push(welcome);
    if (messages.length > 0) follower.positions.push(position);
    follower.received.push(...messages);
  });
  stream.on('error', (error) => follower.errors.push(connection.errorOf(error as never)));
  const header: Header = { ...proposer(), role: 'learner', incarnation: undefined };
  stream.write(
    encodeFollowHello({ header, learnerDisk: LEARNER_DISK, values: true, remembered: undefined, ...change }),
  );
  return follower;
}
