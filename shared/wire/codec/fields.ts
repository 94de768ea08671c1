/**
 * The door: what a field must be before anything behind it sees it.
 *
 * Every check throws a SynodError INVALID_ARGUMENT with outcome none: a message that is refused here has changed nothing. The text
 * names the field, the value and the limit. Bytes handed out are views of the frame that came; who keeps them copies them.
 */
import { Batch } from '../../base/batch.ts';
import { SynodError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { BALLOT_ZERO, CLASSIC, FAST, formatBallot, isFast } from '../../paxos/ballot.ts';
import type { Ballot } from '../../paxos/ballot.ts';

/** A ballot as it stands in generated messages, those of the network and those of the journal. */
export interface WireBallot {
  round: number;
  proposer: number;
  incarnation: Uint8Array;
  kind: 0 | 1 | 2;
}

/** Stops at the door. */
export function refuse(message: string, cause?: unknown): never {
  throw new SynodError('INVALID_ARGUMENT', message, 'none', cause);
}

/** Decodes bytes with a generated decoder, whose own errors become refusals that name the message. */
export function parse<T>(name: string, decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof SynodError) throw error;
    return refuse(
      `${String(bytes.length)} bytes are not a ${name}: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
}

/** A part that must be there. */
export function need<T>(value: T | undefined, field: string): T {
  return value ?? refuse(`${field} is missing`);
}

/** A whole number from 0 to 2^53 − 1: a slot, a watermark, a count. The generated decoder has refused what is greater. */
export function whole(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 0)
    refuse(`${field} is ${String(value)}: a whole number from 0 to 2^53 − 1 is needed`);
  return value;
}

/** The end of a range that does not lie before its begin. */
export function notBelow(end: number, begin: number, field: string, beginField: string): number {
  if (end < begin) refuse(`${field} is ${String(end)}, below ${beginField}, which is ${String(begin)}`);
  return end;
}

/** Consecutive slots, at least one, all below 2^53. */
export function slotCount(first: number, count: number, field: string): number {
  if (count < 1) refuse(`${field} is ${String(count)}: at least one slot is needed`);
  whole(first + count, `the end of ${field}`);
  return count;
}

/** A log's name: 1 to 256 bytes of valid UTF-8. */
export function logName(name: string): string {
  const size = utf8Size(name);
  if (size < 1) refuse('the log has no name: 1 to 256 bytes of UTF-8 are needed');
  if (size > LIMITS.logNameBytesMax)
    refuse(`the log's name has ${String(size)} bytes of UTF-8: the limit is ${String(LIMITS.logNameBytesMax)}`);
  // A decoder puts U+FFFD for bytes that are no UTF-8, and an encoder for half a surrogate pair: two names would become one.
  if (NOT_UTF8.test(name)) refuse(`the log's name ${JSON.stringify(name)} is not valid UTF-8`);
  return name;
}

/** Half a surrogate pair, or the sign for what could not be decoded. */
const NOT_UTF8 = /\p{Surrogate}|\uFFFD/u;

/** The number of an acceptor, proposer or learner: from 1 on. */
export function member(id: number, field: string): number {
  if (!Number.isInteger(id) || id < 1 || id > 0xffffffff)
    refuse(`${field} is ${String(id)}: ids are whole numbers from 1 on`);
  return id;
}

/** Bytes of a fixed length as lower-case hex digits. */
export function hexOf(bytes: Uint8Array, length: number, field: string): string {
  if (bytes.length !== length) refuse(`${field} has ${String(bytes.length)} bytes: ${String(length)} are needed`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('hex');
}

/** Hex digits as bytes; the inverse of `hexOf`. */
export function bytesOf(hex: string, length: number, field: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length !== length || hex.length !== 2 * length)
    refuse(`${field} is ${JSON.stringify(hex)}: ${String(2 * length)} hex digits are needed`);
  return bytes;
}

/** The bytes of a ballot's incarnation, of a configuration id. */
export const INCARNATION_BYTES = 8;
/** The bytes of a disk's or a client's id. */
export const ID_BYTES = 16;

/** Reads a ballot; ballot zero is the only one of round 0. */
export function readBallot(wire: WireBallot | undefined, field: string): Ballot {
  const { round, proposer, incarnation, kind } = need(wire, field);
  whole(round, `${field}.round`);
  if (round > LIMITS.roundMax) refuse(`${field}.round is ${String(round)}: the limit is 2^48`);
  if (kind !== 1 && kind !== 2) refuse(`${field}.kind is ${String(kind)}: FAST (1) or CLASSIC (2) is needed`);
  const ballot: Ballot = {
    round,
    proposer,
    incarnation: hexOf(incarnation, INCARNATION_BYTES, `${field}.incarnation`),
    kind: kind === 1 ? FAST : CLASSIC,
  };
  if (round === 0) {
    if (proposer !== 0 || ballot.kind !== FAST || ballot.incarnation !== BALLOT_ZERO.incarnation)
      refuse(
        `${field} is ${JSON.stringify(ballot)}: round 0 holds the fast ballot zero alone, classic rounds start at 1`,
      );
    return BALLOT_ZERO;
  }
  member(proposer, `${field}.proposer`);
  return ballot;
}

export function writeBallot(ballot: Ballot): WireBallot {
  return {
    round: ballot.round,
    proposer: ballot.proposer,
    incarnation: bytesOf(ballot.incarnation, INCARNATION_BYTES, 'incarnation'),
    kind: ballot.kind === FAST ? 1 : 2,
  };
}

/** R9: at a fast ballot several values compete, so a vote there is for one slot and says for which value; a classic one never does. */
export function readIdentity(
  ballot: Ballot,
  count: number,
  identities: readonly Uint8Array[],
  field: string,
): { readonly identity?: string } {
  const [identity] = identities;
  if (!isFast(ballot)) {
    if (identity !== undefined)
      refuse(
        `${field}: a vote at the classic ballot ${formatBallot(ballot)} with an identity, which is for fast ballots`,
      );
    return {};
  }
  if (identity === undefined || identities.length > 1 || count !== 1)
    refuse(
      `${field}: votes at the fast ballot ${formatBallot(ballot)} for ${String(count)} slots with ${String(identities.length)} identities: one of each is needed`,
    );
  return { identity: hexOf(identity, ID_BYTES, `${field}.identity`) };
}

export function writeIdentity(identity: string | undefined): Uint8Array | undefined {
  return identity === undefined ? undefined : bytesOf(identity, ID_BYTES, 'identity');
}

/** Reads framed values, one a slot from `first` on. */
export function readBatch(first: number, count: number, values: Uint8Array, field: string): Batch {
  slotCount(whole(first, `${field}.first`), count, `${field}.count`);
  return Batch.from(values, count);
}

/** The limits of one Accept (DESIGN 10): 1,000 values or 1 MiB, and always room for one value of any legal size. */
export function checkBatchLimits(batch: Batch): void {
  if (batch.count > LIMITS.batchValuesMax)
    refuse(`an Accept with ${String(batch.count)} values: the limit is ${String(LIMITS.batchValuesMax)}`);
  const limit =
    batch.count === 1 ? LIMITS.valueBytesMax + FRAME_BYTES : LIMITS.batchBytesMax + batch.count * FRAME_BYTES;
  if (batch.bytes.length > limit)
    refuse(
      `an Accept with ${String(batch.bytes.length)} bytes of ${String(batch.count)} values: the limit is ${String(limit)}`,
    );
}

/** What frames one value in a batch: a tag and a length of at most four bytes. */
const FRAME_BYTES = 5;

/** −1, which stands for "none" in the domain, is a field that is left out on the wire. */
export function writeOrNone(value: number): number | undefined {
  return value < 0 ? undefined : value;
}

export function readOrNone(value: number | undefined, field: string): number {
  return value === undefined ? -1 : whole(value, field);
}

/** Looks an enum's number up; 0 and numbers that this program does not know are refused. */
export function readEnum<T>(table: readonly (T | undefined)[], value: number, field: string): T {
  return table[value] ?? refuse(`${field} is ${String(value)}, which is not known here`);
}

/** What an empty field of bytes holds. */
export const NOTHING = new Uint8Array(0);

/** A frame as gRPC wants it: the same memory, as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function utf8Size(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}
