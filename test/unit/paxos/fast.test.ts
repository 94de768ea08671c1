// Goal: Fast Paxos at ballot zero, sentence by sentence (R1, R2, R8, R9), and the mistakes that careful people made with it. Method: a
// proposer, an acceptor and a learner by hand, and real ones together; beside the rules, the same histories judged wrongly.
import { describe, expect, test } from '@jest/globals';
import type { Batch } from '../../../shared/base/batch.ts';
import { BALLOT_ZERO, type Ballot } from '../../../shared/paxos/ballot.ts';
import { identityOf } from '../../../shared/paxos/identity.ts';
import { Learner, type LearnerEffect } from '../../../shared/paxos/learner.ts';
import type { Accept, Accepted, Rejected, Votes } from '../../../shared/paxos/messages.ts';
import { Phase1 } from '../../../shared/paxos/phase1.ts';
import { bySize, majority } from '../../../shared/paxos/quorum.ts';
import { Acceptors, converse, NO_OP, ProposerRig, text } from './hearts.ts';
import {
  accept,
  AcceptorRig,
  batch,
  bytes,
  classic,
  fast,
  LOG,
  owner,
  prepare,
  promised,
  vote,
  words,
} from './support.ts';

const ZERO = BALLOT_ZERO;

function rigOf(acceptors: number, proposer = 1): ProposerRig {
  return new ProposerRig(owner(proposer), [], {}, acceptors);
}

function decree(rig: ProposerRig, value: string): number {
  return rig.propose(value, { protocol: 'fast', decree: true });
}

function voted(value: string): Accepted {
  return { kind: 'accepted', log: LOG, ballot: ZERO, first: 0, count: 1, identity: identityOf(bytes(value)) };
}

function refused(more: Partial<Rejected>): Rejected {
  const state = { promised: ZERO, state: 'open', leader: undefined, highest: 0, watermark: 0, floor: 0 } as const;
  return { kind: 'rejected', log: LOG, ballot: ZERO, first: 0, reason: 'conflict', ...state, ...more };
}

function votedFor(value: string): Rejected {
  return refused({ voted: bytes(value) });
}

/** `x fast 1`: the value, the path and the ballots of the answer. */
function answer(rig: ProposerRig, token: number): string {
  const said = rig.answerTo(token);
  if (said?.kind !== 'chosen') return said?.code ?? 'no answer';
  return `${text(said.entry ?? NO_OP)} ${String(said.path)} ${String(said.rounds)}`;
}

describe('a fast decree', () => {
  test('goes straight to all acceptors at ballot zero, and nothing is prepared', () => {
    const rig = rigOf(4);
    decree(rig, 'x');
    const sent = rig.out.flatMap((e) => (e.kind === 'to-acceptor' ? [e] : []));
    expect(sent).toHaveLength(1);
    expect([sent[0]?.to, sent[0]?.message.kind]).toEqual([undefined, 'accept']);
    const { ballot, first, batch: values } = sent[0]?.message as Accept;
    expect([ballot, first, words(values)]).toEqual([ZERO, 0, 'x']);
  });

  test.each([
    [3, 3],
    [4, 3],
    [5, 4],
    [6, 5],
    [7, 6],
  ])('of %d acceptors is chosen by %d votes, and by no fewer', (acceptors, quorum) => {
    const rig = rigOf(acceptors);
    const token = decree(rig, 'x');
    for (let a = 0; a < quorum - 1; a++) {
      rig.from(a, voted('x'));
      rig.from(a, voted('x'));
    }
    expect(answer(rig, token)).toBe('no answer');
    rig.from(quorum - 1, voted('x'));
    expect(answer(rig, token)).toBe('x fast 1');
  });

  test('answers with the value of another that a fast quorum voted for', () => {
    const rig = rigOf(4);
    const token = decree(rig, 'x');
    for (const a of [0, 1]) rig.from(a, votedFor('y'));
    expect(answer(rig, token)).toBe('no answer');
    rig.from(3, votedFor('y'));
    expect(answer(rig, token)).toBe('y fast 1');
  });

  test('recovers as soon as no value can get a fast quorum, and no sooner', () => {
    const rig = rigOf(4);
    decree(rig, 'x');
    rig.from(0, voted('x'));
    rig.from(1, votedFor('y'));
    // The other two may still go the same way.
    rig.from(2, voted('x'));
    expect(rig.take('prepare')).toEqual([]);
    rig.from(3, votedFor('y'));
    // As many votes as the other: whose identity is the lesser goes first, at once.
    rig.tick(100);
    expect(rig.take('prepare').map((p) => p.ballot)).toEqual([classic(1)]);
  });

  test('an acceptor that promised a higher ballot has no vote to give, so the classic way begins', () => {
    const rig = rigOf(4);
    const token = decree(rig, 'x');
    rig.from(0, refused({ reason: 'ballot', promised: classic(1, 2), state: 'closed' }));
    expect(rig.take('prepare')).toEqual([]);
    rig.from(1, refused({ reason: 'ballot', promised: classic(1, 2), state: 'closed' }));
    const asked = rig.take('prepare').map((p) => p.ballot)[0] as Ballot;
    for (const a of [0, 1, 2]) rig.from(a, promised(asked));
    for (const a of [0, 1, 2]) rig.from(a, { kind: 'accepted', log: LOG, ballot: asked, first: 0, count: 1 });
    expect(answer(rig, token)).toBe('x classic 2');
  });

  test('with too few acceptors for a fast quorum proceeds classic, and says so', () => {
    const rig = rigOf(4);
    const acceptors = new Acceptors(4);
    for (const acceptor of [2, 3]) rig.step({ kind: 'acceptor-down', acceptor });
    const none = decree(rig, 'x');
    expect(rig.out.some((e) => e.kind === 'to-acceptor' && e.message.kind === 'accept')).toBe(false);
    converse(rig, owner(1), acceptors, (a) => a !== 3);
    expect(answer(rig, none)).toBe('x classic 1');
  });

  test('that sent nothing in time had no effect, and nobody proposes it any more (R15)', () => {
    const late = (lost: readonly number[]): [string | undefined, string | undefined] => {
      const rig = rigOf(4);
      for (const acceptor of lost) rig.step({ kind: 'acceptor-down', acceptor });
      const early = rig.propose('x', { protocol: 'fast', decree: true, timeoutMs: 100 });
      decree(rig, 'y');
      rig.tick(150);
      const said = rig.answerTo(early);
      for (const acceptor of lost) rig.step({ kind: 'acceptor-up', acceptor });
      rig.tick(1_500);
      const ballot = rig.take('prepare').at(-1)?.ballot ?? ZERO;
      for (const a of [0, 1, 2]) rig.from(a, promised(ballot));
      return [said?.kind === 'refused' ? said.outcome : said?.kind, words(rig.take('accept').at(-1)?.batch)];
    };
    expect(late([2, 3])).toEqual(['none', 'y']);
    // Control: what went out at ballot zero may have been chosen there.
    expect(late([])).toEqual(['unknown', 'x']);
  });

  test('that gets no fast quorum in time proceeds classic (control: with one acceptor more it is chosen fast)', () => {
    const outcomes = [2, 3].map((reached) => {
      const rig = rigOf(4);
      const token = decree(rig, 'x');
      for (let a = 0; a < reached; a++) rig.from(a, voted('x'));
      rig.tick(250);
      return [answer(rig, token), rig.take('prepare').length];
    });
    expect(outcomes).toEqual([
      ['no answer', 1],
      ['x fast 1', 0],
    ]);
  });

  test('two that collide end with one value, which both are told', () => {
    const acceptors = new Acceptors(4);
    const [one, two] = [rigOf(4, 1), rigOf(4, 2)];
    const tokens = [decree(one, 'x'), decree(two, 'y')];
    const sent = (rig: ProposerRig): Accept => rig.take('accept')[0] as Accept;
    const [x, y] = [sent(one), sent(two)];
    const give = (rig: ProposerRig, from: number, a: number, message: Accept): void => {
      const reply = acceptors.give(a, owner(from), message);
      if (reply !== undefined) rig.from(a, reply);
    };
    for (const a of [0, 1]) give(one, 1, a, x);
    for (const a of [2, 3]) give(two, 2, a, y);
    for (const a of [2, 3]) give(one, 1, a, x);
    for (const a of [0, 1]) give(two, 2, a, y);
    for (const [rig, id] of [
      [one, 1],
      [two, 2],
    ] as const) {
      rig.tick(100);
      converse(rig, owner(id), acceptors);
    }
    const [first, second] = [answer(one, tokens[0] as number), answer(two, tokens[1] as number)];
    expect(first.split(' ')[0]).toBe(second.split(' ')[0]);
    expect([first, second].every((said) => said.includes(' recovered '))).toBe(true);
  });

  test('history (a): votes at ballot zero are never taken for promises, whoever counts them', () => {
    // Votes x x y y. One that took acceptors 0, 1, 2 as its phase-1 quorum would find x, one that took 1, 2, 3 would find y; neither
    // had to ask, and both would be chosen. Here both prepare, and whoever comes second finds what the first has.
    const rig = rigOf(4);
    decree(rig, 'x');
    for (const a of [0, 1]) rig.from(a, voted('x'));
    for (const a of [2, 3]) rig.from(a, votedFor('y'));
    rig.tick(100);
    const kinds = rig.out.flatMap((e) => (e.kind === 'to-acceptor' ? [e.message] : []));
    const values = kinds.filter((m) => m.kind === 'accept' && m.ballot.round > 0);
    expect(kinds.some((m) => m.kind === 'prepare')).toBe(true);
    expect(values).toEqual([]);
    // Control: each quorum of three, read as promises, gives another value.
    const chosen = [
      [0, 1, 2],
      [1, 2, 3],
    ].map((quorum) => words(found(4, quorum, ['x', 'x', 'y', 'y'])));
    expect(new Set(chosen).size).toBe(2);
  });

  test('history (d): equal bytes of two clients are two values', () => {
    // An entry holds its client.
    const [ours, theirs] = ['client-1 same', 'client-2 same'];
    const rig = rigOf(4);
    const token = decree(rig, ours.replace(' ', '_'));
    for (const a of [0, 1, 2]) rig.from(a, votedFor(theirs.replace(' ', '_')));
    expect(answer(rig, token)).toBe('client-2_same fast 1');
    // Control: told apart by the bytes behind the client alone, both would be told that theirs is chosen.
    const payload = (value: string): string => identityOf(bytes(value.split(' ')[1] ?? ''));
    expect(payload(ours)).toBe(payload(theirs));
    expect(identityOf(bytes(ours))).not.toBe(identityOf(bytes(theirs)));
  });
});

/** What phase 1 finds in slot 0 after these votes at one fast ballot; '' for no vote. */
function found(acceptors: number, quorum: readonly number[], votes: readonly string[]): Batch | undefined {
  const mine = classic(9);
  const phase1 = new Phase1(mine, majority(acceptors), 0, false);
  for (const a of quorum) {
    const value = votes[a] ?? '';
    phase1.onPromised(a, promised(mine, { votes: value === '' ? [] : [vote(0, ZERO, value)] }));
  }
  return phase1.choose(0, 1)[0]?.batch;
}

describe('R8: the value of a slot that has fast votes', () => {
  test('is the one that a fast quorum may have voted for, as far as the quorum says', () => {
    // Of 5, four votes choose; a quorum of three hides two, so two votes may be four.
    expect(words(found(5, [0, 1, 2], ['x', 'x', 'y', 'x', 'x']))).toBe('x');
    expect(words(found(5, [1, 2, 3], ['x', 'y', 'x', 'x', 'x']))).toBe('x');
  });

  test('is any voted one where none may be chosen, the same for all who find the same votes', () => {
    const either = [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
    ].map((order) => words(found(4, order, ['y', 'y', 'x', 'x'])));
    expect(either).toEqual(['x', 'x']);
  });

  test('is free where nobody of the quorum voted', () => {
    expect(found(4, [0, 1, 2], ['', '', '', 'x'])).toBeUndefined();
  });

  test('counts with the quorum that answered, not with the smallest one', () => {
    // All five: three votes are no fast quorum any more, whatever the rest did.
    expect(words(found(5, [0, 1, 2, 3, 4], ['x', 'x', 'x', 'y', 'y']))).toBe('x');
    expect(words(found(5, [0, 1, 2, 3, 4], ['x', 'y', 'y', 'y', 'y']))).toBe('y');
  });

  test('a classic vote above them decides alone', () => {
    const mine = classic(9);
    const phase1 = new Phase1(mine, majority(4), 0, false);
    for (const a of [0, 1]) phase1.onPromised(a, promised(mine, { votes: [vote(0, ZERO, 'x')] }));
    phase1.onPromised(2, promised(mine, { votes: [vote(0, classic(1), 'y')] }));
    expect(words(phase1.choose(0, 1)[0]?.batch)).toBe('y');
  });

  test('each slot is judged by itself', () => {
    const mine = classic(9);
    const phase1 = new Phase1(mine, majority(4), 0, false);
    const mixed = [
      ['x', 'b'],
      ['x', 'c'],
      ['y', 'c'],
    ];
    for (const [a, [zero = '', one = '']] of mixed.entries())
      phase1.onPromised(a, promised(mine, { votes: [vote(0, ZERO, zero), vote(1, ZERO, one)] }));
    expect(phase1.choose(0, 3).map((f) => words(f.batch))).toEqual(['x', 'c', undefined]);
  });

  test('whatever a fast quorum chose is found by every phase-1 quorum, in all votes of all sizes', () => {
    for (const n of [3, 4, 5]) expect(missed(n, (quorum, votes) => words(found(n, quorum, votes)))).toBe(0);
  });

  test('control: with fast quorums one too small, or the first vote that is heard, choices are missed', () => {
    const small = (n: number) => Math.ceil((3 * n) / 4) - 1;
    expect(missed(5, (quorum, votes) => words(found(5, quorum, votes)), small)).toBeGreaterThan(0);
    expect(missed(4, (quorum, votes) => votes[quorum[0] ?? 0])).toBeGreaterThan(0);
  });

  test('two quorum systems of the same size judge the same votes differently', () => {
    const all = 0b1111;
    expect(majority(4).couldBeFast(0b0011, 0b0111)).toBe(true);
    expect(majority(4).couldBeFast(0b0001, 0b0111)).toBe(false);
    expect(bySize(4, 4, 1).couldBeFast(0b0011, all)).toBe(false);
    expect(bySize(4, 4, 1).couldBeFast(0b0111, all)).toBe(true);
  });
});

/** Histories of n votes for x, y or nothing in which a fast quorum chose a value and some phase-1 quorum finds another. */
function missed(
  n: number,
  find: (quorum: readonly number[], votes: readonly string[]) => string | undefined,
  fastSize = (size: number) => Math.ceil((3 * size) / 4),
): number {
  const quorums = subsets(n).filter((set) => set.length === Math.floor(n / 2) + 1);
  let wrong = 0;
  for (let code = 0; code < 3 ** n; code++) {
    const votes = Array.from({ length: n }, (_, a) => ['', 'x', 'y'][Math.floor(code / 3 ** a) % 3] ?? '');
    const chosen = ['x', 'y'].find((v) => votes.filter((other) => other === v).length >= fastSize(n));
    if (chosen !== undefined) wrong += quorums.filter((quorum) => find(quorum, votes) !== chosen).length;
  }
  return wrong;
}

function subsets(n: number): number[][] {
  return Array.from({ length: 1 << n }, (_, mask) =>
    Array.from({ length: n }, (_unused, a) => a).filter((a) => (mask & (1 << a)) !== 0),
  );
}

describe('an acceptor at a fast ballot', () => {
  test('takes the first value, whoever sends it, and says which it is', () => {
    const rig = new AcceptorRig();
    expect(rig.answer(accept(ZERO, 0, 'x'), owner(1))).toMatchObject(voted('x'));
    const record = rig.records.at(-1);
    expect(record?.kind === 'vote' ? [record.ballot, words(record.batch)] : record).toEqual([ZERO, 'x']);
  });

  test('answers a second value with the first, which has its vote (R2)', () => {
    const rig = new AcceptorRig();
    rig.answer(accept(ZERO, 0, 'x'), owner(1));
    const reply = rig.answer(accept(ZERO, 0, 'y'), owner(2)) as Rejected;
    expect([reply.kind, reply.reason, text(reply.voted ?? NO_OP)]).toEqual(['rejected', 'conflict', 'x']);
    expect(rig.records.filter((r) => r.kind === 'vote')).toHaveLength(1);
  });

  test('answers the same value from another again', () => {
    const rig = new AcceptorRig();
    rig.answer(accept(ZERO, 0, 'x'), owner(1));
    expect(rig.answer(accept(ZERO, 0, 'x'), owner(2))).toMatchObject(voted('x'));
  });

  test('votes at ballot zero no more once it promised (control: before, it does)', () => {
    const rig = new AcceptorRig();
    expect(rig.answer(accept(ZERO, 1, 'w'), owner(1)).kind).toBe('accepted');
    rig.promise(prepare(classic(1)));
    expect(rig.answer(accept(ZERO, 0, 'x'), owner(1))).toMatchObject({ kind: 'rejected', reason: 'ballot' });
  });

  test('reports a fast vote to phase 1, and after a restart (R1, R6)', () => {
    const rig = new AcceptorRig();
    rig.answer(accept(ZERO, 0, 'x'), owner(1));
    const { votes } = rig.restarted().promise(prepare(classic(1)));
    expect(votes.map((v) => [v.first, v.ballot, words(v.batch)])).toEqual([[0, ZERO, 'x']]);
  });

  test('refuses a fast ballot that nobody opened', () => {
    const rig = new AcceptorRig();
    expect(rig.answer(accept(fast(3), 0, 'x'), owner(2))).toMatchObject({ kind: 'rejected', reason: 'not-open' });
    expect(rig.records).toEqual([]);
  });

  test('refuses a slot more than 1,024 above its highest vote and the watermark', () => {
    const rig = new AcceptorRig();
    expect(rig.answer(accept(ZERO, 1_025, 'x'), owner(1))).toMatchObject({ kind: 'rejected', reason: 'ahead' });
    expect(rig.answer(accept(ZERO, 1_024, 'x'), owner(1)).kind).toBe('accepted');
    expect(rig.answer(accept(ZERO, 2_049, 'x'), owner(1))).toMatchObject({ kind: 'rejected', reason: 'ahead' });
    expect(rig.answer(accept(ZERO, 2_048, 'x'), owner(1)).kind).toBe('accepted');
    expect(rig.answer(accept(ZERO, 9_024, 'x', 8_000), owner(1)).kind).toBe('accepted');
  });

  test('tells learners which value has its vote, with the value and without', () => {
    const rig = new AcceptorRig();
    rig.answer(accept(ZERO, 0, 'x'), owner(1));
    const live = rig.effects.flatMap((e) => (e.kind === 'publish' ? [e.votes] : []));
    const fetch = { kind: 'fetch', log: LOG, from: 0, to: 1, values: false } as const;
    const again = rig
      .step({ kind: 'learner', from: 'l', disk: 'd', message: fetch })
      .flatMap((e) => (e.kind === 'reply-learner' && e.message.kind === 'votes' ? [e.message] : []));
    expect([...live, ...again].map((v) => [words(v.batch), v.identity])).toEqual([
      ['x', identityOf(bytes('x'))],
      [undefined, identityOf(bytes('x'))],
    ]);
  });
});

describe('R9: a learner at a fast ballot', () => {
  const vote4 = (value: string, withValue = true): Votes => ({
    ...{ kind: 'votes', log: LOG, ballot: ZERO, first: 0, count: 1, watermark: 0 },
    batch: withValue ? batch(value) : undefined,
    identity: identityOf(bytes(value)),
  });

  function learn(heard: readonly (readonly [number, Votes])[]): string[] {
    const learner = new Learner(majority(4), 0);
    const effects: LearnerEffect[] = heard.flatMap(([from, message]) =>
      learner.step({ kind: 'acceptor', from, message }, { now: 0, random: 0 }),
    );
    return effects.flatMap((e) => (e.kind === 'chosen' ? [words(e.batch) ?? ''] : []));
  }

  test('needs a fast quorum, not a classic one', () => {
    const heard = [0, 1, 2, 3].map((a) => [a, vote4('x')] as const);
    const five = new Learner(majority(5), 0);
    const learned = [0, 1, 2, 3].map(
      (from) => five.step({ kind: 'acceptor', from, message: vote4('x') }, { now: 0, random: 0 }).length > 0,
    );
    expect([learned.slice(0, 3).some(Boolean), learn(heard.slice(0, 2)), learn(heard)]).toEqual([false, [], ['x']]);
  });

  test('history (c): never takes the value from one acceptor and the votes from others', () => {
    const heard = [
      [0, vote4('x')],
      [1, vote4('y', false)],
      [2, vote4('y', false)],
    ] as const;
    expect(learn(heard)).toEqual([]);
    // y is chosen by the third vote for it; its value is asked for, and comes from one that has it.
    expect(learn([...heard, [3, vote4('y', false)]])).toEqual([]);
    expect(learn([...heard, [3, vote4('y', false)], [3, vote4('y')]])).toEqual(['y']);
    // Control: counted by ballot alone, three votes are there, and the one value that was heard is x.
    const byBallot = new Set(heard.map(([from]) => from)).size >= 3;
    expect([byBallot, words(heard[0][1].batch)]).toEqual([true, 'x']);
  });

  test('does not count a vote that does not say what it is for', () => {
    const bare = { ...vote4('x', false), identity: undefined };
    expect(learn([0, 1, 2, 3].map((a) => [a, bare] as const))).toEqual([]);
  });

  test('stops where a classic ballot chooses another value than a fast quorum did', () => {
    const learner = new Learner(majority(4), 0, { windowSlots: 10 });
    const at = { now: 0, random: 0 };
    const second = { first: 1 };
    for (const from of [0, 1, 2]) learner.step({ kind: 'acceptor', from, message: { ...vote4('x'), ...second } }, at);
    const classicVotes: Votes = { ...vote4('y'), ...second, ballot: classic(1), identity: undefined };
    learner.step({ kind: 'acceptor', from: 0, message: classicVotes }, at);
    learner.step({ kind: 'acceptor', from: 1, message: classicVotes }, at);
    expect(() => learner.step({ kind: 'acceptor', from: 2, message: classicVotes }, at)).toThrow('R9');
  });
});
