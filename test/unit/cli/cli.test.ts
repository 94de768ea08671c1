/**
 * Goal: synodctl prints what a person or a script needs, and its exit code and one line on standard error say what happened (R15).
 * Method: command lines run in this process against fake members on loopback.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findEndpoints, parseEndpoints } from '../../../services/cli/endpoints.ts';
import type { Io } from '../../../services/cli/io.ts';
import { run } from '../../../services/cli/program.ts';
import { EXIT, worseCode } from '../../../services/cli/exit.ts';
import { ageText, bytesText, table } from '../../../services/cli/table.ts';
import { linesOf, parseValue, showValue } from '../../../services/cli/values.ts';
import { markBegun, openStamp } from '../../../shared/journal/index.ts';
import { openFolder } from '../../../shared/platform/disk.ts';
import { BALLOT_TEXT, FakeLog, deadAddress, fakeAcceptor, fakeLearner, fakeProposer } from '../client/fakes.ts';
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

async function* lines(...chunks: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* chunks;
}

/** A file with this content, removed after the test. */
function fileOf(content: string | Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'synod-cli-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'values'), content);
  return join(folder, 'values');
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
    const id = expect.stringMatching(/^[0-9a-f]{32}:1:1$/) as unknown;
    const said = { log: 'l', slot: 0, ballot: BALLOT_TEXT, leader: 1, own: true, id, value: 'hello' };
    const { out } = await synodctl(['propose', 'hello', '--log', 'l', '--json']);
    expect(out.map((line) => JSON.parse(line) as unknown)).toEqual([said]);
    const other = await synodctl(['--json', 'propose', 'again', '--log', 'l']);
    expect(JSON.parse(other.out[0]!)).toMatchObject({ slot: 1, value: 'again' });
  });

  test('prints who promised and who voted when it is asked to, of one value and of several', async () => {
    const shown = ({ out }: Result): string[] => out.map((line) => line.replace(/ {2}after [\d.]+ ms$/, ''));
    const one = await synodctl(['propose', 'hello', '--progress']);
    expect(one).toMatchObject({ code: 0, err: [] });
    expect(shown(one)).toEqual([
      `default  promised by acceptor 1  ballot ${BALLOT_TEXT}`,
      `default  accepted by acceptor 1  slot 0  ballot ${BALLOT_TEXT}`,
      `default  slot 0  ballot ${BALLOT_TEXT}  hello`,
    ]);
    const two = await synodctl(['propose', 'a', 'b', '--progress']);
    expect(shown(two).filter((line) => line.includes('accepted'))).toEqual(
      [1, 2].map((n) => `default  value ${n}  accepted by acceptor 1  slot 0  ballot ${BALLOT_TEXT}`),
    );
    expect((await synodctl(['propose', 'a', 'b'])).out).toHaveLength(2);
    const [first] = (await synodctl(['propose', 'hello', '--progress', '--json'])).out;
    expect(JSON.parse(first!)).toEqual({
      ...{ log: 'default', value: 1, progress: { kind: 'promised', acceptor: 1, ballot: BALLOT_TEXT } },
      ms: expect.any(Number),
    });
  });

  test('takes many values, from arguments, a file or standard input, and answers in their order', async () => {
    const file = fileOf('c\nd\n');
    expect((await synodctl(['propose', 'a', 'b'])).code).toBe(0);
    expect((await synodctl(['propose', '--file', file])).code).toBe(0);
    const { code, out } = await synodctl(['propose'], { piped: true, input: lines('e\nf', 'g\n') });
    expect(code).toBe(0);
    expect(out).toEqual([4, 5].map((slot, at) => `default  slot ${slot}  ballot ${BALLOT_TEXT}  ${['e', 'fg'][at]!}`));
    expect(log.texts()).toEqual(['a', 'b', 'c', 'd', 'e', 'fg']);
  });

  test('bytes of a line are proposed as they are, whether they are text or not', async () => {
    const given = Buffer.from('caf\xe9\n\xff\xfe\r\nend', 'latin1');
    const file = fileOf(given);
    const fromInput = await synodctl(['propose'], {
      piped: true,
      input: lines(given.subarray(0, 4), given.subarray(4)),
    });
    const fromFile = await synodctl(['propose', '--file', file]);
    expect([fromInput.code, fromFile.code]).toEqual([0, 0]);
    const chosen = log.values.map((value) => Buffer.from(value).toString('latin1'));
    expect(chosen).toEqual(['caf\xe9', '\xff\xfe', 'end', 'caf\xe9', '\xff\xfe', 'end']);
    expect(fromInput.out[0]).toMatch(/ base64:Y2Fm6Q==$/);
    // An argument of the command line has lost such bytes before a program can see them.
    const argument = await synodctl(['propose', 'caf\ufffd']);
    expect([argument.code, argument.err.join()]).toEqual([2, expect.stringContaining('must be UTF-8')]);
  });

  test('a file is checked before anything of it is proposed, and the line at fault is named', async () => {
    for (const [bad, text] of [
      ['a\n\nb\n', 'line 2 of'],
      [`a\nb\n${'x'.repeat(1_572_865)}\n`, 'line 3 of'],
    ] as const) {
      const { code, err, out } = await synodctl(['propose', '--file', fileOf(bad)]);
      expect([code, out, err.join().includes(text)]).toEqual([2, [], true]);
    }
    expect((await synodctl(['propose', 'a', '', 'b'])).err.join()).toContain('VALUE 2: the value is empty');
    expect(log.texts()).toEqual([]);
    // Control: without the empty line it goes through.
    expect((await synodctl(['propose', '--file', fileOf('a\nb\n')])).code).toBe(0);
    expect(log.texts()).toEqual(['a', 'b']);
  });

  test('a line of standard input that is no value ends the proposing: it is named, with what was chosen before it', async () => {
    const input = lines('a\nb\n\nc\n');
    const { code, out, err } = await synodctl(['propose'], { piped: true, input });
    expect([code, out.length, log.texts()]).toEqual([1, 2, ['a', 'b']]);
    expect(err).toEqual([
      'synodctl: line 3 of standard input: the value is empty: at least one byte is needed; ' +
        '2 of the 2 values before it were chosen, and nothing from there on was sent [PARTIAL]',
    ]);
  });

  test('no values are the same clear error from a file and from standard input, and nothing is sent', async () => {
    const none = { code: 2, out: [], err: ['synodctl: no values came: give at least one, one a line'] };
    expect(await synodctl(['propose', '--file', fileOf('')])).toEqual(none);
    expect(await synodctl(['propose'], { piped: true })).toEqual(none);
    expect([proposer.streamed, proposer.requests, log.sessions]).toEqual([[], [], 0]);
  });

  test('the name of a log cannot break a line: it is written out, and exact in JSON', async () => {
    const name = 'x\u001b[31m\ny';
    const { out } = await synodctl(['propose', 'v', '--log', name]);
    expect(out).toEqual([`"x\\u001b[31m\\ny"  slot 0  ballot ${BALLOT_TEXT}  v`]);
    const json = await synodctl(['propose', 'v', '--log', name, '--json']);
    expect(JSON.parse(json.out[0]!)).toMatchObject({ log: name });
    const moved = await synodctl(['leader', 'move', name, '2']);
    expect(moved.out.join()).toContain('"x\\u001b[31m\\ny" is led by proposer 2');
    proposer.faults.push({ code: 9, outcome: 'none', message: `log "${name}" is closed` });
    expect((await synodctl(['leader', 'move', name, '2'])).err.join()).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(table(['log', 'end'], [[name, '1']])).toHaveLength(2);
  });

  test('proposes a decree', async () => {
    const { out } = await synodctl(['propose', '--protocol', 'basic', '--log', 'd', 'me']);
    expect(out).toEqual([`d  slot 0  ballot ${BALLOT_TEXT}  me`]);
    expect(proposer.requests[0]?.protocol).toBe(1);
  });

  test('proposes FAST, in a log or a decree, and prints the way that it took', async () => {
    const decree = await synodctl(['propose', '--protocol', 'fast', '--decree', '--log', 'd', 'me']);
    expect(decree.out[0]).toMatch(/^d {2}slot 0 .* me {2}fast, 1 round$/);
    const inLog = await synodctl(['propose', '--protocol', 'fast', '--log', 'f', 'me', '--json']);
    expect(JSON.parse(inLog.out[0] ?? '')).toMatchObject({ log: 'f', own: true, path: 'fast', rounds: 1 });
    const sent = proposer.requests.map(({ protocol, decree: isDecree, session }) => [protocol, isDecree, session > 0]);
    expect(sent).toEqual([
      [3, true, false],
      [3, false, expect.anything()],
    ]);
    expect((await synodctl(['propose', '--decree', 'x'])).err.join()).toContain('give --protocol basic or fast');
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
    [['propose', 'a', '--protocol', 'raft'], '--protocol must be multi, basic or fast, not "raft"'],
    [['propose', 'a', 'b', '--protocol', 'basic'], 'one value is proposed at a time'],
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
    [['--endpoints', 'x', 'status'], '"x" is neither ROLE=HOST:PORT nor ROLE=dns:HOST:PORT'],
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
      ...[['propose'], ['log'], ['subscribe'], ['logs'], ['status'], ['quorum']],
      ...[
        ['leader', 'move'],
        ['learner', 'forget'],
        ...['partition', 'drop', 'delay', 'heal', 'list'].map((name) => ['fault', name]),
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

  test('2 where the command line names no member of the role that is needed', async () => {
    const { code, err } = await synodctl(['log', '--endpoints', `proposer=${proposer.address}`]);
    expect([code, err]).toEqual([2, ['synodctl: no learner is named in --endpoints: add learner=HOST:PORT']]);
    const dead = await deadAddress();
    expect((await synodctl(['status', '--endpoints', `learner=${dead}`])).code).toBe(4);
  });

  test('what answers at a wrong port is told apart: another role, and what speaks no gRPC', async () => {
    const role = await synodctl(['log', '--endpoints', `learner=${proposer.address}`]);
    expect([role.code, role.err.join()]).toEqual([
      1,
      expect.stringContaining(`what answers at ${proposer.address} is not a learner`),
    ]);
    const web = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => void web.close());
    const address = `127.0.0.1:${String((web.address() as AddressInfo).port)}`;
    const page = await synodctl(['log', '--endpoints', `learner=${address}`]);
    expect([page.code, page.err]).toEqual([
      4,
      [expect.stringContaining(`what listens at ${address} does not speak gRPC`)],
    ]);
    expect(page.err.join()).not.toMatch(/Resolution note|\d{4}-\d\d-\d\dT/);
  });

  test('the time of a call has the name that the command line gives it, for one value and for many', async () => {
    proposer.silent = true;
    const one = await synodctl(['propose', 'a', '--timeout', '1']);
    const many = await synodctl(['propose', 'a', 'b', '--timeout', '1']);
    expect([one.code, many.code]).toEqual([3, 1]);
    for (const { err } of [one, many]) expect(err.join()).toMatch(/ within 1000 ms \(--timeout\)/);
  });

  test('a value over the limit is refused with the limit in bytes, which is no setting', async () => {
    const { code, err } = await synodctl(['propose', 'x'.repeat(1_572_865)]);
    expect([code, err.join()]).toEqual([
      1,
      expect.stringContaining('the limit is 1572864 bytes (1.5 MiB); it is fixed'),
    ]);
    expect((await synodctl(['propose', 'x'.repeat(1_572_864)])).code).toBe(0);
  });

  test('of several outcomes, one that is not known is told before any other', () => {
    expect(worseCode(EXIT.unknown, EXIT.unreachable)).toBe(EXIT.unknown);
    expect(worseCode(EXIT.unreachable, EXIT.unknown)).toBe(EXIT.unknown);
    expect(worseCode(EXIT.refused, EXIT.ok)).toBe(EXIT.refused);
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

  test("status names Synod's own logs as what a journal is kept for only with --all", async () => {
    const acceptor = await fakeAcceptor('log "synod.probe.1": slots 0 to 9 above its trim floor');
    cleanups.push(acceptor.stop);
    const endpoints = `acceptor=${acceptor.address}`;
    const { code, out } = await synodctl(['status', '--endpoints', endpoints]);
    expect([code, out.join()]).toEqual([0, expect.not.stringContaining('synod.')]);
    expect((await synodctl(['status', '--all', '--endpoints', endpoints])).out.join()).toContain(
      'kept: log "synod.probe.1"',
    );
  });

  test('journal verify names the owner of a journal that is refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'synod-cli-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const disk = await openFolder(folder);
    const owner = { cluster: 'c1', configuration: 'c2', role: 'acceptor', id: 3 };
    await markBegun(disk, await openStamp(disk, owner, () => 'd7'.repeat(16)));
    writeFileSync(join(folder, '0000000000.seg'), Buffer.alloc(16_384));
    const { code, out } = await synodctl(['journal', 'verify', folder]);
    expect(code).toBe(5);
    expect(out[0]).toBe(`${folder}: acceptor 3 of cluster c1, disk ${'d7'.repeat(16)}`);
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
    for await (const line of linesOf(chunks)) found.push(Buffer.from(line).toString());
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
