/**
 * The network: a set of messages that only grows. Each may be delivered at any time, again and again, in any order, or never;
 * so loss, duplication and delay need no deeds of their own, and sending again what was sent changes nothing.
 */
import { canonical } from './canonical.ts';
import type { Out } from './deeds.ts';
import type { Step } from './locals.ts';
import { valuesIn, type Packet } from './record.ts';
import type { Cast, World } from './world.ts';

export class Network {
  readonly packets: Packet[] = [];
  /** The deed of hearing each packet, −1 for what stands in the record alone. */
  readonly deeds: number[] = [];
  readonly #ids = new Map<string, number>();
  readonly #mirrored: number[][];
  readonly #world: World;
  readonly #cast: Cast;

  constructor(world: World, cast: Cast) {
    this.#world = world;
    this.#cast = cast;
    this.#mirrored = cast.permutations.map(() => []);
  }

  /** The packets that something said at this place becomes, one for each receiver. */
  packetsOf(place: number, out: Out): number[] {
    return this.#receivers(place, out).map((to) => this.#intern(place, to, out.body));
  }

  /** All packets of a step at this place. */
  packetsAt(place: number, step: Step): readonly number[] {
    return (step.packets[place] ??= step.outs.flatMap((out) => this.packetsOf(place, out)));
  }

  #receivers(place: number, out: Out): number[] {
    const { acceptors, learnersFrom, tables } = this.#cast;
    const isFromAcceptor = place < acceptors;
    if (out.to === 'record') {
      if (out.body.kind !== 'votes' || learnersFrom === tables.length) return [-1];
      return Array.from({ length: tables.length - learnersFrom }, (_, i) => learnersFrom + i);
    }
    if (this.#world.loses.some((kind) => kind === out.body.kind)) return [];
    if (out.to === 'all') return Array.from({ length: acceptors - this.#world.down }, (_, i) => i);
    return [isFromAcceptor ? acceptors + out.to : out.to];
  }

  #intern(from: number, to: number, body: Packet['body']): number {
    const key = `${from}>${to} ${canonical(body)}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.packets.length;
    this.packets.push({ id, from, to, body, values: valuesIn(body) });
    this.#ids.set(key, id);
    const hear = { kind: 'hear', from: this.#cast.positionOf(from), body } as const;
    this.deeds.push(to < 0 ? -1 : this.#cast.deeds.id(hear));
    return id;
  }

  get(ids: readonly number[]): Packet[] {
    return ids.map((id) => this.packets[id] as Packet);
  }

  /** The packet that this one is when the acceptors stand in another order. */
  mirror(permutation: number, id: number): number {
    const row = this.#mirrored[permutation] as number[];
    const known = row[id];
    if (known !== undefined) return known;
    const { from, to, body } = this.packets[id] as Packet;
    const order = this.#cast.permutations[permutation] as readonly number[];
    return (row[id] = this.#intern(order[from] ?? from, order[to] ?? to, body));
  }
}
