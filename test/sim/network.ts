/** A network that loses, duplicates, delays, reorders and partitions. Harsher than the streams of production on purpose. */
import type { Prng } from '../../shared/base/prng.ts';
import type { Schedule } from './schedule.ts';

export interface NetworkFaults {
  loss: number;
  duplicate: number;
  /** Mean one-way delay, milliseconds; a few messages take a hundred times as long. */
  delayMs: number;
  longTail: number;
}

export class Network {
  readonly #schedule: Schedule;
  readonly #prng: Prng;
  readonly faults: NetworkFaults;
  /** Links that are cut, one way: `from>to`. */
  readonly cut = new Set<string>();
  sent = 0;
  lost = 0;
  duplicated = 0;

  constructor(schedule: Schedule, prng: Prng, faults: NetworkFaults) {
    this.#schedule = schedule;
    this.#prng = prng;
    this.faults = faults;
  }

  /** Delivers, perhaps never, perhaps twice, perhaps after what was sent later. */
  send(from: string, to: string, deliver: () => void): void {
    this.sent++;
    if (this.cut.has(`${from}>${to}`) || this.#prng.chance(this.faults.loss)) {
      this.lost++;
      return;
    }
    this.#schedule.after(this.#delay(), deliver);
    if (this.#prng.chance(this.faults.duplicate)) {
      this.duplicated++;
      this.#schedule.after(this.#delay() * 3, deliver);
    }
  }

  #delay(): number {
    const scale = this.#prng.chance(this.faults.longTail) ? 100 : 1;
    return -Math.log(1 - this.#prng.next()) * this.faults.delayMs * scale;
  }
}
