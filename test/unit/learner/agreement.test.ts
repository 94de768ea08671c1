import { describe, expect, test } from '@jest/globals';
import { Agreement } from '../../../services/learner/agreement.ts';

const A = new Uint8Array(32).fill(1);
const B = new Uint8Array(32).fill(2);
const C = new Uint8Array(32).fill(3);

describe('R11, among learners', () => {
  test('what another has with the same digest is agreed, never beyond what is held', () => {
    const agreement = new Agreement(2);
    expect(agreement.agreed('x', 900)).toBe(0);
    expect(agreement.compare(2, 'x', 512, A, A)).toBe(true);
    expect(agreement.compare(2, 'x', 256, A, A)).toBe(false);
    expect(agreement.agreed('x', 900)).toBe(512);
    expect(agreement.agreed('x', 400)).toBe(400);
    expect(agreement.verdict().kind).toBe('agreed');
  });

  test('the only learner agrees with itself, up to the last fixed slot', () => {
    expect(new Agreement(1).agreed('x', 700)).toBe(512);
  });

  test('two that differ have no majority', () => {
    const agreement = new Agreement(2);
    agreement.compare(2, 'x', 256, A, B);
    expect(agreement.verdict()).toMatchObject({ kind: 'disputed' });
    expect(agreement.agreed('x', 900)).toBe(0);
  });

  test('one that differs from a majority is outvoted, once that majority has spoken', () => {
    const agreement = new Agreement(3);
    agreement.compare(2, 'x', 256, A, B);
    expect(agreement.verdict().kind).toBe('disputed');
    agreement.compare(3, 'x', 256, A, B);
    expect(agreement.verdict().kind).toBe('outvoted');
  });

  test('one that shares its state with a majority is upheld', () => {
    const agreement = new Agreement(3);
    agreement.compare(2, 'x', 256, A, B);
    agreement.compare(3, 'x', 256, A, A);
    expect(agreement.verdict().kind).toBe('upheld');
  });

  test('a difference at the end of a log that rested is judged anew at the next slot, once the log moved', () => {
    const agreement = new Agreement(3);
    agreement.compare(2, 'x', 100, A, B);
    expect([...agreement.disputes()]).toEqual([{ log: 'x', slot: 100, mine: A }]);
    agreement.compare(3, 'x', 256, C, B);
    expect([...agreement.disputes()]).toEqual([{ log: 'x', slot: 256, mine: C }]);
    agreement.compare(2, 'x', 256, C, B);
    expect(agreement.verdict().kind).toBe('outvoted');
    // The control: a fixed slot can be asked for at any time, and stays.
    agreement.compare(2, 'x', 300, C, A);
    expect([...agreement.disputes()]).toEqual([{ log: 'x', slot: 256, mine: C }]);
  });

  test('who is equal at a later slot is equal below it, so a dispute ends there too', () => {
    const agreement = new Agreement(2);
    agreement.compare(2, 'x', 256, A, B);
    agreement.compare(2, 'x', 200, A, A);
    expect(agreement.isDisputed()).toBe(true);
    expect(agreement.compare(2, 'x', 512, C, C)).toBe(true);
    expect(agreement.isDisputed()).toBe(false);
  });

  test('three that all differ have no majority, though each differs from two', () => {
    const agreement = new Agreement(3);
    agreement.compare(2, 'x', 256, A, B);
    agreement.compare(3, 'x', 256, A, C);
    expect(agreement.verdict().kind).toBe('disputed');
  });

  test('a majority is one of all that are known, heard or not: more of them make it larger, and a word is heard no more than once', () => {
    const agreement = new Agreement(3);
    agreement.compare(2, 'x', 256, A, B);
    agreement.compare(3, 'x', 256, A, B);
    expect(agreement.verdict().kind).toBe('outvoted');
    // Two more that nobody heard yet may share this state.
    agreement.setLearners(5, false);
    expect(agreement.verdict().kind).toBe('disputed');
    agreement.compare(4, 'x', 256, A, B);
    expect(agreement.verdict().kind).toBe('outvoted');
  });

  test('what a learner said counts no more once it is forgotten', () => {
    const agreement = new Agreement(4);
    for (const learner of [2, 3, 4]) agreement.compare(learner, 'x', 256, A, learner === 4 ? A : B);
    agreement.forget(2);
    agreement.setLearners(3, true);
    expect(agreement.verdict().kind).toBe('upheld');
    agreement.forget(3);
    expect(agreement.isDisputed()).toBe(false);
  });

  test('one that knows nobody else is not the only one before the others had time to be found', () => {
    const agreement = new Agreement(1);
    agreement.setLearners(1, false);
    expect(agreement.agreed('x', 700)).toBe(0);
    agreement.setLearners(1, true);
    expect(agreement.agreed('x', 700)).toBe(512);
  });
});
