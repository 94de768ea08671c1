/**
 * Goal: synodctl prints what a person or a script needs, and its exit code and one line on standard error say what happened (R15).
 * Method: command lines run in this process against fake members on loopback.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findEndpoints, parseEndpoints } from '../../../services/cli/endpoints.ts';
import type { Io } from '../../../services/cli/io.ts';
import { run } from '../../../services/cli/program.ts';
import { ageText, bytesText } from '../../../services/cli/table.ts';
import { linesOf, parseValue, showValue } from '../../../services/cli/values.ts';
import { BALLOT_TEXT, FakeLog, deadAddress, fakeLearner, fakeProposer } from '../client/fakes.ts';
import type { FakeLearner, FakeProposer } from '../client/fakes.ts';

let log: FakeLog;
let proposer: FakeProposer;
let learner: FakeLearner;
const cleanups: (() => void)[] = [];
beforeEach(async () => {
  log = new FakeLog();
  proposer = await fakeProposer(log);
  learner = await fakeLearner(log);
  cleanups.push(proposer.stop, learner.stop);
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

interface Result {
  readonly code: number;
  readonly out: string[];
  readonly err: string[];
}

async function synodctl(args: readonly string[], given: Partial<Io> = {}): Promise<Result> {
  const out: string[] = [];
  const err: string[] = [];
  const endpoints = `proposer=${proposer.address},learner=${learner.address}`;
  const code = await run(args, {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    env: { SYNOD_ENDPOINTS: endpoints },
    input: (async function* () {})(),
    piped: false,
    listens: async () => false,
    signal: new AbortController().signal,
    ...given,
  });
  return { code, out, err };
}

async function* lines(...chunks: string[]): AsyncGenerator<string> {
  yield* chunks;
}

describe('propose', () => {
  test('prints log, slot, ballot and value', async () => {
    expect(await synodctl(['propose', 'hello'])).toEqual({
      code: 0,
      out: [`default  slot 0  ballot ${BALLOT_TEXT}  hello`],
      err: [],
    });
  });

  test('prints JSON when it is asked to, before or after the command', async () => {
    const said = { log: 'l', slot: 0, ballot: BALLOT_TEXT, leader: 1, own: true, value: 'hello' };
    const { out } = await synodctl(['propose', 'hello', '--log', 'l', '--json']);
    expect(out.map((line) => JSON.parse(line) as unknown)).toEqual([said]);
    const other = await synodctl(['--json', 'propose', 'again', '--log', 'l']);
    expect(JSON.parse(other.out[0]!)).toMatchObject({ slot: 1, value: 'again' });
  });

  test('takes many values, from arguments, a file or standard input, and answers in their order', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'synod-cli-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'values');
    writeFileSync(file, 'c\nd\n');
    expect((await synodctl(['propose', 'a', 'b'])).code).toBe(0);
    expect((await synodctl(['propose', '--file', file])).code).toBe(0);
    const { code, out } = await synodctl(['propose'], { piped: true, input: lines('e\nf', 'g\n') });
    expect(code).toBe(0);
    expect(out).toEqual([4, 5].map((slot, at) => `default  slot ${slot}  ballot ${BALLOT_TEXT}  ${['e', 'fg'][at]!}`));
    expect(log.texts()).toEqual(['a', 'b', 'c', 'd', 'e', 'fg']);
  });

  test('proposes a decree', async () => {
    const { out } = await synodctl(['propose', '--protocol', 'basic', '--log', 'd', 'me']);
    expect(out).toEqual([`d  slot 0  ballot ${BALLOT_TEXT}  me`]);
    expect(proposer.requests[0]?.protocol).toBe(1);
  });

  test('takes bytes as base64', async () => {
    const { out } = await synodctl(['propose', '--base64', '/wA=']);
    expect([...log.values[0]!]).toEqual([255, 0]);
    expect(out[0]).toMatch(/ {2}\/wA=$/);
  });

  test.each([
    [['propose'], 'give at least one VALUE'],
    [['propose', ''], 'the value is empty'],
    [['propose', 'a', '', 'b'], 'the value is empty|an empty line is no value'],
    [['propose', '--file', '/nowhere/at/all'], 'cannot be read'],
    [['propose', 'a', '--file', 'b'], 'give values or --file, not both'],
    [['propose', 'a', '--protocol', 'raft'], '--protocol must be multi or basic, not "raft"'],
    [['propose', 'a', 'b', '--protocol', 'basic'], 'a decree is one value'],
    [['propose', 'a', '--timeout', '0'], '--timeout must be a whole number from 1 to 86400, not "0"'],
    [['propose', 'a', '--log', ''], 'the log has no name'],
    [['propose', 'a', '--bogus'], 'unknown option'],
    [['propose', '--base64', '%'], 'is not base64'],
    [['log', '--from', '-1'], '--from must be a whole number from 0 on, not "-1"'],
    [['log', '--limit', '0'], '--limit must be a whole number from 1 on'],
    [['leader', 'move', 'a'], "missing required argument 'proposer'"],
    [['leader', 'move', 'a', 'x'], 'PROPOSER must be a whole number from 1 to 65535, not "x"'],
    [['learner', 'forget', 'x'], 'LEARNER (its number, or the 32 hex digits of its disk)'],
    [['journal', 'verify', '/nowhere/at/all'], 'is not a folder'],
    [['journal', 'verify'], "missing required argument 'dir'"],
    [['nonsense'], "unknown command 'nonsense'"],
    [['--port-base', 'x', 'status'], '--port-base must be a whole number from 1024 to 64000, not "x"'],
    [['--endpoints', 'x', 'status'], '"x" is not ROLE=HOST:PORT'],
  ])('%j: a wrong command line is told apart, and nothing is proposed', async (args, text) => {
    const { code, err } = await synodctl(args);
    expect([1, 2]).toContain(code);
    expect(text.split('|').some((each) => err.join(' ').includes(each))).toBe(true);
    expect(log.texts().filter((value) => value !== 'a')).toEqual([]);
  });
});

describe('exit codes', () => {
  test('0 for help, which shows an example and the codes, of every command', async () => {
    for (const command of [
      ...[['propose'], ['log'], ['subscribe'], ['logs'], ['status']],
      ...[
        ['leader', 'move'],
        ['learner', 'forget'],
        ['journal', 'verify'],
        ['journal', 'dump'],
      ],
    ]) {
      const { code, out } = await synodctl([...command, '--help']);
      expect([command, code]).toEqual([command, 0]);
      expect(out.join('\n')).toContain(`Example:\n  synodctl ${command.join(' ')}`);
      expect(out.join('\n')).toContain('3 outcome unknown');
    }
  });

  test('1 for what is refused, with outcome none', async () => {
    proposer.faults.push({ code: 3, outcome: 'none', message: 'no room for one more log' });
    expect(await synodctl(['propose', 'x'])).toEqual({
      code: 1,
      out: [],
      err: ['synodctl: no room for one more log [INVALID_ARGUMENT, outcome none: nothing was changed]'],
    });
  });

  test('2 for a command line that cannot be meant', async () => {
    expect((await synodctl(['propose'])).code).toBe(2);
    expect((await synodctl(['nonsense'])).code).toBe(2);
  });

  test('3 for an outcome that is not known, also as JSON', async () => {
    proposer.faults.push({ code: 9, outcome: 'unknown', message: 'the session expired' });
    const { code, err } = await synodctl(['propose', 'x', '--json']);
    expect(code).toBe(3);
    expect(err.map((line) => JSON.parse(line) as unknown)).toEqual([
      { error: { code: 'FAILED_PRECONDITION', message: 'the session expired', outcome: 'unknown' } },
    ]);
  });

  test('4 for a dead port, with the address and what to start', async () => {
    const dead = await deadAddress();
    const named = await synodctl(['propose', 'x', '--endpoints', `proposer=${dead}`]);
    expect(named.code).toBe(4);
    expect(named.err).toHaveLength(1);
    expect(named.err[0]).toContain(`nobody answers at ${dead}: the connection is refused`);
    const found = await synodctl(['propose', 'x'], { env: {} });
    expect(found.code).toBe(4);
    expect(found.err[0]).toContain('no proposer answers at 127.0.0.1:7201, 127.0.0.1:7202');
    expect(found.err[0]).toContain('start a cluster with npm start');
  });

  test('1 for a folder without a journal', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'synod-cli-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const { code, err } = await synodctl(['journal', 'verify', folder]);
    expect([code, err.join()]).toEqual([1, expect.stringContaining('holds no journal')]);
  });
});

describe('reading', () => {
  beforeEach(() => {
    for (const [at, text] of ['one', 'two', 'a\tb'].entries()) log.apply(Buffer.alloc(16), 1, at, Buffer.from(text));
    log.apply(Buffer.alloc(16), 1, 4, Buffer.from([255, 254]));
  });

  test('log prints slots in order, values readable', async () => {
    expect((await synodctl(['log'])).out).toEqual([
      `slot 0  ballot ${BALLOT_TEXT}  one`,
      `slot 1  ballot ${BALLOT_TEXT}  two`,
      `slot 2  ballot ${BALLOT_TEXT}  "a\\tb"`,
      `slot 3  ballot ${BALLOT_TEXT}  base64://4=`,
    ]);
  });

  test('log takes a range', async () => {
    const { out } = await synodctl(['log', '--from', '1', '--limit', '2', '--json']);
    expect(out.map((line) => (JSON.parse(line) as { slot: number }).slot)).toEqual([1, 2]);
  });

  test('subscribe ends after as many as are wanted', async () => {
    expect((await synodctl(['subscribe', '--from', '1', '--limit', '2'])).out).toHaveLength(2);
  });
});

describe('operating', () => {
  test('leader move says who leads now', async () => {
    const { code, out } = await synodctl(['leader', 'move', 'orders', '2']);
    expect([code, out]).toEqual([0, [`orders is led by proposer 2 at ballot ${BALLOT_TEXT} (before: proposer 1)`]]);
  });

  test('leader move asks the proposer that leads when another one names it, once', async () => {
    const other = await fakeProposer(log, 2);
    cleanups.push(other.stop);
    const named = { code: 9, outcome: 'none', message: 'led by proposer 2; ask it', leader: other.address } as const;
    proposer.faults.push(named);
    expect(await synodctl(['leader', 'move', 'orders', '1'])).toMatchObject({ code: 0, err: [] });
    // Control: a refusal that names nobody is passed on, and so is the second one.
    proposer.faults.push({ code: 9, outcome: 'none', message: 'not known to be alive' });
    expect((await synodctl(['leader', 'move', 'orders', '1'])).err.join()).toContain('not known to be alive');
    proposer.faults.push(named);
    other.faults.push({ ...named, message: 'led by proposer 1; ask it', leader: proposer.address });
    expect((await synodctl(['leader', 'move', 'orders', '1'])).err.join()).toContain('led by proposer 1');
  });

  test('status says who is down, and works as long as anybody answers', async () => {
    const dead = await deadAddress();
    const endpoints = `proposer=${dead},acceptor=${dead},learner=${learner.address}`;
    const { code, out, err } = await synodctl(['status', '--endpoints', endpoints]);
    // The fake learner has no Status either: then nobody answers.
    expect([code, out]).toEqual([4, []]);
    expect(err.join()).toContain(dead);
  });
});

describe('finding a cluster', () => {
  const io = (env: Record<string, string>, up: string[]) => ({ env, listens: async (at: string) => up.includes(at) });

  test('looks at the ports of a local cluster, and knows who is missing', async () => {
    const found = await findEndpoints({}, io({}, ['127.0.0.1:7202', '127.0.0.1:7204', '127.0.0.1:7301']));
    expect(found.reachable('proposer')).toEqual(['127.0.0.1:7202', '127.0.0.1:7204']);
    expect(found.of('proposer').map(({ id, listening }) => [id, listening])).toEqual([
      [1, false],
      [2, true],
      [3, false],
      [4, true],
    ]);
    expect(found.of('acceptor')).toHaveLength(3);
    expect(() => found.reachable('acceptor')).toThrow('no acceptor answers at 127.0.0.1:7101');
  });

  test('flags come before the environment, endpoints before a port base', async () => {
    const env = { SYNOD_PORT_BASE: '9000', SYNOD_ENDPOINTS: 'proposer=h:1' };
    const source = async (options: object, of = env) => (await findEndpoints(options, io(of, []))).source;
    expect(await source({ endpoints: 'proposer=h:2', portBase: '8000' })).toBe('--endpoints');
    expect(await source({ portBase: '8000' })).toBe('the local cluster on port base 8000');
    expect(await source({})).toBe('SYNOD_ENDPOINTS');
    expect(await source({}, { ...env, SYNOD_ENDPOINTS: '' })).toBe('the local cluster on port base 9000');
  });

  test('a list names roles in any order, several of each', () => {
    const found = parseEndpoints('learners=l:1, proposer=p:1,proposer=p:2', '--endpoints');
    expect(found.of('proposer').map(({ id, address }) => [id, address])).toEqual([
      [1, 'p:1'],
      [2, 'p:2'],
    ]);
    expect(() => found.reachable('acceptor')).toThrow('no acceptor is named in --endpoints: add acceptor=HOST:PORT');
  });
});

describe('values', () => {
  test.each([
    ['plain text', 'plain text'],
    ['Grüße', 'Grüße'],
    ['a\nb', '"a\\nb"'],
    ['\u001b[31mred', '"\\u001b[31mred"'],
    ['\u202ereversed', '"\\u202ereversed"'],
    ['"quoted"', '"\\"quoted\\""'],
    ['base64:AA==', '"base64:AA=="'],
  ])('%j is shown as %j', (text, shown) => {
    expect(showValue(Buffer.from(text), false)).toBe(shown);
  });

  test('what is no text is shown as base64, and base64 is read back', () => {
    expect(showValue(Buffer.from([0xff]), false)).toBe('base64:/w==');
    expect([...parseValue('/w==', true)]).toEqual([0xff]);
    expect([...parseValue('/w', true)]).toEqual([0xff]);
  });

  test('lines are found across chunks, also inside a letter', async () => {
    const bytes = Buffer.from('ä\r\nö\nü');
    const found: string[] = [];
    const chunks = (async function* () {
      for (const byte of bytes) yield Buffer.from([byte]);
    })();
    for await (const line of linesOf(chunks)) found.push(line);
    expect(found).toEqual(['ä', 'ö', 'ü']);
  });

  test('sizes and ages are short', () => {
    expect([bytesText(5), bytesText(3 * 1024 * 1024)]).toEqual(['5 B', '3.0 MiB']);
    expect([ageText(850), ageText(65_000), ageText(7_200_000), ageText(90_000_000)]).toEqual([
      '850ms',
      '1m 5s',
      '2h',
      '1d 1h',
    ]);
  });
});
