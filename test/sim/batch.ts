/** Runs many seeds in processes of their own, and sums up what they met. */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { addCoverage, holesOf } from './coverage.ts';
import type { FromWorker, ToWorker } from './worker.ts';
import { simulate, type SimResult } from './world.ts';

export interface BatchOptions {
  readonly from: number;
  readonly seeds: number;
  /** Processes; 1 runs the seeds here. */
  readonly workers: number;
  /** Goes on after a violation. */
  readonly keepGoing: boolean;
  readonly onProgress?: (progress: BatchResult) => void;
}

export interface BatchResult {
  readonly seeds: number;
  readonly chosen: number;
  readonly answered: number;
  readonly reads: number;
  readonly seconds: number;
  readonly violations: readonly { readonly seed: number; readonly violation: string }[];
  readonly coverage: Readonly<Record<string, number>>;
  /** What never happened (coverage.ts). */
  readonly holes: readonly string[];
}

/** Seeds that a process is sent at once. */
const CHUNK = 4;

export class Batch {
  readonly #options: BatchOptions;
  readonly #began = performance.now();
  readonly #coverage: Record<string, number> = {};
  readonly #violations: { seed: number; violation: string }[] = [];
  #done = 0;
  #chosen = 0;
  #answered = 0;
  #reads = 0;
  #next: number;

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#next = options.from;
  }

  async run(): Promise<BatchResult> {
    const { workers } = this.#options;
    if (workers <= 1) await this.#runHere();
    else await Promise.all(Array.from({ length: workers }, () => this.#runWorker()));
    return this.result();
  }

  result(): BatchResult {
    return {
      seeds: this.#done,
      chosen: this.#chosen,
      answered: this.#answered,
      reads: this.#reads,
      seconds: (performance.now() - this.#began) / 1_000,
      violations: [...this.#violations].sort((a, b) => a.seed - b.seed),
      coverage: this.#coverage,
      holes: holesOf(this.#coverage, this.#done),
    };
  }

  #take(): number[] {
    const { from, seeds, keepGoing } = this.#options;
    const out: number[] = [];
    if (this.#violations.length > 0 && !keepGoing) return out;
    while (out.length < CHUNK && this.#next < from + seeds) out.push(this.#next++);
    return out;
  }

  async #runHere(): Promise<void> {
    for (let chunk = this.#take(); chunk.length > 0; chunk = this.#take())
      for (const seed of chunk) {
        this.#took(await simulate(seed));
        if (this.#violations.length > 0 && !this.#options.keepGoing) return;
      }
  }

  #runWorker(): Promise<void> {
    return new Promise((done, failed) => {
      const child = fork(join(import.meta.dirname, 'worker.js'));
      let left = 0;
      child.on('message', (result: FromWorker) => {
        this.#took(result);
        if (--left === 0) left = this.#give(child);
      });
      child.once('error', failed);
      child.once('exit', (code) => {
        if (left > 0) failed(new Error(`a worker process ended with ${String(code)} and ${left} seeds to run`));
        else done();
      });
      left = this.#give(child);
    });
  }

  /** Sends a process its next seeds, or lets it end. Returns how many it was sent. */
  #give(child: ChildProcess): number {
    const chunk: ToWorker = this.#take();
    if (chunk.length === 0) child.disconnect();
    else child.send(chunk);
    return chunk.length;
  }

  #took(result: SimResult): void {
    this.#done++;
    this.#chosen += result.chosen;
    this.#answered += result.answered;
    this.#reads += result.reads;
    addCoverage(this.#coverage, result.coverage);
    const { seed, violation } = result;
    if (violation !== undefined) this.#violations.push({ seed, violation });
    this.#options.onProgress?.(this.result());
  }
}
