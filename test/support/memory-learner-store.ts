/**
 * The learner's store in memory, for the simulator and for tests: the core of production over rows that live in arrays. A
 * `MemoryDisk` outlives its stores; `crash()` takes back every transaction that was not flushed.
 */
import { createHash } from 'node:crypto';
import { StoreCore } from '../../shared/platform/learner-store/store-core.ts';
import type { StoreOptions } from '../../shared/platform/learner-store/store-core.ts';
import type { Change, Row, Rows } from '../../shared/platform/learner-store/store-rows.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';

/** Opens a store on the rows of a disk. */
export function openMemoryStore(disk: MemoryDisk, options: Omit<StoreOptions, 'newHash'>): Promise<LearnerStore> {
  return StoreCore.open(disk.rows(), { ...options, newHash: () => createHash('sha256') });
}

interface Undo {
  readonly key: string;
  readonly before: Uint8Array | undefined;
}

export class MemoryDisk {
  /** Set to fail the next commits or flushes with this error. */
  failure: Error | undefined = undefined;
  /** Flushes wait for this before they are done; set a promise that is pending to crash before a flush. */
  flushes: Promise<void> = Promise.resolve();
  readonly #rows = new Map<string, Uint8Array>();
  /** The keys in order. */
  readonly #sorted: string[] = [];
  /** How to take back what was not flushed, the latest last. */
  #undo: Undo[] = [];
  #incarnation = 0;

  /** The rows, for one store; those of a store before it are dead. */
  rows(): Rows {
    const incarnation = ++this.#incarnation;
    const alive = (): void => {
      if (incarnation !== this.#incarnation) throw new Error('this store has crashed');
    };
    return {
      get: (key) => this.#rows.get(text(key))?.slice(),
      range: (from, below) => this.#range(text(from), text(below)),
      lastUpTo: (from, to) => this.#lastUpTo(text(from), text(to)),
      commit: async (changes) => {
        await Promise.resolve();
        alive();
        this.#mayFail();
        for (const change of changes) this.#write(change);
      },
      flush: async () => {
        const committed = this.#undo.length;
        await this.flushes;
        alive();
        this.#mayFail();
        this.#undo.splice(0, committed);
      },
      close: () => Promise.resolve(),
    };
  }

  /** Ends the store that uses the rows, and loses what was not flushed. */
  crash(): void {
    this.#incarnation++;
    for (const { key, before } of this.#undo.reverse()) this.#set(key, before);
    this.#undo = [];
  }

  /** Ends the store that uses the rows as a kill does: what was committed stays. */
  kill(): void {
    this.#incarnation++;
  }

  /** Changes rows behind the store's back, to plant damage. */
  damage(visit: (key: Uint8Array, value: Uint8Array) => Uint8Array | undefined): void {
    for (const key of this.#sorted.slice()) {
      const value = this.#rows.get(key);
      if (value !== undefined) this.#set(key, visit(Buffer.from(key, 'latin1'), value.slice()));
    }
  }

  #mayFail(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  #write({ key, value }: Change): void {
    const name = text(key);
    this.#undo.push({ key: name, before: this.#rows.get(name) });
    this.#set(name, value?.slice());
  }

  #set(key: string, value: Uint8Array | undefined): void {
    const known = this.#rows.has(key);
    if (value !== undefined) {
      this.#rows.set(key, value);
      if (!known) this.#sorted.splice(lowerBound(this.#sorted, key), 0, key);
    } else if (known) {
      this.#rows.delete(key);
      this.#sorted.splice(lowerBound(this.#sorted, key), 1);
    }
  }

  *#range(from: string, below: string): Iterable<Row> {
    const sorted = this.#sorted;
    for (let i = lowerBound(sorted, from); i < sorted.length; i++) {
      const key = sorted[i] ?? '';
      if (key >= below) return;
      yield this.#row(key);
    }
  }

  #lastUpTo(from: string, to: string): Row | undefined {
    const sorted = this.#sorted;
    let at = lowerBound(sorted, to);
    if (sorted[at] !== to) at--;
    const key = sorted[at];
    return key === undefined || key < from ? undefined : this.#row(key);
  }

  #row(key: string): Row {
    return { key: Buffer.from(key, 'latin1'), value: (this.#rows.get(key) ?? new Uint8Array(0)).slice() };
  }
}

/** Bytes as a string with one character a byte, whose order is that of the bytes. */
function text(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1');
}

function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
