/**
 * Judges a run from outside: what clients were told, against what every learner shows. It knows nothing of ballots, leaders or
 * faults; whatever was killed or cut off meanwhile, these sentences must hold.
 */
import type { Outcome } from '../../shared/base/errors.ts';

/** What a client was told about its proposal. */
export type Told =
  | { readonly kind: 'chosen'; readonly slot: number }
  | { readonly kind: 'failed'; readonly outcome: Outcome; readonly message: string };

/** One proposal as its client saw it. Values of different proposals differ. */
export interface Operation {
  readonly value: string;
  /** Milliseconds on one clock for the whole history. */
  readonly beganMs: number;
  readonly endedMs: number;
  readonly told: Told;
}

/** One slot as a learner shows it. */
export interface Learned {
  readonly slot: number;
  readonly kind: string;
  readonly effect: string;
  /** Who proposed it: client, session and number. */
  readonly id: string;
  readonly value: string;
}

export interface LearnedLog {
  readonly learner: number;
  /** Every slot from 0 on, no-ops, duplicates and sessions included. */
  readonly entries: readonly Learned[];
}

export interface History {
  readonly operations: readonly Operation[];
  readonly logs: readonly LearnedLog[];
}

/** Every sentence that the history breaks; empty when it is in order. */
export function faultsOf({ operations, logs }: History): string[] {
  return [
    ...(logs.length === 0 ? ['no learner was read'] : []),
    ...logs.flatMap(gaps),
    ...logs.slice(1).flatMap((log) => disagreements(logs[0] as LearnedLog, log)),
    ...logs.flatMap((log) => effects(operations, log)),
    ...disorder(operations),
  ];
}

/** R11: slots are applied in order, without gaps. */
function gaps({ learner, entries }: LearnedLog): string[] {
  const at = entries.findIndex(({ slot }, place) => slot !== place);
  return at === -1 ? [] : [`learner ${learner} shows slot ${(entries[at] as Learned).slot} where slot ${at} belongs`];
}

/** R11: all learners show the same, slot by slot. */
function disagreements(one: LearnedLog, other: LearnedLog): string[] {
  const names = `learners ${one.learner} and ${other.learner}`;
  const faults =
    one.entries.length === other.entries.length
      ? []
      : [`${names} show ${one.entries.length} and ${other.entries.length} slots`];
  for (const [at, a] of one.entries.entries()) {
    const b = other.entries[at];
    if (b !== undefined && !isSame(a, b)) faults.push(`${names} differ: ${JSON.stringify(a)}, ${JSON.stringify(b)}`);
  }
  return faults;
}

function isSame(a: Learned, b: Learned): boolean {
  return a.slot === b.slot && a.kind === b.kind && a.effect === b.effect && a.id === b.id && a.value === b.value;
}

/** R12: what was acknowledged has its one effect where the answer says; what failed with outcome none has none; nothing has two. */
function effects(operations: readonly Operation[], { learner, entries }: LearnedLog): string[] {
  const faults: string[] = [];
  const slotsOf = new Map<string, number[]>(operations.map(({ value }) => [value, []]));
  for (const { slot, kind, effect, value } of entries) {
    if (kind !== 'proposal' || effect !== 'applied') continue;
    const slots = slotsOf.get(value);
    if (slots === undefined) faults.push(`learner ${learner} shows ${value} in slot ${slot}, which nobody proposed`);
    else slots.push(slot);
  }
  for (const { value, told } of operations) {
    const slots = slotsOf.get(value) ?? [];
    const shown = `learner ${learner} shows ${value} in ${slots.length === 0 ? 'no slot' : `slot ${slots.join(', ')}`}`;
    if (slots.length > 1) faults.push(`${shown}: it took effect twice`);
    if (told.kind === 'chosen' && slots[0] !== told.slot)
      faults.push(`${shown}; it was acknowledged in slot ${told.slot}`);
    if (told.kind === 'failed' && told.outcome === 'none' && slots.length > 0)
      faults.push(`${shown}; its client was told that it had no effect: ${told.message}`);
  }
  return faults;
}

/** What began after another was acknowledged comes behind it: the order of a log never contradicts real time. */
function disorder(operations: readonly Operation[]): string[] {
  const chosen = operations.flatMap((each) => (each.told.kind === 'chosen' ? [{ ...each, slot: each.told.slot }] : []));
  const ended = [...chosen].sort((a, b) => a.endedMs - b.endedMs);
  const faults: string[] = [];
  let greatest: (typeof chosen)[number] | undefined;
  let at = 0;
  for (const each of [...chosen].sort((a, b) => a.beganMs - b.beganMs)) {
    for (let next = ended[at]; next !== undefined && next.endedMs < each.beganMs; next = ended[++at])
      if (greatest === undefined || next.slot > greatest.slot) greatest = next;
    if (greatest !== undefined && greatest.slot >= each.slot)
      faults.push(
        `${each.value} is in slot ${each.slot}, and began after ${greatest.value} was acknowledged in slot ${greatest.slot}`,
      );
  }
  return faults;
}
