/** What a node may do by itself with what was sent to it: all silent steps, and every way to say something after them. */
import type { Claim } from './deeds.ts';
import type { Local, Step } from './locals.ts';
import type { Network } from './network.ts';

/** Silent steps, and one that says something. */
export interface Emission {
  readonly to: Local;
  readonly deeds: readonly number[];
  readonly packets: readonly number[];
  readonly marks: readonly string[];
}

export interface Closure {
  readonly emissions: readonly Emission[];
  /** What is told to a client or applied: nobody else hears of it, but it must be true. */
  readonly claims: readonly { readonly claim: Claim; readonly deeds: readonly number[] }[];
  readonly marks: readonly string[];
  readonly broken: { readonly complaint: string; readonly deeds: readonly number[] } | undefined;
}

export class Closures {
  readonly #network: Network;
  readonly #step: (place: number, local: Local, deed: number) => Promise<Step>;
  /** By place, then by state and by what was sent there. */
  readonly #known: Map<string, Closure>[] = [];

  constructor(network: Network, step: (place: number, local: Local, deed: number) => Promise<Step>) {
    this.#network = network;
    this.#step = step;
  }

  async of(place: number, local: Local, heard: readonly number[]): Promise<Closure> {
    const known = (this.#known[place] ??= new Map<string, Closure>());
    const key = `${local.id} ${heard.join()}`;
    let closure = known.get(key);
    if (closure === undefined) known.set(key, (closure = await this.#compute(place, local, heard)));
    return closure;
  }

  /** Breadth first, so that the ways are the shortest. */
  async #compute(place: number, start: Local, heard: readonly number[]): Promise<Closure> {
    const emissions = new Map<string, Emission>();
    const claims: { claim: Claim; deeds: readonly number[] }[] = [];
    const marks = new Set<string>();
    let broken: Closure['broken'];
    const reached = new Map<Local, readonly number[]>([[start, []]]);
    const hearings = heard.map((id) => this.#network.deeds[id] as number);
    for (const [local, past] of reached) {
      for (const deed of [...hearings, ...local.offers]) {
        const step = local.next[deed] ?? (await this.#step(place, local, deed));
        if (!step.isChecked) await this.#step(place, local, deed);
        const deeds = [...past, deed];
        if (step.complaint !== undefined) broken ??= { complaint: step.complaint, deeds };
        if (step.complaint !== undefined || step.isBeyond) continue;
        for (const claim of step.claims) claims.push({ claim, deeds });
        const packets = this.#network.packetsAt(place, step);
        // What changes nothing here is said at once elsewhere (`Search.answersIn`).
        if (step.to === local && step.claims.length === 0) continue;
        if (packets.length > 0) {
          const key = `${step.to.id} ${packets.join()}`;
          if (!emissions.has(key)) emissions.set(key, { to: step.to, deeds, packets, marks: step.marks });
          continue;
        }
        for (const mark of step.marks) marks.add(mark);
        if (!reached.has(step.to)) reached.set(step.to, deeds);
      }
    }
    return { emissions: [...emissions.values()], claims, marks: [...marks], broken };
  }
}
