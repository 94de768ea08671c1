/**
 * Reads and the end of a log. A linearizable read first asks a phase-1 quorum of acceptors for the end, then waits until this
 * learner applied it (R13); one that is not answers what is applied here.
 *
 * A log exists from its first proposal on. Reading one of which nothing is known is NOT_FOUND; its end is slot 0; a subscription
 * to it waits.
 */
import { SynodError } from '../../shared/base/errors.ts';
import type { Clock } from '../../shared/ports/clock.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import { readRange } from '../../shared/wire/codec/client.ts';
import { logName } from '../../shared/wire/codec/fields.ts';
import type { LearnedEntry } from '../../shared/wire/gen/synod/v1/learner.ts';
import type {
  EndRequest,
  EndResponse,
  ReadRequest,
  ReadResponse,
} from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { isShown, toLearnedEntry } from './entries.ts';
import type { Tips } from './tips.ts';
import type { Trust } from './trust.ts';
import type { Waiting } from './waiting.ts';

/** Of one answer. */
const ENTRIES_MAX = 1_000;
const BYTES_MAX = 1024 * 1024;
/** Slots looked at for one answer, shown or not. */
const SCAN_SLOTS = 10_000;

export interface ReadsOptions {
  readonly store: LearnerStore;
  readonly tips: Tips;
  readonly waiting: Waiting;
  readonly trust: Trust;
  readonly clock: Clock;
  /** What a log waits for, for errors. */
  readonly waitsFor: (log: string) => string;
}

export class Reads {
  readonly #options: ReadsOptions;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  /** `timeoutMs`: how long the caller waits. */
  async read(request: ReadRequest, timeoutMs: number): Promise<ReadResponse> {
    const log = logName(request.log);
    const { from, to } = readRange(request.from, request.to);
    const { store, waiting } = this.#options;
    let tip: number | undefined;
    if (request.linearizable)
      await waiting.within(async () => {
        const end = withinDeadline(timeoutMs, this.#options.clock);
        tip = await this.#tip(log, end);
        await this.#applied(log, Math.min(tip + 1, to ?? Infinity), end);
      });
    if (store.progress(log) === undefined) throw notFound(log, tip === -1);
    return this.#page(
      log,
      from,
      to,
      request.limit === 0 ? ENTRIES_MAX : Math.min(request.limit, ENTRIES_MAX),
      request.all,
    );
  }

  /** The end is known without waiting for it to be applied. */
  async end(request: EndRequest, timeoutMs: number): Promise<EndResponse> {
    const log = logName(request.log);
    const { store, waiting, clock } = this.#options;
    return waiting.within(async () => {
      const tip = await this.#tip(log, withinDeadline(timeoutMs, clock));
      return { end: tip + 1, applied: store.progress(log)?.visible ?? 0 };
    });
  }

  async #tip(log: string, end: number): Promise<number> {
    this.#options.trust.require();
    return this.#options.tips.ask(log, Math.max(1, end - this.#options.clock.now()));
  }

  async #applied(log: string, next: number, end: number): Promise<void> {
    const { store, waiting, trust, clock, waitsFor } = this.#options;
    const visible = (): number => store.progress(log)?.visible ?? 0;
    if (visible() < next && !(await waiting.until(log, next, Math.max(1, end - clock.now()), true)))
      throw new SynodError(
        'DEADLINE_EXCEEDED',
        `log "${log}" ends at slot ${String(next)} and is applied here up to slot ${String(visible())}; the rest did not come in time: ${waitsFor(log)}. ` +
          'Try again, or at another learner',
      );
    // What was learned meanwhile may have shown that this learner differs from the others (R11).
    trust.require();
  }

  #page(log: string, from: number, to: number | undefined, limit: number, all: boolean): ReadResponse {
    const { store } = this.#options;
    const applied = store.progress(log)?.visible ?? 0;
    const end = Math.min(applied, to ?? applied);
    const entries: LearnedEntry[] = [];
    let next = from;
    let bytes = 0;
    while (next < end && next - from < SCAN_SLOTS && entries.length < limit && bytes < BYTES_MAX) {
      const slots = Math.min(end - next, all ? limit - entries.length : ENTRIES_MAX);
      const page = store.read(log, next, { slots, bytes: BYTES_MAX - bytes });
      if (page.length === 0) break;
      for (const stored of page) {
        if (entries.length >= limit) break;
        next = stored.slot + 1;
        bytes += stored.bytes.length;
        if (all || isShown(stored)) entries.push(toLearnedEntry(stored));
      }
    }
    return { entries, next, applied, first: 0 };
  }
}

/** The moment, by the clock, at which an answer must be ready so that it reaches the caller before its own deadline. */
export function withinDeadline(timeoutMs: number, clock: Clock): number {
  return clock.now() + Math.max(1, timeoutMs - Math.min(50, timeoutMs / 5));
}

/** `nowhere`: a quorum of acceptors was asked, and has no vote in it; without that, this learner alone does not know it. */
function notFound(log: string, nowhere: boolean): SynodError {
  return new SynodError(
    'NOT_FOUND',
    nowhere
      ? `there is no log "${log}": a quorum of acceptors knows no vote in it; a log is made by its first proposal`
      : `log "${log}" is not known at this learner: a log is made by its first proposal, and a learner may be behind the others; a linearizable read asks a quorum of acceptors`,
  );
}
