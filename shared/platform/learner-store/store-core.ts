/**
 * The learner's store over any ordered rows: LMDB in production (`store.ts`), memory in the simulator.
 *
 * An entry is applied in memory first; its batch, the digests it completes and the log's new `next` are then one transaction.
 * Session rows are written only every few thousand slots: the table is a function of the log (R12), so what is missing is
 * replayed from the stored batches when a log is loaded, and every replayed outcome must be the stored one (R11).
 */
import { SynodError, messageOf } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { decodeEntry } from '../../machine/entry.ts';
import { Sessions } from '../../machine/sessions.ts';
import type { Known } from '../../machine/sessions.ts';
import type { Remembered } from '../../paxos/introduction.ts';
import { CHECKPOINT_SLOTS } from '../../ports/learner-store.ts';
import type {
  ApplyVisitor,
  ChosenBatch,
  LearnerStore,
  LogProgress,
  ReadLimits,
  SnapshotHeader,
  SnapshotImport,
  StoredEntry,
  StoreIdentity,
} from '../../ports/learner-store.ts';
import { openIdentity, readAcceptors, readLogs, writeAcceptor, writeState } from './store-head.ts';
import type { LogEntry } from './store-head.ts';
import { DIGEST_OF_NOTHING, LogState } from './store-log.ts';
import type { Hash } from './store-log.ts';
import { decodeRecord, usualOutcome } from './store-record.ts';
import type { StoredBatch } from './store-record.ts';
import { keys, numberInKey } from './store-rows.ts';
import type { Change, Rows } from './store-rows.ts';

export interface StoreOptions {
  /** The disk id is used only where the store is new. */
  readonly identity: StoreIdentity;
  readonly newHash: () => Hash;
  /** Memory for session tables; logs unused the longest are dropped above it and read again when needed. Default 64 MiB. */
  readonly cacheBytesMax?: number;
  /** Slots after which session rows are written. Default 4,096; more means fewer writes and a longer loading of a log. */
  readonly saveSlots?: number;
}

export class StoreCore implements LearnerStore {
  readonly identity: StoreIdentity;
  onHeld: (log: string, held: number) => void = () => undefined;
  onFailed: (error: Error) => void = () => undefined;

  readonly #rows: Rows;
  readonly #newHash: () => Hash;
  readonly #cacheBytesMax: number;
  readonly #saveSlots: number;
  readonly #logs: Map<string, LogEntry>;
  #lastNumber: number;
  /** Logs in memory, those used last at the end. */
  readonly #loaded = new Map<LogEntry, LogState>();
  #loadedBytes = 0;
  readonly #acceptors: Map<number, Remembered>;
  /** Acceptors whose memory is not in a transaction yet. */
  readonly #acceptorsChanged = new Set<number>();
  /** Logs with visible slots that are not durable yet. */
  readonly #unheld = new Set<LogEntry>();
  #lastCommit: Promise<void> = Promise.resolve();
  #flushing = false;
  #failed: Error | undefined = undefined;

  private constructor(rows: Rows, options: StoreOptions, identity: StoreIdentity) {
    this.#rows = rows;
    this.#newHash = options.newHash;
    this.#cacheBytesMax = options.cacheBytesMax ?? 64 * 1024 * 1024;
    this.#saveSlots = options.saveSlots ?? 4096;
    this.identity = identity;
    this.#logs = readLogs(rows);
    this.#acceptors = readAcceptors(rows);
    this.#lastNumber = 0;
    for (const entry of this.#logs.values()) this.#lastNumber = Math.max(this.#lastNumber, entry.number);
  }

  /**
   * Opens the store on its rows. Rejects with FAILED_PRECONDITION where they belong to another cluster or learner or have another
   * format, with DATA_LOSS where they contradict one another.
   */
  static async open(rows: Rows, options: StoreOptions): Promise<StoreCore> {
    const identity = await openIdentity(rows, options.identity);
    const store = new StoreCore(rows, options, identity);
    // What a snapshot that was never finished left behind lies above its log's `next`.
    const leftovers: Change[] = [];
    for (const entry of store.#logs.values()) leftovers.push(...store.#rowsAbove(entry));
    if (leftovers.length > 0) await rows.commit(leftovers);
    await rows.flush();
    return store;
  }

  *logs(): Iterable<LogProgress> {
    for (const entry of this.#logs.values()) yield progressOf(entry);
  }

  progress(log: string): LogProgress | undefined {
    const entry = this.#logs.get(log);
    return entry === undefined ? undefined : progressOf(entry);
  }

  async apply(batches: readonly ChosenBatch[], visit?: ApplyVisitor): Promise<void> {
    this.#assertSound();
    this.#admit(batches);
    const changes: Change[] = [];
    const touched = new Map<LogEntry, LogState>();
    this.#orFail(() => {
      for (const chosen of batches) {
        const entry = this.#entryOf(chosen.log);
        const state = this.#load(entry);
        touched.set(entry, state);
        this.#applyOne(entry, state, chosen, changes, visit);
      }
      for (const [entry, state] of touched) {
        if (state.next - state.saved >= this.#saveSlots) saveSessions(entry, state, changes);
        changes.push(writeState(entry, state));
      }
    });
    const committed = this.#commit(changes, [...touched.keys()]);
    this.#evict();
    await committed;
  }

  async flushed(): Promise<void> {
    this.#assertSound();
    if (this.#acceptorsChanged.size > 0) void this.#commit([], []).catch(() => undefined); // its failure is kept, and thrown below
    await this.#lastCommit.catch(() => undefined);
    this.#assertSound();
    await this.#flushOnce();
  }

  read(log: string, from: number, limits: ReadLimits): StoredEntry[] {
    this.#assertSound();
    const entry = this.#logs.get(log);
    const out: StoredEntry[] = [];
    if (entry === undefined) return out;
    let bytesRead = 0;
    for (const stored of this.#records(entry, from, entry.visible)) {
      let slot = stored.first;
      for (const bytes of stored.batch.values()) {
        if (out.length >= limits.slots || bytesRead >= limits.bytes) return out;
        if (slot >= from) {
          const decoded = decodeEntry(bytes);
          const applied = stored.exceptions.get(slot - stored.first) ?? usualOutcome(slot, decoded);
          if (decoded.kind !== 'unknown') out.push({ slot, ballot: stored.ballot, bytes, entry: decoded, applied });
          bytesRead += bytes.length;
        }
        slot++;
      }
    }
    return out;
  }

  readBatches(log: string, from: number, upTo: number, bytesMax: number): ChosenBatch[] {
    this.#assertSound();
    const entry = this.#logs.get(log);
    const out: ChosenBatch[] = [];
    if (entry === undefined) return out;
    const end = Math.min(upTo, entry.visible);
    let bytes = 0;
    for (const { first, ballot, batch } of this.#records(entry, from, end)) {
      if (bytes > 0 && bytes + batch.bytes.length > bytesMax) break;
      const cut = batch.slice(Math.max(0, from - first), Math.min(batch.count, end - first));
      out.push({ log, first: Math.max(first, from), ballot, batch: cut });
      bytes += batch.bytes.length;
    }
    return out;
  }

  lookup(log: string, client: string, session: number, sequence: number): Known {
    return this.#sessions(log)?.lookup(client, session, sequence) ?? { kind: 'refused', reason: 'session-unknown' };
  }

  sessionOf(log: string, client: string): number | undefined {
    return this.#sessions(log)?.sessionOf(client);
  }

  sessionCount(log: string): number | undefined {
    const entry = this.#logs.get(log);
    return entry === undefined ? undefined : this.#loaded.get(entry)?.sessions.size;
  }

  sessionsAtLeast(log: string, slot: number): { readonly next: number; readonly bytes: Uint8Array } | undefined {
    const sessions = this.#sessions(log) ?? new Sessions();
    return sessions.next < slot ? undefined : { next: sessions.next, bytes: sessions.export() };
  }

  digestAt(log: string, slot: number): Uint8Array | undefined {
    this.#assertSound();
    const entry = this.#logs.get(log);
    if (entry === undefined || slot < 0 || slot > entry.visible) return undefined;
    if (slot % CHECKPOINT_SLOTS === 0) return this.#checkpoint(entry, slot / CHECKPOINT_SLOTS);
    return slot === entry.next ? this.#orFail(() => this.#load(entry).digest()) : undefined;
  }

  remember(acceptor: number, memory: Remembered): void {
    this.#assertSound();
    if (this.#acceptors.get(acceptor) === memory) return;
    this.#acceptors.set(acceptor, memory);
    this.#acceptorsChanged.add(acceptor);
  }

  remembered(acceptor: number): Remembered | undefined {
    return this.#acceptors.get(acceptor);
  }

  async snapshot(log: string, from: number): Promise<SnapshotHeader> {
    this.#assertSound();
    const entry = this.#logs.get(log);
    if (entry === undefined) throw new SynodError('NOT_FOUND', `log "${log}" is not known here`);
    if (from > entry.next)
      throw new SynodError(
        'OUT_OF_RANGE',
        `log "${log}" ends before slot ${String(entry.next)} here; a snapshot from slot ${String(from)} was asked for`,
      );
    const header = { log, from, upTo: entry.next, digest: this.#orFail(() => this.#load(entry).digest()) };
    // What the header names is applied; it can be read once the transaction under way is through.
    await this.#lastCommit;
    return header;
  }

  async importSnapshot(header: SnapshotHeader): Promise<SnapshotImport> {
    this.#assertSound();
    this.#admit([{ log: header.log }]);
    const entry = this.#entryOf(header.log);
    if (header.from !== entry.next)
      throw new SynodError(
        'FAILED_PRECONDITION',
        `the snapshot of log "${header.log}" begins at slot ${String(header.from)}; this learner goes on at ${String(entry.next)}`,
      );
    entry.importing = true;
    // The log's row comes first, so that its number is taken and what a crash leaves of the snapshot is found again.
    await this.#commit([writeState(entry, this.#load(entry))], [entry]);
    await this.#lastCommit;
    this.#drop(entry);
    const state = this.#orFail(() => this.#read(entry));
    return {
      add: (batches) => this.#importBatches(entry, state, header, batches),
      finish: () => this.#finishImport(entry, state, header),
      abort: () => this.#abortImport(entry),
    };
  }

  async close(): Promise<void> {
    try {
      if (this.#failed === undefined) await this.flushed();
    } finally {
      this.#failed ??= new SynodError('UNAVAILABLE', 'the store is closed');
      await this.#rows.close();
    }
  }

  // ---- applying

  #applyOne(entry: LogEntry, state: LogState, chosen: ChosenBatch, changes: Change[], visit?: ApplyVisitor): void {
    const before = state.sessions.bytes;
    const record = state.apply(
      chosen,
      (k, digest) => changes.push({ key: keys.checkpoint(entry.number, k), value: digest }),
      visit,
    );
    changes.push({ key: keys.batch(entry.number, chosen.first), value: record });
    if (this.#loaded.get(entry) === state) {
      entry.next = state.next;
      this.#loadedBytes += state.sessions.bytes - before;
    }
  }

  /** Refuses, before anything is changed, what may not be applied now. */
  #admit(batches: readonly { readonly log: string }[]): void {
    const fresh = new Set<string>();
    for (const { log } of batches) {
      const entry = this.#logs.get(log);
      if (entry === undefined) fresh.add(log);
      else if (entry.importing)
        throw new SynodError('FAILED_PRECONDITION', `log "${log}" is being taken from a snapshot; nothing was applied`);
    }
    if (this.#logs.size + fresh.size > LIMITS.logsMax)
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(this.#logs.size)} logs are kept here and ${String(fresh.size)} more were to be applied; the limit is ${String(LIMITS.logsMax)} logs`,
      );
  }

  #entryOf(log: string): LogEntry {
    const known = this.#logs.get(log);
    if (known !== undefined) return known;
    this.#lastNumber++;
    const entry: LogEntry = {
      name: log,
      number: this.#lastNumber,
      next: 0,
      visible: 0,
      held: 0,
      saved: 0,
      expired: -1,
      pending: 0,
      importing: false,
    };
    this.#logs.set(log, entry);
    return entry;
  }

  #commit(changes: Change[], logs: readonly LogEntry[]): Promise<void> {
    for (const id of this.#acceptorsChanged) {
      const memory = this.#acceptors.get(id);
      if (memory !== undefined) changes.push(writeAcceptor(id, memory));
    }
    this.#acceptorsChanged.clear();
    const marks = logs.map((entry) => ({ entry, next: entry.next }));
    for (const entry of logs) entry.pending++;
    const committed = this.#rows.commit(changes).then(
      () => {
        for (const { entry, next } of marks) {
          entry.pending--;
          entry.visible = Math.max(entry.visible, next);
          if (entry.visible > entry.held) this.#unheld.add(entry);
        }
        void this.#flushAll(); // keeps its own failure
      },
      (error: unknown) => {
        throw this.#fail(
          new SynodError(
            'DATA_LOSS',
            `the learner's store could not be written: ${messageOf(error)}`,
            'unknown',
            error,
          ),
        );
      },
    );
    this.#lastCommit = committed;
    return committed;
  }

  /** Makes durable what is visible, until nothing is left; one at a time. Never rejects: a failure is kept. */
  async #flushAll(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      while (this.#unheld.size > 0 && this.#failed === undefined) await this.#flushOnce();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#flushing = false;
    }
  }

  async #flushOnce(): Promise<void> {
    const marks = [...this.#unheld].map((entry) => ({ entry, visible: entry.visible }));
    try {
      await this.#rows.flush();
    } catch (error) {
      // R4: what a failed sync left on disk is not known, and it is not tried again.
      throw this.#fail(
        new SynodError('DATA_LOSS', `the learner's store could not be synced: ${messageOf(error)}`, 'unknown', error),
      );
    }
    for (const { entry, visible } of marks) {
      if (visible <= entry.held) continue;
      entry.held = visible;
      if (entry.held === entry.visible) this.#unheld.delete(entry);
      this.onHeld(entry.name, entry.held);
    }
  }

  // ---- loading

  #sessions(log: string): Sessions | undefined {
    this.#assertSound();
    const entry = this.#logs.get(log);
    return entry === undefined ? undefined : this.#orFail(() => this.#load(entry).sessions);
  }

  /** The log's state, from memory or from its rows; it is now the one used last. */
  #load(entry: LogEntry): LogState {
    let state = this.#loaded.get(entry);
    if (state === undefined) {
      state = this.#read(entry);
      this.#loadedBytes += state.sessions.bytes;
    } else this.#loaded.delete(entry);
    this.#loaded.set(entry, state);
    return state;
  }

  #read(entry: LogEntry): LogState {
    const sessions = Sessions.fromRows(entry.saved, entry.expired, this.#sessionRows(entry));
    const k = Math.floor(entry.next / CHECKPOINT_SLOTS);
    const digest = this.#checkpoint(entry, k);
    const state = new LogState(sessions, entry.saved, k * CHECKPOINT_SLOTS, digest, this.#newHash);
    for (const stored of this.#records(entry, entry.saved, entry.next)) state.replay(entry.name, stored);
    for (const stored of this.#records(entry, k * CHECKPOINT_SLOTS, entry.next)) state.rehash(stored);
    return state;
  }

  *#sessionRows(entry: LogEntry): Iterable<Uint8Array> {
    for (const row of this.#rows.range(...keys.sessions(entry.number))) yield row.value;
  }

  #checkpoint(entry: LogEntry, k: number): Uint8Array {
    const digest = k === 0 ? DIGEST_OF_NOTHING : this.#rows.get(keys.checkpoint(entry.number, k));
    if (digest === undefined)
      throw this.#fail(lost(entry, `has no digest at slot ${String(k * CHECKPOINT_SLOTS)}, below its end`));
    return digest;
  }

  /** The stored batches that hold slots of [from, upTo), in order and without a gap. */
  *#records(entry: LogEntry, from: number, upTo: number): Iterable<StoredBatch> {
    if (from >= upTo) return;
    const head = this.#rows.lastUpTo(keys.batch(entry.number, 0), keys.batch(entry.number, from));
    let slot = head === undefined ? 0 : numberInKey(head.key);
    const rows = this.#rows.range(keys.batch(entry.number, slot), keys.batch(entry.number, upTo));
    for (const { key, value } of rows) {
      if (numberInKey(key) !== slot) break;
      const stored = this.#decode(entry, slot, value);
      slot += stored.batch.count;
      if (slot > from) yield stored;
      if (slot >= upTo) return;
    }
    throw this.#fail(lost(entry, `has no batch for slot ${String(slot)}, below its end at ${String(upTo)}`));
  }

  #decode(entry: LogEntry, slot: number, value: Uint8Array): StoredBatch {
    try {
      return decodeRecord(slot, value);
    } catch (error) {
      throw this.#fail(lost(entry, `holds a damaged record at slot ${String(slot)}: ${messageOf(error)}`));
    }
  }

  /** Drops the logs unused the longest until the rest fits. What is not committed yet cannot be read again, so it stays. */
  #evict(): void {
    if (this.#loadedBytes <= this.#cacheBytesMax) return;
    for (const entry of this.#loaded.keys()) {
      if (this.#loadedBytes <= this.#cacheBytesMax) return;
      if (entry.pending === 0) this.#drop(entry);
    }
  }

  #drop(entry: LogEntry): void {
    this.#loadedBytes -= this.#loaded.get(entry)?.sessions.bytes ?? 0;
    this.#loaded.delete(entry);
  }

  // ---- snapshots

  async #importBatches(
    entry: LogEntry,
    state: LogState,
    header: SnapshotHeader,
    batches: readonly ChosenBatch[],
  ): Promise<void> {
    this.#assertSound();
    const changes: Change[] = [];
    for (const chosen of batches) {
      const end = chosen.first + chosen.batch.count;
      if (chosen.log !== header.log || chosen.first !== state.next || end > header.upTo)
        throw new SynodError(
          'INVALID_ARGUMENT',
          `the snapshot of log "${header.log}" goes on at slot ${String(state.next)} and ends at ${String(header.upTo)}; ` +
            `slots ${String(chosen.first)} to ${String(end - 1)} of log "${chosen.log}" came`,
        );
      this.#applyOne(entry, state, chosen, changes);
    }
    await this.#commit(changes, []);
  }

  async #finishImport(entry: LogEntry, state: LogState, header: SnapshotHeader): Promise<void> {
    this.#assertSound();
    const digest = state.digest();
    if (state.next !== header.upTo || !digest.every((byte, i) => byte === header.digest[i])) {
      const reached = state.next;
      await this.#abortImport(entry);
      throw new SynodError(
        'DATA_LOSS',
        `the snapshot of log "${header.log}" was to end at slot ${String(header.upTo)} with digest ${hex(header.digest)}; ` +
          `it reached slot ${String(reached)} with ${hex(digest)}. All of it was dropped; take it from another learner`,
      );
    }
    const changes: Change[] = [];
    saveSessions(entry, state, changes);
    changes.push(writeState(entry, state));
    entry.next = state.next;
    this.#drop(entry);
    this.#loaded.set(entry, state);
    this.#loadedBytes += state.sessions.bytes;
    entry.importing = false;
    const committed = this.#commit(changes, [entry]);
    this.#evict();
    await committed;
  }

  async #abortImport(entry: LogEntry): Promise<void> {
    this.#assertSound();
    await this.#lastCommit;
    await this.#commit(this.#rowsAbove(entry), []);
    entry.importing = false;
  }

  /** Removes what lies at or above a log's `next`. */
  #rowsAbove(entry: LogEntry): Change[] {
    const changes: Change[] = [];
    for (const { key } of this.#rows.range(...keys.batches(entry.number, entry.next)))
      changes.push({ key, value: undefined });
    const covered = Math.floor(entry.next / CHECKPOINT_SLOTS);
    for (const { key } of this.#rows.range(...keys.checkpoints(entry.number, covered + 1)))
      changes.push({ key, value: undefined });
    return changes;
  }

  // ---- failing

  #assertSound(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Keeps the first failure: memory may be ahead of the disk, so nothing may be applied or answered any more. */
  #fail(error: unknown): Error {
    if (this.#failed === undefined) {
      this.#failed = error instanceof Error ? error : new Error(messageOf(error));
      this.onFailed(this.#failed);
    }
    return this.#failed;
  }

  #orFail<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw this.#fail(error);
    }
  }
}

function progressOf({ name, next, visible, held }: LogEntry): LogProgress {
  return { log: name, next, visible, held };
}

/** Brings the session rows to where the table is: every change of a session is a use, so those used since are all. */
function saveSessions(entry: LogEntry, state: LogState, changes: Change[]): void {
  for (const client of state.expired) changes.push({ key: keys.session(entry.number, client), value: undefined });
  for (const client of state.sessions.usedSince(state.saved))
    changes.push({ key: keys.session(entry.number, client), value: state.sessions.exportSession(client) });
  state.expired.clear();
  state.saved = state.next;
  entry.saved = state.saved;
  entry.expired = state.sessions.expired;
}

function lost(entry: LogEntry, what: string): SynodError {
  return new SynodError(
    'DATA_LOSS',
    `log "${entry.name}" of the learner's store ${what}. Remove the store's folder: the learner then takes all logs from other learners`,
  );
}

function hex(bytes: Uint8Array): string {
  return [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
