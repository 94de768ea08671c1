// Goal: a crash at any moment leaves a prefix of what was applied, whole; damage and failed writes stop the store. Method: a
// disk in memory that forgets what was not flushed, and a real process on LMDB that is killed while it writes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { openLearnerStore } from '../../../shared/platform/learner-store/store.ts';
import { Sessions } from '../../../shared/machine/sessions.ts';
import { MemoryDisk, openMemoryStore } from '../../support/memory-learner-store.ts';
import { EVERYTHING, IDENTITY, batchesOf, digests, seen, someLog } from './support.ts';

const BATCH_KEY = 2;

describe('a crash of the machine', () => {
  test('loses what was not flushed and nothing that was held, and the log goes on from there', async () => {
    const entries = someLog(900);
    const disk = new MemoryDisk();
    const flushed = disk.flushes;
    let store = await openMemoryStore(disk, { identity: IDENTITY, saveSlots: 100 });
    let lost = 0;
    for (let round = 0; round < 6; round++) {
      const at = store.progress('x')?.next ?? 0;
      const [first, second, third] = batchesOf('x', entries, () => 40, at);
      if (first === undefined || second === undefined || third === undefined) throw new Error('the log is too short');
      await store.apply([first]);
      await store.flushed();
      disk.flushes = new Promise(() => undefined);
      await store.apply([second]);
      await store.apply([third]);
      const { held, visible } = store.progress('x') ?? { held: -1, visible: -1 };
      expect(held).toBe(second.first);
      disk.crash();
      disk.flushes = flushed;
      store = await openMemoryStore(disk, { identity: IDENTITY, saveSlots: 100 });
      expect(store.progress('x')?.next).toBe(held);
      lost += visible - held;
    }
    expect(lost).toBe(6 * 80); // control: the crashes did take something
    const { next = 0 } = store.progress('x') ?? {};
    await store.apply(batchesOf('x', entries, () => 30, next));
    await store.apply(batchesOf('whole', entries, () => 100));
    expect(await digests(store, 'x')).toEqual(await digests(store, 'whole'));
  });

  test('a failed write or sync stops the store, and nothing after it is held', async () => {
    const disk = new MemoryDisk();
    const store = await openMemoryStore(disk, { identity: IDENTITY });
    const failures: string[] = [];
    store.onFailed = (error) => failures.push(error.message);
    await store.apply(batchesOf('x', someLog(50), () => 50));
    await store.flushed();
    disk.failure = new Error('EIO');
    await expect(store.apply(batchesOf('x', someLog(60), () => 10, 50))).rejects.toThrow(/could not be written: EIO/);
    disk.failure = undefined;
    await expect(store.flushed()).rejects.toThrow(/EIO/);
    expect(store.progress('x')?.held).toBe(50);
    expect(failures).toEqual(["the learner's store could not be written: EIO"]);
  });
});

describe('damage', () => {
  const plant = async (change: (value: Uint8Array, slot: number) => Uint8Array | undefined): Promise<string> => {
    const disk = new MemoryDisk();
    const store = await openMemoryStore(disk, { identity: IDENTITY });
    await store.apply(batchesOf('x', someLog(100), () => 10));
    await store.close();
    disk.damage((key, value) => (key[0] === BATCH_KEY ? change(value, key[12] ?? 0) : value));
    const again = await openMemoryStore(disk, { identity: IDENTITY });
    try {
      again.lookup('x', '00'.repeat(16), 0, 1);
      return 'nothing was noticed';
    } catch (error) {
      expect(() => again.read('x', 0, EVERYTHING)).toThrow();
      return String(error);
    }
  };

  test('a missing batch is named with its log and slot', async () => {
    expect(await plant((value, slot) => (slot === 50 ? undefined : value))).toMatch(
      /log "x" .* has no batch for slot 50/,
    );
  });

  test('a batch that was cut is named with its slot', async () => {
    expect(await plant((value, slot) => (slot === 30 ? value.subarray(0, 40) : value))).toMatch(
      /damaged record at slot 30: /,
    );
  });

  test('an outcome that is not that of the log is found when it is applied again', async () => {
    // Byte 12 of a record is the number of exceptions here; a record without them says that every entry took effect.
    const found = await plant((value) => {
      const pairs = value[12] ?? 0;
      return pairs === 0 ? value : dropExceptions(value, pairs);
    });
    expect(found).toMatch(/R11: log "x", slot \d+ was stored as/);
  });

  test('negative control: an undamaged store notices nothing', async () => {
    expect(await plant((value) => value)).toBe('nothing was noticed');
  });
});

/** The record with its exceptions left out: every number in them is below 128 here. */
function dropExceptions(value: Uint8Array, pairs: number): Uint8Array {
  let at = 13;
  for (let i = 0; i < pairs; i++) at += value[at + 1] === 4 || value[at + 1] === 2 ? 3 : 2;
  return Uint8Array.from([...value.subarray(0, 12), 0, ...value.subarray(at)]);
}

describe('a process killed while it writes', () => {
  test('comes back with entries, applied slot and sessions that belong together', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'synod-kill-'));
    const entries = someLog(60_000);
    try {
      let before = 0;
      for (let round = 0; round < 3; round++) {
        const reported = await writeUntilKilled(folder);
        const store = await openLearnerStore({ folder, identity: IDENTITY });
        const { entries: read, sessions, next } = seen(store, 'x');
        // What the process had been told to be visible is still there.
        expect(next).toBeGreaterThanOrEqual(reported);
        expect(next).toBeGreaterThan(before);
        expect(read.map((e) => e.slot)).toEqual(Array.from({ length: next }, (_, i) => i));
        const table = new Sessions();
        for (const e of read) expect(table.apply(e.slot, entries[e.slot] ?? { kind: 'no-op' })).toEqual(e.applied);
        expect(Buffer.from(table.export()).toString('hex')).toBe(sessions);
        await store.apply(
          batchesOf('copy', entries.slice(store.progress('copy')?.next ?? 0, next), () => 200).map((b) => ({
            ...b,
            first: b.first + (store.progress('copy')?.next ?? 0),
          })),
        );
        expect(await digests(store, 'x')).toEqual(await digests(store, 'copy'));
        await store.close();
        before = next;
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);
});

/** Starts a process that applies the log as fast as it can, and kills it a few batches later. Returns what it had reported. */
async function writeUntilKilled(folder: string): Promise<number> {
  const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, ['--import', here('typescript.mjs'), here('writer.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  let reported = 0;
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    reported = Number(line);
    if (++lines === 20) child.kill('SIGKILL');
  }
  const [, signal] = (await ended) as [number | null, string | null];
  expect(signal).toBe('SIGKILL'); // control: it was in the middle of its work
  return reported;
}
