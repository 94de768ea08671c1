/**
 * What a batch of seeds must meet now and then, or it proves little: faults that were drawn, and ways out of them that were taken.
 * A batch in which one of these never happened says so, and counts as not run.
 */
export const SOMETIMES: readonly string[] = [
  // leaders and ballots
  'leader taken',
  'leader lost',
  'leader resigned',
  'leader moved',
  'drained',
  'override',
  'rejected led',
  'rejected ballot',
  'rejected floor',
  'multi prepare rejected',
  'multi prepare timeout',
  'multi accept rejected',
  'basic prepare rejected',
  'basic accept reached',
  'probe accept reached',
  'forwarded',
  // what leaders find and finish
  'reproposed',
  'finish accept reached',
  'finish prepare rejected',
  // fast ballots
  'chosen at a fast ballot',
  'fast fast',
  'fast recovered',
  'fast fallback',
  'collision',
  'fast votes found by phase 1',
  'rejected conflict',
  // learners
  'gap acceptors',
  'gap finish',
  'gap learners',
  'catch-up below the floor',
  'new learner',
  'learner forgotten',
  'read answered',
  'read without answer',
  // sessions and answers
  'retry answered from an earlier slot',
  'refused with outcome none',
  'session expired under a client',
  'refused at apply: session-expired',
  // journals and disks
  'clean journal',
  'unmarked journal',
  'torn journal',
  'trimmed',
  'journal trimmed',
  'journal without room',
  'rejected space',
  'full disk',
  'slow disk',
  'failed sync',
  'refused disk: flipped',
  'refused disk: swapped',
  'refused disk: emptied',
  'refused disk: yesterday',
  // processes and clocks
  'bootstrap',
  'crash acceptor',
  'crash proposer',
  'crash learner',
  'crash between effects',
  'crash in a write',
  'power loss everywhere',
  'stall',
  'leader stalled',
  'pause',
  'clock jump',
  'a bare core',
  // quorum systems
  'quorums: majority',
  'quorums: sizes',
  'quorums: grid',
  'quorums: weighted',
  // the network
  'cut full',
  'cut one-way',
  'cut isolate',
  'cut pair',
  'cut bridge',
  'cut roles',
];

/** What only a longer run can be expected to meet. */
export const SELDOM: readonly string[] = ['no-op', 'yesterday’s disk that nobody remembers'];

/** From so many seeds on each of these must have happened. */
export const COVERED_FROM_SEEDS = 200;
const SELDOM_FROM_SEEDS = 1_000;

/** What never happened in so many seeds, by name. */
export function holesOf(coverage: Readonly<Record<string, number>>, seeds: number): string[] {
  const wanted = seeds >= SELDOM_FROM_SEEDS ? [...SOMETIMES, ...SELDOM] : SOMETIMES;
  return wanted.filter((what) => (coverage[what] ?? 0) === 0);
}

/** Adds the counts of one run. */
export function addCoverage(sum: Record<string, number>, coverage: Readonly<Record<string, number>>): void {
  for (const [what, count] of Object.entries(coverage)) sum[what] = (sum[what] ?? 0) + count;
}
