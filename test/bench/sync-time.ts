/** How long this disk takes to make one small write durable: the floor under every answer. */
import { closeSync, fdatasync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const WRITE_BYTES = 4_096;

export interface SyncTime {
  readonly writes: number;
  readonly meanMs: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** Writes 4 KiB and calls fdatasync, over and over, into a file that was filled before, as a journal's segment is. */
export async function syncTime(folder: string, writes: number): Promise<SyncTime> {
  const path = join(folder, 'sync-time');
  const fd = openSync(path, 'w+', 0o600);
  try {
    const block = Buffer.alloc(WRITE_BYTES, 1);
    for (let at = 0; at < writes; at++) writeSync(fd, block, 0, WRITE_BYTES, at * WRITE_BYTES);
    fsyncSync(fd);
    block.fill(2);
    const times: number[] = [];
    for (let at = 0; at < writes; at++) {
      const began = performance.now();
      writeSync(fd, block, 0, WRITE_BYTES, at * WRITE_BYTES);
      await new Promise<void>((resolve, reject) => {
        fdatasync(fd, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      });
      times.push(performance.now() - began);
    }
    times.sort((a, b) => a - b);
    const at = (part: number): number => times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0;
    const meanMs = times.reduce((sum, ms) => sum + ms, 0) / times.length;
    return { writes, meanMs, medianMs: at(0.5), p99Ms: at(0.99) };
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
}
