/**
 * Goal: synodctl history and top say what proposers, acceptors and learners know, once, and plainly where they do not.
 * Method: command lines run in this process against fake members on loopback that say what a test gives them.
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { historyRows } from '../../../services/cli/commands/history-rows.ts';
import { screenOf } from '../../../services/cli/commands/top-screen.ts';
import { quantile, viewOf } from '../../../services/cli/commands/top-view.ts';
import type { Sample } from '../../../services/cli/commands/top-view.ts';
import type { Io, Screen } from '../../../services/cli/io.ts';
import { run } from '../../../services/cli/program.ts';
import { columnsOf, cutTo } from '../../../services/cli/text.ts';
import { formatProposalId, parseProposalId } from '../../../shared/client/index.ts';
import type { ProposalRecord } from '../../../shared/wire/gen/synod/v1/history.ts';
import { ProposerServiceService } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import type {
  HistoryRequest,
  HistoryResponse,
  ProposerServiceStatusResponse,
} from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import { BALLOT, BALLOT_TEXT, FakeLog, deadAddress, fakeAcceptor, fakeLearner } from '../client/fakes.ts';
import type { Fake } from '../client/fakes.ts';

/** What the fake learner has in every slot. */
const CLIENT = '07'.repeat(16);

function record(change: Partial<ProposalRecord> = {}): ProposalRecord {
  return {
    ...{ number: 1, log: 'orders', kind: 3, client: Buffer.from(CLIENT, 'hex'), session: 1, sequence: 1, protocol: 2 },
    ...{ end: 1, slot: 0, otherSlot: undefined, ballot: BALLOT, leader: 2, forwardedBy: 0, rounds: 1, retry: false },
    ...{ tookUs: 4_100, atMs: 1_000, code: 0, message: '', outcome: 0, othersValue: false },
    ...change,
  };
}

interface FakeProposer extends Fake {
  records: ProposalRecord[];
  readonly asked: HistoryRequest[];
  chosen: number;
}

async function fakeProposer(id: number): Promise<FakeProposer> {
  const server = new Server();
  const fake = {
    ...{ address: '', records: [] as ProposalRecord[], asked: [] as HistoryRequest[], chosen: 0 },
    stop: () => server.forceShutdown(),
  };
  const header = { cluster: '', configuration: Buffer.alloc(0), role: 1, id, incarnation: Buffer.alloc(0) } as const;
  const { history, status, logs } = ProposerServiceService;
  server.addService(
    { history, status, logs },
    {
      history: ({ request }: { request: HistoryRequest }, answer: sendUnaryData<HistoryResponse>) => {
        fake.asked.push(request);
        const ofId = (each: ProposalRecord): boolean =>
          request.session === undefined || each.session === request.session;
        const records = fake.records.filter((each) => (request.log === '' || each.log === request.log) && ofId(each));
        const count = { protocol: 2, end: 1, code: 0, outcome: 0, count: fake.records.length, message: '' } as const;
        const counts = fake.records.length === 0 ? [] : [count];
        const kept = { ended: fake.records.length, kept: fake.records.length, keptMax: 4_096, uptimeMs: 61_000 };
        answer(null, { header, records, nextBefore: undefined, counts, ...kept });
      },
      status: (_call: unknown, answer: sendUnaryData<ProposerServiceStatusResponse>) => {
        fake.chosen += 10;
        const process = {
          version: '',
          uptimeMs: 1_000 + fake.chosen,
          address: '',
          notReady: [],
          faultsOn: false,
          faults: [],
        };
        const tallies = [{ name: 'multi.chosen', count: fake.chosen }];
        const times = [{ name: 'accept', boundsUs: [1_000, 2_000], counts: [0, fake.chosen, 0] }];
        const zero = { led: 1, logs: 1, inFlight: 3, queued: 4, queues: [], links: [] };
        answer(null, { process, header, ...zero, activity: { tallies, times } });
      },
      logs: (_call: unknown, answer: sendUnaryData<{ logs: never[]; more: boolean }>) => {
        answer(null, { logs: [], more: false });
      },
    },
  );
  fake.address = await new Promise<string>((resolve) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, port) => resolve(`127.0.0.1:${port}`));
  });
  return fake;
}

let one: FakeProposer;
let two: FakeProposer;
let log: FakeLog;
let endpoints: string;
const cleanups: (() => void)[] = [];
beforeEach(async () => {
  one = await fakeProposer(1);
  two = await fakeProposer(2);
  log = new FakeLog();
  const learner = await fakeLearner(log);
  const acceptor = await fakeAcceptor('');
  endpoints = `proposer=${one.address},proposer=${two.address},learner=${learner.address},acceptor=${acceptor.address}`;
  cleanups.push(one.stop, two.stop, learner.stop, acceptor.stop);
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function synodctl(
  args: readonly string[],
  given: Partial<Io> = {},
): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
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

const bothRecords = (): void => {
  one.records = [record()];
  two.records = [record({ forwardedBy: 1, tookUs: 2_000, atMs: 999 })];
};

describe('history', () => {
  test('shows a proposal once that two proposers remember, as its client saw it', async () => {
    bothRecords();
    const { code, out } = await synodctl(['history']);
    expect(code).toBe(0);
    const rows = out.filter((line) => line.includes('07070707'));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatch(/07070707:1:1 +orders +chosen +0 +4\.1 +2 +through 1$/);
    expect(out).toContain('  proposer 1, up 1m 1s, remembers all 1 that ended there');
  });

  test('as JSON has a line a proposal with each of its sendings, then the counts', async () => {
    bothRecords();
    const { out } = await synodctl(['history', '--json']);
    const [row, sums] = out.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(row).toMatchObject({
      id: `${CLIENT}:1:1`,
      end: 'chosen',
      told: 'chosen',
      slot: 0,
      ballot: BALLOT_TEXT,
      ms: 4.1,
    });
    expect(row!['sendings']).toMatchObject([
      { proposer: 2, forwardedBy: 1, ms: 2 },
      { proposer: 1, forwardedBy: null, ms: 4.1 },
    ]);
    expect(sums).toMatchObject({
      counts: [{ end: 'chosen', count: 2 }],
      proposers: [{ proposer: 1 }, { proposer: 2 }],
    });
  });

  test('of a log that nobody used says so, and with a proposer that is down says that', async () => {
    bothRecords();
    const { code, out } = await synodctl(['history', '--log', 'nobody']);
    expect([code, out[0]]).toEqual([
      0,
      'No proposal of log "nobody" is remembered; synodctl logs shows which logs there are.',
    ]);
    two.stop();
    const { out: half } = await synodctl(['history']);
    expect(half.some((line) => /^ {2}without proposer 2: /.test(line))).toBe(true);
    expect(half.some((line) => line.includes('07070707:1:1'))).toBe(true);
  });

  test('says what its client was told where somebody saw more', () => {
    const late = record({ end: 4, slot: undefined, ballot: undefined, code: 4, message: 'late', outcome: 2 });
    const led = record({ forwardedBy: 1, atMs: 2_000 });
    const [row] = historyRows([
      { proposer: 1, records: [late] },
      { proposer: 2, records: [led] },
    ]);
    expect(row).toMatchObject({ best: { end: 'chosen', slot: 0 }, told: { end: 'timeout', outcome: 'unknown' } });
  });

  const WRONG: [string, string[], RegExp][] = [
    ['an id that is none', ['--id', 'zz'], /--id must be CLIENT:SESSION:SEQUENCE.*not "zz"/],
    ['an id with half of its numbers', ['--id', `${CLIENT}/1`], /--id must be/],
    ['a limit of 0', ['--limit', '0'], /--limit must be a whole number from 1 to 10000, not "0"/],
    ['a limit that is too great', ['--limit', '10001'], /from 1 to 10000/],
    ['a slot of no log', ['--slot', '3'], /--slot needs --log/],
    ['a slot that is none', ['--log', 'l', '--slot', 'x'], /--slot must be/],
  ];
  test.each(WRONG)('%s is wrong usage', async (_, args, why) => {
    const { code, out, err } = await synodctl(['history', ...args]);
    expect([code, out]).toEqual([2, []]);
    expect(err.join()).toMatch(why);
  });

  test('where no proposer answers ends with code 4', async () => {
    const env = { SYNOD_ENDPOINTS: `proposer=${await deadAddress()}` };
    expect((await synodctl(['history'], { env })).code).toBe(4);
  });
});

describe('history --id', () => {
  test('tells what every role knows of one proposal', async () => {
    bothRecords();
    log.values.push(Buffer.from('a'), Buffer.from('b'));
    const { code, out } = await synodctl(['history', '--id', '0707:1:1']);
    expect(code).toBe(0);
    expect(out[0]).toBe(`proposal ${CLIENT}:1:1 in log orders, by Multi-Paxos`);
    expect(out[1]).toMatch(/forwarded by proposer 1 to proposer 2: chosen in slot 0 at .*, after 2\.0 ms, sent once$/);
    expect(out[2]).toMatch(/asked of proposer 1: chosen in slot 0 at .*led by proposer 2, after 4\.1 ms, sent once$/);
    expect(out.slice(3)).toEqual([
      'It is chosen in slot 0 and applied, once.',
      `  learner 1: slot 0 applied at ${BALLOT_TEXT}`,
      '  acceptor 1: does not know the log',
    ]);
    expect(one.asked.at(-1)).toMatchObject({ session: 1, sequence: 1, client: Buffer.from('0707', 'hex') });
  });

  test('finds at the learners what no proposer remembers, when it is told the log', async () => {
    log.values.push(Buffer.from('a'), Buffer.from('b'), Buffer.from('c'));
    const { code, out } = await synodctl(['history', '--id', `${CLIENT}:1:3`, '--log', 'orders']);
    expect(code).toBe(0);
    expect(out).toContain('  no proposer remembers it any more:');
    expect(out).toContain('It is chosen in slot 2 and applied, once.');
    const unknown = await synodctl(['history', '--id', `${CLIENT}:1:4`, '--log', 'orders']);
    expect([unknown.code, unknown.out]).toEqual([1, []]);
    expect(unknown.err.join()).toMatch(
      /nobody knows proposal .*:1:4 any more: proposer 1.*learner 1: does not have it in slots 1 to 2/,
    );
  });

  test('without a log says that nobody knows it, and what would help', async () => {
    const { code, err } = await synodctl(['history', '--id', `${CLIENT}:1:3`]);
    expect(code).toBe(1);
    expect(err.join()).toMatch(
      /nobody knows proposal .* with --log L the learners are searched, too \[NOT_FOUND, outcome none/,
    );
  });

  test('of a proposal that timed out says whether it is chosen after all', async () => {
    const late = {
      end: 4,
      slot: undefined,
      ballot: undefined,
      leader: undefined,
      code: 4,
      message: 'late',
      outcome: 2,
    } as const;
    one.records = [record({ ...late, sequence: 2 })];
    expect((await synodctl(['history', '--id', '0707:1:2'])).out.join()).toMatch(
      /Its outcome is not known: no learner/,
    );
    log.values.push(Buffer.from('a'), Buffer.from('b'));
    expect((await synodctl(['history', '--id', '0707:1:2'])).out).toContain(
      'It is chosen in slot 1 and applied, once.',
    );
  });

  test('that fits several proposals asks for more of it', async () => {
    one.records = [record(), record({ sequence: 2 })];
    const { code, err } = await synodctl(['history', '--id', '0707']);
    expect(code).toBe(2);
    expect(err.join()).toMatch(/--id fits 2 proposals.*:1:1 in log "orders"/);
  });
});

test('ids of proposals are read as they are written', () => {
  const id = { client: CLIENT, session: 4, sequence: 17 };
  expect(parseProposalId(formatProposalId(id))).toEqual(id);
  expect(formatProposalId({ client: CLIENT, session: 0, sequence: 0 }, 8)).toBe('07070707');
  expect(parseProposalId('ABCD')).toEqual({ client: 'abcd', session: undefined, sequence: undefined });
  for (const wrong of ['', 'abc', 'xyzw', `${CLIENT}0`, 'abcd:1', 'abcd:1:2:3', 'abcd:-1:2', 'abcd:1:9999999999999999'])
    expect(parseProposalId(wrong)).toBeUndefined();
});

describe('top', () => {
  test('--once --json has rates and latencies of what happened between two questions', async () => {
    const { code, out } = await synodctl(['top', '--once', '--json', '--interval', '100ms']);
    expect([code, out.length]).toEqual([0, 1]);
    const view = JSON.parse(out[0]!) as Record<string, Record<string, unknown>[]>;
    expect(view['proposers']).toMatchObject([
      { id: 1, state: 'ready', now: { leads: 1, inFlight: 3, queued: 4 }, ms: { accept: { p50: 1.5, p99: 1.99 } } },
      { id: 2, state: 'ready' },
    ]);
    const { chosen } = view['proposers']![0]!['perSecond'] as { chosen: number };
    // Ten in the time that it says that it took.
    expect(chosen * Number(view['overMs'])).toBeCloseTo(10_000);
  });

  test('draws until q, and leaves the terminal as it was', async () => {
    const drawn: (readonly string[])[] = [];
    const calls: string[] = [];
    let press: (key: string) => void = () => {};
    const screen: Screen = {
      columns: () => 80,
      rows: () => 24,
      open: (onKey) => {
        calls.push('open');
        press = onKey;
        return () => calls.push('close');
      },
      draw: (lines) => {
        drawn.push(lines);
        if (drawn.length === 1) press('x');
        if (drawn.length === 3) press('q');
      },
    };
    const { code, out } = await synodctl(['top', '--interval', '100ms'], { screen });
    expect([code, out, calls, drawn.length]).toEqual([0, [], ['open', 'close'], 3]);
    expect(drawn[0]![0]).toContain('rates follow');
    expect(drawn[2]![0]).toMatch(/q ends +over /);
  });

  test('without a terminal prints one screen after the other until it is ended', async () => {
    const abort = new AbortController();
    let screens = 0;
    const { code } = await synodctl(['top', '--interval', '100ms'], {
      signal: abort.signal,
      out: (line) => {
        if (line.startsWith('synodctl top') && ++screens === 2) abort.abort();
      },
    });
    expect([code, screens]).toEqual([0, 2]);
  });

  test.each(['0s', '10ms', 'soon', '2h'])('an interval of %s is wrong usage', async (interval) => {
    const { code, err } = await synodctl(['top', '--interval', interval]);
    expect(code).toBe(2);
    expect(err.join()).toMatch(/--interval must be a time from 100ms to 1h/);
  });

  test('--once where nobody answers ends with code 4', async () => {
    const env = { SYNOD_ENDPOINTS: `proposer=${await deadAddress()}` };
    const { code, err } = await synodctl(['top', '--once', '--interval', '100ms'], { env });
    expect([code, err.join()]).toEqual([4, expect.stringContaining('nobody answers')]);
  });
});

describe('a screen', () => {
  const member = (role: 'proposer' | 'acceptor' | 'learner', id: number): Sample['members'][number] => ({
    ...{ place: { role, id, address: `${role}:${id}`, listening: true }, id },
    said: `down: ${'very '.repeat(40)}`,
  });
  const members = [
    ...[1, 2, 3].map((id) => member('proposer', id)),
    ...[1, 2, 3, 4, 5, 6, 7].map((id) => member('acceptor', id)),
    ...[1, 2, 3].map((id) => member('learner', id)),
  ];

  test.each([
    [80, 24],
    [40, 10],
    [200, 50],
  ])('fits into %s columns and %s lines', (columns, rows) => {
    const view = viewOf(undefined, { at: 0, members });
    const logs = Array.from({ length: 30 }, (_, i) => ({
      ...{ log: `日本語-${'x'.repeat(i)}`, state: 'led', leader: 1, ballot: '3.p1.abababab', end: 1e15, watermark: 0 },
      ...{ applied: {}, floor: 0, inFlight: 0, queued: 0, notes: [], chosenPerSecond: 1e6 },
    })) as unknown as typeof view.logs;
    const lines = screenOf({ ...view, logs }, 0, { columns, rows, live: true });
    expect(lines.length).toBeLessThanOrEqual(rows);
    expect(lines.filter((line) => columnsOf(line) > columns)).toEqual([]);
    if (rows === 50) expect(lines.at(-1)).toMatch(/^… and \d+ more logs/);
  });

  test('shows no rates of a member that started meanwhile, whose counts began anew', () => {
    const at = (now: number, count: number, uptimeMs: number): Sample => {
      const process = { version: '', uptimeMs, address: '', notReady: [], faultsOn: false, faults: [] };
      const activity = { tallies: [{ name: 'votes', count }], times: [] };
      const status = { process, speaks: true, silentBecause: '', queues: [], links: [], activity };
      return {
        at: now,
        members: [{ ...member('acceptor', 1), said: { role: 'acceptor', status, logs: [] } as never }],
      };
    };
    const rate = (before: Sample, now: Sample): unknown => viewOf(before, now).acceptors[0]!.perSecond['votes'];
    expect(rate(at(0, 100, 5_000), at(2_000, 300, 7_000))).toBe(100);
    expect(rate(at(0, 100, 5_000), at(2_000, 300, 1_000))).toBeNull();
  });

  test('takes quantiles from the bucket in which they lie', () => {
    const bounds = [1_000, 2_000, 4_000];
    expect(quantile(bounds, [0, 0, 0, 0], 0.5)).toBeNull();
    expect(quantile(bounds, [10, 0, 0, 0], 0.5)).toBe(0.5);
    expect(quantile(bounds, [50, 50, 0, 0], 0.99)).toBeCloseTo(1.98);
    expect(quantile(bounds, [0, 0, 0, 5], 0.5)).toBe(4);
  });

  test('measures what takes two columns of a terminal as two', () => {
    expect([columnsOf('abc'), columnsOf('日本'), columnsOf('e\u0301')]).toEqual([3, 4, 1]);
    expect([cutTo('abcdef', 4), cutTo('日本語', 5), cutTo('abc', 3)]).toEqual(['abc…', '日本…', 'abc']);
  });
});
