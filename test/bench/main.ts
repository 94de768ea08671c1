/** `npm run bench`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startCluster } from '../../deploy/local/cluster.ts';
import type { Cluster, RoleCommand } from '../../deploy/local/cluster.ts';
import { messageOf } from '../../shared/base/errors.ts';
import { casesOf, runCase, warmCluster } from './cases.ts';
import type { CaseResult } from './cases.ts';
import { measureFailover } from './failover.ts';
import { measureFast } from './fast.ts';
import { measureMemory } from './memory.ts';
import { HELP, readOptions } from './options.ts';
import type { BenchOptions } from './options.ts';
import { fastPlot, faultsOf, ratioText, report } from './report.ts';
import type { Results } from './report.ts';
import { syncTime } from './sync-time.ts';
import { Target } from './target.ts';
import { measureTrace } from './trace.ts';
import { given } from './workers.ts';

const SYNC_WRITES = 300;

const say = (line: string): void => {
  console.error(line);
};

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') {
    console.log(HELP);
    return 0;
  }
  const when = new Date().toISOString().replaceAll(/[:.]/g, '-');
  mkdirSync(options.folder, { recursive: true });
  const folder = mkdtempSync(join(resolve(options.folder), 'bench-'));
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort());
  let cluster: Cluster | undefined;
  try {
    say('Measuring the disk …');
    const disk = await syncTime(folder, SYNC_WRITES);
    const begun = { ...NOTHING, when, syncTime: disk, commit: commit() };
    let results: Results;
    if (options.what === 'fast') results = { ...begun, fast: await measureFast(folder, options, abort.signal, say) };
    else {
      say('Starting a cluster …');
      cluster = await startCluster({
        data: join(folder, 'data'),
        portBase: 'free',
        signal: abort.signal,
        ...(options.profile ? { roleCommand: profiled(join(resolve('results'), `profile-${when}`)) } : {}),
      });
      const measured = await Promise.race([measure(cluster, options), given(abort.signal)]);
      results = { ...begun, ...measured };
    }
    const file = options.out ?? join('results', `bench-${when}.json`);
    write(file, `${JSON.stringify(results, null, 2)}\n`);
    if (options.svg !== undefined && results.fast !== null) write(options.svg, fastPlot(results.fast));
    if (options.json) console.log(JSON.stringify(results));
    else for (const line of report(results)) console.log(line);
    say(`Results in ${file}`);
    return faultsOf(results).length === 0 ? 0 : 1;
  } finally {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a run fills in. */
const NOTHING = {
  machine: `${String(cpus().length)} × ${cpus()[0]?.model ?? 'unknown processor'}`,
  node: process.versions.node,
  ...{ cases: [], failover: null, memory: null, trace: null, fast: null },
} as const;

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

async function measure(
  cluster: Cluster,
  options: BenchOptions,
): Promise<Pick<Results, 'cases' | 'failover' | 'memory' | 'trace'>> {
  const target = new Target(cluster);
  try {
    const cases: CaseResult[] = [];
    const wanted = options.what === 'all' ? casesOf(options) : [];
    if (wanted.length > 0 || options.what === 'trace') {
      say('Warming up …');
      await warmCluster(target, options);
    }
    for (const [at, each] of wanted.entries()) {
      say(`${String(at + 1)} of ${String(wanted.length)}: ${each.name} …`);
      const result = await runCase(each, at + 1, target, options);
      say(`  ${result.synod.perSecond.toFixed(0)} proposals/s, ${ratioText(result.ratio)} of the bare server`);
      cases.push(result);
    }
    const withFailover = options.what === 'all' && (options.only?.test('failover') ?? true);
    return {
      cases,
      failover: withFailover ? await measureFailover(target, options.failovers, say) : null,
      memory: options.what === 'memory' ? await measureMemory(target, options, say) : null,
      trace: options.what === 'trace' ? await measureTrace(target, options, say) : null,
    };
  } finally {
    target.close();
  }
}

/** Roles that write a CPU profile when they end. */
function profiled(folder: string): RoleCommand {
  say(`Profiles go to ${folder}`);
  // Compiled, this file is dist/test/bench/main.js.
  return (role) => ({
    command: process.execPath,
    arguments: [
      ...['--cpu-prof', '--cpu-prof-dir', join(folder, role)],
      fileURLToPath(new URL(`../../services/${role}/main.js`, import.meta.url)),
    ],
  });
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
    say(
      `bench: ${error instanceof Error && error.name === 'SynodError' ? error.message : error instanceof Error ? String(error.stack) : messageOf(error)}`,
    );
    process.exit(1);
  },
);
