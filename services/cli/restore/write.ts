/**
 * Writes the data of a restored cluster. Acceptors come first: a learner that had its logs while acceptors had none would let them
 * decide its slots anew. So what a crash leaves here may be of no use, and is never unsafe.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { writeRestored } from '../../../shared/journal/index.ts';
import { newId } from '../../../shared/platform/clock.ts';
import { openFolder } from '../../../shared/platform/disk.ts';
import { lockFolder } from '../../../shared/platform/journal-lock.ts';
import { openLearnerStore } from '../../../shared/platform/learner-store/store.ts';
import type { LearnerStore } from '../../../shared/ports/learner-store.ts';
import { foldersOf } from './plan.ts';
import type { Plan } from './plan.ts';
import type { Source } from './source.ts';

/** What a supervisor of a local cluster can start: ids from 1 on, and a cluster's id as it draws them. */
const LOCAL_ID = /^[0-9a-f]{32}$/;
const READ_BYTES = 1024 * 1024;

/** Makes the folders of all acceptors and of the learner. What it made is removed again where it fails. */
export async function writeCluster(plan: Plan, source: Source, learner: number): Promise<void> {
  const folders = foldersOf(plan, learner);
  mkdirSync(plan.into, { recursive: true, mode: 0o700 });
  try {
    const disks = new Map(plan.acceptors.map((id) => [id, newId()] as const));
    const incarnation = randomBytes(8).toString('hex');
    for (const [id, folder] of folders.acceptors) {
      const owner = { cluster: plan.cluster, configuration: plan.configuration, role: 'acceptor', id };
      await locked(folder, async () => {
        await writeRestored(await openFolder(folder), { owner, disks, ends: source.ends, incarnation });
      });
    }
    await locked(folders.learner, () => writeLearner(plan.cluster, learner, folders.learner, source));
    if (isLocal(plan)) writeClusterFile(plan);
  } catch (error) {
    for (const folder of [folders.learner, ...folders.acceptors.values()]) empty(folder);
    throw error;
  }
}

/** `npm start -- --data DIR` goes on with it. */
export function isLocal({ cluster, acceptors }: Plan): boolean {
  return LOCAL_ID.test(cluster) && acceptors.every((id, at) => id === at + 1);
}

async function locked(folder: string, write: () => Promise<void>): Promise<void> {
  await openFolder(folder);
  const lock = await lockFolder(folder);
  try {
    await write();
  } finally {
    await lock.release();
  }
}

async function writeLearner(cluster: string, learner: number, folder: string, source: Source): Promise<void> {
  const identity = { cluster, learner: String(learner), disk: newId() };
  const store = await openLearnerStore({ folder, identity });
  try {
    for (const [log, end] of source.ends) await copyLog(source.store, store, log, end);
    await store.flushed();
  } finally {
    await store.close();
  }
}

/** Applies every entry of a log anew, sessions included; the digest at its end must be that of the learner (R11, R12). */
async function copyLog(from: LearnerStore, to: LearnerStore, log: string, end: number): Promise<void> {
  const taken = await to.importSnapshot(await from.snapshot(log, 0));
  for (let at = 0; at < end;) {
    const batches = from.readBatches(log, at, end, READ_BYTES);
    await taken.add(batches);
    for (const { first, batch } of batches) at = first + batch.count;
  }
  await taken.finish();
}

function writeClusterFile({ into, cluster, acceptors, quorum }: Plan): void {
  const file = join(into, 'cluster.json');
  const kept = { format: 1, cluster, acceptors: acceptors.length, quorum };
  writeFileSync(`${file}.tmp`, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.tmp`, file);
}

/** The folder itself may be the root of a file system, and stays where it cannot be removed. */
function empty(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
  }
}
