/**
 * Goal: Trace.Follow is served as it says: events with their fields, refusals, a bound on followers, an end.
 * Method: the service of a role over real gRPC on loopback; a real cluster is followed in `test/e2e/synodctl`.
 */
import { setMaxListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { followTrace, mergeTraces } from '../../shared/client/index.ts';
import { serve } from '../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../shared/platform/grpc/server.ts';
import { Tracing } from '../../shared/platform/tracing.ts';
import { TRACE_LIMITS } from '../../shared/wire/codec/trace.ts';
import { statusOf } from '../../shared/wire/status.ts';
import { silentLog } from '../support/silent-log.ts';
import { until } from '../support/until.ts';

const self = { cluster: 'c', configuration: 'ab'.repeat(8), role: 'learner', id: 2, incarnation: undefined } as const;

let tracing: Tracing;
let server: RunningServer;
let stop: AbortController;
beforeEach(async () => {
  tracing = new Tracing({ self, log: silentLog });
  server = await serve({
    ...{ address: '127.0.0.1:0', services: [tracing.service], facing: 'roles', toStatus: statusOf, log: silentLog },
  });
  stop = new AbortController();
  setMaxListeners(0, stop.signal);
});
afterEach(async () => {
  stop.abort();
  await server.close(0);
});

const record = (slot: number): number => tracing.tracer.record({ kind: 'applied', log: 'a', first: slot, count: 1 });

describe('Trace.Follow', () => {
  test('tells who speaks, then every event in order, until the caller ends it', async () => {
    const follower = followTrace(server.address, { signal: stop.signal });
    expect(await follower.ready).toEqual({ role: 'learner', id: 2 });
    for (let slot = 0; slot < 600; slot++) record(slot);
    const slots: number[] = [];
    for await (const event of follower) {
      slots.push(event.first ?? -1);
      expect(Math.abs(event.wallMs - Date.now())).toBeLessThan(60_000);
      if (slots.length === 600) break;
    }
    expect(slots).toEqual(Array.from({ length: 600 }, (_, slot) => slot));
    await until(() => !tracing.tracer.isOn);
  });

  test('counts what a follower was too slow for, and never waits for it', async () => {
    const follower = followTrace(server.address, { signal: stop.signal, queueEvents: 10 });
    await follower.ready;
    for (let slot = 0; slot < 25; slot++) record(slot);
    let count = 0;
    for await (const event of follower) {
      count += event.kind === 'applied' ? 1 : 0;
      if (count === 10) break;
    }
    expect(follower.dropped).toBe(15);
  });

  test('refuses another cluster with both names, and nothing is recorded for it', async () => {
    const follower = followTrace(server.address, { cluster: 'other' });
    await expect(follower.ready).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('"other"'),
    });
    expect(tracing.tracer.isOn).toBe(false);
  });

  test('refuses one follower too many, with the limit; there is room again when one is gone', async () => {
    const first = new AbortController();
    const followers = Array.from({ length: TRACE_LIMITS.followersMax }, (_, at) =>
      followTrace(server.address, { signal: at === 0 ? first.signal : stop.signal }),
    );
    await Promise.all(followers.map(({ ready }) => ready));
    await expect(followTrace(server.address).ready).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: expect.stringContaining(`the limit is ${String(TRACE_LIMITS.followersMax)}`),
    });
    first.abort();
    await until(() => tracing.tracer.followers < TRACE_LIMITS.followersMax);
    await followTrace(server.address, { signal: stop.signal }).ready;
  });

  test('merged, a role that comes back is followed again', async () => {
    const changes: string[] = [];
    const merged = mergeTraces([server.address], {
      signal: stop.signal,
      settleMs: 0,
      onChange: ({ change }) => changes.push(change),
    });
    await merged.ready;
    const { address } = server;
    await server.close(0);
    await until(() => changes.includes('lost'));
    server = await serve({
      ...{ address, services: [tracing.service], facing: 'roles', toStatus: statusOf, log: silentLog },
    });
    await until(() => changes.filter((change) => change === 'followed').length === 2);
    record(7);
    for await (const event of merged) {
      expect(event.first).toBe(7);
      break;
    }
  });

  test('merged, nobody at all is an error', async () => {
    await server.close(0);
    await expect(mergeTraces([server.address], { signal: stop.signal }).ready).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});
