/** Which sets of acceptors decide. Sets are bit masks over the acceptors' positions in the configuration. */
import { SynodError } from '../base/errors.ts';

export interface QuorumSystem {
  /** Acceptors in the configuration. */
  readonly size: number;
  /** For people: `majority: any 2 of 3`. */
  readonly name: string;
  isPhase1(members: number): boolean;
  isPhase2(members: number): boolean;
  /** True when votes of these at a fast ballot choose a value. */
  isFast(members: number): boolean;
  /**
   * True when a value with these voters at a fast ballot may be chosen there, as far as the members of `quorum` say: the votes of
   * all others may have gone to it (R8). Over a phase-1 quorum at most one value passes, because it meets every two fast quorums in
   * common (R7).
   */
  couldBeFast(voters: number, quorum: number): boolean;
}

export const ACCEPTORS_MIN = 3;
export const ACCEPTORS_MAX = 7;

/** Any majority in either phase. Two majorities of one set always meet (R7); the sizes are checked all the same. */
export function majority(size: number): QuorumSystem {
  return bySize(size, Math.floor(size / 2) + 1, Math.floor(size / 2) + 1);
}

/**
 * Any `phase1` acceptors promise, any `phase2` acceptors choose.
 * Throws INVALID_ARGUMENT with the numbers when two such sets could miss each other (R7: q1 + q2 > n).
 */
export function bySize(size: number, phase1: number, phase2: number): QuorumSystem {
  if (!Number.isInteger(size) || size < ACCEPTORS_MIN || size > ACCEPTORS_MAX)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `${String(size)} acceptors: a cluster has ${String(ACCEPTORS_MIN)} to ${String(ACCEPTORS_MAX)} (3 or 4 survive the loss of one, 5 or 6 of two, 7 of three)`,
    );
  if (phase1 < 1 || phase2 < 1 || phase1 > size || phase2 > size || phase1 + phase2 <= size)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `quorums of ${String(phase1)} and ${String(phase2)} out of ${String(size)} acceptors do not always meet: their sum must be above ${String(size)} and neither above ${String(size)}`,
    );
  // The least that R7 allows: q1 + 2·qf > 2n.
  const fast = Math.floor((2 * size - phase1) / 2) + 1;
  const everybody = (1 << size) - 1;
  const isFast = (members: number): boolean => bitCount(members) >= fast;
  return {
    size,
    name:
      phase1 === phase2
        ? `majority: any ${String(phase1)} of ${String(size)}`
        : `${String(phase1)}/${String(phase2)} of ${String(size)}`,
    isPhase1: (members) => bitCount(members) >= phase1,
    isPhase2: (members) => bitCount(members) >= phase2,
    isFast,
    couldBeFast: (voters, quorum) => isFast((voters & quorum) | (everybody & ~quorum)),
  };
}

export function bitCount(mask: number): number {
  let count = 0;
  for (let m = mask; m !== 0; m &= m - 1) count++;
  return count;
}
