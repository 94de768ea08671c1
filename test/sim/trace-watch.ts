/**
 * Follows the traces of all nodes of a run, and judges them by what the simulated shells really did and by the oracle: what was traced
 * happened, and what happened was traced, or is counted as dropped. What a node did not hand over before it crashed is nobody's.
 */
import { formatBallot, type Ballot } from '../../shared/paxos/ballot.ts';
import type { ToAcceptor } from '../../shared/paxos/messages.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import type { Outgoing } from '../../shared/runtime/acceptor-node.ts';
import { Tracer, type TraceQueue } from '../../shared/runtime/trace/tracer.ts';
import type { AnyTraceEvent } from '../../shared/wire/codec/trace.ts';
import type { Oracle } from './oracle.ts';

interface Followed {
  readonly tracer: Tracer;
  readonly queue: TraceQueue;
  /** What was done since the last drain. */
  deeds: string[];
}

/** What both sides name, of one node over all its starts. */
interface Account {
  readonly done: Map<string, number>;
  readonly events: AnyTraceEvent[];
  dropped: number;
}

type Tamper = (name: string, events: AnyTraceEvent[]) => AnyTraceEvent[];

export class TraceWatch {
  readonly #queueEvents: number;
  readonly #followed = new Map<string, Followed>();
  readonly #accounts = new Map<string, Account>();
  /** Changes what a node hands over, for controls. */
  readonly #tamper: Tamper;

  constructor(queueEvents: number, tamper: Tamper = (_name, events) => events) {
    this.#queueEvents = queueEvents;
    this.#tamper = tamper;
  }

  /** Events that were judged, and those that were dropped. */
  get count(): { readonly events: number; readonly dropped: number } {
    const all = [...this.#accounts.values()];
    return {
      events: all.reduce((sum, { events }) => sum + events.length, 0),
      dropped: all.reduce((sum, { dropped }) => sum + dropped, 0),
    };
  }

  /** A node starts; its events go into the queue of one follower, which sees everything. */
  begin(name: string, now: () => number): Tracer {
    const tracer = new Tracer(now);
    const filter = { log: undefined, proposal: undefined, queueEvents: this.#queueEvents, values: false, idle: true };
    this.#followed.set(name, { tracer, queue: tracer.follow(filter), deeds: [] });
    return tracer;
  }

  /** The follower takes what waits. */
  drain(name: string): void {
    const followed = this.#followed.get(name);
    if (followed === undefined) return;
    const account = this.#account(name);
    const { queue, tracer } = followed;
    for (const deed of followed.deeds) account.done.set(deed, (account.done.get(deed) ?? 0) + 1);
    followed.deeds = [];
    account.events.push(...this.#tamper(name, queue.take(Infinity)));
    account.dropped += queue.dropped;
    tracer.unfollow(queue);
    this.#followed.set(name, { tracer, queue: tracer.follow(queue.filter), deeds: [] });
  }

  crash(name: string): void {
    this.#followed.delete(name);
  }

  // ── what was done ────────────────────────────────────────────────────────────────────────────────────────────────────

  toAcceptor(name: string, to: number | undefined, message: ToAcceptor): void {
    const peer = to === undefined ? 0 : to + 1;
    if (message.kind === 'prepare')
      this.#did(name, `sent ${message.ask ? 'ask' : 'prepare'} ${at(message)} ${message.from} to ${peer}`);
    else if (message.kind === 'accept')
      this.#did(name, `sent accept ${at(message)} ${message.first}+${message.batch.count} to ${peer}`);
  }

  left(name: string, effect: Outgoing): void {
    if (effect.kind === 'reply') {
      const { message } = effect;
      const to = `to ${effect.to.replace('proposer-', '')}`;
      if (message.kind === 'accepted')
        this.#did(name, `sent accepted ${at(message)} ${message.first}+${message.count} ${to}`);
      else if (message.kind === 'promised') this.#did(name, `sent promise ${at(message)} ${message.from} ${to}`);
      else if (message.kind === 'rejected') this.#did(name, `sent reject ${at(message)} ${message.reason} ${to}`);
    } else if (effect.kind === 'publish')
      this.#did(name, `sent votes ${at(effect.votes)} ${effect.votes.first}+${effect.votes.count} to 0`);
  }

  noted(name: string, note: Note): void {
    if (note.kind === 'promised') this.#did(name, `promised ${at(note)}`);
    else if (note.kind === 'voted' || note.kind === 'learned')
      this.#did(name, `${note.kind} ${at(note)} ${note.first}+${note.count}`);
    else if (note.kind === 'leader') this.#did(name, `leader ${note.change} ${at(note)}`);
    else if (note.kind === 'quorum' && note.first !== undefined)
      this.#did(name, `chosen ${at(note)} ${note.first}+${String(note.count)}`);
  }

  // ── the judgement ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What is wrong; empty where nothing is. */
  judge(oracle: Oracle): string[] {
    const wrong: string[] = [];
    for (const name of this.#followed.keys()) this.drain(name);
    for (const [name, { done, events, dropped }] of this.#accounts) {
      const left = new Map(done);
      for (const event of events) {
        const deed = deedOf(event);
        if (deed === undefined) continue;
        const times = left.get(deed) ?? 0;
        if (times === 0) wrong.push(`${name} traced what it did not do: ${deed}`);
        else left.set(deed, times - 1);
        const against = contradiction(name, event, oracle);
        if (against !== undefined) wrong.push(against);
      }
      const missing = [...left].filter(([, times]) => times > 0);
      const count = missing.reduce((sum, [, times]) => sum + times, 0);
      if (count > dropped)
        wrong.push(
          `${name} did ${count} things that are not in its trace, which counts ${dropped} dropped: ${String(missing[0]?.[0])}`,
        );
    }
    return wrong;
  }

  #did(name: string, deed: string): void {
    this.#followed.get(name)?.deeds.push(deed);
  }

  #account(name: string): Account {
    let account = this.#accounts.get(name);
    if (account === undefined) this.#accounts.set(name, (account = { done: new Map(), events: [], dropped: 0 }));
    return account;
  }
}

function at({ log, ballot }: { readonly log: string; readonly ballot: Ballot }): string {
  return `${log} ${formatBallot(ballot)}`;
}

/** The same words as above, from the event; undefined for what only the trace tells. */
function deedOf(event: AnyTraceEvent): string | undefined {
  const { kind, message, log, ballot, first, count, word, peer } = event;
  if (ballot === undefined) return undefined;
  const where = `${log} ${formatBallot(ballot)}`;
  const slots = `${String(first)}+${count}`;
  const to = `to ${String(peer?.id)}`;
  if (kind === 'sent') {
    if (message === 'ask' || message === 'prepare' || message === 'promise')
      return `sent ${message} ${where} ${String(first)} ${to}`;
    if (message === 'accept' || message === 'accepted') return `sent ${message} ${where} ${slots} ${to}`;
    // Votes that a learner asked for again have one receiver.
    if (message === 'votes' && peer?.id === 0) return `sent votes ${where} ${slots} ${to}`;
    return message === 'reject' ? `sent reject ${where} ${word} ${to}` : undefined;
  }
  if (kind === 'promised') return `promised ${where}`;
  if (kind === 'leader') return `leader ${word} ${where}`;
  return kind === 'voted' || kind === 'learned' || kind === 'chosen' ? `${kind} ${where} ${slots}` : undefined;
}

/** What the oracle knows better: it saw votes leave their acceptors, and counted them. */
function contradiction(name: string, event: AnyTraceEvent, oracle: Oracle): string | undefined {
  const { kind, message, log, ballot, first = 0, count } = event;
  if (ballot === undefined) return undefined;
  for (let slot = first; slot < first + count; slot++) {
    const where = `slot ${slot} of ${log} at ${formatBallot(ballot)}`;
    if ((kind === 'learned' || kind === 'chosen') && oracle.chosenAt(log, slot) === undefined)
      return `${name} traced that ${where} is ${kind}, and nothing is chosen there`;
    const isVote = kind === 'sent' && (message === 'accepted' || message === 'votes');
    const bit = 1 << (Number(name.replace('acceptor-', '')) - 1);
    if (isVote && (oracle.votersOf(log, slot, ballot) & bit) === 0)
      return `${name} traced a vote in ${where} that the oracle never saw`;
  }
  return undefined;
}
