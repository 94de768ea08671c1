/**
 * Goal: what a proposer asks of learners is answered by one that has it, or that gets it.
 * Method: a real learner on acceptors with faults to plant, real gRPC in one process; every wait is for a condition.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { LearnerLinks } from '../../services/proposer/learners.ts';
import { decodeEntry } from '../../shared/machine/entry.ts';
import type { ProposerEvent } from '../../shared/paxos/proposer.ts';
import { realClock } from '../../shared/platform/clock.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { Faults } from '../../shared/platform/faults/faults.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { silentLog } from '../support/silent-log.ts';
import { TestCluster, open } from '../support/learner.ts';
import { until } from '../support/until.ts';

let cluster: TestCluster;
let links: LearnerLinks;
let posted: ProposerEvent[];

beforeEach(async () => {
  cluster = await TestCluster.start();
  const learner = await cluster.startLearner();
  await until(() => cluster.acceptors.every((a) => a.followers === 1));
  posted = [];
  const configuration = configurationId('test', [1, 2, 3], 'majority');
  const incarnation = '00000000000000aa';
  const header: Header = { cluster: 'test', configuration, role: 'proposer', id: 1, incarnation };
  const post = (event: ProposerEvent): void => void posted.push(event);
  const faults = new Faults({ on: false, self: header, log: silentLog });
  links = new LearnerLinks(new Map([[1, learner.address]]), { header, post, log: silentLog, clock: realClock, faults });
});
afterEach(async () => {
  links.close();
  await cluster.end();
});

test('the entry of a slot that is chosen, and that the learner did not hear of yet, is waited for', async () => {
  for (const acceptor of cluster.acceptors) acceptor.losesVotes = true;
  cluster.vote('x', 0, [open()]);
  links.readSlot('x', 0);
  await until(() => posted.length === 1);
  const [event] = posted;
  if (event?.kind !== 'slot') throw new Error('no slot was posted');
  expect(event).toMatchObject({ log: 'x', slot: 0 });
  expect(decodeEntry(event.entry ?? new Uint8Array(0))).toMatchObject({ kind: 'open-session' });
});

test('the entry of a slot that nobody voted for is not there', async () => {
  links.readSlot('x', 0);
  await until(() => posted.length === 1);
  expect(posted[0]).toEqual({ kind: 'slot', log: 'x', slot: 0, entry: undefined });
});
