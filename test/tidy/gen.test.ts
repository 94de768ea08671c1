/**
 * Goal: the generated code is what the pages generate, and a page that would break a released program is noticed.
 * Method: the check that CI runs, and a planted change that it must find.
 */
import { expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

function check(root: string): { status: number | null; text: string } {
  const run = spawnSync(process.execPath, [join(root, 'deploy/local/proto-check.mjs')], { encoding: 'utf8' });
  return { status: run.status, text: run.stdout + run.stderr };
}

/** A copy of what the check reads, with one page changed. */
function planted(file: string, from: string, to: string, use: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'synod-proto-'));
  try {
    for (const part of ['proto', 'shared/wire/gen', 'deploy/local/proto-check.mjs', 'buf.yaml', 'buf.gen.yaml'])
      cpSync(join(ROOT, part), join(root, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    const page = readFileSync(join(root, file), 'utf8');
    expect(page).toContain(from);
    writeFileSync(join(root, file), page.replace(from, to));
    use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('the pages are in order, and the generated code is theirs', () => {
  expect(check(ROOT)).toEqual({
    status: 0,
    text: 'proto: lint, format, generated code and compatibility are in order\n',
  });
}, 60_000);

test('generated code that was edited is noticed (negative control)', () => {
  planted('shared/wire/gen/synod/v1/peer.ts', 'return { log: "" }', 'return { log: "x" }', (root) => {
    expect(check(root)).toMatchObject({
      status: 1,
      text: expect.stringContaining('run npm run gen: synod/v1/peer.ts'),
    });
  });
}, 60_000);

test('a field that takes another number is noticed (negative control)', () => {
  planted('proto/synod/v1/acceptor.proto', 'uint64 watermark = 6;', 'uint64 watermark = 16;', (root) => {
    const env = { ...process.env, PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` };
    spawnSync(join(ROOT, 'node_modules/.bin/buf'), ['generate'], { cwd: root, env });
    expect(check(root)).toMatchObject({
      status: 1,
      text: expect.stringContaining('a change breaks programs or disks'),
    });
  });
}, 60_000);
