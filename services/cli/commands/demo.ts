/** `synodctl demo …`: Paxos shown on a running cluster, and told from what its members say that they do. */
import { writeFileSync } from 'node:fs';
import { messageOf } from '../../../shared/base/errors.ts';
import { ClientError } from '../../../shared/client/index.ts';
import { OK } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { basic } from '../demo/basic.ts';
import { learner } from '../demo/learner.ts';
import { multi } from '../demo/multi.ts';
import { partition } from '../demo/partition.ts';
import { Stage } from '../demo/stage.ts';
import type { Hands } from '../demo/stage.ts';
import type { RoleName } from '../endpoints.ts';
import { UsageError } from '../exit.ts';
import { showName } from '../text.ts';
import { svgOf } from '../trace/svg.ts';

export interface DemoOptions extends CommonOptions {
  readonly slow?: boolean;
  readonly svg?: string;
}

export interface Demo {
  readonly about: string;
  /** Members that it takes at least. */
  readonly takes: Readonly<Record<RoleName, number>>;
  /** Roles that it is about: their lanes are drawn. */
  readonly drawn: readonly RoleName[];
  readonly play: (stage: Stage) => Promise<void>;
}

export const DEMOS: Readonly<Record<string, Demo>> = {
  basic: {
    about: 'Two proposers duel over one decision; the second has to take the value of the first.',
    takes: { acceptor: 3, proposer: 2, learner: 1 },
    drawn: ['proposer', 'acceptor'],
    play: basic,
  },
  multi: {
    about: 'A leader is elected and streams; it is lost, and another finishes its half-done slot.',
    takes: { acceptor: 3, proposer: 2, learner: 1 },
    drawn: ['proposer', 'acceptor'],
    play: multi,
  },
  partition: {
    about: 'A minority is cut off, then a majority: what goes on, what waits, and what is told.',
    takes: { acceptor: 3, proposer: 1, learner: 1 },
    drawn: ['proposer', 'acceptor'],
    play: partition,
  },
  learner: {
    about: 'Votes are counted; one learner is late, and closes its gap.',
    takes: { acceptor: 3, proposer: 1, learner: 2 },
    drawn: ['acceptor', 'learner'],
    play: learner,
  },
};

/** Plays a demonstration. Throws a DemoError where the events contradict what it tells. */
export async function demo(name: string, options: DemoOptions, context: Context, hands: Hands = {}): Promise<number> {
  const found = Object.hasOwn(DEMOS, name) ? DEMOS[name] : undefined;
  if (found === undefined)
    throw new UsageError(`there is no demonstration ${showName(name)}; there are ${Object.keys(DEMOS).join(', ')}`);
  const stage = await Stage.open(context, { demo: name, slow: options.slow ?? false, drawn: found.drawn, hands });
  try {
    for (const [role, least] of Object.entries(found.takes) as [RoleName, number][]) {
      const there = stage[`${role}s`].length;
      if (there < least)
        throw new ClientError(
          'FAILED_PRECONDITION',
          `demo ${name} takes ${String(least)} ${role}s, and there are ${String(there)} in ${context.endpoints.source}`,
          'none',
        );
    }
    await found.play(stage);
    stage.end();
  } finally {
    await stage.close();
    // Also of one that failed: then it shows why.
    if (options.svg !== undefined) picture(options.svg, name, stage);
  }
  return OK;
}

function picture(file: string, name: string, stage: Stage): void {
  const { about = name } = DEMOS[name] ?? {};
  const { rows, lanes } = stage;
  try {
    writeFileSync(file, svgOf(rows, { title: about.replace(/\.$/, ''), lanes, notes: [] }));
  } catch (error) {
    throw new UsageError(`--svg ${showName(file)} cannot be written: ${messageOf(error)}`);
  }
}
