/**
 * Goal: an acceptor that was written from proto/ alone, in Python, answers what Synod's own acceptor answers.
 * Method: one script of messages, drawn from a seed, is said to both over gRPC, one message at a time; each answer must be the same,
 * and so must what a learner hears of both. Control: an acceptor that ignores its promise is told apart.
 */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Prng } from '../../shared/base/prng.ts';
import { ballotText, INCARNATIONS, said, scriptOf, slotsHeard } from './acceptor-script.ts';
import type { Answer, Said } from './acceptor-script.ts';
import {
  cleanUp,
  cleanups,
  configOf,
  follow,
  prepare,
  accept,
  callAccept,
  callPrepare,
  proposer,
  start,
  to,
} from '../integration/acceptor-support.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { freePorts } from '../support/ports.ts';
import { until } from '../support/until.ts';
import { describeWith, Python, pythonTools } from './support.ts';

const MESSAGES = 400;
const SEEDS = [1, 2];
const tools = pythonTools();

let python: Python;

describeWith(tools, 'an acceptor in Python', () => {
  beforeAll(() => {
    python = new Python(tools.command);
  });
  afterEach(cleanUp);
  afterAll(() => {
    (python as Python | undefined)?.remove();
  });

  /** Alone in its configuration, as `start` of the other one is, so that it speaks at once. */
  async function startPython(...flags: string[]): Promise<Connection> {
    const [port = 0] = await freePorts(1);
    const address = `127.0.0.1:${port}`;
    const process = python.start('acceptor.py', [
      ...['--id', '1', '--cluster', 'test', '--listen', address, '--acceptors', `1=${address}`, ...flags],
    ]);
    cleanups.push(async () => {
      process.child.kill('SIGTERM');
      expect(await process.ended).toBe(0);
    });
    await until(() => process.said().includes('WITHOUT A DISK'));
    return to({ address });
  }

  /** No leader's grace: it depends on time, and the example grants none. */
  async function startSynod(): Promise<Connection> {
    return to((await start(configOf({}, { 'leader.grace': 0 }))).acceptor);
  }

  async function answers(connection: Connection, script: readonly Said[]): Promise<Answer[]> {
    const all: Answer[] = [];
    for (const message of script) all.push(await said(connection, message));
    return all;
  }

  test.each(SEEDS)('answers as Synod’s does, message by message (seed %i)', async (seed) => {
    const script = scriptOf(new Prng(seed), MESSAGES);
    const [own, other] = [await startSynod(), await startPython()];
    const expected = await answers(own, script);
    expect(await answers(other, script)).toEqual(expected);
    // Something happened: promises and votes, and refusals for both.
    const kinds = new Set(expected.map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual([
      'accepted',
      'promised',
      'rejected: 1',
      'rejected: 8',
      'rejected: 9',
      'wouldPromise',
    ]);
    expect(await slotsHeard(other)).toEqual(await slotsHeard(own));
  });

  test('that ignores its promise is told apart', async () => {
    const [own, other] = [await startSynod(), await startPython('--planted', 'ignore-promise')];
    const script = scriptOf(new Prng(SEEDS[0]!), MESSAGES);
    const [expected, found] = [await answers(own, script), await answers(other, script)];
    // Up to the first vote that it must not give, nothing tells the two apart; from there on it has votes of its own.
    const at = expected.findIndex((answer, i) => JSON.stringify(answer) !== JSON.stringify(found[i]));
    expect(expected[at]?.kind).toBe('rejected: 1');
    expect(expected.some(({ kind }, i) => kind === 'rejected: 1' && found[i]?.kind === 'accepted')).toBe(true);
  });

  test('refuses another configuration, and a ballot that is not its caller’s, and changes nothing', async () => {
    const connection = await startPython();
    const other = { configuration: configurationId('test', [1, 2, 3], 'majority') };
    await expect(callPrepare(connection, prepare(1), proposer(other))).rejects.toMatchObject({
      ...{ code: 'FAILED_PRECONDITION', outcome: 'none' },
    });
    const stranger = proposer({ id: 2 });
    await expect(callPrepare(connection, prepare(9), stranger)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(callAccept(connection, accept(9, 0, ['x']), stranger)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await callPrepare(connection, prepare(1))).toMatchObject({ answer: { $case: 'promised' } });
  });

  test('tells a learner that follows each vote as it is made, with values for who wished for them', async () => {
    const connection = await startPython();
    const [full, bare] = [follow(connection), follow(connection, { values: false })];
    await until(() => full.welcomes.length + bare.welcomes.length === 2);
    await callAccept(connection, accept(1, 0, ['x', 'y']));
    await until(() => full.received.length + bare.received.length === 2);
    for (const [follower, values] of [
      [full, 'xy'],
      [bare, undefined],
    ] as const) {
      const [votes] = follower.received;
      expect(votes).toMatchObject({ kind: 'votes', log: 'a', first: 0, count: 2 });
      const batch = votes?.kind === 'votes' ? votes.batch : undefined;
      expect(
        batch === undefined
          ? undefined
          : batch
              .values()
              .map((value) => Buffer.from(value).toString())
              .join(''),
      ).toBe(values);
    }
    full.send({ kind: 'tip?', log: 'a', id: 7 }, { kind: 'tip?', log: 'nobody-knows-it', id: 8 });
    await until(() => full.received.length === 3 || full.received.length === 4);
    await until(() => full.received.some((message) => message.kind === 'tip' && message.id === 8));
    expect(full.received.filter(({ kind }) => kind === 'tip')).toEqual([
      { kind: 'tip', log: 'a', id: 7, tip: 1 },
      { kind: 'tip', log: 'nobody-knows-it', id: 8, tip: -1 },
    ]);
  });

  test('the script draws ballots of two proposers, in several starts', () => {
    const ballots = new Set(scriptOf(new Prng(1), MESSAGES).map(({ message }) => ballotText(message.ballot)));
    expect(ballots.size).toBeGreaterThan(INCARNATIONS.length * 4);
  });
});
