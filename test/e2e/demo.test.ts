/**
 * Goal: the demonstrations do on a real cluster what they tell, and say where they do not.
 * Method: the command plays each on one cluster of real processes; every claim that it prints must hold. That events which contradict
 * a claim are found has its controls in test/unit/cli/demo.
 */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Harness, ROOT, built, main, runToEnd } from './cluster.ts';

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

const envOf = ({ cluster }: Harness) => ({ SYNOD_PORT_BASE: String(cluster.portBase) });
const demoOn = (on: Harness, ...args: string[]) =>
  runToEnd([main('cli'), 'demo', ...args], { env: envOf(on), msMax: MS_MAX });
const demo = (...args: string[]) => demoOn(harness, ...args);
const faultsOn = async (on: Harness): Promise<string> =>
  (await runToEnd([main('cli'), 'fault', 'list'], { env: envOf(on) })).out;

interface Told {
  readonly claim?: string;
  readonly holds?: boolean;
  readonly done?: boolean;
  readonly claims?: number;
  readonly event?: { readonly kind: string };
  readonly statistics?: { readonly ways: Readonly<Record<string, { readonly proposals: number }>> };
}

/** Plays it as JSON on a cluster: all of its claims must hold. Resolves to what it told. */
async function play(on: Harness, name: string, count: number): Promise<readonly Told[]> {
  const { code, out, err } = await demoOn(on, name, '--json');
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
  expect(await faultsOn(on)).toContain('No faults are in force.');
  return told;
}

describe('each demonstration', () => {
  test.each([
    ['basic', 9],
    ['multi', 9],
    ['partition', 7],
  ])('%s: its claims hold, and no fault is left in force', async (name, count) => {
    const told = await play(harness, name, count);
    expect(told.filter(({ event }) => event?.kind === 'voted').length).toBeGreaterThan(0);
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

describe('Fast Paxos', () => {
  test.each([
    [4, 21],
    [5, 19],
  ])(
    'on %d acceptors: its claims hold, no fault is left, and the proposers count what was shown',
    async (acceptors, count) => {
      const on = await Harness.start({ faults: true, acceptors });
      try {
        const told = await play(on, 'fast', count);
        const kinds = new Set(told.map(({ event }) => event?.kind));
        for (const kind of ['collision', 'opened', 'recovering']) expect(kinds).toContain(kind);
        const ways = told.find(({ statistics }) => statistics !== undefined)?.statistics?.ways ?? {};
        for (const way of ['fast', 'recovered', 'fallback']) expect(ways[way]?.proposals).toBeGreaterThanOrEqual(1);
      } finally {
        await on.stop();
      }
    },
  );

  test('on three acceptors it is refused, with how to start what it takes', async () => {
    const { code, err } = await demo('fast');
    expect(code).toBe(1);
    expect(err).toContain('demo fast takes 4 or 5 acceptors, and there are 3');
    expect(err).toContain('npm run demo -- fast --alone');
    expect(err).toContain('npm start -- --faults --acceptors 5');
  });
});

test('who ends a demonstration in the middle leaves no fault behind', async () => {
  const child = spawn(process.execPath, [main('cli'), 'demo', 'basic'], {
    ...{ cwd: ROOT, env: { ...process.env, ...envOf(harness) }, stdio: ['ignore', 'pipe', 'inherit'] },
  });
  let out = '';
  let before: Promise<string> | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    // By its first claim its faults are in force.
    if (before !== undefined || !out.includes(' ✓')) return;
    before = faultsOn(harness).finally(() => child.kill('SIGINT'));
  });
  await new Promise((resolve) => child.once('close', resolve));
  expect(await before).toContain('demo-');
  expect(await faultsOn(harness)).toContain('No faults are in force.');
});
