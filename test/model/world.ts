/** A small world: who is in it, and what may happen there. `worlds.ts` lists them. */
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import { Deeds, LocalTable } from './locals.ts';
import type { Needed } from './record.ts';
import { AcceptorInWorld, LearnerInWorld, ProposerInWorld, type ProposerLimits } from './nodes.ts';

export interface World {
  readonly name: string;
  /** One line for people. */
  readonly about: string;
  readonly quorum: QuorumSystem;
  /** Acceptors that choose, counted by the checker itself. */
  readonly needed: Needed;
  readonly proposers: readonly ProposerLimits[];
  readonly learners: number;
  /** The first acceptor may crash once. They are alike, so it may be any one. */
  readonly acceptorCrashes: boolean;
  /** So many acceptors, the last ones, are never reached by anything. */
  readonly down: number;
  /** Messages of these kinds are always lost: what is left is a part of what can happen, and smaller. */
  readonly loses: readonly ('rejected' | 'tell')[];
  /** Things that must have happened somewhere, or the search proves little. */
  readonly sometimes: readonly string[];
  /** What the default run leaves out, because it takes long. */
  readonly isLarge: boolean;
}

/** The nodes of a world: a table of states for each place. Acceptors that are alike share one. */
export class Cast {
  readonly deeds = new Deeds();
  readonly tables: readonly LocalTable[];
  readonly acceptors: number;
  readonly learnersFrom: number;
  /** The orders of the acceptors under which nothing changes: all that leave those in their place that may crash or are down. */
  readonly permutations: readonly (readonly number[])[];

  constructor(world: World) {
    const { quorum, proposers, learners, acceptorCrashes, down } = world;
    this.acceptors = quorum.size;
    this.learnersFrom = quorum.size + proposers.length;
    const alike = new LocalTable(() => new AcceptorInWorld(false), this.deeds);
    const tables: LocalTable[] = new Array<LocalTable>(quorum.size).fill(alike);
    for (let i = quorum.size - down; i < quorum.size; i++)
      tables[i] = new LocalTable(() => new AcceptorInWorld(false), this.deeds);
    if (acceptorCrashes) tables[0] = new LocalTable(() => new AcceptorInWorld(true), this.deeds);
    for (const [position, limits] of proposers.entries())
      tables.push(new LocalTable(() => new ProposerInWorld(position, quorum, limits), this.deeds));
    for (let i = 0; i < learners; i++) tables.push(new LocalTable(() => new LearnerInWorld(quorum), this.deeds));
    this.tables = tables;
    this.permutations = permutationsOf(quorum.size).filter(
      (p) => (!acceptorCrashes || p[0] === 0) && p.every((to, from) => from < quorum.size - down || to === from),
    );
  }

  /** The position of a node among its kind. */
  positionOf(place: number): number {
    if (place < this.acceptors) return place;
    return place < this.learnersFrom ? place - this.acceptors : place - this.learnersFrom;
  }

  nameOf(place: number): string {
    const kind = place < this.acceptors ? 'acceptor' : place < this.learnersFrom ? 'proposer' : 'learner';
    return `${kind} ${this.positionOf(place) + 1}`;
  }
}

/** All orders of n positions; the first changes nothing. */
function permutationsOf(n: number): number[][] {
  if (n === 0) return [[]];
  return permutationsOf(n - 1).flatMap((p) =>
    Array.from({ length: n }, (_, i) => [...p.slice(0, n - 1 - i), n - 1, ...p.slice(n - 1 - i)]),
  );
}
