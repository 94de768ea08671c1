// Goal: who plans a cluster sees which quorum systems are safe and what each survives, in 80 columns, and why another is refused.
// Method: command lines in this process.
import { describe, expect, test } from '@jest/globals';
import { run } from '../../../services/cli/program.ts';

async function quorum(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await run(['quorum', ...args], {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    env: {},
    input: (async function* () {})(),
    piped: false,
    listens: async () => false,
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

describe('synodctl quorum', () => {
  test('shows the systems of so many acceptors, with the losses that each survives', async () => {
    const { code, out, err } = await quorum('--acceptors', '6');
    expect([code, err]).toEqual([0, []]);
    expect(out.slice(0, 13)).toEqual([
      'Quorum systems of 6 acceptors, and how many losses each survives.',
      '',
      '--quorum     phase 1  survives  phase 2  survives  fast  survives',
      'majority     4        2         4        2         5     1',
      'sizes:6,1,4  6        0         1        5         4     2',
      'sizes:5,2,4  5        1         2        4         4     2',
      'sizes:4,3,5  4        2         3        3         5     1',
      'sizes:3,4,5  3        3         4        2         5     1',
      'sizes:2,5,6  2        4         5        1         6     0',
      'sizes:1,6,6  1        5         6        0         6     0',
      'grid:2x3     3        1 to 3    2        2 to 4    5     1',
      'grid:3x2     2        2 to 4    3        1 to 3    6     0',
      '',
    ]);
  });

  test.each(['3', '4', '5', '6', '7'])('fits 80 columns with %s acceptors', async (n) => {
    expect((await quorum('--acceptors', n)).out.filter((line) => line.length > 80)).toEqual([]);
  });

  test.each([
    [['--acceptors', '4', '--q1', '3', '--q2', '2'], 'sizes:3,2,3'],
    [['--acceptors', '5', '--q1', '3', '--q2', '3', '--qf', '5'], 'sizes:3,3,5'],
    [['--grid', '2x3'], 'grid:2x3'],
    [['--weights', '4=2,5=1,6=1', '--q1', '3', '--q2', '2'], 'weighted:4=2,5=1,6=1:3,2,3'],
    [['--sets', '1+2,3+4/1+3,2+4'], 'sets:1+2,3+4/1+3,2+4'],
    [['sizes:4,2', '--acceptors', '5'], 'sizes:4,2,4'],
    [['--acceptors', '4', '--q1', '3', '--q2', '3'], 'majority'],
  ])('%j is safe, and is --quorum %s', async (args, setting) => {
    const { code, out } = await quorum(...args);
    expect([code, out.at(-1)]).toEqual([0, `Give every role: --quorum ${setting}`]);
    const json = await quorum(...args, '--json');
    expect(JSON.parse(json.out.join(''))).toMatchObject({ legal: true, system: setting });
  });

  test('says of one system what each phase needs and survives', async () => {
    const { out } = await quorum('--grid', '2x3');
    expect(out).toEqual([
      'grid:2x3 of 6 acceptors is safe.',
      'Every phase-1 quorum meets every phase-2 quorum,',
      'and every two fast quorums in common.',
      '',
      '         acceptors  survives  quorums  such as',
      'phase 1  3          1 to 3    8        1+2+3',
      'phase 2  2          2 to 4    3        1+4',
      'fast     5          1         6        1+2+3+4+5',
      '',
      'Give every role: --quorum grid:2x3',
    ]);
  });

  test('refuses one that is not safe with the numbers, the sets and the nearest that are, exit code 1', async () => {
    const { code, out, err } = await quorum('--acceptors', '5', '--q1', '2', '--q2', '3');
    expect([code, out]).toEqual([1, []]);
    expect(err).toEqual([
      'synodctl: quorums sizes:2,3 of 5 acceptors are not safe: phase-1 quorum 1+2 and phase-2 quorum 3+4+5 have no acceptor in common; ' +
        '2 + 3 is not above 5. The nearest that are: majority or sizes:2,4 [INVALID_ARGUMENT, outcome none: nothing was changed]',
    ]);
    const json = await quorum('--acceptors', '5', '--q1', '3', '--q2', '3', '--qf', '3', '--json');
    expect([json.code, JSON.parse(json.out.join(''))]).toEqual([
      1,
      expect.objectContaining({
        legal: false,
        sets: [
          [1, 2, 3],
          [1, 2, 4],
          [3, 4, 5],
        ],
        nearest: ['majority', 'sizes:5,3,3'],
      }),
    ]);
  });

  test.each([
    [['--acceptors', '9'], '--acceptors must be a whole number from 3 to 7, not "9"'],
    [['--q1', '3'], '--q1 and --q2 belong together'],
    [['--q1', 'x', '--q2', '2'], '--q1 must be a whole number'],
    [['--grid', '2x3', '--q1', '2', '--q2', '2'], 'one system at a time'],
    [['majority', '--grid', '2x3'], 'one system at a time'],
    [['--weights', '1=2,2=1,3=1'], '--q1 and --q2 belong together'],
    [['--grid', 'wide'], 'a quorum system must be majority'],
    [['sizes:3'], 'not "sizes:3"'],
  ])('%j is wrong usage, exit code 2', async (args, text) => {
    const { code, err } = await quorum(...args);
    expect([code, err.join()]).toEqual([2, expect.stringContaining(text)]);
  });
});
