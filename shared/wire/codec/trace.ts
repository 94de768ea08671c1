/** What a role tells of itself (proto/synod/v1/trace.proto): events as plain data, and their form on the wire. */
import type { Ballot } from '../../paxos/ballot.ts';
import type { Purpose, RejectReason } from '../../paxos/messages.ts';
import type { FastLeft, Phase, Protocol } from '../../paxos/notes.ts';
import type { TraceEvent as WireEvent, TraceProposal as WireProposal, TraceVotes } from '../gen/synod/v1/trace.ts';
import type { TraceServiceFollowRequest } from '../gen/synod/v1/trace_service.ts';
import { bytesOf, hexOf, ID_BYTES, logName, need, NOTHING, readBallot, readEnum, refuse, whole } from './fields.ts';
import { writeBallot } from './fields.ts';
import type { Role } from './header.ts';

/** A member of the cluster; as the receiver of a message, id 0 stands for all of its role. */
export interface TraceMember {
  readonly role: Role;
  readonly id: number;
}

/** What names one proposal (R12). Session and sequence of a decree are 0. */
export interface ProposalId {
  /** 32 hex digits. */
  readonly client: string;
  readonly session: number;
  readonly sequence: number;
}

/** Votes that a promise reports: the slots [first, first + count), all at one ballot. */
export interface TracedVotes {
  readonly first: number;
  readonly count: number;
  readonly ballot: Ballot;
  /** The beginning of the payload in slot `first`, where values were asked for. */
  readonly value: Uint8Array | undefined;
}

const MESSAGES = [
  ...([undefined, 'ask', 'prepare', 'would-promise', 'promise', 'reject', 'accept', 'accepted', 'votes'] as const),
  ...(['forward', 'forwarded', 'take-over', 'resign', 'finish', 'fetch', 'tell', 'alive', 'heartbeat'] as const),
  ...(['any', 'opened'] as const),
] as const;
export type TraceMessage = Exclude<(typeof MESSAGES)[number], undefined>;

const KINDS = [
  ...([undefined, 'sent', 'received', 'proposed', 'answered', 'campaign', 'leader', 'quorum', 'chosen'] as const),
  ...(['no-op', 'reproposed', 'unfound', 'promised', 'voted', 'rejected', 'synced', 'trimmed'] as const),
  ...(['learned', 'applied', 'gap', 'peer', 'pause', 'opened', 'closed', 'collision', 'recovering', 'left'] as const),
] as const;
export type TraceKind = Exclude<(typeof KINDS)[number], undefined>;

const PHASES = [undefined, 'prepare', 'accept'] as const;
const ROLES: readonly (Role | undefined)[] = [undefined, 'proposer', 'acceptor', 'learner', 'client'];

/** All that an event may say. `TraceEvent` tells what is there for each kind. */
export interface AnyTraceEvent {
  readonly kind: TraceKind;
  /** Counted by the role from 1 on, over all that happens there while anybody follows. */
  readonly sequence: number;
  /** Of the role's monotonic clock, in milliseconds. */
  readonly atMs: number;
  /** Sequence of the event that this one followed from at once; 0: time passed, or what had gathered was sent. */
  readonly cause: number;
  /** Empty where it is about no log. */
  readonly log: string;
  readonly message: TraceMessage | undefined;
  readonly peer: TraceMember | undefined;
  readonly ballot: Ballot | undefined;
  /** The ballot that stands in the way of `ballot`. */
  readonly higher: Ballot | undefined;
  /** The slots [first, first + count). */
  readonly first: number | undefined;
  readonly count: number;
  readonly number: number;
  readonly word: string;
  /** For a person. */
  readonly why: string;
  readonly phase: Phase | undefined;
  readonly protocol: Protocol | undefined;
  readonly proposal: ProposalId | undefined;
  readonly value: Uint8Array | undefined;
  readonly votes: readonly TracedVotes[];
}

type With<K extends TraceKind, Fields> = Omit<AnyTraceEvent, 'kind' | keyof Fields> & { readonly kind: K } & Fields;
interface AtBallot {
  readonly ballot: Ballot;
}
interface AtSlots {
  readonly first: number;
}
interface Worded<W extends string> {
  readonly word: W;
}

/** One thing that happened in a role. The page trace.proto says what each kind means. */
export type TraceEvent =
  | With<'sent' | 'received', { readonly message: TraceMessage; readonly peer: TraceMember }>
  | With<'proposed', unknown>
  | With<'answered', Worded<'chosen' | 'refused'>>
  | With<'campaign', AtBallot & Worded<'' | 'override'>>
  | With<'leader', AtBallot & Worded<'taken' | 'resigned' | 'lost'>>
  | With<
      'quorum',
      AtBallot & Worded<'reached' | 'rejected' | 'timeout'> & { readonly phase: Phase; readonly protocol: Protocol }
    >
  | With<'chosen', AtBallot & AtSlots & Worded<'' | 'recovered'> & { readonly protocol: Protocol }>
  | With<'no-op' | 'reproposed' | 'unfound', AtSlots>
  | With<'promised', AtBallot & Worded<Purpose>>
  | With<'voted' | 'learned', AtBallot & AtSlots>
  | With<'rejected', AtBallot & { readonly higher: Ballot; readonly phase: Phase } & Worded<RejectReason>>
  | With<'synced' | 'trimmed' | 'applied', AtSlots>
  | With<'gap', AtSlots & Worded<'acceptors' | 'learners' | 'finish'>>
  | With<'peer', { readonly peer: TraceMember } & Worded<'up' | 'silent' | 'refused' | 'gone'>>
  | With<'pause', unknown>
  | With<'opened' | 'collision' | 'recovering', AtBallot & AtSlots>
  | With<'closed', AtBallot>
  | With<'left', Worded<FastLeft>>;

export const TRACE_LIMITS = {
  queueEventsMax: 262_144,
  queueEventsDefault: 16_384,
  /** Who may follow one role at once. */
  followersMax: 16,
  /** What one follower hears of one role: so many events at once, and so many a second after that. */
  budget: { burst: 1_000, aSecond: 100 },
  /** Of a value that is shown. */
  valueBytes: 64,
  /** Ranges of votes of one promise that are told. */
  votesMax: 8,
} as const;

/** What a follower wants to see. */
export interface TraceFilter {
  /** Undefined: all logs. */
  readonly log: string | undefined;
  readonly proposal: ProposalId | undefined;
  readonly queueEvents: number;
  readonly values: boolean;
  readonly idle: boolean;
}

/** Reads a request. Throws INVALID_ARGUMENT, with the field and its limit. */
export function readFollow(request: TraceServiceFollowRequest): TraceFilter {
  const { log, proposal, queueEvents, values, idle } = request;
  const max = TRACE_LIMITS.queueEventsMax;
  if (queueEvents > max) refuse(`queue_events is ${String(queueEvents)}: the limit is ${String(max)}`);
  return {
    log: log === '' ? undefined : logName(log),
    proposal: readProposal(proposal),
    queueEvents: queueEvents === 0 ? TRACE_LIMITS.queueEventsDefault : queueEvents,
    values,
    idle,
  };
}

function readProposal(wire: WireProposal | undefined): ProposalId | undefined {
  if (wire === undefined) return undefined;
  return {
    client: hexOf(wire.client, ID_BYTES, 'proposal.client'),
    session: whole(wire.session, 'proposal.session'),
    sequence: whole(wire.sequence, 'proposal.sequence'),
  };
}

export function writeProposal(id: ProposalId): WireProposal {
  const { client, session, sequence } = id;
  return { client: bytesOf(client, ID_BYTES, 'proposal.client'), session, sequence };
}

export function writeTraceEvent(event: AnyTraceEvent): WireEvent {
  return {
    sequence: event.sequence,
    timeUs: Math.max(0, Math.round(event.atMs * 1_000)),
    kind: KINDS.indexOf(event.kind) as WireEvent['kind'],
    message: event.message === undefined ? 0 : (MESSAGES.indexOf(event.message) as WireEvent['message']),
    log: event.log,
    ballot: event.ballot === undefined ? undefined : writeBallot(event.ballot),
    higher: event.higher === undefined ? undefined : writeBallot(event.higher),
    first: event.first,
    count: event.count,
    peerRole: event.peer === undefined ? 0 : (ROLES.indexOf(event.peer.role) as WireEvent['peerRole']),
    peer: event.peer?.id ?? 0,
    cause: event.cause,
    number: event.number,
    word: event.word,
    why: event.why,
    phase: event.phase === undefined ? 0 : (PHASES.indexOf(event.phase) as WireEvent['phase']),
    protocol: event.protocol ?? '',
    proposal: event.proposal === undefined ? undefined : writeProposal(event.proposal),
    value: event.value ?? NOTHING,
    votes: event.votes.map(({ first, count, ballot, value = NOTHING }) => ({
      first,
      count,
      ballot: writeBallot(ballot),
      value,
    })),
  };
}

/** Reads an event; undefined for a kind or a message that this version does not know. Throws INVALID_ARGUMENT for what is malformed. */
export function readTraceEvent(wire: WireEvent): TraceEvent | undefined {
  const kind = KINDS[wire.kind];
  const message = MESSAGES[wire.message];
  if (kind === undefined || (wire.message !== 0 && message === undefined)) return undefined;
  const event: AnyTraceEvent = {
    kind,
    sequence: whole(wire.sequence, 'event.sequence'),
    atMs: whole(wire.timeUs, 'event.time_us') / 1_000,
    cause: wire.cause,
    log: wire.log,
    message,
    peer: wire.peerRole === 0 ? undefined : { role: readEnum(ROLES, wire.peerRole, 'event.peer_role'), id: wire.peer },
    ballot: wire.ballot === undefined ? undefined : readBallot(wire.ballot, 'event.ballot'),
    higher: wire.higher === undefined ? undefined : readBallot(wire.higher, 'event.higher'),
    first: wire.first,
    count: wire.count,
    number: wire.number,
    word: wire.word,
    why: wire.why,
    phase: wire.phase === 0 ? undefined : readEnum(PHASES, wire.phase, 'event.phase'),
    protocol: wire.protocol === '' ? undefined : (wire.protocol as Protocol),
    proposal: readProposal(wire.proposal),
    value: wire.value.length === 0 ? undefined : wire.value,
    votes: wire.votes.map(readVotes),
  };
  for (const field of NEEDS[kind] ?? []) need(event[field], `event.${field} of ${kind}`);
  return event as TraceEvent;
}

function readVotes({ first, count, ballot, value }: TraceVotes): TracedVotes {
  return {
    first,
    count,
    ballot: readBallot(ballot, 'votes.ballot'),
    value: value.length === 0 ? undefined : value,
  };
}

/** What an event of a kind is nothing without. */
const NEEDS: Readonly<Partial<Record<TraceKind, readonly (keyof AnyTraceEvent)[]>>> = {
  sent: ['message', 'peer'],
  received: ['message', 'peer'],
  campaign: ['ballot'],
  leader: ['ballot'],
  quorum: ['ballot', 'phase', 'protocol'],
  chosen: ['ballot', 'first', 'protocol'],
  'no-op': ['first'],
  reproposed: ['first'],
  unfound: ['first'],
  promised: ['ballot'],
  voted: ['ballot', 'first'],
  rejected: ['ballot', 'higher', 'phase'],
  synced: ['first'],
  trimmed: ['first'],
  learned: ['ballot', 'first'],
  applied: ['first'],
  gap: ['first'],
  peer: ['peer'],
  opened: ['ballot', 'first'],
  closed: ['ballot'],
  collision: ['ballot', 'first'],
  recovering: ['ballot', 'first'],
};
