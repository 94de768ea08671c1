/** The command line of a chaos run. What is not given is drawn from the seed. */
import { parseArgs } from 'node:util';
import type { Shape } from '../../deploy/local/cluster.ts';
import { idsUpTo } from '../../deploy/local/layout.ts';
import { Prng } from '../../shared/base/prng.ts';
import { quorumSystem } from '../../shared/paxos/quorum-setting.ts';

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly shape: Shape;
  readonly clients: number;
  readonly rate: number;
  readonly only: RegExp | undefined;
  readonly json: boolean;
  readonly out: string | undefined;
  readonly html: string | undefined;
  /** Write the whole history down where nothing is wrong, too. */
  readonly history: boolean;
}

export const HELP = `npm run chaos -- [flags]: real processes that are hurt, and the history of their clients judged

Starts a cluster of its own. Clients propose, read and decide while processes are killed and paused, disks fail and links are cut.
Where this machine allows it, the run has a network of its own, in which packets vanish.
Then everything is undone and must come back; nothing acknowledged may be lost, learners must agree, and every history must be
linearizable.

  --seconds N      how long faults come (default 60)
  --seed N         draws the cluster and the faults (default: another one each time; it is printed)
  --acceptors N    3, 4, 5 or 7 (default: 3, 4 or 5, by the seed)
  --quorum SYSTEM  as npm start takes it (default: by the seed; of four acceptors also sizes:3,2 or grid:2x2)
  --proposers N    default: 2 or 3, by the seed
  --learners N     default: 2 or 3, by the seed
  --clients N      default 4
  --rate N         operations a second that clients aim at, together (default 150)
  --only TEXT      only faults whose name matches, such as "kill", "pause" or "network"
  --html FILE      a page with the timeline
  --out FILE       the result as JSON; where something is wrong, the whole history and the
                   logs of all members go beside it (default results/chaos-TIME.json)
  --history        write the whole history beside the result where nothing is wrong, too
  --json           print the result as JSON instead of text

example: npm run chaos -- --seconds 60 --seed 7 --html results/chaos.html
exit: 0 all is in order, 1 something is wrong or too little happened, 2 a wrong flag, or the cluster could not be started
`;

/** Throws an Error with a sentence for a flag that is wrong. */
export function readOptions(argv: readonly string[]): ChaosOptions | 'help' {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({
    args: [...argv],
    options: {
      ...{ seconds: text, seed: text, acceptors: text, quorum: text, proposers: text, learners: text },
      ...{ clients: text, rate: text },
      ...{ only: text, html: text, out: text, history: flag, json: flag, help: flag },
    },
  });
  if (values.help === true) return 'help';
  const number = (name: string, given: string | undefined, preset: number, min: number, max: number): number => {
    const value = given === undefined ? preset : Number(given);
    if (given !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new Error(`--${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(given)}`);
  };
  const seed = number('seed', values.seed, Math.floor(Math.random() * 1_000_000), 0, 2 ** 31);
  const random = new Prng(seed);
  const drawn = { acceptors: random.pick([3, 4, 5]), proposers: random.pick([2, 3]), learners: random.pick([2, 3]) };
  const system = random.pick(['majority', 'sizes:3,2', 'grid:2x2']);
  const acceptors = number('acceptors', values.acceptors, drawn.acceptors, 3, 7);
  if (acceptors === 6) throw new Error('--acceptors must be 3, 4, 5 or 7, not 6');
  const quorum = values.quorum ?? (acceptors === 4 ? system : 'majority');
  // Throws with the numbers where it is not safe.
  quorumSystem(quorum, idsUpTo(acceptors));
  return {
    seed,
    seconds: number('seconds', values.seconds, 60, 1, 86_400),
    shape: {
      acceptors,
      quorum,
      proposers: number('proposers', values.proposers, drawn.proposers, 1, 9),
      learners: number('learners', values.learners, drawn.learners, 1, 9),
    },
    clients: number('clients', values.clients, 4, 1, 100),
    rate: number('rate', values.rate, 150, 1, 100_000),
    only: values.only === undefined ? undefined : new RegExp(values.only, 'i'),
    json: values.json ?? false,
    out: values.out,
    html: values.html,
    history: values.history ?? false,
  };
}
