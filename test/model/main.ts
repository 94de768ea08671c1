/** `npm run model`: every state of small worlds that are made of the shipped machines. */
import { makeCopy } from './copy.ts';
import { PLANTED_IN_MODEL } from './planted.ts';
import type * as Run from './run.ts';

type Report = Run.Report;

const HELP = `usage: npm run model -- [--world NAME] [--all] [--fault TEXT] [--max-states N] [--no-symmetry] [--json] [--list]

Searches every state of small worlds: the shipped proposers, acceptors and learners, with every order, loss and duplication of
messages, every timeout, and crashes. A violation is shown with a shortest history.
  --world NAME     this world alone; may be given again
  --all            the large worlds too, which take long
  --fault TEXT     plants the mistake whose name begins with the text: a violation must be found (negative control)
  --max-states N   ends a world that has more states (default 20000000)
  --no-symmetry    keeps states apart that differ only in the order of the acceptors
  --compare        counts the images of world tiny that the public model MCPaxosTiny has
  --list           names the worlds and the faults
  --json           one line of JSON at the end

example: npm run model -- --world basic --fault "a vote below"
exit: 0 nothing was broken, 1 a violation, 2 a wrong flag, 3 not exhausted, or something that should happen never did`;

interface Options {
  worlds: string[];
  all: boolean;
  fault: string | undefined;
  statesMax: number;
  symmetry: boolean;
  compare: boolean;
  list: boolean;
  json: boolean;
}

function usage(message: string): never {
  process.stderr.write(`${message}\n${HELP}\n`);
  process.exit(2);
}

function parse(args: readonly string[]): Options {
  const options: Options = {
    worlds: [],
    all: false,
    fault: undefined,
    statesMax: 20_000_000,
    symmetry: true,
    compare: false,
    list: false,
    json: false,
  };
  for (let i = 0; i < args.length; i++) {
    const flag = args[i];
    const value = (): string => args[++i] ?? usage(`${String(flag)} takes a value`);
    if (flag === '--world') options.worlds.push(value());
    else if (flag === '--all') options.all = true;
    else if (flag === '--fault') options.fault = value();
    else if (flag === '--max-states') options.statesMax = whole(flag, value());
    else if (flag === '--no-symmetry') options.symmetry = false;
    else if (flag === '--compare') options.compare = true;
    else if (flag === '--list') options.list = true;
    else if (flag === '--json') options.json = true;
    else if (flag === '--help') {
      process.stdout.write(`${HELP}\n`);
      process.exit(0);
    } else usage(`unknown flag ${String(flag)}`);
  }
  return options;
}

function whole(flag: string, text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) usage(`${flag} takes a whole number above 0, not "${text}"`);
  return n;
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}

function tell(report: Report): void {
  const { states, depth, moves, locals, messages, seconds, violation, never, met } = report;
  const rate = Math.round(states / Math.max(seconds, 0.001));
  const print = (line: string): boolean => process.stdout.write(`${line}\n`);
  print(
    `${report.world}: ${count(states)} states, depth ${depth}, ${count(moves)} moves, ${count(locals)} states of single nodes, ` +
      `${count(messages)} messages, ${seconds.toFixed(1)} s, ${count(rate)} states a second${report.isExhausted ? '' : ', not exhausted'}`,
  );
  for (const [what, after] of Object.entries(met).sort((a, b) => a[1] - b[1]))
    print(`  sometimes  ${what.padEnd(44)} after ${after} moves`);
  if (violation !== undefined) print(`  VIOLATION  ${violation.complaint}\n${violation.trace.join('\n')}`);
  else for (const what of never) print(`  NEVER      ${what}`);
}

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  const { fault } = options;
  const planted = fault === undefined ? undefined : PLANTED_IN_MODEL.find((f) => f.name.startsWith(fault));
  if (fault !== undefined && planted === undefined) usage(`no planted fault begins with "${fault}"; see --list`);
  const copy = makeCopy(planted);
  process.on('exit', copy.remove);
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  const { WORLDS, run, compare } = (await import(`${copy.folder}/test/model/run.js`)) as typeof Run;
  if (options.list) {
    for (const world of WORLDS)
      process.stdout.write(`${world.name.padEnd(24)} ${world.about}${world.isLarge ? ' (--all)' : ''}\n`);
    for (const { name, world } of PLANTED_IN_MODEL) process.stdout.write(`fault, world ${world.padEnd(20)} ${name}\n`);
    return 0;
  }
  if (options.compare) {
    const { images, common, known, result } = await compare();
    process.stdout.write(
      `${count(result.states)} states of world tiny without symmetry are ${count(images)} sets of messages; ` +
        `${count(common)} without promises that were answered again, MCPaxosTiny has ${count(known)}\n`,
    );
    return common === known ? 0 : 1;
  }
  for (const name of options.worlds)
    if (!WORLDS.some((world) => world.name === name)) usage(`there is no world "${name}"; see --list`);
  const wanted = options.worlds.length > 0 ? options.worlds : planted === undefined ? undefined : [planted.world];
  const worlds = WORLDS.filter((w) => wanted?.includes(w.name) ?? (options.all || !w.isLarge));
  const reports: Report[] = [];
  const elapsed = (): number => performance.now() / 1_000;
  for (const world of worlds) {
    const began = elapsed();
    const report = await run(
      world.name,
      {
        statesMax: options.statesMax,
        symmetry: options.symmetry,
        onProgress: ({ states, depth, frontier }) => {
          const rate = Math.round(states / (elapsed() - began));
          process.stderr.write(
            `${world.name}: ${count(states)} states, depth ${depth}, ${count(frontier)} to go on from, ${count(rate)} a second\n`,
          );
        },
      },
      elapsed,
    );
    reports.push(report);
    if (!options.json) tell(report);
    if (report.violation !== undefined) break;
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ fault: planted?.name, reports })}\n`);
  if (reports.some((report) => report.violation !== undefined)) return 1;
  return reports.every((report) => report.isExhausted && report.never.length === 0) ? 0 : 3;
}

process.exitCode = await main();
