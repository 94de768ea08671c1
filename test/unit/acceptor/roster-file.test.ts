/**
 * Goal: what an acceptor remembers of others is replaced as a whole, also on a disk that is full (R4, R5). Method: a disk in memory whose
 * capacity is used up, or whose process dies between any two operations.
 */
import { describe, expect, test } from '@jest/globals';
import { readRoster, writeRoster } from '../../../shared/journal/roster-file.ts';
import { Prng } from '../../../shared/base/prng.ts';
import type { RosterState } from '../../../shared/paxos/introduction.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';

const disks = new Map([
  [1, '01'.repeat(16)],
  [2, '02'.repeat(16)],
]);
const state = (start: number): RosterState => ({ roster: { kind: 'complete', disks }, start, remembered: new Map() });
const usedOf = async (disk: MemoryDisk): Promise<number> =>
  (await disk.list()).reduce((sum, name) => sum + disk.bytesOf(name).length, 0);

describe('the roster of an acceptor', () => {
  test('is replaced again and again on a disk that is full', async () => {
    const disk = new MemoryDisk();
    await writeRoster(disk, state(1));
    disk.capacity = await usedOf(disk);
    for (let start = 2; start < 50; start++) {
      await writeRoster(disk, state(start));
      expect(await readRoster(disk)).toEqual(state(start));
    }
  });

  test('cannot be replaced on a full disk without the file that was made before', async () => {
    const disk = new MemoryDisk();
    await writeRoster(disk, state(1));
    disk.drop('roster.new');
    disk.capacity = await usedOf(disk);
    await expect(writeRoster(disk, state(2))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await readRoster(disk)).toEqual(state(1));
  });

  test('is the old or the new one, whole, after a crash between any two operations', async () => {
    const starts = new Set<number>();
    for (let seed = 0; seed < 400; seed++) {
      const prng = new Prng(seed);
      const disk = new MemoryDisk();
      await writeRoster(disk, state(1));
      disk.diesAt = disk.operations + prng.below(16);
      const done: true[] = [];
      void writeRoster(disk, state(2)).then(() => done.push(true));
      // A disk that died settles nothing any more; one that did not is done after a few turns.
      for (let turn = 0; turn < 100; turn++) await Promise.resolve();
      const { start } = await readRoster(disk.crash(prng));
      if (done.length > 0) expect(start).toBe(2);
      starts.add(start);
    }
    expect([...starts].sort()).toEqual([1, 2]);
  });
});
