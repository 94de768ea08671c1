// Goal: what the learner keeps is a function of the log alone, comes back after any restart, and is reported as held only when
// it is durable. Method: the same logs through stores on disk and in memory, cut and restarted in different ways.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LIMITS } from '../../../shared/base/limits.ts';
import { Batch } from '../../../shared/base/batch.ts';
import { Prng } from '../../../shared/base/prng.ts';
import { encodeEntry } from '../../../shared/machine/entry.ts';
import { Sessions } from '../../../shared/machine/sessions.ts';
import type { LearnerStore } from '../../../shared/ports/learner-store.ts';
import {
  BALLOT,
  EVERYTHING,
  HOMES,
  IDENTITY,
  batchesOf,
  clientOf,
  command,
  digests,
  open,
  seen,
  someLog,
} from './support.ts';
import type { Home } from './support.ts';

describe.each(HOMES)('a learner store in $name', ({ make }) => {
  let home: Home;
  let store: LearnerStore;
  let spare: Home;

  beforeEach(async () => {
    home = await make();
    spare = await make();
    store = await home.open();
  });

  afterEach(async () => {
    await store.close();
    await home.remove();
    await spare.remove();
  });

  test('applies batches in order and reads back every slot with its ballot and outcome', async () => {
    const entries = [open(1), command(1, 0, 1), command(1, 0, 2), command(1, 0, 1), command(9, 9, 1), open(1)];
    const visited: string[] = [];
    await store.apply(
      batchesOf('x', entries, () => 4),
      (log, slot, entry, applied) => visited.push(`${log}/${String(slot)} ${entry.kind} ${applied.kind}`),
    );
    const read = store.read('x', 0, EVERYTHING);
    expect(read.map((e) => e.applied)).toEqual([
      { kind: 'opened', session: 0 },
      { kind: 'applied' },
      { kind: 'applied' },
      { kind: 'duplicate', slot: 1 },
      { kind: 'refused', reason: 'session-unknown' },
      { kind: 'opened', session: 0 },
    ]);
    expect(read.map((e) => e.entry)).toEqual(entries);
    expect(read.map((e) => Uint8Array.from(e.bytes))).toEqual(entries.map(encodeEntry));
    expect(read.every((e) => e.ballot.incarnation === BALLOT.incarnation && e.ballot.round === 3)).toBe(true);
    expect(visited).toEqual(read.map((e) => `x/${String(e.slot)} ${e.entry.kind} ${e.applied.kind}`));
  });

  test('reads from inside a batch, and stops at a limit of slots or of bytes', async () => {
    await store.apply(batchesOf('x', someLog(40), () => 9));
    const slots = (from: number, limits: { slots: number; bytes: number }): number[] =>
      store.read('x', from, limits).map((e) => e.slot);
    expect(slots(13, { slots: 8, bytes: 1e9 })).toEqual([13, 14, 15, 16, 17, 18, 19, 20]);
    expect(slots(13, { slots: 8, bytes: 1 })).toEqual([13]);
    expect(slots(40, EVERYTHING)).toEqual([]);
    expect(store.read('y', 0, EVERYTHING)).toEqual([]);
    const cut = store.readBatches('x', 13, 30, 1e9);
    expect(cut.map((b) => [b.first, b.batch.count])).toEqual([
      [13, 5],
      [18, 9],
      [27, 3],
    ]);
    expect(store.readBatches('x', 13, 30, 1).length).toBe(1);
  });

  test('shows what is applied only when it is committed, and holds only what is flushed', async () => {
    const held: number[] = [];
    store.onHeld = (log, slot) => held.push(slot);
    const applied = store.apply(batchesOf('x', someLog(10), () => 10));
    expect(store.progress('x')).toEqual({ log: 'x', next: 10, visible: 0, held: 0 });
    expect(store.read('x', 0, EVERYTHING)).toEqual([]);
    await applied;
    expect(store.progress('x')).toMatchObject({ visible: 10 });
    expect(store.read('x', 0, EVERYTHING).length).toBe(10);
    await store.flushed();
    expect(store.progress('x')).toMatchObject({ held: 10 });
    expect(held).toEqual([10]);
  });

  test('the digest does not depend on where batches begin and end, nor on their framing', async () => {
    const entries = someLog(1500);
    const other = await spare.open();
    try {
      const prng = new Prng(7);
      await store.apply(batchesOf('x', entries, () => 500));
      for (const batch of batchesOf('x', entries, () => 1 + prng.below(90))) await other.apply([batch]);
      expect(await digests(other, 'x')).toEqual(await digests(store, 'x'));
      expect((await digests(store, 'x')).length).toBe(6);

      // The same entry with its length written in two bytes instead of one.
      const value = encodeEntry(command(1, 1, 700));
      const wide = Batch.from(Uint8Array.from([0x0a, value.length | 128, 0, ...value]), 1);
      await store.apply([{ log: 'x', first: 1500, ballot: BALLOT, batch: wide }]);
      await other.apply([{ log: 'x', first: 1500, ballot: BALLOT, batch: Batch.of([value]) }]);
      expect(await digests(other, 'x')).toEqual(await digests(store, 'x'));
    } finally {
      await other.close();
    }
  });

  test('negative control: one different byte, or another order of two entries, changes the digest', async () => {
    const entries = someLog(600);
    await store.apply(batchesOf('x', entries, () => 100));
    const reference = await digests(store, 'x');
    const swapped = [...entries];
    [swapped[300], swapped[301]] = [entries[301] ?? open(0), entries[300] ?? open(0)];
    await store.apply(batchesOf('swapped', swapped, () => 100));
    const after = await digests(store, 'swapped');
    expect(after[0]).toBe(reference[0]);
    expect(after[1]).not.toBe(reference[1]);
    expect(after[2]).not.toBe(reference[2]);
  });

  test.each([1, 37, 256, 10_000])(
    'comes back after restarts in the middle of a block, with session rows written every %i slots',
    async (saveSlots) => {
      const entries = someLog(1300);
      await store.apply(batchesOf('whole', entries, () => 100));
      const prng = new Prng(saveSlots);
      const batches = batchesOf('x', entries, () => 1 + prng.below(150));
      for (const batch of batches) {
        await store.apply([batch]);
        if (!prng.chance(0.25)) continue;
        const before = seen(store, 'x');
        await store.close();
        store = await home.open({ saveSlots });
        expect(seen(store, 'x')).toEqual(before);
      }
      expect(await digests(store, 'x')).toEqual(await digests(store, 'whole'));
      expect(seen(store, 'x').sessions).toBe(seen(store, 'whole').sessions);
    },
  );

  test('the session table is that of the same log applied without a store', async () => {
    const entries = someLog(900);
    const sessions = new Sessions();
    entries.forEach((entry, slot) => sessions.apply(slot, entry));
    await store.apply(batchesOf('x', entries, () => 64));
    expect(Buffer.from(store.sessionsAtLeast('x', 900)?.bytes ?? []).equals(sessions.export())).toBe(true);
    expect(store.sessionsAtLeast('x', 901)).toBeUndefined();
    expect(store.sessionOf('x', clientOf(3))).toBe(3);
    expect(store.lookup('x', clientOf(3), 3, 100_000)).toEqual({ kind: 'refused', reason: 'above-window' });
    expect(store.lookup('y', clientOf(3), 3, 1)).toEqual({ kind: 'refused', reason: 'session-unknown' });
    expect(store.sessionsAtLeast('y', 0)?.next).toBe(0);
  });

  test('sessions that expired stay expired after a restart', async () => {
    const many = Array.from({ length: LIMITS.sessionsMax + 300 }, (_, i) => open(i));
    await store.apply(batchesOf('x', many, () => 1000));
    const before = seen(store, 'x');
    await store.close();
    store = await home.open();
    expect(seen(store, 'x').sessions).toBe(before.sessions);
    expect(store.lookup('x', clientOf(299), 299, 1)).toEqual({ kind: 'refused', reason: 'session-expired' });
    expect(store.lookup('x', clientOf(300), 300, 1)).toEqual({ kind: 'new' });
  });

  test('many logs share a small cache, and each is read again where it was', async () => {
    await store.close();
    store = await home.open({ cacheBytesMax: 5000 });
    const names = Array.from({ length: 30 }, (_, i) => `log-${String(i)}`);
    const logs = names.map((name, i) => batchesOf(name, someLog(300, i), () => 50));
    for (let step = 0; step < 6; step++) await store.apply(logs.flatMap((batches) => batches[step] ?? []));
    for (const [i, name] of names.entries()) {
      await store.apply(batchesOf(`again-${name}`, someLog(300, i), () => 300));
      expect(await digests(store, name)).toEqual(await digests(store, `again-${name}`));
      expect(seen(store, name).sessions).toBe(seen(store, `again-${name}`).sessions);
    }
    expect([...store.logs()].length).toBe(60);
  });

  test('stops for ever at a gap and at an entry of an unknown kind, and keeps nothing of that call', async () => {
    const failures: string[] = [];
    await store.apply(batchesOf('x', someLog(10), () => 10));
    store.onFailed = (error) => failures.push(error.message);
    const [late] = batchesOf('x', someLog(20), () => 5, 15);
    await expect(store.apply(late === undefined ? [] : [late])).rejects.toThrow(
      /R11: log "x" goes on at slot 10, not 15/,
    );
    await expect(store.apply([])).rejects.toThrow(/R11/);
    expect(() => store.read('x', 0, EVERYTHING)).toThrow(/R11/);
    expect(failures.length).toBe(1);
    await store.close();

    store = await home.open();
    const unknown = {
      log: 'x',
      first: 10,
      ballot: BALLOT,
      batch: Batch.of([encodeEntry(open(1)), Uint8Array.of(8, 99)]),
    };
    await expect(store.apply([unknown])).rejects.toThrow(/R11: slot 11 holds an entry of kind 99/);
    await store.close();
    store = await home.open();
    expect(store.progress('x')).toEqual({ log: 'x', next: 10, visible: 10, held: 10 });
  });

  test('keeps what it is told to remember of an acceptor', async () => {
    store.remember(2, { start: 3, draw: 7, position: 100 });
    store.remember(2, { start: 4, draw: 8, position: 200 });
    store.remember(5, { start: 1, draw: 9, position: -1 });
    await store.flushed();
    await store.close();
    store = await home.open();
    expect(store.remembered(2)).toEqual({ start: 4, draw: 8, position: 200 });
    expect(store.remembered(5)).toEqual({ start: 1, draw: 9, position: -1 });
    expect(store.remembered(1)).toBeUndefined();
  });

  test('keeps the disk id of its first start, and refuses another cluster or learner', async () => {
    await store.close();
    store = await home.open({ identity: { ...IDENTITY, disk: 'd2' } });
    expect(store.identity).toEqual(IDENTITY);
    await store.close();
    await expect(home.open({ identity: { ...IDENTITY, cluster: 'c2' } })).rejects.toThrow(
      /belongs to learner l1 of cluster c1/,
    );
    await expect(home.open({ identity: { ...IDENTITY, learner: 'l2' } })).rejects.toThrow(/this is learner l2/);
    store = await home.open();
  });

  describe('a snapshot', () => {
    test('brings another learner, from any slot, to the same entries, sessions and digests', async () => {
      const entries = someLog(1700);
      await store.apply(batchesOf('x', entries, () => 77));
      const other = await spare.open({ saveSlots: 100 });
      try {
        await other.apply(batchesOf('x', entries.slice(0, 333), () => 50));
        const header = await store.snapshot('x', 333);
        const incoming = await other.importSnapshot(header);
        for (let at = header.from; at < header.upTo;) {
          const batches = store.readBatches('x', at, header.upTo, 3000);
          await incoming.add(batches);
          at = batches.reduce((_, b) => b.first + b.batch.count, at);
          expect(other.progress('x')).toMatchObject({ next: 333, visible: 333 });
          expect(other.digestAt('x', 512)).toBeUndefined();
        }
        expect(header.upTo).toBe(1700);
        await expect(other.apply(batchesOf('x', entries, () => 5, 333))).rejects.toThrow(/being taken from a snapshot/);
        await incoming.finish();
        expect(seen(other, 'x')).toEqual(seen(store, 'x'));
        // Also where the log ends, and only there.
        expect(other.digestAt('x', 1700)).toEqual(header.digest);
        expect(store.digestAt('x', 1700)).toEqual(header.digest);
        expect([other.digestAt('x', 1699), other.digestAt('x', 1701)]).toEqual([undefined, undefined]);
        const more = batchesOf('x', someLog(1900), () => 60, 1700);
        await store.apply(more);
        await other.apply(more);
        expect(await digests(other, 'x')).toEqual(await digests(store, 'x'));
      } finally {
        await other.close();
      }
      const again = await spare.open();
      expect(await digests(again, 'x')).toEqual(await digests(store, 'x'));
      expect(seen(again, 'x').sessions).toBe(seen(store, 'x').sessions);
      await again.close();
    });

    test('that does not end in its digest is dropped whole, and can be taken again', async () => {
      await store.apply(batchesOf('x', someLog(600), () => 77));
      await store.apply(batchesOf('y', someLog(600, 2), () => 77));
      const other = await spare.open();
      try {
        const header = await store.snapshot('x', 0);
        const wrong = await other.importSnapshot(header);
        await wrong.add(store.readBatches('y', 0, 600, 1e9).map((b) => ({ ...b, log: 'x' })));
        await expect(wrong.finish()).rejects.toThrow(/with digest .* it reached slot 600 with .*another learner/);
        expect(other.progress('x')).toMatchObject({ next: 0, visible: 0 });
        expect(other.read('x', 0, EVERYTHING)).toEqual([]);

        const right = await other.importSnapshot(header);
        await right.add(store.readBatches('x', 0, 600, 1e9));
        await right.finish();
        expect(seen(other, 'x')).toEqual(seen(store, 'x'));
      } finally {
        await other.close();
      }
    });

    test('that was never finished leaves nothing behind after a restart', async () => {
      await store.apply(batchesOf('x', someLog(600), () => 77));
      const other = await spare.open();
      const half = await other.importSnapshot(await store.snapshot('x', 0));
      await half.add(store.readBatches('x', 0, 400, 1e9));
      await other.close();
      const again = await spare.open();
      expect(again.progress('x')).toMatchObject({ next: 0, visible: 0, held: 0 });
      await again.apply(batchesOf('x', someLog(600), () => 50));
      expect(await digests(again, 'x')).toEqual(await digests(store, 'x'));
      await again.close();
    });

    test('of an unknown log, of slots that are not here, or with a batch out of order is refused', async () => {
      await store.apply(batchesOf('x', someLog(100), () => 10));
      await expect(store.snapshot('nope', 0)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(store.snapshot('x', 101)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
      await expect(store.importSnapshot({ log: 'x', from: 5, upTo: 9, digest: new Uint8Array(32) })).rejects.toThrow(
        /begins at slot 5; this learner goes on at 100/,
      );
      const other = await spare.open();
      const incoming = await other.importSnapshot(await store.snapshot('x', 0));
      await expect(incoming.add(store.readBatches('x', 10, 20, 1e9))).rejects.toThrow(/goes on at slot 0/);
      await incoming.abort();
      await other.close();
    });
  });
});
