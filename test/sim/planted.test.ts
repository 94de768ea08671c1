// Goal: the simulator can fail. Method: for each planted fault, transpile the shipped machines and the simulator with that one
// edit into a folder of its own, run seeds there in a process of its own, and expect a violation within the bound.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { PLANTED_FAULTS, type PlantedFault } from './planted.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SEEDS_MAX = 400;
const FOLDERS = [
  'shared/base',
  'shared/paxos',
  'shared/machine',
  'shared/ports',
  'shared/runtime',
  'shared/wire',
  'test/sim',
];

let work = '';

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name));
}

function transpile(text: string): string {
  return ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
  }).outputText;
}

function write(folder: string, file: string, text: string): void {
  const target = join(folder, file.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, transpile(text));
}

/** Runs seeds in the folder; returns how many it took to find a violation, undefined when none was found. */
function run(folder: string, seeds: number): Promise<{ seeds: number; violation: string | undefined; chosen: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(folder, 'test/sim/main.js'), '--seeds', String(seeds), '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (out === '')
        return reject(new Error(`the simulator said nothing (exit ${String(code)}): ${err.slice(-2_000)}`));
      const result = JSON.parse(out) as { seeds: number; chosen: number; violations: { violation: string }[] };
      resolve({ seeds: result.seeds, violation: result.violations[0]?.violation, chosen: result.chosen });
    });
  });
}

async function plant(fault: PlantedFault, number: number): Promise<{ seeds: number; violation: string | undefined }> {
  const folder = join(work, String(number));
  cpSync(join(work, 'clean'), folder, { recursive: true });
  const text = readFileSync(join(ROOT, fault.file), 'utf8');
  expect(text.split(fault.find)).toHaveLength(2);
  write(
    folder,
    fault.file,
    text.replace(fault.find, () => fault.replace),
  );
  return run(folder, SEEDS_MAX);
}

beforeAll(() => {
  // Inside the repository, so that packages resolve.
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  work = mkdtempSync(join(ROOT, 'dist', 'planted-'));
  for (const file of [...FOLDERS.flatMap(sources), 'services/proposer/admission.ts'])
    write(join(work, 'clean'), file, readFileSync(join(ROOT, file), 'utf8'));
}, 60_000);

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

describe('planted faults', () => {
  const found: string[] = [];

  afterAll(() => {
    process.stderr.write(`planted fault → seeds needed\n${found.join('\n')}\n`);
  });

  test('the machines as they are pass the seeds that find most of the faults', async () => {
    const result = await run(join(work, 'clean'), 40);
    expect(result.violation).toBeUndefined();
    expect(result.chosen).toBeGreaterThan(1_000);
    expect(relative(ROOT, work).startsWith('dist')).toBe(true);
  }, 120_000);

  test.each(PLANTED_FAULTS.map((fault, number) => [fault.name, fault, number] as const))(
    'finds: %s',
    async (_name, fault, number) => {
      const result = await plant(fault, number);
      found.push(`${String(result.seeds).padStart(5)}  ${fault.name}: ${String(result.violation).slice(0, 100)}`);
      expect(result.violation).toBeDefined();
    },
    180_000,
  );
});
