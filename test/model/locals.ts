/**
 * The states of single nodes. A world has few of them, and many combinations: each is made once, by the machine itself, and what
 * a deed leads to is computed once and then looked up. A node's state is made again by its own history, from a fresh machine: no
 * machine is ever cloned.
 */
import { canonical } from './canonical.ts';
import type { Deed, Outcome } from './deeds.ts';
import type { ModelNode } from './nodes.ts';

export interface Local {
  readonly id: number;
  readonly table: LocalTable;
  /** How it was reached first. */
  readonly parent: Local | undefined;
  readonly deed: number;
  /** What may happen by itself, as deeds. */
  readonly offers: readonly number[];
  /** By deed; what was never tried is missing. */
  readonly next: Step[];
  /** By permutation of the acceptors (`symmetry.ts`). */
  readonly mirrored: Local[];
}

export interface Step extends Outcome {
  readonly to: Local;
  /** The packets of `outs`, by the place of the node. */
  readonly packets: (readonly number[] | undefined)[];
  isChecked: boolean;
}

/** All deeds of a world, numbered. */
export class Deeds {
  readonly all: Deed[] = [];
  readonly #ids = new Map<string, number>();

  id(deed: Deed): number {
    const key = canonical(deed);
    let id = this.#ids.get(key);
    if (id === undefined) this.#ids.set(key, (id = this.all.push(deed) - 1));
    return id;
  }

  get(id: number): Deed {
    return this.all[id] as Deed;
  }
}

/** The states of nodes of one kind, which differ in nothing but their place. */
export class LocalTable {
  readonly all: Local[] = [];
  readonly #byKey = new Map<string, Local>();
  readonly #create: () => ModelNode;
  readonly #deeds: Deeds;
  readonly root: Local;

  constructor(create: () => ModelNode, deeds: Deeds) {
    this.#create = create;
    this.#deeds = deeds;
    this.root = this.#intern(create(), undefined, -1);
  }

  #intern(node: ModelNode, parent: Local | undefined, deed: number): Local {
    const key = node.key();
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const offers = node.offers().map((offer) => this.#deeds.id(offer));
    const local: Local = { id: this.all.length, table: this, parent, deed, offers, next: [], mirrored: [] };
    this.all.push(local);
    this.#byKey.set(key, local);
    return local;
  }

  /** What the deed leads to, by the machine. */
  async step(from: Local, deed: number): Promise<Step> {
    const known = from.next[deed];
    if (known !== undefined) return known;
    const node = this.#create();
    for (const past of historyOf(from)) await node.do(this.#deeds.get(past));
    const outcome = await node.do(this.#deeds.get(deed));
    const to = outcome.complaint === undefined ? this.#intern(node, from, deed) : from;
    const step: Step = { ...outcome, to, packets: [], isChecked: false };
    from.next[deed] = step;
    return step;
  }
}

function historyOf(local: Local): number[] {
  const deeds: number[] = [];
  for (let at = local; at.parent !== undefined; at = at.parent) deeds.push(at.deed);
  return deeds.reverse();
}
