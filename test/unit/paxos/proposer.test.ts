// Goal: how proposers find a log's leader and hand work over, and what a caller may conclude (DESIGN 6, R12, R14, R15).
// Method: one proposer by hand with peers that are played; a few runs of two proposers over real acceptors.
import { describe, expect, test } from '@jest/globals';
import { firstLeader } from '../../../shared/paxos/hash.ts';
import type { Answer, Forward, PeerMessage } from '../../../shared/paxos/peers.ts';
import { Acceptors, converse, ProposerRig, table } from './hearts.ts';
import { accepted, bytes, classic, owner, promised, rejected, words } from './support.ts';

/** A log whose first leader, of proposers 1 and 2, is the one named. */
function logOf(proposer: number): string {
  for (let i = 0; ; i++) if (firstLeader(`log-${i}`, [1, 2]) === proposer) return `log-${i}`;
}
const HERS = logOf(2);
const MINE = logOf(1);

function toPeers<K extends PeerMessage['kind']>(rig: ProposerRig, kind: K): (PeerMessage & { kind: K })[] {
  return rig.out.flatMap((e) =>
    e.kind === 'to-peer' && e.message.kind === kind ? [e.message as PeerMessage & { kind: K }] : [],
  );
}

function kindsToAcceptors(rig: ProposerRig): string[] {
  return rig.out.flatMap((e) => (e.kind === 'to-acceptor' ? [e.message.kind] : []));
}

/** Proposer 1 that hears proposer 2. */
function two(): ProposerRig {
  const rig = new ProposerRig(owner(1), [2]);
  rig.hear(2);
  return rig;
}

const refusedBy = (forward: Forward, more: Partial<Answer & { kind: 'refused' }>): PeerMessage => ({
  kind: 'forwarded',
  id: forward.id,
  incarnation: forward.incarnation,
  answer: { kind: 'refused', code: 'UNAVAILABLE', message: 'no', outcome: 'none', leader: undefined, ...more },
});

const chosenBy = (forward: Forward, slot: number): PeerMessage => ({
  kind: 'forwarded',
  id: forward.id,
  incarnation: forward.incarnation,
  answer: { kind: 'chosen', slot, ballot: classic(1, 2), entry: undefined, leader: 2 },
});

function firstForward(rig: ProposerRig): Forward {
  const [forward] = toPeers(rig, 'forward');
  if (forward === undefined) throw new Error('nothing was forwarded');
  return forward;
}

/** Leads the log after a conversation with real acceptors. */
function lead(rig: ProposerRig, acceptors: Acceptors, log: string): void {
  rig.propose('first', { log });
  converse(rig, owner(1), acceptors);
  expect(rig.machine.leaderOf(log)).toBe(1);
  rig.out.length = 0;
}

describe('a log that nobody leads', () => {
  test('is led first by the proposer that rendezvous hashing names among the living', () => {
    const rig = two();
    rig.propose('x', { log: MINE });
    expect(kindsToAcceptors(rig)).toEqual(['prepare']);
    const other = two();
    other.propose('x', { log: HERS });
    expect(kindsToAcceptors(other)).toEqual([]);
    expect(toPeers(other, 'forward')).toHaveLength(1);
  });

  test('is led by whoever is left when the one that is named is not alive', () => {
    const rig = new ProposerRig(owner(1), [2]);
    rig.propose('x', { log: HERS });
    expect(kindsToAcceptors(rig)).toEqual(['prepare']);
  });
});

describe('forwarding', () => {
  test('goes to the proposer that says it leads, whatever hashing names', () => {
    const rig = two();
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: MINE, ballot: classic(4, 2) }], removed: [] });
    rig.propose('x', { log: MINE });
    expect(firstForward(rig)).toEqual(expect.objectContaining({ log: MINE, entry: bytes('x'), retry: false }));
  });

  test('happens once: what came from a peer is refused with the leader’s name, and outcome none', () => {
    const rig = two();
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: MINE, ballot: classic(4, 2) }], removed: [] });
    rig.peer(3, {
      kind: 'forward',
      id: 7,
      incarnation: 'c',
      log: MINE,
      entry: bytes('x'),
      retry: false,
      relayed: true,
      timeoutMs: 900,
      progress: false,
    });
    expect(toPeers(rig, 'forward')).toEqual([]);
    expect(toPeers(rig, 'forwarded')).toEqual([
      expect.objectContaining({
        id: 7,
        incarnation: 'c',
        answer: expect.objectContaining({ code: 'UNAVAILABLE', outcome: 'none', leader: 2 }),
      }),
    ]);
  });

  test('carries what is left of the caller’s deadline', () => {
    const rig = two();
    rig.propose('x', { log: HERS, timeoutMs: 800 });
    expect(firstForward(rig).timeoutMs).toBe(800);
  });

  test('gives the leader’s answer to the caller', () => {
    const rig = two();
    const token = rig.propose('x', { log: HERS });
    rig.peer(2, chosenBy(firstForward(rig), 17));
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ kind: 'chosen', slot: 17, leader: 2 }));
    expect(rig.machine.pending).toBe(0);
  });

  test('is tried elsewhere when the peer says that it does not lead, still as a first attempt', () => {
    const rig = two();
    const token = rig.propose('x', { log: HERS });
    const forward = firstForward(rig);
    rig.out.length = 0;
    rig.peer(2, refusedBy(forward, {}));
    expect(rig.answerTo(token)).toBeUndefined();
    rig.tick(200);
    expect(firstForward(rig)).toEqual(expect.objectContaining({ retry: false }));
    expect(firstForward(rig).id).not.toBe(forward.id);
  });

  test('to a leader that may have sent it goes on as a retry', () => {
    const rig = two();
    rig.propose('x', { log: HERS });
    const forward = firstForward(rig);
    rig.out.length = 0;
    rig.peer(2, refusedBy(forward, { outcome: 'unknown' }));
    rig.tick(200);
    expect(firstForward(rig).retry).toBe(true);
  });

  test('that is not answered in two timeouts comes back as a retry, and may go past that leader’s grace', () => {
    const rig = two();
    rig.propose('x', { log: HERS });
    for (let t = 0; t < 900; t += 100) {
      rig.tick(100);
      rig.hear(2);
    }
    expect(kindsToAcceptors(rig)).toEqual([]);
    rig.tick(125);
    const prepares = rig.take('prepare');
    expect(prepares.map((p) => [p.ask, p.override])).toEqual([[true, true]]);
  });

  test('that was given up: the late answer of the leader to the first sending is not taken (R12)', () => {
    const rig = two();
    const token = rig.propose('x', { log: HERS });
    const forward = firstForward(rig);
    rig.step({ kind: 'peer-down', peer: 2, refused: true });
    rig.out.length = 0;
    rig.peer(2, chosenBy(forward, 3));
    expect(rig.answerTo(token)).toBeUndefined();
  });

  test('an answer to another start of this proposer is not taken for its own', () => {
    const rig = two();
    const token = rig.propose('x', { log: HERS });
    const forward = firstForward(rig);
    rig.peer(2, chosenBy({ ...forward, incarnation: 'f'.repeat(16) }, 3));
    expect(rig.answerTo(token)).toBeUndefined();
    rig.peer(2, chosenBy(forward, 4));
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ slot: 4 }));
  });

  test('R15: a caller whose deadline ends while a leader has its proposal is told that the outcome is unknown', () => {
    const rig = two();
    const token = rig.propose('x', { log: HERS, timeoutMs: 300 });
    rig.tick(300);
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' }));
  });

  test('R15: a leader’s refusal with outcome none is passed on as it is', () => {
    const rig = two();
    const token = rig.propose('x', { log: HERS });
    rig.peer(2, refusedBy(firstForward(rig), { code: 'RESOURCE_EXHAUSTED' }));
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED', outcome: 'none' }));
  });

  test('R15: a proposal that a peer handed back untouched and that then runs out of time has outcome none', () => {
    const rig = two();
    const token = rig.propose('x', { log: HERS, timeoutMs: 300 });
    rig.random = 1;
    rig.peer(2, refusedBy(firstForward(rig), {}));
    rig.step({ kind: 'peer-down', peer: 2, refused: true });
    rig.tick(300);
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ code: 'DEADLINE_EXCEEDED', outcome: 'none' }));
  });
});

describe('failover', () => {
  test('a peer whose connection is refused is silent at once: the next in line campaigns for what it led', () => {
    const rig = two();
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: 'a', ballot: classic(1, 2) }], removed: [] });
    rig.out.length = 0;
    rig.step({ kind: 'peer-down', peer: 2, refused: false });
    expect(kindsToAcceptors(rig)).toEqual([]);
    rig.step({ kind: 'peer-down', peer: 2, refused: true });
    expect(rig.take('prepare').map((p) => [p.log, p.ask])).toEqual([['a', true]]);
  });

  test('silence makes a candidate of the next in line', () => {
    const rig = two();
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: 'a', ballot: classic(1, 2) }], removed: [] });
    rig.tick(650);
    expect(rig.take('prepare')).toEqual([]);
    rig.tick(50);
    expect(rig.take('prepare').map((p) => p.log)).toEqual(['a']);
  });

  test('a pause of one’s own is not the silence of others: the inbox is drained first', () => {
    const rig = two();
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: 'a', ballot: classic(1, 2) }], removed: [] });
    rig.out.length = 0;
    // The process stood still for three seconds; the heartbeats that came meanwhile wait behind the timer.
    rig.now += 3_000;
    rig.step({ kind: 'tick' });
    expect(rig.notes()).toContainEqual({ kind: 'pause', ms: 3_000 });
    rig.hear(2);
    rig.tick(25);
    expect(rig.take('prepare')).toEqual([]);
  });

  test('control: a timer that is not late finds the same silence, and acts', () => {
    const rig = two();
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: 'a', ballot: classic(1, 2) }], removed: [] });
    rig.out.length = 0;
    rig.tick(3_000);
    expect(rig.take('prepare').length).toBeGreaterThan(0);
  });
});

describe('limits', () => {
  test('a proposal above the limit in flight is refused before it enters a log, with the setting', () => {
    const rig = new ProposerRig(owner(1), [], { inFlightMax: 2 });
    rig.propose('a');
    rig.propose('b');
    const token = rig.propose('c');
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED', outcome: 'none' }));
    const answer = rig.answerTo(token);
    expect(answer?.kind === 'refused' ? answer.message : '').toContain('proposals.in-flight.max');
    expect(rig.machine.pending).toBe(2);
  });

  test('one log too many refuses its proposals with outcome none', () => {
    const rig = new ProposerRig();
    const token = rig.propose('x');
    const [asked] = rig.take('prepare');
    if (asked === undefined) throw new Error('no campaign');
    for (const a of [0, 1]) rig.from(a, rejected(asked.ballot, classic(0), { reason: 'logs', state: 'open' }));
    expect(rig.answerTo(token)).toEqual(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED', outcome: 'none' }));
  });

  test('a caller that is gone is not answered, and its proposal is not sent', () => {
    const rig = new ProposerRig();
    const token = rig.propose('x');
    rig.step({ kind: 'cancel', token });
    const acceptors = new Acceptors();
    converse(rig, owner(1), acceptors);
    expect(rig.answerTo(token)).toBeUndefined();
    expect(kindsToAcceptors(rig)).not.toContain('accept');
    expect(rig.machine.pending).toBe(0);
  });
});

describe('shutting down', () => {
  test('finishes what is in flight, resigns, hands the log over, and is drained', () => {
    const acceptors = new Acceptors();
    const rig = two();
    lead(rig, acceptors, MINE);
    const token = rig.propose('x', { log: MINE });
    const [sent] = rig.take('accept');
    rig.step({ kind: 'drain' });
    expect(kindsToAcceptors(rig)).not.toContain('resign');
    for (const a of [0, 1]) rig.from(a, { ...accepted(sent?.ballot ?? classic(1), 1, 1), log: MINE });
    expect(rig.answerTo(token)?.kind).toBe('chosen');
    expect(kindsToAcceptors(rig)).toEqual(['tell', 'resign']);
    expect(toPeers(rig, 'take-over')).toEqual([{ kind: 'take-over', log: MINE }]);
    expect(rig.out.filter((e) => e.kind === 'drained')).toHaveLength(1);
  });

  test('takes nothing new, and says that nothing happened', () => {
    const rig = two();
    rig.step({ kind: 'drain' });
    expect(rig.answerTo(rig.propose('x'))).toEqual(expect.objectContaining({ code: 'UNAVAILABLE', outcome: 'none' }));
  });

  test('a campaign that is won while draining is handed over as well', () => {
    const acceptors = new Acceptors();
    const rig = two();
    rig.propose('x', { log: MINE });
    rig.step({ kind: 'drain' });
    converse(rig, owner(1), acceptors);
    rig.tick(100);
    expect(toPeers(rig, 'take-over')).toEqual([{ kind: 'take-over', log: MINE }]);
    expect(rig.machine.leaderOf(MINE)).not.toBe(1);
  });

  test('gives back what a peer forwarded before, where that peer can go on, and does not campaign for it', () => {
    for (const draining of [true, false]) {
      const rig = two();
      const forward = { kind: 'forward', id: 7, incarnation: 'c', log: HERS, entry: bytes('x'), retry: false } as const;
      // Refused as led by somebody who is not heard of, the log waits here.
      rig.peer(2, { ...forward, relayed: false, timeoutMs: 5_000, progress: false });
      for (const { ballot } of rig.take('prepare'))
        for (const a of [0, 1]) rig.from(a, rejected(ballot, classic(1, 9), { log: HERS, reason: 'led', leader: 9 }));
      rig.hear(2);
      if (draining) rig.step({ kind: 'drain' });
      rig.out.length = 0;
      rig.tick(600);
      const answers = toPeers(rig, 'forwarded');
      expect(kindsToAcceptors(rig).includes('prepare')).toBe(!draining);
      if (draining)
        expect(answers).toEqual([
          expect.objectContaining({ id: 7, answer: expect.objectContaining({ code: 'UNAVAILABLE', outcome: 'none' }) }),
        ]);
      else expect(answers).toEqual([]);
    }
  });

  test('a proposer that is told to take over campaigns at once', () => {
    const rig = two();
    rig.peer(2, { kind: 'take-over', log: HERS });
    expect(rig.take('prepare').map((p) => [p.log, p.ask])).toEqual([[HERS, true]]);
  });
});

describe('moving a log', () => {
  test('to a live peer resigns and tells that peer to take over; the operator is answered once it leads', () => {
    const acceptors = new Acceptors();
    const rig = two();
    lead(rig, acceptors, MINE);
    rig.step({ kind: 'move', token: 99, log: MINE, to: 2 });
    expect(toPeers(rig, 'take-over')).toEqual([{ kind: 'take-over', log: MINE }]);
    expect(rig.answerTo(99)).toBeUndefined();
    const added = [{ log: MINE, ballot: classic(4, 2) }];
    rig.peer(2, { kind: 'led-change', full: false, added, removed: [] });
    expect(rig.answerTo(99)).toEqual(expect.objectContaining({ kind: 'chosen', leader: 2 }));
  });

  test('to a proposer that is not alive is refused, and changes nothing', () => {
    const acceptors = new Acceptors();
    const rig = two();
    lead(rig, acceptors, MINE);
    rig.step({ kind: 'move', token: 99, log: MINE, to: 5 });
    expect(rig.answerTo(99)).toEqual(expect.objectContaining({ code: 'FAILED_PRECONDITION', outcome: 'none' }));
    expect(rig.machine.leaderOf(MINE)).toBe(1);
  });

  test('that another leads is refused with the leader’s name', () => {
    const rig = two();
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: MINE, ballot: classic(4, 2) }], removed: [] });
    rig.step({ kind: 'move', token: 99, log: MINE, to: 1 });
    expect(rig.answerTo(99)).toEqual(expect.objectContaining({ code: 'FAILED_PRECONDITION', leader: 2 }));
  });

  test('is answered also where the leader is deposed before it could resign', () => {
    const rig = two();
    rig.propose('x', { log: MINE });
    const [asked] = rig.take('prepare');
    const ballot = asked?.ballot ?? classic(1);
    for (const a of [0, 1]) rig.from(a, { kind: 'would-promise', log: MINE, ballot, highest: -1, watermark: 0 });
    for (const a of [0, 1]) rig.from(a, { ...promised(ballot), log: MINE });
    rig.step({ kind: 'sessions', log: MINE, next: 0, admission: table() });
    rig.step({ kind: 'move', token: 99, log: MINE, to: 2 });
    expect(rig.answerTo(99)).toBeUndefined();
    for (const a of [0, 1]) rig.from(a, { ...rejected(ballot, classic(9, 2)), log: MINE });
    rig.tick(2_100);
    expect(rig.answerTo(99)).toEqual(expect.objectContaining({ kind: 'refused' }));
  });
});

describe('a decree', () => {
  /** `withdrawn` is told that nothing happened before anything was sent; then the acceptors answer. */
  function decided(withdrawnMs: number): { rig: ProposerRig; told: Answer | undefined; sent: string[] } {
    const rig = two();
    const log = 'd';
    const withdrawn = rig.propose('first', { log, protocol: 'basic', timeoutMs: withdrawnMs });
    rig.propose('second', { log, protocol: 'basic', timeoutMs: 5_000 });
    const [prepare] = rig.take('prepare');
    if (prepare === undefined) throw new Error('no round');
    rig.tick(150);
    const told = rig.answerTo(withdrawn);
    for (const a of [0, 1]) rig.from(a, { ...promised(prepare.ballot), log });
    return { rig, told, sent: rig.take('accept').map(({ batch }) => words(batch) ?? '') };
  }

  test('never sends the value of who was told that it had no effect, though its round goes on for others (R15)', () => {
    const { told, sent } = decided(100);
    expect(told).toEqual(expect.objectContaining({ code: 'DEADLINE_EXCEEDED', outcome: 'none' }));
    expect(new Set(sent)).toEqual(new Set(['second']));
  });

  test('sends the value of who asked first, while that waits (the control)', () => {
    const { told, sent } = decided(5_000);
    expect(told).toBeUndefined();
    expect(new Set(sent)).toEqual(new Set(['first']));
  });

  test('tells who comes late to a round that was sent that the outcome is unknown', () => {
    const { rig } = decided(5_000);
    const late = rig.propose('third', { log: 'd', protocol: 'basic', timeoutMs: 50 });
    rig.tick(100);
    expect(rig.answerTo(late)).toEqual(expect.objectContaining({ outcome: 'unknown' }));
  });
});
