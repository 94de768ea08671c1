/**
 * Goal: a leader that steps down, one that slept while another took over, and a majority that is gone for a while cost time and
 * nothing else. Method: SIGTERM, SIGSTOP and SIGKILL under load or around single proposals, then every learner is read.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SynodError } from '../../shared/base/errors.ts';
import { clientHeader, connect } from '../../shared/client/index.ts';
import { Protocol } from '../../shared/wire/gen/synod/v1/proposer.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import type { ProposeResponse } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { Harness, built, eventually } from './cluster.ts';
import { Load, audit, readAll } from './load.ts';

jest.setTimeout(120_000);

const MORE = 50;

let harness: Harness;
beforeAll(async () => {
  await built();
  harness = await Harness.start();
});
beforeEach(() => harness.allBack());
afterAll(async () => {
  await (harness as Harness | undefined)?.stop();
});

describe('a leader', () => {
  test('that is told to stop hands over, ends with code 0, and loses nothing', async () => {
    const load = new Load(harness, 'hand-over');
    await load.grows(MORE);
    const first = await harness.leads(load.log);
    const said = harness.logLength('proposer', first);
    const heard = harness.logLength('proposer', 3 - first);
    await harness.end('proposer', first, 'SIGTERM');
    await eventually('the other leads', async () => (await harness.leader(load.log)) === 3 - first);
    // Nobody had to notice its silence.
    expect(harness.logLines('proposer', 3 - first, heard)).toContainEqual(
      expect.objectContaining({ log: load.log, msg: 'campaign', why: `handed over by proposer ${first}` }),
    );
    expect(harness.logLines('proposer', first, said).at(-1)).toMatchObject({ msg: 'stopped', code: 0 });
    await load.grows(MORE);
    await harness.back('proposer', first);
    await load.grows(MORE);
    expect(await audit(harness, load, 3 * MORE)).toEqual([]);
    expect(load.operations.filter(({ told }) => told.kind === 'failed')).toEqual([]);
  });

  test('that slept while another took over wakes up, steps down, and nothing is lost or doubled', async () => {
    const load = new Load(harness, 'stale-leader');
    await load.grows(MORE);
    const first = await harness.leads(load.log);
    harness.cluster.kill('proposer', first, 'SIGSTOP');
    try {
      await eventually('another proposer leads', async () => (await harness.leader(load.log)) === 3 - first);
      await load.grows(MORE);
    } finally {
      harness.cluster.kill('proposer', first, 'SIGCONT');
    }
    await eventually('the two agree on a leader', async () => {
      const leader = await harness.leader(load.log);
      await load.grows(1);
      return leader !== undefined && leader === (await harness.leader(load.log));
    });
    await harness.cluster.ready();
    await load.grows(MORE);
    expect(await audit(harness, load, 3 * MORE)).toEqual([]);
  });
});

describe('with acceptors down', () => {
  /** One sending of one proposal, with the same id each time. */
  interface Proposal {
    readonly payload: Buffer;
    readonly client: Buffer;
    readonly session: number;
    readonly sequence: number;
  }

  const log = 'minority';

  function send(proposal: Proposal, retry: boolean, timeoutMs: number): Promise<ProposeResponse> {
    const [address = ''] = harness.cluster.addresses('proposer');
    const request = {
      header: clientHeader(),
      log,
      protocol: Protocol.PROTOCOL_MULTI,
      ...proposal,
      acknowledged: 0,
      retry,
      decree: false,
    };
    return harness.at(address).unary(ProposerServiceService.propose, request, { timeoutMs });
  }

  async function failureOf(sending: Promise<ProposeResponse>): Promise<SynodError> {
    const error: unknown = await sending.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof SynodError)) throw new Error(`it did not fail as it should: ${String(error)}`);
    return error;
  }

  test('a minority is not missed; without a majority nothing is chosen, and the same id then finds its one answer', async () => {
    const load = new Load(harness, log);
    await load.grows(MORE);
    await harness.end('acceptor', 3);
    await load.grows(MORE);
    expect(await audit(harness, load, 2 * MORE)).toEqual([]);

    const [address = ''] = harness.cluster.addresses('proposer');
    const client = randomBytes(16);
    const open = { header: clientHeader(), log, client, protocol: Protocol.PROTOCOL_MULTI };
    const { session } = await harness
      .at(address)
      .unary(ProposerServiceService.openSession, open, { timeoutMs: 20_000 });
    const proposal = (sequence: number): Proposal => ({
      payload: Buffer.from(`alone/${sequence}`),
      client,
      session,
      sequence,
    });
    await harness.end('acceptor', 2);
    // More than one: each finds its own way through what was tried and not finished.
    const asked = [1, 2, 3].map((sequence) => send(proposal(sequence), false, 2_500));
    const errors = await Promise.all(asked.map(failureOf));
    for (const error of errors) expect(error).toMatchObject({ outcome: 'unknown' });
    for (const error of errors) expect(['DEADLINE_EXCEEDED', 'UNAVAILABLE']).toContain(error.code);
    await expectNothingReadable();

    await harness.back('acceptor', 2);
    const answers = [];
    for (const sequence of [1, 2, 3]) {
      const first = await answer(proposal(sequence));
      const again = await answer(proposal(sequence));
      expect(again.slot).toBe(first.slot);
      answers.push({ value: `alone/${sequence}`, slot: first.slot });
    }
    await harness.back('acceptor', 3);
    for (const { entries } of await readAll(harness.cluster, log)) {
      const shown = entries.filter(({ value, effect }) => effect === 'applied' && value.startsWith('alone/'));
      expect(shown.map(({ value, slot }) => ({ value, slot })).sort((a, b) => (a.value < b.value ? -1 : 1))).toEqual(
        answers,
      );
    }
  });

  /** A retry with the same id, until the cluster has found together again. */
  function answer(proposal: Proposal): Promise<ProposeResponse> {
    return eventually('a retry is answered', () => send(proposal, true, 5_000).catch(() => undefined));
  }

  /** No learner shows any of the values, and a linearizable read says that it cannot know, changing nothing. */
  async function expectNothingReadable(): Promise<void> {
    for (const address of harness.cluster.addresses('learner')) {
      const reader = connect({ learners: [address], timeoutMs: 20_000 });
      try {
        const { applied } = await reader.read(log, { limit: 1, linearizable: false });
        const { entries } = await reader.read(log, { from: Math.max(0, applied - 200), linearizable: false });
        const values = entries.map(({ value }) => Buffer.from(value).toString());
        expect(values.length).toBeGreaterThan(0);
        expect(values.filter((value) => value.startsWith('alone/'))).toEqual([]);
        await expect(reader.read(log, { timeoutMs: 500 })).rejects.toMatchObject({ outcome: 'none' });
      } finally {
        reader.close();
      }
    }
  }
});
