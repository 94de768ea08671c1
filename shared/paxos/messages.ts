/**
 * What the roles say to one another about consensus, as plain data. `wire` turns these into protobuf and back; nothing here
 * knows bytes on a network. Slots are whole numbers from 0; ranges are [first, first + count) or [from, to).
 *
 *   proposer                         acceptor                                learner
 *      │ ── prepare(ballot, from) ──────▶ │   promise made durable                │
 *      │ ◀────────── promised(votes) ──── │   or rejected(higher ballot)          │
 *      │ ── accept(ballot, slot, batch) ▶ │   vote made durable                   │
 *      │ ◀──────────────── accepted ───── │ ── votes(ballot, slots, batch?) ────▶ │  counts a quorum
 */
import type { Batch } from '../base/batch.ts';
import type { Ballot } from './ballot.ts';

/**
 * Why a Prepare is sent. Only `lead` makes a log led; `decree` and `finish` leave it closed, and so does `open`, the only one at a
 * fast ballot, until Any follows.
 */
export type Purpose = 'lead' | 'decree' | 'finish' | 'open';

/**
 * How a log stands at an acceptor. `open`: for fast voting, at ballot zero where nobody prepared it, else at the fast ballot that is
 * promised; `closed`: prepared, led by nobody.
 */
export type LogState = 'open' | 'closed' | 'led';

/** Phase 1, the question: promise this ballot for the whole log, and report the votes of [from, to). */
export interface Prepare {
  readonly kind: 'prepare';
  readonly log: string;
  readonly ballot: Ballot;
  readonly from: number;
  /** End of the slots asked about; undefined asks for all. The promise itself always covers the whole log. */
  readonly to: number | undefined;
  readonly purpose: Purpose;
  /** Report from the acceptor's own watermark where that is above `from` (R10). */
  readonly fromWatermark: boolean;
  /** Asks past a leader's grace; honoured once per 10 s and log. */
  readonly override: boolean;
  /** Asks only whether this would be promised; nothing changes at the acceptor. */
  readonly ask: boolean;
}

/** Phase 2, the question: vote for these values at consecutive slots from `first`; at a fast ballot for one value in one slot. */
export interface Accept {
  readonly kind: 'accept';
  readonly log: string;
  readonly ballot: Ballot;
  readonly first: number;
  readonly batch: Batch;
  /** All slots below are chosen, as far as the sender knows. */
  readonly watermark: number;
}

/** The leader gives the log up: its grace ends, the log is closed. */
export interface Resign {
  readonly kind: 'resign';
  readonly log: string;
  readonly ballot: Ballot;
}

/** All slots below the watermark are chosen. Sent when there is no Accept to carry it. */
export interface Tell {
  readonly kind: 'tell';
  readonly log: string;
  readonly watermark: number;
}

/** A proposer that leads something, and had nothing else to say, is alive. Renews the grace of all that it leads. */
export interface Alive {
  readonly kind: 'alive';
}

/**
 * Fast voting is open at this fast ballot from this slot on: a phase-1 quorum promised it and has no vote, watermark or floor above.
 * Holds while the log's promise is this ballot.
 */
export interface Any {
  readonly kind: 'any';
  readonly log: string;
  readonly ballot: Ballot;
  readonly from: number;
}

export type ToAcceptor = Prepare | Accept | Resign | Tell | Alive | Any;

/** A vote for consecutive slots, all at one ballot. */
export interface VoteRange {
  readonly first: number;
  readonly ballot: Ballot;
  readonly batch: Batch;
}

/**
 * Phase 1, the answer: reports every vote of [from, until); `until` is undefined when nothing is voted from there on. A slot
 * outside is unknown, never free (R10): ask again with `from = until`, where `until` is below the end that was asked.
 */
export interface Promised {
  readonly kind: 'promised';
  readonly log: string;
  readonly ballot: Ballot;
  readonly from: number;
  readonly until: number | undefined;
  readonly votes: readonly VoteRange[];
  /** Greatest slot this acceptor ever voted in, −1 for none, even where the question ends below it. */
  readonly highest: number;
  readonly watermark: number;
  readonly floor: number;
}

/** The answer to a Prepare with `ask`: it would be promised now. */
export interface WouldPromise {
  readonly kind: 'would-promise';
  readonly log: string;
  readonly ballot: Ballot;
  readonly highest: number;
  readonly watermark: number;
}

/**
 * `ballot`: a higher ballot is promised or voted · `led`: a leader was heard within its grace · `floor`: the slots are below
 * the trim floor · `space`: the journal is full · `logs`: no room for one more log · `round`: the round is above the limit ·
 * `busy`: too much is waiting here · `conflict`: another value has this acceptor's vote at this very ballot (R2); at a fast ballot
 * that is a collision · `not-open`: the fast ballot is not open at the slot.
 */
export type RejectReason =
  'ballot' | 'led' | 'floor' | 'space' | 'logs' | 'round' | 'busy' | 'conflict' | 'ahead' | 'not-open';

/** A refusal, which says how the log stands here so that the asker knows where to go. */
export interface Rejected {
  readonly kind: 'rejected';
  readonly log: string;
  /** The ballot that was refused. */
  readonly ballot: Ballot;
  /** The slot that an Accept began at; undefined for a Prepare. */
  readonly first: number | undefined;
  readonly reason: RejectReason;
  /** The greatest ballot promised here for this log, or voted at or above the slots in question. */
  readonly promised: Ballot;
  readonly state: LogState;
  /** The leader, where the log is led: the proposer that owns `promised`. */
  readonly leader: number | undefined;
  readonly highest: number;
  readonly watermark: number;
  readonly floor: number;
  /** At a fast ballot, with `conflict`: the value that has this acceptor's vote there. */
  readonly voted?: Uint8Array | undefined;
}

/** Phase 2, the answer: voted for all of [first, first + count) at the ballot, durably. */
export interface Accepted {
  readonly kind: 'accepted';
  readonly log: string;
  readonly ballot: Ballot;
  readonly first: number;
  readonly count: number;
  /** At a fast ballot, and only there: which value has the vote (`identityOf`). */
  readonly identity?: string | undefined;
  /** At a fast ballot, to who opened it, where another sent the value. */
  readonly voted?: Uint8Array | undefined;
  /** At a fast ballot: the watermark that this acceptor was told. */
  readonly watermark?: number | undefined;
}

/** The answer to Any: fast voting is open here at this ballot, durably. */
export interface Opened {
  readonly kind: 'opened';
  readonly log: string;
  readonly ballot: Ballot;
}

export type FromAcceptor = Promised | WouldPromise | Rejected | Accepted | Opened;

/** From an acceptor to a learner, as votes are made durable. The batch is there only for those who asked for values. */
export interface Votes {
  readonly kind: 'votes';
  readonly log: string;
  readonly ballot: Ballot;
  readonly first: number;
  readonly count: number;
  readonly batch: Batch | undefined;
  /** The greatest watermark that this acceptor was told. */
  readonly watermark: number;
  /** At a fast ballot, and only there: which value has the vote, with the batch or without (R9). */
  readonly identity?: string | undefined;
}

/** How far a log reaches at an acceptor: sent for every log when a learner connects, and for what it was too slow to take. */
export interface Head {
  readonly kind: 'head';
  readonly log: string;
  readonly highest: number;
  readonly watermark: number;
  readonly floor: number;
}

/**
 * The answer to Fetch: every vote held here in [from, until), as `votes` messages that came before this one. Slots below
 * `floor` were trimmed.
 */
export interface Fetched {
  readonly kind: 'fetched';
  readonly log: string;
  readonly from: number;
  readonly until: number;
  readonly highest: number;
  readonly watermark: number;
  readonly floor: number;
}

export type ToLearner = Votes | Head | Fetched;

/** A learner asks again for the votes of [from, to). The acceptor answers with votes and one `fetched`, bounded in bytes. */
export interface Fetch {
  readonly kind: 'fetch';
  readonly log: string;
  readonly from: number;
  readonly to: number;
  /** With the batches, or votes alone. */
  readonly values: boolean;
}

/** Chooses whether the live votes of this acceptor come with their values. One acceptor sends values, the others votes. */
export interface Wish {
  readonly kind: 'wish';
  readonly values: boolean;
}

/** What a learner's disk holds durably: all slots below `held`, and below `agreed` with a digest that another learner shares. */
export interface Held {
  readonly kind: 'held';
  readonly log: string;
  readonly held: number;
  readonly agreed: number;
}

export type LearnerToAcceptor = Fetch | Wish | Held;

/** A question for the end of a log (R13), and its answer: the greatest slot voted, or the floor less one where that is greater. */
export interface TipQuestion {
  readonly kind: 'tip?';
  readonly log: string;
  readonly id: number;
}
export interface Tip {
  readonly kind: 'tip';
  readonly log: string;
  readonly id: number;
  readonly tip: number;
}

/** What an acceptor writes to its journal. The order of records is the order of the events that made them. */
export type AcceptorRecord =
  | {
      readonly kind: 'promise';
      readonly log: string;
      readonly ballot: Ballot;
      /** The proposer leads from now on; otherwise the log is closed. */
      readonly lead: boolean;
    }
  | {
      readonly kind: 'vote';
      readonly log: string;
      readonly ballot: Ballot;
      readonly first: number;
      readonly batch: Batch;
      readonly watermark: number;
    }
  | { readonly kind: 'resign'; readonly log: string; readonly ballot: Ballot }
  /** Fast voting was opened at this ballot, which is promised, from this slot on. */
  | { readonly kind: 'any'; readonly log: string; readonly ballot: Ballot; readonly from: number }
  | { readonly kind: 'floor'; readonly log: string; readonly floor: number }
  | { readonly kind: 'forget'; readonly learnerDisk: string }
  | {
      /** All that must survive when older segments are deleted; written for every log at the head of a new segment. */
      readonly kind: 'log';
      readonly log: string;
      readonly promised: Ballot;
      readonly state: LogState;
      readonly highest: number;
      /** The greatest ballot voted in the log, undefined when there is none. */
      readonly voted: Ballot | undefined;
      readonly watermark: number;
      readonly floor: number;
      /** Fast voting is open at `promised`, from this slot on. */
      readonly openFrom?: number | undefined;
    };
