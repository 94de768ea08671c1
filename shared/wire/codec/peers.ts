/** Between proposers: domain messages ⇄ frames of PeerService, both its streams, and the unary Finish. */
import { assertNever } from '../../base/assert.ts';
import type { Outcome } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Answer, Chosen, Finish, Forward, Heartbeat, LedLog, PeerMessage, Refused } from '../../paxos/peers.ts';
import type * as wire from '../gen/synod/v1/peer.ts';
import { ForwardingRequest } from '../gen/synod/v1/peer_service.ts';
import { codeNumber, codeOf } from '../status.ts';
import {
  asBuffer,
  bytesOf,
  hexOf,
  INCARNATION_BYTES,
  logName,
  member,
  need,
  notBelow,
  parse,
  readBallot,
  readEnum,
  refuse,
  whole,
  writeBallot,
} from './fields.ts';
import { readHeader, writeHeader } from './header.ts';
import { readProgress, writeProgress } from './progress.ts';
import type { Header } from './header.ts';

// ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────────
// The requests and responses of both streams have the same two fields, so one encoding serves all four. A test holds them to it.

/** The first frame of either stream, in either direction: who the proposer is. */
export function encodePeerHello(header: Header): Buffer {
  return asBuffer(ForwardingRequest.encode({ hello: writeHeader(header), messages: [] }).finish());
}

export function encodePeerMessages(messages: readonly PeerMessage[]): Buffer {
  return asBuffer(ForwardingRequest.encode({ hello: undefined, messages: messages.map(writePeerMessage) }).finish());
}

/** Reads a proposer's frame. Throws INVALID_ARGUMENT; one bad message refuses its whole frame. */
export function decodePeerFrame(bytes: Uint8Array): { hello: Header | undefined; messages: PeerMessage[] } {
  const frame = parse('frame between proposers', (b) => ForwardingRequest.decode(b), bytes);
  return {
    hello: frame.hello === undefined ? undefined : readHeader(frame.hello),
    messages: frame.messages.map(readPeerMessage),
  };
}

// ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function writePeerMessage(m: PeerMessage): wire.PeerMessage {
  switch (m.kind) {
    case 'heartbeat':
      return { message: { $case: 'heartbeat', value: writeHeartbeat(m) } };
    case 'led-change':
      return {
        message: {
          $case: 'ledChange',
          value: { full: m.full, added: m.added.map(writeLedLog), removed: [...m.removed] },
        },
      };
    case 'led?':
      return { message: { $case: 'ledQuestion', value: {} } };
    case 'take-over':
      return { message: { $case: 'takeOver', value: { log: m.log } } };
    case 'forward':
      return { message: { $case: 'forward', value: writeForward(m) } };
    case 'forwarded':
      return {
        message: {
          $case: 'forwarded',
          value: {
            id: m.id,
            incarnation: bytesOf(m.incarnation, INCARNATION_BYTES, 'forwarded.incarnation'),
            answer: writeAnswer(m.answer),
          },
        },
      };
    case 'progress':
      return {
        message: {
          $case: 'progress',
          value: {
            id: m.id,
            incarnation: bytesOf(m.incarnation, INCARNATION_BYTES, 'progress.incarnation'),
            progress: writeProgress(m.progress, (position) => position),
          },
        },
      };
    case 'finish':
      return { message: { $case: 'finish', value: writeFinish(m) } };
    default:
      return assertNever(m);
  }
}

function readPeerMessage(frame: wire.PeerMessage): PeerMessage {
  const m = frame.message;
  if (m === undefined) return refuse('a message between proposers is of no kind that is known here');
  switch (m.$case) {
    case 'heartbeat':
      return readHeartbeat(m.value);
    case 'ledChange':
      return {
        kind: 'led-change',
        full: m.value.full,
        added: m.value.added.map(readLedLog),
        removed: m.value.removed.map(logName),
      };
    case 'ledQuestion':
      return { kind: 'led?' };
    case 'takeOver':
      return { kind: 'take-over', log: logName(m.value.log) };
    case 'forward':
      return readForward(m.value);
    case 'forwarded':
      return {
        kind: 'forwarded',
        id: whole(m.value.id, 'forwarded.id'),
        incarnation: hexOf(m.value.incarnation, INCARNATION_BYTES, 'forwarded.incarnation'),
        answer: readAnswer(m.value.answer),
      };
    case 'progress':
      return {
        kind: 'progress',
        id: whole(m.value.id, 'progress.id'),
        incarnation: hexOf(m.value.incarnation, INCARNATION_BYTES, 'progress.incarnation'),
        progress: readProgress(need(m.value.progress, 'progress'), (acceptor) => acceptor),
      };
    case 'finish':
      return readFinish(m.value);
    default:
      return assertNever(m);
  }
}

function writeHeartbeat(m: Heartbeat): wire.Heartbeat {
  const { proposer, ledCount, ledDigest } = m;
  return {
    proposer,
    incarnation: bytesOf(m.incarnation, INCARNATION_BYTES, 'incarnation'),
    ledCount,
    // An exclusive-or of 32-bit numbers is signed in JavaScript; on the wire it never is.
    ledDigest: ledDigest >>> 0,
  };
}

function readHeartbeat(m: wire.Heartbeat): Heartbeat {
  return {
    kind: 'heartbeat',
    proposer: member(m.proposer, 'heartbeat.proposer'),
    incarnation: hexOf(m.incarnation, INCARNATION_BYTES, 'heartbeat.incarnation'),
    ledCount: whole(m.ledCount, 'heartbeat.led_count'),
    // And signed again, or every second digest would differ from the receiver's own and be asked about for ever.
    ledDigest: m.ledDigest | 0,
  };
}

function writeLedLog(led: LedLog): wire.LedLog {
  return { log: led.log, ballot: writeBallot(led.ballot) };
}

function readLedLog(led: wire.LedLog): LedLog {
  return { log: logName(led.log), ballot: readBallot(led.ballot, 'led.ballot') };
}

function writeForward(m: Forward): wire.Forward {
  const { id, log, entry, retry, relayed, progress } = m;
  const incarnation = bytesOf(m.incarnation, INCARNATION_BYTES, 'forward.incarnation');
  return {
    id,
    incarnation,
    log,
    entry,
    retry,
    relayed,
    progress,
    timeoutMs: Math.min(0xffffffff, Math.max(0, Math.floor(m.timeoutMs))),
  };
}

function readForward(m: wire.Forward): Forward {
  if (m.entry.length === 0) refuse('forward.entry is empty');
  if (m.entry.length > LIMITS.valueBytesMax)
    refuse(
      `forward.entry has ${String(m.entry.length)} bytes: the limit of a value is ${String(LIMITS.valueBytesMax)}`,
    );
  const { entry, retry, relayed, timeoutMs, progress } = m;
  const incarnation = hexOf(m.incarnation, INCARNATION_BYTES, 'forward.incarnation');
  return {
    kind: 'forward',
    id: whole(m.id, 'forward.id'),
    incarnation,
    log: logName(m.log),
    entry,
    retry,
    relayed,
    timeoutMs,
    progress,
  };
}

/** Also for the unary call. */
export function writeFinish(m: Finish): wire.Finish {
  return { log: m.log, from: m.from, to: m.to };
}

/** Also for the unary call. */
export function readFinish(wireFinish: wire.Finish | undefined): Finish {
  const m = need(wireFinish, 'finish');
  const from = whole(m.from, 'finish.from');
  return {
    kind: 'finish',
    log: logName(m.log),
    from,
    to: notBelow(whole(m.to, 'finish.to'), from, 'finish.to', 'finish.from'),
  };
}

// ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Outcomes by the enum's numbers. */
export const OUTCOMES: readonly (Outcome | undefined)[] = [undefined, 'none', 'unknown'];

function writeAnswer(answer: Answer): NonNullable<wire.Forwarded['answer']> {
  switch (answer.kind) {
    case 'chosen': {
      const { slot, entry, leader } = answer;
      const ballot = answer.ballot === undefined ? undefined : writeBallot(answer.ballot);
      return { $case: 'chosen', value: { slot, ballot, entry, leader } };
    }
    case 'refused': {
      const { message, leader } = answer;
      const outcome = OUTCOMES.indexOf(answer.outcome) as wire.Refused['outcome'];
      return { $case: 'refused', value: { code: codeNumber(answer.code), message, outcome, leader } };
    }
    default:
      return assertNever(answer);
  }
}

function readAnswer(answer: wire.Forwarded['answer']): Answer {
  if (answer === undefined) return refuse('forwarded has no answer that is known here');
  return answer.$case === 'chosen' ? readChosen(answer.value) : readRefused(answer.value);
}

function readChosen(m: wire.Chosen): Chosen {
  return {
    kind: 'chosen',
    slot: whole(m.slot, 'chosen.slot'),
    ballot: m.ballot === undefined ? undefined : readBallot(m.ballot, 'chosen.ballot'),
    entry: m.entry,
    leader: m.leader === undefined ? undefined : member(m.leader, 'chosen.leader'),
  };
}

function readRefused(m: wire.Refused): Refused {
  return {
    kind: 'refused',
    code: codeOf(m.code),
    message: m.message,
    outcome: readEnum(OUTCOMES, m.outcome, 'refused.outcome'),
    leader: m.leader === undefined ? undefined : member(m.leader, 'refused.leader'),
  };
}
