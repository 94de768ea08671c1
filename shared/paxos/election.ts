/**
 * Who is alive among the proposers, and who leads what, as far as heartbeats tell. Knows nothing of values, and decides nothing
 * about safety: a wrong guess costs a message.
 */
import { formatBallot, type Ballot } from './ballot.ts';
import { firstLeader, hash32 } from './hash.ts';
import type { Heartbeat, LedChange, LedLog } from './peers.ts';
import { note, type Context } from './proposing.ts';

interface Peer {
  readonly id: number;
  alive: boolean;
  incarnation: string;
  heardAt: number;
  /** Silence for this long makes it dead; drawn anew each time it is heard after a while. Milliseconds. */
  silenceMs: number;
  readonly led: Map<string, Ballot>;
  ledDigest: number;
  /** Asked for a full statement at this time: not again before it can have come. */
  askedAt: number;
}

/** Led logs in one message: bounds its size. */
const LED_PAGE = 1_000;

export class Election {
  readonly #ctx: Context;
  readonly #peers = new Map<number, Peer>();
  readonly #led = new Map<string, Ballot>();
  #ledDigest = 0;
  #added: LedLog[] = [];
  #removed: string[] = [];
  #heartbeatAt = -Infinity;

  constructor(ctx: Context, peers: readonly number[]) {
    this.#ctx = ctx;
    for (const id of peers) this.add(id);
  }

  /** Another proposer is known of; it is alive once it is heard. Nothing happens for one that is known, and for this one. */
  add(id: number): void {
    if (id === this.#ctx.self.proposer || this.#peers.has(id)) return;
    this.#peers.set(id, {
      id,
      alive: false,
      incarnation: '',
      heardAt: -Infinity,
      silenceMs: 0,
      led: new Map(),
      ledDigest: 0,
      askedAt: -Infinity,
    });
  }

  /** A peer is not counted on any more. Returns what it led. */
  forget(id: number): LedLog[] {
    const peer = this.#peers.get(id);
    if (peer === undefined) return [];
    this.#peers.delete(id);
    return peer.alive ? this.#silent(peer, 'silent') : [];
  }

  isAlive(proposer: number): boolean {
    return proposer === this.#ctx.self.proposer || this.#peers.get(proposer)?.alive === true;
  }

  /** The live peer that says it leads the log. */
  ledBy(log: string): number | undefined {
    for (const peer of this.#peers.values()) if (peer.alive && peer.led.has(log)) return peer.id;
    return undefined;
  }

  /** The ballot at which a peer says that it leads the log. */
  ballotOf(proposer: number, log: string): Ballot | undefined {
    return this.#peers.get(proposer)?.led.get(log);
  }

  /** Where a log that nobody leads goes first. `without` leaves this proposer out of the choice. */
  first(log: string, without?: 'self'): number | undefined {
    const live = [...this.#peers.values()].filter((peer) => peer.alive).map((peer) => peer.id);
    if (without === undefined) live.push(this.#ctx.self.proposer);
    return live.length === 0 ? undefined : firstLeader(log, live);
  }

  get ledLogs(): ReadonlyMap<string, Ballot> {
    return this.#led;
  }

  *peers(): IterableIterator<{ id: number; alive: boolean; led: number }> {
    for (const peer of this.#peers.values()) yield { id: peer.id, alive: peer.alive, led: peer.led.size };
  }

  // ── what this proposer leads ─────────────────────────────────────────────────────────────────────────────────────────

  /** Notes that this proposer leads the log at the ballot, or at none. */
  setLed(log: string, ballot: Ballot | undefined): void {
    const old = this.#led.get(log);
    if (old === ballot) return;
    if (old !== undefined) {
      this.#ledDigest ^= ledHash(log, old);
      this.#led.delete(log);
      if (ballot === undefined) this.#removed.push(log);
    }
    if (ballot !== undefined) {
      this.#ledDigest ^= ledHash(log, ballot);
      this.#led.set(log, ballot);
      this.#added.push({ log, ballot });
    }
  }

  /** Tells the peers what changed since the last time. */
  announce(): void {
    if (this.#added.length === 0 && this.#removed.length === 0) return;
    for (const peer of this.#peers.values()) this.#state(peer.id, false, this.#added, this.#removed);
    this.#added = [];
    this.#removed = [];
  }

  #state(to: number, full: boolean, added: readonly LedLog[], removed: readonly string[]): void {
    let first = full;
    for (let i = 0; first || i < Math.max(added.length, removed.length); i += LED_PAGE) {
      const page = { added: added.slice(i, i + LED_PAGE), removed: removed.slice(i, i + LED_PAGE) };
      this.#ctx.out.push({ kind: 'to-peer', to, message: { kind: 'led-change', full: first, ...page } });
      first = false;
    }
  }

  /** Answers a question for everything that this proposer leads. */
  onLedQuestion(from: number): void {
    this.#state(
      from,
      true,
      [...this.#led].map(([log, ballot]) => ({ log, ballot })),
      [],
    );
  }

  // ── what the peers say ───────────────────────────────────────────────────────────────────────────────────────────────

  onHeartbeat(message: Heartbeat): void {
    const peer = this.#peers.get(message.proposer);
    if (peer === undefined) return;
    if (peer.incarnation !== message.incarnation) {
      peer.incarnation = message.incarnation;
      peer.led.clear();
      peer.ledDigest = 0;
    }
    this.#heard(peer);
    const differs = message.ledCount !== peer.led.size || message.ledDigest !== peer.ledDigest;
    if (!differs || this.#ctx.now - peer.askedAt < this.#ctx.options.timeoutMs) return;
    peer.askedAt = this.#ctx.now;
    this.#ctx.out.push({ kind: 'to-peer', to: peer.id, message: { kind: 'led?' } });
  }

  onLedChange(from: number, message: LedChange): void {
    const peer = this.#peers.get(from);
    if (peer === undefined) return;
    if (message.full) {
      peer.led.clear();
      peer.ledDigest = 0;
    }
    for (const log of message.removed) forget(peer, log);
    for (const { log, ballot } of message.added) {
      forget(peer, log);
      peer.led.set(log, ballot);
      peer.ledDigest ^= ledHash(log, ballot);
    }
  }

  #heard(peer: Peer): void {
    const { now, random, options } = this.#ctx;
    peer.heardAt = now;
    if (peer.alive) return;
    peer.alive = true;
    peer.silenceMs = options.silenceMsMin + random * (options.silenceMsMax - options.silenceMsMin);
    note(this.#ctx, { kind: 'peer', proposer: peer.id, change: 'up' });
  }

  /** Its stream broke and it refuses a new one: nobody listens there. Returns what it led. */
  onRefused(id: number): LedLog[] {
    const peer = this.#peers.get(id);
    return peer?.alive === true ? this.#silent(peer, 'refused') : [];
  }

  #silent(peer: Peer, change: 'silent' | 'refused'): LedLog[] {
    peer.alive = false;
    note(this.#ctx, { kind: 'peer', proposer: peer.id, change });
    const orphans = [...peer.led].map(([log, ballot]) => ({ log, ballot }));
    peer.led.clear();
    peer.ledDigest = 0;
    return orphans;
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends heartbeats that are due; returns the peers that fell silent, with what they led. */
  onTick(): { readonly peer: number; readonly led: LedLog[] }[] {
    const { now, options, self } = this.#ctx;
    if (now - this.#heartbeatAt >= options.heartbeatMs) {
      this.#heartbeatAt = now;
      const heartbeat: Heartbeat = {
        kind: 'heartbeat',
        proposer: self.proposer,
        incarnation: self.incarnation,
        ledCount: this.#led.size,
        ledDigest: this.#ledDigest,
      };
      for (const peer of this.#peers.values()) this.#ctx.out.push({ kind: 'to-peer', to: peer.id, message: heartbeat });
      if (this.#led.size > 0) this.#ctx.out.push({ kind: 'to-acceptor', to: undefined, message: { kind: 'alive' } });
    }
    const silent: { peer: number; led: LedLog[] }[] = [];
    for (const peer of this.#peers.values()) {
      if (peer.alive && now - peer.heardAt >= peer.silenceMs)
        silent.push({ peer: peer.id, led: this.#silent(peer, 'silent') });
    }
    return silent;
  }

  /** This process stood still: what looks like the silence of others was its own. */
  onPause(): void {
    for (const peer of this.#peers.values()) peer.heardAt = this.#ctx.now;
  }
}

function forget(peer: Peer, log: string): void {
  const old = peer.led.get(log);
  if (old === undefined) return;
  peer.led.delete(log);
  peer.ledDigest ^= ledHash(log, old);
}

function ledHash(log: string, ballot: Ballot): number {
  return hash32(`${log}@${formatBallot(ballot)}`) | 0;
}
