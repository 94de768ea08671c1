/** `npm run sim -- --seeds N [--from S] | --seed S [--trace] [--json]`: try to break the machines, one seed after the other. */
import { simulate, type SimResult } from './world.ts';

interface Options {
  from: number;
  seeds: number;
  trace: boolean;
  json: boolean;
  keepGoing: boolean;
}

const HELP = `usage: npm run sim -- [--seeds N] [--from S] [--seed S] [--trace] [--json] [--keep-going]

Runs whole clusters of the shipped machines in virtual time under faults drawn from a seed, and watches them from outside.
  --seeds N     how many seeds to run (default 200)
  --from S      the first of them (default 1)
  --seed S      one seed alone, with --trace to see what happened
  --keep-going  do not stop at the first violation
  --json        one line of JSON at the end

example: npm run sim -- --seed 42 --trace
exit: 0 nothing was broken, 1 a violation, 2 a wrong flag`;

function parse(args: readonly string[]): Options {
  const options: Options = { from: 1, seeds: 200, trace: false, json: false, keepGoing: false };
  const whole = (flag: string, text: string | undefined): number => {
    const n = Number(text);
    if (text === undefined || text === '' || !Number.isInteger(n) || n < 0)
      usage(`${flag} takes a whole number, not "${text ?? ''}"`);
    return n;
  };
  for (let i = 0; i < args.length; i++) {
    const flag = args[i];
    if (flag === '--seeds') options.seeds = whole(flag, args[++i]);
    else if (flag === '--from') options.from = whole(flag, args[++i]);
    else if (flag === '--seed') Object.assign(options, { from: whole(flag, args[++i]), seeds: 1 });
    else if (flag === '--trace') options.trace = true;
    else if (flag === '--json') options.json = true;
    else if (flag === '--keep-going') options.keepGoing = true;
    else if (flag === '--help') {
      process.stdout.write(`${HELP}\n`);
      process.exit(0);
    } else usage(`unknown flag ${String(flag)}`);
  }
  return options;
}

function usage(message: string): never {
  process.stderr.write(`${message}\n${HELP}\n`);
  process.exit(2);
}

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  const began = performance.now();
  const coverage: Record<string, number> = {};
  const violations: SimResult[] = [];
  let done = 0;
  let chosen = 0;
  for (let seed = options.from; seed < options.from + options.seeds; seed++) {
    const trace = options.trace ? { trace: (line: string) => void process.stdout.write(`${line}\n`) } : {};
    const result = await simulate(seed, trace);
    done++;
    chosen += result.chosen;
    for (const [what, count] of Object.entries(result.coverage)) coverage[what] = (coverage[what] ?? 0) + count;
    if (result.violation !== undefined) {
      violations.push(result);
      if (!options.json)
        process.stderr.write(
          `seed ${String(seed)}: ${result.violation}\n  repeat: npm run sim -- --seed ${String(seed)} --trace\n`,
        );
      if (!options.keepGoing) break;
    }
    if (!options.json && done % 100 === 0)
      process.stderr.write(
        `${String(done)} seeds, ${(done / ((performance.now() - began) / 1000)).toFixed(1)} a second\n`,
      );
  }
  const seconds = (performance.now() - began) / 1000;
  if (options.json) process.stdout.write(`${JSON.stringify({ seeds: done, chosen, seconds, violations, coverage })}\n`);
  else {
    for (const [what, count] of Object.entries(coverage).sort(([a], [b]) => (a < b ? -1 : 1)))
      process.stdout.write(`  ${what.padEnd(34)} ${String(count)}\n`);
    process.stdout.write(
      `${String(done)} seeds in ${seconds.toFixed(1)} s, ${String(chosen)} slots chosen, ${String(violations.length)} violations\n`,
    );
  }
  return violations.length === 0 ? 0 : 1;
}

process.exitCode = await main();
