/**
 * The numbers of one session (R12): each proposal has one, it stays the same however often the proposal is sent, and at most a
 * window of them lies above the floor, up to which the client has all its answers.
 */
import { assert } from '../base/assert.ts';
import { SynodError } from '../base/errors.ts';
import { Fifo } from '../base/fifo.ts';

export class Session {
  /** The slot at which it was opened. */
  readonly id: number;
  /** 16 random bytes under which it was opened, and no other session of its log. */
  readonly client: Buffer;
  readonly #window: number;
  readonly #waitingMax: number;
  readonly #answered = new Set<number>();
  readonly #waiting = new Fifo<Waiter>();
  #waitingCount = 0;
  #next = 1;
  #floor = 0;

  constructor(id: number, client: Buffer, window: number, waitingMax: number) {
    this.id = id;
    this.client = client;
    this.#window = window;
    this.#waitingMax = waitingMax;
  }

  /** All numbers up to this one are answered; it goes into every sending. */
  get acknowledged(): number {
    return this.#floor;
  }

  /** A number for one proposal, which `end` gives back; undefined while there is no room. */
  tryBegin(): number | undefined {
    return this.#waitingCount === 0 && this.#hasRoom() ? this.#next++ : undefined;
  }

  /** Waits for a number. Throws RESOURCE_EXHAUSTED when too many wait already; rejects when `timeout` does. */
  begin(timeout: Promise<never>): Promise<number> {
    if (this.#waitingCount >= this.#waitingMax)
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(this.#waitingCount)} proposals wait for room in their session already; the limit is ${String(this.#waitingMax)} (waitingMax)`,
      );
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, gone: false };
      this.#waiting.push(waiter);
      this.#waitingCount++;
      timeout.catch((error: unknown) => {
        if (waiter.gone) return;
        waiter.gone = true;
        this.#waitingCount--;
        reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  /** The proposal has its answer, or nobody will ask for it again. */
  end(sequence: number): void {
    assert(
      sequence > this.#floor && !this.#answered.has(sequence),
      'R12',
      () => `number ${String(sequence)} ends twice`,
    );
    this.#answered.add(sequence);
    while (this.#answered.delete(this.#floor + 1)) this.#floor++;
    for (let waiter = this.#waiting.peek(); waiter !== undefined; waiter = this.#waiting.peek()) {
      if (!waiter.gone) {
        if (!this.#hasRoom()) return;
        waiter.gone = true;
        this.#waitingCount--;
        waiter.resolve(this.#next++);
      }
      this.#waiting.shift();
    }
  }

  #hasRoom(): boolean {
    return this.#next - this.#floor <= this.#window;
  }
}

interface Waiter {
  readonly resolve: (sequence: number) => void;
  /** Served, or not interested any more. */
  gone: boolean;
}
