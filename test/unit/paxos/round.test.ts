// Goal: Basic Paxos for decrees, the probe and unfinished slots, sentence by sentence. Method: a proposer by hand against
// answers written by hand, or against real acceptors; beside the rules, counting and back-off without the higher ballot as
// teaching code does them.
import { describe, expect, test } from '@jest/globals';
import { classicAbove, compareBallots, type Ballot } from '../../../shared/paxos/ballot.ts';
import type { Accept, Prepare } from '../../../shared/paxos/messages.ts';
import type { ProposerOptions } from '../../../shared/paxos/proposing.ts';
import { bySize } from '../../../shared/paxos/quorum.ts';
import { Acceptors, converse, NO_OP, ProposerRig, text } from './hearts.ts';
import { accept, accepted, classic, LOG, owner, prepare, promised, rejected, vote, words } from './support.ts';

function decree(rig: ProposerRig, value: string, timeoutMs = 5_000): number {
  return rig.propose(value, { protocol: 'basic', timeoutMs });
}

function only<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0] as T;
}

/** A decree of `x` that got its promises at the ballot returned. */
function prepared(rig: ProposerRig): { token: number; ballot: Ballot } {
  const token = decree(rig, 'x');
  const { ballot } = only(rig.take('prepare'));
  for (const a of [0, 1]) rig.from(a, promised(ballot));
  return { token, ballot };
}

describe('a decree', () => {
  test('asks every acceptor with a ballot of its own, for slot 0, and leaves the log closed', () => {
    const rig = new ProposerRig();
    decree(rig, 'x');
    const asked = only(rig.take('prepare'));
    expect(asked).toEqual(expect.objectContaining({ from: 0, to: 1, purpose: 'decree', ask: false, override: false }));
    expect(asked.ballot).toEqual(classic(1));
  });

  test('sends its own value where no acceptor of the quorum voted', () => {
    const rig = new ProposerRig();
    const { ballot } = prepared(rig);
    const sent = only(rig.take('accept'));
    expect([sent.ballot, sent.first, words(sent.batch)]).toEqual([ballot, 0, 'x']);
  });

  test('sends the value of the highest-numbered vote where there is one (P2c), and answers with it', () => {
    const rig = new ProposerRig();
    const token = decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    const mine = { ...ballot, round: 9 };
    rig.from(0, rejected(ballot, classic(8, 2)));
    rig.from(1, rejected(ballot, classic(8, 2)));
    rig.tick(100);
    expect(only(rig.take('prepare')).ballot).toEqual(mine);
    rig.from(0, promised(mine, { votes: [vote(0, classic(3, 2), 'old')] }));
    rig.from(2, promised(mine, { votes: [vote(0, classic(8, 2), 'newer')] }));
    expect(words(only(rig.take('accept')).batch)).toBe('newer');
    for (const a of [0, 1]) rig.from(a, accepted(mine, 0, 1));
    const answer = rig.answerTo(token);
    expect(answer?.kind === 'chosen' ? [answer.slot, text(answer.entry ?? NO_OP), answer.ballot] : answer).toEqual([
      0,
      'newer',
      mine,
    ]);
  });

  test('is chosen by a quorum of distinct acceptors at its ballot, and by nothing else', () => {
    const rig = new ProposerRig();
    const { token, ballot } = prepared(rig);
    for (let i = 0; i < 3; i++) rig.from(1, accepted(ballot, 0, 1));
    rig.from(2, accepted(classic(1, 2), 0, 1));
    rig.from(2, accepted(classic(7), 0, 1));
    expect(rig.answerTo(token)).toBeUndefined();
    rig.from(2, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)?.kind).toBe('chosen');
  });

  test('control: counting accepted messages without acceptor id and ballot would have answered before', () => {
    const ballot = classic(1);
    const heard = [1, 1, 2].map((acceptor, i) => ({
      acceptor,
      message: accepted(i < 2 ? ballot : classic(1, 2), 0, 1),
    }));
    expect(heard.length >= 2).toBe(true);
    expect(new Set(heard.map((h) => h.acceptor)).size >= 2).toBe(true);
    expect(
      new Set(heard.filter((h) => compareBallots(h.message.ballot, ballot) === 0).map((h) => h.acceptor)).size,
    ).toBe(1);
  });

  test('tells the acceptors that its slot is chosen', () => {
    const rig = new ProposerRig();
    const { ballot } = prepared(rig);
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(only(rig.take('tell'))).toEqual({ kind: 'tell', log: LOG, watermark: 1 });
  });

  test('takes a no-op, and is refused, where a slot above it is voted: its log is a sequence', () => {
    const rig = new ProposerRig();
    const token = decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    rig.from(0, promised(ballot, { highest: 4 }));
    rig.from(1, promised(ballot));
    expect(words(only(rig.take('accept')).batch)).toBe('no-op');
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ kind: 'refused', code: 'FAILED_PRECONDITION' }));
  });

  test('is not asked of a led log', () => {
    const rig = new ProposerRig();
    const token = decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    rig.from(0, rejected(ballot, classic(4, 2), { reason: 'led', state: 'led', leader: 2 }));
    expect(rig.answerTo(token)).toEqual(
      expect.objectContaining({ code: 'FAILED_PRECONDITION', outcome: 'none', leader: 2 }),
    );
  });

  test('below the floor is read from a learner', () => {
    const rig = new ProposerRig();
    const token = decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    rig.from(0, rejected(ballot, classic(1), { reason: 'floor', floor: 1, watermark: 1 }));
    expect(rig.out).toContainEqual({ kind: 'read-slot', log: LOG, slot: 0 });
    rig.step({ kind: 'slot', log: LOG, slot: 0, entry: new TextEncoder().encode('first') });
    const answer = rig.answerTo(token);
    expect(answer?.kind === 'chosen' ? text(answer.entry ?? NO_OP) : answer).toBe('first');
  });

  test('below the floor, as a promise tells, is read from a learner too', () => {
    const rig = new ProposerRig();
    decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    for (const a of [0, 1]) rig.from(a, promised(ballot, { from: 1, floor: 1, watermark: 1 }));
    expect(rig.out).toContainEqual({ kind: 'read-slot', log: LOG, slot: 0 });
    expect(rig.take('accept')).toEqual([]);
  });

  test('tells people how long each acceptor and each quorum took', () => {
    const rig = new ProposerRig();
    decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    rig.now = 7;
    for (const a of [0, 1]) rig.from(a, promised(ballot));
    rig.now = 18;
    for (const a of [1, 2, 2]) rig.from(a, accepted(ballot, 0, 1));
    const quorum = { kind: 'quorum', protocol: 'basic', outcome: 'reached', log: LOG, ballot };
    expect(rig.notes().slice(0, 6)).toEqual([
      { kind: 'promise-rtt', acceptor: 0, ms: 7 },
      { kind: 'promise-rtt', acceptor: 1, ms: 7 },
      { ...quorum, phase: 'prepare', ms: 7 },
      { kind: 'accept-rtt', acceptor: 1, ms: 11 },
      { kind: 'accept-rtt', acceptor: 2, ms: 11 },
      { ...quorum, phase: 'accept', first: 0, count: 1, ms: 11 },
    ]);
  });

  test('asked for twice at once is one round, with one answer for both', () => {
    const rig = new ProposerRig();
    const { token, ballot } = prepared(rig);
    const second = decree(rig, 'y');
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)).toEqual(rig.answerTo(second));
  });
});

describe('R15: the end of a decree that was not chosen in time', () => {
  test('has outcome none before anything was sent in phase 2, and unknown after', () => {
    const before = new ProposerRig();
    const token = decree(before, 'x', 300);
    before.tick(300);
    expect(before.answerTo(token)).toEqual(expect.objectContaining({ code: 'DEADLINE_EXCEEDED', outcome: 'none' }));
    const after = new ProposerRig();
    const sent = decree(after, 'x', 300);
    const { ballot } = only(after.take('prepare'));
    for (const a of [0, 1]) after.from(a, promised(ballot));
    after.tick(300);
    expect(after.answerTo(sent)).toEqual(expect.objectContaining({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' }));
  });
});

describe('a reject', () => {
  test('of a quorum makes the next ballot one above the ballot that it carried', () => {
    const rig = new ProposerRig();
    decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    for (const a of [1, 2]) rig.from(a, rejected(ballot, classic(41, 2)));
    rig.tick(100);
    const next = only(rig.take('prepare')).ballot;
    expect(next).toEqual(classic(42));
  });

  test('control: where it lacks the higher ballot the next one is not above it, and is refused again', () => {
    const acceptor = new Acceptors();
    acceptor.give(0, owner(2), prepare(classic(41, 2), { purpose: 'decree' }));
    const withIt = classicAbove(classic(41, 2), owner(1));
    const withoutIt = classicAbove(classic(1), owner(1));
    expect(acceptor.give(0, owner(1), prepare(withoutIt, { purpose: 'decree' }))?.kind).toBe('rejected');
    expect(acceptor.give(0, owner(1), prepare(withIt, { purpose: 'decree' }))?.kind).toBe('promised');
  });

  test('of one acceptor does not end a round that still has its quorum', () => {
    const rig = new ProposerRig();
    const { token, ballot } = prepared(rig);
    rig.from(2, rejected(ballot, classic(5, 2)));
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)?.kind).toBe('chosen');
  });

  test('of votes by two of four does not end a round where any two choose; of promises it does', () => {
    for (const phase of ['prepare', 'accept'] as const) {
      const rig = new ProposerRig(owner(1), [], {}, bySize(4, 3, 2));
      const token = decree(rig, 'x');
      const { ballot } = only(rig.take('prepare'));
      if (phase === 'accept') for (const a of [0, 1, 2]) rig.from(a, promised(ballot));
      for (const a of [2, 3]) rig.from(a, rejected(ballot, classic(5, 2)));
      for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
      expect(rig.answerTo(token)?.kind).toBe(phase === 'accept' ? 'chosen' : undefined);
      const outcomes = rig.notes().flatMap((n) => (n.kind === 'quorum' ? [`${n.phase} ${n.outcome}`] : []));
      expect(outcomes).toContain(phase === 'accept' ? 'accept reached' : 'prepare rejected');
    }
  });

  test('that carries no higher ballot does not end the round', () => {
    const rig = new ProposerRig();
    const { token, ballot } = prepared(rig);
    for (const a of [0, 1, 2]) rig.from(a, rejected(ballot, a === 0 ? classic(1, 0) : ballot));
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)?.kind).toBe('chosen');
  });

  test('in either phase is told with that phase and the time it took', () => {
    for (const phase of ['prepare', 'accept'] as const) {
      const rig = new ProposerRig();
      decree(rig, 'x');
      const { ballot } = only(rig.take('prepare'));
      if (phase === 'accept') for (const a of [0, 1]) rig.from(a, promised(ballot));
      rig.now = 9;
      for (const a of [1, 2]) rig.from(a, rejected(ballot, classic(5, 2)));
      expect(rig.notes()).toContainEqual({
        ...{ kind: 'quorum', phase, protocol: 'basic', outcome: 'rejected', log: LOG, ballot },
        ms: 9,
      });
    }
  });

  test('by votes above the asking ballot counts like one that says so: the next ballot is above them', () => {
    const rig = new ProposerRig();
    decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    rig.from(0, promised(ballot, { votes: [vote(0, classic(8, 2), 'y')] }));
    rig.from(1, promised(ballot));
    rig.tick(100);
    expect([rig.take('accept'), rig.take('prepare')]).toEqual([[], []]);
    rig.from(2, promised(ballot, { votes: [vote(0, classic(6, 2), 'z')] }));
    rig.tick(100);
    expect(only(rig.take('prepare')).ballot).toEqual(classic(9));
  });

  test('for want of room at a quorum refuses the decree with outcome none; an acceptor that is busy does not', () => {
    for (const reason of ['logs', 'space', 'round'] as const) {
      const rig = new ProposerRig();
      const token = decree(rig, 'x');
      const { ballot } = only(rig.take('prepare'));
      rig.from(0, rejected(ballot, ballot, { reason }));
      expect(rig.answerTo(token)).toBeUndefined();
      for (const busy of ['busy', 'ahead'] as const) rig.from(1, rejected(ballot, ballot, { reason: busy }));
      expect(rig.answerTo(token)).toBeUndefined();
      rig.from(2, rejected(ballot, ballot, { reason }));
      expect(rig.answerTo(token)).toEqual(expect.objectContaining({ kind: 'refused', outcome: 'none' }));
    }
  });

  test('that names another value at the ballot of this round stops the proposer (R2)', () => {
    const rig = new ProposerRig();
    const { ballot } = prepared(rig);
    expect(() => rig.from(1, rejected(ballot, ballot, { reason: 'conflict' }))).toThrow(
      "R2: orders: acceptor 1 has another value at this round's ballot",
    );
  });

  test('of an earlier ballot is nothing to the one under way', () => {
    const rig = new ProposerRig();
    const { ballot } = prepared(rig);
    rig.out.length = 0;
    for (const a of [0, 1, 2]) rig.from(a, rejected({ ...ballot, round: 0 }, classic(5, 2)));
    expect(rig.notes()).toEqual([]);
  });

  test('a ballot that was given up is never used again, nor counted', () => {
    const rig = new ProposerRig();
    const { token, ballot } = prepared(rig);
    for (const a of [0, 1]) rig.from(a, rejected(ballot, classic(5, 2)));
    rig.out.length = 0;
    for (const a of [0, 1, 2]) rig.from(a, accepted(ballot, 0, 1));
    for (const a of [0, 1, 2]) rig.from(a, promised(ballot));
    expect(rig.answerTo(token)).toBeUndefined();
    rig.tick(2_000);
    const later = rig.out.flatMap((e) =>
      e.kind === 'to-acceptor' && e.message.kind === 'prepare' ? [e.message.ballot] : [],
    );
    expect(later.length).toBeGreaterThan(0);
    for (const b of later) expect(compareBallots(b, ballot)).toBeGreaterThan(0);
  });

  test('back-off is random and grows', () => {
    const waits: number[] = [];
    const rig = new ProposerRig(owner(1), [], { timeoutMs: 1e9 });
    rig.random = 1;
    decree(rig, 'x', 1e9);
    for (let i = 0; i < 5; i++) {
      const { ballot } = only(rig.take('prepare'));
      for (const a of [0, 1]) rig.from(a, rejected(ballot, { ...classic(ballot.round, 2) }));
      const from = rig.now;
      while (!rig.out.some((e) => e.kind === 'to-acceptor')) rig.tick(1);
      waits.push(rig.now - from);
    }
    expect(waits).toEqual([21, 41, 81, 161, 321]);
  });
});

describe('what gets no answer', () => {
  test('is sent again, only to those that did not answer', () => {
    const rig = new ProposerRig();
    decree(rig, 'x');
    const { ballot } = only(rig.take('prepare'));
    rig.from(1, promised(ballot));
    rig.tick(200);
    const again = rig.out.flatMap((e) => (e.kind === 'to-acceptor' ? [e.to] : []));
    expect(again).toEqual([0, 2]);
    rig.from(2, promised(ballot));
    rig.out.length = 0;
    rig.from(0, accepted(ballot, 0, 1));
    rig.tick(200);
    expect(rig.out.flatMap((e) => (e.kind === 'to-acceptor' && e.message.kind === 'accept' ? [e.to] : []))).toEqual([
      1, 2,
    ]);
  });
});

describe('duels', () => {
  test('end: the second proposer must take the first one’s value, and both say the same', () => {
    const acceptors = new Acceptors();
    const one = new ProposerRig(owner(1));
    const two = new ProposerRig(owner(2), [], { backoffMsMin: 40 });
    const first = decree(one, 'x');
    const second = decree(two, 'y');
    // 1 prepares, 2 prepares above it, 1 is refused, 2 likewise, until one of them is left alone for long enough.
    for (let turn = 0; turn < 400 && (one.machine.pending > 0 || two.machine.pending > 0); turn++) {
      const [rig, self] = turn % 2 === 0 ? ([one, owner(1)] as const) : ([two, owner(2)] as const);
      rig.random = ((turn * 7) % 11) / 11;
      const due = rig.out.splice(0);
      for (const e of due) {
        if (e.kind === 'answer') rig.out.push(e);
        if (e.kind !== 'to-acceptor') continue;
        for (const a of [0, 1, 2]) {
          const reply = e.to === undefined || e.to === a ? acceptors.give(a, self, e.message) : undefined;
          if (reply !== undefined) rig.from(a, reply);
        }
      }
      rig.tick(25);
    }
    const [a, b] = [one.answerTo(first), two.answerTo(second)];
    expect(a?.kind).toBe('chosen');
    expect(b?.kind).toBe('chosen');
    if (a?.kind === 'chosen' && b?.kind === 'chosen') expect(text(a.entry ?? NO_OP)).toBe(text(b.entry ?? NO_OP));
  });

  test('the second sees a value that one acceptor of its quorum voted for, chosen or not', () => {
    const acceptors = new Acceptors();
    const one = new ProposerRig(owner(1));
    decree(one, 'x');
    // 1 reaches acceptors 0 and 1 in phase 1, and 1 alone in phase 2.
    const { ballot } = only(one.take('prepare'));
    for (const a of [0, 1]) acceptors.give(a, owner(1), prepare(ballot, { to: 1, purpose: 'decree' }));
    acceptors.give(1, owner(1), accept(ballot, 0, 'x'));
    const two = new ProposerRig(owner(2));
    const token = decree(two, 'y');
    converse(two, owner(2), acceptors, (a) => a !== 0);
    const answer = two.answerTo(token);
    expect(answer?.kind === 'chosen' ? text(answer.entry ?? NO_OP) : answer).toBe('x');
  });
});

describe('finishing slots that nobody finishes', () => {
  const finishing = (
    from: number,
    to: number,
    options: Partial<ProposerOptions> = {},
  ): { rig: ProposerRig; ballot: Ballot } => {
    const rig = new ProposerRig(owner(1), [], options);
    rig.step({ kind: 'finish', log: LOG, from, to });
    const asked: Prepare = only(rig.take('prepare'));
    expect(asked).toEqual(expect.objectContaining({ from, to, purpose: 'finish', fromWatermark: false }));
    return { rig, ballot: asked.ballot };
  };
  const sentBy = (rig: ProposerRig): string[] =>
    rig.take('accept').map((a: Accept) => `${a.first} ${words(a.batch) ?? ''}`);

  test('proposes what it finds again, and fills holes below a voted slot with no-ops', () => {
    const { rig, ballot } = finishing(0, 6);
    rig.from(0, promised(ballot, { votes: [vote(1, classic(1, 0), 'b')], highest: 3 }));
    rig.from(1, promised(ballot, { votes: [vote(3, classic(1, 0), 'd')], highest: 3 }));
    expect(sentBy(rig)).toEqual(['0 no-op', '1 b', '2 no-op', '3 d']);
  });

  test('cuts what it found to what one Accept may hold, every slot in its place (R2)', () => {
    const { rig, ballot } = finishing(0, 6, { batchValuesMax: 2 });
    rig.from(0, promised(ballot, { votes: [vote(0, classic(1, 0), 'a b c d e')] }));
    rig.from(1, promised(ballot));
    expect(sentBy(rig)).toEqual(['0 a b', '2 c d', '4 e']);
  });

  test('is done when a quorum voted for every slot, and a vote counts for the slots that it names alone (R9)', () => {
    const told = (...heard: readonly (readonly [number, number])[]): unknown[] => {
      const { rig, ballot } = finishing(0, 4);
      rig.from(0, promised(ballot, { votes: [vote(1, classic(1, 0), 'b'), vote(2, classic(1, 0, 'b'), 'c')] }));
      rig.from(1, promised(ballot));
      expect(sentBy(rig)).toEqual(['0 no-op', '1 b', '2 c']);
      for (const [first, count] of heard) for (const a of [0, 1]) rig.from(a, accepted(ballot, first, count));
      return rig.take('tell');
    };
    const done = [{ kind: 'tell', log: LOG, watermark: 3 }];
    expect(told([0, 1])).toEqual([]);
    expect(told([2, 1])).toEqual([]);
    expect(told([1, 2])).toEqual([]);
    expect(told([0, 2])).toEqual([]);
    expect(told([0, 3])).toEqual(done);
    expect(told([1, 2], [0, 1])).toEqual(done);
  });

  test('tells a watermark only where it joins the chosen prefix, and goes beyond it', () => {
    const told = (from: number, watermark: number): number[] => {
      const { rig, ballot } = finishing(from, from + 2);
      for (const a of [0, 1])
        rig.from(a, promised(ballot, { from, watermark, votes: [vote(from, classic(1, 0), 'a b')] }));
      expect(only(rig.take('accept')).watermark).toBe(watermark);
      for (const a of [0, 1]) rig.from(a, accepted(ballot, from, 2));
      expect(rig.notes()).toContainEqual(expect.objectContaining({ phase: 'accept', outcome: 'reached' }));
      return rig.take('tell').map((t) => t.watermark);
    };
    expect(told(3, 0)).toEqual([]);
    expect(told(3, 2)).toEqual([]);
    expect(told(3, 3)).toEqual([5]);
    expect(told(3, 4)).toEqual([5]);
    expect(told(3, 5)).toEqual([]);
    expect(told(3, 9)).toEqual([]);
  });

  test('asks an acceptor that has more to report from where its page ended', () => {
    const { rig, ballot } = finishing(0, 6);
    rig.from(0, promised(ballot, { votes: [vote(0, classic(1, 0), 'a b')], until: 2, highest: 2 }));
    expect(rig.out).toContainEqual({
      kind: 'to-acceptor',
      to: 0,
      message: expect.objectContaining({ kind: 'prepare', ballot, from: 2, to: 6 }),
    });
    rig.from(1, promised(ballot, { highest: 2 }));
    expect(sentBy(rig)).toEqual([]);
    rig.from(0, promised(ballot, { from: 2, votes: [vote(2, classic(1, 0), 'c')], highest: 2 }));
    expect(sentBy(rig)).toEqual(['0 a b', '2 c']);
  });

  test('wholly below the floor there is nothing to finish', () => {
    const { rig, ballot } = finishing(0, 2);
    for (const a of [0, 1]) rig.from(a, promised(ballot, { from: 2, floor: 2, watermark: 2 }));
    rig.tick(2_000);
    expect(rig.out.filter((e) => e.kind === 'to-acceptor')).toEqual([]);
  });

  test('sends nothing above the highest vote', () => {
    const { rig, ballot } = finishing(2, 9);
    for (const a of [0, 1]) rig.from(a, promised(ballot, { from: 2, highest: 1 }));
    expect(sentBy(rig)).toEqual([]);
  });

  test('below the watermark, sends only the value that is found', () => {
    const { rig, ballot } = finishing(0, 2);
    rig.from(0, promised(ballot, { votes: [vote(0, classic(1, 0), 'a b')], watermark: 2 }));
    rig.from(1, promised(ballot, { highest: 1, watermark: 2 }));
    expect(sentBy(rig)).toEqual(['0 a b']);
  });

  test('below the watermark, sends neither a no-op nor a value of its own where a phase-1 quorum has no vote', () => {
    const { rig, ballot } = finishing(0, 2);
    rig.from(0, promised(ballot, { watermark: 2, highest: 1 }));
    rig.from(1, promised(ballot, { watermark: 2, highest: 1 }));
    // A higher ballot chose it: this one can choose nothing, and the next is above it.
    expect(rig.notes()).toContainEqual(
      expect.objectContaining({ kind: 'quorum', protocol: 'finish', outcome: 'rejected' }),
    );
    expect(sentBy(rig)).toEqual([]);
    rig.tick(200);
    const [again] = rig.take('prepare');
    expect(compareBallots(again?.ballot ?? ballot, ballot)).toBeGreaterThan(0);
  });

  test('begins at the floor where it straddles one', () => {
    const { rig, ballot } = finishing(0, 6);
    rig.from(0, promised(ballot, { from: 3, floor: 3, watermark: 3, votes: [vote(3, classic(1, 0), 'd e')] }));
    rig.from(1, promised(ballot, { votes: [vote(0, classic(1, 0), 'a b c')], highest: 4 }));
    expect(sentBy(rig)).toEqual(['3 d e']);
  });

  test('leaves a led log to its leader', () => {
    const rig = new ProposerRig(owner(1), [2]);
    rig.hear(2);
    rig.step({ kind: 'finish', log: LOG, from: 0, to: 3 });
    const { ballot } = only(rig.take('prepare'));
    rig.from(0, rejected(ballot, classic(4, 2), { reason: 'led', state: 'led', leader: 2 }));
    expect(rig.out).toContainEqual({ kind: 'to-peer', to: 2, message: { kind: 'finish', log: LOG, from: 0, to: 3 } });
  });
});

describe('the probe', () => {
  test('puts a no-op into the next slot of its own reserved log, every probeMs', () => {
    const rig = new ProposerRig(owner(3), [], { probeMs: 1_000 });
    const acceptors = new Acceptors();
    const slots: string[] = [];
    for (let i = 0; i < 130; i++) {
      rig.tick(25);
      for (const e of rig.out)
        if (e.kind === 'to-acceptor' && e.message.kind === 'accept')
          slots.push(`${e.message.log} ${e.message.first} ${words(e.message.batch) ?? ''}`);
      converse(rig, owner(3), acceptors);
      for (const e of rig.out)
        if (e.kind === 'to-acceptor' && e.message.kind === 'accept')
          slots.push(`${e.message.log} ${e.message.first} ${words(e.message.batch) ?? ''}`);
      rig.out.length = 0;
    }
    expect(slots).toEqual([0, 1, 2].map((slot) => `synod.probe.3 ${slot} no-op`));
  });

  /** A probe that asked for slot 0. */
  const probing = (): { rig: ProposerRig; ballot: Ballot; log: string } => {
    const rig = new ProposerRig(owner(3), [], { probeMs: 10_000 });
    rig.tick(5_100);
    const [{ ballot, log, from, to } = prepare(classic(0))] = rig.take('prepare');
    expect([log, from, to]).toEqual(['synod.probe.3', 0, 1]);
    return { rig, ballot, log };
  };

  test('moves to the end of its log when a promise or a reject says that its slot is chosen', () => {
    const promise = probing();
    for (const a of [0, 1]) promise.rig.from(a, promised(promise.ballot, { log: promise.log, watermark: a * 5 }));
    expect(only(promise.rig.take('prepare'))).toEqual(expect.objectContaining({ from: 5, to: 6, log: promise.log }));
    for (const [floor, watermark, next] of [
      [7, 9, 9],
      [7, 0, 7],
      [0, 0, 1],
    ] as const) {
      const { rig, ballot, log } = probing();
      rig.from(0, rejected(ballot, ballot, { log, reason: 'floor', floor, watermark }));
      expect(only(rig.take('prepare'))).toEqual(expect.objectContaining({ from: next, to: next + 1 }));
    }
  });
});
