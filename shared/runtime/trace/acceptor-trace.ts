/** What an acceptor tells: what came in, what its machine made of it, and what left once it was durable (R3). */
import type { AcceptorEvent } from '../../paxos/acceptor.ts';
import { isFast, type Ballot } from '../../paxos/ballot.ts';
import type { FromAcceptor, ToAcceptor, ToLearner } from '../../paxos/messages.ts';
import type { Note } from '../../paxos/notes.ts';
import type { TraceMember, TraceMessage } from '../../wire/codec/trace.ts';
import type { Outgoing } from '../outgoing.ts';
import { LEARNERS, learner, noteDraft, proposer, shown, shownEntry, valuesOf, votesOf } from './role-trace.ts';
import type { TracedValues } from './proposal-match.ts';
import type { TraceDraft, Tracer } from './tracer.ts';

/** Tokens of proposers that are remembered: an answer follows soon. */
const ASKERS_MAX = 256;

export class AcceptorTrace {
  readonly tracer: Tracer;
  readonly #learnerOf: (token: string) => number | undefined;
  /** Who asks under a token; the one that was heard last is the last. A fast ballot does not say who uses it. */
  readonly #askers = new Map<string, number>();
  /** Of the message that is being handled: who sent it, and the value that it has. */
  #asked: Pick<TraceDraft, 'peer' | 'value'> = {};
  #cause = 0;

  /** `learnerOf`: the learner at the other end of what a token names. */
  constructor(tracer: Tracer, learnerOf: (token: string) => number | undefined) {
    this.tracer = tracer;
    this.#learnerOf = learnerOf;
  }

  get isOn(): boolean {
    return this.tracer.isOn;
  }

  /** The event that is being handled, for what it causes later. 0 while nobody follows. */
  get cause(): number {
    return this.tracer.isOn ? this.#cause : 0;
  }

  event(event: AcceptorEvent): void {
    this.#cause = 0;
    this.#asked = {};
    if (event.kind === 'proposer') this.#heard(event.from, event.owner.proposer);
    if (event.kind === 'proposer') this.#fromProposer(proposer(event.owner.proposer), event.message);
    else if (event.kind === 'learner' && event.message.kind === 'fetch') {
      const { log, from: first, to } = event.message;
      const peer = this.#learner(event.from);
      this.#cause = this.#record({ kind: 'received', message: 'fetch', peer, log, first, count: to - first });
    } else if (event.kind === 'proposer-gone')
      this.#record({ kind: 'peer', peer: proposer(event.owner.proposer), word: 'gone' });
  }

  note(note: Note): void {
    const draft = noteDraft(note);
    if (draft === undefined) return;
    const isOfNobody = (note.kind === 'voted' || note.kind === 'rejected') && isFast(note.ballot);
    this.#record({ ...draft, ...(isOfNobody ? this.#asked : {}), cause: this.#cause });
  }

  /** Something leaves; `cause` is what `cause` was when it was made. */
  sent(outgoing: Outgoing, cause: number): void {
    switch (outgoing.kind) {
      case 'reply':
        return this.#replied(outgoing.to, outgoing.message, cause);
      case 'publish': {
        const { log, ballot, first, count, batch } = outgoing.votes;
        const value = isFast(ballot) ? shown(this.tracer, batch) : undefined;
        const draft = { message: 'votes', peer: LEARNERS, log, ballot, first, count, value, cause } as const;
        this.#record({ kind: 'sent', ...draft }, valuesOf(first, batch));
        return;
      }
      case 'reply-learner':
        return this.#toLearner(this.#learner(outgoing.to), outgoing.message, cause);
      default:
        return;
    }
  }

  /** The journal is durable up to this position; `count` entries are new. */
  synced(position: number, count: number): void {
    this.#record({ kind: 'synced', first: position, count });
  }

  #fromProposer(peer: TraceMember, message: ToAcceptor): void {
    const received = (name: TraceMessage, ballot: Ballot | undefined, more: Partial<TraceDraft>, v?: TracedValues) => {
      const log = 'log' in message ? message.log : '';
      this.#cause = this.#record({ kind: 'received', message: name, peer, log, ballot, ...more }, v);
    };
    switch (message.kind) {
      case 'prepare': {
        const { ballot, from: first, purpose: word } = message;
        return received(message.ask ? 'ask' : 'prepare', ballot, { first, word });
      }
      case 'accept': {
        const { ballot, first, batch } = message;
        const value = shown(this.tracer, batch);
        this.#asked = { peer, value };
        return received('accept', ballot, { first, count: batch.count, value }, valuesOf(first, batch));
      }
      case 'resign':
        return received('resign', message.ballot, {});
      case 'any':
        return received('any', message.ballot, { first: message.from });
      default:
        if (!this.tracer.wantsIdle) return;
        return received(message.kind, undefined, message.kind === 'tell' ? { first: message.watermark } : {});
    }
  }

  #heard(token: string, id: number): void {
    this.#askers.delete(token);
    this.#askers.set(token, id);
    if (this.#askers.size <= ASKERS_MAX) return;
    const [oldest = ''] = this.#askers.keys();
    this.#askers.delete(oldest);
  }

  #replied(to: string, message: FromAcceptor, cause: number): void {
    const { log, ballot } = message;
    // Who did not ask is told because the ballot is its own.
    const peer = proposer(this.#askers.get(to) ?? ballot.proposer);
    const common = { kind: 'sent', peer, log, ballot, cause } as const;
    switch (message.kind) {
      case 'promised': {
        const { from: first, votes } = message;
        const draft = { ...common, message: 'promise', first, votes: votesOf(this.tracer, votes) } as const;
        this.#record(draft, () => votes.map((vote) => ({ first: vote.first, values: vote.batch.values() })));
        return;
      }
      case 'would-promise':
        this.#record({ ...common, message: 'would-promise' });
        return;
      case 'rejected': {
        const { first, reason: word, promised: higher } = message;
        const value = shownEntry(this.tracer, message.voted);
        this.#record({ ...common, message: 'reject', first, higher, word, value, count: first === undefined ? 0 : 1 });
        return;
      }
      case 'accepted': {
        const { first, count } = message;
        this.#record({ ...common, message: 'accepted', first, count, value: shownEntry(this.tracer, message.voted) });
        return;
      }
      case 'opened':
        this.#record({ ...common, message: 'opened' });
        return;
    }
  }

  #toLearner(peer: TraceMember, message: ToLearner, cause: number): void {
    if (message.kind !== 'votes') return;
    const { log, ballot, first, count, batch } = message;
    const draft = { kind: 'sent', message: 'votes', peer, log, ballot, first, count, cause } as const;
    this.#record(draft, valuesOf(first, batch));
  }

  #learner(token: string): TraceMember {
    const id = this.#learnerOf(token);
    return id === undefined ? LEARNERS : learner(id);
  }

  #record(draft: TraceDraft, values?: TracedValues): number {
    return this.tracer.record(draft, values);
  }
}
