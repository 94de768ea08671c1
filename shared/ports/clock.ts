/**
 * Time and chance as ports. No clock is part of a safety argument (R13): whatever is timed may be early or late without harm.
 */
export interface Clock {
  /** Monotonic milliseconds of this process, with fractions. */
  now(): number;
  /** Calls back once after `ms` milliseconds; the function returned cancels it and may be called at any time. */
  after(ms: number, callback: () => void): () => void;
}

export interface Random {
  /** A number in [0, 1). */
  next(): number;
}
