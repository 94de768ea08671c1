/**
 * Goal: a program that uses the client gets one effect and one answer for each proposal, whoever fails on the way (R12, R15).
 * Method: the real client against fake members over real gRPC on loopback; faults are planted one by one.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { connect } from '../../../shared/client/index.ts';
import type { ClientError, ClientOptions, SynodClient } from '../../../shared/client/index.ts';
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import { BALLOT_TEXT, FakeLog, deadAddress, fakeLearner, fakeProposer } from './fakes.ts';
import type { FakeProposer } from './fakes.ts';

const UNAVAILABLE = 14;
const FAILED_PRECONDITION = 9;
const INVALID_ARGUMENT = 3;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

let log: FakeLog;
let one: FakeProposer;
let two: FakeProposer;
beforeEach(async () => {
  log = new FakeLog();
  one = await fakeProposer(log);
  two = await fakeProposer(log);
  cleanups.push(one.stop, two.stop);
});

function client(options: ClientOptions = {}): SynodClient {
  const made = connect({ proposers: [one.address, two.address], ...options });
  cleanups.push(() => {
    made.close();
  });
  return made;
}

const failure = (promise: Promise<unknown>): Promise<ClientError> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as ClientError,
  );
const requests = () => [...one.requests, ...two.requests];

describe('one proposal', () => {
  test('is answered with its slot and ballot', async () => {
    const answer = await client().propose('a', Buffer.from('hello'));
    expect(answer).toMatchObject({ log: 'a', slot: 0, leader: 1 });
    expect(formatBallot(answer.ballot!)).toBe(BALLOT_TEXT);
  });

  test('has the next number of the one session of its log, and says what was answered', async () => {
    const synod = client();
    for (const text of ['x', 'y', 'z']) await synod.propose('a', Buffer.from(text));
    expect(log.sessions).toBe(1);
    const sent = requests().sort((a, b) => a.sequence - b.sequence);
    expect(sent.map((r) => [r.sequence, r.acknowledged, r.retry])).toEqual([
      [1, 0, false],
      [2, 1, false],
      [3, 2, false],
    ]);
  });

  test('is sent again with the same number, as a retry, through another proposer when its outcome is unknown', async () => {
    for (const each of [one, two]) each.faults.push({ code: UNAVAILABLE, outcome: 'unknown', afterwards: true });
    expect(await client().propose('a', Buffer.from('once'))).toMatchObject({ slot: 0 });
    expect(requests().map((r) => r.sequence)).toEqual([1, 1, 1]);
    expect(requests().filter((r) => r.retry)).toHaveLength(2);
    expect(one.requests.length).toBeGreaterThan(0);
    expect(two.requests.length).toBeGreaterThan(0);
    expect(log.texts()).toEqual(['once']);
  });

  test('control: members that do not look at ids let it take effect three times', async () => {
    log.deduplicates = false;
    for (const each of [one, two]) each.faults.push({ code: UNAVAILABLE, outcome: 'unknown', afterwards: true });
    await client().propose('a', Buffer.from('once'));
    expect(log.texts()).toEqual(['once', 'once', 'once']);
  });

  test('that was refused with outcome none is not called a retry', async () => {
    one.faults.push({ code: UNAVAILABLE, outcome: 'none' });
    two.faults.push({ code: UNAVAILABLE, outcome: 'none' });
    await client().propose('a', Buffer.from('x'));
    expect(requests().map((r) => r.retry)).toEqual([false, false, false]);
  });

  test('goes on to the next proposer when one hangs', async () => {
    one.silent = true;
    const synod = client({ attemptMs: 50 });
    for (let i = 0; i < 3; i++) await synod.propose('a', Buffer.from(String(i)));
    expect(log.texts()).toEqual(['0', '1', '2']);
  });

  test('follows the leader that a proposer names', async () => {
    one.faults.push({ code: UNAVAILABLE, outcome: 'none', leader: two.address });
    const synod = client({ proposers: [one.address, await deadAddress(), two.address] });
    await synod.propose('a', Buffer.from('x'));
    expect(log.texts()).toEqual(['x']);
  });
});

describe('a refusal', () => {
  test.each([
    ['an empty value', 'a', 0],
    ['an oversize value', 'a', 1.5 * 1024 * 1024 + 1],
    ['a log without a name', '', 1],
    ["one of Synod's own logs", 'synod.probe', 1],
  ])('of %s comes before anything is sent', async (_, name, bytes) => {
    const error = await failure(client().propose(name, Buffer.alloc(bytes, 1)));
    expect([error.code, error.outcome]).toEqual(['INVALID_ARGUMENT', 'none']);
    expect(log.sessions).toBe(0);
  });

  test('that no other try would change is passed on at once', async () => {
    for (const each of [one, two]) each.faults.push({ code: INVALID_ARGUMENT, outcome: 'none', message: 'no' });
    const error = await failure(client().propose('a', Buffer.from('x')));
    expect([error.code, error.outcome, error.message]).toEqual(['INVALID_ARGUMENT', 'none', 'no']);
    expect(requests()).toHaveLength(1);
  });

  test('has outcome unknown when an earlier try had it', async () => {
    one.faults.push({ code: UNAVAILABLE, outcome: 'unknown' }, { code: INVALID_ARGUMENT, outcome: 'none' });
    const error = await failure(client({ proposers: [one.address] }).propose('a', Buffer.from('x')));
    expect([error.code, error.outcome]).toEqual(['INVALID_ARGUMENT', 'unknown']);
  });

  test('of an expired session is met with a new one where nothing can have happened', async () => {
    for (const each of [one, two]) each.faults.push({ code: FAILED_PRECONDITION, outcome: 'none' });
    const synod = client({ proposers: [one.address] });
    expect(await synod.propose('a', Buffer.from('x'))).toMatchObject({ slot: 0 });
    expect(one.requests.map((r) => [r.session, r.sequence])).toEqual([
      [1, 1],
      [2, 1],
    ]);
  });

  test('of an expired session that several proposals meet loses none of them', async () => {
    const synod = client({ proposers: [one.address] });
    await synod.propose('a', Buffer.from('before'));
    for (let i = 0; i < 3; i++) one.faults.push({ code: FAILED_PRECONDITION, outcome: 'none' });
    await Promise.all(['x', 'y', 'z'].map((text) => synod.propose('a', Buffer.from(text))));
    // None was taken for a retry of another one: no number of a session is given to two values.
    expect(log.texts().sort()).toEqual(['before', 'x', 'y', 'z']);
  });

  test('of an expired session is not met under the same client id, by which a late leader may still know the old one', async () => {
    one.faults.push({ code: FAILED_PRECONDITION, outcome: 'none' });
    await client({ proposers: [one.address] }).propose('a', Buffer.from('x'));
    const [before, after] = one.requests.map((request) => Buffer.from(request.client).toString('hex'));
    expect(after).not.toBe(before);
  });

  test('of an expired session is passed on where its outcome is unknown', async () => {
    one.faults.push({ code: FAILED_PRECONDITION, outcome: 'unknown' });
    const error = await failure(client({ proposers: [one.address] }).propose('a', Buffer.from('x')));
    expect([error.code, error.outcome, log.sessions]).toEqual(['FAILED_PRECONDITION', 'unknown', 1]);
  });

  test('by nobody at all names the addresses, has outcome none, and is quick where that is asked for', async () => {
    const proposers = [await deadAddress(), await deadAddress()];
    const error = await failure(client({ proposers, failFast: true }).propose('a', Buffer.from('x')));
    expect([error.code, error.outcome, error.unreachable]).toEqual(['UNAVAILABLE', 'none', true]);
    expect(error.message).toContain('nobody answers at 127.0.0.1:');
  });

  test('after the deadline says that, and what was last', async () => {
    one.silent = true;
    const synod = client({ proposers: [one.address], attemptMs: 20, timeoutMs: 120 });
    const error = await failure(synod.propose('a', Buffer.from('x')));
    expect([error.code, error.outcome]).toEqual(['DEADLINE_EXCEEDED', 'unknown']);
    expect(error.message).toMatch(
      /not done within \d+ ms \(timeoutMs\) and \d+ (try|tries); last: .* did not answer in time/,
    );
  });

  test('an address that is none is refused when the client is made', () => {
    expect(() => connect({ proposers: ['nowhere'] })).toThrow('"nowhere" is not HOST:PORT of a proposer');
  });
});

describe('the window of a session', () => {
  test('is never left: what has no room waits', async () => {
    log.window = 4;
    const synod = client();
    await Promise.all(Array.from({ length: 50 }, (_, i) => synod.propose('a', Buffer.from(String(i)))));
    expect(log.values).toHaveLength(50);
    expect(Math.max(...requests().map((r) => r.sequence - r.acknowledged))).toBeLessThanOrEqual(4);
  });

  test('refuses more than may wait, with outcome none', async () => {
    log.window = 1;
    one.silent = two.silent = true;
    const synod = client({ waitingMax: 2, attemptMs: 100, timeoutMs: 200 });
    const all = await Promise.all(Array.from({ length: 4 }, () => failure(synod.propose('a', Buffer.from('x')))));
    expect(all.map((error) => [error.code, error.outcome])).toContainEqual(['RESOURCE_EXHAUSTED', 'none']);
  });
});

describe('a decree', () => {
  test('is answered with what was chosen, and needs no session', async () => {
    const decided = await client().decide('d', Buffer.from('me'));
    expect(Buffer.from(decided.value).toString()).toBe('me');
    expect([decided.own, decided.slot, log.sessions]).toEqual([true, 0, 0]);
  });
});

describe('a stream of proposals', () => {
  test('has all of them chosen, once each, in the order of writing', async () => {
    const stream = client().proposeStream('a');
    const values = Array.from({ length: 3_000 }, (_, i) => Buffer.from(String(i)));
    await stream.write(values);
    await stream.finish();
    expect(log.texts()).toEqual(values.map(String));
  });

  test('that breaks goes on at another proposer, in its session, and nothing is chosen twice', async () => {
    one.breakStreamAfter = two.breakStreamAfter = 100;
    const slots: number[] = [];
    const stream = client().proposeStream('a', {
      onAnswer: (answer) => {
        if (answer.kind === 'chosen') for (let i = 0; i < answer.count; i++) slots.push(answer.firstSlot + i);
      },
    });
    const values = Array.from({ length: 2_000 }, (_, i) => Buffer.from(String(i)));
    await stream.write(values);
    await stream.finish();
    expect(log.texts().sort()).toEqual(values.map(String).sort());
    expect([...slots].sort((a, b) => a - b)).toEqual(values.map((_, i) => i));
    const sent = [...one.streamed, ...two.streamed];
    expect(sent.filter(({ hello }) => hello?.session === 1)).toHaveLength(2);
    expect(sent.flatMap(({ proposals }) => proposals).some(({ retry }) => retry)).toBe(true);
  });

  test('keeps to the window and acknowledges what it has', async () => {
    log.window = 8;
    const stream = client().proposeStream('a');
    await stream.write(Array.from({ length: 200 }, (_, i) => Buffer.from(String(i))));
    await stream.finish();
    const proposals = [...one.streamed, ...two.streamed].flatMap((message) => message.proposals);
    const reach = proposals.map((p) => p.firstSequence + p.payloads.length - 1 - p.acknowledged);
    expect(Math.max(...reach)).toBeLessThanOrEqual(8);
  });

  test('that is closed refuses what has no answer, with outcome unknown', async () => {
    const stream = client().proposeStream('a');
    await stream.opened();
    one.breakStreamAfter = two.breakStreamAfter = 1;
    const answer = failure(stream.propose(Buffer.from('x')));
    await new Promise((resolve) => setImmediate(resolve));
    stream.close();
    expect(await answer).toMatchObject({ code: 'CANCELLED', outcome: 'unknown' });
    expect(() => stream.tryWrite(Buffer.from('y'))).toThrow('closed by its owner');
  });
});

describe('reading', () => {
  test('a page, the end, and a subscription that lasts through the loss of its learner without a duplicate', async () => {
    for (let i = 0; i < 10; i++) log.apply(Buffer.alloc(16), 1, i, Buffer.from(String(i)));
    const a = await fakeLearner(log);
    const b = await fakeLearner(log);
    cleanups.push(a.stop, b.stop);
    a.breakAfter = b.breakAfter = 4;
    const synod = client({ learners: [a.address, b.address] });
    expect(await synod.read('a', { from: 8 })).toMatchObject({ next: 10, applied: 10, first: 0 });
    expect(await synod.end('a')).toEqual({ end: 10, applied: 10 });
    const seen: number[] = [];
    for await (const entry of synod.subscribe('a')) {
      seen.push(entry.slot);
      if (seen.length === 10) break;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([...a.subscribed, ...b.subscribed].map(({ from }) => from).sort()).toEqual([0, 4, 8]);
  });

  test('a subscription ends when it is told to', async () => {
    const learner = await fakeLearner(log);
    cleanups.push(learner.stop);
    log.apply(Buffer.alloc(16), 1, 1, Buffer.from('x'));
    const abort = new AbortController();
    for await (const entry of client({ learners: [learner.address] }).subscribe('a', { signal: abort.signal })) {
      expect(entry.slot).toBe(0);
      abort.abort();
    }
  });
});
