/**
 * The learner: counts votes until a quorum of distinct acceptors voted for a slot at one ballot (R9), and hands over what is
 * chosen in the order of the slots, without gaps (R11). What it misses it asks for again: from acceptors, from other learners,
 * and where votes alone cannot tell, by having a proposer finish the slots.
 */
import { assert, assertNever } from '../base/assert.ts';
import type { Batch } from '../base/batch.ts';
import { RangeMap } from '../base/range-map.ts';
import { formatBallot, isFast, sameBallot, type Ballot } from './ballot.ts';
import { identityOfOne } from './identity.ts';
import type { Fetch, Fetched, Head, ToLearner, Votes } from './messages.ts';
import { bitCount, type QuorumSystem } from './quorum.ts';
import type { Machine, Moment, NoteEffect } from './step.ts';

export interface LearnerOptions {
  /** Slots above the applied ones for which votes are kept. What is beyond is fetched when its turn comes. */
  readonly windowSlots: number;
  /** Bytes of values kept for one log, likewise. */
  readonly windowBytes: number;
  /** A gap that closes by itself within this time is left alone. Milliseconds. */
  readonly gapMs: number;
  /** Without an answer or progress for this long, the next source is asked. Milliseconds. */
  readonly retryMs: number;
  /** Slots asked for at once. */
  readonly fetchSlots: number;
  /** Logs that catch up at once. */
  readonly catchUpLogs: number;
}

export const LEARNER_DEFAULTS: LearnerOptions = {
  windowSlots: 20_000,
  windowBytes: 16 * 1024 * 1024,
  gapMs: 50,
  retryMs: 300,
  fetchSlots: 10_000,
  catchUpLogs: 64,
};

export type LearnerEvent =
  /** From the acceptor at this position of the configuration. */
  | { readonly kind: 'acceptor'; readonly from: number; readonly message: ToLearner }
  | { readonly kind: 'acceptor-down'; readonly acceptor: number }
  /** Another learner has these slots as chosen. */
  | {
      readonly kind: 'chosen';
      readonly log: string;
      readonly first: number;
      readonly batch: Batch;
      readonly ballot: Ballot;
    }
  /** Another learner knows that all slots below are chosen, and has them. */
  | { readonly kind: 'known'; readonly log: string; readonly next: number }
  /** The store applied all slots below `next`, and what else waits to be applied is little enough. */
  | { readonly kind: 'applied'; readonly log: string; readonly next: number }
  /** A reader waits for the slot: whatever is missing below it is worth asking for now. */
  | { readonly kind: 'wanted'; readonly log: string; readonly slot: number }
  | { readonly kind: 'tick' };

export type LearnerEffect =
  /** Apply: the slots continue those of the last `chosen` of this log. */
  | {
      readonly kind: 'chosen';
      readonly log: string;
      readonly first: number;
      readonly batch: Batch;
      readonly ballot: Ballot;
    }
  | { readonly kind: 'fetch'; readonly to: number; readonly message: Fetch }
  /** The acceptors trimmed what is missing, or do not have it: copy from another learner, from this slot on. */
  | { readonly kind: 'catch-up'; readonly log: string; readonly from: number }
  /** Have a proposer finish [from, to). */
  | { readonly kind: 'finish'; readonly log: string; readonly from: number; readonly to: number }
  | NoteEffect;

/** Slots that a proposer is asked to finish at once. */
const FINISH_SLOTS = 1_000;

/** The votes for some slots at one ballot; at a fast one, those for one value in one slot. */
interface Tally {
  readonly ballot: Ballot;
  /** Which value, at a fast ballot; undefined at a classic one, where the ballot and slot name it (R9). */
  readonly identity: string | undefined;
  readonly voters: number;
  readonly batch: Batch | undefined;
}

interface LearnerLog {
  readonly name: string;
  /** All slots below were handed over as chosen. */
  next: number;
  /** All slots below are applied. */
  applied: number;
  /** For every slot, the tallies by ballot; the batch of a tally covers just these slots. */
  readonly tallies: RangeMap<readonly Tally[]>;
  bytes: number;
  /** The greatest slot known to be voted anywhere, −1 for none. */
  head: number;
  floor: number;
  /** When the log last moved, or was last asked about. */
  progressAt: number;
  step: number;
  /** The first slot of the last fetch: so that its answers from several acceptors ask for the next part once. */
  askedFrom: number;
}

export class Learner implements Machine<LearnerEvent, LearnerEffect> {
  readonly #quorum: QuorumSystem;
  readonly #options: LearnerOptions;
  readonly #logs = new Map<string, LearnerLog>();
  /** Logs with something missing below their head. */
  readonly #behind = new Set<LearnerLog>();
  #out: LearnerEffect[] = [];
  #now = 0;
  /** The acceptor asked for values; rotates when it does not help. */
  #source: number;

  constructor(quorum: QuorumSystem, source: number, options: Partial<LearnerOptions> = {}) {
    this.#quorum = quorum;
    this.#source = source % quorum.size;
    this.#options = { ...LEARNER_DEFAULTS, ...options };
  }

  /** Continues a log of which all slots below `next` are applied. Before the first step. */
  restore(log: string, next: number): void {
    const state = this.#log(log);
    state.next = next;
    state.applied = next;
  }

  step(event: LearnerEvent, moment: Moment): LearnerEffect[] {
    this.#out = [];
    this.#now = moment.now;
    this.#handle(event);
    return this.#out;
  }

  #handle(event: LearnerEvent): void {
    switch (event.kind) {
      case 'acceptor':
        return this.#onAcceptor(event.from, event.message);
      case 'acceptor-down':
        if (event.acceptor === this.#source) this.#source = (this.#source + 1) % this.#quorum.size;
        return;
      case 'chosen':
        return this.#onChosen(event.log, event.first, event.batch, event.ballot);
      case 'known': {
        const log = this.#log(event.log);
        this.#raiseHead(log, event.next - 1);
        return;
      }
      case 'applied':
        return this.#onApplied(event.log, event.next);
      case 'wanted': {
        const log = this.#log(event.log);
        this.#raiseHead(log, event.slot);
        if (log.next > event.slot || this.#now - log.progressAt < this.#options.gapMs) return;
        // Somebody waits: patience starts anew, at whose turn it is, and whoever was asked gets the time to answer.
        if (log.step >= 8) log.step = 4 + (log.step % 4);
        return;
      }
      case 'tick':
        return this.#onTick();
      default:
        return assertNever(event);
    }
  }

  #log(name: string): LearnerLog {
    let log = this.#logs.get(name);
    if (log === undefined) {
      log = {
        name,
        next: 0,
        applied: 0,
        tallies: new RangeMap<readonly Tally[]>((tallies, from, to) =>
          tallies.map((t) => ({ ...t, batch: t.batch?.slice(from, to) })),
        ),
        bytes: 0,
        head: -1,
        floor: 0,
        progressAt: this.#now,
        step: 0,
        askedFrom: -1,
      };
      this.#logs.set(name, log);
    }
    return log;
  }

  // ── counting ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onAcceptor(from: number, message: ToLearner): void {
    switch (message.kind) {
      case 'votes':
        return this.#onVotes(from, message);
      case 'head':
        return this.#onHead(message);
      case 'fetched':
        return this.#onFetched(message);
      default:
        return assertNever(message);
    }
  }

  #onVotes(acceptor: number, votes: Votes): void {
    const log = this.#log(votes.log);
    const end = votes.first + votes.count;
    this.#raiseHead(log, end - 1);
    const from = Math.max(votes.first, log.next);
    const limit = log.applied + this.#options.windowSlots;
    // What does not fit waits at the acceptors, and is fetched when its turn comes (R14).
    if (from >= end || end > limit || (log.bytes > this.#options.windowBytes && from > log.next)) return;
    if (!isFast(votes.ballot)) this.#count(log, acceptor, votes, undefined, from, end);
    else if (votes.count === 1) {
      const identity = votes.batch === undefined ? votes.identity : identityOfOne(votes.batch);
      // A vote that does not say for which of the values counts for none.
      if (identity === undefined) return;
      this.#count(log, acceptor, votes, identity, from, end);
    }
    if (from === log.next) this.#deliver(log);
  }

  #count(
    log: LearnerLog,
    acceptor: number,
    votes: Votes,
    identity: string | undefined,
    from: number,
    to: number,
  ): void {
    const bit = 1 << acceptor;
    log.tallies.update(from, to, (old, a, b) => {
      const batch = votes.batch?.slice(a - votes.first, b - votes.first);
      const tallies = old ?? [];
      const mine = tallies.find((t) => sameBallot(t.ballot, votes.ballot) && t.identity === identity);
      if (mine?.batch === undefined && batch !== undefined) log.bytes += batch.bytes.length;
      // A set of acceptors, so that a vote that comes twice counts once (R9).
      const voters = (mine?.voters ?? 0) | bit;
      const next: Tally = { ballot: votes.ballot, identity, voters, batch: mine?.batch ?? batch };
      if (mine?.batch !== undefined && batch !== undefined)
        assert(
          mine.batch.equals(batch),
          'R9',
          () => `${log.name}: two values at ${formatBallot(votes.ballot)} in slots ${String(a)} to ${String(b - 1)}`,
        );
      const merged = [...tallies.filter((t) => t !== mine), next];
      this.#assertOneChosen(log, merged, a, b);
      return merged;
    });
  }

  /** Two ballots with a quorum each must have the same value in a slot; a learner that sees otherwise stops (R9). */
  #assertOneChosen(log: LearnerLog, tallies: readonly Tally[], from: number, to: number): void {
    if (tallies.length < 2) return;
    const chosen = tallies.filter((t) => this.#isChosen(t));
    const first = chosen[0];
    for (const t of chosen)
      assert(
        first === undefined || !differ(first, t),
        'R9',
        () => `${log.name}: two values are chosen in slots ${String(from)} to ${String(to - 1)}`,
      );
  }

  /** R9: a quorum of the ballot's own kind voted for it. */
  #isChosen({ ballot, voters }: Tally): boolean {
    return isFast(ballot) ? this.#quorum.isFast(voters) : this.#quorum.isPhase2(voters);
  }

  #onChosen(name: string, first: number, batch: Batch, ballot: Ballot): void {
    const log = this.#log(name);
    const end = first + batch.count;
    this.#raiseHead(log, end - 1);
    const from = Math.max(first, log.next);
    if (from >= end || from > log.applied + this.#options.windowSlots) return;
    // Tallies at fast ballots are of one slot each.
    const step = isFast(ballot) ? 1 : end - from;
    for (let at = from; at < end; at += step)
      this.#takeChosen(log, at, batch.slice(at - first, at + step - first), ballot);
    this.#deliver(log);
  }

  #takeChosen(log: LearnerLog, from: number, batch: Batch, ballot: Ballot): void {
    const everybody = (1 << this.#quorum.size) - 1;
    log.tallies.update(from, from + batch.count, (old, a, b) => {
      const part = batch.slice(a - from, b - from);
      const identity = isFast(ballot) ? identityOfOne(part) : undefined;
      // Chosen stays chosen: it needs no more votes.
      const taken: Tally = { ballot, identity, voters: everybody, batch: part };
      for (const tally of old ?? []) log.bytes -= tally.batch?.bytes.length ?? 0;
      const rival = (old ?? []).find((t) => this.#isChosen(t));
      assert(
        rival === undefined || !differ(rival, taken),
        'R9',
        () => `${log.name}: another learner has another value in slots ${String(a)} to ${String(b - 1)}`,
      );
      log.bytes += part.bytes.length;
      return [taken];
    });
  }

  /** Hands over what is chosen and continues the prefix. */
  #deliver(log: LearnerLog): void {
    const from = log.next;
    for (const range of log.tallies) {
      if (range.from > log.next) break;
      const chosen = range.value.find((t) => t.batch !== undefined && this.#isChosen(t));
      if (chosen?.batch === undefined) break;
      this.#out.push({ kind: 'chosen', log: log.name, first: range.from, batch: chosen.batch, ballot: chosen.ballot });
      this.#out.push({
        kind: 'note',
        note: { kind: 'learned', log: log.name, first: range.from, count: chosen.batch.count, ballot: chosen.ballot },
      });
      for (const tally of range.value) log.bytes -= tally.batch?.bytes.length ?? 0;
      log.next = range.to;
    }
    if (log.next === from) return;
    log.tallies.dropBelow(log.next);
    log.progressAt = this.#now;
    log.step = 0;
    if (log.next > log.head) this.#behind.delete(log);
  }

  #raiseHead(log: LearnerLog, head: number): void {
    log.head = Math.max(log.head, head);
    if (log.head < log.next || this.#behind.has(log)) return;
    this.#behind.add(log);
    log.progressAt = this.#now;
    log.step = 0;
  }

  #onApplied(name: string, next: number): void {
    const log = this.#log(name);
    log.applied = Math.max(log.applied, next);
    if (next > log.next) {
      // Installed from another learner.
      log.next = next;
      log.tallies.dropBelow(next);
      log.bytes = 0;
      for (const range of log.tallies) for (const tally of range.value) log.bytes += tally.batch?.bytes.length ?? 0;
      log.progressAt = this.#now;
      this.#deliver(log);
    }
    if (log.next > log.head) this.#behind.delete(log);
    // What lay beyond the window can be fetched now.
    else if (log.tallies.size === 0 && log.applied === log.next)
      log.progressAt = Math.min(log.progressAt, this.#now - this.#options.gapMs);
  }

  // ── gaps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onHead(head: Head): void {
    const log = this.#log(head.log);
    log.floor = Math.max(log.floor, head.floor);
    this.#raiseHead(log, Math.max(head.highest, head.watermark - 1));
  }

  #onFetched(fetched: Fetched): void {
    const log = this.#log(fetched.log);
    log.floor = Math.max(log.floor, fetched.floor);
    this.#raiseHead(log, Math.max(fetched.highest, fetched.watermark - 1));
    // All of it was of use and more is missing: the next part is asked for at once, and once.
    const isDone = log.next >= fetched.until && log.next > log.askedFrom && fetched.from === log.askedFrom;
    if (isDone && log.next <= log.head && log.next - log.applied < this.#options.windowSlots / 2) this.#ask(log);
  }

  #onTick(): void {
    let active = 0;
    let left = this.#behind.size;
    for (const log of this.#behind) {
      if (left-- === 0 || active >= this.#options.catchUpLogs) break;
      if (log.next > log.head) {
        this.#behind.delete(log);
        continue;
      }
      // What is handed over and not yet applied comes first: asking for more would only fill the queue.
      if (log.applied < log.next && log.next - log.applied >= this.#options.windowSlots / 2) continue;
      if (this.#now - log.progressAt < this.#patience(log)) continue;
      active++;
      this.#ask(log);
      // To the end of the line: logs that nobody can help must not keep the others from asking.
      this.#behind.delete(log);
      this.#behind.add(log);
    }
  }

  /** A log that stays stuck is asked about less and less often. Milliseconds. */
  #patience(log: LearnerLog): number {
    const { gapMs, retryMs } = this.#options;
    return log.step === 0 ? gapMs : retryMs * 2 ** Math.min(6, Math.floor((log.step - 1) / 4));
  }

  /** Each time nothing came of the last question, the next one asks somebody else. */
  #ask(log: LearnerLog): void {
    log.progressAt = this.#now;
    const step = log.step++;
    const from = log.next;
    const to = Math.min(log.head + 1, from + this.#options.fetchSlots);
    if (from < log.floor || step % 4 === 2) {
      this.#out.push({ kind: 'catch-up', log: log.name, from });
      this.#gap(log, to, 'learners');
      if (from < log.floor) return;
    }
    const chosen = this.#chosenWithoutValue(log);
    if (chosen === undefined && (step % 4 === 1 || step % 4 === 3)) {
      // Everything that was voted is here, or was asked for, and it is not enough: somebody must finish these slots.
      this.#out.push({ kind: 'finish', log: log.name, from, to: Math.min(to, from + FINISH_SLOTS) });
      this.#gap(log, to, 'finish');
    }
    if (step > 0 && step % 4 === 0) this.#source = (this.#source + 1) % this.#quorum.size;
    log.askedFrom = from;
    for (let acceptor = 0; acceptor < this.#quorum.size; acceptor++) {
      const values = step >= 2 || (chosen === undefined ? acceptor === this.#source : acceptor === this.#voter(chosen));
      this.#out.push({ kind: 'fetch', to: acceptor, message: { kind: 'fetch', log: log.name, from, to, values } });
    }
    this.#gap(log, to, 'acceptors');
  }

  /** The next slot has its quorum, and nobody sent its value: those that voted for it have it. */
  #chosenWithoutValue(log: LearnerLog): Tally | undefined {
    return log.tallies.rangeAt(log.next)?.value.find((t) => t.batch === undefined && this.#isChosen(t));
  }

  /** An acceptor that voted: the source of values if it did, else the next one after it. */
  #voter(tally: Tally): number {
    for (let i = 0; i < this.#quorum.size; i++) {
      const acceptor = (this.#source + i) % this.#quorum.size;
      if ((tally.voters & (1 << acceptor)) !== 0) return acceptor;
    }
    return this.#source;
  }

  #gap(log: LearnerLog, to: number, asked: 'acceptors' | 'learners' | 'finish'): void {
    this.#out.push({ kind: 'note', note: { kind: 'gap', log: log.name, from: log.next, to, asked } });
  }

  // ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** How far each log is learned, and how far it is known to reach. */
  *status(): IterableIterator<{ log: string; next: number; applied: number; head: number; floor: number }> {
    for (const log of this.#logs.values())
      yield { log: log.name, next: log.next, applied: log.applied, head: log.head, floor: log.floor };
  }

  /** One above the last slot that is known to be voted or chosen anywhere. */
  seen(log: string): number {
    return (this.#logs.get(log)?.head ?? -1) + 1;
  }

  /** What a log waits for: `slot 17 has votes of 1 acceptor at 3.1…, quorum is any 2 of 3`. Empty when it waits for nothing. */
  waitsFor(name: string): string {
    const log = this.#logs.get(name);
    if (log === undefined || log.next > log.head) return '';
    const slot = `slot ${String(log.next)}`;
    if (log.next < log.floor) return `${slot} is below the floor ${String(log.floor)}: another learner must give it`;
    const best = [...(log.tallies.rangeAt(log.next)?.value ?? [])].sort(
      (a, b) => bitCount(b.voters) - bitCount(a.voters),
    )[0];
    if (best === undefined) return `${slot} has no vote that was heard here`;
    if (this.#isChosen(best)) return `${slot} is chosen, and its value was not heard here`;
    return `${slot} has votes of ${String(bitCount(best.voters))} at ballot ${formatBallot(best.ballot)}; quorum is ${this.#quorum.name}`;
  }

  lag(log: string): number {
    const state = this.#logs.get(log);
    return state === undefined ? 0 : Math.max(0, state.head + 1 - state.applied);
  }

  get behind(): number {
    return this.#behind.size;
  }
}

/** True where two tallies are known to be for different values. */
function differ(a: Tally, b: Tally): boolean {
  if (a.batch !== undefined && b.batch !== undefined) return !a.batch.equals(b.batch);
  return a.identity !== undefined && b.identity !== undefined && a.identity !== b.identity;
}
