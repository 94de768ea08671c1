/**
 * The folder of an acceptor of a restored cluster, made without its process: a disk that promised something higher than ballot zero
 * in every log and dropped everything below the log's end, which is what learners hold. So no slot below is ever decided anew (R10).
 */
import { assert } from '../base/assert.ts';
import { CLASSIC, type Ballot } from '../paxos/ballot.ts';
import type { Disks, Remembered } from '../paxos/introduction.ts';
import type { Disk } from '../ports/disk.ts';
import type { Journal } from '../ports/journal.ts';
import { encodeRecord } from '../wire/codec/record.ts';
import { openJournal } from './open.ts';
import { writeRoster } from './roster-file.ts';
import type { StampOwner } from './stamp.ts';
import { requireUnused, stampRestored } from './stamp.ts';

export interface RestoredAcceptor {
  readonly owner: StampOwner;
  /** Every acceptor's disk, this one's included. */
  readonly disks: Disks;
  /** Every log with its end: all slots below are chosen, and a learner holds them. */
  readonly ends: ReadonlyMap<string, number>;
  /** 64 random bits as 16 hex digits, which no start of a proposer has. */
  readonly incarnation: string;
}

/** A segment takes all that is written here, with room to spare; the acceptor makes its own, of its own size, behind it. */
const SEGMENT_BYTES_MIN = 64 * 1024;
const SECTOR = 512;
/**
 * The restore counts as a start, the draw of which no process has: a learner that remembers it takes no other disk for this one (R5).
 * It is far above the starts of any disk that began empty, so that wiped acceptors never look like later starts of restored ones.
 */
const STARTS = 1_000_000;
const DRAW = 0;
/** Appended before their write is waited for. */
const AT_ONCE = 1_000;

/**
 * Writes journal, roster and stamp into an empty folder. Rejects as `openStamp` does for a folder that is not empty. The roster is
 * pending, not complete: the acceptor speaks once it saw that every other disk of it holds the same (R5), so that an empty or older
 * disk cannot come in its place. The stamp comes last: a folder that was not finished is nobody's, and no acceptor starts on it.
 * Resolves to what the restored learner must remember of it.
 */
export async function writeRestored(disk: Disk, acceptor: RestoredAcceptor): Promise<Remembered> {
  const { owner, disks, ends, incarnation } = acceptor;
  const id = disks.get(owner.id);
  assert(id !== undefined, 'R5', () => `acceptor ${String(owner.id)} is not on the roster that is restored`);
  await requireUnused(disk, owner.role);
  const records = [...ends].map(([log, end]) => recordOf(log, end, incarnation));
  const bytes = records.reduce((sum, record) => sum + record.length + SECTOR, 0);
  const segmentBytes = SEGMENT_BYTES_MIN + Math.ceil((2 * bytes) / SECTOR) * SECTOR;
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  // Whoever waits below hears of it; that it comes before is no reason to end the process.
  failed.catch(() => undefined);
  const { journal } = await openJournal(disk, {
    identity: { cluster: owner.cluster, acceptor: owner.id, disk: id },
    create: true,
    segmentBytes,
    bytesMax: 4 * segmentBytes,
    reserveBytes: segmentBytes,
    head: () => records,
    onFatal: fail,
  });
  await Promise.race([failed, append(journal, records)]);
  await writeRoster(disk, { roster: { kind: 'pending', disks }, start: STARTS, remembered: new Map() });
  await stampRestored(disk, owner, id);
  return { start: STARTS, draw: DRAW, position: records.length - 1 };
}

/** A log as if all its slots had been voted for, chosen and dropped. */
function recordOf(log: string, end: number, incarnation: string): Uint8Array {
  assert(end > 0, 'R10', () => `log "${log}" ends at slot ${String(end)}`);
  const promised: Ballot = { round: 1, proposer: 1, incarnation, kind: CLASSIC };
  const floors = { highest: end - 1, voted: undefined, watermark: end, floor: end };
  return encodeRecord({ kind: 'log', log, promised, state: 'closed', ...floors });
}

async function append(journal: Journal, records: readonly Uint8Array[]): Promise<void> {
  for (const [at, record] of records.entries()) {
    journal.append(record);
    if (at % AT_ONCE === AT_ONCE - 1) await synced(journal);
  }
  await journal.close();
}

/** Resolves once all that was appended is durable. */
function synced(journal: Journal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (journal.synced < journal.newest) return;
      journal.onSynced = () => undefined;
      resolve();
    };
    journal.onSynced = look;
    look();
  });
}
