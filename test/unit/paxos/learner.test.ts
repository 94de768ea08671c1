// Goal: R9 and R11 at a learner: what is counted, what is handed over, whom it asks for what is missing. Method: one learner
// of three acceptors, votes by hand; beside each rule a count that makes the classic mistake, and learns what is not chosen.
import { describe, expect, test } from '@jest/globals';
import type { Votes } from '../../../shared/paxos/messages.ts';
import { Learner, type LearnerEffect, type LearnerEvent } from '../../../shared/paxos/learner.ts';
import { majority } from '../../../shared/paxos/quorum.ts';
import { batch, classic, LOG, votes, words } from './support.ts';

class Rig {
  now = 0;
  readonly learner: Learner;
  constructor(options = {}) {
    this.learner = new Learner(majority(3), 0, options);
  }
  step(event: LearnerEvent): LearnerEffect[] {
    return this.learner.step(event, { now: this.now, random: 0 });
  }
  /** Takes votes; returns what is handed over as chosen: `0@1 x y`. */
  vote(from: number, message: Votes): string[] {
    return chosenIn(this.step({ kind: 'acceptor', from, message }));
  }
  tick(ms: number): LearnerEffect[] {
    this.now += ms;
    return this.step({ kind: 'tick' });
  }
}

function chosenIn(effects: readonly LearnerEffect[]): string[] {
  return effects.flatMap((e) => (e.kind === 'chosen' ? [`${e.first}@${e.ballot.round} ${words(e.batch) ?? ''}`] : []));
}

/** `fetch 0,5 from 1` and the like. */
function asked(effects: readonly LearnerEffect[]): string[] {
  return effects.flatMap((e) => {
    if (e.kind === 'fetch')
      return [`fetch ${e.message.from},${e.message.to} of ${e.to}${e.message.values ? ' values' : ''}`];
    if (e.kind === 'finish') return [`finish ${e.from},${e.to}`];
    return e.kind === 'catch-up' ? [`catch-up ${e.from}`] : [];
  });
}

describe('R9: a value is chosen', () => {
  test('when a quorum of distinct acceptors voted for it at one ballot', () => {
    const r = new Rig();
    expect(r.vote(0, votes(classic(1), 0, 'x'))).toEqual([]);
    expect(r.vote(2, votes(classic(1), 0, 'x'))).toEqual(['0@1 x']);
    expect(r.vote(1, votes(classic(1), 0, 'x'))).toEqual([]);
  });

  test('not by one acceptor that is heard twice', () => {
    const r = new Rig();
    for (let i = 0; i < 5; i++) expect(r.vote(1, votes(classic(1), 0, 'x'))).toEqual([]);
  });

  test('not by votes at different ballots, even for the same value', () => {
    const r = new Rig();
    r.vote(0, votes(classic(1), 0, 'x'));
    expect(r.vote(1, votes(classic(2), 0, 'x'))).toEqual([]);
    expect(r.vote(2, votes(classic(1, 2), 0, 'x'))).toEqual([]);
    expect(r.vote(2, votes(classic(2), 0, 'x'))).toEqual(['0@2 x']);
  });

  test('for each slot by itself: batches that overlap are cut', () => {
    const r = new Rig();
    r.vote(0, votes(classic(1), 0, 'a b c'));
    expect(r.vote(1, votes(classic(1), 1, 'b c d'))).toEqual([]);
    expect(r.vote(2, votes(classic(1), 0, 'a'))).toEqual(['0@1 a', '1@1 b c']);
  });

  test('also when only one of the votes carries it', () => {
    const r = new Rig();
    r.vote(1, votes(classic(1), 0, 'x', false));
    expect(r.vote(2, votes(classic(1), 0, 'x', false))).toEqual([]);
    expect(r.vote(0, votes(classic(1), 0, 'x'))).toEqual(['0@1 x']);
  });

  test('control: counting messages, or acceptors without their ballot, learns what no quorum chose', () => {
    const heard = [
      { acceptor: 0, round: 1, value: 'x' },
      { acceptor: 0, round: 1, value: 'x' },
      { acceptor: 1, round: 2, value: 'y' },
    ];
    const byMessages = heard.length >= 2;
    const byAcceptors = new Set(heard.map((v) => v.acceptor)).size >= 2;
    const r = new Rig();
    const learned = heard.flatMap((v) => r.vote(v.acceptor, votes(classic(v.round), 0, v.value)));
    expect([byMessages, byAcceptors, learned]).toEqual([true, true, []]);
  });
});

describe('what must never be seen', () => {
  test('two values chosen in one slot: the learner stops and says so', () => {
    const r = new Rig();
    r.vote(0, votes(classic(1), 1, 'x'));
    r.vote(1, votes(classic(1), 1, 'x'));
    r.vote(1, votes(classic(2), 1, 'y'));
    expect(() => r.vote(2, votes(classic(2), 1, 'y'))).toThrow('R9: orders: two values are chosen in slots 1 to 1');
  });

  test('two values at one classic ballot: likewise', () => {
    const r = new Rig();
    r.vote(0, votes(classic(1), 0, 'x'));
    expect(() => r.vote(1, votes(classic(1), 0, 'y'))).toThrow('R9: orders: two values at 1.p1.aaaaaaaa');
  });

  test('another learner with another value: likewise', () => {
    const r = new Rig();
    r.vote(0, votes(classic(1), 1, 'x'));
    r.vote(1, votes(classic(1), 1, 'x'));
    expect(() => r.step({ kind: 'chosen', log: LOG, first: 1, batch: batch('y'), ballot: classic(2) })).toThrow('R9');
  });
});

describe('R11: slots are handed over in order, without gaps', () => {
  test('a slot that is chosen waits for those below it', () => {
    const r = new Rig();
    for (const a of [0, 1]) expect(r.vote(a, votes(classic(1), 1, 'b c'))).toEqual([]);
    expect(r.vote(0, votes(classic(2), 0, 'a'))).toEqual([]);
    expect(r.vote(1, votes(classic(2), 0, 'a'))).toEqual(['0@2 a', '1@1 b c']);
  });

  test('what was handed over stays: later votes for it are nothing', () => {
    const r = new Rig();
    for (const a of [0, 1]) r.vote(a, votes(classic(1), 0, 'a'));
    for (const a of [0, 1, 2]) expect(r.vote(a, votes(classic(3), 0, 'a'))).toEqual([]);
  });

  test('continues after what its store has applied', () => {
    const r = new Rig();
    r.learner.restore(LOG, 2);
    for (const a of [0, 1]) r.vote(a, votes(classic(1), 0, 'a b c'));
    expect(r.learner.seen(LOG)).toBe(3);
    expect([...r.learner.status()][0]?.next).toBe(3);
  });

  test('what another learner has as chosen needs no votes', () => {
    const r = new Rig();
    const event = { kind: 'chosen', log: LOG, first: 0, batch: batch('a b'), ballot: classic(1) } as const;
    expect(chosenIn(r.step(event))).toEqual(['0@1 a b']);
  });

  test('of logs that are not alike each goes its own way', () => {
    const r = new Rig();
    r.vote(0, { ...votes(classic(1), 0, 'a'), log: 'other' });
    expect(r.vote(1, votes(classic(1), 0, 'a'))).toEqual([]);
  });
});

describe('a gap', () => {
  const gap = (): Rig => {
    const r = new Rig();
    for (const a of [0, 1]) r.vote(a, votes(classic(1), 3, 'd'));
    return r;
  };

  test('that closes by itself within gapMs is left alone', () => {
    expect(asked(gap().tick(49))).toEqual([]);
  });

  test('is asked for again: from acceptors, then finished by a proposer, then from other learners, and so on', () => {
    const r = gap();
    expect(asked(r.tick(50))).toEqual(['fetch 0,4 of 0 values', 'fetch 0,4 of 1', 'fetch 0,4 of 2']);
    expect(asked(r.tick(299))).toEqual([]);
    expect(asked(r.tick(1))[0]).toBe('finish 0,4');
    expect(asked(r.tick(300))[0]).toBe('catch-up 0');
    expect(asked(r.tick(300))[0]).toBe('finish 0,4');
    // The acceptor that was asked for values did not help: another one is.
    expect(asked(r.tick(300))).toContain('fetch 0,4 of 1 values');
  });

  test('goes on through everybody who may help while a reader waits all the time, and never grows patient', () => {
    const r = gap();
    const seen: string[] = [];
    for (let ms = 0; ms < 12_000; ms += 100) {
      r.step({ kind: 'wanted', log: LOG, slot: 3 });
      seen.push(...asked(r.tick(100)));
    }
    // Somebody is asked at least every 600 ms, and each kind of help as often as the other.
    for (const what of ['finish 0,4', 'catch-up 0'])
      expect(seen.filter((each) => each === what).length).toBeGreaterThan(4);
    for (const a of [0, 1, 2]) expect(seen).toContain(`fetch 0,4 of ${a} values`);
  });

  test('is closed by the votes that come back', () => {
    const r = gap();
    r.tick(50);
    r.vote(0, votes(classic(1), 0, 'a b c'));
    expect(r.vote(2, votes(classic(1), 0, 'a b c', false))).toEqual(['0@1 a b c', '3@1 d']);
    expect(r.learner.behind).toBe(0);
    expect(asked(r.tick(10_000))).toEqual([]);
  });

  test('is seen from a head, a watermark, another learner or a reader as well', () => {
    const head = { kind: 'head', log: LOG, highest: 4, watermark: 2, floor: 0 } as const;
    const causes: LearnerEvent[] = [
      { kind: 'acceptor', from: 0, message: head },
      { kind: 'known', log: LOG, next: 5 },
      { kind: 'wanted', log: LOG, slot: 4 },
    ];
    for (const cause of causes) {
      const r = new Rig();
      r.step(cause);
      expect(asked(r.tick(50))[0]).toBe('fetch 0,5 of 0 values');
    }
  });

  test('below the floor is copied from another learner, and never from acceptors', () => {
    const r = new Rig();
    r.step({
      kind: 'acceptor',
      from: 0,
      message: { kind: 'head', log: LOG, highest: 9, watermark: 8, floor: 6 },
    });
    expect(asked(r.tick(50))).toEqual(['catch-up 0']);
    expect(r.learner.waitsFor(LOG)).toBe('slot 0 is below the floor 6: another learner must give it');
    r.step({ kind: 'applied', log: LOG, next: 7 });
    expect(asked(r.tick(300))).toContain('fetch 7,10 of 0 values');
  });

  test('says what it waits for', () => {
    const r = new Rig();
    r.vote(1, votes(classic(3), 0, 'x'));
    expect(r.learner.waitsFor(LOG)).toBe(
      'slot 0 has votes of 1 at ballot 3.p1.aaaaaaaa; quorum is majority: any 2 of 3',
    );
  });
});

describe('R14: what does not fit', () => {
  test('is not kept, and is fetched when its turn comes', () => {
    const r = new Rig({ windowSlots: 4 });
    for (const a of [0, 1]) expect(r.vote(a, votes(classic(1), 4, 'e f'))).toEqual([]);
    for (const a of [0, 1]) r.vote(a, votes(classic(1), 0, 'a b c d'));
    expect([...r.learner.status()][0]?.next).toBe(4);
    r.step({ kind: 'applied', log: LOG, next: 4 });
    expect(asked(r.tick(0))[0]).toBe('fetch 4,6 of 0 values');
  });

  test('in bytes either; the next slot is always taken', () => {
    const r = new Rig({ windowBytes: 8 });
    r.vote(0, votes(classic(1), 1, 'x'.repeat(20)));
    for (const a of [0, 1]) r.vote(a, votes(classic(1), 2, 'never-kept'));
    r.vote(0, votes(classic(1), 0, 'a'));
    expect(r.vote(1, votes(classic(1), 0, 'a'))).toEqual(['0@1 a']);
    expect(r.vote(1, votes(classic(1), 1, 'x'.repeat(20), false))).toHaveLength(1);
    expect(asked(r.tick(50))[0]).toBe('fetch 2,3 of 0 values');
  });
});

describe('what another learner has as chosen', () => {
  const told = (r: Rig, first: number, text: string): string[] =>
    chosenIn(r.step({ kind: 'chosen', log: LOG, first, batch: batch(text), ballot: classic(7) }));

  test('is handed over from the first slot that is missing, once, and not across a gap (R11)', () => {
    const r = new Rig();
    for (const a of [0, 1]) r.vote(a, votes(classic(1), 0, 'a'));
    expect(told(r, 3, 'd')).toEqual([]);
    expect(told(r, 0, 'a b')).toEqual(['1@7 b']);
    expect(told(r, 0, 'a b')).toEqual([]);
    expect(told(r, 1, 'b c')).toEqual(['2@7 c', '3@7 d']);
  });

  test('takes the place of votes for another value that no quorum cast; of a chosen one it must be the same (R9)', () => {
    const r = new Rig();
    r.vote(0, votes(classic(1), 0, 'other'));
    expect(told(r, 0, 'x')).toEqual(['0@7 x']);
    const s = new Rig();
    for (const a of [0, 1]) s.vote(a, votes(classic(1), 1, 'y'));
    expect(() => told(s, 1, 'z')).toThrow('R9: orders: another learner has another value in slots 1 to 1');
    for (const a of [0, 1]) s.vote(a, votes(classic(2), 2, 'w', false));
    expect(told(s, 0, 'x y w')).toEqual(['0@7 x', '1@7 y', '2@7 w']);
  });

  test('and votes in a slot above a gap wait for the gap', () => {
    const r = new Rig();
    for (const a of [0, 1]) r.vote(a, votes(classic(1), 2, 'c'));
    expect(r.vote(0, votes(classic(1), 0, 'a b'))).toEqual([]);
    expect(r.vote(2, votes(classic(1), 0, 'a'))).toEqual(['0@1 a']);
    expect(r.vote(2, votes(classic(1), 1, 'b'))).toEqual(['1@1 b', '2@1 c']);
  });
});
