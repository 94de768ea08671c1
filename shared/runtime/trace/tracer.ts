/**
 * What a role tells of itself while somebody follows. Each follower has a queue of its own, which is bounded: what does not fit is
 * dropped and counted, and the role never waits. While nobody follows, `isOn` is false, and nothing is made.
 *
 * A follower also has a budget: after a burst it hears so many events a second, and while no follower has any left, nothing is made
 * either. So following costs a role the same however much it does; who looks at a busy cluster filters, or sees a sample.
 */
import { Fifo } from '../../base/fifo.ts';
import { RESERVED_LOG_PREFIX } from '../../base/limits.ts';
import type { AnyTraceEvent, TraceFilter } from '../../wire/codec/trace.ts';
import { ProposalMatch } from './proposal-match.ts';
import type { TracedValues } from './proposal-match.ts';

/** What a role knows of an event; the tracer adds the rest. */
export type TraceDraft = Pick<AnyTraceEvent, 'kind'> & Partial<AnyTraceEvent>;

/** What a cluster at rest says. */
const IDLE: ReadonlySet<string> = new Set(['tell', 'alive', 'heartbeat']);
const NO_VOTES: AnyTraceEvent['votes'] = [];

/** What one follower hears of one role: `burst` events at once, and `aSecond` of them after that. */
export interface TraceBudget {
  readonly burst: number;
  readonly aSecond: number;
}

const UNBOUNDED: TraceBudget = { burst: Infinity, aSecond: Infinity };

export class Tracer {
  readonly #now: () => number;
  readonly #budget: TraceBudget;
  readonly #queues = new Set<TraceQueue>();
  #isOn = false;
  #beginnings = 0;
  #sequence = 0;
  #droppedBefore = 0;
  #wantsIdle = false;
  #wantsValues = false;
  #wantsEntries = false;

  /** `now`: monotonic milliseconds of the role. */
  constructor(now: () => number, budget: TraceBudget = UNBOUNDED) {
    this.#now = now;
    this.#budget = budget;
  }

  /** Whether anybody follows, and may hear more now. To be asked before anything is made for `record`. */
  get isOn(): boolean {
    if (!this.#isOn) return false;
    for (const queue of this.#queues) if (queue.hasBudget) return true;
    return this.#refill();
  }

  /** Nobody had budget left: what time brought since. Where it brought none, something was not told. */
  #refill(): boolean {
    const now = this.#now();
    let some = false;
    for (const queue of this.#queues) some = queue.refill(now) || some;
    if (!some) for (const queue of this.#queues) queue.drop();
    return some;
  }

  /** Counts the times that following began: what was kept from before is void. */
  get beginnings(): number {
    return this.#beginnings;
  }

  /** Somebody wants what a cluster at rest says; the beginnings of values; to see inside of entries. */
  get wantsIdle(): boolean {
    return this.#wantsIdle;
  }
  get wantsValues(): boolean {
    return this.#wantsValues;
  }
  get wantsEntries(): boolean {
    return this.#wantsEntries;
  }

  get followers(): number {
    return this.#queues.size;
  }

  /** Events dropped since the start, over all followers. */
  get dropped(): number {
    let sum = this.#droppedBefore;
    for (const queue of this.#queues) sum += queue.dropped;
    return sum;
  }

  /** Events from now on; `onEvent` is called when the queue was empty and is so no longer. End it with `unfollow`. */
  follow(filter: TraceFilter, onEvent: () => void = () => undefined): TraceQueue {
    const queue = new TraceQueue(filter, onEvent, this.#budget, this.#now());
    this.#queues.add(queue);
    if (!this.#isOn) this.#beginnings++;
    this.#look();
    return queue;
  }

  unfollow(queue: TraceQueue): void {
    if (!this.#queues.delete(queue)) return;
    this.#droppedBefore += queue.dropped;
    this.#look();
  }

  /** Tells all followers who want it; returns the event's sequence. `values` is called only where somebody looks for a proposal. */
  record(draft: TraceDraft, values?: TracedValues): number {
    const event: AnyTraceEvent = {
      kind: draft.kind,
      sequence: ++this.#sequence,
      atMs: draft.atMs ?? this.#now(),
      cause: draft.cause ?? 0,
      log: draft.log ?? '',
      message: draft.message,
      peer: draft.peer,
      ballot: draft.ballot,
      higher: draft.higher,
      first: draft.first,
      count: draft.count ?? 0,
      number: draft.number ?? 0,
      word: draft.word ?? '',
      why: draft.why ?? '',
      phase: draft.phase,
      protocol: draft.protocol,
      proposal: draft.proposal,
      value: draft.value,
      votes: draft.votes ?? NO_VOTES,
    };
    for (const queue of this.#queues) queue.offer(event, values);
    return event.sequence;
  }

  #look(): void {
    const filters = Array.from(this.#queues, ({ filter }) => filter);
    this.#isOn = filters.length > 0;
    this.#wantsIdle = filters.some(({ idle }) => idle);
    this.#wantsValues = filters.some(({ values }) => values);
    this.#wantsEntries = filters.some(({ proposal }) => proposal !== undefined);
  }
}

export class TraceQueue {
  readonly filter: TraceFilter;
  readonly #onEvent: () => void;
  readonly #match: ProposalMatch | undefined;
  readonly #events = new Fifo<AnyTraceEvent>();
  readonly #budget: TraceBudget;
  #left: number;
  #filledAt: number;
  #dropped = 0;
  /** Something that this follower sees waits for the next sync. */
  #awaitsSync = false;

  constructor(filter: TraceFilter, onEvent: () => void, budget: TraceBudget = UNBOUNDED, now = 0) {
    this.filter = filter;
    this.#budget = budget;
    this.#left = budget.burst;
    this.#filledAt = now;
    this.#onEvent = onEvent;
    this.#match = filter.proposal === undefined ? undefined : new ProposalMatch(filter.proposal, filter.log);
  }

  get length(): number {
    return this.#events.length;
  }

  /** What did not fit, or was above the budget, since the follower came. */
  get dropped(): number {
    return this.#dropped;
  }

  get hasBudget(): boolean {
    return this.#left >= 1;
  }

  /** Adds what time brought; true when at least one event may be told. */
  refill(now: number): boolean {
    const { burst, aSecond } = this.#budget;
    this.#left = Math.min(burst, this.#left + ((now - this.#filledAt) * aSecond) / 1_000);
    this.#filledAt = now;
    return this.hasBudget;
  }

  /** Something was not made, because nobody had budget left. */
  drop(): void {
    this.#dropped++;
  }

  offer(event: AnyTraceEvent, values: TracedValues | undefined): void {
    if (!this.#wants(event, values)) return;
    if (this.#events.length >= this.filter.queueEvents || !(this.hasBudget || this.refill(event.atMs))) {
      this.#dropped++;
      return;
    }
    this.#left--;
    const { filter } = this;
    this.#events.push(filter.values || event.value === undefined ? event : { ...event, value: undefined });
    if (this.#events.length === 1) this.#onEvent();
  }

  /** Takes the oldest events, at most so many. */
  take(count: number): AnyTraceEvent[] {
    const out: AnyTraceEvent[] = [];
    while (out.length < count) {
      const event = this.#events.shift();
      if (event === undefined) break;
      out.push(event);
    }
    return out;
  }

  #wants(event: AnyTraceEvent, values: TracedValues | undefined): boolean {
    const { log, idle } = this.filter;
    if (event.kind === 'synced') {
      // A sync is of all logs: it is told where something that was told waited for it.
      const wanted = this.#awaitsSync;
      this.#awaitsSync = false;
      return wanted || idle;
    }
    if (!idle && (event.log.startsWith(RESERVED_LOG_PREFIX) || IDLE.has(event.message ?? ''))) return false;
    if (log !== undefined && event.log !== '' && event.log !== log) return false;
    if (this.#match !== undefined && !this.#match.wants(event, values)) return false;
    if (event.kind === 'promised' || event.kind === 'voted') this.#awaitsSync = true;
    return true;
  }
}
