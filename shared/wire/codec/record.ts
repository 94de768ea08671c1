/**
 * What an acceptor journals: AcceptorRecord ⇄ bytes of a journal.v1.AcceptorRecord.
 *
 * Bytes that are read back and are no such record mean a broken disk or a newer program, so they stop the reader with
 * DATA_LOSS; the journal's checksums have passed by then, and a record is never skipped.
 */
import { assertNever } from '../../base/assert.ts';
import { SynodError } from '../../base/errors.ts';
import type { AcceptorRecord } from '../../paxos/messages.ts';
import type * as disk from '../gen/journal/v1/record.ts';
import { AcceptorRecord as DiskRecord, VoteRecord as DiskVote } from '../gen/journal/v1/record.ts';
import { LOG_STATES } from './acceptor.ts';
import {
  asBuffer,
  bytesOf,
  hexOf,
  ID_BYTES,
  logName,
  NOTHING,
  readBallot,
  readBatch,
  readEnum,
  readOrNone,
  refuse,
  whole,
  writeBallot,
  writeOrNone,
} from './fields.ts';
import { lengthTag, withValues } from './framing.ts';
import type { Nesting } from './framing.ts';

/** The bytes of one journal entry. A vote's batch is copied as it is, never value by value. */
export function encodeRecord(record: AcceptorRecord): Buffer {
  if (record.kind === 'vote') return encodeVote(record);
  return asBuffer(DiskRecord.encode({ record: write(record) }).finish());
}

/** Reads an entry back; a vote's batch is a view of `bytes`. Throws DATA_LOSS. */
export function decodeRecord(bytes: Uint8Array): AcceptorRecord {
  try {
    return read(DiskRecord.decode(bytes).record);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SynodError(
      'DATA_LOSS',
      `a journal entry of ${String(bytes.length)} bytes cannot be read (${why}): it was written by a newer program, or the disk is damaged`,
      'none',
      error,
    );
  }
}

/** AcceptorRecord.vote, VoteRecord.values. */
const VOTE: Nesting = { outer: [lengthTag(2)], values: lengthTag(5) };

function encodeVote(r: VoteRecord): Buffer {
  return withValues(DiskVote.encode({ ...writeVote(r), values: NOTHING }).finish(), r.batch.bytes, VOTE);
}

function write(r: AcceptorRecord): NonNullable<disk.AcceptorRecord['record']> {
  switch (r.kind) {
    case 'promise':
      return { $case: 'promise', value: { log: r.log, ballot: writeBallot(r.ballot), lead: r.lead } };
    case 'vote':
      return { $case: 'vote', value: writeVote(r) };
    case 'resign':
      return { $case: 'resign', value: { log: r.log, ballot: writeBallot(r.ballot) } };
    case 'any':
      return { $case: 'any', value: { log: r.log, ballot: writeBallot(r.ballot), from: r.from } };
    case 'floor':
      return { $case: 'floor', value: { log: r.log, floor: r.floor } };
    case 'forget':
      return { $case: 'forget', value: { learnerDisk: bytesOf(r.learnerDisk, ID_BYTES, 'learner_disk') } };
    case 'log':
      return { $case: 'log', value: writeLog(r) };
    default:
      return assertNever(r);
  }
}

function read(r: disk.AcceptorRecord['record']): AcceptorRecord {
  if (r === undefined) return refuse('it is of no kind that is known here');
  switch (r.$case) {
    case 'promise':
      return {
        kind: 'promise',
        log: logName(r.value.log),
        ballot: readBallot(r.value.ballot, 'ballot'),
        lead: r.value.lead,
      };
    case 'vote':
      return {
        kind: 'vote',
        log: logName(r.value.log),
        ballot: readBallot(r.value.ballot, 'ballot'),
        first: r.value.first,
        batch: readBatch(r.value.first, r.value.count, r.value.values, 'vote'),
        watermark: whole(r.value.watermark, 'watermark'),
      };
    case 'resign':
      return { kind: 'resign', log: logName(r.value.log), ballot: readBallot(r.value.ballot, 'ballot') };
    case 'any': {
      const { log, ballot, from } = r.value;
      return { kind: 'any', log: logName(log), ballot: readBallot(ballot, 'ballot'), from: whole(from, 'from') };
    }
    case 'floor':
      return { kind: 'floor', log: logName(r.value.log), floor: whole(r.value.floor, 'floor') };
    case 'forget':
      return { kind: 'forget', learnerDisk: hexOf(r.value.learnerDisk, ID_BYTES, 'learner_disk') };
    case 'log':
      return readLog(r.value);
    default:
      return assertNever(r);
  }
}

type LogRecord = Extract<AcceptorRecord, { kind: 'log' }>;
type VoteRecord = Extract<AcceptorRecord, { kind: 'vote' }>;

function writeVote(r: VoteRecord): disk.VoteRecord {
  return {
    log: r.log,
    ballot: writeBallot(r.ballot),
    first: r.first,
    count: r.batch.count,
    values: r.batch.bytes,
    watermark: r.watermark,
  };
}

function writeLog(r: LogRecord): disk.LogRecord {
  return {
    log: r.log,
    promised: writeBallot(r.promised),
    state: LOG_STATES.indexOf(r.state) as disk.LogRecord['state'],
    highest: writeOrNone(r.highest),
    voted: r.voted === undefined ? undefined : writeBallot(r.voted),
    watermark: r.watermark,
    floor: r.floor,
    openFrom: r.openFrom,
  };
}

function readLog(r: disk.LogRecord): LogRecord {
  return {
    kind: 'log',
    log: logName(r.log),
    promised: readBallot(r.promised, 'promised'),
    state: readEnum(LOG_STATES, r.state, 'state'),
    highest: readOrNone(r.highest, 'highest'),
    voted: r.voted === undefined ? undefined : readBallot(r.voted, 'voted'),
    watermark: whole(r.watermark, 'watermark'),
    floor: whole(r.floor, 'floor'),
    ...(r.openFrom === undefined ? {} : { openFrom: whole(r.openFrom, 'open_from') }),
  };
}
