/** What happened, for people: metrics, log lines and traces are made of these. A note never changes what a machine does. */
import type { Ballot } from './ballot.ts';
import type { Purpose, RejectReason } from './messages.ts';

export type Phase = 'prepare' | 'accept';
export type Protocol = 'basic' | 'multi' | 'fast' | 'probe' | 'finish';
export type QuorumOutcome = 'reached' | 'rejected' | 'timeout' | 'collision' | 'recovered';
/**
 * What became of a proposal that was sent FAST: `fast`, a fast quorum; `coordinated`, recovered at the successor of the fast ballot by
 * who opened it; `recovered`, by a classic round with both its phases; `fallback`, it did not collide and went the classic way.
 */
export type FastOutcome = 'fast' | 'coordinated' | 'recovered' | 'fallback';

/**
 * Why the FAST proposals of a log went to a leader: too many slots `collided`, or one did that nobody recovers; the log is `led` or closed;
 * no fast quorum is connected or answers (`unreachable`); or it took too long until a learner knew what became of a slot (`unknown`).
 */
export type FastLeft = 'collided' | 'led' | 'unreachable' | 'unknown';

export type Note =
  // acceptor
  | { readonly kind: 'promised'; readonly log: string; readonly ballot: Ballot; readonly purpose: Purpose }
  | {
      readonly kind: 'voted';
      readonly log: string;
      readonly ballot: Ballot;
      readonly first: number;
      readonly count: number;
      readonly bytes: number;
    }
  | {
      readonly kind: 'rejected';
      readonly phase: Phase | 'any';
      readonly log: string;
      readonly reason: RejectReason;
      readonly ballot: Ballot;
      readonly promised: Ballot;
    }
  | { readonly kind: 'opened'; readonly log: string; readonly ballot: Ballot; readonly from: number }
  | { readonly kind: 'trimmed'; readonly log: string; readonly floor: number }
  // proposer
  /** The log is not open any more at this proposer's fast ballot, or never was. */
  | { readonly kind: 'closed'; readonly log: string; readonly ballot: Ballot; readonly why: string }
  | { readonly kind: 'promise-rtt'; readonly acceptor: number; readonly ms: number }
  | { readonly kind: 'accept-rtt'; readonly acceptor: number; readonly ms: number }
  | {
      readonly kind: 'quorum';
      readonly phase: Phase;
      readonly protocol: Protocol;
      readonly outcome: QuorumOutcome;
      readonly log: string;
      readonly ballot: Ballot;
      /** The slots that were chosen, where phase 2 reached its quorum. */
      readonly first?: number;
      readonly count?: number;
      readonly ms: number;
    }
  | {
      readonly kind: 'batch';
      readonly log: string;
      readonly first: number;
      readonly values: number;
      readonly bytes: number;
    }
  | {
      readonly kind: 'leader';
      readonly log: string;
      readonly change: 'taken' | 'resigned' | 'lost';
      readonly ballot: Ballot;
      readonly why: string;
    }
  | {
      readonly kind: 'campaign';
      readonly log: string;
      readonly ballot: Ballot;
      readonly override: boolean;
      readonly why: string;
    }
  | { readonly kind: 'no-op'; readonly log: string; readonly first: number; readonly count: number }
  | { readonly kind: 'reproposed'; readonly log: string; readonly first: number; readonly count: number }
  /** A leader asked for slots below its watermark and the answers did not give their values: nothing is sent for them. */
  | { readonly kind: 'unfound'; readonly log: string; readonly from: number; readonly to: number }
  | {
      readonly kind: 'proposal';
      readonly protocol: Protocol;
      readonly outcome: 'chosen' | 'known' | 'refused' | 'timeout';
      readonly ms: number;
      readonly count: number;
    }
  | { readonly kind: 'fast'; readonly log: string; readonly outcome: FastOutcome; readonly ms: number }
  | { readonly kind: 'left'; readonly log: string; readonly why: FastLeft }
  /** Votes at a fast ballot went to several values, and none can get a fast quorum. */
  | { readonly kind: 'collision'; readonly log: string; readonly slot: number; readonly ballot: Ballot }
  /** Who opened a fast ballot takes the votes there for promises of its successor, `ballot`, in this slot alone. */
  | { readonly kind: 'recovering'; readonly log: string; readonly slot: number; readonly ballot: Ballot }
  | { readonly kind: 'forwarded'; readonly log: string; readonly to: number }
  | { readonly kind: 'peer'; readonly proposer: number; readonly change: 'up' | 'silent' | 'refused' }
  | { readonly kind: 'pause'; readonly ms: number }
  // learner
  | {
      readonly kind: 'learned';
      readonly log: string;
      readonly first: number;
      readonly count: number;
      readonly ballot: Ballot;
    }
  | {
      readonly kind: 'gap';
      readonly log: string;
      readonly from: number;
      readonly to: number;
      readonly asked: 'acceptors' | 'learners' | 'finish';
    };
