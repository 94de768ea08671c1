/** The process that `faults.test.ts` kills: goes on with log "x" and prints each slot below which it was told all is visible. */
import { writeSync } from 'node:fs';
import { openLearnerStore } from '../../../shared/platform/learner-store/store.ts';
import { IDENTITY, batchesOf, someLog } from './support.ts';

const folder = process.argv[2] ?? '';
const store = await openLearnerStore({ folder, identity: IDENTITY, saveSlots: 500 });
const applied: Promise<void>[] = [];
for (const batch of batchesOf('x', someLog(60_000), () => 150, store.progress('x')?.next ?? 0)) {
  const end = batch.first + batch.batch.count;
  applied.push(store.apply([batch]).then(() => void writeSync(1, `${String(end)}\n`)));
  if (applied.length > 3) await applied.shift();
}
await Promise.all(applied);
await store.close();
