/**
 * Faults of disks, one acceptor's at a time: a sync that fails once, after which its process must end, and a file system without
 * space, which must refuse work and recover. Both need programs and rights that not every machine has.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../shared/base/errors.ts';
import { nameOf, within } from './crew.ts';
import type { Member } from './crew.ts';
import type { Fault, FaultKind, Ground, Skipped } from './fault.ts';

/** How long a sync is waited for, and then the end of the process that saw it fail. */
const SYNC_MS_MAX = 10_000;
const END_MS_MAX = 10_000;
/** Room for a few segments of 16 MiB each. */
const TMPFS = '192m';
const MIB = 1024 * 1024;
/** The limit of every journal, with its reserve less than the small file system has. */
export const JOURNAL_MIB = 96;
/** Values of this size, a few at a time, fill segments until the acceptor needs a next one and finds no space for it. */
const LARGE_BYTES = MIB;
const LARGE_AT_ONCE = 4;
const LARGE_MAX = 48;
const LARGE_MS_MAX = 20_000;

/** Whether a program runs here. */
function works(command: string, args: readonly string[]): string | undefined {
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 10_000 });
    return undefined;
  } catch (error) {
    return messageOf(error).split('\n').slice(0, 2).join(' ').slice(0, 200);
  }
}

export function syncErrors(ground: Ground): FaultKind | Skipped {
  const name = 'sync error';
  const why = works('strace', ['-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO:when=1', 'true']);
  if (why !== undefined) return { name, why: `strace cannot inject errors here: ${why}` };
  const acceptors = ground.crew.of('acceptor');
  return { name, weight: 2, draw: (random) => syncError(ground, random.pick(acceptors), 1 + random.below(3)) };
}

/** R4: the process whose sync failed ends at once, and a new one finds in the journal what it may believe. */
function syncError(ground: Ground, member: Member, nth: number): Fault {
  const { crew, signal } = ground;
  let allowed = (): void => undefined;
  const out = crew.folder(`strace-${member.id}`);
  let ended = false;
  return {
    ...{ kind: 'sync error', members: [member] },
    text: `fdatasync ${nth} of a thread of ${nameOf(member)} fails with EIO, once`,
    async begin() {
      const pid = crew.pid(member);
      if (pid === undefined) return 'it did not run';
      allowed = crew.mayEnd(member);
      rmSync(out, { force: true });
      const inject = `inject=fdatasync:error=EIO:when=${nth}`;
      const args = ['-f', '-qq', '-o', out, '-e', 'trace=fdatasync', '-e', inject, '-p', String(pid)];
      const strace = spawn('strace', args, { stdio: 'ignore' });
      strace.on('error', () => undefined);
      const gone = new Promise<void>((resolve) => strace.on('exit', () => resolve()));
      const isGone = (): true | undefined => (crew.pid(member) === pid ? undefined : true);
      const hit = await within(
        SYNC_MS_MAX,
        signal,
        () => isGone() ?? (existsSync(out) && readFileSync(out, 'utf8').includes('INJECTED') ? true : undefined),
      );
      ended = hit === true && (await within(END_MS_MAX, signal, isGone)) === true;
      strace.kill('SIGTERM');
      await gone;
      if (hit === true && !ended && !signal.aborted)
        ground.violation(`${nameOf(member)} runs on although its sync failed: ${crew.lastWords(member)}`);
      return hit === true ? undefined : 'no sync came';
    },
    async end() {
      allowed();
      if (ended) await crew.back([member]);
      return undefined;
    },
  };
}

/** Moves one acceptor's folder to a small file system of its own. The acceptor stops for that, in order. */
export async function fullDisks(ground: Ground): Promise<FaultKind | Skipped> {
  const { crew } = ground;
  const name = 'full disk';
  const member = crew.of('acceptor').at(-1) as Member;
  const folder = member.data as string;
  const trial = crew.folder('tmpfs-trial');
  mkdirSync(trial);
  const why = works('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', trial]);
  if (why !== undefined) return { name, why: `no file system can be mounted here: ${why}` };
  execFileSync('umount', [trial]);
  await crew.end([member], 'SIGTERM');
  renameSync(folder, `${folder}.moved`);
  mkdirSync(folder, { mode: 0o700 });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${TMPFS},mode=700`, 'tmpfs', folder]);
  // Lazy: a process that is still ending does not hold up the removal.
  crew.onStop(() => execFileSync('umount', ['-l', folder]));
  cpSync(`${folder}.moved`, folder, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  await crew.back([member]);
  await crew.cluster.ready([member]);
  return { name, weight: 1, draw: () => fullDisk(ground, member, join(folder, 'ballast')) };
}

/** R4: want of space for the next segment refuses work; with space again, work goes on in the same process. */
function fullDisk({ crew, workload, signal, violation }: Ground, member: Member, ballast: string): Fault {
  let pid: number | undefined;
  return {
    ...{ kind: 'full disk', members: [member] },
    text: `the file system of ${nameOf(member)} is full, while large values come`,
    async begin() {
      pid = crew.pid(member);
      fill(ballast);
      let sent = 0;
      for (
        const end = performance.now() + LARGE_MS_MAX;
        sent < LARGE_MAX && performance.now() < end && !signal.aborted;
      ) {
        await Promise.all(Array.from({ length: LARGE_AT_ONCE }, () => workload.proposeLarge(LARGE_BYTES)));
        sent += LARGE_AT_ONCE;
        if ((await hasRoom(member)) === false) return `it refused new slots after ${sent} MiB`;
      }
      return `it was not short of room after ${sent} MiB`;
    },
    async end() {
      rmSync(ballast, { force: true });
      const room = await within(END_MS_MAX, signal, async () => ((await hasRoom(member)) === true ? true : undefined));
      if (room === undefined && pid !== undefined && crew.pid(member) === pid && !signal.aborted)
        violation(`${nameOf(member)} has space again and still takes no new slots: ${crew.lastWords(member)}`);
      return undefined;
    },
  };
}

/** Writes until nothing more fits. */
function fill(file: string): void {
  const bytes = Buffer.alloc(MIB);
  const fd = openSync(file, 'w');
  try {
    for (let size = bytes.length; size >= 512;) {
      try {
        if (writeSync(fd, bytes, 0, size) < size) size >>= 1;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        size >>= 1;
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** Whether the acceptor takes new slots, or refuses them for another reason than its disk; undefined where it does not answer. */
async function hasRoom({ http }: Member): Promise<boolean | undefined> {
  try {
    const answer = await fetch(`http://${http}/metrics`, { signal: AbortSignal.timeout(2_000) });
    const text = await answer.text();
    const value = (name: string): number | undefined => {
      const said = new RegExp(`^synod_acceptor_${name}(?:\\{[^}]*\\})? (\\d+)`, 'm').exec(text)?.[1];
      return said === undefined ? undefined : Number(said);
    };
    const [room, bytes] = [value('journal_has_room'), value('journal_bytes')];
    return room === undefined || bytes === undefined ? undefined : room === 1 || bytes > JOURNAL_MIB * MIB;
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
