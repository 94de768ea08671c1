/**
 * Goal: the demonstrations do on a real cluster what they tell, and say where they do not.
 * Method: the command plays each on one cluster of real processes; every claim that it prints must hold. That events which contradict
 * a claim are found has its controls in test/unit/cli/demo.
 */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Harness, built, main, runToEnd } from './cluster.ts';

jest.setTimeout(180_000);

/** A busy machine is slow; what is told is not judged by time. */
const MS_MAX = 120_000;

let harness: Harness;
beforeAll(async () => {
  await built();
  harness = await Harness.start({ faults: true });
});
afterAll(async () => {
  await (harness as Harness | undefined)?.stop();
});

const demo = (...args: string[]) =>
  runToEnd([main('cli'), 'demo', ...args], {
    env: { SYNOD_PORT_BASE: String(harness.cluster.portBase) },
    msMax: MS_MAX,
  });

interface Told {
  readonly claim?: string;
  readonly holds?: boolean;
  readonly done?: boolean;
  readonly claims?: number;
  readonly event?: { readonly kind: string };
}

describe('each demonstration', () => {
  test.each([
    ['basic', 9],
    ['multi', 9],
    ['partition', 7],
  ])('%s: its claims hold, and no fault is left in force', async (name, count) => {
    const { code, out, err } = await demo(name, '--json');
    // Only what went wrong is of interest; the events are thousands of lines.
    const told = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Told);
    const claims = told.filter(({ claim }) => claim !== undefined);
    expect({ code, wrong: claims.filter(({ holds }) => holds !== true), err: code === 0 ? '' : err }).toEqual({
      ...{ code: 0, wrong: [], err: '' },
    });
    // One that lost a race is begun anew, and its claims are told as well.
    expect(claims.length).toBeGreaterThanOrEqual(count);
    expect(told.at(-1)).toMatchObject({ done: true, claims: count });
    expect(told.filter(({ event }) => event?.kind === 'voted').length).toBeGreaterThan(0);
    const list = await runToEnd([main('cli'), 'fault', 'list'], {
      env: { SYNOD_PORT_BASE: String(harness.cluster.portBase) },
    });
    expect(list.out).toContain('No faults are in force.');
  });

  test('learner: as text for people, of at most 80 columns and with every claim marked', async () => {
    const { code, out, err } = await demo('learner');
    const lines = out.split('\n');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.filter((line) => line.startsWith(' ✓'))).toHaveLength(8);
    expect(out).toContain('8 claims in ');
    expect(out).toContain('votes');
  });
});
