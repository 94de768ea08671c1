import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../ports/clock.ts';

/** The clock of this process: `performance.now`, which never goes back, and real timers. */
export const realClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Chance for jitter and election timeouts. Nothing that must be unguessable or unique comes from here. */
export const realRandom: Random = { next: () => Math.random() };

/**
 * The 64 random bits that a start of a process goes by, as 16 hex digits. No two starts share them, so no two starts ever
 * share a ballot (DESIGN 3) and proposers need no disk.
 */
export function newIncarnation(): string {
  return randomBytes(8).toString('hex');
}

/** 128 random bits as 32 hex digits: cluster ids, disk ids, client ids. */
export function newId(): string {
  return randomBytes(16).toString('hex');
}

/**
 * Calls `tick` about every `ms` milliseconds until the function returned is called. A tick that comes late is not made up for:
 * a paused process gets one tick after its pause, not a hundred.
 */
export function everyMs(clock: Clock, ms: number, tick: () => void): () => void {
  let stopped = false;
  let cancel = (): void => undefined;
  const arm = (): void => {
    cancel = clock.after(ms, () => {
      if (stopped) return;
      arm();
      tick();
    });
  };
  arm();
  return () => {
    stopped = true;
    cancel();
  };
}
