/** The cases of the benchmark, each run against the cluster and against a bare gRPC server under the same load. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { connect } from '../../shared/client/index.ts';
import type { BenchOptions } from './options.ts';
import type { RoleUsage } from './resources.ts';
import { Watch } from './resources.ts';
import type { Progress, Target, Verdict } from './target.ts';
import { runLoad } from './workers.ts';
import type { LoadOptions, LoadResult } from './workers.ts';

export interface Case {
  readonly name: string;
  readonly kind: 'unary' | 'stream';
  readonly lanes: number;
  readonly valueBytes: number;
}

export interface Figures {
  readonly perSecond: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly clientCpuSeconds: number;
}

export interface CaseResult extends Case {
  readonly synod: Figures;
  readonly echo: Figures;
  /** Of proposals per second, Synod to the bare server; null when that answered nothing while it was measured. */
  readonly ratio: number | null;
  /** Slots per second that were voted for at the acceptors, and applied at the slowest learner, while it was measured. */
  readonly votedPerSecond: number;
  readonly appliedPerSecond: number;
  /** From the last proposal until every learner had applied everything. */
  readonly learnersDrainMs: number;
  readonly roles: Readonly<Record<string, RoleUsage>>;
  readonly echoCpuSeconds: number;
  readonly failures: number;
  readonly verdict: Verdict;
}

export function casesOf({ quick, only }: BenchOptions): Case[] {
  const cases: Case[] = [];
  for (const valueBytes of quick ? [64] : [64, 1_024]) {
    const size = valueBytes === 64 ? '64 B' : '1 KiB';
    for (const lanes of [1, 100, 1_000])
      cases.push({ name: `unary ${String(lanes)} × ${size}`, kind: 'unary', lanes, valueBytes });
    cases.push({ name: `stream × ${size}`, kind: 'stream', lanes: STREAMS, valueBytes });
  }
  return cases.filter(({ name }) => only?.test(name) ?? true);
}

/** Streams of all client processes together: each has a window of 1,024, and a leader takes 10,000 in flight. */
export const STREAMS = 8;

/**
 * Before anything is measured: the roles have run long enough that their code is compiled, as in a cluster that has been up for a
 * while. Without this the first case would measure the compiler.
 */
export async function warmCluster(target: Target, options: BenchOptions): Promise<void> {
  const seconds = options.quick ? 1 : WARM_SECONDS;
  for (const kind of ['unary', 'stream'] as const) {
    const load = loadOf({ name: 'warm-up', kind, lanes: STREAMS, valueBytes: 64 }, 'bench-warm-up', options);
    const proposers = target.cluster.addresses('proposer');
    await runLoad({ ...load, warmUpMs: 0, measureMs: seconds * 1_000, proposers: () => proposers });
  }
  await target.drained('bench-warm-up', 60_000);
}

const WARM_SECONDS = 4;

export async function runCase(each: Case, number: number, target: Target, options: BenchOptions): Promise<CaseResult> {
  const echoed = await runEcho(each, options);
  const log = `bench-${String(number)}`;
  await warm(target, log);
  const watch = new Watch(() =>
    target.cluster.members.map(({ role, id }) => ({ role, pid: target.cluster.pid(role, id) })),
  );
  let began: Progress | undefined;
  let ended: Progress | undefined;
  const proposers = target.cluster.addresses('proposer');
  const result = await runLoad({
    ...loadOf(each, log, options),
    proposers: (worker) => (options.via === 'leader' ? proposers : [proposers[worker % proposers.length] as string]),
    onMeasure: async () => {
      began = await target.progress(log);
    },
    onMeasured: async () => {
      ended = await target.progress(log);
    },
  });
  const learnersDrainMs = await target.drained(log, 120_000);
  const roles = watch.stop();
  const verdict = await target.verify(log, result.workers);
  const synod = figures(result);
  const seconds = began === undefined || ended === undefined ? 1 : (ended.atMs - began.atMs) / 1_000;
  const applied = (at: Progress | undefined): number => Math.min(...(at?.applied ?? [0]));
  return {
    ...each,
    synod,
    ...echoed,
    ratio: echoed.echo.perSecond === 0 ? null : synod.perSecond / echoed.echo.perSecond,
    votedPerSecond: ((ended?.voted ?? 0) - (began?.voted ?? 0)) / seconds,
    appliedPerSecond: (applied(ended) - applied(began)) / seconds,
    learnersDrainMs,
    roles,
    failures: result.failures,
    verdict,
  };
}

async function runEcho(each: Case, options: BenchOptions): Promise<{ echo: Figures; echoCpuSeconds: number }> {
  const child = fork(fileURLToPath(new URL('./echo.js', import.meta.url)));
  try {
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => {
        resolve(message.port);
      });
      child.once('exit', (code) => {
        reject(new Error(`the bare server ended with code ${String(code)}`));
      });
    });
    const watch = new Watch(() => [{ role: 'echo', pid: child.pid }]);
    const address = `127.0.0.1:${String(port)}`;
    const result = await runLoad({ ...loadOf(each, 'echo', options), proposers: () => [address] });
    return { echo: figures(result), echoCpuSeconds: watch.stop()['echo']?.cpuSeconds ?? 0 };
  } finally {
    child.kill('SIGKILL');
  }
}

/** The log has a leader, and every learner knows it, before anything is measured. */
async function warm(target: Target, log: string): Promise<void> {
  const client = connect({ proposers: target.cluster.addresses('proposer'), timeoutMs: 30_000 });
  try {
    const stream = client.proposeStream(log);
    // A session of its own is opened, which elects a leader; nothing is proposed that the check would have to know of.
    await stream.opened();
    stream.close();
    await target.drained(log, 30_000);
  } finally {
    client.close();
  }
}

type Load = Omit<LoadOptions, 'proposers'>;

export function loadOf({ kind, lanes, valueBytes }: Case, log: string, options: BenchOptions): Load {
  return {
    ...{ kind, log, valueBytes, lanes },
    processes: Math.min(options.processes, lanes),
    clientsEach: lanes >= 1_000 ? 2 : kind === 'stream' ? 2 : 1,
    warmUpMs: options.warmUpSeconds * 1_000,
    measureMs: options.seconds * 1_000,
    total: 0,
  };
}

function figures({ perSecond, latency, cpuSeconds }: LoadResult): Figures {
  return {
    perSecond,
    meanMs: latency.meanMs,
    p50Ms: latency.percentileMs(0.5),
    p99Ms: latency.percentileMs(0.99),
    p999Ms: latency.percentileMs(0.999),
    clientCpuSeconds: cpuSeconds,
  };
}
