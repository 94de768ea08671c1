/**
 * The running journal: one pump that writes a record, syncs it, tells, and only then composes the next (R6). What is appended
 * meanwhile gathers and becomes the next record, so one fdatasync serves all that waited, and no timer is needed.
 */
import { SynodError } from '../base/errors.ts';
import type { Disk } from '../ports/disk.ts';
import { isNoSpace } from '../ports/disk.ts';
import type { Journal } from '../ports/journal.ts';
import { readEntries } from './read.ts';
import type { JournalOptions } from './options.ts';
import { HEADER, recordBytes, SECTOR, writeRecord } from './record.ts';
import type { Blank, Segment, Tail } from './segment.ts';
import { beginSegment, closedError, dropSegment, indexRecord, MARK_RESERVE, prepareBlank } from './segment.ts';

/** The next segment: preallocated while the current one fills. */
type Spare =
  | { readonly kind: 'none' }
  | { readonly kind: 'preparing' }
  | { readonly kind: 'ready'; readonly blank: Blank }
  /** It is being made the current segment; until that is done its number is taken and no next one is prepared. */
  | { readonly kind: 'beginning' }
  /** The disk is full; tried again by `seekRoom`, a trim, or many appends. */
  | { readonly kind: 'no-space' }
  /** `bytesMax` and the reserve are used up; a trim makes room. */
  | { readonly kind: 'at-limit' };

/** `closing` still writes what is queued, but takes nothing new. */
type Life = 'open' | 'closing' | 'closed' | 'failed';

/** Somebody who waits for a record that is composed from now on. */
interface Waiter {
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/** Entries of one record are at most this many bytes, unless a single one is larger. */
const GATHER_BYTES = 4 * 1024 * 1024;
/** What a record takes beyond its only entry, at most. */
const ENTRY_BYTES = HEADER + 4 + SECTOR;
/** A full disk is tried again after this many appends. */
const APPENDS_PER_TRY = 1024;

export class SegmentedJournal implements Journal {
  onSynced: (synced: number) => void = () => undefined;
  readonly entryBytesMax: number;

  readonly #disk: Disk;
  readonly #options: JournalOptions;
  readonly #seed: number;
  readonly #segments: Segment[];
  #life: Life = 'open';
  #spare: Spare = { kind: 'none' };
  #pumping: Promise<void> | undefined;
  #trimming: Promise<void> = Promise.resolve();
  #preparing: Promise<void> = Promise.resolve();

  /** Entries in the record that is being written, and those behind them. */
  #inFlight: Uint8Array[] = [];
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** What the queue takes on disk if every entry gets a record of its own. */
  #queuedWorst = 0;
  #synced: number;
  #newest: number;

  /** The checksum of the last record's header, the oldest segment to be named in the next. */
  #previous: number;
  #oldest: number;
  /** A record of entries was written and no mark behind it. */
  #unmarked: boolean;
  #markWanted = false;
  #waiters: Waiter[] = [];
  #appendsToTry = APPENDS_PER_TRY;
  #scratch = new Uint8Array(64 * 1024);

  constructor(disk: Disk, options: JournalOptions, tail: Tail) {
    this.#disk = disk;
    this.#options = options;
    this.#seed = tail.seed;
    this.#segments = tail.segments;
    this.#previous = tail.previous;
    this.#oldest = tail.oldest;
    this.#unmarked = !tail.marked;
    this.#synced = tail.next - 1;
    this.#newest = tail.next - 1;
    // Half of a segment always remains behind its head.
    this.entryBytesMax = options.segmentBytes / 2 - HEADER - 4 - MARK_RESERVE;
    this.#seekSpare();
  }

  get newest(): number {
    return this.#newest;
  }

  get synced(): number {
    return this.#synced;
  }

  get first(): number {
    return this.#segments[0]?.first ?? 0;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get bytes(): number {
    const { kind } = this.#spare;
    const spare = kind === 'ready' || kind === 'preparing' || kind === 'beginning';
    return this.#used() + (spare ? this.#options.segmentBytes : 0);
  }

  get wantsTrim(): boolean {
    return this.#used() > this.#options.bytesMax / 2;
  }

  get pinnedBelow(): number {
    const enough = this.#used() / 4;
    let freed = 0;
    let below = this.first;
    for (const [i, segment] of this.#segments.entries()) {
      if (i > 0 && segment.hasHead) {
        below = segment.first;
        if (freed >= enough) break;
      }
      freed += segment.size;
    }
    return below;
  }

  get hasRoom(): boolean {
    if (this.#life !== 'open' || this.#spare.kind === 'no-space') return false;
    return this.#used() <= this.#options.bytesMax;
  }

  get room(): number {
    const { kind } = this.#spare;
    if (kind !== 'no-space' && kind !== 'at-limit') return Infinity;
    return Math.max(0, this.#placeLeft() - ENTRY_BYTES);
  }

  append(entry: Uint8Array): number {
    if (this.#life === 'failed')
      throw new SynodError('UNAVAILABLE', 'the journal failed; the process must end', 'none');
    if (this.#life !== 'open') throw closedError();
    if (entry.length > this.entryBytesMax)
      throw new SynodError(
        'INVALID_ARGUMENT',
        `an entry of ${String(entry.length)} bytes is above the ${String(this.entryBytesMax)} that a segment of ` +
          `${String(this.#options.segmentBytes)} bytes takes (journal.segment.bytes)`,
      );
    const worst = recordBytes(1, entry.length);
    this.#checkRoom(worst);
    this.#queue.push(entry);
    this.#queuedBytes += entry.length;
    this.#queuedWorst += worst;
    this.#kick();
    return ++this.#newest;
  }

  read(from: number, to: number, visit: (position: number, entry: Uint8Array) => boolean): Promise<void> {
    if (this.#life === 'closed') return Promise.reject(closedError());
    return readEntries(
      {
        seed: this.#seed,
        segments: this.#segments,
        // Only what is synced is read from the file; the record in flight and the queue are read from memory.
        onDisk: () => this.#synced,
        inMemory: () => [this.#inFlight, this.#queue],
      },
      from,
      to,
      visit,
    );
  }

  idle(): void {
    if (this.#life !== 'open' || !this.#unmarked || this.#pumping !== undefined) return;
    // The last sectors of a segment are kept for the marks of trims.
    if (this.#remaining() <= MARK_RESERVE / 2) return;
    this.#markWanted = true;
    this.#kick();
  }

  seekRoom(): void {
    if (this.#spare.kind === 'no-space' || this.#spare.kind === 'at-limit') this.#spare = { kind: 'none' };
    this.#seekSpare();
  }

  trim(below: number): Promise<void> {
    const trimmed = this.#trimming.then(() => this.#trim(below));
    // The next trim goes ahead whether this one failed or not; its caller sees the error.
    this.#trimming = trimmed.catch(() => undefined);
    return trimmed;
  }

  async close(): Promise<void> {
    if (this.#life === 'closed' || this.#life === 'closing') return;
    await this.#trimming;
    if (this.#life === 'open') this.#life = 'closing';
    await this.#quiet();
    if (this.#unmarked && this.#remaining() >= SECTOR) {
      this.#markWanted = true;
      this.#kick();
      await this.#quiet();
    }
    const waiters = this.#waiters.splice(0);
    this.#life = 'closed';
    for (const waiter of waiters) waiter.failed(closedError());
    await this.#preparing;
    const spare = this.#spare;
    this.#spare = { kind: 'none' };
    if (spare.kind === 'ready') {
      await spare.blank.file.close();
      await this.#disk.remove(spare.blank.name);
    }
    for (const segment of this.#segments) await dropSegment(segment);
  }

  #writes(): boolean {
    return this.#life === 'open' || this.#life === 'closing';
  }

  #current(): Segment {
    const segment = this.#segments[this.#segments.length - 1];
    if (segment === undefined) throw new SynodError('INTERNAL', 'the journal has no segment');
    return segment;
  }

  #remaining(): number {
    const current = this.#current();
    return current.size - current.end;
  }

  #used(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.size;
    return bytes;
  }

  /** Refuses an entry for which there is no place, whatever is queued before it, as long as no next segment is in sight. */
  #checkRoom(worst: number): void {
    const { kind } = this.#spare;
    if (kind !== 'no-space' && kind !== 'at-limit') return;
    if (kind === 'no-space' && --this.#appendsToTry <= 0) {
      this.#appendsToTry = APPENDS_PER_TRY;
      this.seekRoom();
      return;
    }
    if (worst <= this.#placeLeft()) return;
    const why =
      kind === 'no-space'
        ? 'the disk has no space for the next journal segment'
        : `the journal has its ${String(this.#options.bytesMax)} bytes (journal.bytes.max) and its reserve in use`;
    throw new SynodError('RESOURCE_EXHAUSTED', `${why}; trim the log or free space`, 'none');
  }

  /** Bytes of records that the current segment still takes. What is in flight is not yet within its end, but still counted as queued. */
  #placeLeft(): number {
    return this.#remaining() - MARK_RESERVE - this.#queuedWorst;
  }

  /** Starts the pump. It begins in a microtask, so that what is appended in one go is one record. */
  #kick(): void {
    if (this.#pumping !== undefined || !this.#writes()) return;
    this.#pumping = Promise.resolve().then(() => this.#pump());
  }

  /** Waits until the pump rests. */
  async #quiet(): Promise<void> {
    let pumping = this.#pumping;
    while (pumping !== undefined) {
      await pumping;
      pumping = this.#pumping;
    }
  }

  async #pump(): Promise<void> {
    try {
      while (this.#writes()) {
        const count = this.#fitting();
        // A start that moved the last write into a segment without a head goes on behind one soon: what has no head is never the
        // oldest, so a process that always dies before its segment is full could never trim.
        if (this.#spare.kind === 'ready' && this.#queue.length > 0 && !this.#current().hasHead)
          await this.#rotateEarly(this.#spare.blank);
        else if (count > 0) await this.#writeEntries(count);
        else if (
          this.#spare.kind === 'ready' &&
          (this.#queue.length > 0 || (this.#markWanted && this.#remaining() < SECTOR))
        )
          await this.#rotate(this.#spare.blank);
        else if (this.#markWanted && this.#remaining() >= SECTOR) await this.#writeMark();
        else break;
      }
      this.#refuseMark();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pumping = undefined;
    }
    if (this.#queue.length > 0) this.#seekSpare();
  }

  /** How many of the queued entries go into the next record of the current segment. */
  #fitting(): number {
    const room = this.#remaining() - MARK_RESERVE;
    let bytes = 0;
    let count = 0;
    for (const entry of this.#queue) {
      const size = bytes + entry.length;
      if (recordBytes(count + 1, size) > room || (count > 0 && size > GATHER_BYTES)) break;
      bytes = size;
      count++;
    }
    return count;
  }

  async #writeEntries(count: number): Promise<void> {
    const entries = this.#queue.length === count ? this.#queue : this.#queue.slice(0, count);
    this.#queue = this.#queue.length === count ? [] : this.#queue.slice(count);
    this.#inFlight = entries;
    const first = this.#synced + 1;
    this.#unmarked = true;
    const segment = this.#current();
    const offset = segment.end;
    await this.#write('entries', first, entries);
    indexRecord(segment, first, offset);
    this.#inFlight = [];
    for (const entry of entries) {
      this.#queuedBytes -= entry.length;
      this.#queuedWorst -= recordBytes(1, entry.length);
    }
    this.#synced += count;
    this.onSynced(this.#synced);
  }

  async #writeMark(): Promise<void> {
    await this.#write('mark', this.#synced + 1, []);
    this.#unmarked = false;
  }

  /** One record: one write, one fdatasync (R6). Whatever fails here ends the process (R4). */
  async #write(type: 'entries' | 'mark', first: number, entries: readonly Uint8Array[]): Promise<void> {
    const segment = this.#current();
    const waiters = this.#waiters.splice(0);
    this.#markWanted = false;
    const place = {
      segment: segment.number,
      offset: segment.end,
      first,
      oldest: this.#oldest,
      previous: this.#previous,
    };
    try {
      const buffer = this.#bufferFor(entries);
      const { size, crc } = writeRecord(buffer, type, place, entries, this.#seed);
      await segment.file.write(segment.end, buffer.subarray(0, size));
      await segment.file.sync();
      segment.end += size;
      this.#previous = crc;
    } catch (error) {
      this.#waiters.push(...waiters);
      throw error;
    }
    for (const waiter of waiters) waiter.done();
  }

  /** One buffer serves all writes, since one write at a time is in flight; only a very large record gets its own. */
  #bufferFor(entries: readonly Uint8Array[]): Uint8Array {
    let bytes = 0;
    for (const entry of entries) bytes += entry.length;
    const size = recordBytes(entries.length, bytes);
    if (size <= this.#scratch.length) return this.#scratch;
    const buffer = new Uint8Array(Math.max(size, 2 * this.#scratch.length));
    if (size <= 2 * GATHER_BYTES) this.#scratch = buffer;
    return buffer;
  }

  /** Makes the spare the current segment, with the owner's state at its head. */
  async #rotate(blank: Blank): Promise<void> {
    this.#spare = { kind: 'beginning' };
    const waiters = this.#waiters.splice(0);
    try {
      const { segment, previous } = await beginSegment(this.#disk, blank, {
        identity: this.#options.identity,
        seed: this.#seed,
        first: this.#synced + 1,
        oldest: this.#oldest,
        previous: this.#previous,
        previousEnd: this.#current().end,
        heads: this.#options.head(),
        entries: [],
      });
      this.#segments.push(segment);
      this.#previous = previous;
      // A start is synced before it can be seen, so it marks all before it.
      this.#unmarked = false;
      this.#markWanted = false;
    } catch (error) {
      this.#waiters.push(...waiters);
      throw error;
    }
    this.#spare = { kind: 'none' };
    for (const waiter of waiters) waiter.done();
    this.#seekSpare();
  }

  /** The same while the current segment is not full; the rest of it is given back. */
  async #rotateEarly(blank: Blank): Promise<void> {
    const before = this.#current();
    await this.#rotate(blank);
    await before.file.truncate(before.end);
    await before.file.sync();
    before.size = before.end;
  }

  /** A mark that finds no room, which takes eight trims without one new segment, is refused; nothing else waits for it. */
  #refuseMark(): void {
    if (!this.#markWanted) return;
    this.#markWanted = false;
    for (const waiter of this.#waiters.splice(0))
      waiter.failed(
        new SynodError(
          'RESOURCE_EXHAUSTED',
          'the journal has no room for the mark of a trim; free some disk space',
          'none',
        ),
      );
  }

  /** Preallocates the next segment in the background, if that is allowed and not done. */
  #seekSpare(): void {
    if (this.#spare.kind !== 'none' || this.#life !== 'open') return;
    const { segmentBytes, bytesMax, reserveBytes } = this.#options;
    if (this.#used() + segmentBytes > bytesMax + reserveBytes) {
      this.#spare = { kind: 'at-limit' };
      return;
    }
    this.#spare = { kind: 'preparing' };
    this.#preparing = this.#prepare();
  }

  async #prepare(): Promise<void> {
    try {
      const blank = await prepareBlank(this.#disk, this.#current().number + 1, this.#options.segmentBytes, this.#seed);
      this.#spare = { kind: 'ready', blank };
      if (this.#queue.length > 0) this.#kick();
    } catch (error) {
      this.#spare = { kind: 'no-space' };
      // R4: only want of space is survived, and only here, where no record depends on it.
      if (!isNoSpace(error)) this.#fail(error);
    }
  }

  async #trim(below: number): Promise<void> {
    if (this.#life !== 'open') throw closedError();
    let keep = 0;
    for (const [i, segment] of this.#segments.entries()) {
      // A segment without a head continues the one before and cannot be the oldest.
      if (i > 0 && segment.hasHead && segment.first <= below) keep = i;
    }
    const oldest = this.#segments[keep];
    if (keep === 0 || oldest === undefined) return;
    this.#oldest = oldest.number;
    // The new beginning is durable before anything is deleted: a segment that is missing later was lost, not trimmed.
    await this.#record();
    for (const segment of this.#segments.splice(0, keep)) {
      try {
        await this.#disk.remove(segment.name);
        // One at a time, so that a crash leaves no hole in the middle.
        await this.#disk.syncFolder();
        await dropSegment(segment);
      } catch (error) {
        this.#fail(error);
        throw error;
      }
    }
    this.seekRoom();
  }

  /** Resolves when a record that is composed from now on is synced. */
  #record(): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiters.push({ done, failed });
      this.#markWanted = true;
      this.#kick();
    });
  }

  /** R4: the journal stops here. Nothing is retried, nothing after this is reported as synced. */
  #fail(cause: unknown): void {
    if (this.#life === 'failed') return;
    const error = cause instanceof Error ? cause : new Error(String(cause));
    this.#life = 'failed';
    for (const waiter of this.#waiters.splice(0)) waiter.failed(error);
    this.#options.onFatal(error);
  }
}
