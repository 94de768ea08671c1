/**
 * Goal: the checker says what the definition says. Method: small histories, made by a real object and most of them
 * hurt afterwards, are given to the checker and to one that tries every order of every set. Both verdicts must be common, or the
 * comparison would say little.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Prng } from '../../shared/base/prng.ts';
import { isLinearizable, playsDecree, playsLog } from './brute.ts';
import { check } from './check.ts';
import type { Recorded } from './check.ts';
import { DECREE, logModel, placed } from './models.ts';
import type { DecreeOp, LogOp } from './models.ts';

const RUNS = 2_000;
const SLOTS_MAX = 6;
const OPERATIONS_MAX = 5;
const HURTS_MAX = 8;

/** Times around moments 10, 20, 30 …: intervals overlap a few others. */
function timesOf(random: Prng, moment: number, mayBeOpen: boolean) {
  const calledMs = 10 * moment - random.below(15);
  return { calledMs, returnedMs: mayBeOpen && random.chance(0.3) ? undefined : 10 * moment + random.below(15) };
}

/** What a log answers to a few operations, one at each moment. */
function logHistory(random: Prng): Recorded<LogOp>[] {
  const log: (string | undefined)[] = [];
  return Array.from({ length: 2 + random.below(OPERATIONS_MAX - 1) }, (_, at): Recorded<LogOp> => {
    const kind = random.pick(['append', 'append', 'read', 'read', 'end'] as const);
    const times = timesOf(random, at, kind === 'append');
    if (kind === 'end') return { ...times, op: { kind, end: log.length + random.below(2) } };
    if (kind === 'append') {
      const isLost = times.returnedMs === undefined && random.chance(0.5);
      const value = random.chance(0.1) ? 'a' : String.fromCharCode(97 + at);
      if (log.length < SLOTS_MAX - 1 && random.chance(0.2)) log.push(undefined);
      if (!isLost) log.push(value);
      return { ...times, op: { kind, value, slot: times.returnedMs === undefined ? undefined : log.length - 1 } };
    }
    const from = random.below(log.length + 1);
    const next = random.chance(0.5) ? log.length : from + random.below(log.length - from + 1);
    const entries = log.flatMap((value, slot) =>
      value !== undefined && slot >= from && slot < next ? [{ slot, value }] : [],
    );
    return { ...times, op: { kind, from, next, entries, end: next === log.length ? next : undefined } };
  });
}

/** One operation has another answer, or another time. */
function hurtLog(history: readonly Recorded<LogOp>[], random: Prng): Recorded<LogOp>[] {
  const at = random.below(history.length);
  return history.map((each, place): Recorded<LogOp> => {
    if (place !== at) return each;
    const { op } = each;
    if (random.chance(0.4)) return { ...each, ...timesOf(random, random.below(history.length), false), op: closed(op) };
    if (op.kind === 'end') return { ...each, op: { ...op, end: random.below(op.end + 1) } };
    if (op.kind === 'append')
      return op.slot === undefined ? each : { ...each, op: { ...op, slot: random.below(SLOTS_MAX) } };
    if (random.chance(0.5)) return { ...each, op: { ...op, entries: op.entries.slice(1) } };
    return { ...each, op: { ...op, entries: op.entries.map((e) => ({ ...e, value: random.pick(['a', 'b', 'c']) })) } };
  });
}

function closed(op: LogOp): LogOp {
  return op.kind === 'append' ? { ...op, slot: op.slot ?? 0 } : op;
}

function decreeHistory(random: Prng): Recorded<DecreeOp>[] {
  let chosen: string | undefined;
  return Array.from({ length: 2 + random.below(OPERATIONS_MAX - 1) }, (_, at): Recorded<DecreeOp> => {
    const kind = random.pick(['decide', 'decide', 'look'] as const);
    const times = timesOf(random, at, kind === 'decide');
    if (kind === 'look') return { ...times, op: { kind, chosen } };
    const value = String.fromCharCode(97 + at);
    if (times.returnedMs !== undefined || random.chance(0.5)) chosen ??= value;
    return { ...times, op: { kind, value, chosen: times.returnedMs === undefined ? undefined : chosen } };
  });
}

function hurtDecree(history: readonly Recorded<DecreeOp>[], random: Prng): Recorded<DecreeOp>[] {
  const at = random.below(history.length);
  return history.map((each, place) => {
    if (place !== at || each.returnedMs === undefined) return each;
    if (random.chance(0.5)) return { ...each, ...timesOf(random, random.below(history.length), false) };
    return { ...each, op: { ...each.op, chosen: random.pick(['a', 'b', 'c']) } };
  });
}

/** Compares on many histories; returns how many were linearizable. */
function compare<Op>(
  make: (random: Prng) => readonly Recorded<Op>[],
  hurt: (history: readonly Recorded<Op>[], random: Prng) => readonly Recorded<Op>[],
  verdicts: (history: readonly Recorded<Op>[]) => { readonly checker: boolean; readonly definition: boolean },
): number {
  let right = 0;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), fc.integer({ min: 0, max: HURTS_MAX }), (seed, hurts) => {
      const random = new Prng(seed);
      let history = make(random);
      for (let i = 0; i < hurts; i++) history = hurt(history, random);
      const { checker, definition } = verdicts(history);
      if (definition) right++;
      expect({ history, linearizable: checker }).toEqual({ history, linearizable: definition });
    }),
    { numRuns: RUNS, seed: 3 },
  );
  return right;
}

describe('the checker says what the definition says', () => {
  test('of logs', () => {
    const right = compare(logHistory, hurtLog, (history) => ({
      checker: check(logModel(), placed(history)).kind === 'linearizable',
      definition: isLinearizable(history, playsLog(SLOTS_MAX + 1)),
    }));
    expect(right).toBeGreaterThan(RUNS / 4);
    expect(right).toBeLessThan((3 * RUNS) / 4);
  });

  test('of decrees', () => {
    const right = compare(decreeHistory, hurtDecree, (history) => ({
      checker: check(DECREE, history).kind === 'linearizable',
      definition: isLinearizable(history, playsDecree),
    }));
    expect(right).toBeGreaterThan(RUNS / 4);
    expect(right).toBeLessThan((3 * RUNS) / 4);
  });

  test('and a checker that forgets real time is found out by the same comparison', () => {
    expect(() =>
      compare(logHistory, hurtLog, (history) => ({
        checker:
          check(
            logModel(),
            placed(history.map((each) => ({ ...each, calledMs: 0, returnedMs: each.returnedMs && 1e6 }))),
          ).kind === 'linearizable',
        definition: isLinearizable(history, playsLog(SLOTS_MAX + 1)),
      })),
    ).toThrow('Property failed');
  });
});
