/** Finds a short history that still fails: leaves out parts of a plan, half of them at first and single ones in the end. */
import type { Part, Plan } from './plan.ts';
import { runPlan } from './world.ts';

export interface Short {
  /** Numbers of the parts that are left. */
  readonly keep: readonly number[];
  readonly parts: readonly Part[];
  /** What it fails with. */
  readonly violation: string;
  /** Runs that it took. */
  readonly runs: number;
}

/** Says how a plan fails with some of its parts, undefined when it does not. */
export type Fails = (keep: readonly number[]) => Promise<string | undefined>;

/** `R2`, `agreement`, `liveness`: which rule a violation is of. A shorter history must break the same. */
function ruleOf(violation: string): string {
  return violation.replace(/^Violation: /, '').split(':')[0] ?? '';
}

/**
 * Shortens a plan that fails with `violation`. Ends when nothing can be left out any more, or `isOver` says so. `fails`: default,
 * runs the plan.
 */
export async function minimise(
  plan: Plan,
  violation: string,
  isOver: () => boolean,
  fails: Fails = async (keep) => (await runPlan(plan, { keep })).violation,
): Promise<Short> {
  const rule = ruleOf(violation);
  let keep = plan.parts.map((_, number) => number);
  let said = violation;
  let runs = 0;
  let pieces = 2;
  while (keep.length > 0 && !isOver()) {
    const size = Math.ceil(keep.length / pieces);
    let isShorter = false;
    for (let from = 0; from < keep.length && !isOver();) {
      const rest = [...keep.slice(0, from), ...keep.slice(from + size)];
      runs++;
      const says = await fails(rest);
      if (says !== undefined && ruleOf(says) === rule) {
        keep = rest;
        said = says;
        isShorter = true;
      } else from += size;
    }
    if (size === 1 && !isShorter) break;
    if (!isShorter) pieces = Math.min(keep.length, 2 * pieces);
  }
  return { keep, parts: keep.map((number) => plan.parts[number] as Part), violation: said, runs };
}
