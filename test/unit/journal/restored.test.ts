/**
 * Goal: the folder of a restored acceptor lets no slot below a log's end be decided anew (R10), belongs to its roster alone (R5), and
 * is whole or nobody's. Method: a disk in memory, which also dies between any two operations; the acceptor that ships reads it back.
 */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { Batch } from '../../../shared/base/batch.ts';
import { Prng } from '../../../shared/base/prng.ts';
import { openJournal, openStamp, readRoster, verifyJournal, writeRestored } from '../../../shared/journal/index.ts';
import type { RestoredAcceptor } from '../../../shared/journal/index.ts';
import { Acceptor } from '../../../shared/paxos/acceptor.ts';
import { CLASSIC, type Ballot } from '../../../shared/paxos/ballot.ts';
import { contradiction } from '../../../shared/paxos/introduction.ts';
import type { FromAcceptor, Prepare } from '../../../shared/paxos/messages.ts';
import type { Disk } from '../../../shared/ports/disk.ts';
import { replay } from '../../../shared/runtime/acceptor-node.ts';
import { decodeRecord } from '../../../shared/wire/codec/record.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';

const OWNER = { cluster: 'new', configuration: '0123456789abcdef', role: 'acceptor', id: 2 } as const;
const DISKS = new Map([1, 2, 3].map((id) => [id, String(id).repeat(32)] as const));
const INCARNATION = '00000000000000aa';
const P9: Ballot = { round: 7, proposer: 9, incarnation: '00000000000000bb', kind: CLASSIC };

const plan = (ends: Record<string, number>): RestoredAcceptor => ({
  ...{ owner: OWNER, disks: DISKS, incarnation: INCARNATION },
  ends: new Map(Object.entries(ends)),
});

async function readBack(disk: Disk): Promise<Acceptor> {
  const stamp = await openStamp(disk, OWNER, () => 'f'.repeat(32));
  expect([stamp.disk, stamp.begun]).toEqual([DISKS.get(2), true]);
  const { journal, heads, verdict } = await openJournal(disk, {
    ...{ identity: { cluster: 'new', acceptor: 2, disk: stamp.disk }, create: false },
    ...{ segmentBytes: 64 * 1024, bytesMax: 8 * 1024 * 1024, reserveBytes: 128 * 1024 },
    head: () => [],
    onFatal: (error) => {
      throw error;
    },
  });
  expect(verdict.kind).toBe('clean');
  const machine = new Acceptor(journal.newest + 1);
  await replay(machine, journal, heads, decodeRecord);
  await journal.close();
  return machine;
}

/** What an acceptor says to a proposer that nobody knows yet. */
function ask(machine: Acceptor, message: Parameters<typeof said>[1]): FromAcceptor | undefined {
  return said(machine, message);
}

function said(machine: Acceptor, message: Prepare | Parameters<typeof accept>[0]): FromAcceptor | undefined {
  const owner = { proposer: P9.proposer, incarnation: P9.incarnation };
  const effects = machine.step(
    { kind: 'proposer', from: 's', owner, message: message.kind === 'prepare' ? message : accept(message) },
    { now: 1_000, random: 0.5 },
  );
  for (const effect of effects) if (effect.kind === 'reply') return effect.message;
  return undefined;
}

function accept({ log, first }: { readonly kind: 'accept'; readonly log: string; readonly first: number }) {
  const batch = Batch.of([Buffer.from('another value')]);
  return { kind: 'accept', log, ballot: P9, first, batch, watermark: 0 } as const;
}

const prepare = (log: string, from: number, to?: number): Prepare => ({
  ...{ kind: 'prepare', log, ballot: P9, from, to, fromWatermark: false },
  ...{ purpose: 'lead', ask: false, override: false },
});

let disk: MemoryDisk;
beforeEach(() => {
  disk = new MemoryDisk();
});

describe('the folder of a restored acceptor', () => {
  test('refuses to promise and to vote below the end of every log, and takes what comes from there on', async () => {
    await writeRestored(disk, plan({ orders: 1007, primary: 1, __own: 4 }));
    const machine = await readBack(disk);
    expect(machine.logs).toBe(3);
    expect(ask(machine, prepare('primary', 0, 1))).toMatchObject({ kind: 'rejected', reason: 'floor', floor: 1 });
    const promised = ask(machine, prepare('orders', 0));
    expect(promised).toMatchObject({ kind: 'promised', from: 1007, votes: [], watermark: 1007, floor: 1007 });
    expect(ask(machine, { kind: 'accept', log: 'orders', first: 1006 })).toMatchObject({
      ...{ kind: 'rejected', reason: 'floor' },
    });
    expect(ask(machine, { kind: 'accept', log: 'orders', first: 1007 })).toMatchObject({ kind: 'accepted' });
  });

  test('the control: an empty disk takes any slot', () => {
    const machine = new Acceptor(0);
    expect(ask(machine, prepare('orders', 0))).toMatchObject({ kind: 'promised', from: 0, floor: 0 });
    expect(ask(machine, { kind: 'accept', log: 'orders', first: 3 })).toMatchObject({ kind: 'accepted' });
  });

  test('holds the roster of all restored disks, pending, and counts the restore as a start, which learners are to remember', async () => {
    const remembered = await writeRestored(disk, plan({ a: 1 }));
    expect(await readRoster(disk)).toEqual({
      ...{ roster: { kind: 'pending', disks: DISKS }, start: 1_000_000, remembered: new Map() },
    });
    expect(remembered).toEqual({ start: 1_000_000, draw: 0, position: 0 });
    // Its first process is a later start, from a disk that holds as much; an empty disk under its number never is (R5).
    expect(contradiction({ start: 1_000_001, draw: 7, position: 0 }, remembered)).toBeUndefined();
    expect(contradiction({ start: 1, draw: 7, position: 900 }, remembered)).toContain('remembers start 1000000');
  });

  test('takes as many logs as there may be, in one segment', async () => {
    const ends = Object.fromEntries(
      Array.from({ length: 1_500 }, (_, i) => [`log ${'x'.repeat(200)} ${String(i)}`, i + 1]),
    );
    await writeRestored(disk, plan(ends));
    const report = await verifyJournal(disk);
    expect([report.verdict.kind, report.segments.length, report.entries]).toEqual(['clean', 1, 1_500]);
    const machine = await readBack(disk);
    expect([...machine.status()].every(({ log, floor }) => floor === ends[log])).toBe(true);
  });

  test('without logs is that of an acceptor that never voted', async () => {
    await writeRestored(disk, plan({}));
    expect((await readBack(disk)).logs).toBe(0);
  });

  test('is not made where anything is already', async () => {
    await writeRestored(disk, plan({ a: 1 }));
    const before = await disk.list();
    await expect(writeRestored(disk, plan({ a: 2 }))).rejects.toThrow('the data folder is not empty');
    expect(await disk.list()).toEqual(before);
    expect(ask(await readBack(disk), prepare('a', 0))).toMatchObject({ floor: 1 });
  });

  test('that a crash left between any two operations is whole or starts no acceptor', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const prng = new Prng(seed);
      const dying = new MemoryDisk();
      dying.diesAt = prng.below(80);
      void writeRestored(dying, plan({ a: 5, b: 9 })).catch(() => undefined);
      for (let turn = 0; turn < 400; turn++) await Promise.resolve();
      const left = dying.crash(prng);
      const names = await left.list();
      if (names.length === 0) continue;
      if (!names.includes('identity.json')) {
        // Not a first start either: that would be an empty disk in the place of this one.
        await expect(openStamp(left, OWNER, () => 'f'.repeat(32))).rejects.toThrow('not empty');
        seen.add("nobody's");
        continue;
      }
      const floors = [...(await readBack(left)).status()].map(({ log, floor }) => [log, floor]);
      expect(floors).toEqual([
        ['a', 5],
        ['b', 9],
      ]);
      seen.add('whole');
    }
    expect([...seen].sort()).toEqual(["nobody's", 'whole']);
  });
});
