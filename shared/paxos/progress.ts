/** Tells of proposals whose callers asked for it what happens to them on their way. Nothing is decided by it. */
import { sameBallot, type Ballot } from './ballot.ts';
import type { FromAcceptor } from './messages.ts';
import type { Progress } from './peers.ts';
import type { Context, Proposal } from './proposing.ts';

/** Proposals of one proposer whose progress is told at once; of more nothing is told (R14). */
export const WATCHED_MAX = 1_000;

export function tell(ctx: Context, proposal: Proposal, progress: Progress): void {
  if (proposal.progress && !proposal.done) ctx.out.push({ kind: 'progress', token: proposal.token, progress });
}

/** The watched proposals that wait or are in flight at one leader. Empty, and nearly free, where nobody asks. */
export class Watched {
  readonly #ctx: Context;
  /** The slot in which each is in flight at the present ballot; −1 while it waits. */
  readonly #slots = new Map<Proposal, number>();

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  /** Takes one up; tells it who has promised so far. */
  add(proposal: Proposal, ballot: Ballot | undefined, promised: number): void {
    this.#slots.set(proposal, -1);
    if (ballot === undefined) return;
    for (let acceptor = 0; acceptor < this.#ctx.quorum.size; acceptor++)
      if ((promised & (1 << acceptor)) !== 0) tell(this.#ctx, proposal, { kind: 'promised', acceptor, ballot });
  }

  sent(proposal: Proposal, slot: number): void {
    this.#slots.set(proposal, slot);
  }

  promised(ballot: Ballot, acceptor: number): void {
    if (this.#slots.size === 0) return;
    for (const proposal of this.#open()) tell(this.#ctx, proposal, { kind: 'promised', acceptor, ballot });
  }

  /** The acceptor voted for the slots [first, end). */
  accepted(ballot: Ballot, acceptor: number, first: number, end: number): void {
    if (this.#slots.size === 0) return;
    for (const proposal of this.#open()) {
      const slot = this.#slots.get(proposal) ?? -1;
      if (slot >= first && slot < end) tell(this.#ctx, proposal, { kind: 'accepted', acceptor, ballot, slot });
    }
  }

  /** The leader lost its ballot: what was in flight waits again. */
  unsent(): void {
    for (const proposal of this.#slots.keys()) this.#slots.set(proposal, -1);
  }

  clear(): void {
    this.#slots.clear();
  }

  #open(): Proposal[] {
    for (const proposal of this.#slots.keys()) if (proposal.done) this.#slots.delete(proposal);
    return [...this.#slots.keys()];
  }
}

/** Tells those who wait for a decree what an acceptor said to its round, which proposes at `ballot`. */
export function tellRound(
  ctx: Context,
  ballot: Ballot | undefined,
  waiting: readonly Proposal[],
  acceptor: number,
  message: FromAcceptor,
): void {
  if (ballot === undefined || !sameBallot(message.ballot, ballot)) return;
  for (const proposal of waiting) {
    if (message.kind === 'promised') tell(ctx, proposal, { kind: 'promised', acceptor, ballot });
    else if (message.kind === 'accepted')
      tell(ctx, proposal, { kind: 'accepted', acceptor, ballot, slot: message.first });
  }
}
