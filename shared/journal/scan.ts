/**
 * Reads segments record by record and says how each ends. Used by a start, by `verify` and by `dump`; changes nothing.
 */
import type { Disk, DiskFile } from '../ports/disk.ts';
import type { Header, RecordType } from './record.ts';
import {
  entriesOf,
  HEADER,
  isPattern,
  isWellFormed,
  patternWord,
  payloadIsWhole,
  readHeader,
  recordBytes,
  SECTOR,
  seedOf,
  VERSION,
  align,
} from './record.ts';
import type { JournalIdentity, Segment, SegmentStart } from './segment.ts';
import { indexRecord, parseStart, segmentName, segmentNumber } from './segment.ts';
import type { Damage, Refusal, TailEvidence, TailVerdict, Verdict } from './verdict.ts';
import { judgeTail } from './verdict.ts';

const WINDOW_BYTES = 512 * 1024;

/** A file read through large pieces, each of which is a buffer of its own. */
export class Window {
  readonly #file: DiskFile;
  readonly #until: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #from = 0;

  /** `until`: nothing is read from there on. */
  constructor(file: DiskFile, until: number) {
    this.#file = file;
    this.#until = until;
  }

  /** The bytes [offset, offset + length), or fewer where the file ends. */
  async at(offset: number, length: number): Promise<Uint8Array> {
    const end = Math.min(offset + length, this.#until);
    if (end <= offset) return new Uint8Array(0);
    if (offset < this.#from || end > this.#from + this.#bytes.length) {
      this.#bytes = await this.#file.read(offset, Math.min(Math.max(length, WINDOW_BYTES), this.#until - offset));
      this.#from = offset;
    }
    const start = offset - this.#from;
    return this.#bytes.subarray(start, start + Math.max(0, end - offset));
  }
}

/** A record as a scan found it. `bytes` holds the whole record and may be kept. */
export interface Found {
  readonly segment: number;
  readonly offset: number;
  readonly type: RecordType;
  readonly header: Header;
  readonly bytes: Uint8Array;
}

/** A segment whose beginning was read. */
export interface OpenSegment {
  readonly segment: Segment;
  readonly start: SegmentStart;
  readonly header: Header;
}

/** Opens a segment and reads its start. */
export async function openSegment(
  disk: Disk,
  number: number,
  mode: 'read' | 'write',
  identity: JournalIdentity | undefined,
): Promise<OpenSegment | Refusal> {
  const name = segmentName(number);
  const file = await disk.open(name, mode);
  const refuse = async (damage: Damage): Promise<Refusal> => {
    await file.close();
    return { kind: 'refused', damage, file: name, offset: 0, position: 0 };
  };
  const size = await file.size();
  const window = new Window(file, size);
  const header = readHeader(await window.at(0, HEADER), 0, 0);
  if (header?.type !== 'start') return refuse('damaged-start');
  if (header.version !== VERSION) return refuse('newer-format');
  const bytes = await window.at(0, align(HEADER + header.length));
  if (bytes.length < align(HEADER + header.length)) return refuse('short-file');
  if (!payloadIsWhole(bytes, 0, header, 0) || !isWellFormed(bytes, 0, header)) return refuse('damaged-start');
  const [text] = entriesOf(bytes, 0, header);
  const start = text === undefined ? undefined : parseStart(text);
  if (start === undefined) return refuse('damaged-start');
  if (start.format !== VERSION) return refuse('newer-format');
  if (identity !== undefined && !sameIdentity(start, identity)) return refuse('foreign');
  if (header.segment !== number || header.offset !== 0) return refuse('misplaced-record');
  const segment: Segment = {
    name,
    number,
    file,
    first: header.first,
    hasHead: start.heads >= 0,
    size,
    end: bytes.length,
    positions: [],
    offsets: [],
    readers: 0,
    dropped: false,
  };
  return { segment, start, header };
}

export function sameIdentity(a: JournalIdentity, b: JournalIdentity): boolean {
  return a.cluster === b.cluster && a.acceptor === b.acceptor && a.disk === b.disk;
}

/** How a segment ended: its chain so far, or why it is refused. */
export interface SegmentEnd {
  readonly kind: 'end';
  /** The checksum of its last whole record. */
  readonly previous: number;
  /** The position that the next entry gets. */
  readonly next: number;
  readonly oldest: number;
  /** The last whole record, and the checksum of the one before it. */
  readonly last: Found;
  readonly beforeLast: number;
  /** For the newest segment, what lies behind. */
  readonly tail: TailVerdict | undefined;
}

/**
 * Reads a segment's records. `until` is where it ends, as the segment after it says; undefined for the newest, whose end is judged.
 * Sets `end` and the index of the segment.
 */
export async function scanSegment(
  open: OpenSegment,
  seed: number,
  until: number | undefined,
  visit: (found: Found) => void,
): Promise<SegmentEnd | Refusal> {
  const { segment, start } = open;
  const refuse = (damage: Damage, offset: number, position: number): Refusal => ({
    kind: 'refused',
    damage,
    file: segment.name,
    offset,
    position,
  });
  if (segment.size < (until ?? start.size)) return refuse('short-file', segment.size, segment.first);
  let window = new Window(segment.file, until ?? segment.size);
  let at = segment.end;
  let beforeLast = open.header.previous;
  let last: Found = {
    segment: segment.number,
    offset: 0,
    type: 'start',
    header: open.header,
    bytes: await window.at(0, at),
  };
  let next = segment.first;
  let heads = Math.max(0, start.heads);
  let tail: TailVerdict | undefined;
  visit(last);
  for (;;) {
    const { header, bytes, whole } = await recordAt(window, at, seed);
    if (!whole || header === undefined) {
      if (until !== undefined || tail !== undefined) break;
      tail = judgeTail(await lookBehind(segment, seed, at, last.type));
      // An owner that is alive may have written here while we looked behind; then it goes on, and the verdict was of no end.
      window = new Window(segment.file, segment.size);
      continue;
    }
    tail = undefined;
    const damage = damageOf(header, bytes, {
      segment: segment.number,
      offset: at,
      next,
      heads,
      previous: last.header.crc,
    });
    if (damage !== undefined) return refuse(damage, at, next);
    beforeLast = last.header.crc;
    last = { segment: segment.number, offset: at, type: header.type, header, bytes };
    visit(last);
    if (header.type === 'head') heads--;
    if (header.type === 'entries') {
      indexRecord(segment, next, at);
      next += header.count;
    }
    at += recordBytes(0, header.length);
  }
  segment.end = at;
  // A segment gets its name only when its beginning is synced, so damage there is never a torn write.
  if (heads > 0) return refuse('damaged-start', at, next);
  if (until !== undefined && at !== until) return refuse('damaged-before-later-write', at, next);
  switch (tail) {
    case undefined:
    case 'clean':
    case 'unmarked':
    case 'torn':
      return { kind: 'end', previous: last.header.crc, next, oldest: last.header.oldest, last, beforeLast, tail };
    case 'damaged-before-later-write':
    case 'rotten-last-write':
    case 'not-sector-shaped':
      return refuse(tail, at, next);
  }
}

/** The record at an offset: its header, if that is whole, and whether all of it is. A record that is out of place counts as whole. */
async function recordAt(
  window: Window,
  at: number,
  seed: number,
): Promise<{ readonly header: Header | undefined; readonly bytes: Uint8Array; readonly whole: boolean }> {
  const header = readHeader(await window.at(at, HEADER), 0, seed);
  if (header === undefined) return { header, bytes: new Uint8Array(0), whole: false };
  const bytes = await window.at(at, recordBytes(0, header.length));
  const cut = bytes.length < recordBytes(0, header.length);
  return { header, bytes, whole: cut || header.offset !== at || payloadIsWhole(bytes, 0, header, seed) };
}

/** What is wrong with a record whose header is whole, given what must stand at its place. */
function damageOf(
  header: Header,
  bytes: Uint8Array,
  place: { segment: number; offset: number; next: number; heads: number; previous: number },
): Damage | undefined {
  if (header.segment !== place.segment || header.offset !== place.offset) return 'misplaced-record';
  if (header.version !== VERSION) return 'newer-format';
  if (header.type === 'start' || (header.type === 'head') !== place.heads > 0) return 'malformed-record';
  // R6: the chain, the positions and what was synced before must continue the record before.
  if (header.previous !== place.previous || header.first !== place.next || header.synced !== place.next - 1)
    return 'broken-chain';
  if (bytes.length < recordBytes(0, header.length) || !isWellFormed(bytes, 0, header)) return 'malformed-record';
  return undefined;
}

/** Collects what lies behind the last whole record of the newest segment. */
async function lookBehind(segment: Segment, seed: number, at: number, type: RecordType): Promise<TailEvidence> {
  const last = type === 'entries' || type === 'mark' ? type : 'prologue';
  const word = patternWord(seed, segment.number);
  const window = new Window(segment.file, segment.size);
  const sector = await window.at(at, SECTOR);
  if (sector.length < SECTOR) return { last, next: 'none', blankSector: false, beyond: 'blank' };
  const header = readHeader(sector, 0, seed);
  const behind = header === undefined ? at + SECTOR : at + recordBytes(0, header.length);
  const next = isPattern(sector, 0, SECTOR, word) ? 'blank' : header === undefined ? 'garbage' : 'header';
  let blankSector = false;
  let beyond: TailEvidence['beyond'] = 'blank';
  for (let offset = at + SECTOR; offset < segment.size; offset += SECTOR) {
    const rest = await window.at(offset, WINDOW_BYTES);
    if (offset >= behind && isPattern(rest, 0, rest.length, word)) {
      offset += align(rest.length) - SECTOR;
      continue;
    }
    const bytes = rest.subarray(0, SECTOR);
    const blank = isPattern(bytes, 0, bytes.length, word);
    if (offset < behind) {
      if (blank) blankSector = true;
      continue;
    }
    if (blank) continue;
    const found = readHeader(bytes, 0, seed);
    if (found?.segment === segment.number && found.offset === offset)
      return { last, next, blankSector, beyond: 'record' };
    beyond = 'written';
  }
  return { last, next, blankSector, beyond };
}

/** All segments of a folder, read and found to be one journal. */
export interface Scanned {
  readonly kind: 'journal';
  /** Oldest first; what is older than `end.oldest` is left over from a trim. */
  readonly segments: readonly OpenSegment[];
  readonly seed: number;
  readonly end: SegmentEnd;
}

/**
 * Reads a whole journal, oldest segment first. `undefined` when the folder holds none. Without an identity the journal's own is
 * taken from its first segment. The files of the result stay open; those of a refused journal are closed.
 */
export async function scanJournal(
  disk: Disk,
  mode: 'read' | 'write',
  identity: JournalIdentity | undefined,
  visit: (found: Found) => void,
): Promise<Scanned | Refusal | undefined> {
  const numbers = (await disk.list()).map(segmentNumber).filter((n) => n !== undefined);
  const segments: OpenSegment[] = [];
  try {
    const result = await readAll(disk, mode, identity, numbers, segments, visit);
    if (result?.kind === 'refused') await closeAll(segments);
    return result;
  } catch (error) {
    await closeAll(segments);
    throw error;
  }
}

export async function closeAll(segments: readonly OpenSegment[]): Promise<void> {
  for (const { segment } of segments) await segment.file.close();
}

async function readAll(
  disk: Disk,
  mode: 'read' | 'write',
  identity: JournalIdentity | undefined,
  numbers: readonly number[],
  segments: OpenSegment[],
  visit: (found: Found) => void,
): Promise<Scanned | Refusal | undefined> {
  for (const [i, number] of numbers.entries()) {
    const before = numbers[i - 1];
    if (before !== undefined && number !== before + 1) return missing(before + 1, segments);
    const opened = await openSegment(disk, number, mode, identity ?? segments[0]?.start);
    if ('kind' in opened) return opened;
    segments.push(opened);
  }
  const oldest = segments[0];
  if (oldest === undefined) return undefined;
  const seed = seedOf(oldest.start.disk);
  let end: SegmentEnd | undefined;
  for (const [i, open] of segments.entries()) {
    // R6: a segment continues the one before, from the very record where that one ends.
    if (end !== undefined && (open.header.previous !== end.previous || open.header.first !== end.next))
      return { kind: 'refused', damage: 'broken-chain', file: open.segment.name, offset: 0, position: end.next };
    const scanned = await scanSegment(open, seed, segments[i + 1]?.start.previousEnd, visit);
    if (scanned.kind === 'refused') return scanned;
    end = scanned;
  }
  if (end === undefined) return undefined;
  if (oldest.segment.number > end.oldest) return missing(end.oldest, []);
  return { kind: 'journal', segments, seed, end };
}

function missing(number: number, before: readonly OpenSegment[]): Refusal {
  const position = before[before.length - 1]?.segment.first ?? 0;
  return { kind: 'refused', damage: 'missing-segment', file: segmentName(number), offset: 0, position };
}

/** The entries of a segment's head. The segment was scanned before. */
export async function readHead(open: OpenSegment, seed: number): Promise<Uint8Array[]> {
  const window = new Window(open.segment.file, open.segment.end);
  const entries: Uint8Array[] = [];
  let at = align(HEADER + open.header.length);
  for (let i = 0; i < open.start.heads; i++) {
    const header = readHeader(await window.at(at, HEADER), 0, seed);
    if (header === undefined) break; // Not possible behind a scan; what is missing shows when the owner reads its state.
    const size = recordBytes(0, header.length);
    entries.push(...entriesOf(await window.at(at, size), 0, header));
    at += size;
  }
  return entries;
}

/** The verdict on a journal that was not refused. */
export function tailVerdict({ tail, last, next }: SegmentEnd, newest: Segment | undefined): Verdict {
  const file = newest?.name ?? '';
  if (tail === 'torn') return { kind: 'torn', file, offset: newest?.end ?? 0, position: next };
  if (tail === 'unmarked') return { kind: 'unmarked', file, offset: last.offset, position: last.header.first };
  return { kind: 'clean' };
}
