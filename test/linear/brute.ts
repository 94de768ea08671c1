/**
 * The definition of linearizable, word by word, without any idea that makes it fast: every order of every set of operations that holds
 * all that returned, each told to a plain object. For histories of a few operations; it is what the checker is compared with.
 */
import type { Recorded } from './check.ts';
import type { DecreeOp, LogOp } from './models.ts';

/** A plain object: tells whether the operations, in this order, get the answers that they carry. */
export type Plays<Op> = (order: readonly Op[]) => boolean;

export function isLinearizable<Op>(history: readonly Recorded<Op>[], plays: Plays<Op>): boolean {
  const optional = history.filter(({ returnedMs }) => returnedMs === undefined);
  const sure = history.filter(({ returnedMs }) => returnedMs !== undefined);
  for (let some = 0; some < 2 ** optional.length; some++) {
    const chosen = [...sure, ...optional.filter((_, at) => ((some >> at) & 1) === 1)];
    for (const order of orders(chosen)) if (isInTime(order) && plays(order.map(({ op }) => op))) return true;
  }
  return false;
}

function* orders<T>(items: readonly T[]): Generator<readonly T[]> {
  if (items.length === 0) yield [];
  for (const [at, first] of items.entries())
    for (const rest of orders([...items.slice(0, at), ...items.slice(at + 1)])) yield [first, ...rest];
}

/** Nobody comes before one that had returned when it was called. */
function isInTime(order: readonly Recorded<unknown>[]): boolean {
  return order.every((one, at) =>
    order.slice(at + 1).every((later) => !((later.returnedMs ?? Infinity) < one.calledMs)),
  );
}

/** A log as an array. What a slot without a value holds is nobody's business; an append of unknown outcome takes any free slot below `slotsMax`. */
export function playsLog(slotsMax: number): Plays<LogOp> {
  const plays = (order: readonly LogOp[], log: readonly (string | undefined)[]): boolean => {
    const [op, ...rest] = order;
    if (op === undefined) return true;
    switch (op.kind) {
      case 'append': {
        const slots = op.slot === undefined ? Array.from({ length: slotsMax }, (_, slot) => slot) : [op.slot];
        return slots.some((slot) => slot >= log.length && plays(rest, filled(log, slot, op.value)));
      }
      case 'read': {
        const shown = log.flatMap((value, slot) =>
          value !== undefined && slot >= op.from && slot < op.next ? [`${slot}=${value}`] : [],
        );
        const said = op.entries.map(({ slot, value }) => `${slot}=${value}`);
        const isBelow = op.end === undefined || lengthOf(log) <= op.end;
        return isBelow && shown.join() === said.join() && plays(rest, filled(log, op.next - 1, undefined));
      }
      case 'end':
        return lengthOf(log) <= op.end && plays(rest, log);
    }
  };
  return (order) => plays(order, []);
}

/** The log with a value in a slot; slots in between hold none. */
function filled(log: readonly (string | undefined)[], slot: number, value: string | undefined): (string | undefined)[] {
  const after = [...log];
  while (after.length <= slot) after.push(undefined);
  if (value !== undefined) after[slot] = value;
  return after;
}

function lengthOf(log: readonly (string | undefined)[]): number {
  return log.findLastIndex((value) => value !== undefined) + 1;
}

/** A decree as a variable. */
export const playsDecree: Plays<DecreeOp> = (order) => {
  let value: string | undefined;
  for (const op of order) {
    if (op.kind === 'decide') value ??= op.value;
    if ((op.kind === 'look' || op.chosen !== undefined) && op.chosen !== value) return false;
  }
  return true;
};
