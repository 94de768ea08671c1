/**
 * Runs an acceptor over a journal: persist before send, in this one place (R3).
 *
 * Every message carries the position of the newest journal entry at the time it was made, and is held until that is synced:
 * whatever it depends on, duplicates, catch-up reads and promises included, was appended before it.
 */
import type { Batch } from '../base/batch.ts';
import { SynodError, messageOf } from '../base/errors.ts';
import { Fifo } from '../base/fifo.ts';
import { RangeMap } from '../base/range-map.ts';
import type { Acceptor, AcceptorEffect, AcceptorEvent } from '../paxos/acceptor.ts';
import type { AcceptorRecord, VoteRange } from '../paxos/messages.ts';
import type { Note } from '../paxos/notes.ts';
import type { Ballot } from '../paxos/ballot.ts';
import type { Journal } from '../ports/journal.ts';
import type { Moment } from '../paxos/step.ts';
import { Inbox, type InboxPorts } from './inbox.ts';
import type { Outgoing } from './outgoing.ts';
import type { AcceptorTrace } from './trace/acceptor-trace.ts';

export type { Outgoing } from './outgoing.ts';

export interface AcceptorPorts extends InboxPorts {
  readonly encode: (record: AcceptorRecord) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => AcceptorRecord;
  /** `position` is the journal position that the message depended on, durable when this is called. */
  readonly send: (message: Outgoing, position: number) => void;
  /** All that was held for one sync has been sent: frames can be closed. */
  readonly flush: () => void;
  readonly note: (note: Note) => void;
  /** Told of all that comes in, happens and leaves, while somebody follows it. */
  readonly trace?: AcceptorTrace;
}

interface Held {
  readonly position: number;
  readonly effect: Outgoing | (AcceptorEffect & { kind: 'trim' });
  /** For the trace: what it follows from. */
  readonly cause: number;
}

/** How often what pins a journal that fills is moved on. Milliseconds. */
const COMPACT_MS = 1_000;

export class AcceptorNode {
  readonly #journal: Journal;
  readonly #ports: AcceptorPorts;
  readonly #inbox: Inbox<AcceptorEvent, AcceptorEffect>;
  readonly #held = new Fifo<Held>();
  readonly #machine: Acceptor;
  readonly #trace: AcceptorTrace | undefined;
  #synced: number;
  #told = { hasRoom: true, room: Infinity };
  #compactAt = -Infinity;

  constructor(machine: Acceptor, journal: Journal, ports: AcceptorPorts) {
    this.#machine = machine;
    this.#journal = journal;
    this.#ports = ports;
    this.#trace = ports.trace;
    this.#synced = journal.synced;
    this.#inbox = new Inbox(
      { step: (event, moment) => this.#step(event, moment) },
      ports,
      (effect) => {
        this.#perform(effect);
      },
      () => {
        this.#ports.flush();
      },
    );
    journal.onSynced = (synced) => {
      if (this.#trace?.isOn === true) this.#trace.synced(synced, synced - this.#synced);
      this.#synced = synced;
      this.#release(synced);
    };
  }

  post(event: AcceptorEvent): void {
    this.#inbox.post(event);
  }

  /** Messages that wait for a sync. */
  get held(): number {
    return this.#held.length;
  }

  get waiting(): number {
    return this.#inbox.waiting;
  }

  stop(): void {
    this.#inbox.stop();
  }

  /** Call now and then: time passes. */
  tick(): void {
    const now = this.#ports.now();
    if (this.#journal.wantsTrim && now - this.#compactAt >= COMPACT_MS) {
      this.#compactAt = now;
      this.post({ kind: 'compact', below: this.#journal.pinnedBelow });
    }
    this.post({ kind: 'tick' });
  }

  /** The machine always knows what the journal takes, so that it refuses what `append` would. */
  #step(event: AcceptorEvent, moment: Moment): AcceptorEffect[] {
    const { hasRoom, room } = this.#journal;
    if (hasRoom !== this.#told.hasRoom || room !== this.#told.room) {
      this.#told = { hasRoom, room };
      this.#machine.step({ kind: 'room', hasRoom, bytes: room }, moment);
    }
    if (this.#trace?.isOn === true) this.#trace.event(event);
    return this.#machine.step(event, moment);
  }

  #perform(effect: AcceptorEffect): void {
    switch (effect.kind) {
      case 'persist':
        this.#journal.append(this.#ports.encode(effect.record));
        return;
      case 'note':
        if (this.#trace?.isOn === true) this.#trace.note(effect.note);
        return this.#ports.note(effect.note);
      case 'load':
        this.#load(effect).catch((error: unknown) => {
          this.#ports.onFatal(error);
        });
        return;
      default:
        this.#held.push({ position: this.#journal.newest, effect, cause: this.#trace?.cause ?? 0 });
        this.#release(this.#journal.synced, false);
    }
  }

  #release(synced: number, flush = true): void {
    let released = 0;
    for (let held = this.#held.peek(); held !== undefined && held.position <= synced; held = this.#held.peek()) {
      this.#held.shift();
      released++;
      if (held.effect.kind === 'trim') this.#trim(held.effect.below);
      else {
        if (this.#trace?.isOn === true) this.#trace.sent(held.effect, held.cause);
        this.#ports.send(held.effect, held.position);
      }
    }
    if (flush && released > 0) this.#ports.flush();
  }

  #trim(below: number): void {
    this.#journal.trim(below).catch((error: unknown) => {
      this.#ports.onFatal(error);
    });
  }

  /** Reads old votes back; where two records hold a slot, the later one is the vote. */
  async #load(effect: AcceptorEffect & { kind: 'load' }): Promise<void> {
    const votes = new RangeMap<{ ballot: Ballot; batch: Batch }>((vote, a, b) => ({
      ballot: vote.ballot,
      batch: vote.batch.slice(a, b),
    }));
    for (const piece of effect.pieces) {
      await this.#journal.read(piece.first, piece.last, (_position, entry) => {
        const record = this.#ports.decode(entry);
        if (record.kind !== 'vote' || record.log !== effect.log) return true;
        const from = Math.max(record.first, effect.from);
        const to = Math.min(record.first + record.batch.count, effect.to);
        if (from < to)
          votes.set(from, to, {
            ballot: record.ballot,
            batch: record.batch.slice(from - record.first, to - record.first),
          });
        return true;
      });
    }
    const found: VoteRange[] = [...votes].map((range) => ({
      first: range.from,
      ballot: range.value.ballot,
      batch: range.value.batch,
    }));
    this.#inbox.post({ kind: 'loaded', id: effect.id, votes: found });
  }
}

/** Rebuilds an acceptor from its journal. `heads` are the entries at the head of the oldest segment. */
export async function replay(
  machine: Acceptor,
  journal: Journal,
  heads: readonly Uint8Array[],
  decode: (bytes: Uint8Array) => AcceptorRecord,
): Promise<void> {
  for (const entry of heads) machine.restore(decode(entry), undefined);
  let failure: unknown;
  await journal.read(journal.first, journal.newest, (position, entry) => {
    try {
      machine.restore(decode(entry), position);
      return true;
    } catch (error) {
      failure = error;
      return false;
    }
  });
  if (failure !== undefined)
    throw new SynodError(
      'DATA_LOSS',
      `the journal holds a record that cannot be read: ${messageOf(failure)}`,
      'none',
      failure,
    );
}
