/**
 * What tells values apart at a fast ballot, where several compete in one slot (R9): 128 bits of the SHA-256 of the whole value,
 * which holds client, session, sequence and bytes. Equal bytes of two clients are two values.
 */
import type { Batch } from '../base/batch.ts';
import { sha256 } from '../base/sha256.ts';

const BYTES = 16;

/** 32 hex digits. */
export function identityOf(value: Uint8Array): string {
  const digest = sha256(value);
  let text = '';
  for (let i = 0; i < BYTES; i++) text += (digest[i] as number).toString(16).padStart(2, '0');
  return text;
}

/** The identity of a batch of one value, which is all that one vote at a fast ballot is for. */
export function identityOfOne(batch: Batch): string {
  return identityOf(batch.values()[0] ?? new Uint8Array(0));
}
