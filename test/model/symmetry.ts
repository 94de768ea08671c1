/** States that differ only in the order of the acceptors: which one stands for all, and the proof that it may. */
import type { Local, Step } from './locals.ts';
import type { Network } from './network.ts';
import type { State } from './search.ts';
import type { Cast } from './world.ts';

export class Symmetry {
  readonly #cast: Cast;
  readonly #network: Network;

  constructor(cast: Cast, network: Network) {
    this.#cast = cast;
    this.#network = network;
  }

  /** The least of all states that differ from this one in the order of the acceptors, and the order that leads there. */
  async canonical(state: State): Promise<{ state: State; permutation: number }> {
    const { permutations, acceptors } = this.#cast;
    let best: { state: State; permutation: number } | undefined;
    for (let p = 0; p < permutations.length; p++) {
      if (!sorts(state.nodes, permutations[p] as readonly number[], acceptors)) continue;
      const mirrored = p === 0 ? state : await this.#mirror(state, p);
      if (best === undefined || isLess(mirrored, best.state)) best = { state: mirrored, permutation: p };
    }
    if (best === undefined) throw new Error('some order sorts the acceptors');
    return best;
  }

  async #mirror(state: State, p: number): Promise<State> {
    const order = this.#cast.permutations[p] as readonly number[];
    const nodes = [...state.nodes];
    for (let place = 0; place < nodes.length; place++) {
      const local = state.nodes[place] as Local;
      if (place < this.#cast.acceptors) nodes[order[place] as number] = local;
      else nodes[place] = local.mirrored[p] ?? (await this.#mirrorLocal(local, p));
    }
    const sent = state.sent.map((id) => this.#network.mirror(p, id)).sort((a, b) => a - b);
    return { nodes, sent };
  }

  /** What this node would be, had it heard the same of acceptors in another order. */
  async #mirrorLocal(local: Local, p: number): Promise<Local> {
    const known = local.mirrored[p];
    if (known !== undefined) return known;
    if (local.parent === undefined) return (local.mirrored[p] = local);
    const parent = await this.#mirrorLocal(local.parent, p);
    const step = await local.table.step(parent, this.#mirrorDeed(local.deed, p));
    return (local.mirrored[p] = step.to);
  }

  #mirrorDeed(id: number, p: number): number {
    const deed = this.#cast.deeds.get(id);
    if (deed.kind !== 'hear') return id;
    const order = this.#cast.permutations[p] as readonly number[];
    return this.#cast.deeds.id({ ...deed, from: order[deed.from] as number });
  }

  /** A step and its images in every order lead to images of one another, and say the same to images of one another; or it throws. */
  async check(local: Local, deed: number, step: Step): Promise<void> {
    if (step.complaint !== undefined) return;
    for (let p = 1; p < this.#cast.permutations.length; p++) {
      const image = await local.table.step(await this.#mirrorLocal(local, p), this.#mirrorDeed(deed, p));
      const to = await this.#mirrorLocal(step.to, p);
      if (to === image.to && this.#said(step, p) === this.#said(image, 0)) continue;
      const what = JSON.stringify(this.#cast.deeds.get(deed));
      throw new Error(`acceptors are not all alike to a machine, so symmetry cannot be used here: ${what}`);
    }
  }

  /** All that a step says, with its receivers in another order. */
  #said(step: Step, p: number): string {
    const order = this.#cast.permutations[p] as readonly number[];
    const place = this.#cast.acceptors;
    const outs = step.outs.map((out) => (typeof out.to === 'number' ? { ...out, to: order[out.to] as number } : out));
    return outs
      .flatMap((out) => this.#network.packetsOf(place, out))
      .sort((a, b) => a - b)
      .join();
  }
}

/** True when this order puts the acceptors that are alike in the order of their states. */
function sorts(nodes: readonly Local[], order: readonly number[], acceptors: number): boolean {
  const sorted = new Array<Local>(acceptors);
  for (let i = 0; i < acceptors; i++) sorted[order[i] as number] = nodes[i] as Local;
  for (let i = 1; i < acceptors; i++) {
    const [a, b] = [sorted[i - 1] as Local, sorted[i] as Local];
    if (a.table === b.table && a.id > b.id) return false;
  }
  return true;
}

function isLess(a: State, b: State): boolean {
  for (let i = 0; i < a.nodes.length; i++) {
    const difference = (a.nodes[i] as Local).id - (b.nodes[i] as Local).id;
    if (difference !== 0) return difference < 0;
  }
  for (let i = 0; i < a.sent.length; i++) {
    const difference = (a.sent[i] as number) - (b.sent[i] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
