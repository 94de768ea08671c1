/** Virtual time: callbacks in the order of their time, and of their making where the times are equal. */
interface Item {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class Schedule {
  #heap: Item[] = [];
  #order = 0;
  now = 0;
  steps = 0;

  /** Runs the callback after `ms` virtual milliseconds. */
  after(ms: number, run: () => void): void {
    const item: Item = { at: this.now + Math.max(0, ms), order: this.#order++, run };
    const heap = this.#heap;
    heap.push(item);
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >>> 1;
      if (!isBefore(item, heap[parent])) break;
      heap[i] = heap[parent] as Item;
      i = parent;
    }
    heap[i] = item;
  }

  /** Runs the next callback; false when there is none. */
  step(): boolean {
    const top = this.#heap[0];
    if (top === undefined) return false;
    const last = this.#heap.pop();
    if (this.#heap.length > 0 && last !== undefined) this.#sink(last);
    this.now = top.at;
    this.steps++;
    top.run();
    return true;
  }

  #sink(item: Item): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], item)) break;
      heap[i] = heap[child] as Item;
      i = child;
    }
    heap[i] = item;
  }
}

function isBefore(a: Item | undefined, b: Item | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.at !== b.at ? a.at < b.at : a.order < b.order;
}
