/**
 * Varints and byte strings, as protobuf writes them, for the formats of this room and of the learner's store. A varint here
 * counts, so it is a number and throws past 2^53.
 */
import { SynodError } from '../base/errors.ts';

/** Bytes of the varint of a whole number from 0 to 2^53 − 1. */
export function varintSize(n: number): number {
  let size = 1;
  for (let rest = n; rest > 127; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes the varint of `n` at `at`; returns the position after it. */
export function putVarint(bytes: Uint8Array, at: number, n: number): number {
  let rest = n;
  while (rest > 0x7fffffff) {
    bytes[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  while (rest > 127) {
    bytes[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** A byte string that grows while it is written. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 64) {
    this.#bytes = new Uint8Array(capacity);
  }

  varint(n: number): this {
    this.#room(8);
    this.#length = putVarint(this.#bytes, this.#length, n);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** An even number of lower-case hex digits, as the bytes that they spell. */
  hex(digits: string): this {
    this.#room(digits.length / 2);
    this.#length = putHex(this.#bytes, this.#length, digits);
    return this;
  }

  /** The bytes so far, as a view that the next write may leave behind. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

/** Reads a byte string from its beginning. Every fault is an INVALID_ARGUMENT that begins with `what`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at: number;

  constructor(bytes: Uint8Array, what: string, at = 0) {
    this.#bytes = bytes;
    this.#what = what;
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    let unit = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw this.fault('ends inside a number');
      value += (byte & 127) * unit;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) throw this.fault('holds a number above 2^53 − 1');
        return value;
      }
      unit *= 128;
    }
    throw this.fault('holds a number of more than 10 bytes');
  }

  /** The next `length` bytes, as a view. */
  raw(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length)
      throw this.fault(`ends inside a field of ${String(length)} bytes at byte ${String(this.#at)}`);
    const view = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  hex(length: number): string {
    return toHex(this.raw(length));
  }

  rest(): Uint8Array {
    return this.raw(this.#bytes.length - this.#at);
  }

  fault(message: string): SynodError {
    return new SynodError('INVALID_ARGUMENT', `${this.#what} ${message}`);
  }
}

/** Writes the bytes that lower-case hex digits spell; returns the position after them. Throws INVALID_ARGUMENT for other text. */
export function putHex(bytes: Uint8Array, at: number, digits: string): number {
  for (let i = 0; i < digits.length; i += 2) {
    const high = nibble(digits.charCodeAt(i));
    const low = nibble(digits.charCodeAt(i + 1));
    if (high < 0 || low < 0)
      throw new SynodError('INVALID_ARGUMENT', `"${digits}" is not an even number of lower-case hex digits`);
    bytes[at++] = (high << 4) | low;
  }
  return at;
}

/** Lower-case hex digits, two a byte. */
export function toHex(bytes: Uint8Array): string {
  // One flat string from char codes: a session table hashes it, and a rope of pieces would be flattened first.
  const codes = new Array<number>(bytes.length * 2);
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    codes[2 * i] = DIGITS[byte >> 4] ?? 0;
    codes[2 * i + 1] = DIGITS[byte & 15] ?? 0;
  }
  return String.fromCharCode(...codes);
}

const DIGITS = [48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102];

function nibble(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
}
