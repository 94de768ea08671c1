/**
 * Is a history linearizable? Each operation must seem to happen at one moment between its call and its return, so that all of them,
 * one after the other, are what a single object would have answered.
 *
 * The search is that of Wing and Gong with Lowe's memory: it takes, again and again, one of the operations that were called before
 * the first return of those left, and goes back where none fits. What was taken and what the object is then are remembered, so
 * that no such pair is looked at twice. An operation without a return may happen at any moment from its call on, or never.
 */

/** One operation as its client saw it. Times are milliseconds on one clock for the whole history. */
export interface Recorded<Op> {
  readonly op: Op;
  readonly calledMs: number;
  /** Undefined: its client never learned whether it happened. */
  readonly returnedMs: number | undefined;
}

/** What the object is, alone. States are never changed in place. */
export interface Model<State, Op> {
  readonly initial: State;
  /** Every state in which the operation, with its answer, can leave the object; none where it cannot happen. */
  step(state: State, op: Op): readonly State[];
  /** Equal for equal states, and for no others. */
  key(state: State): string;
  /** Of several operations that may be next, the one with the least rank is tried first. It changes the time of a check, never its verdict. */
  rank(op: Op): number;
}

export type Verdict<Op> =
  | { readonly kind: 'linearizable'; readonly states: number }
  /** `stuck` is what could not come next where the search got furthest, after `done` operations. */
  | { readonly kind: 'broken'; readonly states: number; readonly done: number; readonly stuck: readonly Op[] }
  /** The search gave up, which is no proof of anything. */
  | { readonly kind: 'given up'; readonly states: number };

/** States looked at until a check is given up. */
const STATES_MAX = 2_000_000;

/** One step of the search: what the object is, what may come next, and how far that was tried. */
interface Frame<State> {
  /** What was taken to come here; -1 at the start. */
  readonly taken: number;
  /** What may come next: an operation, and a state that it leaves. */
  readonly next: readonly (readonly [number, State])[];
  tried: number;
}

/** Checks a history of one object. Throws where an operation returned before it was called. */
export function check<State, Op>(
  model: Model<State, Op>,
  history: readonly Recorded<Op>[],
  statesMax = STATES_MAX,
): Verdict<Op> {
  const left = new Left(history);
  const seen = new Seen();
  const choices = (state: State): (readonly [number, State])[] =>
    left
      .candidates()
      .map((at) => ({ at, op: (history[at] as Recorded<Op>).op }))
      .sort((a, b) => model.rank(a.op) - model.rank(b.op))
      .flatMap(({ at, op }) => model.step(state, op).map((after) => [at, after] as const));
  const frames: Frame<State>[] = [{ taken: -1, next: choices(model.initial), tried: 0 }];
  let states = 1;
  let furthest: { readonly done: number; readonly stuck: readonly number[] } = { done: 0, stuck: left.candidates() };
  while (left.closed > 0) {
    const frame = frames.at(-1);
    if (frame === undefined)
      return { kind: 'broken', states, done: furthest.done, stuck: furthest.stuck.map((at) => opAt(history, at)) };
    const choice = frame.next[frame.tried++];
    if (choice === undefined) {
      frames.pop();
      if (frame.taken !== -1) left.putBack(frame.taken);
      continue;
    }
    const [at, state] = choice;
    left.take(at);
    if (!seen.add(left, model.key(state))) {
      left.putBack(at);
      continue;
    }
    if (++states > statesMax) return { kind: 'given up', states };
    if (frames.length > furthest.done) furthest = { done: frames.length, stuck: left.candidates() };
    frames.push({ taken: at, next: choices(state), tried: 0 });
  }
  return { kind: 'linearizable', states };
}

function opAt<Op>(history: readonly Recorded<Op>[], at: number): Op {
  return (history[at] as Recorded<Op>).op;
}

/** The operations that are left, as a list of their calls and returns in order of time, from which they are taken and put back. */
class Left {
  /** Of operations that are left, those that returned: they must all be taken. */
  closed = 0;
  /** One bit for each operation that was taken. */
  readonly taken: Uint32Array;
  /** Mixed from what was taken: different for most sets that differ. */
  sum = 0;
  /** Event 2i is the call of operation i, event 2i + 1 its return; the last one is head and end of the list. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #isClosed: readonly boolean[];
  readonly #head: number;

  constructor(history: readonly Recorded<unknown>[]) {
    this.#head = 2 * history.length;
    this.#next = new Int32Array(this.#head + 1);
    this.#previous = new Int32Array(this.#head + 1);
    this.taken = new Uint32Array(Math.ceil(history.length / 32));
    this.#isClosed = history.map(({ returnedMs }) => returnedMs !== undefined);
    this.closed = this.#isClosed.filter(Boolean).length;
    const events = history.flatMap(({ calledMs, returnedMs }, at) => {
      if (returnedMs !== undefined && returnedMs < calledMs)
        throw new Error(`operation ${at} returned at ${returnedMs}, before its call at ${calledMs}`);
      const call = { event: 2 * at, ms: calledMs };
      return returnedMs === undefined ? [call] : [call, { event: 2 * at + 1, ms: returnedMs }];
    });
    // A call at the very moment of a return is taken to overlap: that can excuse an order, and never blames one.
    events.sort((a, b) => a.ms - b.ms || (a.event & 1) - (b.event & 1));
    let last = this.#head;
    for (const { event } of events) {
      this.#link(last, event);
      last = event;
    }
    this.#link(last, this.#head);
  }

  /** Those that may be next: called before the first return of all that are left. */
  candidates(): number[] {
    const found: number[] = [];
    for (let event = this.#at(this.#head); event !== this.#head && (event & 1) === 0; event = this.#at(event))
      found.push(event >> 1);
    return found;
  }

  take(at: number): void {
    this.#unlink(2 * at);
    if (this.#isClosed[at] === true) {
      this.#unlink(2 * at + 1);
      this.closed--;
    }
    this.#flip(at);
  }

  /** Undoes the last `take` that was not undone: links know their place only in that order. */
  putBack(at: number): void {
    if (this.#isClosed[at] === true) {
      this.#relink(2 * at + 1);
      this.closed++;
    }
    this.#relink(2 * at);
    this.#flip(at);
  }

  #at(event: number): number {
    return this.#next[event] as number;
  }

  #link(from: number, to: number): void {
    this.#next[from] = to;
    this.#previous[to] = from;
  }

  #unlink(event: number): void {
    this.#link(this.#previous[event] as number, this.#at(event));
  }

  #relink(event: number): void {
    this.#next[this.#previous[event] as number] = event;
    this.#previous[this.#at(event)] = event;
  }

  #flip(at: number): void {
    this.taken[at >> 5] = (this.taken[at >> 5] as number) ^ (1 << (at & 31));
    let mixed = Math.imul(at + 1, 0x9e3779b1);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
    this.sum ^= mixed ^ (mixed >>> 13);
  }
}

/** Pairs of what was taken and what the object is then. Sums only find the few to compare with; equality is that of all bits. */
class Seen {
  readonly #bySum = new Map<number, { readonly taken: string; readonly key: string }[]>();

  /** False where it was there before. */
  add({ taken, sum }: Left, key: string): boolean {
    const same = this.#bySum.get(sum) ?? [];
    const bits = textOf(taken);
    if (same.some((each) => each.key === key && each.taken === bits)) return false;
    if (same.length === 0) this.#bySum.set(sum, same);
    same.push({ taken: bits, key });
    return true;
  }
}

const ALL = 0xffffffff;

/** Bits as text: how many words are full, and the words from there to the last that is not empty. Most histories leave a few. */
function textOf(taken: Uint32Array): string {
  let low = 0;
  while (taken[low] === ALL) low++;
  let high = taken.length;
  while (high > low && taken[high - 1] === 0) high--;
  return `${low}:${taken.subarray(low, high).join()}`;
}
