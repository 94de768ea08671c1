/**
 * Goal: faults that synodctl makes on a running cluster are partitions as far as the protocol can tell: they cost time and nothing
 * that was acknowledged, and what was cut off is level again after healing.
 * Method: real processes under load, partitions and delays through the command line, then every learner is read.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { clientHeader } from '../../shared/client/index.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { Harness, built, eventually, synodctl } from './cluster.ts';
import type { Ended } from './cluster.ts';
import { Load, audit } from './load.ts';

jest.setTimeout(120_000);

const MORE = 50;

let harness: Harness;
beforeAll(async () => {
  await built();
  harness = await Harness.start({ faults: true });
});
beforeEach(async () => {
  await harness.allBack();
  await fault('heal');
});
afterAll(async () => {
  await (harness as Harness | undefined)?.stop();
});

/** Runs `synodctl fault …`, which must succeed. */
async function fault(line: string): Promise<string> {
  const ended: Ended = await synodctl(harness.cluster.portBase, ['fault', ...line.split(' ')]);
  expect({ line, code: ended.code, err: ended.err }).toEqual({ line, code: 0, err: '' });
  return ended.out;
}

/** Slots that a learner applied of a log. */
async function applied(learner: number, log: string): Promise<number> {
  const request = { header: clientHeader(), log, after: '', limit: 1, all: false };
  const { grpc } = harness.member('learner', learner);
  const { logs } = await harness.at(grpc).unary(LearnerServiceService.logs, request, { timeoutMs: 5_000 });
  return logs[0]?.applied ?? 0;
}

describe('a leader that is cut off from the acceptors', () => {
  test('is followed by another one, and nothing that was acknowledged is lost or doubled', async () => {
    const load = new Load(harness, 'leader-cut');
    await load.grows(MORE);
    const first = await harness.leads(load.log);
    await fault(`partition proposer-${first} from acceptors`);
    await eventually('the other leads', async () => (await harness.leader(load.log)) === 3 - first);
    await load.grows(MORE);
    await fault('heal');
    await load.grows(MORE);
    await harness.cluster.ready();
    expect(await audit(harness, load, 3 * MORE)).toEqual([]);
  });

  test('and with a minority, is followed on the side of the majority; healed, the two agree', async () => {
    const load = new Load(harness, 'minority');
    await load.grows(MORE);
    const first = await harness.leads(load.log);
    await fault(`partition proposer-${first},acceptor-1 from all`);
    await eventually('the other leads', async () => (await harness.leader(load.log)) === 3 - first);
    await load.grows(MORE);
    await fault('heal');
    await load.grows(MORE);
    expect(await audit(harness, load, 3 * MORE)).toEqual([]);
  });
});

describe('a learner that is cut off', () => {
  test('stands still while the others go on, and is level again when that is healed', async () => {
    const load = new Load(harness, 'learner-cut');
    await load.grows(MORE);
    await fault('partition learner-1 from all');
    // What was on its way before the cut may still be applied.
    await load.grows(MORE);
    const stands = await applied(1, load.log);
    await load.grows(MORE);
    expect(await applied(1, load.log)).toBe(stands);
    await eventually('the other goes on', async () => (await applied(2, load.log)) > stands + MORE / 2);
    await fault('heal');
    // `audit` reads both learners up to the end, and compares them slot by slot.
    expect(await audit(harness, load, 3 * MORE)).toEqual([]);
    expect(await applied(1, load.log)).toBeGreaterThan(stands);
  });
});

describe('messages that come late or not at all', () => {
  test('between all roles cost time and nothing else', async () => {
    const load = new Load(harness, 'late');
    await load.grows(MORE);
    await fault('delay 5ms --jitter 20ms proposers,learners to acceptors');
    await load.grows(MORE);
    await fault('drop 1% acceptors to proposers,learners');
    await load.grows(MORE);
    const listed = await fault('list');
    expect(listed.match(/delay 5 ms \+ up to 20 ms/g)).toHaveLength(4);
    expect(listed.match(/drop 1 %/g)).toHaveLength(3);
    await fault('heal');
    expect(await audit(harness, load, 3 * MORE)).toEqual([]);
    expect(await fault('list')).toContain('No faults are in force.');
  });
});

describe('a cluster without --faults', () => {
  test('makes none, and says which setting would allow it', async () => {
    const safe = await Harness.start({ proposers: 1, learners: 1 });
    try {
      const { code, out, err } = await synodctl(
        safe.cluster.portBase,
        'fault partition acceptor-1 from all'.split(' '),
      );
      expect([code, out]).toEqual([1, '']);
      expect(err).toContain('faults are switched off at');
      expect(err).toContain('npm start -- --faults');
      expect(err).toContain('FAILED_PRECONDITION, outcome none: nothing was changed');
      const status = await synodctl(safe.cluster.portBase, ['status']);
      expect([status.code, status.out.includes('fault')]).toEqual([0, false]);
    } finally {
      await safe.stop();
    }
    // The control: status of a cluster under test says so.
    expect((await synodctl(harness.cluster.portBase, ['status'])).out).toContain('faults on');
  });
});
