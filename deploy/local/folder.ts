/**
 * The data folder of a local cluster: whose it is, and that only one supervisor uses it.
 *
 *   cluster.json     the cluster's id and what must not change with it
 *   supervisor.lock  the pid of the supervisor that runs
 *   logs/            what each role printed
 *   acceptor-1/ …    one folder for each role that keeps something
 */
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { newId } from '../../shared/platform/clock.ts';
import { quorumSystem } from '../../shared/paxos/quorum-setting.ts';
import { MAJORITY, idsUpTo } from './layout.ts';
import type { Shape } from './layout.ts';

export interface ClaimedFolder {
  /** The cluster's id, drawn when the folder was made. */
  readonly cluster: string;
  readonly logs: string;
  /** Lets another supervisor use the folder. */
  readonly release: () => void;
}

/**
 * Takes the folder for this process; makes it when it is missing or empty. Throws FAILED_PRECONDITION, and writes nothing, when it
 * holds something else, another shape of cluster, or is used by another supervisor.
 */
export function claimFolder(folder: string, shape: Shape): ClaimedFolder {
  const quorum = settingOf(shape);
  const known = readCluster(folder, shape, quorum);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new SynodError('FAILED_PRECONDITION', `The folder ${folder} (--data) cannot be made: ${messageOf(error)}`);
  }
  const lock = join(folder, 'supervisor.lock');
  takeLock(lock, folder);
  const cluster = known ?? newId();
  if (known === undefined) {
    const file = join(folder, 'cluster.json');
    // Whole or not at all: a start that is cut off here leaves a folder that the next one can still make its own.
    const kept = { format: 1, cluster, acceptors: shape.acceptors, quorum };
    writeFileSync(`${file}.tmp`, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }
  const logs = join(folder, 'logs');
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  return {
    cluster,
    logs,
    release: () => {
      rmSync(lock, { force: true });
    },
  };
}

/** What a folder without a cluster may hold: what a start that was cut off left, and what `npm run monitor` keeps there. */
const NO_MATTER: readonly string[] = ['supervisor.lock', 'cluster.json.tmp', 'prometheus'];

/** The id of the cluster that is in the folder, undefined where there is none yet. */
function readCluster(folder: string, shape: Shape, quorum: string): string | undefined {
  const refuse = (why: string): never => {
    throw new SynodError('FAILED_PRECONDITION', `The folder ${folder} ${why}`);
  };
  const file = join(folder, 'cluster.json');
  if (!existsSync(file)) {
    const others = listFolder(folder, refuse).filter((name) => !NO_MATTER.includes(name));
    if (others.length > 0)
      refuse(
        `holds other things (${others.slice(0, 3).join(', ')}) and no cluster; choose an empty or new one with --data.`,
      );
    return undefined;
  }
  let kept: unknown;
  try {
    kept = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    refuse(
      `has a cluster.json that cannot be read (${messageOf(error)}); put back a good copy or choose another with --data.`,
    );
  }
  if (!isKept(kept))
    return refuse('has a cluster.json that is not of this version of Synod; choose another with --data.');
  if (kept.acceptors !== shape.acceptors)
    refuse(
      `is that of a cluster with ${String(kept.acceptors)} acceptors, not ${String(shape.acceptors)}; ` +
        `start it with --acceptors ${String(kept.acceptors)} or choose another with --data.`,
    );
  // Clusters from before there was a choice have none.
  const { quorum: keptQuorum = MAJORITY } = kept;
  if (keptQuorum !== quorum)
    refuse(
      `is that of a cluster with the quorum system ${keptQuorum}, not ${quorum}: two systems in one cluster could choose two values. ` +
        `Start it with --quorum ${keptQuorum} or choose another with --data.`,
    );
  return kept.cluster;
}

function listFolder(folder: string, refuse: (why: string) => never): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    return refuse(`(--data) cannot be read: ${messageOf(error)}`);
  }
}

/** The one canonical setting of a cluster's quorum system. Throws INVALID_ARGUMENT where it is not safe. */
function settingOf({ acceptors, quorum = MAJORITY }: Shape): string {
  return quorumSystem(quorum, idsUpTo(acceptors)).setting;
}

interface Kept {
  readonly cluster: string;
  readonly acceptors: number;
  readonly quorum?: string;
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== 'object' || value === null) return false;
  const { format, cluster, acceptors, quorum } = value as Readonly<Record<string, unknown>>;
  if (quorum !== undefined && typeof quorum !== 'string') return false;
  return format === 1 && typeof cluster === 'string' && /^[0-9a-f]{32}$/.test(cluster) && typeof acceptors === 'number';
}

/**
 * The lock names its owner by pid and start, so that a pid that was given to another process since is not taken for it. It comes
 * into being whole, by a link, and a stale one is moved away before it is replaced, so that of two who find it one wins.
 */
function takeLock(lock: string, folder: string): void {
  const mine = `${lock}.${String(process.pid)}`;
  writeFileSync(mine, `${String(process.pid)} ${startOf(process.pid)}\n`, { mode: 0o600 });
  try {
    for (let tries = 0; tries < 3; tries++) {
      try {
        linkSync(mine, lock);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const owner = liveOwner(lock);
      if (owner !== undefined)
        throw new SynodError(
          'FAILED_PRECONDITION',
          `The folder ${folder} is in use by the cluster of process ${owner}; stop that one or choose another with --data.`,
        );
      const stale = `${mine}.stale`;
      try {
        renameSync(lock, stale);
        rmSync(stale, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    throw new SynodError('FAILED_PRECONDITION', `The folder ${folder} is being taken by another start; try again.`);
  } finally {
    rmSync(mine, { force: true });
  }
}

function liveOwner(lock: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(lock, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [pid = '', start = ''] = text.trim().split(' ');
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  return startOf(Number(pid)) === start ? pid : undefined;
}

/** When a process started, in ticks since the machine did; `?` where the system does not tell, and the pid alone decides. */
function startOf(pid: number): string {
  const file = `/proc/${String(pid)}/stat`;
  if (!existsSync(file)) return '?';
  const stat = readFileSync(file, 'utf8');
  // The second field, the name, may hold spaces and parentheses; the start is the 20th after it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '?';
}
