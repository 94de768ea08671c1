/** The results as tables for a person. */
import type { CaseResult } from './cases.ts';
import type { Failover } from './failover.ts';
import { MODES } from './fast.ts';
import type { Contention, FastResult, Mode } from './fast.ts';
import type { MemoryResult } from './memory.ts';
import { plot } from './plot.ts';
import type { TraceCost } from './trace.ts';
import type { SyncTime } from './sync-time.ts';

export interface Results {
  readonly when: string;
  readonly machine: string;
  readonly node: string;
  readonly commit: string | null;
  readonly syncTime: SyncTime;
  readonly cases: readonly CaseResult[];
  readonly failover: Failover | null;
  readonly memory: MemoryResult | null;
  readonly trace: readonly TraceCost[] | null;
  readonly fast: FastResult | null;
}

export function report(results: Results): string[] {
  const { cases, failover, memory, trace, fast, syncTime } = results;
  return [
    '',
    `${results.machine}, Node ${results.node}. One write of 4 KiB made durable: mean ${ms(syncTime.meanMs)}, p99 ${ms(syncTime.p99Ms)}.`,
    ...(cases.length === 0 ? [] : ['', ...casesTable(cases), '', ...usageTable(cases)]),
    ...(failover === null
      ? []
      : [
          '',
          `Failover after kill -9 of the leader: median ${ms(failover.medianMs)} of ${failover.gapsMs.map(ms).join(', ')}.`,
        ]),
    ...(memory === null ? [] : ['', ...memoryTable(memory)]),
    ...(trace === null ? [] : ['', ...traceTable(trace)]),
    ...(fast === null ? [] : ['', ...fastTable(fast)]),
    '',
    ...targets(results),
    ...faultsOf(results).map((fault) => `DOES NOT COUNT: ${fault}`),
  ];
}

/** Why runs do not count; empty when all do. */
export function faultsOf({ cases, failover, memory, trace, fast }: Results): string[] {
  return [
    ...cases.flatMap(({ name, verdict }) => verdict.faults.map((fault) => `${name}: ${fault}`)),
    ...(failover?.verdict.faults ?? []).map((fault) => `failover: ${fault}`),
    ...(memory?.verdict.faults ?? []).map((fault) => `memory: ${fault}`),
    ...(trace ?? []).flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`)),
    ...(fast?.alone.faults ?? []).map((fault) => `alone: ${fault}`),
    ...(fast?.contention ?? []).flatMap(({ mode, proposers, faults }) =>
      faults.map((fault) => `${MODES[mode].title}, ${String(proposers)} at once: ${fault}`),
    ),
  ];
}

function casesTable(cases: readonly CaseResult[]): string[] {
  const head = [
    'case',
    'proposals/s',
    'echo/s',
    'ratio',
    'mean',
    'p50',
    'p99',
    'p99.9',
    'echo mean',
    'acceptors/s',
    'learners/s',
    'drain',
    'failed',
    'counts',
  ];
  return columns(
    head,
    cases.map((each) => [
      each.name,
      count(each.synod.perSecond),
      count(each.echo.perSecond),
      ratioText(each.ratio),
      ...[each.synod.meanMs, each.synod.p50Ms, each.synod.p99Ms, each.synod.p999Ms, each.echo.meanMs].map(ms),
      count(each.votedPerSecond),
      count(each.appliedPerSecond),
      ms(each.learnersDrainMs),
      String(each.failures),
      each.verdict.counts ? `yes (${String(each.verdict.found)})` : 'NO',
    ]),
  );
}

function usageTable(cases: readonly CaseResult[]): string[] {
  const roles = ['proposer', 'acceptor', 'learner'];
  return columns(
    ['CPU s and peak memory (anonymous)', ...roles, 'clients', 'echo server'],
    cases.map((each) => [
      each.name,
      ...roles.map((role) => {
        const usage = each.roles[role];
        if (usage === undefined) return '–';
        return `${usage.cpuSeconds.toFixed(1)} s, ${mib(usage.peakRssBytes)} (${mib(usage.peakAnonymousBytes)})`;
      }),
      `${each.synod.clientCpuSeconds.toFixed(1)} s`,
      `${each.echoCpuSeconds.toFixed(1)} s`,
    ]),
  );
}

function traceTable(costs: readonly TraceCost[]): string[] {
  const rows = costs.map(({ name, pairs, medianRatio, eventsPerSecond, dropped }) => [
    name,
    String(pairs.length),
    medianRatio.toFixed(3),
    `${Math.min(...pairs.map(({ ratio }) => ratio)).toFixed(3)} – ${Math.max(...pairs.map(({ ratio }) => ratio)).toFixed(3)}`,
    count(eventsPerSecond),
    count(dropped),
  ]);
  return [
    'Proposals per second while all roles are followed, to those without a follower:',
    ...columns(['case', 'pairs', 'median', 'least – most', 'events/s', 'dropped'], rows),
  ];
}

function fastTable({ alone, contention, delayMs, acceptors }: FastResult): string[] {
  const { fast, multi, medianRatio, ratios } = alone;
  const range = `${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)}`;
  const cost = ({ paths: { fast: own, recovered } }: Contention): string =>
    recovered.count === 0 || own.count === 0 ? '–' : ms(recovered.p50Ms - own.p50Ms);
  const at = (of: { readonly count: number; readonly p50Ms: number }): string => (of.count === 0 ? '–' : ms(of.p50Ms));
  return [
    `${String(acceptors)} acceptors, every message between roles held ${ms(delayMs)} each way.`,
    `One client alone at a proposer that does not lead: FAST p50 ${ms(fast.p50Ms)}, p99 ${ms(fast.p99Ms)}; ` +
      `Multi-Paxos p50 ${ms(multi.p50Ms)}, p99 ${ms(multi.p99Ms)}; ratio of the medians ${medianRatio.toFixed(2)} (${range}).`,
    '',
    ...columns(
      ['', 'proposers', 'proposals/s', 'p50', 'p99', 'collided', 'p50 fast', 'p50 recovered', 'cost', 'p50 led'],
      contention.map((each) => [
        ...[
          MODES[each.mode].title,
          String(each.proposers),
          count(each.perSecond),
          ms(each.all.p50Ms),
          ms(each.all.p99Ms),
        ],
        each.mode === 'multi' ? '–' : `${(each.collided * 100).toFixed(1)} %`,
        ...[at(each.paths.fast), at(each.paths.recovered), cost(each), at(each.paths.classic)],
      ]),
    ),
  ];
}

/** Throughput and collisions over the number of proposers. */
export function fastPlot({ contention, delayMs }: FastResult): string {
  const modes = Object.keys(MODES) as Mode[];
  const series = (of: (each: Contention) => number): { name: string; points: [number, number][] }[] =>
    modes.map((mode) => ({
      name: MODES[mode].title,
      points: contention.filter((each) => each.mode === mode).map((each) => [each.proposers, of(each)]),
    }));
  const x = 'proposers at once, on one log';
  const held = `messages held ${String(delayMs)} ms each way`;
  return plot([
    { title: 'Throughput', x, y: `proposals a second, ${held}`, series: series(({ perSecond }) => perSecond) },
    { title: 'Latency', x, y: 'median, ms', series: series(({ all }) => all.p50Ms) },
    { title: 'Collisions', x, y: '% of the proposals', series: series(({ collided }) => collided * 100) },
  ]);
}

function memoryTable({ from, to, perSecond, rows }: MemoryResult): string[] {
  return [
    `Anonymous memory at ${count(from)} and at ${count(to)} proposals (${count(perSecond)} a second):`,
    ...columns(
      ['member', 'at first', 'at last', 'growth'],
      rows.map((row) => [row.member, mib(row.fromBytes), mib(row.toBytes), `${(row.growth * 100).toFixed(0)} %`]),
    ),
  ];
}

/** What was to be reached, and what was. They say how fast, never whether it is right. */
function targets({ cases, failover, memory, fast, syncTime }: Results): string[] {
  const lines: string[] = [];
  const say = (what: string, reached: boolean, value: string): void => {
    lines.push(`${reached ? 'reached ' : 'MISSED  '} ${what}: ${value}`);
  };
  const named = (name: string): CaseResult | undefined => cases.find((each) => each.name === name);
  const full = named('unary 1000 × 64 B');
  if (full !== undefined)
    say('unary at 1,000 in flight at least 0.7 of the bare server', (full.ratio ?? 0) >= 0.7, ratioText(full.ratio));
  const alone = named('unary 1 × 64 B');
  if (alone !== undefined) {
    const floor = alone.echo.meanMs + syncTime.meanMs;
    const times = alone.synod.meanMs / floor;
    say(
      'one client alone: mean at most 2.5 × (bare server + one sync)',
      times <= 2.5,
      `${times.toFixed(2)} × ${ms(floor)}`,
    );
  }
  const stream = named('stream × 64 B');
  if (stream !== undefined)
    say(
      'stream of 64 B: at least 100,000 a second into the acceptors',
      stream.votedPerSecond >= 100_000,
      count(stream.votedPerSecond),
    );
  if (failover !== null) say('failover under 200 ms at the median', failover.medianMs < 200, ms(failover.medianMs));
  if (fast !== null)
    say(
      'FAST alone at most 0.6 of the latency through a remote leader',
      fast.alone.medianRatio <= 0.6,
      fast.alone.medianRatio.toFixed(2),
    );
  if (memory !== null) {
    const worst = Math.max(
      ...memory.rows.filter(({ member }) => !member.startsWith('proposer')).map(({ growth }) => growth),
    );
    say('memory of acceptors and learners flat within 20 %', worst <= 0.2, `${(worst * 100).toFixed(0)} %`);
  }
  return lines;
}

function columns(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  return [head, ...rows].map((row) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  '),
  );
}

export function ratioText(ratio: number | null): string {
  return ratio === null ? '–' : ratio.toFixed(2);
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
}
