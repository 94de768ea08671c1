/**
 * One log while it is in memory: its session table and its running digest.
 *
 *   D(0)   = 32 zero bytes
 *   D(k+1) = H( D(k) ‖ framed entries of the 256 slots ‖ one byte per outcome ‖ fingerprint of the session table )
 *
 * Batches cut the log differently at every learner; the framing of an entry is its own, so the digest is not (R11).
 */
import { assert } from '../../base/assert.ts';
import { Batch } from '../../base/batch.ts';
import { varintSize } from '../../machine/bytes.ts';
import { decodeEntry } from '../../machine/entry.ts';
import type { Entry, UnknownEntry } from '../../machine/entry.ts';
import type { Applied, Sessions } from '../../machine/sessions.ts';
import { CHECKPOINT_SLOTS } from '../../ports/learner-store.ts';
import type { ApplyVisitor, ChosenBatch } from '../../ports/learner-store.ts';
import { encodeRecord, isUnusual, outcomeCode, usualOutcome } from './store-record.ts';
import type { StoredBatch } from './store-record.ts';

/** A hash that can be read without ending it; `node:crypto` has one. */
export interface Hash {
  update(bytes: Uint8Array): unknown;
  copy(): Hash;
  digest(): Uint8Array;
}

/** The digest of a log without entries. */
export const DIGEST_OF_NOTHING = new Uint8Array(32);

export class LogState {
  readonly sessions: Sessions;
  /** The session rows on disk are those of this slot; what came later is replayed when the log is loaded. */
  saved: number;
  /** Clients whose rows are on disk and whose session expired since. */
  readonly expired = new Set<string>();
  readonly #newHash: () => Hash;
  readonly #outcomes = new Uint8Array(CHECKPOINT_SLOTS);
  #hash: Hash;
  #hashed: number;

  /** `digest` is that of the greatest checkpoint at or below `sessions.next`, `saved` where `sessions` was read from rows. */
  constructor(sessions: Sessions, saved: number, hashed: number, digest: Uint8Array, newHash: () => Hash) {
    this.sessions = sessions;
    this.saved = saved;
    this.#newHash = newHash;
    this.#hashed = hashed;
    this.#hash = newHash();
    this.#hash.update(digest);
    sessions.onExpired = (client, number) => {
      // A session that was opened after the last saving has no row to remove.
      if (number < this.saved) this.expired.add(client);
    };
  }

  get next(): number {
    return this.sessions.next;
  }

  /** Applies a batch; returns its record. Digests that it completes go to `checkpoint`. */
  apply(chosen: ChosenBatch, checkpoint: (k: number, digest: Uint8Array) => void, visit?: ApplyVisitor): Uint8Array {
    const { log, first, ballot } = chosen;
    assert(first === this.next, 'R11', () => `log "${log}" goes on at slot ${String(this.next)}, not ${String(first)}`);
    const batch = canonical(chosen.batch);
    const exceptions = new Map<number, Applied>();
    this.#hashEach(first, batch, 0, checkpoint, (slot, entry) => {
      const applied = this.sessions.apply(slot, entry);
      if (isUnusual(slot, applied)) exceptions.set(slot - first, applied);
      if (visit !== undefined && entry.kind !== 'unknown') visit(log, slot, entry, applied);
      return applied;
    });
    return encodeRecord(ballot, batch, exceptions);
  }

  /** Applies a stored batch again, on the way from `saved` to where the log stood. Its outcomes must be those of the first time. */
  replay(log: string, stored: StoredBatch): void {
    let slot = stored.first;
    for (const bytes of stored.batch.values()) {
      const entry = decodeEntry(bytes);
      const before = stored.exceptions.get(slot - stored.first) ?? usualOutcome(slot, entry);
      const now = this.sessions.apply(slot, entry);
      assert(
        outcomeCode(now) === outcomeCode(before),
        'R11',
        () => `log "${log}", slot ${String(slot)} was stored as ${before.kind} and is ${now.kind} when applied again`,
      );
      slot++;
    }
  }

  /** Hashes the part of a stored batch at or above what is hashed, up to `next`. */
  rehash(stored: StoredBatch): void {
    const skip = Math.max(0, this.#hashed - stored.first);
    this.#hashEach(
      stored.first,
      stored.batch,
      skip,
      () => assert(false, 'R11', () => `slot ${String(stored.first)} ends a block that has its digest`),
      (slot, entry) => stored.exceptions.get(slot - stored.first) ?? usualOutcome(slot, entry),
    );
  }

  /** The digest over all slots below `next`, whether or not a block ends there. */
  digest(): Uint8Array {
    return this.#end(this.#hash.copy(), this.#hashed % CHECKPOINT_SLOTS);
  }

  #hashEach(
    first: number,
    batch: Batch,
    skip: number,
    checkpoint: (k: number, digest: Uint8Array) => void,
    outcome: (slot: number, entry: Entry | UnknownEntry) => Applied,
  ): void {
    let from = 0;
    let at = 0;
    let slot = first;
    for (const bytes of batch.values()) {
      const frame = 1 + varintSize(bytes.length) + bytes.length;
      at += frame;
      if (slot - first < skip) from = at;
      else {
        this.#outcomes[slot % CHECKPOINT_SLOTS] = outcomeCode(outcome(slot, decodeEntry(bytes)));
        if ((slot + 1) % CHECKPOINT_SLOTS === 0) {
          this.#hash.update(batch.bytes.subarray(from, at));
          from = at;
          const digest = this.#end(this.#hash, CHECKPOINT_SLOTS);
          checkpoint((slot + 1) / CHECKPOINT_SLOTS, digest);
          this.#hash = this.#newHash();
          this.#hash.update(digest);
        }
      }
      slot++;
    }
    if (at > from) this.#hash.update(batch.bytes.subarray(from, at));
    this.#hashed = slot;
  }

  #end(hash: Hash, outcomes: number): Uint8Array {
    hash.update(this.#outcomes.subarray(0, outcomes));
    hash.update(this.sessions.fingerprint());
    return hash.digest();
  }
}

/** The batch in its shortest framing: a length may be written in more bytes than it needs, and the digest must not see it. */
function canonical(batch: Batch): Batch {
  const values = batch.values();
  let size = 0;
  for (const value of values) size += 1 + varintSize(value.length) + value.length;
  return size === batch.bytes.length ? batch : Batch.of(values);
}
