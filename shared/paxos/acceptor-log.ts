/** What an acceptor keeps of one log. */
import type { Batch } from '../base/batch.ts';
import { RangeMap } from '../base/range-map.ts';
import { BALLOT_ZERO, type Ballot } from './ballot.ts';
import type { LogState, ToLearner } from './messages.ts';
import { VoteIndex } from './vote-index.ts';

export interface Vote {
  readonly ballot: Ballot;
  readonly batch: Batch;
}

export interface LogRecord {
  readonly name: string;
  promised: Ballot;
  state: LogState;
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
