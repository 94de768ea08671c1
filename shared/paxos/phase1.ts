/**
 * Phase 1 at a proposer: gathers what a phase-1 quorum reports and finds the value of every slot (R8, R10).
 * A slot that a promise does not report is unknown, never free, and that promise does not count until it reports it.
 */
import { assert } from '../base/assert.ts';
import { compareBytes, type Batch } from '../base/batch.ts';
import { RangeMap } from '../base/range-map.ts';
import { compareBallots, formatBallot, isFast, type Ballot } from './ballot.ts';
import type { Promised } from './messages.ts';
import { bitCount, type QuorumSystem } from './quorum.ts';

interface Vote {
  readonly ballot: Ballot;
  readonly batch: Batch;
}

/** A value that has votes at a ballot, and the acceptors that gave them. */
interface Voted {
  readonly batch: Batch;
  readonly voters: number;
}

/** The highest ballot with votes in some slots, and what it was voted for there. */
interface Best {
  readonly ballot: Ballot;
  readonly values: readonly Voted[];
}

interface Report {
  /** The promise reports every slot of [from, to that was asked), once complete. */
  readonly from: number;
  next: number;
  complete: boolean;
  readonly votes: { readonly first: number; readonly vote: Vote }[];
}

/** A run of slots for which phase 1 found one value each, or none: then the slot is free. */
export interface Found {
  readonly from: number;
  readonly to: number;
  readonly batch: Batch | undefined;
  /** The ballot of the votes that gave the value. */
  readonly ballot: Ballot | undefined;
}

export type Heard =
  | { readonly kind: 'ignored' }
  /** The acceptor has more to report: ask it again from this slot. */
  | { readonly kind: 'more'; readonly from: number }
  /** A vote above the asking ballot: counts as a reject. */
  | { readonly kind: 'higher'; readonly ballot: Ballot }
  | { readonly kind: 'counted' };

export class Phase1 {
  readonly ballot: Ballot;
  readonly #quorum: QuorumSystem;
  readonly #from: number;
  readonly #fromWatermark: boolean;
  readonly #to: number;
  readonly #reports = new Map<number, Report>();
  #complete = 0;
  /** Over the promises heard so far. */
  highest = -1;
  watermark = 0;
  floor = 0;

  /** `from`, `fromWatermark` and `to` as in the Prepare that is sent. */
  constructor(ballot: Ballot, quorum: QuorumSystem, from: number, fromWatermark: boolean, to = Infinity) {
    this.ballot = ballot;
    this.#quorum = quorum;
    this.#from = from;
    this.#fromWatermark = fromWatermark;
    this.#to = to;
  }

  /** Where the acceptor at this position must be asked from, undefined when it reported everything. */
  nextFrom(acceptor: number): number | undefined {
    const report = this.#reports.get(acceptor);
    if (report === undefined) return this.#from;
    return report.complete ? undefined : report.next;
  }

  /** True before the first page of this acceptor came: only then may it report from its own watermark. */
  isNew(acceptor: number): boolean {
    return !this.#reports.has(acceptor);
  }

  /** Takes a page from the acceptor at this position of the configuration. */
  onPromised(acceptor: number, page: Promised): Heard {
    const known = this.#reports.get(acceptor);
    const start = known?.next ?? (this.#fromWatermark ? Math.max(this.#from, page.watermark) : this.#from);
    // A page that was asked for twice, or that answers another question at this ballot, is not the next one.
    if (known?.complete === true || page.from !== Math.max(start, page.floor)) return { kind: 'ignored' };
    const report = known ?? { from: page.from, next: page.from, complete: false, votes: [] };
    for (const { first, ballot, batch } of page.votes) {
      if (compareBallots(ballot, this.ballot) > 0) return { kind: 'higher', ballot };
      report.votes.push({ first, vote: { ballot, batch } });
    }
    this.#reports.set(acceptor, report);
    this.highest = Math.max(this.highest, page.highest);
    this.floor = Math.max(this.floor, page.floor);
    this.watermark = Math.max(this.watermark, page.watermark, page.floor);
    // A late answer to a shorter question at this ballot ends before ours does: the rest is asked for.
    if (page.until !== undefined && page.until < this.#to) {
      report.next = page.until;
      return { kind: 'more', from: page.until };
    }
    report.complete = true;
    this.#complete |= 1 << acceptor;
    return { kind: 'counted' };
  }

  /** The positions of the acceptors whose promise is whole. */
  get promised(): number {
    return this.#complete;
  }

  /** True when a phase-1 quorum has reported everything it was asked. */
  get reached(): boolean {
    return this.#quorum.isPhase1(this.#complete);
  }

  /**
   * The value of every slot in [from, to), by R8: the highest ballot with a vote gives the value; no vote: free. At a fast ballot
   * that is the value which may be chosen there, else any that has a vote.
   * Every promise that counts must report from `from` or below.
   */
  choose(from: number, to: number): Found[] {
    const found = new RangeMap<Best>((best, a, b) => ({
      ballot: best.ballot,
      values: best.values.map(({ batch, voters }) => ({ batch: batch.slice(a, b), voters })),
    }));
    let quorum = 0;
    for (const [acceptor, report] of this.#reports) {
      if (!report.complete || report.from > from) continue;
      quorum |= 1 << acceptor;
      for (const { first, vote } of report.votes) merge(found, acceptor, first, vote, from, to);
    }
    assert(this.#quorum.isPhase1(quorum), 'R10', () => `no phase-1 quorum reports from slot ${String(from)}`);
    const out: Found[] = [];
    let at = from;
    for (const range of found) {
      if (at < range.from) out.push({ from: at, to: range.from, batch: undefined, ballot: undefined });
      const { ballot, values } = range.value;
      out.push({ from: range.from, to: range.to, batch: this.#pick(ballot, values, quorum), ballot });
      at = range.to;
    }
    if (at < to) out.push({ from: at, to, batch: undefined, ballot: undefined });
    return out;
  }

  /** Of the values voted at the highest ballot. At a classic one there is one. */
  #pick(ballot: Ballot, values: readonly Voted[], quorum: number): Batch | undefined {
    if (!isFast(ballot)) return values[0]?.batch;
    const possible = values.filter(({ voters }) => this.#quorum.couldBeFast(voters, quorum));
    assert(possible.length < 2, 'R8', () => `two values may be chosen at ballot ${formatBallot(ballot)}`);
    // Where none may be, any will do. All who find the same votes take the same, whatever order they came in.
    return (possible[0] ?? [...values].sort(byVotes)[0])?.batch;
  }
}

/** The most votes first; of equally many, the lesser bytes. */
function byVotes(a: Voted, b: Voted): number {
  return bitCount(b.voters) - bitCount(a.voters) || compareBytes(a.batch.bytes, b.batch.bytes);
}

function merge(found: RangeMap<Best>, acceptor: number, first: number, vote: Vote, from: number, to: number): void {
  const end = Math.min(first + vote.batch.count, to);
  const voters = 1 << acceptor;
  const take = (a: number, b: number): void => {
    found.update(a, b, (old, x, y) => {
      const batch = vote.batch.slice(x - first, y - first);
      const mine: Best = { ballot: vote.ballot, values: [{ batch, voters }] };
      if (old === undefined) return mine;
      const order = compareBallots(vote.ballot, old.ballot);
      if (order !== 0) return order > 0 ? mine : old;
      return withVote(old, { batch, voters }, x, y);
    });
  };
  // At a fast ballot each slot is voted for by itself, whatever its neighbours are.
  if (!isFast(vote.ballot)) return take(Math.max(first, from), end);
  for (let slot = Math.max(first, from); slot < end; slot++) take(slot, slot + 1);
}

function withVote(old: Best, { batch, voters }: Voted, from: number, to: number): Best {
  const same = old.values.find((voted) => voted.batch.equals(batch));
  // One classic ballot has one value a slot: its owner sent two, or somebody lies. There is nothing safe to choose.
  assert(
    same !== undefined || isFast(old.ballot),
    'R8',
    () => `two values at one classic ballot in slots ${String(from)} to ${String(to - 1)}`,
  );
  const others = old.values.filter((voted) => voted !== same);
  return { ballot: old.ballot, values: [...others, { batch, voters: voters | (same?.voters ?? 0) }] };
}
