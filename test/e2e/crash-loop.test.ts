/**
 * Goal: what no test thought of. Method: seeded, members die at random moments, one or several at once, while others still come
 * back, under the supervisor that brings them back in a real cluster; at the end every learner is read and compared with what
 * clients were told. The seed replays who dies after how many answers, not what the machine makes of it.
 */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Prng } from '../../shared/base/prng.ts';
import { FACTOR, Harness, built, eventually } from './cluster.ts';
import { Load, audit } from './load.ts';

jest.setTimeout(180_000 * FACTOR);

const SEED = Number(process.env['SYNOD_E2E_SEED'] ?? '20');
const RUN_MS = 12_000 * FACTOR;
/** A run in which less happened shows nothing. */
const DEATHS_MIN = 8;
const ACKNOWLEDGED_MIN = 200;

let harness: Harness;
beforeAll(async () => {
  await built();
  harness = await Harness.start({ restart: true });
});
afterAll(async () => {
  await (harness as Harness | undefined)?.stop();
});

test(`members that die at random moments, time and again, lose nothing and double nothing (seed ${SEED})`, async () => {
  const prng = new Prng(SEED);
  const { cluster } = harness;
  const load = new Load(harness, 'crash-loop');
  const died = new Map<string, number>();
  await load.grows(20);
  const deaths = (): number => [...died.values()].reduce((sum, each) => sum + each, 0);
  // As long as it takes on a slow machine: what must have happened decides, not the time.
  const isEnough = (): boolean => deaths() >= DEATHS_MIN && died.size === 3 && load.acknowledged >= ACKNOWLEDGED_MIN;
  for (const end = performance.now() + RUN_MS; performance.now() < end || !isEnough();) {
    const many = prng.chance(0.15) ? cluster.members.length : 1 + prng.below(3);
    for (let n = 0; n < many; n++) {
      const { role, id } = prng.pick(cluster.members);
      if (cluster.kill(role, id, prng.chance(0.8) ? 'SIGKILL' : 'SIGTERM')) died.set(role, (died.get(role) ?? 0) + 1);
    }
    // Now and then the next ones die before the last ones are back; mostly the cluster finds together in between.
    if (prng.chance(0.7)) await load.grows(1 + prng.below(80));
    else
      await eventually('one is back', () =>
        cluster.members.some(({ role, id }) => cluster.pid(role, id) !== undefined),
      );
  }
  await cluster.ready();
  await load.grows(20);
  expect(await audit(harness, load, ACKNOWLEDGED_MIN)).toEqual([]);
  expect([...died.keys()].sort()).toEqual(['acceptor', 'learner', 'proposer']);
  expect(deaths()).toBeGreaterThanOrEqual(DEATHS_MIN);
});
