/**
 * One order of what several roles tell. Each role's events keep their order, and no message is received before it was sent, whatever
 * the clocks of the machines say; apart from that, what happened earlier by the clocks comes first.
 */
import { Fifo } from '../base/fifo.ts';
import type { Ballot } from '../paxos/ballot.ts';
import type { TraceEvent, TraceMember } from '../wire/codec/trace.ts';

/** An event, with whose it is. */
export type Traced = TraceEvent & {
  readonly member: TraceMember;
  /** By the clock of the member's machine, in milliseconds since 1970. Clocks of machines differ. */
  readonly wallMs: number;
};

interface Waiting {
  readonly event: Traced;
  readonly cameAt: number;
  readonly sends: string | undefined;
}

/** Messages that are remembered as sent. An older one that comes late is placed by the clocks alone. */
const SENT_MAX = 200_000;

export class TraceMerger {
  readonly #settleMs: number;
  readonly #queues = new Map<string, Fifo<Waiting>>();
  /** Messages whose sending was given out, with that event; and those whose sending still waits, with how often. */
  readonly #sent = new Map<string, Traced>();
  readonly #pending = new Map<string, number>();
  #length = 0;

  /** An event is given out once it has waited `settleMs`: by then what happened before it has come as well. */
  constructor(settleMs: number) {
    this.#settleMs = settleMs;
  }

  /** Events that wait. */
  get length(): number {
    return this.#length;
  }

  /** Takes an event in, those of each member in their order. `now`: milliseconds of any steady clock. */
  push(event: Traced, now: number): void {
    const name = memberName(event.member);
    let queue = this.#queues.get(name);
    if (queue === undefined) this.#queues.set(name, (queue = new Fifo()));
    const sends = event.kind === 'sent' ? messageKey(event, event.member, event.peer) : undefined;
    if (sends !== undefined) this.#pending.set(sends, (this.#pending.get(sends) ?? 0) + 1);
    queue.push({ event, cameAt: now, sends });
    this.#length++;
  }

  /** Gives out what has settled, or, with `now` Infinity, everything. */
  *take(now: number): IterableIterator<Traced> {
    for (;;) {
      const earliest = this.#earliest();
      if (earliest === undefined) return;
      const next = this.#before(earliest);
      const head = next.peek();
      if (head === undefined || now - head.cameAt < this.#settleMs) return;
      next.shift();
      this.#length--;
      this.#given(head);
      yield head.event;
    }
  }

  /** The sending of a message that was received: the last one given out that looks like it. */
  sendingOf(event: Traced): Traced | undefined {
    if (event.kind !== 'received') return undefined;
    const one = this.#sent.get(messageKey(event, event.peer, event.member));
    const all = this.#sent.get(messageKey(event, event.peer, { role: event.member.role, id: 0 }));
    return one !== undefined && all !== undefined ? later(one, all) : (one ?? all);
  }

  #given({ event, sends }: Waiting): void {
    if (sends === undefined) return;
    const left = (this.#pending.get(sends) ?? 1) - 1;
    if (left === 0) this.#pending.delete(sends);
    else this.#pending.set(sends, left);
    this.#sent.delete(sends);
    this.#sent.set(sends, event);
    if (this.#sent.size <= SENT_MAX) return;
    for (const oldest of this.#sent.keys()) {
      this.#sent.delete(oldest);
      return;
    }
  }

  #earliest(): Fifo<Waiting> | undefined {
    let found: Fifo<Waiting> | undefined;
    let least = Infinity;
    for (const queue of this.#queues.values()) {
      const wallMs = queue.peek()?.event.wallMs ?? Infinity;
      if (wallMs >= least) continue;
      least = wallMs;
      found = queue;
    }
    return found;
  }

  /** The queue whose head comes first: the sender's, where the head of this one is a message whose sending still waits. */
  #before(queue: Fifo<Waiting>): Fifo<Waiting> {
    const seen = new Set([queue]);
    for (let next = queue; ;) {
      const event = next.peek()?.event;
      if (event?.kind !== 'received' || this.sendingOf(event) !== undefined) return next;
      const all = { role: event.member.role, id: 0 };
      const waits = [event.member, all].some((to) => this.#pending.has(messageKey(event, event.peer, to)));
      const sender = waits ? this.#queues.get(memberName(event.peer)) : undefined;
      if (sender === undefined || seen.has(sender)) return next;
      seen.add(sender);
      next = sender;
    }
  }
}

/** `acceptor 1`; `acceptors` where the id stands for all of them. */
export function memberName({ role, id }: TraceMember): string {
  return id === 0 ? `${role}s` : `${role} ${String(id)}`;
}

/** `a1`; `a*` where the id stands for all acceptors. */
export function memberShort({ role, id }: TraceMember): string {
  return `${role.slice(0, 1)}${id === 0 ? '*' : String(id)}`;
}

/** What a message's sending and its receipt have in common. Receivers join neighbouring ranges: the last slot stays. */
function messageKey(event: Traced & { kind: 'sent' | 'received' }, from: TraceMember, to: TraceMember): string {
  const { message, log, ballot, first, count, number } = event;
  const slot = first === undefined ? '' : String(first + count);
  return `${message}|${log}|${ballotKey(ballot)}|${slot}|${String(number)}|${memberShort(from)}>${memberShort(to)}`;
}

function ballotKey(ballot: Ballot | undefined): string {
  if (ballot === undefined) return '';
  const { round, proposer, incarnation, kind } = ballot;
  return `${String(round)}.${String(proposer)}.${incarnation}.${String(kind)}`;
}

function later(a: Traced, b: Traced): Traced {
  return a.wallMs > b.wallMs ? a : b;
}
