/** What a program gives to the client and gets from it. */
import type { ProposalId } from '../wire/codec/trace.ts';
import type { Outcome } from '../base/errors.ts';
import type { Ballot } from '../paxos/ballot.ts';
import type { Progress as Told } from '../paxos/peers.ts';
import type { ClientError } from './errors.ts';

export type { Ballot } from '../paxos/ballot.ts';

export interface ClientOptions {
  /** `host:port` of proposers, in the order of their ids where that is known; any one is enough. */
  readonly proposers?: readonly string[];
  /** `host:port` of learners; any one is enough. */
  readonly learners?: readonly string[];
  /** The cluster's id: another cluster refuses. Default: not checked. */
  readonly cluster?: string;
  /** Milliseconds for a call with all its tries, where the call does not say. Default 5,000. */
  readonly timeoutMs?: number;
  /** How errors name that setting, for programs whose users know it by another name. Default `timeoutMs`. */
  readonly timeoutName?: string;
  /** Milliseconds until one try is given up for another proposer or learner. Default 2,000. */
  readonly attemptMs?: number;
  /** Gives up as soon as nobody at all takes a connection, instead of trying until the deadline. Default false. */
  readonly failFast?: boolean;
  /** Connections of its own instead of those that clients of this process share. Default false. */
  readonly ownConnections?: boolean;
  /** Proposals that may wait for room in their session before more are refused (R14). Default 10,000. */
  readonly waitingMax?: number;
}

export interface CallOptions {
  /** Milliseconds for the call with all its tries. */
  readonly timeoutMs?: number;
  /** Gives the call up; the outcome of a proposal is then unknown. */
  readonly signal?: AbortSignal;
}

export interface DecideOptions extends WatchOptions {
  /** `fast`: one round trip less, where nobody else decides at once. Default `basic`. */
  readonly protocol?: 'basic' | 'fast';
}

/**
 * The way of a proposal that was sent FAST. `fast`: a fast quorum voted for one value · `recovered`: it collided with another and a
 * classic ballot decided · `classic`: the log was not open for fast voting, or too few acceptors answered.
 */
export type Path = 'fast' | 'recovered' | 'classic';

/**
 * What happens to a proposal on its way: it is `forwarded` to the proposer `to`; an `acceptor`, by its number, has `promised` the
 * ballot at which it is proposed, or has `accepted` it, which is its vote; it is `chosen`; or `untold`: nothing more is told,
 * because too many proposals are watched or this end reads too slowly. It explains, and the answer decides: what is told may be
 * told twice, and stay away.
 */
export type Progress =
  | Told
  | {
      readonly kind: 'chosen';
      readonly slot: number;
      readonly ballot: Ballot | undefined;
      readonly leader: number | undefined;
    };

export interface WatchOptions extends CallOptions {
  /** Called with what happens to the proposal, until it is answered. Must not throw. Costs messages: leave it out where nobody looks. */
  readonly onProgress?: (progress: Progress) => void;
}

export interface ProposeOptions extends WatchOptions {
  /** `fast`: straight to the acceptors, without a leader, where the log is open for that. Default `multi`. */
  readonly protocol?: 'multi' | 'fast';
}

/** Names a proposal, in every retry of it, in traces and in the history of proposers. */
export type { ProposalId } from '../wire/codec/trace.ts';

/** Where a proposal was chosen. */
export interface Proposed {
  readonly log: string;
  readonly id: ProposalId;
  readonly slot: number;
  /** Undefined where the answer came from a learner: a retry whose first sending was chosen meanwhile. */
  readonly ballot: Ballot | undefined;
  /** The proposer that led. */
  readonly leader: number | undefined;
  /** Undefined unless it was sent FAST. */
  readonly path?: Path | undefined;
  /** Ballots that the proposer tried for a decree; for FAST in a log, how often it was sent. Undefined where it cannot say. */
  readonly rounds?: number | undefined;
}

/** What was chosen in a decree. */
export interface Decided extends Proposed {
  /** The value that was chosen, perhaps another's. */
  readonly value: Uint8Array;
  /** False: another proposal was chosen before this one. */
  readonly own: boolean;
}

export type EntryKind = 'proposal' | 'decree' | 'no-op' | 'session';
export type EntryEffect = 'applied' | 'duplicate' | 'refused' | 'none';

/** One slot of a log. */
export interface Entry {
  readonly slot: number;
  readonly kind: EntryKind;
  readonly effect: EntryEffect;
  readonly value: Uint8Array;
  readonly ballot: Ballot | undefined;
  /** 32 hex digits; empty for a no-op. */
  readonly client: string;
  readonly session: number;
  readonly sequence: number;
}

export interface ReadOptions extends CallOptions {
  /** The first slot. Default 0. */
  readonly from?: number;
  /** The end: the first slot that is not wanted. Default: the end of what is applied. */
  readonly to?: number;
  /** At most so many entries. Default: as many as a learner gives at once. */
  readonly limit?: number;
  /** Every proposal that was answered before this call is in the answer (R13). Default true. */
  readonly linearizable?: boolean;
  /** Also no-ops, duplicates and sessions. Default false: each proposal once. */
  readonly all?: boolean;
}

export interface Page {
  readonly entries: readonly Entry[];
  /** Read on from here; equal to `applied` at the end. */
  readonly next: number;
  readonly applied: number;
  /** The first slot that this learner can read. */
  readonly first: number;
}

export interface SubscribeOptions {
  /** The first slot. Default 0. */
  readonly from?: number;
  /** Also no-ops, duplicates and sessions. Default false. */
  readonly all?: boolean;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

export interface ProposeStreamOptions {
  /** Called with every answer, in ranges, as they come. Must not throw. */
  readonly onAnswer?: (answer: StreamAnswer) => void;
  /**
   * Called with what happens to each proposal, by its sequence, before its answer; sequence 0: to some of them. Must not throw.
   * Costs some messages for each proposal.
   */
  readonly onProgress?: (sequence: number, progress: Told) => void;
  /** Proposals on their way at once, at most the session's window. Default: that window, 1,024. */
  readonly inFlightMax?: number;
  /** Milliseconds without any answer until what is on its way is given up, with outcome unknown. Default 30,000. */
  readonly timeoutMs?: number;
}

/** An answer to consecutive proposals of a stream; they are numbered from 1 on, in the order of writing. */
export type StreamAnswer =
  | {
      readonly kind: 'chosen';
      readonly firstSequence: number;
      readonly count: number;
      readonly firstSlot: number;
      readonly ballot: Ballot | undefined;
      readonly leader: number | undefined;
    }
  | { readonly kind: 'refused'; readonly firstSequence: number; readonly count: number; readonly error: ClientError };

export type { Outcome };
