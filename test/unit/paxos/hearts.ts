/** Proposers and acceptors of the shipped kind around a network in memory: in order, without loss, cut where a test says so. */
import { Acceptor, type AcceptorOptions } from '../../../shared/paxos/acceptor.ts';
import type { Owner } from '../../../shared/paxos/ballot.ts';
import type { FromAcceptor, ToAcceptor, VoteRange, AcceptorRecord } from '../../../shared/paxos/messages.ts';
import type { Note } from '../../../shared/paxos/notes.ts';
import type { Answer, PeerMessage } from '../../../shared/paxos/peers.ts';
import { Proposer, type ProposerEvent } from '../../../shared/paxos/proposer.ts';
import type { Admission, ProposerEffect, ProposerOptions, Verdict } from '../../../shared/paxos/proposing.ts';
import { majority, type QuorumSystem } from '../../../shared/paxos/quorum.ts';
import { bytes, LOG, owner } from './support.ts';

export const NO_OP = bytes('no-op');

/** A session table for tests: an entry is its own id. */
export function table(known: Readonly<Record<string, number>> = {}): Admission & { fed: string[] } {
  const slots = new Map(Object.entries(known));
  const fed: string[] = [];
  return {
    fed,
    check(entry): Verdict {
      const slot = slots.get(text(entry));
      return slot === undefined ? { kind: 'new' } : { kind: 'known', slot };
    },
    feed(slot, entry) {
      fed.push(`${slot} ${text(entry)}`);
      const id = text(entry);
      if (!slots.has(id) && id !== 'no-op') slots.set(id, slot);
    },
  };
}

export function text(entry: Uint8Array): string {
  return new TextDecoder().decode(entry);
}

/** One proposer whose effects are looked at by hand. */
export class ProposerRig {
  now = 0;
  random = 0.5;
  readonly quorum: QuorumSystem;
  readonly machine: Proposer;
  readonly out: ProposerEffect[] = [];
  #token = 0;

  constructor(
    self: Owner = owner(1),
    peers: readonly number[] = [],
    options: Partial<ProposerOptions> = {},
    acceptors: number | QuorumSystem = 3,
  ) {
    this.quorum = typeof acceptors === 'number' ? majority(acceptors) : acceptors;
    this.machine = new Proposer(self, this.quorum, [self.proposer, ...peers], NO_OP, { probeMs: 1e9, ...options });
    // The first tick says how late later ones are, and begins the wait for the first probe.
    this.tick(0);
    this.out.length = 0;
  }

  /** Handles the event and ends the turn; returns what came of both. */
  step(event: ProposerEvent): ProposerEffect[] {
    const moment = { now: this.now, random: this.random };
    const effects = [...this.machine.step(event, moment), ...this.machine.step({ kind: 'turn' }, moment)];
    this.out.push(...effects);
    return effects;
  }

  /** Time goes on in ticks of 25 ms. */
  tick(ms: number): ProposerEffect[] {
    const effects: ProposerEffect[] = [];
    const end = this.now + ms;
    do {
      this.now = Math.min(end, this.now + 25);
      effects.push(...this.step({ kind: 'tick' }));
    } while (this.now < end);
    return effects;
  }

  propose(value: string, more: Partial<ProposerEvent & { kind: 'propose' }> = {}): number {
    const token = ++this.#token;
    const event = { kind: 'propose', token, log: LOG, entry: bytes(value), protocol: 'multi', retry: false } as const;
    this.step({ ...event, timeoutMs: 5_000, ...more });
    return token;
  }

  from(acceptor: number, message: FromAcceptor): ProposerEffect[] {
    return this.step({ kind: 'acceptor', from: acceptor, message });
  }

  peer(from: number, message: PeerMessage): ProposerEffect[] {
    return this.step({ kind: 'peer', from, message });
  }

  /** A heartbeat of a peer that leads nothing. */
  hear(peer: number): void {
    this.peer(peer, {
      kind: 'heartbeat',
      proposer: peer,
      incarnation: owner(peer).incarnation,
      ledCount: 0,
      ledDigest: 0,
    });
  }

  /** What was sent to acceptors since this was last asked, and to peers. Forgets all other effects. */
  take<K extends ToAcceptor['kind']>(kind: K): (ToAcceptor & { kind: K })[] {
    return this.out
      .splice(0)
      .flatMap((e) =>
        e.kind === 'to-acceptor' && e.message.kind === kind ? [e.message as ToAcceptor & { kind: K }] : [],
      );
  }

  answerTo(token: number): Answer | undefined {
    for (const e of this.out) if (e.kind === 'answer' && e.token === token) return e.answer;
    return undefined;
  }

  notes(): Note[] {
    return this.out.flatMap((e) => (e.kind === 'note' ? [e.note] : []));
  }
}

/** Acceptors that stand behind a `ProposerRig`: real ones, to which messages are given by hand or all at once. */
export class Acceptors {
  readonly all: Acceptor[];
  readonly records: AcceptorRecord[][];
  now = 0;

  constructor(count = 3, options: Partial<AcceptorOptions> = {}) {
    this.all = Array.from({ length: count }, () => new Acceptor(0, options));
    this.records = this.all.map(() => []);
  }

  /** Gives a message to one acceptor; returns its reply. */
  give(to: number, from: Owner, message: ToAcceptor): FromAcceptor | undefined {
    const machine = this.all[to];
    const records = this.records[to];
    if (machine === undefined || records === undefined) return undefined;
    const { proposer, incarnation } = from;
    const waiting = machine.step(
      { kind: 'proposer', from: 'p', owner: { proposer, incarnation }, message },
      { now: this.now, random: 0 },
    );
    for (let effect = waiting.shift(); effect !== undefined; effect = waiting.shift()) {
      if (effect.kind === 'persist') records.push(effect.record);
      if (effect.kind === 'reply') return effect.message;
      if (effect.kind !== 'load') continue;
      const found: VoteRange[] = records.flatMap((r) => (r.kind === 'vote' && r.log === effect.log ? [r] : []));
      waiting.push(
        ...machine.step({ kind: 'loaded', id: effect.id, votes: cut(found, effect) }, { now: this.now, random: 0 }),
      );
    }
    return undefined;
  }
}

function cut(votes: readonly VoteRange[], range: { from: number; to: number }): VoteRange[] {
  return votes.flatMap((v) => {
    const from = Math.max(v.first, range.from);
    const to = Math.min(v.first + v.batch.count, range.to);
    return from < to ? [{ first: from, ballot: v.ballot, batch: v.batch.slice(from - v.first, to - v.first) }] : [];
  });
}

/** Runs a proposer against acceptors, without loss and in order, until nothing is under way. `reach` says who is reached. */
export function converse(
  p: ProposerRig,
  self: Owner,
  acceptors: Acceptors,
  reach: (acceptor: number) => boolean = () => true,
): void {
  // What is said meanwhile is appended, and reached by the same walk.
  for (const effect of p.out) {
    if (effect.kind === 'load-sessions')
      p.step({ kind: 'sessions', log: effect.log, next: effect.slot, admission: table() });
    if (effect.kind !== 'to-acceptor') continue;
    acceptors.now = p.now;
    for (let a = 0; a < acceptors.all.length; a++) {
      if ((effect.to !== undefined && effect.to !== a) || !reach(a)) continue;
      const reply = acceptors.give(a, self, effect.message);
      if (reply !== undefined) p.from(a, reply);
    }
  }
}
