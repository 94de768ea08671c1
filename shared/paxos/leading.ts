/** The states of a leader: idle → asking → preparing → leading. */
import type { Batch } from '../base/batch.ts';
import type { Ballot } from './ballot.ts';
import type { Phase1 } from './phase1.ts';
import type { Admission, Flight, Proposal } from './proposing.ts';

export interface OwnFlight extends Flight {
  /** Slot for slot; undefined for what a leader before us proposed, and for no-ops. */
  readonly proposals: readonly Proposal[] | undefined;
}

export interface Asking {
  readonly kind: 'asking';
  readonly ballot: Ballot;
  readonly override: boolean;
  readonly since: number;
  yes: number;
  no: number;
  /** Of those that refused, the acceptors whose journal takes no promise. */
  full: number;
}

export interface Preparing {
  readonly kind: 'preparing';
  readonly ballot: Ballot;
  readonly override: boolean;
  readonly since: number;
  readonly phase1: Phase1;
  sentAt: number;
  no: number;
  full: number;
}

export interface Leading {
  readonly kind: 'leading';
  readonly ballot: Ballot;
  readonly since: number;
  /** The first slot this leader sent. */
  readonly start: number;
  /** Acceptors known to have promised this ballot: the others get the Prepare again when they come back. */
  promised: number;
  flights: OwnFlight[];
  /** The next free slot. */
  next: number;
  /** All slots below are chosen. */
  watermark: number;
  /** The greatest watermark that the acceptors were told. */
  told: number;
  admission: Admission | undefined;
  askedSessionsAt: number;
  /** What phase 1 found, kept until the session table is there to be fed with it. */
  recovered: { readonly first: number; readonly batch: Batch }[];
  progressAt: number;
  /** Acceptors that refused this ballot for a higher one, and those whose journal takes no new slots. */
  rejected: number;
  full: number;
  /** Why the last of those that are full said so. */
  fullFor: 'space' | 'logs';
  resigning: boolean;
  finishing: Finishing | undefined;
}

/** Slots below the watermark that a learner could not count: read again at our own ballot, and sent again as found. */
export interface Finishing {
  readonly from: number;
  readonly to: number;
  readonly since: number;
  readonly phase1: Phase1;
  flights: Flight[] | undefined;
}

export type State = { readonly kind: 'idle' } | Asking | Preparing | Leading;

export const IDLE: State = { kind: 'idle' };
