/**
 * Writes the data of a restored cluster. Acceptors come first: a learner that had its logs while acceptors had none would let them
 * decide its slots anew. So what a crash leaves here may be of no use, and is never unsafe.
 */
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { messageOf, SynodError } from '../../../shared/base/errors.ts';
import { writeRestored } from '../../../shared/journal/index.ts';
import type { Remembered } from '../../../shared/paxos/introduction.ts';
import { newId } from '../../../shared/platform/clock.ts';
import { openFolder } from '../../../shared/platform/disk.ts';
import { lockFolder } from '../../../shared/platform/journal-lock.ts';
import type { FolderLock } from '../../../shared/platform/journal-lock.ts';
import { openLearnerStore } from '../../../shared/platform/learner-store/store.ts';
import type { LearnerStore, StoreIdentity } from '../../../shared/ports/learner-store.ts';
import { foldersOf, LOST_FOUND, requireEmpty } from './plan.ts';
import type { Plan } from './plan.ts';
import type { Source } from './source.ts';

/** What a supervisor of a local cluster can start: ids from 1 on, and a cluster's id as it draws them. */
const LOCAL_ID = /^[0-9a-f]{32}$/;
const READ_BYTES = 1024 * 1024;

/**
 * Makes the folders of all acceptors and of the learner. Every folder is held until all is done, so that nobody else writes or starts
 * there. What it made is removed again where it fails; what others made meanwhile is not.
 */
export async function writeCluster(plan: Plan, source: Source, learner: number): Promise<void> {
  const folders = foldersOf(plan, learner);
  const locks: FolderLock[] = [];
  const began: string[] = [];
  try {
    mkdirSync(plan.into, { recursive: true, mode: 0o700 });
    for (const folder of [...folders.acceptors.values(), folders.learner]) {
      await openFolder(folder);
      locks.push(await lockFolder(folder));
    }
    // Again: a person took time to answer.
    requireEmpty(plan, learner);
    began.push(...folders.acceptors.values(), folders.learner);
    await writeAll(plan, source, learner);
  } catch (error) {
    for (const folder of began) empty(folder);
    if (error instanceof SynodError && error.outcome === 'none') throw error;
    // Of what is removed again, the outcome is none, whatever the disk or the store said.
    const why = messageOf(error);
    throw new SynodError('FAILED_PRECONDITION', `the new cluster could not be written: ${why}`, 'none', error);
  } finally {
    for (const lock of locks) await lock.release();
  }
}

async function writeAll(plan: Plan, source: Source, learner: number): Promise<void> {
  const folders = foldersOf(plan, learner);
  const disks = new Map(plan.acceptors.map((id) => [id, newId()] as const));
  const incarnation = randomBytes(8).toString('hex');
  const remembered = new Map<number, Remembered>();
  for (const [id, folder] of folders.acceptors) {
    const owner = { cluster: plan.cluster, configuration: plan.configuration, role: 'acceptor', id };
    const disk = await openFolder(folder);
    remembered.set(id, await writeRestored(disk, { owner, disks, ends: source.ends, incarnation }));
  }
  const identity = { cluster: plan.cluster, learner: String(learner), disk: newId() };
  await writeLearner(folders.learner, identity, remembered, source);
  if (isLocal(plan)) writeClusterFile(plan);
}

/** `npm start -- --data DIR` goes on with it. */
export function isLocal({ cluster, acceptors }: Plan): boolean {
  return LOCAL_ID.test(cluster) && acceptors.every((id, at) => id === at + 1);
}

/** The learner remembers the acceptors from the first (R5): were all of them wiped, their empty disks could decide its slots anew. */
async function writeLearner(
  folder: string,
  identity: StoreIdentity,
  remembered: ReadonlyMap<number, Remembered>,
  source: Source,
): Promise<void> {
  const store = await openLearnerStore({ folder, identity });
  const fill = async (): Promise<void> => {
    for (const [id, memory] of remembered) store.remember(id, memory);
    await store.flushed();
    for (const [log, end] of source.ends) await copyLog(source.store, store, log, end);
    await store.flushed();
  };
  // A commit that fails, as on a full disk, is heard of only so: what waits for it in LMDB may never end, nor does the closing then.
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  failed.catch(() => undefined);
  const hear = (error: unknown): void => {
    void reasonOf(error).then(fail);
  };
  process.on('unhandledRejection', hear);
  try {
    await Promise.race([failed, fill()]);
  } finally {
    await Promise.race([failed, store.close()]).finally(() => process.off('unhandledRejection', hear));
  }
}

/** LMDB keeps the reason of a failed commit behind its error, as a promise that is rejected. */
function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { readonly commitError?: Promise<never> };
  return commitError === undefined ? Promise.resolve(error) : commitError.catch((reason: unknown) => reason);
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

/**
 * Removes what is in a folder, and the folder; one that is the root of a file system, or a link to another, stays, and so does what
 * cannot be removed: the next try names it, and the reason for this one is worth more.
 */
function empty(folder: string): void {
  try {
    for (const name of readdirSync(folder))
      if (name !== LOST_FOUND) rmSync(join(folder, name), { recursive: true, force: true });
    rmdirSync(folder);
  } catch {
    // See above.
  }
}
