/** The two objects that Synod offers, each alone and in words of its clients: a log of values and a decree. */
import type { Model, Recorded } from './check.ts';

/** What a client asked of a log, with the answer. Values of different proposals differ. */
export type LogOp =
  /** `slot` is the answer; undefined where the outcome is unknown. */
  | { readonly kind: 'append'; readonly value: string; readonly slot: number | undefined }
  /**
   * The values of the slots from `from` up to, not including, `next`, all of which are chosen. `end`, where the answer says it: no value that
   * was acknowledged before is in that slot or above.
   */
  | {
      readonly kind: 'read';
      readonly from: number;
      readonly next: number;
      readonly end: number | undefined;
      readonly entries: readonly Shown[];
    }
  | { readonly kind: 'end'; readonly end: number };

/** A value where a read showed it. */
export interface Shown {
  readonly slot: number;
  readonly value: string;
}

/** An operation on a log for the search: an append with every slot that it can be in. */
export type PlacedOp =
  | Exclude<LogOp, { readonly kind: 'append' }>
  | { readonly kind: 'append'; readonly value: string; readonly slots: readonly number[] };

/** A log: what is below `free` is chosen for ever. Slots without a value hold no-ops, sessions and second sendings. */
export interface LogState {
  readonly free: number;
  readonly last: Place | undefined;
}

/** A value in its slot, behind all that are below it. Two logs with the same values have the same places. */
interface Place extends Shown {
  readonly id: number;
  readonly before: Place | undefined;
}

/**
 * A log as a model. Nothing is believed of an answer: the slot that it names must still be free at the moment of the append, and every
 * read must show the value there.
 */
export function logModel(): Model<LogState, PlacedOp> {
  const places = new Map<string, Place>();
  const put = (before: Place | undefined, slot: number, value: string): Place => {
    const name = `${before?.id ?? -1}/${slot}/${value}`;
    const place = places.get(name) ?? { slot, value, before, id: places.size };
    places.set(name, place);
    return place;
  };
  return {
    initial: { free: 0, last: undefined },
    key: ({ free, last }) => `${free}/${last?.id ?? -1}`,
    rank: rankOf,
    step(state, op) {
      switch (op.kind) {
        case 'append':
          return op.slots
            .filter((slot) => slot >= state.free)
            .map((slot) => ({ free: slot + 1, last: put(state.last, slot, op.value) }));
        case 'read':
          if (op.end !== undefined && endOf(state) > op.end) return [];
          // Slots that were read are chosen: no value comes to them any more.
          return isShown(state, op) ? [{ free: Math.max(state.free, op.next), last: state.last }] : [];
        case 'end':
          return endOf(state) > op.end ? [] : [state];
      }
    },
  };
}

/** Appends in order of slots, and each read before the first append that it does not show. */
function rankOf(op: PlacedOp): number {
  if (op.kind === 'append') return Math.min(...op.slots);
  return (op.kind === 'end' ? op.end : Math.max(op.next, op.end ?? 0)) - 0.5;
}

/** The slot above the last value. */
function endOf({ last }: LogState): number {
  return last === undefined ? 0 : last.slot + 1;
}

/** Whether a read shows what the log holds between its bounds, neither more nor less. */
function isShown({ last }: LogState, { from, next, entries }: Extract<PlacedOp, { kind: 'read' }>): boolean {
  let place = last;
  while (place !== undefined && place.slot >= next) place = place.before;
  for (let at = entries.length - 1; at >= 0; at--) {
    const shown = entries[at] as Shown;
    if (place?.slot !== shown.slot || place.value !== shown.value) return false;
    place = place.before;
  }
  return place === undefined || place.slot < from;
}

/**
 * A history of one log made ready for the search. An append with an unknown outcome can only be where some read shows its value. One that no
 * read shows is left out: no answer speaks of it, and it may never have happened.
 */
export function placed(history: readonly Recorded<LogOp>[]): Recorded<PlacedOp>[] {
  const slotsOf = new Map<string, Set<number>>();
  for (const { op } of history)
    if (op.kind === 'read')
      for (const { slot, value } of op.entries) slotsOf.set(value, (slotsOf.get(value) ?? new Set()).add(slot));
  return history.flatMap((each): Recorded<PlacedOp>[] => {
    const { op } = each;
    if (op.kind !== 'append') return [{ ...each, op }];
    const slots = op.slot === undefined ? [...(slotsOf.get(op.value) ?? [])] : [op.slot];
    return slots.length === 0 ? [] : [{ ...each, op: { kind: 'append', value: op.value, slots } }];
  });
}

/** What a client asked of a decree. `chosen` is the answer; undefined where the outcome is unknown or, of a look, where nothing is chosen. */
export type DecreeOp =
  | { readonly kind: 'decide'; readonly value: string; readonly chosen: string | undefined }
  | { readonly kind: 'look'; readonly chosen: string | undefined };

/** A decree: the first value that was proposed, for ever. */
export const DECREE: Model<string | undefined, DecreeOp> = {
  initial: undefined,
  key: (state) => (state === undefined ? '' : `=${state}`),
  // What was chosen comes first, and who looked too early before it.
  rank: (op) => (op.kind === 'look' ? (op.chosen === undefined ? 0 : 3) : op.value === op.chosen ? 1 : 2),
  step(state, op) {
    if (op.kind === 'look') return op.chosen === state ? [state] : [];
    const chosen = state ?? op.value;
    return op.chosen === undefined || op.chosen === chosen ? [chosen] : [];
  },
};
