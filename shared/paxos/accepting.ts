/** What an acceptor is told, what it wants done, and how it shows itself. */
import { LIMITS } from '../base/limits.ts';
import type { Ballot, Owner } from './ballot.ts';
import type {
  AcceptorRecord,
  FromAcceptor,
  LearnerToAcceptor,
  LogState,
  Tip,
  TipQuestion,
  ToAcceptor,
  ToLearner,
  VoteRange,
  Votes,
} from './messages.ts';
import type { NoteEffect } from './step.ts';
import type { Piece } from './vote-index.ts';

export interface AcceptorOptions {
  /** A Prepare is refused while the log's leader was heard within this time. Milliseconds. */
  readonly graceMs: number;
  /** An override is honoured once per this time and log. Milliseconds. */
  readonly overrideMs: number;
  /** Slots are dropped once this many learner disks hold them (`trim.holders`). */
  readonly holders: number;
  /** Floors move and journals are trimmed at most this often. Milliseconds. */
  readonly trimMs: number;
  /** Bytes of votes in one answer; one batch always fits. */
  readonly pageBytes: number;
  readonly logsMax: number;
}

export const ACCEPTOR_DEFAULTS: AcceptorOptions = {
  graceMs: 400,
  overrideMs: 10_000,
  holders: 2,
  trimMs: 1_000,
  pageBytes: 1024 * 1024,
  logsMax: LIMITS.logsMax,
};

/** `from` names the stream or call that an event came by; a reply goes back by it. */
export type AcceptorEvent =
  | { readonly kind: 'proposer'; readonly from: string; readonly owner: Owner; readonly message: ToAcceptor }
  | { readonly kind: 'proposer-gone'; readonly owner: Owner }
  | { readonly kind: 'learner'; readonly from: string; readonly disk: string; readonly message: LearnerToAcceptor }
  | { readonly kind: 'learner-joined'; readonly from: string }
  | { readonly kind: 'question'; readonly from: string; readonly message: TipQuestion }
  | { readonly kind: 'forget'; readonly from: string; readonly disk: string; readonly force: boolean }
  | { readonly kind: 'loaded'; readonly id: number; readonly votes: readonly VoteRange[] }
  /** Whether the journal takes new slots, and the largest entry that it takes at all, in bytes. */
  | { readonly kind: 'room'; readonly hasRoom: boolean; readonly bytes: number }
  /** The journal would like to drop what stands below this position: the few votes that are still needed there move on. */
  | { readonly kind: 'compact'; readonly below: number }
  /** Of the acceptor to itself: write the old votes of a log again. */
  | { readonly kind: 'rewrite'; readonly log: string }
  | { readonly kind: 'tick' };

export type AcceptorEffect =
  | { readonly kind: 'persist'; readonly record: AcceptorRecord }
  | { readonly kind: 'reply'; readonly to: string; readonly message: FromAcceptor }
  | { readonly kind: 'reply-learner'; readonly to: string; readonly message: ToLearner }
  | { readonly kind: 'reply-tip'; readonly to: string; readonly message: Tip }
  | { readonly kind: 'reply-forget'; readonly to: string; readonly refused: string | undefined }
  /** A vote for all learners that follow. */
  | { readonly kind: 'publish'; readonly votes: Votes }
  /** Read the votes of `log` in [from, to) from these pieces of the journal; the later record of a slot is its vote. */
  | {
      readonly kind: 'load';
      readonly id: number;
      readonly log: string;
      readonly from: number;
      readonly to: number;
      readonly pieces: readonly Piece[];
    }
  /** Journal entries below the position are not needed any more. */
  | { readonly kind: 'trim'; readonly below: number }
  | NoteEffect;

export interface AcceptorLogStatus {
  readonly log: string;
  readonly promised: Ballot;
  readonly state: LogState;
  /** Where it is open at a fast ballot that is promised: the first slot. */
  readonly openFrom: number | undefined;
  readonly highest: number;
  readonly watermark: number;
  readonly floor: number;
  /** Ranges of votes held in memory. */
  readonly inMemory: number;
  readonly holders: readonly { readonly disk: string; readonly held: number; readonly agreed: number }[];
}
