import { describe, expect, test } from '@jest/globals';
import type {
  Disks,
  Introduction,
  IntroductionAnswer,
  Remembered,
  Roster,
  RosterState,
} from '../../../shared/paxos/introduction.ts';
import { EMPTY_ROSTER_STATE, contradiction, remember } from '../../../shared/paxos/introduction.ts';
import type { RosterEffect, RosterEvent } from '../../../shared/paxos/roster.ts';
import { ANNOUNCE_EVERY_MS, ASK_EVERY_MS, OBJECTION_MS, RosterKeeper } from '../../../shared/paxos/roster.ts';

const DISKS: Disks = new Map([
  [1, 'd1'],
  [2, 'd2'],
  [3, 'd3'],
]);
const NONE: Roster = { kind: 'none' };
const PENDING: Roster = { kind: 'pending', disks: DISKS };
const COMPLETE: Roster = { kind: 'complete', disks: DISKS };

function stored(roster: Roster, start = 4, remembered: [number, Remembered][] = []): RosterState {
  return { roster, start, remembered: new Map(remembered) };
}

function intro(acceptor: number, roster: Roster, more: Partial<Introduction> = {}): Introduction {
  return { acceptor, disk: `d${String(acceptor)}`, roster, start: 7, draw: 70 + acceptor, position: 10, ...more };
}

/** One acceptor with a clock; persists are made durable only when a test says so. */
class Bench {
  readonly keeper: RosterKeeper;
  now = 1_000;
  effects: RosterEffect[] = [];

  constructor(acceptor = 1, disk = `d${String(acceptor)}`, acceptors: readonly number[] = [1, 2, 3]) {
    this.keeper = new RosterKeeper({ acceptor, disk, acceptors });
  }

  feed(event: RosterEvent): this {
    this.effects = this.keeper.step(event, { now: this.now, random: 0.5 });
    return this;
  }

  /** Starts and lets the start become durable. */
  start(state: RosterState, position = 50): this {
    return this.feed({ kind: 'started', state, position }).persist();
  }

  persist(): this {
    for (let token = this.tokenOfWrite(); token !== undefined; token = this.tokenOfWrite()) {
      this.feed({ kind: 'persisted', token });
    }
    return this;
  }

  tokenOfWrite(): number | undefined {
    return this.of('persist')[0]?.token;
  }

  answer(from: number, roster: Roster, remembered?: Remembered, more: Partial<Introduction> = {}): this {
    const answer: IntroductionAnswer = { introduction: intro(from, roster, more), remembered };
    return this.feed({ kind: 'answered', from, answer });
  }

  /** What an acceptor that stored this very start remembers of it. */
  mine(start = 5, position = 50): Remembered {
    return { start, draw: 2 ** 47, position };
  }

  after(ms: number): this {
    this.now += ms;
    return this.feed({ kind: 'tick', position: 50 });
  }

  of<K extends RosterEffect['kind']>(kind: K): Extract<RosterEffect, { kind: K }>[] {
    return this.effects.filter((e): e is Extract<RosterEffect, { kind: K }> => e.kind === kind);
  }

  get reason(): string {
    return this.of('refuse')[0]?.reason ?? 'not refused';
  }

  get speaks(): boolean {
    return this.keeper.standing.kind === 'speaking';
  }
}

describe('bootstrap of a new cluster', () => {
  test('the acceptor with the lowest id builds the roster once it knows the disk of all', () => {
    const a = new Bench(1).start(EMPTY_ROSTER_STATE).answer(2, NONE);
    expect(a.of('persist')).toEqual([]);
    a.answer(3, NONE);
    expect(a.of('persist')[0]?.state.roster).toEqual(PENDING);
  });

  test('another acceptor waits for that roster', () => {
    const b = new Bench(2).start(EMPTY_ROSTER_STATE).answer(1, NONE).answer(3, NONE);
    expect(b.of('persist')).toEqual([]);
    b.answer(1, PENDING);
    expect(b.of('persist')[0]?.state.roster).toEqual(PENDING);
  });

  test('a roster is complete only after it was seen stored at all, and on its own disk too', () => {
    const a = new Bench(1).start(EMPTY_ROSTER_STATE).answer(2, NONE).answer(3, NONE);
    const write = a.tokenOfWrite() ?? -1;
    a.answer(2, PENDING).answer(3, PENDING);
    expect(a.of('persist')).toEqual([]);
    a.feed({ kind: 'persisted', token: write });
    expect(a.of('persist')[0]?.state.roster).toEqual(COMPLETE);

    const majority = new Bench(1).start(stored(PENDING)).answer(2, PENDING, undefined);
    expect(majority.of('persist')).toEqual([]);
  });

  test('a roster that another acceptor calls complete was seen stored at all by that one', () => {
    const a = new Bench(1).start(stored(PENDING)).answer(2, COMPLETE);
    expect(a.of('persist')[0]?.state.roster).toEqual(COMPLETE);
  });

  test('it does not speak before complete is durable', () => {
    const a = new Bench(1).start(stored(PENDING));
    a.answer(2, PENDING, a.mine()).answer(3, PENDING, a.mine());
    const token = a.tokenOfWrite() ?? -1;
    expect(a.speaks).toBe(false);
    a.feed({ kind: 'persisted', token });
    expect(a.of('speak')).toHaveLength(1);
  });

  test('a crash repeats the step: what was stored pending is told as pending, and never built again', () => {
    const a = new Bench(1).start(stored(PENDING));
    expect(a.of('ask').map((e) => e.introduction.roster)).toEqual([PENDING, PENDING]);
    a.answer(2, NONE, undefined, { disk: 'other' }).answer(3, NONE);
    expect(a.of('persist')).toEqual([]);
  });

  test('one data folder under two ids is refused', () => {
    const a = new Bench(1).start(EMPTY_ROSTER_STATE).answer(2, NONE).answer(3, NONE, undefined, { disk: 'd2' });
    expect(a.reason).toContain('acceptors 2 and 3 both say that their disk is d2');
  });

  test('an acceptor that is the only one of its configuration asks nobody', () => {
    const a = new Bench(1, 'd1', [1]).start(EMPTY_ROSTER_STATE);
    expect(a.speaks).toBe(true);
  });
});

describe('disks that are refused', () => {
  test('an empty disk under a known acceptor id', () => {
    const c = new Bench(3, 'new').start(EMPTY_ROSTER_STATE).answer(1, COMPLETE);
    expect(c.reason).toContain('acceptor 3 does not speak with disk new: acceptor 1 knows acceptor 3 by disk d3');
    expect(c.reason).not.toContain('wiping');
  });

  test('where that roster is pending still, the text says that only wiping all clears it', () => {
    const c = new Bench(3, 'new').start(EMPTY_ROSTER_STATE).answer(1, PENDING);
    expect(c.reason).toContain('cleared only by stopping all acceptors and wiping the disks of all of them');
  });

  test('a disk of another acceptor', () => {
    expect(new Bench(1, 'd2').feed({ kind: 'started', state: stored(COMPLETE), position: 0 }).reason).toContain(
      'this disk is that of acceptor 2',
    );
  });

  test('a disk of a cluster with other acceptors', () => {
    const a = new Bench(1, 'd1', [1, 2, 3, 4]).feed({ kind: 'started', state: stored(COMPLETE), position: 0 });
    expect(a.reason).toContain('acceptors 1, 2, 3, and the configuration names 1, 2, 3, 4');
  });

  test('two pending rosters end both acceptors, and the one that was asked answers first', () => {
    const other: Roster = { kind: 'pending', disks: new Map([...DISKS, [1, 'x']]) };
    const b = new Bench(2).start(stored(PENDING)).feed({ kind: 'asked', introduction: intro(3, other), token: 9 });
    expect(b.effects.map((e) => e.kind)).toEqual(['reply', 'refuse']);
    expect(b.reason).toContain('wiping the disks of all of them');
  });

  test('a complete acceptor is not stopped by one stranger, but by more than half', () => {
    const foreign: Roster = { kind: 'complete', disks: new Map([...DISKS].map(([id, d]) => [id, `x${d}`])) };
    const a = new Bench(1).start(stored(COMPLETE)).answer(2, foreign, undefined, { disk: 'xd2' });
    expect(a.reason).toBe('not refused');
    expect(a.of('note').map((e) => e.note.kind)).toEqual(['stranger']);
    a.answer(3, foreign, undefined, { disk: 'xd3' });
    expect(a.reason).toContain('acceptors 2, 3 hold another roster than this disk');
  });

  test('a disk without a roster, when another knows the roster complete', () => {
    const b = new Bench(2).start(EMPTY_ROSTER_STATE).answer(1, COMPLETE);
    expect(b.reason).toContain('older than it once was');
  });

  test('a disk without a roster, when another remembers a start of it: only a disk with the roster is remembered', () => {
    const b = new Bench(2).start(EMPTY_ROSTER_STATE).answer(1, PENDING, { start: 0, draw: 3, position: -1 });
    expect(b.reason).toContain('acceptor 1 remembers start 0 of it, which held the roster');
  });
});

describe('starts', () => {
  test('the number of a start is durable before anyone hears of it', () => {
    const a = new Bench(1).feed({ kind: 'started', state: stored(COMPLETE, 4), position: 50 });
    expect(a.effects.map((e) => e.kind)).toEqual(['persist']);
    expect(a.of('persist')[0]?.state.start).toBe(5);
    a.persist();
    expect(a.of('ask').map((e) => [e.to, e.introduction.start, e.introduction.position])).toEqual([
      [2, 5, 50],
      [3, 5, 50],
    ]);
  });

  test('an acceptor speaks once another stored its start, when all others answered or had time to', () => {
    const a = new Bench(1).start(stored(COMPLETE));
    a.answer(2, COMPLETE, a.mine());
    expect(a.speaks).toBe(false);
    expect(a.after(OBJECTION_MS - 1).speaks).toBe(false);
    expect(a.after(1).of('speak')).toHaveLength(1);
    expect(a.after(1).of('speak')).toEqual([]);

    const both = new Bench(1).start(stored(COMPLETE));
    both.answer(2, COMPLETE, both.mine()).answer(3, COMPLETE, both.mine());
    expect(both.speaks).toBe(true);
  });

  test('it does not speak while nobody stored its start', () => {
    const a = new Bench(1).start(stored(COMPLETE)).answer(2, COMPLETE).answer(3, COMPLETE).after(60_000);
    expect(a.speaks).toBe(false);
    expect(a.keeper.standing).toEqual({
      kind: 'waiting',
      why: 'waiting until one of acceptors 2, 3 has stored start 5',
    });
  });

  test('an acceptor with a disk that is not on the roster is no witness', () => {
    const a = new Bench(1).start(stored(COMPLETE));
    a.answer(2, COMPLETE, a.mine(), { disk: 'x' }).after(60_000);
    expect(a.speaks).toBe(false);
  });

  test.each([
    ['a later start', { start: 6, draw: 1, position: 0 }, 'remembers start 6 of it, and this is start 5'],
    [
      'a later position',
      { start: 4, draw: 1, position: 51 },
      'was sent journal position 51, and this disk ended at 50',
    ],
    [
      'another process with the same start',
      { start: 5, draw: 1, position: 0 },
      'another process that says it is start 5',
    ],
  ])('it does not speak when one that it reached remembers %s', (_, remembered, text) => {
    const a = new Bench(1).start(stored(COMPLETE)).answer(2, COMPLETE, remembered);
    expect(a.reason).toContain(text);
    expect(a.after(60_000).effects).toEqual([]);
    // A learner's memory counts as much.
    const b = new Bench(1).start(stored(COMPLETE)).feed({ kind: 'learner-remembers', learner: 'l1', remembered });
    expect(b.reason).toContain('learner l1');
  });

  test('one that already speaks stops when it hears of a later start of its own disk', () => {
    const a = new Bench(1).start(stored(COMPLETE));
    a.answer(2, COMPLETE, a.mine())
      .answer(3, COMPLETE, a.mine())
      .answer(3, COMPLETE, { start: 6, draw: 9, position: 50 });
    expect(a.keeper.standing.kind).toBe('refused');
    const b = new Bench(1).start(stored(COMPLETE)).feed({
      kind: 'asked',
      introduction: intro(1, COMPLETE, { start: 6 }),
      token: 1,
    });
    expect(b.effects.map((e) => e.kind)).toEqual(['reply', 'refuse']);
  });

  test('growth after the start does not hide what was missing before it', () => {
    const a = new Bench(1).start(stored(COMPLETE), 50);
    a.answer(2, COMPLETE, a.mine()).after(OBJECTION_MS);
    a.now += ANNOUNCE_EVERY_MS;
    a.feed({ kind: 'tick', position: 900 });
    // The one that knows of this start hears the new position, the other still what the disk started from.
    expect(a.of('ask').map((e) => [e.to, e.introduction.position])).toEqual([
      [2, 900],
      [3, 50],
    ]);
    expect(a.answer(3, COMPLETE, { start: 3, draw: 1, position: 200 }).reason).toContain('position 200');
  });

  test('start and position are told again every ten seconds, and on demand', () => {
    const a = new Bench(1).start(stored(COMPLETE));
    a.answer(2, COMPLETE, a.mine()).answer(3, COMPLETE, a.mine());
    a.after(ASK_EVERY_MS);
    expect(a.after(ANNOUNCE_EVERY_MS - 1).of('ask')).toEqual([]);
    expect(a.after(1).of('ask')).toHaveLength(2);
    expect(a.feed({ kind: 'announce', position: 77 }).of('ask')[0]?.introduction.position).toBe(77);
  });
});

describe('questions', () => {
  test('are answered by one that does not speak', () => {
    const a = new Bench(1).start(EMPTY_ROSTER_STATE).feed({ kind: 'asked', introduction: intro(2, NONE), token: 4 });
    expect(a.of('reply')[0]).toMatchObject({ token: 4, answer: { introduction: { disk: 'd1', roster: NONE } } });
  });

  test('are answered only after what they changed is durable (R3)', () => {
    const a = new Bench(1).start(stored(COMPLETE)).feed({ kind: 'asked', introduction: intro(2, COMPLETE), token: 4 });
    expect(a.of('reply')).toEqual([]);
    expect(a.of('persist')[0]?.state.remembered.get(2)).toEqual({ start: 7, draw: 72, position: 10 });
    a.persist();
    expect(a.of('reply')[0]?.answer.remembered).toEqual({ start: 7, draw: 72, position: 10 });
  });

  test('are answered at once, and nothing is written, when they change nothing', () => {
    const known: [number, Remembered] = [2, { start: 7, draw: 72, position: 10 }];
    const a = new Bench(1)
      .start(stored(COMPLETE, 4, [known]))
      .feed({ kind: 'asked', introduction: intro(2, COMPLETE), token: 4 });
    expect(a.effects.map((e) => e.kind)).toEqual(['reply']);
  });

  test('that come before the own start is durable wait for it', () => {
    const a = new Bench(1).feed({ kind: 'started', state: stored(COMPLETE), position: 1 });
    const write = a.tokenOfWrite() ?? -1;
    expect(a.feed({ kind: 'asked', introduction: intro(2, NONE), token: 4 }).effects).toEqual([]);
    expect(a.feed({ kind: 'persisted', token: write }).of('reply')).toHaveLength(1);
  });

  test('of an empty disk are answered with the roster, and its start is not remembered', () => {
    const a = new Bench(1)
      .start(stored(COMPLETE))
      .feed({ kind: 'asked', introduction: intro(2, NONE, { disk: 'x' }), token: 4 });
    expect(a.of('reply')[0]?.answer).toMatchObject({ introduction: { roster: COMPLETE }, remembered: undefined });
    expect(a.of('persist')).toEqual([]);
  });
});

describe('what is remembered of an acceptor', () => {
  const before: Remembered = { start: 3, draw: 1, position: 100 };
  test('grows with later starts and positions', () => {
    expect(remember(before, { start: 3, draw: 1, position: 101 })).toEqual({ start: 3, draw: 1, position: 101 });
    expect(remember(before, { start: 4, draw: 2, position: 100 })).toEqual({ start: 4, draw: 2, position: 100 });
  });

  test.each([
    ['a late message of an earlier start', { start: 2, draw: 5, position: 500 }],
    ['a position told out of order', { start: 3, draw: 1, position: 99 }],
    ['a second process with the same number', { start: 3, draw: 2, position: 500 }],
    ['a later start of a disk that lost something', { start: 4, draw: 2, position: 99 }],
  ])('is not overwritten by %s', (_, told) => {
    expect(remember(before, told)).toBe(before);
  });

  test('is evidence against every older disk, and not against the latest', () => {
    expect(contradiction({ start: 4, draw: 2, position: 99 }, before)).toBeDefined();
    expect(contradiction({ start: 4, draw: 2, position: 100 }, before)).toBeUndefined();
    expect(contradiction({ start: 3, draw: 1, position: 0 }, before)).toBeUndefined();
  });
});
