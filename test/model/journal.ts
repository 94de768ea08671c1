/** A journal in memory whose syncs are deeds of the search. A crash loses what was not synced, or keeps it. */
import type { Journal } from '../../shared/ports/journal.ts';

export class ModelJournal implements Journal {
  onSynced: (synced: number) => void = () => undefined;
  readonly entryBytesMax = 4 * 1024 * 1024;
  readonly queuedBytes = 0;
  readonly bytes = 0;
  readonly hasRoom = true;
  readonly room = Infinity;
  readonly wantsTrim = false;
  readonly pinnedBelow = 0;
  readonly first = 0;
  synced: number;
  readonly #entries: Uint8Array[];
  #reads = 0;

  /** Continues what a disk holds, all of it synced. */
  constructor(entries: readonly Uint8Array[]) {
    this.#entries = [...entries];
    this.synced = this.newest;
  }

  get newest(): number {
    return this.#entries.length - 1;
  }

  get isSynced(): boolean {
    return this.synced === this.newest;
  }

  /** Everything written. */
  get all(): readonly Uint8Array[] {
    return this.#entries;
  }

  /** What a loss of power leaves for certain. */
  get durable(): readonly Uint8Array[] {
    return this.#entries.slice(0, this.synced + 1);
  }

  append(entry: Uint8Array): number {
    this.#entries.push(entry);
    return this.newest;
  }

  sync(): void {
    if (this.isSynced) return;
    this.synced = this.newest;
    this.onSynced(this.synced);
  }

  read(from: number, to: number, visit: (position: number, entry: Uint8Array) => boolean): Promise<void> {
    this.#reads++;
    for (const [position, entry] of this.#entries.entries())
      if (position >= from && position <= to && !visit(position, entry)) break;
    return Promise.resolve();
  }

  /** How many reads began since this was last asked. */
  takeReads(): number {
    const reads = this.#reads;
    this.#reads = 0;
    return reads;
  }

  trim(): Promise<void> {
    return Promise.resolve();
  }

  seekRoom(): void {
    // There is always room.
  }

  idle(): void {
    // It needs no sync marks.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
