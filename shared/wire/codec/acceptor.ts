/**
 * Between proposers and acceptors: domain messages ⇄ frames of AcceptorService.Session, and the unary calls.
 *
 * A frame is encoded once and given to every receiver. Two frames one after the other are one frame, because all their fields
 * are repeated messages, so what waits for a slow stream is joined without being encoded again.
 */
import { assertNever } from '../../base/assert.ts';
import { formatBallot, isFast, type Ballot } from '../../paxos/ballot.ts';
import type {
  Accept,
  Accepted,
  FromAcceptor,
  LogState,
  Prepare,
  Promised,
  Purpose,
  Rejected,
  RejectReason,
  ToAcceptor,
  VoteRange,
  WouldPromise,
} from '../../paxos/messages.ts';
import type { Batch } from '../../base/batch.ts';
import type * as wire from '../gen/synod/v1/acceptor.ts';
import { Accept as AcceptMessage, SessionRequest, SessionResponse } from '../gen/synod/v1/acceptor.ts';
import type { AcceptResponse, PrepareResponse } from '../gen/synod/v1/acceptor_service.ts';
import {
  asBuffer,
  checkBatchLimits,
  logName,
  member,
  need,
  notBelow,
  NOTHING,
  parse,
  readBallot,
  readBatch,
  readEnum,
  readIdentity,
  readOrNone,
  refuse,
  slotCount,
  whole,
  writeBallot,
  writeIdentity,
  writeOrNone,
} from './fields.ts';
import { joinFrames, lengthTag, withValues } from './framing.ts';
import type { Nesting } from './framing.ts';
import { readHeader, writeHeader } from './header.ts';
import type { Header } from './header.ts';
import { readWelcome, writeWelcome } from './introduction.ts';
import type { Welcome } from './introduction.ts';

// ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The first frame of a session: who the proposer is. */
export function encodeSessionHello(header: Header): Buffer {
  return asBuffer(SessionRequest.encode({ hello: writeHeader(header), messages: [] }).finish());
}

/** One frame with these messages, for as many acceptors as one likes. */
export function encodeToAcceptor(messages: readonly ToAcceptor[]): Buffer {
  return joinFrames(messages.map((m) => (m.kind === 'accept' ? encodeAccept(m) : encodeOne(m))));
}

/** SessionRequest.messages, ToAcceptor.accept, Accept.values. */
const ACCEPT: Nesting = { outer: [lengthTag(2), lengthTag(2)], values: lengthTag(5) };

function encodeAccept(m: Accept): Buffer {
  const fields = AcceptMessage.encode({ ...writeAccept(m), values: NOTHING }).finish();
  return withValues(fields, m.batch.bytes, ACCEPT);
}

function encodeOne(m: ToAcceptor): Buffer {
  return asBuffer(SessionRequest.encode({ hello: undefined, messages: [writeToAcceptor(m)] }).finish());
}

/** Reads a proposer's frame. Throws INVALID_ARGUMENT; one bad message refuses its whole frame. */
export function decodeSessionRequest(bytes: Uint8Array): { hello: Header | undefined; messages: ToAcceptor[] } {
  const frame = parse('synod.v1.SessionRequest', (b) => SessionRequest.decode(b), bytes);
  return {
    hello: frame.hello === undefined ? undefined : readHeader(frame.hello),
    messages: frame.messages.map(readToAcceptor),
  };
}

/** The first frame of the answer to a session: which acceptor on which disk. */
export function encodeSessionWelcome(welcome: Welcome): Buffer {
  return asBuffer(SessionResponse.encode({ welcome: writeWelcome(welcome), messages: [] }).finish());
}

export function encodeFromAcceptor(messages: readonly FromAcceptor[]): Buffer {
  return asBuffer(SessionResponse.encode({ welcome: undefined, messages: messages.map(writeFromAcceptor) }).finish());
}

/** Reads an acceptor's frame. Throws INVALID_ARGUMENT. */
export function decodeSessionResponse(bytes: Uint8Array): { welcome: Welcome | undefined; messages: FromAcceptor[] } {
  const frame = parse('synod.v1.SessionResponse', (b) => SessionResponse.decode(b), bytes);
  return {
    welcome: frame.welcome === undefined ? undefined : readWelcome(frame.welcome),
    messages: frame.messages.map(readFromAcceptor),
  };
}

// ── proposer → acceptor ───────────────────────────────────────────────────────────────────────────────────────────────

export function writeToAcceptor(m: ToAcceptor): wire.ToAcceptor {
  switch (m.kind) {
    case 'prepare':
      return { message: { $case: 'prepare', value: writePrepare(m) } };
    case 'accept':
      return { message: { $case: 'accept', value: writeAccept(m) } };
    case 'resign':
      return { message: { $case: 'resign', value: { log: m.log, ballot: writeBallot(m.ballot) } } };
    case 'tell':
      return { message: { $case: 'tell', value: { log: m.log, watermark: m.watermark } } };
    case 'alive':
      return { message: { $case: 'alive', value: {} } };
    case 'any':
      return { message: { $case: 'any', value: { log: m.log, ballot: writeBallot(m.ballot), from: m.from } } };
    default:
      return assertNever(m);
  }
}

export function readToAcceptor(frame: wire.ToAcceptor): ToAcceptor {
  const m = frame.message;
  if (m === undefined) return refuse('a message to an acceptor is of no kind that is known here');
  switch (m.$case) {
    case 'prepare':
      return readPrepare(m.value);
    case 'accept':
      return readAccept(m.value);
    case 'resign':
      return { kind: 'resign', log: logName(m.value.log), ballot: readBallot(m.value.ballot, 'resign.ballot') };
    case 'tell':
      return { kind: 'tell', log: logName(m.value.log), watermark: whole(m.value.watermark, 'tell.watermark') };
    case 'alive':
      return { kind: 'alive' };
    case 'any': {
      const { log, ballot, from } = m.value;
      return {
        kind: 'any',
        log: logName(log),
        ballot: openable(readBallot(ballot, 'any.ballot'), 'any.ballot'),
        from: whole(from, 'any.from'),
      };
    }
    default:
      return assertNever(m);
  }
}

const PURPOSES: readonly (Purpose | undefined)[] = [undefined, 'lead', 'decree', 'finish', 'open'];

export function writePrepare(m: Prepare): wire.Prepare {
  return {
    log: m.log,
    ballot: writeBallot(m.ballot),
    from: m.from,
    to: m.to,
    purpose: PURPOSES.indexOf(m.purpose) as wire.Prepare['purpose'],
    fromWatermark: m.fromWatermark,
    override: m.override,
    ask: m.ask,
  };
}

export function readPrepare(m: wire.Prepare): Prepare {
  const from = whole(m.from, 'prepare.from');
  const purpose = readEnum(PURPOSES, m.purpose, 'prepare.purpose');
  const ballot = readBallot(m.ballot, 'prepare.ballot');
  return {
    kind: 'prepare',
    log: logName(m.log),
    ballot: purpose === 'open' ? openable(ballot, 'prepare.ballot') : classic(ballot, 'prepare.ballot'),
    from,
    to: m.to === undefined ? undefined : notBelow(whole(m.to, 'prepare.to'), from, 'prepare.to', 'prepare.from'),
    purpose,
    fromWatermark: m.fromWatermark,
    override: m.override,
    ask: m.ask,
  };
}

function classic(ballot: Ballot, field: string): Ballot {
  if (isFast(ballot))
    refuse(`${field} is the fast ballot ${formatBallot(ballot)}: only a Prepare with purpose OPEN is for a fast one`);
  return ballot;
}

/** A fast ballot that somebody owns: nobody opens ballot zero. */
function openable(ballot: Ballot, field: string): Ballot {
  if (!isFast(ballot) || ballot.round === 0)
    refuse(`${field} is ${formatBallot(ballot)}: a log is opened at a fast ballot above ballot zero`);
  return ballot;
}

export function writeAccept(m: Accept): wire.Accept {
  return {
    log: m.log,
    ballot: writeBallot(m.ballot),
    first: m.first,
    count: m.batch.count,
    values: m.batch.bytes,
    watermark: m.watermark,
  };
}

export function readAccept(m: wire.Accept): Accept {
  const batch = readBatch(m.first, m.count, m.values, 'accept');
  checkBatchLimits(batch);
  const ballot = readBallot(m.ballot, 'accept.ballot');
  // R9: values compete slot by slot there.
  if (isFast(ballot) && batch.count !== 1)
    refuse(
      `an Accept with ${String(batch.count)} values at the fast ballot ${formatBallot(ballot)}: one value in one slot is taken at fast ballots`,
    );
  return {
    kind: 'accept',
    log: logName(m.log),
    ballot,
    first: m.first,
    batch,
    watermark: whole(m.watermark, 'accept.watermark'),
  };
}

// ── acceptor → proposer ───────────────────────────────────────────────────────────────────────────────────────────────

export function writeFromAcceptor(m: FromAcceptor): wire.FromAcceptor {
  switch (m.kind) {
    case 'promised':
      return { message: { $case: 'promised', value: writePromised(m) } };
    case 'would-promise':
      return { message: { $case: 'wouldPromise', value: writeWouldPromise(m) } };
    case 'rejected':
      return { message: { $case: 'rejected', value: writeRejected(m) } };
    case 'accepted':
      return { message: { $case: 'accepted', value: writeAccepted(m) } };
    case 'opened':
      return { message: { $case: 'opened', value: { log: m.log, ballot: writeBallot(m.ballot) } } };
    default:
      return assertNever(m);
  }
}

export function readFromAcceptor(frame: wire.FromAcceptor): FromAcceptor {
  const m = frame.message;
  if (m === undefined) return refuse('a message of an acceptor is of no kind that is known here');
  switch (m.$case) {
    case 'promised':
      return readPromised(m.value);
    case 'wouldPromise':
      return readWouldPromise(m.value);
    case 'rejected':
      return readRejected(m.value);
    case 'accepted':
      return readAccepted(m.value);
    case 'opened':
      return { kind: 'opened', log: logName(m.value.log), ballot: readBallot(m.value.ballot, 'opened.ballot') };
    default:
      return assertNever(m);
  }
}

/** The answer to the unary Prepare. */
export function writePrepareResponse(m: Promised | WouldPromise | Rejected): PrepareResponse {
  switch (m.kind) {
    case 'promised':
      return { answer: { $case: 'promised', value: writePromised(m) } };
    case 'would-promise':
      return { answer: { $case: 'wouldPromise', value: writeWouldPromise(m) } };
    case 'rejected':
      return { answer: { $case: 'rejected', value: writeRejected(m) } };
    default:
      return assertNever(m);
  }
}

/** The answer to the unary Accept. */
export function writeAcceptResponse(m: Accepted | Rejected): AcceptResponse {
  return m.kind === 'accepted'
    ? { answer: { $case: 'accepted', value: writeAccepted(m) } }
    : { answer: { $case: 'rejected', value: writeRejected(m) } };
}

function writePromised(m: Promised): wire.Promised {
  return {
    log: m.log,
    ballot: writeBallot(m.ballot),
    from: m.from,
    until: m.until,
    votes: m.votes.map((v) => ({
      first: v.first,
      ballot: writeBallot(v.ballot),
      count: v.batch.count,
      values: v.batch.bytes,
    })),
    highest: writeOrNone(m.highest),
    watermark: m.watermark,
    floor: m.floor,
  };
}

function readPromised(m: wire.Promised): Promised {
  const from = whole(m.from, 'promised.from');
  const until =
    m.until === undefined
      ? undefined
      : notBelow(whole(m.until, 'promised.until'), from, 'promised.until', 'promised.from');
  return {
    kind: 'promised',
    log: logName(m.log),
    ballot: readBallot(m.ballot, 'promised.ballot'),
    from,
    until,
    votes: readVoteRanges(m.votes, from, until),
    highest: readOrNone(m.highest, 'promised.highest'),
    watermark: whole(m.watermark, 'promised.watermark'),
    floor: whole(m.floor, 'promised.floor'),
  };
}

/** R10: a promise reports [from, until), each slot once; a report outside of what it claims to report is no promise. */
function readVoteRanges(ranges: readonly wire.VoteRange[], from: number, until: number | undefined): VoteRange[] {
  let next = from;
  return ranges.map((r) => {
    const batch: Batch = readBatch(r.first, r.count, r.values, 'promised.votes');
    notBelow(r.first, next, 'promised.votes.first', 'the end of what was reported before');
    next = r.first + r.count;
    if (until !== undefined && next > until)
      refuse(`promised.votes reach to ${String(next)}, above promised.until, which is ${String(until)}`);
    return { first: r.first, ballot: readBallot(r.ballot, 'promised.votes.ballot'), batch };
  });
}

function writeWouldPromise(m: WouldPromise): wire.WouldPromise {
  return { log: m.log, ballot: writeBallot(m.ballot), highest: writeOrNone(m.highest), watermark: m.watermark };
}

function readWouldPromise(m: wire.WouldPromise): WouldPromise {
  return {
    kind: 'would-promise',
    log: logName(m.log),
    ballot: readBallot(m.ballot, 'would_promise.ballot'),
    highest: readOrNone(m.highest, 'would_promise.highest'),
    watermark: whole(m.watermark, 'would_promise.watermark'),
  };
}

const REASONS: readonly (RejectReason | undefined)[] = [
  undefined,
  'ballot',
  'led',
  'floor',
  'space',
  'logs',
  'round',
  'busy',
  'conflict',
  'ahead',
  'not-open',
];

/** How a log stands, by the enum's numbers; the network and the journal use the same. */
export const LOG_STATES: readonly (LogState | undefined)[] = [undefined, 'open', 'closed', 'led'];

function writeRejected(m: Rejected): wire.Rejected {
  return {
    log: m.log,
    ballot: writeBallot(m.ballot),
    first: m.first,
    reason: REASONS.indexOf(m.reason) as wire.Rejected['reason'],
    promised: writeBallot(m.promised),
    state: LOG_STATES.indexOf(m.state) as wire.Rejected['state'],
    leader: m.leader,
    highest: writeOrNone(m.highest),
    watermark: m.watermark,
    floor: m.floor,
    voted: m.voted,
  };
}

function readRejected(m: wire.Rejected): Rejected {
  return {
    kind: 'rejected',
    log: logName(m.log),
    ballot: readBallot(need(m.ballot, 'rejected.ballot'), 'rejected.ballot'),
    first: m.first === undefined ? undefined : whole(m.first, 'rejected.first'),
    reason: readEnum(REASONS, m.reason, 'rejected.reason'),
    promised: readBallot(m.promised, 'rejected.promised'),
    state: readEnum(LOG_STATES, m.state, 'rejected.state'),
    leader: m.leader === undefined ? undefined : member(m.leader, 'rejected.leader'),
    highest: readOrNone(m.highest, 'rejected.highest'),
    watermark: whole(m.watermark, 'rejected.watermark'),
    floor: whole(m.floor, 'rejected.floor'),
    ...(m.voted === undefined ? {} : { voted: m.voted }),
  };
}

function writeAccepted(m: Accepted): wire.Accepted {
  const { log, first, count, identity, voted, watermark } = m;
  return { log, ballot: writeBallot(m.ballot), first, count, identity: writeIdentity(identity), voted, watermark };
}

function readAccepted(m: wire.Accepted): Accepted {
  const ballot = readBallot(m.ballot, 'accepted.ballot');
  return {
    kind: 'accepted',
    log: logName(m.log),
    ballot,
    first: whole(m.first, 'accepted.first'),
    count: slotCount(m.first, m.count, 'accepted.count'),
    ...readIdentity(ballot, m.count, m.identity === undefined ? [] : [m.identity], 'accepted'),
    ...(m.voted === undefined ? {} : { voted: m.voted }),
    ...(m.watermark === undefined ? {} : { watermark: whole(m.watermark, 'accepted.watermark') }),
  };
}
