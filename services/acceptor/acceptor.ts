/** An acceptor as a process runs it: its data folder, its servers, its time, and how it ends. */
import { messageOf, SynodError } from '../../shared/base/errors.ts';
import type { Introduction, IntroductionAnswer } from '../../shared/paxos/introduction.ts';
import { serveAdmin } from '../../shared/platform/admin/http.ts';
import type { AdminServer } from '../../shared/platform/admin/http.ts';
import { everyMs, newId, realClock, realRandom } from '../../shared/platform/clock.ts';
import { httpAddress } from '../../shared/platform/config/common.ts';
import { hostPortText } from '../../shared/platform/config/values.ts';
import { ACCEPTORS_MIN, type QuorumSystem } from '../../shared/paxos/quorum.ts';
import { quorumSystem } from '../../shared/paxos/quorum-setting.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { openFolder } from '../../shared/platform/disk.ts';
import { Faults } from '../../shared/platform/faults/faults.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { serve } from '../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../shared/platform/grpc/server.ts';
import { lockFolder } from '../../shared/platform/journal-lock.ts';
import { EventLoop } from '../../shared/platform/telemetry/event-loop.ts';
import { Tracing } from '../../shared/platform/tracing.ts';
import { Metrics } from '../../shared/platform/telemetry/metrics.ts';
import type { Clock, Random } from '../../shared/ports/clock.ts';
import type { Disk } from '../../shared/ports/disk.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import { readIntroduceResponse, writeIntroduction } from '../../shared/wire/codec/introduction.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { AcceptorServiceStatusResponse } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { Role } from '../../shared/wire/gen/synod/v1/common.ts';
import type { Link, Queue } from '../../shared/wire/gen/synod/v1/common.ts';
import { errorOf, statusOf } from '../../shared/wire/status.ts';
import type { AcceptorConfig } from './config.ts';
import { Core, restore, TICK_MS } from './core.ts';
import type { CorePorts } from './core.ts';
import { acceptorActivity, acceptorMetrics, callMetrics } from './metrics.ts';
import { acceptorService } from './service.ts';
import { statusResponse } from './status.ts';

/** Milliseconds that another acceptor may take to answer an introduction. */
const INTRODUCE_MS = 1_000;
/** Milliseconds of a stop for what was already taken in, and for telling the others how far the journal came. */
const DRAIN_MS = 500;
const ANNOUNCE_MS = 300;
/** Milliseconds for the answers that a refused start still owes. */
const LAST_WORDS_MS = 200;

export interface AcceptorPorts {
  readonly log: Log;
  /** The process must end at once, with a failure (R4). */
  readonly onFatal: (reason: string, error: unknown) => void;
  /** The process must end: another start would end in the same way until a person did something (R5). */
  readonly onRefused: (reason: string) => void;
  readonly clock?: Clock;
  readonly random?: Random;
  /** A file with the descriptors of the protocol; given, gRPC reflection is served. */
  readonly reflectionFile?: string;
}

export interface RunningAcceptor {
  /** gRPC and HTTP, with the ports that were bound. */
  readonly address: string;
  readonly http: string;
  readonly core: Core;
  /** Ends in order: answers what was taken in, tells the others, closes the journal. */
  stop(graceMs: number): Promise<void>;
}

/** An opened data folder, held by this process alone. */
export interface Data {
  readonly disk: Disk;
  readonly release: () => Promise<void>;
}

/** Opens the folder and takes its lock. FAILED_PRECONDITION for a folder that cannot be used or that another process holds. */
export async function openData(path: string): Promise<Data> {
  const disk = await openFolder(path);
  const lock = await lockFolder(path);
  return { disk, release: () => lock.release() };
}

/** Starts an acceptor on a disk. Resolves when it serves; it speaks once it is a member (`/readyz`). */
export async function startAcceptor(
  config: AcceptorConfig,
  disk: Disk,
  ports: AcceptorPorts,
): Promise<RunningAcceptor> {
  const acceptor = new AcceptorProcess(config, ports);
  try {
    await acceptor.start(disk);
    return acceptor;
  } catch (error) {
    await acceptor.abandon();
    throw error;
  }
}

class AcceptorProcess implements RunningAcceptor {
  readonly #config: AcceptorConfig;
  readonly #ports: AcceptorPorts;
  readonly #clock: Clock;
  readonly #self: Header;
  readonly #quorum: Pick<QuorumSystem, 'name' | 'setting'>;
  readonly #metrics: Metrics;
  readonly #eventLoop: EventLoop;
  readonly #faults: Faults;
  readonly #tracing: Tracing;
  readonly #peers = new Map<number, Connection>();
  readonly #startedAt: number;
  #core: Core | undefined;
  #admin: AdminServer | undefined;
  #server: RunningServer | undefined;
  #stopTicks = (): void => undefined;

  constructor(config: AcceptorConfig, ports: AcceptorPorts) {
    const { cluster, id, acceptors } = config;
    this.#config = config;
    this.#ports = ports;
    this.#clock = ports.clock ?? realClock;
    this.#startedAt = this.#clock.now();
    this.#quorum = quorumOf(config);
    const configuration = configurationId(cluster, [...acceptors.keys()], this.#quorum.setting);
    this.#self = { cluster, configuration, role: 'acceptor', id, incarnation: undefined };
    this.#metrics = new Metrics({ role: 'acceptor', id });
    this.#eventLoop = new EventLoop(this.#clock, 'acceptor', this.#metrics);
    this.#tracing = new Tracing({ self: this.#self, log: ports.log, metrics: this.#metrics, clock: this.#clock });
    this.#faults = new Faults({
      on: config.faults,
      self: this.#self,
      log: ports.log,
      metrics: this.#metrics,
      clock: this.#clock,
    });
  }

  get address(): string {
    return this.#server?.address ?? hostPortText(this.#config.listen);
  }

  get http(): string {
    return this.#admin?.address ?? httpAddress(this.#config);
  }

  get core(): Core {
    if (this.#core === undefined) throw new SynodError('UNAVAILABLE', 'the journal is being read');
    return this.#core;
  }

  async start(disk: Disk): Promise<void> {
    this.#admin = await this.#serveAdmin();
    const ports = this.#corePorts();
    const restored = await restore(disk, this.#config, this.#self, ports);
    const core = new Core(restored, this.#config, this.#self, ports);
    this.#core = core;
    const { id, acceptors } = this.#config;
    for (const [other, address] of acceptors) if (other !== id) this.#peers.set(other, this.#connect(other, address));
    this.#server = await this.#serve(core);
    this.#exposeGauges(ports, core);
    this.#stopTicks = everyMs(this.#clock, TICK_MS, () => {
      core.tick();
    });
    core.start();
    const { configuration } = this.#self;
    this.#ports.log.info({ address: this.address, http: this.http, configuration }, 'the acceptor serves');
  }

  async stop(graceMs: number): Promise<void> {
    const { core } = this;
    this.#admin?.setStopping();
    this.#server?.setServing(false);
    await core.drain(Math.min(graceMs, DRAIN_MS));
    await this.#within(ANNOUNCE_MS, core.membership.announce());
    await this.#server?.close(Math.min(graceMs, DRAIN_MS));
    await core.close();
    await this.#end();
  }

  /** A start that failed leaves nothing behind. */
  async abandon(): Promise<void> {
    await this.#server?.close(0);
    await this.#core?.close();
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#stopTicks();
    this.#eventLoop.stop();
    this.#faults.stop();
    for (const peer of this.#peers.values()) peer.close();
    await this.#admin?.close();
  }

  #corePorts(): CorePorts {
    const { log, onFatal } = this.#ports;
    return {
      clock: this.#clock,
      random: this.#ports.random ?? realRandom,
      log,
      metrics: acceptorMetrics(this.#metrics),
      tracer: this.#tracing.tracer,
      soon: (callback) => {
        setImmediate(callback);
      },
      drawDisk: newId,
      ask: (to, introduction) => this.#introduce(to, introduction),
      onSpeak: () => {
        this.#server?.setServing(true);
      },
      onRefused: (reason) => {
        this.#refuse(reason);
      },
      onFatal,
    };
  }

  /** What was answered before the refusal still leaves: those who disagree must hear of it. */
  #refuse(reason: string): void {
    const { log, onRefused } = this.#ports;
    log.error({ reason }, 'this acceptor must not speak');
    // What is being answered in this turn comes first.
    setImmediate(() => {
      const ended = this.#server?.close(LAST_WORDS_MS) ?? Promise.resolve();
      void ended.then(() => {
        onRefused(reason);
      });
    });
  }

  #connect(other: number, address: string): Connection {
    return connect(address, {
      fromStatus: (received) => errorOf(received).error,
      ...this.#faults.towards('acceptor', other),
    });
  }

  async #introduce(to: number, introduction: Introduction): Promise<IntroductionAnswer> {
    const peer = this.#peers.get(to);
    if (peer === undefined) throw new SynodError('NOT_FOUND', `acceptor ${String(to)} has no address`);
    const request = { header: writeHeader(this.#self), introduction: writeIntroduction(introduction) };
    const call = { timeoutMs: INTRODUCE_MS };
    try {
      return readIntroduceResponse(await peer.unary(AcceptorServiceService.introduce, request, call));
    } catch (error) {
      peer.renewIfStuck();
      throw error;
    }
  }

  #serve(core: Core): Promise<RunningServer> {
    const config = this.#config;
    const { reflectionFile } = this.#ports;
    return serve({
      address: hostPortText(config.listen),
      services: [acceptorService(core, () => this.#statusWithActivity()), this.#faults.service, this.#tracing.service],
      ...this.#faults.served,
      facing: 'roles',
      toStatus: statusOf,
      log: this.#ports.log,
      callsMax: config['calls.max'],
      streamsMax: config['streams.max'],
      deadlineMs: config['call.deadline'],
      onInvariant: (error) => {
        core.silenceForEver();
        this.#ports.onFatal('an invariant broke', error);
      },
      onAnswered: callMetrics(this.#metrics),
      ...(reflectionFile === undefined ? {} : { reflectionFile }),
    });
  }

  #serveAdmin(): Promise<AdminServer> {
    return serveAdmin({
      address: httpAddress(this.#config),
      metrics: this.#metrics,
      checks: this.#checks(),
      status: () => (this.#core === undefined ? { notReady: this.#notReady() } : toJson(this.#status())),
      eventLoop: this.#eventLoop,
      log: this.#ports.log,
    });
  }

  #checks(): Record<string, () => true | string> {
    return {
      journal: () => (this.#core === undefined ? 'is being read' : true),
      member: () => (this.#core === undefined ? 'not yet known' : (this.#core.membership.silentBecause ?? true)),
      'event-loop': () => (this.#eventLoop.lagMs < 1_000 ? true : `${this.#eventLoop.lagMs.toFixed(0)} ms late`),
    };
  }

  #notReady(): string[] {
    return Object.entries(this.#checks()).flatMap(([name, check]) => {
      const result = check();
      return result === true ? [] : [`${name}: ${result}`];
    });
  }

  async #statusWithActivity(): Promise<AcceptorServiceStatusResponse> {
    return { ...this.#status(), activity: await acceptorActivity(this.#metrics) };
  }

  #status(): AcceptorServiceStatusResponse {
    const { core } = this;
    return statusResponse({
      header: this.#self,
      introduction: core.membership.present,
      silentBecause: core.membership.silentBecause,
      address: this.address,
      uptimeMs: this.#clock.now() - this.#startedAt,
      notReady: this.#notReady(),
      quorum: this.#quorum.name,
      faults: this.#faults.status(),
      journal: core.journal,
      journalBytesMax: this.#config['journal.bytes.max'],
      machine: core.machine,
      queues: this.#queues(core),
      links: this.#links(core),
    });
  }

  #queues(core: Core): Queue[] {
    const streams = [...core.sessions.status(), ...core.followers.status()].map(({ queuedBytes }) => queuedBytes);
    return [
      {
        name: 'journal.queue.bytes',
        length: core.journal.queuedBytes,
        limit: this.#config['journal.queue.bytes'],
        refused: core.busy,
      },
      // Each stream has such a queue; this is the longest.
      {
        name: 'stream.queue.bytes',
        length: Math.max(0, ...streams),
        limit: this.#config['stream.queue.bytes'],
        refused: 0,
      },
    ];
  }

  #links(core: Core): Link[] {
    const links: Link[] = [];
    for (const [id, address] of this.#config.acceptors) {
      if (id === this.#self.id) continue;
      const heard = core.membership.heardMsAgo(id);
      const heardMsAgo = heard === undefined ? undefined : Math.round(heard);
      links.push({ role: Role.ROLE_ACCEPTOR, id, address, connected: heard !== undefined, heardMsAgo, queuedBytes: 0 });
    }
    for (const { proposer, peer, queuedBytes } of core.sessions.status())
      links.push({ role: Role.ROLE_PROPOSER, id: proposer, address: peer, connected: true, queuedBytes });
    for (const { learner, peer, queuedBytes } of core.followers.status())
      links.push({ role: Role.ROLE_LEARNER, id: learner, address: peer, connected: true, queuedBytes });
    return links;
  }

  #exposeGauges({ metrics }: CorePorts, core: Core): void {
    const { journal } = core;
    metrics.gauges({
      journalBytes: () => journal.bytes,
      journalBytesMax: () => this.#config['journal.bytes.max'],
      journalSegments: () => Math.ceil(journal.bytes / this.#config['journal.segment.bytes']),
      journalQueuedBytes: () => journal.queuedBytes,
      journalHasRoom: () => journal.hasRoom,
      held: () => core.node.held,
      logs: () => core.machine.logs,
      speaks: () => core.membership.silentBecause === undefined,
      sessions: () => core.sessions.size,
      followers: () => core.followers.size,
      followersBehind: () => core.followers.behind,
    });
  }

  async #within(ms: number, work: Promise<void>): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((done) => {
      cancel = this.#clock.after(ms, done);
    });
    try {
      await Promise.race([work, late]);
    } catch (error) {
      this.#ports.log.warn({ error: messageOf(error) }, 'the others were not told how far the journal came');
    } finally {
      cancel();
    }
  }
}

/** An acceptor counts no quorum; it shows the system, and refuses who has another. */
function quorumOf({ quorum, acceptors }: AcceptorConfig): Pick<QuorumSystem, 'name' | 'setting'> {
  if (acceptors.size < ACCEPTORS_MIN) return { name: quorum, setting: quorum };
  return quorumSystem(quorum, [...acceptors.keys()]);
}

/** Plain data for a page: bytes as hex. */
function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toJson(inner)]));
}
