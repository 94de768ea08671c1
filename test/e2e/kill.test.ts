/**
 * Goal: whichever process dies, and when all die at once, every acknowledged proposal is there exactly once, in one order, at
 * every learner; what was not acknowledged is there at most once. Method: kill -9 under load, in cycles, then every learner is
 * read slot by slot and compared with what clients were told. The load goes on while a minority is down, or the test fails.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FACTOR, Harness, built } from './cluster.ts';
import type { LearnedLog } from './history.ts';
import { faultsOf } from './history.ts';
import { Load, audit, readAll } from './load.ts';

jest.setTimeout(120_000 * FACTOR);

const CYCLES = 3 * FACTOR;
/** Proposals that must be acknowledged before, during and after each fault. */
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

/** Kills a member in cycles under load; the load must go on without it, and with it again. */
async function cycles(load: Load, pick: (cycle: number) => Promise<['acceptor' | 'proposer' | 'learner', number]>) {
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    await load.grows(MORE);
    const [role, id] = await pick(cycle);
    await harness.end(role, id);
    await load.grows(MORE);
    await harness.back(role, id);
  }
  await load.grows(MORE);
}

describe('kill -9 under load loses nothing and doubles nothing', () => {
  test('of an acceptor', async () => {
    const load = new Load(harness, 'kill-acceptor');
    await cycles(load, async (cycle) => ['acceptor', 1 + (cycle % 3)]);
    expect(await audit(harness, load, MORE * CYCLES)).toEqual([]);
  });

  test('of the leader', async () => {
    const load = new Load(harness, 'kill-leader');
    await cycles(load, async () => ['proposer', await harness.leads(load.log)]);
    expect(await audit(harness, load, MORE * CYCLES)).toEqual([]);
  });

  test('of a proposer that does not lead, and forwards', async () => {
    const load = new Load(harness, 'kill-follower');
    await cycles(load, async () => ['proposer', 3 - (await harness.leads(load.log))]);
    expect(await audit(harness, load, MORE * CYCLES)).toEqual([]);
  });

  test('of a learner', async () => {
    const load = new Load(harness, 'kill-learner');
    await cycles(load, async (cycle) => ['learner', 1 + (cycle % 2)]);
    expect(await audit(harness, load, MORE * CYCLES)).toEqual([]);
  });

  test('of all processes at once', async () => {
    const load = new Load(harness, 'kill-all');
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      await load.grows(MORE);
      await Promise.all(harness.cluster.members.map(({ role, id }) => harness.end(role, id)));
      await Promise.all(harness.cluster.members.map(({ role, id }) => harness.cluster.restart(role, id)));
      await harness.cluster.ready();
      await load.grows(MORE);
    }
    const acknowledged = load.acknowledged;
    expect(await audit(harness, load, MORE * CYCLES)).toEqual([]);
    await judgeSeesWhatIsWrong(load, acknowledged);
  });
});

/** The control: the same run is refused once a learner's copy of it lacks, doubles or changes a slot. */
async function judgeSeesWhatIsWrong({ log, operations }: Load, acknowledged: number): Promise<void> {
  const logs = (await readAll(harness.cluster, log)) as [LearnedLog, LearnedLog];
  expect(faultsOf({ operations, logs })).toEqual([]);
  expect(acknowledged).toBeGreaterThan(0);
  const [one, { learner, entries }] = logs;
  const last = entries.findLast(({ kind, effect }) => kind === 'proposal' && effect === 'applied')!;
  const hurt = {
    'a lost slot': entries.slice(0, last.slot),
    'a value that took effect twice': [...entries, { ...last, slot: entries.length }],
    'another value': entries.map((each) => (each === last ? { ...each, value: 'another' } : each)),
    'a slot left out': entries.toSpliced(last.slot - 1, 1),
  };
  const seen = Object.entries(hurt).map(([what, wrong]) => [
    what,
    faultsOf({ operations, logs: [one, { learner, entries: wrong }] }).length > 0,
  ]);
  expect(seen).toEqual(Object.keys(hurt).map((what) => [what, true]));
}
