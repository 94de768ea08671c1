/**
 * Plants faults: transpiles the shipped machines and the simulator with one edit into a folder of its own, and runs seeds there in
 * a process of its own until one of them fails.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { PLANTED_FAULTS, type PlantedFault } from './planted.ts';

const FOLDERS = [
  ...['shared/base', 'shared/paxos', 'shared/machine', 'shared/ports', 'shared/runtime', 'shared/wire'],
  ...['shared/journal', 'test/sim'],
];
const FILES = [
  ...['services/proposer/admission.ts', 'services/learner/tips.ts'],
  'services/acceptor/membership.ts',
  ...['test/support/memory-disk.ts', 'test/support/silent-log.ts'],
];

/** How a planted fault was found. */
export interface Found {
  readonly name: string;
  /** Seeds that it took, from 1 on. */
  readonly seeds: number;
  /** What was seen first, undefined when it was not found. */
  readonly violation: string | undefined;
}

/** The root of the repository, above the sources and above what is built of them. */
function rootOf(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

export class Planter {
  readonly #root = rootOf();
  readonly #work: string;

  /** Transpiles everything once. `close` removes it. */
  constructor() {
    // Inside the repository, so that packages resolve.
    mkdirSync(join(this.#root, 'dist'), { recursive: true });
    this.#work = mkdtempSync(join(this.#root, 'dist', 'planted-'));
    for (const file of [...FOLDERS.flatMap((folder) => this.#sources(folder)), ...FILES])
      this.#write(this.clean, file, this.#read(file));
  }

  get clean(): string {
    return join(this.#work, 'clean');
  }

  close(): void {
    rmSync(this.#work, { recursive: true, force: true });
  }

  /** Runs up to so many seeds with the fault. Throws when its edit does not fit the source. */
  async plant(fault: PlantedFault, seedsMax: number): Promise<Found> {
    const folder = join(this.#work, fault.name.replace(/\W+/g, '-'));
    const texts = new Map<string, string>();
    for (const edit of [fault, ...(fault.also === undefined ? [] : [fault.also])]) {
      const file = edit.file ?? fault.file;
      const text = texts.get(file) ?? this.#read(file);
      if (text.split(edit.find).length !== 2)
        throw new Error(`the planted fault "${fault.name}" does not stand in ${file}, once`);
      texts.set(
        file,
        text.replace(edit.find, () => edit.replace),
      );
    }
    cpSync(this.clean, folder, { recursive: true });
    for (const [file, text] of texts) this.#write(folder, file, text);
    try {
      const { seeds, violation } = await this.run(folder, seedsMax);
      return { name: fault.name, seeds, violation };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Runs seeds in a folder until one fails. */
  run(folder: string, seeds: number): Promise<{ seeds: number; violation: string | undefined; chosen: number }> {
    const flags = ['--seeds', String(seeds), '--workers', '1', '--minimise', '0', '--json'];
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [join(folder, 'test/sim/main.js'), ...flags], {
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

  #sources(folder: string): string[] {
    return readdirSync(join(this.#root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => join(folder, name));
  }

  #read(file: string): string {
    return readFileSync(join(this.#root, file), 'utf8');
  }

  #write(folder: string, file: string, text: string): void {
    const target = join(folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, transpile(text));
  }
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

/** `12  a promise is not durable: R1 …`: a row of the table. */
export function rowOf({ name, seeds, violation }: Found): string {
  const seen = violation === undefined ? 'NOT FOUND' : violation.replace(/^Violation: /, '').slice(0, 110);
  return `${String(seeds).padStart(5)}  ${name}\n       ${seen}`;
}

export interface PlantOptions {
  readonly seedsMax: number;
  /** Faults that are looked for at once. */
  readonly workers: number;
  readonly onFound: (row: string) => void;
}

/** Plants every fault of the list, one after the other at each worker. */
export async function plantAll({ seedsMax, workers, onFound }: PlantOptions): Promise<Found[]> {
  const planter = new Planter();
  const found = new Map<string, Found>();
  const left = [...PLANTED_FAULTS];
  const work = async (): Promise<void> => {
    for (let fault = left.shift(); fault !== undefined; fault = left.shift()) {
      const each = await planter.plant(fault, seedsMax);
      found.set(fault.name, each);
      onFound(rowOf(each));
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.max(1, workers) }, work));
    return PLANTED_FAULTS.map((fault) => found.get(fault.name) as Found);
  } finally {
    planter.close();
  }
}
