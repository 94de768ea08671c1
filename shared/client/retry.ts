/** One call with its tries: through other members, with growing random waits, until it succeeds or its time is over. */
import type { Outcome } from '../base/errors.ts';
import { SynodError } from '../base/errors.ts';
import { realClock, realRandom } from '../platform/clock.ts';
import { Backoff } from '../platform/grpc/backoff.ts';
import type { Connection } from '../platform/grpc/connection.ts';
import type { Clock, Random } from '../ports/clock.ts';
import { ClientError, worthRetrying } from './errors.ts';
import type { Routes } from './routes.ts';

const WAIT_MS_MIN = 10;
const WAIT_MS_MAX = 500;

export interface Attempt {
  readonly connection: Connection;
  /** Milliseconds for this try. */
  readonly timeoutMs: number;
  /** An earlier try of this call may have had its effect: this one must be marked as a retry (R12). */
  readonly retry: boolean;
}

export interface RetryOptions {
  readonly routes: Routes;
  readonly log: string;
  readonly timeoutMs: number;
  /** What the caller gave for all that it asked, of which `timeoutMs` is left; for errors. Default: the same. */
  readonly wholeMs?: number | undefined;
  /** How the caller knows that setting, for errors. */
  readonly timeoutName: string;
  readonly attemptMs: number;
  readonly failFast: boolean;
  /** Reads change nothing: their outcome is none, however they end. */
  readonly reads?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Runs `once` until it succeeds. Rejects with a ClientError whose outcome covers all tries. */
export async function withRetries<T>(options: RetryOptions, once: (attempt: Attempt) => Promise<T>): Promise<T> {
  const { routes, log, signal } = options;
  const clock = options.clock ?? realClock;
  const backoff = new Backoff(WAIT_MS_MIN, WAIT_MS_MAX, options.random ?? realRandom);
  const end = clock.now() + options.timeoutMs;
  let outcome: Outcome = 'none';
  let unreachable = 0;
  /**
   * The newest error that says why. The last try is often cut short by the deadline: it says nothing, or only that it had no time,
   * where one before it had time to find out more.
   */
  let reason: ClientError | undefined;
  for (let tries = 1; ; tries++) {
    throwIfAborted(signal, outcome);
    const connection = routes.pick(log);
    const givenMs = Math.min(Math.max(1, end - clock.now()), options.attemptMs);
    const isCutShort = givenMs < Math.min(options.attemptMs, options.timeoutMs) / 2;
    let last: ClientError;
    try {
      return await once({ connection, timeoutMs: givenMs, retry: outcome === 'unknown' });
    } catch (error) {
      last = asClientError(error, connection.address);
    }
    const saysWhy = !last.silent && !(isCutShort && last.code === 'DEADLINE_EXCEEDED');
    if (saysWhy || (reason === undefined && !last.silent)) reason = last;
    if (last.outcome === 'unknown' && options.reads !== true) outcome = 'unknown';
    throwIfAborted(signal, outcome);
    if (!worthRetrying(last)) throw last.withOutcome(outcome);
    unreachable = last.unreachable ? unreachable + 1 : 0;
    const nobody = unreachable >= routes.size;
    if (nobody && options.failFast) throw last.withOutcome(outcome);
    routes.failed(log, last.address, last.leader);
    // Each member is asked once without a wait: the first failure most often means that only that one is gone.
    const waitMs = tries < routes.size || last.leader !== undefined ? 0 : backoff.next();
    if (clock.now() + waitMs >= end) throw timeIsOver(options, tries, reason ?? last, outcome, nobody);
    if (waitMs > 0) await sleep(clock, waitMs, signal);
  }
}

export function asClientError(error: unknown, address: string): ClientError {
  if (error instanceof ClientError) return error;
  if (error instanceof SynodError)
    return new ClientError(error.code, error.message, error.outcome, { address, cause: error });
  throw error;
}

/** Waits; ends early, without an error, when the signal comes. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}

function throwIfAborted(signal: AbortSignal | undefined, outcome: Outcome): void {
  if (signal?.aborted === true) throw new ClientError('CANCELLED', 'the call was given up by its caller', outcome);
}

function timeIsOver(
  { timeoutMs, wholeMs, timeoutName }: RetryOptions,
  tries: number,
  last: ClientError,
  outcome: Outcome,
  unreachable: boolean,
): ClientError {
  const after = `not done within ${String(Math.round(wholeMs ?? timeoutMs))} ms (${timeoutName}) and ${String(tries)} ${tries === 1 ? 'try' : 'tries'}`;
  return new ClientError(
    unreachable ? 'UNAVAILABLE' : 'DEADLINE_EXCEEDED',
    `${after}; last: ${last.message}`,
    outcome,
    {
      address: last.address,
      leader: last.leader,
      unreachable,
      cause: last,
    },
  );
}
