/** Seeds that found something once, and stay. A change of the plan's drawing makes them other runs; then they are found anew. */
export interface PinnedSeed {
  readonly seed: number;
  readonly why: string;
}

export const PINNED: readonly PinnedSeed[] = [
  { seed: 61, why: 'a journal was full for ever: no segment with a head that a trim could begin at' },
  { seed: 265, why: 'a leader that was deposed without knowing it gave a client its expired session again' },
];
