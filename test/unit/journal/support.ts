/** A journal on a disk in memory, with segments so small that a few entries fill one. */
import type { OpenedJournal } from '../../../shared/journal/index.ts';
import { openJournal } from '../../../shared/journal/index.ts';
import type { JournalOptions } from '../../../shared/journal/index.ts';
import type { Disk } from '../../../shared/ports/disk.ts';
import type { Journal } from '../../../shared/ports/journal.ts';

export const SEGMENT = 16 * 1024;

export function options(change: Partial<JournalOptions> = {}): JournalOptions {
  return {
    identity: { cluster: 'test', acceptor: 1, disk: '0123456789abcdef0123456789abcdef' },
    create: true,
    segmentBytes: SEGMENT,
    bytesMax: 64 * SEGMENT,
    reserveBytes: 2 * SEGMENT,
    head: () => [],
    onFatal: (error) => {
      throw error;
    },
    ...change,
  };
}

export function open(disk: Disk, change: Partial<JournalOptions> = {}): Promise<OpenedJournal> {
  return openJournal(disk, options(change));
}

/** An entry that names its position, of some size. */
export function entry(position: number, size = 16): Uint8Array {
  const bytes = new Uint8Array(Math.max(size, 8)).fill((position * 31) & 0xff);
  new DataView(bytes.buffer).setUint32(0, position, true);
  return bytes;
}

/** Everything that can happen without an event from outside has happened: disks in memory settle in microtasks. */
export function settled(): Promise<void> {
  return new Promise((done) => {
    setImmediate(done);
  });
}

/** Appends entries that name their positions, all of them in one record if they fit, and waits until they are synced. */
export async function appendSynced(journal: Journal, count: number, size?: number): Promise<void> {
  for (let i = 0; i < count; i++) journal.append(entry(journal.newest + 1, size));
  await settled();
  if (journal.synced !== journal.newest) throw new Error('the journal did not sync');
}

export async function readAll(journal: Journal, from = 0, to = Infinity): Promise<[number, Uint8Array][]> {
  const found: [number, Uint8Array][] = [];
  await journal.read(from, to, (position, bytes) => found.push([position, bytes.slice()]) > 0);
  return found;
}

export async function positions(journal: Journal, from = 0, to = Infinity): Promise<number[]> {
  return (await readAll(journal, from, to)).map(([position, bytes]) => {
    const named = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (named !== position) throw new Error(`position ${String(position)} holds the entry of ${String(named)}`);
    return position;
  });
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
