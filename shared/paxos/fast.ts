/**
 * Fast Paxos for a decree: the value goes straight to all acceptors at ballot zero, which nobody opened and where every log begins.
 * A fast quorum of votes for one value chooses it, in two message delays. As soon as it is certain that no value can get one, or
 * when too few acceptors answer, a Basic round at a higher ballot finds what may have been chosen, and decides (R8).
 *
 * Votes at ballot zero are counted as votes and never as promises: others recover from it as well, and two that took different
 * quorums' votes for promises would choose two values.
 */
import { assert } from '../base/assert.ts';
import { Batch } from '../base/batch.ts';
import type { Attempt, AttemptResult } from './attempt.ts';
import { BALLOT_ZERO, sameBallot, type Ballot } from './ballot.ts';
import { identityOf } from './identity.ts';
import type { Accepted, Promised, Rejected } from './messages.ts';
import type { FastOutcome } from './notes.ts';
import type { Path } from './peers.ts';
import { backoffMs, note, sendTo, type Context } from './proposing.ts';
import { bitCount } from './quorum.ts';
import { Round } from './round.ts';
import { isStillPossible } from './tallies.ts';

/** A value with votes at the fast ballot. */
interface Tally {
  voters: number;
  /** Undefined where only its identity was told. */
  value: Uint8Array | undefined;
}

const SLOT = 0;

export class FastDecree implements Attempt {
  readonly log: string;
  readonly since: number;
  readonly #ctx: Context;
  readonly #entry: Uint8Array;
  readonly #identity: string;
  readonly #tallies = new Map<string, Tally>();
  /** Acceptors that will not vote at this ballot any more. */
  #out = 0;
  /** The Basic round that decides where the fast votes do not, and when it begins. */
  #round: Round | undefined;
  #recoverAt: number | undefined;
  #path: Path = 'fast';
  result: AttemptResult | undefined;
  /** The value went out at ballot zero: it, and no other, is this attempt's for good. */
  readonly #isOut: boolean;
  readonly #current: () => Uint8Array;

  /** `current` gives the value of somebody who still waits, for where `entry` never went out. */
  constructor(ctx: Context, log: string, entry: Uint8Array, current: () => Uint8Array) {
    this.#ctx = ctx;
    this.#current = current;
    this.log = log;
    this.since = ctx.now;
    this.#entry = entry;
    this.#identity = identityOf(entry);
    this.#tallies.set(this.#identity, { voters: 0, value: entry });
    // Nothing is sent at ballot zero where those that are connected are no fast quorum.
    this.#isOut = this.#isStillPossible();
    if (!this.#isOut) {
      this.#recover();
      return;
    }
    const batch = Batch.of([entry]);
    sendTo(ctx, undefined, { kind: 'accept', log, ballot: BALLOT_ZERO, first: SLOT, batch, watermark: 0 });
  }

  get sent(): boolean {
    return this.#isOut || this.#round?.sent === true;
  }

  get ballot(): Ballot | undefined {
    return this.#recoverAt === undefined ? BALLOT_ZERO : this.#round?.ballot;
  }

  onPromised(acceptor: number, page: Promised): void {
    this.#round?.onPromised(acceptor, page);
    this.#check();
  }

  onAccepted(acceptor: number, message: Accepted): void {
    if (!sameBallot(message.ballot, BALLOT_ZERO)) {
      this.#round?.onAccepted(acceptor, message);
      return this.#check();
    }
    if (message.first === SLOT && message.identity !== undefined) this.#vote(acceptor, message.identity, undefined);
  }

  onRejected(acceptor: number, message: Rejected): void {
    if (!sameBallot(message.ballot, BALLOT_ZERO)) {
      this.#round?.onRejected(acceptor, message);
      return this.#check();
    }
    if (message.first !== SLOT || message.reason === 'busy') return;
    if (message.reason === 'conflict' && message.voted !== undefined)
      return this.#vote(acceptor, identityOf(message.voted), message.voted);
    // It promised a higher ballot, or its log or journal takes nothing new.
    if (this.#recoverAt !== undefined) return;
    this.#out |= 1 << acceptor;
    this.#count();
  }

  #vote(acceptor: number, identity: string, value: Uint8Array | undefined): void {
    // A Basic round decides now; it asks for these votes itself.
    if (this.#recoverAt !== undefined) return;
    const bit = 1 << acceptor;
    const tally = this.#tallies.get(identity) ?? { voters: 0, value };
    for (const [other, { voters }] of this.#tallies)
      assert(
        other === identity || (voters & bit) === 0,
        'R2',
        () => `${this.log}: acceptor ${String(acceptor)} has two votes at ballot zero`,
      );
    if ((tally.voters & bit) === 0) note(this.#ctx, { kind: 'accept-rtt', acceptor, ms: this.#ctx.now - this.since });
    tally.voters |= bit;
    tally.value ??= value;
    this.#tallies.set(identity, tally);
    this.#count();
  }

  /** After every answer: chosen, still possible, or for certain neither. */
  #count(): void {
    if (this.#recoverAt !== undefined || this.result !== undefined) return;
    for (const { voters, value } of this.#tallies.values())
      if (value !== undefined && this.#ctx.quorum.isFast(voters)) return this.#chosen(value);
    if (!this.#isStillPossible()) this.#recover();
  }

  /** True while some value, of those that have votes or the own one, can still get a fast quorum. */
  #isStillPossible(): boolean {
    return isStillPossible(this.#ctx.quorum, this.#tallies.values(), this.#out | this.#ctx.down);
  }

  #chosen(value: Uint8Array): void {
    const ctx = this.#ctx;
    this.#noteQuorum('reached');
    sendTo(ctx, undefined, { kind: 'tell', log: this.log, watermark: SLOT + 1 });
    this.#end(
      { kind: 'chosen', from: SLOT, batch: Batch.of([value]), ballot: BALLOT_ZERO, tries: 1, path: 'fast' },
      'fast',
    );
  }

  #recover(): void {
    const ctx = this.#ctx;
    const isCollision =
      [...this.#tallies.values()].filter(({ voters }) => voters !== 0).length > 1 || this.#others() > 0;
    this.#path = isCollision ? 'recovered' : 'classic';
    if (isCollision) note(ctx, { kind: 'collision', log: this.log, slot: SLOT, ballot: BALLOT_ZERO });
    this.#noteQuorum(isCollision ? 'collision' : this.#out === 0 ? 'timeout' : 'rejected');
    // Whoever has the most votes goes first, so that not all recover against one another.
    this.#recoverAt = isCollision && !this.#isFirst() ? ctx.now + backoffMs(ctx, 1) : ctx.now;
    this.#tallies.clear();
    this.#out = 0;
    this.#begin();
  }

  #others(): number {
    let voters = 0;
    for (const [identity, tally] of this.#tallies) if (identity !== this.#identity) voters |= tally.voters;
    return voters;
  }

  #isFirst(): boolean {
    const own = bitCount(this.#tallies.get(this.#identity)?.voters ?? 0);
    for (const [identity, { voters }] of this.#tallies) {
      const votes = bitCount(voters);
      if (votes > own || (votes === own && identity < this.#identity)) return false;
    }
    return true;
  }

  #begin(): void {
    if (this.#round !== undefined || this.#recoverAt === undefined || this.#ctx.now < this.#recoverAt) return;
    const entry = this.#isOut ? (): Uint8Array => this.#entry : this.#current;
    this.#round = new Round(this.#ctx, this.log, { kind: 'decree', entry }, SLOT);
  }

  /** Takes over how the Basic round ended. */
  #check(): void {
    const ended = this.#round?.result;
    if (ended === undefined || this.result !== undefined) return;
    if (ended.kind !== 'chosen') {
      this.result = ended;
      return;
    }
    const tries = ended.tries + (this.#isOut ? 1 : 0);
    this.#end({ ...ended, tries, path: this.#path }, this.#path === 'recovered' ? 'recovered' : 'fallback');
  }

  #end(result: AttemptResult, outcome: FastOutcome): void {
    this.result = result;
    note(this.#ctx, { kind: 'fast', log: this.log, outcome, ms: this.#ctx.now - this.since });
  }

  #noteQuorum(outcome: 'reached' | 'collision' | 'timeout' | 'rejected'): void {
    const ms = this.#ctx.now - this.since;
    note(this.#ctx, {
      ...{ kind: 'quorum', phase: 'accept', protocol: 'fast', outcome },
      ...{ log: this.log, ballot: BALLOT_ZERO, ms },
      ...(outcome === 'reached' ? { first: SLOT, count: 1 } : {}),
    } as const);
  }

  onTick(): void {
    const { now, options } = this.#ctx;
    if (this.result !== undefined) return;
    if (this.#round !== undefined) {
      this.#round.onTick();
      return this.#check();
    }
    if (this.#recoverAt !== undefined) return this.#begin();
    if (now - this.since >= options.fastMs || !this.#isStillPossible()) this.#recover();
  }
}
