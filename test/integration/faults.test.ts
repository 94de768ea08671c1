/**
 * Goal: messages that are cut, lost or held on purpose reach nobody, or reach them late and in order; a cut-off role is whole again
 * after healing; where faults are off, none can be made.
 * Method: real gRPC in one process; faults are made and healed by the calls that synodctl makes; every wait is for a condition.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { faults } from '../../shared/client/index.ts';
import type { FaultPeer, NewFault } from '../../shared/client/index.ts';
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
