/**
 * A segment: one file of fixed size that holds consecutive records. It is made as a temporary file, filled with preallocation,
 * synced, given its start and head, synced again, and only then renamed to the name under which a start looks for it. So a
 * segment that can be seen always has a whole beginning, and lack of space shows before any record depends on it (R4).
 */
import { SynodError } from '../base/errors.ts';
import type { Disk, DiskFile } from '../ports/disk.ts';
import { align, patternBytes, patternWord, recordBytes, SECTOR, VERSION, writeRecord } from './record.ts';

/** Whose journal it is. All three are in every segment. */
export interface JournalIdentity {
  readonly cluster: string;
  readonly acceptor: number;
  /** 32 hex digits, drawn once for each disk (R5). */
  readonly disk: string;
}

/** What the start record of a segment says, as JSON. */
export interface SegmentStart extends JournalIdentity {
  readonly format: number;
  /** Bytes of this file. */
  readonly size: number;
  /** Where the segment before ends; what stands behind that there is no part of the journal. */
  readonly previousEnd: number;
  /** Records of the head; −1 for a segment without one, which cannot be the oldest. */
  readonly heads: number;
}

export interface Segment {
  readonly name: string;
  readonly number: number;
  readonly file: DiskFile;
  /** The position of its first entry. */
  readonly first: number;
  readonly hasHead: boolean;
  size: number;
  /** Where its last synced record ends. */
  end: number;
  /** A sparse index: entry positions, and the offsets of the records that begin with them, some 64 KiB apart. */
  readonly positions: number[];
  readonly offsets: number[];
  /** Reads under way; the file of a dropped segment is closed when the last of them is done. */
  readers: number;
  dropped: boolean;
}

/** Everything that a journal needs to go on behind its last record. */
export interface Tail {
  readonly segments: Segment[];
  readonly seed: number;
  readonly oldest: number;
  readonly previous: number;
  readonly next: number;
  /** The last write is known to be synced. */
  readonly marked: boolean;
}

/** Marks always find room behind the last entries of a segment: trimming must be possible when nothing else is. */
export const MARK_RESERVE = 8 * SECTOR;
const INDEX_EVERY = 64 * 1024;
const FILL_BYTES = 1024 * 1024;
const FILL_PIECES_A_SYNC = 4;
const HEAD_RECORD_BYTES = 1024 * 1024;

export function segmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.seg`;
}

/** The number in a segment's name, or undefined for any other file. */
export function segmentNumber(name: string): number | undefined {
  const match = /^(\d{10})\.seg$/.exec(name);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

export function temporaryName(number: number): string {
  return `${String(number).padStart(10, '0')}.tmp`;
}

export function isTemporary(name: string): boolean {
  return /^\d{10}\.tmp$/.test(name);
}

/** Notes where a record of entries stands, if the last note is far enough behind. */
export function indexRecord(segment: Segment, position: number, offset: number): void {
  const last = segment.offsets[segment.offsets.length - 1];
  if (last !== undefined && offset - last < INDEX_EVERY) return;
  segment.positions.push(position);
  segment.offsets.push(offset);
}

/** A preallocated file under its temporary name. */
export interface Blank {
  readonly file: DiskFile;
  readonly name: string;
  readonly number: number;
  readonly size: number;
}

/**
 * Preallocates a file for a segment. It is synced a few pieces at a time, so that the syncs of the records that are written meanwhile
 * never wait for all of it.
 */
export async function prepareBlank(disk: Disk, number: number, size: number, seed: number): Promise<Blank> {
  const name = temporaryName(number);
  const file = await disk.open(name, 'create');
  try {
    await fill(file, 0, size, patternWord(seed, number));
  } catch (error) {
    await discard(disk, name, file);
    throw error;
  }
  return { file, name, number, size };
}

/** Preallocates the bytes [from, to), and syncs them. */
export async function fill(file: DiskFile, from: number, to: number, word: Uint8Array): Promise<void> {
  let unsynced = 0;
  const piece = patternBytes(word, Math.min(FILL_BYTES, to - from));
  for (let at = from; at < to; at += piece.length) {
    await file.write(at, piece.subarray(0, Math.min(piece.length, to - at)));
    if (++unsynced % FILL_PIECES_A_SYNC === 0) await file.sync();
  }
  await file.sync();
}

/** Gives the space of an unfinished file back; the error that made it unfinished is the one to report. */
async function discard(disk: Disk, name: string, file: DiskFile): Promise<void> {
  const ignore = (): void => undefined; // The next start removes the file; that it is still there harms nothing.
  await file.close().catch(ignore);
  await disk.remove(name).catch(ignore);
}

/** How a segment begins. */
export interface Beginning {
  readonly identity: JournalIdentity;
  readonly seed: number;
  readonly first: number;
  readonly oldest: number;
  /** The checksum of the last record before, and where that ended. */
  readonly previous: number;
  readonly previousEnd: number;
  /** Undefined: a segment without a head, which continues the one before it. */
  readonly heads: readonly Uint8Array[] | undefined;
  /** Entries of the last write before, written again (R6). */
  readonly entries: readonly Uint8Array[];
}

/** Writes the beginning of a segment into a blank, syncs it and gives it its name. Returns it with its last checksum. */
export async function beginSegment(
  disk: Disk,
  blank: Blank,
  beginning: Beginning,
): Promise<{ readonly segment: Segment; readonly previous: number }> {
  const { bytes, previous, entriesAt, size } = compose(blank, beginning);
  // A large head never eats the room of the entries: the file grows by what it needs.
  const word = patternWord(beginning.seed, blank.number);
  if (size > blank.size) await fill(blank.file, blank.size, size, word);
  await blank.file.write(0, bytes);
  await blank.file.sync();
  const name = segmentName(blank.number);
  await disk.rename(blank.name, name);
  await disk.syncFolder();
  const segment: Segment = {
    name,
    number: blank.number,
    file: blank.file,
    first: beginning.first,
    hasHead: beginning.heads !== undefined,
    size,
    end: bytes.length,
    positions: [],
    offsets: [],
    readers: 0,
    dropped: false,
  };
  if (beginning.entries.length > 0) indexRecord(segment, beginning.first, entriesAt);
  return { segment, previous };
}

interface Composed {
  readonly bytes: Uint8Array;
  readonly previous: number;
  readonly entriesAt: number;
  /** Bytes of the file. */
  readonly size: number;
}

/** The records with which a segment begins: its start, its head, and the rewritten entries, if any. */
function compose(blank: Blank, b: Beginning): Composed {
  const heads = b.heads === undefined ? undefined : groups(b.heads);
  const bodies = (heads ?? []).map((group) => ({ size: bytesOf(group), group }));
  const headBytes = bodies.reduce((sum, body) => sum + body.size, 0);
  const entriesBytes = b.entries.length === 0 ? 0 : bytesOf(b.entries);
  const startText = (size: number): Uint8Array =>
    new TextEncoder().encode(
      JSON.stringify({
        format: VERSION,
        cluster: b.identity.cluster,
        acceptor: b.identity.acceptor,
        disk: b.identity.disk,
        size,
        previousEnd: b.previousEnd,
        heads: heads?.length ?? -1,
      } satisfies SegmentStart),
    );
  // The length of the text depends on the size it states, by a digit or two: one spare sector covers that.
  const startMax = recordBytes(1, startText(2 ** 32).length);
  const total = startMax + headBytes + entriesBytes;
  const size = Math.max(blank.size, align(total + blank.size / 2));
  const start = startText(size);
  const bytes = new Uint8Array(total);
  let at = 0;
  let previous = b.previous;
  const put = (type: 'start' | 'head' | 'entries', entries: readonly Uint8Array[]): void => {
    const place = { segment: blank.number, offset: at, first: b.first, oldest: b.oldest, previous };
    const written = writeRecord(bytes.subarray(at), type, place, entries, b.seed);
    at += written.size;
    previous = written.crc;
  };
  put('start', [start]);
  for (const body of bodies) put('head', body.group);
  const entriesAt = at;
  if (b.entries.length > 0) put('entries', b.entries);
  return { bytes: bytes.subarray(0, at), previous, entriesAt, size };
}

/** Splits the head into records of about a megabyte. */
function groups(entries: readonly Uint8Array[]): Uint8Array[][] {
  const out: Uint8Array[][] = [];
  let bytes = Infinity;
  for (const entry of entries) {
    if (bytes + entry.length > HEAD_RECORD_BYTES) {
      out.push([]);
      bytes = 0;
    }
    out[out.length - 1]?.push(entry);
    bytes += entry.length + 4;
  }
  return out;
}

function bytesOf(entries: readonly Uint8Array[]): number {
  return recordBytes(
    entries.length,
    entries.reduce((sum, entry) => sum + entry.length, 0),
  );
}

/** Reads a start's text; undefined when it is none. */
export function parseStart(text: Uint8Array): SegmentStart | undefined {
  const value = parsed(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const v = value as Partial<Record<keyof SegmentStart, unknown>>;
  const { format, cluster, acceptor, disk, size, previousEnd, heads } = v;
  if (typeof format !== 'number' || typeof cluster !== 'string' || typeof acceptor !== 'number') return undefined;
  if (typeof disk !== 'string' || typeof size !== 'number' || typeof previousEnd !== 'number') return undefined;
  if (typeof heads !== 'number') return undefined;
  return { format, cluster, acceptor, disk, size, previousEnd, heads };
}

function parsed(text: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(text));
  } catch {
    // The record is whole, and what is in it is none of ours: that is a verdict, not a failure of the scan.
    return undefined;
  }
}

/** Takes a segment out of use: its file is closed once no read is under way. */
export async function dropSegment(segment: Segment): Promise<void> {
  segment.dropped = true;
  if (segment.readers === 0) await segment.file.close();
}

/** The error of a journal that was asked after its end. */
export function closedError(): SynodError {
  return new SynodError('UNAVAILABLE', 'the journal is closed', 'none');
}
