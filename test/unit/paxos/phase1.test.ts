// Goal: Paxos Made Simple's P2 to P2c as R8 and R10 say them: what value phase 1 finds, slot by slot, and when it must not
// say anything. Method: promises by hand; then a property over every way in which up to three ballots can have gone, with the
// plausible but wrong choices (lowest ballot, most votes) as controls that lose a chosen value.
import { describe, expect, test } from '@jest/globals';
import type { Promised } from '../../../shared/paxos/messages.ts';
import { Phase1, type Found } from '../../../shared/paxos/phase1.ts';
import { majority } from '../../../shared/paxos/quorum.ts';
import { classic, fast, promised, vote, words } from './support.ts';

const MINE = classic(9, 1);

function phase1(from = 0, fromWatermark = false, acceptors = 3): Phase1 {
  return new Phase1(MINE, majority(acceptors), from, fromWatermark);
}

/** `0-1 x y | 2-2 free`. */
function shown(found: readonly Found[]): string {
  return found.map((f) => `${f.from}-${f.to - 1} ${words(f.batch) ?? 'free'}`).join(' | ');
}

describe('R8: the value of a slot', () => {
  test('is free where no acceptor of the quorum voted', () => {
    const p = phase1();
    p.onPromised(0, promised(MINE));
    expect(p.reached).toBe(false);
    p.onPromised(1, promised(MINE));
    expect(p.reached).toBe(true);
    expect(shown(p.choose(0, 3))).toBe('0-2 free');
  });

  test('is that of the highest-numbered proposal among the votes (P2c)', () => {
    const p = phase1();
    p.onPromised(0, promised(MINE, { votes: [vote(0, classic(3), 'x')] }));
    p.onPromised(2, promised(MINE, { votes: [vote(0, classic(5, 2), 'y')] }));
    expect(shown(p.choose(0, 1))).toBe('0-0 y');
  });

  test('is chosen slot by slot: ranges that overlap are cut', () => {
    const p = phase1();
    p.onPromised(0, promised(MINE, { votes: [vote(0, classic(3), 'a b c d')] }));
    p.onPromised(
      1,
      promised(MINE, { votes: [vote(1, classic(4), 'x'), vote(3, classic(2), 'p q'), vote(6, classic(1), 'z')] }),
    );
    expect(shown(p.choose(0, 8))).toBe('0-0 a | 1-1 x | 2-2 c | 3-3 d | 4-4 q | 5-5 free | 6-6 z | 7-7 free');
  });

  test('does not follow the number of votes: one vote at a higher ballot outweighs two', () => {
    const p = phase1(0, false, 5);
    p.onPromised(0, promised(MINE, { votes: [vote(0, classic(3), 'x')] }));
    p.onPromised(1, promised(MINE, { votes: [vote(0, classic(3), 'x')] }));
    p.onPromised(2, promised(MINE, { votes: [vote(0, classic(4), 'y')] }));
    expect(shown(p.choose(0, 1))).toBe('0-0 y');
  });

  test('two values at one classic ballot: it stops and says so', () => {
    const p = phase1();
    p.onPromised(0, promised(MINE, { votes: [vote(0, classic(3), 'x')] }));
    p.onPromised(1, promised(MINE, { votes: [vote(0, classic(3), 'y')] }));
    expect(() => p.choose(0, 1)).toThrow('R8: two values at one classic ballot in slots 0 to 0');
  });

  test('two values at one fast ballot are a collision, and no fault (fast.test.ts says more)', () => {
    const p = phase1();
    for (const [a, value] of ['x', 'y'].entries())
      p.onPromised(a, promised(MINE, { votes: [vote(0, fast(3), value)] }));
    expect(words(p.choose(0, 1)[0]?.batch)).toBe('x');
  });
});

describe('R10: what counts as a promise', () => {
  test('the same acceptor twice counts once', () => {
    const p = phase1();
    expect(p.isNew(1)).toBe(true);
    expect(p.onPromised(1, promised(MINE)).kind).toBe('counted');
    expect(p.onPromised(1, promised(MINE)).kind).toBe('ignored');
    expect([p.isNew(1), p.promised, p.reached]).toEqual([false, 0b10, false]);
  });

  test('a promise counts only once its last page is there', () => {
    const p = phase1();
    p.onPromised(0, promised(MINE));
    expect(p.onPromised(1, promised(MINE, { votes: [vote(0, classic(1), 'a b')], until: 2 }))).toEqual({
      kind: 'more',
      from: 2,
    });
    expect([p.reached, p.nextFrom(1)]).toEqual([false, 2]);
    expect(p.onPromised(1, promised(MINE, { from: 2, votes: [vote(2, classic(1), 'c')] })).kind).toBe('counted');
    expect(p.reached).toBe(true);
    expect(
      p
        .choose(0, 3)
        .map((f) => words(f.batch))
        .join(' '),
    ).toBe('a b c');
  });

  test('a page that reaches the end of what was asked is the last one; one that ends before it is not', () => {
    for (const [until, kind] of [
      [3, 'more'],
      [4, 'counted'],
      [9, 'counted'],
      [undefined, 'counted'],
    ] as const) {
      const p = new Phase1(MINE, majority(3), 0, false, 4);
      expect(p.onPromised(0, promised(MINE, { until })).kind).toBe(kind);
      expect(p.nextFrom(0)).toBe(kind === 'more' ? 3 : undefined);
    }
  });

  test('a page that comes twice, or that begins elsewhere, is not the next one', () => {
    const p = phase1();
    const page = promised(MINE, { votes: [vote(0, classic(1), 'a b')], until: 2 });
    p.onPromised(1, page);
    for (const other of [page, promised(MINE, { from: 5 }), promised(MINE, { from: 0 })])
      expect(p.onPromised(1, other)).toEqual({ kind: 'ignored' });
    expect(p.nextFrom(1)).toBe(2);
  });

  test('a first page that does not begin where it was asked is unknown below: it does not count', () => {
    const p = phase1(2);
    expect(p.onPromised(0, promised(MINE, { from: 4 })).kind).toBe('ignored');
    expect(p.onPromised(0, promised(MINE, { from: 4, floor: 4 })).kind).toBe('counted');
  });

  test('a slot below what a promise reports is never called free', () => {
    const p = phase1();
    p.onPromised(0, promised(MINE, { from: 4, floor: 4, watermark: 4 }));
    p.onPromised(1, promised(MINE));
    expect([p.floor, p.watermark]).toEqual([4, 4]);
    expect(() => p.choose(0, 6)).toThrow('R10: no phase-1 quorum reports from slot 0');
    expect(shown(p.choose(4, 6))).toBe('4-5 free');
  });

  test('from the watermark: the greatest one that was told is where the answer begins', () => {
    const p = phase1(0, true);
    p.onPromised(0, promised(MINE, { from: 7, watermark: 7, votes: [vote(8, classic(2), 'i')] }));
    p.onPromised(2, promised(MINE, { from: 3, watermark: 3, votes: [vote(3, classic(2), 'd e f g h')] }));
    expect([p.watermark, p.highest]).toEqual([7, 8]);
    expect(shown(p.choose(7, 9))).toBe('7-7 h | 8-8 i');
  });

  test('a vote above the asking ballot counts as a reject, with that ballot', () => {
    const p = phase1();
    const higher = classic(12, 2);
    expect(p.onPromised(0, promised(MINE, { votes: [vote(0, higher, 'x')] }))).toEqual({
      kind: 'higher',
      ballot: higher,
    });
    p.onPromised(1, promised(MINE));
    expect(p.reached).toBe(false);
  });
});

describe('P2b: once a value is chosen, every higher-numbered proposal has that value', () => {
  interface Acceptor {
    ballot: number;
    value: string;
  }

  /**
   * Three ballots one after the other over three acceptors, each with its own phase-1 quorum and its own set of voters, which
   * may be one acceptor alone; the value by `pick`. Returns how often two values came to be chosen.
   */
  function disagreements(pick: (pages: readonly Promised[]) => string | undefined): number {
    let count = 0;
    const quorums = [0b011, 0b101, 0b110, 0b111];
    const voters = [0b001, 0b010, 0b100, ...quorums];
    const run = (round: number, state: readonly (Acceptor | undefined)[], chosen: readonly string[]): void => {
      if (round > 3) return;
      for (const quorum of quorums)
        for (const set of voters) {
          const pages = state.map((a) =>
            promised(classic(round), { votes: a === undefined ? [] : [vote(0, classic(a.ballot), a.value)] }),
          );
          const value = pick(pages.filter((_, i) => (quorum & (1 << i)) !== 0)) ?? `v${round}`;
          const after = state.map((a, i) => ((set & (1 << i)) === 0 ? a : { ballot: round, value }));
          const now = majority(3).isPhase2(set) ? [...chosen, value] : chosen;
          if (new Set(now).size > 1) count++;
          else run(round + 1, after, now);
        }
    };
    run(1, [undefined, undefined, undefined], []);
    return count;
  }

  const votesOf = (pages: readonly Promised[]): { round: number; value: string }[] =>
    pages.flatMap((p) => p.votes.map((v) => ({ round: v.ballot.round, value: words(v.batch) ?? '' })));

  test('over every course of three ballots', () => {
    const byRule = (pages: readonly Promised[]): string | undefined => {
      const ballot = pages[0]?.ballot ?? MINE;
      const p = new Phase1(ballot, majority(3), 0, false);
      pages.forEach((page, i) => p.onPromised(i, page));
      return words(p.choose(0, 1)[0]?.batch);
    };
    expect(disagreements(byRule)).toBe(0);
  });

  test('control: with the lowest ballot, with most votes, or with no look at the votes two values are chosen', () => {
    const lowest = (pages: readonly Promised[]): string | undefined =>
      votesOf(pages).sort((a, b) => a.round - b.round)[0]?.value;
    const most = (pages: readonly Promised[]): string | undefined => {
      const all = votesOf(pages).map((v) => v.value);
      return all.sort((a, b) => all.filter((v) => v === b).length - all.filter((v) => v === a).length)[0];
    };
    expect(disagreements(lowest)).toBeGreaterThan(0);
    expect(disagreements(most)).toBeGreaterThan(0);
    expect(disagreements(() => undefined)).toBeGreaterThan(0);
  });
});
