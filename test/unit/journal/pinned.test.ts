// Goal: a journal that fills can be trimmed, whatever the process that uses it went through. Method: a disk in memory; after each
// step the owner needs nothing any more below where it is told that something pins the journal.
import { describe, expect, test } from '@jest/globals';
import { Prng } from '../../../shared/base/prng.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { appendSynced, open, positions, range, SEGMENT, settled } from './support.ts';

describe('a journal that fills', () => {
  test('is trimmed although its process always died before a segment was full', async () => {
    let disk = new MemoryDisk();
    const head = (): Uint8Array[] => [new Uint8Array(8)];
    for (let start = 0; start < 8; start++) {
      const { journal } = await open(disk, { head });
      // The room for the next segment is there before anything comes.
      await settled();
      await appendSynced(journal, 3, 2_000);
      disk = disk.crash(new Prng(start));
    }
    const { journal, heads } = await open(disk, { head });
    expect(heads).toHaveLength(0);
    expect(journal.pinnedBelow).toBeGreaterThan(0);
    await journal.trim(journal.newest + 1);
    expect(journal.first).toBeGreaterThan(12);
    expect(await positions(journal, journal.first)).toEqual(range(journal.first, 24));
    // What stands before the new beginning is in its head.
    disk = disk.crash(new Prng(9));
    expect((await open(disk, { head })).heads).toHaveLength(1);
  });

  test('gives the rest of a segment back that it left early', async () => {
    let disk = new MemoryDisk();
    const first = await open(disk);
    await settled();
    await appendSynced(first.journal, 1, 2_000);
    disk = disk.kill();
    const { journal } = await open(disk);
    await settled();
    await appendSynced(journal, 1, 2_000);
    // The last write, written again into a segment of its own, and the entry, behind a head: two short files and two whole ones.
    const sizes = [...disk.durableNames()].map((name) => disk.durableOf(name)?.length ?? 0);
    expect(sizes.filter((size) => size < SEGMENT)).toHaveLength(2);
    expect(await positions(journal)).toEqual([0, 1]);
  });

  test('says where a quarter of it ends in bytes, not in entries', async () => {
    const { journal } = await open(new MemoryDisk());
    // One segment of many small entries, then segments of a few large ones.
    for (let record = 0; record < 15; record++) await appendSynced(journal, 15, 8);
    const small = journal.newest + 1;
    for (let i = 0; i < 20; i++) await appendSynced(journal, 1, 4_000);
    expect(small).toBeGreaterThan((journal.newest + 1) / 4);
    await journal.trim(journal.pinnedBelow);
    expect(journal.first).toBeGreaterThanOrEqual(small);
  });
});
