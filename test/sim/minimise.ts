/** Finds a short history that still fails: leaves out parts of a plan, half of them at first and single ones in the end. */
import { drawPlan, type Part } from './plan.ts';
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

/** `R2`, `agreement`, `liveness`: which rule a violation is of. A shorter history must break the same. */
export function ruleOf(violation: string): string {
  return violation.replace(/^Violation: /, '').split(':')[0] ?? '';
}

/**
 * Shortens the plan of a seed that failed with `violation`. Ends when nothing can be left out any more, or `isOver` says so.
 */
export async function minimise(seed: number, violation: string, isOver: () => boolean): Promise<Short> {
  const plan = drawPlan(seed);
  const rule = ruleOf(violation);
  let keep = plan.parts.map((_, number) => number);
  let said = violation;
  let runs = 0;
  const fails = async (candidate: readonly number[]): Promise<boolean> => {
    runs++;
    const result = await runPlan(plan, { keep: candidate });
    if (result.violation === undefined || ruleOf(result.violation) !== rule) return false;
    said = result.violation;
    return true;
  };
  let pieces = 2;
  while (keep.length > 0 && !isOver()) {
    const size = Math.ceil(keep.length / pieces);
    let isShorter = false;
    for (let from = 0; from < keep.length && !isOver();) {
      const rest = [...keep.slice(0, from), ...keep.slice(from + size)];
      if (await fails(rest)) {
        keep = rest;
        isShorter = true;
      } else from += size;
    }
    if (size === 1 && !isShorter) break;
    if (!isShorter) pieces = Math.min(keep.length, 2 * pieces);
  }
  return { keep, parts: keep.map((number) => plan.parts[number] as Part), violation: said, runs };
}
