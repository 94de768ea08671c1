/** The decrees of a proposer: an attempt for each log, and all who wait for what it chooses. */
import { assertNever } from '../base/assert.ts';
import { bytesEqual } from '../base/batch.ts';
import type { Attempt, AttemptResult } from './attempt.ts';
import type { Ballot } from './ballot.ts';
import { FastDecree } from './fast.ts';
import type { FromAcceptor } from './messages.ts';
import type { Answer, Refused } from './peers.ts';
import { tellRound } from './progress.ts';
import type { Context, Proposal } from './proposing.ts';
import { Round } from './round.ts';

interface Decree {
  readonly attempt: Attempt;
  readonly waiting: Proposal[];
}

/** What is told of a decree beside its value. */
type How = Partial<{ readonly ballot: Ballot } & Pick<Extract<Answer, { kind: 'chosen' }>, 'path' | 'rounds'>>;

export class Decrees {
  readonly #ctx: Context;
  readonly #answer: (proposal: Proposal, answer: Answer) => void;
  readonly #decrees = new Map<string, Decree>();
  /** Who waits for a learner that has the value of slot 0. */
  readonly #awaitingSlot = new Map<string, Proposal[]>();

  constructor(ctx: Context, answer: (proposal: Proposal, answer: Answer) => void) {
    this.#ctx = ctx;
    this.#answer = answer;
  }

  has(log: string): boolean {
    return this.#decrees.has(log);
  }

  attempt(log: string): Attempt | undefined {
    return this.#decrees.get(log)?.attempt;
  }

  propose(proposal: Proposal, protocol: 'basic' | 'fast'): void {
    const { log, entry } = proposal;
    const known = this.#decrees.get(log);
    if (known !== undefined) {
      // Whatever this attempt chooses is the answer to all who ask meanwhile.
      known.waiting.push(proposal);
      return;
    }
    const waiting = [proposal];
    // Of somebody who still waits when it is sent. What goes out at ballot zero goes out now.
    const current = (): Uint8Array => (waiting.find((each) => !each.done) ?? waiting[0] ?? proposal).entry;
    const attempt =
      protocol === 'fast'
        ? new FastDecree(this.#ctx, log, entry, current)
        : new Round(this.#ctx, log, { kind: 'decree', entry: current }, 0);
    this.#decrees.set(log, { attempt, waiting });
    this.settle(log);
  }

  /** Tells those who watch their decree what an acceptor said of it. */
  tell(acceptor: number, message: FromAcceptor): void {
    const decree = this.#decrees.get(message.log);
    if (decree !== undefined) tellRound(this.#ctx, decree.attempt.ballot, decree.waiting, acceptor, message);
  }

  onTick(): void {
    for (const { attempt } of this.#decrees.values()) attempt.onTick();
  }

  /** Looks at what became of the attempts, after they may have moved. */
  settleAll(): void {
    for (const log of [...this.#decrees.keys()]) this.settle(log);
  }

  settle(log: string): void {
    const decree = this.#decrees.get(log);
    if (decree === undefined) return;
    const { attempt, waiting } = decree;
    if (attempt.sent) for (const proposal of waiting) proposal.sent = true;
    if (attempt.result === undefined) return;
    if (attempt.result.kind === 'chosen') for (const proposal of waiting) proposal.rounds = attempt.result.tries;
    this.#decrees.delete(log);
    this.#end(log, attempt.result, waiting);
  }

  /** Nobody waits any more. */
  expire(): void {
    const { now } = this.#ctx;
    for (const [log, { waiting }] of this.#decrees) {
      // R15: what was told to have no effect is never sent, though the attempt goes on for others.
      const left = waiting.filter((proposal) => proposal.deadline > now || proposal.sent);
      waiting.splice(0, waiting.length, ...left);
      if (waiting.every((proposal) => proposal.deadline <= now)) this.#decrees.delete(log);
    }
  }

  #end(log: string, result: AttemptResult, waiting: readonly Proposal[]): void {
    switch (result.kind) {
      case 'chosen': {
        const { batch, ballot, path, tries: rounds } = result;
        const entry = batch.values()[0];
        for (const proposal of waiting) this.#tell(proposal, entry, { ballot, path, rounds });
        return;
      }
      case 'trimmed':
        return this.#awaitSlot(log, waiting);
      case 'led':
        if (result.watermark > 0) return this.#awaitSlot(log, waiting);
        for (const proposal of waiting)
          this.#refuse(
            proposal,
            'FAILED_PRECONDITION',
            `log "${log}" is led by proposer ${String(result.leader)} under Multi-Paxos; a decree needs a log of its own`,
            result.leader,
          );
        return;
      case 'refused': {
        const text =
          result.reason === 'logs'
            ? 'the cluster has 100,000 logs (the limit) and takes no new one'
            : 'the journals of too many acceptors take no new slots (journal.bytes.max, or no space on the disk)';
        for (const proposal of waiting) this.#refuse(proposal, 'RESOURCE_EXHAUSTED', text);
        return;
      }
      default:
        return assertNever(result);
    }
  }

  #awaitSlot(log: string, waiting: readonly Proposal[]): void {
    this.#ctx.out.push({ kind: 'read-slot', log, slot: 0 });
    this.#awaitingSlot.set(log, [...(this.#awaitingSlot.get(log) ?? []), ...waiting]);
  }

  /** A learner's answer to `read-slot`; undefined when none could say. */
  onSlot(log: string, entry: Uint8Array | undefined): void {
    const waiting = this.#awaitingSlot.get(log) ?? [];
    this.#awaitingSlot.delete(log);
    for (const proposal of waiting) {
      if (entry !== undefined) this.#tell(proposal, entry, {});
      else
        this.#refuse(
          proposal,
          'UNAVAILABLE',
          `slot 0 of log "${log}" is chosen, and no learner could be reached that has its value; try again`,
        );
    }
  }

  #tell(proposal: Proposal, entry: Uint8Array | undefined, { ballot, path, rounds }: How): void {
    if (entry === undefined || bytesEqual(entry, this.#ctx.noOp))
      return this.#refuse(
        proposal,
        'FAILED_PRECONDITION',
        `log "${proposal.log}" has slots above 0, so it is a sequence; a decree needs a log of its own`,
      );
    this.#answer(proposal, { kind: 'chosen', slot: 0, ballot, entry, leader: undefined, path, rounds });
  }

  #refuse(proposal: Proposal, code: Refused['code'], message: string, leader?: number): void {
    this.#answer(proposal, { kind: 'refused', code, message, outcome: 'none', leader });
  }
}
