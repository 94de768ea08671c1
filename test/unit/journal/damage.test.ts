/**
 * A small journal, damaged in every way that fits: each case must end in a refusal or in the one documented cut, never in other
 * entries and never in the loss of an entry that a mark or a later record proves to be synced (R6).
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { dumpJournal } from '../../../shared/journal/index.ts';
import type { JournalReport } from '../../../shared/journal/index.ts';
import { patternBytes, patternWord, SECTOR, seedOf } from '../../../shared/journal/record.ts';
import type { TailEvidence, TailVerdict } from '../../../shared/journal/verdict.ts';
import { judgeTail } from '../../../shared/journal/verdict.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { appendSynced, entry, open, options, positions, range, settled } from './support.ts';

const FIRST = '0000000000.seg';

/** What a start would find, and the entries that it would give its owner. */
async function look(disk: MemoryDisk): Promise<{ report: JournalReport; entries: Map<number, string> }> {
  const entries = new Map<number, string>();
  const report = await dumpJournal(disk, (item) => {
    if (item.kind === 'entry') entries.set(item.position, Buffer.from(item.bytes).toString('hex'));
  });
  return { report, entries };
}

/** Three records of two entries, a mark, and, with `unmarked`, one record of two entries of 700 bytes (four sectors). */
async function smallJournal(unmarked: boolean): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const { journal } = await open(disk);
  for (let i = 0; i < 3; i++) await appendSynced(journal, 2, 300);
  journal.idle();
  await settled();
  if (unmarked) await appendSynced(journal, 2, 700);
  return disk.kill();
}

function blank(disk: MemoryDisk, sector: number): void {
  const word = patternWord(seedOf(options().identity.disk), 0);
  disk.bytesOf(FIRST).set(patternBytes(word, SECTOR), sector * SECTOR);
}

let marked: MemoryDisk;
let unmarked: MemoryDisk;
let whole: Map<number, string>;

beforeAll(async () => {
  marked = await smallJournal(false);
  unmarked = await smallJournal(true);
  const { report, entries } = await look(unmarked);
  expect(report.segments[0]?.used).toBe((1 + 3 * 2 + 1 + 3) * SECTOR);
  whole = entries;
});

describe('every bit', () => {
  test('a flipped bit is refused, or was behind the end: never other entries, never fewer', async () => {
    const disk = unmarked.clone();
    const bytes = disk.bytesOf(FIRST);
    const used = (await look(disk)).report.segments[0]?.used ?? 0;
    let refused = 0;
    for (let at = 0; at < bytes.length; at += at < used ? 1 : 61) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        const { report, entries } = await look(disk);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        if (report.verdict.kind === 'refused') {
          refused++;
          continue;
        }
        // Where nothing was written a sector that is not blank looks like the rest of a torn write; no entry is lost by that.
        if (at < used + SECTOR) throw new Error(`bit ${String(bit)} of byte ${String(at)}: ${report.verdict.kind}`);
        expect(report.verdict.kind).toBe('torn');
        expect(entries).toEqual(whole);
      }
    }
    expect(refused).toBeGreaterThan(used * 8);
  }, 60_000);
});

describe('every length', () => {
  test('a file that is cut at any byte is refused: a crash never shortens what was preallocated', async () => {
    const bytes = unmarked.bytesOf(FIRST);
    for (let size = 0; size < bytes.length; size += size < 6000 ? 1 : 97) {
      const disk = new MemoryDisk();
      disk.put(FIRST, bytes.subarray(0, size));
      const { report } = await look(disk);
      if (report.verdict.kind !== 'refused') throw new Error(`cut at ${String(size)}: ${report.verdict.kind}`);
    }
  });

  test('a log that turns into preallocation at any byte is cut only inside its last write', async () => {
    const original = unmarked.bytesOf(FIRST);
    const word = patternWord(seedOf(options().identity.disk), 0);
    const pattern = patternBytes(word, original.length);
    const lastWrite = 8 * SECTOR;
    for (let size = 0; size < 11 * SECTOR; size++) {
      const bytes = original.slice();
      bytes.set(pattern.subarray(size), size);
      const disk = new MemoryDisk();
      disk.put(FIRST, bytes);
      const { report, entries } = await look(disk);
      const { kind } = report.verdict;
      if (kind === 'refused') continue;
      expect([...entries.keys()]).toEqual(range(0, entries.size));
      for (const [position, text] of entries) expect(text).toBe(whole.get(position));
      if (size > lastWrite) expect([kind, entries.size]).toEqual(['torn', 6]);
      // All sectors of several synced writes at once gone back to preallocation: no journal can tell that from a shorter one, and
      // it takes a disk that is older than it was, which the other acceptors find out (R5).
      else expect(kind === 'torn' || size % SECTOR === 0).toBe(true);
    }
  });
});

describe('every sector', () => {
  test.each(range(0, 8))(
    'the last write with some of its three sectors unwritten (%i) is kept, or cut as a whole',
    async (written) => {
      const disk = unmarked.clone();
      for (const i of range(0, 3)) if ((written & (1 << i)) === 0) blank(disk, 8 + i);
      const { journal, verdict } = await open(disk, { create: false });
      const expected = written === 7 ? 'unmarked' : written === 0 ? 'clean' : 'torn';
      expect(verdict.kind).toBe(expected);
      expect(await positions(journal)).toEqual(range(0, written === 7 ? 8 : 6));
      // The journal goes on, and nothing of the torn write ever comes back.
      await appendSynced(journal, 3, 50);
      await journal.close();
      const again = await open(disk, { create: false });
      expect(again.verdict.kind).toBe('clean');
      expect(await positions(again.journal)).toEqual(range(0, journal.newest + 1));
    },
  );

  test.each(range(0, 8))(
    'an unwritten sector %i before a later record is refused, with file, offset and record',
    async (sector) => {
      for (const journal of [marked, unmarked]) {
        const disk = journal.clone();
        blank(disk, sector);
        // The mark itself holds nothing; where it is the last write, its loss is the loss of nothing.
        if (journal === marked && sector === 7) {
          expect((await look(disk)).report.verdict).toMatchObject({ kind: 'unmarked', position: 4 });
          continue;
        }
        await expect(open(disk, { create: false })).rejects.toMatchObject({
          code: 'DATA_LOSS',
          message: expect.stringMatching(/0000000000\.seg at byte \d+, the record of position \d+: /),
        });
      }
    },
  );

  test('the advice for a refused journal is what can be done: an empty or older disk would be refused, too', async () => {
    const damaged = unmarked.clone();
    damaged.bytesOf(FIRST).fill(0, 9 * SECTOR, 10 * SECTOR);
    const gone = unmarked.clone();
    for (const name of await gone.list()) await gone.remove(name);
    for (const disk of [damaged, gone]) {
      const refused = open(disk, { create: false });
      await expect(refused).rejects.toThrow(/leave it stopped: the others go on while they hold a quorum/);
      await expect(refused).rejects.toThrow(/Do not put an older copy or an empty folder in its place/);
      await expect(refused).rejects.not.toThrow(/Restore the disk|new, empty disk/);
    }
  });

  test('a last write that is damaged in written sectors only is refused', async () => {
    const disk = unmarked.clone();
    disk.bytesOf(FIRST).fill(0, 9 * SECTOR, 10 * SECTOR);
    await expect(open(disk, { create: false })).rejects.toThrow(/every sector of it was written/);
  });

  test('zeros are not preallocation: a journal whose last write became zeros is refused', async () => {
    const disk = unmarked.clone();
    disk.bytesOf(FIRST).fill(0, 8 * SECTOR, 11 * SECTOR);
    await expect(open(disk, { create: false })).rejects.toThrow(/neither a record nor preallocated/);
  });
});

describe('records and segments in the wrong place', () => {
  /** A journal of several segments. */
  async function longJournal(change: Parameters<typeof open>[1] = {}): Promise<MemoryDisk> {
    const disk = new MemoryDisk();
    const { journal } = await open(disk, change);
    for (let i = 0; i < 40; i++) await appendSynced(journal, 1, 1000);
    await journal.close();
    return disk.kill();
  }

  async function refusal(disk: MemoryDisk): Promise<string> {
    const { report } = await look(disk);
    return report.verdict.kind === 'refused' ? report.verdict.damage : report.verdict.kind;
  }

  test('the control: the same journal, undamaged, is clean', async () => {
    expect(await refusal(await longJournal())).toBe('clean');
    expect(await refusal(marked.clone())).toBe('clean');
  });

  test('a missing middle segment is refused', async () => {
    const disk = await longJournal();
    disk.drop('0000000001.seg');
    expect(await refusal(disk)).toBe('missing-segment');
  });

  test('a missing oldest segment is refused, since a trim is noted before it deletes', async () => {
    const disk = await longJournal();
    disk.drop(FIRST);
    expect(await refusal(disk)).toBe('missing-segment');
  });

  test('a folder that lost all its segments is refused', async () => {
    await expect(open(new MemoryDisk(), { create: false })).rejects.toMatchObject({ code: 'DATA_LOSS' });
  });

  test('a segment under another number is refused', async () => {
    const disk = await longJournal();
    disk.put('0000000001.seg', disk.bytesOf('0000000002.seg'));
    expect(await refusal(disk)).toBe('misplaced-record');
  });

  test.each(range(1, 8))('a copy of the record at sector %i behind the end is refused', async (sector) => {
    const disk = marked.clone();
    const bytes = disk.bytesOf(FIRST);
    bytes.copyWithin(8 * SECTOR, sector * SECTOR, (sector + 2) * SECTOR);
    // The second sector of a record is no record; sectors 2, 4 and 6 are such.
    const second = sector % 2 === 0 && sector < 7;
    expect(await refusal(disk)).toBe(second ? 'not-sector-shaped' : 'misplaced-record');
  });

  test('records of another history of the same disk do not continue this one', async () => {
    const other = new MemoryDisk();
    const { journal } = await open(other);
    for (let i = 0; i < 3; i++) {
      journal.append(entry(90 + i, 300));
      journal.append(entry(90, 300));
      await settled();
    }
    const disk = marked.clone();
    const from = other.bytesOf(FIRST).subarray(3 * SECTOR, 5 * SECTOR);
    disk.bytesOf(FIRST).set(from, 3 * SECTOR);
    expect(await refusal(disk)).toBe('broken-chain');
  });

  test.each([
    ['cluster', { cluster: 'other', acceptor: 1, disk: options().identity.disk }],
    ['acceptor', { cluster: 'test', acceptor: 2, disk: options().identity.disk }],
    ['disk', { cluster: 'test', acceptor: 1, disk: 'f'.repeat(32) }],
  ])('the journal of another %s is refused', async (_, identity) => {
    const disk = await longJournal({ identity });
    await expect(open(disk, { create: false })).rejects.toThrow(/belongs to another journal.*its own data folder/);
    const mixed = await longJournal();
    mixed.put('0000000001.seg', disk.bytesOf('0000000001.seg'));
    expect(await refusal(mixed)).toBe('foreign');
  });

  test('a newer format is refused with the way out', async () => {
    const disk = marked.clone();
    const text = Buffer.from(disk.bytesOf(FIRST).buffer).toString('latin1');
    expect(text).toContain('"format":1');
    await expect(open(await newer(disk), { create: false })).rejects.toThrow(
      /newer version of Synod.*Start the version/,
    );
  });

  /** The same journal as a later version would begin it: a start record with a higher version and a checksum that fits. */
  async function newer(disk: MemoryDisk): Promise<MemoryDisk> {
    const { crc32 } = await import('node:zlib');
    const bytes = disk.bytesOf(FIRST);
    bytes[4] = 2;
    new DataView(bytes.buffer).setUint32(60, crc32(bytes.subarray(0, 60)), true);
    return disk;
  }
});

describe('the verdict on every end', () => {
  type Row = readonly [TailEvidence['next'], boolean, TailEvidence['beyond'], 'mark' | 'entries', TailVerdict];
  const rows: readonly Row[] = [
    ['none', false, 'blank', 'mark', 'clean'],
    ['none', false, 'blank', 'entries', 'unmarked'],
    ['blank', false, 'blank', 'mark', 'clean'],
    ['blank', false, 'blank', 'entries', 'unmarked'],
    ['blank', false, 'written', 'mark', 'torn'],
    ['blank', false, 'written', 'entries', 'torn'],
    ['blank', false, 'record', 'mark', 'damaged-before-later-write'],
    ['header', true, 'blank', 'mark', 'torn'],
    ['header', false, 'blank', 'mark', 'rotten-last-write'],
    ['header', true, 'written', 'mark', 'damaged-before-later-write'],
    ['header', true, 'record', 'mark', 'damaged-before-later-write'],
    ['header', false, 'written', 'entries', 'damaged-before-later-write'],
    ['garbage', false, 'blank', 'mark', 'not-sector-shaped'],
    ['garbage', false, 'written', 'mark', 'not-sector-shaped'],
    ['garbage', false, 'record', 'mark', 'damaged-before-later-write'],
  ];
  test.each(rows)(
    'next %s, a blank sector in it %s, behind it %s, after %s: %s',
    (next, blankSector, beyond, last, verdict) => {
      expect(judgeTail({ last, next, blankSector, beyond })).toBe(verdict);
      if (last === 'mark') expect(judgeTail({ last: 'prologue', next, blankSector, beyond })).toBe(verdict);
    },
  );
});
