/**
 * The session table of one log (R12): it decides which of the log's entries take effect. It is a function of the log's prefix
 * and of nothing else, so that every learner, and a leader that feeds it what it sends, comes to the same answers.
 *
 *   number ≤ floor            refused: `below-window`; the client said that it has the answer
 *   floor < number ≤ floor+W  applied the first time, `duplicate` of that first slot ever after
 *   number > floor+W          refused: `above-window`; nothing changes
 *
 * W is `LIMITS.sessionWindow`. A command that takes effect raises the floor to what it acknowledges, and is judged by the
 * window as it is then. A refused entry changes nothing, not even the order of use.
 */
import { InvariantError, assert, assertNever } from '../base/assert.ts';
import { LIMITS } from '../base/limits.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Command, Entry, UnknownEntry } from './entry.ts';
import { Session } from './session.ts';

/**
 * Why an entry of a session has no effect. `session-unknown`: no such session was ever opened in this log, so the number never
 * took effect. `session-expired`: it was opened and expired, so nobody knows any more (outcome unknown). `below-window`: the
 * client acknowledged the number; it may have had its effect. `above-window`: too far ahead; it has had none.
 */
export type SessionRefusal = 'session-unknown' | 'session-expired' | 'below-window' | 'above-window';

/** What an entry did where it was applied. `duplicate` names the slot where the number had its effect. */
export type Applied =
  | { readonly kind: 'no-op' }
  | { readonly kind: 'decree' }
  /** The session is open; it was so before where `session` is a lower slot than this entry's. */
  | { readonly kind: 'opened'; readonly session: number }
  | { readonly kind: 'applied' }
  | { readonly kind: 'duplicate'; readonly slot: number }
  | { readonly kind: 'refused'; readonly reason: SessionRefusal };

/** What is known of a proposal before it is applied. */
export type Known =
  | { readonly kind: 'new' }
  | { readonly kind: 'known'; readonly slot: number }
  | { readonly kind: 'refused'; readonly reason: SessionRefusal };

export interface SessionLimits {
  /** Numbers above the floor that a session may use. Default `LIMITS.sessionWindow`. */
  readonly window: number;
  /** Sessions of one log. Default `LIMITS.sessionsMax`. */
  readonly sessionsMax: number;
}

const VERSION = 1;
const NO_OP: Applied = { kind: 'no-op' };
const DECREE: Applied = { kind: 'decree' };
const APPLIED: Applied = { kind: 'applied' };
const NEW: Known = { kind: 'new' };
interface RefusedEntry {
  readonly kind: 'refused';
  readonly reason: SessionRefusal;
}
const REFUSED: Readonly<Record<SessionRefusal, RefusedEntry>> = {
  'session-unknown': { kind: 'refused', reason: 'session-unknown' },
  'session-expired': { kind: 'refused', reason: 'session-expired' },
  'below-window': { kind: 'refused', reason: 'below-window' },
  'above-window': { kind: 'refused', reason: 'above-window' },
};

export class Sessions {
  /** Called with the client and the number of a session that expires. Default: nobody is told. */
  onExpired: (client: string, number: number) => void = () => undefined;

  readonly #limits: SessionLimits;
  #next = 0;
  /** The greatest number of a session that expired, −1 when none did. */
  #expired = -1;
  readonly #open = new Map<string, Session>();
  /** Ends of the list in the order of use. Its order is that of `used`, and no slot is used by two sessions. */
  #oldest: Session | undefined = undefined;
  #newest: Session | undefined = undefined;
  /** Sums of the marks of all sessions, up to date for entries below `#marked`. */
  #mark0 = 0;
  #mark1 = 0;
  #marked = 0;
  #bytes = 0;

  constructor(limits: SessionLimits = LIMITS_OF_A_LOG) {
    this.#limits = limits;
  }

  /** All slots below this one are applied. */
  get next(): number {
    return this.#next;
  }

  /** How many sessions are open. */
  get size(): number {
    return this.#open.size;
  }

  /** An estimate of the memory that the table takes. */
  get bytes(): number {
    return 500 + this.#bytes;
  }

  /** The greatest number of a session that expired, −1 when none did. Part of the state. */
  get expired(): number {
    return this.#expired;
  }

  /**
   * Applies the entry of the next slot. Throws an InvariantError for any other slot (R11: in order, without gaps) and for an
   * entry of a kind that is not known, which stops the learner: it is never skipped.
   */
  apply(slot: number, entry: Entry | UnknownEntry): Applied {
    assert(slot === this.#next, 'R11', () => `slot ${String(slot)} is applied where ${String(this.#next)} is next`);
    switch (entry.kind) {
      case 'no-op':
        this.#next++;
        return NO_OP;
      case 'decree':
        this.#next++;
        return DECREE;
      case 'open-session':
        this.#next++;
        return this.#openSession(slot, entry.client);
      case 'command':
        this.#next++;
        return this.#command(slot, entry);
      case 'unknown':
        throw new InvariantError(
          `R11: slot ${String(slot)} holds an entry of kind ${String(entry.number)}, which this version does not know; it is never skipped`,
        );
      default:
        return assertNever(entry);
    }
  }

  /**
   * What this table knows of a proposal, by the rules of `apply` but without applying anything. `acknowledged` is what the
   * proposal would acknowledge; default 0.
   */
  lookup(client: string, session: number, sequence: number, acknowledged = 0): Known {
    const found = this.#find(client, session);
    if (found === undefined) return REFUSED[this.#missing(session)];
    const slot = found.slotOf(sequence);
    if (slot >= 0) return { kind: 'known', slot };
    const refusal = this.#outside(found, sequence, acknowledged);
    return refusal === undefined ? NEW : REFUSED[refusal];
  }

  /** The number of the client's open session, undefined when it has none. */
  sessionOf(client: string): number | undefined {
    return this.#open.get(client)?.number;
  }

  /** The clients of sessions that were used in or after a slot, the latest first. Every change of a session is a use. */
  usedSince(slot: number): string[] {
    const clients: string[] = [];
    for (let s = this.#newest; s !== undefined && s.used >= slot; s = s.older) clients.push(s.client);
    return clients;
  }

  /**
   * Bytes that differ between any two tables that differ (but for a chance of 2^-64), to be hashed into the log's digest.
   * Costs what changed since the last call.
   */
  fingerprint(): Uint8Array {
    for (let s = this.#newest; s !== undefined && s.used >= this.#marked; s = s.older) {
      this.#addMarks(-s.mark0, -s.mark1);
      s.remark();
      this.#addMarks(s.mark0, s.mark1);
    }
    this.#marked = this.#next;
    const out = new DataView(new ArrayBuffer(28));
    out.setUint32(0, this.#mark0);
    out.setUint32(4, this.#mark1);
    out.setUint32(8, this.#open.size);
    out.setFloat64(12, this.#expired);
    out.setFloat64(20, this.#next);
    return new Uint8Array(out.buffer);
  }

  /** The whole table: equal tables give equal bytes, however they came about. */
  export(): Uint8Array {
    const to = new ByteWriter(1024)
      .varint(VERSION)
      .varint(this.#next)
      .varint(this.#expired + 1)
      .varint(this.size);
    for (let s = this.#oldest; s !== undefined; s = s.newer) s.write(to);
    return to.done().slice();
  }

  /** Takes what `export` gave. Throws INVALID_ARGUMENT when the bytes are damaged or of another version. */
  static import(bytes: Uint8Array, limits: SessionLimits = LIMITS_OF_A_LOG): Sessions {
    const from = new ByteReader(bytes, 'a session table');
    const version = from.varint();
    if (version !== VERSION)
      throw from.fault(`has format ${String(version)}; this version of Synod reads ${String(VERSION)}`);
    const next = from.varint();
    const expired = from.varint() - 1;
    const rows: Session[] = [];
    for (let left = from.varint(); left > 0; left--) rows.push(Session.read(from));
    if (!from.ended) throw from.fault(`goes on after its last session, at byte ${String(from.at)}`);
    return Sessions.#of(next, expired, rows, limits);
  }

  /** One session as bytes, undefined when the client has none open. */
  exportSession(client: string): Uint8Array | undefined {
    const session = this.#open.get(client);
    if (session === undefined) return undefined;
    const to = new ByteWriter();
    session.write(to);
    return to.done().slice();
  }

  /** A table from the rows that `exportSession` gave, in any order, when slots below `next` were applied. */
  static fromRows(
    next: number,
    expired: number,
    rows: Iterable<Uint8Array>,
    limits: SessionLimits = LIMITS_OF_A_LOG,
  ): Sessions {
    const sessions = [...rows].map((row) => Session.read(new ByteReader(row, 'a session')));
    sessions.sort((a, b) => a.used - b.used);
    return Sessions.#of(next, expired, sessions, limits);
  }

  static #of(next: number, expired: number, rows: readonly Session[], limits: SessionLimits): Sessions {
    const table = new Sessions(limits);
    table.#next = next;
    table.#expired = expired;
    for (const row of rows) {
      const inOrder = row.used > (table.#newest?.used ?? -1) && row.used < next;
      if (!inOrder || table.#open.has(row.client))
        throw new ByteReader(new Uint8Array(0), 'a session table').fault(
          `holds the session of client ${row.client}, used in slot ${String(row.used)}, twice or out of order`,
        );
      table.#open.set(row.client, row);
      table.#append(row);
      table.#bytes += row.bytes;
    }
    return table;
  }

  #openSession(slot: number, client: string): Applied {
    const open = this.#open.get(client);
    if (open !== undefined) {
      // Opening is idempotent while the session is open: a retry gets the number that the first opening got.
      this.#use(open, slot);
      return { kind: 'opened', session: open.number };
    }
    if (this.#open.size >= this.#limits.sessionsMax) this.#expireOldest();
    const session = new Session(client, slot, slot);
    this.#open.set(client, session);
    this.#append(session);
    this.#bytes += session.bytes;
    return { kind: 'opened', session: slot };
  }

  #command(slot: number, command: Command): Applied {
    const { sequence, acknowledged } = command;
    const session = this.#find(command.client, command.session);
    if (session === undefined) return REFUSED[this.#missing(command.session)];
    const first = session.slotOf(sequence);
    if (first >= 0) {
      this.#use(session, slot);
      return { kind: 'duplicate', slot: first };
    }
    const refusal = this.#outside(session, sequence, acknowledged);
    if (refusal !== undefined) return REFUSED[refusal];
    this.#use(session, slot);
    this.#bytes -= session.bytes;
    session.raise(floorAfter(session, sequence, acknowledged));
    session.record(sequence, slot);
    this.#bytes += session.bytes;
    return APPLIED;
  }

  /** The session of this client and this number. A later session of the same client is not it. */
  #find(client: string, number: number): Session | undefined {
    const session = this.#open.get(client);
    return session?.number === number ? session : undefined;
  }

  /** A session above every number that expired was never opened; of a lower one that is not known any more. */
  #missing(number: number): SessionRefusal {
    return number <= this.#expired ? 'session-expired' : 'session-unknown';
  }

  #outside(session: Session, sequence: number, acknowledged: number): SessionRefusal | undefined {
    if (sequence <= session.floor) return 'below-window';
    if (sequence > floorAfter(session, sequence, acknowledged) + this.#limits.window) return 'above-window';
    return undefined;
  }

  #expireOldest(): void {
    const oldest = this.#oldest;
    if (oldest === undefined) return;
    this.#detach(oldest);
    this.#open.delete(oldest.client);
    this.#bytes -= oldest.bytes;
    this.#addMarks(-oldest.mark0, -oldest.mark1);
    this.#expired = Math.max(this.#expired, oldest.number);
    this.onExpired(oldest.client, oldest.number);
  }

  #use(session: Session, slot: number): void {
    session.used = slot;
    if (this.#newest === session) return;
    this.#detach(session);
    this.#append(session);
  }

  #append(session: Session): void {
    session.older = this.#newest;
    session.newer = undefined;
    if (this.#newest === undefined) this.#oldest = session;
    else this.#newest.newer = session;
    this.#newest = session;
  }

  #detach(session: Session): void {
    if (session.older === undefined) this.#oldest = session.newer;
    else session.older.newer = session.newer;
    if (session.newer === undefined) this.#newest = session.older;
    else session.newer.older = session.older;
  }

  #addMarks(mark0: number, mark1: number): void {
    this.#mark0 = (this.#mark0 + mark0) >>> 0;
    this.#mark1 = (this.#mark1 + mark1) >>> 0;
  }
}

const LIMITS_OF_A_LOG: SessionLimits = { window: LIMITS.sessionWindow, sessionsMax: LIMITS.sessionsMax };

/** The floor once this number took effect: never lower, and never at or above the number, whose answer is still wanted. */
function floorAfter(session: Session, sequence: number, acknowledged: number): number {
  return Math.max(session.floor, Math.min(acknowledged, sequence - 1));
}
