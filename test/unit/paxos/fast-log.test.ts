// Goal: logs of many slots that are open for fast voting: Any, coordinated recovery, the way of a loser, and what is answered when (R2,
// R8, R12). Method: an acceptor, an opener and a proposer by hand; beside the rules, what would be chosen without them.
import { describe, expect, test } from '@jest/globals';
import { Batch } from '../../../shared/base/batch.ts';
import { BALLOT_ZERO, freshFast, isFast, successor, type Ballot } from '../../../shared/paxos/ballot.ts';
import { identityOf } from '../../../shared/paxos/identity.ts';
import type { Accept, Accepted, FromAcceptor, Rejected, ToAcceptor } from '../../../shared/paxos/messages.ts';
import type { PeerMessage, Refused } from '../../../shared/paxos/peers.ts';
import { Opener } from '../../../shared/paxos/opener.ts';
import {
  PROPOSER_DEFAULTS,
  type Context,
  type ProposerOptions,
  type Verdict,
} from '../../../shared/paxos/proposing.ts';
import { explicit, grid, majority, type QuorumSystem } from '../../../shared/paxos/quorum.ts';
import { Acceptors, converse, NO_OP, ProposerRig, table } from './hearts.ts';
import {
  accept,
  AcceptorRig,
  bytes,
  classic,
  fast,
  LOG,
  owner,
  prepare,
  promised,
  rejected,
  vote,
  words,
} from './support.ts';

const ZERO = BALLOT_ZERO;
const F = fast(3, 1);

function any(ballot: Ballot, from: number): ToAcceptor {
  return { kind: 'any', log: LOG, ballot, from };
}

function open(rig: AcceptorRig, ballot = F, from = 5): FromAcceptor | undefined {
  rig.promise(prepare(ballot, { purpose: 'open' }));
  return rig.ask(any(ballot, from));
}

function voted(ballot: Ballot, first: number, value: string, more: Partial<Accepted> = {}): Accepted {
  return { kind: 'accepted', log: LOG, ballot, first, count: 1, identity: identityOf(bytes(value)), ...more };
}

function votedFor(ballot: Ballot, first: number, value: string, more: Partial<Rejected> = {}): Rejected {
  return rejected(ballot, ZERO, {
    first,
    reason: 'conflict',
    state: 'open',
    highest: first,
    voted: bytes(value),
    ...more,
  });
}

describe('Any at an acceptor', () => {
  test('opens fast voting at the ballot that is promised, from its slot on', () => {
    const rig = new AcceptorRig();
    expect(open(rig)).toEqual({ kind: 'opened', log: LOG, ballot: F });
    expect(rig.answer(accept(F, 4, 'x'), owner(2))).toMatchObject({ kind: 'rejected', reason: 'not-open' });
    expect(rig.answer(accept(F, 5, 'x'), owner(2))).toMatchObject({
      kind: 'accepted',
      identity: identityOf(bytes('x')),
    });
    expect([...rig.machine.status()][0]).toMatchObject({ state: 'open', openFrom: 5 });
  });

  test('without it a promise of a fast ballot takes no fast votes', () => {
    const rig = new AcceptorRig();
    rig.promise(prepare(F, { purpose: 'open' }));
    expect(rig.answer(accept(F, 5, 'x'), owner(2))).toMatchObject({ kind: 'rejected', reason: 'not-open' });
    expect([...rig.machine.status()][0]?.state).toBe('closed');
  });

  test('is refused where the promise is another one, higher or lower', () => {
    const rig = new AcceptorRig();
    rig.promise(prepare(classic(4, 2)));
    expect(rig.ask(any(F, 5))).toMatchObject({ kind: 'rejected', reason: 'ballot' });
    expect(rig.ask(any(fast(9, 2), 5))).toMatchObject({ kind: 'rejected', reason: 'ballot' });
  });

  test('ends with the next promise', () => {
    const rig = new AcceptorRig();
    open(rig);
    rig.promise(prepare(classic(4, 2)));
    expect(rig.answer(accept(F, 5, 'x'), owner(2))).toMatchObject({ kind: 'rejected', reason: 'ballot' });
    expect([...rig.machine.status()][0]).toMatchObject({ state: 'led', openFrom: undefined });
  });

  test('is durable: a restart finds the log open, from its records and from the head of a segment', () => {
    const rig = new AcceptorRig();
    open(rig);
    const [again, fromHead] = [rig.restarted(), new AcceptorRig()];
    for (const record of rig.machine.head()) fromHead.machine.restore(record, undefined);
    for (const each of [again, fromHead])
      expect(each.answer(accept(F, 5, 'x'), owner(2))).toMatchObject({ kind: 'accepted' });
    // Control: from before it came, it is not.
    expect(rig.restarted(1).answer(accept(F, 5, 'x'), owner(2))).toMatchObject({ reason: 'not-open' });
  });

  test('who opened the ballot hears the votes for what others send, with their values, and not its own twice', () => {
    const rig = new AcceptorRig();
    rig.promise(prepare(F, { purpose: 'open' }));
    const from = (stream: string, message: ToAcceptor): string[] =>
      rig
        .step({ kind: 'proposer', from: stream, owner: owner(1), message })
        .flatMap((e) =>
          e.kind === 'reply' && e.message.kind === 'accepted'
            ? [`${e.to} ${String(e.message.voted !== undefined)}`]
            : [],
        );
    from('opener', any(F, 0));
    expect(from('other', accept(F, 0, 'x'))).toEqual(['other false', 'opener true'].reverse());
    expect(from('opener', accept(F, 1, 'y'))).toEqual(['opener false']);
  });

  test('a vote at the successor is no promise of it: other slots stay open for fast votes', () => {
    const rig = new AcceptorRig();
    open(rig);
    rig.answer(accept(F, 5, 'x'), owner(2));
    expect(rig.answer(accept(successor(F), 5, 'y'), owner(1)).kind).toBe('accepted');
    expect(rig.answer(accept(F, 6, 'z'), owner(2)).kind).toBe('accepted');
    // In that slot, nothing below the successor is voted any more.
    expect(rig.answer(accept(F, 5, 'x'), owner(2))).toMatchObject({ kind: 'rejected', reason: 'ballot' });
  });

  test('still says that the log is open at its fast ballot once slots were recovered at the successor', () => {
    const rig = new AcceptorRig();
    open(rig);
    rig.answer(accept(F, 5, 'x'), owner(2));
    const toldOpenAt = (): FromAcceptor => rig.answer(accept(ZERO, 0, 'z'), owner(3));
    const before = { kind: 'rejected', reason: 'ballot', state: 'open', promised: F };
    expect(toldOpenAt()).toMatchObject(before);
    rig.answer(accept(successor(F), 5, 'y'), owner(1));
    // Who comes new goes on at F: with the successor for an answer it would have a leader elected, which closes the log.
    expect(toldOpenAt()).toMatchObject(before);
    // Control: a vote of another ballot is what a candidate must get above.
    rig.answer(accept(classic(9, 2), 5, 'y'), owner(2));
    expect(toldOpenAt()).toMatchObject({ promised: classic(9, 2) });
  });
});

/** An opener of four acceptors, and what it sent. */
function openerOf(
  acceptors = 4,
  options: Partial<ProposerOptions> = {},
): { opener: Opener; ctx: Context; sent: () => ToAcceptor[] } {
  const ctx: Context = {
    self: owner(1),
    options: { ...PROPOSER_DEFAULTS, ...options },
    quorum: majority(acceptors),
    noOp: NO_OP,
    now: 0,
    random: 0.5,
    lastRound: 2,
    down: 0,
    out: [],
  };
  const opener = new Opener(ctx, LOG, classic(2));
  const sent = (): ToAcceptor[] => ctx.out.splice(0).flatMap((e) => (e.kind === 'to-acceptor' ? [e.message] : []));
  return { opener, ctx, sent };
}

function opened(acceptors = 4, options: Partial<ProposerOptions> = {}): ReturnType<typeof openerOf> {
  const rig = openerOf(acceptors, options);
  for (const a of [0, 1, 2]) rig.opener.onPromised(a, promised(F, { watermark: 5, from: 5 }));
  rig.sent();
  return rig;
}

describe('who opens a log', () => {
  test('prepares a fast ballot of its own, that no other ballot stands between it and its successor', () => {
    const { opener, sent } = openerOf();
    expect(opener.ballot).toEqual(F);
    expect(sent()).toEqual([
      expect.objectContaining({ kind: 'prepare', ballot: F, purpose: 'open', fromWatermark: true }),
    ]);
    expect(freshFast(classic(7, 2), 3, owner(1))).toEqual(fast(8, 1));
    expect(successor(F)).toEqual(classic(3, 1));
  });

  test('sends Any from above every vote, watermark and floor of a phase-1 quorum', () => {
    const { opener, sent } = openerOf();
    sent();
    for (const [a, watermark] of [3, 5].entries()) opener.onPromised(a, promised(F, { watermark, from: watermark }));
    expect(sent()).toEqual([]);
    opener.onPromised(2, promised(F, { watermark: 2, floor: 6, from: 6 }));
    expect(sent()).toEqual([{ kind: 'tell', log: LOG, watermark: 6 }, any(F, 6)]);
  });

  test('asks again whoever did not promise, and opens though a Prepare was lost', () => {
    const { opener, ctx, sent } = openerOf();
    for (const a of [0, 1]) opener.onPromised(a, promised(F, { watermark: 5, from: 5 }));
    sent();
    ctx.now = 100;
    opener.onTick();
    expect(sent()).toEqual([]);
    ctx.now = 200;
    opener.onTick();
    expect(ctx.out.map((e) => (e.kind === 'to-acceptor' ? [e.to, e.message.kind] : []))).toEqual([
      [2, 'prepare'],
      [3, 'prepare'],
    ]);
    opener.onPromised(3, promised(F, { watermark: 5, from: 5 }));
    expect(opener.isOpen).toBe(true);
  });

  test('sends no Any where slots are voted that are not known to be chosen', () => {
    const { opener, sent } = openerOf();
    sent();
    for (const a of [0, 1]) opener.onPromised(a, promised(F, { watermark: 5, from: 5 }));
    opener.onPromised(2, promised(F, { watermark: 5, from: 5, votes: [vote(5, classic(1), 'x')] }));
    expect([sent(), opener.isClosed]).toEqual([[], true]);
  });

  test('recovers a collision at the successor, from the votes of a phase-1 quorum, without a Prepare', () => {
    const { opener, sent } = opened();
    opener.onAccepted(0, voted(F, 5, 'x', { voted: bytes('x') }));
    opener.onAccepted(1, voted(F, 5, 'y', { voted: bytes('y') }));
    expect(sent()).toEqual([]);
    opener.onAccepted(2, voted(F, 5, 'y', { voted: bytes('y') }));
    // Three votes may still be for y.
    expect(sent()).toEqual([]);
    opener.onAccepted(3, voted(F, 5, 'x', { voted: bytes('x') }));
    const recovery = sent() as Accept[];
    expect(recovery.map((m) => [m.kind, m.ballot, m.first, words(m.batch)])).toEqual([
      ['accept', successor(F), 5, 'x'],
    ]);
  });

  test('history (b): for that one slot alone; the next one has votes of its own, and its own recovery', () => {
    const { opener, sent } = opened();
    for (const [a, value] of ['x', 'x', 'y', 'y'].entries())
      opener.onAccepted(a, voted(F, 5, value, { voted: bytes(value) }));
    // A third vote for z is on its way: z may be chosen in slot 6.
    for (const a of [0, 1]) opener.onAccepted(a, voted(F, 6, 'z', { voted: bytes('z') }));
    const slots = (sent() as Accept[]).map((m) => m.first);
    expect(slots).toEqual([5]);
    opener.onAccepted(2, voted(F, 6, 'z', { voted: bytes('z') }));
    expect(sent()).toEqual([]);
    // Control: had it sent its recovered value to slot 6 as well, two phase-2 quorums could differ there.
    expect(majority(4).isFast(0b0111) && majority(4).isPhase2(0b1110)).toBe(true);
  });

  test('waits for a phase-1 quorum of votes, however late it is', () => {
    const { opener, ctx, sent } = opened();
    opener.onAccepted(0, voted(F, 5, 'x', { voted: bytes('x') }));
    opener.onAccepted(1, voted(F, 5, 'y', { voted: bytes('y') }));
    ctx.now = 10_000;
    opener.onTick();
    expect(sent().filter((m) => m.kind === 'accept')).toEqual([]);
    opener.onAccepted(3, voted(F, 5, 'y', { voted: bytes('y') }));
    opener.onTick();
    expect(
      sent()
        .filter((m) => m.kind === 'accept')
        .map((m) => words(m.batch)),
    ).toEqual(['y']);
  });

  test('leaves collisions to a leader where recovery is set to classic', () => {
    const { opener, sent } = opened(4, { fastRecovery: 'classic' });
    for (const [a, value] of ['x', 'x', 'y', 'y'].entries())
      opener.onAccepted(a, voted(F, 5, value, { voted: bytes(value) }));
    expect(sent()).toEqual([]);
  });

  test('sends one value a slot at the successor, for ever (R2)', () => {
    const { opener, ctx, sent } = opened();
    for (const [a, value] of ['x', 'y', 'y'].entries())
      opener.onAccepted(a, voted(F, 5, value, { voted: bytes(value) }));
    ctx.now = 300;
    opener.onTick();
    opener.onAccepted(3, voted(F, 5, 'x', { voted: bytes('x') }));
    ctx.now = 900;
    opener.onTick();
    const values = sent()
      .filter((m) => m.kind === 'accept')
      .map((m) => words(m.batch));
    expect(new Set(values)).toEqual(new Set(['y']));
  });

  test('forgets slots that others know to be chosen, though it missed their votes', () => {
    const recoveries = (watermark: number): number[] => {
      const { opener, ctx, sent } = opened();
      // Of slot 5 it hears two votes of those that chose it; in slot 6 all votes.
      for (const a of [0, 1]) opener.onAccepted(a, voted(F, 5, 'x', { voted: bytes('x') }));
      for (const a of [0, 1, 2]) opener.onAccepted(a, voted(F, 6, 'y', { voted: bytes('y') }));
      opener.onAccepted(0, voted(F, 7, 'z', { voted: bytes('z'), watermark }));
      sent();
      // A late third vote for slot 5 would have it recovered, and slots kept until then.
      opener.onAccepted(3, voted(F, 5, 'other', { voted: bytes('other') }));
      ctx.now = 300;
      opener.onTick();
      return sent().flatMap((m) => (m.kind === 'accept' ? [m.first] : []));
    };
    expect(recoveries(7)).toEqual([]);
    // Control: as long as nobody says so, it is decided.
    expect(recoveries(5)).toEqual([5]);
  });

  test('asks an acceptor that comes back for no more than is undecided', () => {
    const { opener, sent } = opened();
    opener.onAccepted(0, voted(F, 900, 'z', { voted: bytes('z'), watermark: 900 }));
    opener.onAcceptorUp(3);
    expect(sent()).toEqual([expect.objectContaining({ kind: 'prepare', ballot: F, from: 900 })]);
  });

  test('rests once all that are connected have the log open and no slot is undecided: many logs may stay open', () => {
    const { opener, ctx, sent } = opened();
    ctx.down = 0b1000;
    ctx.now = 1_000;
    opener.onTick();
    const asked = (): ToAcceptor[] => sent().filter((m) => m.kind === 'prepare');
    expect([asked().length, opener.isAtRest]).toEqual([3, false]);
    for (const a of [0, 1, 2]) opener.onOpened(a, { kind: 'opened', log: LOG, ballot: F });
    ctx.now = 2_000;
    opener.onTick();
    expect([asked().length, opener.isAtRest]).toEqual([0, true]);
    // Controls: a slot with votes, and an acceptor that came back.
    opener.onAccepted(0, voted(F, 5, 'x', { voted: bytes('x') }));
    expect(opener.isAtRest).toBe(false);
    for (const a of [1, 2]) opener.onAccepted(a, voted(F, 5, 'x', { voted: bytes('x') }));
    expect(opener.isAtRest).toBe(true);
    ctx.down = 0;
    expect(opener.isAtRest).toBe(false);
  });

  test('stops when a higher ballot is promised', () => {
    const { opener } = opened();
    opener.onRejected(0, rejected(F, classic(4, 2), { first: 5, state: 'led' }));
    expect(opener.isClosed).toBe(true);
  });
});

describe('history (e): a fast ballot that two starts of a proposer would share, under a grid', () => {
  // Acceptors 0 and 2 are a column, 1 and 3 the other: a column chooses, one of each column promises.
  const columns = grid(4, 2, 2);

  /** Two starts each recover slot 5 from votes that the other did not hear; returns the values that are chosen. */
  function chosenBy(ballots: readonly [Ballot, Ballot]): (string | undefined)[] {
    const acceptors = [0, 1, 2, 3].map(() => new AcceptorRig());
    const heard = [
      { fastBallot: ballots[0], votes: [0, 1], value: 'x', column: [0, 2] },
      { fastBallot: ballots[1], votes: [2, 3], value: 'y', column: [1, 3] },
    ];
    for (const { fastBallot } of heard) for (const rig of acceptors) open(rig, fastBallot);
    for (const { fastBallot, votes, value } of heard)
      for (const a of votes) acceptors[a]?.ask(accept(fastBallot, 5, value), owner(9));
    return heard.map(({ fastBallot, votes, value, column }) => {
      expect(columns.isPhase1(votes.reduce((sum, a) => sum | (1 << a), 0))).toBe(true);
      const voters = column.filter(
        (a) => acceptors[a]?.answer(accept(successor(fastBallot), 5, value), fastBallot).kind === 'accepted',
      );
      return columns.isPhase2(voters.reduce((sum, a) => sum | (1 << a), 0)) ? value : undefined;
    });
  }

  test('an incarnation of its own keeps a later start from counting what an earlier one opened', () => {
    expect(chosenBy([fast(3, 1, 'a'), fast(3, 1, 'b')])).toEqual([undefined, 'y']);
  });

  test('control: with one incarnation for both, two values are chosen in one slot', () => {
    expect(chosenBy([fast(3, 1, 'a'), fast(3, 1, 'a')])).toEqual(['x', 'y']);
  });
});

function rigOf(): ProposerRig {
  return new ProposerRig(owner(1), [], {}, 4);
}

function propose(rig: ProposerRig, value: string): number {
  return rig.propose(value, { protocol: 'fast', decree: false });
}

function sessions(rig: ProposerRig, next: number, known: Record<string, number> = {}): void {
  rig.step({ kind: 'sessions', log: LOG, next, admission: table(known) });
}

const EXPIRED: Refused = {
  ...({ kind: 'refused', code: 'FAILED_PRECONDITION', message: 'expired', outcome: 'none' } as const),
  leader: undefined,
};

function said(rig: ProposerRig, token: number): unknown[] {
  const answer = rig.answerTo(token);
  return answer?.kind === 'chosen' ? [answer.slot, answer.path, answer.rounds] : [answer?.code ?? 'no answer'];
}

describe('a FAST proposal in a log', () => {
  test('takes the next slot at ballot zero, and is answered once a fast quorum voted and the table is there', () => {
    const rig = rigOf();
    sessions(rig, 0);
    const token = propose(rig, 'x');
    sessions(rig, 0);
    expect(rig.out.some((e) => e.kind === 'to-acceptor' && e.message.kind === 'prepare')).toBe(false);
    for (const a of [0, 1, 2]) rig.from(a, voted(ZERO, 0, 'x'));
    expect(said(rig, token)).toEqual([0, 'fast', 1]);
    const next = propose(rig, 'y');
    expect(rig.take('accept').map((m) => [m.first, m.watermark])).toContainEqual([1, 1]);
    for (const a of [1, 2, 3]) rig.from(a, voted(ZERO, 1, 'y'));
    expect(said(rig, next)).toEqual([1, 'fast', 1]);
  });

  test('says who voted for it as it happens, where its caller asks', () => {
    const rig = rigOf();
    rig.propose('x', { protocol: 'fast', decree: false, progress: true });
    rig.from(0, votedFor(ZERO, 0, 'other'));
    for (const a of [1, 2, 2]) rig.from(a, voted(ZERO, 0, 'x'));
    const told = rig.out.flatMap((e) => (e.kind === 'progress' ? [e.progress] : []));
    expect(told).toEqual([1, 2].map((acceptor) => ({ kind: 'accepted', acceptor, ballot: ZERO, slot: 0 })));
  });

  test('that loses its slot goes to the next, as a retry, and knows what stands below', () => {
    const rig = rigOf();
    const token = propose(rig, 'x');
    sessions(rig, 0);
    rig.out.length = 0;
    for (const a of [0, 1, 2]) rig.from(a, votedFor(ZERO, 0, 'other'));
    expect(rig.take('accept').map((m) => m.first)).toEqual([1]);
    for (const a of [0, 1, 2]) rig.from(a, voted(ZERO, 1, 'x'));
    expect(said(rig, token)).toEqual([1, 'fast', 2]);
  });

  test('is not answered while a slot below is not known to be chosen: a learner that applied it must say', () => {
    const rig = rigOf();
    const token = propose(rig, 'x');
    sessions(rig, 0);
    // Others are three slots further.
    for (const a of [0, 1, 2]) rig.from(a, votedFor(ZERO, 0, 'other', { highest: 3 }));
    rig.out.length = 0;
    for (const a of [0, 1, 2]) rig.from(a, voted(ZERO, 4, 'x'));
    expect(said(rig, token)).toEqual(['no answer']);
    expect(rig.out).toContainEqual({ kind: 'load-sessions', log: LOG, slot: 5 });
    sessions(rig, 4);
    expect(said(rig, token)).toEqual(['no answer']);
    sessions(rig, 5, { x: 4 });
    expect(said(rig, token)).toEqual([4, 'fast', 2]);
  });

  test('is answered at once where a learner that applied the slot was heard before the votes', () => {
    const rig = rigOf();
    const token = propose(rig, 'x');
    sessions(rig, 1, { x: 0 });
    for (const a of [0, 1, 2]) rig.from(a, voted(ZERO, 0, 'x'));
    expect(said(rig, token)).toEqual([0, 'fast', 1]);
  });

  test('has one effect (R12): where the table has it at an earlier slot, that is the answer', () => {
    const rig = rigOf();
    const token = propose(rig, 'x');
    sessions(rig, 0, { x: 0 });
    for (const a of [0, 1, 2]) rig.from(a, votedFor(ZERO, 0, 'x-again'));
    for (const a of [0, 1, 2]) rig.from(a, voted(ZERO, 1, 'x'));
    expect(said(rig, token)).toEqual([0, 'fast', 2]);
  });

  test('is refused without an effect where the table refuses it at its first attempt, and with an unknown one at a retry (R15)', () => {
    const expired = { ...table(), check: () => ({ kind: 'refused' as const, refused: EXPIRED }) };
    const outcome = (retry: boolean, loses: boolean): string | undefined => {
      const rig = rigOf();
      rig.step({ kind: 'sessions', log: LOG, next: 0, admission: expired });
      const token = rig.propose('x', { protocol: 'fast', decree: false, retry });
      rig.step({ kind: 'sessions', log: LOG, next: 0, admission: expired });
      if (loses) for (const a of [0, 1, 2]) rig.from(a, votedFor(ZERO, 0, 'other'));
      expect(rig.answerTo(token)).toBeUndefined();
      for (const a of [0, 1, 2]) rig.from(a, voted(ZERO, loses ? 1 : 0, 'x'));
      const answer = rig.answerTo(token);
      return answer?.kind === 'refused' ? answer.outcome : undefined;
    };
    expect(outcome(false, false)).toBe('none');
    // Controls: what was sent before, by the client or from here, may have had its effect before the session expired.
    expect(outcome(true, false)).toBe('unknown');
    expect(outcome(false, true)).toBe('unknown');
  });

  test('that collides at ballot zero goes to a leader, who prepares: nobody recovers there by counting votes', () => {
    const rig = rigOf();
    propose(rig, 'x');
    sessions(rig, 0);
    rig.out.length = 0;
    for (const a of [0, 1]) rig.from(a, voted(ZERO, 0, 'x'));
    for (const a of [2, 3]) rig.from(a, votedFor(ZERO, 0, 'y'));
    const kinds = rig.out.flatMap((e) => (e.kind === 'to-acceptor' ? [e.message] : []));
    expect(kinds.map((m) => m.kind)).toEqual(['prepare']);
    expect(rig.notes().map((n) => n.kind)).toContain('collision');
    expect(rig.notes()).toContainEqual(expect.objectContaining({ kind: 'quorum', outcome: 'collision', log: LOG }));
  });

  test('that collides and is brought to its end by its own proposer as leader says the way it took, and is counted once', () => {
    const rig = rigOf();
    const acceptors = new Acceptors(4);
    for (const a of [2, 3]) acceptors.give(a, owner(2), accept(ZERO, 0, 'y'));
    const token = propose(rig, 'x');
    converse(rig, owner(1), acceptors);
    expect(rig.machine.leaderOf(LOG)).toBe(1);
    const [slot, path] = said(rig, token);
    expect([typeof slot, path]).toEqual(['number', 'recovered']);
    expect(rig.notes().flatMap((n) => (n.kind === 'fast' ? [n.outcome] : []))).toEqual(['recovered']);
    // What comes while the log is led did not collide.
    rig.out.length = 0;
    const next = propose(rig, 'z');
    converse(rig, owner(1), acceptors);
    expect(said(rig, next)[1]).toBe('classic');
    expect(rig.notes().flatMap((n) => (n.kind === 'fast' ? [n.outcome] : []))).toEqual(['fallback']);
  });

  test('goes on at the ballot at which the log was opened since, above what was voted', () => {
    const rig = rigOf();
    propose(rig, 'x');
    rig.out.length = 0;
    for (const a of [0, 1])
      rig.from(a, rejected(ZERO, F, { first: 0, reason: 'ballot', state: 'open', highest: 6, watermark: 5 }));
    expect(rig.take('accept').map((m) => [m.ballot, m.first])).toEqual([[F, 7]]);
  });

  test('goes on there too where one acceptor voted at the successor and did not hear of the opening', () => {
    const reopened = (higher: Ballot): number[] => {
      const rig = rigOf();
      propose(rig, 'x');
      rig.out.length = 0;
      rig.from(0, rejected(ZERO, F, { first: 0, reason: 'ballot', state: 'open', highest: 6, watermark: 5 }));
      rig.from(1, rejected(ZERO, higher, { first: 0, reason: 'ballot', state: 'closed', highest: 6 }));
      return rig.take('accept').map((m) => m.first);
    };
    expect(reopened(successor(F))).toEqual([7]);
    // Control: a ballot above the successor means that the log is another's now.
    expect(reopened(classic(4, 2))).toEqual([]);
  });

  test('goes to the leader of a log that is led, and says so', () => {
    const rig = rigOf();
    const token = propose(rig, 'x');
    rig.out.length = 0;
    for (const a of [0, 1]) rig.from(a, rejected(ZERO, classic(4, 2), { first: 0, state: 'led', leader: 2 }));
    expect(rig.out.some((e) => e.kind === 'to-acceptor' && e.message.kind === 'prepare')).toBe(true);
    expect(said(rig, token)).toEqual(['no answer']);
  });

  /** The log is found open at F from slot 5 on, and four votes there are split. */
  function collided(options: Partial<ProposerOptions>): ProposerRig {
    const rig = new ProposerRig(owner(1), [], options, 4);
    propose(rig, 'x');
    for (const a of [0, 1])
      rig.from(a, rejected(ZERO, F, { first: 0, reason: 'ballot', state: 'open', highest: 4, watermark: 5 }));
    rig.out.length = 0;
    for (const a of [0, 1]) rig.from(a, voted(F, 5, 'x'));
    for (const a of [2, 3]) rig.from(a, votedFor(F, 5, 'y'));
    return rig;
  }

  test('that collides where the log was opened waits for who opened it, and asks a learner what became of the slot', () => {
    const rig = collided({});
    expect(rig.out).toContainEqual({ kind: 'load-sessions', log: LOG, slot: 6 });
    expect(rig.take('prepare')).toEqual([]);
  });

  test('that comes to a slot which is recovered already waits for it too, and does not close the log', () => {
    const late = (ballotThere: Ballot): ProposerRig => {
      const rig = rigOf();
      propose(rig, 'x');
      for (const a of [0, 1])
        rig.from(a, rejected(ZERO, F, { first: 0, reason: 'ballot', state: 'open', highest: 4, watermark: 5 }));
      rig.out.length = 0;
      for (const a of [0, 1])
        rig.from(a, rejected(F, ballotThere, { first: 5, reason: 'ballot', state: 'open', highest: 5, watermark: 5 }));
      return rig;
    };
    const rig = late(F);
    expect(rig.out).toContainEqual({ kind: 'load-sessions', log: LOG, slot: 6 });
    expect(rig.take('prepare')).toEqual([]);
    // A learner applied the slot, and the value of another is there: the next slot of the log, which is open still.
    sessions(rig, 6);
    expect(rig.take('accept').map((m) => [m.ballot, m.first])).toEqual([[F, 6]]);
    // Control: where somebody else's ballot is above the one that is open, a leader is needed.
    expect(late(classic(4, 2)).take('prepare')).toHaveLength(1);
  });

  test('whose slot was recovered and is known to be chosen is not sent again before a learner says for which value', () => {
    const late = (reason: 'ballot' | 'floor'): ProposerRig => {
      const rig = rigOf();
      propose(rig, 'x');
      for (const a of [0, 1])
        rig.from(a, rejected(ZERO, F, { first: 0, reason: 'ballot', state: 'open', highest: 4, watermark: 5 }));
      rig.out.length = 0;
      for (const a of [0, 1])
        rig.from(a, rejected(F, F, { first: 5, reason, state: 'open', highest: 6, watermark: 6 }));
      return rig;
    };
    const rig = late('ballot');
    expect(rig.take('accept')).toEqual([]);
    sessions(rig, 7, { x: 5 });
    expect(said(rig, 1)).toEqual([5, 'recovered', 2]);
    // Control: where nobody says that the slot was recovered, the value goes on above what is chosen.
    expect(
      late('floor')
        .take('accept')
        .map((m) => m.first),
    ).toEqual([7]);
  });

  test('that collides there goes to a leader where recovery is set to classic', () => {
    const rig = collided({ fastRecovery: 'classic' });
    expect(rig.out.some((e) => e.kind === 'load-sessions' && e.slot === 6)).toBe(false);
    expect(rig.take('prepare').map((m) => m.purpose)).toEqual(['lead']);
  });

  test('with too few acceptors for a fast quorum, or none in the system, goes to a leader and says so', () => {
    const lost = (acceptors: number | QuorumSystem, down: readonly number[]): unknown[] => {
      const rig = new ProposerRig(owner(1), [], {}, acceptors);
      for (const acceptor of down) rig.step({ kind: 'acceptor-down', acceptor });
      const token = propose(rig, 'x');
      const sent = rig.out.flatMap((e) => (e.kind === 'to-acceptor' ? [e.message.kind] : []));
      converse(rig, owner(1), new Acceptors(rig.quorum.size), (a) => !down.includes(a));
      return [sent, said(rig, token)];
    };
    expect(lost(5, [3, 4])).toEqual([['prepare'], [0, 'classic', 1]]);
    const all = [1, 2, 3].map((left) => [1, 2, 3, 4].filter((id) => id !== left));
    expect(lost(explicit(4, { phase1: all, phase2: all }), [])).toEqual([['prepare'], [0, 'classic', 1]]);
    // Control: one acceptor more is enough.
    expect(lost(5, [4])).toEqual([['accept'], [0, 'fast', 1]]);
  });

  test('a value is not sent twice in one slot at one ballot: a batch of one, every time', () => {
    const rig = rigOf();
    propose(rig, 'x');
    propose(rig, 'y');
    const sent = rig.take('accept');
    expect(sent.map((m) => [m.first, m.batch.count, m.batch.equals(Batch.of([bytes('x')]))])).toEqual([[0, 1, true]]);
  });
});

describe('a proposer that is about to open a log', () => {
  const forwarded = (id: number, value: string, isFast: boolean): PeerMessage => ({
    ...{ kind: 'forward', id, incarnation: owner(2).incarnation, log: LOG, entry: bytes(value), retry: false },
    ...{ relayed: false, fast: isFast, timeoutMs: 5_000, progress: false },
  });

  /** It led the log, and has just asked for promises of a fast ballot. */
  function opening(): { rig: ProposerRig; acceptors: Acceptors; run: () => void } {
    const rig = new ProposerRig(owner(1), [2], { fastWaitMsMin: 100 }, 4);
    const acceptors = new Acceptors(4);
    const run = (): void => {
      converse(rig, owner(1), acceptors);
    };
    rig.peer(2, forwarded(1, 'a', true));
    run();
    rig.out.length = 0;
    for (let ticks = 0; ticks < 6; ticks++) {
      rig.hear(2);
      rig.tick(25);
    }
    expect(purposes(rig)).toEqual(['open']);
    return { rig, acceptors, run };
  }

  /** It leads, with one proposal in flight, when the log is due; a second one comes. */
  function underLoad(isFast: boolean): { rig: ProposerRig; run: () => void } {
    const rig = new ProposerRig(owner(1), [2], { fastWaitMsMin: 100 }, 4);
    const acceptors = new Acceptors(4);
    const run = (): void => {
      converse(rig, owner(1), acceptors);
    };
    rig.peer(2, forwarded(1, 'a', true));
    run();
    rig.out.length = 0;
    rig.peer(2, forwarded(2, 'b', isFast));
    for (let ticks = 0; ticks < 6; ticks++) {
      rig.hear(2);
      rig.tick(25);
    }
    rig.peer(2, forwarded(3, 'c', true));
    expect(purposes(rig)).toEqual([]);
    return { rig, run };
  }

  test('does so under a steady load of FAST proposals: what is in flight ends first, what waits takes the fast ballot', () => {
    const { rig, run } = underLoad(true);
    run();
    expect(purposes(rig)).toEqual(['open']);
    expect(sentFast(rig)).toEqual(['c']);
  });

  test('closes it for what collided elsewhere: whoever forwards that needs a leader, and says so', () => {
    const { rig, run } = opening();
    run();
    rig.out.length = 0;
    rig.peer(2, forwarded(2, 'b', false));
    expect([purposes(rig), sentFast(rig)]).toEqual([['lead'], []]);
    // The other side: what collides at ballot zero, where nobody recovers, goes to a first leader; which one that is, its id decides.
    const sent = [3, 4, 5, 6, 7, 8, 9].flatMap((id) => {
      const other = new ProposerRig(owner(id), [1], {}, 4);
      other.hear(1);
      propose(other, 'x');
      for (const a of [0, 1]) other.from(a, voted(ZERO, 0, 'x'));
      other.out.length = 0;
      for (const a of [2, 3]) other.from(a, votedFor(ZERO, 0, 'y'));
      return other.out.flatMap((e) => (e.kind === 'to-peer' && e.message.kind === 'forward' ? [e.message.fast] : []));
    });
    expect(new Set(sent)).toEqual(new Set([false]));
  });

  test('control: does not while a proposal is in flight that asked for a leader', () => {
    const { rig, run } = underLoad(false);
    run();
    expect([purposes(rig), sentFast(rig)]).toEqual([[], []]);
  });

  test('leads first for as long as is set, however long ago FAST was asked for', () => {
    const rig = new ProposerRig(owner(1), [2], { fastWaitMsMin: 500 }, 4);
    const acceptors = new Acceptors(4);
    const pass = (ms: number): string[] => {
      rig.out.length = 0;
      for (let passed = 0; passed < ms; passed += 25) {
        rig.hear(2);
        rig.tick(25);
      }
      return purposes(rig);
    };
    // FAST is asked for while another one leads; then the log comes here.
    rig.hear(2);
    rig.peer(2, { kind: 'led-change', full: true, added: [{ log: LOG, ballot: classic(1, 2) }], removed: [] });
    propose(rig, 'a');
    const answer = { kind: 'chosen', slot: 0, ballot: undefined, entry: undefined, leader: 2 } as const;
    rig.peer(2, { kind: 'forwarded', id: 1, incarnation: owner(1).incarnation, answer });
    rig.peer(2, { kind: 'led-change', full: true, added: [], removed: [] });
    pass(700);
    rig.out.length = 0;
    rig.peer(2, forwarded(1, 'b', false));
    converse(rig, owner(1), acceptors);
    expect(pass(400)).toEqual([]);
    // Control: not for ever.
    expect(pass(200)).toEqual(['open']);
  });

  const purposes = (rig: ProposerRig): string[] =>
    rig.out.flatMap((e) => (e.kind === 'to-acceptor' && e.message.kind === 'prepare' ? [e.message.purpose] : []));

  const sentFast = (rig: ProposerRig): (string | undefined)[] =>
    rig.out.flatMap((e) =>
      e.kind === 'to-acceptor' && e.message.kind === 'accept' && isFast(e.message.ballot)
        ? [words(e.message.batch)]
        : [],
    );

  test('keeps FAST proposals until it has, its own and those that a peer sent to the leader that it was', () => {
    const { rig, run } = opening();
    rig.peer(2, forwarded(2, 'b', true));
    const token = propose(rig, 'c');
    expect([purposes(rig), sentFast(rig)]).toEqual([['open'], []]);
    run();
    expect(purposes(rig)).toEqual(['open']);
    expect(sentFast(rig)).toEqual(['b', 'c']);
    expect(said(rig, token)).toEqual([expect.any(Number), 'fast', 1]);
    const answers = rig.out.flatMap((e) => (e.kind === 'to-peer' && e.message.kind === 'forwarded' ? [e.message] : []));
    expect(answers).toEqual([expect.objectContaining({ id: 2, answer: expect.objectContaining({ path: 'fast' }) })]);
  });

  test('sends nothing for a peer that no learner could apply', () => {
    const sentFor = (verdict: Verdict): (string | undefined)[] => {
      const { rig, acceptors } = opening();
      rig.peer(2, forwarded(2, 'b', true));
      for (const effect of rig.out.splice(0))
        for (const a of [0, 1, 2]) {
          const reply = effect.kind === 'to-acceptor' ? acceptors.give(a, owner(1), effect.message) : undefined;
          if (reply !== undefined) rig.from(a, reply);
        }
      expect(sentFast(rig)).toEqual([]);
      rig.step({ kind: 'sessions', log: LOG, next: 1, admission: { ...table(), check: () => verdict } });
      return sentFast(rig);
    };
    expect(sentFor({ kind: 'invalid', refused: EXPIRED })).toEqual([]);
    // Control: what learners know is sent, as soon as there is a table to judge it by.
    expect(sentFor({ kind: 'new' })).toEqual(['b']);
  });

  test('control: a proposal for a leader has one elected, which closes the log', () => {
    const { rig } = opening();
    rig.peer(2, forwarded(2, 'b', false));
    expect(purposes(rig)).toEqual(['open', 'lead']);
  });

  test('gives them to a leader where it cannot', () => {
    const { rig } = opening();
    const token = propose(rig, 'c');
    rig.hear(2);
    const { ballot } = rig.take('prepare')[0] as { ballot: Ballot };
    for (const a of [0, 1, 2]) rig.from(a, rejected(ballot, classic(9, 2), { state: 'led', leader: 2 }));
    expect(said(rig, token)).toEqual(['no answer']);
    expect(sentFast(rig)).toEqual([]);
    expect(rig.out.flatMap((e) => (e.kind === 'to-peer' ? [[e.to, e.message.kind]] : []))).toEqual([[2, 'forward']]);
  });

  test('is who another proposer sends its FAST proposals to', () => {
    const rig = new ProposerRig(owner(1), [2], {}, 4);
    rig.hear(2);
    propose(rig, 'x');
    rig.out.length = 0;
    for (const a of [0, 1]) rig.from(a, rejected(ZERO, fast(3, 2), { first: 0, reason: 'ballot', state: 'closed' }));
    expect(purposes(rig)).toEqual([]);
    expect(rig.out.flatMap((e) => (e.kind === 'to-peer' ? [[e.to, e.message.kind]] : []))).toEqual([[2, 'forward']]);
  });
});
