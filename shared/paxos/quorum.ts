/**
 * Which sets of acceptors decide. Sets are bit masks over the acceptors' positions in the configuration, which are in order of
 * their ids. Every system is checked when it is built, by the intersections themselves (quorum-check.ts, R7).
 */
import { SynodError } from '../base/errors.ts';
import {
  bitCount,
  firstMiss,
  leastFast,
  meetsAll,
  minimalSets,
  tableOf,
  type Miss,
  type Rule,
  type Tables,
} from './quorum-check.ts';

export { bitCount };

export interface QuorumSystem {
  /** Acceptors in the configuration. */
  readonly size: number;
  /** For people: `majority: any 2 of 3`. */
  readonly name: string;
  /** The setting that gives this system, in its one canonical form: `majority`, `sizes:3,2,3`. Part of the configuration's id. */
  readonly setting: string;
  /** Promises of these, and whoever is asked next is told of all that may be chosen. A linearizable read asks these, too. */
  readonly isPhase1: (members: number) => boolean;
  /** Votes of these at one classic ballot choose a value. */
  readonly isPhase2: (members: number) => boolean;
  /** Votes of these at one fast ballot choose a value (R9). Always false in a system that has no fast quorums. */
  readonly isFast: (members: number) => boolean;
  /**
   * Whether a value may have been chosen at a fast ballot, when `asked` answered and, of these, `voters` voted for it: some fast
   * quorum R has R ∩ asked within the voters (R8). By sizes: voters ≥ asked + qf − n.
   */
  readonly couldBeFast: (voters: number, asked: number) => boolean;
  /** The smallest quorums: no acceptor can be left out of one. */
  readonly minimal: (phase: QuorumPhase) => readonly number[];
}

export type QuorumPhase = 'phase1' | 'phase2' | 'fast';

export const ACCEPTORS_MIN = 3;
export const ACCEPTORS_MAX = 7;
/** An acceptor's weight in a weighted system is at least 1 and at most this. */
export const WEIGHT_MAX = 100;

/** Quorums that could miss each other, or that nobody can form: refused, with the sets and the nearest settings that are safe. */
export class UnsafeQuorumsError extends SynodError {
  /** The sets of acceptors that have nobody in common, by ids: a phase-1 quorum, then one phase-2 or two fast quorums. */
  readonly sets: readonly (readonly number[])[];
  readonly nearest: readonly string[];
  constructor(what: string, why: string, sets: readonly (readonly number[])[], nearest: readonly string[]) {
    const instead = nearest.length === 0 ? '' : `. The nearest that are: ${nearest.join(' or ')}`;
    super('INVALID_ARGUMENT', `quorums ${what} are not safe: ${why}${instead}`);
    this.sets = sets;
    this.nearest = nearest;
  }
}

/** The acceptors' ids in order. A number stands for the ids from 1 on. */
type Acceptors = number | readonly number[];

/** A family's part of a system. */
interface Family extends Rule {
  readonly name: string;
  readonly setting: string;
  /** The setting as it was asked for, for errors. */
  readonly asked: string;
  /** More on why two sets miss each other, after the sets. */
  readonly numbers: (miss: Miss) => string;
  readonly nearest: (miss: Miss) => readonly string[];
}

/** Any majority in either phase; a fast quorum is the smallest that R7 allows, 3 of 3, 3 of 4, 4 of 5, 6 of 7. */
export function majority(acceptors: Acceptors): QuorumSystem {
  const ids = idsOf(acceptors);
  const most = Math.floor(ids.length / 2) + 1;
  return bySize(ids, most, most);
}

/**
 * Any `phase1` acceptors promise, any `phase2` choose, any `fast` choose at a fast ballot (default: as few as R7 allows).
 * Throws UnsafeQuorumsError where q1 + q2 ≤ n or q1 + 2·qf ≤ 2n: some such sets miss each other.
 */
export function bySize(acceptors: Acceptors, phase1: number, phase2: number, fast?: number): QuorumSystem {
  const ids = idsOf(acceptors);
  const n = ids.length;
  const qf = fast ?? (phase1 >= 1 && phase1 <= n ? leastFast(n, atLeast(phase1), bitCount, n) : n);
  const text = (q1: number, q2: number, q: number | undefined): string => {
    const most = Math.floor(n / 2) + 1;
    const isMajority = q1 === most && q2 === most && (q === undefined || q === leastFast(n, atLeast(q1), bitCount, n));
    return isMajority ? 'majority' : `sizes:${[q1, q2, ...(q === undefined ? [] : [q])].join(',')}`;
  };
  const name =
    text(phase1, phase2, qf) === 'majority'
      ? `majority: any ${String(phase1)} of ${String(n)}`
      : `sizes: any ${String(phase1)} of ${String(n)} promise, any ${String(phase2)} choose`;
  const sum = { name, text, weightOf: bitCount, most: n, ids };
  return byWeight(sum, phase1, phase2, qf, fast);
}

/**
 * Acceptors count by weight: those that together weigh `phase1` promise, `phase2` choose, `fast` choose at a fast ballot (default:
 * as little as R7 allows). `weights` are by id, 1 to 100 each. Throws UnsafeQuorumsError when two such sets miss each other.
 */
export function weighted(
  acceptors: Acceptors,
  weights: ReadonlyMap<number, number>,
  phase1: number,
  phase2: number,
  fast?: number,
): QuorumSystem {
  const ids = idsOf(acceptors);
  const others = [...weights.keys()].filter((id) => !ids.includes(id));
  const missing = ids.filter((id) => !weights.has(id));
  if (others.length > 0 || missing.length > 0)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `weights are of acceptors ${list([...weights.keys()])}, and the configuration has ${list(ids)}: each needs one`,
    );
  for (const [id, weight] of weights)
    if (!Number.isInteger(weight) || weight < 1 || weight > WEIGHT_MAX)
      throw new SynodError(
        'INVALID_ARGUMENT',
        `acceptor ${String(id)} has weight ${String(weight)}: a weight is a whole number from 1 to ${String(WEIGHT_MAX)}`,
      );
  const each = ids.map((id) => weights.get(id) ?? 0);
  const weightOf = (members: number): number =>
    each.reduce((sum, weight, position) => sum + ((members >> position) & 1) * weight, 0);
  const most = weightOf((1 << ids.length) - 1);
  const qf =
    fast ?? (phase1 >= 1 && phase1 <= most ? leastFast(ids.length, heavy(weightOf, phase1), weightOf, most) : most);
  const head = `weighted:${ids.map((id, position) => `${String(id)}=${String(each[position])}`).join(',')}`;
  const text = (q1: number, q2: number, q: number | undefined): string =>
    `${head}:${[q1, q2, ...(q === undefined ? [] : [q])].join(',')}`;
  const name = `weighted: ${String(phase1)} of ${String(most)} promise, ${String(phase2)} choose`;
  const sum = { name, text, weightOf, most, ids };
  return byWeight(sum, phase1, phase2, qf, fast);
}

/**
 * Acceptors in rows and columns, filled row by row in order of their ids: `rows` × `columns` of them. Phase 1 is one acceptor of
 * every column; phase 2 is a whole column. A row is one such phase-1 quorum among others: all of them meet every column, so that
 * only the loss of a whole column prevents an election. Fast quorums are any so many, as few as R7 allows.
 */
export function grid(acceptors: Acceptors, rows: number, columns: number): QuorumSystem {
  const ids = idsOf(acceptors);
  const n = ids.length;
  if (rows * columns !== n || rows < 1 || columns < 1)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `a grid of ${String(rows)} rows and ${String(columns)} columns has ${String(rows * columns)} acceptors, and there are ${String(n)}; ` +
        `grids of ${String(n)}: ${gridsOf(n).join(', ')}`,
    );
  const columnMasks = Array.from({ length: columns }, (_, column) =>
    Array.from({ length: rows }, (_row, row) => 1 << (row * columns + column)).reduce((a, b) => a | b, 0),
  );
  const isPhase1 = (members: number): boolean => columnMasks.every((column) => (members & column) !== 0);
  const qf = leastFast(n, isPhase1, bitCount, n);
  return build(ids, {
    name: `grid ${String(rows)}x${String(columns)}: one of each column promises, a whole column chooses`,
    setting: `grid:${String(rows)}x${String(columns)}`,
    asked: `grid:${String(rows)}x${String(columns)}`,
    phase1: isPhase1,
    phase2: (members) => columnMasks.some((column) => (members & column) === column),
    fast: atLeast(qf),
    numbers: () => '',
    nearest: () => [],
  });
}

/** The grids that so many acceptors make, as settings. */
export function gridsOf(n: number): string[] {
  const rows = Array.from({ length: n }, (_, i) => i + 1).filter((count) => n % count === 0);
  return rows.map((count) => `grid:${String(count)}x${String(n / count)}`);
}

export interface ExplicitSets {
  /** Sets of ids. */
  readonly phase1: readonly (readonly number[])[];
  readonly phase2: readonly (readonly number[])[];
  /** Left out: there are no fast quorums. */
  readonly fast?: readonly (readonly number[])[];
}

/** Exactly these sets of ids, and whatever holds one of them. Throws UnsafeQuorumsError when two miss each other. */
export function explicit(acceptors: Acceptors, sets: ExplicitSets): QuorumSystem {
  const ids = idsOf(acceptors);
  const n = ids.length;
  const masks = (given: readonly (readonly number[])[]): number[] => given.map((set) => maskOf(ids, set));
  const holdsOneOf =
    (given: readonly number[]) =>
    (members: number): boolean =>
      given.some((set) => (members & set) === set);
  const phase1 = holdsOneOf(masks(sets.phase1));
  const phase2 = holdsOneOf(masks(sets.phase2));
  const fast = sets.fast === undefined ? undefined : holdsOneOf(masks(sets.fast));
  const text = (...rules: (((members: number) => boolean) | undefined)[]): string =>
    `sets:${rules.flatMap((rule) => (rule === undefined ? [] : [setsText(ids, minimalSets(tableOf(n, rule)))])).join('/')}`;
  const safePhase2 = meetsAll(n, phase1);
  const safeFast = (): ((members: number) => boolean) => atLeast(leastFast(n, phase1, bitCount, n));
  return build(ids, {
    name: `sets: ${String(minimalSets(tableOf(n, phase1)).length)} promise, ${String(minimalSets(tableOf(n, phase2)).length)} choose`,
    setting: text(phase1, phase2, fast),
    asked: text(phase1, phase2, fast),
    phase1,
    phase2,
    fast,
    numbers: () => '',
    // With this phase 1, these are all the sets that may choose.
    nearest: (miss) =>
      miss.phase === 'phase2' ? [text(phase1, safePhase2)] : [text(phase1, phase2, safeFast()), text(phase1, phase2)],
  });
}

interface Sum {
  readonly ids: readonly number[];
  readonly name: string;
  readonly text: (q1: number, q2: number, qf: number | undefined) => string;
  readonly weightOf: (members: number) => number;
  /** What all acceptors weigh. */
  readonly most: number;
}

/** `given`: the fast threshold as it was asked for, undefined where `fast` is the least that is safe. */
function byWeight(sum: Sum, q1: number, q2: number, fast: number, given: number | undefined): QuorumSystem {
  const { ids, most, weightOf, text } = sum;
  const asked = given === undefined ? [q1, q2] : [q1, q2, given];
  const fits = (q: number): boolean => Number.isInteger(q) && q >= 1 && q <= most;
  const steps = thresholds(ids.length, weightOf);
  if (!asked.every(fits)) {
    const clamp = (q: number): number => Math.min(most, Math.max(1, Math.round(q)));
    const [c1, c2] = [clamp(q1), clamp(q2)];
    const safe = steps.find((q) => q >= c2 && isSafe(ids.length, heavy(weightOf, c1), heavy(weightOf, q))) ?? most;
    throw new UnsafeQuorumsError(
      `${asked.join(', ')} out of ${String(most)}`,
      `each must be a whole number from 1 to ${String(most)}`,
      [],
      [text(c1, safe, undefined)],
    );
  }
  return build(ids, {
    name: sum.name,
    setting: text(q1, q2, fast),
    asked: text(q1, q2, given),
    phase1: heavy(weightOf, q1),
    phase2: heavy(weightOf, q2),
    fast: heavy(weightOf, fast),
    numbers: (miss) =>
      miss.phase === 'phase2'
        ? `; ${String(q1)} + ${String(q2)} is not above ${String(most)}`
        : `; ${String(q1)} + 2·${String(fast)} is not above 2·${String(most)}`,
    nearest: (miss) => {
      const q = (at: number, ok: (rule: (members: number) => boolean) => boolean): number | undefined =>
        steps.find((step) => step > at && ok(heavy(weightOf, step)));
      if (miss.phase === 'phase2') {
        const one = q(q1, (rule) => isSafe(ids.length, rule, heavy(weightOf, q2)));
        const two = q(q2, (rule) => isSafe(ids.length, heavy(weightOf, q1), rule));
        return [
          ...(one === undefined ? [] : [text(one, q2, undefined)]),
          ...(two === undefined ? [] : [text(q1, two, undefined)]),
        ];
      }
      const one = q(q1, (rule) => isSafe(ids.length, rule, heavy(weightOf, q2), heavy(weightOf, fast)));
      return [
        text(q1, q2, leastFast(ids.length, heavy(weightOf, q1), weightOf, most)),
        ...(one === undefined ? [] : [text(one, q2, fast)]),
      ];
    },
  });
}

function atLeast(count: number): (members: number) => boolean {
  return (members) => bitCount(members) >= count;
}

function heavy(weightOf: (members: number) => number, threshold: number): (members: number) => boolean {
  return (members) => weightOf(members) >= threshold;
}

/** What sets of acceptors weigh, in order: other thresholds make no difference. */
function thresholds(n: number, weightOf: (members: number) => number): number[] {
  const found = new Set<number>();
  for (let members = 1; members < 1 << n; members++) found.add(weightOf(members));
  return [...found].sort((a, b) => a - b);
}

function isSafe(
  n: number,
  phase1: (members: number) => boolean,
  phase2: (members: number) => boolean,
  fast?: (members: number) => boolean,
): boolean {
  return firstMiss(tablesOf(n, { phase1, phase2, fast })) === undefined;
}

function tablesOf(n: number, rule: Rule): Tables {
  return {
    phase1: tableOf(n, rule.phase1),
    phase2: tableOf(n, rule.phase2),
    fast: rule.fast === undefined ? undefined : tableOf(n, rule.fast),
  };
}

/** Checks a family's sets and makes a system of them (R7). */
function build(ids: readonly number[], family: Family): QuorumSystem {
  const n = ids.length;
  const tables = tablesOf(n, family);
  refuseMisses(ids, family, tables);
  const { phase1, phase2, fast = new Uint8Array(1 << n) } = tables;
  const everybody = (1 << n) - 1;
  return {
    size: n,
    name: family.name,
    setting: family.setting,
    isPhase1: (members) => phase1[members] === 1,
    isPhase2: (members) => phase2[members] === 1,
    isFast: (members) => fast[members] === 1,
    // Whoever was not asked may have voted for it.
    couldBeFast: (voters, asked) => fast[voters | (everybody & ~asked)] === 1,
    minimal: (phase) => minimalSets({ phase1, phase2, fast }[phase]),
  };
}

/** R7: every phase-1 quorum meets every phase-2 quorum, and every two fast quorums in common. */
function refuseMisses(ids: readonly number[], family: Family, tables: Tables): void {
  const miss = firstMiss(tables);
  if (miss === undefined) return;
  const sets = miss.sets.map((mask) => membersOf(ids, mask));
  const [one = '', ...others] = sets.map((set) => set.join('+'));
  const why =
    miss.phase === 'phase2'
      ? `phase-1 quorum ${one} and phase-2 quorum ${others.join()} have no acceptor in common`
      : `phase-1 quorum ${one} and the fast quorums ${others.join(' and ')} have no acceptor in common`;
  throw new UnsafeQuorumsError(
    `${family.asked} of ${String(ids.length)} acceptors`,
    why + family.numbers(miss),
    sets,
    family.nearest(miss),
  );
}

/** How many acceptors may be lost while a phase keeps a quorum. */
export interface Survives {
  /** Whichever they are. */
  readonly any: number;
  /** At best, when the right ones are lost. */
  readonly best: number;
}

/** What a phase survives, undefined where it has no quorums. */
export function survives(system: QuorumSystem, phase: QuorumPhase): Survives | undefined {
  const is = { phase1: system.isPhase1, phase2: system.isPhase2, fast: system.isFast }[phase];
  const everybody = (1 << system.size) - 1;
  if (!is(everybody)) return undefined;
  let any = system.size;
  let best = 0;
  for (let lost = 0; lost <= everybody; lost++) {
    const count = bitCount(lost);
    if (is(everybody & ~lost)) best = Math.max(best, count);
    else any = Math.min(any, count - 1);
  }
  return { any, best };
}

/** The ids of a set, in order. */
export function membersOf(ids: readonly number[], mask: number): number[] {
  return ids.filter((_, position) => ((mask >> position) & 1) === 1);
}

function maskOf(ids: readonly number[], set: readonly number[]): number {
  return set.reduce((mask, id) => {
    const position = ids.indexOf(id);
    if (position >= 0) return mask | (1 << position);
    throw new SynodError(
      'INVALID_ARGUMENT',
      `a quorum names acceptor ${String(id)}, and the configuration has ${list(ids)}`,
    );
  }, 0);
}

/** `1+2,3+4`: sets by ids, those of lower ids first. */
export function setsText(ids: readonly number[], masks: readonly number[]): string {
  const sets = masks.map((mask) => membersOf(ids, mask)).sort((a, b) => order(a, b));
  return sets.map((set) => set.join('+')).join(',');
}

function order(a: readonly number[], b: readonly number[]): number {
  for (const [at, id] of a.entries()) {
    const other = b[at];
    if (other === undefined) return 1;
    if (other !== id) return id - other;
  }
  return a.length - b.length;
}

function idsOf(acceptors: Acceptors): readonly number[] {
  const ids =
    typeof acceptors === 'number'
      ? Array.from({ length: Number.isInteger(acceptors) ? acceptors : 0 }, (_, i) => i + 1)
      : [...acceptors].sort((a, b) => a - b);
  if (ids.length < ACCEPTORS_MIN || ids.length > ACCEPTORS_MAX)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `${String(typeof acceptors === 'number' ? acceptors : ids.length)} acceptors: a cluster has ${String(ACCEPTORS_MIN)} to ${String(ACCEPTORS_MAX)} (3 or 4 survive the loss of one, 5 or 6 of two, 7 of three)`,
    );
  return ids;
}

function list(ids: readonly number[]): string {
  return ids.join(', ');
}
