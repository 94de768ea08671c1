/** Votes at a fast ballot, counted by value: what the sender of a decree, of a log's value, and who opened the log, have in common. */
import type { QuorumSystem } from './quorum.ts';

export type Voters = Iterable<{ readonly voters: number }>;

/** Everybody who voted, for whatever value, as a set of bits. */
export function votersOf(tallies: Voters): number {
  let all = 0;
  for (const { voters } of tallies) all |= voters;
  return all;
}

/** Whether some value of these can still get a fast quorum; `out`: acceptors that will not vote any more, as a set of bits. */
export function isStillPossible(quorum: QuorumSystem, tallies: Voters, out: number): boolean {
  const each = [...tallies];
  const open = ((1 << quorum.size) - 1) & ~votersOf(each) & ~out;
  return each.some(({ voters }) => quorum.isFast(voters | open));
}
