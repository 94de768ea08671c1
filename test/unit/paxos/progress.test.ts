/**
 * Goal: a caller that asks hears who promised and who voted for its proposal, through whoever leads; and nobody decides anything by it.
 * Method: proposers by hand, against acceptors of the shipped kind.
 */
import { describe, expect, test } from '@jest/globals';
import type { PeerMessage, Progress } from '../../../shared/paxos/peers.ts';
import { WATCHED_MAX } from '../../../shared/paxos/progress.ts';
import type { ProposerEffect } from '../../../shared/paxos/proposing.ts';
import { Acceptors, converse, ProposerRig } from './hearts.ts';
import { bytes, LOG, owner } from './support.ts';

const SELF = owner(1);

function progressOf(rig: ProposerRig, token: number): Progress[] {
  return rig.out.flatMap((e) => (e.kind === 'progress' && e.token === token ? [e.progress] : []));
}

function texts(progress: readonly Progress[]): string[] {
  return progress.map((p) => {
    switch (p.kind) {
      case 'forwarded':
        return `forwarded ${p.to}`;
      case 'promised':
        return `promised ${p.acceptor} ${p.ballot.round}`;
      case 'accepted':
        return `accepted ${p.acceptor} ${p.ballot.round} slot ${p.slot}`;
      case 'untold':
        return 'untold';
    }
  });
}

function led(): { rig: ProposerRig; acceptors: Acceptors } {
  const rig = new ProposerRig();
  const acceptors = new Acceptors();
  rig.propose('first');
  converse(rig, SELF, acceptors);
  rig.out.length = 0;
  return { rig, acceptors };
}

describe('a watched proposal', () => {
  test('hears each promise of the campaign that it waits for, then each vote until it is chosen', () => {
    const rig = new ProposerRig();
    const token = rig.propose('x', { progress: true });
    converse(rig, SELF, new Acceptors());
    const told = texts(progressOf(rig, token));
    expect(told.slice(0, 2)).toEqual(['promised 0 1', 'promised 1 1']);
    expect(told.filter((text) => text.startsWith('accepted'))).toEqual(['accepted 0 1 slot 0', 'accepted 1 1 slot 0']);
    const last = rig.out.findLastIndex((e) => e.kind === 'progress');
    expect(rig.out.findIndex((e) => e.kind === 'answer' && e.token === token)).toBeGreaterThan(last);
  });

  test('that comes to a leader hears at once who has promised its ballot', () => {
    const { rig } = led();
    const token = rig.propose('x', { progress: true });
    expect(texts(progressOf(rig, token))).toEqual(['promised 0 1', 'promised 1 1', 'promised 2 1']);
  });

  test('of a decree hears the same of its round', () => {
    const rig = new ProposerRig();
    const token = rig.propose('x', { progress: true, protocol: 'basic' });
    converse(rig, SELF, new Acceptors());
    expect(texts(progressOf(rig, token))).toEqual([
      ...['promised 0 1', 'promised 1 1', 'promised 2 1', 'accepted 0 1 slot 0', 'accepted 1 1 slot 0'],
    ]);
  });
});

describe('what is told', () => {
  test('changes nothing that is sent, answered or decided (negative control: it is told)', () => {
    const run = (progress: boolean): ProposerEffect[] => {
      const rig = new ProposerRig();
      const acceptors = new Acceptors();
      for (let i = 0; i < 5; i++) rig.propose(`v${i}`, { progress });
      rig.propose('d', { progress, protocol: 'basic', log: 'd' });
      converse(rig, SELF, acceptors, (a) => a !== 2);
      rig.tick(500);
      converse(rig, SELF, acceptors);
      return rig.out;
    };
    const plain = (effects: readonly ProposerEffect[]): unknown[] =>
      effects
        .filter((e) => e.kind !== 'progress')
        .map((e) => (e.kind === 'ended' ? { ...e, proposal: { ...e.proposal, progress: undefined } } : e));
    const [without, watched] = [run(false), run(true)];
    expect(plain(watched)).toEqual(plain(without));
    expect(without.some((e) => e.kind === 'progress')).toBe(false);
    expect(watched.some((e) => e.kind === 'progress')).toBe(true);
  });

  test('is bounded: beyond so many watched proposals nothing is told but that, until some are answered', () => {
    const { rig, acceptors } = led();
    const tokens = Array.from({ length: WATCHED_MAX + 1 }, (_, i) => rig.propose(`v${i}`, { progress: true }));
    expect(texts(progressOf(rig, tokens[WATCHED_MAX]!))).toEqual(['untold']);
    expect(texts(progressOf(rig, tokens[WATCHED_MAX - 1]!))).not.toContain('untold');
    converse(rig, SELF, acceptors);
    expect(rig.answerTo(tokens[WATCHED_MAX]!)).toMatchObject({ kind: 'chosen' });
    const next = rig.propose('next', { progress: true });
    expect(texts(progressOf(rig, next))).not.toContain('untold');
  });

  test('costs nothing where nobody asks: no effect is made', () => {
    const { rig, acceptors } = led();
    rig.propose('x');
    converse(rig, SELF, acceptors);
    expect(rig.out.filter((e) => e.kind === 'progress')).toEqual([]);
  });
});

describe('a forwarded proposal', () => {
  /** Proposer 1, which knows that proposer 2 leads. */
  function forwarder(): { rig: ProposerRig; sent: () => PeerMessage[] } {
    const rig = new ProposerRig(SELF, [2]);
    rig.hear(2);
    const ballot = { round: 4, ...owner(2), kind: 1 } as const;
    rig.peer(2, { kind: 'led-change', full: false, added: [{ log: LOG, ballot }], removed: [] });
    rig.out.length = 0;
    return { rig, sent: () => rig.out.flatMap((e) => (e.kind === 'to-peer' ? [e.message] : [])) };
  }

  test('hears where it went, and what its leader tells', () => {
    const { rig, sent } = forwarder();
    const token = rig.propose('x', { progress: true });
    const forward = sent().find((m) => m.kind === 'forward');
    expect(forward).toMatchObject({ progress: true });
    const { id, incarnation } = forward!;
    const ballot = { round: 4, ...owner(2), kind: 1 } as const;
    rig.peer(2, { kind: 'progress', id, incarnation, progress: { kind: 'accepted', acceptor: 2, ballot, slot: 9 } });
    // Of another start of this proposer, and of a number that it never gave.
    rig.peer(2, { kind: 'progress', id, incarnation: 'ff', progress: { kind: 'untold' } });
    rig.peer(2, { kind: 'progress', id: id + 1, incarnation, progress: { kind: 'untold' } });
    expect(texts(progressOf(rig, token))).toEqual(['forwarded 2', 'accepted 2 4 slot 9']);
  });

  test('that nobody watches says so to its leader', () => {
    const { rig, sent } = forwarder();
    rig.propose('x');
    expect(sent().find((m) => m.kind === 'forward')).toMatchObject({ progress: false });
  });

  test('is told of by its leader in messages to whom it came from', () => {
    const rig = new ProposerRig(SELF, [2]);
    rig.hear(2);
    rig.peer(2, {
      ...{ kind: 'forward', id: 7, incarnation: 'ab', log: LOG, entry: bytes('x'), retry: false, relayed: false },
      ...{ timeoutMs: 5_000, progress: true },
    });
    converse(rig, SELF, new Acceptors());
    const told = rig.out.flatMap((e) =>
      e.kind === 'to-peer' && e.to === 2 && e.message.kind === 'progress' ? [e.message] : [],
    );
    expect(told.every(({ id, incarnation }) => id === 7 && incarnation === 'ab')).toBe(true);
    expect(texts(told.map(({ progress }) => progress))).toEqual(
      expect.arrayContaining(['promised 0 1', 'promised 1 1', 'accepted 0 1 slot 0', 'accepted 1 1 slot 0']),
    );
    // Nothing of it concerns a client here.
    expect(rig.out.filter((e) => e.kind === 'progress')).toEqual([]);
  });
});

describe('a proposal that has its answer', () => {
  test('ends once, with the slot and how often it was sent', () => {
    const { rig, acceptors } = led();
    const token = rig.propose('x');
    converse(rig, SELF, acceptors);
    const ends = rig.out.flatMap((e) => (e.kind === 'ended' ? [e] : []));
    expect(ends).toMatchObject([
      { proposal: { token, lastSlot: 1, earlierSlot: -1, rounds: 1, protocol: 'multi' }, answer: { slot: 1 } },
    ]);
  });

  test('remembers the slot before, when its leader lost the ballot and gave it another, and hears of no votes there', () => {
    const { rig } = led();
    const token = rig.propose('x', { progress: true });
    rig.tick(2_000);
    // Another start of the acceptors, where slot 1 has the vote for another value: they stand for a leader between the two.
    const others = new Acceptors();
    const other = new ProposerRig(owner(2));
    for (const value of ['first', 'between']) other.propose(value);
    converse(other, owner(2), others);
    converse(rig, SELF, others);
    rig.tick(2_000);
    converse(rig, SELF, others);
    const end = rig.out.find((e) => e.kind === 'ended' && e.proposal.token === token);
    expect(end).toMatchObject({
      proposal: { lastSlot: 2, earlierSlot: 1, rounds: 2 },
      answer: { kind: 'chosen', slot: 2 },
    });
    const votes = texts(progressOf(rig, token)).filter((text) => text.startsWith('accepted'));
    expect(votes.map((text) => text.slice(text.indexOf('slot')))).toEqual(['slot 2', 'slot 2']);
  });
});
