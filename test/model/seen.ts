/**
 * The states that were seen, as fingerprints of 128 bits. Among n states the odds that any two differ and share one are about
 * n² / 2^129: 10^-25 for ten million states. Sixteen bytes a state instead of some hundred.
 */
export class Seen {
  #slots = new Uint32Array(4 << 16);
  #mask = (1 << 16) - 1;
  size = 0;
  readonly #print = new Uint32Array(4);

  /** Takes a state in; false when it was there. */
  add(state: Uint32Array): boolean {
    if (this.size * 2 > this.#mask) this.#grow();
    fingerprint(state, this.#print);
    const at = this.#find(this.#print);
    if ((this.#slots[at] as number) !== 0) return false;
    this.#slots.set(this.#print, at);
    this.size++;
    return true;
  }

  #find(print: Uint32Array): number {
    const slots = this.#slots;
    for (let i = (print[1] as number) & this.#mask; ; i = (i + 1) & this.#mask) {
      const at = 4 * i;
      if (slots[at] === 0) return at;
      if (
        slots[at] === print[0] &&
        slots[at + 1] === print[1] &&
        slots[at + 2] === print[2] &&
        slots[at + 3] === print[3]
      )
        return at;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    this.#mask = this.#mask * 2 + 1;
    for (let at = 0; at < old.length; at += 4) {
      if (old[at] === 0) continue;
      const print = old.subarray(at, at + 4);
      this.#slots.set(print, this.#find(print));
    }
  }
}

const SEEDS = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f] as const;

/** Four lanes of 32 bits, each a chain of multiplications and shifts of its own over all words. The first is never 0. */
function fingerprint(state: Uint32Array, out: Uint32Array): void {
  for (let lane = 0; lane < 4; lane++) {
    const seed = SEEDS[lane] as number;
    let h = seed ^ state.length;
    for (const word of state) {
      h = Math.imul(h ^ Math.imul(word + 0x7f4a7c15, seed), 0x2c1b3c6d);
      h ^= h >>> 15;
      h = Math.imul(h, 0x297a2d39);
      h ^= h >>> 13;
    }
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h ^= h >>> 15;
    out[lane] = lane === 0 && h === 0 ? 1 : h;
  }
}
