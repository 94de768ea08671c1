/**
 * Goal: learners agree on their state, notice when they do not, and copy from one another what acceptors no longer have.
 * Method: real gRPC in one process; differences are planted in a store's digests; every wait is for a condition.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import { LearnerServiceService as service } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { RunningLearner } from '../../services/learner/learner.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import { MemoryDisk, openMemoryStore } from '../support/memory-learner-store.ts';
import { TestCluster, command, open } from '../support/learner.ts';
import { refusal } from '../support/refusal.ts';
import { until } from '../support/until.ts';

let cluster: TestCluster;
afterEach(async () => {
  await cluster.end();
  expect(cluster.fatals).toEqual([]);
});

/** Votes for so many slots of a log from slot 0 on: a session and its commands. */
function voteMany(slots: number, voters = cluster.acceptors, log = 'x', from = 0): void {
  const batch = 250;
  for (let first = from; first < slots; first += batch) {
    const count = Math.min(batch, slots - first);
    const entries = Array.from({ length: count }, (_, i) =>
      first + i === 0 ? open() : command(0, first + i, `v${String(first + i)}`, first + i - 1),
    );
    cluster.vote(log, first, entries, voters);
  }
}

const applied = (learner: RunningLearner): number => learner.store.progress('x')?.visible ?? 0;
const agreed = (): number[] =>
  [...(cluster.acceptors[0]?.held.values() ?? [])].map((logs) => logs.get('x')?.agreed ?? 0);

/** A store whose digests are wrong from the first fixed slot on. */
async function planted(learner: number): Promise<LearnerStore> {
  const identity = { cluster: 'test', learner: String(learner), disk: 'ab'.repeat(16) };
  const store = await openMemoryStore(new MemoryDisk(), { identity });
  const real = store.digestAt.bind(store);
  store.digestAt = (log, slot) => real(log, slot)?.map((byte) => byte ^ 1);
  return store;
}

const request = { header: undefined, log: 'x', from: 0, limit: 1, linearizable: true, all: false };
const call = { timeoutMs: 3_000 };

/** What a linearizable read says, once it is refused. */
async function doubtOf(learner: RunningLearner): Promise<string> {
  const client = cluster.client(learner);
  let doubt = '';
  const ask = (): void => {
    client.unary(service.read, request, call).catch((error: unknown) => {
      doubt = String(error);
    });
  };
  await until(() => {
    if (doubt === '') ask();
    return doubt !== '';
  });
  return doubt;
}

describe('digests', () => {
  test('that are equal at two learners make what they hold agreed, and all of it once the log rests', async () => {
    cluster = await TestCluster.start(2);
    await cluster.startLearner(1);
    await cluster.startLearner(2);
    voteMany(100);
    await until(() => agreed().filter((slot) => slot === 100).length === 2);
    voteMany(600, cluster.acceptors, 'x', 250);
    voteMany(250, cluster.acceptors, 'x', 100);
    await until(() => agreed().filter((slot) => slot === 600).length === 2);
  });

  test('that differ at the end of a log that rests are noticed there, without a fixed slot', async () => {
    cluster = await TestCluster.start(2);
    const sound = await cluster.startLearner(1);
    await cluster.startLearner(2, {}, await planted(2));
    voteMany(100);
    expect(await doubtOf(sound)).toMatch(/R11: log "x": at slot 100 .*No majority of the 2 learners/);
    expect(agreed().filter((slot) => slot > 0)).toEqual([]);
  });

  test('that differ at two learners stop both from linearizable answers, and nothing is agreed', async () => {
    cluster = await TestCluster.start(2);
    const sound = await cluster.startLearner(1);
    await cluster.startLearner(2, {}, await planted(2));
    voteMany(600);
    const client = cluster.client(sound);
    await until(() => applied(sound) === 600);
    expect(await doubtOf(sound)).toMatch(/R11: .*learner 2.*No majority of the 2 learners/);
    expect(agreed()).not.toContain(512);
    // What needs no quorum is still answered, and says no more than it did.
    await expect(client.unary(service.read, { ...request, linearizable: false }, call)).resolves.toBeDefined();
    expect((await fetch(`http://${sound.http}/readyz`)).status).toBe(503);
    expect(cluster.refusals).toEqual([]);
  });

  test('of one among three that differs stop that one, and the others go on', async () => {
    cluster = await TestCluster.start(3);
    const sound = await cluster.startLearner(1);
    await cluster.startLearner(2);
    await cluster.startLearner(3, {}, await planted(3));
    voteMany(300);
    await until(() => cluster.refusals.length > 0);
    expect(cluster.refusals[0]).toMatch(/R11: .*a majority has another: .*learner 1 and 2|learner 2 and 1/);
    await cluster.stopLearner(3);
    const client = cluster.client(sound);
    await until(() => agreed().filter((slot) => slot >= 256).length >= 2);
    // It may hear the end of the dispute a moment after it told what is agreed.
    let read: unknown;
    await until(() => {
      client.unary(service.read, request, call).then(
        (answer) => (read = answer),
        () => undefined,
      );
      return read !== undefined;
    });
  });
});

interface Page {
  readonly configuration: string;
  readonly learners: readonly { readonly id: number; readonly connected: boolean; readonly disk?: string }[];
}

/** The status page of a learner once it is as wanted; asked for again and again, one question at a time. */
async function pageWhere(learner: RunningLearner, isWanted: (page: Page) => boolean): Promise<Page> {
  for (const end = performance.now() + 30_000; performance.now() < end;) {
    const page = (await (await fetch(`http://${learner.http}/status.json`)).json()) as Page;
    if (isWanted(page)) return page;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`the page never was as wanted: ${isWanted.toString()}`);
}

const diskOf = (page: Page, id: number): string | undefined => page.learners.find((each) => each.id === id)?.disk;

test('a second process with the id of a learner that runs is refused, with both disks (R11)', async () => {
  cluster = await TestCluster.start(3);
  const [first, second] = [await cluster.startLearner(1), await cluster.startLearner(2)];
  voteMany(300);
  const { configuration } = await pageWhere(first, (page) => diskOf(page, 2) === second.store.identity.disk);
  const errors: string[] = [];
  const stream = cluster.client(first).bidi(service.compare);
  const hello = writeHeader({ cluster: 'test', configuration, role: 'learner', id: 2, incarnation: undefined });
  stream.on('data', () => undefined);
  stream.on('error', (error) => errors.push(cluster.client(first).errorOf(error as never).message));
  stream.write({ hello, disk: Buffer.from('cd'.repeat(16), 'hex'), digests: [], learned: [] });
  await until(() => errors.length === 1);
  expect(errors[0]).toBe(
    `learner 2 runs already, with disk ${second.store.identity.disk}, and this is disk ${'cd'.repeat(16)}: two processes have the same --id`,
  );
  // The control: once it is gone, another disk under its number is taken, as after a wiped folder.
  await cluster.stopLearner(2);
  rmSync(join(cluster.folder, 'learner-2'), { recursive: true });
  const again = await cluster.startLearner(2);
  await pageWhere(first, (page) => diskOf(page, 2) === again.store.identity.disk);
});

test('an address that leads to another learner gives nobody a second word (R11)', async () => {
  cluster = await TestCluster.start(2);
  const [first, second] = [await cluster.startLearner(1), await cluster.startLearner(2)];
  await cluster.stopLearner(1);
  // The third entry leads to learner 2 again.
  const learners = new Map([first.address, second.address, second.address].map((address, i) => [i + 1, address]));
  const watching = await cluster.startLearner(1, { learners });
  const isThirdOut = ({ learners: [two, three] }: Page): boolean =>
    two?.disk !== undefined && three?.connected === false;
  await pageWhere(watching, isThirdOut);
  voteMany(300);
  await until(() => agreed().includes(300));
  expect(diskOf(await pageWhere(watching, isThirdOut), 3)).toBeUndefined();
});

describe('a learner that is behind', () => {
  test('takes a snapshot of what lies below the floor, and what follows from the acceptors', async () => {
    cluster = await TestCluster.start(2);
    const first = await cluster.startLearner(1);
    voteMany(12_000);
    await until(() => applied(first) === 12_000);
    // New acceptors' journals hold nothing below: only the first learner has it.
    const live = cluster.acceptors;
    for (const acceptor of live) acceptor.floorFor('x', 11_000);
    const second = await cluster.startLearner(2);
    await until(() => applied(second) === 12_000, 20_000);
    expect(second.store.digestAt('x', 256)).toEqual(first.store.digestAt('x', 256));
    const metrics = await (await fetch(`http://${second.http}/metrics`)).text();
    expect(metrics).toMatch(/synod_learner_catch_ups_total\{[^}]*outcome="snapshot"[^}]*\} 1/);
    voteMany(12_010, live, 'x', 12_000);
    await until(() => applied(second) === 12_010);
  }, 30_000);

  test('takes a short log as chosen batches', async () => {
    cluster = await TestCluster.start(2);
    const first = await cluster.startLearner(1);
    voteMany(700);
    await until(() => applied(first) === 700);
    for (const acceptor of cluster.acceptors) acceptor.floorFor('x', 700);
    const second = await cluster.startLearner(2);
    await until(() => applied(second) === 700);
    const metrics = await (await fetch(`http://${second.http}/metrics`)).text();
    expect(metrics).toMatch(/synod_learner_catch_ups_total\{[^}]*outcome="chosen"[^}]*\} [1-9]/);
  });

  test('stays behind, and says why, when no learner has what the acceptors dropped', async () => {
    cluster = await TestCluster.start(2);
    voteMany(300);
    for (const acceptor of cluster.acceptors) acceptor.floorFor('x', 300);
    const only = await cluster.startLearner(2);
    const client = cluster.client(only);
    await until(() => cluster.acceptors.every((a) => a.followers === 1));
    expect(await refusal(() => client.unary(service.read, request, { timeoutMs: 600 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('below the floor 300') as unknown,
    });
    expect(applied(only)).toBe(0);
  });
});
