/**
 * Watches from outside: what was really sent and voted, applied and answered, and what the disks really hold; never what a node
 * says of itself. Any disagreement with the rules throws a Violation.
 */
import { createHash } from 'node:crypto';
import { Batch } from '../../shared/base/batch.ts';
import type { Applied } from '../../shared/machine/sessions.ts';
import type { Entry, UnknownEntry } from '../../shared/machine/entry.ts';
import type { AcceptorLogStatus } from '../../shared/paxos/acceptor.ts';
import {
  CLASSIC,
  compareBallots,
  formatBallot,
  maxBallot,
  type Ballot,
  type Owner,
} from '../../shared/paxos/ballot.ts';
import type { Accept, Promised, ToLearner } from '../../shared/paxos/messages.ts';
import type { Outgoing } from '../../shared/runtime/acceptor-node.ts';
import type { DiskView } from './disk-view.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

/** A value that was sent for a slot at a ballot, and who voted for it. At a fast ballot there may be several. */
interface Sent {
  readonly ballot: Ballot;
  readonly value: string;
  /** Positions of acceptors, as a set of bits. */
  voters: number;
}

interface SlotRecord {
  /** By ballot, and at fast ones by the value's identity as well. */
  readonly ballots: Map<string, Sent>;
  chosen: Sent | undefined;
  chosenAt: number;
  /** What it was applied as, by the first learner that applied it. */
  applied: Applied | undefined;
}

interface LogRecord {
  readonly slots: Map<number, SlotRecord>;
  /** The greatest ballot that each acceptor was seen to promise. */
  readonly promised: Map<number, Ballot>;
  /** By acceptor and slot: the greatest ballot that it was seen to vote at. */
  readonly voted: Map<number, Map<number, Ballot>>;
  /** Where each id took effect: the same at every learner. */
  readonly effects: Map<string, number>;
  /** Proposals answered as chosen. */
  readonly answered: Map<string, number>;
  /** Ids that were refused with outcome none, and never sent again (R15). */
  readonly never: Set<string>;
  /** One above the greatest slot that was acknowledged, or read. */
  known: number;
}

export interface OracleOptions {
  /** Whether these positions, as a set of bits, are a phase-2 quorum: by an enumeration that is not the machines' own. */
  readonly isPhase2: (voters: number) => boolean;
  /** The same for fast quorums. */
  readonly isFast: (voters: number) => boolean;
  readonly noOp: Uint8Array;
  readonly now: () => number;
  readonly count: (what: string) => void;
}

export class Oracle {
  readonly #options: OracleOptions;
  readonly #logs = new Map<string, LogRecord>();
  readonly #proposed = new Set<string>();
  chosen = 0;
  answered = 0;
  reads = 0;

  constructor(options: OracleOptions) {
    this.#options = options;
    this.#proposed.add(text(options.noOp));
  }

  #log(name: string): LogRecord {
    let log = this.#logs.get(name);
    if (log === undefined) {
      log = {
        slots: new Map(),
        promised: new Map(),
        voted: new Map(),
        effects: new Map(),
        answered: new Map(),
        never: new Set(),
        known: 0,
      };
      this.#logs.set(name, log);
    }
    return log;
  }

  #slot(log: LogRecord, slot: number): SlotRecord {
    let record = log.slots.get(slot);
    if (record === undefined)
      log.slots.set(slot, (record = { ballots: new Map(), chosen: undefined, chosenAt: 0, applied: undefined }));
    return record;
  }

  // ── proposers ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A client proposes these bytes: only what somebody proposed may be chosen. */
  proposes(bytes: Uint8Array): void {
    this.#proposed.add(text(bytes));
  }

  /** A proposer sent an Accept: one value per (log, slot, classic ballot), for ever, and none that contradicts a choice (R2, R8). */
  accepts(message: Accept, owner: Owner): void {
    const { ballot } = message;
    const isOwners = ballot.proposer === owner.proposer && ballot.incarnation === owner.incarnation;
    if (ballot.kind === CLASSIC && !isOwners)
      throw new Violation(`R2: proposer ${String(owner.proposer)} sends an Accept at ${formatBallot(ballot)}`);
    this.#values(message.log, ballot, message.first, message.batch);
  }

  #values(name: string, ballot: Ballot, first: number, batch: Batch): void {
    const log = this.#log(name);
    let slot = first;
    for (const bytes of batch.values()) {
      const value = text(bytes);
      const record = this.#slot(log, slot);
      const key = sentKey(ballot, identityBySight(ballot, bytes));
      const known = record.ballots.get(key);
      if (known === undefined) {
        this.#countFound(record, ballot, value);
        record.ballots.set(key, { ballot, value, voters: 0 });
        // R8: whoever passed phase 1 above a choice has found its value.
        const { chosen } = record;
        // At a fast ballot nobody passed phase 1 who sends: there it is the votes that must not contradict a choice.
        const isAbove = chosen !== undefined && compareBallots(ballot, chosen.ballot) > 0;
        if (isAbove && ballot.kind === CLASSIC && chosen.value !== value)
          throw new Violation(
            `R8: ${formatBallot(ballot)} sends another value for slot ${slot} of ${name} than was chosen at ${formatBallot(chosen.ballot)}`,
          );
      } else if (known.value !== value)
        throw new Violation(`R2: two values at ballot ${formatBallot(ballot)} in slot ${slot} of ${name}`);
      slot++;
    }
  }

  #countFound(record: SlotRecord, ballot: Ballot, value: string): void {
    if (ballot.kind !== CLASSIC) return;
    for (const other of record.ballots.values())
      if (other.ballot.kind !== CLASSIC && other.voters !== 0)
        this.#options.count(other.value === value ? 'fast votes found by phase 1' : 'fast votes of no use');
  }

  // ── acceptors ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Something left an acceptor: what it says, and whether all of it is on the acceptor's disk. */
  left(acceptor: number, effect: Outgoing, disk: DiskView): void {
    switch (effect.kind) {
      case 'reply': {
        const { message } = effect;
        if (message.kind === 'promised') this.#promised(acceptor, message, disk);
        else if (message.kind === 'accepted') {
          const { log, ballot, first, count, identity } = message;
          this.#voted(acceptor, log, { ballot, first, count, batch: undefined, identity }, true, disk);
        } else if (message.kind === 'rejected') {
          const durable = disk.log(message.log);
          if (compareBallots(message.promised, maxBallot(durable.promised, durable.voted)) > 0)
            this.#notDurable(acceptor, `a reject for ballot ${formatBallot(message.promised)}`, message.log);
          this.#floor(acceptor, message.log, message.floor, disk);
          const { log, ballot, first = 0, voted } = message;
          if (voted !== undefined)
            this.#voted(acceptor, log, { ballot, first, count: 1, batch: Batch.of([voted]) }, false, disk);
        }
        return;
      }
      case 'publish': {
        return this.#voted(acceptor, effect.votes.log, effect.votes, true, disk);
      }
      case 'reply-learner':
        return this.#toldLearner(acceptor, effect.message, disk);
      case 'reply-tip': {
        const { log, tip } = effect.message;
        const durable = disk.log(log);
        if (tip > Math.max(durable.highest, durable.floor - 1)) this.#notDurable(acceptor, `tip ${tip}`, log);
        return;
      }
      case 'reply-forget':
    }
  }

  #notDurable(acceptor: number, what: string, log: string): never {
    throw new Violation(`R3: ${what} of ${log} left acceptor ${acceptor} before it was durable`);
  }

  #floor(acceptor: number, log: string, floor: number, disk: DiskView): void {
    if (floor > disk.log(log).floor) this.#notDurable(acceptor, `floor ${floor}`, log);
  }

  #promised(acceptor: number, message: Promised, disk: DiskView): void {
    const { ballot, from, until, votes, floor } = message;
    const log = this.#log(message.log);
    const before = log.promised.get(acceptor);
    if (before !== undefined && compareBallots(ballot, before) < 0)
      throw new Violation(`R1: acceptor ${acceptor} promised ${formatBallot(ballot)} after ${formatBallot(before)}`);
    log.promised.set(acceptor, ballot);
    if (compareBallots(disk.log(message.log).promised, ballot) < 0)
      this.#notDurable(acceptor, `promise ${formatBallot(ballot)}`, message.log);
    this.#floor(acceptor, message.log, floor, disk);
    for (const { ballot: at, first, batch } of votes)
      this.#voted(acceptor, message.log, { ballot: at, first, count: batch.count, batch }, false, disk);
    // R10: what it reports from is complete. A vote that was seen to leave it is never missing.
    const mine = log.voted.get(acceptor);
    if (mine === undefined) return;
    const end = until ?? Math.max(message.highest, ...mine.keys()) + 1;
    for (let slot = from; slot < end; slot++) {
      const seen = mine.get(slot);
      if (seen === undefined) continue;
      const told = votes.find((v) => v.first <= slot && slot < v.first + v.batch.count);
      if (told === undefined || compareBallots(told.ballot, seen) < 0)
        throw new Violation(
          `R10: acceptor ${acceptor} voted in slot ${slot} of ${message.log} at ${formatBallot(seen)} and its promise does not say so`,
        );
    }
  }

  #toldLearner(acceptor: number, message: ToLearner, disk: DiskView): void {
    if (message.kind === 'votes') return this.#voted(acceptor, message.log, message, false, disk);
    if (message.highest > disk.log(message.log).highest)
      this.#notDurable(acceptor, `highest slot ${message.highest}`, message.log);
    this.#floor(acceptor, message.log, message.floor, disk);
  }

  /** `isFresh`: it says that it votes now, not that it once did; then no higher promise may have left it before. */
  #voted(
    acceptor: number,
    name: string,
    { ballot, first, count, batch, identity }: SaidVote,
    isFresh: boolean,
    disk: DiskView,
  ): void {
    const log = this.#log(name);
    const promised = log.promised.get(acceptor);
    if (isFresh && promised !== undefined && compareBallots(ballot, promised) < 0)
      throw new Violation(
        `R2: acceptor ${acceptor} votes at ${formatBallot(ballot)} below its promise ${formatBallot(promised)}`,
      );
    if (batch !== undefined) this.#values(name, ballot, first, batch);
    let mine = log.voted.get(acceptor);
    if (mine === undefined) log.voted.set(acceptor, (mine = new Map<number, Ballot>()));
    const bytes = ballot.kind === CLASSIC ? undefined : batch?.values()[0];
    const which = bytes === undefined ? identity : identityBySight(ballot, bytes);
    if (identity !== undefined && which !== identity)
      throw new Violation(
        `R9: acceptor ${acceptor} gives slot ${first} of ${name} another identity than its value has`,
      );
    const key = sentKey(ballot, which);
    for (let slot = first; slot < first + count; slot++) {
      if (!disk.hasVote(name, slot, ballot, which))
        this.#notDurable(acceptor, `the vote in slot ${slot} at ${formatBallot(ballot)}`, name);
      const before = mine.get(slot);
      if (before === undefined || compareBallots(before, ballot) < 0) mine.set(slot, ballot);
      this.#vote(log, name, acceptor, key, slot);
    }
  }

  /** R2: one vote of an acceptor at a ballot; R9: counted by value, and by the quorum of the ballot's kind. */
  #vote(log: LogRecord, name: string, acceptor: number, key: string, slot: number): void {
    const record = this.#slot(log, slot);
    const vote = record.ballots.get(key);
    if (vote === undefined) throw new Violation(`a vote in slot ${slot} of ${name} for a value that nobody sent`);
    const bit = 1 << acceptor;
    if ((vote.voters & bit) !== 0) return;
    for (const other of record.ballots.values())
      if (other !== vote && (other.voters & bit) !== 0 && compareBallots(other.ballot, vote.ballot) === 0)
        throw new Violation(`R2: acceptor ${acceptor} voted for two values at one ballot in slot ${slot} of ${name}`);
    vote.voters |= bit;
    const { chosen } = record;
    if (chosen !== undefined && chosen.value !== vote.value && compareBallots(vote.ballot, chosen.ballot) > 0)
      throw new Violation(
        `R8: acceptor ${acceptor} votes at ${formatBallot(vote.ballot)} for another value in slot ${slot} of ${name} than was chosen at ${formatBallot(chosen.ballot)}`,
      );
    const { isPhase2, isFast } = this.#options;
    if (!(vote.ballot.kind === CLASSIC ? isPhase2 : isFast)(vote.voters)) return;
    if (record.chosen === undefined && vote.ballot.kind !== CLASSIC) this.#options.count('chosen at a fast ballot');
    if (record.chosen === undefined) this.#choose(record, vote, name, slot);
    else if (record.chosen.value !== vote.value)
      throw new Violation(`agreement: two values are chosen in slot ${slot} of ${name}`);
  }

  #choose(record: SlotRecord, vote: Sent, name: string, slot: number): void {
    record.chosen = vote;
    record.chosenAt = this.#options.now();
    this.chosen++;
    if (!this.#proposed.has(vote.value))
      throw new Violation(`validity: what is chosen in slot ${slot} of ${name} was proposed by nobody`);
    for (const other of record.ballots.values())
      if (
        other.value !== vote.value &&
        compareBallots(other.ballot, vote.ballot) > 0 &&
        (other.ballot.kind === CLASSIC || other.voters !== 0)
      )
        throw new Violation(
          `R8: slot ${slot} of ${name} is chosen at ${formatBallot(vote.ballot)}, and ${formatBallot(other.ballot)} sent another value`,
        );
  }

  /** An acceptor started again: all that ever left it must have come back (R1, R3, R6). */
  recovered(acceptor: number, status: Iterable<AcceptorLogStatus>, disk: DiskView): void {
    const recovered = new Map<string, AcceptorLogStatus>();
    for (const log of status) recovered.set(log.log, log);
    for (const [name, log] of this.#logs) {
      const now = recovered.get(name);
      const promised = log.promised.get(acceptor);
      if (promised !== undefined && (now === undefined || compareBallots(now.promised, promised) < 0))
        throw new Violation(`R1: acceptor ${acceptor} lost promise ${formatBallot(promised)} of ${name} in a restart`);
      for (const [slot, ballot] of log.voted.get(acceptor) ?? []) {
        if (slot < (now?.floor ?? 0) || disk.hasVote(name, slot, ballot, undefined)) continue;
        const later = disk.log(name).votes.get(slot)?.at(-1);
        if (later === undefined || compareBallots(later, ballot) < 0)
          throw new Violation(
            `R6: acceptor ${acceptor} lost its vote in slot ${slot} of ${name} at ${formatBallot(ballot)} in a restart`,
          );
      }
    }
  }

  // ── learners and clients ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A learner applied a slot. */
  applied(
    learner: number,
    name: string,
    slot: number,
    bytes: Uint8Array,
    entry: Entry | UnknownEntry,
    applied: Applied,
  ): void {
    const log = this.#log(name);
    const record = log.slots.get(slot);
    if (record?.chosen === undefined)
      throw new Violation(`R9: learner ${learner} applied slot ${slot} of ${name}, where nothing is chosen`);
    if (record.chosen.value !== text(bytes))
      throw new Violation(`R9: learner ${learner} applied another value in slot ${slot} of ${name}`);
    if (record.applied !== undefined) {
      if (!sameApplied(record.applied, applied))
        throw new Violation(
          `R11: learners differ in slot ${slot} of ${name}: ${JSON.stringify(record.applied)} and ${JSON.stringify(applied)}`,
        );
      return;
    }
    record.applied = applied;
    if (applied.kind === 'duplicate') this.#options.count('a value chosen twice, one effect');
    else if (applied.kind === 'refused') this.#options.count(`refused at apply: ${applied.reason}`);
    if (entry.kind === 'command' && applied.kind === 'applied')
      this.#effect(log, name, idOf(entry.client, entry.session, entry.sequence), slot);
  }

  #effect(log: LogRecord, name: string, id: string, slot: number): void {
    const effect = log.effects.get(id);
    if (effect !== undefined && effect !== slot)
      throw new Violation(`R12: ${id} took effect in slots ${effect} and ${slot} of ${name}`);
    if (log.never.has(id))
      throw new Violation(`R15: ${id} was refused with outcome none and took effect in slot ${slot} of ${name}`);
    log.effects.set(id, slot);
  }

  /** A client was told that its proposal is chosen at the slot. */
  answer(name: string, client: string, session: number, sequence: number, slot: number): void {
    const log = this.#log(name);
    const id = idOf(client, session, sequence);
    if (this.chosenAt(name, slot) === undefined)
      throw new Violation(`R9: ${id} was acknowledged at slot ${slot} of ${name}, where nothing is chosen`);
    const before = log.answered.get(id);
    if (before !== undefined && before !== slot)
      throw new Violation(`R12: ${id} was answered with slots ${before} and ${slot} of ${name}`);
    log.answered.set(id, slot);
    log.known = Math.max(log.known, slot + 1);
    this.answered++;
  }

  /** A client was told the value of a decree. */
  decree(name: string, bytes: Uint8Array): void {
    const log = this.#log(name);
    if (this.chosenAt(name, 0)?.value !== text(bytes))
      throw new Violation(`R9: a client was told a value of decree ${name} that is not chosen`);
    log.known = Math.max(log.known, 1);
    this.answered++;
  }

  /** A client was told that an id it sent once had no effect; it never sends it again (R15). */
  refused(name: string, client: string, session: number, sequence: number): void {
    const log = this.#log(name);
    const id = idOf(client, session, sequence);
    const effect = log.effects.get(id);
    if (effect !== undefined)
      throw new Violation(`R15: ${id} took effect in slot ${effect} of ${name} and was refused with outcome none`);
    log.never.add(id);
  }

  /** A linearizable read begins; returns what it must at least see. */
  readBegan(name: string): number {
    return this.#log(name).known;
  }

  /** It answered with all slots below `end`. */
  readEnded(name: string, atLeast: number, end: number): void {
    this.reads++;
    if (end < atLeast)
      throw new Violation(
        `R13: a read of ${name} ended below slot ${end}, and slot ${atLeast - 1} was acknowledged or read before it began`,
      );
    const log = this.#log(name);
    log.known = Math.max(log.known, end);
  }

  /** What is chosen in a slot, and when. */
  chosenAt(name: string, slot: number): { readonly value: string; readonly at: number } | undefined {
    const record = this.#logs.get(name)?.slots.get(slot);
    return record?.chosen === undefined ? undefined : { value: record.chosen.value, at: record.chosenAt };
  }

  /** Positions of the acceptors whose votes in a slot at a ballot were seen to leave them, as a set of bits. */
  votersOf(name: string, slot: number, ballot: Ballot): number {
    let voters = 0;
    // At a fast ballot each value has voters of its own.
    for (const sent of this.#logs.get(name)?.slots.get(slot)?.ballots.values() ?? [])
      if (compareBallots(sent.ballot, ballot) === 0) voters |= sent.voters;
    return voters;
  }

  /** At the end: every acknowledged proposal took effect, once, where it was said. */
  finish(): void {
    for (const [name, log] of this.#logs)
      for (const [id, slot] of log.answered) {
        const effect = log.effects.get(id);
        if (effect !== slot)
          throw new Violation(
            `R12: ${id} was acknowledged at slot ${slot} of ${name} and took effect at ${String(effect)}`,
          );
      }
  }

  /** One above the greatest chosen slot. */
  end(name: string): number {
    let end = 0;
    for (const [slot, record] of this.#logs.get(name)?.slots ?? [])
      if (record.chosen !== undefined) end = Math.max(end, slot + 1);
    return end;
  }

  get logs(): string[] {
    return [...this.#logs.keys()];
  }
}

function sameApplied(a: Applied, b: Applied): boolean {
  if (a.kind === 'duplicate') return b.kind === 'duplicate' && a.slot === b.slot;
  if (a.kind === 'opened') return b.kind === 'opened' && a.session === b.session;
  if (a.kind === 'refused') return b.kind === 'refused' && a.reason === b.reason;
  return a.kind === b.kind;
}

function idOf(client: string, session: number, sequence: number): string {
  return `${client.slice(0, 8)}/${session}#${sequence}`;
}

/** What was said of a vote. */
interface SaidVote {
  readonly ballot: Ballot;
  readonly first: number;
  readonly count: number;
  readonly batch: Batch | undefined;
  readonly identity?: string | undefined;
}

/** At a classic ballot there is one value; at a fast one its identity tells it from others. */
function sentKey(ballot: Ballot, identity: string | undefined): string {
  return `${ballot.round}.${ballot.proposer}.${ballot.incarnation}.${ballot.kind}/${identity ?? ''}`;
}

/** The same as the shipped rule, by another hash function's code. */
export function identityBySight(ballot: Ballot, bytes: Uint8Array): string | undefined {
  if (ballot.kind === CLASSIC) return undefined;
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
