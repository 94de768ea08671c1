/**
 * Goal: messages that are cut, lost or held on purpose reach nobody, or reach them late and in order; a cut-off role is whole again
 * after healing; where faults are off, none can be made.
 * Method: real gRPC in one process; faults are made and healed by the calls that synodctl makes; every wait is for a condition.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { faults } from '../../shared/client/index.ts';
import type { FaultPeer, NewFault } from '../../shared/client/index.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { TestCluster } from '../support/proposer.ts';
import { until } from '../support/until.ts';

let cluster: TestCluster;
afterEach(async () => {
  await cluster.end();
  expect(cluster.fatals).toEqual([]);
}, 20_000);

const ALL: FaultPeer = { role: undefined, id: undefined };
const CUT: NewFault = { action: { kind: 'cut' }, peers: [ALL], direction: 'both' };
const proposer = (id: number): FaultPeer => ({ role: 'proposer', id });

const votes = (acceptor: number, log: string): number =>
  [...(cluster.acceptors.get(acceptor)?.core.machine.status() ?? [])].find((each) => each.log === log)?.highest ?? -1;

/** Proposes until an acceptor votes for what is new: its stream begins anew, and what was chosen before that is not sent to it. */
async function votesAgain(acceptor: number, log: string): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end;)
    if ((await cluster.propose(1, { log })).slot === votes(acceptor, log)) return;
  throw new Error(`acceptor ${String(acceptor)} does not vote again`);
}

describe('an acceptor that is cut off', () => {
  test('gets nothing, and the others go on; healed, it votes again', async () => {
    cluster = await TestCluster.startAll({ faults: true });
    const log = 'a';
    const first = await cluster.propose(1, { log });
    // The control: without a fault its votes are as far as everybody's.
    await until(() => votes(3, log) === first.slot);
    await faults.add(cluster.at('acceptors', 3), CUT);
    const during: number[] = [];
    for (let i = 0; i < 5; i++) during.push((await cluster.propose(1, { log })).slot);
    expect(votes(3, log)).toBe(first.slot);
    expect(Math.min(votes(1, log), votes(2, log))).toBe(during.at(-1));
    const { messagesDropped } = await faults.list(cluster.at('acceptors', 3));
    expect(messagesDropped).toBeGreaterThan(0);
    await faults.heal(cluster.at('acceptors', 3));
    await votesAgain(3, log);
  }, 30_000);

  test('one way: it hears what is sent, and nobody hears it', async () => {
    cluster = await TestCluster.startAll({ faults: true });
    const log = 'b';
    await cluster.propose(1, { log });
    await faults.add(cluster.at('acceptors', 3), { ...CUT, direction: 'out' });
    await faults.add(cluster.at('acceptors', 2), { ...CUT, peers: [proposer(1), proposer(2)] });
    // Acceptor 3 votes, and with acceptor 2 cut off its vote would be needed.
    await expect(cluster.propose(1, { log }, 1_000)).rejects.toMatchObject({ outcome: 'unknown' });
    await until(() => votes(3, log) > votes(2, log));
    await faults.heal(cluster.at('acceptors', 3));
    await cluster.propose(1, { log });
  }, 30_000);
});

describe('what a role under test says of itself', () => {
  const page = async (http: string, path: string): Promise<string> => (await fetch(`http://${http}${path}`)).text();

  test('Status, /status.json and metrics tell that faults are on, which are in force, and what they took', async () => {
    cluster = await TestCluster.startAll({ faults: true });
    await cluster.propose(1, { log: 'c' });
    const [one, two] = [cluster.proposers.get(1), cluster.acceptors.get(1)];
    await faults.add(cluster.at('proposers', 1), { ...CUT, id: 'seen', peers: [{ role: 'acceptor', id: 1 }] });
    await until(() => (one?.node.faults.dropped ?? 0) > 0);
    const line = 'seen: cut from and to acceptor 1, until it is healed';
    const request = { header: undefined };
    const call = { timeoutMs: 5_000 };
    const status = await cluster.client(1).unary(ProposerServiceService.status, request, call);
    expect(status.process).toMatchObject({ faultsOn: true, faults: [line] });
    expect(JSON.parse(await page(one?.httpAddress ?? '', '/status.json'))).toMatchObject({
      faultsOn: true,
      faults: [line],
    });
    const metrics = await page(one?.httpAddress ?? '', '/metrics');
    expect(metrics).toMatch(/^synod_proposer_faults_active\{.*\} 1$/m);
    expect(metrics).toMatch(/^synod_proposer_faults_messages_dropped_total\{.*\} [1-9]\d*$/m);
    // The control: a role where none is in force.
    expect(JSON.parse(await page(two?.http ?? '', '/status.json'))).toMatchObject({
      process: { faultsOn: true, faults: [] },
    });
    expect(await page(two?.http ?? '', '/metrics')).toMatch(/^synod_acceptor_faults_active\{.*\} 0$/m);
  }, 30_000);

  test('where faults are off, every call is refused with the setting, outcome none', async () => {
    cluster = await TestCluster.start();
    await cluster.startProposer(1);
    for (const role of ['acceptors', 'proposers', 'learners'] as const) {
      const refused = { code: 'FAILED_PRECONDITION', outcome: 'none', message: expect.stringContaining('--faults') };
      await expect(faults.add(cluster.at(role, 1), CUT)).rejects.toMatchObject(refused);
      await expect(faults.list(cluster.at(role, 1))).rejects.toMatchObject(refused);
      await expect(faults.heal(cluster.at(role, 1))).rejects.toMatchObject(refused);
    }
    const status = await cluster
      .client(1)
      .unary(ProposerServiceService.status, { header: undefined }, { timeoutMs: 5_000 });
    expect(status.process).toMatchObject({ faultsOn: false, faults: [] });
  }, 30_000);
});
