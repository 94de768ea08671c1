/** The learner's folder that a cluster is restored from: read, held, and never changed. */
import { existsSync, statSync } from 'node:fs';
import { SynodError } from '../../../shared/base/errors.ts';
import { readLearnerStore } from '../../../shared/platform/learner-store/store.ts';
import { lockFolder } from '../../../shared/platform/journal-lock.ts';
import type { LearnerStore } from '../../../shared/ports/learner-store.ts';
import { UsageError } from '../exit.ts';

export interface Source {
  readonly store: LearnerStore;
  /** Every log with its end: all slots below are applied here. */
  readonly ends: ReadonlyMap<string, number>;
  readonly close: () => Promise<void>;
}

/** Rejects with FAILED_PRECONDITION while the learner runs, NOT_FOUND and DATA_LOSS as the store says. */
export async function openSource(folder: string): Promise<Source> {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new UsageError(
      `${folder} is not a folder: give the data folder of a stopped learner, such as data/learner-1`,
    );
  // Before the lock, which would leave a trace in a folder that is none of ours.
  if (!existsSync(`${folder}/data.mdb`))
    throw new SynodError('NOT_FOUND', `${folder} holds no learner's store: there is no data.mdb in it`);
  const lock = await lockFolder(folder);
  try {
    const store = await readLearnerStore(folder);
    const ends = new Map([...store.logs()].flatMap(({ log, held }) => (held > 0 ? [[log, held] as const] : [])));
    return {
      store,
      ends: new Map([...ends].sort(([a], [b]) => (a < b ? -1 : 1))),
      close: async () => {
        await store.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
