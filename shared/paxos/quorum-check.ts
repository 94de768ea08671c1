/**
 * The intersections of quorums, set by set (R7). At most 7 acceptors are 128 sets, so every set is looked at. What holds a quorum is
 * one: rules must be true of every set that holds one of which they are true.
 */
import { assert } from '../base/assert.ts';

/** Which sets are quorums of each phase. */
export interface Rule {
  readonly phase1: (members: number) => boolean;
  readonly phase2: (members: number) => boolean;
  readonly fast: ((members: number) => boolean) | undefined;
}

/** The same, looked up: 1 at every set that is a quorum. */
export interface Tables {
  readonly phase1: Uint8Array;
  readonly phase2: Uint8Array;
  readonly fast: Uint8Array | undefined;
}

/** Quorums without an acceptor in common: one of phase 1, then one of phase 2 or two fast ones. */
export interface Miss {
  readonly phase: 'phase2' | 'fast';
  readonly sets: readonly number[];
}

export function bitCount(mask: number): number {
  let count = 0;
  for (let m = mask; m !== 0; m &= m - 1) count++;
  return count;
}

export function tableOf(n: number, is: (members: number) => boolean): Uint8Array {
  const table = Uint8Array.from({ length: 1 << n }, (_, members) => (is(members) ? 1 : 0));
  for (let members = 0; members < table.length; members++)
    for (let bit = 1; bit < table.length; bit <<= 1)
      assert(
        table[members] === 0 || table[members | bit] === 1,
        'R7',
        () => `set ${members.toString(2)} is a quorum and, with one more, ${(members | bit).toString(2)} is none`,
      );
  return table;
}

/** The quorums of which no acceptor can be left out, in order of their masks. */
export function minimalSets(table: Uint8Array): number[] {
  const found: number[] = [];
  for (let members = 0; members < table.length; members++) {
    if (table[members] === 0) continue;
    let isMinimal = true;
    for (let bit = 1; bit < table.length; bit <<= 1)
      if ((members & bit) !== 0 && table[members & ~bit] === 1) isMinimal = false;
    if (isMinimal) found.push(members);
  }
  return found;
}

/** The first sets that break R7; undefined where there are none. The smallest sets are enough: larger ones meet more. */
export function firstMiss(tables: Tables): Miss | undefined {
  const phase1 = minimalSets(tables.phase1);
  for (const one of phase1)
    for (const two of minimalSets(tables.phase2)) if ((one & two) === 0) return { phase: 'phase2', sets: [one, two] };
  if (tables.fast === undefined) return undefined;
  const fast = minimalSets(tables.fast);
  for (const one of phase1)
    for (const [at, two] of fast.entries())
      for (const three of fast.slice(at))
        if ((one & two & three) === 0) return { phase: 'fast', sets: [one, two, three] };
  return undefined;
}

/**
 * The least weight of fast quorums that is safe with this phase 1, at most `most`, which is the weight of all. With the acceptors
 * counted, that is the least size.
 */
export function leastFast(
  n: number,
  phase1: (members: number) => boolean,
  weightOf: (members: number) => number,
  most: number,
): number {
  const one = tableOf(n, phase1);
  const weights = Array.from({ length: 1 << n }, (_, members) => weightOf(members));
  // A smaller weight has more quorums: what is not safe at one is not safe below it.
  for (let weight = most; weight > 1; weight--) {
    const fast = Uint8Array.from(weights, (each) => (each >= weight - 1 ? 1 : 0));
    if (firstMiss({ phase1: one, phase2: Uint8Array.of(), fast }) !== undefined) return weight;
  }
  return 1;
}

/** The sets that meet every phase-1 quorum: all that may be phase-2 quorums beside it. */
export function meetsAll(n: number, phase1: (members: number) => boolean): (members: number) => boolean {
  const sets = minimalSets(tableOf(n, phase1));
  return (members) => sets.every((set) => (set & members) !== 0);
}
