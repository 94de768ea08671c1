/**
 * Goal: a short run on real processes passes, says what it did, leaves nothing behind; and the same run is refused once a learner's copy
 * of it is damaged. Method: the command itself, in a process of its own; its history is written down and judged again here.
 */
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ROOT, built, runToEnd, scratch } from '../e2e/cluster.ts';
import type { Ended } from '../e2e/cluster.ts';
import type { Learned } from '../e2e/history.ts';
import type { ChaosResult } from './result.ts';
import { History } from './history.ts';
import type { DecreeHistory, LogHistory } from './history.ts';
import { verify } from './verify.ts';
import type { Copy } from './verify.ts';

jest.setTimeout(300_000);

const COMMAND = join(ROOT, 'dist', 'test', 'chaos', 'main.js');
/** Disks are left alone: what they need is not on every machine. */
const FLAGS = ['--seconds', '12', '--seed', '7', '--acceptors', '3', '--proposers', '2', '--learners', '2'];

const folder = scratch();
const file = join(folder.path, 'result.json');
const html = join(folder.path, 'page.html');
/** Where the run makes its folder. */
const temporary = join(folder.path, 'tmp');
let ended: Ended;
beforeAll(async () => {
  await built();
  mkdirSync(temporary);
  const args = [...FLAGS, '--only', 'kill|crash|pause|cut|delay', '--out', file, '--html', html, '--history'];
  ended = await runToEnd([COMMAND, ...args], { env: { TMPDIR: temporary }, msMax: 240_000 });
});
afterAll(() => folder.remove());

interface Written {
  readonly logs: readonly LogHistory[];
  readonly decrees: readonly DecreeHistory[];
  readonly copies: readonly { readonly learner: number; readonly logs: readonly [string, readonly Learned[]][] }[];
}

/** The history as the run wrote it down, and the learners' copies after `hurt` had its way with those of one log. */
function again(hurt: (entries: readonly Learned[]) => readonly Learned[]): string[] {
  const written = JSON.parse(readFileSync(`${file}.history`, 'utf8')) as Written;
  const history = new History();
  for (const each of written.logs) history.logs.set(each.log, each);
  for (const each of written.decrees) history.decrees.set(each.log, each);
  const copies = written.copies.map(({ learner, logs }, at): Copy => {
    const all = new Map(logs);
    const [log] = [...all.keys()].filter((name) => name.startsWith('chaos-'));
    if (at === written.copies.length - 1 && log !== undefined) all.set(log, hurt(all.get(log) ?? []));
    return { learner, logs: all };
  });
  return [...verify(history, copies).violations];
}

describe('a short run', () => {
  test('passes, and did something', () => {
    expect([ended.code, ended.code === 0 ? '' : ended.out + ended.err]).toEqual([0, '']);
    const result = JSON.parse(readFileSync(file, 'utf8')) as ChaosResult;
    expect(result.violations).toEqual([]);
    expect(result.faults.length).toBeGreaterThan(1);
    expect(result.judged.histories).toBeGreaterThan(3);
    expect(result.counts.ok).toBeGreaterThan(100);
    expect(ended.out).toContain('every history is linearizable');
    expect(readFileSync(html, 'utf8')).toContain('all in order');
  });

  test('leaves no folder behind', () => {
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('is judged the same again (control), and refused where the copy of one learner is damaged', () => {
    expect(again((entries) => entries)).toEqual([]);
    const applied = (entries: readonly Learned[]): number => entries.findIndex(({ effect }) => effect === 'applied');
    const damages: Record<string, (entries: readonly Learned[]) => readonly Learned[]> = {
      'a lost value': (entries) => entries.toSpliced(applied(entries), 1),
      'another value': (entries) =>
        entries.with(applied(entries), { ...(entries[applied(entries)] as Learned), value: 'v0.0' }),
      'a value twice': (entries) => [...entries, { ...(entries[applied(entries)] as Learned), slot: entries.length }],
      'an empty log': () => [],
    };
    const found = Object.entries(damages).map(([what, hurt]) => [what, again(hurt).length > 0]);
    expect(found).toEqual(Object.keys(damages).map((what) => [what, true]));
  });
});

describe('the command', () => {
  test('says how it is used', async () => {
    const { code, out } = await runToEnd([COMMAND, '--help']);
    expect(code).toBe(0);
    expect(out).toContain('example: npm run chaos -- --seconds 60 --seed 7');
  });

  test.each([
    [['--acceptors', '6'], '--acceptors must be 3, 4, 5 or 7, not 6'],
    [['--seconds', 'x'], '--seconds must be a whole number from 1 to 86400, not "x"'],
    [['--what'], "Unknown option '--what'"],
  ])('refuses %s', async (flags, sentence) => {
    const { code, err } = await runToEnd([COMMAND, ...flags]);
    expect(code).toBe(2);
    expect(err).toContain(sentence);
  });
});
