/** Between learners and acceptors: domain messages ⇄ frames of AcceptorService.Follow. */
import { assertNever } from '../../base/assert.ts';
import type { Batch } from '../../base/batch.ts';
import type { Remembered } from '../../paxos/introduction.ts';
import type {
  Fetch,
  Fetched,
  Head,
  Held,
  LearnerToAcceptor,
  Tip,
  TipQuestion,
  ToLearner,
  Votes,
} from '../../paxos/messages.ts';
import type * as wire from '../gen/synod/v1/acceptor.ts';
import { FollowRequest, FollowResponse, Votes as VotesMessage } from '../gen/synod/v1/acceptor.ts';
import {
  asBuffer,
  bytesOf,
  hexOf,
  ID_BYTES,
  logName,
  NOTHING,
  notBelow,
  parse,
  readBallot,
  readBatch,
  readIdentity,
  readOrNone,
  refuse,
  slotCount,
  whole,
  writeBallot,
  writeOrNone,
} from './fields.ts';
import { joinFrames, lengthTag, withValues } from './framing.ts';
import type { Nesting } from './framing.ts';
import { readHeader, writeHeader } from './header.ts';
import type { Header } from './header.ts';
import { readRemembered, readWelcome, writeRemembered, writeWelcome } from './introduction.ts';
import type { Welcome } from './introduction.ts';

/** How a learner begins to follow an acceptor. */
export interface FollowHello {
  readonly header: Header;
  /** 32 hex digits. */
  readonly learnerDisk: string;
  /** Live votes come with their values. */
  readonly values: boolean;
  /** What the learner's disk remembers of this acceptor, undefined for nothing. */
  readonly remembered: Remembered | undefined;
}

export type FromLearner = LearnerToAcceptor | TipQuestion;
export type ToLearnerOrTip = ToLearner | Tip;

// ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────────

export function encodeFollowHello(hello: FollowHello): Buffer {
  const { header, learnerDisk, values, remembered } = hello;
  const wireHello: wire.FollowHello = {
    header: writeHeader(header),
    learnerDisk: bytesOf(learnerDisk, ID_BYTES, 'learner_disk'),
    values,
    remembered: remembered === undefined ? undefined : writeRemembered(remembered),
  };
  return asBuffer(FollowRequest.encode({ hello: wireHello, messages: [] }).finish());
}

export function encodeFromLearner(messages: readonly FromLearner[]): Buffer {
  return asBuffer(FollowRequest.encode({ hello: undefined, messages: messages.map(writeFromLearner) }).finish());
}

/** Reads a learner's frame. Throws INVALID_ARGUMENT; one bad message refuses its whole frame. */
export function decodeFollowRequest(bytes: Uint8Array): { hello: FollowHello | undefined; messages: FromLearner[] } {
  const frame = parse('synod.v1.FollowRequest', (b) => FollowRequest.decode(b), bytes);
  return {
    hello: frame.hello === undefined ? undefined : readHello(frame.hello),
    messages: frame.messages.map(readFromLearner),
  };
}

export function encodeFollowWelcome(welcome: Welcome): Buffer {
  const frame = { welcome: writeWelcome(welcome), position: undefined, messages: [] };
  return asBuffer(FollowResponse.encode(frame).finish());
}

/** One frame for as many learners as want the same. `position`: the newest journal position it depends on, −1 for none (R3). */
export function encodeToLearner(messages: readonly ToLearnerOrTip[], position: number): Buffer {
  let before: Uint8Array = position < 0 ? NOTHING : encodePosition(position);
  if (messages.length === 0) return asBuffer(before);
  const frames = messages.map((m) => {
    const frame = m.kind === 'votes' && m.batch !== undefined ? encodeVotes(m, m.batch, before) : encodeOne(m, before);
    before = NOTHING;
    return frame;
  });
  return joinFrames(frames);
}

/** FollowResponse.messages, ToLearner.votes, Votes.values. */
const VOTES: Nesting = { outer: [lengthTag(3), lengthTag(1)], values: lengthTag(5) };

function encodeVotes(m: Votes, batch: Batch, before: Uint8Array): Buffer {
  const fields = VotesMessage.encode(writeVotes({ ...m, batch: undefined })).finish();
  return withValues(fields, batch.bytes, VOTES, before);
}

function encodeOne(m: ToLearnerOrTip, before: Uint8Array): Buffer {
  const frame = asBuffer(
    FollowResponse.encode({ welcome: undefined, position: undefined, messages: [writeToLearner(m)] }).finish(),
  );
  return before.length === 0 ? frame : Buffer.concat([before, frame]);
}

function encodePosition(position: number): Uint8Array {
  return FollowResponse.encode({ welcome: undefined, position, messages: [] }).finish();
}

/** Reads an acceptor's frame; `position` is −1 where it depends on none. Throws INVALID_ARGUMENT. */
export function decodeFollowResponse(bytes: Uint8Array): {
  welcome: Welcome | undefined;
  position: number;
  messages: ToLearnerOrTip[];
} {
  const frame = parse('synod.v1.FollowResponse', (b) => FollowResponse.decode(b), bytes);
  return {
    welcome: frame.welcome === undefined ? undefined : readWelcome(frame.welcome),
    position: readOrNone(frame.position, 'position'),
    messages: frame.messages.map(readToLearner),
  };
}

function readHello(hello: wire.FollowHello): FollowHello {
  return {
    header: readHeader(hello.header),
    learnerDisk: hexOf(hello.learnerDisk, ID_BYTES, 'hello.learner_disk'),
    values: hello.values,
    remembered: hello.remembered === undefined ? undefined : readRemembered(hello.remembered, 'hello.remembered'),
  };
}

// ── learner → acceptor ────────────────────────────────────────────────────────────────────────────────────────────────

function writeFromLearner(m: FromLearner): wire.FromLearner {
  switch (m.kind) {
    case 'fetch':
      return { message: { $case: 'fetch', value: { log: m.log, from: m.from, to: m.to, values: m.values } } };
    case 'wish':
      return { message: { $case: 'wish', value: { values: m.values } } };
    case 'held':
      return { message: { $case: 'held', value: { log: m.log, held: m.held, agreed: m.agreed } } };
    case 'tip?':
      return { message: { $case: 'tipQuestion', value: { log: m.log, id: m.id } } };
    default:
      return assertNever(m);
  }
}

function readFromLearner(frame: wire.FromLearner): FromLearner {
  const m = frame.message;
  if (m === undefined) return refuse('a message of a learner is of no kind that is known here');
  switch (m.$case) {
    case 'fetch':
      return readFetch(m.value);
    case 'wish':
      return { kind: 'wish', values: m.value.values };
    case 'held':
      return readHeld(m.value);
    case 'tipQuestion':
      return { kind: 'tip?', log: logName(m.value.log), id: whole(m.value.id, 'tip_question.id') };
    default:
      return assertNever(m);
  }
}

function readFetch(m: wire.Fetch): Fetch {
  const from = whole(m.from, 'fetch.from');
  const to = notBelow(whole(m.to, 'fetch.to'), from, 'fetch.to', 'fetch.from');
  return { kind: 'fetch', log: logName(m.log), from, to, values: m.values };
}

function readHeld(m: wire.Held): Held {
  const held = whole(m.held, 'held.held');
  const agreed = whole(m.agreed, 'held.agreed');
  // A digest is compared only over what is on disk; more than that would trim what nobody holds.
  notBelow(held, agreed, 'held.held', 'held.agreed');
  return { kind: 'held', log: logName(m.log), held, agreed };
}

// ── acceptor → learner ────────────────────────────────────────────────────────────────────────────────────────────────

function writeToLearner(m: ToLearnerOrTip): wire.ToLearner {
  switch (m.kind) {
    case 'votes':
      return { message: { $case: 'votes', value: writeVotes(m) } };
    case 'head':
      return {
        message: {
          $case: 'head',
          value: { log: m.log, highest: writeOrNone(m.highest), watermark: m.watermark, floor: m.floor },
        },
      };
    case 'fetched':
      return { message: { $case: 'fetched', value: writeFetched(m) } };
    case 'tip':
      return { message: { $case: 'tip', value: { log: m.log, id: m.id, tip: writeOrNone(m.tip) } } };
    default:
      return assertNever(m);
  }
}

function readToLearner(frame: wire.ToLearner): ToLearnerOrTip {
  const m = frame.message;
  if (m === undefined) return refuse('a message to a learner is of no kind that is known here');
  switch (m.$case) {
    case 'votes':
      return readVotes(m.value);
    case 'head':
      return readHead(m.value);
    case 'fetched':
      return readFetched(m.value);
    case 'tip':
      return {
        kind: 'tip',
        log: logName(m.value.log),
        id: whole(m.value.id, 'tip.id'),
        tip: readOrNone(m.value.tip, 'tip.tip'),
      };
    default:
      return assertNever(m);
  }
}

function writeVotes(m: Votes): wire.Votes {
  return {
    log: m.log,
    ballot: writeBallot(m.ballot),
    first: m.first,
    count: m.count,
    values: m.batch?.bytes,
    watermark: m.watermark,
    identities: m.identity === undefined ? [] : [bytesOf(m.identity, ID_BYTES, 'identity')],
  };
}

function readVotes(m: wire.Votes): Votes {
  const ballot = readBallot(m.ballot, 'votes.ballot');
  const first = whole(m.first, 'votes.first');
  return {
    kind: 'votes',
    log: logName(m.log),
    ballot,
    first,
    count: slotCount(first, m.count, 'votes.count'),
    batch: m.values === undefined ? undefined : readBatch(first, m.count, m.values, 'votes'),
    watermark: whole(m.watermark, 'votes.watermark'),
    ...readIdentity(ballot, m.count, m.identities, 'votes'),
  };
}

function readHead(m: wire.Head): Head {
  return {
    kind: 'head',
    log: logName(m.log),
    highest: readOrNone(m.highest, 'head.highest'),
    watermark: whole(m.watermark, 'head.watermark'),
    floor: whole(m.floor, 'head.floor'),
  };
}

function writeFetched(m: Fetched): wire.Fetched {
  const { log, from, until, watermark, floor } = m;
  return { log, from, until, highest: writeOrNone(m.highest), watermark, floor };
}

function readFetched(m: wire.Fetched): Fetched {
  const from = whole(m.from, 'fetched.from');
  return {
    kind: 'fetched',
    log: logName(m.log),
    from,
    until: notBelow(whole(m.until, 'fetched.until'), from, 'fetched.until', 'fetched.from'),
    highest: readOrNone(m.highest, 'fetched.highest'),
    watermark: whole(m.watermark, 'fetched.watermark'),
    floor: whole(m.floor, 'fetched.floor'),
  };
}
