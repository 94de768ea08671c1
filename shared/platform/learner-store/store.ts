/**
 * The learner's store on disk: LMDB, with one transaction for all that one call applies.
 *
 * A transaction that resolved is visible and survives the end of the process; it survives a loss of power only once `flushed`
 * has resolved after it (R3: nothing is reported as held before).
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import type { RootDatabase } from 'lmdb';
import { SynodError, messageOf } from '../../base/errors.ts';
import type { LearnerStore } from '../../ports/learner-store.ts';
import { StoreCore } from './store-core.ts';
import type { StoreOptions } from './store-core.ts';
import { readIdentity } from './store-head.ts';
import type { Change, Row, Rows } from './store-rows.ts';

export interface LmdbStoreOptions extends Omit<StoreOptions, 'newHash'> {
  /** The folder; made when it is missing. One process at a time: the caller holds the folder's lock. */
  readonly folder: string;
}

/** Opens or makes a store. Errors as `StoreCore.open`; DATA_LOSS where LMDB cannot read its file. */
export async function openLearnerStore(options: LmdbStoreOptions): Promise<LearnerStore> {
  const rows = new LmdbRows(options.folder);
  try {
    return await StoreCore.open(rows, { ...options, newHash: () => createHash('sha256') });
  } catch (error) {
    await rows.close();
    throw error;
  }
}

/**
 * Opens the store of a learner that does not run, to be read: nothing in the folder changes. The caller holds the folder's lock.
 * NOT_FOUND where the folder holds no store; otherwise errors as `openLearnerStore`.
 */
export async function readLearnerStore(folder: string): Promise<LearnerStore> {
  if (!existsSync(join(folder, 'data.mdb')))
    throw new SynodError('NOT_FOUND', `${folder} holds no learner's store: there is no data.mdb in it`);
  const rows = new LmdbRows(folder, true);
  try {
    const identity = readIdentity(rows);
    if (identity === undefined)
      throw new SynodError('NOT_FOUND', `${folder} holds a learner's store that was never begun`);
    return await StoreCore.open(rows, { identity, newHash: () => createHash('sha256') });
  } catch (error) {
    await rows.close();
    throw error;
  }
}

class LmdbRows implements Rows {
  readonly #db: RootDatabase<Uint8Array, Uint8Array>;
  readonly #isReadOnly: boolean;

  constructor(folder: string, isReadOnly = false) {
    this.#isReadOnly = isReadOnly;
    try {
      this.#db = open<Uint8Array, Uint8Array>({
        path: folder,
        readOnly: isReadOnly,
        // A dot in the folder's name must not make it a file's.
        noSubdir: false,
        encoding: 'binary',
        keyEncoding: 'binary',
      });
    } catch (error) {
      throw new SynodError(
        'DATA_LOSS',
        `the learner's store in ${folder} cannot be opened: ${messageOf(error)}`,
        'none',
        error,
      );
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#db.get(key);
  }

  range(from: Uint8Array, below: Uint8Array): Iterable<Row> {
    return this.#db.getRange({ start: from, end: below });
  }

  lastUpTo(from: Uint8Array, to: Uint8Array): Row | undefined {
    for (const row of this.#db.getRange({ start: to, end: from, reverse: true, inclusiveEnd: true, limit: 1 }))
      return row;
    return undefined;
  }

  async commit(changes: readonly Change[]): Promise<void> {
    // What an opening would tidy lies above the end of its log, where nothing is read.
    if (changes.length === 0 || this.#isReadOnly) return;
    await this.#db.batch(() => {
      for (const { key, value } of changes) {
        // One promise answers for the whole batch; those of its parts resolve with it.
        if (value === undefined) void this.#db.remove(key);
        else void this.#db.put(key, value);
      }
    });
  }

  async flush(): Promise<void> {
    if (!this.#isReadOnly) await this.#db.flushed;
  }

  async close(): Promise<void> {
    await this.#db.close();
  }
}
