/**
 * Goal: quorum systems other than majorities, end to end: who loses acceptors goes on where its phase 2 allows it, and a cluster never
 * has two systems (R7). Method: whole clusters in this process over real gRPC; the same losses under majorities as a control.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { acceptorSettings } from '../../services/acceptor/config.ts';
import { learnerSettings } from '../../services/learner/config.ts';
import { proposerSettings } from '../../services/proposer/config.ts';
import type { SynodError } from '../../shared/base/errors.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { MemoryDisk } from '../support/memory-disk.ts';
import { TestCluster } from '../support/proposer.ts';
import { callPrepare, cleanUp, CLUSTER, configOf, prepare, proposer, start, to } from './acceptor-support.ts';

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.end();
  cluster = undefined;
  await cleanUp();
});

async function failure(promise: Promise<unknown>): Promise<SynodError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as SynodError,
  );
}

describe('four acceptors of which two are lost', () => {
  test('go on where any three promise and any two choose, with the leader that they have, and elect none', async () => {
    cluster = await TestCluster.startAll({ acceptors: 4, quorum: 'sizes:3,2' });
    const { slot } = await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    await Promise.all([cluster.stopAcceptor(1), cluster.stopAcceptor(2)]);
    const next = await cluster.propose(leader);
    expect([next.slot > slot, next.leader]).toEqual([true, leader]);
    // The other one forwards to it.
    expect((await cluster.propose(3 - leader)).leader).toBe(leader);
    // Both still take proposals, and say so.
    expect([...cluster.proposers.values()].map((each) => each.notReady())).toEqual([[], []]);
    // A log that nobody leads needs an election.
    const never = await failure(cluster.propose(leader, { log: 'new' }, 1_000));
    expect(never.code).toBe('DEADLINE_EXCEEDED');
    for (const each of cluster.proposers.values()) expect(each.node.machine.leaderOf('new')).toBeUndefined();
    await cluster.startAcceptor(1);
    expect((await cluster.propose(leader, { log: 'new' })).leader).toBeGreaterThan(0);
    expect(cluster.fatals).toEqual([]);
  }, 120_000);

  test('are too few with majorities (control)', async () => {
    cluster = await TestCluster.startAll({ acceptors: 4 });
    await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    await Promise.all([cluster.stopAcceptor(1), cluster.stopAcceptor(2)]);
    expect(await failure(cluster.propose(leader, {}, 1_000))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(cluster.proposers.get(leader)?.notReady().join()).toContain('2 of 4 (majority: any 3 of 4)');
  }, 120_000);
});

describe('a quorum system that a rolling restart changes', () => {
  const three = { acceptors: '1=127.0.0.1:1,2=127.0.0.1:2,3=127.0.0.1:3' };

  test('is refused by the disk of the acceptor that is started with it', async () => {
    const disk = new MemoryDisk();
    const before = await start(configOf({ ...three, quorum: 'majority' }), disk);
    await before.acceptor.stop(0);
    await expect(start(configOf({ ...three, quorum: 'sizes:3,1' }), disk.kill())).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(
        /belongs to configuration [0-9a-f]{16}, and this process is of configuration [0-9a-f]{16}/,
      ),
    });
  });

  test('written otherwise is the same system, and is taken (control)', async () => {
    const disk = new MemoryDisk();
    const before = await start(configOf({ ...three, quorum: 'majority' }), disk);
    await before.acceptor.stop(0);
    await expect(start(configOf({ ...three, quorum: 'sizes:2,2,3' }), disk.kill())).resolves.toBeDefined();
  });

  test('is refused on the wire by acceptors that have the other, by its id', async () => {
    const { acceptor } = await start();
    const other = configurationId(CLUSTER, [1], 'sizes:1,1,1');
    const connection = to(acceptor);
    await expect(callPrepare(connection, prepare(1), proposer({ configuration: other }))).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('all members need the same acceptors and quorums'),
    });
    await expect(callPrepare(connection, prepare(1), proposer())).resolves.toBeDefined();
  });

  test('leaves a proposer that has it alone: it reaches nobody, and what the others chose stays', async () => {
    cluster = await TestCluster.startAll({ acceptors: 3 });
    await cluster.propose(1);
    await cluster.killProposer(2);
    const changed = await cluster.startProposer(2, { quorum: 'sizes:1,3' });
    const alone = await failure(cluster.propose(2, {}, 1_000));
    expect(alone.code).toMatch(/DEADLINE_EXCEEDED|UNAVAILABLE/);
    expect(changed.notReady().join()).toContain('connected to 0 of 3');
    expect((await cluster.propose(1)).leader).toBe(1);
  }, 120_000);
});

describe('an unsafe quorum system', () => {
  test('is refused at every role, with the numbers, the sets and the nearest that are safe', () => {
    const acceptors = [1, 2, 3, 4].map((id) => `${String(id)}=127.0.0.1:${String(id)}`).join(',');
    const common = { cluster: CLUSTER, id: '1', listen: '127.0.0.1:0', acceptors, quorum: 'sizes:2,2' };
    const others = { proposers: '1=127.0.0.1:5', learners: '1=127.0.0.1:6' };
    for (const parse of [
      () => acceptorSettings.parse({ ...common, data: 'unused' }),
      () => proposerSettings.parse({ ...common, ...others }),
      () => learnerSettings.parse({ ...common, ...others, data: 'unused' }),
    ])
      expect(parse).toThrow(
        /--quorum with --acceptors: quorums sizes:2,2 of 4 acceptors are not safe: phase-1 quorum 1\+2 and phase-2 quorum 3\+4 .* sizes:3,2 or sizes:2,3/,
      );
    expect(() => acceptorSettings.parse({ ...common, quorum: 'most', data: 'unused' })).toThrow(
      'must be majority, sizes:Q1,Q2[,QF]',
    );
  });
});
