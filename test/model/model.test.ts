// Goal: agreement, validity, R1, R2, R3, R9 and R10 in every state of small worlds. Method: the search over a copy of the shipped
// machines, in a process of its own; then the count of a public model, and mistakes that must be found.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCopy, ROOT } from './copy.ts';
import { PLANTED_IN_MODEL } from './planted.ts';
import type { Comparison } from './known.ts';
import type { Report } from './run.ts';

/** Runs a line of code in the copy; what it gives is the answer, as JSON. */
function inCopy(folder: string, code: string): Promise<unknown> {
  const program = `import * as run from ${JSON.stringify(join(folder, 'test/model/run.js'))};
    const options = { statesMax: 300_000, symmetry: true, onProgress: () => undefined };
    const elapsed = () => performance.now() / 1_000;
    process.stdout.write(JSON.stringify(await (${code})));`;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(out));
      else reject(new Error(`the search ended with ${String(code)}: ${err.slice(-2_000)}`));
    });
  });
}

async function search(folder: string, world: string): Promise<Report> {
  return (await inCopy(folder, `run.run(${JSON.stringify(world)}, options, elapsed)`)) as Report;
}

/** Only ends a search that hangs. Milliseconds. */
const LONG_MS = 600_000;

jest.setTimeout(LONG_MS);

let clean = { folder: '', remove: (): void => undefined };

beforeAll(() => {
  clean = makeCopy();
});

afterAll(() => {
  clean.remove();
});

describe('every state of a small world', () => {
  test('keeps the rules, and everything that should happen sometimes does', async () => {
    const report = await search(clean.folder, 'basic');
    expect(report.violation).toBeUndefined();
    expect(report.never).toEqual([]);
    expect(report.isExhausted).toBe(true);
    expect(report.states).toBeGreaterThan(5_000);
  });

  test('keeps the rules where any three of four acceptors promise and any two choose', async () => {
    const report = await search(clean.folder, 'flexible');
    expect(report.violation).toBeUndefined();
    expect([report.never, report.isExhausted]).toEqual([[], true]);
  });

  test('has the states that the public model of the same world has: 3,921', async () => {
    const { common, known } = (await inCopy(clean.folder, 'run.compare()')) as Comparison & { known: number };
    expect(common).toBe(known);
  });

  test('is found by symmetry where it is found without: six orders of three acceptors, fewer where two are alike', async () => {
    const whole = (await inCopy(clean.folder, "run.run('basic', { ...options, symmetry: false }, elapsed)")) as Report;
    const reduced = await search(clean.folder, 'basic');
    expect(whole.isExhausted).toBe(true);
    expect(whole.depth).toBe(reduced.depth);
    expect(Object.keys(whole.met).sort()).toEqual(Object.keys(reduced.met).sort());
    expect(whole.states / reduced.states).toBeGreaterThan(3);
    expect(whole.states / reduced.states).toBeLessThanOrEqual(6);
  });
});

describe('a planted fault is found (negative control)', () => {
  const inTest = [
    'sizes of quorums that miss',
    'a vote below the promise',
    'the value choice ignores',
    'a learner counts',
    'messages leave before',
  ];

  test.each(inTest)('%s', async (name) => {
    const fault = PLANTED_IN_MODEL.find((f) => f.name.startsWith(name))!;
    const copy = makeCopy(fault);
    try {
      const { violation } = await search(copy.folder, fault.world);
      expect(violation?.complaint).toMatch(/^(R\d|agreement|validity)/);
      expect(violation?.trace.length).toBeGreaterThan(1);
    } finally {
      copy.remove();
    }
  });

  test('every fault has its text once in the source', () => {
    for (const { file, find } of PLANTED_IN_MODEL)
      expect(readFileSync(join(ROOT, file), 'utf8').split(find)).toHaveLength(2);
  });
});
