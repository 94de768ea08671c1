/**
 * A log opened for fast voting by this proposer: phase 1 at a fast ballot f that only this start owns, then Any(f, s) from a slot s
 * above all that was found. While it holds, this proposer hears all votes at f. Where those of a slot collide, it takes them for
 * promises of f's successor c, *for that one slot*: nothing is between f and c, so who voted at f has nothing else to report there.
 * Nobody else may do that, and nowhere else: not for the next slot, not at another ballot, never at ballot zero.
 */
import { assert } from '../base/assert.ts';
import { Batch } from '../base/batch.ts';
import { compareBallots, freshFast, sameBallot, successor, type Ballot } from './ballot.ts';
import { identityOf } from './identity.ts';
import type { Accepted, Opened, Promised, Rejected } from './messages.ts';
import { Phase1 } from './phase1.ts';
import { note, sendTo, type Context } from './proposing.ts';
import { isStillPossible, votersOf } from './tallies.ts';

interface Tally {
  voters: number;
  value: Uint8Array | undefined;
}

/** A slot in which somebody voted at f. */
interface SlotVotes {
  readonly since: number;
  /** By identity. */
  readonly tallies: Map<string, Tally>;
  /** What was sent at c; one value for ever (R2). */
  sent: Uint8Array | undefined;
  /** Voters at c. */
  voters: number;
  sentAt: number;
  isChosen: boolean;
}

type State =
  | { readonly kind: 'preparing'; readonly phase1: Phase1; readonly since: number; sentAt: number; no: number }
  | { readonly kind: 'open'; readonly from: number; opened: number; sentAt: number }
  | { readonly kind: 'closed' };

export class Opener {
  readonly log: string;
  /** The fast ballot. */
  readonly ballot: Ballot;
  readonly #ctx: Context;
  #state: State;
  readonly #slots = new Map<number, SlotVotes>();
  /** All slots below are known to be chosen. */
  #watermark = 0;
  /** The proposer that owns this ballot, answering itself: its own Accepts are answered to it as to all. */
  constructor(ctx: Context, log: string, above: Ballot) {
    this.#ctx = ctx;
    this.log = log;
    this.ballot = freshFast(above, ctx.lastRound, ctx.self);
    ctx.lastRound = this.ballot.round;
    const phase1 = new Phase1(this.ballot, ctx.quorum, 0, true);
    this.#state = { kind: 'preparing', phase1, since: ctx.now, sentAt: ctx.now, no: 0 };
    this.#prepare(undefined, 0, true);
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open';
  }

  get isPreparing(): boolean {
    return this.#state.kind === 'preparing';
  }

  get isClosed(): boolean {
    return this.#state.kind === 'closed';
  }

  /** Time does not matter to it: all that are connected have the log open, and no slot is undecided. */
  get isAtRest(): boolean {
    return this.#state.kind === 'open' && this.#slots.size === 0 && this.#notOpen(this.#state.opened) === 0;
  }

  /** Those that are connected, and did not say that the log is open there. */
  #notOpen(opened: number): number {
    return this.#everybody & ~opened & ~this.#ctx.down;
  }

  /** The first slot that takes fast votes. */
  get from(): number {
    return this.#state.kind === 'open' ? this.#state.from : 0;
  }

  #prepare(to: number | undefined, from: number, fromWatermark: boolean): void {
    sendTo(this.#ctx, to, {
      ...{ kind: 'prepare', log: this.log, ballot: this.ballot, from, to: undefined, purpose: 'open' },
      ...{ fromWatermark, override: false, ask: false },
    } as const);
  }

  onPromised(acceptor: number, page: Promised): void {
    const state = this.#state;
    if (!sameBallot(page.ballot, this.ballot)) return;
    if (state.kind === 'open') return this.#sendAny(acceptor, state.from);
    if (state.kind !== 'preparing') return;
    const heard = state.phase1.onPromised(acceptor, page);
    if (heard.kind === 'more') return this.#prepare(acceptor, heard.from, false);
    if (heard.kind === 'higher') return this.#close('a higher ballot has votes');
    if (heard.kind !== 'counted' || !state.phase1.reached) return;
    const { highest, watermark, floor } = state.phase1;
    const from = Math.max(watermark, floor);
    // Slots that are voted and not known to be chosen must be finished first: that is a leader's work.
    if (highest + 1 > from) return this.#close('slots below are not finished');
    this.#watermark = from;
    this.#state = { kind: 'open', from, opened: 0, sentAt: this.#ctx.now };
    note(this.#ctx, { kind: 'opened', log: this.log, ballot: this.ballot, from });
    // All below is chosen. Who is refused for a slot there hears of it, and goes on above.
    sendTo(this.#ctx, undefined, { kind: 'tell', log: this.log, watermark: from });
    this.#sendAny(undefined, from);
  }

  #sendAny(to: number | undefined, from: number): void {
    sendTo(this.#ctx, to, { kind: 'any', log: this.log, ballot: this.ballot, from });
  }

  onOpened(acceptor: number, message: Opened): void {
    if (this.#state.kind === 'open' && sameBallot(message.ballot, this.ballot)) this.#state.opened |= 1 << acceptor;
  }

  /** Somebody's Accept got a vote at f, or one of ours at c. */
  onAccepted(acceptor: number, message: Accepted): void {
    if (this.#state.kind !== 'open') return;
    if (sameBallot(message.ballot, successor(this.ballot))) return this.#onRecovered(acceptor, message);
    if (!sameBallot(message.ballot, this.ballot) || message.identity === undefined) return;
    this.#raiseWatermark(message.watermark ?? 0);
    const slot = this.#slot(message.first);
    this.#vote(message.first, slot, acceptor, message.identity, message.voted);
  }

  onRejected(acceptor: number, message: Rejected): void {
    const state = this.#state;
    const mine = sameBallot(message.ballot, this.ballot) || sameBallot(message.ballot, successor(this.ballot));
    if (!mine || state.kind === 'closed') return;
    if (state.kind === 'open') this.#raiseWatermark(Math.max(message.watermark, message.floor));
    if (message.voted !== undefined && message.first !== undefined && state.kind === 'open')
      this.#vote(message.first, this.#slot(message.first), acceptor, identityOf(message.voted), message.voted);
    // A higher promise ends it: whoever asked for it has the log now.
    if (message.reason === 'ballot' && compareBallots(message.promised, successor(this.ballot)) > 0)
      return this.#close('a higher ballot is promised');
    if (state.kind !== 'preparing') return;
    state.no |= 1 << acceptor;
    if (!this.#ctx.quorum.isPhase1(this.#everybody & ~state.no)) this.#close(`refused: ${message.reason}`);
  }

  get #everybody(): number {
    return (1 << this.#ctx.quorum.size) - 1;
  }

  #slot(first: number): SlotVotes {
    const known = this.#slots.get(first);
    if (known !== undefined) return known;
    const { now } = this.#ctx;
    const slot: SlotVotes = {
      ...{ since: now, tallies: new Map(), sent: undefined, voters: 0, sentAt: now },
      isChosen: first < this.#watermark,
    };
    if (first >= this.#watermark) this.#slots.set(first, slot);
    return slot;
  }

  /** The value that this proposer itself sends at f, which acceptors do not repeat to it. */
  sends(first: number, identity: string, value: Uint8Array): void {
    if (this.#state.kind !== 'open') return;
    const { tallies } = this.#slot(first);
    const tally = tallies.get(identity) ?? { voters: 0, value };
    tally.value ??= value;
    tallies.set(identity, tally);
  }

  #vote(first: number, slot: SlotVotes, acceptor: number, identity: string, value: Uint8Array | undefined): void {
    if (slot.isChosen) return;
    const tally = slot.tallies.get(identity) ?? { voters: 0, value };
    tally.value ??= value;
    tally.voters |= 1 << acceptor;
    slot.tallies.set(identity, tally);
    if (this.#ctx.quorum.isFast(tally.voters)) return this.#chosen(first, slot);
    if (!this.#isPossible(slot)) this.#recover(first, slot);
  }

  #isPossible({ tallies }: SlotVotes): boolean {
    return isStillPossible(this.#ctx.quorum, tallies.values(), this.#ctx.down);
  }

  /** Counts the votes at f of a phase-1 quorum as promises of c, for this slot alone, and asks for votes at c. */
  #recover(first: number, slot: SlotVotes): void {
    const { quorum, now, options } = this.#ctx;
    if (options.fastRecovery === 'classic') return;
    const voted = votersOf(slot.tallies.values());
    if (slot.sent !== undefined || !quorum.isPhase1(voted)) return;
    const values = [...slot.tallies.values()].filter(({ voters }) => voters !== 0);
    if (values.some(({ value }) => value === undefined)) return;
    const value = this.#pick(values as { voters: number; value: Uint8Array }[], voted);
    const about = { log: this.log, slot: first } as const;
    if (values.length > 1) note(this.#ctx, { kind: 'collision', ...about, ballot: this.ballot });
    note(this.#ctx, { kind: 'recovering', ...about, ballot: successor(this.ballot) });
    slot.sent = value;
    slot.sentAt = now;
    this.#accept(undefined, first, value);
  }

  /** R8, as phase 1 picks: what may be chosen at f, else any. */
  #pick(values: readonly { voters: number; value: Uint8Array }[], voted: number): Uint8Array {
    const phase1 = new Phase1(successor(this.ballot), this.#ctx.quorum, 0, false, 1);
    for (const { voters, value } of values)
      for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++)
        if ((voters & voted & (1 << acceptor)) !== 0)
          phase1.onPromised(acceptor, {
            ...{ kind: 'promised', log: this.log, ballot: successor(this.ballot), from: 0, until: undefined },
            ...{ votes: [{ first: 0, ballot: this.ballot, batch: Batch.of([value]) }] },
            ...{ highest: 0, watermark: 0, floor: 0 },
          } as const);
    const value = phase1.choose(0, 1)[0]?.batch?.values()[0];
    assert(value !== undefined, 'R8', () => `${this.log}: votes without a value`);
    return value;
  }

  #accept(to: number | undefined, first: number, value: Uint8Array): void {
    const [ballot, batch, watermark] = [successor(this.ballot), Batch.of([value]), this.#watermark];
    sendTo(this.#ctx, to, { kind: 'accept', log: this.log, ballot, first, batch, watermark });
  }

  #onRecovered(acceptor: number, message: Accepted): void {
    for (let first = message.first; first < message.first + message.count; first++) {
      const slot = this.#slots.get(first);
      if (slot?.sent === undefined) continue;
      slot.voters |= 1 << acceptor;
      if (!this.#ctx.quorum.isPhase2(slot.voters) || slot.isChosen) continue;
      const ms = this.#ctx.now - slot.since;
      note(this.#ctx, {
        ...{ kind: 'quorum', phase: 'accept', protocol: 'fast', outcome: 'recovered', log: this.log },
        ...{ ballot: successor(this.ballot), ms, first, count: 1 },
      } as const);
      this.#chosen(first, slot);
      // Those who wait for the slot hear of it at once.
      sendTo(this.#ctx, undefined, { kind: 'tell', log: this.log, watermark: this.#watermark });
    }
  }

  #chosen(first: number, slot: SlotVotes): void {
    slot.isChosen = true;
    slot.tallies.clear();
    this.#advance();
  }

  #advance(): void {
    for (let next = this.#slots.get(this.#watermark); next?.isChosen === true; next = this.#slots.get(this.#watermark))
      this.#slots.delete(this.#watermark++);
  }

  /** Others know more: votes that were lost on their way here are not waited for, nor what stands above them kept. */
  #raiseWatermark(watermark: number): void {
    if (watermark <= this.#watermark) return;
    this.#watermark = watermark;
    for (const first of this.#slots.keys()) if (first < watermark) this.#slots.delete(first);
    this.#advance();
  }

  #close(why: string): void {
    note(this.#ctx, { kind: 'closed', log: this.log, ballot: this.ballot, why });
    this.#state = { kind: 'closed' };
    this.#slots.clear();
  }

  onAcceptorUp(acceptor: number): void {
    if (this.#state.kind === 'open') this.#prepare(acceptor, this.#watermark, false);
    else if (this.#state.kind === 'preparing') this.#prepareAgain(this.#state);
  }

  /** Asks those that have not promised all, from where their answers end. */
  #prepareAgain(state: State & { kind: 'preparing' }): void {
    state.sentAt = this.#ctx.now;
    for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++) {
      const from = state.phase1.nextFrom(acceptor);
      if (from !== undefined) this.#prepare(acceptor, from, state.phase1.isNew(acceptor));
    }
  }

  onTick(): void {
    const state = this.#state;
    const { now, options } = this.#ctx;
    if (state.kind === 'closed') return;
    if (state.kind === 'preparing') {
      if (now - state.since >= 2 * options.timeoutMs) return this.#close('no phase-1 quorum promised');
      if (now - state.sentAt >= options.resendMs) this.#prepareAgain(state);
      return;
    }
    // Acceptors outside of the quorum get the Prepare and Any until they have both; who is not connected gets them when it comes.
    if (now - state.sentAt >= options.resendMs) {
      state.sentAt = now;
      const asked = this.#notOpen(state.opened);
      for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++)
        if ((asked & (1 << acceptor)) !== 0) this.#prepare(acceptor, this.#watermark, false);
    }
    for (const [first, slot] of this.#slots) this.#tickSlot(first, slot);
  }

  #tickSlot(first: number, slot: SlotVotes): void {
    const { now, options, quorum } = this.#ctx;
    if (slot.isChosen) return;
    // No fast quorum in time: the votes that are there decide, if they are a phase-1 quorum's.
    if (slot.sent === undefined && now - slot.since >= options.fastMs) return this.#recover(first, slot);
    if (slot.sent === undefined || now - slot.sentAt < options.resendMs) return;
    slot.sentAt = now;
    for (let acceptor = 0; acceptor < quorum.size; acceptor++)
      if ((slot.voters & (1 << acceptor)) === 0) this.#accept(acceptor, first, slot.sent);
  }
}
