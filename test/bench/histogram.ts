/** Times in buckets that grow by two per cent: bounded memory, and exact enough for percentiles of any number of samples. */
const GROWTH = Math.log(1.02);
/** The least time that is told apart, in milliseconds. */
const LEAST_MS = 0.001;
const BUCKETS = 1_000;

export interface HistogramState {
  readonly counts: Uint32Array;
  readonly sumMs: number;
  readonly maxMs: number;
}

export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number, times = 1): void {
    const at = ms <= LEAST_MS ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log(ms / LEAST_MS) / GROWTH));
    this.#counts[at] = (this.#counts[at] ?? 0) + times;
    this.#count += times;
    this.#sumMs += ms * times;
    this.#maxMs = Math.max(this.#maxMs, ms);
  }

  merge(other: HistogramState): void {
    other.counts.forEach((count, at) => {
      this.#counts[at] = (this.#counts[at] ?? 0) + count;
      this.#count += count;
    });
    this.#sumMs += other.sumMs;
    this.#maxMs = Math.max(this.#maxMs, other.maxMs);
  }

  state(): HistogramState {
    return { counts: this.#counts, sumMs: this.#sumMs, maxMs: this.#maxMs };
  }

  get meanMs(): number {
    return this.#count === 0 ? 0 : this.#sumMs / this.#count;
  }

  /** The time below which the given part of the samples lies, as the upper end of its bucket. */
  percentileMs(part: number): number {
    let left = Math.ceil(this.#count * part);
    for (let at = 0; at < BUCKETS; at++) {
      left -= this.#counts[at] ?? 0;
      if (left <= 0) return Math.min(this.#maxMs, LEAST_MS * Math.exp((at + 1) * GROWTH));
    }
    return this.#maxMs;
  }
}
