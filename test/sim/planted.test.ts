// Goal: the simulator can fail. Method: each planted fault is an edit of a copy of the shipped source; seeds run there in a process
// of their own, and a violation is expected within the bound. `npm run sim -- --planted` looks longer, and prints the whole table.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PLANTED_FAULTS } from './planted.ts';
import { Planter, rowOf } from './planting.ts';

/** Seeds for each fault here. Those that need more are looked for by `npm run sim -- --planted` alone. */
const SEEDS_MAX = 100;

let planter: Planter;

beforeAll(() => {
  planter = new Planter();
}, 600_000);

afterAll(() => {
  planter.close();
});

describe('planted faults', () => {
  const found: string[] = [];

  afterAll(() => {
    process.stderr.write(`seeds needed, planted fault, and what was seen\n${found.join('\n')}\n`);
  });

  test('the machines as they are pass the seeds that find most of the faults', async () => {
    const result = await planter.run(planter.clean, 30);
    expect(result.violation).toBeUndefined();
    expect(result.chosen).toBeGreaterThan(1_000);
  }, 600_000);

  test('an edit that does not fit the source is an error, not a fault that is never found', async () => {
    const fault = { name: 'nothing', file: 'shared/paxos/ballot.ts', find: 'this stands nowhere', replace: '' };
    await expect(planter.plant(fault, 1)).rejects.toThrow('does not stand in');
  });

  test.each(PLANTED_FAULTS.filter((fault) => fault.isSeldom !== true).map((fault) => [fault.name, fault] as const))(
    'finds: %s',
    async (_name, fault) => {
      const each = await planter.plant(fault, SEEDS_MAX);
      found.push(rowOf(each));
      expect(each.violation).toBeDefined();
    },
    600_000,
  );
});
