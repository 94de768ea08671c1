/**
 * The machine of a proposer with its links: effects go out to acceptors, peers, learners and callers; whatever they say comes
 * back as events. Everything of one turn of the event loop is handled together, and leaves together.
 */
import { assertNever } from '../../shared/base/assert.ts';
import { LIMITS } from '../../shared/base/limits.ts';
import { encodeEntry } from '../../shared/machine/entry.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import { formatBallot } from '../../shared/paxos/ballot.ts';
import { Proposer } from '../../shared/paxos/proposer.ts';
import type { ProposerEvent } from '../../shared/paxos/proposer.ts';
import type { ProposerEffect, ProposerOptions } from '../../shared/paxos/proposing.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import { everyMs, newId } from '../../shared/platform/clock.ts';
import type { Directory } from '../../shared/platform/discovery/directory.ts';
import type { Faults } from '../../shared/platform/faults/faults.ts';
import type { Clock, Random } from '../../shared/ports/clock.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import { Inbox } from '../../shared/runtime/inbox.ts';
import { ProposerTrace } from '../../shared/runtime/trace/proposer-trace.ts';
import { traced } from '../../shared/runtime/trace/role-trace.ts';
import type { Tracer } from '../../shared/runtime/trace/tracer.ts';
import type { Expected, Header } from '../../shared/wire/codec/header.ts';
import { AcceptorLinks } from './acceptors.ts';
import { History } from './history.ts';
import type { HistoryOptions } from './history.ts';
import { Intake } from './intake.ts';
import { LearnerLinks } from './learners.ts';
import type { ProposerMetrics } from './metrics.ts';
import { OwnSessions } from './own-sessions.ts';
import { PeerLinks } from './peers.ts';
import { Propose } from './propose.ts';
import { ProposeStreams } from './propose-stream.ts';
import { sumsOf } from './status.ts';

type Addresses = ReadonlyMap<number, string>;

export interface NodeOptions {
  readonly header: Header & { readonly incarnation: string };
  readonly faults: Faults;
  readonly quorum: QuorumSystem;
  readonly acceptors: Addresses;
  readonly proposers: Directory;
  readonly learners: Directory;
  readonly machine: Partial<ProposerOptions>;
  readonly queueBytesMax: number;
  /** Milliseconds for proposals of streams, and for opening sessions. */
  readonly timeoutMs: number;
  readonly metrics: ProposerMetrics;
  readonly history: HistoryOptions;
  readonly tracer: Tracer;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  /** An invariant broke: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

const TICK_MS = 25;

export class ProposerNode {
  readonly header: Header;
  readonly faults: Faults;
  readonly machine: Proposer;
  readonly acceptors: AcceptorLinks;
  readonly peers: PeerLinks;
  readonly learners: LearnerLinks;
  readonly intake: Intake;
  readonly ownSessions: OwnSessions;
  readonly quorum: QuorumSystem;
  readonly propose: Propose;
  readonly streams: ProposeStreams;
  readonly history: History;
  readonly #options: NodeOptions;
  readonly #inbox: Inbox<ProposerEvent, ProposerEffect>;
  #stopTicks = (): void => undefined;
  #onDrained = (): void => undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.header = options.header;
    this.quorum = options.quorum;
    this.faults = options.faults;
    const { header, clock, log, metrics, queueBytesMax, timeoutMs, faults } = options;
    const self = { proposer: header.id, incarnation: header.incarnation };
    const noOp = encodeEntry({ kind: 'no-op' });
    this.machine = new Proposer(self, options.quorum, [...options.proposers.members.keys()], noOp, options.machine);
    this.#inbox = this.#makeInbox();
    const post = this.post.bind(this);
    const ports = { header, post, queueBytesMax, log, clock, faults };
    this.acceptors = new AcceptorLinks(options.acceptors, ports);
    this.peers = new PeerLinks(options.proposers, ports);
    this.learners = new LearnerLinks(options.learners.members, ports);
    this.history = new History(options.history);
    this.intake = new Intake(post, metrics.answered);
    const waitingMax = options.machine.inFlightMax ?? LIMITS.inFlightMax;
    this.ownSessions = new OwnSessions({ intake: this.intake, clock, newId, openMs: timeoutMs, waitingMax });
    const expected: Expected = header;
    const acceptorIds = [...options.acceptors.keys()];
    const common = {
      expected,
      intake: this.intake,
      addressOf: (proposer: number) => options.proposers.members.get(proposer),
      leaderOf: (name: string) => this.machine.leaderOf(name),
      acceptorAt: (position: number) => acceptorIds[position] ?? 0,
      timeoutMs,
    };
    const livePeers = (): number[] =>
      this.machine
        .peers()
        .filter((peer) => peer.alive)
        .map((peer) => peer.id);
    const knowsLog = (name: string, ms: number): Promise<boolean | undefined> =>
      this.acceptors.knows(name, (positions) => options.quorum.isPhase1(positions), ms);
    this.propose = new Propose({ ...common, ownSessions: this.ownSessions, livePeers, knowsLog, self: header.id });
    const open = this.propose.open.bind(this.propose);
    this.streams = new ProposeStreams({ ...common, open, queueBytesMax });
    metrics.gauges({
      inFlight: () => sumsOf(this.machine).inFlight,
      queued: () => sumsOf(this.machine).queued,
      pending: () => this.machine.pending,
      pendingMax: () => waitingMax,
      leaderless: () => sumsOf(this.machine).leaderless,
      waiting: () => this.ownSessions.waiting,
      led: () => this.machine.ledCount,
      peersAlive: () => livePeers().length,
      acceptorsConnected: () => this.acceptorsConnected,
      isConnected: (position) => (this.acceptors.connected & (1 << position)) !== 0,
      hasQuorum: (phase) => options.quorum[phase === 'prepare' ? 'isPhase1' : 'isPhase2'](this.acceptors.connected),
      learnersReachable: () => this.learners.reachable,
    });
  }

  start(): void {
    this.acceptors.start();
    this.peers.start();
    this.learners.tick();
    const { proposers, learners } = this.#options;
    for (const [directory, links] of [
      [proposers, this.peers],
      [learners, this.learners],
    ] as const)
      directory.watch({
        onMember: (id, address) => {
          links.place(id, address);
        },
        answers: (id) => links.answers(id),
      });
    this.#stopTicks = everyMs(this.#options.clock, TICK_MS, () => {
      this.post({ kind: 'tick' });
      this.learners.tick();
      this.ownSessions.tick();
    });
  }

  post(event: ProposerEvent): void {
    this.#inbox.post(event);
  }

  /** Resolves once everything that was taken is answered and every led log is handed over. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#onDrained = resolve;
      this.post({ kind: 'drain' });
    });
  }

  stop(): void {
    this.#stopTicks();
    this.#options.proposers.stop();
    this.#options.learners.stop();
    this.#inbox.stop();
    this.acceptors.close();
    this.peers.close();
    this.learners.close();
    this.faults.stop();
  }

  /** Events that wait for their turn. */
  get waiting(): number {
    return this.#inbox.waiting;
  }

  get acceptorsConnected(): number {
    let count = 0;
    for (let mask = this.acceptors.connected; mask !== 0; mask &= mask - 1) count++;
    return count;
  }

  /** What is wrong with the list of learners. */
  get learnersTrouble(): string | undefined {
    return this.#options.learners.trouble;
  }

  #makeInbox(): Inbox<ProposerEvent, ProposerEffect> {
    const { clock, random, onFatal, tracer, acceptors } = this.#options;
    return new Inbox<ProposerEvent, ProposerEffect>(
      traced(this.machine, new ProposerTrace(tracer, [...acceptors.keys()])),
      {
        now: () => clock.now(),
        random: () => random.next(),
        // After all that this poll brought: calls that arrive together make one batch.
        soon: setImmediate,
        onFatal,
      },
      (effect) => {
        this.#perform(effect);
      },
      () => {
        this.#inbox.handleNow({ kind: 'turn' });
        this.acceptors.flush();
        this.streams.flush();
        this.#options.metrics.flush();
      },
    );
  }

  #perform(effect: ProposerEffect): void {
    switch (effect.kind) {
      case 'to-acceptor':
        this.acceptors.send(effect.to, effect.message);
        return;
      case 'to-peer':
        this.peers.send(effect.to, effect.message);
        return;
      case 'answer':
        this.intake.settle(effect.token, effect.answer);
        return;
      case 'ended': {
        const { proposal, answer } = effect;
        this.history.add(proposal, answer, this.#options.clock.now() - proposal.since);
        return;
      }
      case 'progress':
        this.intake.progress(effect.token, effect.progress);
        return;
      case 'load-sessions':
        this.learners.loadSessions(effect.log, effect.slot);
        return;
      case 'read-slot':
        this.learners.readSlot(effect.log, effect.slot);
        return;
      case 'drained':
        this.#onDrained();
        return;
      case 'note':
        this.#options.metrics.note(effect.note);
        this.#say(effect.note);
        return;
      default:
        assertNever(effect);
    }
  }

  /** Log lines of what happens rarely. */
  #say(note: Note): void {
    const { log } = this.#options;
    if (note.kind === 'leader')
      log.info(
        { log: note.log, ballot: formatBallot(note.ballot), change: note.change, why: note.why },
        `leadership ${note.change}`,
      );
    else if (note.kind === 'campaign')
      log.info(
        { log: note.log, ballot: formatBallot(note.ballot), override: note.override, why: note.why },
        'campaign',
      );
    else if (note.kind === 'opened')
      log.info({ log: note.log, ballot: formatBallot(note.ballot), from: note.from }, 'opened for fast voting');
    else if (note.kind === 'closed')
      log.info({ log: note.log, ballot: formatBallot(note.ballot), why: note.why }, 'closed for fast voting');
    else if (note.kind === 'left') log.info({ log: note.log, why: note.why }, 'FAST proposals go to a leader');
    else if (note.kind === 'peer') log.info({ proposer: note.proposer, change: note.change }, 'another proposer');
    else if (note.kind === 'unfound')
      log.warn(
        { log: note.log, from: note.from, to: note.to },
        'slots are chosen, and their values were not found yet',
      );
    else if (note.kind === 'pause') log.warn({ ms: Math.round(note.ms) }, 'this process stood still');
  }
}
