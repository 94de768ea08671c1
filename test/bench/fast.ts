/**
 * `npm run bench -- fast`: what Fast Paxos saves where nobody competes, and what it costs where many do. All messages between roles are
 * held for a fixed time each way; clients stand beside their proposers, one to each, with one proposal under way.
 */
import { join } from 'node:path';
import { startCluster } from '../../deploy/local/cluster.ts';
import { messageOf, SynodError } from '../../shared/base/errors.ts';
import { ClientError, connect, faults } from '../../shared/client/index.ts';
import type { Proposed, SynodClient } from '../../shared/client/index.ts';
import { Histogram } from './histogram.ts';
import { makeValue } from './messages.ts';
import type { Failure } from './messages.ts';
import type { BenchOptions } from './options.ts';
import { Target } from './target.ts';
import { given, wait } from './workers.ts';

const ACCEPTORS = 4;
const PROPOSERS = 8;
const DELAY_MS = 5;
const CONCURRENT = [1, 2, 3, 4, 6, 8] as const;
const VALUE_BYTES = 64;
const CALL_MS = 20_000;
const OPEN_MS = 60_000;

export type Mode = 'coordinated' | 'classic' | 'automatic' | 'multi';

/** What each line of the plot is, and how its proposers are set. */
export const MODES: Readonly<Record<Mode, { readonly title: string; readonly settings: readonly string[] }>> = {
  coordinated: {
    title: 'FAST, coordinated recovery',
    settings: ['--fast-recovery', 'coordinated', '--fast-collisions-max', '100'],
  },
  classic: {
    title: 'FAST, classic recovery',
    settings: [
      ...['--fast-recovery', 'classic', '--fast-collisions-max', '100'],
      ...['--fast-wait-min', '100ms', '--fast-wait-max', '100ms'],
    ],
  },
  automatic: { title: 'FAST, default settings', settings: [] },
  multi: { title: 'Multi-Paxos', settings: [] },
};

export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Contention {
  readonly mode: Mode;
  readonly proposers: number;
  readonly perSecond: number;
  readonly all: Latency;
  /** By the way of the answer; Multi-Paxos has none. */
  readonly paths: Readonly<Record<'fast' | 'recovered' | 'classic', Latency>>;
  /** Share of the proposals that collided. */
  readonly collided: number;
  readonly faults: readonly string[];
}

export interface FastResult {
  readonly delayMs: number;
  readonly acceptors: number;
  /** One client at a proposer that does not lead, nobody else. Medians of blocks that took turns. */
  readonly alone: {
    readonly fast: Latency;
    readonly multi: Latency;
    /** Of the medians, block by block. */
    readonly ratios: readonly number[];
    readonly medianRatio: number;
    readonly faults: readonly string[];
  };
  readonly contention: readonly Contention[];
}

export async function measureFast(
  folder: string,
  options: BenchOptions,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<FastResult> {
  const alone = await withCluster(folder, 'alone', { proposers: 2, settings: [] }, signal, (target) =>
    measureAlone(target, options, say),
  );
  const contention: Contention[] = [];
  for (const modes of [['coordinated'], ['classic'], ['automatic', 'multi']] as const) {
    const wanted = modes.flatMap((mode) =>
      CONCURRENT.filter((each) => options.only?.test(`${mode} ${String(each)}`) ?? true).map((proposers) => ({
        mode,
        proposers,
      })),
    );
    if (wanted.length === 0) continue;
    say(`Starting ${String(ACCEPTORS)} acceptors and ${String(PROPOSERS)} proposers (${modes.join(', ')}) …`);
    const shape = { proposers: PROPOSERS, settings: MODES[modes[0]].settings };
    await withCluster(folder, modes[0], shape, signal, async (target) => {
      for (const each of wanted) contention.push(await measureContention(target, each, options, say));
    });
  }
  return { delayMs: DELAY_MS, acceptors: ACCEPTORS, alone, contention };
}

/** Starts a cluster whose messages are held, runs, and stops it. */
async function withCluster<T>(
  folder: string,
  name: string,
  { proposers, settings }: { readonly proposers: number; readonly settings: readonly string[] },
  signal: AbortSignal,
  run: (target: Target) => Promise<T>,
): Promise<T> {
  const cluster = await startCluster({
    ...{ data: join(folder, name), portBase: 'free', signal, faults: true },
    ...{ acceptors: ACCEPTORS, proposers, learners: 2 },
    roleArguments: { proposer: settings },
  });
  const target = new Target(cluster);
  try {
    const held = hold(target).then(() => run(target));
    return await Promise.race([held, given(signal)]);
  } finally {
    target.close();
    await cluster.stop();
  }
}

/** Every message between roles is held on its way, by its sender. */
async function hold({ cluster }: Target): Promise<void> {
  const peers = (['acceptor', 'proposer', 'learner'] as const).map((role) => ({ role, id: undefined }));
  const action = { kind: 'delay', ms: DELAY_MS, jitterMs: 0 } as const;
  const adding = cluster.members.map(({ grpc }) => faults.add(grpc, { id: 'wide', action, peers, direction: 'out' }));
  await Promise.all(adding);
}

// ── one client alone ─────────────────────────────────────────────────────────────────────────────────────────────────────

const BLOCKS = 10;

async function measureAlone(
  target: Target,
  options: BenchOptions,
  say: (line: string) => void,
): Promise<FastResult['alone']> {
  const logs = { multi: new Lane(target, 'alone-multi'), fast: new Lane(target, 'alone-fast') };
  try {
    await logs.multi.lead();
    await logs.fast.open();
    say('Warming up …');
    // Both ways have run long enough that their code is compiled.
    const warm = performance.now() + options.warmUpSeconds * 1_000;
    while (performance.now() < warm) for (const way of ['multi', 'fast'] as const) await logs[way].propose(way);
    const whole = { multi: new Histogram(), fast: new Histogram() };
    const ratios: number[] = [];
    for (let block = 0; block < BLOCKS; block++) {
      const median = { multi: 0, fast: 0 };
      // Who comes first changes, so that what drifts hurts both alike.
      for (const way of block % 2 === 0 ? (['multi', 'fast'] as const) : (['fast', 'multi'] as const)) {
        const times = new Histogram();
        const end = performance.now() + (options.seconds * 1_000) / BLOCKS;
        do {
          const { ms } = await logs[way].propose(way);
          times.add(ms);
        } while (performance.now() < end);
        whole[way].merge(times.state());
        median[way] = times.percentileMs(0.5);
      }
      ratios.push(median.fast / median.multi);
    }
    const medianRatio = middle(ratios);
    const [fast, multi] = [latency(whole.fast), latency(whole.multi)];
    say(
      `  alone: FAST ${fast.p50Ms.toFixed(1)} ms, Multi-Paxos ${multi.p50Ms.toFixed(1)} ms, ${medianRatio.toFixed(2)}`,
    );
    return {
      fast,
      multi,
      ratios,
      medianRatio,
      faults: [...(await logs.multi.verify()), ...(await logs.fast.verify())],
    };
  } finally {
    logs.multi.close();
    logs.fast.close();
  }
}

/** A log and one client of it, beside a proposer that does not lead it. */
class Lane {
  readonly #target: Target;
  readonly #log: string;
  readonly #worker: number;
  #client: SynodClient | undefined;
  #proposed = 0;
  readonly #failures: Failure[] = [];

  constructor(target: Target, log: string, worker = 0) {
    this.#target = target;
    this.#log = log;
    this.#worker = worker;
  }

  /** Uses this proposer from now on. */
  beside(proposer: number): void {
    this.#client?.close();
    const address = this.#target.cluster.addresses('proposer')[proposer - 1] as string;
    this.#client = connect({ proposers: [address], timeoutMs: CALL_MS, ownConnections: true });
  }

  /** Has the log led, and stands beside a proposer that does not lead it. Resolves to who leads. */
  async lead(): Promise<number> {
    this.beside(1);
    await this.propose('multi');
    const leader = await this.#target.leader(this.#log);
    if (leader === undefined) throw new SynodError('UNAVAILABLE', `nobody leads ${this.#log}`);
    this.beside(leader === 1 ? 2 : 1);
    await this.propose('multi');
    return leader;
  }

  /** Has the log led first, so that its leader opens it at a fast ballot of its own; resolves to who that is. */
  async open(): Promise<number> {
    const leader = await this.lead();
    const end = performance.now() + OPEN_MS;
    for (;;) {
      const { path } = await this.propose('fast');
      if (path === 'fast') return leader;
      await wait(20);
      if (performance.now() > end)
        throw new SynodError('UNAVAILABLE', `${this.#log} was not opened within ${String(OPEN_MS)} ms`);
    }
  }

  async propose(protocol: 'fast' | 'multi'): Promise<{ readonly ms: number; readonly path: Proposed['path'] }> {
    const counter = this.#proposed++;
    const began = performance.now();
    try {
      if (this.#client === undefined) throw new Error('no proposer was chosen');
      const { path } = await this.#client.propose(this.#log, makeValue(this.#worker, counter, VALUE_BYTES), {
        protocol,
      });
      return { ms: performance.now() - began, path };
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.#failures.push({ counter, outcome: error.outcome, message: error.message });
      throw error;
    }
  }

  get claimed(): { readonly worker: number; readonly proposed: number; readonly failures: readonly Failure[] } {
    return { worker: this.#worker, proposed: this.#proposed, failures: this.#failures };
  }

  async verify(more: readonly Lane[] = []): Promise<string[]> {
    await this.#target.drained(this.#log, 60_000);
    const { faults: found } = await this.#target.verify(
      this.#log,
      [this, ...more].map(({ claimed }) => claimed),
    );
    return [...found];
  }

  close(): void {
    this.#client?.close();
  }
}

// ── several at once ──────────────────────────────────────────────────────────────────────────────────────────────────────

async function measureContention(
  target: Target,
  { mode, proposers }: { readonly mode: Mode; readonly proposers: number },
  options: BenchOptions,
  say: (line: string) => void,
): Promise<Contention> {
  const log = `${mode}-${String(proposers)}`;
  const lanes = Array.from({ length: proposers }, (_, worker) => new Lane(target, log, worker));
  const [first, ...others] = lanes as [Lane, ...Lane[]];
  try {
    const protocol = mode === 'multi' ? 'multi' : 'fast';
    const leader = mode === 'multi' ? await first.lead() : await first.open();
    // Who leads, or opened the log, takes part last: with fewer than all, everybody is away from it.
    const all = Array.from({ length: PROPOSERS }, (_, at) => at + 1);
    const order = [...all.filter((id) => id !== leader), leader];
    for (const [at, lane] of lanes.entries()) lane.beside(order[at] ?? 1);
    // Sessions are opened before anything is measured.
    await Promise.all(lanes.map((lane) => lane.propose(protocol)));
    const paths = { fast: new Histogram(), recovered: new Histogram(), classic: new Histogram() };
    const whole = new Histogram();
    const began = performance.now();
    const end = began + options.seconds * 1_000;
    let failed: string | undefined;
    const run = async (lane: Lane): Promise<void> => {
      while (performance.now() < end && failed === undefined) {
        try {
          const { ms, path } = await lane.propose(protocol);
          whole.add(ms);
          if (path !== undefined) paths[path].add(ms);
        } catch (error) {
          failed = messageOf(error);
        }
      }
    };
    await Promise.all(lanes.map(run));
    const perSecond = (whole.count * 1_000) / (performance.now() - began);
    const collided = paths.recovered.count / Math.max(1, whole.count);
    const found = await first.verify(others);
    say(
      `  ${MODES[mode].title}, ${String(proposers)} at once: ${perSecond.toFixed(0)}/s, ${(collided * 100).toFixed(0)} % collided`,
    );
    return {
      ...{ mode, proposers, perSecond, collided, all: latency(whole) },
      paths: { fast: latency(paths.fast), recovered: latency(paths.recovered), classic: latency(paths.classic) },
      faults: [...found, ...(failed === undefined ? [] : [`a proposal failed: ${failed}`])],
    };
  } finally {
    for (const lane of lanes) lane.close();
  }
}

function latency(times: Histogram): Latency {
  return { count: times.count, p50Ms: times.percentileMs(0.5), p99Ms: times.percentileMs(0.99) };
}

export function middle(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(at)] ?? 0) + (sorted[Math.ceil(at)] ?? 0)) / 2;
}
