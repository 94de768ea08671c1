/**
 * Quorum systems for the simulator. What they mean is worked out here once more, as lists of sets, so that who watches does not
 * believe what it watches (shared/paxos/quorum.ts).
 */
import type { Prng } from '../../shared/base/prng.ts';

/** A system as a plan has it. */
export type SimQuorums =
  | { readonly kind: 'majority' }
  | { readonly kind: 'sizes'; readonly phase1: number; readonly phase2: number }
  | { readonly kind: 'grid'; readonly rows: number; readonly columns: number }
  | {
      readonly kind: 'weighted';
      readonly weights: readonly number[];
      readonly phase1: number;
      readonly phase2: number;
    };

const SYSTEMS: readonly (readonly [acceptors: number, SimQuorums])[] = [
  [3, { kind: 'sizes', phase1: 3, phase2: 1 }],
  [4, { kind: 'sizes', phase1: 3, phase2: 2 }],
  [4, { kind: 'sizes', phase1: 2, phase2: 3 }],
  [5, { kind: 'sizes', phase1: 4, phase2: 2 }],
  [5, { kind: 'sizes', phase1: 2, phase2: 4 }],
  [4, { kind: 'grid', rows: 2, columns: 2 }],
  [6, { kind: 'grid', rows: 2, columns: 3 }],
  [6, { kind: 'grid', rows: 3, columns: 2 }],
  [3, { kind: 'weighted', weights: [2, 1, 1], phase1: 3, phase2: 2 }],
  [4, { kind: 'weighted', weights: [2, 1, 1, 1], phase1: 3, phase2: 3 }],
  [5, { kind: 'weighted', weights: [3, 2, 2, 1, 1], phase1: 4, phase2: 6 }],
];

/** Another system than majorities, with its number of acceptors, for one seed in four. */
export function drawQuorums(prng: Prng): { readonly acceptors: number; readonly quorums: SimQuorums } | undefined {
  if (!prng.chance(0.25)) return undefined;
  const [acceptors, quorums] = prng.pick(SYSTEMS);
  return { acceptors, quorums };
}

/** The setting that gives the shipped machines this system. */
export function settingOf(quorums: SimQuorums): string {
  switch (quorums.kind) {
    case 'majority':
      return 'majority';
    case 'sizes':
      return `sizes:${quorums.phase1},${quorums.phase2}`;
    case 'grid':
      return `grid:${quorums.rows}x${quorums.columns}`;
    case 'weighted':
      return `weighted:${quorums.weights.map((weight, i) => `${i + 1}=${weight}`).join(',')}:${quorums.phase1},${quorums.phase2}`;
  }
}

/** Every set of acceptors, by positions, that is a quorum. */
export class QuorumSets {
  readonly #phase1: ReadonlySet<number>;
  readonly #phase2: ReadonlySet<number>;
  readonly #fast: ReadonlySet<number>;

  constructor(acceptors: number, quorums: SimQuorums) {
    const sets = Array.from({ length: 2 ** acceptors }, (_, bits) =>
      Array.from({ length: acceptors }, (_each, position) => position).filter(
        (position) => Math.floor(bits / 2 ** position) % 2 === 1,
      ),
    );
    const pick = (is: (set: readonly number[]) => boolean): Set<number> =>
      new Set(sets.filter(is).map((set) => set.reduce((sum, position) => sum + 2 ** position, 0)));
    const [is1, is2] = rulesOf(acceptors, quorums);
    this.#phase1 = pick(is1);
    this.#phase2 = pick(is2);
    this.#fast = leastFast(acceptors, quorums, this.#phase1);
  }

  isPhase1(members: number): boolean {
    return this.#phase1.has(members);
  }

  isPhase2(members: number): boolean {
    return this.#phase2.has(members);
  }

  isFast(members: number): boolean {
    return this.#fast.has(members);
  }

  /** Whether these can elect a leader and choose. */
  isCore(positions: readonly number[]): boolean {
    const members = positions.reduce((sum, position) => sum + 2 ** position, 0);
    return this.isPhase1(members) && this.isPhase2(members);
  }
}

/** Sets by size or weight, as small as they may be: every two of them and every phase-1 quorum have somebody in common. */
function leastFast(acceptors: number, quorums: SimQuorums, phase1: ReadonlySet<number>): ReadonlySet<number> {
  const weights = quorums.kind === 'weighted' ? quorums.weights : Array.from({ length: acceptors }, () => 1);
  const all = Array.from({ length: 2 ** acceptors }, (_, members) => members);
  const weigh = (members: number): number =>
    weights.reduce((sum, weight, position) => sum + (Math.floor(members / 2 ** position) % 2) * weight, 0);
  for (let least = 1; ; least++) {
    const sets = all.filter((members) => weigh(members) >= least);
    const meet = (a: number): boolean => sets.every((b) => [...phase1].every((q) => (a & b & q) !== 0));
    if (sets.every(meet)) return new Set(sets);
  }
}

type Is = (set: readonly number[]) => boolean;

function rulesOf(acceptors: number, quorums: SimQuorums): readonly [Is, Is] {
  switch (quorums.kind) {
    case 'majority':
      return [(set) => set.length * 2 > acceptors, (set) => set.length * 2 > acceptors];
    case 'sizes':
      return [(set) => set.length >= quorums.phase1, (set) => set.length >= quorums.phase2];
    case 'grid': {
      const columns = Array.from({ length: quorums.columns }, (_, column) => column);
      const inColumn = (set: readonly number[], column: number): number =>
        set.filter((position) => position % quorums.columns === column).length;
      return [
        (set) => columns.every((column) => inColumn(set, column) > 0),
        (set) => columns.some((column) => inColumn(set, column) === quorums.rows),
      ];
    }
    case 'weighted': {
      const weight = (set: readonly number[]): number =>
        set.reduce((sum, position) => sum + (quorums.weights[position] ?? 0), 0);
      return [(set) => weight(set) >= quorums.phase1, (set) => weight(set) >= quorums.phase2];
    }
  }
}
