/** The shipped machines, each with its shell of the simulator: a network that misbehaves, a disk that forgets, a clock of its own. */
import { Batch } from '../../shared/base/batch.ts';
import type { Prng } from '../../shared/base/prng.ts';
import { decodeEntry, type Entry } from '../../shared/machine/entry.ts';
import { Sessions } from '../../shared/machine/sessions.ts';
import { Acceptor, type AcceptorEvent } from '../../shared/paxos/acceptor.ts';
import type { Ballot, Owner } from '../../shared/paxos/ballot.ts';
import { Learner, type LearnerEffect, type LearnerEvent } from '../../shared/paxos/learner.ts';
import type { FromAcceptor, ToLearner } from '../../shared/paxos/messages.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import type { Answer } from '../../shared/paxos/peers.ts';
import type { ProposerEffect } from '../../shared/paxos/proposing.ts';
import { Proposer, type ProposerEvent } from '../../shared/paxos/proposer.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import { AcceptorNode, replay, type Outgoing } from '../../shared/runtime/acceptor-node.ts';
import { Inbox, type InboxPorts } from '../../shared/runtime/inbox.ts';
import { decodeRecord, encodeRecord } from '../../shared/wire/codec/record.ts';
import { createAdmission } from '../../services/proposer/admission.ts';
import { emptyDisk, SimJournal, type SimDisk } from './journal.ts';
import type { Network } from './network.ts';
import type { Oracle } from './oracle.ts';
import type { Schedule } from './schedule.ts';

/** What the nodes share. */
export interface World {
  readonly schedule: Schedule;
  readonly network: Network;
  readonly prng: Prng;
  readonly oracle: Oracle;
  readonly quorum: QuorumSystem;
  readonly noOp: Uint8Array;
  readonly acceptors: SimAcceptor[];
  readonly proposers: SimProposer[];
  readonly learners: SimLearner[];
  readonly holders: number;
  readonly syncMs: number;
  note(who: string, note: Note): void;
  fail(error: unknown): void;
  /** Runs a promise that needs no time to its end before anything else happens. */
  settle(promise: Promise<void>): void;
}

abstract class SimNode {
  readonly world: World;
  readonly name: string;
  isUp = false;
  /** Which start this is: what was scheduled for an older one is dropped. */
  #start = 0;
  /** The node's clock: an offset that changes at every start, so that nobody relies on a common time. */
  #clockOffset = 0;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
  }

  protected begin(): void {
    this.isUp = true;
    this.#start++;
    this.#clockOffset = Math.floor(this.world.prng.next() * 1e6);
  }

  /** Runs later, if this start is still up then. */
  protected later(ms: number, run: () => void): void {
    const start = this.#start;
    this.world.schedule.after(ms, () => {
      if (this.isUp && start === this.#start) run();
    });
  }

  protected every(ms: number, run: () => void): void {
    const again = (): void => {
      // Now and then a node stands still and its timers come late.
      this.later(this.world.prng.chance(0.002) ? ms * 40 : ms, () => {
        run();
        again();
      });
    };
    again();
  }

  protected ports(): InboxPorts {
    return {
      now: () => this.world.schedule.now + this.#clockOffset,
      random: () => this.world.prng.next(),
      soon: (callback) => {
        this.later(0, callback);
      },
      onFatal: (error) => {
        this.world.fail(error);
      },
    };
  }

  /** To another node, over the network. */
  protected send(to: SimNode, deliver: () => void): void {
    this.world.network.send(this.name, to.name, () => {
      if (to.isUp) deliver();
    });
  }

  abstract start(): void;
  abstract crash(): void;
}

export class SimAcceptor extends SimNode {
  readonly position: number;
  #disk: SimDisk = emptyDisk();
  #journal: SimJournal | undefined;
  #node: AcceptorNode | undefined;

  constructor(world: World, position: number) {
    super(world, `acceptor-${String(position + 1)}`);
    this.position = position;
  }

  start(): void {
    this.begin();
    const { world } = this;
    // Filled below: the journal asks for the state when it begins a segment.
    const holder: { machine: Acceptor | undefined } = { machine: undefined };
    const head = (): Uint8Array[] => [...(holder.machine?.head() ?? [])].map(encodeRecord);
    const journal = new SimJournal(this.#disk, world.schedule, world.prng, world.syncMs, head);
    const machine = new Acceptor(journal.newest + 1, { holders: world.holders, trimMs: 300, pageBytes: 400 });
    holder.machine = machine;
    this.#journal = journal;
    const ports = this.ports();
    const node = new AcceptorNode(machine, journal, {
      ...ports,
      encode: encodeRecord,
      decode: decodeRecord,
      send: (message) => {
        this.#deliver(message);
      },
      flush: () => undefined,
      note: (note) => {
        world.note(this.name, note);
      },
    });
    world.settle(
      replay(machine, journal, journal.heads, decodeRecord).then(() => {
        journal.isOpen = true;
      }),
    );
    this.#node = node;
    this.every(25, () => {
      node.tick();
    });
    for (const proposer of world.proposers)
      if (proposer.isUp)
        this.send(proposer, () => {
          proposer.post({ kind: 'acceptor-up', acceptor: this.position });
        });
    for (const learner of world.learners) if (learner.isUp) node.post({ kind: 'learner-joined', from: learner.name });
  }

  crash(): void {
    this.isUp = false;
    this.#node?.stop();
    if (this.#journal !== undefined) this.#disk = this.#journal.crash();
    this.#node = undefined;
  }

  post(event: AcceptorEvent): void {
    this.#node?.post(event);
  }

  #deliver(effect: Outgoing): void {
    const { world } = this;
    switch (effect.kind) {
      case 'reply': {
        this.#watch(effect.message);
        const to = world.proposers.find((p) => p.name === effect.to);
        if (to !== undefined)
          this.send(to, () => {
            to.post({ kind: 'acceptor', from: this.position, message: effect.message });
          });
        return;
      }
      case 'publish': {
        const { batch } = effect.votes;
        const { log, ballot, first, count } = effect.votes;
        world.oracle.voted(this.position, log, ballot, first, count, batch, true);
        for (const learner of world.learners) {
          const message = learner.source === this.position ? effect.votes : { ...effect.votes, batch: undefined };
          this.send(learner, () => {
            learner.post({ kind: 'acceptor', from: this.position, message });
          });
        }
        return;
      }
      case 'reply-learner': {
        const to = world.learners.find((l) => l.name === effect.to);
        this.#watchOld(effect.message);
        if (to !== undefined)
          this.send(to, () => {
            to.post({ kind: 'acceptor', from: this.position, message: effect.message });
          });
        return;
      }
      case 'reply-tip':
      case 'reply-forget':
        return;
    }
  }

  #watch(message: FromAcceptor): void {
    const { oracle } = this.world;
    if (message.kind === 'promised') oracle.promised(this.position, message.log, message.ballot);
    if (message.kind === 'accepted')
      oracle.voted(this.position, message.log, message.ballot, message.first, message.count, undefined, true);
    if (message.kind === 'promised')
      for (const vote of message.votes)
        oracle.voted(this.position, message.log, vote.ballot, vote.first, vote.batch.count, vote.batch, false);
  }

  #watchOld(message: ToLearner): void {
    if (message.kind !== 'votes') return;
    this.world.oracle.voted(
      this.position,
      message.log,
      message.ballot,
      message.first,
      message.count,
      message.batch,
      false,
    );
  }
}

export class SimProposer extends SimNode {
  readonly id: number;
  #inbox: Inbox<ProposerEvent, ProposerEffect> | undefined;
  #owner: Owner = { proposer: 0, incarnation: '' };
  #token = 0;
  readonly #callers = new Map<number, (answer: Answer) => void>();

  constructor(world: World, id: number) {
    super(world, `proposer-${String(id)}`);
    this.id = id;
  }

  start(): void {
    this.begin();
    const { world } = this;
    this.#owner = { proposer: this.id, incarnation: hex(world.prng, 16) };
    this.#callers.clear();
    const ids = world.proposers.map((p) => p.id);
    const machine = new Proposer(this.#owner, world.quorum, ids, world.noOp, { batchValuesMax: 8, probeMs: 2_000 });
    const inbox = new Inbox<ProposerEvent, ProposerEffect>(
      machine,
      this.ports(),
      (effect) => {
        this.#perform(effect);
      },
      () => {
        inbox.handleNow({ kind: 'turn' });
      },
    );
    this.#inbox = inbox;
    this.every(25, () => {
      inbox.post({ kind: 'tick' });
    });
    for (const peer of world.proposers)
      if (peer !== this && peer.isUp)
        this.send(peer, () => {
          peer.post({ kind: 'peer-down', peer: this.id, refused: false });
        });
  }

  crash(): void {
    this.isUp = false;
    this.#inbox?.stop();
    this.#inbox = undefined;
    const { world } = this;
    const owner = this.#owner;
    for (const peer of world.proposers)
      if (peer !== this)
        world.schedule.after(5, () => {
          peer.post({ kind: 'peer-down', peer: this.id, refused: true });
        });
    for (const acceptor of world.acceptors)
      world.schedule.after(5, () => {
        acceptor.post({ kind: 'proposer-gone', owner });
      });
  }

  post(event: ProposerEvent): void {
    this.#inbox?.post(event);
  }

  propose(
    log: string,
    entry: Uint8Array,
    protocol: 'basic' | 'multi',
    retry: boolean,
    timeoutMs: number,
    answer: (answer: Answer) => void,
  ): void {
    const token = ++this.#token;
    this.#callers.set(token, answer);
    this.post({ kind: 'propose', token, log, entry, protocol, retry, timeoutMs });
  }

  #perform(effect: ProposerEffect): void {
    const { world } = this;
    switch (effect.kind) {
      case 'to-acceptor': {
        const { message } = effect;
        if (message.kind === 'accept') world.oracle.accepts(message);
        const owner = this.#owner;
        for (const acceptor of world.acceptors) {
          if (effect.to !== undefined && acceptor.position !== effect.to) continue;
          this.send(acceptor, () => {
            acceptor.post({ kind: 'proposer', from: this.name, owner, message });
          });
        }
        return;
      }
      case 'to-peer': {
        const peer = world.proposers.find((p) => p.id === effect.to);
        if (peer !== undefined)
          this.send(peer, () => {
            peer.post({ kind: 'peer', from: this.id, message: effect.message });
          });
        return;
      }
      case 'answer': {
        const caller = this.#callers.get(effect.token);
        this.#callers.delete(effect.token);
        caller?.(effect.answer);
        return;
      }
      case 'load-sessions':
        return this.#loadSessions(effect.log, effect.slot);
      case 'read-slot':
        return this.#readSlot(effect.log, effect.slot);
      case 'note':
        return world.note(this.name, effect.note);
      case 'drained':
        return;
    }
  }

  #loadSessions(log: string, slot: number): void {
    const learner = this.world.prng.pick(this.world.learners);
    this.send(learner, () => {
      learner.sessions(log, slot, (next, bytes) => {
        learner.reply(this, () => {
          this.post({
            kind: 'sessions',
            log,
            next,
            admission: createAdmission(bytes === undefined ? new Sessions() : Sessions.import(bytes)),
          });
        });
      });
    });
  }

  #readSlot(log: string, slot: number): void {
    const learner = this.world.prng.pick(this.world.learners);
    this.send(learner, () => {
      const entry = learner.entry(log, slot);
      learner.reply(this, () => {
        this.post({ kind: 'slot', log, slot, entry });
      });
    });
  }
}

interface StoredLog {
  /** Applied entries, with the ballot at which each was learned. */
  readonly entries: { readonly bytes: Uint8Array; readonly ballot: Ballot }[];
  sessions: Sessions;
  durable: number;
}

export class SimLearner extends SimNode {
  readonly id: number;
  #inbox: Inbox<LearnerEvent, LearnerEffect> | undefined;
  readonly #logs = new Map<string, StoredLog>();
  readonly #others = new Map<string, Map<number, number>>();

  constructor(world: World, id: number) {
    super(world, `learner-${String(id)}`);
    this.id = id;
  }

  /** The acceptor that sends it values. */
  get source(): number {
    return (this.id - 1) % this.world.quorum.size;
  }

  start(): void {
    this.begin();
    const { world } = this;
    const machine = new Learner(world.quorum, this.source, { windowSlots: 60, fetchSlots: 25 });
    for (const [name, log] of this.#logs) machine.restore(name, log.entries.length);
    const inbox = new Inbox<LearnerEvent, LearnerEffect>(
      machine,
      this.ports(),
      (effect) => {
        this.#perform(effect);
      },
      () => undefined,
    );
    this.#inbox = inbox;
    this.every(25, () => {
      inbox.post({ kind: 'tick' });
    });
    this.every(200, () => {
      this.#report();
    });
    // A stream that loses messages breaks: it is opened again, and begins with the heads of all logs.
    const join = (): void => {
      for (const acceptor of world.acceptors)
        this.send(acceptor, () => {
          acceptor.post({ kind: 'learner-joined', from: this.name });
        });
    };
    join();
    this.every(1_000, join);
  }

  crash(): void {
    this.isUp = false;
    this.#inbox?.stop();
    this.#inbox = undefined;
    for (const log of this.#logs.values()) {
      const keep = log.durable + this.world.prng.below(log.entries.length - log.durable + 1);
      log.entries.length = keep;
      log.durable = keep;
      log.sessions = new Sessions();
      for (let slot = 0; slot < keep; slot++)
        log.sessions.apply(slot, decodeEntry(log.entries[slot]?.bytes ?? new Uint8Array()));
    }
  }

  post(event: LearnerEvent): void {
    this.#inbox?.post(event);
  }

  reply(to: SimNode, deliver: () => void): void {
    this.send(to, deliver);
  }

  #log(name: string): StoredLog {
    let log = this.#logs.get(name);
    if (log === undefined) this.#logs.set(name, (log = { entries: [], sessions: new Sessions(), durable: 0 }));
    return log;
  }

  next(name: string): number {
    return this.#logs.get(name)?.entries.length ?? 0;
  }

  entry(name: string, slot: number): Uint8Array | undefined {
    return this.#logs.get(name)?.entries[slot]?.bytes;
  }

  /** Gives the session table once all slots below `slot` are applied, if that happens soon. */
  sessions(name: string, slot: number, give: (next: number, bytes: Uint8Array | undefined) => void, tries = 20): void {
    if (this.next(name) >= slot) return give(this.next(name), this.#logs.get(name)?.sessions.export());
    if (tries > 0)
      this.later(10, () => {
        this.sessions(name, slot, give, tries - 1);
      });
  }

  #perform(effect: LearnerEffect): void {
    const { world } = this;
    switch (effect.kind) {
      case 'chosen':
        this.later(world.prng.next() * 3, () => {
          this.#apply(effect.log, effect.first, effect.batch, effect.ballot);
        });
        return;
      case 'fetch': {
        const acceptor = world.acceptors[effect.to];
        if (acceptor !== undefined)
          this.send(acceptor, () => {
            acceptor.post({ kind: 'learner', from: this.name, disk: this.name, message: effect.message });
          });
        return;
      }
      case 'catch-up': {
        const other = world.prng.pick(world.learners);
        if (other !== this)
          this.send(other, () => {
            other.#give(this, effect.log, effect.from);
          });
        return;
      }
      case 'finish': {
        const proposer = world.prng.pick(world.proposers);
        this.send(proposer, () => {
          proposer.post({ kind: 'finish', log: effect.log, from: effect.from, to: effect.to });
        });
        return;
      }
      case 'note':
        return world.note(this.name, effect.note);
    }
  }

  readonly #applying = new Map<string, { first: number; batch: Batch; ballot: Ballot }[]>();

  /** Batches may become due out of order here; they are applied in order. */
  #apply(name: string, first: number, batch: Batch, ballot: Ballot): void {
    const waiting = this.#applying.get(name) ?? [];
    this.#applying.set(name, waiting);
    waiting.push({ first, batch, ballot });
    waiting.sort((a, b) => a.first - b.first);
    const log = this.#log(name);
    for (let due = waiting[0]; due !== undefined && due.first <= log.entries.length; due = waiting[0]) {
      waiting.shift();
      let slot = due.first;
      for (const bytes of due.batch.values()) this.#applyEntry(name, log, slot++, bytes, due.ballot);
    }
    this.post({ kind: 'applied', log: name, next: log.entries.length });
    const held = log.entries.length;
    this.later(5, () => {
      log.durable = Math.max(log.durable, held);
    });
  }

  #applyEntry(name: string, log: StoredLog, slot: number, bytes: Uint8Array, ballot: Ballot): void {
    if (slot < log.entries.length) return;
    const entry = decodeEntry(bytes);
    const applied = log.sessions.apply(slot, entry);
    log.entries.push({ bytes, ballot });
    this.world.oracle.applied(this.id, name, slot, bytes, entry as Entry, applied);
  }

  #give(to: SimLearner, name: string, from: number): void {
    const entries = this.#logs.get(name)?.entries.slice(from, from + 30) ?? [];
    entries.forEach(({ bytes, ballot }, i) => {
      this.send(to, () => {
        to.post({ kind: 'chosen', log: name, first: from + i, batch: Batch.of([bytes]), ballot });
      });
    });
    if (entries.length > 0)
      this.world.note(this.name, { kind: 'gap', log: name, from, to: from + entries.length, asked: 'learners' });
  }

  /** Tells acceptors what the disk holds, and other learners how far it is. */
  #report(): void {
    const { world } = this;
    for (const [name, log] of this.#logs) {
      const others = [...(this.#others.get(name)?.values() ?? [])];
      const shared = world.holders === 1 ? log.durable : Math.min(log.durable, Math.max(0, ...others));
      const message = { kind: 'held', log: name, held: log.durable, agreed: shared - (shared % 16) } as const;
      for (const acceptor of world.acceptors)
        this.send(acceptor, () => {
          acceptor.post({ kind: 'learner', from: this.name, disk: this.name, message });
        });
      for (const other of world.learners) {
        if (other === this) continue;
        const { durable } = log;
        const next = log.entries.length;
        this.send(other, () => {
          const known = other.#others.get(name) ?? new Map<number, number>();
          other.#others.set(name, known);
          known.set(this.id, Math.max(known.get(this.id) ?? 0, durable));
          other.post({ kind: 'known', log: name, next });
        });
      }
    }
  }
}

export function hex(prng: Prng, digits: number): string {
  let out = '';
  while (out.length < digits) out += prng.uint32().toString(16).padStart(8, '0');
  return out.slice(0, digits);
}
