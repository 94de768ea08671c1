/**
 * The container image as a folder, without a container engine: what the Dockerfile copies is copied, what it runs in its working
 * folder is run. `npm ci` alone is not run again; its result is taken from the packages that are installed here, by the lock file.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT, textOf } from '../tidy/source.ts';
import { assignments, jsonForm, parseDockerfile } from './dockerfile.ts';
import type { Instruction, Stage } from './dockerfile.ts';

export const DOCKERFILE = 'deploy/docker/Dockerfile';

export interface Image {
  /** Its root file system, but for what its base image brings. */
  readonly root: string;
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly workdir: string;
}

/** Commands that are run as they stand. Others change what the base image brings, which is not here. */
const RUN_HERE = /^(npm run build|npx --no-install buf build|find dist)/;

export interface AssembleOptions {
  /** Take what the repository has built for what the steps would build, which is the same and takes half a minute. Default false. */
  readonly built?: boolean;
}

/** Makes the image in a folder. Throws where a step fails. */
export function assembleImage(folder: string, options: AssembleOptions = {}): Image {
  const { stages } = parseDockerfile(textOf(ROOT, DOCKERFILE));
  const roots = new Map<string, string>();
  let last = '';
  for (const [at, stage] of stages.entries()) {
    last = join(folder, stage.name ?? String(at));
    roots.set(stage.name ?? String(at), last);
    buildStage(stage, last, roots, options);
  }
  const { instructions } = stages.at(-1)!;
  const only = (word: string): Instruction => instructions.find((each) => each.word === word)!;
  return {
    root: last,
    entrypoint: jsonForm(only('ENTRYPOINT')),
    env: assignments(only('ENV')),
    user: only('USER').rest,
    workdir: only('WORKDIR').rest,
  };
}

function buildStage(
  stage: Stage,
  root: string,
  roots: ReadonlyMap<string, string>,
  { built = false }: AssembleOptions,
): void {
  mkdirSync(root, { recursive: true });
  let workdir = '/';
  for (const instruction of stage.instructions) {
    const { word, rest } = instruction;
    if (word === 'WORKDIR') mkdirSync(join(root, (workdir = rest)), { recursive: true });
    else if (word === 'COPY') copy(rest, join(root, workdir), root, roots);
    else if (word === 'RUN') runStep(rest, join(root, workdir), built);
  }
}

function copy(rest: string, workdir: string, root: string, roots: ReadonlyMap<string, string>): void {
  const words = rest.split(/\s+/);
  const from = words[0]?.startsWith('--from=') === true ? words.shift()!.slice('--from='.length) : undefined;
  const target = words.pop()!;
  const to = target.startsWith('/') ? join(root, target) : join(workdir, target);
  for (const source of words) {
    const path = from === undefined ? join(ROOT, source) : join(roots.get(from)!, source);
    const intoFolder = target.endsWith('/') && target !== '/';
    cpSync(path, intoFolder ? join(to, basename(source)) : to, { recursive: true, verbatimSymlinks: true });
  }
}

function runStep(command: string, cwd: string, built: boolean): void {
  if (command.startsWith('npm ci')) {
    installPackages(join(cwd, 'node_modules'), command.includes('--omit=dev'));
    return;
  }
  if (!RUN_HERE.test(command)) return;
  if (built) {
    const parts = command.startsWith('npm run build') ? ['shared', 'services', 'synod.binpb'] : [];
    for (const part of parts) cpSync(join(ROOT, 'dist', part), join(cwd, 'dist', part), { recursive: true });
    return;
  }
  execFileSync('sh', ['-c', command], { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}

interface Locked {
  readonly dev?: boolean;
}

/** All packages, as a link to those of this repository; or copies of those that are not for development alone. */
function installPackages(folder: string, withoutDev: boolean): void {
  if (!withoutDev) {
    symlinkSync(join(ROOT, 'node_modules'), folder);
    return;
  }
  mkdirSync(folder);
  for (const path of productionPackages()) {
    const source = join(ROOT, path);
    // A binary for another system is in the lock file and not on the disk.
    if (!existsSync(source)) continue;
    cpSync(source, join(folder, path.replace(/^node_modules\//, '')), {
      recursive: true,
      // What is nested in a package is listed, and judged, by itself.
      filter: (each) => !each.slice(source.length + 1).startsWith('node_modules'),
    });
  }
}

/** The folders of all packages that `npm ci --omit=dev` installs. */
export function productionPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  return Object.entries(lock.packages).flatMap(([path, { dev }]) => (path === '' || dev === true ? [] : [path]));
}
