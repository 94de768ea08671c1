/**
 * Goal: what a fault says of a message, and that a call shows a prefix of what was said, in order, and ends when it lost something.
 * Method: the table, a lane and a call alone, on a clock and with chance that the test drives.
 */
import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Prng } from '../../../shared/base/prng.ts';
import { JudgedCall } from '../../../shared/platform/faults/judged-call.ts';
import type { Lane } from '../../../shared/platform/faults/lane.ts';
import { FaultTable } from '../../../shared/platform/faults/table.ts';
import type { Peer } from '../../../shared/platform/faults/table.ts';
import { actionText, FAULT_LIMITS, faultText, readFault, writeFault } from '../../../shared/wire/codec/fault.ts';
import type { Fault, FaultAction } from '../../../shared/wire/codec/fault.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const ONE: Peer = { role: 'proposer', id: 1 };
const TWO: Peer = { role: 'proposer', id: 2 };
const CLIENT: Peer = { role: 'client', id: 0 };
const CUT: FaultAction = { kind: 'cut' };

let clock: ManualClock;
let chance: number;
let table: FaultTable;
beforeEach(() => {
  clock = new ManualClock();
  chance = 0;
  table = new FaultTable(clock, { next: () => chance });
});

function fault(change: Partial<Fault> = {}): Fault {
  return { id: 'a', action: CUT, peers: [{ role: 'proposer', id: 1 }], direction: 'both', forMs: 0, ...change };
}

describe('a table of faults', () => {
  test('says nothing of a message while none is in force', () => {
    expect(table.judge(ONE, 'in')).toEqual({ kind: 'pass' });
  });

  test.each([
    ['one member', { role: 'proposer', id: 1 }, [true, false, false]],
    ['a role', { role: 'proposer', id: undefined }, [true, true, false]],
    ['all roles, which clients are none of', { role: undefined, id: undefined }, [true, true, false]],
    ['clients', { role: 'client', id: undefined }, [false, false, true]],
    ['another role with the same number', { role: 'acceptor', id: 1 }, [false, false, false]],
  ] as const)('concerns %s and nobody else', (_, peer, expected) => {
    table.add(fault({ peers: [peer] }));
    expect([ONE, TWO, CLIENT].map((each) => table.cuts(each, 'out'))).toEqual(expected);
  });

  test('cuts the way that it names', () => {
    table.add(fault({ direction: 'in' }));
    expect([table.cuts(ONE, 'in'), table.cuts(ONE, 'out')]).toEqual([true, false]);
  });

  test('loses by chance, below the share and not at it', () => {
    table.add(fault({ action: { kind: 'drop', share: 0.3 } }));
    chance = 0.29;
    expect(table.judge(ONE, 'in')).toEqual({ kind: 'lose', cut: false });
    chance = 0.3;
    expect(table.judge(ONE, 'in')).toEqual({ kind: 'pass' });
  });

  test('loses about the share that was asked for', () => {
    const random = new Prng(7);
    const drawn = new FaultTable(clock, random);
    drawn.add(fault({ action: { kind: 'drop', share: 0.3 } }));
    const lost = Array.from({ length: 10_000 }, () => drawn.judge(ONE, 'in')).filter(({ kind }) => kind === 'lose');
    expect(lost.length).toBeGreaterThan(2_800);
    expect(lost.length).toBeLessThan(3_200);
  });

  test('adds up delays, and a cut comes before them', () => {
    chance = 0.5;
    table.add(fault({ action: { kind: 'delay', ms: 50, jitterMs: 20 } }));
    table.add(fault({ id: 'b', action: { kind: 'delay', ms: 5, jitterMs: 0 } }));
    expect(table.judge(ONE, 'out')).toEqual({ kind: 'hold', ms: 65 });
    table.add(fault({ id: 'c' }));
    expect(table.judge(ONE, 'out')).toEqual({ kind: 'lose', cut: true });
  });

  test('ends a fault after its time, and tells the time that is left', () => {
    let changes = 0;
    table.onChange(() => changes++);
    table.add(fault({ forMs: 1_000 }));
    clock.advance(400);
    expect(table.list()).toEqual([fault({ forMs: 600 })]);
    clock.advance(599);
    expect(table.cuts(ONE, 'in')).toBe(true);
    clock.advance(1);
    expect([table.cuts(ONE, 'in'), table.list(), changes]).toEqual([false, [], 2]);
  });

  test('replaces one with the same id, and with it its end', () => {
    table.add(fault({ forMs: 1_000 }));
    table.add(fault({ direction: 'in' }));
    clock.advance(5_000);
    expect(table.list()).toEqual([fault({ direction: 'in' })]);
  });

  test('heals by id, or all, and says what it healed', () => {
    for (const id of ['a', 'b', 'c']) table.add(fault({ id }));
    expect(table.heal(['b', 'unknown']).map(({ id }) => id)).toEqual(['b']);
    expect(table.heal().map(({ id }) => id)).toEqual(['a', 'c']);
    expect(table.size).toBe(0);
    expect(clock.waiting).toBe(0);
  });

  test('is bounded (R14): one more is refused, one that replaces is not', () => {
    for (let i = 0; i < FAULT_LIMITS.faultsMax; i++) table.add(fault({ id: String(i) }));
    expect(() => {
      table.add(fault({ id: 'more' }));
    }).toThrow('1000 faults are in force here, which is the limit');
    table.add(fault({ id: '0', direction: 'in' }));
    expect(table.size).toBe(FAULT_LIMITS.faultsMax);
  });
});

describe('one way of a call', () => {
  let ends: number;
  let heard: number[];
  let counts: string[];
  let call: JudgedCall;
  beforeEach(() => {
    ends = 0;
    heard = [];
    counts = [];
    call = new JudgedCall(ONE, { table, clock, count: (what) => counts.push(what) }, () => ends++);
  });

  function say(lane: Lane, message: number): 'delivered' | 'held' | 'lost' {
    return lane.send({ isMessage: true, bytes: 10, deliver: () => heard.push(message) });
  }

  test('passes at once while no fault concerns it (control)', () => {
    table.add(fault({ peers: [{ role: 'proposer', id: 2 }] }));
    expect([1, 2, 3].map((message) => say(call.out, message))).toEqual(['delivered', 'delivered', 'delivered']);
    expect([heard, counts, ends, clock.waiting]).toEqual([[1, 2, 3], [], 0, 0]);
  });

  test('that lost a message passes nothing more, and the call ends when the cut is healed', () => {
    say(call.out, 1);
    table.add(fault());
    expect(say(call.out, 2)).toBe('lost');
    expect(ends).toBe(0);
    table.heal();
    expect(ends).toBe(1);
    expect(say(call.out, 3)).toBe('lost');
    expect(heard).toEqual([1]);
    expect(counts).toEqual(['dropped', 'dropped']);
  });

  test('that lost nothing goes on after a cut', () => {
    say(call.out, 1);
    table.add(fault());
    table.heal();
    say(call.out, 2);
    expect([heard, ends]).toEqual([[1, 2], 0]);
  });

  test('ends when the cut is over by its time', () => {
    table.add(fault({ forMs: 100 }));
    say(call.in, 1);
    clock.advance(99);
    expect(ends).toBe(0);
    clock.advance(1);
    expect(ends).toBe(1);
  });

  test('that lost a message to chance ends within a second, but not while it is cut, which nobody could be told', () => {
    table.add(fault({ action: { kind: 'drop', share: 1 } }));
    say(call.in, 1);
    table.heal();
    expect(ends).toBe(0);
    table.add(fault({ direction: 'out' }));
    clock.advance(1_000);
    expect(ends).toBe(0);
    table.heal();
    expect(ends).toBe(1);
  });

  test('chance does not take what only frames messages, and a cut does', () => {
    const frame = (): string => call.in.send({ isMessage: false, bytes: 0, deliver: () => undefined });
    table.add(fault({ action: { kind: 'drop', share: 1 } }));
    expect(frame()).toBe('delivered');
    table.add(fault({ id: 'cut' }));
    expect(frame()).toBe('lost');
    expect(counts).toEqual([]);
  });

  test('holds messages for their time, and lets them go when the delay is healed', () => {
    table.add(fault({ action: { kind: 'delay', ms: 50, jitterMs: 0 } }));
    say(call.in, 1);
    clock.advance(20);
    say(call.in, 2);
    clock.advance(30);
    expect(heard).toEqual([1]);
    clock.advance(20);
    expect(heard).toEqual([1, 2]);
    say(call.in, 3);
    table.heal();
    expect([heard, ends, clock.waiting]).toEqual([[1, 2, 3], 0, 0]);
  });

  test('a cut takes what is held', () => {
    table.add(fault({ action: { kind: 'delay', ms: 50, jitterMs: 0 } }));
    say(call.in, 1);
    table.add(fault({ id: 'cut' }));
    clock.advance(50);
    expect(heard).toEqual([]);
    table.heal();
    expect(ends).toBe(1);
  });

  test('what another call of the same peer lost is nothing to it', () => {
    const other = new JudgedCall(ONE, { table, clock, count: () => undefined }, () => undefined);
    table.add(fault());
    say(other.out, 1);
    table.heal();
    say(call.out, 2);
    expect([heard, ends]).toEqual([[2], 0]);
  });

  test('after its end it holds nothing and listens to nothing; what it owes the other end waits for the cut to end', () => {
    let paid = 0;
    table.add(fault());
    call.close(() => paid++);
    expect(paid).toBe(0);
    table.heal();
    table.add(fault());
    table.heal();
    expect([paid, ends]).toEqual([1, 0]);
  });

  test('whatever the faults are, what is heard is a prefix of what was said, in order', () => {
    const step = fc.oneof(
      fc.constant('say' as const),
      fc.constant('heal' as const),
      fc.record({
        add: fc.constantFrom<FaultAction[]>(
          [CUT],
          [{ kind: 'delay', ms: 30, jitterMs: 40 }],
          [{ kind: 'drop', share: 0.2 }],
        ),
      }),
      fc.record({ advance: fc.nat(60) }),
    );
    let prefixes = 0;
    let losses = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), fc.nat(), (steps, seed) => {
        const time = new ManualClock();
        const faults = new FaultTable(time, new Prng(seed));
        const said: number[] = [];
        const got: number[] = [];
        let ended = 0;
        const one = new JudgedCall(ONE, { table: faults, clock: time, count: () => undefined }, () => ended++);
        for (const each of steps) {
          if (each === 'say') {
            const message = said.push(said.length) - 1;
            one.in.send({ isMessage: true, bytes: 1, deliver: () => got.push(message) });
          } else if (each === 'heal') faults.heal();
          else if ('add' in each) faults.add(fault({ id: each.add[0]!.kind, action: each.add[0]! }));
          else time.advance(each.advance);
        }
        expect(got).toEqual(said.slice(0, got.length));
        faults.heal();
        time.advance(1_000);
        // Nothing is held for ever: all was heard, or something was lost and the call ends.
        if (got.length < said.length) {
          losses++;
          expect(ended).toBeGreaterThan(0);
        } else prefixes++;
      }),
      { seed: 42, numRuns: 500 },
    );
    expect(Math.min(prefixes, losses)).toBeGreaterThan(50);
  });
});

describe('a fault on the wire', () => {
  const all: Fault[] = [
    fault(),
    fault({ action: { kind: 'drop', share: 0.000001 }, direction: 'in', forMs: 5 }),
    fault({
      action: { kind: 'delay', ms: 50, jitterMs: 20 },
      direction: 'out',
      peers: [{ role: undefined, id: undefined }],
    }),
    fault({
      peers: [
        { role: 'client', id: undefined },
        { role: 'learner', id: 3 },
      ],
    }),
  ];

  test('is read back as it was written', () => {
    for (const each of all) expect(readFault(writeFault(each), () => 'drawn')).toEqual(each);
    expect(readFault(writeFault(fault({ id: '' })), () => 'drawn').id).toBe('drawn');
  });

  test.each([
    ['no fault', undefined, 'fault is missing'],
    ['no peers', { peers: [] }, 'fault.peers is empty'],
    ['a bad id', { id: 'a b' }, 'fault.id is "a b"'],
    ['an unknown action', { action: 9 }, 'fault.action is 9'],
    ['no direction', { direction: 0 }, 'fault.direction is 0'],
    ['a share of nothing', { action: 2, dropsPerMillion: 0 }, '1 to 1000000 is needed'],
    ['a share above all', { action: 2, dropsPerMillion: 1_000_001 }, '1 to 1000000 is needed'],
    ['no delay', { action: 3 }, 'such a fault does nothing'],
    ['a delay over a minute', { action: 3, delayMs: 60_001 }, 'the limit is 60000'],
    ['a jitter over a minute', { action: 3, jitterMs: 60_001 }, 'the limit is 60000'],
    ['more than a week', { forMs: FAULT_LIMITS.forMsMax + 1 }, 'fault.for_ms'],
    [
      'a client with a number',
      { peers: [{ role: 4, id: 1 }] },
      'only one of acceptors, proposers or learners has an id',
    ],
    ['a member of no role', { peers: [{ role: 0, id: 1 }] }, 'only one of acceptors, proposers or learners has an id'],
  ])('%s is refused with the field, outcome none', (_, change, text) => {
    const wire = change === undefined ? undefined : { ...writeFault(fault()), ...change };
    let error: unknown;
    try {
      readFault(wire as never, () => 'drawn');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'none', message: expect.stringContaining(text) });
  });

  test('reads as a sentence', () => {
    expect(all.map(faultText)).toEqual([
      'a: cut from and to proposer 1, until it is healed',
      'a: drop 0.0001 % from proposer 1, for 0.1 s more',
      'a: delay 50 ms + up to 20 ms to all roles, until it is healed',
      'a: cut from and to clients, learner 3, until it is healed',
    ]);
    expect(actionText({ kind: 'drop', share: 0.3 })).toBe('drop 30 %');
  });
});
