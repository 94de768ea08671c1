/** Reads entries back while the journal goes on writing and trimming. */
import { SynodError } from '../base/errors.ts';
import { eachEntry, HEADER, payloadIsWhole, readHeader, recordBytes } from './record.ts';
import { Window } from './scan.ts';
import type { Segment } from './segment.ts';

/** What a read looks at; it changes while the read waits for the disk. */
export interface Readable {
  readonly seed: number;
  readonly segments: readonly Segment[];
  /** The newest position that is in a file. */
  readonly onDisk: () => number;
  /** The entries behind it, in order. */
  readonly inMemory: () => readonly (readonly Uint8Array[])[];
}

type Visit = (position: number, entry: Uint8Array) => boolean;

/** Visits the entries of [from, to] in order. Rejects with DATA_LOSS when a record is no longer what was written. */
export async function readEntries(readable: Readable, from: number, to: number, visit: Visit): Promise<void> {
  let position = from;
  while (position <= to) {
    // A trim may have passed: what is left begins with the oldest segment.
    position = Math.max(position, readable.segments[0]?.first ?? 0);
    if (position > readable.onDisk()) {
      readMemory(readable, position, to, visit);
      return;
    }
    const segment = segmentOf(readable.segments, position);
    if (segment === undefined) return;
    const next = await readSegment(readable, segment, position, Math.min(to, readable.onDisk()), visit);
    if (next === undefined) return;
    position = next;
  }
}

function readMemory(readable: Readable, from: number, to: number, visit: Visit): void {
  let position = readable.onDisk() + 1;
  for (const entries of readable.inMemory())
    for (const entry of entries) {
      if (position > to) return;
      if (position >= from && !visit(position, entry)) return;
      position++;
    }
}

/** The segment that holds a position: the last one that begins at or before it. */
function segmentOf(segments: readonly Segment[], position: number): Segment | undefined {
  let found: Segment | undefined;
  for (const segment of segments) {
    if (segment.first > position) break;
    found = segment;
  }
  return found;
}

/** Reads one segment; returns the position to go on from, or undefined when the visitor had enough. */
async function readSegment(
  readable: Readable,
  segment: Segment,
  from: number,
  to: number,
  visit: Visit,
): Promise<number | undefined> {
  segment.readers++;
  try {
    const window = new Window(segment.file, indexedEnd(segment, to));
    let at = indexed(segment, from);
    let position = from;
    while (at < segment.end && position <= to) {
      const header = readHeader(await window.at(at, HEADER), 0, readable.seed);
      if (header === undefined) throw damaged(segment, at, position);
      const size = recordBytes(0, header.length);
      if (header.type === 'entries' && header.first + header.count > position) {
        const bytes = await window.at(at, size);
        if (bytes.length < size || !payloadIsWhole(bytes, 0, header, readable.seed))
          throw damaged(segment, at, position);
        const first = header.first;
        const last = Math.min(to, first + header.count - 1);
        const more = eachEntry(bytes, 0, header, position - first, last - first + 1, (index, entry) =>
          visit(first + index, entry),
        );
        if (!more) return undefined;
        position = last + 1;
      }
      at += size;
    }
    return position;
  } finally {
    segment.readers--;
    if (segment.dropped && segment.readers === 0) await segment.file.close();
  }
}

/** The offset of a record at or before the one that holds a position. */
function indexed(segment: Segment, position: number): number {
  return segment.offsets[indexAfter(segment, position) - 1] ?? 0;
}

/** An offset behind the record that holds a position: a read of one entry does not fetch half a megabyte. */
function indexedEnd(segment: Segment, position: number): number {
  return segment.offsets[indexAfter(segment, position)] ?? segment.end;
}

/** The place in the sparse index of the first note above a position. */
function indexAfter({ positions }: Segment, position: number): number {
  let low = 0;
  let high = positions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((positions[middle] ?? Infinity) <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

function damaged(segment: Segment, offset: number, position: number): SynodError {
  return new SynodError(
    'DATA_LOSS',
    `${segment.name} at byte ${String(offset)}, the record of position ${String(position)}: it is no longer what was written; ` +
      'the disk is failing',
  );
}
