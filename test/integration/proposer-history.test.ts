/**
 * Goal: proposers tell what became of proposals, what happens to them on their way, and how busy they are.
 * Method: real gRPC in one process with real acceptors and a real learner; every wait is for a condition.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ServiceError } from '@grpc/grpc-js';
import type { SynodError } from '../../shared/base/errors.ts';
import { connect } from '../../shared/client/index.ts';
import type { Progress, SynodClient } from '../../shared/client/index.ts';
import type { Activity } from '../../shared/wire/gen/synod/v1/common.ts';
import type { ProposalRecord } from '../../shared/wire/gen/synod/v1/history.ts';
import { ProposerServiceService as Service } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import type {
  HistoryRequest,
  HistoryResponse,
  ProposeWithProgressResponse,
} from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { CLIENT, TestCluster, request } from '../support/proposer.ts';
import { refusal } from '../support/refusal.ts';
import { until } from '../support/until.ts';

const CHOSEN = 1;
const REFUSED = 3;
const BASIC = 1;
let cluster: TestCluster;
let client: SynodClient | undefined;

// Each test has logs of its own.
beforeAll(async () => {
  cluster = await TestCluster.startAll();
});
afterEach(() => {
  client?.close();
  client = undefined;
});
afterAll(async () => {
  await cluster.end();
  expect(cluster.fatals).toEqual([]);
});

function ask(id: number, change: Partial<HistoryRequest> = {}): Promise<HistoryResponse> {
  const none = { session: undefined, sequence: undefined, slot: undefined };
  const all = { header: undefined, log: '', client: Buffer.alloc(0), ...none, before: 0, limit: 0, sessions: false };
  return cluster.client(id).unary(Service.history, { ...all, ...change }, { timeoutMs: 5_000 });
}

/** Who leads a new log, and who forwards. */
async function ledLog(log: string): Promise<{ leader: number; other: number }> {
  await cluster.propose(1, { log });
  const leader = await cluster.leaderOf(log);
  return { leader, other: 3 - leader };
}

describe('history', () => {
  test('of a forwarded proposal is told by the proposer that was asked, and by the leader', async () => {
    const { leader, other } = await ledLog('forwarded');
    const session = await cluster.openSession(other, 'forwarded');
    const answer = await cluster.propose(other, { log: 'forwarded', client: CLIENT, session, sequence: 1 });
    const wanted = { client: CLIENT, session, sequence: 1 };
    const [asked] = (await ask(other, wanted)).records;
    const [led] = (await ask(leader, wanted)).records;
    const same: Partial<ProposalRecord> = {
      ...{ log: 'forwarded', kind: 3, client: CLIENT, session, sequence: 1, protocol: 2, end: CHOSEN },
      ...{ slot: answer.slot, ballot: answer.ballot!, leader, rounds: 1, retry: false, code: 0 },
    };
    expect(asked).toMatchObject({ ...same, forwardedBy: 0 });
    expect(led).toMatchObject({ ...same, forwardedBy: other });
    expect(asked!.tookUs).toBeGreaterThanOrEqual(led!.tookUs);
  });

  test('counts each proposal once, where its client asked, by reason', async () => {
    const { leader, other } = await ledLog('counted');
    const countsBefore = await Promise.all([ask(leader), ask(other)]);
    const sum = (pages: readonly HistoryResponse[], end: number): number =>
      pages.flatMap(({ counts }) => counts).reduce((n, each) => n + (each.end === end ? each.count : 0), 0);
    const session = await cluster.openSession(other, 'counted');
    await cluster.propose(other, { log: 'counted', client: CLIENT, session, sequence: 1 });
    const error = await refusal(() =>
      cluster.propose(other, { log: 'counted', client: CLIENT, session: 99, sequence: 1 }),
    );
    expect(error.code).toBe('FAILED_PRECONDITION');
    const pages = await Promise.all([ask(leader), ask(other)]);
    // The opening of the session and the proposal.
    expect(sum(pages, CHOSEN) - sum(countsBefore, CHOSEN)).toBe(2);
    const refused = pages.flatMap(({ counts }) => counts).find(({ end }) => end === REFUSED);
    expect(refused).toMatchObject({
      count: expect.any(Number),
      code: 9,
      outcome: 1,
      message: expect.stringContaining('session 99'),
    });
    const [record] = (await ask(other, { session: 99 })).records;
    expect(record).toMatchObject({ end: REFUSED, slot: undefined, code: 9, forwardedBy: 0 });
  });

  test('is told page by page', async () => {
    await Promise.all(Array.from({ length: 25 }, () => cluster.propose(1, { log: 'p' })));
    const seen: number[] = [];
    let before = 0;
    do {
      const page = await ask(1, { log: 'p', limit: 10, before });
      seen.push(...page.records.map(({ number }) => number));
      before = page.nextBefore ?? 0;
    } while (before > 0);
    expect(seen).toHaveLength(25);
    expect([...seen].sort((a, b) => b - a)).toEqual(seen);
  });

  test('of a log that nobody used is empty', async () => {
    expect((await ask(1, { log: 'nobody' })).records).toEqual([]);
  });

  test.each([
    ['a page of too many records', { limit: 1_001 }, 'OUT_OF_RANGE', '1001'],
    ['a client id of 17 bytes', { client: Buffer.alloc(17) }, 'INVALID_ARGUMENT', '17 bytes'],
    ['a log name that is too long', { log: 'x'.repeat(257) }, 'INVALID_ARGUMENT', '257 bytes'],
  ])('refuses %s', async (_, change, code, text) => {
    const error = await refusal(() => ask(1, change));
    expect(error).toMatchObject({ code, outcome: 'none' });
    expect(error.message).toContain(text);
  });
});

describe('progress', () => {
  function connectTo(...ids: number[]): SynodClient {
    return (client = connect({ proposers: ids.map((id) => cluster.addressOf(id)), ownConnections: true }));
  }

  /** What must have been told of a proposal that went through a proposer which does not lead. */
  function checkForwarded(told: readonly Progress[], leader: number, slot: number): void {
    expect(told[0]).toEqual({ kind: 'forwarded', to: leader });
    const promised = told.flatMap((each) => (each.kind === 'promised' ? [each.acceptor] : []));
    const accepted = told.flatMap((each) => (each.kind === 'accepted' ? [each] : []));
    expect(new Set(promised).size).toBeGreaterThanOrEqual(2);
    expect(new Set(accepted.map(({ acceptor }) => acceptor)).size).toBeGreaterThanOrEqual(2);
    // Acceptors are named by their ids.
    for (const acceptor of promised) expect([1, 2, 3]).toContain(acceptor);
    for (const each of accepted) expect(each).toMatchObject({ slot, ballot: { proposer: leader } });
  }

  test('of a proposal is told in the order in which it comes, also through a proposer that forwards', async () => {
    const { leader, other } = await ledLog('told');
    const told: Progress[] = [];
    const { slot } = await connectTo(other).propose('told', Buffer.from('x'), {
      onProgress: (each) => told.push(each),
    });
    checkForwarded(told, leader, slot);
    expect(told.at(-1)).toMatchObject({ kind: 'chosen', slot, leader });
    expect(told.filter(({ kind }) => kind === 'chosen')).toHaveLength(1);
  });

  test('of a stream is told for each of its proposals, before its answer', async () => {
    const { leader, other } = await ledLog('streamed');
    const told = new Map<number, Progress[]>();
    const answered: number[] = [];
    const early: number[] = [];
    const stream = connectTo(other).proposeStream('streamed', {
      onProgress: (sequence, progress) => {
        if (answered.includes(sequence)) early.push(sequence);
        told.set(sequence, [...(told.get(sequence) ?? []), progress]);
      },
      onAnswer: ({ firstSequence, count }) => {
        for (let i = 0; i < count; i++) answered.push(firstSequence + i);
      },
    });
    const results = await Promise.all([stream.propose(Buffer.from('x')), stream.propose(Buffer.from('y'))]);
    await stream.finish();
    expect([...told.keys()].sort()).toEqual([1, 2]);
    results.forEach(({ slot }, at) => checkForwarded(told.get(at + 1) ?? [], leader, slot));
    expect(early).toEqual([]);
  });

  test('of a decree is told by its round', async () => {
    const told: Progress[] = [];
    const { id } = await connectTo(1).decide('d', Buffer.from('x'), { onProgress: (each) => told.push(each) });
    expect(new Set(told.map(({ kind }) => kind))).toEqual(new Set(['promised', 'accepted', 'chosen']));
    expect((await ask(1, { client: Buffer.from(id.client, 'hex') })).records).toMatchObject([
      { kind: 4, protocol: BASIC, end: CHOSEN, othersValue: false },
    ]);
  });

  test('is not told to who does not ask (negative control)', async () => {
    await ledLog('unasked');
    const sent: string[] = [];
    const stream = cluster.client(1).bidi(Service.proposeStream);
    let isAnswered = false;
    stream.on('error', () => {});
    stream.on('data', ({ progress, chosen }: { progress: unknown[]; chosen: unknown[] }) => {
      sent.push(...progress.map(() => 'progress'));
      isAnswered ||= chosen.length > 0;
    });
    const hello = {
      header: undefined,
      log: 'unasked',
      protocol: 2,
      client: Buffer.alloc(0),
      session: undefined,
    } as const;
    stream.write({ hello, proposals: [] });
    const payloads = [Buffer.from('x')];
    stream.write({
      hello: undefined,
      proposals: [{ firstSequence: 1, payloads, acknowledged: 0, retry: false, progress: false }],
    });
    await until(() => isAnswered);
    stream.end();
    expect(sent).toEqual([]);
  });

  test('of a proposal that is refused ends with the refusal and its outcome', async () => {
    const call = cluster
      .client(1)
      .serverStream(
        Service.proposeWithProgress,
        { propose: request({ client: CLIENT, session: 99, sequence: 1 }) },
        { timeoutMs: 5_000 },
      );
    const answers: ProposeWithProgressResponse[] = [];
    const error = await new Promise<SynodError>((resolve) => {
      call.on('data', (message: ProposeWithProgressResponse) => answers.push(message));
      call.on('error', (raw: ServiceError) => resolve(cluster.client(1).errorOf(raw)));
    });
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', outcome: 'none' });
    expect(answers.some(({ answer }) => answer !== undefined)).toBe(false);
  });

  test('of nothing at all is refused', async () => {
    const call = cluster
      .client(1)
      .serverStream(Service.proposeWithProgress, { propose: undefined }, { timeoutMs: 5_000 });
    const error = await new Promise<SynodError>((resolve) => {
      call.on('data', () => {});
      call.on('error', (raw: ServiceError) => resolve(cluster.client(1).errorOf(raw)));
    });
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: 'propose is missing' });
  });
});

test('status says how many proposals were chosen, and how long phases took', async () => {
  const activityOf = async (): Promise<Activity> => {
    const { activity } = await cluster.client(1).unary(Service.status, { header: undefined }, { timeoutMs: 5_000 });
    if (activity === undefined) throw new Error('a status without activity');
    return activity;
  };
  const countOf = ({ tallies }: Activity, name: string): number => tallies.find((t) => t.name === name)?.count ?? NaN;
  const timesOf = ({ times }: Activity, name: string): number =>
    times.find((t) => t.name === name)?.counts.reduce((sum, n) => sum + n, 0) ?? NaN;
  const before = await activityOf();
  await cluster.propose(1, { log: 'counted-too' });
  await cluster.propose(1, { log: 'counted-too' });
  await cluster.propose(1, { log: 'decided', protocol: BASIC });
  const after = await activityOf();
  // The opening of the session and the two proposals.
  expect(countOf(after, 'multi.chosen') - countOf(before, 'multi.chosen')).toBe(3);
  expect(countOf(after, 'basic.chosen') - countOf(before, 'basic.chosen')).toBe(1);
  expect(timesOf(after, 'accept')).toBeGreaterThan(timesOf(before, 'accept'));
  for (const { boundsUs, counts } of after.times) expect(counts).toHaveLength(boundsUs.length + 1);
});
