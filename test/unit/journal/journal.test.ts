import { describe, expect, test } from '@jest/globals';
import { Prng } from '../../../shared/base/prng.ts';
import { dumpJournal, verifyJournal } from '../../../shared/journal/index.ts';
import { diskError, MemoryDisk } from '../../support/memory-disk.ts';
import { appendSynced, entry, open, positions, range, readAll, SEGMENT, settled } from './support.ts';

/** Holds operations of one kind back until they are let go, one at a time. */
function holdSyncs(disk: MemoryDisk): { readonly held: () => number; readonly letGo: () => Promise<void> } {
  const waiting: (() => void)[] = [];
  disk.gate = (op) =>
    op.kind === 'sync' && op.name === '0000000000.seg' ? new Promise((done) => waiting.push(done)) : undefined;
  return {
    held: () => waiting.length,
    letGo: async () => {
      waiting.shift()?.();
      await settled();
    },
  };
}

/** The files of segments are renamed, but a handle keeps the name under which it was opened. */
async function reopened(disk: MemoryDisk, ...[change]: [Parameters<typeof open>[1]?]): ReturnType<typeof open> {
  const { journal } = await open(disk, change);
  await settled();
  await journal.close();
  return open(disk, { ...change, create: false });
}

describe('appending', () => {
  test('positions count entries from 0 and go on after a restart', async () => {
    const disk = new MemoryDisk();
    const { journal, verdict } = await open(disk);
    expect(verdict).toEqual({ kind: 'new' });
    expect([journal.newest, journal.synced]).toEqual([-1, -1]);
    expect(journal.append(entry(0))).toBe(0);
    expect(journal.append(entry(1))).toBe(1);
    await journal.close();
    const again = await open(disk, { create: false });
    expect(again.verdict).toEqual({ kind: 'clean' });
    expect(again.journal.append(entry(2))).toBe(2);
    await settled();
    expect(await positions(again.journal)).toEqual([0, 1, 2]);
  });

  test('nothing is reported as synced before its fdatasync returned (R3)', async () => {
    const disk = new MemoryDisk();
    const { journal } = await reopened(disk);
    const syncs = holdSyncs(disk);
    const reported: number[] = [];
    journal.onSynced = (synced) => reported.push(synced);
    journal.append(entry(0));
    await settled();
    expect(syncs.held()).toBe(1);
    expect([journal.synced, reported]).toEqual([-1, []]);
    await syncs.letGo();
    expect([journal.synced, reported]).toEqual([0, [0]]);
  });

  test('what is appended while a sync runs becomes one record, with one sync', async () => {
    const disk = new MemoryDisk();
    const { journal } = await reopened(disk);
    const syncs = holdSyncs(disk);
    const reported: number[] = [];
    journal.onSynced = (synced) => reported.push(synced);
    journal.append(entry(0));
    await settled();
    for (const i of range(1, 10)) journal.append(entry(i));
    await settled();
    expect(syncs.held()).toBe(1);
    await syncs.letGo();
    await syncs.letGo();
    expect(reported).toEqual([0, 9]);
    expect(syncs.held()).toBe(0);
  });

  test('entries in the queue and in flight are read too', async () => {
    const disk = new MemoryDisk();
    const { journal } = await reopened(disk);
    await appendSynced(journal, 3);
    holdSyncs(disk);
    journal.append(entry(3));
    await settled();
    journal.append(entry(4));
    expect(journal.synced).toBe(2);
    expect(await positions(journal)).toEqual([0, 1, 2, 3, 4]);
    expect(await positions(journal, 1, 3)).toEqual([1, 2, 3]);
    expect(await positions(journal, 4)).toEqual([4]);
  });

  test('an entry that no segment can take is refused and changes nothing', async () => {
    const { journal } = await open(new MemoryDisk());
    expect(() => journal.append(new Uint8Array(journal.entryBytesMax + 1))).toThrow(/journal\.segment\.bytes/);
    expect(journal.newest).toBe(-1);
    expect(journal.append(new Uint8Array(journal.entryBytesMax))).toBe(0);
    await settled();
    expect(journal.synced).toBe(0);
  });

  test('an empty entry is an entry', async () => {
    const { journal } = await open(new MemoryDisk());
    journal.append(new Uint8Array(0));
    await settled();
    expect((await readAll(journal)).map(([p, bytes]) => [p, bytes.length])).toEqual([[0, 0]]);
  });

  test('options that do not fit together are refused with the numbers', async () => {
    await expect(open(new MemoryDisk(), { segmentBytes: 1000 })).rejects.toThrow(/1000.*multiple of 512/);
    await expect(open(new MemoryDisk(), { bytesMax: SEGMENT })).rejects.toThrow(/journal\.bytes\.max is 16384/);
    await expect(open(new MemoryDisk(), { reserveBytes: 0 })).rejects.toThrow(/reserve/);
  });
});

describe('segments', () => {
  test('entries go on over segments, and reads cross them', async () => {
    const disk = new MemoryDisk();
    const { journal } = await open(disk);
    for (let i = 0; i < 30; i++) await appendSynced(journal, 4, 500);
    expect((await disk.list()).filter((name) => name.endsWith('.seg')).length).toBeGreaterThan(4);
    expect(await positions(journal)).toEqual(range(0, 120));
    expect(await positions(journal, 50, 70)).toEqual(range(50, 71));
    await journal.close();
    const again = await open(disk, { create: false });
    expect(await positions(again.journal)).toEqual(range(0, 120));
  });

  test('a reader that has enough is asked no more', async () => {
    const { journal } = await open(new MemoryDisk());
    await appendSynced(journal, 10, 500);
    const seen: number[] = [];
    await journal.read(2, 9, (position) => seen.push(position) < 3);
    expect(seen).toEqual([2, 3, 4]);
  });

  test('after a trim the head of the oldest segment and the entries behind it are all there is', async () => {
    const disk = new MemoryDisk();
    let appended = 0;
    const head = (): Uint8Array[] => [entry(appended), entry(appended + 1, 3000)];
    const { journal } = await open(disk, { head });
    for (; appended < 60; appended++) await appendSynced(journal, 1, 1000);
    expect((await reopenOf(disk)).heads).toEqual([]);
    await journal.trim(40);
    expect(journal.first).toBeGreaterThan(30);
    expect(journal.first).toBeLessThanOrEqual(40);
    expect(await positions(journal)).toEqual(range(journal.first, 60));
    await journal.close();
    const again = await open(disk, { create: false });
    expect(again.journal.first).toBe(journal.first);
    expect(again.heads).toEqual([entry(journal.first), entry(journal.first + 1, 3000)]);
    expect(await positions(again.journal)).toEqual(range(journal.first, 60));
  });

  async function reopenOf(disk: MemoryDisk): ReturnType<typeof open> {
    return open(disk.clone(), { create: false });
  }

  test('a trim never deletes the segment that is being written, nor one with an entry that is kept', async () => {
    const { journal } = await open(new MemoryDisk());
    await appendSynced(journal, 5, 1000);
    await journal.trim(1000);
    expect(journal.first).toBe(0);
    for (let i = 0; i < 40; i++) await appendSynced(journal, 1, 1000);
    for (let below = 0; below <= 45; below++) {
      await journal.trim(below);
      expect(journal.first).toBeLessThanOrEqual(below);
    }
    expect(await positions(journal)).toEqual(range(journal.first, 45));
  });

  test('while a segment begins, no other is prepared under its number', async () => {
    const disk = new MemoryDisk();
    const { journal } = await open(disk);
    const held: (() => void)[] = [];
    disk.gate = (op) => (op.kind === 'rename' ? new Promise((done) => held.push(done)) : undefined);
    for (let i = 0; i < 20; i++) journal.append(entry(i, 1000));
    await settled();
    expect(held).toHaveLength(1);
    journal.seekRoom();
    await settled();
    disk.gate = () => undefined;
    for (const done of held) done();
    await settled();
    expect(await positions(journal)).toEqual(range(0, 20));
    await journal.close();
    expect(await positions((await open(disk, { create: false })).journal)).toEqual(range(0, 20));
  });

  test('a head larger than a segment makes a larger segment', async () => {
    const disk = new MemoryDisk();
    const heads = range(0, 100).map((i) => entry(i, 1000));
    const { journal } = await open(disk, { head: () => heads });
    for (let i = 0; i < 20; i++) await appendSynced(journal, 1, 1000);
    await journal.trim(19);
    expect(journal.first).toBeGreaterThan(0);
    await journal.close();
    const again = await open(disk, { create: false });
    expect(again.heads).toEqual(heads);
    expect(await positions(again.journal)).toEqual(range(journal.first, 20));
  });

  test('a read goes on while its segment is trimmed', async () => {
    const { journal } = await open(new MemoryDisk());
    for (let i = 0; i < 40; i++) await appendSynced(journal, 1, 1000);
    const seen: number[] = [];
    let trimmed: Promise<void> | undefined;
    await journal.read(0, 39, (position) => {
      trimmed ??= journal.trim(39);
      return seen.push(position) > 0;
    });
    await trimmed;
    expect(seen[0]).toBe(0);
    expect(seen[seen.length - 1]).toBe(39);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    expect(journal.first).toBeGreaterThan(30);
  });
});

describe('marks', () => {
  test('when idle, one sync mark follows the last write (R6)', async () => {
    const disk = new MemoryDisk();
    const { journal } = await open(disk);
    await appendSynced(journal, 1);
    expect((await open(disk.clone())).verdict.kind).toBe('unmarked');
    journal.idle();
    journal.idle();
    await settled();
    journal.idle();
    await settled();
    expect((await open(disk.clone())).verdict.kind).toBe('clean');
    const marks: unknown[] = [];
    await dumpJournal(disk, (item) => item.kind === 'mark' && marks.push(item));
    expect(marks).toHaveLength(1);
  });

  test('a journal that was closed ends with a mark', async () => {
    const disk = new MemoryDisk();
    const { journal } = await open(disk);
    journal.append(entry(0));
    await journal.close();
    expect((await verifyJournal(disk)).verdict).toEqual({ kind: 'clean' });
    expect(() => journal.append(entry(1))).toThrow(/closed/);
    await expect(journal.read(0, 1, () => true)).rejects.toThrow(/closed/);
  });
});

describe('failures of the disk', () => {
  test.each(['write', 'sync'] as const)(
    'a failed %s is told once, and nothing after it is reported (R4)',
    async (kind) => {
      const disk = new MemoryDisk();
      const fatal: Error[] = [];
      const { journal } = await open(disk, { onFatal: (error) => fatal.push(error) });
      await appendSynced(journal, 1);
      disk.fault = (op) => (op.kind === kind ? diskError('EIO', 'i/o error') : undefined);
      const reported: number[] = [];
      journal.onSynced = (synced) => reported.push(synced);
      journal.append(entry(1));
      await settled();
      disk.fault = () => undefined;
      const before = disk.operations;
      expect(() => journal.append(entry(2))).toThrow(/failed/);
      journal.idle();
      await expect(journal.trim(1)).rejects.toThrow();
      await settled();
      expect(disk.operations).toBe(before);
      expect(fatal.map((error) => error.message)).toEqual(['EIO: i/o error']);
      expect([journal.synced, reported, journal.hasRoom]).toEqual([0, [], false]);
    },
  );

  test('after a failed sync the last write may be in the cache only: a start writes it again before it speaks (R6)', async () => {
    for (const restart of [true, false]) {
      const disk = new MemoryDisk();
      const { journal } = await open(disk, { onFatal: () => undefined });
      await appendSynced(journal, 1);
      disk.fault = (op) => (op.kind === 'sync' ? diskError('EIO', 'i/o error') : undefined);
      journal.append(entry(1));
      await settled();
      let next = disk.kill();
      if (restart) {
        const again = await open(next, { create: false });
        expect(again.verdict).toMatchObject({ kind: 'unmarked', position: 1 });
        expect(again.journal.synced).toBe(1);
      }
      next = next.crash(new NeverKeeps());
      const { journal: last } = await open(next, { create: false });
      // The control: without that start the entry is really gone.
      expect(await positions(last)).toEqual(restart ? [0, 1] : [0]);
    }
  });

  test('want of space shows only while the next segment is preallocated, refuses work and recovers (R4)', async () => {
    const disk = new MemoryDisk();
    disk.capacity = 2.5 * SEGMENT;
    const fatal: Error[] = [];
    const { journal } = await open(disk, { onFatal: (error) => fatal.push(error) });
    await settled();
    expect(journal.hasRoom).toBe(true);
    let refusal: unknown;
    for (let i = 0; i < 60 && refusal === undefined; i++) {
      try {
        journal.append(entry(i, 1000));
      } catch (error) {
        refusal = error;
      }
      await settled();
    }
    expect(refusal).toMatchObject({ code: 'RESOURCE_EXHAUSTED', outcome: 'none' });
    expect(journal.hasRoom).toBe(false);
    expect(journal.synced).toBe(journal.newest);
    const before = journal.newest;
    expect((await disk.list()).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    journal.seekRoom();
    await settled();
    expect(journal.hasRoom).toBe(false);
    disk.capacity = Infinity;
    journal.seekRoom();
    await settled();
    expect(journal.hasRoom).toBe(true);
    await appendSynced(journal, 30, 1000);
    expect(fatal).toEqual([]);
    expect(await positions(journal)).toEqual(range(0, before + 31));
  });

  test('a start on a full disk writes the last write again where it stands, and does so at every start (R6)', async () => {
    for (const restarts of [0, 1, 3]) {
      const disk = new MemoryDisk();
      const { journal } = await open(disk, { onFatal: () => undefined });
      await appendSynced(journal, 1);
      disk.fault = (op) => (op.kind === 'sync' ? diskError('EIO', 'i/o error') : undefined);
      journal.append(entry(1));
      await settled();
      let next = disk.kill();
      for (let i = 0; i < restarts; i++) {
        next.capacity = 0;
        const again = await open(next, { create: false });
        await settled();
        expect(again.verdict).toMatchObject({ kind: 'unmarked', position: 1 });
        expect([again.journal.synced, again.journal.hasRoom]).toEqual([1, false]);
        expect((await next.list()).filter((name) => name.endsWith('.seg'))).toEqual(['0000000000.seg']);
        next = next.kill();
      }
      next = next.crash(new NeverKeeps());
      next.capacity = Infinity;
      const { journal: last } = await open(next, { create: false });
      // The control: without such a start the entry is really gone.
      expect(await positions(last)).toEqual(restarts > 0 ? [0, 1] : [0]);
    }
  });

  test('what the journal says it takes is what it takes, until nothing is left', async () => {
    const disk = new MemoryDisk();
    disk.capacity = 2.5 * SEGMENT;
    const { journal } = await open(disk);
    await settled();
    expect(journal.room).toBe(Infinity);
    let refused = 0;
    for (let i = 0; i < 200; i++) {
      const size = [1000, 17, 436][i % 3] ?? 0;
      const fits = size <= journal.room;
      if (fits) journal.append(entry(journal.newest + 1, size));
      else refused++;
      if (i % 5 === 0) await settled();
    }
    await settled();
    expect(refused).toBeGreaterThan(10);
    expect(journal.synced).toBe(journal.newest);
    expect(() => {
      for (;;) journal.append(entry(journal.newest + 1, 1000));
    }).toThrow(/free space/);
  });

  test('a trim works on a full disk and makes room', async () => {
    const disk = new MemoryDisk();
    disk.capacity = 3.5 * SEGMENT;
    const { journal } = await open(disk);
    await settled();
    for (let i = 0; journal.hasRoom && i < 60; i++) await appendSynced(journal, 1, 1000);
    expect(journal.hasRoom).toBe(false);
    await journal.trim(journal.newest);
    await settled();
    expect(journal.first).toBeGreaterThan(0);
    expect(journal.hasRoom).toBe(true);
  });

  test('any other failure of a preallocation ends the process, also before the journal is handed to its owner (R4)', async () => {
    const disk = new MemoryDisk();
    disk.fault = (op) =>
      op.kind === 'write' && op.name === '0000000001.tmp' ? diskError('EIO', 'i/o error') : undefined;
    const fatal: Error[] = [];
    await open(disk, { onFatal: (error) => fatal.push(error) });
    await settled();
    expect(fatal).toHaveLength(1);
  });

  test('at its limit the journal has no room, but its reserve takes what must be taken', async () => {
    const { journal } = await open(new MemoryDisk(), { bytesMax: 2 * SEGMENT, reserveBytes: 2 * SEGMENT });
    await settled();
    let roomEndedAt = -1;
    let refusedAt = -1;
    for (let i = 0; refusedAt < 0; i++) {
      try {
        journal.append(entry(i, 1000));
      } catch {
        refusedAt = i;
      }
      await settled();
      if (roomEndedAt < 0 && !journal.hasRoom) roomEndedAt = i;
      expect(journal.bytes).toBeLessThanOrEqual(4 * SEGMENT);
    }
    expect(roomEndedAt).toBeGreaterThan(0);
    expect(refusedAt).toBeGreaterThan(roomEndedAt + 8);
    await journal.trim(refusedAt);
    await settled();
    expect(journal.hasRoom).toBe(true);
    await appendSynced(journal, 5, 1000);
  });
});

describe('reading from outside', () => {
  test('verify and dump read a journal that is in use and change nothing', async () => {
    const disk = new MemoryDisk();
    const { journal } = await open(disk, { head: () => [entry(7)] });
    for (let i = 0; i < 20; i++) await appendSynced(journal, 1, 1000);
    disk.fault = (op) =>
      ['write', 'rename', 'remove', 'sync', 'truncate'].includes(op.kind) ? diskError('EROFS', op.kind) : undefined;
    const report = await verifyJournal(disk);
    expect(report).toMatchObject({ verdict: { kind: 'unmarked' }, entries: 20, first: 0, newest: 19 });
    expect(report.identity).toEqual({ cluster: 'test', acceptor: 1, disk: '0123456789abcdef0123456789abcdef' });
    const kinds = new Map<string, number>();
    await dumpJournal(disk, ({ kind }) => kinds.set(kind, (kinds.get(kind) ?? 0) + 1));
    expect(kinds.get('entry')).toBe(20);
    expect(kinds.get('segment')).toBe(report.segments.length);
    expect(kinds.get('head')).toBe(report.segments.length - 1);
  });

  test('a folder without a journal is new', async () => {
    expect(await verifyJournal(new MemoryDisk())).toMatchObject({ verdict: { kind: 'new' }, entries: 0, newest: -1 });
  });
});

/** The worst loss of power: nothing that was not synced survives. */
class NeverKeeps extends Prng {
  constructor() {
    super(1);
  }
  override pick<T>(items: readonly T[]): T {
    const first = items[0];
    if (first === undefined) throw new Error('nothing to pick');
    return first;
  }
}
