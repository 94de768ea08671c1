/**
 * An acceptor without its servers: the disk and what it proves, the machine over the journal, membership, streams and calls.
 *
 *   stamp ─▶ journal (verdict) ─▶ replay ─▶ roster ─▶ introductions … ─▶ speaks
 */
import { assertNever } from '../../shared/base/assert.ts';
import { markBegun, openJournal, openStamp, readRoster, writeRoster } from '../../shared/journal/index.ts';
import type { OpenedJournal } from '../../shared/journal/index.ts';
import { Acceptor } from '../../shared/paxos/acceptor.ts';
import type { AcceptorEvent } from '../../shared/paxos/acceptor.ts';
import { formatBallot } from '../../shared/paxos/ballot.ts';
import type { Owner } from '../../shared/paxos/ballot.ts';
import type { Introduction, IntroductionAnswer, RosterState } from '../../shared/paxos/introduction.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import type { Clock, Random } from '../../shared/ports/clock.ts';
import type { Disk } from '../../shared/ports/disk.ts';
import type { Journal } from '../../shared/ports/journal.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import { AcceptorNode, replay } from '../../shared/runtime/acceptor-node.ts';
import type { Outgoing } from '../../shared/runtime/acceptor-node.ts';
import { AcceptorTrace } from '../../shared/runtime/trace/acceptor-trace.ts';
import type { Tracer } from '../../shared/runtime/trace/tracer.ts';
import { decodeRecord, encodeRecord } from '../../shared/wire/codec/record.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { CALL, Calls } from './calls.ts';
import type { AcceptorConfig } from './config.ts';
import { Followers } from './followers.ts';
import { Membership } from './membership.ts';
import { reasonOf } from './metrics.ts';
import type { AcceptorMetrics } from './metrics.ts';
import { SESSION, Sessions } from './sessions.ts';
import type { StreamPorts } from './sessions.ts';
import { timedDisk } from './timed-disk.ts';

/** Milliseconds between looks at what time brings; how many of them until the rarer ones. */
export const TICK_MS = 25;
const INTRODUCE_TICKS = 4;
const SWEEP_TICKS = 10;
const ROOM_TICKS = 40;
/** Ticks without a new entry until a sync mark is written. */
const QUIET_TICKS = 2;
/** A proposer that calls without a session counts as gone this long after its last call. Milliseconds. */
const CALLER_GONE_MS = 10_000;

export interface CorePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: AcceptorMetrics;
  readonly tracer: Tracer;
  /** Runs the callback after what is at hand was read from all sockets. */
  readonly soon: (callback: () => void) => void;
  /** Draws the id of a disk that is used for the first time. */
  readonly drawDisk: () => string;
  readonly ask: (to: number, introduction: Introduction) => Promise<IntroductionAnswer>;
  readonly onSpeak: () => void;
  readonly onRefused: (reason: string) => void;
  /** The process must end at once; nothing more is sent (R4). */
  readonly onFatal: (reason: string, error: unknown) => void;
}

/** What an acceptor's disk gave back. */
interface Restored {
  /** Who is told that the journal failed: whoever starts the acceptor, and then the acceptor. */
  readonly failure: { tell: (error: Error) => void };
  readonly disk: Disk;
  readonly id: string;
  readonly opened: OpenedJournal;
  readonly machine: Acceptor;
  readonly roster: RosterState;
}

const JOURNAL_FAILED = 'the journal could not be written (R4)';

/** Reads everything back. Errors are those of `openStamp`, `openJournal`, `replay` and `readRoster`. */
export async function restore(disk: Disk, config: AcceptorConfig, self: Header, ports: CorePorts): Promise<Restored> {
  const { cluster, configuration, id } = self;
  const stamp = await openStamp(disk, { cluster, configuration, role: 'acceptor', id }, ports.drawDisk);
  const timed = timedDisk(disk, ports.clock, (name) => name.endsWith('.seg'), ports.metrics.synced);
  const segmentBytes = config['journal.segment.bytes'];
  let machine: Acceptor | undefined;
  const failure: Restored['failure'] = {
    tell: (error) => {
      ports.onFatal(JOURNAL_FAILED, error);
    },
  };
  const opened = await openJournal(timed, {
    identity: { cluster, acceptor: id, disk: stamp.disk },
    create: !stamp.begun,
    segmentBytes,
    bytesMax: config['journal.bytes.max'],
    reserveBytes: 2 * segmentBytes,
    head: () => (machine === undefined ? [] : Array.from(machine.head(), encodeRecord)),
    onFatal: (error) => {
      failure.tell(error);
    },
  });
  const { journal, heads, verdict } = opened;
  try {
    await markBegun(disk, stamp);
    const level = verdict.kind === 'torn' ? 'warn' : 'info';
    ports.log[level]({ verdict, newest: journal.newest, first: journal.first }, `the journal is open: ${verdict.kind}`);
    machine = new Acceptor(journal.newest + 1, { graceMs: config['leader.grace'], holders: config['trim.holders'] });
    await replay(machine, journal, heads, decodeRecord);
    ports.log.info({ logs: machine.logs }, 'the journal is replayed');
    return { failure, disk, id: stamp.disk, opened, machine, roster: await readRoster(disk) };
  } catch (error) {
    await journal.close();
    throw error;
  }
}

export class Core {
  readonly config: AcceptorConfig;
  readonly self: Header;
  readonly journal: Journal;
  readonly machine: Acceptor;
  readonly node: AcceptorNode;
  readonly membership: Membership;
  readonly sessions: Sessions;
  readonly followers: Followers;
  readonly calls: Calls;

  readonly #ports: CorePorts;
  readonly #roster: RosterState;
  /** Proposers that call without a session, by start, and when they last did. */
  readonly #callers = new Map<string, { readonly owner: Owner; at: number }>();
  #life: 'open' | 'closing' | 'dead' = 'open';
  #ticks = 0;
  #newest: number;
  #quietTicks = 0;
  #busy = 0;

  constructor(restored: Restored, config: AcceptorConfig, self: Header, ports: CorePorts) {
    const { journal } = restored.opened;
    this.config = config;
    this.self = self;
    this.journal = journal;
    this.machine = restored.machine;
    this.#ports = ports;
    this.#roster = restored.roster;
    this.#newest = journal.newest;
    this.node = this.#makeNode();
    restored.failure.tell = (error) => {
      this.#die(JOURNAL_FAILED, error);
    };
    this.membership = this.#makeMembership(restored);
    const post = (event: AcceptorEvent): void => {
      this.#post(event);
    };
    this.calls = new Calls(ports.clock, post);
    const streams = this.#streamPorts(post);
    this.sessions = new Sessions({
      ...streams,
      isBusy: () => this.isBusy,
      onBusy: () => {
        this.noteBusy();
      },
    });
    this.followers = new Followers({
      ...streams,
      onRemembered: (learner, remembered) => {
        this.membership.learnerRemembers(learner, remembered);
      },
      onDropped: ports.metrics.dropped,
      onFetchRefused: ports.metrics.fetchRefused,
    });
  }

  /** True while too many bytes wait for the journal (R14). */
  get isBusy(): boolean {
    return this.journal.queuedBytes > this.config['journal.queue.bytes'];
  }

  /** Accepts that were refused as busy. */
  get busy(): number {
    return this.#busy;
  }

  noteBusy(): void {
    this.#busy++;
    this.#ports.metrics.busy();
  }

  /** Introduces itself. To be called once the server answers introductions. */
  start(): void {
    this.membership.start(this.#roster, this.journal.newest);
  }

  tick(): void {
    if (this.#life === 'dead') return;
    const ticks = ++this.#ticks;
    this.node.tick();
    this.#markWhenQuiet();
    if (ticks % INTRODUCE_TICKS === 0) this.membership.tick();
    if (ticks % ROOM_TICKS === 0 && !this.journal.hasRoom) this.journal.seekRoom();
    if (ticks % SWEEP_TICKS !== 0) return;
    this.calls.sweep();
    this.#forgetCallers();
  }

  /** A proposer that calls without a session was heard, like one with a session. */
  heardCaller(owner: Owner): void {
    const key = `${String(owner.proposer)}.${owner.incarnation}`;
    const known = this.#callers.get(key);
    if (known === undefined) this.#callers.set(key, { owner, at: this.#ports.clock.now() });
    else known.at = this.#ports.clock.now();
  }

  /** Takes nothing more in and waits until what was taken is answered, or the time is over. */
  async drain(ms: number): Promise<void> {
    if (this.#life === 'dead') return;
    this.#life = 'closing';
    this.membership.silence();
    const { clock } = this.#ports;
    const end = clock.now() + ms;
    while ((this.node.held > 0 || this.node.waiting > 0) && clock.now() < end)
      await new Promise<void>((done) => {
        clock.after(5, done);
      });
  }

  /** Writes what is queued and closes the journal. */
  async close(): Promise<void> {
    const dead = this.#life === 'dead';
    this.#life = 'dead';
    this.node.stop();
    if (!dead) await this.journal.close();
  }

  /** Nothing is sent any more, whatever becomes durable. */
  silenceForEver(): void {
    this.#life = 'dead';
    this.node.stop();
  }

  #post(event: AcceptorEvent): void {
    if (this.#life === 'open') this.node.post(event);
  }

  #die(reason: string, error: unknown): void {
    if (this.#life === 'dead') return;
    this.silenceForEver();
    this.#ports.onFatal(reason, error);
  }

  #makeNode(): AcceptorNode {
    const { clock, random, soon, metrics, tracer } = this.#ports;
    const { journal } = this;
    const node = new AcceptorNode(this.machine, journal, {
      now: () => clock.now(),
      random: () => random.next(),
      soon,
      encode: encodeRecord,
      decode: decodeRecord,
      send: (message, position) => {
        this.#send(message, position);
      },
      flush: () => {
        if (this.#life !== 'dead') this.followers.flushSoon();
      },
      note: (note) => {
        this.#note(note);
      },
      trace: new AcceptorTrace(tracer, (token) => this.followers.learnerOf(token)),
      onFatal: (error) => {
        this.#die('the acceptor or its journal broke', error);
      },
    });
    const release = journal.onSynced;
    let before = journal.synced;
    journal.onSynced = (synced) => {
      metrics.recorded(synced - before);
      before = synced;
      release(synced);
    };
    return node;
  }

  #makeMembership({ disk, id }: Restored): Membership {
    const { clock, random, log, ask, onSpeak, onRefused } = this.#ports;
    const settings = { acceptor: this.self.id, disk: id, acceptors: [...this.config.acceptors.keys()] };
    return new Membership(settings, {
      ...{ clock, random, log, ask, onSpeak },
      position: () => this.journal.synced,
      save: (state) => writeRoster(disk, state),
      onRefused: (reason) => {
        this.silenceForEver();
        onRefused(reason);
      },
      onFatal: (error) => {
        this.#die('the roster could not be stored (R4)', error);
      },
    });
  }

  #streamPorts(post: (event: AcceptorEvent) => void): StreamPorts {
    return {
      expected: this.self,
      admit: () => {
        this.membership.admit();
      },
      welcome: () => {
        const { acceptor, disk, start, draw } = this.membership.present;
        return { acceptor, disk, start, draw, position: this.journal.synced };
      },
      post,
      queueBytesMax: this.config['stream.queue.bytes'],
      log: this.#ports.log,
    };
  }

  /** Everything that leaves passes here; what it depends on is durable (R3). */
  #send(message: Outgoing, position: number): void {
    if (this.#life === 'dead') return;
    switch (message.kind) {
      case 'reply':
        if (message.to.startsWith(SESSION)) this.sessions.reply(message.to, message.message);
        else this.calls.settle(message.to, message.message);
        return;
      case 'publish':
        return this.followers.publish(message.votes, position);
      case 'reply-learner':
        if (!message.to.startsWith(CALL)) this.followers.reply(message.to, message.message, position);
        else if (message.message.kind === 'fetched') this.calls.settle(message.to, message.message);
        return;
      case 'reply-tip':
        return this.followers.reply(message.to, message.message, position);
      case 'reply-forget':
        return this.calls.settle(message.to, { kind: 'forgotten', refused: message.refused });
      default:
        assertNever(message);
    }
  }

  #note(note: Note): void {
    const { log, metrics } = this.#ports;
    metrics.note(note);
    if (note.kind === 'promised')
      log.info({ log: note.log, ballot: formatBallot(note.ballot), purpose: note.purpose }, 'promised');
    else if (note.kind === 'trimmed') log.debug({ log: note.log, floor: note.floor }, 'trimmed');
    else if (note.kind === 'rejected') {
      const { phase } = note;
      const reason = reasonOf(note);
      const level = reason === 'conflict' ? 'error' : 'debug';
      log[level]({ log: note.log, phase, reason, ballot: formatBallot(note.ballot) }, 'rejected');
    }
  }

  /** R6: a sync mark behind the last write proves at the next start that it was durable. */
  #markWhenQuiet(): void {
    const { newest, synced } = this.journal;
    this.#quietTicks = newest === this.#newest && synced === newest ? this.#quietTicks + 1 : 0;
    this.#newest = newest;
    if (this.#quietTicks === QUIET_TICKS) this.journal.idle();
  }

  #forgetCallers(): void {
    const now = this.#ports.clock.now();
    for (const [key, { owner, at }] of this.#callers) {
      if (now - at < CALLER_GONE_MS) continue;
      this.#callers.delete(key);
      if (!this.sessions.has(owner)) this.#post({ kind: 'proposer-gone', owner });
    }
  }
}
