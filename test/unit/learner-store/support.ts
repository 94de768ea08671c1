/** Entries, logs and stores for the tests of the learner's store. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Batch } from '../../../shared/base/batch.ts';
import { Prng } from '../../../shared/base/prng.ts';
import { encodeEntry } from '../../../shared/machine/entry.ts';
import type { Entry } from '../../../shared/machine/entry.ts';
import { CLASSIC } from '../../../shared/paxos/ballot.ts';
import type { Ballot } from '../../../shared/paxos/ballot.ts';
import type { ChosenBatch, LearnerStore, StoredEntry, StoreIdentity } from '../../../shared/ports/learner-store.ts';
import { openLearnerStore } from '../../../shared/platform/learner-store/store.ts';
import { MemoryDisk, openMemoryStore } from '../../support/memory-learner-store.ts';

export const BALLOT: Ballot = { round: 3, proposer: 2, incarnation: '00ff00ff00ff00ff', kind: CLASSIC };
export const IDENTITY: StoreIdentity = { cluster: 'c1', learner: 'l1', disk: 'd1' };
export const EVERYTHING = { slots: 1_000_000, bytes: 1e9 };

export const clientOf = (n: number): string => n.toString(16).padStart(32, '0');
export const open = (client: number): Entry => ({ kind: 'open-session', client: clientOf(client) });
export const command = (client: number, session: number, sequence: number, acknowledged = 0): Entry => ({
  kind: 'command',
  client: clientOf(client),
  session,
  sequence,
  acknowledged,
  payload: Uint8Array.of(client, sequence & 255),
});

/** A log of five clients, with duplicates and refusals among its entries. */
export function someLog(length: number, seed = 1): Entry[] {
  const prng = new Prng(seed);
  const entries: Entry[] = [0, 1, 2, 3, 4].map(open);
  const sequences = [0, 0, 0, 0, 0];
  while (entries.length < length) {
    const client = prng.below(5);
    const latest = sequences[client] ?? 0;
    const draw = prng.next();
    if (draw < 0.02) entries.push({ kind: 'no-op' });
    else if (draw < 0.04) entries.push(open(client));
    else if (draw < 0.14 && latest > 0)
      entries.push(command(client, client, 1 + prng.below(latest))); // a retry, some of them acknowledged before
    else {
      sequences[client] = latest + 1;
      entries.push(command(client, client, latest + 1, Math.max(0, latest - 20)));
    }
  }
  return entries;
}

/** The entries of a log from one slot on, cut into batches of the sizes that `size` gives. */
export function batchesOf(log: string, entries: readonly Entry[], size: () => number, from = 0): ChosenBatch[] {
  const out: ChosenBatch[] = [];
  for (let at = from; at < entries.length;) {
    const values = entries.slice(at, at + size()).map(encodeEntry);
    out.push({ log, first: at, ballot: BALLOT, batch: Batch.of(values) });
    at += values.length;
  }
  return out;
}

/** Where the tests keep a store: on disk or in memory, with the same calls. */
export interface Home {
  open(options?: { identity?: StoreIdentity; cacheBytesMax?: number; saveSlots?: number }): Promise<LearnerStore>;
  remove(): Promise<void>;
}

export const HOMES: readonly { readonly name: string; readonly make: () => Promise<Home> }[] = [
  {
    name: 'LMDB',
    make: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'synod-store-'));
      return {
        open: (options) => openLearnerStore({ folder, identity: IDENTITY, ...options }),
        remove: () => rm(folder, { recursive: true }),
      };
    },
  },
  {
    name: 'memory',
    make: () => {
      const disk = new MemoryDisk();
      return Promise.resolve({
        open: (options) => openMemoryStore(disk, { identity: IDENTITY, ...options }),
        remove: () => Promise.resolve(),
      });
    },
  },
];

/** What a reader can see of a log: every entry with its outcome, and the session table. */
export function seen(store: LearnerStore, log: string): { entries: StoredEntry[]; sessions: string; next: number } {
  const sessions = store.sessionsAtLeast(log, 0);
  return {
    entries: store.read(log, 0, EVERYTHING).map((e) => ({ ...e, bytes: Uint8Array.from(e.bytes) })),
    sessions: Buffer.from(sessions?.bytes ?? new Uint8Array(0)).toString('hex'),
    next: sessions?.next ?? -1,
  };
}

/** A digest of the whole log, block by block and at its end. */
export async function digests(store: LearnerStore, log: string): Promise<string[]> {
  const { upTo, digest } = await store.snapshot(log, 0);
  const all: (Uint8Array | undefined)[] = [];
  for (let slot = 256; slot <= upTo; slot += 256) all.push(store.digestAt(log, slot));
  return [...all, digest].map((d) => (d === undefined ? 'none' : Buffer.from(d).toString('hex')));
}
