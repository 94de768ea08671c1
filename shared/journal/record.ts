/**
 * One record, which is one write (R6): a header of 64 bytes, the entries, zeros up to the end of a sector. A record begins at a
 * sector boundary and owns its sectors: no later write ever touches a sector that holds something durable. The drawing is in
 * README.md.
 */
import { crc32 } from 'node:zlib';

/** The unit that a disk writes whole or not at all. */
export const SECTOR = 512;
export const HEADER = 64;
export const VERSION = 1;
const MAGIC = 0x4a4e5953; // 'SYNJ'

/** `start` and `head` open a segment, `entries` carry the log, a `mark` only says that all before it is synced. */
export type RecordType = 'start' | 'head' | 'entries' | 'mark';
const TYPES: readonly (RecordType | undefined)[] = [undefined, 'start', 'head', 'entries', 'mark'];

/** Where a record stands in its journal. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
  /** The position of its first entry; for other types the position that the next entry will get. */
  readonly first: number;
  /** The oldest segment that belongs to the journal; what is older is being deleted. */
  readonly oldest: number;
  /** The checksum of the header before, which covers all that came before. */
  readonly previous: number;
}

export interface Header extends Place {
  readonly type: RecordType;
  readonly version: number;
  readonly length: number;
  readonly count: number;
  /** The newest position that was synced before this record was written; −1 when none was. */
  readonly synced: number;
  readonly payloadCrc: number;
  /** The checksum of this header; the next record's `previous`. */
  readonly crc: number;
}

/** The bytes on disk of a record with this many entries of this many bytes in all. */
export function recordBytes(count: number, bytes: number): number {
  return align(HEADER + 4 * count + bytes);
}

export function align(bytes: number): number {
  return Math.ceil(bytes / SECTOR) * SECTOR;
}

/** The checksum from which those of a journal's records start, so that no other journal's record passes for one of its own. */
export function seedOf(disk: string): number {
  return crc32(`synod journal ${disk}`);
}

/**
 * What preallocation puts into a segment: eight bytes, again and again, drawn from the disk id and the segment number. A
 * whole sector of them is never a record's by accident, as zeros would be, and no client can know them.
 */
export function patternWord(seed: number, segment: number): Uint8Array {
  const word = new Uint8Array(8);
  const view = new DataView(word.buffer);
  view.setUint32(0, crc32(`blank ${String(segment)}`, seed), true);
  view.setUint32(4, crc32(`sector ${String(segment)}`, ~seed >>> 0), true);
  // Never the first bytes of a header, whatever the checksums are.
  if (view.getUint32(0, true) === MAGIC) view.setUint32(0, 1, true);
  return word;
}

/** `size` bytes of preallocation. */
export function patternBytes(word: Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(word.subarray(0, size));
  for (let filled = word.length; filled < size; filled *= 2)
    bytes.copyWithin(filled, 0, Math.min(filled, size - filled));
  return bytes;
}

/** True when [from, to) of the bytes is preallocation; `from` must be a multiple of eight in the file. */
export function isPattern(bytes: Uint8Array, from: number, to: number, word: Uint8Array): boolean {
  if ((bytes.byteOffset + from) % 4 !== 0 || (to - from) % 8 !== 0) {
    for (let i = from; i < to; i++) if (bytes[i] !== word[(i - from) & 7]) return false;
    return true;
  }
  // Half a segment of preallocation is looked through at every start: four bytes at a time.
  const quads = new Uint32Array(bytes.buffer, bytes.byteOffset + from, (to - from) / 4);
  const [even, odd] = new Uint32Array(word.buffer);
  for (let i = 0; i < quads.length; i += 2) if (quads[i] !== even || quads[i + 1] !== odd) return false;
  return true;
}

/** Writes one record at the start of `into`; returns its size and the checksum of its header. */
export function writeRecord(
  into: Uint8Array,
  type: RecordType,
  place: Place,
  entries: readonly Uint8Array[],
  seed: number,
): { readonly size: number; readonly crc: number } {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  let at = HEADER;
  for (const entry of entries) {
    view.setUint32(at, entry.length, true);
    into.set(entry, at + 4);
    at += 4 + entry.length;
  }
  const size = align(at);
  into.fill(0, at, size);
  into.fill(0, 0, HEADER);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, TYPES.indexOf(type));
  view.setUint32(8, place.segment, true);
  view.setUint32(12, place.offset, true);
  view.setUint32(16, at - HEADER, true);
  view.setUint32(20, entries.length, true);
  setUint64(view, 24, place.first);
  // R6: only one write is ever in flight, so all entries before this record are synced. Stored plus one, as −1 is none.
  setUint64(view, 32, place.first);
  view.setUint32(40, place.previous, true);
  // The padding is covered too: no byte of a record can change unseen.
  view.setUint32(44, crc32(into.subarray(HEADER, size), seedFor(type, seed)), true);
  view.setUint32(48, place.oldest, true);
  const crc = crc32(into.subarray(0, HEADER - 4), seedFor(type, seed));
  view.setUint32(HEADER - 4, crc, true);
  return { size, crc };
}

/** The header at `at`, or undefined when there is no whole one. */
export function readHeader(bytes: Uint8Array, at: number, seed: number): Header | undefined {
  if (at + HEADER > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER);
  const type = TYPES[view.getUint8(5)];
  if (view.getUint32(0, true) !== MAGIC || type === undefined) return undefined;
  const crc = view.getUint32(HEADER - 4, true);
  if (crc32(bytes.subarray(at, at + HEADER - 4), seedFor(type, seed)) !== crc) return undefined;
  return {
    type,
    version: view.getUint8(4),
    segment: view.getUint32(8, true),
    offset: view.getUint32(12, true),
    length: view.getUint32(16, true),
    count: view.getUint32(20, true),
    first: getUint64(view, 24),
    synced: getUint64(view, 32) - 1,
    previous: view.getUint32(40, true),
    payloadCrc: view.getUint32(44, true),
    oldest: view.getUint32(48, true),
    crc,
  };
}

/** True when the payload and the padding of the record at `at` are as they were written. */
export function payloadIsWhole(bytes: Uint8Array, at: number, header: Header, seed: number): boolean {
  const end = at + align(HEADER + header.length);
  return crc32(bytes.subarray(at + HEADER, end), seedFor(header.type, seed)) === header.payloadCrc;
}

/** True when the payload is as many entries as the header says, and nothing else. */
export function isWellFormed(bytes: Uint8Array, at: number, header: Header): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at + HEADER, header.length);
  let offset = 0;
  for (let i = 0; i < header.count; i++) {
    if (offset + 4 > header.length) return false;
    offset += 4 + view.getUint32(offset, true);
  }
  return offset === header.length;
}

/** Visits entries [from, to) of the whole record at `at`, as views. Returns false when `visit` did, which ends it. */
export function eachEntry(
  bytes: Uint8Array,
  at: number,
  header: Header,
  from: number,
  to: number,
  visit: (index: number, entry: Uint8Array) => boolean,
): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at + HEADER, header.length);
  let offset = 0;
  for (let i = 0; i < Math.min(to, header.count); i++) {
    const start = offset + 4;
    offset = start + view.getUint32(offset, true);
    if (i < from) continue;
    if (!visit(i, bytes.subarray(at + HEADER + start, at + HEADER + offset))) return false;
  }
  return true;
}

/** The entries of a whole record, as views. */
export function entriesOf(bytes: Uint8Array, at: number, header: Header): Uint8Array[] {
  const entries: Uint8Array[] = [];
  eachEntry(bytes, at, header, 0, header.count, (_, entry) => entries.push(entry) > 0);
  return entries;
}

/** A start says whose journal it is, so it must be readable before that is known. */
function seedFor(type: RecordType, seed: number): number {
  return type === 'start' ? 0 : seed;
}

function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

function getUint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}
