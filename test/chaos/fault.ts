/** What a fault is to the run: something that begins, hurts members for a while, and is undone. */
import type { Prng } from '../../shared/base/prng.ts';
import type { Crew, Member } from './crew.ts';
import type { Workload } from './workload.ts';

/** What faults may use. */
export interface Ground {
  readonly crew: Crew;
  readonly workload: Workload;
  /** Ends the waits of a run that is given up. */
  readonly signal: AbortSignal;
  /** Tells that something is wrong with Synod. */
  readonly violation: (sentence: string) => void;
}

/** A fault as it was drawn. */
export interface Fault {
  /** Short, such as `kill` or `pause`: one colour on the page. */
  readonly kind: string;
  /** One line for a person. */
  readonly text: string;
  /** Whom it hurts. */
  readonly members: readonly Member[];
  /** Hurts them. What it resolves with says how it went, where that is more than that it happened. */
  begin(): Promise<string | undefined>;
  /** Undoes it; called once, also where the run is given up. Resolves with how that went, as `begin` does. */
  end(): Promise<string | undefined>;
}

/** A kind of fault, once it is known that this machine can do it. */
export interface FaultKind {
  readonly name: string;
  /** How often it is drawn, beside others. */
  readonly weight: number;
  draw(random: Prng): Fault;
  /** Undone once, when the run is over. */
  close?(): Promise<void>;
}

/** Why this machine cannot do a kind of fault; the line is part of the report. */
export interface Skipped {
  readonly name: string;
  readonly why: string;
}
