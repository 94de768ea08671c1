/** The rows that are read when a store is opened: who it is, how far its logs are, what it remembers of the acceptors. */
import { SynodError, messageOf } from '../../base/errors.ts';
import { ByteReader, ByteWriter } from '../../machine/bytes.ts';
import type { Remembered } from '../../paxos/introduction.ts';
import type { StoreIdentity } from '../../ports/learner-store.ts';
import type { LogState } from './store-log.ts';
import { keys, logInKey, numberInKey } from './store-rows.ts';
import type { Change, Rows } from './store-rows.ts';

/** What is kept in memory of every log. `saved` and `expired` say what its session rows are, once they are on disk. */
export interface LogEntry {
  readonly name: string;
  readonly number: number;
  next: number;
  visible: number;
  held: number;
  saved: number;
  expired: number;
  /** Transactions under way that change the log. */
  pending: number;
  /** A snapshot of the log is being taken in. */
  importing: boolean;
}

const FORMAT = 1;

/** The identity on disk; writes `wanted`, durably, where there is none. FAILED_PRECONDITION for a foreign folder. */
export async function openIdentity(rows: Rows, wanted: StoreIdentity): Promise<StoreIdentity> {
  const row = rows.get(keys.identity());
  if (row === undefined) {
    const text = JSON.stringify({ format: FORMAT, ...wanted });
    await rows.commit([{ key: keys.identity(), value: new TextEncoder().encode(text) }]);
    await rows.flush();
    return wanted;
  }
  const { format, identity } = parseIdentity(row);
  if (format !== FORMAT)
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the learner's store has format ${String(format)}; this version of Synod reads format ${String(FORMAT)}`,
    );
  if (identity.cluster !== wanted.cluster || identity.learner !== wanted.learner)
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the learner's store belongs to learner ${identity.learner} of cluster ${identity.cluster}; ` +
        `this is learner ${wanted.learner} of cluster ${wanted.cluster}. Give it the folder of its own`,
    );
  return identity;
}

/** The identity on disk as it is; undefined where there is none. DATA_LOSS where it cannot be read. */
export function readIdentity(rows: Rows): StoreIdentity | undefined {
  const row = rows.get(keys.identity());
  return row === undefined ? undefined : parseIdentity(row).identity;
}

function parseIdentity(row: Uint8Array): { format: unknown; identity: StoreIdentity } {
  try {
    const { format, cluster, learner, disk } = JSON.parse(new TextDecoder().decode(row)) as Record<string, unknown>;
    return { format, identity: { cluster: text(cluster), learner: text(learner), disk: text(disk) } };
  } catch (error) {
    throw new SynodError('DATA_LOSS', `the identity of the learner's store is damaged: ${messageOf(error)}`);
  }
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error(`${JSON.stringify(value)} stands where a text belongs`);
  return value;
}

/** All logs, as they came back from disk: what is there is visible, and durable once the opening has synced it. */
export function readLogs(rows: Rows): Map<string, LogEntry> {
  const logs = new Map<string, LogEntry>();
  for (const { key, value } of rows.range(...keys.states())) {
    const from = new ByteReader(value, `the state of log number ${String(logInKey(key))}`);
    const name = new TextDecoder().decode(from.raw(from.varint()));
    const next = from.varint();
    const saved = from.varint();
    const expired = from.varint() - 1;
    logs.set(name, {
      name,
      number: logInKey(key),
      next,
      visible: next,
      held: next,
      saved,
      expired,
      pending: 0,
      importing: false,
    });
  }
  return logs;
}

/** The row that says how far a log is. It goes into the transaction of what it speaks of. */
export function writeState(entry: LogEntry, state: LogState): Change {
  const name = new TextEncoder().encode(entry.name);
  const to = new ByteWriter(name.length + 32).varint(name.length).raw(name);
  to.varint(state.next)
    .varint(entry.saved)
    .varint(entry.expired + 1);
  return { key: keys.state(entry.number), value: to.done() };
}

export function readAcceptors(rows: Rows): Map<number, Remembered> {
  const acceptors = new Map<number, Remembered>();
  for (const { key, value } of rows.range(...keys.acceptors())) {
    const from = new ByteReader(value, 'the memory of an acceptor');
    acceptors.set(numberInKey(key), { start: from.varint(), draw: from.varint(), position: from.varint() - 1 });
  }
  return acceptors;
}

export function writeAcceptor(id: number, memory: Remembered): Change {
  const to = new ByteWriter(24)
    .varint(memory.start)
    .varint(memory.draw)
    .varint(memory.position + 1);
  return { key: keys.acceptor(id), value: to.done() };
}
