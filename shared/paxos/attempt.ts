/** Something that a proposer does for one slot, or a few, with the acceptors of a log: a Basic round, or a fast decree. */
import type { Batch } from '../base/batch.ts';
import type { Ballot } from './ballot.ts';
import type { Accepted, Promised, Rejected } from './messages.ts';
import type { Path } from './peers.ts';

/** How it ended. */
export type AttemptResult =
  | {
      readonly kind: 'chosen';
      readonly from: number;
      readonly batch: Batch;
      readonly ballot: Ballot;
      /** Ballots that it took. */
      readonly tries: number;
      readonly path: Path;
    }
  /** The slots are below a trim floor: chosen long ago, and known to learners. */
  | { readonly kind: 'trimmed'; readonly floor: number }
  /** A leader has the log. */
  | { readonly kind: 'led'; readonly leader: number; readonly watermark: number }
  | { readonly kind: 'refused'; readonly reason: 'logs' | 'space' | 'round' };

export interface Attempt {
  readonly log: string;
  readonly since: number;
  /** The ballot that it proposes at; undefined while it waits. */
  readonly ballot: Ballot | undefined;
  /** Set once, when it is over. */
  readonly result: AttemptResult | undefined;
  /** A value was sent: the outcome is open until there is a result. */
  readonly sent: boolean;
  onPromised(acceptor: number, page: Promised): void;
  onAccepted(acceptor: number, message: Accepted): void;
  onRejected(acceptor: number, message: Rejected): void;
  onTick(): void;
}
