import type { Clock } from '../../ports/clock.ts';
import { everyMs } from '../clock.ts';
import type { Metrics } from './metrics.ts';

const TICK_MS = 100;

/** Watches how late timers fire, which is how long everything else in the process waited for its turn. */
export class EventLoop {
  readonly #clock: Clock;
  readonly #stop: () => void;
  #expected: number;
  #worst = 0;
  #last = 0;

  constructor(clock: Clock, role: string, metrics: Metrics | undefined) {
    this.#clock = clock;
    this.#expected = clock.now() + TICK_MS;
    this.#stop = everyMs(clock, TICK_MS, () => {
      const now = clock.now();
      this.#last = Math.max(0, now - this.#expected);
      this.#worst = Math.max(this.#worst, this.#last);
      this.#expected = now + TICK_MS;
    });
    metrics?.gaugeOf(
      `synod_${role}_event_loop_lag_seconds`,
      'The longest that a timer was late since the last scrape',
      () => this.takeWorstMs() / 1_000,
    );
  }

  /** Milliseconds by which the newest timer was late, or is late by now. */
  get lagMs(): number {
    return Math.max(this.#last, this.#clock.now() - this.#expected, 0);
  }

  /** The worst since it was last taken. */
  takeWorstMs(): number {
    const worst = Math.max(this.#worst, this.lagMs);
    this.#worst = 0;
    return worst;
  }

  stop(): void {
    this.#stop();
  }
}
