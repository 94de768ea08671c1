/** `npm run mutation`: Stryker over the heart and the journal, its score by file, and the mutants that no test noticed. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { shown, summaryOf } from './summary.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STRYKER = join(ROOT, 'node_modules/@stryker-mutator/core/bin/stryker.js');
const REPORT = join(ROOT, 'results/mutation/report.json');

const HELP = `usage: npm run mutation -- [--files GLOB] [--min SCORE] [--json]

Changes the source in one small place at a time and runs the unit tests that reach it: a change that no test notices shows what is
not tested. Takes from a minute (a small file) to hours (everything), on one core.
  --files GLOB   what to change, default everything in shared/paxos and shared/journal; may be given again. A range of lines is
                 file:FROM-TO
  --min SCORE    fails below this score, in percent (default 0)
  --json         one line of JSON at the end: the counts by file, and every mutant that no test noticed
The report is written to results/mutation: report.html for people, report.json for programs.

example: npm run mutation -- --files shared/paxos/ballot.ts --files shared/paxos/acceptor.ts:100-180
exit: 0 it ran and the score is high enough, 1 it could not run or the score is too low, 2 a wrong flag`;

const FLAGS = {
  files: { type: 'string', multiple: true },
  min: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
};

function usage(message) {
  process.stderr.write(`${message}\n${HELP}\n`);
  process.exit(2);
}

function parse() {
  try {
    return parseArgs({ options: FLAGS, strict: true }).values;
  } catch (error) {
    return usage(error.message);
  }
}

/** What Stryker says on its way goes to standard error, so that standard output holds the result alone. */
async function stryker(files) {
  mkdirSync(join(ROOT, 'results/mutation'), { recursive: true });
  rmSync(REPORT, { force: true });
  const mutate = files.length === 0 ? [] : ['--mutate', files.join(',')];
  const child = spawn(process.execPath, [STRYKER, 'run', 'stryker.config.mjs', ...mutate], {
    cwd: ROOT,
    stdio: ['ignore', process.stderr, process.stderr],
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((done) => child.on('close', (code) => done(code ?? 1)));
}

async function main() {
  const { files = [], min = '0', json = false, help = false } = parse();
  if (help) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const least = Number(min);
  if (min.trim() === '' || !(least >= 0 && least <= 100)) usage(`--min takes a score from 0 to 100, not "${min}"`);
  if (!existsSync(STRYKER)) {
    process.stderr.write('Stryker is not installed; run npm ci.\n');
    return 1;
  }
  const code = await stryker(files);
  if (code !== 0 || !existsSync(REPORT)) {
    process.stderr.write('There is no result; what Stryker said about it is above.\n');
    return 1;
  }
  const summary = summaryOf(JSON.parse(readFileSync(REPORT, 'utf8')));
  if (summary.all.mutants === 0) {
    process.stderr.write(
      `There is nothing to change in ${files.join(', ')}; --files takes paths below the root of the repository.\n`,
    );
    return 1;
  }
  process.stdout.write(json ? `${JSON.stringify(summary)}\n` : shown(summary));
  if (summary.all.score >= least) return 0;
  process.stderr.write(`The score ${summary.all.score.toFixed(1)} is below --min ${min}.\n`);
  return 1;
}

process.exitCode = await main();
