/** Imports point strictly down (ARCHITECTURE, rooms), `import type` counts, and no file imports itself by way of others. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Import } from './source.ts';
import { ROOT, filesOf, importsOf } from './source.ts';

/** Which shared rooms a room may import. What is not named here may not be. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  base: [],
  paxos: ['base'],
  machine: ['base'],
  ports: ['paxos', 'machine', 'base'],
  wire: ['paxos', 'machine', 'base'],
  journal: ['ports', 'wire', 'paxos', 'machine', 'base'],
  runtime: ['ports', 'wire', 'paxos', 'machine', 'base'],
  platform: ['runtime', 'journal', 'ports', 'wire', 'paxos', 'machine', 'base'],
  client: ['platform', 'runtime', 'ports', 'wire', 'paxos', 'machine', 'base'],
};

/** What a room may import from outside the repository. Rooms that are missing may import anything that is installed. */
const OUTSIDE: Readonly<Record<string, RegExp>> = {
  base: /^$/,
  paxos: /^$/,
  machine: /^$/,
  ports: /^$/,
  runtime: /^$/,
  journal: /^node:zlib$/,
  wire: /^@bufbuild\/protobuf(\/.*)?$|^@grpc\/grpc-js$/,
};

function roomOf(path: string): { readonly top: string; readonly room: string } {
  const [top = '', room = ''] = path.split('/');
  return { top, room };
}

/** Why an import is wrong, or undefined. */
function fault({ from, to, local }: Import): string | undefined {
  const here = roomOf(from);
  const there = roomOf(to);
  if (!local) {
    const outside = here.top === 'shared' ? OUTSIDE[here.room] : undefined;
    return outside === undefined || outside.test(to) ? undefined : `${from} imports ${to}: not in this room`;
  }
  if (here.top === there.top && here.room === there.room) return undefined;
  if (here.top === 'services') {
    if (there.top === 'shared' && there.room in BELOW) return undefined;
    return `${from} imports ${to}: services import shared rooms, never one another`;
  }
  const below = BELOW[here.room];
  if (below === undefined) return `${from} is in a room that this test does not know`;
  if (there.top === 'shared' && below.includes(there.room)) return undefined;
  return `${from} imports ${to}: ${here.room} may import ${below.join(', ') || 'nothing'}`;
}

function faults(root: string): string[] {
  return all(root)
    .map(fault)
    .filter((text): text is string => text !== undefined);
}

/** Groups of files that import one another in a circle. */
function cycles(root: string): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to, local } of all(root)) if (local) next.set(from, [...(next.get(from) ?? []), to]);
  const found: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (file: string): void => {
    const at = trail.indexOf(file);
    if (at >= 0) found.push([...trail.slice(at), file].join(' → '));
    if (at >= 0 || done.has(file)) return;
    trail.push(file);
    for (const to of next.get(file) ?? []) visit(to);
    trail.pop();
    done.add(file);
  };
  for (const file of next.keys()) visit(file);
  return [...new Set(found)];
}

function all(root: string): Import[] {
  const files = filesOf(root, ['shared', 'services'], (path) => path.endsWith('.ts'));
  return files.flatMap((file) => importsOf(root, file));
}

/** Runs with a small repository that consists of these files. */
function withTree<T>(files: Readonly<Record<string, string>>, run: (root: string) => T): T {
  const root = mkdtempSync(join(tmpdir(), 'synod-layers-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return run(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

describe('the rooms of the house', () => {
  test('every import points down', () => {
    expect(all(ROOT).length).toBeGreaterThan(20);
    expect(faults(ROOT)).toEqual([]);
  });

  test('no file imports itself by way of others', () => {
    expect(cycles(ROOT)).toEqual([]);
  });
});

describe('planted faults are found', () => {
  test.each([
    ['an arrow that points up', 'shared/base/a.ts', `import { b } from '../paxos/b.ts';`],
    ['a type that points up', 'shared/paxos/a.ts', `import type { B } from '../ports/b.ts';`],
    ['a type named in place', 'shared/paxos/a.ts', `export type B = import('../ports/b.ts').B;`],
    ['an export of what is above', 'shared/wire/a.ts', `export * from '../platform/b.ts';`],
    [
      'paxos and machine, which do not know each other',
      'shared/machine/a.ts',
      `import type { B } from '../paxos/b.ts';`,
    ],
    ['a role that imports another', 'services/acceptor/a.ts', `import { b } from '../proposer/b.ts';`],
    ['something shared that imports a service', 'shared/client/a.ts', `import { b } from '../../services/cli/b.ts';`],
    ['a package in the heart', 'shared/paxos/a.ts', `import Denque from 'denque';`],
    ['Node in the journal', 'shared/journal/a.ts', `import { open } from 'node:fs/promises';`],
    ['a test that is needed to run', 'services/acceptor/a.ts', `import { b } from '../../test/support/b.ts';`],
  ])('%s', (_, path, text) => {
    expect(withTree({ [path]: text }, faults)).toHaveLength(1);
  });

  test('a circle of type imports', () => {
    const files = {
      'shared/base/a.ts': `import type { B } from './b.ts';`,
      'shared/base/b.ts': `import type { C } from './c.ts';`,
      'shared/base/c.ts': `export type { A } from './a.ts';`,
    };
    expect(withTree(files, cycles)).toEqual([
      'shared/base/a.ts → shared/base/b.ts → shared/base/c.ts → shared/base/a.ts',
    ]);
  });

  test('and what is allowed is not called a fault', () => {
    const files = {
      'shared/runtime/a.ts': `import type { B } from '../ports/b.ts';\nimport { c } from '../base/c.ts';`,
      'shared/journal/a.ts': `import { crc32 } from 'node:zlib';`,
      'services/learner/a.ts': `import { open } from 'lmdb';\nimport { b } from '../../shared/wire/b.ts';`,
    };
    expect(withTree(files, faults)).toEqual([]);
  });
});
