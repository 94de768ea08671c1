/**
 * One log at one proposer, under Multi-Paxos: idle → asking → preparing → leading.
 *
 * A leader runs phase 1 once, for every slot from the greatest chosen watermark on, proposes again what it finds, fills holes
 * with no-ops, then streams phase 2. It answers a proposal when its slot and every slot below are chosen; what it answers is a
 * function of the chosen prefix alone, because its copy of the session table is complete before it sends a value of its own.
 */
import { assert } from '../base/assert.ts';
import { Batch } from '../base/batch.ts';
import { Fifo } from '../base/fifo.ts';
import { LIMITS } from '../base/limits.ts';
import { BALLOT_ZERO, compareBallots, formatBallot, maxBallot, sameBallot, type Ballot } from './ballot.ts';
import type { Accepted, Prepare, Promised, Rejected, WouldPromise } from './messages.ts';
import type { Refused } from './peers.ts';
import { IDLE, type Finishing, type Leading, type OwnFlight, type Preparing, type State } from './leading.ts';
import { Phase1, type Found } from './phase1.ts';
import { Watched } from './progress.ts';
import {
  flightEnd,
  freshBallot,
  note,
  portions,
  sendTo,
  type Admission,
  type Context,
  type Flight,
  type Proposal,
  sentIn,
} from './proposing.ts';

/** Slots below the watermark that are finished at once. */
const FINISH_SLOTS = 1_000;

export class Leader {
  readonly log: string;
  readonly #ctx: Context;
  #state: State = IDLE;
  readonly #queue = new Fifo<Proposal>();
  /** Retries whose first sending stands in a slot that is not known to be chosen yet, by slot. */
  readonly #waiting = new Map<number, Proposal[]>();
  /** The greatest ballot seen in any answer about this log. */
  #seen: Ballot = BALLOT_ZERO;
  /** The proposer that acceptors named as the leader. */
  hint: number | undefined;
  /** Campaigns that failed since one succeeded; that the last one did is news; and when the next may begin. */
  attempts = 0;
  hasFailed = false;
  notBefore = 0;
  /** Until then this proposer campaigns even with nothing waiting: the log was handed over, or its leader died. */
  eagerUntil = -Infinity;
  /** Acceptors named a leader instead of promising, at the last campaign. */
  refusedAsLed = false;
  #pausedAfter = 0;
  readonly #watched: Watched;

  constructor(ctx: Context, log: string) {
    this.#ctx = ctx;
    this.log = log;
    this.#watched = new Watched(ctx);
  }

  get state(): State['kind'] {
    return this.#state.kind;
  }

  /** The ballot that this proposer leads at. */
  get ballot(): Ballot | undefined {
    return this.#state.kind === 'leading' ? this.#state.ballot : undefined;
  }

  get isLeading(): boolean {
    return this.#state.kind === 'leading';
  }

  /** Leads, and takes new proposals. */
  get isServing(): boolean {
    return this.#state.kind === 'leading' && !this.#state.resigning;
  }

  /** When it began to lead; undefined while it does not. */
  get since(): number | undefined {
    return this.#state.kind === 'leading' ? this.#state.since : undefined;
  }

  get isResigning(): boolean {
    return this.#state.kind === 'leading' && this.#state.resigning;
  }

  /** Somebody asked for a leader, or something is still to be finished: not all that is under way was proposed FAST. */
  get isNeeded(): boolean {
    const flights = this.#state.kind === 'leading' ? this.#state.flights : [];
    const isFast = (proposal: Proposal): boolean => proposal.fast === true;
    return (
      this.#waiting.size > 0 ||
      !this.#queue.toArray().every(isFast) ||
      !flights.every(({ proposals }) => proposals?.every(isFast) === true)
    );
  }

  /** Time matters to it: a campaign, something in flight, or something to tell. */
  get needsTick(): boolean {
    const state = this.#state;
    if (state.kind === 'idle') return this.#queue.length > 0 || this.#ctx.now < this.eagerUntil;
    if (state.kind !== 'leading') return true;
    return (
      state.flights.length > 0 ||
      state.admission === undefined ||
      state.told < state.watermark ||
      state.resigning ||
      state.finishing !== undefined
    );
  }

  get queued(): number {
    return this.#queue.length;
  }

  get inFlight(): number {
    return this.#state.kind === 'leading' ? this.#state.flights.reduce((sum, f) => sum + f.batch.count, 0) : 0;
  }

  get watermark(): number {
    return this.#state.kind === 'leading' ? this.#state.watermark : 0;
  }

  get next(): number {
    return this.#state.kind === 'leading' ? this.#state.next : 0;
  }

  /** After a campaign that was refused because the log is led, the next one waits for `ms`, once. True when it does. */
  pause(ms: number): boolean {
    if (!this.refusedAsLed || this.#pausedAfter === this.attempts) return false;
    this.#pausedAfter = this.attempts;
    this.notBefore = this.#ctx.now + ms;
    return true;
  }

  /** Another proposer led at this ballot: a campaign begins above it. */
  learn(ballot: Ballot): void {
    this.#seen = maxBallot(this.#seen, ballot);
  }

  // ── phase 1 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Asks whether a phase-1 quorum would promise, then prepares. */
  campaign(why: string, override: boolean): void {
    if (this.#state.kind !== 'idle') return;
    const ballot = freshBallot(this.#ctx, this.#seen);
    this.#seen = ballot;
    this.refusedAsLed = false;
    this.#state = { kind: 'asking', ballot, override, since: this.#ctx.now, yes: 0, no: 0, full: 0 };
    note(this.#ctx, { kind: 'campaign', log: this.log, ballot, override, why });
    sendTo(this.#ctx, undefined, this.#prepareMessage(ballot, { ask: true, override }));
  }

  onWouldPromise(acceptor: number, answer: WouldPromise): void {
    const state = this.#state;
    if (state.kind !== 'asking' || !sameBallot(answer.ballot, state.ballot)) return;
    state.yes |= 1 << acceptor;
    if (!this.#ctx.quorum.isPhase1(state.yes)) return;
    const { now, quorum } = this.#ctx;
    const phase1 = new Phase1(state.ballot, quorum, 0, true);
    this.#state = {
      kind: 'preparing',
      ballot: state.ballot,
      override: state.override,
      since: now,
      phase1,
      sentAt: now,
      no: 0,
      full: 0,
    };
    sendTo(this.#ctx, undefined, this.#prepareMessage(state.ballot, { override: state.override }));
  }

  onPromised(acceptor: number, page: Promised): void {
    const state = this.#state;
    if (state.kind === 'idle' || state.kind === 'asking' || !sameBallot(page.ballot, state.ballot)) return;
    note(this.#ctx, {
      kind: 'promise-rtt',
      acceptor,
      ms: this.#ctx.now - (state.kind === 'preparing' ? state.sentAt : this.#ctx.now),
    });
    if (state.kind === 'leading') {
      state.promised |= 1 << acceptor;
      this.#watched.promised(state.ballot, acceptor);
      if (state.finishing !== undefined) this.#onFinishPage(state, state.finishing, acceptor, page);
      return;
    }
    const heard = state.phase1.onPromised(acceptor, page);
    if (heard.kind === 'more') {
      sendTo(this.#ctx, acceptor, this.#prepareMessage(state.ballot, { from: heard.from, fromWatermark: false }));
    } else if (heard.kind === 'higher') {
      this.#seen = maxBallot(this.#seen, heard.ballot);
      state.no |= 1 << acceptor;
      if (!this.#possible(state.no)) this.#fail('rejected', 'a higher ballot has votes');
    } else if (heard.kind === 'counted') {
      this.#watched.promised(state.ballot, acceptor);
      if (state.phase1.reached) this.#lead(state);
    }
  }

  #lead(state: Preparing): void {
    const ctx = this.#ctx;
    const { phase1, ballot } = state;
    const start = phase1.watermark;
    const next = Math.max(phase1.highest + 1, start);
    note(ctx, {
      kind: 'quorum',
      phase: 'prepare',
      protocol: 'multi',
      outcome: 'reached',
      log: this.log,
      ballot,
      ms: ctx.now - state.since,
    });
    note(ctx, { kind: 'leader', log: this.log, change: 'taken', ballot, why: 'a phase-1 quorum promised' });
    const leading: Leading = {
      kind: 'leading',
      ballot,
      since: ctx.now,
      start,
      promised: phase1.promised,
      flights: [],
      next,
      watermark: start,
      told: start,
      admission: undefined,
      askedSessionsAt: ctx.now,
      recovered: [],
      progressAt: ctx.now,
      rejected: 0,
      full: 0,
      fullFor: 'space',
      resigning: false,
      finishing: undefined,
    };
    this.#state = leading;
    this.attempts = 0;
    this.hint = undefined;
    this.eagerUntil = -Infinity;
    for (const found of phase1.choose(start, next)) this.#recover(leading, found);
    ctx.out.push({ kind: 'load-sessions', log: this.log, slot: start });
  }

  /** Proposes what phase 1 found. A slot it found free lies below a voted one, so it takes a no-op and nothing else. */
  #recover(leading: Leading, found: Found): void {
    const count = found.to - found.from;
    const kind = found.batch === undefined ? 'no-op' : 'reproposed';
    note(this.#ctx, { kind, log: this.log, first: found.from, count });
    const batch = found.batch ?? Batch.of(new Array<Uint8Array>(count).fill(this.#ctx.noOp));
    let first = found.from;
    for (const portion of portions(batch, this.#ctx.options.batchValuesMax, this.#ctx.options.batchBytesMax)) {
      leading.recovered.push({ first, batch: portion });
      this.#send(leading, first, portion, undefined);
      first += portion.count;
    }
  }

  #prepareMessage(ballot: Ballot, overrides: Partial<Prepare>): Prepare {
    return {
      kind: 'prepare',
      log: this.log,
      ballot,
      from: 0,
      to: undefined,
      purpose: 'lead',
      fromWatermark: true,
      override: false,
      ask: false,
      ...overrides,
    };
  }

  // ── phase 2 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a proposal; it is sent when the pipeline has room. */
  enqueue(proposal: Proposal): void {
    this.#queue.push(proposal);
    if (!proposal.progress) return;
    const state = this.#state;
    if (state.kind === 'leading') this.#watched.add(proposal, state.ballot, state.promised);
    else if (state.kind === 'preparing') this.#watched.add(proposal, state.ballot, state.phase1.promised);
    else this.#watched.add(proposal, undefined, 0);
  }

  /** The session table as a learner has it, all slots below `next` applied; undefined when none could be had. */
  onSessions(next: number, admission: Admission | undefined): void {
    const state = this.#state;
    if (state.kind !== 'leading' || state.admission !== undefined || admission === undefined || next < state.start)
      return;
    // Slots above ours were chosen: somebody with a higher ballot leads.
    if (next > state.next) return this.#lose('slots beyond this ballot are chosen');
    for (const { first, batch } of state.recovered) {
      let slot = first;
      for (const value of batch.values()) {
        if (slot >= next) admission.feed(slot, value);
        slot++;
      }
    }
    state.recovered = [];
    state.admission = admission;
    this.pump();
  }

  /** Sends what has gathered while the pipeline has room. Called when the inbox is empty. */
  pump(): void {
    const state = this.#state;
    if (state.kind !== 'leading' || state.admission === undefined || state.resigning) return;
    if (state.full !== 0 && !this.#possible(state.full | state.rejected)) return this.#refuseAll(state.fullFor, '');
    const { pipeline, batchValuesMax } = this.#ctx.options;
    const hasRoom = (): boolean =>
      state.flights.length < pipeline && state.next + batchValuesMax <= state.watermark + LIMITS.slotsAheadMax;
    while (this.#queue.length > 0 && hasRoom()) this.#sendBatch(state, state.admission);
  }

  #sendBatch(state: Leading, admission: Admission): void {
    const { batchValuesMax, batchBytesMax } = this.#ctx.options;
    const values: Uint8Array[] = [];
    const proposals: Proposal[] = [];
    let bytes = 0;
    for (;;) {
      const proposal = this.#queue.peek();
      if (proposal === undefined || values.length >= batchValuesMax) break;
      const size = proposal.entry.length + 5;
      if (values.length > 0 && bytes + size > batchBytesMax) break;
      this.#queue.shift();
      if (proposal.done) continue;
      const verdict = admission.check(proposal.entry);
      if (verdict.kind === 'known') {
        this.#answerKnown(state, proposal, verdict.slot);
        continue;
      }
      if (verdict.kind === 'invalid') {
        this.#refuse(proposal, verdict.refused);
        continue;
      }
      // A refusal is proposed like the rest and told once it is chosen: until then a later leader may know better (R12).
      if (verdict.kind === 'refused') proposal.refusal = this.#judged(proposal, verdict.refused);
      admission.feed(state.next + values.length, proposal.entry);
      sentIn(proposal, state.next + values.length);
      if (proposal.progress) this.#watched.sent(proposal, state.next + values.length);
      values.push(proposal.entry);
      proposals.push(proposal);
      bytes += size;
    }
    if (values.length === 0) return;
    const batch = Batch.of(values);
    const first = state.next;
    state.next += batch.count;
    this.#send(state, first, batch, proposals);
    note(this.#ctx, { kind: 'batch', log: this.log, first, values: batch.count, bytes: batch.bytes.length });
  }

  #send(state: Leading, first: number, batch: Batch, proposals: readonly Proposal[] | undefined): void {
    const { now } = this.#ctx;
    const last = state.flights[state.flights.length - 1];
    assert(
      last === undefined || flightEnd(last) <= first,
      'R2',
      () => `${this.log}: slot ${String(first)} would be sent twice`,
    );
    if (state.flights.length === 0) state.progressAt = now;
    state.flights.push({ ballot: state.ballot, first, batch, voters: 0, sentAt: now, since: now, proposals });
    this.#sendAccept(state, undefined, first, batch);
  }

  #sendAccept(state: Leading, to: number | undefined, first: number, batch: Batch): void {
    sendTo(this.#ctx, to, {
      kind: 'accept',
      log: this.log,
      ballot: state.ballot,
      first,
      batch,
      watermark: state.watermark,
    });
    if (to === undefined) state.told = state.watermark;
  }

  onAccepted(acceptor: number, message: Accepted): void {
    const state = this.#state;
    if (state.kind !== 'leading' || !sameBallot(message.ballot, state.ballot)) return;
    const end = message.first + message.count;
    state.full &= ~(1 << acceptor);
    this.#watched.accepted(state.ballot, acceptor, message.first, end);
    for (const flight of state.flights) {
      if (flight.first >= end) break;
      if (flight.first < message.first || flightEnd(flight) > end) continue;
      if ((flight.voters & (1 << acceptor)) === 0)
        note(this.#ctx, { kind: 'accept-rtt', acceptor, ms: this.#ctx.now - flight.sentAt });
      flight.voters |= 1 << acceptor;
    }
    if (state.finishing?.flights !== undefined) this.#onFinishVote(state, state.finishing, acceptor, message);
    this.#advance(state);
  }

  /** Answers what the chosen prefix has reached. */
  #advance(state: Leading): void {
    let done = 0;
    for (const flight of state.flights) {
      if (!this.#ctx.quorum.isPhase2(flight.voters)) break;
      assert(
        flight.first === state.watermark,
        'R9',
        () => `${this.log}: slot ${String(state.watermark)} was passed over`,
      );
      done++;
      state.watermark = flightEnd(flight);
      this.#answerFlight(state, flight);
    }
    if (done === 0) return;
    state.flights.splice(0, done);
    state.progressAt = this.#ctx.now;
    if (this.#waiting.size > 0) this.#answerWaiting(state);
  }

  #answerFlight(state: Leading, flight: OwnFlight): void {
    const ctx = this.#ctx;
    note(ctx, {
      kind: 'quorum',
      phase: 'accept',
      protocol: 'multi',
      outcome: 'reached',
      log: this.log,
      ballot: flight.ballot,
      first: flight.first,
      count: flight.batch.count,
      ms: ctx.now - flight.since,
    });
    if (flight.proposals === undefined) return;
    let slot = flight.first - 1;
    for (const proposal of flight.proposals) {
      slot++;
      if (proposal.refusal !== undefined) {
        ctx.out.push({ kind: 'answer', token: proposal.token, answer: proposal.refusal });
        continue;
      }
      ctx.out.push({
        kind: 'answer',
        token: proposal.token,
        answer: { kind: 'chosen', slot, ballot: state.ballot, entry: undefined, leader: ctx.self.proposer },
      });
    }
  }

  #answerKnown(state: Leading, proposal: Proposal, slot: number): void {
    if (slot >= state.watermark) {
      const others = this.#waiting.get(slot);
      if (others === undefined) this.#waiting.set(slot, [proposal]);
      else others.push(proposal);
      proposal.sent = true;
      if (proposal.progress) this.#watched.sent(proposal, slot);
      return;
    }
    // Where this leader sent the slot, it knows a ballot at which it was chosen.
    const ballot = slot >= state.start ? state.ballot : undefined;
    this.#ctx.out.push({
      kind: 'answer',
      token: proposal.token,
      answer: { kind: 'chosen', slot, ballot, entry: undefined, leader: this.#ctx.self.proposer },
    });
  }

  #answerWaiting(state: Leading): void {
    for (const [slot, proposals] of this.#waiting) {
      if (slot >= state.watermark) continue;
      this.#waiting.delete(slot);
      for (const proposal of proposals) this.#answerKnown(state, proposal, slot);
    }
  }

  #refuse(proposal: Proposal, refused: Refused): void {
    this.#ctx.out.push({ kind: 'answer', token: proposal.token, answer: this.#judged(proposal, refused) });
  }

  /** A refusal of what was sent before, by anybody, cannot say that it had no effect (R15). */
  #judged(proposal: Proposal, refused: Refused): Refused {
    return proposal.retry || proposal.sent ? { ...refused, outcome: 'unknown' } : refused;
  }

  // ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  onRejected(acceptor: number, message: Rejected): void {
    this.#seen = maxBallot(this.#seen, message.promised);
    const state = this.#state;
    if (state.kind === 'idle' || !sameBallot(message.ballot, state.ballot)) return;
    if (message.reason === 'led' || message.state === 'led') this.hint = message.leader;
    if (message.reason === 'led') this.refusedAsLed = true;
    if (state.kind !== 'leading') {
      state.no |= 1 << acceptor;
      if (message.reason === 'space') state.full |= 1 << acceptor;
      if (!this.#possible(state.no))
        this.#fail(
          'rejected',
          message.reason === 'led' ? 'another proposer leads' : `refused: ${message.reason}`,
          message,
        );
      return;
    }
    assert(
      message.reason !== 'conflict',
      'R2',
      () =>
        `${this.log}: acceptor ${String(acceptor)} has another value of ${formatBallot(state.ballot)} at slot ${String(message.first)}`,
    );
    // Where there is no place for one more log, each says so once it is asked, and nothing changes that soon.
    if (message.reason === 'space' || message.reason === 'logs') {
      state.full |= 1 << acceptor;
      state.fullFor = message.reason;
    }
    if (message.reason === 'floor' && message.floor > state.watermark)
      return this.#lose('slots that were in flight are below a trim floor');
    if (message.reason !== 'ballot' || compareBallots(message.promised, state.ballot) <= 0) return;
    // One reject does not depose a leader that still has its quorum.
    state.rejected |= 1 << acceptor;
    if (state.finishing !== undefined && state.finishing.to > state.next)
      return this.#lose(`others have slots that it never sent, and ${formatBallot(message.promised)} is promised`);
    if (!this.#possible(state.rejected)) this.#lose(`a quorum promised ${formatBallot(message.promised)}`);
  }

  /** True while the acceptors that are not excluded are enough: a leader needs votes alone, a candidate promises first. */
  #possible(excluded: number): boolean {
    const { quorum } = this.#ctx;
    const rest = ((1 << quorum.size) - 1) & ~excluded;
    return quorum.isPhase2(rest) && (this.#state.kind === 'leading' || quorum.isPhase1(rest));
  }

  /** A campaign ends without leadership. What waits stays queued: the proposer routes it on. */
  #fail(outcome: 'rejected' | 'timeout', why: string, message?: Rejected): void {
    const state = this.#state;
    if (state.kind !== 'asking' && state.kind !== 'preparing') return;
    note(this.#ctx, {
      kind: 'quorum',
      phase: 'prepare',
      protocol: 'multi',
      outcome,
      log: this.log,
      ballot: state.ballot,
      ms: this.#ctx.now - state.since,
    });
    this.attempts++;
    this.hasFailed = true;
    this.#state = IDLE;
    if (message?.reason === 'logs' || message?.reason === 'round') this.#refuseAll(message.reason, why);
    else if (!this.#possible(state.full)) this.#refuseAll('space', why);
  }

  #refuseAll(reason: 'logs' | 'round' | 'space', why: string): void {
    const texts = {
      logs: 'the cluster has 100,000 logs (the limit) and takes no new one; use a log that exists',
      round: `acceptors refuse the ballot (${why}): its round is above the limit of 2^48`,
      space:
        'the journals of too many acceptors are full (journal.bytes.max, or no space on the disk) while learners hold too little to trim them',
    };
    for (const proposal of this.#queue.drain())
      this.#refuse(proposal, {
        kind: 'refused',
        code: 'RESOURCE_EXHAUSTED',
        message: texts[reason],
        outcome: 'none',
        leader: undefined,
      });
  }

  #lose(why: string): void {
    const state = this.#state;
    if (state.kind !== 'leading') return;
    note(this.#ctx, { kind: 'leader', log: this.log, change: 'lost', ballot: state.ballot, why });
    if (state.flights.length > 0)
      note(this.#ctx, {
        kind: 'quorum',
        phase: 'accept',
        protocol: 'multi',
        outcome: state.rejected === 0 ? 'timeout' : 'rejected',
        log: this.log,
        ballot: state.ballot,
        ms: this.#ctx.now - state.progressAt,
      });
    this.#requeue(state);
    // The ballot is never used again: the next campaign goes above everything seen.
    this.#seen = maxBallot(this.#seen, state.ballot);
    this.#state = IDLE;
    this.attempts = 1;
    this.hasFailed = true;
  }

  /** What was in flight goes back to the head of the queue as retries: its outcome is open, its id decides (R12). */
  #requeue(state: Leading): void {
    const again: Proposal[] = [];
    for (const flight of state.flights) again.push(...(flight.proposals ?? []));
    for (const proposals of this.#waiting.values()) again.push(...proposals);
    this.#waiting.clear();
    this.#watched.unsent();
    for (const proposal of again) {
      proposal.retry = true;
      proposal.sent = true;
      delete proposal.refusal;
    }
    for (const proposal of [...again, ...this.#queue.drain()]) if (!proposal.done) this.#queue.push(proposal);
  }

  /** All that waits here, for the proposer to send elsewhere. */
  takeQueue(): Proposal[] {
    this.#watched.clear();
    return this.#queue.drain();
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  onTick(): void {
    const state = this.#state;
    const { now, options } = this.#ctx;
    if (state.kind === 'idle') return;
    if (state.kind === 'asking') {
      if (now - state.since >= options.timeoutMs) this.#fail('timeout', 'no phase-1 quorum answered');
      return;
    }
    if (state.kind === 'preparing') {
      if (now - state.since >= 2 * options.timeoutMs) return this.#fail('timeout', 'no phase-1 quorum promised');
      if (now - state.sentAt >= options.resendMs) this.#resendPrepare(state);
      return;
    }
    this.#tickLeading(state);
  }

  #resendPrepare(state: Preparing): void {
    state.sentAt = this.#ctx.now;
    for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++) {
      const from = state.phase1.nextFrom(acceptor);
      if (from === undefined) continue;
      const fromWatermark = state.phase1.isNew(acceptor);
      sendTo(
        this.#ctx,
        acceptor,
        this.#prepareMessage(state.ballot, { from, fromWatermark, override: state.override }),
      );
    }
  }

  #tickLeading(state: Leading): void {
    const { now, options } = this.#ctx;
    if (state.admission === undefined && now - state.askedSessionsAt >= options.resendMs) {
      state.askedSessionsAt = now;
      this.#ctx.out.push({ kind: 'load-sessions', log: this.log, slot: state.start });
    }
    if (state.flights.length > 0 && now - state.progressAt >= 2 * options.timeoutMs && this.#possible(state.full)) {
      return this.#lose(state.rejected !== 0 ? 'acceptors refused its ballot' : 'no phase-2 quorum answered');
    }
    for (const flight of state.flights) {
      if (now - flight.sentAt < options.resendMs) continue;
      flight.sentAt = now;
      this.#resend(state, flight);
    }
    // Nothing else told them: acceptors drop from memory what is chosen.
    if (state.flights.length === 0 && state.told < state.watermark) {
      sendTo(this.#ctx, undefined, { kind: 'tell', log: this.log, watermark: state.watermark });
      state.told = state.watermark;
    }
    if (state.finishing === undefined || now - state.finishing.since < 2 * options.timeoutMs) return;
    state.finishing = undefined;
    // Who promised a higher ballot never answers at this one. A new ballot is needed, if those that it needs are there.
    const { quorum, down } = this.#ctx;
    if (state.rejected !== 0 && quorum.isPhase1(((1 << quorum.size) - 1) & ~down))
      this.#lose('slots cannot be finished at its ballot: acceptors promised a higher one');
  }

  #resend(state: Leading, flight: Flight): void {
    for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++) {
      if ((flight.voters & (1 << acceptor)) === 0) this.#sendAccept(state, acceptor, flight.first, flight.batch);
    }
  }

  /** An acceptor's stream is new: whatever it was sent before may be lost. */
  onAcceptorUp(acceptor: number): void {
    const state = this.#state;
    if (state.kind === 'asking')
      return sendTo(this.#ctx, acceptor, this.#prepareMessage(state.ballot, { ask: true, override: state.override }));
    if (state.kind === 'preparing') return this.#resendPrepare(state);
    if (state.kind !== 'leading') return;
    // It must know that the log is led, and by whom: acceptors outside the quorum get the Prepare too.
    if ((state.promised & (1 << acceptor)) === 0)
      sendTo(
        this.#ctx,
        acceptor,
        this.#prepareMessage(state.ballot, { from: state.next, to: state.next + 1, fromWatermark: false }),
      );
    for (const flight of state.flights) {
      if ((flight.voters & (1 << acceptor)) === 0) this.#sendAccept(state, acceptor, flight.first, flight.batch);
    }
  }

  // ── giving up, and finishing for others ──────────────────────────────────────────────────────────────────────────────

  /** Takes nothing new; resigns once nothing is in flight (see `tryResign`). */
  startResigning(): void {
    if (this.#state.kind === 'leading') this.#state.resigning = true;
  }

  /** Resigns if nothing is in flight any more. True when it did. */
  tryResign(why: string): boolean {
    const state = this.#state;
    if (state.kind !== 'leading' || state.flights.length > 0) return false;
    sendTo(this.#ctx, undefined, { kind: 'tell', log: this.log, watermark: state.watermark });
    sendTo(this.#ctx, undefined, { kind: 'resign', log: this.log, ballot: state.ballot });
    note(this.#ctx, { kind: 'leader', log: this.log, change: 'resigned', ballot: state.ballot, why });
    this.#requeue(state);
    this.#state = IDLE;
    return true;
  }

  /**
   * A learner cannot count the votes of [from, to). What is in flight is sent again anyway; slots below the watermark are asked
   * for explicitly, at our own ballot, and get the value that phase 1 finds there and no other (R10). Slots that were never sent here
   * are another's: asked for at our ballot, who promised a higher one says so, and this leadership ends (see `onRejected`). Without
   * that a leader at rest would never hear that it was deposed, and whoever deposed it may be gone.
   */
  finish(from: number, to: number): void {
    const state = this.#state;
    if (state.kind !== 'leading') return;
    for (const flight of state.flights) if (flight.first < to && flightEnd(flight) > from) this.#resend(state, flight);
    const end = Math.min(to, state.watermark, from + FINISH_SLOTS);
    if (state.finishing !== undefined) return;
    if (from < end) this.#askToFinish(state, from, end);
    else if (to > state.next) this.#askToFinish(state, Math.max(from, state.next), to);
  }

  #askToFinish(state: Leading, from: number, to: number): void {
    const phase1 = new Phase1(state.ballot, this.#ctx.quorum, from, false, to);
    state.finishing = { from, to, since: this.#ctx.now, phase1, flights: undefined };
    sendTo(this.#ctx, undefined, this.#prepareMessage(state.ballot, { from, to, fromWatermark: false }));
  }

  #onFinishPage(state: Leading, finishing: Finishing, acceptor: number, page: Promised): void {
    if (finishing.flights !== undefined) return;
    const heard = finishing.phase1.onPromised(acceptor, page);
    // What does not fit a page is too much to hold of every acceptor: finish what fits, the learner asks again for the rest.
    if (heard.kind === 'more') {
      if (heard.from > finishing.from) this.#askToFinish(state, finishing.from, heard.from);
      return;
    }
    if (heard.kind !== 'counted' || !finishing.phase1.reached) return;
    const from = Math.max(finishing.from, finishing.phase1.floor);
    finishing.flights = [];
    if (from >= finishing.to) {
      state.finishing = undefined;
      return;
    }
    const all = finishing.phase1.choose(from, finishing.to);
    // R2: what this leader sent itself was voted at this ballot. An answer from before those votes would bring an older value
    // back, so it says nothing. R10: where no vote was found, an answer is from before the votes, or a higher ballot has the log;
    // nothing is made up. Whoever still misses the slots asks again.
    const isOld = all.some(
      (f) => f.ballot === undefined || (f.to > state.start && !sameBallot(f.ballot, state.ballot)),
    );
    if (isOld) {
      state.finishing = undefined;
      note(this.#ctx, { kind: 'unfound', log: this.log, from, to: finishing.to });
      return;
    }
    for (const { from: first, batch } of all)
      if (batch !== undefined) this.#resendFound(state, finishing.flights, first, batch);
  }

  #resendFound(state: Leading, flights: Flight[], from: number, batch: Batch): void {
    const { now, options } = this.#ctx;
    let first = from;
    for (const portion of portions(batch, options.batchValuesMax, options.batchBytesMax)) {
      flights.push({ ballot: state.ballot, first, batch: portion, voters: 0, sentAt: now, since: now });
      this.#sendAccept(state, undefined, first, portion);
      first += portion.count;
    }
    note(this.#ctx, { kind: 'reproposed', log: this.log, first: from, count: batch.count });
  }

  #onFinishVote(state: Leading, finishing: Finishing, acceptor: number, message: Accepted): void {
    const end = message.first + message.count;
    for (const flight of finishing.flights ?? []) {
      if (flight.first >= message.first && flightEnd(flight) <= end) flight.voters |= 1 << acceptor;
    }
    if (finishing.flights?.every((flight) => this.#ctx.quorum.isPhase2(flight.voters)) === true)
      state.finishing = undefined;
  }
}
