/**
 * The process or the machine dies between any two operations of the disk; then every entry that was reported as synced is there, in
 * order, and what else is there is a continuation of it. The same harness must find a disk that lies about its syncs, and a
 * journal that reports too early.
 */
import { describe, expect, test } from '@jest/globals';
import { Prng } from '../../../shared/base/prng.ts';
import type { Disk, DiskFile } from '../../../shared/ports/disk.ts';
import type { Journal } from '../../../shared/ports/journal.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { entry, open, positions, range, settled } from './support.ts';

/** What the world outside was told. */
interface Told {
  synced: number;
  appended: number;
  trimmedBelow: number;
  done: boolean;
}

/** Appends entries of many sizes over several segments, rests, trims. Ends when all is synced; never ends on a dead disk. */
async function work(disk: Disk, told: Told, early: boolean): Promise<void> {
  const { journal } = await open(disk, { create: told.synced < 0, head: () => [entry(told.appended)] });
  const trims: Promise<void>[] = [];
  watch(journal, told);
  for (let i = 0; i < 24; i++) {
    for (let n = 0; n < 1 + (i % 4); n++) {
      told.appended = journal.append(entry(journal.newest + 1, 40 + ((i * 389 + n * 977) % 2900))) + 1;
      // The planted fault: what was appended is reported before it is synced.
      if (early) told.synced = journal.newest;
    }
    await syncedAll(journal, told);
    if (i % 5 === 3) journal.idle();
    // Trims run beside the writes and the changes of segment.
    if (i >= 8 && i % 2 === 0) {
      told.trimmedBelow = journal.newest - 12;
      trims.push(journal.trim(told.trimmedBelow));
    }
  }
  await Promise.all(trims);
  await journal.close();
  told.done = true;
}

function watch(journal: Journal, told: Told): void {
  told.synced = Math.max(told.synced, journal.synced);
}

function syncedAll(journal: Journal, told: Told): Promise<void> {
  return new Promise((done) => {
    journal.onSynced = (synced) => {
      told.synced = Math.max(told.synced, synced);
      if (synced === journal.newest) done();
    };
  });
}

/** Opens what is left and says what is wrong with it, or nothing. */
async function faultOf(disk: MemoryDisk, told: Told): Promise<string | undefined> {
  let journal: Journal;
  let heads: Uint8Array[];
  try {
    ({ journal, heads } = await open(disk, { create: told.synced < 0 }));
  } catch (error) {
    return String(error);
  }
  const found = await positions(journal);
  if (journal.first > told.trimmedBelow) return `begins with ${String(journal.first)}, above the trim`;
  const head = heads[0] === undefined ? 0 : new DataView(heads[0].buffer, heads[0].byteOffset).getUint32(0, true);
  if (head < journal.first) return 'its head is older than its first entry';
  if (journal.newest < told.synced)
    return `ends with ${String(journal.newest)}, and ${String(told.synced)} was reported`;
  if (journal.newest >= told.appended + 1) return 'holds more than was appended';
  const expected = range(journal.first, journal.newest + 1);
  if (found.length !== expected.length || found.some((p, i) => p !== expected[i])) return 'has a hole';
  // It goes on from there, and a second start finds that too.
  for (let i = 0; i < 3; i++) journal.append(entry(journal.newest + 1, 700));
  await journal.close();
  const again = await open(disk, { create: false });
  return again.verdict.kind === 'clean' && again.journal.newest === journal.newest ? undefined : 'did not go on';
}

/** A start of a disk without space leaves as many segments as there were, and a journal that the next start finds as it was. */
async function repairs(disk: MemoryDisk): Promise<boolean> {
  const full = disk.clone();
  full.capacity = 0;
  const before = await full.list();
  const { journal, verdict } = await open(full, { create: false });
  await settled();
  if (verdict.kind !== 'torn' && verdict.kind !== 'unmarked') return false;
  const { newest } = journal;
  const next = full.kill();
  const again = await open(next, { create: false });
  await settled();
  if (again.journal.newest !== newest) throw new Error(`${String(newest)} became ${String(again.journal.newest)}`);
  if (again.verdict.kind === 'torn') throw new Error('what was torn is still there');
  return (
    (await next.list()).filter((name) => name.endsWith('.seg')).length ===
    before.filter((name) => name.endsWith('.seg')).length
  );
}

function nothingTold(): Told {
  return { synced: -1, appended: 0, trimmedBelow: 0, done: false };
}

/** The disk dies at one operation; the power goes, or only the process. */
async function dieAt(
  operation: number,
  seed: number,
  plant: Plant,
): Promise<{ fault: string | undefined; done: boolean }> {
  const disk = new MemoryDisk();
  disk.diesAt = operation;
  const told = nothingTold();
  const working = work(plant === 'lying disk' ? new LyingDisk(disk) : disk, told, plant === 'report before sync');
  working.catch(() => undefined); // A dead disk never answers; a failure shows in what is left.
  await settled();
  const prng = new Prng(seed * 7919 + operation);
  const left = seed === 0 ? disk.kill() : disk.crash(prng);
  return { fault: await faultOf(left, told), done: told.done };
}

type Plant = 'none' | 'lying disk' | 'report before sync';

/** A disk whose sync returns and does nothing, as a drive with a write cache that ignores flushes. */
class LyingDisk implements Disk {
  readonly #disk: MemoryDisk;
  constructor(disk: MemoryDisk) {
    this.#disk = disk;
  }
  list = (): Promise<string[]> => this.#disk.list();
  rename = (from: string, to: string): Promise<void> => this.#disk.rename(from, to);
  remove = (name: string): Promise<void> => this.#disk.remove(name);
  syncFolder = (): Promise<void> => this.#disk.syncFolder();
  async open(name: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile> {
    const file = await this.#disk.open(name, mode);
    return { ...file, sync: () => file.size().then(() => undefined) };
  }
}

describe('a crash between any two operations of the disk', () => {
  test('loses nothing that was reported as synced, keeps the order, and the journal goes on', async () => {
    let finished = false;
    let operation = 0;
    for (; !finished; operation++) {
      for (const seed of range(0, 4)) {
        const { fault, done } = await dieAt(operation, seed, 'none');
        if (fault !== undefined) throw new Error(`operation ${String(operation)}, seed ${String(seed)}: ${fault}`);
        finished = done;
      }
    }
    expect(operation).toBeGreaterThan(100);
  }, 60_000);

  test.each(['free', 'full'])(
    'a crash during the start after a crash, on a %s disk, loses nothing either',
    async (space) => {
      let inPlace = 0;
      for (const first of [60, 90, 120, 150]) {
        for (const seed of range(1, 6)) {
          for (let second = 0; second < 60; second++) {
            const disk = new MemoryDisk();
            disk.diesAt = first;
            const told = nothingTold();
            work(disk, told, false).catch(() => undefined);
            await settled();
            const half = disk.crash(new Prng(seed));
            half.diesAt = second;
            if (space === 'full') half.capacity = 0;
            open(half, { create: told.synced < 0 }).catch(() => undefined);
            await settled();
            const last = half.crash(new Prng(seed * 31 + second));
            if (space === 'full' && (await repairs(last))) inPlace++;
            last.capacity = Infinity;
            const fault = await faultOf(last, told);
            if (fault !== undefined) throw new Error(`${String(first)}, ${String(seed)}, ${String(second)}: ${fault}`);
          }
        }
      }
      expect(inPlace > 0).toBe(space === 'full');
    },
    60_000,
  );

  test.each(['lying disk', 'report before sync'] as const)(
    'the control: %s is found',
    async (plant) => {
      let faults = 0;
      for (let operation = 40; operation < 160; operation += 3)
        for (const seed of range(1, 4)) if ((await dieAt(operation, seed, plant)).fault !== undefined) faults++;
      expect(faults).toBeGreaterThan(5);
    },
    60_000,
  );
});
