/**
 * One way of one call: what is sent, or what is received, in its order.
 *
 * A lane that lost something passes nothing more, so that who listens sees a prefix of what was said and never a gap: a stream
 * promises order without loss, and the protocol relies on it.
 */
import type { Clock } from '../../ports/clock.ts';
import type { FaultTable, Peer, Way } from './table.ts';

export interface Item {
  readonly deliver: () => void;
  /** It vanished. */
  readonly lose?: () => void;
  /** What it costs to hold, in bytes, roughly. */
  readonly bytes: number;
  /** False for what only frames messages: headers, ends, statuses. Chance does not take it, a cut does. */
  readonly isMessage: boolean;
}

export interface LanePorts {
  readonly table: FaultTable;
  readonly clock: Clock;
  readonly peer: Peer;
  readonly way: Way;
  /** Something vanished, for the first time on this lane. */
  readonly onLost: (cut: boolean) => void;
  readonly count: (what: 'dropped' | 'delayed') => void;
}

interface Held {
  readonly item: Item;
  readonly at: number;
}

/** What is held on one lane before the sender is not told any more that there is room. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;
/** The least that an item counts for. */
const ITEM_BYTES = 256;

export class Lane {
  readonly #ports: LanePorts;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #lost = false;
  #cancelTimer: (() => void) | undefined;

  constructor(ports: LanePorts) {
    this.#ports = ports;
  }

  /** Something vanished here, so nothing more passes. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Whether more may be held. */
  get hasRoom(): boolean {
    return this.#heldBytes < HELD_BYTES_MAX;
  }

  /** Delivers an item now, holds it, or loses it, as the faults say. */
  send(item: Item): 'delivered' | 'held' | 'lost' {
    const { table, peer, way, clock } = this.#ports;
    if (this.#lost) return this.#lose(item, false);
    const verdict = table.judge(peer, way);
    if (verdict.kind === 'lose' && (verdict.cut || item.isMessage)) return this.#lose(item, verdict.cut);
    const ms = verdict.kind === 'hold' ? verdict.ms : 0;
    const last = this.#held[this.#held.length - 1];
    if (ms === 0 && last === undefined) {
      item.deliver();
      return 'delivered';
    }
    // Never before what was sent before.
    this.#held.push({ item, at: Math.max(clock.now() + ms, last?.at ?? 0) });
    this.#heldBytes += item.bytes + ITEM_BYTES;
    if (item.isMessage) this.#ports.count('delayed');
    this.#arm();
    return 'held';
  }

  /** The faults changed: what no delay holds any more leaves at once. */
  review(): void {
    const { table, peer, way } = this.#ports;
    if (this.#held.length > 0 && !table.delays(peer, way)) this.#release(Infinity);
  }

  /** Forgets what is held. */
  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#held.length = 0;
    this.#heldBytes = 0;
  }

  #arm(): void {
    const first = this.#held[0];
    if (this.#cancelTimer !== undefined || first === undefined) return;
    const { clock } = this.#ports;
    this.#cancelTimer = clock.after(Math.max(0, first.at - clock.now()), () => {
      this.#cancelTimer = undefined;
      this.#release(clock.now());
    });
  }

  /** Lets go what was held until `until`. A cut takes what was on its way. */
  #release(until: number): void {
    const { table, peer, way } = this.#ports;
    for (let first = this.#held[0]; first !== undefined && first.at <= until; first = this.#held[0]) {
      this.#held.shift();
      this.#heldBytes -= first.item.bytes + ITEM_BYTES;
      if (this.#lost || table.cuts(peer, way)) this.#lose(first.item, true);
      else first.item.deliver();
    }
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#arm();
  }

  #lose(item: Item, cut: boolean): 'lost' {
    if (item.isMessage) this.#ports.count('dropped');
    const isFirst = !this.#lost;
    this.#lost = true;
    item.lose?.();
    if (isFirst) this.#ports.onLost(cut);
    return 'lost';
  }
}
