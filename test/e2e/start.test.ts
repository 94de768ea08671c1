/**
 * Goal: what a new user does works, and what can go wrong at a start is said in one clear sentence. Method: the very script behind
 * `npm start`, as a process, with signals; afterwards no process of it is left.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { claimPortBase } from '../../deploy/local/layout.ts';
import type { PortClaim } from '../../deploy/local/layout.ts';
import { ROOT, built, eventually, isAlive, runToEnd, scratch, synodctl } from './cluster.ts';
import type { Ended } from './cluster.ts';

jest.setTimeout(120_000);

const SCRIPT = 'deploy/local/start.mjs';
const { path: folder, remove } = scratch();
const data = join(folder, 'data');
const started: Started[] = [];
let claim: PortClaim | undefined;
let portBase = 0;

beforeAll(async () => {
  await built();
  claim = await claimPortBase();
  portBase = claim.base;
});
afterAll(async () => {
  for (const { child, ended } of started) {
    child.kill('SIGKILL');
    await ended;
  }
  remove();
  await claim?.release();
});

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly out: () => string;
}

const flags = (...more: string[]): string[] => [SCRIPT, '--data', data, '--port-base', String(portBase), ...more];

function start(): Started {
  const child = spawn(process.execPath, flags(), { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => {
      resolve({ code, out, err });
    });
  });
  const run = { child, ended, out: () => out };
  started.push(run);
  return run;
}

/** The pids in the table that a start prints, one for each role's process. */
async function ready({ out, ended }: Started): Promise<number[]> {
  let early: Ended | undefined;
  void ended.then((how) => (early = how));
  await eventually('Synod is ready', () => {
    if (early !== undefined) throw new Error(`it ended with ${early.code}: ${early.out}${early.err}`);
    return out().includes('Synod is ready');
  });
  const pids = [...out().matchAll(/^ {2}(?:acceptor|proposer|learner) \d .* (\d+)$/gm)].map(([, pid]) => Number(pid));
  expect(pids).toHaveLength(7);
  expect(pids.every(isAlive)).toBe(true);
  return pids;
}

async function logged(): Promise<{ slot: number; value: string }[]> {
  const { out, err, code } = await synodctl(portBase, ['log', '--json']);
  expect({ err, code }).toEqual({ err: '', code: 0 });
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { slot: number; value: string });
}

describe('npm start', () => {
  test('on a fresh folder gets ready, takes a proposal, shows it, and stops all on SIGTERM', async () => {
    const run = start();
    const pids = await ready(run);
    expect(run.out()).toContain(`npx synodctl propose hello --port-base ${portBase}`);
    const proposed = await synodctl(portBase, ['propose', 'hello']);
    expect(proposed).toMatchObject({ code: 0, err: '' });
    expect(proposed.out).toMatch(/slot \d+ .*ballot \S+ .*hello/);
    expect((await logged()).map(({ value }) => value)).toEqual(['hello']);

    const other = await claimPortBase();
    const second = await runToEnd([SCRIPT, '--data', data, '--port-base', String(other.base)]);
    await other.release();
    expect(second.code).toBe(1);
    expect(second.err).toMatch(
      /is in use by the cluster of process \d+; stop that one or choose another with --data\.\n$/,
    );

    run.child.kill('SIGTERM');
    expect(await run.ended).toMatchObject({ code: 0, err: '' });
    expect(run.out()).toContain('Stopped. The data is kept.');
    expect(run.out()).not.toContain('starting it again');
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test('goes on with the same data, and stops all on Ctrl-C', async () => {
    const run = start();
    const pids = await ready(run);
    expect(await synodctl(portBase, ['propose', 'again'])).toMatchObject({ err: '', code: 0 });
    const [hello, again, ...more] = await logged();
    expect([hello?.value, again?.value, more]).toEqual(['hello', 'again', []]);
    // No role died on the way.
    expect(run.out()).not.toContain('starting it again');
    expect(again!.slot).toBeGreaterThan(hello!.slot);
    run.child.kill('SIGINT');
    expect((await run.ended).code).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test('leaves no role behind when it is killed itself, and starts again after that', async () => {
    const run = start();
    const pids = await ready(run);
    run.child.kill('SIGKILL');
    await run.ended;
    await eventually('the roles have ended', () => !pids.some(isAlive));
    const again = start();
    const pidsAgain = await ready(again);
    expect((await logged()).map(({ value }) => value)).toEqual(['hello', 'again']);
    again.child.kill('SIGTERM');
    expect((await again.ended).code).toBe(0);
    expect(pidsAgain.filter(isAlive)).toEqual([]);
  });
});

describe('a start that cannot work says why in one sentence and changes nothing:', () => {
  /** One line on standard error, code 1. */
  function expectRefused({ code, err }: Ended, why: RegExp): void {
    expect(err).toMatch(why);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(1);
  }

  test('a port in use', async () => {
    const port = portBase + 1_202;
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen({ host: '127.0.0.1', port }, resolve));
    try {
      const fresh = join(folder, 'never-made');
      const ended = await runToEnd([SCRIPT, '--data', fresh, '--port-base', String(portBase)]);
      expectRefused(ended, new RegExp(`The port of 127\\.0\\.0\\.1:${port}, for proposer 2, is in use`));
      expect(existsSync(fresh)).toBe(false);
    } finally {
      taken.close();
    }
  });

  test('a folder that holds other things', async () => {
    const foreign = join(folder, 'foreign');
    mkdirSync(foreign);
    writeFileSync(join(foreign, 'letter.txt'), 'dear');
    const ended = await runToEnd([SCRIPT, '--data', foreign, '--port-base', String(portBase)]);
    expectRefused(
      ended,
      /foreign holds other things \(letter\.txt\) and no cluster; choose an empty or new one with --data\./,
    );
    expect(readdirSync(foreign)).toEqual(['letter.txt']);
  });

  test('another number of acceptors than the folder was made with', async () => {
    const ended = await runToEnd(flags('--acceptors', '5'));
    expectRefused(ended, /is that of a cluster with 3 acceptors, not 5; start it with --acceptors 3 or choose another/);
  });

  test('a wrong flag, with every fault and the limits', async () => {
    const { code, err } = await runToEnd([SCRIPT, '--acceptors', '6', '--port-base', '80', '--lerners', '2']);
    expect(code).toBe(1);
    expect(err).toMatch(/--acceptors must be 3, 4, 5, 7, not "6"/);
    expect(err).toMatch(/--port-base must be a whole number from 1024 to 64000, not "80"/);
    expect(err).toMatch(/--lerners is not a setting; did you mean --learners\?/);
  });
});
