/** What npm run monitor says of its settings, and where Prometheus is missing. */
import { describe, expect, test } from '@jest/globals';
import { findProgram } from '../../deploy/local/prometheus.ts';
import { readOptions, startMonitor } from '../../deploy/local/monitor.ts';
import type { MonitorOptions } from '../../deploy/local/monitor.ts';

/** Runs with another PATH. */
async function withPath<T>(path: string, run: () => Promise<T> | T): Promise<T> {
  const before = process.env['PATH'];
  process.env['PATH'] = path;
  try {
    return await run();
  } finally {
    process.env['PATH'] = before;
  }
}

describe('npm run monitor', () => {
  test('has a default for every setting, and takes the port base of the environment', () => {
    const preset = { port: 9090, portBase: 7000, cluster: 'local', intervalSeconds: 5, data: 'data', json: false };
    expect(readOptions([], {})).toEqual(preset);
    expect(readOptions([], { SYNOD_PORT_BASE: '17000' })).toEqual({ ...preset, portBase: 17_000 });
    expect(readOptions(['--port-base', '27000', '--json'], { SYNOD_PORT_BASE: '17000' })).toEqual({
      ...preset,
      portBase: 27_000,
      json: true,
    });
    expect(readOptions(['--help', '--port', 'x'], {})).toBe('help');
  });

  test.each([
    [['--port', 'x'], '--port must be a whole number from 1 to 65535, not "x"'],
    [['--interval', '0'], '--interval must be a whole number from 1 to 300, not "0"'],
    [['--cluster', ''], '--cluster needs a name'],
    [['--prot', '1'], "Unknown option '--prot'"],
  ])('names what is wrong with %j', (args, words) => {
    expect(() => readOptions(args, {})).toThrow(words);
  });

  test('says how to get Prometheus where it is not installed', async () => {
    const started = withPath('/nowhere', () => startMonitor(readOptions([], {}) as MonitorOptions, '.'));
    await expect(started).rejects.toThrow(/no prometheus on the PATH.*apt-get install prometheus/);
  });

  test('finds a program by the PATH, in the order of its folders', async () => {
    expect(await withPath('/nowhere', () => findProgram('promtool'))).toBeUndefined();
  });
});
