/**
 * Judges a run by what clients were told and what every learner shows at the end: what was acknowledged is there once, where the answer
 * said; learners agree; what failed with outcome none is not there; and each history is linearizable. It knows nothing of faults.
 */
import { faultsOf } from '../e2e/history.ts';
import type { Learned, Operation } from '../e2e/history.ts';
import { check } from '../linear/check.ts';
import type { Recorded, Verdict } from '../linear/check.ts';
import { DECREE, logModel, placed } from '../linear/models.ts';
import type { DecreeOp, LogOp } from '../linear/models.ts';
import type { DecreeHistory, History, LogHistory } from './history.ts';

/** What one learner shows of all logs when nothing is hurt any more. A log that it does not know is not there. */
export interface Copy {
  readonly learner: number;
  readonly logs: ReadonlyMap<string, readonly Learned[]>;
}

export interface Judgement {
  /** Sentences; empty when all is in order. */
  readonly violations: readonly string[];
  /** Histories that were searched for an order, the operations in them, and the states that it took. */
  readonly histories: number;
  readonly operations: number;
  readonly states: number;
}

export function verify(history: History, copies: readonly Copy[]): Judgement {
  const violations = [
    ...(copies.length === 0 ? ['no learner was read'] : []),
    ...history.oddities.map((text) => `a client was told what no client should be told: ${text}`),
  ];
  const count = { histories: 0, operations: 0, states: 0 };
  const judge = <Op>(log: string, operations: readonly Recorded<unknown>[], verdict: Verdict<Op>): void => {
    count.histories++;
    count.operations += operations.length;
    count.states += verdict.states;
    if (verdict.kind === 'broken')
      violations.push(
        `${log} is not linearizable: after ${verdict.done} of ${operations.length} operations none of these can be next: ` +
          verdict.stuck
            .slice(0, 5)
            .map((op) => JSON.stringify(op))
            .join(' '),
      );
    if (verdict.kind === 'given up')
      violations.push(`${log} could not be judged: the search was given up after ${verdict.states} states`);
  };
  for (const each of history.logs.values()) {
    violations.push(...logFaults(each, copies));
    judge(each.log, each.operations, check(logModel(), placed([...each.operations, ...finalReads(each.log, copies)])));
  }
  for (const each of history.decrees.values()) {
    violations.push(...decreeFaults(each, copies));
    judge(each.log, each.operations, check(DECREE, [...each.operations, ...finalLooks(each.log, copies)]));
  }
  return { violations, ...count };
}

/** One log against every learner's copy, sentence by sentence. */
function logFaults({ log, operations, refused }: LogHistory, copies: readonly Copy[]): string[] {
  const told: Operation[] = operations.flatMap(({ op, calledMs, returnedMs }): Operation[] => {
    if (op.kind !== 'append') return [];
    const times = { value: op.value, beganMs: calledMs, endedMs: returnedMs ?? Infinity };
    if (op.slot !== undefined) return [{ ...times, told: { kind: 'chosen', slot: op.slot } }];
    return [{ ...times, told: { kind: 'failed', outcome: 'unknown', message: '' } }];
  });
  for (const { value, message } of refused)
    told.push({ value, beganMs: 0, endedMs: 0, told: { kind: 'failed', outcome: 'none', message } });
  const logs = copies.map(({ learner, logs: all }) => ({ learner, entries: all.get(log) ?? [] }));
  return faultsOf({ operations: told, logs }).map((text) => `${log}: ${text}`);
}

/** One decree: all who were answered, and all learners, have one value, which somebody proposed. */
function decreeFaults({ log, operations, refused, wrongOwners }: DecreeHistory, copies: readonly Copy[]): string[] {
  const faults = [...wrongOwners];
  const proposed = new Set(operations.flatMap(({ op }) => (op.kind === 'decide' ? [op.value] : [])));
  const answers = new Set(operations.flatMap(({ op }) => op.chosen ?? []));
  const isAnswered = answers.size > 0;
  for (const { learner, logs } of copies) {
    const entries = logs.get(log) ?? [];
    if (entries.length > 1) faults.push(`learner ${learner} shows ${entries.length} slots of a decree`);
    const value = entries[0]?.value;
    if (value === undefined && isAnswered) faults.push(`learner ${learner} shows no value, and clients were told one`);
    if (value === undefined) continue;
    answers.add(value);
    if (!proposed.has(value)) faults.push(`learner ${learner} shows ${value}, which nobody proposed`);
    for (const each of refused)
      if (each.value === value)
        faults.push(`learner ${learner} shows ${value}; its client was told that it had no effect: ${each.message}`);
  }
  if (answers.size > 1) faults.push(`it has ${answers.size} values: ${[...answers].join(', ')}`);
  return faults.map((text) => `${log}: ${text}`);
}

/** Later than everything: the copies were read when all clients had ended. */
const LAST_MS = Number.MAX_SAFE_INTEGER;

/** What learners show at the end, as reads of the whole log. */
function finalReads(log: string, copies: readonly Copy[]): Recorded<LogOp>[] {
  return copies.map(({ logs }) => {
    const all = logs.get(log) ?? [];
    const entries = all.filter(({ kind, effect }) => kind === 'proposal' && effect === 'applied');
    return {
      op: { kind: 'read', from: 0, next: all.length, end: all.length, entries },
      ...{ calledMs: LAST_MS, returnedMs: LAST_MS },
    };
  });
}

function finalLooks(log: string, copies: readonly Copy[]): Recorded<DecreeOp>[] {
  return copies.map(({ logs }) => ({
    op: { kind: 'look', chosen: logs.get(log)?.[0]?.value },
    ...{ calledMs: LAST_MS, returnedMs: LAST_MS },
  }));
}
