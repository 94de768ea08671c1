// Goal: R7, R8 and R9 as far as sets of acceptors go. Method: every set of every size, by an enumeration of its own, against what the
// systems say; then what is refused, in the words that a person reads.
import { describe, expect, test } from '@jest/globals';
import {
  bitCount,
  bySize,
  explicit,
  grid,
  majority,
  survives,
  weighted,
  type QuorumSystem,
} from '../../../shared/paxos/quorum.ts';
import { tableOf } from '../../../shared/paxos/quorum-check.ts';

const SIZES = [3, 4, 5, 6, 7];

type Is = (members: number) => boolean;

function setsOf(n: number, is: Is): number[] {
  return Array.from({ length: 1 << n }, (_, members) => members).filter(is);
}

/** R7 by looking at every set, small or large. */
function isSafe(n: number, isPhase1: Is, isPhase2: Is, isFast: Is = () => false): boolean {
  const fast = setsOf(n, isFast);
  return setsOf(n, isPhase1).every(
    (one) =>
      setsOf(n, isPhase2).every((two) => (one & two) !== 0) &&
      fast.every((two) => fast.every((three) => (one & two & three) !== 0)),
  );
}

const atLeast =
  (count: number): Is =>
  (members) =>
    bitCount(members) >= count;

/** One system of each family for every number of acceptors. */
const SYSTEMS: readonly (readonly [string, QuorumSystem])[] = [
  ...SIZES.map((n) => majority(n)),
  ...SIZES.map((n) => bySize(n, n, 1)),
  bySize(4, 3, 2),
  bySize(5, 4, 2),
  bySize(7, 3, 5, 6),
  grid(4, 2, 2),
  grid(6, 2, 3),
  grid(6, 3, 2),
  grid(3, 1, 3),
  weighted(4, new Map([[1, 2], [2, 1], [3, 1], [4, 1]]), 3, 3), // prettier-ignore
  weighted(5, new Map([[1, 3], [2, 2], [3, 2], [4, 1], [5, 1]]), 6, 4), // prettier-ignore
  explicit(4, { phase1: [[1, 2], [3, 4]], phase2: [[1, 3], [2, 4]] }), // prettier-ignore
  explicit(4, { phase1: [[1, 2, 3]], phase2: [[1], [2]], fast: [[1, 2], [1, 3]] }), // prettier-ignore
].map((system) => [`${system.setting} of ${String(system.size)}`, system] as const);

describe('quorums', () => {
  test.each(SYSTEMS)('%s meet as R7 asks, and everybody together is a quorum', (_name, system) => {
    expect(isSafe(system.size, system.isPhase1, system.isPhase2, system.isFast)).toBe(true);
    const everybody = (1 << system.size) - 1;
    expect([system.isPhase1(everybody), system.isPhase2(everybody)]).toEqual([true, true]);
    expect([system.isPhase1(0), system.isPhase2(0), system.isFast(0)]).toEqual([false, false, false]);
  });

  test.each(SIZES)('of %d acceptors, half or less are no majority', (n) => {
    const system = majority(n);
    for (let members = 0; members < 1 << n; members++) {
      const isMost = bitCount(members) * 2 > n;
      expect([system.isPhase1(members), system.isPhase2(members)]).toEqual([isMost, isMost]);
    }
  });

  test.each(SIZES)('by sizes of %d acceptors are taken exactly when q1 + q2 > n and q1 + 2·qf > 2n, and that is when they meet', (n) => {
    for (let q1 = 1; q1 <= n; q1++)
      for (let q2 = 1; q2 <= n; q2++) {
        const meet = isSafe(n, atLeast(q1), atLeast(q2));
        expect(meet).toBe(q1 + q2 > n);
        for (let qf = 1; qf <= n; qf++) {
          const areSafe = meet && q1 + 2 * qf > 2 * n;
          // Where phase 2 is not to blame, whether fast quorums are safe is what every set says.
          if (meet && q2 === n + 1 - q1) expect(isSafe(n, atLeast(q1), atLeast(q2), atLeast(qf))).toBe(areSafe);
          if (areSafe) expect(bySize(n, q1, q2, qf).size).toBe(n);
          else expect(() => bySize(n, q1, q2, qf)).toThrow('are not safe');
        }
      }
  }); // prettier-ignore

  test.each([[3, 3], [4, 3], [5, 4], [6, 5], [7, 6]])('with majorities of %d acceptors a fast quorum is %d', (n, qf) => {
    const system = majority(n);
    for (let members = 0; members < 1 << n; members++) expect(system.isFast(members)).toBe(bitCount(members) >= qf);
  }); // prettier-ignore

  test('three quarters of 5, rounded down, are no fast quorum, nor majorities of 3, nor 5 of 7', () => {
    for (const [n, qf] of [
      [5, 3],
      [3, 2],
      [7, 5],
    ] as const)
      // prettier-ignore
      expect(() => bySize(n, Math.floor(n / 2) + 1, Math.floor(n / 2) + 1, qf)).toThrow(/the fast quorums .* have no acceptor/);
  });

  test('of a grid are one acceptor of every column, and a whole column', () => {
    // 1 2 3
    // 4 5 6
    const system = grid(6, 2, 3);
    const set = (...ids: number[]): number => ids.reduce((mask, id) => mask | (1 << (id - 1)), 0);
    expect([set(1, 2, 3), set(4, 2, 6), set(1, 4, 5, 3)].map(system.isPhase1)).toEqual([true, true, true]);
    expect([set(1, 4, 2, 5), set(1, 2)].map(system.isPhase1)).toEqual([false, false]);
    expect([set(1, 4), set(3, 6), set(1, 2, 5)].map(system.isPhase2)).toEqual([true, true, true]);
    expect([set(1, 2, 3), set(1, 5, 3)].map(system.isPhase2)).toEqual([false, false]);
    // Any five: two of them may lack two acceptors, and a column stays whole.
    expect(setsOf(6, system.isFast).map(bitCount).sort()).toEqual([5, 5, 5, 5, 5, 5, 6]);
  });

  test('by weight count weights, not acceptors', () => {
    const system = weighted([7, 9, 12], new Map([[7, 2], [9, 1], [12, 1]]), 3, 2); // prettier-ignore
    expect([0b001, 0b010, 0b110, 0b011, 0b101].map(system.isPhase1)).toEqual([false, false, false, true, true]);
    expect([0b001, 0b010, 0b110].map(system.isPhase2)).toEqual([true, false, true]);
  });

  test('by weight are taken where the sets meet, also where the weights alone do not show it', () => {
    // 3 + 3 is not above 6, and yet whoever weighs 3 is two of three.
    expect(weighted(3, new Map([[1, 2], [2, 2], [3, 2]]), 3, 3).isPhase2(0b011)).toBe(true); // prettier-ignore
  });

  test('as sets are these sets, and whatever holds one of them; without fast sets there is no fast quorum', () => {
    const system = explicit([2, 4, 8], { phase1: [[2, 4], [4, 8]], phase2: [[4]] }); // prettier-ignore
    expect(setsOf(3, system.isPhase1)).toEqual([0b011, 0b110, 0b111]);
    expect(setsOf(3, system.isPhase2)).toEqual([0b010, 0b011, 0b110, 0b111]);
    expect(setsOf(3, system.isFast)).toEqual([]);
    expect(survives(system, 'fast')).toBeUndefined();
    expect(system.couldBeFast(0b111, 0b111)).toBe(false);
  });

  test('count acceptors, not messages: the same acceptor twice is one', () => {
    const system = majority(3);
    expect(system.isPhase2((1 << 0) | (1 << 0))).toBe(false);
    expect(system.isPhase2((1 << 0) | (1 << 2))).toBe(true);
  });

  test('have a name for people, and one canonical setting', () => {
    expect(majority(5).name).toBe('majority: any 3 of 5');
    expect(bySize(4, 3, 2).name).toBe('sizes: any 3 of 4 promise, any 2 choose');
    expect(bySize(4, 3, 2).setting).toBe('sizes:3,2,3');
    expect(bySize(4, 3, 2, 4).setting).toBe('sizes:3,2,4');
    expect(bySize(5, 3, 3, 4).setting).toBe('majority');
    expect(grid(6, 2, 3).setting).toBe('grid:2x3');
    expect(weighted(3, new Map([[3, 1], [1, 2], [2, 1]]), 3, 2).setting).toBe('weighted:1=2,2=1,3=1:3,2,3'); // prettier-ignore
    const sets = { phase1: [[3, 2], [1, 2, 3], [2, 1]], phase2: [[2], [3, 1]], fast: [[3, 1, 2]] }; // prettier-ignore
    expect(explicit(3, sets).setting).toBe('sets:1+2,2+3/1+3,2/1+2+3');
  });
});

describe('what may be chosen at a fast ballot (R8)', () => {
  test.each(SYSTEMS)('%s: a value may be, exactly where some fast quorum has only voters for it among those asked', (_name, system) => {
    const fast = setsOf(system.size, system.isFast);
    for (const asked of setsOf(system.size, system.isPhase1))
      for (let voters = asked; ; voters = (voters - 1) & asked) {
        expect(system.couldBeFast(voters, asked)).toBe(fast.some((set) => (set & asked & ~voters) === 0));
        if (voters === 0) break;
      }
  }); // prettier-ignore

  test.each([[4, 3, 2, 3], [5, 3, 3, 4], [5, 5, 1, 3], [7, 4, 4, 6]])('by sizes (%d: %d, %d, %d) that is voters ≥ |asked| + qf − n', (n, q1, q2, qf) => {
    const system = bySize(n, q1, q2, qf);
    for (const asked of setsOf(n, system.isPhase1))
      for (let voters = asked; voters !== 0; voters = (voters - 1) & asked)
        expect(system.couldBeFast(voters, asked)).toBe(bitCount(voters) >= bitCount(asked) + qf - n);
  }); // prettier-ignore

  test.each(SYSTEMS)('%s: of two values with different voters, at most one may be', (_name, system) => {
    for (const asked of setsOf(system.size, system.isPhase1))
      for (let voters = asked; ; voters = (voters - 1) & asked) {
        expect(system.couldBeFast(voters, asked) && system.couldBeFast(asked & ~voters, asked)).toBe(false);
        if (voters === 0) break;
      }
  });
});

describe('losses that a phase survives', () => {
  test('are of any acceptors, or of the right ones', () => {
    expect(survives(majority(5), 'phase1')).toEqual({ any: 2, best: 2 });
    expect(survives(bySize(4, 3, 2), 'phase1')).toEqual({ any: 1, best: 1 });
    expect(survives(bySize(4, 3, 2), 'phase2')).toEqual({ any: 2, best: 2 });
    expect(survives(majority(3), 'fast')).toEqual({ any: 0, best: 0 });
    expect(survives(grid(6, 2, 3), 'phase1')).toEqual({ any: 1, best: 3 });
    expect(survives(grid(6, 2, 3), 'phase2')).toEqual({ any: 2, best: 4 });
  });

  test.each(SYSTEMS)('%s: as many as every set of that many says', (_name, system) => {
    const everybody = (1 << system.size) - 1;
    for (const [phase, is] of [
      ['phase1', system.isPhase1],
      ['phase2', system.isPhase2],
    ] as const) {
      // prettier-ignore
      const any = survives(system, phase)!.any;
      const lost = (count: number): number[] => setsOf(system.size, (set) => bitCount(set) === count);
      expect(lost(any).every((set) => is(everybody & ~set))).toBe(true);
      expect(lost(any + 1).every((set) => is(everybody & ~set))).toBe(false);
    }
  });
});

describe('quorums that could miss each other', () => {
  test('are refused with the numbers, the sets, the nearest that are safe, and outcome none', () => {
    expect(() => bySize(5, 2, 3)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        outcome: 'none',
        sets: [[1, 2], [3, 4, 5]], // prettier-ignore
        nearest: ['majority', 'sizes:2,4'],
        message:
          'quorums sizes:2,3 of 5 acceptors are not safe: phase-1 quorum 1+2 and phase-2 quorum 3+4+5 have no acceptor in common; ' +
          '2 + 3 is not above 5. The nearest that are: majority or sizes:2,4',
      }),
    );
  });

  test('as fast ones name the phase-1 quorum and the two fast quorums', () => {
    expect(() => bySize([10, 20, 30, 40, 50], 3, 3, 3)).toThrow(
      'phase-1 quorum 10+20+30 and the fast quorums 10+20+40 and 30+40+50 have no acceptor in common; 3 + 2·3 is not above 2·5. ' +
        'The nearest that are: majority or sizes:5,3,3',
    );
  });

  test('by weight, and as sets', () => {
    expect(() =>
      weighted(
        3,
        new Map([
          [1, 2],
          [2, 1],
          [3, 1],
        ]),
        2,
        2,
      ),
    ).toThrow(
      // prettier-ignore
      'phase-1 quorum 1 and phase-2 quorum 2+3 have no acceptor in common; 2 + 2 is not above 4. ' +
        'The nearest that are: weighted:1=2,2=1,3=1:3,2 or weighted:1=2,2=1,3=1:2,3',
    );
    const phase1 = [[1, 2], [3, 4]]; // prettier-ignore
    expect(() =>
      explicit(4, {
        phase1,
        phase2: [
          [1, 3],
          [1, 2],
        ],
      }),
    ).toThrow(
      // prettier-ignore
      'phase-1 quorum 3+4 and phase-2 quorum 1+2 have no acceptor in common. The nearest that are: sets:1+2,3+4/1+3,1+4,2+3,2+4',
    );
    expect(() => explicit(4, { phase1, phase2: [[1, 3]], fast: [[1, 3], [2, 4]] })).toThrow(/the fast quorums 1\+3 and 2\+4/); // prettier-ignore
  });

  test.each([
    [5, 2, 3],
    [7, 1, 1],
    [7, 4, 3],
    [4, 2, 2],
  ])('of %d acceptors (%d and %d): every setting that is named instead is safe', (n, q1, q2) => {
    let nearest: readonly string[] = [];
    try {
      bySize(n, q1, q2);
    } catch (error) {
      nearest = (error as { nearest: string[] }).nearest;
    }
    expect(nearest.length).toBeGreaterThan(0);
    for (const setting of nearest) {
      const [one = 0, two = 0] = setting === 'majority' ? [Math.floor(n / 2) + 1, Math.floor(n / 2) + 1] : setting.slice(6).split(',').map(Number); // prettier-ignore
      expect(one + two).toBeGreaterThan(n);
    }
  });

  test.each([
    [3, 0, 3],
    [3, 4, 1],
    [2, 2, 2],
    [8, 5, 5],
    [3.5, 3, 3],
    [3, 2.5, 2],
  ])('or of sizes that nobody can be (%d: %d, %d) are refused with the number', (n, q1, q2) => {
    expect(() => bySize(n, q1, q2)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`${n}`) }),
    );
  });

  test('a grid that the acceptors do not fill, a weight that is none, an acceptor that is not there', () => {
    expect(() => grid(5, 2, 3)).toThrow(
      'a grid of 2 rows and 3 columns has 6 acceptors, and there are 5; grids of 5: grid:1x5, grid:5x1',
    );
    expect(() => weighted(3, new Map([[1, 1], [2, 1]]), 1, 2)).toThrow('weights are of acceptors 1, 2, and the configuration has 1, 2, 3'); // prettier-ignore
    expect(() => weighted(3, new Map([[1, 0], [2, 1], [3, 1]]), 1, 2)).toThrow('acceptor 1 has weight 0: a weight is a whole number from 1 to 100'); // prettier-ignore
    expect(() => explicit(3, { phase1: [[1, 5]], phase2: [[1]] })).toThrow(
      'a quorum names acceptor 5, and the configuration has 1, 2, 3',
    );
  });

  test('and a rule that takes a set, but not a larger one, is no rule of quorums (R7)', () => {
    expect(() => tableOf(3, (members) => bitCount(members) === 2)).toThrow(/R7/);
  });
});
