/** What a log holds, as learners answer it. */
import type { Entry } from '../../../shared/client/index.ts';
import type { Stage } from './stage.ts';

/** Values that took effect, in the order of the log; a quorum is asked for its end. */
export async function texts(stage: Stage): Promise<string[]> {
  const { entries } = await stage.client().read(stage.log);
  return entries.filter(isEffect).map(textOf);
}

/** What one learner has by itself. */
export async function textsOf(stage: Stage, learner: number): Promise<string[]> {
  const { entries } = await stage.client({ learners: [learner] }).read(stage.log, { linearizable: false });
  return entries.filter(isEffect).map(textOf);
}

function isEffect({ kind, effect }: Entry): boolean {
  return kind === 'proposal' && effect === 'applied';
}

function textOf({ value }: Entry): string {
  return Buffer.from(value).toString();
}
