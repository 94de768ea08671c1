/** What `synodctl cluster restore` is asked to make, checked before anything is read or written. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { SynodError } from '../../../shared/base/errors.ts';
import { ACCEPTORS_MAX, ACCEPTORS_MIN } from '../../../shared/paxos/quorum.ts';
import { isQuorumSetting, QUORUM_FORMS, quorumSystem } from '../../../shared/paxos/quorum-setting.ts';
import { newId } from '../../../shared/platform/clock.ts';
import { configurationId } from '../../../shared/platform/configuration.ts';
import { parseNumber } from '../context.ts';
import { UsageError } from '../exit.ts';

export interface RestoreOptions {
  readonly into?: string;
  readonly cluster?: string;
  readonly acceptors?: string;
  readonly quorum?: string;
  readonly learner?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** The cluster that is made. */
export interface Plan {
  readonly into: string;
  readonly cluster: string;
  readonly configuration: string;
  readonly acceptors: readonly number[];
  readonly quorum: string;
  /** The new number of the learner; undefined: the one that it had. */
  readonly learner: number | undefined;
}

const ID_MAX = 65_535;
/** What a new file system brings. */
export const LOST_FOUND = 'lost+found';
/** A lock in a folder that is else empty is nobody's data: whoever goes on there takes it, or hears that it is held. */
const LOCK = /^lock\.[0-9a-f]+\.sock$/;

/** Throws UsageError for what cannot be meant, and INVALID_ARGUMENT for a quorum system that is not safe. */
export function planOf(options: RestoreOptions): Plan {
  const { into, cluster: given } = options;
  if (into === undefined) throw new UsageError('--into DIR is needed: the folder for the data of the new cluster');
  if (given === undefined)
    throw new UsageError(
      '--cluster ID is needed: the id of the new cluster, which must never have been used, or new to have one drawn',
    );
  const cluster = given === 'new' ? newId() : given;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(cluster))
    throw new UsageError(
      `--cluster must be 1 to 64 letters, digits, dots, dashes or underscores, not ${JSON.stringify(cluster)}`,
    );
  const acceptors = idsOf(options.acceptors ?? '3');
  const quorum = options.quorum ?? 'majority';
  if (!isQuorumSetting(quorum)) throw new UsageError(`--quorum must be ${QUORUM_FORMS}, not ${JSON.stringify(quorum)}`);
  const { setting } = quorumSystem(quorum, acceptors);
  const learner = options.learner === undefined ? undefined : parseNumber(options.learner, '--learner', 1, ID_MAX);
  return {
    into,
    cluster,
    configuration: configurationId(cluster, acceptors, setting),
    acceptors,
    quorum: setting,
    learner,
  };
}

/** `3` or `1,2,5`. */
function idsOf(given: string): readonly number[] {
  const ids = given.includes(',')
    ? given.split(',').map((part) => parseNumber(part.trim(), '--acceptors', 1, ID_MAX))
    : Array.from({ length: parseNumber(given, '--acceptors', ACCEPTORS_MIN, ACCEPTORS_MAX) }, (_, i) => i + 1);
  if (new Set(ids).size !== ids.length) throw new UsageError(`--acceptors names an id twice: ${given}`);
  if (ids.length < ACCEPTORS_MIN || ids.length > ACCEPTORS_MAX)
    throw new UsageError(
      `--acceptors names ${String(ids.length)}; a cluster has ${String(ACCEPTORS_MIN)} to ${String(ACCEPTORS_MAX)}`,
    );
  return [...ids].sort((a, b) => a - b);
}

/** The folders of the new cluster's members. */
export function foldersOf({ into, acceptors }: Plan, learner: number) {
  return {
    acceptors: new Map(acceptors.map((id) => [id, join(into, `acceptor-${String(id)}`)] as const)),
    learner: join(into, `learner-${String(learner)}`),
  };
}

/** Throws FAILED_PRECONDITION where something is in the way: nothing that exists is ever written over. */
export function requireEmpty(plan: Plan, learner: number): void {
  const { acceptors, learner: learnerFolder } = foldersOf(plan, learner);
  const folders = [...acceptors.values(), learnerFolder];
  const own = new Set(folders.map((folder) => basename(folder)));
  const refuse = (folder: string, names: readonly string[]): never => {
    const what = names.slice(0, 3).join(', ');
    throw new SynodError(
      'FAILED_PRECONDITION',
      `${folder} is not empty (${what}): give a folder that does not exist yet, or is empty, with --into`,
    );
  };
  const others = namesIn(plan.into).filter((name) => !own.has(name));
  if (others.length > 0) refuse(plan.into, others);
  for (const folder of folders) {
    const names = namesIn(folder);
    if (names.length > 0) refuse(folder, names);
  }
}

function namesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  if (!statSync(folder).isDirectory()) throw new SynodError('FAILED_PRECONDITION', `${folder} is not a folder`);
  return readdirSync(folder).filter((name) => name !== LOST_FOUND && !LOCK.test(name));
}
