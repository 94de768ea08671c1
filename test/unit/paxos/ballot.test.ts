// Goal: ballots as DESIGN 3 orders them, and why each part is there. Method: a table of neighbours, then the mistakes of
// teaching code (round alone, no incarnation) as orders that are shown to fail.
import { describe, expect, test } from '@jest/globals';
import {
  BALLOT_ZERO,
  CLASSIC,
  FAST,
  classicAbove,
  compareBallots,
  formatBallot,
  maxBallot,
  ownedBy,
  sameBallot,
  type Ballot,
} from '../../../shared/paxos/ballot.ts';
import { classic, fast, owner } from './support.ts';

const RISING: readonly Ballot[] = [
  BALLOT_ZERO,
  fast(1, 1, '0'),
  classic(1, 1, '0'),
  fast(1, 1, 'f'),
  classic(1, 1, 'f'),
  classic(1, 2, '0'),
  classic(2, 1, '0'),
  classic(10, 1, '0'),
];

describe('ballots', () => {
  test('are totally ordered by round, proposer, incarnation and kind, fast before classic', () => {
    for (const [i, a] of RISING.entries())
      for (const [j, b] of RISING.entries()) expect(Math.sign(compareBallots(a, b))).toBe(Math.sign(i - j));
  });

  test('are the same only when every part is', () => {
    expect(sameBallot(classic(3, 1, 'a'), classic(3, 1, 'a'))).toBe(true);
    for (const other of [classic(4, 1, 'a'), classic(3, 2, 'a'), classic(3, 1, 'b'), fast(3, 1, 'a')])
      expect(sameBallot(classic(3, 1, 'a'), other)).toBe(false);
  });

  test('of a fast round have exactly one successor between them and any other: the classic ballot of the same owner', () => {
    const f = fast(5, 1, 'a');
    const c = classic(5, 1, 'a');
    expect(compareBallots(f, c)).toBeLessThan(0);
    for (const other of [classic(5, 1, 'b'), classic(5, 2, 'a'), fast(5, 1, 'b'), classic(4, 9, 'f'), classic(6)])
      expect(compareBallots(other, f) > 0 && compareBallots(other, c) < 0).toBe(false);
  });

  test('of round 0 are ballot zero alone, below every classic ballot, which start at round 1', () => {
    expect(BALLOT_ZERO.kind).toBe(FAST);
    const first = classicAbove(BALLOT_ZERO, owner(1));
    expect(first).toEqual({ round: 1, ...owner(1), kind: CLASSIC });
    expect(compareBallots(first, BALLOT_ZERO)).toBeGreaterThan(0);
  });

  test('of the next round are above every ballot of this one, whoever owns it', () => {
    for (const ballot of [classic(7, 9, 'f'), fast(7, 9, 'f')])
      expect(compareBallots(classicAbove(ballot, owner(1, '0')), ballot)).toBeGreaterThan(0);
    expect(maxBallot(classic(2), classic(3))).toEqual(classic(3));
    expect(maxBallot(classic(3), classic(2))).toEqual(classic(3));
  });

  test('belong to one start of one proposer', () => {
    expect(ownedBy(classic(3, 1, 'a'), owner(1, 'a'))).toBe(true);
    expect(ownedBy(classic(3, 1, 'a'), owner(1, 'b'))).toBe(false);
    expect(ownedBy(classic(3, 1, 'a'), owner(2, 'a'))).toBe(false);
  });

  test('read as round, proposer and the beginning of the incarnation; fast ones end in f', () => {
    expect(formatBallot(BALLOT_ZERO)).toBe('0');
    expect(formatBallot(classic(3, 1, 'a'))).toBe('3.p1.aaaaaaaa');
    expect(formatBallot(fast(3, 1, 'a'))).toBe('3.p1.aaaaaaaaf');
  });
});

describe('mistakes of teaching code', () => {
  /** Owners for which two different ballots would be one under this order. */
  function clashes(order: (a: Ballot, b: Ballot) => number): number {
    let count = 0;
    for (const a of RISING) for (const b of RISING) if (a !== b && order(a, b) === 0) count++;
    return count;
  }

  test('a counter without the proposer’s id gives two proposers one ballot', () => {
    expect(clashes((a, b) => a.round - b.round)).toBeGreaterThan(0);
    expect(clashes(compareBallots)).toBe(0);
  });

  test('a ballot without the incarnation is used again by the next start of its proposer', () => {
    const before = classicAbove(BALLOT_ZERO, owner(1, 'a'));
    const after = classicAbove(BALLOT_ZERO, owner(1, 'b'));
    expect([before.round, before.proposer]).toEqual([after.round, after.proposer]);
    expect(sameBallot(before, after)).toBe(false);
  });
});
