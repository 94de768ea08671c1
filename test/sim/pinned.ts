/** Seeds that found something once, and stay. A change of what a plan draws makes them other runs; then they are found anew. */
export interface PinnedSeed {
  readonly seed: number;
  readonly why: string;
}

export const PINNED: readonly PinnedSeed[] = [
  { seed: 7, why: 'a proposer that was sent back to who forwards campaigned at the speed of the network' },
  { seed: 21, why: 'a session that expired was opened again under its client id, and its numbers began anew' },
  {
    seed: 313,
    why: 'while reads waited, a learner asked the acceptors again and again, and nobody to finish the slots',
  },
  { seed: 939, why: 'a sync failed while a journal was being opened, and the start went on' },
  {
    seed: 1079,
    why: 'an old leader kept its grace at an acceptor that had voted for the new one, and slots stayed unfinished',
  },
  {
    seed: 1938,
    why: 'a leader at rest never heard that it was deposed by one that was gone, and slots above its own stayed unfinished',
  },
  {
    seed: 6978,
    why: 'a leader could not finish slots at its ballot, as an acceptor that it needed had promised a higher one, and kept trying',
  },
  {
    seed: 21361,
    why: 'a proposer that was shutting down won a log for what a peer had forwarded, resigned it, and won it again',
  },
];
