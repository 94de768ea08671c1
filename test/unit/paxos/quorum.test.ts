// Goal: R7 and R9 as far as sets of acceptors go. Method: every set of every size, by enumeration.
import { describe, expect, test } from '@jest/globals';
import { bitCount, bySize, majority } from '../../../shared/paxos/quorum.ts';

const SIZES = [3, 4, 5, 6, 7];

/** True when every phase-1 quorum meets every phase-2 quorum, looked up set by set. */
function alwaysMeet(n: number, isPhase1: (m: number) => boolean, isPhase2: (m: number) => boolean): boolean {
  for (let a = 0; a < 1 << n; a++)
    for (let b = 0; b < 1 << n; b++) if (isPhase1(a) && isPhase2(b) && (a & b) === 0) return false;
  return true;
}

describe('quorums', () => {
  test.each(SIZES)('any two majorities of %d acceptors meet', (n) => {
    const system = majority(n);
    expect(alwaysMeet(n, system.isPhase1, system.isPhase2)).toBe(true);
  });

  test.each(SIZES)('of %d acceptors, half or less are no majority', (n) => {
    const system = majority(n);
    for (let members = 0; members < 1 << n; members++) {
      const isMost = bitCount(members) * 2 > n;
      expect([system.isPhase1(members), system.isPhase2(members)]).toEqual([isMost, isMost]);
    }
  });

  test.each(SIZES)('sizes for %d acceptors are taken exactly when the quorums meet', (n) => {
    for (let q1 = 1; q1 <= n; q1++)
      for (let q2 = 1; q2 <= n; q2++) {
        const meet = alwaysMeet(
          n,
          (m) => bitCount(m) >= q1,
          (m) => bitCount(m) >= q2,
        );
        if (meet) expect(bySize(n, q1, q2).size).toBe(n);
        else expect(() => bySize(n, q1, q2)).toThrow(`quorums of ${q1} and ${q2} out of ${n}`);
      }
  });

  test('that could miss each other are refused with the numbers, and outcome none', () => {
    expect(() => bySize(5, 2, 3)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        outcome: 'none',
        message:
          'quorums of 2 and 3 out of 5 acceptors do not always meet: their sum must be above 5 and neither above 5',
      }),
    );
    for (const [n, q1, q2] of [
      [3, 0, 3],
      [3, 4, 1],
      [2, 2, 2],
      [8, 5, 5],
      [3.5, 3, 3],
    ] as const)
      expect(() => bySize(n, q1, q2)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`${n}`) }),
      );
  });

  test('count acceptors, not messages: the same acceptor twice is one', () => {
    const system = majority(3);
    expect(system.isPhase2((1 << 0) | (1 << 0))).toBe(false);
    expect(system.isPhase2((1 << 0) | (1 << 2))).toBe(true);
  });

  test('have a name for people', () => {
    expect(majority(5).name).toBe('majority: any 3 of 5');
    expect(bySize(4, 3, 2).name).toBe('3/2 of 4');
  });
});
