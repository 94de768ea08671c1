/**
 * Basic Paxos: a ballot of its own for a few slots, without a leader. Prepare to a phase-1 quorum, pick the value (R8), Accept
 * to a phase-2 quorum; duels end by randomised, growing back-off. Serves decrees (slot 0 of a log), the probe (the next slot of
 * its own log), and slots that nobody finishes.
 */
import { assert } from '../base/assert.ts';
import { Batch } from '../base/batch.ts';
import { BALLOT_ZERO, compareBallots, maxBallot, sameBallot, type Ballot } from './ballot.ts';
import type { Accepted, Prepare, Promised, Rejected, WouldPromise } from './messages.ts';
import type { Protocol } from './notes.ts';
import { Phase1 } from './phase1.ts';
import { backoffMs, flightEnd, freshBallot, note, portions, sendTo, type Context, type Flight } from './proposing.ts';

/** What a round is for. */
export type Task =
  /** One value for slot 0, of somebody who still waits when it is sent; the answer is whatever is chosen there. */
  | { readonly kind: 'decree'; readonly entry: () => Uint8Array }
  /** A no-op at the next slot of the log, which belongs to this proposer alone. */
  | { readonly kind: 'probe' }
  /** Every slot of [from, to) that has a vote at or above it, no-ops included. */
  | { readonly kind: 'finish'; readonly from: number; readonly to: number };

export type RoundResult =
  | {
      readonly kind: 'chosen';
      readonly from: number;
      readonly batch: Batch;
      readonly ballot: Ballot;
      readonly tries: number;
    }
  /** The slots are below a trim floor: chosen long ago, and known to learners. */
  | { readonly kind: 'trimmed'; readonly floor: number }
  /** A leader has the log. */
  | { readonly kind: 'led'; readonly leader: number; readonly watermark: number }
  | { readonly kind: 'refused'; readonly reason: 'logs' | 'space' | 'round' };

type Phase =
  | { readonly kind: 'waiting'; readonly until: number }
  | {
      readonly kind: 'preparing';
      readonly ballot: Ballot;
      readonly phase1: Phase1;
      readonly since: number;
      sentAt: number;
      no: number;
      full: number;
    }
  | {
      readonly kind: 'accepting';
      readonly ballot: Ballot;
      readonly flights: Flight[];
      readonly since: number;
      no: number;
      full: number;
    };

export class Round {
  readonly log: string;
  readonly task: Task;
  readonly #ctx: Context;
  readonly #protocol: Protocol;
  #phase: Phase;
  #seen: Ballot = BALLOT_ZERO;
  /** The slots of this round: fixed for a decree and to finish, moved up to the log's end by the probe. */
  #from: number;
  #to: number;
  #tries = 0;
  #watermark = 0;
  readonly since: number;
  /** Set once, when the round is over. */
  result: RoundResult | undefined;
  /** Something was sent in phase 2: the outcome is open until there is a result. */
  sent = false;

  constructor(ctx: Context, log: string, task: Task, from: number) {
    this.#ctx = ctx;
    this.log = log;
    this.task = task;
    this.#protocol = task.kind === 'decree' ? 'basic' : task.kind;
    this.#from = task.kind === 'finish' ? task.from : from;
    this.#to = task.kind === 'finish' ? task.to : from + 1;
    this.since = ctx.now;
    this.#phase = { kind: 'waiting', until: ctx.now };
    this.#prepare();
  }

  /** The ballot that it proposes at; undefined while it waits. */
  get ballot(): Ballot | undefined {
    return this.#phase.kind === 'waiting' ? undefined : this.#phase.ballot;
  }

  /** How many ballots it took so far. */
  get tries(): number {
    return this.#tries;
  }

  #prepare(): void {
    const ctx = this.#ctx;
    const ballot = freshBallot(ctx, this.#seen);
    this.#seen = ballot;
    this.#tries++;
    const phase1 = new Phase1(ballot, ctx.quorum, this.#from, false, this.#to);
    this.#phase = { kind: 'preparing', ballot, phase1, since: ctx.now, sentAt: ctx.now, no: 0, full: 0 };
    sendTo(ctx, undefined, this.#message(ballot, this.#from));
  }

  #message(ballot: Ballot, from: number): Prepare {
    return {
      kind: 'prepare',
      log: this.log,
      ballot,
      from,
      to: this.#to,
      purpose: this.task.kind === 'finish' ? 'finish' : 'decree',
      fromWatermark: false,
      override: false,
      ask: false,
    };
  }

  onPromised(acceptor: number, page: Promised): void {
    const phase = this.#phase;
    if (phase.kind !== 'preparing' || !sameBallot(page.ballot, phase.ballot)) return;
    note(this.#ctx, { kind: 'promise-rtt', acceptor, ms: this.#ctx.now - phase.sentAt });
    const heard = phase.phase1.onPromised(acceptor, page);
    if (heard.kind === 'more') return sendTo(this.#ctx, acceptor, this.#message(phase.ballot, heard.from));
    if (heard.kind === 'higher') {
      this.#seen = maxBallot(this.#seen, heard.ballot);
      phase.no |= 1 << acceptor;
      if (!this.#possible(phase.no)) this.#backOff('rejected');
      return;
    }
    if (heard.kind === 'counted' && phase.phase1.reached) this.#pick(phase.phase1, phase.ballot, phase.since);
  }

  onWouldPromise(_acceptor: number, _message: WouldPromise): void {
    // A round never asks first: whoever wants one decree does not depose a leader by it.
  }

  /** Phase 1 is done: find the value of every slot, then ask for votes. */
  #pick(phase1: Phase1, ballot: Ballot, since: number): void {
    const ctx = this.#ctx;
    note(ctx, {
      kind: 'quorum',
      phase: 'prepare',
      protocol: this.#protocol,
      outcome: 'reached',
      log: this.log,
      ballot,
      ms: ctx.now - since,
    });
    this.#watermark = Math.max(this.#watermark, phase1.watermark);
    if (this.task.kind === 'probe' && phase1.watermark > this.#from) return this.#moveTo(phase1.watermark);
    if (this.#from < phase1.floor) {
      if (this.#to <= phase1.floor || this.task.kind !== 'finish')
        return this.#end({ kind: 'trimmed', floor: phase1.floor });
      this.#from = phase1.floor;
    }
    const flights: Flight[] = [];
    for (const found of phase1.choose(this.#from, this.#to)) {
      // Chosen, and not by this quorum's votes: a higher ballot chose it after some of these promises were made, so this ballot
      // can choose nothing. The next one is above it.
      if (found.batch === undefined && found.from < phase1.watermark) return this.#backOff('rejected');
      const batch = found.batch ?? this.#fill(found.from, found.to, phase1);
      if (batch === undefined) break;
      let first = found.from;
      for (const portion of portions(batch, ctx.options.batchValuesMax, ctx.options.batchBytesMax)) {
        flights.push({ ballot, first, batch: portion, voters: 0, sentAt: ctx.now, since: ctx.now });
        first += portion.count;
      }
    }
    if (flights.length === 0)
      return this.#end({ kind: 'chosen', from: this.#from, batch: Batch.of([]), ballot, tries: this.#tries });
    this.#phase = { kind: 'accepting', ballot, flights, since: ctx.now, no: 0, full: 0 };
    this.sent = true;
    for (const flight of flights) this.#accept(undefined, flight);
  }

  /** The value of slots that phase 1 found free: a no-op below a voted slot, our own where nothing is above, else none. */
  #fill(from: number, to: number, phase1: Phase1): Batch | undefined {
    const below = Math.min(to, phase1.highest + 1) - from;
    if (below > 0) {
      note(this.#ctx, { kind: 'no-op', log: this.log, first: from, count: below });
      return Batch.of(new Array<Uint8Array>(below).fill(this.#ctx.noOp));
    }
    if (this.task.kind === 'finish') return undefined;
    return Batch.of([this.task.kind === 'decree' ? this.task.entry() : this.#ctx.noOp]);
  }

  #moveTo(slot: number): void {
    this.#from = slot;
    this.#to = slot + 1;
    this.#prepare();
  }

  #accept(to: number | undefined, flight: Flight): void {
    sendTo(this.#ctx, to, {
      kind: 'accept',
      log: this.log,
      ballot: flight.ballot,
      first: flight.first,
      batch: flight.batch,
      watermark: this.#watermark,
    });
  }

  onAccepted(acceptor: number, message: Accepted): void {
    const phase = this.#phase;
    if (phase.kind !== 'accepting' || !sameBallot(message.ballot, phase.ballot)) return;
    const end = message.first + message.count;
    for (const flight of phase.flights) {
      if (flight.first < message.first || flightEnd(flight) > end) continue;
      if ((flight.voters & (1 << acceptor)) === 0)
        note(this.#ctx, { kind: 'accept-rtt', acceptor, ms: this.#ctx.now - flight.sentAt });
      flight.voters |= 1 << acceptor;
    }
    if (phase.flights.every((flight) => this.#ctx.quorum.isPhase2(flight.voters)))
      this.#chosen(phase.ballot, phase.flights, phase.since);
  }

  #chosen(ballot: Ballot, flights: readonly Flight[], since: number): void {
    const ctx = this.#ctx;
    const last = flights[flights.length - 1];
    const end = last === undefined ? this.#from : flightEnd(last);
    const first = flights[0]?.first ?? end;
    note(ctx, {
      kind: 'quorum',
      phase: 'accept',
      protocol: this.#protocol,
      outcome: 'reached',
      log: this.log,
      ballot,
      first,
      count: end - first,
      ms: ctx.now - since,
    });
    // Only a round that joins the chosen prefix knows a new one.
    if (this.#from <= this.#watermark && end > this.#watermark) {
      this.#watermark = end;
      sendTo(ctx, undefined, { kind: 'tell', log: this.log, watermark: end });
    }
    this.#end({
      kind: 'chosen',
      from: this.#from,
      batch: Batch.concat(flights.map((f) => f.batch)),
      ballot,
      tries: this.#tries,
    });
  }

  onRejected(acceptor: number, message: Rejected): void {
    const phase = this.#phase;
    if (phase.kind === 'waiting' || !sameBallot(message.ballot, phase.ballot)) return;
    this.#seen = maxBallot(this.#seen, message.promised);
    this.#watermark = Math.max(this.#watermark, message.watermark, message.floor);
    switch (message.reason) {
      case 'led':
        return this.#end({ kind: 'led', leader: message.leader ?? 0, watermark: this.#watermark });
      case 'floor':
        if (this.task.kind === 'probe') return this.#moveTo(Math.max(message.watermark, message.floor, this.#from + 1));
        return this.#end({ kind: 'trimmed', floor: message.floor });
      case 'conflict':
        return assert(
          false,
          'R2',
          () => `${this.log}: acceptor ${String(acceptor)} has another value at this round's ballot`,
        );
      case 'logs':
      case 'space':
      case 'round':
        phase.full |= 1 << acceptor;
        if (!this.#possible(phase.full)) this.#end({ kind: 'refused', reason: message.reason });
        return;
      case 'busy':
      case 'ahead':
        return;
      case 'ballot':
        if (compareBallots(message.promised, phase.ballot) <= 0) return;
        phase.no |= 1 << acceptor;
        if (!this.#possible(phase.no | phase.full)) this.#backOff('rejected');
    }
  }

  #possible(excluded: number): boolean {
    const rest = ((1 << this.#ctx.quorum.size) - 1) & ~excluded;
    return this.#ctx.quorum.isPhase1(rest) && this.#ctx.quorum.isPhase2(rest);
  }

  #backOff(outcome: 'rejected' | 'timeout'): void {
    const ctx = this.#ctx;
    const phase = this.#phase;
    if (phase.kind === 'waiting') return;
    note(ctx, {
      kind: 'quorum',
      phase: phase.kind === 'preparing' ? 'prepare' : 'accept',
      protocol: this.#protocol,
      outcome,
      log: this.log,
      ballot: phase.ballot,
      ms: ctx.now - phase.since,
    });
    // The ballot is given up for good; the next one is above everything seen.
    this.#phase = { kind: 'waiting', until: ctx.now + backoffMs(ctx, this.#tries) };
  }

  onTick(): void {
    const phase = this.#phase;
    const { now, options } = this.#ctx;
    if (this.result !== undefined) return;
    if (phase.kind === 'waiting') {
      if (now >= phase.until) this.#prepare();
      return;
    }
    if (now - phase.since >= 2 * options.timeoutMs) return this.#backOff('timeout');
    if (phase.kind === 'preparing') {
      if (now - phase.sentAt < options.resendMs) return;
      phase.sentAt = now;
      for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++) {
        const from = phase.phase1.nextFrom(acceptor);
        if (from !== undefined) sendTo(this.#ctx, acceptor, this.#message(phase.ballot, from));
      }
      return;
    }
    for (const flight of phase.flights) {
      if (now - flight.sentAt < options.resendMs) continue;
      flight.sentAt = now;
      for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++) {
        if ((flight.voters & (1 << acceptor)) === 0) this.#accept(acceptor, flight);
      }
    }
  }

  #end(result: RoundResult): void {
    this.result = result;
  }
}
