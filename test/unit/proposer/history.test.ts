/** Goal: a proposer remembers what became of proposals, newest first, in bounded memory. Method: the ring by itself. */
import { describe, expect, test } from '@jest/globals';
import { History } from '../../../services/proposer/history.ts';
import { encodeEntry } from '../../../shared/machine/entry.ts';
import type { Answer, Refused } from '../../../shared/paxos/peers.ts';
import type { Proposal } from '../../../shared/paxos/proposing.ts';
import { classic } from '../paxos/support.ts';

const CLIENT = 'ab'.repeat(16);
const ballot = classic(2);

function history(proposalsMax = 8, bytesMax = 1 << 20): History {
  let now = 1_000;
  return new History({ proposalsMax, bytesMax, wallNow: () => now++ });
}

function proposal(sequence: number, change: Partial<Proposal> = {}): Proposal {
  const payload = new Uint8Array(100);
  const entry = encodeEntry({ kind: 'command', client: CLIENT, session: 3, sequence, acknowledged: 0, payload });
  return {
    ...{
      token: sequence,
      log: 'orders',
      entry,
      retry: false,
      sent: true,
      done: true,
      since: 0,
      deadline: 1,
      via: undefined,
    },
    ...{
      relayed: false,
      progress: false,
      protocol: 'multi',
      cameAsRetry: false,
      lastSlot: -1,
      earlierSlot: -1,
      rounds: 1,
    },
    ...change,
  };
}

const chosen = (slot: number, change: Partial<Answer & { kind: 'chosen' }> = {}): Answer => ({
  ...({ kind: 'chosen', slot, ballot, entry: undefined, leader: 1 } as const),
  ...change,
});
const refused = (change: Partial<Refused> = {}): Answer => ({
  ...({ kind: 'refused', code: 'UNAVAILABLE', message: 'no', outcome: 'none', leader: undefined } as const),
  ...change,
});
const ALL = {
  ...{ log: undefined, client: '', session: undefined, sequence: undefined, slot: undefined },
  ...{ before: Infinity, limit: 100, sessions: false },
};

describe('a record', () => {
  test('says id, slot, ballot, leader, time and how often it was sent', () => {
    const ring = history();
    ring.add(proposal(7, { lastSlot: 9, earlierSlot: 4, rounds: 2, cameAsRetry: true }), chosen(9), 12.5);
    expect(ring.read(ALL).records).toEqual([
      {
        ...{ number: 1, log: 'orders', id: { kind: 'command', client: CLIENT, session: 3, sequence: 7 } },
        ...{ protocol: 'multi', end: 'chosen', slot: 9, otherSlot: 4, ballot, leader: 1, forwardedBy: 0, rounds: 2 },
        ...{ retry: true, othersValue: false, tookMs: 12.5, at: 1_000, refusal: undefined },
      },
    ]);
  });

  test.each([
    ['chosen', chosen(1), 'chosen', undefined],
    ['an answer out of the session table', chosen(1, { ballot: undefined }), 'known', undefined],
    ['a refusal', refused(), 'refused', { code: 'UNAVAILABLE', outcome: 'none', message: 'no' }],
    [
      'a deadline',
      refused({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' }),
      'timeout',
      { code: 'DEADLINE_EXCEEDED', outcome: 'unknown', message: 'no' },
    ],
  ] as const)('tells %s from the rest', (_, answer, end, refusal) => {
    const ring = history();
    ring.add(proposal(1), answer, 1);
    expect(ring.read(ALL).records[0]).toMatchObject({ end, refusal });
  });

  test('of a decree says when the value of another was chosen', () => {
    const ring = history();
    const entry = encodeEntry({ kind: 'decree', client: CLIENT, payload: new Uint8Array([1]) });
    const other = encodeEntry({ kind: 'decree', client: 'cd'.repeat(16), payload: new Uint8Array([1]) });
    ring.add(proposal(1, { entry, protocol: 'basic' }), chosen(0, { entry, leader: undefined }), 1);
    ring.add(proposal(1, { entry, protocol: 'basic' }), chosen(0, { entry: other, leader: undefined }), 1);
    expect(ring.read(ALL).records.map(({ othersValue, leader, id }) => [othersValue, leader, id.kind])).toEqual([
      [true, undefined, 'decree'],
      [false, undefined, 'decree'],
    ]);
  });
});

describe('the ring', () => {
  test('forgets the oldest when there are more than it keeps, and goes on counting', () => {
    const ring = history(4);
    for (let i = 1; i <= 10; i++) ring.add(proposal(i), chosen(i), 1);
    expect(ring.read(ALL).records.map(({ number, id }) => [number, id.sequence])).toEqual([
      ...[10, 9, 8, 7].map((n) => [n, n]),
    ]);
    expect([ring.ended, ring.kept, ring.keptMax]).toEqual([10, 4, 4]);
    expect(ring.counts()).toMatchObject([{ end: 'chosen', count: 10 }]);
  });

  test('forgets the oldest when their texts take more bytes than it may hold (negative control: short ones stay)', () => {
    const long = history(100, 64 * 1024);
    const short = history(100, 64 * 1024);
    for (let i = 1; i <= 100; i++) {
      long.add(proposal(i), refused({ message: 'x'.repeat(1_000) }), 1);
      short.add(proposal(i), refused(), 1);
    }
    expect(long.kept).toBeLessThanOrEqual(32);
    expect(long.read(ALL).records[0]).toMatchObject({ number: 100 });
    expect(long.read(ALL).records).toHaveLength(long.kept);
    expect(short.kept).toBe(100);
  });

  test('keeps nothing of a record that is too long by itself, and everything that comes after', () => {
    const ring = history(10, 64 * 1024);
    ring.add(proposal(1), refused({ message: 'x'.repeat(100_000) }), 1);
    expect(ring.kept).toBe(0);
    ring.add(proposal(2), refused(), 1);
    expect(ring.read(ALL).records.map(({ id }) => id.sequence)).toEqual([2]);
  });

  test('with room for none counts all the same', () => {
    const ring = history(0);
    ring.add(proposal(1), chosen(1), 1);
    expect(ring.read(ALL)).toEqual({ records: [], before: undefined });
    expect(ring.counts()).toMatchObject([{ end: 'chosen', count: 1 }]);
  });

  test('is read page by page, each going on where the last ended', () => {
    const ring = history(8);
    for (let i = 1; i <= 8; i++) ring.add(proposal(i), chosen(i), 1);
    const first = ring.read({ ...ALL, limit: 3 });
    const second = ring.read({ ...ALL, limit: 5, before: first.before ?? 0 });
    expect([first, second].map(({ records }) => records.map(({ number }) => number))).toEqual([
      [8, 7, 6],
      [5, 4, 3, 2, 1],
    ]);
    expect([first.before, second.before]).toEqual([6, undefined]);
  });
});

describe('a question', () => {
  const ring = history(100);
  ring.add(proposal(1), chosen(5), 1);
  ring.add(proposal(2, { log: 'other' }), chosen(5), 1);
  ring.add(proposal(3, { lastSlot: 6 }), chosen(7), 1);
  const session = encodeEntry({ kind: 'open-session', client: 'cd'.repeat(16) });
  ring.add(proposal(0, { entry: session }), chosen(8), 1);
  // Not in the order of our encoder: its id is unknown, the rest is not.
  ring.add(proposal(0, { entry: Uint8Array.of(0x32, 1, 0) }), refused({ code: 'INVALID_ARGUMENT' }), 1);
  const found = (change: Partial<typeof ALL> | Record<string, unknown>): number[] =>
    ring.read({ ...ALL, ...change }).records.map(({ number }) => number);

  test.each([
    ['nothing', {}, [5, 3, 2, 1]],
    ['openings of sessions, too', { sessions: true }, [5, 4, 3, 2, 1]],
    ['a log', { log: 'other' }, [2]],
    ['a log that nobody used', { log: 'nobody' }, []],
    ['a slot, also one where it was sent only', { log: 'orders', slot: 6 }, [3]],
    ['a client, by the beginning of its id', { client: 'cd', sessions: true }, [4]],
    ['a number', { client: CLIENT, session: 3, sequence: 2 }, [2]],
    ['a number of another session', { client: CLIENT, session: 4, sequence: 2 }, []],
  ])('may ask for %s', (_, change, numbers) => {
    expect(found(change)).toEqual(numbers);
  });
});

test('counts by outcome and reason are of those whose clients asked here: what was forwarded counts there', () => {
  const ring = history();
  ring.add(proposal(1), chosen(1), 1);
  ring.add(proposal(2), refused({ message: 'first' }), 1);
  ring.add(proposal(3), refused({ message: 'second' }), 1);
  ring.add(proposal(4), refused({ outcome: 'unknown' }), 1);
  ring.add(proposal(5, { via: { peer: 2, id: 1, incarnation: 'ab' } }), chosen(2), 1);
  expect(ring.counts()).toEqual([
    { protocol: 'multi', end: 'chosen', code: undefined, outcome: undefined, count: 1, message: '' },
    { protocol: 'multi', end: 'refused', code: 'UNAVAILABLE', outcome: 'none', count: 2, message: 'second' },
    { protocol: 'multi', end: 'refused', code: 'UNAVAILABLE', outcome: 'unknown', count: 1, message: 'no' },
  ]);
  expect(ring.read(ALL).records[0]).toMatchObject({ forwardedBy: 2, slot: 2 });
});
