/**
 * Goal: a read joins only a question that is sent after the read arrived (R13).
 * Method: the real class with a clock that is driven and acceptors that answer when the test says so.
 */
import { describe, expect, test } from '@jest/globals';
import { majority } from '../../../shared/paxos/quorum.ts';
import { Tips } from '../../../services/learner/tips.ts';
import type { Clock } from '../../../shared/ports/clock.ts';

class ManualClock implements Clock {
  #now = 0;
  #timers = new Set<{ at: number; callback: () => void }>();
  now(): number {
    return this.#now;
  }
  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) if (timer.at <= this.#now && this.#timers.delete(timer)) timer.callback();
  }
}

function setUp(): { tips: Tips; sent: { acceptor: number; id: number }[]; clock: ManualClock } {
  const sent: { acceptor: number; id: number }[] = [];
  const clock = new ManualClock();
  const tips = new Tips({
    quorum: majority(3),
    clock,
    connected: () => 3,
    send: (acceptor, { id }) => sent.push({ acceptor, id }),
  });
  return { tips, sent, clock };
}

const tip = (id: number, slot: number) => ({ kind: 'tip', log: 'x', id, tip: slot }) as const;

/** The value of a promise that is settled by now, undefined of one that is pending. */
async function now<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))]);
}

describe('the question for the end of a log', () => {
  test('is answered by the greatest tip of a quorum', async () => {
    const { tips, sent } = setUp();
    const read = tips.ask('x', 1_000);
    expect(sent).toEqual([0, 1, 2].map((acceptor) => ({ acceptor, id: 1 })));
    tips.onTip(0, tip(1, 4));
    // The same acceptor twice is no quorum.
    tips.onTip(0, tip(1, 9));
    expect(await now(read)).toBeUndefined();
    tips.onTip(2, tip(1, 7));
    expect(await now(read)).toBe(9);
  });

  test('is not joined by a read that arrives after it was sent', async () => {
    const { tips, sent } = setUp();
    const first = tips.ask('x', 1_000);
    tips.onTip(0, tip(1, 4));
    // Slot 5 is chosen and answered now; a read that begins after that must see it.
    const second = tips.ask('x', 1_000);
    const third = tips.ask('x', 1_000);
    tips.onTip(1, tip(1, 4));
    expect(await now(first)).toBe(4);
    expect(await now(second)).toBeUndefined();
    // Those who gathered share the next question.
    expect(sent.filter(({ id }) => id === 2)).toHaveLength(3);
    tips.onTip(0, tip(2, 5));
    // Negative control: a late answer to the first question would have been taken by a reader that had joined it.
    tips.onTip(2, tip(1, 4));
    expect(await now(second)).toBeUndefined();
    tips.onTip(1, tip(2, 5));
    expect(await now(second)).toBe(5);
    expect(await now(third)).toBe(5);
    expect(tips.asked).toBe(0);
  });

  test('is sent again over a stream that is new, and its answers count', async () => {
    const { tips, sent } = setUp();
    const read = tips.ask('x', 1_000);
    tips.onTip(0, tip(1, 1));
    tips.onUp(0);
    expect(sent).toHaveLength(3);
    tips.onUp(1);
    expect(sent).toHaveLength(4);
    tips.onTip(1, tip(1, 2));
    expect(await now(read)).toBe(2);
  });

  test('that nobody waits for any more makes room for the next', async () => {
    const { tips, clock, sent } = setUp();
    const first = expect(tips.ask('x', 100)).rejects.toMatchObject({ code: 'UNAVAILABLE', outcome: 'none' });
    const second = tips.ask('x', 1_000);
    clock.advance(100);
    await first;
    expect(sent.at(-1)?.id).toBe(2);
    tips.onTip(1, tip(2, -1));
    tips.onTip(2, tip(2, -1));
    expect(await now(second)).toBe(-1);
  });
});
