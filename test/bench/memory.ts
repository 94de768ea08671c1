/** Is memory flat? Anonymous memory of acceptors and learners after so many and after five times as many proposals. */
import type { BenchOptions } from './options.ts';
import { usageOf } from './resources.ts';
import { STREAMS } from './cases.ts';
import type { Target, Verdict } from './target.ts';
import { runLoad } from './workers.ts';

export interface MemoryRow {
  readonly member: string;
  readonly fromBytes: number;
  readonly toBytes: number;
  /** How much larger it is at the end: 0.2 is 20 per cent. */
  readonly growth: number;
}

export interface MemoryResult {
  readonly from: number;
  readonly to: number;
  readonly perSecond: number;
  readonly rows: readonly MemoryRow[];
  /** Anonymous bytes by member, at about every twentieth of the run. */
  readonly samples: readonly { readonly acknowledged: number; readonly bytes: Readonly<Record<string, number>> }[];
  readonly verdict: Verdict;
}

const VALUE_BYTES = 64;

export async function measureMemory(
  target: Target,
  options: BenchOptions,
  say: (line: string) => void,
): Promise<MemoryResult> {
  const { from, to } = options;
  const log = 'bench-memory';
  const samples: { acknowledged: number; bytes: Record<string, number> }[] = [];
  let nextSay = 0;
  const began = performance.now();
  const result = await runLoad({
    ...{ kind: 'stream', log, valueBytes: VALUE_BYTES, lanes: STREAMS, processes: options.processes, clientsEach: 2 },
    ...{ warmUpMs: 0, measureMs: 0, total: to },
    proposers: () => target.cluster.addresses('proposer'),
    onProgress: (acknowledged) => {
      // Memory moves with every collection of garbage: many looks, and their median, say more than one.
      samples.push({ acknowledged, bytes: look(target) });
      if (acknowledged < nextSay) return;
      nextSay = acknowledged + (to - from) / 20;
      say(`${String(acknowledged)} of ${String(to)} proposals`);
    },
  });
  const seconds = (performance.now() - began) / 1_000;
  await target.drained(log, 600_000);
  const around = (count: number): typeof samples =>
    samples.filter(({ acknowledged }) => acknowledged >= count * 0.9 && acknowledged <= count * 1.1);
  const members = Object.keys(samples[0]?.bytes ?? {});
  const rows = members.map((member): MemoryRow => {
    const fromBytes = median(around(from).map(({ bytes }) => bytes[member] ?? 0));
    const toBytes = median(around(to).map(({ bytes }) => bytes[member] ?? 0));
    return { member, fromBytes, toBytes, growth: fromBytes === 0 ? 0 : toBytes / fromBytes - 1 };
  });
  const every = Math.max(1, Math.floor(samples.length / 20));
  return {
    from,
    to,
    perSecond: to / seconds,
    rows,
    samples: samples.filter((_, at) => at % every === 0),
    verdict: await target.verify(log, result.workers),
  };
}

function look(target: Target): Record<string, number> {
  return Object.fromEntries(
    target.cluster.members.map(({ role, id }) => [
      `${role} ${String(id)}`,
      usageOf(target.cluster.pid(role, id)).anonymousBytes,
    ]),
  );
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
