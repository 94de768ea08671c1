/**
 * One session: which numbers of a client took effect, and in which slots. Numbers up to the floor are forgotten; above it
 * lies the window, kept in a ring that grows to what the client really has in flight.
 */
import { ByteWriter } from './bytes.ts';
import type { ByteReader } from './bytes.ts';

const FREE = -1;
const RING_MIN = 8;
/** Odd multipliers of the two words of a mark. */
const A = 0x85ebca6b;
const B = 0x27d4eb2f;

/** One step of a 32-bit hash over whole numbers up to 2^53. */
function mix(hash: number, n: number, factor: number): number {
  const low = Math.imul(hash ^ (n >>> 0), factor);
  const high = Math.imul(low ^ (low >>> 15) ^ ((n / 4294967296) >>> 0), 0xc2b2ae35);
  return (high ^ (high >>> 13)) >>> 0;
}

export class Session {
  readonly client: string;
  /** The slot at which the session was opened. */
  readonly number: number;
  /** The slot of its latest entry that was not refused. */
  used: number;
  /** The client has the answers to all numbers up to this one. */
  floor = 0;
  /** Neighbours in the order of use; the table's list owns them. */
  older: Session | undefined = undefined;
  newer: Session | undefined = undefined;
  /** What this session adds to the table's fingerprint, as two 32-bit words; zero before it was first added. */
  mark0 = 0;
  mark1 = 0;
  /** The slot of number q is at q & (length − 1), for q in (floor, floor + length]; `FREE` where q had no effect yet. */
  #ring: number[] = new Array<number>(RING_MIN).fill(FREE);
  /** Sums over the window's (number, slot), kept as it changes so that a mark costs the same for any window. */
  #window0 = 0;
  #window1 = 0;

  constructor(client: string, number: number, used: number) {
    this.client = client;
    this.number = number;
    this.used = used;
  }

  /** The slot where this number had its effect, −1 when it had none or is at or below the floor. */
  slotOf(sequence: number): number {
    if (sequence <= this.floor || sequence > this.floor + this.#ring.length) return FREE;
    return this.#ring[sequence & (this.#ring.length - 1)] ?? FREE;
  }

  /** Remembers that a number above the floor had its effect in this slot. */
  record(sequence: number, slot: number): void {
    if (sequence > this.floor + this.#ring.length) this.#grow(sequence);
    this.#ring[sequence & (this.#ring.length - 1)] = slot;
    this.#count(1, sequence, slot);
  }

  /** Forgets all numbers up to `floor`. The floor never falls. */
  raise(floor: number): void {
    const length = this.#ring.length;
    const end = Math.min(floor, this.floor + length);
    for (let q = this.floor + 1; q <= end; q++) {
      const slot = this.#ring[q & (length - 1)] ?? FREE;
      if (slot === FREE) continue;
      this.#ring[q & (length - 1)] = FREE;
      this.#count(-1, q, slot);
    }
    if (floor > this.floor) this.floor = floor;
  }

  /** Calls back for every remembered number, in ascending order. */
  each(visit: (sequence: number, slot: number) => void): void {
    const length = this.#ring.length;
    for (let q = this.floor + 1; q <= this.floor + length; q++) {
      const slot = this.#ring[q & (length - 1)] ?? FREE;
      if (slot !== FREE) visit(q, slot);
    }
  }

  /** An estimate of the memory that this session takes. */
  get bytes(): number {
    return 250 + 8 * this.#ring.length;
  }

  /** Brings `mark0` and `mark1` up to date: two 32-bit words over everything that this session remembers. */
  remark(): void {
    let a = 0x811c9dc5;
    let b = 0x9e3779b9;
    for (let i = 0; i < this.client.length; i++) {
      const code = this.client.charCodeAt(i);
      a = mix(a, code, A);
      b = mix(b, code, B);
    }
    for (const n of [this.number, this.used, this.floor]) {
      a = mix(a, n, A);
      b = mix(b, n, B);
    }
    this.mark0 = mix(a, this.#window0, A);
    this.mark1 = mix(b, this.#window1, B);
  }

  /** Client, number, use, floor and window; slots as distances below the latest use, which keeps them short. */
  write(to: ByteWriter): void {
    to.hex(this.client)
      .varint(this.used)
      .varint(this.used - this.number)
      .varint(this.floor);
    const window = new ByteWriter();
    let before = this.floor;
    let count = 0;
    this.each((sequence, slot) => {
      window.varint(sequence - before).varint(this.used - slot);
      before = sequence;
      count++;
    });
    to.varint(count).raw(window.done());
  }

  static read(from: ByteReader): Session {
    const client = from.hex(16);
    const used = from.varint();
    const session = new Session(client, used - from.varint(), used);
    session.floor = from.varint();
    const count = from.varint();
    let sequence = session.floor;
    for (let i = 0; i < count; i++) {
      sequence += from.varint();
      session.record(sequence, used - from.varint());
    }
    return session;
  }

  #count(sign: 1 | -1, sequence: number, slot: number): void {
    this.#window0 = (this.#window0 + sign * mix(mix(A, sequence, A), slot, A)) >>> 0;
    this.#window1 = (this.#window1 + sign * mix(mix(B, sequence, B), slot, B)) >>> 0;
  }

  #grow(sequence: number): void {
    const old = this.#ring;
    let length = old.length;
    while (sequence > this.floor + length) length *= 2;
    const ring = new Array<number>(length).fill(FREE);
    for (let q = this.floor + 1; q <= this.floor + old.length; q++)
      ring[q & (length - 1)] = old[q & (old.length - 1)] ?? FREE;
    this.#ring = ring;
  }
}
