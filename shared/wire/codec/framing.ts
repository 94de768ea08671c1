/**
 * Frames with a batch in them, built with one copy of the batch.
 *
 * The generated encoder grows its buffer by doubling and copies nested messages once a level, which for a megabyte of values is
 * most of its time. Here the small fields are encoded as generated and the batch is put behind them: the order of a message's
 * fields is free.
 */

import { NOTHING } from './fields.ts';

/** The tags around a batch, from the frame inwards, and that of the batch itself. All are single bytes. */
export interface Nesting {
  /** Tags of the messages around the innermost one, outermost first. */
  readonly outer: readonly number[];
  /** Tag of the field that holds the values in the innermost message. */
  readonly values: number;
}

/** The tag byte of a field that has a length: fields 1 to 15. */
export function lengthTag(field: number): number {
  return (field << 3) | 2;
}

/**
 * One buffer: `fields` nested as `nesting` says, with `values` as the last field of the innermost message, and `before`
 * in front of it all.
 */
export function withValues(
  fields: Uint8Array,
  values: Uint8Array,
  nesting: Nesting,
  before: Uint8Array = NOTHING,
): Buffer {
  const { outer } = nesting;
  const sizes: number[] = [];
  let size = fields.length + 1 + varintSize(values.length) + values.length;
  for (let i = outer.length - 1; i >= 0; i--) {
    sizes[i] = size;
    size += 1 + varintSize(size);
  }
  const frame = Buffer.allocUnsafe(before.length + size);
  frame.set(before);
  let at = before.length;
  for (let i = 0; i < outer.length; i++) at = writeHead(frame, at, outer[i] ?? 0, sizes[i] ?? 0);
  frame.set(fields, at);
  at = writeHead(frame, at + fields.length, nesting.values, values.length);
  frame.set(values, at);
  return frame;
}

/** Frames of the same kind as one: their fields are repeated or come once, so bytes one after the other are one message. */
export function joinFrames(frames: readonly Buffer[]): Buffer {
  const only = frames[0];
  return only !== undefined && frames.length === 1 ? only : Buffer.concat(frames);
}

function writeHead(frame: Buffer, at: number, tag: number, length: number): number {
  frame[at++] = tag;
  let n = length;
  while (n > 127) {
    frame[at++] = (n & 127) | 128;
    n >>>= 7;
  }
  frame[at++] = n;
  return at;
}

function varintSize(n: number): number {
  return n < 128 ? 1 : n < 16384 ? 2 : n < 2097152 ? 3 : n < 268435456 ? 4 : 5;
}
