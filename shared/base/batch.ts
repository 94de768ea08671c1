import { SynodError } from './errors.ts';

/**
 * Values of consecutive slots, one value a slot, in the order of the slots.
 *
 * The bytes are an encoded `synod.v1.Values` message (`repeated bytes value = 1`), kept as one buffer from the leader's
 * stream to the acceptor's journal and the learner's store: a batch is framed once and copied as it is. Only the framing is
 * read here; what a value says is the business of the state machine.
 */
export class Batch {
  readonly count: number;
  readonly bytes: Uint8Array;

  private constructor(count: number, bytes: Uint8Array) {
    this.count = count;
    this.bytes = bytes;
  }

  /** Frames values; an empty list is a batch of no slots. */
  static of(values: readonly Uint8Array[]): Batch {
    let size = 0;
    for (const value of values) size += 1 + varintSize(value.length) + value.length;
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const value of values) {
      bytes[at++] = TAG;
      let n = value.length;
      while (n > 127) {
        bytes[at++] = (n & 127) | 128;
        n >>>= 7;
      }
      bytes[at++] = n;
      bytes.set(value, at);
      at += value.length;
    }
    return new Batch(values.length, bytes);
  }

  /** Takes framed bytes as they came. Throws INVALID_ARGUMENT when they are not `count` whole values. */
  static from(bytes: Uint8Array, count: number): Batch {
    let found = 0;
    for (let at = 0; at < bytes.length; found++) at = frame(bytes, at).end;
    if (found !== count)
      throw new SynodError('INVALID_ARGUMENT', `the batch says ${String(count)} values and holds ${String(found)}`);
    return new Batch(count, bytes);
  }

  /** The values, as views of the batch's bytes. */
  values(): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (let at = 0; at < this.bytes.length;) {
      const f = frame(this.bytes, at);
      out.push(this.bytes.subarray(f.start, f.end));
      at = f.end;
    }
    return out;
  }

  /** The values at positions [from, to), as a view. */
  slice(from: number, to: number): Batch {
    if (from === 0 && to === this.count) return this;
    let at = 0;
    let start = 0;
    for (let i = 0; i < to; i++) {
      if (i === from) start = at;
      at = frame(this.bytes, at).end;
    }
    if (from >= to) return new Batch(0, this.bytes.subarray(0, 0));
    return new Batch(to - from, this.bytes.subarray(start, at));
  }

  /** One batch of several, in their order. */
  static concat(batches: readonly Batch[]): Batch {
    const only = batches[0];
    if (batches.length === 1 && only !== undefined) return only;
    const bytes = new Uint8Array(batches.reduce((sum, b) => sum + b.bytes.length, 0));
    let at = 0;
    let count = 0;
    for (const b of batches) {
      bytes.set(b.bytes, at);
      at += b.bytes.length;
      count += b.count;
    }
    return new Batch(count, bytes);
  }

  equals(other: Batch): boolean {
    return this.count === other.count && bytesEqual(this.bytes, other.bytes);
  }
}

/** True when two byte strings are the same. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Orders byte strings: negative when a comes first, a prefix before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
  return a.length - b.length;
}

const TAG = 0x0a;

function varintSize(n: number): number {
  return n < 128 ? 1 : n < 16384 ? 2 : n < 2097152 ? 3 : 4;
}

function frame(bytes: Uint8Array, at: number): { start: number; end: number } {
  if (bytes[at] !== TAG)
    throw new SynodError('INVALID_ARGUMENT', `a batch has byte ${String(bytes[at])} where a value begins`);
  let length = 0;
  let shift = 0;
  let i = at + 1;
  for (;;) {
    const byte = bytes[i++];
    if (byte === undefined || shift > 21) throw new SynodError('INVALID_ARGUMENT', 'a batch ends inside a length');
    length |= (byte & 127) << shift;
    if (byte < 128) break;
    shift += 7;
  }
  if (i + length > bytes.length) throw new SynodError('INVALID_ARGUMENT', 'a batch ends inside a value');
  return { start: i, end: i + length };
}
