/** The shipped acceptor, journal, stamp, roster and membership, started on a simulated disk as the service starts them. */
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { markBegun, openJournal, openStamp } from '../../shared/journal/index.ts';
import type { OpenedJournal } from '../../shared/journal/index.ts';
import { Acceptor, type AcceptorEvent } from '../../shared/paxos/acceptor.ts';
import {
  EMPTY_ROSTER_STATE,
  type Introduction,
  type IntroductionAnswer,
  type Remembered,
  type RosterState,
} from '../../shared/paxos/introduction.ts';
import type { Journal } from '../../shared/ports/journal.ts';
import { AcceptorNode, replay, type Outgoing } from '../../shared/runtime/acceptor-node.ts';
import { AcceptorTrace } from '../../shared/runtime/trace/acceptor-trace.ts';
import { decodeRecord, encodeRecord } from '../../shared/wire/codec/record.ts';
import { Membership } from '../../services/acceptor/membership.ts';
import { readRoster, writeRoster } from '../../shared/journal/roster-file.ts';
import { silentLog } from '../support/silent-log.ts';
import { SimDisk } from './disk.ts';
import { hex, SimNode, type World } from './node.ts';

const CLUSTER = 'c1'.repeat(16);
const CONFIGURATION = 'sim';
const TICK_MS = 25;
/** Milliseconds between two starts of a process that could not start for want of space. */
const RESTART_MS = 300;

/** A process that is up, once its disk is read. */
interface Running {
  readonly journal: Journal;
  readonly machine: Acceptor;
  readonly node: AcceptorNode;
  readonly membership: Membership;
}

export class SimAcceptor extends SimNode {
  readonly position: number;
  disk = new SimDisk();
  /** It is out for good: its disk was lost, or may be older than anybody can know. */
  isOut = false;
  /** It spoke at least once, so the roster of the cluster is complete. */
  hasSpoken = false;
  #running: Running | undefined;
  /** What the answers of others to this start remembered of it. */
  #told: Remembered[] = [];
  #positionAtStart = -1;

  constructor(world: World, position: number) {
    super(world, `acceptor-${String(position + 1)}`);
    this.position = position;
  }

  get id(): number {
    return this.position + 1;
  }

  get isSpeaking(): boolean {
    return this.isUp && this.#running?.membership.silentBecause === undefined && this.#running !== undefined;
  }

  get journal(): Journal | undefined {
    return this.#running?.journal;
  }

  /** Why it does not speak, for a run that does not end. */
  get standing(): string {
    if (this.isSpeaking) {
      const { first = 0, newest = 0, bytes = 0, hasRoom = true } = this.journal ?? {};
      return `${this.name} speaks, journal ${first} to ${newest}, ${bytes} bytes${hasRoom ? '' : ', no room'}`;
    }
    return `${this.name}: ${this.isUp ? (this.#running?.membership.silentBecause ?? 'is starting') : 'is down'}`;
  }

  /** Puts a stamp and a complete roster on the disk, as if the cluster had been made long ago. */
  async prepare(disks: ReadonlyMap<number, string>): Promise<void> {
    const { memory } = this.disk;
    await openStamp(memory, this.#owner(), () => disks.get(this.id) ?? '');
    await writeRoster(memory, { ...EMPTY_ROSTER_STATE, roster: { kind: 'complete', disks } });
    // All of it is durable.
    this.disk.memory = memory.image();
  }

  start(): void {
    this.begin();
    const start = this.startNumber;
    const { world, disk } = this;
    this.#told = [];
    disk.attach({
      later: (ms, run) => {
        this.later(ms, () => {
          world.stir();
          run();
        });
      },
      prng: this.prng,
      now: () => world.schedule.now,
      syncMs: world.setup.syncMs,
      die: () => {
        world.count('crash in a write');
        this.end('power');
      },
      violation: (text) => {
        if (this.lives(start)) world.violation(`${this.name}: ${text}`);
      },
    });
    world.stir();
    this.#open(start).catch((error: unknown) => {
      if (this.lives(start)) this.#failedStart(error);
    });
  }

  crash(how: 'kill' | 'power'): void {
    this.isUp = false;
    this.world.watch?.crash(this.name);
    this.#running?.node.stop();
    this.#running = undefined;
    this.disk.end(how, this.prng);
  }

  /** It ends by itself and is started again by whoever looks after it. */
  end(how: 'kill' | 'power', backAfterMs = RESTART_MS): void {
    if (!this.isUp) return;
    this.crash(how);
    this.world.schedule.after(backAfterMs, () => {
      if (!this.isUp && !this.isOut) this.start();
    });
  }

  post(event: AcceptorEvent): void {
    this.world.stir();
    // R5: promises, votes and reads only while it speaks.
    if (this.#running?.membership.silentBecause === undefined) this.#running?.node.post(event);
  }

  #owner(): { cluster: string; configuration: string; role: string; id: number } {
    return { cluster: CLUSTER, configuration: CONFIGURATION, role: 'acceptor', id: this.id };
  }

  // ── the start ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #open(start: number): Promise<void> {
    const { world, disk } = this;
    const { memory } = disk;
    const { segmentBytes, segments } = world.setup;
    const stamp = await openStamp(memory, this.#owner(), () => hex(this.prng, 32));
    // Filled below: the journal asks for the state when it begins a segment.
    const holder: { machine: Acceptor | undefined } = { machine: undefined };
    const opened = await openJournal(memory, {
      identity: { cluster: CLUSTER, acceptor: this.id, disk: stamp.disk },
      create: !stamp.begun,
      segmentBytes,
      bytesMax: segments * segmentBytes,
      reserveBytes: 8 * segmentBytes,
      head: () => (holder.machine === undefined ? [] : Array.from(holder.machine.head(), encodeRecord)),
      onFatal: () => {
        // R4: the process ends at once. The machine lives on, so what was written can still be read.
        world.count('failed sync');
        if (this.lives(start)) this.end('kill');
      },
    });
    this.#judgeOpened(opened);
    await markBegun(memory, stamp);
    const { journal, heads } = opened;
    const machine = new Acceptor(journal.newest + 1, { holders: world.holders, trimMs: 300, pageBytes: 800 });
    holder.machine = machine;
    await replay(machine, journal, heads, decodeRecord);
    const roster = await readRoster(memory);
    if (!this.lives(start)) return;
    if (disk.damage === undefined) world.oracle.recovered(this.position, machine.status(), disk.view);
    this.#run(start, journal, machine, stamp.disk, roster);
  }

  #run(start: number, journal: Journal, machine: Acceptor, id: string, roster: RosterState): void {
    const { world } = this;
    const tracer = world.watch?.begin(this.name, () => this.now());
    const learnerOf = (name: string): number | undefined => world.learners.find((l) => l.name === name)?.id;
    const node = new AcceptorNode(machine, journal, {
      ...(tracer === undefined ? {} : { trace: new AcceptorTrace(tracer, learnerOf) }),
      ...this.ports(),
      soon: (callback) => {
        this.later(0, () => {
          world.stir();
          callback();
        });
      },
      onFatal: (error) => {
        if (this.lives(start)) this.#broke(error);
      },
      encode: encodeRecord,
      decode: decodeRecord,
      send: (message) => {
        if (!this.lives(start)) return;
        // Not thrown: the journal that calls would take it for a failure of its own.
        try {
          this.#deliver(message);
        } catch (error) {
          world.fail(error);
        }
      },
      flush: () => undefined,
      note: (note) => {
        if (note.kind === 'trimmed') world.floors.set(note.log, Math.max(note.floor, world.floors.get(note.log) ?? 0));
        world.watch?.noted(this.name, note);
        world.note(this.name, note);
      },
    });
    const membership = this.#makeMembership(start, journal, id);
    this.#running = { journal, machine, node, membership };
    this.#positionAtStart = journal.newest;
    membership.start(roster, journal.newest);
    this.#tickAlways(this.#running);
  }

  /** The machine or its journal broke. Without any space left even for what the reserve is for, the process ends as well. */
  #broke(error: unknown): void {
    if (!(error instanceof SynodError) || error.code !== 'RESOURCE_EXHAUSTED') return this.world.fail(error);
    this.world.count('reserve used up');
    this.end('kill');
  }

  /** Ticks as the service does: the machine, a mark when it is quiet, introductions, and a look for room. */
  #tickAlways({ node, journal, membership }: Running): void {
    const { world } = this;
    let ticks = 0;
    let quiet = 0;
    let { newest } = journal;
    let { first } = journal;
    let hadRoom = true;
    this.every(TICK_MS, () => {
      world.stir();
      ticks++;
      world.watch?.drain(this.name);
      node.tick();
      quiet = newest === journal.newest && journal.synced === newest ? quiet + 1 : 0;
      newest = journal.newest;
      if (quiet === 2) journal.idle();
      if (ticks % 4 === 0) membership.tick();
      if (!journal.hasRoom) {
        if (hadRoom) world.count('journal without room');
        if (ticks % 10 === 0) journal.seekRoom();
      }
      hadRoom = journal.hasRoom;
      if (journal.first > first) world.count('journal trimmed');
      first = journal.first;
    });
  }

  #judgeOpened({ verdict, journal }: OpenedJournal): void {
    const { world, disk } = this;
    world.count(`${verdict.kind} journal`);
    world.say(this.name, `journal ${verdict.kind}, newest ${String(journal.newest)}`);
    if (disk.damage === 'flipped') world.violation(`R6: ${this.name} opened a journal in which a bit was flipped`);
    if (disk.damage === 'swapped') world.violation(`R5: ${this.name} opened another acceptor's journal`);
  }

  /** A start that ended: as it must, for want of space, because a sync failed, or wrongly. */
  #failedStart(error: unknown): void {
    const { world, disk } = this;
    const code = error instanceof SynodError ? error.code : '';
    world.say(this.name, `start failed: ${messageOf(error)}`);
    if (code === 'RESOURCE_EXHAUSTED' || /ENOSPC|EIO/.test(messageOf(error))) return this.end('kill');
    const isRefusal = code === 'DATA_LOSS' || code === 'FAILED_PRECONDITION';
    if (isRefusal && (disk.damage === 'flipped' || disk.damage === 'swapped')) {
      world.count(`refused disk: ${disk.damage}`);
      this.crash('kill');
      return;
    }
    world.fail(new Error(`${this.name}: a sound disk was refused: ${messageOf(error)}`, { cause: error }));
  }

  // ── membership ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #makeMembership(start: number, journal: Journal, disk: string): Membership {
    const { world } = this;
    const acceptors = world.acceptors.map((a) => a.id);
    return new Membership(
      { acceptor: this.id, disk, acceptors },
      {
        clock: { now: () => this.now(), after: (ms, callback) => this.later(ms, callback) },
        random: { next: () => this.prng.next() },
        log: silentLog,
        position: () => journal.synced,
        save: (state) => writeRoster(this.disk.memory, state),
        ask: (to, introduction) => this.#ask(start, to, introduction),
        onSpeak: () => {
          if (this.lives(start)) this.#speak();
        },
        onRefused: (reason) => {
          if (this.lives(start)) this.#refused(reason);
        },
        onFatal: (error) => {
          if (!this.lives(start)) return;
          if (/ENOSPC|EIO/.test(messageOf(error))) return this.end('kill');
          world.fail(error);
        },
      },
    );
  }

  #ask(start: number, to: number, introduction: Introduction): Promise<IntroductionAnswer> {
    const other = this.world.acceptors.find((a) => a.id === to);
    return new Promise((done, failed) => {
      if (!this.lives(start)) return;
      this.later(1_000, () => {
        this.world.stir();
        failed(new Error('no answer'));
      });
      if (other !== undefined)
        this.send(other, () => {
          other.#answer(this, introduction, (answer) => {
            if (!this.lives(start)) return;
            this.world.stir();
            if (answer.remembered !== undefined) this.#told.push(answer.remembered);
            done(answer);
          });
        });
    });
  }

  #answer(to: SimAcceptor, introduction: Introduction, give: (answer: IntroductionAnswer) => void): void {
    const start = this.startNumber;
    this.world.stir();
    this.#running?.membership.introduce(introduction).then(
      (answer) => {
        if (this.lives(start))
          this.send(to, () => {
            give(answer);
          });
      },
      () => undefined, // it ends, and answers nothing
    );
  }

  /** R5, from outside: nobody speaks whose disk the others know to have been further. */
  #speak(): void {
    const { world, disk } = this;
    const present = this.#running?.membership.present;
    if (disk.damage === 'emptied') return world.violation(`R5: ${this.name} speaks from an empty disk`);
    for (const told of this.#told) {
      const why =
        present === undefined ? undefined : contradictionBySight({ ...present, position: this.#positionAtStart }, told);
      if (why !== undefined) return world.violation(`R5: ${this.name} speaks, though another one ${why}`);
    }
    if (disk.damage === 'yesterday') {
      // Nobody whom it reached knows better, so R5 cannot. It is taken out before it says a word.
      world.count('yesterday’s disk that nobody remembers');
      this.isOut = true;
      return this.crash('kill');
    }
    this.hasSpoken = true;
    for (const proposer of world.proposers)
      if (proposer.isUp)
        this.send(proposer, () => {
          proposer.post({ kind: 'acceptor-up', acceptor: this.position });
        });
    for (const learner of world.learners)
      if (learner.isUp)
        this.send(learner, () => {
          learner.join(this);
        });
  }

  #refused(reason: string): void {
    const { world, disk } = this;
    world.say(this.name, `refused: ${reason}`);
    const expected = disk.damage === 'emptied' || disk.damage === 'yesterday' || this.isOut;
    if (!expected) return world.fail(new Error(`${this.name}: a sound disk was refused: ${reason}`));
    world.count(`refused disk: ${String(disk.damage)}`);
    if (disk.damage === 'yesterday') this.isOut = true;
    this.crash('kill');
  }

  /** A learner opens its stream: it says what it remembers, and is told who speaks here and how far the logs reach. */
  follow(learner: string, remembered: Remembered | undefined, welcome: (start: Remembered) => void): void {
    const running = this.#running;
    if (running === undefined) return;
    this.world.stir();
    if (remembered !== undefined) running.membership.learnerRemembers(learner, remembered);
    if (!this.isSpeaking) return;
    const { start, draw } = running.membership.present;
    welcome({ start, draw, position: running.journal.synced });
    this.post({ kind: 'learner-joined', from: learner });
  }

  // ── what leaves ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #deliver(effect: Outgoing): void {
    const { world } = this;
    world.watch?.left(this.name, effect);
    world.oracle.left(this.position, effect, this.disk.view);
    switch (effect.kind) {
      case 'reply': {
        const to = world.proposers.find((p) => p.name === effect.to);
        if (to !== undefined)
          this.send(to, () => {
            to.post({ kind: 'acceptor', from: this.position, message: effect.message });
          });
        return;
      }
      case 'publish':
        for (const learner of world.learners) {
          const message = learner.source === this.position ? effect.votes : { ...effect.votes, batch: undefined };
          this.send(learner, () => {
            learner.post({ kind: 'acceptor', from: this.position, message });
          });
        }
        return;
      case 'reply-learner': {
        const to = world.learners.find((l) => l.name === effect.to);
        if (to !== undefined)
          this.send(to, () => {
            to.post({ kind: 'acceptor', from: this.position, message: effect.message });
          });
        return;
      }
      case 'reply-tip': {
        const to = world.learners.find((l) => l.name === effect.to);
        if (to !== undefined)
          this.send(to, () => {
            to.onTip(this.position, effect.message);
          });
        return;
      }
      case 'reply-forget':
        world.count(effect.refused === undefined ? 'learner forgotten' : 'forgetting refused');
    }
  }
}

/** The same as the shipped rule, said again here, so that a mistake in that one is seen. */
function contradictionBySight(own: Remembered, told: Remembered): string | undefined {
  if (own.start === told.start && own.draw === told.draw) return undefined;
  if (told.start >= own.start) return `remembers start ${String(told.start)} of it, and this is ${String(own.start)}`;
  if (told.position > own.position)
    return `was sent position ${String(told.position)}, and its disk ended at ${String(own.position)}`;
  return undefined;
}
