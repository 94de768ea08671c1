/** What a proposer tells: proposals and their answers, both phases as it sees them, and who leads. */
import type { Ballot } from '../../paxos/ballot.ts';
import type { FromAcceptor, ToAcceptor } from '../../paxos/messages.ts';
import type { Answer, PeerMessage } from '../../paxos/peers.ts';
import type { ProposerEvent } from '../../paxos/proposer.ts';
import type { ProposerEffect } from '../../paxos/proposing.ts';
import type { ProposalId, TraceMember, TraceMessage } from '../../wire/codec/trace.ts';
import { isOpening, proposalOf } from './proposal-match.ts';
import type { TracedValues } from './proposal-match.ts';
import { ACCEPTORS, acceptor, noteDraft, proposer, shown, shownEntry, valuesOf, votesOf } from './role-trace.ts';
import type { MachineTrace } from './role-trace.ts';
import type { TraceDraft, Tracer } from './tracer.ts';

interface Taken {
  readonly log: string;
  /** Known only while somebody looks for a proposal. */
  readonly proposal: ProposalId | undefined;
}

interface TakenHere extends Taken {
  readonly isFast: boolean;
}

/** Proposals whose log is remembered until they are answered; of more of them the log is not told. */
const TAKEN_MAX = 20_000;

export class ProposerTrace implements MachineTrace<ProposerEvent, ProposerEffect> {
  readonly tracer: Tracer;
  readonly #acceptors: readonly number[];
  #beginning = -1;
  #cause = 0;
  readonly #taken = new Map<number, TakenHere>();
  /** Logs of what was forwarded: by this proposer under its number, and to it under the peer and the peer's number. */
  readonly #forwarded = new Map<number, Taken>();
  readonly #forMe = new Map<string, Taken>();
  /** Proposals that came one after the other are told together. */
  #gathered: { log: string; count: number } | undefined;
  #answered: { log: string; ballot: Ballot | undefined; first: number; count: number; cause: number } | undefined;

  /** `acceptors`: their ids by position. */
  constructor(tracer: Tracer, acceptors: readonly number[]) {
    this.tracer = tracer;
    this.#acceptors = acceptors;
  }

  event(event: ProposerEvent): void {
    if (this.#beginning !== this.tracer.beginnings) this.#begin();
    if (event.kind === 'propose') return this.#propose(event);
    this.#tellGathered();
    this.#cause = 0;
    if (event.kind === 'acceptor')
      this.#fromAcceptor(acceptor(this.#acceptors[event.from] ?? event.from + 1), event.message);
    else if (event.kind === 'peer' && event.isMadeHere !== true) this.#fromPeer(event.from, event.message);
  }

  effect(effect: ProposerEffect): void {
    switch (effect.kind) {
      case 'answer':
        return this.#answer(effect.token, effect.answer);
      case 'to-acceptor':
        return this.#toAcceptor(effect.to, effect.message);
      case 'to-peer':
        return this.#toPeer(effect.to, effect.message);
      case 'note': {
        const draft = noteDraft(effect.note);
        if (draft !== undefined) this.#record({ ...draft, cause: this.#cause });
        return;
      }
      default:
        return;
    }
  }

  end(): void {
    this.#tellAnswered();
  }

  #begin(): void {
    this.#beginning = this.tracer.beginnings;
    this.#taken.clear();
    this.#forwarded.clear();
    this.#forMe.clear();
    this.#gathered = undefined;
    this.#answered = undefined;
  }

  #propose({ log, token, entry, protocol }: ProposerEvent & { kind: 'propose' }): void {
    this.#cause = 0;
    const proposal = this.tracer.wantsEntries || protocol !== 'multi' ? proposalOf(entry) : undefined;
    if (this.#taken.size < TAKEN_MAX) this.#taken.set(token, { log, proposal, isFast: protocol === 'fast' });
    if (proposal !== undefined) {
      this.#cause = this.#record({ kind: 'proposed', log, count: 1, proposal, word: protocol });
      return;
    }
    if (isOpening(entry)) {
      this.#cause = this.#record({ kind: 'proposed', log, count: 1, word: 'session' });
      return;
    }
    if (this.#gathered?.log === log) {
      this.#gathered.count++;
      return;
    }
    this.#tellGathered();
    this.#gathered = { log, count: 1 };
  }

  #tellGathered(): void {
    const gathered = this.#gathered;
    if (gathered === undefined) return;
    this.#gathered = undefined;
    this.#record({ kind: 'proposed', log: gathered.log, count: gathered.count, word: 'multi' });
  }

  #answer(token: number, answer: Answer): void {
    const taken = this.#taken.get(token);
    this.#taken.delete(token);
    const log = taken?.log ?? '';
    const proposal = taken?.proposal;
    if (answer.kind === 'refused') {
      const { code, message } = answer;
      this.#record({
        ...{ kind: 'answered', log, count: 1, word: 'refused', cause: this.#cause },
        ...{ proposal, why: `${code}: ${message}` },
      });
      return;
    }
    const { slot, ballot } = answer;
    const why = taken?.isFast === true ? (answer.path ?? 'classic') : '';
    const last = this.#answered;
    if (proposal === undefined && why === '' && last?.log === log && last.first + last.count === slot) {
      last.count++;
      return;
    }
    this.#tellAnswered();
    if (proposal === undefined && why === '')
      this.#answered = { log, ballot, first: slot, count: 1, cause: this.#cause };
    else
      this.#record({
        ...{ kind: 'answered', log, word: 'chosen', why, ballot, first: slot, count: 1, proposal },
        cause: this.#cause,
      });
  }

  #tellAnswered(): void {
    const answered = this.#answered;
    if (answered === undefined) return;
    this.#answered = undefined;
    this.#record({ kind: 'answered', word: 'chosen', ...answered });
  }

  #toAcceptor(to: number | undefined, message: ToAcceptor): void {
    const peer = to === undefined ? ACCEPTORS : acceptor(this.#acceptors[to] ?? to + 1);
    switch (message.kind) {
      case 'prepare': {
        const { log, ballot, from: first, purpose: word } = message;
        return this.#sent(message.ask ? 'ask' : 'prepare', peer, { log, ballot, first, word });
      }
      case 'accept': {
        const { log, ballot, first, batch } = message;
        const draft = { log, ballot, first, count: batch.count, value: shown(this.tracer, batch) };
        return this.#sent('accept', peer, draft, valuesOf(first, batch));
      }
      case 'resign':
        return this.#sent('resign', peer, { log: message.log, ballot: message.ballot });
      case 'tell':
        if (this.tracer.wantsIdle) this.#sent('tell', peer, { log: message.log, first: message.watermark });
        return;
      case 'alive':
        if (this.tracer.wantsIdle) this.#sent('alive', peer, {});
        return;
      case 'any':
        return this.#sent('any', peer, { log: message.log, ballot: message.ballot, first: message.from });
    }
  }

  #fromAcceptor(peer: TraceMember, message: FromAcceptor): void {
    const { log, ballot } = message;
    switch (message.kind) {
      case 'promised': {
        const { from: first, votes } = message;
        const draft = { log, ballot, first, votes: votesOf(this.tracer, votes) };
        return this.#received('promise', peer, draft, () =>
          votes.map((vote) => ({ first: vote.first, values: vote.batch.values() })),
        );
      }
      case 'would-promise':
        return this.#received('would-promise', peer, { log, ballot });
      case 'rejected': {
        const { first, reason: word, promised: higher } = message;
        const [value, count] = [shownEntry(this.tracer, message.voted), first === undefined ? 0 : 1];
        return this.#received('reject', peer, { log, ballot, first, higher, word, value, count });
      }
      case 'accepted': {
        const { first, count } = message;
        return this.#received('accepted', peer, {
          ...{ log, ballot, first, count },
          value: shownEntry(this.tracer, message.voted),
        });
      }
      case 'opened':
        return this.#received('opened', peer, { log, ballot });
    }
  }

  #toPeer(to: number, message: PeerMessage): void {
    const peer = proposer(to);
    switch (message.kind) {
      case 'forward': {
        const { log, id: number, entry } = message;
        const proposal = this.tracer.wantsEntries ? proposalOf(entry) : undefined;
        if (this.#forwarded.size < TAKEN_MAX) this.#forwarded.set(number, { log, proposal });
        return this.#sent('forward', peer, { log, number, proposal });
      }
      case 'forwarded': {
        const key = `${String(to)}.${String(message.id)}`;
        const taken = this.#forMe.get(key);
        this.#forMe.delete(key);
        return this.#sent('forwarded', peer, { ...forwardedDraft(message.answer), ...taken, number: message.id });
      }
      case 'take-over':
        return this.#sent('take-over', peer, { log: message.log });
      case 'finish':
        return this.#sent('finish', peer, { log: message.log, first: message.from, count: message.to - message.from });
      default:
        if (this.tracer.wantsIdle) this.#sent('heartbeat', peer, {});
    }
  }

  #fromPeer(from: number, message: PeerMessage): void {
    const peer = proposer(from);
    switch (message.kind) {
      case 'forward': {
        const { log, id: number, entry } = message;
        const proposal = this.tracer.wantsEntries ? proposalOf(entry) : undefined;
        if (this.#forMe.size < TAKEN_MAX) this.#forMe.set(`${String(from)}.${String(number)}`, { log, proposal });
        return this.#received('forward', peer, { log, number, proposal });
      }
      case 'forwarded': {
        const taken = this.#forwarded.get(message.id);
        this.#forwarded.delete(message.id);
        return this.#received('forwarded', peer, { ...forwardedDraft(message.answer), ...taken, number: message.id });
      }
      case 'take-over':
        return this.#received('take-over', peer, { log: message.log });
      case 'finish':
        return this.#received('finish', peer, {
          ...{ log: message.log, first: message.from, count: message.to - message.from },
        });
      default:
        if (this.tracer.wantsIdle) this.#received('heartbeat', peer, {});
    }
  }

  #sent(message: TraceMessage, peer: TraceMember, draft: Partial<TraceDraft>, values?: TracedValues): void {
    this.#record({ ...draft, kind: 'sent', message, peer, cause: this.#cause }, values);
  }

  #received(message: TraceMessage, peer: TraceMember, draft: Partial<TraceDraft>, values?: TracedValues): void {
    this.#cause = this.#record({ ...draft, kind: 'received', message, peer }, values);
  }

  #record(draft: TraceDraft, values?: TracedValues): number {
    // What was gathered came before.
    if (this.#gathered !== undefined) this.#tellGathered();
    if (this.#answered !== undefined && draft.kind !== 'answered') this.#tellAnswered();
    return this.tracer.record(draft, values);
  }
}

function forwardedDraft(answer: Answer): Partial<TraceDraft> {
  if (answer.kind === 'refused') return { word: 'refused', why: `${answer.code}: ${answer.message}` };
  return { word: 'chosen', first: answer.slot, count: 1, ballot: answer.ballot };
}
