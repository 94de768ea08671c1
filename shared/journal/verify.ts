/**
 * Reading a journal from outside, for `synodctl journal verify` and `dump`. Changes nothing and may run while the owner writes,
 * rotates and trims.
 */
import type { Disk } from '../ports/disk.ts';
import { diskErrorCode } from '../ports/disk.ts';
import { eachEntry } from './record.ts';
import type { Found } from './scan.ts';
import { closeAll, scanJournal, tailVerdict } from './scan.ts';
import type { JournalIdentity } from './segment.ts';
import type { Refusal, Verdict } from './verdict.ts';

export interface JournalReport {
  /** What a start would find. `new`: the folder holds no journal. */
  readonly verdict: Verdict;
  readonly identity: JournalIdentity | undefined;
  readonly segments: readonly SegmentReport[];
  readonly records: number;
  readonly entries: number;
  /** The first and the newest position; −1 when there is none. */
  readonly first: number;
  readonly newest: number;
}

export interface SegmentReport {
  readonly name: string;
  readonly bytes: number;
  readonly used: number;
  readonly first: number;
  /** False for a segment that continues the one before after a crash. */
  readonly hasHead: boolean;
}

/** One line of a dump. Bytes are views; copy what is kept. */
export type DumpItem =
  | {
      readonly kind: 'segment';
      readonly segment: number;
      readonly offset: number;
      readonly first: number;
      readonly text: string;
    }
  | { readonly kind: 'head'; readonly segment: number; readonly offset: number; readonly bytes: Uint8Array }
  | {
      readonly kind: 'entry';
      readonly segment: number;
      readonly offset: number;
      readonly position: number;
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: 'mark';
      readonly segment: number;
      readonly offset: number;
      readonly synced: number;
      readonly oldest: number;
    };

/** Times that a scan is made again because the owner wrote or trimmed under it. */
const TRIES = 5;

/**
 * Reads all records and says what a start would say. An owner that is writing can make a half-written record look like damage,
 * so damage counts only when a second look finds the same at the same place.
 */
export async function verifyJournal(disk: Disk): Promise<JournalReport> {
  let before: JournalReport | undefined;
  for (let i = 0; ; i++) {
    try {
      const report = await look(disk, () => undefined);
      if (isSteady(report.verdict) || i >= TRIES) return report;
      if (before !== undefined && sameVerdict(before.verdict, report.verdict)) return report;
      before = report;
    } catch (error) {
      // A trim removed a segment between the listing and the opening.
      if (diskErrorCode(error) !== 'ENOENT' || i >= TRIES) throw error;
    }
  }
}

/** Visits all records, oldest first, up to the end or to the first damage, and returns what a start would say. */
export async function dumpJournal(disk: Disk, visit: (item: DumpItem) => void): Promise<JournalReport> {
  return look(disk, (found) => {
    dumpRecord(found, visit);
  });
}

async function look(disk: Disk, visit: (found: Found) => void): Promise<JournalReport> {
  let records = 0;
  let entries = 0;
  let newest = -1;
  let first = -1;
  const scanned = await scanJournal(disk, 'read', undefined, (found) => {
    records++;
    if (first < 0) first = found.header.first;
    newest = found.header.first - 1;
    if (found.type === 'entries') {
      entries += found.header.count;
      newest += found.header.count;
    }
    visit(found);
  });
  const counts = { records, entries, first, newest };
  if (scanned === undefined) return { verdict: { kind: 'new' }, identity: undefined, segments: [], ...counts };
  if (scanned.kind === 'refused') return { verdict: scanned, identity: undefined, segments: [], ...counts };
  await closeAll(scanned.segments);
  const start = scanned.segments[0]?.start;
  return {
    verdict: tailVerdict(scanned.end, scanned.segments[scanned.segments.length - 1]?.segment),
    identity: start === undefined ? undefined : { cluster: start.cluster, acceptor: start.acceptor, disk: start.disk },
    segments: scanned.segments.map(({ segment }) => ({
      name: segment.name,
      bytes: segment.size,
      used: segment.end,
      first: segment.first,
      hasHead: segment.hasHead,
    })),
    ...counts,
  };
}

function isSteady(verdict: Verdict): boolean {
  return verdict.kind !== 'refused' && verdict.kind !== 'torn';
}

function sameVerdict(a: Verdict, b: Verdict): boolean {
  if (a.kind !== b.kind) return false;
  const place = (v: Verdict): string =>
    v.kind === 'torn' || v.kind === 'refused' ? `${v.file}@${String(v.offset)}` : '';
  return place(a) === place(b) && (a as Partial<Refusal>).damage === (b as Partial<Refusal>).damage;
}

function dumpRecord(found: Found, visit: (item: DumpItem) => void): void {
  const { segment, offset, header, bytes } = found;
  switch (found.type) {
    case 'mark':
      visit({ kind: 'mark', segment, offset, synced: header.synced, oldest: header.oldest });
      return;
    case 'start':
    case 'head':
    case 'entries':
      eachEntry(bytes, 0, header, 0, header.count, (index, entry) => {
        if (found.type === 'start')
          visit({ kind: 'segment', segment, offset, first: header.first, text: new TextDecoder().decode(entry) });
        else if (found.type === 'head') visit({ kind: 'head', segment, offset, bytes: entry });
        else visit({ kind: 'entry', segment, offset, position: header.first + index, bytes: entry });
        return true;
      });
      return;
  }
}
