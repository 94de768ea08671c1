/**
 * The shipped machines as nodes of a world. A node takes one deed at a time and gathers what comes of it; `key` tells its states
 * apart. Nothing of the protocol is written here.
 */
import { setImmediate } from 'node:timers/promises';
import type { Batch } from '../../shared/base/batch.ts';
import type { Fifo } from '../../shared/base/fifo.ts';
import { Acceptor, type AcceptorOptions } from '../../shared/paxos/acceptor.ts';
import { compareBallots, sameBallot, type Ballot } from '../../shared/paxos/ballot.ts';
import { Learner, type LearnerEvent } from '../../shared/paxos/learner.ts';
import type { AcceptorRecord } from '../../shared/paxos/messages.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import { Proposer, type ProposerEvent } from '../../shared/paxos/proposer.ts';
import type { Admission, ProposerEffect, ProposerOptions } from '../../shared/paxos/proposing.ts';
import { bitCount, type QuorumSystem } from '../../shared/paxos/quorum.ts';
import { AcceptorNode, replay, type Outgoing } from '../../shared/runtime/acceptor-node.ts';
import { decodeRecord, encodeRecord } from '../../shared/wire/codec/record.ts';
import { canonical, TIME_BEGIN, TIME_JUMP } from './canonical.ts';
import type { Claim, Deed, Out, Outcome } from './deeds.ts';
import { ModelJournal } from './journal.ts';

export const LOG = 'log';
export const NO_OP = 'no-op';

/** A machine in its shell, driven by deeds. */
export abstract class ModelNode {
  protected outs: Out[] = [];
  protected claims: Claim[] = [];
  protected marks = new Set<string>();
  protected complaint: string | undefined;
  protected isBeyond = false;

  /** What may happen to it by itself, messages aside. */
  abstract offers(): Deed[];
  abstract key(): string;
  protected abstract handle(deed: Deed): void | Promise<void>;

  async do(deed: Deed): Promise<Outcome> {
    this.outs = [];
    this.claims = [];
    this.marks = new Set();
    this.complaint = undefined;
    this.isBeyond = false;
    try {
      await this.handle(deed);
    } catch (error) {
      this.complaint = error instanceof Error ? error.message : String(error);
    }
    const { outs, claims, complaint, isBeyond } = this;
    return { outs, claims, marks: [...this.marks], complaint, isBeyond };
  }
}

/** Never refuses for a leader's grace: whether that ran out is a matter of time, and time is not on anybody's side here. */
const ACCEPTOR_OPTIONS: Partial<AcceptorOptions> = { graceMs: 0 };

export class AcceptorInWorld extends ModelNode {
  readonly #canCrash: boolean;
  #restarts = 0;
  #journal = new ModelJournal([]);
  #machine = new Acceptor(0, ACCEPTOR_OPTIONS);
  #node: AcceptorNode;
  /** Votes that were on the disk before the last restart. */
  #votesBefore: AcceptorRecord[] = [];

  /** `canCrash`: its syncs are deeds of their own until it has. Without a crash a late sync is no more than a late message. */
  constructor(canCrash: boolean) {
    super();
    this.#canCrash = canCrash;
    this.#node = this.#shell();
  }

  #shell(): AcceptorNode {
    return new AcceptorNode(this.#machine, this.#journal, {
      now: () => TIME_BEGIN,
      random: () => 0.5,
      soon: (callback) => {
        callback();
      },
      onFatal: (error) => {
        this.complaint = error instanceof Error ? error.message : String(error);
      },
      encode: encodeRecord,
      decode: decodeRecord,
      send: (message) => {
        this.#send(message);
      },
      flush: () => undefined,
      note: (note) => {
        if (note.kind === 'rejected') this.marks.add(`a reject: ${note.reason}`);
      },
    });
  }

  get #syncsAtOnce(): boolean {
    return !this.#canCrash || this.#restarts > 0;
  }

  offers(): Deed[] {
    if (this.#syncsAtOnce) return [];
    const restart = { kind: 'restart', higher: false } as const;
    if (this.#journal.isSynced) return [{ ...restart, keeps: false }];
    return [{ kind: 'sync' }, { ...restart, keeps: false }, { ...restart, keeps: true }];
  }

  protected async handle(deed: Deed): Promise<void> {
    if (deed.kind === 'sync') this.#journal.sync();
    else if (deed.kind === 'restart') await this.#restart(deed.keeps);
    else if (deed.kind === 'hear') this.#hear(deed);
    // Old votes are read back by promises that are kept at once.
    while (this.#journal.takeReads() > 0) await setImmediate();
    if (this.#syncsAtOnce) this.#journal.sync();
  }

  #hear(deed: Deed & { kind: 'hear' }): void {
    const { body } = deed;
    if (!isForAcceptor(body)) return;
    const owner = 'ballot' in body ? body.ballot : { proposer: deed.from + 1, incarnation: '' };
    this.#node.post({ kind: 'proposer', from: String(deed.from), owner, message: body });
  }

  async #restart(keeps: boolean): Promise<void> {
    this.#node.stop();
    this.#restarts++;
    this.#journal = new ModelJournal(keeps ? this.#journal.all : this.#journal.durable);
    this.#machine = new Acceptor(this.#journal.newest + 1, ACCEPTOR_OPTIONS);
    await replay(this.#machine, this.#journal, [], decodeRecord);
    this.#journal.takeReads();
    this.#node = this.#shell();
    this.#votesBefore = this.#journal.durable.map(decodeRecord).filter((record) => record.kind === 'vote');
  }

  #send(message: Outgoing): void {
    if (message.kind === 'publish') this.outs.push({ to: 'record', body: message.votes });
    if (message.kind !== 'reply') return;
    const body = message.message;
    this.outs.push({ to: Number(message.to), body });
    const durable = this.#journal.durable.map(decodeRecord);
    if (
      body.kind === 'promised' &&
      !durable.some((r) => r.kind === 'promise' && compareBallots(r.ballot, body.ballot) >= 0)
    )
      this.complaint ??= 'R3: a promise left before it was durable';
    if (body.kind === 'accepted' && !durable.some((r) => isVoteOf(r, body.ballot, body.first)))
      this.complaint ??= 'R3: a vote left before it was durable';
    if (body.kind !== 'promised') return;
    for (const vote of body.votes)
      if (this.#votesBefore.some((r) => isVoteOf(r, vote.ballot, vote.first)))
        this.marks.add('a vote survives a crash');
  }

  key(): string {
    const restored = this.#restored(this.#journal.all, true);
    const live = `${canonical(this.#machine)} ${restored}`;
    if (!this.#canCrash) return live;
    const then = `${this.#restored(this.#journal.durable, false)} ${this.#restored(this.#journal.all, false)}`;
    return `${live} ${then} ${this.#held()} ${this.#restarts} ${this.#votesBefore.length}`;
  }

  /** What waits for the next sync, which lets all of it go. Twice the same is the same: the network takes it once. */
  #held(): string {
    const { $held } = this.#node as unknown as { $held: Fifo<{ effect: unknown }> };
    return [...new Set($held.toArray().map(({ effect }) => canonical(effect)))].sort().join();
  }

  /**
   * What a start would make of these entries, by the shipped `restore`. `whole`: with the watermarks taken out, so that the
   * votes below them show as well: they are what reading old votes back would find.
   */
  #restored(entries: readonly Uint8Array[], whole: boolean): string {
    const machine = new Acceptor(entries.length, ACCEPTOR_OPTIONS);
    entries.forEach((entry, position) => {
      const record = decodeRecord(entry);
      machine.restore(whole && record.kind === 'vote' ? { ...record, watermark: 0 } : record, position);
    });
    return canonical(machine);
  }
}

function isForAcceptor(body: {
  kind: string;
}): body is Extract<Parameters<AcceptorNode['post']>[0], { kind: 'proposer' }>['message'] {
  return ['prepare', 'accept', 'any', 'resign', 'tell', 'alive'].includes(body.kind);
}

function isVoteOf(record: AcceptorRecord, ballot: Ballot, slot: number): boolean {
  return (
    record.kind === 'vote' &&
    sameBallot(record.ballot, ballot) &&
    record.first <= slot &&
    slot < record.first + record.batch.count
  );
}

/** Heartbeats, the probe and resends are switched off: a message in the network is there for good, so nothing is sent twice. */
const PROPOSER_OPTIONS: Partial<ProposerOptions> = {
  heartbeatMs: Infinity,
  probeMs: Infinity,
  resendMs: Infinity,
  // A log that is led is opened at the next tick for which FAST proposals ask.
  fastWaitMsMin: TIME_JUMP,
  fastWaitMsMax: TIME_JUMP,
};

/** A stand-in for a learner's session table: it tells values apart by their bytes. Sessions are the simulator's matter. */
class Known implements Admission {
  readonly slots = new Map<string, number>();
  next = 0;

  /** The same, of the slots below `end` alone. */
  upTo(end: number): Known {
    const known = new Known();
    known.next = end;
    for (const [entry, slot] of this.slots) if (slot < end) known.slots.set(entry, slot);
    return known;
  }

  check(entry: Uint8Array): ReturnType<Admission['check']> {
    const slot = this.slots.get(textOf(entry));
    return slot === undefined ? { kind: 'new' } : { kind: 'known', slot };
  }
  feed(slot: number, entry: Uint8Array): void {
    this.next = slot + 1;
    if (textOf(entry) !== NO_OP && !this.slots.has(textOf(entry))) this.slots.set(textOf(entry), slot);
  }
}

export interface ProposerLimits {
  /** Ballots that one start of this proposer may use. */
  readonly ballots: number;
  readonly ballotsAfterRestart: number;
  /** Values that clients may ask this proposer for: one of each group, in the order of the groups. */
  readonly asks: readonly (readonly string[])[];
  readonly asksAfterRestart: readonly (readonly string[])[];
  /**
   * `basic` and `fast`: a decree. `multi`: a log. `opener`: a log, by Multi-Paxos at first and FAST from the second value on, for
   * which it is opened. `voter`: a log, FAST.
   */
  readonly protocol: 'basic' | 'multi' | 'fast' | 'opener' | 'voter';
  readonly canCrash: boolean;
  /** A learner may ask this proposer once to finish the slots below this one; 0 for never. */
  readonly finishTo: number;
}

const INCARNATION = '8'.repeat(16);

export class ProposerInWorld extends ModelNode {
  readonly #position: number;
  readonly #quorum: QuorumSystem;
  readonly #limits: ProposerLimits;
  #machine: Proposer;
  #incarnation = INCARNATION;
  #now = TIME_BEGIN;
  #restarts = 0;
  #asked: string[] = [];
  /** The table that the machine was given last, which it feeds. */
  #known = new Known();
  #wasAskedToFinish = false;
  readonly #ballots = new Set<string>();

  constructor(position: number, quorum: QuorumSystem, limits: ProposerLimits) {
    super();
    this.#position = position;
    this.#quorum = quorum;
    this.#limits = limits;
    this.#machine = this.#start();
  }

  #start(): Proposer {
    const owner = { proposer: this.#position + 1, incarnation: this.#incarnation };
    return new Proposer(owner, this.#quorum, [owner.proposer], bytesOf(NO_OP), PROPOSER_OPTIONS);
  }

  offers(): Deed[] {
    const { protocol, canCrash, finishTo } = this.#limits;
    const asks = this.#restarts > 0 ? this.#limits.asksAfterRestart : this.#limits.asks;
    const deeds: Deed[] = [{ kind: 'tick' }];
    const by = protocol === 'opener' ? (this.#asked.length === 0 ? 'multi' : 'fast') : protocol;
    for (const value of asks[this.#asked.length] ?? [])
      deeds.push({ kind: 'ask', value, protocol: by === 'voter' ? 'fast' : by });
    if (finishTo > 0 && !this.#wasAskedToFinish) deeds.push({ kind: 'finish', to: finishTo });
    // A start that sent nothing is like no start.
    if (canCrash && this.#restarts === 0 && this.#ballots.size > 0)
      for (const higher of [false, true]) deeds.push({ kind: 'restart', keeps: false, higher });
    return deeds;
  }

  protected handle(deed: Deed): void {
    switch (deed.kind) {
      case 'ask': {
        const token = this.#asked.push(deed.value);
        this.outs.push({ to: 'record', body: { kind: 'asked', value: deed.value } });
        const { value, protocol } = deed;
        return this.#step({
          kind: 'propose',
          token,
          log: LOG,
          entry: bytesOf(value),
          protocol,
          decree: this.#isDecree,
          retry: false,
          timeoutMs: Infinity,
        });
      }
      case 'tick':
        this.#now += TIME_JUMP;
        return this.#step({ kind: 'tick' });
      case 'finish':
        this.#wasAskedToFinish = true;
        return this.#step({ kind: 'finish', log: LOG, from: 0, to: deed.to });
      case 'restart':
        this.#restarts++;
        this.#incarnation = (deed.higher ? 'c' : '4').repeat(16);
        this.#asked = [];
        this.#known = new Known();
        this.#ballots.clear();
        this.#machine = this.#start();
        return;
      case 'hear':
        if (isForProposer(deed.body)) this.#step({ kind: 'acceptor', from: deed.from, message: deed.body });
        return;
      case 'sync':
    }
  }

  /** As the shell does it: the event, then the end of the turn, for the inbox is empty. */
  #step(event: ProposerEvent): void {
    const moment = { now: this.#now, random: 0.5 };
    for (const next of [event, { kind: 'turn' } as const])
      for (const effect of this.#machine.step(next, moment)) this.#perform(effect);
  }

  #perform(effect: ProposerEffect): void {
    switch (effect.kind) {
      case 'to-acceptor':
        return this.#toAcceptor(effect);
      case 'load-sessions':
        return this.#loadSessions(effect.slot);
      case 'answer': {
        const { answer } = effect;
        const own = this.#asked[effect.token - 1] ?? '';
        if (answer.kind !== 'chosen') return;
        const value = answer.entry === undefined ? own : textOf(answer.entry);
        this.claims.push({ who: `proposer ${this.#position + 1}`, slot: answer.slot, value });
        this.marks.add(value === own ? 'an answer: the own value' : 'an answer: the value of another');
        return;
      }
      case 'note':
        return this.#note(effect.note);
      case 'to-peer':
      case 'read-slot':
      case 'drained':
      case 'ended':
      case 'progress':
      // There are no peers, nothing is trimmed, and nobody drains.
    }
  }

  get #isDecree(): boolean {
    return this.#limits.protocol === 'basic' || this.#limits.protocol === 'fast';
  }

  /**
   * A log of FAST proposals gets the truth, which is what this proposer itself led, or no answer: a table that lacks what was chosen
   * would have a value proposed twice. For leaders alone it makes no difference to what is checked here.
   */
  #loadSessions(slot: number): void {
    const { protocol } = this.#limits;
    const isFast = protocol === 'opener' || protocol === 'voter';
    if (isFast && this.#known.next < slot) return;
    this.#known = isFast ? this.#known.upTo(slot) : new Known();
    this.#step({ kind: 'sessions', log: LOG, next: slot, admission: this.#known });
  }

  #toAcceptor(effect: ProposerEffect & { kind: 'to-acceptor' }): void {
    const { message } = effect;
    // With a grace of 0 a sign of life says nothing.
    if (message.kind === 'alive') return;
    if (message.kind === 'prepare') {
      this.#ballots.add(canonical(message.ballot));
      const { ballots, ballotsAfterRestart } = this.#limits;
      if (this.#ballots.size > (this.#restarts > 0 ? ballotsAfterRestart : ballots)) this.isBeyond = true;
      if (message.ask) return this.#answerAsk(message.ballot);
    }
    this.outs.push({ to: effect.to ?? 'all', body: message });
  }

  /**
   * Asking changes nothing at an acceptor, and whoever asked may or may not go on: both are covered when a quorum says yes at
   * once, for what then is sent may stay on its way for ever.
   */
  #answerAsk(ballot: Ballot): void {
    for (let from = 0; bitCount((1 << from) - 1) < this.#quorum.size; from++) {
      const message = { kind: 'would-promise', log: LOG, ballot, highest: -1, watermark: 0 } as const;
      this.#step({ kind: 'acceptor', from, message });
    }
  }

  #note(note: Note): void {
    if (note.kind === 'no-op') this.marks.add('a no-op fills a slot');
    if (note.kind === 'reproposed') this.marks.add('what phase 1 found is proposed again');
    if (note.kind === 'quorum' && note.outcome !== 'reached')
      this.marks.add(`a phase ends: ${note.phase} ${note.outcome}`);
    if (note.kind === 'collision') this.marks.add('a collision');
    if (note.kind === 'fast') this.marks.add(`a fast proposal: ${note.outcome}`);
    if (note.kind === 'opened') this.marks.add('a log is opened');
    if (note.kind === 'left') this.marks.add(`FAST proposals go to a leader: ${note.why}`);
    if (note.kind === 'leader') this.marks.add(`a leader: ${note.change}`);
  }

  key(): string {
    const own = [this.#restarts, this.#incarnation[0], this.#asked, this.#wasAskedToFinish, [...this.#ballots].sort()];
    const table = canonical(this.#known);
    return `${canonical(this.#machine, this.#now)} ${JSON.stringify(own)} ${table}`;
  }
}

function isForProposer(body: { kind: string }): body is Extract<ProposerEvent, { kind: 'acceptor' }>['message'] {
  return ['promised', 'would-promise', 'rejected', 'accepted', 'opened'].includes(body.kind);
}

export class LearnerInWorld extends ModelNode {
  readonly #machine: Learner;

  constructor(quorum: QuorumSystem) {
    super();
    this.#machine = new Learner(quorum, 0);
  }

  offers(): Deed[] {
    return [];
  }

  protected handle(deed: Deed): void {
    if (deed.kind === 'hear' && deed.body.kind === 'votes')
      this.#step({ kind: 'acceptor', from: deed.from, message: deed.body });
  }

  #step(event: LearnerEvent): void {
    for (const effect of this.#machine.step(event, { now: TIME_BEGIN, random: 0.5 })) {
      if (effect.kind !== 'chosen') continue;
      valuesOf(effect.batch).forEach((value, i) => {
        this.claims.push({ who: 'the learner', slot: effect.first + i, value });
      });
      this.marks.add('a learner learns');
      this.#step({ kind: 'applied', log: LOG, next: effect.first + effect.batch.count });
    }
  }

  key(): string {
    return canonical(this.#machine);
  }
}

export function bytesOf(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, 'latin1'));
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function valuesOf(batch: Batch): string[] {
  return batch.values().map(textOf);
}
