/** Goal: what operators see is there from the start, is bounded, and tells the truth. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { request } from 'node:http';
import { serveAdmin } from '../../../shared/platform/admin/http.ts';
import type { AdminServer, Check } from '../../../shared/platform/admin/http.ts';
import { everyMs } from '../../../shared/platform/clock.ts';
import { configurationId } from '../../../shared/platform/configuration.ts';
import { EventLoop } from '../../../shared/platform/telemetry/event-loop.ts';
import { createLogger } from '../../../shared/platform/telemetry/logger.ts';
import { Metrics } from '../../../shared/platform/telemetry/metrics.ts';
import { VERSION } from '../../../shared/platform/version.ts';
import type { Clock } from '../../../shared/ports/clock.ts';

/** A clock that goes where the test says. */
class TestClock implements Clock {
  #now = 0;
  readonly #timers = new Map<() => void, number>();
  now(): number {
    return this.#now;
  }
  after(ms: number, callback: () => void): () => void {
    this.#timers.set(callback, this.#now + ms);
    return () => this.#timers.delete(callback);
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const [callback, at] of [...this.#timers])
      if (at <= this.#now) {
        this.#timers.delete(callback);
        callback();
      }
  }
}

describe('metrics', () => {
  const metrics = new Metrics({ role: 'proposer', id: 2 });

  test('are summed for a status over the series that are meant, times by what lies between two bounds', async () => {
    const own = new Metrics({ role: 'proposer', id: 3 });
    const counter = own.counter('synod_status_total', 'A test', { protocol: ['basic', 'multi'], outcome: ['a', 'b'] });
    const times = own.histogram('synod_status_seconds', 'A test', { acceptor: ['1', '2'] }, [0.001, 0.01]);
    counter.inc({ protocol: 'basic', outcome: 'a' }, 2);
    counter.inc({ protocol: 'multi', outcome: 'a' }, 3);
    counter.inc({ protocol: 'multi', outcome: 'b' }, 7);
    for (const seconds of [0.0005, 0.002, 0.003, 5]) times.observe({ acceptor: '1' }, seconds);
    times.observe({ acceptor: '2' }, 0.002);
    const activity = await own.activity({
      tallies: { a: ['synod_status_total', { outcome: 'a' }], all: ['synod_status_total', {}] },
      times: { both: ['synod_status_seconds', {}], one: ['synod_status_seconds', { acceptor: '2' }] },
    });
    expect(activity.tallies).toEqual([
      { name: 'a', count: 5 },
      { name: 'all', count: 12 },
    ]);
    expect(activity.times).toEqual([
      { name: 'both', boundsUs: [1_000, 10_000], counts: [1, 3, 1] },
      { name: 'one', boundsUs: [1_000, 10_000], counts: [0, 1, 0] },
    ]);
    await expect(own.activity({ tallies: { x: ['synod_no_such', {}] }, times: {} })).rejects.toThrow(/synod_no_such/);
  });

  test('exist at zero for every combination of label values', async () => {
    metrics.counter('synod_test_total', 'A test', { protocol: ['basic', 'multi'], outcome: ['chosen', 'refused'] });
    metrics.histogram('synod_test_seconds', 'A test', { phase: ['1', '2'] });
    const text = await metrics.scrape();
    expect(text).toContain('synod_test_total{protocol="basic",outcome="refused",role="proposer",id="2"} 0');
    expect(text).toContain('synod_test_seconds_count{role="proposer",id="2",phase="2"} 0');
    expect(text).toContain('synod_test_seconds_bucket{le="0.0001",role="proposer",id="2",phase="1"} 0');
    expect(text).toContain('nodejs_eventloop_lag_seconds');
  });

  test('count, set and observe', async () => {
    const counter = metrics.counter('synod_other_total', 'A test', { kind: ['a', 'b'] });
    const gauge = metrics.gauge('synod_gauge', 'A test', {});
    metrics.gaugeOf('synod_read', 'A test', () => 7);
    metrics.gaugeOf('synod_read_later', 'A test', () => Promise.resolve(8));
    metrics.gaugesOf('synod_read_each', 'A test', 'acceptor', { 1: () => 1, 2: () => 0 });
    counter.inc({ kind: 'a' });
    counter.inc({ kind: 'a' }, 4);
    gauge.set({}, 3);
    const text = await metrics.scrape();
    expect(text).toContain('synod_other_total{kind="a",role="proposer",id="2"} 5');
    expect(text).toContain('synod_gauge{role="proposer",id="2"} 3');
    expect(text).toContain('synod_read{role="proposer",id="2"} 7');
    expect(text).toContain('synod_read_later{role="proposer",id="2"} 8');
    expect(text).toContain('synod_read_each{acceptor="1",role="proposer",id="2"} 1');
    expect(text).toContain('synod_read_each{acceptor="2",role="proposer",id="2"} 0');
  });
});

describe('the event loop', () => {
  test('is late by as much as its timers were, and by what the present one is late already', () => {
    const clock = new TestClock();
    const loop = new EventLoop(clock, 'acceptor', undefined);
    clock.advance(100);
    expect(loop.lagMs).toBe(0);
    clock.advance(130);
    expect(loop.lagMs).toBe(30);
    expect(loop.takeWorstMs()).toBe(30);
    loop.stop();
    clock.advance(450);
    expect(loop.lagMs).toBe(350);
  });

  test('ticks that were missed in a pause are not made up for', () => {
    const clock = new TestClock();
    let ticks = 0;
    const stop = everyMs(clock, 10, () => ticks++);
    clock.advance(10);
    clock.advance(1_000);
    expect(ticks).toBe(2);
    stop();
    clock.advance(10);
    expect(ticks).toBe(2);
  });
});

describe('a logger', () => {
  test('writes JSON lines with level, role and id, and nothing below its level', () => {
    const lines: string[] = [];
    const log = createLogger({
      role: 'learner',
      id: 3,
      level: 'info',
      destination: { write: (line) => lines.push(line) },
    });
    log.debug({}, 'not this');
    log.info({ slot: 5 }, 'applied');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      role: 'learner',
      id: 3,
      slot: 5,
      msg: 'applied',
    });
  });
});

describe('a configuration id', () => {
  test('is 16 hex digits that do not depend on the order of acceptors, and on everything else', () => {
    const id = configurationId('c', [1, 2, 3], 'majority');
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    expect(configurationId('c', [3, 1, 2], 'majority')).toBe(id);
    expect(configurationId('d', [1, 2, 3], 'majority')).not.toBe(id);
    expect(configurationId('c', [1, 2], 'majority')).not.toBe(id);
    expect(configurationId('c', [1, 2, 3], 'grid')).not.toBe(id);
  });

  test('never changes, because disks and messages carry it', () => {
    expect(configurationId('c', [1, 2, 3], 'majority')).toBe('29ecd082331ae66d');
  });
});

describe('the admin pages', () => {
  let server: AdminServer | undefined;
  const loop = new EventLoop(new TestClock(), 'acceptor', undefined);
  afterEach(() => server?.close());

  async function serve(checks: Record<string, Check>): Promise<AdminServer> {
    server = await serveAdmin({
      address: '127.0.0.1:0',
      metrics: new Metrics({ role: 'acceptor', id: 1 }),
      checks,
      status: () => ({ ballot: 7 }),
      eventLoop: loop,
      log: createLogger({ role: 'acceptor', id: 1, level: 'silent' }),
      checkMsMax: 20,
    });
    return server;
  }

  function ask(path: string, method = 'GET'): Promise<{ code: number | undefined; body: string }> {
    return new Promise((resolve, reject) => {
      const sent = request({ port: server?.port, path, method, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          resolve({ code: response.statusCode, body });
        });
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  test('are there', async () => {
    await serve({});
    expect(await ask('/livez')).toEqual({ code: 200, body: 'ok\n' });
    const { body } = await ask('/metrics');
    expect(body).toContain('process_cpu_seconds_total');
    expect(body).toContain(`synod_acceptor_build_info{version="${VERSION}",role="acceptor",id="1"} 1`);
    expect(JSON.parse((await ask('/status.json')).body)).toEqual({ ballot: 7 });
    expect((await ask('/etc/passwd')).code).toBe(404);
    expect((await ask('/constructor')).code).toBe(404);
    expect((await ask('/livez', 'POST')).code).toBe(405);
  });

  test('readiness names the checks that fail: by answer, by throwing and by silence', async () => {
    await serve({
      journal: () => true,
      roster: () => 'acceptor 3 has not answered',
      disk: () => {
        throw new Error('no space');
      },
      quorum: () => new Promise(() => undefined),
    });
    const failed =
      '[-] roster: acceptor 3 has not answered\n[-] disk: no space\n[-] quorum: no answer within 20 ms\nnot ready\n';
    expect(await ask('/readyz')).toEqual({ code: 503, body: failed });
    expect((await ask('/readyz?verbose')).body).toBe(`[+] journal\n${failed}`);
    expect((await ask('/metrics')).body).toContain('synod_acceptor_ready{role="acceptor",id="1"} 0');
  });

  test('a process that is stopping is alive and not ready', async () => {
    const admin = await serve({ journal: () => true });
    expect(await ask('/readyz')).toEqual({ code: 200, body: 'ok\n' });
    expect((await ask('/metrics')).body).toContain('synod_acceptor_ready{role="acceptor",id="1"} 1');
    admin.setStopping();
    expect(await ask('/readyz')).toEqual({ code: 503, body: 'stopping\n' });
    expect((await ask('/metrics')).body).toContain('synod_acceptor_ready{role="acceptor",id="1"} 0');
    expect((await ask('/livez')).code).toBe(200);
  });

  test('a port in use is named with its setting', async () => {
    const first = await serve({});
    const second = serveAdmin({
      address: first.address,
      metrics: new Metrics({ role: 'acceptor', id: 1 }),
      checks: {},
      status: () => ({}),
      eventLoop: loop,
      log: createLogger({ role: 'acceptor', id: 1, level: 'silent' }),
    });
    await expect(second).rejects.toThrow(`${first.address} is in use by another process; choose another with --http`);
  });
});
