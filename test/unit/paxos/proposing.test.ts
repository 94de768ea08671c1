// Goal: what one Accept may hold, and ballots that are never used twice. Method: batches on either side of each limit.
import { describe, expect, test } from '@jest/globals';
import { Batch } from '../../../shared/base/batch.ts';
import { freshBallot, portions, PROPOSER_DEFAULTS, type Context } from '../../../shared/paxos/proposing.ts';
import { majority } from '../../../shared/paxos/quorum.ts';
import { batch, classic, owner, words } from './support.ts';

function cut(text: string, valuesMax: number, bytesMax = 1_000): string[] {
  return [...portions(batch(text), valuesMax, bytesMax)].map((portion) => words(portion) ?? '');
}

describe('portions of a batch', () => {
  test('hold every value once, in order, and no more values than an Accept may', () => {
    expect(cut('a b c d e', 2)).toEqual(['a b', 'c d', 'e']);
    expect(cut('a b c d', 2)).toEqual(['a b', 'c d']);
    expect(cut('a b c', 1)).toEqual(['a', 'b', 'c']);
  });

  test('are the batch itself where it is within both limits', () => {
    const whole = batch('a b c');
    for (const [values, bytes] of [
      [3, whole.bytes.length],
      [4, 1_000],
    ] as const)
      expect([...portions(whole, values, bytes)]).toEqual([whole]);
    expect([...portions(whole, 2, whole.bytes.length)]).toHaveLength(2);
  });

  test('hold no more bytes of values than an Accept may, up to the limit itself', () => {
    expect(cut('aaa bbb ccc ddd', 100, 6)).toEqual(['aaa bbb', 'ccc ddd']);
    expect(cut('aaa bbb ccc ddd', 100, 7)).toEqual(['aaa bbb', 'ccc ddd']);
    expect(cut('aaa bbb ccc ddd', 100, 5)).toEqual(['aaa', 'bbb', 'ccc', 'ddd']);
    expect(cut('a bbbbb c ddd', 2, 6)).toEqual(['a bbbbb', 'c ddd']);
    expect(cut('aaa bb cc', 2, 5)).toEqual(['aaa bb', 'cc']);
  });

  test('hold a value that is larger than the limit alone', () => {
    expect(cut('aaaaaaaaaa b cccccccccc', 100, 4)).toEqual(['aaaaaaaaaa', 'b', 'cccccccccc']);
  });

  test('of an empty batch are none', () => {
    expect([...portions(Batch.of([]), 10, 10)]).toEqual([]);
  });
});

describe('a fresh ballot', () => {
  const context = (lastRound: number): Context => ({
    self: owner(1),
    options: PROPOSER_DEFAULTS,
    quorum: majority(3),
    noOp: new Uint8Array(),
    now: 0,
    random: 0,
    lastRound,
    down: 0,
    out: [],
  });

  test('is above the ballot that was seen and above every round of this start, and is remembered (R2)', () => {
    const ctx = context(4);
    expect(freshBallot(ctx, classic(9, 2))).toEqual(classic(10));
    expect(freshBallot(ctx, classic(1, 2))).toEqual(classic(11));
    expect(freshBallot(ctx, classic(11, 2))).toEqual(classic(12));
  });
});
