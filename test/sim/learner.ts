/** The shipped learner, its questions for the end of a log and its session table, over a store that forgets what was not flushed. */
import { Batch } from '../../shared/base/batch.ts';
import { decodeEntry } from '../../shared/machine/entry.ts';
import { Sessions } from '../../shared/machine/sessions.ts';
import type { Ballot } from '../../shared/paxos/ballot.ts';
import { remember, type Remembered } from '../../shared/paxos/introduction.ts';
import { Learner, type LearnerEffect, type LearnerEvent } from '../../shared/paxos/learner.ts';
import type { Tip } from '../../shared/paxos/messages.ts';
import { Inbox } from '../../shared/runtime/inbox.ts';
import { LearnerTrace } from '../../shared/runtime/trace/learner-trace.ts';
import { traced } from '../../shared/runtime/trace/role-trace.ts';
import { Tips } from '../../services/learner/tips.ts';
import type { SimAcceptor } from './acceptor.ts';
import { hex, SimNode, type World } from './node.ts';

interface StoredLog {
  /** Applied entries, with the ballot at which each was learned. */
  readonly entries: { readonly bytes: Uint8Array; readonly ballot: Ballot }[];
  sessions: Sessions;
  durable: number;
}

interface Chosen {
  readonly first: number;
  readonly batch: Batch;
  readonly ballot: Ballot;
}

/** Milliseconds from a transaction to its flush. */
const FLUSH_MS = 5;
const READ_MS = 1_500;

export class SimLearner extends SimNode {
  readonly id: number;
  #inbox: Inbox<LearnerEvent, LearnerEffect> | undefined;
  #tips: Tips | undefined;
  /** The number of its disk: it is replaced when the learner is made anew. */
  #disk = 1;
  readonly #logs = new Map<string, StoredLog>();
  /** What is durable of the logs at other learners, by log and learner. */
  readonly #others = new Map<string, Map<number, number>>();
  /** What it keeps of each acceptor (R5), and what of that is durable. */
  readonly #remembered = new Map<number, Remembered>();
  readonly #rememberedDurably = new Map<number, Remembered>();
  readonly #waiting = new Set<{ readonly log: string; readonly next: number; readonly done: () => void }>();
  readonly #applying = new Map<string, Chosen[]>();

  constructor(world: World, id: number) {
    super(world, `learner-${String(id)}`);
    this.id = id;
  }

  /** The acceptor that sends it values. */
  get source(): number {
    return (this.id - 1) % this.world.quorum.size;
  }

  get disk(): string {
    return hex(this.world.stream(`${this.name}.${String(this.#disk)}`), 32);
  }

  start(): void {
    this.begin();
    const { world } = this;
    const machine = new Learner(world.quorum, this.source, { windowSlots: 60, fetchSlots: 25 });
    for (const [name, log] of this.#logs) machine.restore(name, log.entries.length);
    const tracer = world.watch?.begin(this.name, () => this.now());
    const acceptors = world.acceptors.map((a) => a.id);
    const inbox = new Inbox<LearnerEvent, LearnerEffect>(
      tracer === undefined ? machine : traced(machine, new LearnerTrace(tracer, acceptors)),
      this.ports(),
      (effect) => {
        if (this.#inbox === inbox) this.#perform(effect);
      },
      () => undefined,
    );
    this.#inbox = inbox;
    this.#tips = this.#makeTips();
    this.every(25, () => {
      world.watch?.drain(this.name);
      if (machine.behind > 0) inbox.post({ kind: 'tick' });
    });
    this.every(200, () => {
      this.#report();
    });
    // A stream that loses messages breaks: it is opened again, and begins with the heads of all logs.
    const join = (): void => {
      for (const acceptor of world.acceptors) this.join(acceptor);
    };
    join();
    this.every(1_000, join);
  }

  crash(how: 'kill' | 'power'): void {
    this.isUp = false;
    this.world.watch?.crash(this.name);
    this.#inbox?.stop();
    this.#inbox = undefined;
    this.#tips = undefined;
    this.#waiting.clear();
    this.#applying.clear();
    this.#others.clear();
    this.#remembered.clear();
    for (const [acceptor, memory] of this.#rememberedDurably) this.#remembered.set(acceptor, memory);
    for (const log of this.#logs.values()) {
      const keep =
        how === 'kill' ? log.entries.length : log.durable + this.prng.below(log.entries.length - log.durable + 1);
      log.entries.length = keep;
      log.durable = keep;
      log.sessions = new Sessions(this.world.limits);
      for (let slot = 0; slot < keep; slot++)
        log.sessions.apply(slot, decodeEntry(log.entries[slot]?.bytes ?? new Uint8Array()));
    }
  }

  /** Its disk is replaced by an empty one. To be called while it is down. Returns the disk that is gone. */
  wipe(): string {
    const gone = this.disk;
    this.#disk++;
    this.#logs.clear();
    this.#remembered.clear();
    this.#rememberedDurably.clear();
    return gone;
  }

  post(event: LearnerEvent): void {
    this.#inbox?.post(event);
  }

  next(name: string): number {
    return this.#logs.get(name)?.entries.length ?? 0;
  }

  durable(name: string): number {
    return this.#logs.get(name)?.durable ?? 0;
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

  // ── acceptors ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Opens its stream to an acceptor anew. */
  join(acceptor: SimAcceptor): void {
    const { position } = acceptor;
    const remembered = this.#remembered.get(position);
    this.send(acceptor, () => {
      acceptor.follow(this.name, remembered, (start) => {
        acceptor.send(this, () => {
          this.#welcomed(position, start);
        });
      });
    });
  }

  #welcomed(position: number, start: Remembered): void {
    const after = remember(this.#remembered.get(position), start);
    this.#remembered.set(position, after);
    this.later(FLUSH_MS, () => {
      this.#rememberedDurably.set(position, after);
    });
    this.world.stir();
    this.#tips?.onUp(position);
  }

  onTip(acceptor: number, tip: Tip): void {
    this.world.stir();
    this.#tips?.onTip(acceptor, tip);
  }

  #makeTips(): Tips {
    const { world } = this;
    return new Tips({
      quorum: world.quorum,
      clock: { now: () => this.now(), after: (ms, callback) => this.later(ms, callback) },
      send: (position, message) => {
        const acceptor = world.acceptors[position];
        if (acceptor !== undefined)
          this.send(acceptor, () => {
            acceptor.post({ kind: 'question', from: this.name, message });
          });
      },
      connected: () => world.quorum.size,
    });
  }

  /** A linearizable read (R13). Gives the end that was read, undefined when there was no answer in time. */
  read(log: string, give: (end: number | undefined) => void): void {
    const start = this.startNumber;
    let isDone = false;
    const done = (end: number | undefined): void => {
      if (isDone || !this.lives(start)) return;
      isDone = true;
      give(end);
    };
    this.later(READ_MS, () => {
      done(undefined);
    });
    this.#tips?.ask(log, READ_MS).then(
      (tip) => {
        if (this.lives(start))
          this.later(0, () => {
            this.#whenApplied(log, tip + 1, () => {
              done(tip + 1);
            });
          });
      },
      () => undefined, // no quorum in time: the timer above says so
    );
  }

  #whenApplied(log: string, next: number, done: () => void): void {
    if (this.next(log) >= next) return done();
    this.#waiting.add({ log, next, done });
    this.post({ kind: 'wanted', log, slot: next - 1 });
  }

  // ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  #perform(effect: LearnerEffect): void {
    const { world } = this;
    switch (effect.kind) {
      case 'chosen':
        this.later(this.prng.next() * 3, () => {
          this.#apply(effect.log, effect);
        });
        return;
      case 'fetch': {
        const acceptor = world.acceptors[effect.to];
        const { disk } = this;
        if (acceptor !== undefined)
          this.send(acceptor, () => {
            acceptor.post({ kind: 'learner', from: this.name, disk, message: effect.message });
          });
        return;
      }
      case 'catch-up': {
        const other = this.prng.pick(world.learners);
        if (other !== this)
          this.send(other, () => {
            other.#give(this, effect.log, effect.from);
          });
        return;
      }
      case 'finish': {
        const proposer = this.prng.pick(world.proposers);
        this.send(proposer, () => {
          proposer.post({ kind: 'finish', log: effect.log, from: effect.from, to: effect.to });
        });
        return;
      }
      case 'note':
        world.watch?.noted(this.name, effect.note);
        return world.note(this.name, effect.note);
    }
  }

  #log(name: string): StoredLog {
    let log = this.#logs.get(name);
    if (log === undefined)
      this.#logs.set(name, (log = { entries: [], sessions: new Sessions(this.world.limits), durable: 0 }));
    return log;
  }

  /** Batches may become due out of order here; they are applied in order. */
  #apply(name: string, chosen: Chosen): void {
    const waiting = this.#applying.get(name) ?? [];
    this.#applying.set(name, waiting);
    waiting.push(chosen);
    waiting.sort((a, b) => a.first - b.first);
    const log = this.#log(name);
    for (let due = waiting[0]; due !== undefined && due.first <= log.entries.length; due = waiting[0]) {
      waiting.shift();
      let slot = due.first;
      for (const bytes of due.batch.values()) this.#applyEntry(name, log, slot++, bytes, due.ballot);
    }
    this.post({ kind: 'applied', log: name, next: log.entries.length });
    const held = log.entries.length;
    this.later(FLUSH_MS, () => {
      log.durable = Math.max(log.durable, held);
    });
    for (const waiter of this.#waiting) {
      if (waiter.log !== name || waiter.next > held) continue;
      this.#waiting.delete(waiter);
      waiter.done();
    }
  }

  #applyEntry(name: string, log: StoredLog, slot: number, bytes: Uint8Array, ballot: Ballot): void {
    if (slot < log.entries.length) return;
    const entry = decodeEntry(bytes);
    const applied = log.sessions.apply(slot, entry);
    log.entries.push({ bytes, ballot });
    this.world.oracle.applied(this.id, name, slot, bytes, entry, applied);
  }

  #give(to: SimLearner, name: string, from: number): void {
    const entries = this.#logs.get(name)?.entries.slice(from, from + 30) ?? [];
    entries.forEach(({ bytes, ballot }, i) => {
      this.send(to, () => {
        to.post({ kind: 'chosen', log: name, first: from + i, batch: Batch.of([bytes]), ballot });
      });
    });
    if (entries.length > 0 && from < (this.world.floors.get(name) ?? 0)) this.world.count('catch-up below the floor');
  }

  /** Tells acceptors what the disk holds, and other learners how far it is. */
  #report(): void {
    const { world, disk } = this;
    for (const [name, log] of this.#logs) {
      const others = [...(this.#others.get(name)?.values() ?? [])];
      const shared = world.holders === 1 ? log.durable : Math.min(log.durable, Math.max(0, ...others));
      const message = { kind: 'held', log: name, held: log.durable, agreed: shared - (shared % 16) } as const;
      for (const acceptor of world.acceptors)
        this.send(acceptor, () => {
          acceptor.post({ kind: 'learner', from: this.name, disk, message });
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
