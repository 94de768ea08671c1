/**
 * The start of a journal: scan it, judge its end, and make the last write durable where that is not proven (R6).
 */
import { SynodError } from '../base/errors.ts';
import type { Disk } from '../ports/disk.ts';
import { isNoSpace } from '../ports/disk.ts';
import type { Journal } from '../ports/journal.ts';
import { SegmentedJournal } from './journal.ts';
import type { JournalOptions } from './options.ts';
import { align, entriesOf, patternWord, recordBytes, seedOf, writeRecord } from './record.ts';
import type { Scanned } from './scan.ts';
import { closeAll, readHead, scanJournal, tailVerdict } from './scan.ts';
import type { Blank, Segment, Tail } from './segment.ts';
import { beginSegment, fill, isTemporary, prepareBlank } from './segment.ts';
import type { Verdict } from './verdict.ts';
import { LEAVE_STOPPED, refusalError } from './verdict.ts';

export interface OpenedJournal {
  readonly journal: Journal;
  /** The head of the oldest segment: the owner's state is this, then all entries from `journal.first` on. */
  readonly heads: Uint8Array[];
  readonly verdict: Verdict;
}

const SEGMENT_BYTES_MIN = 16 * 1024;
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * Opens the journal in a folder, or begins one where `create` allows it. All entries that it holds are durable when the promise
 * resolves. Rejects with DATA_LOSS when the journal is damaged, foreign or gone, RESOURCE_EXHAUSTED when there is no space for a
 * segment, INVALID_ARGUMENT for options that do not fit together.
 */
export async function openJournal(disk: Disk, options: JournalOptions): Promise<OpenedJournal> {
  checkOptions(options);
  // A temporary file was never part of the journal.
  for (const name of (await disk.list()).filter(isTemporary)) await disk.remove(name);
  const scanned = await scanJournal(disk, 'write', options.identity, () => undefined);
  if (scanned === undefined) return create(disk, options);
  if (scanned.kind === 'refused') throw refusalError(scanned);
  try {
    return await goOn(disk, options, scanned);
  } catch (error) {
    await closeAll(scanned.segments);
    throw error;
  }
}

function checkOptions(options: JournalOptions): void {
  const { segmentBytes, bytesMax, reserveBytes } = options;
  if (segmentBytes < SEGMENT_BYTES_MIN || segmentBytes > SEGMENT_BYTES_MAX || segmentBytes !== align(segmentBytes))
    throw new SynodError(
      'INVALID_ARGUMENT',
      `journal.segment.bytes is ${String(segmentBytes)}; it must be a multiple of 512 between 16384 and 1073741824`,
    );
  if (bytesMax < 2 * segmentBytes)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `journal.bytes.max is ${String(bytesMax)}; it must be at least two segments of ${String(segmentBytes)} bytes (journal.segment.bytes)`,
    );
  if (reserveBytes < segmentBytes)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `the journal's reserve is ${String(reserveBytes)} bytes; it must be at least one segment of ${String(segmentBytes)} bytes`,
    );
}

async function create(disk: Disk, options: JournalOptions): Promise<OpenedJournal> {
  // R5: a disk that had a journal and has none is not an empty disk.
  if (!options.create)
    throw new SynodError(
      'DATA_LOSS',
      `the data folder has an identity but no journal segments: its promises and votes are gone. ${LEAVE_STOPPED}`,
    );
  const seed = seedOf(options.identity.disk);
  const blank = await withSpace(() => prepareBlank(disk, 0, options.segmentBytes, seed));
  const { segment, previous } = await beginSegment(disk, blank, {
    identity: options.identity,
    seed,
    first: 0,
    oldest: 0,
    previous: 0,
    previousEnd: 0,
    heads: [],
    entries: [],
  });
  const tail: Tail = { segments: [segment], seed, oldest: 0, previous, next: 0, marked: true };
  return { journal: new SegmentedJournal(disk, options, tail), heads: [], verdict: { kind: 'new' } };
}

async function goOn(disk: Disk, options: JournalOptions, scanned: Scanned): Promise<OpenedJournal> {
  const { seed, end } = scanned;
  const newest = scanned.segments[scanned.segments.length - 1]?.segment;
  const verdict = tailVerdict(end, newest);
  const kept = scanned.segments.filter(({ segment }) => segment.number >= end.oldest);
  const oldest = kept[0];
  if (oldest === undefined) throw new SynodError('INTERNAL', 'a scanned journal has no segment');
  const heads = await readHead(oldest, seed);
  const segments = kept.map(({ segment }) => segment);
  const tail =
    end.tail === 'clean' ? await keepTail(scanned, segments) : await moveTail(disk, options, scanned, segments);
  // Left over from a trim that was under way. Oldest first, so that a crash leaves no hole.
  for (const { segment } of scanned.segments) {
    if (segment.number >= end.oldest) continue;
    await segment.file.close();
    await disk.remove(segment.name);
    await disk.syncFolder();
  }
  return { journal: new SegmentedJournal(disk, options, tail), heads, verdict };
}

/** The last record is a mark or a segment's beginning: the journal goes on in the same segment. */
async function keepTail(scanned: Scanned, segments: Segment[]): Promise<Tail> {
  const { end, seed } = scanned;
  const segment = segments[segments.length - 1];
  if (segment !== undefined && end.last.type === 'mark') {
    // The mark itself may be in the page cache only, and a hole before later records would be refused. It holds nothing that
    // anybody heard, so it is simply written again.
    const bytes = new Uint8Array(recordBytes(0, 0));
    writeRecord(bytes, 'mark', end.last.header, [], seed);
    await segment.file.write(end.last.offset, bytes);
    await segment.file.sync();
  }
  return { segments, seed, oldest: end.oldest, previous: end.previous, next: end.next, marked: true };
}

/**
 * The last write is not known to be durable, or torn: the journal goes on in a new segment, which says where the one before ends
 * and begins with the entries of the last whole write (R6). It has no head, since the owner's state is not read yet.
 */
async function moveTail(disk: Disk, options: JournalOptions, scanned: Scanned, segments: Segment[]): Promise<Tail> {
  const { end, seed } = scanned;
  const before = segments[segments.length - 1];
  if (before === undefined) throw new SynodError('INTERNAL', 'a scanned journal has no segment');
  const again = end.last.type === 'entries';
  const entries = again ? entriesOf(end.last.bytes, 0, end.last.header) : [];
  const previousEnd = again ? end.last.offset : before.end;
  const blank = await blankOrNone(disk, before.number + 1, options.segmentBytes, seed);
  if (blank === undefined) return repairTail(scanned, segments, before);
  const { segment, previous } = await withSpace(() =>
    beginSegment(disk, blank, {
      identity: options.identity,
      seed,
      first: again ? end.last.header.first : end.next,
      oldest: end.oldest,
      previous: again ? end.beforeLast : end.previous,
      previousEnd,
      heads: undefined,
      entries,
    }),
  );
  // What is behind its end is no longer part of the journal; its space is given back.
  await before.file.truncate(previousEnd);
  await before.file.sync();
  before.end = previousEnd;
  before.size = previousEnd;
  if (again && before.offsets[before.offsets.length - 1] === previousEnd) {
    before.offsets.pop();
    before.positions.pop();
  }
  return { segments: [...segments, segment], seed, oldest: end.oldest, previous, next: end.next, marked: true };
}

/** A blank for the next segment; undefined where the disk has no space for one. */
async function blankOrNone(disk: Disk, number: number, size: number, seed: number): Promise<Blank | undefined> {
  try {
    return await prepareBlank(disk, number, size, seed);
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    return undefined;
  }
}

/**
 * The same on a full disk, where nothing new fits: the last write is written again where it stands, the same bytes, and what was torn
 * behind it becomes blank again. Whatever part of this a crash leaves, the next start finds the same write and the same verdict. Moving is
 * still the rule, because a drive that loses its power may harm the very sector that it writes.
 */
async function repairTail({ end, seed }: Scanned, segments: Segment[], segment: Segment): Promise<Tail> {
  await withSpace(async () => {
    if (end.last.type === 'entries') await segment.file.write(end.last.offset, end.last.bytes);
    if (end.tail === 'torn') await fill(segment.file, segment.end, segment.size, patternWord(seed, segment.number));
    await segment.file.sync();
  });
  return { segments, seed, oldest: end.oldest, previous: end.previous, next: end.next, marked: false };
}

async function withSpace<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    throw new SynodError(
      'RESOURCE_EXHAUSTED',
      'the disk has no space for a journal segment; free some and start again',
      'none',
      error,
    );
  }
}
