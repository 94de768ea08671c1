// Goal: Multi-Paxos at a leader, sentence by sentence (DESIGN 3 and 6; R2, R8, R10, R12, R15). Method: one proposer by hand,
// acceptors' answers by hand; where the course of things matters, real acceptors.
import { describe, expect, test } from '@jest/globals';
import { compareBallots, type Ballot } from '../../../shared/paxos/ballot.ts';
import type { Promised, Rejected } from '../../../shared/paxos/messages.ts';
import { bySize, majority } from '../../../shared/paxos/quorum.ts';
import { Acceptors, converse, ProposerRig, table } from './hearts.ts';
import { accepted, bytes, classic, LOG, owner, promised, rejected, vote, words } from './support.ts';

function only<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0] as T;
}

const sentBy = (rig: ProposerRig): string[] => rig.take('accept').map((a) => `${a.first} ${words(a.batch) ?? ''}`);

/** Asks first, is encouraged by a quorum, and prepares; returns the ballot. */
function campaign(rig: ProposerRig): Ballot {
  const asked = only(rig.take('prepare'));
  expect(asked).toEqual(
    expect.objectContaining({ ask: true, purpose: 'lead', from: 0, to: undefined, fromWatermark: true }),
  );
  for (let a = 0; !rig.quorum.isPhase1((1 << a) - 1); a++)
    rig.from(a, { kind: 'would-promise', log: LOG, ballot: asked.ballot, highest: -1, watermark: 0 });
  const { ballot, ask } = only(rig.take('prepare'));
  expect(ask).toBe(false);
  return ballot;
}

/** A leader that found these promises, with a session table that knows these ids. */
function led(
  pages: readonly Partial<Promised>[] = [{}, {}],
  known: Readonly<Record<string, number>> = {},
  rig = new ProposerRig(),
): { rig: ProposerRig; ballot: Ballot; token: number; fed: string[] } {
  const token = rig.propose('x');
  const ballot = campaign(rig);
  pages.forEach((page, a) => rig.from(a, promised(ballot, page)));
  const load = rig.out.find((e) => e.kind === 'load-sessions');
  const admission = table(known);
  rig.step({ kind: 'sessions', log: LOG, next: load?.kind === 'load-sessions' ? load.slot : 0, admission });
  return { rig, ballot, token, fed: admission.fed };
}

describe('a candidate', () => {
  test('first asks, without effect, whether a phase-1 quorum would promise, and prepares only then', () => {
    const rig = new ProposerRig();
    rig.propose('x');
    const { ballot } = only(rig.take('prepare'));
    const yes = { kind: 'would-promise', log: LOG, ballot, highest: -1, watermark: 0 } as const;
    rig.from(0, yes);
    rig.from(0, yes);
    expect(rig.take('prepare')).toEqual([]);
    rig.from(2, yes);
    expect(only(rig.take('prepare')).ask).toBe(false);
  });

  test('that a quorum refuses prepares nothing, and goes above what it was told', () => {
    const rig = new ProposerRig();
    rig.propose('x');
    const { ballot } = only(rig.take('prepare'));
    for (const a of [0, 1]) rig.from(a, rejected(ballot, classic(30, 2)));
    rig.tick(100);
    const next = only(rig.take('prepare'));
    expect([next.ask, next.ballot]).toEqual([true, classic(31)]);
  });

  test('that hears of a live leader hands its work on instead', () => {
    const rig = new ProposerRig(owner(1), [2]);
    rig.propose('x');
    const { ballot } = only(rig.take('prepare'));
    rig.hear(2);
    for (const a of [0, 1]) rig.from(a, rejected(ballot, classic(4, 2), { reason: 'led', state: 'led', leader: 2 }));
    expect(rig.out).toContainEqual(expect.objectContaining({ kind: 'to-peer', to: 2 }));
  });

  test('that cannot reach the leader that acceptors name asks past its grace after two refusals', () => {
    const rig = new ProposerRig(owner(1), [2]);
    rig.propose('x');
    const asked: boolean[] = [];
    for (let i = 0; i < 3; i++) {
      const { ballot, override } = only(rig.take('prepare'));
      asked.push(override);
      const no: Partial<Rejected> = { reason: 'led', state: 'led', leader: 2 };
      for (const a of [0, 1]) rig.from(a, rejected(ballot, classic(4, 2), no));
      rig.out.length = 0;
      for (let t = 0; t < 80 && !rig.out.some((e) => e.kind === 'to-acceptor'); t++) rig.tick(25);
    }
    expect(asked).toEqual([false, false, true]);
  });
});

describe('a new leader', () => {
  test('proposes what phase 1 found again, at its own ballot, and fills holes with no-ops', () => {
    const { rig, ballot } = led([
      { votes: [vote(0, classic(1, 0), 'a'), vote(3, classic(1, 0), 'd')] },
      { votes: [vote(0, classic(1, 0), 'a'), vote(1, classic(1, 0), 'b')], highest: 3 },
    ]);
    const sent = rig.take('accept');
    expect(sent.map((a) => `${a.first} ${words(a.batch) ?? ''}`)).toEqual(['0 a', '1 b', '2 no-op', '3 d']);
    for (const a of sent) expect(a.ballot).toEqual(ballot);
    // The pipeline is full of it: new values follow when there is room.
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 4));
    expect(sentBy(rig)).toEqual(['4 x']);
  });

  test('gives a free slot below a voted slot nothing but a no-op: its own value goes above every vote', () => {
    const { rig } = led([{ votes: [vote(5, classic(1, 0), 'f')] }, { highest: 5 }]);
    expect(sentBy(rig)).toEqual(['0 no-op no-op no-op no-op no-op', '5 f', '6 x']);
  });

  test('begins at the greatest chosen watermark, and sends nothing below it', () => {
    const { rig } = led([
      { from: 3, watermark: 3, votes: [vote(3, classic(1, 0), 'd')] },
      { from: 1, watermark: 1, votes: [vote(1, classic(1, 0), 'b c d')] },
    ]);
    expect(sentBy(rig)).toEqual(['3 d', '4 x']);
  });

  test('asks for the rest of a promise that comes in pages before it counts it', () => {
    const rig = new ProposerRig();
    rig.propose('x');
    const ballot = campaign(rig);
    rig.from(0, promised(ballot, { votes: [vote(0, classic(1, 0), 'a b')], until: 2, highest: 3 }));
    rig.from(1, promised(ballot, { highest: 3 }));
    expect(rig.machine.leaderOf(LOG)).toBeUndefined();
    const more = only(rig.take('prepare'));
    expect([more.from, more.fromWatermark, more.ballot]).toEqual([2, false, ballot]);
    rig.from(0, promised(ballot, { from: 2, votes: [vote(2, classic(1, 0), 'c d')] }));
    expect(rig.machine.leaderOf(LOG)).toBe(1);
    expect(sentBy(rig)).toEqual(['0 a b', '2 c d']);
  });

  test('does not lead on promises at another ballot, or of one acceptor', () => {
    const rig = new ProposerRig();
    rig.propose('x');
    const ballot = campaign(rig);
    rig.from(0, promised(ballot));
    rig.from(0, promised(ballot));
    rig.from(1, promised({ ...ballot, round: ballot.round - 1 }));
    expect(rig.machine.leaderOf(LOG)).toBeUndefined();
  });

  test('sends no value of its own before its session table is there, complete up to its first slot (R12)', () => {
    const rig = new ProposerRig();
    rig.propose('x');
    const ballot = campaign(rig);
    rig.from(0, promised(ballot, { from: 2, watermark: 2, votes: [vote(2, classic(1, 0), 'c')] }));
    rig.from(1, promised(ballot, { highest: 2 }));
    expect(rig.out).toContainEqual({ kind: 'load-sessions', log: LOG, slot: 2 });
    expect(sentBy(rig)).toEqual(['2 c']);
    const early = table();
    rig.step({ kind: 'sessions', log: LOG, next: 1, admission: early });
    expect(sentBy(rig)).toEqual([]);
    const admission = table();
    rig.step({ kind: 'sessions', log: LOG, next: 2, admission });
    expect(sentBy(rig)).toEqual(['3 x']);
    // What it proposed again is in the table too, before anything new.
    expect(admission.fed).toEqual(['2 c', '3 x']);
  });
});

describe('a leader', () => {
  test('answers when a quorum of distinct acceptors accepted at its ballot', () => {
    const { rig, ballot, token } = led();
    expect(sentBy(rig)).toEqual(['0 x']);
    for (const _ of [1, 2, 3]) rig.from(2, accepted(ballot, 0, 1));
    rig.from(1, accepted({ ...ballot, round: ballot.round - 1 }, 0, 1));
    expect(rig.answerTo(token)).toBeUndefined();
    rig.from(1, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)).toEqual({ kind: 'chosen', slot: 0, ballot, entry: undefined, leader: 1 });
  });

  test('answers only when every slot below is chosen too', () => {
    const { rig, ballot, token } = led();
    const second = rig.propose('y');
    expect(sentBy(rig)).toEqual(['0 x', '1 y']);
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 1, 1));
    expect(rig.answerTo(second)).toBeUndefined();
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect([rig.answerTo(token)?.kind, rig.answerTo(second)?.kind]).toEqual(['chosen', 'chosen']);
  });

  test('sends one value a slot, ever: what is sent again is the same', () => {
    const { rig, ballot } = led();
    const first = only(rig.take('accept'));
    rig.from(0, accepted(ballot, 0, 1));
    rig.tick(200);
    const again = rig.out.flatMap((e) => (e.kind === 'to-acceptor' && e.message.kind === 'accept' ? [e] : []));
    expect(again.map((e) => e.to)).toEqual([1, 2]);
    for (const e of again) expect(e.message).toEqual(first);
  });

  test('carries what gathers while the pipeline is full in one batch', () => {
    const { rig, ballot } = led(undefined, {}, new ProposerRig(owner(1), [], { pipeline: 2 }));
    for (const v of ['b', 'c', 'd', 'e']) rig.propose(v);
    expect(sentBy(rig)).toEqual(['0 x', '1 b']);
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(sentBy(rig)).toEqual(['2 c d e']);
  });

  test('tells acceptors the watermark with the next Accept, or by itself where none comes', () => {
    const { rig, ballot } = led();
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    rig.out.length = 0;
    rig.propose('y');
    expect(only(rig.take('accept')).watermark).toBe(1);
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 1, 1));
    rig.tick(25);
    expect(only(rig.take('tell')).watermark).toBe(2);
    rig.tick(1_000);
    expect(rig.take('tell')).toEqual([]);
  });

  test('sends the Prepare to an acceptor outside its quorum when that comes back', () => {
    const { rig, ballot } = led();
    rig.out.length = 0;
    rig.step({ kind: 'acceptor-up', acceptor: 2 });
    const sent = rig.out.flatMap((e) => (e.kind === 'to-acceptor' ? [`${e.message.kind} to ${String(e.to)}`] : []));
    expect(sent).toEqual(['prepare to 2', 'accept to 2']);
    expect(rig.take('prepare').map((p) => p.ballot)).toEqual([ballot]);
  });

  test('is idle at no cost: nothing is sent for a log on which nothing happens', () => {
    const { rig, ballot } = led();
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    rig.tick(100);
    rig.out.length = 0;
    rig.tick(3_000);
    const kinds = new Set(rig.out.map((e) => (e.kind === 'to-acceptor' ? e.message.kind : e.kind)));
    expect([...kinds]).toEqual(['alive']);
  });
});

describe('R12: retries at a leader', () => {
  test('get the slot of the first answer, and take no other', () => {
    const { rig, token } = led(undefined, { x: 0 }, new ProposerRig());
    expect(sentBy(rig)).toEqual([]);
    expect(token).toBeGreaterThan(0);
  });

  test('are answered at once where that slot is chosen', () => {
    const { rig, ballot } = led();
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    const again = rig.propose('x', { retry: true });
    expect(rig.answerTo(again)).toEqual(expect.objectContaining({ kind: 'chosen', slot: 0 }));
    expect(sentBy(rig)).toEqual(['0 x']);
  });

  test('wait for it where it is under way', () => {
    const { rig, ballot } = led();
    const again = rig.propose('x', { retry: true });
    expect(rig.answerTo(again)).toBeUndefined();
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(rig.answerTo(again)).toEqual(expect.objectContaining({ kind: 'chosen', slot: 0 }));
  });

  test('of what a leader before this one proposed get that slot', () => {
    const { rig } = led([{ votes: [vote(0, classic(1, 0), 'x')] }, { highest: 0 }]);
    // `x` was proposed here as new: what phase 1 found says that it is not.
    expect(sentBy(rig)).toEqual(['0 x']);
  });

  test('control: a table that was not fed what phase 1 found proposes it a second time', () => {
    const withoutIt = table();
    expect(withoutIt.check(bytes('x')).kind).toBe('new');
    withoutIt.feed(0, bytes('x'));
    expect(withoutIt.check(bytes('x'))).toEqual({ kind: 'known', slot: 0 });
  });
});

describe('a leader that is refused', () => {
  test('once still leads, as long as it has its quorum', () => {
    const { rig, ballot, token } = led();
    rig.from(2, rejected(ballot, classic(9, 2), { first: 0 }));
    expect(rig.machine.leaderOf(LOG)).toBe(1);
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)?.kind).toBe('chosen');
  });

  test('by two of four still leads where any two choose, and no longer where three do', () => {
    for (const [quorum, leader] of [
      [bySize(4, 3, 2), 1],
      [majority(4), undefined],
    ] as const) {
      // prettier-ignore
      const { rig, ballot, token } = led([{}, {}, {}], {}, new ProposerRig(owner(1), [], {}, quorum));
      for (const a of [2, 3]) rig.from(a, rejected(ballot, classic(9, 2), { first: 0 }));
      expect(rig.machine.leaderOf(LOG)).toBe(leader);
      for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
      expect(rig.answerTo(token)?.kind).toBe(leader === 1 ? 'chosen' : undefined);
    }
  });

  const deposed = (): { rig: ProposerRig; ballot: Ballot; token: number } => {
    const l = led();
    l.rig.out.length = 0;
    for (const a of [1, 2]) l.rig.from(a, rejected(l.ballot, classic(9, 2), { first: 0 }));
    expect(l.rig.machine.leaderOf(LOG)).toBeUndefined();
    return l;
  };

  test('by a quorum never uses its ballot again, and answers nothing at it', () => {
    const { rig, ballot, token } = deposed();
    for (const a of [0, 1, 2]) rig.from(a, accepted(ballot, 0, 1));
    for (const a of [0, 1, 2]) rig.from(a, promised(ballot));
    expect(rig.answerTo(token)).toBeUndefined();
    rig.tick(2_000);
    const ballots = rig.out.flatMap((e) =>
      e.kind === 'to-acceptor' && 'ballot' in e.message ? [e.message.ballot] : [],
    );
    expect(ballots.length).toBeGreaterThan(0);
    for (const b of ballots) expect(compareBallots(b, classic(9, 2))).toBeGreaterThan(0);
  });

  test('sends what was in flight again as a retry, at a higher ballot and after its table says that it is new', () => {
    const { rig, token } = deposed();
    rig.out.length = 0;
    for (let i = 0; i < 40 && !rig.out.some((e) => e.kind === 'to-acceptor' && e.message.kind === 'prepare'); i++)
      rig.tick(25);
    const ballot = campaign(rig);
    rig.from(0, promised(ballot, { votes: [vote(0, classic(1), 'x')] }));
    rig.from(2, promised(ballot));
    rig.step({ kind: 'sessions', log: LOG, next: 0, admission: table() });
    expect(sentBy(rig)).toEqual(['0 x']);
    for (const a of [0, 2]) rig.from(a, accepted(ballot, 0, 1));
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ kind: 'chosen', slot: 0 }));
  });

  test('what was in flight and then times out has outcome unknown; what was only queued has outcome none (R15)', () => {
    const { rig, token } = led();
    const full = led(undefined, {}, new ProposerRig(owner(1), [], { pipeline: 1 }));
    const queued = full.rig.propose('y');
    rig.tick(5_000);
    full.rig.tick(800);
    const late = full.rig.propose('z', { timeoutMs: 100 });
    full.rig.tick(100);
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' }));
    expect(full.rig.answerTo(late)).toEqual(expect.objectContaining({ code: 'DEADLINE_EXCEEDED', outcome: 'none' }));
    expect(full.rig.answerTo(queued)).toBeUndefined();
  });

  test('a retry is never refused with outcome none', () => {
    const rig = new ProposerRig();
    const token = rig.propose('x', { retry: true, timeoutMs: 100 });
    rig.tick(100);
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ outcome: 'unknown' }));
  });

  test('at its ballot for another value has broken R2, and stops', () => {
    const { rig, ballot } = led();
    expect(() => rig.from(0, rejected(ballot, ballot, { first: 0, reason: 'conflict' }))).toThrow(
      'R2: orders: acceptor 0',
    );
  });

  test('for lack of space by a quorum refuses new work with RESOURCE_EXHAUSTED, and takes it again when there is room', () => {
    const { rig, ballot } = led();
    for (const a of [0, 1]) rig.from(a, rejected(ballot, ballot, { first: 0, reason: 'space' }));
    const token = rig.propose('y');
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED', outcome: 'none' }));
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    rig.out.length = 0;
    rig.propose('z');
    expect(sentBy(rig)).toEqual(['1 z']);
  });

  test('of a promise for lack of space by a quorum refuses what waits, by one acceptor does not', () => {
    for (const refusing of [1, 2]) {
      const rig = new ProposerRig();
      const token = rig.propose('x');
      const asked = rig.out.flatMap((e) =>
        e.kind === 'to-acceptor' && e.message.kind === 'prepare' ? [e.message] : [],
      )[0];
      if (asked === undefined) throw new Error('no campaign');
      rig.from(0, rejected(asked.ballot, classic(0), { reason: 'space' }));
      rig.from(1, rejected(asked.ballot, classic(9), { reason: refusing === 2 ? 'space' : 'ballot' }));
      const answer = rig.answerTo(token);
      if (refusing === 1) expect(answer).toBeUndefined();
      else
        expect(answer).toMatchObject({
          code: 'RESOURCE_EXHAUSTED',
          outcome: 'none',
          message: expect.stringContaining('journal.bytes.max'),
        });
    }
  });

  test('for lack of room for one more log says that, and not that journals are full', () => {
    for (const [reason, why] of [
      ['logs', '100,000 logs'],
      ['space', 'journal.bytes.max'],
    ] as const) {
      const { rig, ballot } = led();
      for (const a of [0, 1]) rig.from(a, rejected(ballot, ballot, { first: 0, reason }));
      const token = rig.propose('y');
      expect(rig.answerTo(token)).toMatchObject({ code: 'RESOURCE_EXHAUSTED', message: expect.stringContaining(why) });
    }
  });

  test('because its slots are below a trim floor has been passed by', () => {
    const { rig, ballot } = led();
    rig.from(0, rejected(ballot, classic(1), { first: 0, reason: 'floor', floor: 4, watermark: 4 }));
    expect(rig.machine.leaderOf(LOG)).toBeUndefined();
  });

  test('by nobody, but without votes for two timeouts, gives up and goes above', () => {
    const { rig, ballot } = led();
    rig.out.length = 0;
    rig.tick(1_100);
    expect(rig.notes()).toContainEqual(expect.objectContaining({ kind: 'leader', change: 'lost', ballot }));
    const next = rig.out.flatMap((e) =>
      e.kind === 'to-acceptor' && e.message.kind === 'prepare' ? [e.message.ballot] : [],
    );
    for (const b of next) expect(compareBallots(b, ballot)).toBeGreaterThan(0);
  });
});

describe('R10: finishing below the watermark', () => {
  /** A leader whose slots 0 and 1 are chosen. */
  function chosenTwo(): { rig: ProposerRig; ballot: Ballot } {
    const l = led();
    l.rig.propose('y');
    for (const a of [0, 1]) l.rig.from(a, accepted(l.ballot, 0, 2));
    for (const a of [0, 1]) l.rig.from(a, accepted(l.ballot, 0, 1));
    for (const a of [0, 1]) l.rig.from(a, accepted(l.ballot, 1, 1));
    l.rig.out.length = 0;
    l.rig.step({ kind: 'finish', log: LOG, from: 0, to: 2 });
    return l;
  }

  test('asks for the slots explicitly, at its own ballot, and sends what is found and nothing else', () => {
    const { rig, ballot } = chosenTwo();
    const asked = only(rig.take('prepare'));
    expect([asked.from, asked.to, asked.fromWatermark, asked.ballot]).toEqual([0, 2, false, ballot]);
    rig.from(0, promised(ballot, { votes: [vote(0, ballot, 'x y')] }));
    rig.from(2, promised(ballot, { votes: [vote(0, ballot, 'x')], highest: 1 }));
    expect(sentBy(rig)).toEqual(['0 x', '1 y']);
  });

  test('sends nothing where the answers hold no vote, says so, and goes on: a no-op would be made up', () => {
    const { rig, ballot } = chosenTwo();
    rig.out.length = 0;
    // Copies of its own first promises, from before the votes, come late; a leader that stopped for them would stop for nothing.
    for (const a of [0, 2]) rig.from(a, promised(ballot));
    expect(rig.notes()).toContainEqual({ kind: 'unfound', log: LOG, from: 0, to: 2 });
    expect(sentBy(rig)).toEqual([]);
    // Whoever asks again gets the slots.
    rig.step({ kind: 'finish', log: LOG, from: 0, to: 2 });
    rig.from(0, promised(ballot, { votes: [vote(0, ballot, 'x y')] }));
    rig.from(2, promised(ballot, { votes: [vote(0, ballot, 'x')], highest: 1 }));
    expect(sentBy(rig)).toEqual(['0 x', '1 y']);
  });

  test('an answer to another question at the same ballot is not counted: what that did not ask is unknown', () => {
    // First a question for slot 0 alone, whose answer from acceptor 2 comes late, then one for slots 0 and 1.
    const l = led();
    l.rig.propose('y');
    for (const a of [0, 1]) for (const slot of [0, 1]) l.rig.from(a, accepted(l.ballot, slot, 1));
    l.rig.step({ kind: 'finish', log: LOG, from: 0, to: 1 });
    for (const a of [0, 1]) l.rig.from(a, promised(l.ballot, { votes: [vote(0, l.ballot, 'x')], highest: 1 }));
    for (const a of [0, 1]) l.rig.from(a, accepted(l.ballot, 0, 1));
    l.rig.step({ kind: 'finish', log: LOG, from: 0, to: 2 });
    l.rig.out.length = 0;
    const late = promised(l.ballot, { votes: [vote(0, l.ballot, 'x')], until: 1, highest: 1 });
    l.rig.from(0, late);
    // Acceptor 2 never had slot 1 from this leader; it still has what an older one sent, which was not chosen.
    l.rig.from(2, promised(l.ballot, { votes: [vote(0, l.ballot, 'x'), vote(1, classic(1, 0), 'old')], highest: 1 }));
    // Acceptor 0 said nothing of slot 1: it is asked again, for no more than it can say.
    expect(l.rig.out).toContainEqual(
      expect.objectContaining({ message: expect.objectContaining({ kind: 'prepare', ballot: l.ballot, ask: false }) }),
    );
    l.rig.from(0, late);
    const sent = sentBy(l.rig);
    expect(sent).not.toContain('1 old');
    expect(sent.every((s) => s === '0 x')).toBe(true);
  });

  test('an answer from before its own votes does not bring an older value back at its ballot (R2)', () => {
    const { rig, ballot } = chosenTwo();
    rig.out.length = 0;
    rig.from(0, promised(ballot));
    rig.from(2, promised(ballot, { votes: [vote(0, classic(1, 0), 'old older')] }));
    expect(sentBy(rig)).toEqual([]);
  });

  test('below a floor there is nothing to finish', () => {
    const { rig, ballot } = chosenTwo();
    rig.out.length = 0;
    rig.from(0, promised(ballot, { from: 2, floor: 2, watermark: 2, highest: 1 }));
    rig.from(2, promised(ballot, { votes: [vote(0, ballot, 'x y')] }));
    expect(sentBy(rig)).toEqual([]);
  });

  test('slots that it never sent are another leader’s: it asks for them, and ends when it hears of a higher ballot', () => {
    // Slots 0 and 1 are its own, and chosen; a learner has heard of slot 2.
    const { rig, ballot } = chosenTwo();
    for (const a of [0, 2]) rig.from(a, promised(ballot, { votes: [vote(0, ballot, 'x y')], highest: 1 }));
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 2));
    rig.out.length = 0;
    rig.step({ kind: 'finish', log: LOG, from: 2, to: 3 });
    const asked = only(rig.take('prepare'));
    expect([asked.from, asked.to, asked.ballot]).toEqual([2, 3, ballot]);
    // One acceptor is enough: it may be that all others who promised are gone.
    rig.from(1, rejected(ballot, classic(9, 2), { highest: 2 }));
    expect(rig.notes()).toContainEqual(expect.objectContaining({ kind: 'leader', change: 'lost' }));
    // Asked again, a round at a fresh ballot finishes the slot.
    rig.out.length = 0;
    rig.step({ kind: 'finish', log: LOG, from: 2, to: 3 });
    const again = only(rig.take('prepare'));
    expect([again.purpose, compareBallots(again.ballot, ballot) > 0]).toEqual(['finish', true]);
  });

  test('what it cannot finish, as an acceptor promised a higher ballot, is finished at a new one where a quorum is there for that', () => {
    const outcome = (down: readonly number[]): boolean => {
      const { rig, ballot } = chosenTwo();
      for (const a of [0, 1, 2]) rig.step({ kind: down.includes(a) ? 'acceptor-down' : 'acceptor-up', acceptor: a });
      rig.from(1, rejected(ballot, classic(9, 2), { highest: 1 }));
      // Two timeouts, and a tick.
      rig.tick(1_050);
      return rig.notes().some((n) => n.kind === 'leader' && n.change === 'lost');
    };
    expect(outcome([0])).toBe(true);
    // Control: it leads on where nobody could be elected.
    expect(outcome([0, 2])).toBe(false);
  });

  test('control: without such slots one reject does not depose it', () => {
    const { rig, ballot } = chosenTwo();
    rig.from(1, rejected(ballot, classic(9, 2), { highest: 1 }));
    expect(rig.notes()).not.toContainEqual(expect.objectContaining({ kind: 'leader', change: 'lost' }));
  });

  test('what is in flight is sent again as it was', () => {
    const { rig } = led();
    const first = only(rig.take('accept'));
    rig.step({ kind: 'finish', log: LOG, from: 0, to: 1 });
    expect(rig.take('accept')).toEqual([first, first, first]);
  });

  test('against real acceptors a learner that missed all votes gets them again', () => {
    const acceptors = new Acceptors();
    const rig = new ProposerRig();
    const token = rig.propose('x');
    converse(rig, owner(1), acceptors);
    expect(rig.answerTo(token)?.kind).toBe('chosen');
    rig.out.length = 0;
    rig.step({ kind: 'finish', log: LOG, from: 0, to: 1 });
    converse(rig, owner(1), acceptors);
    expect(sentBy(rig)).toEqual(['0 x']);
  });
});

describe('what one Accept holds', () => {
  test('what phase 1 found is cut to it, every slot in its place (R2)', () => {
    const rig = new ProposerRig(owner(1), [], { batchValuesMax: 2 });
    const { ballot } = led([{ votes: [vote(0, classic(1, 0), 'a b c d e')] }, {}], {}, rig);
    // The values of clients come behind what was found.
    expect(sentBy(rig)).toEqual(['0 a b', '2 c d', '4 e', '5 x']);
    // A vote counts for the slots that it names alone (R9).
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 2, 3));
    expect(rig.notes().filter((n) => n.kind === 'quorum')).toEqual([]);
    for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 2));
    expect(rig.notes().filter((n) => n.kind === 'quorum')).toHaveLength(3);
  });

  test('what gathered is cut to its values and to its bytes; a value that is larger goes alone', () => {
    const sent = (options: object, ...values: readonly string[]): string[] => {
      const { rig, ballot } = led([{}, {}], {}, new ProposerRig(owner(1), [], { pipeline: 1, ...options }));
      expect(sentBy(rig)).toEqual(['0 x']);
      for (const value of values) rig.propose(value);
      const all: string[] = [];
      for (let slot = 0, count = 1; count > 0;) {
        for (const a of [0, 1]) rig.from(a, accepted(ballot, slot, count));
        const [next, ...more] = rig.take('accept');
        expect(more).toEqual([]);
        slot += count;
        count = next?.batch.count ?? 0;
        if (next !== undefined) all.push(`${next.first} ${words(next.batch) ?? ''}`);
      }
      return all;
    };
    expect(sent({ batchValuesMax: 2 }, 'a', 'b', 'c')).toEqual(['1 a b', '3 c']);
    // A value counts with five bytes of framing.
    expect(sent({ batchBytesMax: 14 }, 'aa', 'bb', 'cc')).toEqual(['1 aa bb', '3 cc']);
    expect(sent({ batchBytesMax: 13 }, 'aa', 'bb')).toEqual(['1 aa', '2 bb']);
    expect(sent({ batchBytesMax: 4 }, 'large', 'b')).toEqual(['1 large', '2 b']);
  });
});

describe('R12: the session table of a leader', () => {
  const found = [{ votes: [vote(0, classic(1, 0), 'a b c')] }, {}] as const;

  /** A leader that sent `a b c` again and waits for a table. */
  function waiting(): { rig: ProposerRig; token: number } {
    const rig = new ProposerRig();
    const token = rig.propose('x');
    const ballot = campaign(rig);
    found.forEach((page, a) => rig.from(a, promised(ballot, page)));
    expect(sentBy(rig)).toEqual(['0 a b c']);
    return { rig, token };
  }

  test('is fed what phase 1 found from the slot on up to which the learner had applied, and no slot twice', () => {
    for (const [next, fed] of [
      [0, ['0 a', '1 b', '2 c', '3 x']],
      [2, ['2 c', '3 x']],
      [3, ['3 x']],
    ] as const) {
      const { rig } = waiting();
      const admission = table();
      rig.step({ kind: 'sessions', log: LOG, next, admission });
      expect(admission.fed).toEqual(fed);
      expect(sentBy(rig)).toEqual(['3 x']);
    }
  });

  test('is asked for until there is one; a second one is not taken', () => {
    const { rig } = waiting();
    rig.step({ kind: 'sessions', log: LOG, next: 0, admission: undefined });
    expect(sentBy(rig)).toEqual([]);
    rig.tick(200);
    expect(rig.out).toContainEqual({ kind: 'load-sessions', log: LOG, slot: 0 });
    const [first, second] = [table(), table()];
    rig.step({ kind: 'sessions', log: LOG, next: 3, admission: first });
    rig.step({ kind: 'sessions', log: LOG, next: 3, admission: second });
    rig.propose('y');
    expect([first.fed, second.fed]).toEqual([['3 x', '4 y'], []]);
  });

  test('that is ahead of every slot of this ballot proves that another leads: nothing is sent', () => {
    const { rig } = waiting();
    rig.out.length = 0;
    rig.step({ kind: 'sessions', log: LOG, next: 4, admission: table() });
    expect(rig.take('accept')).toEqual([]);
    expect(rig.machine.pending).toBe(1);
  });

  test('that refuses a proposal lets it be proposed, and told only once that is chosen; what cannot be applied is not', () => {
    const refused = {
      kind: 'refused',
      code: 'OUT_OF_RANGE',
      message: 'no',
      outcome: 'none',
      leader: undefined,
    } as const;
    for (const [kind, retry, outcome] of [
      ['refused', false, 'none'],
      ['refused', true, 'unknown'],
      ['invalid', false, 'none'],
    ] as const) {
      const rig = new ProposerRig();
      const token = rig.propose('x', { retry });
      const ballot = campaign(rig);
      for (const a of [0, 1]) rig.from(a, promised(ballot));
      const admission = { ...table(), check: () => ({ kind, refused }) };
      rig.step({ kind: 'sessions', log: LOG, next: 0, admission });
      if (kind === 'refused') {
        expect(rig.answerTo(token)).toBeUndefined();
        expect(sentBy(rig)).toEqual(['0 x']);
        for (const a of [0, 1]) rig.from(a, accepted(ballot, 0, 1));
      }
      expect(rig.answerTo(token)).toEqual({ ...refused, outcome });
      expect(rig.take('accept')).toEqual([]);
    }
  });
});
