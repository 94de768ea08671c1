/**
 * Goal: the Dockerfile makes an image in which every role starts with nothing but what it copies.
 * Method: its steps are done in a folder, its launcher is run from there. What a container engine does itself is read from the text.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ROOT, textOf } from '../tidy/source.ts';
import { assignments, parseDockerfile } from './dockerfile.ts';
import { DOCKERFILE, assembleImage, productionPackages } from './image.ts';
import type { Image } from './image.ts';

// The compiler runs.
jest.setTimeout(180_000);

const text = textOf(ROOT, DOCKERFILE);
const { head, stages } = parseDockerfile(text);
const last = stages.at(-1)!;

let folder: string;
let image: Image;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'synod-image-'));
  image = assembleImage(folder);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function synod(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const [, launcher = ''] = image.entrypoint;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(image.root, launcher), ...args], {
    cwd: join(image.root, image.workdir),
    encoding: 'utf8',
    // Nothing of this repository's environment: packages must come from the image.
    env: { PATH: process.env['PATH'], NODE_OPTIONS: image.env['NODE_OPTIONS'] },
  });
  return { code: status, out: stdout, err: stderr };
}

describe('the launcher', () => {
  test.each(['acceptor', 'proposer', 'learner'])('synod %s is the role, with all its settings', (role) => {
    const { code, out } = synod(role, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`synod-${role}: `);
    expect(out).toContain('SYNOD_CLUSTER');
  });

  test('synod ctl is synodctl', () => {
    const { code, out } = synod('ctl', 'propose', '--help');
    expect(code).toBe(0);
    expect(out).toContain('Usage: synodctl propose');
  });

  test('--help shows an example; no role, or one that there is not, is refused as wrong configuration', () => {
    expect(synod('--help')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('synod acceptor --id 1') });
    expect(synod()).toMatchObject({ code: 78, out: '', err: expect.stringContaining('no role is named; name one of') });
    const unknown = expect.stringContaining(
      'there is no role "acceptors"; name one of acceptor, proposer, learner, ctl',
    );
    expect(synod('acceptors')).toMatchObject({ code: 78, out: '', err: unknown });
  });

  test('is found by the names that the image gives it', () => {
    const links = /ln -s (\S+) \/usr\/local\/bin\/synod && ln -s (\S+) \/usr\/local\/bin\/synodctl/.exec(text);
    expect(links?.slice(1)).toEqual(['/synod/bin/synod.mjs', '/synod/bin/synodctl.mjs']);
    for (const [name, target, args] of [
      ['synod', links![1]!, ['ctl', '--help']],
      ['synodctl', links![2]!, ['--help']],
    ] as const) {
      symlinkSync(join(image.root, target), join(folder, name));
      const { status, stdout } = spawnSync(join(folder, name), args, { encoding: 'utf8' });
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage: synodctl') });
    }
  });

  test('what is left out of the image says so', () => {
    expect(synod('ctl', 'bench')).toMatchObject({
      code: 1,
      err: expect.stringContaining('not part of this installation'),
    });
  });
});

describe('the image', () => {
  test('holds what runs and nothing else: no tests, no sources, no packages for development', () => {
    expect(readdirSync(join(image.root, 'synod')).sort()).toEqual([
      'LICENSE',
      'bin',
      'dist',
      'node_modules',
      'package.json',
    ]);
    expect(readdirSync(join(image.root, 'synod/dist')).sort()).toEqual(['services', 'shared', 'synod.binpb']);
    for (const name of ['typescript', 'jest', '@bufbuild/buf', 'kubernetes-models'])
      expect(existsSync(join(image.root, 'synod/node_modules', name))).toBe(false);
    const files = readdirSync(join(image.root, 'synod'), { recursive: true, encoding: 'utf8' });
    expect(files.filter((name) => !name.startsWith('node_modules') && /\.(ts|map|proto)$/.test(name))).toEqual([]);
  });

  test('is one layer on nothing, runs as a user without rights, and ends on SIGTERM', () => {
    expect(last.from).toBe('scratch');
    expect(image.user).toBe('10001:10001');
    expect(last.instructions).toContainEqual({ word: 'STOPSIGNAL', rest: 'SIGTERM' });
    expect(image.env).toMatchObject({ NODE_ENV: 'production', UV_THREADPOOL_SIZE: '8' });
  });

  test('stands on the exact Node that CI runs tests on, and installs by the lock file, without scripts', () => {
    const [, major = 0, minor = 0, patch = 0] =
      /^NODE_IMAGE=node:(\d+)\.(\d+)\.(\d+)-bookworm-slim$/.exec(head[0]?.rest ?? '') ?? [];
    expect(`${major}.${minor}.${patch}`).toBe(/^NODE_24=(\S+)$/m.exec(textOf(ROOT, '.ci/steps.sh'))?.[1]);
    expect(new Set(stages.map(({ from }) => from))).toEqual(new Set(['${NODE_IMAGE}', 'scratch']));
    const runs = stages.flatMap(({ instructions }) => instructions).filter(({ word }) => word === 'RUN');
    const installs = runs.filter(({ rest }) => /\bnpm (i|install|ci|add)\b/.test(rest));
    expect(installs).toHaveLength(2);
    for (const { rest } of installs) expect(rest).toMatch(/^npm ci (--omit=dev )?--ignore-scripts /);
  });

  test('takes no npm along', () => {
    const root = stages.find(({ name }) => name === 'root')!;
    for (const path of ['/usr/local/lib/node_modules', '/usr/local/bin/npm', '/usr/local/bin/npx', '/opt/yarn-*'])
      expect(root.instructions[0]?.rest).toContain(path);
  });

  test('has the version of package.json, and the ports of the manifests', () => {
    const { version } = JSON.parse(textOf(ROOT, 'package.json')) as { version: string };
    expect(last.instructions).toContainEqual({ word: 'ARG', rest: `VERSION=${version}` });
    const label = assignments(last.instructions.find(({ word }) => word === 'LABEL')!);
    expect(label['org.opencontainers.image.licenses']).toBe('Apache-2.0');
    expect(last.instructions).toContainEqual({ word: 'EXPOSE', rest: '7101 7201 7301 8101 8201 8301' });
  });

  test('.dockerignore lets through what is copied, and nothing else', () => {
    const allowed = textOf(ROOT, '.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(allowed.shift()).toBe('*');
    const copied = stages
      .flatMap(({ instructions }) => instructions)
      .filter(({ word, rest }) => word === 'COPY' && !rest.startsWith('--from='))
      .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1))
      .map((path) => path.split('/')[0]!);
    expect(new Set(allowed)).toEqual(new Set(copied.map((path) => `!${path}`)));
  });

  test('negative control: a package for development is not among those of the image', () => {
    expect(productionPackages()).toContain('node_modules/lmdb');
    expect(productionPackages()).not.toContain('node_modules/typescript');
  });
});
