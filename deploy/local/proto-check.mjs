// Checks the protocol pages: their form, that the generated code is theirs, and that no change breaks what was released.
//
//   node deploy/local/proto-check.mjs            lint, format, generated code, breaking changes
//   node deploy/local/proto-check.mjs --release  afterwards make the pages as they are the new baseline
//
// The baseline, proto/baseline.binpb, is the image of the pages as of the last release. It is kept in the repository, because a
// clone in CI may have neither the history nor a network to fetch it from.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const bin = join(root, 'node_modules/.bin');
const baseline = join('proto', 'baseline.binpb');
const generated = join('shared', 'wire', 'gen');

/** Runs buf in the repository; ends this process with its output when it fails. */
function buf(what, args) {
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}` };
  const run = spawnSync(join(bin, 'buf'), args, { cwd: root, env, encoding: 'utf8' });
  if (run.error !== undefined) fail(`buf cannot be started (${run.error.message}): run npm ci first`);
  if (run.status !== 0) fail(`${what}\n${run.stdout}${run.stderr}`);
}

function fail(message) {
  console.error(`proto: ${message.trimEnd()}`);
  process.exit(1);
}

/** Files below a folder with what is in them. */
function contents(folder) {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

function checkGenerated() {
  const folder = mkdtempSync(join(tmpdir(), 'synod-gen-'));
  try {
    buf('the code cannot be generated', ['generate', '-o', folder]);
    const now = contents(join(root, generated));
    const fresh = contents(join(folder, generated));
    const wrong = [...new Set([...now.keys(), ...fresh.keys()])].filter((name) => now.get(name) !== fresh.get(name));
    if (wrong.length > 0) fail(`${generated} is not what the pages generate, run npm run gen: ${wrong.join(', ')}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

buf('the pages break a rule of style', ['lint']);
buf('the pages are not formatted, run npx buf format -w', ['format', '--diff', '--exit-code']);
checkGenerated();
if (existsSync(join(root, baseline)))
  buf(`a change breaks programs or disks of the last release (${baseline})`, ['breaking', '--against', baseline]);
else if (!process.argv.includes('--release')) fail(`${baseline} is missing: restore it from the repository`);
if (process.argv.includes('--release'))
  buf('the baseline cannot be written', ['build', '--exclude-source-info', '-o', baseline]);
console.log('proto: lint, format, generated code and compatibility are in order');
