/** What a proposer says of itself to people and tools: Status, Logs, and `/status.json`. */
import { RESERVED_LOG_PREFIX } from '../../shared/base/limits.ts';
import { BALLOT_ZERO, formatBallot } from '../../shared/paxos/ballot.ts';
import type { Proposer, ProposerLogStatus } from '../../shared/paxos/proposer.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import { VERSION } from '../../shared/platform/version.ts';
import { writeBallot } from '../../shared/wire/codec/fields.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import type { Link, Queue } from '../../shared/wire/gen/synod/v1/common.ts';
import { Leading } from '../../shared/wire/gen/synod/v1/proposer.ts';
import type { ProposerLog } from '../../shared/wire/gen/synod/v1/proposer.ts';
import type {
  ProposerServiceLogsRequest,
  ProposerServiceLogsResponse,
  ProposerServiceStatusResponse,
} from '../../shared/wire/gen/synod/v1/proposer_service.ts';

const LOGS_A_PAGE = 1_000;

export interface StatusParts {
  readonly header: Header;
  readonly machine: Proposer;
  readonly address: string;
  readonly uptimeMs: number;
  readonly notReady: readonly string[];
  readonly quorum: QuorumSystem;
  readonly faults: { faultsOn: boolean; faults: string[] };
  readonly queues: readonly Queue[];
  readonly links: readonly Link[];
}

export interface Sums {
  readonly logs: number;
  readonly inFlight: number;
  readonly queued: number;
  /** Logs with proposals that wait here and that this proposer does not lead. */
  readonly leaderless: number;
}

/** Over all logs that this proposer leads or tries to. */
export function sumsOf(machine: Proposer): Sums {
  let logs = 0;
  let inFlight = 0;
  let queued = 0;
  let leaderless = 0;
  for (const log of machine.status()) {
    logs++;
    inFlight += log.inFlight;
    queued += log.queued;
    // Of a log that another one leads nothing waits here: it is forwarded.
    if (log.state !== 'leading' && log.queued > 0) leaderless++;
  }
  return { logs, inFlight, queued, leaderless };
}

export function statusResponse(parts: StatusParts): ProposerServiceStatusResponse {
  const { machine } = parts;
  const { logs, inFlight, queued } = sumsOf(machine);
  return {
    process: {
      version: VERSION,
      uptimeMs: Math.round(parts.uptimeMs),
      address: parts.address,
      notReady: [...parts.notReady],
      ...parts.faults,
      quorum: parts.quorum.name,
    },
    header: writeHeader(parts.header),
    led: machine.ledCount,
    logs: logs + machine.peers().reduce((sum, peer) => sum + peer.led, 0),
    inFlight,
    queued,
    queues: [...parts.queues],
    links: [...parts.links],
    activity: undefined,
  };
}

/** Logs in the order of their names, from the one after `after` on. */
export function logsResponse(machine: Proposer, request: ProposerServiceLogsRequest): ProposerServiceLogsResponse {
  const { log, after, all, led } = request;
  const limit = request.limit === 0 ? LOGS_A_PAGE : Math.min(request.limit, LOGS_A_PAGE);
  const found: ProposerLogStatus[] = [];
  for (const each of machine.status()) {
    if (log !== '' && each.log !== log) continue;
    if (log === '' && !all && each.log.startsWith(RESERVED_LOG_PREFIX)) continue;
    if (led && each.state !== 'leading') continue;
    if (each.log > after) found.push(each);
  }
  found.sort((a, b) => (a.log < b.log ? -1 : 1));
  const logs = found.slice(0, limit).map((each) => logOf(machine, each));
  // A log that this proposer has nothing to do with, but knows the leader of.
  const leader = log === '' || led || found.length > 0 ? undefined : machine.leaderOf(log);
  if (leader !== undefined)
    logs.push({ ...NOTHING_KNOWN, log, leading: Leading.LEADING_FOLLOWS, leader, ballot: undefined });
  return { logs, more: found.length > limit };
}

/** What `/status.json` says. */
export function statusPage(parts: StatusParts): object {
  const { header, machine } = parts;
  const logs = [...machine.status()].slice(0, LOGS_A_PAGE).map((log) => ({
    ...log,
    ballot: formatBallot(log.ballot),
    leader: machine.leaderOf(log.log),
  }));
  return {
    ...header,
    version: VERSION,
    address: parts.address,
    uptimeMs: Math.round(parts.uptimeMs),
    notReady: parts.notReady,
    ...parts.faults,
    quorum: parts.quorum.name,
    draining: machine.isDraining,
    led: machine.ledCount,
    pending: machine.pending,
    peers: machine.peers(),
    queues: parts.queues,
    links: parts.links,
    logs,
  };
}

const NOTHING_KNOWN = { next: 0, watermark: 0, floor: 0, inFlight: 0, queued: 0 } as const;

function logOf(machine: Proposer, status: ProposerLogStatus): ProposerLog {
  const { log, state, ballot, next, watermark, inFlight, queued } = status;
  return {
    log,
    leading:
      state === 'leading'
        ? Leading.LEADING_LEADS
        : state === 'idle'
          ? Leading.LEADING_FOLLOWS
          : Leading.LEADING_CANDIDATE,
    leader: machine.leaderOf(log),
    ballot: ballot === BALLOT_ZERO ? undefined : writeBallot(ballot),
    next,
    watermark,
    floor: 0,
    inFlight,
    queued,
  };
}
