/** What the parts of a proposer share: who it is, whom it speaks to, and what it wants done. */
import type { Batch } from '../base/batch.ts';
import { classicAbove, type Ballot, type Owner } from './ballot.ts';
import type { FromAcceptor, ToAcceptor } from './messages.ts';
import type { Note } from './notes.ts';
import type { Answer, Path, PeerMessage, Progress, Refused } from './peers.ts';
import type { QuorumSystem } from './quorum.ts';
import type { NoteEffect } from './step.ts';

export interface ProposerOptions {
  readonly heartbeatMs: number;
  /** A peer is silent after a random time between these. Milliseconds. */
  readonly silenceMsMin: number;
  readonly silenceMsMax: number;
  /** Phase 1 or phase 2 without its quorum for this long has timed out. */
  readonly timeoutMs: number;
  /** What was not answered is sent again after this time. */
  readonly resendMs: number;
  /** Votes at a fast ballot without a fast quorum for this long: a classic ballot decides. */
  readonly fastMs: number;
  /** What becomes of a collision in a log that was opened: its opener decides the slot, or the log goes to a leader. */
  readonly fastRecovery: 'coordinated' | 'classic';
  /** Of the last 100 slots so many may collide before the log goes to a leader. */
  readonly fastCollisionsMax: number;
  /** How long a log stays with a leader before it is opened again: at first, and after doubling. Milliseconds. */
  readonly fastWaitMsMin: number;
  readonly fastWaitMsMax: number;
  /** Batches of one log under way at once: more fill a long network, fewer gather more values each. */
  readonly pipeline: number;
  readonly batchValuesMax: number;
  readonly batchBytesMax: number;
  /** Proposals that this proposer holds at once, over all logs. */
  readonly inFlightMax: number;
  /** Random, growing wait between tries of a round. Milliseconds. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  readonly probeMs: number;
}

export const PROPOSER_DEFAULTS: ProposerOptions = {
  heartbeatMs: 100,
  silenceMsMin: 450,
  silenceMsMax: 900,
  timeoutMs: 500,
  resendMs: 200,
  fastMs: 200,
  fastRecovery: 'coordinated',
  fastCollisionsMax: 20,
  fastWaitMsMin: 1_000,
  fastWaitMsMax: 60_000,
  pipeline: 4,
  batchValuesMax: 1_000,
  batchBytesMax: 1024 * 1024,
  inFlightMax: 10_000,
  backoffMsMin: 10,
  backoffMsMax: 1_000,
  probeMs: 10_000,
};

/**
 * What the state machine says of a log's proposals: the leader's copy of the session table (R12). Complete up to `next`,
 * then fed every value that the leader sends, in the order of the slots; so it says of each what applying it will say.
 */
export interface Admission {
  /** Judges an entry that is about to be sent. Nothing changes. */
  check(entry: Uint8Array): Verdict;
  /** Takes an entry at the next slot. */
  feed(slot: number, entry: Uint8Array): void;
}

export type Verdict =
  | { readonly kind: 'new' }
  /** It has its effect at this slot already. */
  | { readonly kind: 'known'; readonly slot: number }
  /** Applying it would refuse it. */
  | { readonly kind: 'refused'; readonly refused: Refused }
  /** No learner could apply it: it must not enter a log. */
  | { readonly kind: 'invalid'; readonly refused: Refused };

/** A proposal that waits for its answer. */
export interface Proposal {
  /** Names it towards the shell, or towards the proposer that forwarded it. */
  readonly token: number;
  readonly log: string;
  readonly entry: Uint8Array;
  /** A sending of this id came before. */
  retry: boolean;
  /** It left this proposer: whatever happens now, its outcome is unknown until it is answered. */
  sent: boolean;
  /** The table refuses it, and what it was judged by is being confirmed: it is told once its slot is chosen. */
  refusal?: Refused;
  /** A peer handed on what another peer had forwarded to it: it goes no further. */
  readonly relayed: boolean;
  /** Its client asked for FAST, and nothing happened to it that takes a leader. */
  fast?: boolean;
  /** FAST, and it went to a leader: why. */
  path?: Path;
  /** It was answered, or its caller gave up: whoever still holds it drops it. */
  done: boolean;
  readonly since: number;
  readonly deadline: number;
  /** The peer that forwarded it, with its own number for it; undefined for a client's. */
  readonly via: { readonly peer: number; readonly id: number; readonly incarnation: string } | undefined;
  /** Its caller hears what happens to it. */
  readonly progress: boolean;
  // What follows is for people, and decides nothing.
  readonly protocol: 'basic' | 'multi' | 'fast';
  /** Whether whoever gave it said that it was sent before. */
  readonly cameAsRetry: boolean;
  /** The slot in which it was sent from here last, and the one before that; −1 for none. */
  lastSlot: number;
  earlierSlot: number;
  /** How often it was sent from here, to acceptors or to a leader. */
  rounds: number;
}

/** It leaves in this slot. */
export function sentIn(proposal: Proposal, slot: number): void {
  proposal.sent = true;
  proposal.rounds++;
  if (proposal.lastSlot >= 0 && proposal.lastSlot !== slot) proposal.earlierSlot = proposal.lastSlot;
  proposal.lastSlot = slot;
}

export type ProposerEvent =
  | {
      readonly kind: 'propose';
      readonly token: number;
      readonly log: string;
      readonly entry: Uint8Array;
      readonly protocol: 'basic' | 'multi' | 'fast';
      /** The value of slot 0. A Basic proposal always is one, a Multi proposal never. */
      readonly decree?: boolean;
      readonly retry: boolean;
      readonly timeoutMs: number;
      /** Its caller wants to hear what happens to it. Default false. */
      readonly progress?: boolean;
    }
  /** The caller is gone: nobody waits for the answer. */
  | { readonly kind: 'cancel'; readonly token: number }
  /** `from` is the acceptor's position in the configuration. */
  | { readonly kind: 'acceptor'; readonly from: number; readonly message: FromAcceptor }
  | { readonly kind: 'acceptor-up'; readonly acceptor: number }
  | { readonly kind: 'acceptor-down'; readonly acceptor: number }
  /** `isMadeHere`: the shell made it in the peer's place, to whom nothing could be sent. */
  | { readonly kind: 'peer'; readonly from: number; readonly message: PeerMessage; readonly isMadeHere?: true }
  /** The stream to a peer broke; `refused`: nobody listens there. */
  | { readonly kind: 'peer-down'; readonly peer: number; readonly refused: boolean }
  /** Another proposer is known of from now on, or is not counted on any more. */
  | { readonly kind: 'peer-listed' | 'peer-forgotten'; readonly peer: number }
  | {
      readonly kind: 'sessions';
      readonly log: string;
      readonly next: number;
      readonly admission: Admission | undefined;
    }
  /** The answer to `read-slot`; the entry is undefined when no learner could say. */
  | { readonly kind: 'slot'; readonly log: string; readonly slot: number; readonly entry: Uint8Array | undefined }
  | { readonly kind: 'finish'; readonly log: string; readonly from: number; readonly to: number }
  /** An operator moves the leadership of a log. */
  | { readonly kind: 'move'; readonly token: number; readonly log: string; readonly to: number }
  /** Resign from everything and hand it over; ends in `drained`. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'tick' }
  /** The inbox is empty: what has gathered can be sent. */
  | { readonly kind: 'turn' };

export type ProposerEffect =
  /** To one acceptor, by its position in the configuration; undefined for all: encoded once. */
  | { readonly kind: 'to-acceptor'; readonly to: number | undefined; readonly message: ToAcceptor }
  | { readonly kind: 'to-peer'; readonly to: number; readonly message: PeerMessage }
  | { readonly kind: 'answer'; readonly token: number; readonly answer: Answer }
  /** For people: a proposal has its answer, at the client or at the proposer that forwarded it. */
  | { readonly kind: 'ended'; readonly proposal: Proposal; readonly answer: Answer }
  /** For people: what happens to a proposal whose caller asked. */
  | { readonly kind: 'progress'; readonly token: number; readonly progress: Progress }
  /** Get the session table of a log that is applied at least up to the slot, from any learner. */
  | { readonly kind: 'load-sessions'; readonly log: string; readonly slot: number }
  /** Get the entry of a slot that the acceptors no longer hold, from any learner. */
  | { readonly kind: 'read-slot'; readonly log: string; readonly slot: number }
  /** All led logs are handed over, nothing is in flight. */
  | { readonly kind: 'drained' }
  | NoteEffect;

export interface Context {
  readonly self: Owner;
  readonly options: ProposerOptions;
  readonly quorum: QuorumSystem;
  /** The entry that fills a slot for which phase 1 finds nothing below a voted slot. */
  readonly noOp: Uint8Array;
  now: number;
  random: number;
  /** The greatest round this start has used, over all logs: two rounds of one log can never share a ballot (R2). */
  lastRound: number;
  /** Positions of the acceptors that are known not to be connected. Others are taken to be. */
  down: number;
  readonly out: ProposerEffect[];
}

/** A ballot of this proposer that it never used before, above the given one. */
export function freshBallot(ctx: Context, above: Ballot): Ballot {
  const ballot = classicAbove(above.round >= ctx.lastRound ? above : { ...above, round: ctx.lastRound }, ctx.self);
  ctx.lastRound = ballot.round;
  return ballot;
}

export function sendTo(ctx: Context, to: number | undefined, message: ToAcceptor): void {
  ctx.out.push({ kind: 'to-acceptor', to, message });
}

export function note(ctx: Context, n: Note): void {
  ctx.out.push({ kind: 'note', note: n });
}

/** Random, growing: the nth wait is drawn from (0, min · 2^n], at most max. */
export function backoffMs(ctx: Context, attempt: number): number {
  const { backoffMsMin, backoffMsMax } = ctx.options;
  return Math.ceil(ctx.random * Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(attempt, 16))) + 1;
}

/** Consecutive slots that were sent to the acceptors at one ballot and are not known to be chosen. */
export interface Flight {
  readonly ballot: Ballot;
  readonly first: number;
  readonly batch: Batch;
  /** Positions of the acceptors that voted for all of it. */
  voters: number;
  sentAt: number;
  readonly since: number;
}

export function flightEnd(flight: Flight): number {
  return flight.first + flight.batch.count;
}

/** Cuts a batch so that no part exceeds the limits of one Accept; a single value always fits. */
export function* portions(batch: Batch, valuesMax: number, bytesMax: number): IterableIterator<Batch> {
  if (batch.count <= valuesMax && batch.bytes.length <= bytesMax) {
    if (batch.count > 0) yield batch;
    return;
  }
  const sizes = batch.values().map((value) => value.length);
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < sizes.length; i++) {
    const size = sizes[i] ?? 0;
    if (i > from && (i - from >= valuesMax || bytes + size > bytesMax)) {
      yield batch.slice(from, i);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  yield batch.slice(from, batch.count);
}
