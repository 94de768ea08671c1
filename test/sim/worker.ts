/** A process of its own that runs the seeds it is sent, and sends back how each went. */
import { simulate, type SimResult } from './world.ts';

export type ToWorker = readonly number[];
export type FromWorker = SimResult;

process.on('message', (seeds: ToWorker) => {
  void run(seeds);
});

async function run(seeds: ToWorker): Promise<void> {
  for (const seed of seeds) process.send?.((await simulate(seed)) satisfies FromWorker);
}
