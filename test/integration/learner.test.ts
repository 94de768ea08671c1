/**
 * Goal: a learner learns what acceptors voted for, applies it in order and once, and serves it, through losses on the way.
 * Method: real gRPC in one process; acceptors are the real machine behind a fake server with faults to plant; every wait is for
 * a condition.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { LIMITS } from '../../shared/base/limits.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import type { RunningLearner } from '../../services/learner/learner.ts';
import { Sessions } from '../../shared/machine/sessions.ts';
import { LearnerServiceService as service } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { ReadRequest, SubscribeResponse } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { CLIENT, TestCluster, command, noOp, open } from '../support/learner.ts';
import { refusal } from '../support/refusal.ts';
import { until } from '../support/until.ts';

let cluster: TestCluster;
let learner: RunningLearner;
let client: Connection;
const call = { timeoutMs: 5_000 };

beforeEach(async () => {
  cluster = await TestCluster.start();
  learner = await cluster.startLearner();
  client = cluster.client(learner);
  await until(() => cluster.acceptors.every((a) => a.followers === 1));
});
afterEach(async () => {
  await cluster.end();
  expect(cluster.fatals).toEqual([]);
});

const applied = (log = 'x'): number => learner.store.progress(log)?.visible ?? 0;
const read = (changes: Partial<ReadRequest> = {}): Promise<string[]> =>
  client
    .unary(
      service.read,
      { header: undefined, log: 'x', from: 0, limit: 0, linearizable: false, all: false, ...changes },
      call,
    )
    .then(({ entries }) => entries.map((e) => `${String(e.slot)}:${Buffer.from(e.payload).toString()}`));

class Subscriber {
  readonly seen: string[] = [];
  next: number;
  readonly #stream: ClientReadableStream<SubscribeResponse>;

  constructor(from: number, on = client) {
    this.next = from;
    this.#stream = on.serverStream(service.subscribe, { header: undefined, log: 'x', from, all: false });
    this.#stream.on('data', (message: SubscribeResponse) => {
      for (const e of message.entries) this.seen.push(`${String(e.slot)}:${Buffer.from(e.payload).toString()}`);
      this.next = message.next;
    });
    this.#stream.on('error', () => undefined);
  }

  stop(): void {
    this.#stream.cancel();
  }
}

describe('learning', () => {
  test('counts votes, applies in order, and shows each proposal once', async () => {
    cluster.vote('x', 0, [open(), command(0, 1, 'a'), noOp(), command(0, 1, 'a'), command(0, 2, 'b')]);
    await until(() => applied() === 5);
    expect(await read()).toEqual(['1:a', '4:b']);
    expect(await read({ all: true })).toEqual(['0:', '1:a', '2:', '3:a', '4:b']);
    expect(await read({ from: 2 })).toEqual(['4:b']);
    expect(await read({ from: 1, to: 2 })).toEqual(['1:a']);
  });

  test('learns nothing from one vote, nor from the same vote twice', async () => {
    cluster.vote('x', 0, [open()], cluster.acceptors.slice(0, 1));
    cluster.vote('x', 0, [open()], cluster.acceptors.slice(0, 1));
    cluster.vote('y', 0, [open()]);
    await until(() => applied('y') === 1);
    expect(applied()).toBe(0);
    cluster.vote('x', 0, [open()], cluster.acceptors.slice(1, 2));
    await until(() => applied() === 1);
  });

  test('closes a gap by asking again for what was lost on the way', async () => {
    for (const acceptor of cluster.acceptors) acceptor.losesVotes = true;
    cluster.vote('x', 0, [open(), command(0, 1, 'a')]);
    for (const acceptor of cluster.acceptors) acceptor.losesVotes = false;
    cluster.vote('x', 2, [command(0, 2, 'b')]);
    await until(() => applied() === 3);
    expect(await read()).toEqual(['1:a', '2:b']);
    expect(cluster.acceptors.some((a) => a.fetches > 0)).toBe(true);
  });

  test('asks another acceptor for a value that its source never voted for', async () => {
    expect(cluster.acceptors.map((a) => a.valueFollowers)).toEqual([1, 0, 0]);
    cluster.vote('x', 0, [open(), command(0, 1, 'a')], cluster.acceptors.slice(1));
    await until(() => applied() === 2);
    expect(await read()).toEqual(['1:a']);
  });

  test('takes its values from another acceptor when its source is gone, and from the source again when it is back', async () => {
    const [source] = cluster.acceptors;
    const address = source?.address ?? '';
    await source?.close();
    await until(() => cluster.acceptors[1]?.valueFollowers === 1);
    cluster.vote('x', 0, [open()], cluster.acceptors.slice(1));
    await until(() => applied() === 1);
    await source?.listen(address);
    await until(() => source?.valueFollowers === 1 && cluster.acceptors[1]?.valueFollowers === 0);
  });

  test('ignores an acceptor whose disk is older than what it once sent (R5), and asks for no quorum of it', async () => {
    cluster.vote('x', 0, [open()]);
    await until(() => applied() === 1);
    const [first, second] = cluster.acceptors;
    if (first === undefined || second === undefined) throw new Error('two acceptors are needed');
    const address = first.address;
    await first.close();
    // Another process on a copy of the disk: the same start with another draw.
    first.draw = 2;
    await first.listen(address);
    await until(() => first.followers === 1);
    second.losesVotes = true;
    cluster.vote('x', 1, [command(0, 1, 'a')], [first]);
    cluster.vote('x', 1, [command(0, 1, 'a')], cluster.acceptors.slice(2));
    cluster.vote('y', 0, [open()], cluster.acceptors.slice(1));
    second.losesVotes = false;
    cluster.vote('y', 0, [open()], cluster.acceptors.slice(1));
    await until(() => applied('y') === 1);
    expect(applied()).toBe(1);
    expect(learner.store.remembered(1)).toMatchObject({ start: 1, draw: 1 });
  });

  test('goes on after a restart from what its disk holds, and reports it to the acceptors', async () => {
    cluster.vote('x', 0, [open(), command(0, 1, 'a')]);
    await until(() => applied() === 2);
    await cluster.stopLearner(1);
    cluster.vote('x', 2, [command(0, 2, 'b')]);
    learner = await cluster.startLearner();
    client = cluster.client(learner);
    await until(() => applied() === 3);
    expect(await read()).toEqual(['1:a', '2:b']);
    await until(() => cluster.acceptors.every((a) => [...a.held.values()].some((logs) => logs.get('x')?.held === 3)));
  });
});

describe('subscriptions', () => {
  test('deliver each proposal once, wait for the future, and resume without duplicates', async () => {
    const first = new Subscriber(0);
    cluster.vote('x', 0, [open(), command(0, 1, 'a'), command(0, 1, 'a'), noOp()]);
    await until(() => first.next === 4);
    expect(first.seen).toEqual(['1:a']);
    first.stop();
    cluster.vote('x', 4, [command(0, 1, 'a'), command(0, 2, 'b')]);
    const second = new Subscriber(first.next);
    await until(() => second.next === 6);
    expect(second.seen).toEqual(['5:b']);
    cluster.vote('x', 6, [command(0, 3, 'c')]);
    await until(() => second.seen.length === 2);
    expect(second.seen).toEqual(['5:b', '6:c']);
    // Negative control: who resumes from the beginning does see the first one again.
    const again = new Subscriber(0);
    await until(() => again.next === 7);
    expect(again.seen).toEqual(['1:a', '5:b', '6:c']);
    again.stop();
    second.stop();
  });

  test('are refused beyond subscribers.max', async () => {
    const subscribers = Array.from({ length: 10 }, () => new Subscriber(0));
    const eleventh = client.serverStream(service.subscribe, { header: undefined, log: 'x', from: 0, all: false });
    const error = await new Promise<Error>((resolve) => eleventh.on('error', resolve).resume());
    expect(error.message).toMatch(/RESOURCE_EXHAUSTED.*subscribers\.max is 10/);
    for (const subscriber of subscribers) subscriber.stop();
  });
});

describe('linearizable reads', () => {
  test('wait for what a quorum of acceptors holds, and have it fetched', async () => {
    for (const acceptor of cluster.acceptors) acceptor.losesVotes = true;
    cluster.vote('x', 0, [open(), command(0, 1, 'a')]);
    // Negative control: a read that is not linearizable knows of nothing.
    await expect(read()).rejects.toMatchObject({ code: 'NOT_FOUND', outcome: 'none' });
    expect(await read({ linearizable: true })).toEqual(['1:a']);
    const { end } = await client.unary(service.end, { header: undefined, log: 'x' }, call);
    expect(end).toBe(2);
  });

  test('end with UNAVAILABLE and name the quorum that is missing', async () => {
    for (const acceptor of cluster.acceptors.slice(1)) acceptor.losesQuestions = true;
    const request = { header: undefined, log: 'x' };
    expect(await refusal(() => client.unary(service.end, request, { timeoutMs: 400 }))).toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/1 of 3 acceptors answered and 3 are connected; .*any 2 of 3/) as unknown,
    });
    // Negative control: one more answer is enough.
    for (const acceptor of cluster.acceptors) acceptor.losesQuestions = false;
    await expect(client.unary(service.end, request, call)).resolves.toMatchObject({ end: 0 });
  });

  test('end with DEADLINE_EXCEEDED where votes are no quorum and nobody finishes them', async () => {
    cluster.vote('x', 0, [open()], cluster.acceptors.slice(0, 1));
    for (const acceptor of cluster.acceptors.slice(1, 2)) await acceptor.close();
    const request = { header: undefined, log: 'x', from: 0, limit: 0, linearizable: true, all: false };
    expect(await refusal(() => client.unary(service.read, request, { timeoutMs: 500 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('slot 0 has votes of 1') as unknown,
    });
  });
});

describe('answers for proposers', () => {
  test('the session table comes once the slot is applied', async () => {
    const chunks: Uint8Array[] = [];
    const stream = client.serverStream(service.sessions, { header: undefined, log: 'x', atLeast: 2 }, call);
    stream.on('data', ({ chunk }: { chunk: Uint8Array }) => chunks.push(chunk));
    const ended = new Promise((resolve) => stream.on('end', resolve));
    cluster.vote('x', 0, [open(), command(0, 1, 'a')]);
    await ended;
    expect(Sessions.import(Buffer.concat(chunks)).lookup(CLIENT, 0, 1)).toEqual({ kind: 'known', slot: 1 });
  });

  test('retries are found, new numbers are not, and expired or unknown sessions are refused', async () => {
    const stream = client.bidi(service.answers);
    const answers: unknown[] = [];
    stream
      .on('data', (message: { answers: unknown[] }) => answers.push(...message.answers))
      .on('error', () => undefined);
    const id = { log: 'x', applied: 2, client: Buffer.from(CLIENT, 'hex') };
    stream.write({
      hello: { cluster: '', configuration: Buffer.alloc(0), role: 4, id: 0, incarnation: Buffer.alloc(0) },
      questions: [
        { id: 1, ...id, session: 0, sequence: 1 },
        { id: 2, ...id, session: 0, sequence: 2 },
        { id: 3, ...id, session: 7, sequence: 1 },
        { id: 4, ...id, sequence: 0 },
      ],
    });
    cluster.vote('x', 0, [open(), command(0, 1, 'a')]);
    await until(() => answers.length === 4);
    expect(answers).toEqual([
      { id: 1, applied: 2, answer: { $case: 'slot', value: 1 } },
      { id: 2, applied: 2, answer: { $case: 'notFound', value: {} } },
      { id: 3, applied: 2, answer: { $case: 'refused', value: 1 } },
      { id: 4, applied: 2, answer: { $case: 'session', value: 0 } },
    ]);
    stream.cancel();
  });
});

describe('for operators', () => {
  test('pages, metrics and status say what is kept and what is waited for', async () => {
    cluster.vote('x', 0, [open()]);
    cluster.vote('x', 1, [command(0, 1, 'a')], cluster.acceptors.slice(0, 1));
    cluster.vote('synod.probe-1', 0, [noOp()]);
    await until(() => applied() === 1 && applied('synod.probe-1') === 1);
    const logs = await client.unary(
      service.logs,
      { header: undefined, log: '', after: '', limit: 0, all: false },
      call,
    );
    expect(logs.logs).toMatchObject([{ log: 'x', applied: 1, seen: 2, sessions: 1 }]);
    expect(logs.logs[0]?.waitsFor).toMatch(/slot 1 has votes of 1 at ballot/);
    const all = await client.unary(service.logs, { header: undefined, log: '', after: '', limit: 1, all: true }, call);
    expect(all).toMatchObject({ logs: [{ log: 'synod.probe-1' }], more: true });
    const status = await client.unary(service.status, { header: undefined }, call);
    expect(status).toMatchObject({ trusted: true, logs: 2, process: { notReady: [] } });
    expect(status.acceptors.map((a) => a.sendsValues)).toEqual([true, false, false]);
    const metrics = await (await fetch(`http://${learner.http}/metrics`)).text();
    expect(metrics).toMatch(/synod_learner_lag_slots\{[^}]*\} 1/);
    expect((await fetch(`http://${learner.http}/readyz`)).status).toBe(200);
    expect(await (await fetch(`http://${learner.http}/status.json`)).json()).toMatchObject({ role: 'learner', id: 1 });
  });

  test('forgetting another learner asks all acceptors, and passes their refusal on', async () => {
    const disk = 'd7'.repeat(16);
    const request = { header: undefined, learnerDisk: Buffer.from(disk, 'hex'), learner: 0, force: false };
    const done = await client.unary(service.forgetLearner, request, call);
    expect(done).toMatchObject({ acceptors: [1, 2, 3], missing: [] });
    expect(cluster.acceptors.every((a) => a.forgotten.includes(disk))).toBe(true);
    const own = { ...request, learnerDisk: Buffer.alloc(0), learner: 1 };
    await expect(client.unary(service.forgetLearner, own, call)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    const unheard = client.unary(service.forgetLearner, { ...own, learner: 7 }, call);
    await expect(unheard).rejects.toThrow(/which disk learner 7 has is not known.*give the disk's id.*32 hex digits/);
  });

  test('a disk that no acceptor knows is not forgotten; one that one of them knows is', async () => {
    const disk = 'e5'.repeat(16);
    const request = { header: undefined, learnerDisk: Buffer.from(disk, 'hex'), learner: 0, force: true };
    for (const acceptor of cluster.acceptors) acceptor.unknownDisks.add(disk);
    await expect(client.unary(service.forgetLearner, request, call)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      outcome: 'none',
      message: expect.stringMatching(/no acceptor counts on disk e5/) as unknown,
    });
    cluster.acceptors[2]?.unknownDisks.delete(disk);
    expect(await client.unary(service.forgetLearner, request, call)).toMatchObject({ acceptors: [1, 2, 3] });
  });

  test('an error for a log that is not known says so of the cluster only where a quorum was asked', async () => {
    await expect(read({ log: 'none', linearizable: true })).rejects.toThrow(
      /no log "none": a quorum of acceptors knows/,
    );
    await expect(read({ log: 'none', linearizable: false })).rejects.toThrow(/not known at this learner.*linearizable/);
  });

  test.each([
    ['a log without a name', { log: '' }, 'INVALID_ARGUMENT', /no name/],
    ['a log with too long a name', { log: 'x'.repeat(LIMITS.logNameBytesMax + 1) }, 'INVALID_ARGUMENT', /257 bytes/],
    ['a range that ends before it begins', { from: 5, to: 4 }, 'INVALID_ARGUMENT', /to is 4, below from/],
    ['a log that nobody made', { log: 'none' }, 'NOT_FOUND', /made by its first proposal/],
  ])('%s is refused', async (_, changes, code, message) => {
    await expect(read(changes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as unknown });
  });

  test('another cluster is refused', async () => {
    const header = {
      cluster: 'other',
      configuration: Buffer.alloc(0),
      role: 4,
      id: 0,
      incarnation: Buffer.alloc(0),
    } as const;
    await expect(read({ header })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});
