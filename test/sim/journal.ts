/** A journal in memory that loses at a crash what was not synced, all of it or all but the write that was under way. */
import type { Prng } from '../../shared/base/prng.ts';
import type { Journal } from '../../shared/ports/journal.ts';
import type { Schedule } from './schedule.ts';

interface Segment {
  readonly first: number;
  readonly heads: readonly Uint8Array[];
  readonly entries: Uint8Array[];
}

/** What survives a crash. */
export interface SimDisk {
  segments: Segment[];
}

const SEGMENT_ENTRIES = 40;

export function emptyDisk(): SimDisk {
  return { segments: [{ first: 0, heads: [], entries: [] }] };
}

export class SimJournal implements Journal {
  onSynced: (synced: number) => void = () => undefined;
  onFatal: (error: Error) => void = () => undefined;
  readonly entryBytesMax = 4 * 1024 * 1024;
  readonly queuedBytes = 0;
  readonly bytes = 0;
  readonly hasRoom = true;
  synced: number;
  /** The owner has replayed. */
  isOpen = false;
  get wantsTrim(): boolean {
    return this.#segments.length > 3;
  }

  #writing: number | undefined;
  #crashed = false;
  readonly #segments: Segment[];
  readonly #schedule: Schedule;
  readonly #prng: Prng;
  readonly #syncMs: number;
  readonly #head: () => Uint8Array[];

  constructor(disk: SimDisk, schedule: Schedule, prng: Prng, syncMs: number, head: () => Uint8Array[]) {
    this.#segments = disk.segments.map((s) => ({ ...s, entries: [...s.entries] }));
    this.#schedule = schedule;
    this.#prng = prng;
    this.#syncMs = syncMs;
    this.#head = head;
    this.synced = this.newest;
  }

  get heads(): readonly Uint8Array[] {
    return this.#segments[0]?.heads ?? [];
  }

  get #last(): Segment {
    const last = this.#segments[this.#segments.length - 1];
    if (last === undefined) throw new Error('a journal without segments');
    return last;
  }

  get newest(): number {
    return this.#last.first + this.#last.entries.length - 1;
  }

  get first(): number {
    return this.#segments[0]?.first ?? 0;
  }

  append(entry: Uint8Array): number {
    if (this.#last.entries.length >= SEGMENT_ENTRIES)
      this.#segments.push({ first: this.newest + 1, heads: this.#head(), entries: [] });
    this.#last.entries.push(entry);
    this.#write();
    return this.newest;
  }

  #write(): void {
    if (this.#writing !== undefined || this.synced === this.newest || this.#crashed) return;
    const upTo = this.newest;
    this.#writing = upTo;
    this.#schedule.after(this.#prng.next() * 2 * this.#syncMs, () => {
      if (this.#crashed) return;
      this.#writing = undefined;
      this.synced = upTo;
      this.onSynced(upTo);
      this.#write();
    });
  }

  /** Takes time, except while the owner replays before its first step. */
  async read(from: number, to: number, visit: (position: number, entry: Uint8Array) => boolean): Promise<void> {
    if (this.isOpen)
      await new Promise<void>((resolve) => {
        this.#schedule.after(this.#prng.next() * 10, resolve);
      });
    if (this.#crashed) return;
    for (const segment of this.#segments) {
      for (let i = 0; i < segment.entries.length; i++) {
        const position = segment.first + i;
        const entry = segment.entries[i];
        if (position < from || position > to || entry === undefined) continue;
        if (!visit(position, entry)) return;
      }
    }
  }

  trim(below: number): Promise<void> {
    while (this.#segments.length > 1 && (this.#segments[1]?.first ?? Infinity) <= below) this.#segments.shift();
    return Promise.resolve();
  }

  seekRoom(): void {
    // There is always room.
  }

  idle(): void {
    // The simulated disk needs no sync marks.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends this journal; returns what the disk holds. */
  crash(): SimDisk {
    this.#crashed = true;
    const keep = this.#writing !== undefined && this.#prng.chance(0.5) ? this.#writing : this.synced;
    const segments = this.#segments
      .filter((s, i) => s.first <= keep || i === 0)
      .map((s) => ({ ...s, entries: s.entries.slice(0, Math.max(0, keep + 1 - s.first)) }));
    return { segments };
  }
}
