// Goal: the trace tells the truth. Method: whole clusters under faults, every node followed; what was traced is compared with what the
// simulated shells did and what the oracle saw. Controls: an event that did not happen, one that is suppressed, a drop that is not counted.
import { describe, expect, test } from '@jest/globals';
import type { AnyTraceEvent } from '../../shared/wire/codec/trace.ts';
import { TraceWatch } from './trace-watch.ts';
import { simulate } from './world.ts';

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const ALL = 1_000_000;

/** Changes the first events that fit, in one place of the whole run. */
function once(
  change: (events: AnyTraceEvent[], at: number) => AnyTraceEvent[],
  fits: (event: AnyTraceEvent) => boolean,
) {
  let isDone = false;
  return (_name: string, events: AnyTraceEvent[]): AnyTraceEvent[] => {
    const at = events.findIndex(fits);
    if (isDone || at < 0) return events;
    isDone = true;
    return change(events, at);
  };
}

const isAccept = ({ kind, message }: AnyTraceEvent): boolean => kind === 'sent' && message === 'accept';
const isVoted = ({ kind }: AnyTraceEvent): boolean => kind === 'voted';

describe('the trace of a whole cluster under faults', () => {
  test.each(SEEDS)(
    'tells what happened, all of it and nothing else, with seed %d',
    async (seed) => {
      const watch = new TraceWatch(ALL);
      const result = await simulate(seed, { watch });
      expect(result.violation).toBeUndefined();
      expect(watch.count.dropped).toBe(0);
      expect(watch.count.events).toBeGreaterThan(1_000);
    },
    600_000,
  );

  test('changes nothing: the same seed does the same with it and without', async () => {
    const followed = await simulate(3, { watch: new TraceWatch(ALL) });
    expect(followed).toEqual(await simulate(3));
  }, 600_000);

  test('counts what does not fit into a small queue', async () => {
    const watch = new TraceWatch(4);
    const result = await simulate(2, { watch });
    expect(result.violation).toBeUndefined();
    expect(watch.count.dropped).toBeGreaterThan(100);
  }, 600_000);

  test('control: an Accept that was never sent is found', async () => {
    const forged = once((events, at) => {
      const event = events[at] as AnyTraceEvent;
      return [...events, { ...event, first: (event.first ?? 0) + 1_000 }];
    }, isAccept);
    const result = await simulate(2, { watch: new TraceWatch(ALL, forged) });
    expect(result.violation).toMatch(/traced what it did not do: sent accept/);
  }, 600_000);

  test('control: a vote that is told twice is found', async () => {
    const doubled = once((events, at) => [...events, events[at] as AnyTraceEvent], isVoted);
    const result = await simulate(2, { watch: new TraceWatch(ALL, doubled) });
    expect(result.violation).toMatch(/traced what it did not do: voted/);
  }, 600_000);

  test('control: a vote that is not told is found', async () => {
    const silent = once((events, at) => events.toSpliced(at, 1), isVoted);
    const result = await simulate(2, { watch: new TraceWatch(ALL, silent) });
    expect(result.violation).toMatch(/did 1 things that are not in its trace, which counts 0 dropped: voted/);
  }, 600_000);
});
