/**
 * Ballots: totally ordered by (round, proposer, incarnation, kind), fast before classic.
 *
 * The incarnation is 64 random bits, as 16 hex digits, drawn at every start of a proposer: no two starts share a ballot, so
 * a proposer needs no disk. Round 0 holds one ballot alone, the shared fast ballot zero; classic rounds start at 1.
 */
export interface Ballot {
  readonly round: number;
  readonly proposer: number;
  readonly incarnation: string;
  readonly kind: BallotKind;
}

export const FAST = 0;
export const CLASSIC = 1;
export type BallotKind = typeof FAST | typeof CLASSIC;

/** The ballot at which every log starts: fast, of nobody, below every other. A vote at no ballot is absence, never zero. */
export const BALLOT_ZERO: Ballot = { round: 0, proposer: 0, incarnation: '0000000000000000', kind: FAST };

/** Negative when a is below b, zero when they are the same ballot, positive when a is above b. */
export function compareBallots(a: Ballot, b: Ballot): number {
  if (a === b) return 0;
  if (a.round !== b.round) return a.round - b.round;
  if (a.proposer !== b.proposer) return a.proposer - b.proposer;
  if (a.incarnation !== b.incarnation) return a.incarnation < b.incarnation ? -1 : 1;
  return a.kind - b.kind;
}

export function sameBallot(a: Ballot, b: Ballot): boolean {
  return compareBallots(a, b) === 0;
}

export function maxBallot(a: Ballot, b: Ballot): Ballot {
  return compareBallots(a, b) >= 0 ? a : b;
}

/** True at a ballot at which any proposer may send a value of its own, and a value needs a fast quorum. */
export function isFast(ballot: Ballot): boolean {
  return ballot.kind === FAST;
}

/** A start of a proposer: the owner of all ballots that carry it. */
export interface Owner {
  readonly proposer: number;
  readonly incarnation: string;
}

/** True when this start of a proposer, and no other, may use the ballot. */
export function ownedBy(ballot: Ballot, owner: Owner): boolean {
  return ballot.proposer === owner.proposer && ballot.incarnation === owner.incarnation;
}

/** The least classic ballot of this owner in a round above the given one. */
export function classicAbove(ballot: Ballot, owner: Owner): Ballot {
  return { round: ballot.round + 1, proposer: owner.proposer, incarnation: owner.incarnation, kind: CLASSIC };
}

/** A fast ballot of this owner in a round above the given ballot, and above all rounds it used. */
export function freshFast(above: Ballot, lastRound: number, owner: Owner): Ballot {
  const { proposer, incarnation } = owner;
  return { round: Math.max(above.round, lastRound) + 1, proposer, incarnation, kind: FAST };
}

/** The one ballot that follows a fast one, with nothing between: the classic ballot of the same round and owner. */
export function successor(fast: Ballot): Ballot {
  return { ...fast, kind: CLASSIC };
}

/** `3.p1.9f86d081` : round, proposer, the start of the incarnation; a fast ballot ends in `f`. */
export function formatBallot(ballot: Ballot): string {
  if (ballot.round === 0) return '0';
  const fast = ballot.kind === FAST ? 'f' : '';
  return `${String(ballot.round)}.p${String(ballot.proposer)}.${ballot.incarnation.slice(0, 8)}${fast}`;
}
