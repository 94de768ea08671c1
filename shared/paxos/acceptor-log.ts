/** What an acceptor keeps of one log. */
import { assert } from '../base/assert.ts';
import type { Batch } from '../base/batch.ts';
import { LIMITS } from '../base/limits.ts';
import { RangeMap } from '../base/range-map.ts';
import { BALLOT_ZERO, isFast, maxBallot, sameBallot, successor, type Ballot } from './ballot.ts';
import { identityOfOne } from './identity.ts';
import type { Accept, Accepted, LogState, RejectReason, ToLearner } from './messages.ts';
import { VoteIndex } from './vote-index.ts';

export interface Vote {
  readonly ballot: Ballot;
  readonly batch: Batch;
}

export interface LogRecord {
  readonly name: string;
  promised: Ballot;
  state: LogState;
  /** Where the log is open at a fast ballot that is promised: the first slot. Undefined at ballot zero, which is open from 0 on. */
  openFrom: number | undefined;
  /** The stream of the proposer that opened it, which hears what others propose. */
  opener: string | undefined;
  /** Votes for slots at or above `kept`. Below it they are in the journal. */
  readonly votes: RangeMap<Vote>;
  kept: number;
  readonly index: VoteIndex;
  highest: number;
  /** The greatest ballot of any vote in this log. */
  voted: Ballot;
  watermark: number;
  floor: number;
  overrideAt: number;
  /** Raised when a vote below `kept` changes, so that a load that ran meanwhile is repeated. */
  oldVotesVersion: number;
  /** Its old votes are being read, to be written again. */
  rewriting: boolean;
  /** By learner disk. */
  readonly holders: Map<string, { held: number; agreed: number }>;
}

export function newVotes(): RangeMap<Vote> {
  return new RangeMap<Vote>((vote, from, to) => ({ ballot: vote.ballot, batch: vote.batch.slice(from, to) }));
}

/** A log of which nothing is known: fast-open at ballot zero, as every log that nobody prepared. */
export function newLog(name: string): LogRecord {
  return {
    name,
    promised: BALLOT_ZERO,
    state: 'open',
    openFrom: undefined,
    opener: undefined,
    votes: newVotes(),
    kept: 0,
    index: new VoteIndex(),
    highest: -1,
    voted: BALLOT_ZERO,
    watermark: 0,
    floor: 0,
    overrideAt: -Infinity,
    oldVotesVersion: 0,
    rewriting: false,
    holders: new Map(),
  };
}

/** How far a log is, for a learner. */
export function headOf(log: LogRecord): ToLearner {
  return { kind: 'head', log: log.name, highest: log.highest, watermark: log.watermark, floor: log.floor };
}

/** The log's promise grows; fast voting ends with the promise that it was opened under. */
export function raise(log: LogRecord, ballot: Ballot, lead: boolean): void {
  log.promised = ballot;
  log.state = lead ? 'led' : 'closed';
  log.openFrom = undefined;
  log.opener = undefined;
}

/** Fast voting is open at the ballot that is promised, from this slot on. */
export function open(log: LogRecord, from: number): void {
  log.state = 'open';
  log.openFrom = from;
}

/**
 * What a reject names: the greatest ballot promised or voted here. Slots that were recovered at the successor of the fast ballot which is
 * open leave it open for the others, and whoever is refused goes on there: it is told that ballot, not the successor.
 */
export function higherOf({ promised, voted, openFrom }: LogRecord): Ballot {
  return openFrom !== undefined && sameBallot(voted, successor(promised)) ? promised : maxBallot(promised, voted);
}

/** At a fast ballot a vote says which value it is for; at a classic one ballot and slot name the value (R9). */
export function identityAt(ballot: Ballot, batch: Batch): { readonly identity?: string } {
  return isFast(ballot) ? { identity: identityOfOne(batch) } : {};
}

/** Why an Accept at a fast ballot gets no vote in a log that promised nothing higher; undefined where it may get one. */
export function notFast(log: LogRecord, { ballot, first, batch, watermark }: Accept): RejectReason | undefined {
  assert(batch.count === 1, 'R9', () => `${log.name}: ${String(batch.count)} values at a fast ballot`);
  // Nobody opened ballot zero; it is open where nobody prepared.
  const isOpen = ballot.round === 0 || (log.openFrom !== undefined && sameBallot(ballot, log.promised));
  if (!isOpen || first < (log.openFrom ?? 0)) return 'not-open';
  return first > Math.max(log.highest, log.watermark, watermark) + LIMITS.fastSlotsAheadMax ? 'ahead' : undefined;
}

/** The answer to an Accept that has its vote. */
export function acceptedAt(log: LogRecord, ballot: Ballot, first: number, batch: Batch): Accepted {
  const watermark = isFast(ballot) ? { watermark: log.watermark } : {};
  const { name } = log;
  return { kind: 'accepted', log: name, ballot, first, count: batch.count, ...identityAt(ballot, batch), ...watermark };
}
