/** Client processes as one: started together, measured together, stopped together. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Histogram } from './histogram.ts';
import type { Done, FromWorker, Job, ToWorker } from './messages.ts';

export interface LoadOptions {
  readonly kind: Job['kind'];
  readonly log: string;
  readonly valueBytes: number;
  /** Unary: proposals in flight. Stream: streams. Shared among the processes. */
  readonly lanes: number;
  readonly processes: number;
  readonly clientsEach: number;
  /** The proposers of each process. */
  readonly proposers: (worker: number) => readonly string[];
  readonly warmUpMs: number;
  /** 0: until `total` is reached. */
  readonly measureMs: number;
  readonly total: number;
  readonly onMeasure?: () => Promise<void>;
  readonly onMeasured?: () => Promise<void>;
  /** Called about ten times a second. */
  readonly onProgress?: (acknowledged: number) => void;
}

export interface LoadResult {
  readonly workers: readonly Done[];
  readonly perSecond: number;
  readonly latency: Histogram;
  readonly cpuSeconds: number;
  readonly failures: number;
}

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const workers = Array.from({ length: options.processes }, (_, at) => new Worker(at, options));
  const progress = setInterval(() => {
    options.onProgress?.(workers.reduce((sum, worker) => sum + worker.acknowledged, 0));
  }, 100);
  try {
    await Promise.all(workers.map((worker) => worker.started));
    if (options.measureMs > 0) {
      await wait(options.warmUpMs);
      await options.onMeasure?.();
      for (const worker of workers) worker.send({ kind: 'measure' });
      await wait(options.measureMs);
      for (const worker of workers) worker.send({ kind: 'stop' });
      await options.onMeasured?.();
    } else for (const worker of workers) worker.send({ kind: 'measure' });
    const done = await Promise.all(workers.map((worker) => worker.done));
    const latency = new Histogram();
    for (const each of done) latency.merge(each.latency);
    return {
      workers: done,
      latency,
      perSecond: done.reduce((sum, each) => sum + (each.measured * 1_000) / Math.max(1, each.measuredMs), 0),
      cpuSeconds: done.reduce((sum, each) => sum + each.cpuSeconds, 0),
      failures: done.reduce((sum, each) => sum + each.failures.length, 0),
    };
  } finally {
    clearInterval(progress);
    for (const worker of workers) worker.kill();
  }
}

class Worker {
  readonly started: Promise<void>;
  readonly done: Promise<Done>;
  acknowledged = 0;
  readonly #child: ChildProcess;

  constructor(worker: number, options: LoadOptions) {
    const { kind, log, valueBytes, clientsEach, total, processes } = options;
    const lanes = Math.floor(options.lanes / processes) + (worker < options.lanes % processes ? 1 : 0);
    this.#child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), { serialization: 'advanced' });
    let onStarted: () => void = () => undefined;
    this.started = new Promise((resolve) => (onStarted = resolve));
    this.done = new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromWorker) => {
        if (message.kind === 'started') onStarted();
        else if (message.kind === 'progress') this.acknowledged = message.acknowledged;
        else if (message.kind === 'failed') reject(new Error(`a client process failed: ${message.message}`));
        else resolve(message);
      });
      this.#child.on('exit', (code) => {
        reject(new Error(`a client process ended with code ${String(code)} before its work was done`));
      });
    });
    // A worker that fails before it has started must end the wait for its start, too.
    this.started = Promise.race([this.started, this.done.then(() => undefined)]);
    this.done.catch(() => undefined);
    const proposers = options.proposers(worker);
    const job: Job = {
      kind,
      proposers,
      log,
      worker,
      clients: Math.min(clientsEach, lanes),
      lanes,
      valueBytes,
      total: Math.ceil(total / processes),
    };
    this.send({ kind: 'start', job });
  }

  send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message);
  }

  kill(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
  }
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Rejects once the signal is given. */
export function given(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('stopped'));
    });
  });
}
