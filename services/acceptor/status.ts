/** What an acceptor says of itself to people and tools: Status, Logs, and `/status.json`. */
import type { Acceptor, AcceptorLogStatus } from '../../shared/paxos/acceptor.ts';
import type { Introduction } from '../../shared/paxos/introduction.ts';
import { VERSION } from '../../shared/platform/version.ts';
import type { Journal } from '../../shared/ports/journal.ts';
import { RESERVED_LOG_PREFIX } from '../../shared/base/limits.ts';
import { CHECKPOINT_SLOTS } from '../../shared/ports/learner-store.ts';
import { LOG_STATES } from '../../shared/wire/codec/acceptor.ts';
import { bytesOf, ID_BYTES, writeBallot, writeOrNone } from '../../shared/wire/codec/fields.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { writeIntroduction } from '../../shared/wire/codec/introduction.ts';
import type { AcceptorLog } from '../../shared/wire/gen/synod/v1/acceptor.ts';
import type {
  AcceptorServiceLogsRequest,
  AcceptorServiceLogsResponse,
  AcceptorServiceStatusResponse,
} from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { Link, Queue } from '../../shared/wire/gen/synod/v1/common.ts';
import type { FollowerStatus } from './followers.ts';

const LOGS_A_PAGE = 1_000;

export interface StatusParts {
  readonly header: Header;
  readonly introduction: Introduction;
  readonly silentBecause: string | undefined;
  readonly address: string;
  readonly uptimeMs: number;
  readonly notReady: readonly string[];
  readonly quorum: string;
  readonly faults: { faultsOn: boolean; faults: string[] };
  readonly journal: Journal;
  readonly journalBytesMax: number;
  readonly machine: Acceptor;
  readonly queues: readonly Queue[];
  readonly links: readonly Link[];
}

export function statusResponse(parts: StatusParts): AcceptorServiceStatusResponse {
  const { header, introduction, silentBecause, journal, machine } = parts;
  return {
    process: {
      version: VERSION,
      uptimeMs: Math.round(parts.uptimeMs),
      address: parts.address,
      notReady: [...parts.notReady],
      ...parts.faults,
      quorum: parts.quorum,
    },
    introduction: writeIntroduction(introduction),
    speaks: silentBecause === undefined,
    silentBecause: silentBecause ?? '',
    journal: {
      first: journal.first,
      synced: writeOrNone(journal.synced),
      bytes: journal.bytes,
      bytesMax: parts.journalBytesMax,
      hasRoom: journal.hasRoom,
      keptBecause: oldestKept(machine),
    },
    logs: machine.logs,
    queues: [...parts.queues],
    links: [...parts.links],
    header: writeHeader(header),
    activity: undefined,
  };
}

/** Logs in the order of their names, from the one after `after` on. */
export function logsResponse(
  machine: Acceptor,
  request: AcceptorServiceLogsRequest,
  holders: number,
  followers: readonly FollowerStatus[],
): AcceptorServiceLogsResponse {
  const { log, after, all } = request;
  const limit = request.limit === 0 ? LOGS_A_PAGE : Math.min(request.limit, LOGS_A_PAGE);
  const chosen: AcceptorLogStatus[] = [];
  for (const each of machine.status()) {
    if (log !== '' && each.log !== log) continue;
    if (log === '' && !all && isOwn(each.log)) continue;
    if (each.log > after) chosen.push(each);
  }
  chosen.sort((a, b) => (a.log < b.log ? -1 : 1));
  const byDisk = new Map(followers.map((follower) => [follower.disk, follower.learner]));
  return {
    logs: chosen.slice(0, limit).map((each) => logStatus(each, holders, byDisk)),
    more: chosen.length > limit,
  };
}

function logStatus(log: AcceptorLogStatus, holders: number, learners: ReadonlyMap<string, number>): AcceptorLog {
  return {
    log: log.log,
    state: LOG_STATES.indexOf(log.state) as AcceptorLog['state'],
    promised: writeBallot(log.promised),
    leader: log.state === 'led' ? log.promised.proposer : undefined,
    highest: writeOrNone(log.highest),
    watermark: log.watermark,
    floor: log.floor,
    holders: log.holders.map(({ disk, held, agreed }) => ({
      learnerDisk: bytesOf(disk, ID_BYTES, 'learner_disk'),
      learner: learners.get(disk) ?? 0,
      held,
      agreed,
      connected: learners.has(disk),
    })),
    keptBecause: keptBecause(log, holders),
    leaderHeardMsAgo: undefined,
  };
}

/** What keeps the floor of a log from rising, for a person. */
function keptBecause(log: AcceptorLogStatus, wanted: number): string {
  const end = log.highest + 1;
  if (log.floor >= end) return '';
  const agreed = log.holders.filter((h) => Math.min(h.held, h.agreed) >= end).length;
  if (agreed >= wanted) return '';
  const held = log.holders.filter((h) => h.held >= end).length;
  const slots = slotsText(log.floor, log.highest);
  if (held < wanted) return `${slots}: held by ${String(held)} of ${String(wanted)} learner disks (trim.holders)`;
  const compared = `learners compare digests every ${String(CHECKPOINT_SLOTS)} slots`;
  const agreedTo = log.holders.map((h) => h.agreed).sort((a, b) => b - a)[wanted - 1] ?? 0;
  // The slots since the last comparison are always kept; more than that, with one comparison under way, is worth a look.
  return end - agreedTo < 2 * CHECKPOINT_SLOTS
    ? `${slots}: held by ${String(held)} learner disks, dropped after the next comparison (${compared})`
    : `${slots}: held by ${String(held)} learner disks, whose digests agree below slot ${String(agreedTo)} only (${compared})`;
}

/** Which log the journal is kept for, for a person: the one with the most slots above its floor; Synod's own only without others. */
function oldestKept(machine: Acceptor): string {
  let most: AcceptorLogStatus | undefined;
  for (const log of machine.status()) if (keptSlots(log) > 0 && isKeptMore(log, most)) most = log;
  return most === undefined
    ? ''
    : `log ${JSON.stringify(most.log)}: ${slotsText(most.floor, most.highest)} above its trim floor`;
}

function isKeptMore(log: AcceptorLogStatus, than: AcceptorLogStatus | undefined): boolean {
  if (than === undefined) return true;
  const own = isOwn(log.log);
  return own === isOwn(than.log) ? keptSlots(log) > keptSlots(than) : !own;
}

function keptSlots(log: AcceptorLogStatus): number {
  return log.highest + 1 - log.floor;
}

function isOwn(log: string): boolean {
  return log.startsWith(RESERVED_LOG_PREFIX);
}

/**
 * What only a learner disk holds of what acceptors dropped, one line a log; for `learner forget`. A disk is known that holds
 * something, or that was forgotten already.
 */
export function lostWith(machine: Acceptor, disk: string): { known: boolean; lost: string[] } {
  let known = isForgotten(machine, disk);
  const lost: string[] = [];
  for (const { log, floor, holders } of machine.status()) {
    const own = holders.find((h) => h.disk === disk);
    if (own === undefined) continue;
    known = true;
    const others = Math.max(0, ...holders.filter((h) => h.disk !== disk).map((h) => h.held));
    const end = Math.min(own.held, floor);
    if (others >= end || lost.length >= LOGS_A_PAGE) continue;
    lost.push(`log ${JSON.stringify(log)}: no other learner disk known here holds ${slotsText(others, end - 1)}`);
  }
  return { known, lost };
}

function isForgotten(machine: Acceptor, disk: string): boolean {
  for (const record of machine.head()) if (record.kind === 'forget' && record.learnerDisk === disk) return true;
  return false;
}

/** The slots from `first` to `last`, both included. */
function slotsText(first: number, last: number): string {
  return first === last ? `slot ${String(first)}` : `slots ${String(first)} to ${String(last)}`;
}
