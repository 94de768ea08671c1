/** How long a log stands still when its leader is killed: from kill -9 to the first answer to a proposal begun after it. */
import { ClientError, connect } from '../../shared/client/index.ts';
import { makeValue } from './messages.ts';
import type { Failure } from './messages.ts';
import type { Target, Verdict } from './target.ts';
import { wait } from './workers.ts';

export interface Failover {
  readonly gapsMs: readonly number[];
  readonly medianMs: number;
  readonly verdict: Verdict;
}

/** Proposals in flight while the leader dies. */
const LANES = 8;
const VALUE_BYTES = 64;
const GAP_MS_MAX = 30_000;

export async function measureFailover(target: Target, rounds: number, say: (line: string) => void): Promise<Failover> {
  const log = 'bench-failover';
  const client = connect({ proposers: target.cluster.addresses('proposer'), timeoutMs: GAP_MS_MAX });
  const failures: Failure[] = [];
  const gapsMs: number[] = [];
  let counter = 0;
  let stopping = false;
  /** Called with the begin of every proposal that was answered. */
  let onAnswer: (beganMs: number) => void = () => undefined;
  const lane = async (): Promise<void> => {
    while (!stopping) {
      const mine = counter++;
      const began = performance.now();
      try {
        await client.propose(log, makeValue(0, mine, VALUE_BYTES));
        onAnswer(began);
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        failures.push({ counter: mine, outcome: error.outcome, message: error.message });
      }
    }
  };
  const lanes = Promise.all(Array.from({ length: LANES }, lane));
  // Its failure is met below, where the lanes are waited for.
  lanes.catch(() => undefined);
  try {
    for (let round = 1; round <= rounds; round++) {
      gapsMs.push(await killOnce(target, log, (listener) => (onAnswer = listener)));
      say(`failover ${String(round)} of ${String(rounds)}: ${(gapsMs[gapsMs.length - 1] ?? 0).toFixed(0)} ms`);
      await target.cluster.ready();
    }
  } finally {
    stopping = true;
    await lanes;
    client.close();
  }
  await target.drained(log, 60_000);
  const verdict = await target.verify(log, [{ worker: 0, proposed: counter, failures }]);
  const sorted = [...gapsMs].sort((a, b) => a - b);
  return { gapsMs, medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0, verdict };
}

async function killOnce(
  target: Target,
  log: string,
  listen: (listener: (beganMs: number) => void) => void,
): Promise<number> {
  let leader = await target.leader(log);
  for (const end = performance.now() + GAP_MS_MAX; leader === undefined; leader = await target.leader(log)) {
    if (performance.now() > end) throw new Error(`nobody led ${log} within ${String(GAP_MS_MAX)} ms`);
    await wait(20);
  }
  // The log runs steadily before its leader dies.
  await wait(500);
  const killed = performance.now();
  const answered = new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`no proposal was answered within ${String(GAP_MS_MAX)} ms of the leader's death`));
    }, GAP_MS_MAX);
    listen((began) => {
      if (began < killed) return;
      clearTimeout(timer);
      listen(() => undefined);
      resolve(performance.now() - killed);
    });
  });
  target.cluster.kill('proposer', leader, 'SIGKILL');
  return answered;
}
