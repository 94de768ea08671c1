// Goal: a score that leaves nothing out, and wrong flags that are refused before anything long begins. Method: a report of
// Stryker's format by hand; the command itself, as far as it goes without Stryker.
import { describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

interface Counts {
  readonly mutants: number;
  readonly killed: number;
  readonly score: number;
}

interface Summary {
  readonly all: Counts;
  readonly files: Readonly<Record<string, Counts>>;
  readonly unnoticed: readonly { readonly path: string; readonly line: number; readonly reached: boolean }[];
}

const { summaryOf, shown } = (await import(join(import.meta.dirname, 'summary.mjs'))) as {
  summaryOf: (report: unknown) => Summary;
  shown: (summary: Summary) => string;
};

function report(files: Readonly<Record<string, readonly string[]>>): unknown {
  const mutant = (status: string, i: number): unknown => ({
    status,
    mutatorName: 'EqualityOperator',
    replacement: 'a >= b',
    location: { start: { line: i + 1, column: 5 }, end: { line: i + 1, column: 10 } },
  });
  const entries = Object.entries(files).map(([path, states]) => [path, { mutants: states.map(mutant) }]);
  return { files: Object.fromEntries(entries) as unknown };
}

describe('the score of a mutation run', () => {
  test('is what was noticed of all that counts: a mutant that nothing reaches counts, one that was left out does not', () => {
    const { all, files } = summaryOf(
      report({
        'b.ts': ['Killed', 'Timeout', 'Survived', 'NoCoverage'],
        'a.ts': ['Killed', 'Ignored', 'RuntimeError'],
        'empty.ts': [],
      }),
    );
    expect(Object.keys(files)).toEqual(['a.ts', 'b.ts']);
    expect(files['a.ts']).toEqual(
      expect.objectContaining({ mutants: 3, killed: 1, ignored: 1, broken: 1, score: 100 }),
    );
    expect(files['b.ts']).toEqual(
      expect.objectContaining({ mutants: 4, killed: 1, timeout: 1, survived: 1, unreached: 1, score: 50 }),
    );
    expect(all).toEqual(expect.objectContaining({ mutants: 7, killed: 2, score: 60 }));
  });

  test('names every mutant that no test noticed, and where it stands', () => {
    const summary = summaryOf(report({ 'a.ts': ['Killed', 'Survived', 'NoCoverage'] }));
    expect(summary.unnoticed.map((m) => [m.path, m.line, m.reached])).toEqual([
      ['a.ts', 2, true],
      ['a.ts', 3, false],
    ]);
    const text = shown(summary);
    expect(text).toContain('a.ts:2:5 survived: EqualityOperator → a >= b');
    expect(text).toContain('a.ts:3:5 not reached: EqualityOperator → a >= b');
    expect(text).toMatch(/^all +3 +1 +0 +1 +1 +0 +0 +33\.3$/m);
  });

  test('of a state that it does not know is an error, not a guess', () => {
    expect(() => summaryOf(report({ 'a.ts': ['Pending'] }))).toThrow('status Pending');
  });
});

describe('npm run mutation', () => {
  function run(...args: readonly string[]): { status: number | null; out: string; err: string } {
    const done = spawnSync(process.execPath, [join(import.meta.dirname, 'main.mjs'), ...args], { encoding: 'utf8' });
    return { status: done.status, out: done.stdout, err: done.stderr };
  }

  test('says how it is used, and refuses a wrong flag with exit code 2', () => {
    expect(run('--help')).toEqual({ status: 0, out: expect.stringContaining('example: npm run mutation'), err: '' });
    for (const [args, said] of [
      [['--fles', 'x'], '--fles'],
      [['--min', '101'], '--min takes a score from 0 to 100, not "101"'],
      [['--min', 'much'], 'not "much"'],
      [['shared/paxos'], 'shared/paxos'],
    ] as const) {
      const { status, err } = run(...args);
      expect([status, err]).toEqual([2, expect.stringContaining(said)]);
      expect(err).toContain('usage: npm run mutation');
    }
  });
});
