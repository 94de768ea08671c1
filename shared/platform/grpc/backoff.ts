import type { Random } from '../../ports/clock.ts';

/**
 * Waits between tries: each a random time up to a bound that doubles from `minMs` to `maxMs` (full jitter), so that those who
 * lost the same peer do not all come back in the same moment.
 */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: Random;
  #tries = 0;

  constructor(minMs: number, maxMs: number, random: Random) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const bound = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#tries, 30));
    this.#tries++;
    return this.#random.next() * bound;
  }

  /** A try succeeded: the next failure begins with short waits again. */
  reset(): void {
    this.#tries = 0;
  }
}
