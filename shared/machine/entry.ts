/**
 * What one slot holds: the `Entry` of `proto/synod/v1/values.proto`, read and written by hand because a learner does so for
 * every slot. The bytes are those that a protobuf encoder writes: fields in order, defaults left out.
 */
import { assertNever } from '../base/assert.ts';
import { SynodError } from '../base/errors.ts';
import { ByteReader, putHex, putVarint, toHex, varintSize } from './bytes.ts';

/** Fills a slot without an effect. */
export interface NoOp {
  readonly kind: 'no-op';
}

/** Opens the session of a client; the slot where it is applied becomes the session's number. */
export interface OpenSession {
  readonly kind: 'open-session';
  /** The 16 bytes that the client drew when it started, as 32 lower-case hex digits. */
  readonly client: string;
}

/** A proposal in a session: one effect, however often it is chosen (R12). */
export interface Command {
  readonly kind: 'command';
  readonly client: string;
  readonly session: number;
  /** From 1 on; a retry carries the same number. */
  readonly sequence: number;
  /** The client has the answers to all numbers up to this one; always below `sequence`, whose answer it still wants. */
  readonly acknowledged: number;
  readonly payload: Uint8Array;
}

/** The value of a decree, which needs no session. */
export interface Decree {
  readonly kind: 'decree';
  readonly client: string;
  readonly payload: Uint8Array;
}

export type Entry = NoOp | OpenSession | Command | Decree;

/** An entry of a kind that this version does not know. It cannot be applied, and is never skipped (R11). */
export interface UnknownEntry {
  readonly kind: 'unknown';
  /** The number of the kind in `EntryKind`. */
  readonly number: number;
}

const KIND = { noOp: 1, openSession: 2, command: 3, decree: 4 } as const;
const CLIENT_BYTES = 16;
const NO_OP: NoOp = { kind: 'no-op' };
const NOTHING = new Uint8Array(0);

/** The protobuf bytes of an entry. Throws INVALID_ARGUMENT for a client id that is not 32 lower-case hex digits. */
export function encodeEntry(entry: Entry): Uint8Array {
  switch (entry.kind) {
    case 'no-op':
      return Uint8Array.of(0x08, KIND.noOp);
    case 'open-session':
      return encode(KIND.openSession, entry.client, 0, 0, 0, NOTHING);
    case 'command':
      return encode(KIND.command, entry.client, entry.session, entry.sequence, entry.acknowledged, entry.payload);
    case 'decree':
      return encode(KIND.decree, entry.client, 0, 0, 0, entry.payload);
    default:
      return assertNever(entry);
  }
}

function encode(
  kind: number,
  client: string,
  session: number,
  sequence: number,
  acknowledged: number,
  payload: Uint8Array,
): Uint8Array {
  if (client.length !== CLIENT_BYTES * 2)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `client id "${client}" has ${String(client.length)} hex digits instead of 32`,
    );
  const payloadSize = payload.length === 0 ? 0 : 1 + varintSize(payload.length) + payload.length;
  const size = 2 + 2 + CLIENT_BYTES + fieldSize(session) + fieldSize(sequence) + fieldSize(acknowledged) + payloadSize;
  const bytes = new Uint8Array(size);
  bytes[0] = 0x08;
  bytes[1] = kind;
  bytes[2] = 0x12;
  bytes[3] = CLIENT_BYTES;
  let at = putHex(bytes, 4, client);
  at = putField(bytes, at, 0x18, session);
  at = putField(bytes, at, 0x20, sequence);
  at = putField(bytes, at, 0x28, acknowledged);
  if (payload.length > 0) {
    bytes[at++] = 0x32;
    at = putVarint(bytes, at, payload.length);
    bytes.set(payload, at);
  }
  return bytes;
}

function fieldSize(n: number): number {
  return n === 0 ? 0 : 1 + varintSize(n);
}

function putField(bytes: Uint8Array, at: number, tag: number, n: number): number {
  if (n === 0) return at;
  bytes[at] = tag;
  return putVarint(bytes, at + 1, n);
}

/**
 * Reads an entry; its payload is a view of `bytes`. Fields that this version does not know are skipped. Throws
 * INVALID_ARGUMENT for bytes that are not an entry: cut short, a number past 2^53 − 1, a client id that is not 16 bytes, a
 * command with number 0 or one that acknowledges itself.
 */
export function decodeEntry(bytes: Uint8Array): Entry | UnknownEntry {
  const reader = new ByteReader(bytes, 'an entry');
  let kind = 0;
  let client: Uint8Array = NOTHING;
  let session = 0;
  let sequence = 0;
  let acknowledged = 0;
  let payload: Uint8Array = NOTHING;
  while (!reader.ended) {
    const tag = reader.varint();
    if (tag === 0x08) kind = reader.varint();
    else if (tag === 0x12) client = reader.raw(reader.varint());
    else if (tag === 0x18) session = reader.varint();
    else if (tag === 0x20) sequence = reader.varint();
    else if (tag === 0x28) acknowledged = reader.varint();
    else if (tag === 0x32) payload = reader.raw(reader.varint());
    else skipField(reader, tag);
  }
  switch (kind) {
    case KIND.noOp:
      return NO_OP;
    case KIND.openSession:
      return { kind: 'open-session', client: clientOf(reader, client) };
    case KIND.command:
      checkNumbers(reader, sequence, acknowledged);
      return { kind: 'command', client: clientOf(reader, client), session, sequence, acknowledged, payload };
    case KIND.decree:
      return { kind: 'decree', client: clientOf(reader, client), payload };
    default:
      return { kind: 'unknown', number: kind };
  }
}

/** The first bytes of an entry, in which `encodeEntry` puts its kind and its id. */
export const ENTRY_ID_BYTES = 2 + 2 + CLIENT_BYTES + 2 * 9;

/** What an entry is and by which id it goes. A decree and the opening of a session have no sequence. */
export interface EntryId {
  readonly kind: 'open-session' | 'command' | 'decree' | 'unknown';
  readonly client: string;
  readonly session: number;
  readonly sequence: number;
}

/** Reads the id out of the first `ENTRY_ID_BYTES` bytes of an entry. An entry of another encoder may have it elsewhere: unknown. */
export function readEntryId(head: Uint8Array): EntryId {
  const id = { kind: 0, client: '', session: 0, sequence: 0 };
  try {
    const reader = new ByteReader(head, 'the head of an entry');
    if (reader.varint() === 0x08) id.kind = reader.varint();
    if (reader.varint() === 0x12) id.client = reader.hex(reader.varint());
    for (let tag = reader.varint(); tag === 0x18 || tag === 0x20; tag = reader.ended ? 0 : reader.varint())
      if (tag === 0x18) id.session = reader.varint();
      else id.sequence = reader.varint();
  } catch (error) {
    if (!(error instanceof SynodError)) throw error;
  }
  const kind = ID_KINDS[id.kind] ?? 'unknown';
  return id.client.length === 2 * CLIENT_BYTES ? { ...id, kind } : { ...id, kind: 'unknown', client: '' };
}

const ID_KINDS = [undefined, undefined, 'open-session', 'command', 'decree'] as const;

function clientOf(reader: ByteReader, client: Uint8Array): string {
  if (client.length !== CLIENT_BYTES)
    throw reader.fault(`has a client id of ${String(client.length)} bytes instead of ${String(CLIENT_BYTES)}`);
  return toHex(client);
}

function checkNumbers(reader: ByteReader, sequence: number, acknowledged: number): void {
  if (sequence === 0) throw reader.fault('is a command with sequence number 0; numbers begin at 1');
  // A client that still asks for an answer cannot have it: such a command would push its own number out of the window.
  if (acknowledged >= sequence)
    throw reader.fault(
      `has sequence number ${String(sequence)} and acknowledges numbers up to ${String(acknowledged)}`,
    );
}

/** Passes over a field of an unknown number or of another wire type than expected, as every protobuf reader does. */
function skipField(reader: ByteReader, tag: number, depth = 0): void {
  const wireType = tag % 8;
  if (tag < 8) throw reader.fault(`holds field number 0 before byte ${String(reader.at)}`);
  if (wireType === 0) reader.varint();
  else if (wireType === 1) reader.raw(8);
  else if (wireType === 2) reader.raw(reader.varint());
  else if (wireType === 5) reader.raw(4);
  else if (wireType === 3 && depth < 16) {
    for (let inner = reader.varint(); inner !== tag + 1; inner = reader.varint()) skipField(reader, inner, depth + 1);
  } else throw reader.fault(`holds a field of wire type ${String(wireType)} before byte ${String(reader.at)}`);
}
