/** `synodctl demo …`: Paxos shown on a running cluster, and told from what its members say that they do. */
import { writeFileSync } from 'node:fs';
import { messageOf } from '../../../shared/base/errors.ts';
import { ClientError } from '../../../shared/client/index.ts';
import { OK } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { basic } from '../demo/basic.ts';
import { fast } from '../demo/fast.ts';
import { learner } from '../demo/learner.ts';
import { multi } from '../demo/multi.ts';
import { partition } from '../demo/partition.ts';
import { Stage, TooLateError } from '../demo/stage.ts';
import type { Hands, StageOptions } from '../demo/stage.ts';
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
  readonly pictured?: readonly RoleName[];
  readonly omitted: StageOptions['omitted'];
  /** Of a picture that shows the beginning alone. Default: `about`. */
  readonly caption?: string;
  /** Where the number of acceptors matters: those that it can be played with, and that of a cluster that is started for it. */
  readonly acceptors?: { readonly of: readonly number[]; readonly started: number };
  readonly play: (stage: Stage) => Promise<void>;
}

export const DEMOS: Readonly<Record<string, Demo>> = {
  basic: {
    about: 'Two proposers duel over one decision; the second has to take the value of the first.',
    takes: { acceptor: 3, proposer: 2, learner: 1 },
    drawn: ['proposer', 'acceptor'],
    omitted: [],
    play: basic,
  },
  multi: {
    about: 'A leader is elected and streams; it is lost, and another finishes its half-done slot.',
    takes: { acceptor: 3, proposer: 2, learner: 1 },
    drawn: ['proposer', 'acceptor'],
    omitted: ['accepted', 'reject', 'forward', 'forwarded'],
    play: multi,
  },
  partition: {
    about: 'A minority is cut off, then a majority: what goes on, what waits, and what is told.',
    takes: { acceptor: 3, proposer: 1, learner: 1 },
    drawn: ['proposer', 'acceptor'],
    omitted: ['accepted', 'reject', 'forward', 'forwarded'],
    play: partition,
  },
  learner: {
    about: 'Votes are counted; one learner is late, and closes its gap.',
    takes: { acceptor: 3, proposer: 1, learner: 2 },
    drawn: ['acceptor', 'learner'],
    omitted: ['promised'],
    play: learner,
  },
  fast: {
    about: 'A value in two message delays; two that collide, and both recoveries; too few acceptors.',
    takes: { acceptor: 4, proposer: 2, learner: 1 },
    drawn: ['proposer', 'acceptor'],
    pictured: ['learner'],
    caption: 'A value in two message delays; two that collide, and a classic recovery',
    omitted: ['applied', 'gap', 'rejected', 'campaign', 'leader', 'resign'],
    // With five, two may be lost and a majority is left but no fast quorum; with four a fast quorum is as large as a majority.
    acceptors: { of: [4, 5], started: 5 },
    play: fast,
  },
};

/** Times that a demonstration is begun anew, on a machine that is too busy for it. */
const TRIES_MAX = 4;

/** Plays a demonstration. Throws a DemoError where the events contradict what it tells. */
export async function demo(name: string, options: DemoOptions, context: Context, hands: Hands = {}): Promise<number> {
  const found = Object.hasOwn(DEMOS, name) ? DEMOS[name] : undefined;
  if (found === undefined)
    throw new UsageError(`there is no demonstration ${showName(name)}; there are ${Object.keys(DEMOS).join(', ')}`);
  for (let tries = 1; ; tries++)
    try {
      await once(name, found, options, context, hands);
      return OK;
    } catch (error) {
      if (!(error instanceof TooLateError) || tries >= TRIES_MAX) throw error;
      context.io.err(`${error.message}; once more, with another log`);
    }
}

async function once(name: string, found: Demo, options: DemoOptions, context: Context, hands: Hands): Promise<void> {
  const { about, caption = about, takes, play, acceptors, ...drawing } = found;
  const start = acceptors === undefined ? '' : ` --acceptors ${String(acceptors.started)}`;
  const stage = await Stage.open(context, { demo: name, slow: options.slow ?? false, ...drawing, hands, start });
  const undone = context.io.undoing?.();
  try {
    if (acceptors !== undefined && !acceptors.of.includes(stage.acceptors.length))
      throw new ClientError(
        'FAILED_PRECONDITION',
        `demo ${name} takes ${acceptors.of.map(String).join(' or ')} acceptors, and there are ${String(stage.acceptors.length)} in ${context.endpoints.source}; ` +
          `run npm run demo -- ${name} --alone, or start such a cluster in a folder of its own: npm start -- --faults${start} --data FOLDER`,
        'none',
      );
    for (const [role, least] of Object.entries(takes) as [RoleName, number][]) {
      const there = stage[`${role}s`].length;
      if (there < least)
        throw new ClientError(
          'FAILED_PRECONDITION',
          `demo ${name} takes ${String(least)} ${role}s, and there are ${String(there)} in ${context.endpoints.source}`,
          'none',
        );
    }
    await play(stage);
    stage.end();
  } finally {
    await stage.close();
    undone?.();
    // Also of one that failed: then it shows why.
    if (options.svg !== undefined) picture(options.svg, caption, stage);
  }
}

function picture(file: string, about: string, { rows, lanes }: Stage): void {
  try {
    writeFileSync(file, svgOf(rows, { title: about.replace(/\.$/, ''), lanes, notes: [] }));
  } catch (error) {
    throw new UsageError(`--svg ${showName(file)} cannot be written: ${messageOf(error)}`);
  }
}
