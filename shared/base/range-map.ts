/** A value that holds for the slots [from, to). */
export interface Range<T> {
  readonly from: number;
  readonly to: number;
  readonly value: T;
}

/**
 * Values over disjoint ranges of slots, in the order of the slots. Made for work at the end: setting above the last range
 * and dropping from the front take constant time, everything else a binary search and a splice.
 */
export class RangeMap<T> {
  /** Cuts a value to the positions [from, to) within it. Values that do not depend on their slots return themselves. */
  readonly #cut: (value: T, from: number, to: number) => T;
  #items: Range<T>[] = [];
  #head = 0;

  constructor(cut: (value: T, from: number, to: number) => T) {
    this.#cut = cut;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The first slot that has a value, undefined when there is none. */
  get first(): number | undefined {
    return this.#items[this.#head]?.from;
  }

  /** One above the last slot that has a value, undefined when there is none. */
  get end(): number | undefined {
    return this.size === 0 ? undefined : this.#items[this.#items.length - 1]?.to;
  }

  /** The whole range that holds the slot. */
  rangeAt(slot: number): Range<T> | undefined {
    const item = this.#items[this.#search(slot)];
    return item !== undefined && item.from <= slot ? item : undefined;
  }

  /** The ranges that touch [from, to), cut to it. */
  within(from: number, to: number): Range<T>[] {
    const out: Range<T>[] = [];
    for (let i = this.#search(from); i < this.#items.length; i++) {
      const item = this.#items[i];
      if (item === undefined || item.from >= to) break;
      out.push(this.#clip(item, from, to));
    }
    return out;
  }

  /** Replaces whatever holds in [from, to). */
  set(from: number, to: number, value: T): void {
    if (from >= to) return;
    const end = this.end;
    if (end === undefined || from >= end) {
      this.#items.push({ from, to, value });
      return;
    }
    this.#replace(from, to, [{ from, to, value }]);
  }

  /**
   * Calls `change` for every piece of [from, to) that has one value or none, and stores what it returns; undefined leaves the
   * piece without a value. The value given is already cut to the piece.
   */
  update(from: number, to: number, change: (old: T | undefined, from: number, to: number) => T | undefined): void {
    if (from >= to) return;
    const pieces: Range<T>[] = [];
    const put = (old: T | undefined, a: number, b: number): void => {
      const value = change(old, a, b);
      if (value !== undefined) pieces.push({ from: a, to: b, value });
    };
    let at = from;
    for (const item of this.within(from, to)) {
      if (at < item.from) put(undefined, at, item.from);
      put(item.value, item.from, item.to);
      at = item.to;
    }
    if (at < to) put(undefined, at, to);
    this.#replace(from, to, pieces);
  }

  /** The parts of [from, to) that have no value. */
  gaps(from: number, to: number): { from: number; to: number }[] {
    const out: { from: number; to: number }[] = [];
    let at = from;
    for (const item of this.within(from, to)) {
      if (at < item.from) out.push({ from: at, to: item.from });
      at = item.to;
    }
    if (at < to) out.push({ from: at, to });
    return out;
  }

  dropBelow(slot: number): void {
    for (;;) {
      const item = this.#items[this.#head];
      if (item === undefined || item.from >= slot) break;
      if (item.to > slot) {
        this.#items[this.#head] = this.#clip(item, slot, item.to);
        break;
      }
      this.#head++;
    }
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  /** All ranges, in order. */
  *[Symbol.iterator](): IterableIterator<Range<T>> {
    for (let i = this.#head; i < this.#items.length; i++) {
      const item = this.#items[i];
      if (item !== undefined) yield item;
    }
  }

  /** The position of the first item that ends above the slot. */
  #search(slot: number): number {
    let low = this.#head;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const item = this.#items[middle];
      if (item !== undefined && item.to <= slot) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #clip(item: Range<T>, from: number, to: number): Range<T> {
    if (item.from >= from && item.to <= to) return item;
    const a = Math.max(item.from, from);
    const b = Math.min(item.to, to);
    return { from: a, to: b, value: this.#cut(item.value, a - item.from, b - item.from) };
  }

  #replace(from: number, to: number, pieces: Range<T>[]): void {
    const start = this.#search(from);
    let end = start;
    const before: Range<T>[] = [];
    const after: Range<T>[] = [];
    for (; end < this.#items.length; end++) {
      const item = this.#items[end];
      if (item === undefined || item.from >= to) break;
      if (item.from < from) before.push(this.#clip(item, item.from, from));
      if (item.to > to) after.push(this.#clip(item, to, item.to));
    }
    this.#items.splice(start, end - start, ...before, ...pieces, ...after);
  }
}
