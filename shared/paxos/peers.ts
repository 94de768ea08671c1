/** What proposers say to one another, and how a proposal is answered. */
import type { Code, Outcome } from '../base/errors.ts';
import type { Ballot } from './ballot.ts';

export interface LedLog {
  readonly log: string;
  readonly ballot: Ballot;
}

/** Every 100 ms between proposers, on a connection of its own. States what the sender leads by a count and a digest. */
export interface Heartbeat {
  readonly kind: 'heartbeat';
  readonly proposer: number;
  readonly incarnation: string;
  /** How many logs the sender leads, and the exclusive-or of 32-bit hashes over (log, ballot). */
  readonly ledCount: number;
  readonly ledDigest: number;
}

/** The logs that the sender leads now and did not lead before, and the other way round; or, with `full`, all of them. */
export interface LedChange {
  readonly kind: 'led-change';
  /** The first page of a full statement: forget what was known of the sender's logs before. */
  readonly full: boolean;
  readonly added: readonly LedLog[];
  readonly removed: readonly string[];
}

/** Asks for a full statement: the digest of a heartbeat did not match. */
export interface LedQuestion {
  readonly kind: 'led?';
}

/** Asks the receiver to campaign for a log at once: a hand-over by SIGTERM or by an operator. */
export interface TakeOver {
  readonly kind: 'take-over';
  readonly log: string;
}

/** A proposal given to the leader, once: the receiver leads the log, campaigns for it, or refuses. */
export interface Forward {
  readonly kind: 'forward';
  /** Chosen by the sender, never used twice in one incarnation. */
  readonly id: number;
  /** The sender's start. Its next start counts ids anew, and must not take an answer to this one for its own. */
  readonly incarnation: string;
  readonly log: string;
  readonly entry: Uint8Array;
  /** A sending of this id came before: by the client, by a forwarding proposer, or by a leader (R12). */
  readonly retry: boolean;
  /** It was forwarded before it came to the sender, who cannot be bypassed: the receiver leads, or refuses. */
  readonly relayed: boolean;
  /** Its client asked for FAST. */
  readonly fast?: boolean | undefined;
  /** What is left of the caller's deadline. */
  readonly timeoutMs: number;
  /** Its caller wants to hear what happens to it. */
  readonly progress: boolean;
}

export interface Forwarded {
  readonly kind: 'forwarded';
  readonly id: number;
  readonly incarnation: string;
  readonly answer: Answer;
}

/** What happened to a forwarded proposal whose caller wants to hear of it. */
export interface ForwardedProgress {
  readonly kind: 'progress';
  readonly id: number;
  readonly incarnation: string;
  readonly progress: Progress;
}

/** Asks any proposer to have every slot of [from, to) chosen: votes are there, and no leader seems to finish them. */
export interface Finish {
  readonly kind: 'finish';
  readonly log: string;
  readonly from: number;
  readonly to: number;
}

export type PeerMessage =
  Heartbeat | LedChange | LedQuestion | TakeOver | Forward | Forwarded | ForwardedProgress | Finish;

/** What happens to a proposal on its way. It explains; the answer decides. Acceptors are named by their position. */
export type Progress =
  | { readonly kind: 'forwarded'; readonly to: number }
  /** The acceptor has promised the ballot at which it is, or will be, proposed. */
  | { readonly kind: 'promised'; readonly acceptor: number; readonly ballot: Ballot }
  | { readonly kind: 'accepted'; readonly acceptor: number; readonly ballot: Ballot; readonly slot: number }
  /** Nothing more is told of it: too many proposals are watched. */
  | { readonly kind: 'untold' };

/** How a proposal ended. */
export type Answer = Chosen | Refused;

export interface Chosen {
  readonly kind: 'chosen';
  readonly slot: number;
  /** The ballot at which the answering proposer saw it chosen; undefined when it learned of it later (a retry). */
  readonly ballot: Ballot | undefined;
  /** For a decree the entry that was chosen, which may be another's. */
  readonly entry: Uint8Array | undefined;
  /** The leader that answered, undefined for a decree. */
  readonly leader: number | undefined;
  /** For what was proposed FAST: the way it took. */
  readonly path?: Path | undefined;
  /** Ballots that this proposer tried for a decree, the fast one included; in a log, how often it was sent. Undefined where it cannot say. */
  readonly rounds?: number | undefined;
}

/**
 * `fast`: a fast quorum voted for one value at a fast ballot · `recovered`: proposals collided and a classic ballot decided ·
 * `classic`: the log was not open for fast voting, or too few acceptors answered for a fast quorum.
 */
export type Path = 'fast' | 'recovered' | 'classic';

export interface Refused {
  readonly kind: 'refused';
  readonly code: Code;
  readonly message: string;
  readonly outcome: Outcome;
  /** The proposer to try instead, where one is known. */
  readonly leader: number | undefined;
}
