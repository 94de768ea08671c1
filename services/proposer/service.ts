/** A proposer as a process runs it: its node, the gRPC services, the pages for operators, and an end in order. */
import { SynodError } from '../../shared/base/errors.ts';
import { quorumSystem } from '../../shared/paxos/quorum-setting.ts';
import { serveAdmin } from '../../shared/platform/admin/http.ts';
import type { AdminServer, Check } from '../../shared/platform/admin/http.ts';
import { newIncarnation, realClock, realRandom, everyMs } from '../../shared/platform/clock.ts';
import { httpAddress } from '../../shared/platform/config/common.ts';
import { hostPortText } from '../../shared/platform/config/values.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { directoryOf } from '../../shared/platform/discovery/directory-of.ts';
import { Faults } from '../../shared/platform/faults/faults.ts';
import { service } from '../../shared/platform/grpc/methods.ts';
import type { BidiHandler, UnaryHandler } from '../../shared/platform/grpc/methods.ts';
import { serve } from '../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../shared/platform/grpc/server.ts';
import { EventLoop } from '../../shared/platform/telemetry/event-loop.ts';
import { Tracing } from '../../shared/platform/tracing.ts';
import { Metrics } from '../../shared/platform/telemetry/metrics.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import { checkHeader, readClientHeader, readHeader } from '../../shared/wire/codec/header.ts';
import { readHistoryRequest } from '../../shared/wire/codec/history.ts';
import { readFinish } from '../../shared/wire/codec/peers.ts';
import { Role } from '../../shared/wire/gen/synod/v1/common.ts';
import type { Link, Queue } from '../../shared/wire/gen/synod/v1/common.ts';
import type { FinishRequest, FinishResponse } from '../../shared/wire/gen/synod/v1/peer_service.ts';
import { PeerServiceService } from '../../shared/wire/gen/synod/v1/peer_service.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { raw, served } from '../../shared/wire/raw.ts';
import { statusOf } from '../../shared/wire/status.ts';
import type { ProposerConfig } from './config.ts';
import { historyResponse } from './history-page.ts';
import { RefusedError } from './intake.ts';
import { proposerActivity, proposerMetrics } from './metrics.ts';
import { ProposerNode } from './node.ts';
import { checkClient } from './propose.ts';
import { logsResponse, statusPage, statusResponse } from './status.ts';
import type { StatusParts } from './status.ts';

export interface ProposerPorts {
  readonly log: Log;
  /** Something broke that this process must not survive. */
  readonly onFatal: (reason: string, error: unknown) => void;
  /** A file with the descriptors for gRPC reflection, where that is wanted. */
  readonly reflectionFile?: string;
}

export interface RunningProposer {
  readonly node: ProposerNode;
  readonly address: string;
  readonly httpAddress: string;
  /** Why it cannot do its job now; empty when it can. */
  notReady(): readonly string[];
  /** From now on it says that it is not ready. */
  setStopping(): void;
  /** Hands over what it leads and answers what it took. */
  drain(): Promise<void>;
  /** Ends everything; calls in progress get up to `graceMs`. */
  close(graceMs: number): Promise<void>;
}

const BOTH_WAYS = { requestStream: true, responseStream: true } as const;
const PEER_DEFINITION = {
  ...served(PeerServiceService),
  heartbeats: { ...raw(PeerServiceService.heartbeats), ...BOTH_WAYS },
  forwarding: { ...raw(PeerServiceService.forwarding), ...BOTH_WAYS },
};

/** How often gRPC health is brought up to date. Milliseconds. */
const HEALTH_MS = 100;

/** Starts a proposer. Throws SynodError when it cannot listen. */
export async function startProposer(config: ProposerConfig, ports: ProposerPorts): Promise<RunningProposer> {
  const startedAt = realClock.now();
  const metrics = new Metrics({ role: 'proposer', id: config.id });
  const { node, tracing } = makeNode(config, ports, metrics);
  const eventLoop = new EventLoop(realClock, 'proposer', metrics);
  let stopping = false;
  const checks = readinessOf(node, () => stopping);
  const notReady = (): string[] =>
    Object.entries(checks).flatMap(([name, check]) => {
      const result = check();
      return result === true ? [] : [`${name}: ${result}`];
    });
  let grpc: RunningServer | undefined;
  let admin: AdminServer | undefined;
  const parts = (): StatusParts => ({
    header: node.header,
    machine: node.machine,
    quorum: node.quorum,
    address: grpc?.address ?? hostPortText(config.listen),
    uptimeMs: realClock.now() - startedAt,
    notReady: notReady(),
    faults: node.faults.status(),
    queues: queuesOf(config, node, grpc),
    links: linksOf(node),
  });
  try {
    grpc = await serveGrpc(config, ports, node, metrics, tracing, parts);
    const address = httpAddress(config);
    admin = await serveAdmin({
      address,
      metrics,
      checks,
      status: () => statusPage(parts()),
      eventLoop,
      log: ports.log,
    });
  } catch (error) {
    eventLoop.stop();
    node.stop();
    await grpc?.close(0);
    throw error;
  }
  node.start();
  const server = grpc;
  const pages = admin;
  const stopHealth = everyMs(realClock, HEALTH_MS, () => {
    server.setServing(notReady().length === 0);
  });
  return {
    node,
    address: server.address,
    httpAddress: pages.address,
    notReady,
    setStopping() {
      stopping = true;
      pages.setStopping();
      server.setServing(false);
    },
    drain: () => node.drain(),
    async close(graceMs) {
      stopHealth();
      await server.close(graceMs);
      node.stop();
      eventLoop.stop();
      await pages.close();
    },
  };
}

function makeNode(
  config: ProposerConfig,
  ports: ProposerPorts,
  metrics: Metrics,
): { readonly node: ProposerNode; readonly tracing: Tracing } {
  const acceptorIds = [...config.acceptors.keys()];
  const incarnation = newIncarnation();
  const quorum = quorumSystem(config.quorum, acceptorIds);
  const configuration = configurationId(config.cluster, acceptorIds, quorum.setting);
  const header = { cluster: config.cluster, configuration, role: 'proposer', id: config.id, incarnation } as const;
  const tracing = new Tracing({ self: header, log: ports.log, metrics });
  const node = new ProposerNode({
    header,
    faults: new Faults({ on: config.faults, self: header, log: ports.log, metrics }),
    quorum,
    acceptors: config.acceptors,
    proposers: directoryOf(config.proposers, 'proposer', config, ports.log),
    learners: directoryOf(config.learners, 'learner', config, ports.log),
    machine: {
      heartbeatMs: config['heartbeat.interval'],
      silenceMsMin: config['peer.silence.min'],
      silenceMsMax: config['peer.silence.max'],
      timeoutMs: config['round.timeout'],
      fastMs: config['fast.timeout'],
      fastRecovery: config['fast.recovery'],
      fastCollisionsMax: config['fast.collisions.max'],
      fastWaitMsMin: config['fast.wait.min'],
      fastWaitMsMax: config['fast.wait.max'],
      pipeline: config.pipeline,
      inFlightMax: config['proposals.in-flight.max'],
      probeMs: config['probe.interval'],
    },
    queueBytesMax: config['stream.queue.bytes'],
    timeoutMs: config['call.deadline'],
    metrics: proposerMetrics(metrics, acceptorIds),
    history: {
      proposalsMax: config['history.proposals'],
      bytesMax: config['history.bytes'],
      wallNow: Date.now,
    },
    tracer: tracing.tracer,
    log: ports.log,
    clock: realClock,
    random: realRandom,
    onFatal: (error) => {
      ports.onFatal('the proposer met a broken invariant', error);
    },
  });
  return { node, tracing };
}

/** A request that could not be decoded arrives as the error that says why. */
function decoded<Req, Res>(handler: UnaryHandler<Req, Res>): UnaryHandler<Req, Res> {
  return (request, call) => {
    if (request instanceof SynodError) throw request;
    return handler(request, call);
  };
}

function serveGrpc(
  config: ProposerConfig,
  ports: ProposerPorts,
  node: ProposerNode,
  metrics: Metrics,
  tracing: Tracing,
  parts: () => StatusParts,
): Promise<RunningServer> {
  const { propose, streams, peers } = node;
  const proposer = service(served(ProposerServiceService), {
    propose: decoded((request, call) => propose.propose(request, call)),
    proposeWithProgress: (request, stream, call) => propose.proposeWithProgress(request, stream, call),
    openSession: decoded((request, call) => propose.openSession(request, call)),
    moveLeader: decoded((request, call) => propose.moveLeader(request, call)),
    proposeStream: (stream, call) => {
      streams.open(stream, call);
    },
    status: decoded(async (request) => {
      checkHeader(readClientHeader(request.header), node.header, ['client', 'proposer', 'acceptor', 'learner']);
      return { ...statusResponse(parts()), activity: await proposerActivity(metrics) };
    }),
    logs: decoded((request) => {
      checkClient(readClientHeader(request.header), node.header);
      return logsResponse(node.machine, request);
    }),
    history: decoded((request) => {
      const demand = readHistoryRequest(request);
      checkClient(demand.header, node.header);
      return historyResponse(node.history, node.header, demand, parts().uptimeMs);
    }),
  });
  const between: BidiHandler<Buffer, Buffer> = (stream, call) => {
    peers.serve(stream, call);
  };
  const peer = service(PEER_DEFINITION, {
    heartbeats: between,
    forwarding: between,
    finish: decoded((request: FinishRequest) => finish(node, request)),
  });
  return serve({
    address: hostPortText(config.listen),
    services: [proposer, peer, node.faults.service, tracing.service],
    ...node.faults.served,
    // Clients and proposers come by the same port; limits that would cut the streams of proposers are left out.
    facing: 'roles',
    toStatus: (error) => statusOf(error, error instanceof RefusedError ? error.leader : undefined),
    log: ports.log,
    callsMax: config['calls.max'],
    streamsMax: config['streams.max'],
    deadlineMs: config['call.deadline'],
    ...(ports.reflectionFile === undefined ? {} : { reflectionFile: ports.reflectionFile }),
    onInvariant: (error) => {
      ports.onFatal('a call met a broken invariant', error);
    },
  });
}

function finish(node: ProposerNode, request: FinishRequest): FinishResponse {
  checkHeader(readHeader(request.header), node.header, ['learner', 'proposer']);
  const message = readFinish(request.finish);
  node.post(message);
  return { leader: node.machine.leaderOf(message.log) };
}

function readinessOf(node: ProposerNode, isStopping: () => boolean): Readonly<Record<string, () => true | string>> {
  const { quorum } = node;
  const isLed = (): boolean =>
    node.machine.ledCount > 0 || node.machine.peers().some((peer) => peer.alive && peer.led > 0);
  return {
    running: () => (isStopping() || node.machine.isDraining ? 'it is stopping' : true),
    acceptors: () => {
      const { connected } = node.acceptors;
      // Who leads goes on without a phase-1 quorum, and takes what the others forward: not a reason to send clients away.
      if (quorum.isPhase2(connected) && (quorum.isPhase1(connected) || isLed())) return true;
      return `connected to ${String(node.acceptorsConnected)} of ${String(quorum.size)} (${quorum.name}); ${node.acceptors.troubles().join('; ')}`;
    },
    learners: () =>
      node.learners.reachable > 0
        ? true
        : `no learner answers (--learners)${node.learnersTrouble === undefined ? '' : `; ${node.learnersTrouble}`}`,
  } satisfies Record<string, Check>;
}

function queuesOf(config: ProposerConfig, node: ProposerNode, grpc: RunningServer | undefined): Queue[] {
  const inFlightMax = config['proposals.in-flight.max'];
  const queue = (name: string, length: number, limit: number): Queue => ({ name, length, limit, refused: 0 });
  return [
    queue('proposals.in-flight.max', node.machine.pending, inFlightMax),
    queue('session.waiting', node.ownSessions.waiting, inFlightMax),
    queue('calls.max', grpc?.calls ?? 0, config['calls.max']),
    queue('streams.max', grpc?.streams ?? 0, config['streams.max']),
  ];
}

function linksOf(node: ProposerNode): Link[] {
  return [
    ...node.acceptors.links(Role.ROLE_ACCEPTOR),
    ...node.peers.links(Role.ROLE_PROPOSER),
    ...node.learners.links(Role.ROLE_LEARNER),
  ];
}
