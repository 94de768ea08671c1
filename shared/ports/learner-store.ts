/**
 * What a learner keeps: chosen batches, the session table of every log (R12), a chain of digests (R11), what it remembers of
 * the acceptors (R5), and who it is. `services/learner` keeps it in LMDB, the simulator in memory, by one and the same core.
 *
 * Three slots tell how far a log is, each at most the one before: `next`, below which entries are applied in memory;
 * `visible`, below which they can be read and come back after the process was killed; `held`, below which they are on disk
 * and survive a loss of power. Only `held` may be reported to acceptors.
 */
import type { Batch } from '../base/batch.ts';
import type { Entry } from '../machine/entry.ts';
import type { Applied, Known } from '../machine/sessions.ts';
import type { Ballot } from '../paxos/ballot.ts';
import type { Remembered } from '../paxos/introduction.ts';

/** Slots between two digests of a log. Digest k covers all slots below 256 · k. */
export const CHECKPOINT_SLOTS = 256;

/** Whose store it is. The disk id is drawn at the first start and kept ever after. */
export interface StoreIdentity {
  readonly cluster: string;
  readonly learner: string;
  readonly disk: string;
}

/** Values of consecutive slots that are known to be chosen. */
export interface ChosenBatch {
  readonly log: string;
  readonly first: number;
  readonly ballot: Ballot;
  readonly batch: Batch;
}

/** How far a log is here. Slots below the number are applied, readable, durable. */
export interface LogProgress {
  readonly log: string;
  readonly next: number;
  readonly visible: number;
  readonly held: number;
}

/** One slot as it is read back. Subscribers get those that took effect: `applied`, `decree`, and nothing that is a duplicate. */
export interface StoredEntry {
  readonly slot: number;
  readonly ballot: Ballot;
  /** The entry as it was proposed, encoded. */
  readonly bytes: Uint8Array;
  readonly entry: Entry;
  readonly applied: Applied;
}

/** All that is known of a log up to `upTo`: batches of [from, upTo) follow, and end in this digest. */
export interface SnapshotHeader {
  readonly log: string;
  readonly from: number;
  readonly upTo: number;
  /** 32 bytes over every entry, every outcome and the session table at `upTo`. */
  readonly digest: Uint8Array;
}

/** A snapshot that is being taken in. Until `finish` nothing of it can be seen, and nothing else is applied to its log. */
export interface SnapshotImport {
  /** The next batches of the log, in order. Resolves when there is room for more. */
  add(batches: readonly ChosenBatch[]): Promise<void>;
  /** Makes all of it visible at once. Rejects with DATA_LOSS, and drops everything, when the digest differs. */
  finish(): Promise<void>;
  /** Drops what was added. */
  abort(): Promise<void>;
}

export interface ReadLimits {
  /** Slots at most. */
  readonly slots: number;
  /** Stops once the entries read have this many bytes; at least one entry is read. */
  readonly bytes: number;
}

/** Called for every slot in order while a batch is applied. Tell nobody before the call of `apply` resolved. */
export type ApplyVisitor = (log: string, slot: number, entry: Entry, applied: Applied) => void;

/**
 * A store that failed once (a write, a gap, an unknown kind, damage) fails every later call with the same error: the owner
 * must end the process.
 */
export interface LearnerStore {
  readonly identity: StoreIdentity;
  /** Called after a log's `held` grew. One listener. */
  onHeld: (log: string, held: number) => void;
  /** Called once, with the first failure, whoever's call met it. The owner must end the process. */
  onFailed: (error: Error) => void;

  /** All logs, in no order that means anything. */
  logs(): Iterable<LogProgress>;
  /** Undefined for a log of which nothing was ever applied. */
  progress(log: string): LogProgress | undefined;

  /**
   * Applies chosen batches, each at the `next` of its log, and keeps them in one transaction with sessions and digests.
   * Resolves when they are visible. Rejects with an InvariantError for a gap or an entry of an unknown kind (R11), with
   * RESOURCE_EXHAUSTED (and nothing applied) for one log too many.
   */
  apply(batches: readonly ChosenBatch[], visit?: ApplyVisitor): Promise<void>;
  /** Resolves when everything applied before the call is durable. */
  flushed(): Promise<void>;

  /** Visible entries from a slot on, in order; empty when there are none. */
  read(log: string, from: number, limits: ReadLimits): StoredEntry[];
  /** Visible batches that cover [from, upTo), cut to begin at `from`, whole batches until `bytesMax` is passed. */
  readBatches(log: string, from: number, upTo: number, bytesMax: number): ChosenBatch[];

  /** What the table of `next` knows of a proposal; a log without entries knows no session. */
  lookup(log: string, client: string, session: number, sequence: number): Known;
  /** The number of a client's open session. */
  sessionOf(log: string, client: string): number | undefined;
  /** How many sessions a log has open; undefined while its table is not in memory, from where it is never fetched for this. */
  sessionCount(log: string): number | undefined;
  /** The session table once all slots below `slot` are applied, undefined before. `next` is where it stands. */
  sessionsAtLeast(log: string, slot: number): { readonly next: number; readonly bytes: Uint8Array } | undefined;

  /** The digest over all slots below a multiple of 256 that is visible, or below the end of the log; undefined elsewhere. */
  digestAt(log: string, slot: number): Uint8Array | undefined;

  /** Replaces what is remembered of an acceptor; the caller decided by `remember` (R5). Durable with the next `flushed`. */
  remember(acceptor: number, memory: Remembered): void;
  remembered(acceptor: number): Remembered | undefined;

  /** What another learner needs to go on from slot `from`. NOT_FOUND for an unknown log, OUT_OF_RANGE for a slot not here. */
  snapshot(log: string, from: number): Promise<SnapshotHeader>;
  /** Begins to take a snapshot in; its `from` must be this store's `next` of the log. */
  importSnapshot(header: SnapshotHeader): Promise<SnapshotImport>;

  /** Waits until all is durable, and closes. */
  close(): Promise<void>;
}
