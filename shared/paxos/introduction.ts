/**
 * What acceptors tell one another about their disks and starts (R5), and what others remember of it.
 *
 * A start is one run of an acceptor's process: a number that its disk counts, and a draw, so that two processes on two
 * copies of one disk, which count to the same number, are still told apart. Who remembers an acceptor's start and position
 * (other acceptors, learners) can prove that a disk is older than it once was.
 */

/** The disk of every acceptor of a configuration, by acceptor id. Ids of disks are drawn when a disk is first used. */
export type Disks = ReadonlyMap<number, string>;

/** The roster as one disk holds it. `complete`: it is known that every disk of the roster holds it, pending or complete. */
export type Roster =
  | { readonly kind: 'none' }
  | { readonly kind: 'pending'; readonly disks: Disks }
  | { readonly kind: 'complete'; readonly disks: Disks };

/** What someone durably keeps about an acceptor: its latest start, and the greatest journal position it sent them. */
export interface Remembered {
  readonly start: number;
  readonly draw: number;
  readonly position: number;
}

/** What an acceptor's disk keeps for R5. */
export interface RosterState {
  readonly roster: Roster;
  /** The number of the latest start, 0 before the first. */
  readonly start: number;
  /** By acceptor id. Holds only acceptors of the stored roster, and only starts at which they held it too. */
  readonly remembered: ReadonlyMap<number, Remembered>;
}

/** A disk that was never used. */
export const EMPTY_ROSTER_STATE: RosterState = { roster: { kind: 'none' }, start: 0, remembered: new Map() };

/** An acceptor about itself. All of it is durable on its disk, but for the draw, which lives as long as the process. */
export interface Introduction extends Remembered {
  readonly acceptor: number;
  readonly disk: string;
  readonly roster: Roster;
}

/** The answer to an introduction: one's own, and what one durably remembers of the asker, the question included. */
export interface IntroductionAnswer {
  readonly introduction: Introduction;
  readonly remembered: Remembered | undefined;
}

/**
 * What to remember of an acceptor after it said `told`; returns `before` itself where nothing changes.
 *
 * A start that is earlier, or the same number with another draw, or later but from a disk that holds less than was seen of
 * it, is not taken over: what is remembered is the evidence against it, and must outlive the question (R5).
 */
export function remember(before: Remembered | undefined, told: Remembered): Remembered {
  const { start, draw, position } = told;
  if (before === undefined) return { start, draw, position };
  if (sameStart(before, told)) return position > before.position ? { start, draw, position } : before;
  if (start <= before.start || position < before.position) return before;
  return { start, draw, position };
}

/**
 * Why this start must not speak, given what someone remembers of it; undefined when there is no objection. `position` of `own`
 * is what the disk held when this start began, for later growth would hide what is missing from before it.
 */
export function contradiction(own: Remembered, remembered: Remembered): string | undefined {
  if (sameStart(own, remembered)) return undefined;
  if (remembered.start > own.start)
    return `remembers start ${String(remembered.start)} of it, and this is start ${String(own.start)}`;
  if (remembered.start === own.start)
    return `knows another process that says it is start ${String(own.start)} of the same disk`;
  if (remembered.position > own.position)
    return `was sent journal position ${String(remembered.position)}, and this disk ended at ${String(own.position)} when it started`;
  return undefined;
}

export function sameStart(a: Remembered, b: Remembered): boolean {
  return a.start === b.start && a.draw === b.draw;
}

export function sameDisks(a: Disks, b: Disks): boolean {
  if (a.size !== b.size) return false;
  for (const [acceptor, disk] of a) if (b.get(acceptor) !== disk) return false;
  return true;
}

/** `1 on 5e0c…, 2 on 77ab…`: a roster for people. */
export function formatDisks(disks: Disks): string {
  return [...disks].map(([acceptor, disk]) => `${String(acceptor)} on ${disk}`).join(', ');
}
