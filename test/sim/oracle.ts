/**
 * Watches from outside: what was really sent and voted, applied and answered; never what a node says of itself. Any
 * disagreement with the rules throws a Violation.
 */
import type { Batch } from '../../shared/base/batch.ts';
import type { Applied } from '../../shared/machine/sessions.ts';
import type { Entry } from '../../shared/machine/entry.ts';
import { CLASSIC, compareBallots, formatBallot, type Ballot } from '../../shared/paxos/ballot.ts';
import type { Accept } from '../../shared/paxos/messages.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

interface SlotRecord {
  /** By ballot: the one value sent, and who voted for it. */
  readonly ballots: Map<string, { readonly ballot: Ballot; readonly value: string; readonly voters: Set<number> }>;
  chosen: string | undefined;
}

interface LogRecord {
  readonly slots: Map<number, SlotRecord>;
  /** The greatest ballot that each acceptor was seen to promise. */
  readonly promised: Map<number, Ballot>;
  /** Where each id took effect: the same at every learner. */
  readonly effects: Map<string, number>;
  /** What a slot was applied as, by the first learner that applied it. */
  readonly applied: Map<number, string>;
  /** Proposals answered as chosen. */
  readonly answered: Map<string, number>;
}

export class Oracle {
  readonly #phase2: number;
  readonly #logs = new Map<string, LogRecord>();
  chosen = 0;
  answered = 0;

  /** `phase2`: acceptors in a phase-2 quorum, counted here by themselves. */
  constructor(phase2: number) {
    this.#phase2 = phase2;
  }

  #log(name: string): LogRecord {
    let log = this.#logs.get(name);
    if (log === undefined) {
      log = { slots: new Map(), promised: new Map(), effects: new Map(), applied: new Map(), answered: new Map() };
      this.#logs.set(name, log);
    }
    return log;
  }

  #slot(log: LogRecord, slot: number): SlotRecord {
    let record = log.slots.get(slot);
    if (record === undefined) log.slots.set(slot, (record = { ballots: new Map(), chosen: undefined }));
    return record;
  }

  /** A proposer sent an Accept: one value per (log, slot, classic ballot), for ever (R2). */
  accepts(message: Accept): void {
    if (message.ballot.kind !== CLASSIC) throw new Violation('an Accept at a fast ballot');
    this.#values(message.log, message.ballot, message.first, message.batch);
  }

  #values(name: string, ballot: Ballot, first: number, batch: Batch): void {
    const log = this.#log(name);
    let slot = first;
    for (const bytes of batch.values()) {
      const value = text(bytes);
      const record = this.#slot(log, slot);
      const key = ballotKey(ballot);
      const known = record.ballots.get(key);
      if (known === undefined) record.ballots.set(key, { ballot, value, voters: new Set() });
      else if (known.value !== value)
        throw new Violation(`R2: two values at ballot ${formatBallot(ballot)} in slot ${String(slot)} of ${name}`);
      slot++;
    }
  }

  /** An acceptor's promise left it. */
  promised(acceptor: number, name: string, ballot: Ballot): void {
    const log = this.#log(name);
    const before = log.promised.get(acceptor);
    if (before !== undefined && compareBallots(ballot, before) < 0)
      throw new Violation(
        `R1: acceptor ${String(acceptor)} promised ${formatBallot(ballot)} after ${formatBallot(before)}`,
      );
    log.promised.set(acceptor, ballot);
  }

  /**
   * An acceptor's vote left it, to a proposer or to a learner. `isFresh`: it says that it votes now, not that it once did; then
   * no higher promise may have left it before.
   */
  voted(
    acceptor: number,
    name: string,
    ballot: Ballot,
    first: number,
    count: number,
    batch: Batch | undefined,
    isFresh: boolean,
  ): void {
    const log = this.#log(name);
    const promised = log.promised.get(acceptor);
    if (isFresh && promised !== undefined && compareBallots(ballot, promised) < 0)
      throw new Violation(
        `R2: acceptor ${String(acceptor)} votes at ${formatBallot(ballot)} below its promise ${formatBallot(promised)}`,
      );
    if (batch !== undefined) this.#values(name, ballot, first, batch);
    for (let slot = first; slot < first + count; slot++) this.#vote(log, name, acceptor, ballot, slot);
  }

  #vote(log: LogRecord, name: string, acceptor: number, ballot: Ballot, slot: number): void {
    const record = this.#slot(log, slot);
    const vote = record.ballots.get(ballotKey(ballot));
    if (vote === undefined)
      throw new Violation(`a vote in slot ${String(slot)} of ${name} for a value that nobody sent`);
    if (vote.voters.has(acceptor)) return;
    vote.voters.add(acceptor);
    if (vote.voters.size < this.#phase2) return;
    if (record.chosen === undefined) {
      record.chosen = vote.value;
      this.chosen++;
    } else if (record.chosen !== vote.value)
      throw new Violation(`agreement: two values are chosen in slot ${String(slot)} of ${name}`);
  }

  chosenAt(name: string, slot: number): string | undefined {
    return this.#logs.get(name)?.slots.get(slot)?.chosen;
  }

  /** A learner applied a slot. */
  applied(learner: number, name: string, slot: number, bytes: Uint8Array, entry: Entry, applied: Applied): void {
    const log = this.#log(name);
    const value = text(bytes);
    const chosen = this.chosenAt(name, slot);
    if (chosen === undefined)
      throw new Violation(
        `R9: learner ${String(learner)} applied slot ${String(slot)} of ${name}, where nothing is chosen`,
      );
    if (chosen !== value)
      throw new Violation(`R9: learner ${String(learner)} applied another value in slot ${String(slot)} of ${name}`);
    const outcome = `${value}→${JSON.stringify(applied)}`;
    const before = log.applied.get(slot);
    if (before !== undefined && before !== outcome)
      throw new Violation(
        `R11: learners differ in slot ${String(slot)} of ${name}: ${before.slice(-80)} and ${outcome.slice(-80)}`,
      );
    log.applied.set(slot, outcome);
    if (entry.kind !== 'command' || applied.kind !== 'applied') return;
    const id = idOf(entry.client, entry.session, entry.sequence);
    const effect = log.effects.get(id);
    if (effect !== undefined && effect !== slot)
      throw new Violation(`R12: ${id} took effect in slots ${String(effect)} and ${String(slot)} of ${name}`);
    log.effects.set(id, slot);
  }

  /** A client was told that its proposal is chosen at the slot. */
  answer(name: string, client: string, session: number, sequence: number, slot: number): void {
    const log = this.#log(name);
    const id = idOf(client, session, sequence);
    if (this.chosenAt(name, slot) === undefined)
      throw new Violation(`${id} was acknowledged at slot ${String(slot)} of ${name}, where nothing is chosen`);
    const before = log.answered.get(id);
    if (before !== undefined && before !== slot)
      throw new Violation(`R12: ${id} was answered with slots ${String(before)} and ${String(slot)} of ${name}`);
    log.answered.set(id, slot);
    this.answered++;
  }

  /** A client was told the value of a decree. */
  decree(name: string, bytes: Uint8Array): void {
    if (this.chosenAt(name, 0) !== text(bytes))
      throw new Violation(`a client was told a value of decree ${name} that is not chosen`);
    this.answered++;
  }

  /** At the end: every acknowledged proposal took effect, once, where it was said. */
  finish(): void {
    for (const [name, log] of this.#logs) {
      for (const [id, slot] of log.answered) {
        const effect = log.effects.get(id);
        if (effect !== slot)
          throw new Violation(
            `${id} was acknowledged at slot ${String(slot)} of ${name} and took effect at ${String(effect)}`,
          );
      }
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

function idOf(client: string, session: number, sequence: number): string {
  return `${client.slice(0, 8)}/${String(session)}#${String(sequence)}`;
}

function ballotKey(ballot: Ballot): string {
  return `${String(ballot.round)}.${String(ballot.proposer)}.${ballot.incarnation}.${String(ballot.kind)}`;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
