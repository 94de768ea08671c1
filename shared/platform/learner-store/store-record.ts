/**
 * One chosen batch as it is stored: its ballot, the batch's own bytes, and which of its entries did not end in the usual way
 * for their kind (a command that was a duplicate, a session that was open before). So a reader knows every outcome without
 * the session table of that time.
 */
import { assert } from '../../base/assert.ts';
import { Batch } from '../../base/batch.ts';
import { ByteReader, ByteWriter } from '../../machine/bytes.ts';
import type { Entry, UnknownEntry } from '../../machine/entry.ts';
import type { Applied, SessionRefusal } from '../../machine/sessions.ts';
import type { Ballot } from '../../paxos/ballot.ts';
import { CLASSIC, FAST } from '../../paxos/ballot.ts';

/** A number for every outcome: what is hashed into the digest and stored. They are part of the formats; never change one. */
const CODES = {
  'no-op': 0,
  decree: 1,
  opened: 2,
  applied: 3,
  duplicate: 4,
  'session-unknown': 5,
  'session-expired': 6,
  'below-window': 7,
  'above-window': 8,
} as const;
const REFUSALS = new Map<number, SessionRefusal>([
  [CODES['session-unknown'], 'session-unknown'],
  [CODES['session-expired'], 'session-expired'],
  [CODES['below-window'], 'below-window'],
  [CODES['above-window'], 'above-window'],
]);

export interface StoredBatch {
  readonly first: number;
  readonly ballot: Ballot;
  readonly batch: Batch;
  /** By position in the batch. */
  readonly exceptions: ReadonlyMap<number, Applied>;
}

/** The digest's byte for an outcome. */
export function outcomeCode(applied: Applied): number {
  return applied.kind === 'refused' ? CODES[applied.reason] : CODES[applied.kind];
}

/** What an entry does when nothing stands against it. */
export function usualOutcome(slot: number, entry: Entry | UnknownEntry): Applied {
  switch (entry.kind) {
    case 'no-op':
    case 'decree':
      return { kind: entry.kind };
    case 'open-session':
      return { kind: 'opened', session: slot };
    case 'command':
      return { kind: 'applied' };
    case 'unknown':
      assert(false, 'R11', () => `slot ${String(slot)} was stored with the unknown kind ${String(entry.number)}`);
  }
}

/** True when the outcome has to be stored because the entry alone does not tell it. */
export function isUnusual(slot: number, applied: Applied): boolean {
  return (
    applied.kind === 'duplicate' ||
    applied.kind === 'refused' ||
    (applied.kind === 'opened' && applied.session !== slot)
  );
}

export function encodeRecord(ballot: Ballot, batch: Batch, exceptions: ReadonlyMap<number, Applied>): Uint8Array {
  const to = new ByteWriter(64 + batch.bytes.length);
  to.varint(ballot.round).varint(ballot.proposer).hex(ballot.incarnation).varint(ballot.kind).varint(batch.count);
  to.varint(exceptions.size);
  for (const [position, applied] of exceptions) {
    to.varint(position).varint(outcomeCode(applied));
    if (applied.kind === 'duplicate') to.varint(applied.slot);
    if (applied.kind === 'opened') to.varint(applied.session);
  }
  return to.raw(batch.bytes).done();
}

/** Throws INVALID_ARGUMENT for a damaged record. */
export function decodeRecord(first: number, bytes: Uint8Array): StoredBatch {
  const from = new ByteReader(bytes, `the record of slot ${String(first)}`);
  const round = from.varint();
  const proposer = from.varint();
  const incarnation = from.hex(8);
  const kind = from.varint() === FAST ? FAST : CLASSIC;
  const count = from.varint();
  const exceptions = new Map<number, Applied>();
  for (let left = from.varint(); left > 0; left--) exceptions.set(from.varint(), exception(from));
  return { first, ballot: { round, proposer, incarnation, kind }, batch: Batch.from(from.rest(), count), exceptions };
}

function exception(from: ByteReader): Applied {
  const code = from.varint();
  if (code === CODES.duplicate) return { kind: 'duplicate', slot: from.varint() };
  if (code === CODES.opened) return { kind: 'opened', session: from.varint() };
  const reason = REFUSALS.get(code);
  if (reason === undefined) throw from.fault(`holds the outcome ${String(code)}, which is none`);
  return { kind: 'refused', reason };
}
