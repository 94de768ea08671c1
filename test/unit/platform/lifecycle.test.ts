/** Goal: a process ends in order when asked, and at once when something is wrong. */
import { describe, expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import { Lifecycle } from '../../../shared/platform/lifecycle.ts';
import { until } from '../../support/until.ts';

function lifecycle(graceMs = 1_000) {
  const signals = new EventEmitter();
  const codes: number[] = [];
  const lines: string[] = [];
  const say = (_: object, message: string): void => void lines.push(message);
  const made = new Lifecycle({
    log: { debug: say, info: say, warn: say, error: say, fatal: say },
    graceMs,
    exit: (code) => codes.push(code),
    signals,
  });
  made.install();
  return { signals, codes, lines, lifecycle: made };
}

describe('a process', () => {
  test('stops step by step at SIGTERM and exits with 0', async () => {
    const { signals, codes, lifecycle: life } = lifecycle();
    const order: string[] = [];
    for (const step of ['resign', 'server', 'journal'])
      life.onStop(step, async () => {
        await Promise.resolve();
        order.push(step);
      });
    signals.emit('SIGTERM');
    await until(() => codes.length > 0);
    expect(order).toEqual(['resign', 'server', 'journal']);
    expect(codes).toEqual([0]);
  });

  test('runs the other steps when one fails and one does not end', async () => {
    const { signals, codes, lines, lifecycle: life } = lifecycle(20);
    let last = false;
    life.onStop('bad', () => {
      throw new Error('broken');
    });
    life.onStop('stuck', () => new Promise(() => undefined));
    life.onStop('last', () => {
      last = true;
    });
    signals.emit('SIGINT');
    await until(() => codes.length > 0);
    expect(last).toBe(true);
    expect(lines).toContain('a step of the stop did not end within stop.grace');
    expect(codes).toEqual([0]);
  });

  test('takes the echo of a signal for what it is', async () => {
    const { signals, codes, lifecycle: life } = lifecycle();
    let release: () => void = () => undefined;
    life.onStop('wait', () => new Promise<void>((resolve) => (release = resolve)));
    signals.emit('SIGINT');
    signals.emit('SIGINT');
    expect(codes).toEqual([]);
    release();
    await until(() => codes.length > 0);
    expect(codes).toEqual([0]);
  });

  test.each(['uncaughtException', 'unhandledRejection'])('ends at once with 1 at an %s, and runs no steps', (name) => {
    const { signals, codes, lines, lifecycle: life } = lifecycle();
    let ran = false;
    life.onStop('step', () => {
      ran = true;
    });
    signals.emit(name, new Error('oops'));
    expect(codes).toEqual([1]);
    expect(ran).toBe(false);
    expect(lines[0]).toMatch(/^ending now/);
  });

  test('ends with 78 where no start can succeed until a person did something', () => {
    const { codes, lifecycle: life } = lifecycle();
    life.refuse('the disk is older than it once was');
    expect(codes).toEqual([78]);
  });
});
