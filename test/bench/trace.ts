/** What following the trace of all roles costs: the same load with and without a follower, in pairs, in one cluster. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';
import { loadOf, STREAMS } from './cases.ts';
import type { Followed } from './follower.ts';
import type { BenchOptions } from './options.ts';
import type { Target } from './target.ts';
import { runLoad } from './workers.ts';

export interface TraceCost {
  readonly name: string;
  /** Proposals a second without and with a follower, pair by pair. */
  readonly pairs: readonly { readonly without: number; readonly with: number; readonly ratio: number }[];
  readonly medianRatio: number;
  readonly eventsPerSecond: number;
  readonly dropped: number;
  readonly faults: readonly string[];
}

const CASES: readonly Case[] = [
  { name: 'unary 100 × 64 B', kind: 'unary', lanes: 100, valueBytes: 64 },
  { name: 'stream × 64 B', kind: 'stream', lanes: STREAMS, valueBytes: 64 },
];

export async function measureTrace(
  target: Target,
  options: BenchOptions,
  say: (line: string) => void,
): Promise<TraceCost[]> {
  const costs: TraceCost[] = [];
  for (const each of CASES.filter(({ name }) => options.only?.test(name) ?? true))
    costs.push(await measureCase(each, target, options, say));
  return costs;
}

async function measureCase(
  each: Case,
  target: Target,
  options: BenchOptions,
  say: (line: string) => void,
): Promise<TraceCost> {
  const pairs: TraceCost['pairs'][number][] = [];
  const faults: string[] = [];
  let events = 0;
  let dropped = 0;
  let measuredMs = 0;
  for (let pair = 0; pair < options.pairs; pair++) {
    const perSecond = { without: 0, with: 0 };
    // Who comes first changes, so that what drifts hurts both alike.
    for (const side of pair % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const)) {
      const follower = side === 'with' ? await follow(target) : undefined;
      const log = `trace-${each.kind}-${String(pair)}-${side}`;
      const proposers = target.cluster.addresses('proposer');
      const began = performance.now();
      const result = await runLoad({ ...loadOf(each, log, options), proposers: () => proposers });
      perSecond[side] = result.perSecond;
      const seen = await follower?.();
      if (seen !== undefined) {
        measuredMs += performance.now() - began;
        events += seen.events;
        dropped += seen.dropped;
      }
      await target.drained(log, 120_000);
      faults.push(...(await target.verify(log, result.workers)).faults);
    }
    const ratio = perSecond.with / perSecond.without;
    pairs.push({ ...perSecond, ratio });
    say(
      `  ${each.name}: ${perSecond.without.toFixed(0)}/s alone, ${perSecond.with.toFixed(0)}/s followed, ${ratio.toFixed(3)}`,
    );
  }
  const sorted = pairs.map(({ ratio }) => ratio).sort((a, b) => a - b);
  const middle = [sorted[Math.floor((sorted.length - 1) / 2)] ?? 0, sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0];
  return {
    name: each.name,
    pairs,
    medianRatio: ((middle[0] ?? 0) + (middle[1] ?? 0)) / 2,
    eventsPerSecond: (events * 1_000) / Math.max(1, measuredMs),
    dropped,
    faults,
  };
}

/** Starts a follower of all roles; the function returned ends it and says what it saw. */
async function follow(target: Target): Promise<() => Promise<Followed>> {
  const { cluster } = target;
  const addresses = (['acceptor', 'proposer', 'learner'] as const).flatMap((role) => cluster.addresses(role));
  const child = fork(fileURLToPath(new URL('./follower.js', import.meta.url)), addresses);
  const said = (kind: Followed['kind']): Promise<Followed> =>
    new Promise((resolve, reject) => {
      child.on('message', (message: Followed) => {
        if (message.kind === kind) resolve(message);
      });
      child.once('exit', (code) => {
        reject(new Error(`the follower ended with code ${String(code)}`));
      });
    });
  await said('ready');
  return async () => {
    const ended = said('ended');
    child.send('end');
    const seen = await ended;
    child.kill();
    return seen;
  };
}
