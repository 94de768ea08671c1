/**
 * Drives a machine: events wait in an inbox, are handled one after the other, and what has gathered is let go once the inbox is
 * empty. Events that handling an event causes are handled in the same turn.
 */
import type { Machine, Moment } from '../paxos/step.ts';

export interface InboxPorts {
  /** Monotonic milliseconds. */
  now(): number;
  /** A number in [0, 1). */
  random(): number;
  /** Runs the callback soon, once, after what is being handled now. */
  soon(callback: () => void): void;
  /** An invariant broke, or an effect could not be done: the owner ends the process. */
  onFatal(error: unknown): void;
}

export class Inbox<Event, Effect> {
  readonly #machine: Machine<Event, Effect>;
  readonly #ports: InboxPorts;
  readonly #perform: (effect: Effect) => void;
  readonly #endTurn: () => void;
  #events: Event[] = [];
  #isScheduled = false;
  #isStopped = false;

  /** `perform` does one effect; `endTurn` is called when the inbox is empty, and may post no events but by `handleNow`. */
  constructor(
    machine: Machine<Event, Effect>,
    ports: InboxPorts,
    perform: (effect: Effect) => void,
    endTurn: () => void,
  ) {
    this.#machine = machine;
    this.#ports = ports;
    this.#perform = perform;
    this.#endTurn = endTurn;
  }

  post(event: Event): void {
    if (this.#isStopped) return;
    this.#events.push(event);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#ports.soon(() => {
      this.#turn();
    });
  }

  /** Handles an event at once: for the end of a turn. */
  handleNow(event: Event): void {
    if (this.#isStopped) return;
    const moment: Moment = { now: this.#ports.now(), random: this.#ports.random() };
    for (const effect of this.#machine.step(event, moment)) this.#perform(effect);
  }

  /** Handles nothing more. */
  stop(): void {
    this.#isStopped = true;
    this.#events = [];
  }

  get waiting(): number {
    return this.#events.length;
  }

  #turn(): void {
    this.#isScheduled = false;
    try {
      // Bounded by what has gathered: events that come while effects are done wait for the next turn.
      const events = this.#events;
      this.#events = [];
      for (const event of events) this.handleNow(event);
      if (!this.#isStopped) this.#endTurn();
    } catch (error) {
      // A broken invariant: nothing this machine says can be trusted any more.
      this.#isStopped = true;
      this.#ports.onFatal(error);
    }
  }
}
