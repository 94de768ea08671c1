/** Who waits until a log is applied up to a slot: reads, answers, session tables (bounded, R14) and subscribers. */
import { SynodError } from '../../shared/base/errors.ts';
import type { Clock } from '../../shared/ports/clock.ts';

interface Waiter {
  /** All slots below must be applied. */
  readonly next: number;
  readonly since: number;
  /** The slots are known to be voted, so that asking for them is worth it. */
  readonly wanted: boolean;
  readonly resolve: () => void;
}

/** A read that waited for so long has what is missing asked for. Milliseconds. */
const PATIENCE_MS = 100;

export class Waiting {
  readonly #clock: Clock;
  readonly #max: number;
  /** Called when somebody begins to wait. One listener. */
  onWaiter: () => void = () => undefined;
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #listeners = new Map<string, Set<() => void>>();
  #count = 0;
  #refused = 0;

  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
  }

  get length(): number {
    return this.#count;
  }

  /** True while anybody waits for a slot to be applied. */
  get isWaited(): boolean {
    return this.#waiters.size > 0;
  }

  get limit(): number {
    return this.#max;
  }

  get refused(): number {
    return this.#refused;
  }

  /** Takes a place among all that wait, for as long as `work` takes. Rejects with RESOURCE_EXHAUSTED when there is none (R14). */
  async within<T>(work: () => Promise<T>): Promise<T> {
    if (this.#count >= this.#max) {
      this.#refused++;
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(this.#count)} reads wait here and reads.waiting.max is ${String(this.#max)}; try again later or at another learner`,
      );
    }
    this.#count++;
    try {
      return await work();
    } finally {
      this.#count--;
    }
  }

  /** Resolves with true once `applied(log, n)` was called with n ≥ next, with false after `ms`. */
  until(log: string, next: number, ms: number, wanted: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = Number.isFinite(ms)
        ? this.#clock.after(ms, () => {
            this.#forget(log, waiter);
            resolve(false);
          })
        : (): void => undefined;
      const waiter: Waiter = {
        next,
        since: this.#clock.now(),
        wanted,
        resolve: () => {
          cancel();
          resolve(true);
        },
      };
      add(this.#waiters, log, waiter);
      this.onWaiter();
    });
  }

  /** Calls `listener` whenever more of the log is applied; the function returned ends that. */
  listen(log: string, listener: () => void): () => void {
    add(this.#listeners, log, listener);
    return () => {
      const set = this.#listeners.get(log);
      set?.delete(listener);
      if (set?.size === 0) this.#listeners.delete(log);
    };
  }

  /** All slots of the log below `next` can be read. */
  applied(log: string, next: number): void {
    for (const waiter of this.#waiters.get(log) ?? []) {
      if (waiter.next > next) continue;
      this.#forget(log, waiter);
      waiter.resolve();
    }
    for (const listener of this.#listeners.get(log) ?? []) listener();
  }

  /** The greatest slot of each log that a read has been waiting for too long. */
  impatient(): Map<string, number> {
    const out = new Map<string, number>();
    const before = this.#clock.now() - PATIENCE_MS;
    for (const [log, waiters] of this.#waiters)
      for (const { next, since, wanted } of waiters)
        if (wanted && since <= before) out.set(log, Math.max(out.get(log) ?? 0, next - 1));
    return out;
  }

  #forget(log: string, waiter: Waiter): void {
    const set = this.#waiters.get(log);
    set?.delete(waiter);
    if (set?.size === 0) this.#waiters.delete(log);
  }
}

function add<T>(map: Map<string, Set<T>>, key: string, item: T): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([item]));
  else set.add(item);
}
