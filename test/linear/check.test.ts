/** Histories that are known to be wrong, or right, written by hand; and the time that long ones take. */
import { describe, expect, test } from '@jest/globals';
import { Prng } from '../../shared/base/prng.ts';
import { check } from './check.ts';
import type { Recorded } from './check.ts';
import { DECREE, logModel, placed } from './models.ts';
import type { DecreeOp, LogOp } from './models.ts';

const at = <Op>(calledMs: number, returnedMs: number | undefined, op: Op): Recorded<Op> => ({
  calledMs,
  returnedMs,
  op,
});
const append = (value: string, slot?: number): LogOp => ({ kind: 'append', value, slot });
/** `'b.a'` shows b in slot 0 and a in slot 2; the log ends where the text does. */
const read = (text: string, from = 0): LogOp => ({
  ...{ kind: 'read', from, next: from + text.length, end: from + text.length },
  entries: Array.from(text).flatMap((value, place) => (value === '.' ? [] : [{ slot: from + place, value }])),
});
const end = (slot: number): LogOp => ({ kind: 'end', end: slot });
const decide = (value: string, chosen?: string): DecreeOp => ({ kind: 'decide', value, chosen });
const look = (chosen?: string): DecreeOp => ({ kind: 'look', chosen });

const judgeLog = (history: readonly Recorded<LogOp>[]) => check(logModel(), placed(history)).kind;

describe('of a log it is wrong that', () => {
  const wrong: Record<string, Recorded<LogOp>[]> = {
    'a read does not show what was acknowledged before it': [at(0, 1, append('a', 0)), at(2, 3, read(''))],
    'an end lies below what was acknowledged before it': [at(0, 1, append('a', 4)), at(2, 3, end(4))],
    'a read shows less than one that ended before it': [
      at(0, 9, append('a', 0)),
      at(1, 2, read('a')),
      at(3, 4, read('')),
    ],
    'an acknowledged value is lost while a later one is there': [
      at(0, 1, append('a', 0)),
      at(2, 3, append('b', 1)),
      at(4, 5, read('.b')),
    ],
    'a slot has two values': [at(0, 9, append('a', 0)), at(0, 9, append('b', 0))],
    'two reads show two values in a slot': [
      at(0, undefined, append('a')),
      at(0, undefined, append('b')),
      at(1, 2, read('a')),
      at(3, 4, read('b')),
    ],
    'a value has two slots': [at(0, 1, append('a', 0)), at(2, 3, read('aa'))],
    'a value of unknown outcome has two slots': [at(0, undefined, append('a')), at(2, 3, read('aa'))],
    'the order of slots contradicts real time': [at(0, 1, append('a', 1)), at(2, 3, append('b', 0))],
    'a value is in another slot than was said': [at(0, 1, append('a', 0)), at(2, 3, read('.a'))],
    'a value comes to a slot that was read as empty': [
      at(0, 1, append('b', 1)),
      at(2, 3, read('.b')),
      at(0, 9, append('a', 0)),
    ],
    'a value is read that nobody proposed': [at(0, 1, read('a'))],
    'a value is read before it was proposed': [at(0, 1, read('a')), at(2, 3, append('a', 0))],
    'a value without effect is read': [at(0, 1, append('b', 0)), at(2, 3, read('bx'))],
  };
  test.each(Object.entries(wrong))('%s', (_, history) => {
    expect(judgeLog(history)).toBe('broken');
  });
});

describe('of a log it is right that', () => {
  const right: Record<string, Recorded<LogOp>[]> = {
    'nothing happened': [],
    'an unknown outcome takes effect late': [
      at(0, undefined, append('a')),
      at(1, 2, append('b', 0)),
      at(3, 4, read('b')),
      at(5, 6, read('ba')),
    ],
    'an unknown outcome never takes effect': [
      at(0, undefined, append('a')),
      at(1, 2, append('b', 0)),
      at(3, 4, read('b')),
    ],
    'appends at the same time are in any order': [
      at(0, 9, append('a', 1)),
      at(0, 9, append('b', 0)),
      at(10, 11, read('ba')),
    ],
    'reads at the same time as an append show it or not': [
      at(0, 9, append('a', 0)),
      at(1, 2, read('')),
      at(3, 8, read('a')),
      at(4, 8, read('')),
    ],
    'slots without values lie between': [
      at(0, 1, append('a', 3)),
      at(2, 3, append('b', 7)),
      at(4, 5, read('...a...b')),
    ],
    'a part is read': [
      at(0, 1, append('a', 0)),
      at(2, 3, append('b', 1)),
      at(4, 5, { ...read('a'), end: undefined } as LogOp),
    ],
    'an end counts slots that hold no value': [at(0, 1, append('a', 0)), at(2, 3, end(5)), at(4, 5, append('b', 1))],
  };
  test.each(Object.entries(right))('%s', (_, history) => {
    expect(judgeLog(history)).toBe('linearizable');
  });
});

describe('of a decree', () => {
  const wrong: Record<string, Recorded<DecreeOp>[]> = {
    'two answers': [at(0, 9, decide('a', 'a')), at(0, 9, decide('b', 'b'))],
    'an answer that nobody proposed': [at(0, 9, decide('a', 'c'))],
    'an answer that was proposed later': [at(0, 1, decide('a', 'b')), at(2, 3, decide('b', 'b'))],
    'nothing to see after an answer': [at(0, 1, decide('a', 'a')), at(2, 3, look())],
    'another look than the answer': [at(0, 1, decide('a', 'a')), at(0, undefined, decide('b')), at(2, 3, look('b'))],
  };
  test.each(Object.entries(wrong))('%s is wrong', (_, history) => {
    expect(check(DECREE, history).kind).toBe('broken');
  });

  const right: Record<string, Recorded<DecreeOp>[]> = {
    'the value of an unknown outcome for all': [
      at(0, undefined, decide('a')),
      at(1, 2, look()),
      at(3, 4, decide('b', 'a')),
      at(5, 6, look('a')),
    ],
    'the same value for all who ask at once': [
      at(0, 9, decide('a', 'b')),
      at(0, 9, decide('b', 'b')),
      at(1, 8, look()),
    ],
  };
  test.each(Object.entries(right))('%s is right', (_, history) => {
    expect(check(DECREE, history).kind).toBe('linearizable');
  });
});

/** A log as a run makes it: so many clients at once, reads among the appends, some outcomes unknown. */
function longHistory(operations: number, clients: number, seed: number): Recorded<LogOp>[] {
  const random = new Prng(seed);
  const log: string[] = [];
  const freeAt = Array.from({ length: clients }, () => 0);
  return Array.from({ length: operations }, (_, i): Recorded<LogOp> => {
    const client = freeAt.indexOf(Math.min(...freeAt));
    const moment = i;
    const calledMs = Math.max(freeAt[client] as number, moment - random.below(clients));
    const returnedMs = moment + 0.5 + random.below(clients);
    freeAt[client] = returnedMs + 0.1;
    if (random.chance(0.2)) {
      const from = Math.max(0, log.length - random.below(40));
      return at(Math.min(calledMs, moment), returnedMs, read(log.slice(from).join(''), from));
    }
    log.push(String.fromCodePoint(0x4e00 + log.length));
    const isUnknown = random.chance(0.02);
    const op = append(log.at(-1) as string, isUnknown ? undefined : log.length - 1);
    return at(Math.min(calledMs, moment), isUnknown ? undefined : returnedMs, op);
  });
}

describe('a long history', () => {
  test('of 20,000 operations in one log is judged with about one state for each', () => {
    const history = longHistory(20_000, 8, 1);
    const verdict = check(logModel(), placed(history));
    expect(verdict.kind).toBe('linearizable');
    expect(verdict.states).toBeLessThan(10 * history.length);
  });

  test('is judged the same with one lost value in the midst of it, and the place is named', () => {
    const history = longHistory(2_000, 8, 2);
    const hurt = history.findIndex(({ op }, place) => place > 1_000 && op.kind === 'read' && op.entries.length > 5);
    const lost = history.map((each, place): Recorded<LogOp> => {
      if (place !== hurt || each.op.kind !== 'read') return each;
      return { ...each, op: { ...each.op, entries: each.op.entries.toSpliced(2, 1) } };
    });
    const verdict = check(logModel(), placed(lost));
    if (verdict.kind !== 'broken') throw new Error(`the verdict is ${verdict.kind}`);
    expect(verdict.stuck).toContain(lost[hurt]?.op);
    expect(Math.abs(verdict.done - hurt)).toBeLessThan(50);
  });

  test('that would take too many states is given up, which is another verdict', () => {
    expect(check(logModel(), placed(longHistory(1_000, 8, 3)), 100).kind).toBe('given up');
  });

  test('that returns before its call is no history', () => {
    expect(() => check(DECREE, [at(2, 1, look())])).toThrow('operation 0 returned at 1, before its call at 2');
  });
});
