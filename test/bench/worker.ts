/** A client process: proposes as fast as its lanes allow and measures every answer. Told what to do by the benchmark. */
import { ClientError, connect } from '../../shared/client/index.ts';
import type { SynodClient } from '../../shared/client/index.ts';
import { messageOf } from '../../shared/base/errors.ts';
import { Histogram } from './histogram.ts';
import { makeValue } from './messages.ts';
import type { Done, Failure, FromWorker, Job, ToWorker } from './messages.ts';

/** Failures beyond this are counted by the check alone. */
const FAILURES_MAX = 100_000;

class Load {
  readonly #job: Job;
  readonly #clients: readonly SynodClient[];
  readonly #latency = new Histogram();
  readonly #failures: Failure[] = [];
  readonly #cpu = process.cpuUsage();
  #counter = 0;
  #acknowledged = 0;
  #stopping = false;
  #measureBegan: number | undefined;
  #measureEnded: number | undefined;

  constructor(job: Job) {
    this.#job = job;
    this.#clients = Array.from({ length: job.clients }, () =>
      connect({ proposers: job.proposers, timeoutMs: 30_000, ownConnections: true }),
    );
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  measure(): void {
    this.#measureBegan = performance.now();
  }

  stop(): void {
    this.#stopping = true;
    this.#measureEnded ??= performance.now();
  }

  async run(): Promise<Done> {
    const lane = this.#job.kind === 'unary' ? this.#unaryLane.bind(this) : this.#streamLane.bind(this);
    await Promise.all(
      Array.from({ length: this.#job.lanes }, (_, at) => lane(this.#clients[at % this.#clients.length] as SynodClient)),
    );
    this.stop();
    for (const client of this.#clients) client.close();
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      kind: 'done',
      worker: this.#job.worker,
      proposed: this.#counter,
      failures: this.#failures,
      measured: this.#latency.count,
      measuredMs: (this.#measureEnded ?? 0) - (this.#measureBegan ?? this.#measureEnded ?? 0),
      latency: this.#latency.state(),
      cpuSeconds: (user + system) / 1e6,
    };
  }

  #isOver(): boolean {
    return this.#stopping || (this.#job.total > 0 && this.#counter >= this.#job.total);
  }

  async #unaryLane(client: SynodClient): Promise<void> {
    const { log, worker, valueBytes } = this.#job;
    while (!this.#isOver()) {
      const counter = this.#counter++;
      const began = performance.now();
      try {
        await client.propose(log, makeValue(worker, counter, valueBytes));
        this.#answered(performance.now() - began, 1);
      } catch (error) {
        this.#failed(counter, error);
      }
    }
  }

  async #streamLane(client: SynodClient): Promise<void> {
    const { log, worker, valueBytes } = this.#job;
    // By the stream's own numbers: which value it was, and when it was given to the stream. At most a window of them is open.
    const counters: number[] = [];
    const times: number[] = [];
    const ring = 4_096;
    let written = 0;
    const stream = client.proposeStream(log, {
      onAnswer: (answer) => {
        const now = performance.now();
        for (let at = 0; at < answer.count; at++) {
          const place = (answer.firstSequence + at) % ring;
          if (answer.kind === 'chosen') this.#answered(now - (times[place] ?? now), 1);
          else this.#failed(counters[place] ?? -1, answer.error);
        }
      },
    });
    while (!this.#isOver()) {
      const counter = this.#counter++;
      written++;
      counters[written % ring] = counter;
      times[written % ring] = performance.now();
      const value = makeValue(worker, counter, valueBytes);
      try {
        if (!stream.tryWrite(value)) await stream.write([value]);
      } catch (error) {
        // The stream has ended; this value was not taken, and those before it were refused above.
        this.#failed(counter, error);
        return;
      }
    }
    await stream.finish();
  }

  #answered(ms: number, count: number): void {
    this.#acknowledged += count;
    if (this.#measureBegan !== undefined && this.#measureEnded === undefined) this.#latency.add(ms, count);
  }

  #failed(counter: number, error: unknown): void {
    if (this.#failures.length >= FAILURES_MAX) throw error;
    const outcome = error instanceof ClientError ? error.outcome : 'unknown';
    this.#failures.push({ counter, outcome, message: messageOf(error) });
  }
}

function send(message: FromWorker): void {
  process.send?.(message);
}

function start(job: Job): Load {
  const load = new Load(job);
  let started = false;
  const progress = setInterval(() => {
    if (!started && load.acknowledged > 0) {
      started = true;
      send({ kind: 'started' });
    }
    send({ kind: 'progress', acknowledged: load.acknowledged });
  }, 100);
  load
    .run()
    .then(
      (done) => {
        send(done);
      },
      (error: unknown) => {
        send({ kind: 'failed', message: error instanceof Error ? String(error.stack) : messageOf(error) });
      },
    )
    .finally(() => {
      clearInterval(progress);
      process.disconnect();
    });
  return load;
}

let load: Load | undefined;
process.on('message', (message: ToWorker) => {
  if (message.kind === 'start') load = start(message.job);
  else if (message.kind === 'measure') load?.measure();
  else load?.stop();
});
// The benchmark is gone: nobody wants the answer.
process.on('disconnect', () => process.exit());
