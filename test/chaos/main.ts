/** `npm run chaos`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { messageOf } from '../../shared/base/errors.ts';
import type { Moment, Outcome } from './history.ts';
import { hasOwnNetwork, inOwnNetwork, whyNoOwnNetwork } from './network.ts';
import { HELP, readOptions } from './options.ts';
import type { ChaosOptions } from './options.ts';
import { page } from './page.ts';
import { report } from './report.ts';
import { bucketsOf } from './result.ts';
import type { ChaosResult } from './result.ts';
import { run } from './run.ts';
import type { Run } from './run.ts';

/** Columns of the timeline. */
const BUCKETS = 240;

const say = (line: string): void => {
  console.error(line);
};

async function main(): Promise<number> {
  let options: ChaosOptions | 'help';
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    say(`chaos: ${messageOf(error)}\n\n${HELP}`);
    return 2;
  }
  if (options === 'help') {
    console.log(HELP);
    return 0;
  }
  const noNetwork = hasOwnNetwork() ? undefined : whyNoOwnNetwork();
  if (noNetwork === undefined && !hasOwnNetwork()) return inOwnNetwork();
  const abort = new AbortController();
  if (hasOwnNetwork()) abortWithParent(abort);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort());
  const { shape, seed } = options;
  say(
    `Seed ${seed}: ${shape.acceptors} acceptors (${shape.quorum ?? 'majority'}), ${shape.proposers} proposers, ${shape.learners} learners …`,
  );
  const when = new Date().toISOString();
  const file = options.out ?? join('results', `chaos-${when.replaceAll(/[:.]/g, '-')}.json`);
  const done = await run({ ...options, keep: `${file}.logs`, noNetwork, say, signal: abort.signal });
  const result = resultOf(done, options, when);
  write(file, JSON.stringify(result));
  if (options.html !== undefined) write(options.html, page(result));
  if (options.json) console.log(JSON.stringify(result));
  else for (const line of report(result)) console.log(line);
  say(`The result is in ${[file, options.html ?? []].flat().join(' and ')}`);
  const isGood = result.violations.length === 0;
  if (options.history || !isGood) writeHistory(`${file}.history`, done);
  if (!isGood) say(`What the members printed is in ${file}.logs`);
  return isGood ? 0 : 1;
}

/** Who started this run in a network of its own may be killed; what it started must not stay. */
function abortWithParent(abort: AbortController): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) abort.abort();
  }, 200).unref();
}

/** Everything that the run was judged by. */
function writeHistory(file: string, { history, copies }: Run): void {
  const all = { logs: [...history.logs.values()], decrees: [...history.decrees.values()] };
  write(file, JSON.stringify({ ...all, copies: copies.map(({ learner, logs }) => ({ learner, logs: [...logs] })) }));
  say(`The whole history is in ${file}`);
}

function resultOf(done: Run, options: ChaosOptions, when: string): ChaosResult {
  const { history, faults, skipped, durationMs, okBeforeFaults, violations, judgement } = done;
  const { histories, operations, states } = judgement;
  const { moments } = history;
  const counted = (outcome: Outcome): number => moments.filter((each) => each.outcome === outcome).length;
  const bucketMs = Math.max(100, durationMs / BUCKETS);
  return {
    ...{ when, commit: commit(), node: process.versions.node, seed: options.seed, seconds: options.seconds },
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`,
    ...{ durationMs, shape: options.shape, clients: options.clients, faults, okBeforeFaults, violations },
    counts: { ok: counted('ok'), none: counted('none'), unknown: counted('unknown') },
    kinds: kindsOf(moments),
    skipped: skipped.map(({ name, why }) => `${name}: ${why}`),
    judged: { histories, operations, states },
    bucketMs,
    buckets: bucketsOf(moments, durationMs, options.clients, bucketMs),
  };
}

function kindsOf(moments: readonly Moment[]): ChaosResult['kinds'] {
  const kinds: Record<string, { ok: number; other: number }> = {};
  for (const { kind, outcome } of moments) (kinds[kind] ??= { ok: 0, other: 0 })[outcome === 'ok' ? 'ok' : 'other']++;
  return kinds;
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${text}\n`);
}

function commit(): string | null {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    // A copy without history has no commit to name.
    return null;
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const isOwn = error instanceof Error && error.name === 'SynodError';
    say(`chaos: ${isOwn ? error.message : error instanceof Error ? String(error.stack) : messageOf(error)}`);
    process.exit(2);
  },
);
