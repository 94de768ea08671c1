/**
 * The rows that the learner's store stands on, in the order of their keys, and the keys themselves.
 *
 *   identity                            → JSON: format, cluster, learner, disk
 *   state      log number               → name, next, saved, expired
 *   batch      log number, first slot   → ballot, count, entries without their usual outcome, the batch's bytes
 *   session    log number, client       → one session as it was at `saved`
 *   checkpoint log number, k            → digest over all slots below 256 · k
 *   acceptor   id                       → start, draw, position
 */

export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Writes a row, or removes it where the value is undefined. */
export interface Change {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export interface Rows {
  get(key: Uint8Array): Uint8Array | undefined;
  /** Rows with from ≤ key < below, ascending. Read to the end, or left, before anything else happens. */
  range(from: Uint8Array, below: Uint8Array): Iterable<Row>;
  /** The last row with from ≤ key ≤ to. */
  lastUpTo(from: Uint8Array, to: Uint8Array): Row | undefined;
  /** All changes or none, after those of earlier calls; resolves when they can be read. Values must not change any more. */
  commit(changes: readonly Change[]): Promise<void>;
  /** Resolves when everything that was committed before is on disk. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const IDENTITY = 0;
const STATE = 1;
const BATCH = 2;
const SESSION = 3;
const CHECKPOINT = 4;
const ACCEPTOR = 5;

export const keys = {
  identity: (): Uint8Array => Uint8Array.of(IDENTITY),
  state: (log: number): Uint8Array => key(STATE, log, 0),
  batch: (log: number, slot: number): Uint8Array => key(BATCH, log, 8, slot),
  checkpoint: (log: number, k: number): Uint8Array => key(CHECKPOINT, log, 8, k),
  acceptor: (id: number): Uint8Array => key(ACCEPTOR, 0, 8, id),
  session: (log: number, client: string): Uint8Array => {
    const bytes = key(SESSION, log, 16);
    for (let i = 0; i < 16; i++) bytes[5 + i] = Number.parseInt(client.slice(2 * i, 2 * i + 2), 16);
    return bytes;
  },
  /** All rows of one kind: [first, below). */
  states: (): [Uint8Array, Uint8Array] => [Uint8Array.of(STATE), Uint8Array.of(STATE + 1)],
  acceptors: (): [Uint8Array, Uint8Array] => [Uint8Array.of(ACCEPTOR), Uint8Array.of(ACCEPTOR + 1)],
  sessions: (log: number): [Uint8Array, Uint8Array] => [key(SESSION, log, 0), key(SESSION, log + 1, 0)],
  checkpoints: (log: number, from: number): [Uint8Array, Uint8Array] => [
    key(CHECKPOINT, log, 8, from),
    key(CHECKPOINT, log + 1, 0),
  ],
  batches: (log: number, from: number): [Uint8Array, Uint8Array] => [key(BATCH, log, 8, from), key(BATCH, log + 1, 0)],
};

/** The number after the log in a batch, checkpoint or acceptor key. */
export function numberInKey(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(5) * 4294967296 + view.getUint32(9);
}

/** The log number in a key. */
export function logInKey(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(1);
}

function key(kind: number, log: number, tail: number, n = 0): Uint8Array {
  const bytes = new Uint8Array(5 + tail);
  const view = new DataView(bytes.buffer);
  bytes[0] = kind;
  view.setUint32(1, log);
  if (tail === 8) {
    view.setUint32(5, Math.floor(n / 4294967296));
    view.setUint32(9, n >>> 0);
  }
  return bytes;
}
