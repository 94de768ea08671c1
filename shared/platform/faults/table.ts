/**
 * The faults in force at one role, and what they say of a message. It knows time and chance through ports only, and nothing of
 * gRPC: who carries messages asks it.
 */
import { SynodError } from '../../base/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import { FAULT_LIMITS } from '../../wire/codec/fault.ts';
import type { Fault } from '../../wire/codec/fault.ts';
import type { Role } from '../../wire/codec/header.ts';

/** Who is at the other end. A client has id 0. */
export interface Peer {
  readonly role: Role;
  readonly id: number;
}

/** The way of a message as this process sees it. */
export type Way = 'in' | 'out';

export type Verdict =
  | { readonly kind: 'pass' }
  /** It vanishes; `cut`: all others of that way do, too. */
  | { readonly kind: 'lose'; readonly cut: boolean }
  /** It is held for so many milliseconds. */
  | { readonly kind: 'hold'; readonly ms: number };

const PASS: Verdict = { kind: 'pass' };
const CUT: Verdict = { kind: 'lose', cut: true };
const LOST: Verdict = { kind: 'lose', cut: false };

interface Entry {
  readonly fault: Fault;
  /** Infinity: until it is healed. */
  readonly endsAt: number;
  readonly cancel: () => void;
}

export class FaultTable {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<() => void>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Faults in force. */
  get size(): number {
    return this.#entries.size;
  }

  /** Calls back after each change: an addition, a healing, an end. The function returned stops that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Puts a fault in force; one with the same id is replaced. Throws RESOURCE_EXHAUSTED when there are too many. */
  add(fault: Fault): void {
    const before = this.#entries.get(fault.id);
    if (before === undefined && this.#entries.size >= FAULT_LIMITS.faultsMax)
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(this.#entries.size)} faults are in force here, which is the limit; heal some first`,
      );
    before?.cancel();
    const cancel =
      fault.forMs === 0
        ? (): void => undefined
        : this.#clock.after(fault.forMs, () => {
            this.heal([fault.id]);
          });
    const endsAt = fault.forMs === 0 ? Infinity : this.#clock.now() + fault.forMs;
    this.#entries.delete(fault.id);
    this.#entries.set(fault.id, { fault, endsAt, cancel });
    this.#changed();
  }

  /** Ends faults by their ids, or all. Returns those that were in force. */
  heal(ids?: readonly string[]): Fault[] {
    const healed: Fault[] = [];
    for (const id of ids ?? [...this.#entries.keys()]) {
      const entry = this.#entries.get(id);
      if (entry === undefined) continue;
      entry.cancel();
      this.#entries.delete(id);
      healed.push(entry.fault);
    }
    if (healed.length > 0) this.#changed();
    return healed;
  }

  /** The faults in force, oldest first, each with the time that is left to it. */
  list(): Fault[] {
    const now = this.#clock.now();
    return [...this.#entries.values()].map(({ fault, endsAt }) =>
      endsAt === Infinity ? fault : { ...fault, forMs: Math.max(1, Math.ceil(endsAt - now)) },
    );
  }

  /** What becomes of one message. Delays add up; a loss comes before a delay. */
  judge(peer: Peer, way: Way): Verdict {
    if (this.#entries.size === 0) return PASS;
    if (this.cuts(peer, way)) return CUT;
    let ms = 0;
    for (const { fault } of this.#entries.values()) {
      if (!concerns(fault, peer, way)) continue;
      const { action } = fault;
      if (action.kind === 'drop' && this.#random.next() < action.share) return LOST;
      if (action.kind === 'delay') ms += action.ms + this.#random.next() * action.jitterMs;
    }
    return ms === 0 ? PASS : { kind: 'hold', ms };
  }

  /** Whether nothing passes that way now. */
  cuts(peer: Peer, way: Way): boolean {
    return this.#some(peer, way, 'cut');
  }

  /** Whether messages that way are held now. */
  delays(peer: Peer, way: Way): boolean {
    return this.#some(peer, way, 'delay');
  }

  #some(peer: Peer, way: Way, kind: Fault['action']['kind']): boolean {
    for (const { fault } of this.#entries.values())
      if (fault.action.kind === kind && concerns(fault, peer, way)) return true;
    return false;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function concerns(fault: Fault, peer: Peer, way: Way): boolean {
  if (fault.direction !== 'both' && fault.direction !== way) return false;
  return fault.peers.some(
    ({ role, id }) =>
      (role === undefined ? peer.role !== 'client' : role === peer.role) && (id === undefined || id === peer.id),
  );
}
