/** What a run remembers: every operation as its client saw it, by the log or decree it was about, on one clock. */
import type { Recorded } from '../linear/check.ts';
import type { DecreeOp, LogOp } from '../linear/models.ts';

/** How an operation ended: `none` had no effect and never will; of `unknown` nobody can tell. */
export type Outcome = 'ok' | 'none' | 'unknown';

export type OperationKind = 'propose' | 'stream' | 'fast' | 'read' | 'end' | 'decide' | 'look';

/** One operation on the timeline. */
export interface Moment {
  readonly client: number;
  readonly kind: OperationKind;
  readonly calledMs: number;
  readonly returnedMs: number;
  readonly outcome: Outcome;
  /** The proposer that led, where an answer says so. */
  readonly leader: number | undefined;
}

/** A value that was refused with outcome none: it must never be seen. */
export interface Refused {
  readonly value: string;
  readonly message: string;
}

export interface LogHistory {
  readonly log: string;
  readonly operations: Recorded<LogOp>[];
  readonly refused: Refused[];
}

export interface DecreeHistory {
  readonly log: string;
  readonly operations: Recorded<DecreeOp>[];
  readonly refused: Refused[];
  /** Answers that said whose value was chosen, and were wrong about it. */
  readonly wrongOwners: string[];
}

export class History {
  readonly moments: Moment[] = [];
  readonly logs = new Map<string, LogHistory>();
  readonly decrees = new Map<string, DecreeHistory>();
  /** Calls that ended in a way that no client should see, with the sentence. */
  readonly oddities: string[] = [];
  #ok = 0;

  /** Operations that succeeded. */
  get ok(): number {
    return this.#ok;
  }

  log(log: string): LogHistory {
    const known = this.logs.get(log) ?? { log, operations: [], refused: [] };
    this.logs.set(log, known);
    return known;
  }

  decree(log: string): DecreeHistory {
    const known = this.decrees.get(log) ?? { log, operations: [], refused: [], wrongOwners: [] };
    this.decrees.set(log, known);
    return known;
  }

  add(moment: Moment): void {
    this.moments.push(moment);
    if (moment.outcome === 'ok') this.#ok++;
  }
}
