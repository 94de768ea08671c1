// Goal: DESIGN 6 as far as it is about who is alive and who leads what: rendezvous hashing, heartbeats by digest, silence,
// pauses of one's own. Method: one Election, messages and times by hand.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { Election } from '../../../shared/paxos/election.ts';
import { firstLeader } from '../../../shared/paxos/hash.ts';
import type { Heartbeat, PeerMessage } from '../../../shared/paxos/peers.ts';
import { PROPOSER_DEFAULTS, type Context } from '../../../shared/paxos/proposing.ts';
import { majority } from '../../../shared/paxos/quorum.ts';
import { classic, owner } from './support.ts';

const LOGS = Array.from({ length: 600 }, (_, i) => `log-${i}`);

function context(proposer: number, start = 'a'): Context {
  return {
    self: owner(proposer, start),
    options: PROPOSER_DEFAULTS,
    quorum: majority(3),
    noOp: new Uint8Array(),
    now: 0,
    random: 0.5,
    lastRound: 0,
    down: 0,
    out: [],
  };
}

describe('the first leader of a log', () => {
  test('is the same for every proposer that sees the same list, in whatever order', () => {
    for (const log of LOGS) expect(firstLeader(log, [1, 2, 3])).toBe(firstLeader(log, [3, 1, 2]));
  });

  test('spreads logs over the proposers, also where names differ in their last letter only', () => {
    const counts = [1, 2, 3].map((p) => LOGS.filter((log) => firstLeader(log, [1, 2, 3]) === p).length);
    for (const count of counts) expect(count).toBeGreaterThan(LOGS.length / 5);
  });

  test('changes only for the logs of a proposer that is gone', () => {
    for (const log of LOGS) {
      const before = firstLeader(log, [1, 2, 3]);
      if (before !== 3) expect(firstLeader(log, [1, 2])).toBe(before);
    }
  });

  test('is among the living: a proposer that was never heard leads nothing', () => {
    const ctx = context(1);
    const election = new Election(ctx, [1, 2, 3]);
    for (const log of LOGS) expect(election.first(log)).toBe(1);
    expect(election.first('x', 'self')).toBeUndefined();
  });
});

describe('heartbeats', () => {
  let ctx: Context;
  let election: Election;
  let other: Context;
  let peer: Election;

  /** What was sent to the other since the last call, handed to it; returns the kinds. */
  function exchange(from: Context, to: Election): string[] {
    const kinds: string[] = [];
    for (const effect of from.out.splice(0)) {
      if (effect.kind !== 'to-peer') continue;
      kinds.push(effect.message.kind);
      deliver(to, from.self.proposer, effect.message);
    }
    return kinds;
  }
  function deliver(to: Election, from: number, message: PeerMessage): void {
    if (message.kind === 'heartbeat') to.onHeartbeat(message);
    if (message.kind === 'led-change') to.onLedChange(from, message);
    if (message.kind === 'led?') to.onLedQuestion(from);
  }
  /** Both clocks go on, both tick, all is delivered. */
  function run(ms: number): void {
    for (let t = 0; t < ms; t += 50) {
      ctx.now += 50;
      other.now += 50;
      election.onTick();
      peer.onTick();
      exchange(ctx, peer);
      exchange(other, election);
      exchange(ctx, peer);
    }
  }

  beforeEach(() => {
    ctx = context(1);
    election = new Election(ctx, [1, 2]);
    other = context(2);
    peer = new Election(other, [1, 2]);
  });

  test('go to a peer that becomes known later, and one that is forgotten is no leader any more', () => {
    const late = context(3);
    const third = new Election(late, [1, 2, 3]);
    const heartbeat = (): void => {
      late.now += 100;
      third.onTick();
      exchange(late, election);
    };
    heartbeat();
    expect(election.isAlive(3)).toBe(false);
    election.add(3);
    election.add(3);
    heartbeat();
    third.setLed('x', classic(1, 3));
    third.announce();
    heartbeat();
    expect([...election.peers()].map(({ id, alive }) => [id, alive])).toEqual([
      [2, false],
      [3, true],
    ]);
    ctx.now += 100;
    election.onTick();
    expect(ctx.out.some((effect) => effect.kind === 'to-peer' && effect.to === 3)).toBe(true);
    expect(election.ledBy('x')).toBe(3);
    // What it led is handed to whoever forgets it, as when it falls silent.
    expect(election.forget(3).map(({ log }) => log)).toEqual(['x']);
    expect(election.isAlive(3)).toBe(false);
    expect(election.ledBy('x')).toBeUndefined();
    expect(election.forget(3)).toEqual([]);
  });

  test('are sent every 100 ms; a peer that is heard is alive', () => {
    expect(election.isAlive(2)).toBe(false);
    run(200);
    expect(election.isAlive(2)).toBe(true);
    election.onTick();
    expect(exchange(ctx, peer)).toEqual([]);
    ctx.now += 100;
    election.onTick();
    expect(exchange(ctx, peer)).toEqual(['heartbeat']);
  });

  test('of a proposer that leads something also tell the acceptors that it is alive', () => {
    election.setLed('x', classic(1));
    election.onTick();
    expect(ctx.out).toContainEqual({ kind: 'to-acceptor', to: undefined, message: { kind: 'alive' } });
  });

  test('cost nothing for logs that do not change: what is led goes out once', () => {
    run(200);
    for (const log of LOGS) peer.setLed(log, classic(1, 2));
    peer.announce();
    exchange(other, election);
    expect(election.ledBy('log-7')).toBe(2);
    const kinds = new Set<string>();
    for (let i = 0; i < 20; i++) {
      other.now += 100;
      peer.onTick();
      for (const kind of exchange(other, election)) kinds.add(kind);
    }
    expect([...kinds]).toEqual(['heartbeat']);
    expect(ctx.out.filter((e) => e.kind === 'to-peer')).toEqual([]);
  });

  test('whose digest differs are answered with a question, and the answer states everything', () => {
    run(200);
    peer.setLed('x', classic(1, 2));
    peer.setLed('y', classic(2, 2));
    peer.announce();
    other.out.splice(0);
    expect(election.ledBy('x')).toBeUndefined();
    run(100);
    expect([election.ledBy('x'), election.ledBy('y')]).toEqual([2, 2]);
  });

  test('tell a ballot apart from another one of the same log', () => {
    run(200);
    peer.setLed('x', classic(1, 2));
    peer.announce();
    exchange(other, election);
    peer.setLed('x', classic(4, 2));
    peer.announce();
    other.out.splice(0);
    other.now += 100;
    ctx.now += 600;
    peer.onTick();
    exchange(other, election);
    expect(ctx.out.flatMap((e) => (e.kind === 'to-peer' ? [e.message.kind] : []))).toEqual(['led?']);
  });

  test('of another start forget what the earlier one led', () => {
    run(200);
    peer.setLed('x', classic(1, 2));
    peer.announce();
    exchange(other, election);
    const beat: Heartbeat = { kind: 'heartbeat', proposer: 2, incarnation: 'b'.repeat(16), ledCount: 0, ledDigest: 0 };
    election.onHeartbeat(beat);
    expect(election.ledBy('x')).toBeUndefined();
  });

  test('that stop for a random 450 to 900 ms make the peer silent, and hand back what it led', () => {
    for (const [random, silence] of [
      [0, 450],
      [0.999, 900],
    ] as const) {
      const c = context(1);
      c.random = random;
      const e = new Election(c, [1, 2]);
      e.onHeartbeat({ kind: 'heartbeat', proposer: 2, incarnation: 'c', ledCount: 0, ledDigest: 0 });
      e.onLedChange(2, { kind: 'led-change', full: false, added: [{ log: 'x', ballot: classic(1, 2) }], removed: [] });
      c.now = silence - 1;
      expect(e.onTick()).toEqual([]);
      c.now = silence;
      expect(e.onTick().map(({ peer, led }) => [peer, led.map((l) => l.log)])).toEqual([[2, ['x']]]);
      expect([e.isAlive(2), e.ledBy('x')]).toEqual([false, undefined]);
    }
  });

  test('a peer whose connection is refused is silent at once', () => {
    run(200);
    peer.setLed('x', classic(1, 2));
    peer.announce();
    exchange(other, election);
    expect(election.onRefused(2).map((l) => l.log)).toEqual(['x']);
    expect(election.onRefused(2)).toEqual([]);
  });

  test('after a pause of one’s own, the silence of others is counted anew', () => {
    run(200);
    ctx.now += 5_000;
    election.onPause();
    expect(election.onTick()).toEqual([]);
    ctx.now += 900;
    expect(election.onTick()).toHaveLength(1);
  });
});
