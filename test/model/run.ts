/** Runs inside of the copy: searches one world, and tells what came of it. */
import { compare as compareTiny, TLA_PAXOS_TINY, type Comparison } from './known.ts';
import { Search, type Progress, type Result } from './search.ts';
import { describe } from './trace.ts';
import type { World } from './world.ts';
import { WORLDS } from './worlds.ts';

export interface Report extends Omit<Result, 'met' | 'violation'> {
  readonly world: string;
  readonly seconds: number;
  readonly met: Readonly<Record<string, number>>;
  /** What should have happened sometimes, and never did. */
  readonly never: readonly string[];
  readonly violation: { readonly complaint: string; readonly trace: readonly string[] } | undefined;
}

export interface RunOptions {
  readonly statesMax: number;
  readonly symmetry: boolean;
  readonly onProgress: (progress: Progress) => void;
}

export { WORLDS };

/** Compares the world `tiny` with the public model. */
export async function compare(): Promise<Comparison & { known: number }> {
  return { ...(await compareTiny(worldOf('tiny'))), known: TLA_PAXOS_TINY };
}

function worldOf(name: string): World {
  const world = WORLDS.find((w) => w.name === name);
  if (world === undefined) throw new Error(`there is no world "${name}"`);
  return world;
}

/** Searches the world of that name. `elapsed` gives seconds. */
export async function run(name: string, options: RunOptions, elapsed: () => number): Promise<Report> {
  const world = worldOf(name);
  const began = elapsed();
  const search = new Search(world, options);
  const { met, violation, ...rest } = await search.run();
  return {
    world: name,
    ...rest,
    seconds: elapsed() - began,
    met: Object.fromEntries(met),
    never: world.sometimes.filter((what) => !met.has(what)),
    violation:
      violation === undefined
        ? undefined
        : { complaint: violation.complaint, trace: await describe(search, violation.moves) },
  };
}
