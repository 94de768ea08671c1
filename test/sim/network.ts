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
  readonly #stream: (name: string) => Prng;
  /** Chance of its own for every link, so that what happens on one changes nothing on another. */
  readonly #chances = new Map<string, Prng>();
  readonly faults: NetworkFaults;
  /** Links that are cut, one way: `from>to`, and how often. */
  readonly #cut = new Map<string, number>();
  lost = 0;
  duplicated = 0;

  constructor(schedule: Schedule, stream: (name: string) => Prng, faults: NetworkFaults) {
    this.#schedule = schedule;
    this.#stream = stream;
    this.faults = faults;
  }

  cut(link: string): void {
    this.#cut.set(link, (this.#cut.get(link) ?? 0) + 1);
  }

  mend(link: string): void {
    const times = (this.#cut.get(link) ?? 0) - 1;
    if (times > 0) this.#cut.set(link, times);
    else this.#cut.delete(link);
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.size > 0 && this.#cut.has(`${from}>${to}`);
  }

  /** Delivers, perhaps never, perhaps twice, perhaps after what was sent later. `once`: never twice, as a call is. */
  send(from: string, to: string, deliver: () => void, once = false): void {
    const link = `${from}>${to}`;
    let chance = this.#chances.get(link);
    if (chance === undefined) this.#chances.set(link, (chance = this.#stream(link)));
    const { faults } = this;
    if ((this.#cut.size > 0 && this.#cut.has(link)) || chance.next() < faults.loss) {
      this.lost++;
      return;
    }
    this.#schedule.after(this.#delay(chance), deliver);
    if (once || chance.next() >= faults.duplicate) return;
    this.duplicated++;
    this.#schedule.after(this.#delay(chance) * 3, deliver);
  }

  #delay(chance: Prng): number {
    const scale = chance.next() < this.faults.longTail ? 100 : 1;
    return -Math.log(1 - chance.next()) * this.faults.delayMs * scale;
  }
}
