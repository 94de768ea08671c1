/** The judge itself: a history that is in order passes, and each way in which one can be wrong is named. */
import { describe, expect, test } from '@jest/globals';
import { faultsOf } from './history.ts';
import type { History, Learned, LearnedLog, Operation } from './history.ts';

const entry = (slot: number, value: string, more: Partial<Learned> = {}): Learned => ({
  ...{ slot, value, kind: 'proposal', effect: 'applied', id: `client/0/${value}` },
  ...more,
});
const session: Learned = { slot: 0, kind: 'session', effect: 'applied', id: 'client/0/0', value: '' };
const log = (learner: number, ...entries: Learned[]): LearnedLog => ({ learner, entries: [session, ...entries] });
const chosen = (value: string, slot: number, beganMs = 0, endedMs = 100): Operation => ({
  ...{ value, beganMs, endedMs },
  told: { kind: 'chosen', slot },
});
const failed = (value: string, outcome: 'none' | 'unknown'): Operation => ({
  ...{ value, beganMs: 0, endedMs: 100 },
  told: { kind: 'failed', outcome, message: 'too busy' },
});
const both = (...entries: Learned[]): LearnedLog[] => [log(1, ...entries), log(2, ...entries)];

describe('a history that is in order', () => {
  test('passes, whatever became of what failed with outcome unknown', () => {
    const operations = [
      chosen('a', 1),
      chosen('b', 3),
      failed('c', 'unknown'),
      failed('d', 'unknown'),
      failed('e', 'none'),
    ];
    const noOp = entry(2, '', { kind: 'no-op', effect: 'none' });
    const again = entry(5, 'a', { effect: 'duplicate' });
    expect(faultsOf({ operations, logs: both(entry(1, 'a'), noOp, entry(3, 'b'), entry(4, 'c'), again) })).toEqual([]);
  });

  test('passes in any order of what was on its way at the same time', () => {
    const operations = [chosen('a', 2, 0, 10), chosen('b', 1, 5, 20), chosen('c', 3, 21, 30)];
    expect(faultsOf({ operations, logs: both(entry(1, 'b'), entry(2, 'a'), entry(3, 'c')) })).toEqual([]);
  });
});

describe('a history that is not in order is refused', () => {
  const a = entry(1, 'a');
  const b = entry(2, 'b');
  const operations = [chosen('a', 1), chosen('b', 2)];
  const wrong: [string, History, RegExp][] = [
    [
      'an acknowledged value is lost at every learner',
      { operations, logs: both(a) },
      /learner 1 shows b in no slot; it was acknowledged in slot 2/,
    ],
    ['an acknowledged value is lost at one learner', { operations, logs: [log(1, a, b), log(2, a)] }, /3 and 2 slots/],
    [
      'a value took effect twice',
      { operations, logs: both(a, b, entry(3, 'a')) },
      /shows a in slot 1, 3: it took effect twice/,
    ],
    [
      'an unacknowledged value took effect twice',
      { operations: [failed('a', 'unknown')], logs: both(a, entry(2, 'a')) },
      /it took effect twice/,
    ],
    [
      'two values changed places',
      { operations, logs: both(entry(1, 'b'), entry(2, 'a')) },
      /shows a in slot 2; it was acknowledged in slot 1/,
    ],
    [
      'learners show different values in a slot',
      { operations: [failed('a', 'unknown'), failed('b', 'unknown')], logs: [log(1, a), log(2, entry(1, 'b'))] },
      /learners 1 and 2 differ/,
    ],
    [
      'learners differ about the effect of a slot',
      { operations, logs: [log(1, a, b), log(2, a, entry(2, 'b', { effect: 'duplicate' }))] },
      /learners 1 and 2 differ/,
    ],
    [
      'learners differ about who proposed a value',
      { operations, logs: [log(1, a, b), log(2, a, entry(2, 'b', { id: 'other/0/1' }))] },
      /learners 1 and 2 differ/,
    ],
    ['a slot is missing', { operations: [chosen('b', 2)], logs: both(b) }, /shows slot 2 where slot 1 belongs/],
    [
      'a value came that nobody proposed',
      { operations: [chosen('a', 1)], logs: both(a, entry(2, 'x')) },
      /shows x in slot 2, which nobody proposed/,
    ],
    [
      'a refusal with outcome none took effect',
      { operations: [failed('a', 'none')], logs: both(a) },
      /told that it had no effect: too busy/,
    ],
    [
      'a later proposal stands before an earlier one',
      { operations: [chosen('a', 2, 0, 10), chosen('b', 1, 11, 20)], logs: both(entry(1, 'b'), entry(2, 'a')) },
      /b is in slot 1, and began after a was acknowledged in slot 2/,
    ],
    ['nobody was read', { operations, logs: [] }, /no learner was read/],
  ];

  test.each(wrong)('when %s', (_, history, fault) => {
    expect(faultsOf(history).join('\n')).toMatch(fault);
  });
});
