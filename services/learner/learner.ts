/** A learner as a process runs it: its store, its streams, its server, its time, and how it ends. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { InvariantError } from '../../shared/base/assert.ts';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { Learner } from '../../shared/paxos/learner.ts';
import { bitCount, type QuorumSystem } from '../../shared/paxos/quorum.ts';
import { quorumSystem } from '../../shared/paxos/quorum-setting.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import { serveAdmin } from '../../shared/platform/admin/http.ts';
import type { AdminServer, Check } from '../../shared/platform/admin/http.ts';
import { everyMs, newId, realClock, realRandom } from '../../shared/platform/clock.ts';
import { httpAddress } from '../../shared/platform/config/common.ts';
import { hostPortText, isFixed } from '../../shared/platform/config/values.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { openFolder } from '../../shared/platform/disk.ts';
import { directoryOf } from '../../shared/platform/discovery/directory-of.ts';
import { Faults } from '../../shared/platform/faults/faults.ts';
import { serve } from '../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../shared/platform/grpc/server.ts';
import { lockFolder } from '../../shared/platform/journal-lock.ts';
import type { FolderLock } from '../../shared/platform/journal-lock.ts';
import { EventLoop } from '../../shared/platform/telemetry/event-loop.ts';
import { Tracing } from '../../shared/platform/tracing.ts';
import { LearnerTrace } from '../../shared/runtime/trace/learner-trace.ts';
import { Metrics } from '../../shared/platform/telemetry/metrics.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { statusOf } from '../../shared/wire/status.ts';
import { Acceptors } from './acceptors.ts';
import { Agreement } from './agreement.ts';
import type { Verdict } from './agreement.ts';
import { Answers } from './answers.ts';
import { Applier } from './applier.ts';
import { CatchUpServer, CatchUps } from './catch-up.ts';
import type { LearnerConfig } from './config.ts';
import { Connections } from './connections.ts';
import { Finishing } from './finishing.ts';
import { Forgetting } from './forgetting.ts';
import { HeldReports } from './held.ts';
import { LearnerMetrics } from './metrics.ts';
import { Peers } from './peers.ts';
import { Reads } from './reads.ts';
import { learnerService } from './service.ts';
import { lagOf, StatusPages } from './status.ts';
import { openLearnerStore } from '../../shared/platform/learner-store/store.ts';
import { Subscriptions } from './subscriptions.ts';
import { Tips } from './tips.ts';
import { Trust } from './trust.ts';
import { Waiting } from './waiting.ts';

const TICK_MS = 20;
const WANTED_MS = 50;
const HELD_MS = 250;
const SOURCE_MS = 1_000;
/** A learner with more slots missing than this is catching up, and not ready. */
const LAG_SLOTS_MAX = 100_000;

export interface LearnerPorts {
  readonly log: Log;
  /** The process must end at once, with a failure (R4). */
  readonly onFatal: (reason: string, error: unknown) => void;
  /** The process must end: another start would end in the same way until a person did something (R9, R11). */
  readonly onRefused: (reason: string) => void;
  /** A file with the descriptors of the protocol; given, gRPC reflection is served. */
  readonly reflectionFile?: string;
  /** Where there is one, it is used in place of the store in the data folder. For tests. */
  readonly store?: LearnerStore;
}

export interface RunningLearner {
  /** gRPC and HTTP, with the ports that were bound. */
  readonly address: string;
  readonly http: string;
  readonly store: LearnerStore;
  /** Ends in order: no more calls, what was learned is applied and durable, the folder is let go. */
  stop(graceMs: number): Promise<void>;
}

/** Starts a learner. Rejects with what is wrong with its configuration, its folder or its store. */
export async function startLearner(config: LearnerConfig, ports: LearnerPorts): Promise<RunningLearner> {
  const { id, cluster, learners, data } = config;
  if (isFixed(learners) && !learners.has(id))
    throw new SynodError(
      'INVALID_ARGUMENT',
      `--id is ${String(id)}, and --learners names ${[...learners.keys()].join(', ')} only`,
    );
  const quorum = quorumSystem(config.quorum, [...config.acceptors.keys()]);
  await openFolder(data);
  const lock = await lockFolder(data);
  try {
    const identity = { cluster, learner: String(id), disk: newId() };
    const store = ports.store ?? (await openLearnerStore({ folder: data, identity }));
    try {
      const learner = new LearnerProcess(config, quorum, store, lock, ports);
      await learner.start();
      return learner;
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    await lock.release();
    throw error;
  }
}

class LearnerProcess implements RunningLearner {
  readonly store: LearnerStore;
  readonly #config: LearnerConfig;
  readonly #quorum: QuorumSystem;
  readonly #lock: FolderLock;
  readonly #ports: LearnerPorts;
  readonly #metrics: Metrics;
  readonly #counts: LearnerMetrics;
  readonly #eventLoop: EventLoop;
  readonly #faults: Faults;
  readonly #tracing: Tracing;
  readonly #connections: Connections;
  readonly #machine: Learner;
  readonly #waiting: Waiting;
  readonly #trust = new Trust();
  readonly #agreement: Agreement;
  readonly #tips: Tips;
  readonly #applier: Applier;
  readonly #acceptors: Acceptors;
  readonly #peers: Peers;
  readonly #held: HeldReports;
  readonly #catchUps: CatchUps;
  readonly #finishing: Finishing;
  readonly #subscriptions: Subscriptions;
  readonly #status: StatusPages;
  readonly #header: Header;
  #stops: (() => void)[] = [];
  #lastVerdict = '';
  #server: RunningServer | undefined;
  #admin: AdminServer | undefined;

  constructor(config: LearnerConfig, quorum: QuorumSystem, store: LearnerStore, lock: FolderLock, ports: LearnerPorts) {
    const { id, cluster, acceptors } = config;
    const clock = realClock;
    this.store = store;
    this.#config = config;
    this.#quorum = quorum;
    this.#lock = lock;
    this.#ports = ports;
    this.#metrics = new Metrics({ role: 'learner', id });
    this.#eventLoop = new EventLoop(clock, 'learner', this.#metrics);
    const configuration = configurationId(cluster, [...acceptors.keys()], quorum.setting);
    const header: Header = { cluster, configuration, role: 'learner', id, incarnation: undefined };
    this.#header = header;
    this.#faults = new Faults({ on: config.faults, self: header, log: ports.log, metrics: this.#metrics });
    this.#tracing = new Tracing({ self: header, log: ports.log, metrics: this.#metrics });
    this.#connections = new Connections(this.#faults);

    const source = (id - 1) % quorum.size;
    this.#machine = new Learner(quorum, source);
    for (const { log: name, next } of store.logs()) this.#machine.restore(name, next);
    this.#waiting = new Waiting(clock, config['reads.waiting.max']);
    this.#agreement = new Agreement(1);
    this.#tips = new Tips({
      quorum,
      clock,
      send: (acceptor, question) => this.#acceptors.send(acceptor, question),
      connected: () => bitCount(this.#acceptors.connected),
    });
    this.#applier = this.#makeApplier();
    this.#waiting.onWaiter = () => {
      this.#applier.hurry();
    };
    this.#acceptors = this.#makeAcceptors(source);
    this.#held = new HeldReports(store, this.#agreement, this.#acceptors);
    this.#peers = this.#makePeers();
    this.#catchUps = this.#makeCatchUps();
    this.#finishing = new Finishing({
      proposers: directoryOf(config.proposers, 'proposer', config, ports.log),
      ...{ connections: this.#connections, header, log: ports.log },
    });
    this.#subscriptions = new Subscriptions(store, this.#waiting, config['subscribers.max']);
    this.#status = this.#makeStatus();
    this.#counts = this.#makeCounts();
    store.onHeld = (name) => {
      this.#held.changed(name);
    };
    store.onFailed = (error) => {
      this.#fatal(error);
    };
  }

  get address(): string {
    return this.#server?.address ?? hostPortText(this.#config.listen);
  }

  get http(): string {
    return this.#admin?.address ?? httpAddress(this.#config);
  }

  async start(): Promise<void> {
    try {
      this.#admin = await serveAdmin({
        address: httpAddress(this.#config),
        metrics: this.#metrics,
        checks: this.#checks(),
        status: () => this.#status.json(),
        eventLoop: this.#eventLoop,
        log: this.#ports.log,
      });
      this.#server = await this.#serve();
    } catch (error) {
      await this.#end();
      throw error;
    }
    this.#acceptors.start();
    this.#peers.start();
    this.#finishing.start();
    this.#startTicks();
    const { configuration } = this.#header;
    this.#ports.log.info(
      { address: this.address, http: this.http, configuration, disk: this.store.identity.disk },
      'the learner serves',
    );
  }

  async stop(graceMs: number): Promise<void> {
    this.#admin?.setStopping();
    this.#server?.setServing(false);
    await this.#server?.close(Math.max(0, graceMs - 500));
    for (const stop of this.#stops) stop();
    this.#catchUps.stop();
    this.#acceptors.close();
    this.#peers.close();
    this.#finishing.close();
    await this.#applier.stop();
    await this.store.close();
    await this.#end();
    await this.#lock.release();
  }

  async #end(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#eventLoop.stop();
    this.#faults.stop();
    this.#connections.close();
    await this.#admin?.close();
  }

  #serve(): Promise<RunningServer> {
    const { store } = this;
    const config = this.#config;
    const { reflectionFile } = this.#ports;
    const waitsFor = (log: string): string => this.#machine.waitsFor(log);
    const common = { store, waiting: this.#waiting, trust: this.#trust, clock: realClock, waitsFor };
    const reads = new Reads({ ...common, tips: this.#tips });
    const answers = new Answers({ ...common, expected: this.#header, deadlineMs: config['call.deadline'] });
    const forgetting = new Forgetting({
      acceptors: this.#acceptors.links,
      peers: this.#peers,
      header: this.#header,
      disk: store.identity.disk,
    });
    return serve({
      address: hostPortText(config.listen),
      services: [
        learnerService({
          expected: this.#header,
          reads,
          answers,
          forgetting,
          subscriptions: this.#subscriptions,
          peers: this.#peers,
          catchUps: new CatchUpServer(store),
          status: this.#status,
          trust: this.#trust,
          metrics: this.#counts,
        }),
        this.#faults.service,
        this.#tracing.service,
      ],
      ...this.#faults.served,
      facing: 'clients',
      toStatus: statusOf,
      log: this.#ports.log,
      callsMax: config['calls.max'],
      streamsMax: config['streams.max'],
      deadlineMs: config['call.deadline'],
      ...(reflectionFile === undefined ? {} : { reflectionFile }),
      onInvariant: (error) => {
        this.#fatal(error);
      },
    });
  }

  #startTicks(): void {
    const every = (ms: number, tick: () => void): void => {
      this.#stops.push(everyMs(realClock, ms, tick));
    };
    every(TICK_MS, () => {
      this.#applier.tick();
    });
    every(WANTED_MS, () => {
      for (const [log, slot] of this.#waiting.impatient()) this.#applier.post({ kind: 'wanted', log, slot });
    });
    every(HELD_MS, () => {
      this.#held.tick();
    });
    every(SOURCE_MS, () => {
      this.#acceptors.tick(this.#machine.behind > 0);
      this.#server?.setServing(this.#notReady().length === 0);
    });
    every(this.#config['compare.interval'], () => {
      this.#peers.tick();
    });
  }

  #judge(verdict: Verdict): void {
    const text = verdict.kind === 'agreed' ? '' : verdict.text;
    // Heard again and again while a dispute lasts; said once.
    if (text !== this.#lastVerdict) {
      this.#lastVerdict = text;
      if (text === '') this.#ports.log.info({}, 'all digests are equal again');
      else this.#ports.log.error({ verdict: verdict.kind }, text);
    }
    this.#trust.set(verdict.kind === 'disputed' || verdict.kind === 'outvoted' ? text : undefined);
    // Until the process has ended, nothing more is answered.
    if (verdict.kind === 'outvoted') this.#ports.onRefused(text);
  }

  #fatal(error: unknown): void {
    // R9, R11: what this learner knows contradicts itself or others, which a restart does not heal.
    if (error instanceof InvariantError) this.#ports.onRefused(error.message);
    else this.#ports.onFatal(messageOf(error), error);
  }

  #notReady(): string[] {
    return Object.entries(this.#checks()).flatMap(([name, check]) => {
      const result = check();
      return typeof result === 'string' ? [`${name}: ${result}`] : [];
    });
  }

  #checks(): Record<string, () => true | string> {
    return {
      acceptors: () => this.#acceptors.hears(this.#quorum),
      lag: () => {
        const lag = lagOf(this.#machine);
        return lag <= LAG_SLOTS_MAX || `catching up: ${String(lag)} slots are missing`;
      },
      digests: () => this.#trust.doubt ?? true,
    } satisfies Record<string, Check>;
  }

  #storeBytes(): number {
    if (this.#ports.store !== undefined) return 0;
    return statSync(join(this.#config.data, 'data.mdb'), { throwIfNoEntry: false })?.size ?? 0;
  }

  #makeApplier(): Applier {
    return new Applier(this.#machine, this.store, {
      clock: realClock,
      random: realRandom,
      intervalMs: this.#config['apply.interval'],
      isWaited: () => this.#waiting.isWaited,
      queueBytesMax: this.#config['apply.queue.max'],
      fetch: (to, message) => this.#acceptors.send(to, message),
      catchUp: (name) => {
        this.#catchUps.ask(name);
      },
      finish: (name, from, to) => {
        this.#finishing.ask(name, from, to);
      },
      note: (note) => {
        this.#counts.note(note);
      },
      trace: new LearnerTrace(this.#tracing.tracer, [...this.#config.acceptors.keys()]),
      onApplied: (name, next) => {
        this.#waiting.applied(name, next);
        this.#peers.changed(name);
      },
      onTransaction: (slots, ms) => {
        this.#counts.transaction(slots, ms);
      },
      onFatal: (error) => {
        this.#fatal(error);
      },
    });
  }

  #makeAcceptors(source: number): Acceptors {
    const acceptorMembers = this.#connections.to('acceptor', this.#config.acceptors);
    return new Acceptors({
      members: acceptorMembers,
      header: this.#header,
      store: this.store,
      source,
      clock: realClock,
      random: realRandom,
      log: this.#ports.log,
      onFatal: (error) => {
        this.#fatal(error);
      },
      onMessage: (acceptor, message) => {
        if (message.kind === 'votes') this.#counts.votes(acceptorMembers[acceptor]?.id ?? 0, message.count);
        this.#applier.heard(acceptor, message);
      },
      onTip: (acceptor, tip) => {
        this.#tips.onTip(acceptor, tip);
      },
      onUp: (acceptor) => {
        this.#held.tellAll(acceptor);
        this.#tips.onUp(acceptor);
      },
      onDown: (acceptor) => {
        this.#applier.post({ kind: 'acceptor-down', acceptor });
      },
    });
  }

  #makePeers(): Peers {
    return new Peers({
      learners: directoryOf(this.#config.learners, 'learner', this.#config, this.#ports.log),
      connections: this.#connections,
      header: this.#header,
      store: this.store,
      agreement: this.#agreement,
      clock: realClock,
      random: realRandom,
      log: this.#ports.log,
      onKnown: (name, next) => {
        this.#applier.post({ kind: 'known', log: name, next });
      },
      onAgreed: (name) => {
        this.#held.changed(name);
      },
      onVerdict: (verdict) => {
        this.#judge(verdict);
      },
    });
  }

  #makeCatchUps(): CatchUps {
    return new CatchUps({
      peers: this.#peers.links,
      isUp: (learner) => this.#peers.isUp(learner),
      header: this.#header,
      store: this.store,
      applier: this.#applier,
      waiting: this.#waiting,
      log: this.#ports.log,
      onDone: (outcome) => {
        this.#counts.copied(outcome);
      },
    });
  }

  #makeStatus(): StatusPages {
    return new StatusPages({
      header: this.#header,
      quorum: this.#quorum,
      store: this.store,
      machine: this.#machine,
      applier: this.#applier,
      agreement: this.#agreement,
      acceptors: this.#acceptors,
      peers: this.#peers,
      subscriptions: this.#subscriptions,
      waiting: this.#waiting,
      trust: this.#trust,
      clock: realClock,
      queueBytesMax: this.#config['apply.queue.max'],
      storeBytes: () => this.#storeBytes(),
      address: () => this.address,
      notReady: () => this.#notReady(),
      faults: () => this.#faults.status(),
    });
  }

  #makeCounts(): LearnerMetrics {
    const sum = (of: 'visible' | 'held'): number =>
      [...this.store.logs()].reduce((total, progress) => total + progress[of], 0);
    return new LearnerMetrics(this.#metrics, [...this.#config.acceptors.keys()], {
      lagSlots: () => lagOf(this.#machine),
      appliedSlots: () => sum('visible'),
      heldSlots: () => sum('held'),
      logs: () => [...this.store.logs()].length,
      logsBehind: () => this.#machine.behind,
      subscribers: () => this.#subscriptions.length,
      waiting: () => this.#waiting.length,
      queueBytes: () => this.#applier.queuedBytes,
      droppedVotes: () => this.#applier.dropped,
      digestMismatches: () => this.#agreement.mismatches,
      trusted: () => (this.#trust.doubt === undefined ? 1 : 0),
      storeBytes: () => this.#storeBytes(),
      acceptorsConnected: () => bitCount(this.#acceptors.connected),
    });
  }
}
