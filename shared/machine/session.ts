/**
 * One session: which numbers of a client took effect, and in which slots. Numbers up to the floor are forgotten; above it
 * lies the window, kept in a ring that grows to what the client really has in flight.
 */
import { ByteWriter } from './bytes.ts';
import type { ByteReader } from './bytes.ts';

const FREE = -1;
const RING_MIN = 8;

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
  }

  /** Forgets all numbers up to `floor`. The floor never falls. */
  raise(floor: number): void {
    const length = this.#ring.length;
    const end = Math.min(floor, this.floor + length);
    for (let q = this.floor + 1; q <= end; q++) this.#ring[q & (length - 1)] = FREE;
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

  /** Two 32-bit words over everything that this session remembers, into `mark0` and `mark1`. */
  remark(): void {
    let a = 0x811c9dc5;
    let b = 0x9e3779b9;
    const mix = (n: number): void => {
      const low = n >>> 0;
      const high = (n / 4294967296) >>> 0;
      a = Math.imul(a ^ low, 0x85ebca6b);
      a = Math.imul(a ^ (a >>> 15) ^ high, 0xc2b2ae35);
      b = Math.imul(b ^ (b >>> 13) ^ low, 0x27d4eb2f);
      b = Math.imul(b ^ (b >>> 16) ^ high, 0x165667b1);
    };
    for (let i = 0; i < this.client.length; i++) mix(this.client.charCodeAt(i));
    mix(this.number);
    mix(this.used);
    mix(this.floor);
    this.each((sequence, slot) => {
      mix(sequence);
      mix(slot);
    });
    this.mark0 = (a ^ (a >>> 16)) >>> 0;
    this.mark1 = (b ^ (b >>> 16)) >>> 0;
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
