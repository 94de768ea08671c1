// Goal: whatever the journal holds of a slot above the floor is found again (R10), and memory does not grow with slots.
// Method: pieces by hand, on either side of each limit. Losing a piece would be forgetting votes that were spoken.
import { describe, expect, test } from '@jest/globals';
import { VoteIndex } from '../../../shared/paxos/vote-index.ts';

/** Pieces of one vote each: at position 0 slots [0, 10), at 1 [10, 20), and so on. */
function pieces(count: number): VoteIndex {
  const votes = new VoteIndex();
  for (let i = 0; i < count; i++) {
    votes.add(i, i * 10, i * 10 + 10, 100, 0);
    votes.close();
  }
  return votes;
}

function shown(votes: VoteIndex, from = 0, to = Infinity): string[] {
  return votes.find(from, to).map((p) => `${p.first}-${p.last}: ${p.from} to ${p.to - 1}`);
}

describe('where votes stand in the journal', () => {
  test('votes that follow one another share a piece, which spans them all', () => {
    const votes = new VoteIndex();
    votes.add(3, 5, 7, 10, 0);
    votes.add(4, 9, 12, 10, 0);
    votes.add(8, 2, 3, 10, 0);
    expect(shown(votes)).toEqual(['3-8: 2 to 11']);
    expect([votes.size, votes.bytes, votes.oldest]).toEqual([1, 30, 3]);
  });

  test('a piece ends at 256 KiB of votes, at 2,048 positions, and where it is closed', () => {
    const byBytes = new VoteIndex();
    byBytes.add(0, 0, 1, 256 * 1024 - 1, 0);
    byBytes.add(1, 1, 2, 1, 0);
    byBytes.add(2, 2, 3, 1, 0);
    expect(shown(byBytes)).toEqual(['0-1: 0 to 1', '2-2: 2 to 2']);
    const byPositions = new VoteIndex();
    for (const position of [10_000, 12_047, 12_048]) byPositions.add(position, position, position + 1, 1, 0);
    expect(shown(byPositions)).toEqual(['10000-12047: 10000 to 12047', '12048-12048: 12048 to 12048']);
    expect([pieces(2).size, pieces(2).bytes]).toEqual([2, 200]);
    new VoteIndex().close();
  });

  test('a piece spans at most a megabyte of the journal, whatever other logs have between its votes', () => {
    const MIB = 1024 * 1024;
    const votes = new VoteIndex();
    votes.add(0, 0, 1, 10, 500);
    votes.add(1, 1, 2, 10, 500 + MIB - 1);
    votes.add(2, 2, 3, 10, 500 + MIB);
    votes.add(9, 3, 4, 10, 500 + 5 * MIB);
    expect(shown(votes)).toEqual(['0-1: 0 to 1', '2-2: 2 to 2', '9-9: 3 to 3']);
  });

  test('every piece that may hold a slot is found, and no other', () => {
    const votes = pieces(4);
    expect(shown(votes, 10, 20)).toEqual(['1-1: 10 to 19']);
    expect(shown(votes, 9, 21)).toEqual(['0-0: 0 to 9', '1-1: 10 to 19', '2-2: 20 to 29']);
    expect(shown(votes, 39)).toEqual(['3-3: 30 to 39']);
    expect(shown(votes, 40)).toEqual([]);
  });

  test('below the floor only pieces are forgotten that hold nothing at or above it, wherever they stand (R10)', () => {
    const votes = pieces(3);
    votes.add(7, 0, 5, 1, 0);
    votes.dropBelow(9);
    expect(shown(votes)).toEqual(['0-0: 0 to 9', '1-1: 10 to 19', '2-2: 20 to 29']);
    votes.dropBelow(10);
    expect(shown(votes)).toEqual(['1-1: 10 to 19', '2-2: 20 to 29']);
    expect(votes.oldest).toBe(1);
    votes.dropBelow(30);
    expect([votes.size, votes.oldest, votes.bytes]).toEqual([0, undefined, 0]);
  });

  test('what was written again further on is forgotten where it stood, and nothing else', () => {
    const votes = pieces(3);
    votes.dropBefore(1);
    expect(shown(votes)).toEqual(['1-1: 10 to 19', '2-2: 20 to 29']);
    votes.dropBefore(3);
    expect(votes.size).toBe(0);
  });
});
