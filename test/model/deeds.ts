/** What may happen next in a world, and what comes of it: the words between the nodes and the search. */
import type { FromAcceptor, ToAcceptor, ToLearner } from '../../shared/paxos/messages.ts';

/** One value in one slot, as the checker notes it: what was asked for, voted, told. */
export type Body =
  | ToAcceptor
  | FromAcceptor
  | ToLearner
  /** Of the record alone: a client asked this proposer for the value. */
  | { readonly kind: 'asked'; readonly value: string };

/** A place for a node: acceptors come first, then proposers, then learners. `all`: every acceptor. `record`: nobody. */
export type Place = number | 'all' | 'record';

/** Something that happens to one node. `from` is the position of the sender among its kind. */
export type Deed =
  | { readonly kind: 'hear'; readonly from: number; readonly body: Body }
  /** A client asks for the value, as a decree or in the log. */
  | { readonly kind: 'ask'; readonly value: string; readonly protocol: 'basic' | 'multi' | 'fast' }
  /** Every timer that runs has run out. */
  | { readonly kind: 'tick' }
  /** A learner asks to have the slots [0, to) finished. */
  | { readonly kind: 'finish'; readonly to: number }
  /** The journal reports what was written as synced. */
  | { readonly kind: 'sync' }
  /** The process dies and starts again. `keeps`: what was written and not yet synced is on the disk; `higher`: the new incarnation. */
  | { readonly kind: 'restart'; readonly keeps: boolean; readonly higher: boolean };

export interface Out {
  readonly to: Place;
  readonly body: Body;
}

/** What a proposer or a learner says of a slot; the checker compares it with the votes that were really sent. */
export interface Claim {
  readonly who: string;
  readonly slot: number;
  readonly value: string;
}

/** What one deed brought about at one node. */
export interface Outcome {
  readonly outs: readonly Out[];
  readonly claims: readonly Claim[];
  /** What of the things that should happen sometimes has happened. */
  readonly marks: readonly string[];
  /** A broken assertion, or a rule that the node broke by itself. */
  readonly complaint: string | undefined;
  /** It needs more ballots than the world allows: the search does not go there. */
  readonly isBeyond: boolean;
}
