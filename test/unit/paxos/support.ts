/** Short words for the tests of the heart: ballots, batches, messages, and machines that are driven by hand. */
import { Batch } from '../../../shared/base/batch.ts';
import {
  Acceptor,
  type AcceptorEffect,
  type AcceptorEvent,
  type AcceptorOptions,
} from '../../../shared/paxos/acceptor.ts';
import { CLASSIC, FAST, type Ballot, type Owner } from '../../../shared/paxos/ballot.ts';
import type {
  Accept,
  Accepted,
  AcceptorRecord,
  FromAcceptor,
  Prepare,
  Promised,
  Rejected,
  ToAcceptor,
  VoteRange,
  Votes,
} from '../../../shared/paxos/messages.ts';

export const LOG = 'orders';

/** The first start of a proposer, or another one by its letter. */
export function owner(proposer: number, start = 'a'): Owner {
  return { proposer, incarnation: start.repeat(16) };
}

export function classic(round: number, proposer = 1, start = 'a'): Ballot {
  return { round, ...owner(proposer, start), kind: CLASSIC };
}

export function fast(round: number, proposer = 1, start = 'a'): Ballot {
  return { round, ...owner(proposer, start), kind: FAST };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** One value a word: `batch('x y')` holds two slots. */
export function batch(words: string): Batch {
  return Batch.of(words.split(' ').map(bytes));
}

/** The words of a batch, for comparing. */
export function words(of: Batch | undefined): string | undefined {
  return of
    ?.values()
    .map((value) => new TextDecoder().decode(value))
    .join(' ');
}

export function prepare(ballot: Ballot, overrides: Partial<Prepare> = {}): Prepare {
  return {
    kind: 'prepare',
    log: LOG,
    ballot,
    from: 0,
    to: undefined,
    purpose: 'lead',
    fromWatermark: false,
    override: false,
    ask: false,
    ...overrides,
  };
}

export function accept(ballot: Ballot, first: number, values: string, watermark = 0): Accept {
  return { kind: 'accept', log: LOG, ballot, first, batch: batch(values), watermark };
}

export function promised(ballot: Ballot, overrides: Partial<Promised> = {}): Promised {
  const votes = overrides.votes ?? [];
  const highest = Math.max(-1, ...votes.map((v) => v.first + v.batch.count - 1));
  return {
    kind: 'promised',
    log: LOG,
    ballot,
    from: 0,
    until: undefined,
    votes,
    highest,
    watermark: 0,
    floor: 0,
    ...overrides,
  };
}

export function vote(first: number, ballot: Ballot, values: string): VoteRange {
  return { first, ballot, batch: batch(values) };
}

export function accepted(ballot: Ballot, first: number, count: number): Accepted {
  return { kind: 'accepted', log: LOG, ballot, first, count };
}

export function rejected(ballot: Ballot, higher: Ballot, overrides: Partial<Rejected> = {}): Rejected {
  return {
    kind: 'rejected',
    log: LOG,
    ballot,
    first: undefined,
    reason: 'ballot',
    promised: higher,
    state: 'closed',
    leader: undefined,
    highest: -1,
    watermark: 0,
    floor: 0,
    ...overrides,
  };
}

/** A learner's message: votes with their values, or without. */
export function votes(ballot: Ballot, first: number, values: string, withValues = true): Votes {
  const all = batch(values);
  return {
    kind: 'votes',
    log: LOG,
    ballot,
    first,
    count: all.count,
    batch: withValues ? all : undefined,
    watermark: 0,
  };
}

/** An acceptor with a journal in memory: old votes are read back from it, and it can be started again. */
export class AcceptorRig {
  now = 1_000;
  records: AcceptorRecord[];
  readonly options: Partial<AcceptorOptions>;
  readonly machine: Acceptor;
  /** What the last call had done, loads resolved. */
  effects: AcceptorEffect[] = [];
  loads = 0;

  constructor(options: Partial<AcceptorOptions> = {}, records: readonly AcceptorRecord[] = []) {
    this.options = options;
    this.records = [...records];
    this.machine = new Acceptor(records.length, options);
    records.forEach((record, position) => {
      this.machine.restore(record, position);
    });
  }

  /** What a start from this journal, or from its first records, would be. */
  restarted(upTo = this.records.length): AcceptorRig {
    const rig = new AcceptorRig(this.options, this.records.slice(0, upTo));
    rig.now = this.now;
    return rig;
  }

  step(event: AcceptorEvent): AcceptorEffect[] {
    this.effects = [];
    this.#step(event);
    return this.effects;
  }

  #step(event: AcceptorEvent): void {
    for (const effect of this.machine.step(event, { now: this.now, random: 0.5 })) {
      if (effect.kind === 'persist') this.records.push(effect.record);
      this.effects.push(effect);
      if (effect.kind !== 'load') continue;
      this.loads++;
      const found: VoteRange[] = [];
      for (const { first, last } of effect.pieces)
        for (const record of this.records.slice(first, last + 1)) {
          if (record.kind !== 'vote' || record.log !== effect.log) continue;
          const from = Math.max(record.first, effect.from);
          const to = Math.min(record.first + record.batch.count, effect.to);
          if (from >= to) continue;
          found.push({ ...record, first: from, batch: record.batch.slice(from - record.first, to - record.first) });
        }
      this.#step({ kind: 'loaded', id: effect.id, votes: found });
    }
  }

  /** A proposer's message, from the owner of its ballot or from another; returns the reply. */
  ask(message: ToAcceptor, from?: Owner): FromAcceptor | undefined {
    const sender = from ?? ('ballot' in message ? message.ballot : owner(1));
    const { proposer, incarnation } = sender;
    this.step({ kind: 'proposer', from: 'stream', owner: { proposer, incarnation }, message });
    return this.reply;
  }

  /** Like `ask`, where there must be a reply. */
  answer(message: ToAcceptor, from?: Owner): FromAcceptor {
    const reply = this.ask(message, from);
    if (reply === undefined) throw new Error(`no reply to ${message.kind}`);
    return reply;
  }

  promise(message: Prepare): Promised {
    const reply = this.answer(message);
    if (reply.kind !== 'promised') throw new Error(`not promised: ${JSON.stringify(reply)}`);
    return reply;
  }

  get reply(): FromAcceptor | undefined {
    for (const effect of this.effects) if (effect.kind === 'reply') return effect.message;
    return undefined;
  }

  get persisted(): AcceptorRecord[] {
    return this.effects.flatMap((effect) => (effect.kind === 'persist' ? [effect.record] : []));
  }

  /** `2 learner disks hold all below`, then the tick that trims. */
  hold(slots: number, disks: readonly string[] = ['disk-1', 'disk-2']): void {
    for (const disk of disks)
      this.step({
        kind: 'learner',
        from: 'learner',
        disk,
        message: { kind: 'held', log: LOG, held: slots, agreed: slots },
      });
    this.now += 1_000;
    this.step({ kind: 'tick' });
  }
}
