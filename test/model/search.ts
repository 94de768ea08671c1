/**
 * Breadth-first search over all states of a small world. A state is the states of its nodes and the set of messages. Three
 * things make it small, and lose nothing:
 *
 * - What a node does in silence is put off until just before it says something: nobody else can see it, and the messages that it
 *   hears do not go away. So a move is some silent steps of one node and one that says something (`Closure`).
 * - An answer that changes nothing at who gives it (a reject, a duplicate) is given at once: who must not hear it yet, does not.
 * - States that differ only in the order of the acceptors are one. That needs no trust in the machines: acceptors run one program
 *   and are never told their place, so a history with the acceptors in another order is a history too, provided that proposers
 *   and learners treat the places alike. That is checked for every step of theirs that is explored, in every order; one that
 *   differs ends the search with an error.
 */
import { setImmediate } from 'node:timers/promises';
import { Closures, type Closure, type Emission } from './closure.ts';
import type { Local, Step } from './locals.ts';
import { Network } from './network.ts';
import { judge, judgeClaim } from './record.ts';
import { Seen } from './seen.ts';
import { Symmetry } from './symmetry.ts';
import { Cast, type World } from './world.ts';

/** The nodes by place, and the ids of all packets sent, in order. */
export interface State {
  readonly nodes: readonly Local[];
  readonly sent: readonly number[];
}

export interface Options {
  /** The search ends, not exhausted, when it has seen this many states. */
  readonly statesMax: number;
  readonly symmetry: boolean;
  readonly onProgress: (progress: Progress) => void;
  /** Called once for every state. */
  readonly onState?: (state: State, search: Search) => void;
}

export interface Progress {
  readonly states: number;
  readonly depth: number;
  readonly frontier: number;
}

/** Deeds of one node, one after the other. */
export interface Move {
  readonly place: number;
  readonly deeds: readonly number[];
}

export interface Violation {
  readonly complaint: string;
  readonly moves: readonly Move[];
}

export interface Result {
  readonly states: number;
  /** Moves on the longest of the shortest ways to a state. */
  readonly depth: number;
  readonly moves: number;
  /** States of single nodes, over all kinds, silent ones included. */
  readonly locals: number;
  readonly messages: number;
  readonly isExhausted: boolean;
  /** What was met, and after how many moves. */
  readonly met: ReadonlyMap<string, number>;
  readonly violation: Violation | undefined;
}

const PROGRESS_STATES = 50_000;
const BREATH_STATES = 50;

export class Search {
  readonly world: World;
  readonly cast: Cast;
  readonly network: Network;
  readonly #options: Options;
  readonly #symmetry: Symmetry;
  readonly #closures: Closures;
  readonly #seen = new Seen();
  readonly #met = new Map<string, number>();
  /** For every state: the state it was first reached from, and how. */
  readonly #parents: number[] = [];
  readonly #moves: Move[] = [];
  #count = 0;
  #depth = 0;
  #next: { state: State; id: number }[] = [];
  #violation: Violation | undefined;

  constructor(world: World, options: Options) {
    this.world = world;
    this.cast = new Cast(world);
    this.network = new Network(world, this.cast);
    this.#options = options;
    this.#symmetry = new Symmetry(this.cast, this.network);
    this.#closures = new Closures(this.network, (place, local, deed) => this.step(place, local, deed));
  }

  get start(): State {
    return { nodes: this.cast.tables.map((table) => table.root), sent: [] };
  }

  async run(): Promise<Result> {
    let isExhausted = true;
    await this.#visit(this.start, -1, { place: -1, deeds: [] });
    while (this.#next.length > 0 && !this.#isBroken && isExhausted) {
      const layer = this.#next;
      this.#next = [];
      this.#depth++;
      for (const { state, id } of layer) {
        if (!(await this.#expand(state, id))) break;
        // So that a signal is heard.
        if (id % BREATH_STATES === 0) await setImmediate();
        isExhausted = this.#seen.size < this.#options.statesMax;
        if (!isExhausted) break;
      }
    }
    const isOpen = this.#next.length > 0 || this.#isBroken;
    return {
      states: this.#seen.size,
      depth: isOpen ? this.#depth : Math.max(0, this.#depth - 1),
      moves: this.#count,
      locals: [...new Set(this.cast.tables)].reduce((sum, table) => sum + table.all.length, 0),
      messages: this.network.packets.length,
      isExhausted: isExhausted && !this.#isBroken,
      met: this.#met,
      violation: this.#violation,
    };
  }

  get #isBroken(): boolean {
    return this.#violation !== undefined;
  }

  async #visit(state: State, parent: number, move: Move): Promise<void> {
    const { state: canonical } = await this.standIn(state);
    if (!this.#seen.add(encode(canonical))) return;
    const id = this.#parents.push(parent) - 1;
    this.#moves.push(move);
    this.#next.push({ state: canonical, id });
    this.#options.onState?.(canonical, this);
    if (this.#seen.size % PROGRESS_STATES === 0)
      this.#options.onProgress({ states: this.#seen.size, depth: this.#depth, frontier: this.#next.length });
  }

  /** Makes every move from a state; false when a rule was broken. */
  async #expand(state: State, id: number): Promise<boolean> {
    const heard = this.#heardBy(state);
    for (let place = 0; place < state.nodes.length; place++) {
      const closure = await this.#closures.of(place, state.nodes[place] as Local, heard[place] as readonly number[]);
      if (this.#judgeSilence(state, id, place, closure)) return false;
      for (const emission of closure.emissions) {
        this.#count++;
        const move = { place, deeds: emission.deeds };
        const after = await this.#after(state, move, emission);
        if (after.complaint !== undefined) {
          this.#found(after.complaint, id, after.moves);
          return false;
        }
        await this.#visit(after.state, id, move);
      }
    }
    return true;
  }

  /** By place, the deeds of hearing what was sent there. */
  #heardBy(state: State): number[][] {
    const heard: number[][] = state.nodes.map(() => []);
    for (const id of state.sent) {
      const to = (this.network.packets[id] as { to: number }).to;
      if (to >= 0) (heard[to] as number[]).push(id);
    }
    return heard;
  }

  /** True when something that happens in silence breaks a rule. */
  #judgeSilence(state: State, id: number, place: number, closure: Closure): boolean {
    for (const mark of closure.marks) this.#mark(mark);
    if (closure.broken !== undefined) {
      this.#found(closure.broken.complaint, id, [{ place, deeds: closure.broken.deeds }]);
      return true;
    }
    if (closure.claims.length === 0) return false;
    const sent = this.network.get(state.sent);
    for (const { claim, deeds } of closure.claims) {
      const complaint = judgeClaim(sent, claim, this.world.needed);
      if (complaint === undefined) continue;
      this.#found(complaint, id, [{ place, deeds }]);
      return true;
    }
    return false;
  }

  #found(complaint: string, id: number, last: readonly Move[]): void {
    this.#violation = { complaint, moves: [...this.#path(id), ...last] };
  }

  #mark(mark: string): void {
    if (!this.#met.has(mark)) this.#met.set(mark, this.#depth);
  }

  #path(id: number): Move[] {
    const moves: Move[] = [];
    for (let at = id; at > 0; at = this.#parents[at] as number) moves.push(this.#moves[at] as Move);
    return moves.reverse();
  }

  // ── moves ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a deed does to a node, by its machine; looked up where it is known. */
  async step(place: number, local: Local, deed: number): Promise<Step> {
    const step = local.next[deed] ?? (await local.table.step(local, deed));
    if (!step.isChecked && this.#options.symmetry && place >= this.cast.acceptors)
      await this.#symmetry.check(local, deed, step);
    step.isChecked = true;
    return step;
  }

  /** The state after a move, with all answers that change nothing given; or what is wrong with it, and how that came. */
  async #after(
    state: State,
    move: Move,
    emission: Emission,
  ): Promise<{ state: State; complaint: string | undefined; moves: readonly Move[] }> {
    let { complaint, sent } = this.#say(state.sent, emission.packets);
    for (const mark of emission.marks) this.#mark(mark);
    const nodes = state.nodes.map((local, at) => (at === move.place ? emission.to : local));
    const moves = [move];
    for (const answer of complaint === undefined ? await this.answersIn(nodes, sent) : []) {
      for (const mark of answer.step.marks) this.#mark(mark);
      ({ complaint, sent } = this.#say(sent, this.network.packetsAt(answer.place, answer.step)));
      if (complaint === undefined) continue;
      moves.push({ place: answer.place, deeds: [answer.deed] });
      break;
    }
    return { state: { nodes, sent }, complaint, moves };
  }

  /** Answers of acceptors that change nothing at them, which can be given now and were not. */
  async answersIn(
    nodes: readonly Local[],
    sent: readonly number[],
  ): Promise<{ place: number; deed: number; step: Step }[]> {
    const answers: { place: number; deed: number; step: Step }[] = [];
    for (const id of sent) {
      const place = (this.network.packets[id] as { to: number }).to;
      if (place < 0 || place >= this.cast.acceptors) continue;
      const local = nodes[place] as Local;
      const deed = this.network.deeds[id] as number;
      const step = local.next[deed] ?? (await this.step(place, local, deed));
      if (step.to !== local || step.outs.length === 0 || step.complaint !== undefined) continue;
      if (this.network.packetsAt(place, step).some((packet) => !sent.includes(packet)))
        answers.push({ place, deed, step });
    }
    return answers;
  }

  #say(sent: readonly number[], ids: readonly number[]): { sent: readonly number[]; complaint: string | undefined } {
    let all = sent;
    const before = this.network.get(sent);
    for (const id of ids) {
      const packet = this.network.packets[id] as (typeof before)[0];
      const { complaint, marks } = judge(before, packet, this.world.needed);
      if (complaint !== undefined) return { sent: all, complaint };
      for (const mark of marks) this.#mark(mark);
      if (all.includes(id)) continue;
      all = [...all, id];
      before.push(packet);
    }
    return { sent: all === sent ? sent : [...all].sort((a, b) => a - b), complaint: undefined };
  }

  /** The one state that stands for all that differ in the order of the acceptors, and the order that leads there. */
  async standIn(state: State): Promise<{ state: State; permutation: number }> {
    return this.#options.symmetry ? this.#symmetry.canonical(state) : { state, permutation: 0 };
  }
}

export function encode({ nodes, sent }: State): Uint32Array {
  const words = new Uint32Array(nodes.length + sent.length);
  for (let i = 0; i < nodes.length; i++) words[i] = (nodes[i] as Local).id;
  words.set(sent, nodes.length);
  return words;
}
