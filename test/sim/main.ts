/** `npm run sim -- …`: try to break the machines, seed after seed. See HELP. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { messageOf } from '../../shared/base/errors.ts';
import { Batch, type BatchResult } from './batch.ts';
import { COVERED_FROM_SEEDS } from './coverage.ts';
import { minimise } from './minimise.ts';
import { describe, drawPlan } from './plan.ts';
import { plantAll } from './planting.ts';
import { runPlan } from './world.ts';

const HELP = `usage: npm run sim -- [--seeds N] [--from S] | --seed S [--keep 3,7] [--trace] | --planted

Runs whole clusters of the shipped machines in virtual time under faults drawn from a seed, and watches them from outside.
  --seeds N        how many seeds to run (default 200)
  --from S         the first of them (default 1)
  --workers N      processes that run them (default: one for each core)
  --keep-going     do not stop at the first violation
  --minimise S     seconds spent on shortening the history of a violation (default 30)
  --seed S         one seed alone; it prints its plan
  --keep 3,7,9     with --seed: only these parts of its plan
  --trace          with --seed: everything that happened
  --planted        plant one fault after the other into the shipped source, and say how many seeds it takes to find each
  --seeds-max N    with --planted: seeds for each fault (default 400)
  --json           one line of JSON at the end, and nothing else on standard output
  --out FILE       write that JSON to a file

example: npm run sim -- --seeds 1000 --out sim.json
exit: 0 nothing was broken, 1 a violation (or a planted fault was not found), 2 a wrong flag,
      3 of ${String(COVERED_FROM_SEEDS)} seeds or more none met something that they must meet now and then, so they count as not run`;

function usage(message: string): never {
  process.stderr.write(`${message}\n${HELP}\n`);
  process.exit(2);
}

function readFlags(): ReturnType<typeof parseFlags> {
  try {
    return parseFlags();
  } catch (error) {
    return usage(messageOf(error));
  }
}

function parseFlags(): {
  seeds: number;
  from: number;
  workers: number;
  seed: number | undefined;
  keep: number[] | undefined;
  minimiseMs: number;
  seedsMax: number;
  flags: { keepGoing: boolean; trace: boolean; planted: boolean; json: boolean; help: boolean };
  out: string | undefined;
} {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    options: {
      ...{ seeds: text, from: text, workers: text, seed: text, keep: text, minimise: text, 'seeds-max': text },
      ...{ 'keep-going': flag, trace: flag, planted: flag, json: flag, help: flag, out: text },
    },
  });
  const whole = (name: string, value: string | undefined, otherwise: number): number => {
    if (value === undefined) return otherwise;
    if (!/^\d+$/.test(value)) usage(`--${name} takes a whole number, not "${value}"`);
    return Number(value);
  };
  return {
    seeds: whole('seeds', values.seeds, 200),
    from: whole('from', values.from, 1),
    workers: whole('workers', values.workers, availableParallelism()),
    seed: values.seed === undefined ? undefined : whole('seed', values.seed, 0),
    keep: values.keep?.split(',').map((number) => whole('keep', number, 0)),
    minimiseMs: 1_000 * whole('minimise', values.minimise, 30),
    seedsMax: whole('seeds-max', values['seeds-max'], 400),
    flags: {
      keepGoing: values['keep-going'],
      trace: values.trace,
      planted: values.planted,
      json: values.json,
      help: values.help,
    },
    out: values.out,
  };
}

const options = readFlags();
const say = (line: string): void => {
  if (!options.flags.json) process.stdout.write(`${line}\n`);
};

/** The commit that is run, where there is one. */
function commit(): string | undefined {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined; // not a checkout, or no git
  }
}

function give(result: object): void {
  const json = JSON.stringify({ commit: commit(), ...result });
  if (options.flags.json) process.stdout.write(`${json}\n`);
  if (options.out !== undefined) writeFileSync(options.out, `${json}\n`);
}

/** Shortens the history of a violation and prints it. */
async function explain(seed: number, violation: string): Promise<object> {
  const until = performance.now() + options.minimiseMs;
  const short = await minimise(drawPlan(seed), violation, () => performance.now() > until);
  const repeat = `npm run sim -- --seed ${String(seed)} --keep ${short.keep.join(',')} --trace`;
  say(`\nseed ${String(seed)}: ${violation}`);
  say(`  commit ${commit() ?? 'unknown'}; the shortest history that still fails, after ${String(short.runs)} runs:`);
  for (const [i, part] of short.parts.entries()) say(`    ${String(short.keep[i]).padStart(4)}  ${describe(part)}`);
  say(`  it ends in: ${short.violation}`);
  say(`  repeat: ${repeat}`);
  return { seed, violation, keep: short.keep, parts: short.parts, shortViolation: short.violation, repeat };
}

async function one(seed: number): Promise<number> {
  const plan = drawPlan(seed);
  const { keep } = options;
  if (!options.flags.trace) {
    say(JSON.stringify(plan.setup));
    for (const [number, part] of plan.parts.entries())
      if (keep === undefined || keep.includes(number)) say(`${String(number).padStart(4)}  ${describe(part)}`);
  }
  const trace = options.flags.trace ? { trace: say } : {};
  const result = await runPlan(plan, { ...trace, ...(keep === undefined ? {} : { keep }) });
  say(
    `seed ${String(seed)}: ${result.violation ?? 'nothing was broken'}; ${String(result.chosen)} slots chosen, ` +
      `${String(result.answered)} answers, ${String(result.reads)} reads, ${String(result.virtualMs)} virtual ms`,
  );
  give(result);
  return result.violation === undefined ? 0 : 1;
}

function progressLine({ seeds, seconds, violations, holes }: BatchResult): string {
  const missing =
    holes.length === 0 ? 'all covered' : `${String(holes.length)} not met: ${holes.slice(0, 3).join(', ')}`;
  return `${String(seeds)} of ${String(options.seeds)} seeds, ${(seeds / seconds).toFixed(1)} a second, ${String(violations.length)} violations, ${missing}`;
}

async function many(): Promise<number> {
  const { seeds, from, workers } = options;
  let saidAt = 0;
  let told = 0;
  const onProgress = (progress: BatchResult): void => {
    if (options.flags.json) return;
    // A violation is told at once; the end, which may be far, explains it.
    if (progress.violations.length > told)
      process.stderr.write(
        `broken so far: ${progress.violations.map(({ seed }) => `seed ${String(seed)}`).join(', ')}\n`,
      );
    told = progress.violations.length;
    if (progress.seconds - saidAt < 5) return;
    saidAt = progress.seconds;
    process.stderr.write(`${progressLine(progress)}\n`);
  };
  const { keepGoing } = options.flags;
  const result = await new Batch({ seeds, from, workers, keepGoing, onProgress }).run();
  const { violations, coverage, holes, seconds } = result;
  for (const [what, count] of Object.entries(coverage).sort(([a], [b]) => (a < b ? -1 : 1)))
    say(`  ${what.padEnd(38)} ${String(count)}`);
  const explained: object[] = [];
  for (const [i, { seed, violation }] of violations.entries()) {
    if (i < 3 && options.minimiseMs > 0) explained.push(await explain(seed, violation));
    else say(`seed ${String(seed)}: ${violation}\n  repeat: npm run sim -- --seed ${String(seed)} --trace`);
  }
  for (const hole of holes) say(`never happened: ${hole}`);
  say(
    `${String(result.seeds)} seeds from ${String(from)} in ${seconds.toFixed(1)} s (${(result.seeds / seconds).toFixed(1)} a second), ` +
      `${String(result.chosen)} slots chosen, ${String(result.answered)} answers, ${String(result.reads)} reads, ${String(violations.length)} violations`,
  );
  const isNotRun = holes.length > 0 && result.seeds >= COVERED_FROM_SEEDS;
  if (isNotRun) say('what never happened was not tested: these seeds count as not run');
  give({ from, ...result, explained });
  return violations.length > 0 ? 1 : isNotRun ? 3 : 0;
}

async function planted(): Promise<number> {
  const found = await plantAll({
    seedsMax: options.seedsMax,
    workers: options.workers,
    onFound: (row) => {
      say(row);
    },
  });
  const missed = found.filter((each) => each.violation === undefined);
  say(
    `${String(found.length)} faults planted, ${String(missed.length)} not found within ${String(options.seedsMax)} seeds`,
  );
  give({ planted: found });
  return missed.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  if (options.flags.help) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  if (options.flags.planted) return planted();
  return options.seed === undefined ? many() : one(options.seed);
}

process.exitCode = await main();
