/**
 * What `npm start` and `npm test` need before anything compiled exists: the right Node, the packages, the build. Plain JavaScript
 * without packages, because it runs on a fresh clone. Two of these at once are safe: one works, the other waits for it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const at = (...parts) => join(ROOT, ...parts);

const NODE_MIN = [20, 19];
const PACKAGES_STAMP = at('node_modules', '.synod-stamp');
const BUILD_STAMP = at('dist', '.synod-stamp');
/** What the build reads; the same folders as in tsconfig.build.json. */
const SOURCES = [
  ...['shared', 'services', 'deploy/local', 'deploy/monitoring', 'proto'],
  ...['sim', 'model', 'bench', 'chaos', 'linear', 'e2e', 'support'].map((name) => `test/${name}`),
];
const SETTINGS = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

/** Checks Node, installs and builds what is missing or stale. Prints a line for what it does, nothing when all is there. */
export async function prepare() {
  checkNode();
  if (isInstalled() && isBuilt()) return;
  await locked(async () => {
    if (!isInstalled()) await install();
    if (!isBuilt()) await build();
  });
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  fail(
    `Synod needs Node ${NODE_MIN.join('.')} or newer and this is Node ${process.versions.node}; install a newer one from https://nodejs.org.`,
  );
}

/** The packages are those of the lock file: by our stamp or, where npm was run by hand, by npm's own, newer record. */
function isInstalled() {
  const record = at('node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  if (existsSync(PACKAGES_STAMP)) return readFileSync(PACKAGES_STAMP, 'utf8') === lockHash();
  return statSync(record).mtimeMs >= statSync(at('package-lock.json')).mtimeMs;
}

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(at('package-lock.json')))
    .digest('hex');
}

async function install() {
  say('Installing packages (npm ci), about half a minute the first time …');
  // Under npm its own script is named in the environment; elsewhere `npm` is looked up.
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const code = await run(
    command,
    [...first, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    true,
  );
  if (code !== 0) fail('The packages could not be installed; npm says above why. Nothing was started.');
  writeFileSync(PACKAGES_STAMP, lockHash());
}

function isBuilt() {
  return existsSync(BUILD_STAMP) && readFileSync(BUILD_STAMP, 'utf8') === sourcesHash();
}

/** Names, sizes and times of all sources: cheap, and different after every edit. */
function sourcesHash() {
  const hash = createHash('sha256');
  const add = (path) => {
    const { size, mtimeMs } = statSync(at(path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  const visit = (folder) => {
    if (!existsSync(at(folder))) return;
    for (const entry of readdirSync(at(folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (/\.(ts|proto)$/.test(entry.name) && !entry.name.endsWith('.test.ts')) add(path);
    }
  };
  for (const folder of SOURCES) visit(folder);
  for (const file of SETTINGS) add(file);
  return hash.digest('hex');
}

async function build() {
  say('Building …');
  const hash = sourcesHash();
  // Without the stamp a build that is cut off is seen as one that is missing.
  rmSync(BUILD_STAMP, { force: true });
  const tsc = at('node_modules', 'typescript', 'bin', 'tsc');
  if ((await run(process.execPath, [tsc, '-p', 'tsconfig.build.json'])) !== 0)
    fail('The build failed; the compiler says above where. Nothing was started.');
  // What gRPC reflection answers from (--reflection).
  const buf = at('node_modules', '@bufbuild', 'buf', 'bin', 'buf');
  if ((await run(process.execPath, [buf, 'build', '-o', 'dist/synod.binpb'])) !== 0)
    fail('The protocol pages could not be compiled; buf says above where. Nothing was started.');
  writeFileSync(BUILD_STAMP, hash);
}

/** Runs a command in the root, its output shown; resolves to its exit code. */
function run(command, args, shellOnWindows = false) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: shellOnWindows && process.platform === 'win32' && command === 'npm',
    });
    child.on('error', (error) => {
      say(`${command} could not be run: ${error.message}`);
      resolve(127);
    });
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** One at a time on this folder. The lock is a folder with the pid of its owner; that of a process that is gone is taken over. */
async function locked(work) {
  const name = createHash('sha256').update(ROOT).digest('hex').slice(0, 16);
  const lock = join(tmpdir(), `synod-prepare-${name}`);
  let said = false;
  while (!take(lock)) {
    if (!said) say('Another start is installing or building; waiting for it …');
    said = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.once('exit', release);
  try {
    await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function take(lock) {
  try {
    mkdirSync(lock, { mode: 0o700 });
    writeFileSync(join(lock, 'pid'), String(process.pid));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  try {
    const pid = Number(readFileSync(join(lock, 'pid'), 'utf8'));
    if (Number.isInteger(pid) && pid > 0 && !isAlive(pid)) rmSync(lock, { recursive: true, force: true });
  } catch (error) {
    // The owner has made the folder and not yet written its pid, or has just let go. A folder that stays empty is abandoned.
    if (error.code !== 'ENOENT') throw error;
    if (existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 5_000) rmSync(lock, { recursive: true, force: true });
  }
  return false;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

function fail(line) {
  say(line);
  process.exit(1);
}

/** Runs a Node script in a process of its own, passes signals on, and ends as it ended. */
export function become(args) {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  // A terminal gives Ctrl-C to the child as well; it must not come twice.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  child.on('error', (error) => fail(`${args[0]} could not be run: ${error.message}`));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
}
