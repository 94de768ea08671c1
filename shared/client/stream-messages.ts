/** Messages of a stream of proposals. */
import type { Proposals } from '../wire/gen/synod/v1/proposer.ts';

/** A message of proposals ends when it has this many values or bytes. */
const VALUES_MAX = 500;
const BYTES_MAX = 256 * 1024;

export interface TakenProposals {
  /** How many numbers were used up. */
  readonly count: number;
  /** Undefined: none of them had a value any more. */
  readonly proposals: Proposals | undefined;
}

/** The first consecutive numbers that have a value, as one message; numbers without one, which have their answers, are passed. */
export function proposalsOf(
  numbers: readonly number[],
  valueOf: (sequence: number) => Uint8Array | undefined,
  acknowledged: number,
  retry: boolean,
  progress: boolean,
): TakenProposals {
  const payloads: Uint8Array[] = [];
  let firstSequence = 0;
  let bytes = 0;
  let count = 0;
  for (const sequence of numbers) {
    const value = valueOf(sequence);
    if (value === undefined) {
      if (payloads.length > 0) break;
    } else {
      if (payloads.length === 0) firstSequence = sequence;
      else if (sequence !== firstSequence + payloads.length || bytes + value.length > BYTES_MAX) break;
      payloads.push(value);
      bytes += value.length;
    }
    count++;
    if (payloads.length >= VALUES_MAX) break;
  }
  if (payloads.length === 0) return { count, proposals: undefined };
  return { count, proposals: { firstSequence, payloads, acknowledged, retry, progress } };
}
