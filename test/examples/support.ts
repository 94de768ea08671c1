/** What tests of docs/examples need: the tools of each language, where they are at hand, and processes that run the examples. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from '@jest/globals';
import { ROOT } from '../e2e/cluster.ts';

export const EXAMPLES = join(ROOT, 'docs', 'examples');
export const PYTHON_PACKAGES = 'python3-grpcio python3-protobuf protobuf-compiler protobuf-compiler-grpc';
export const GO_PACKAGES =
  'golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev protobuf-compiler protoc-gen-go-1-5 protoc-gen-go-grpc';

/** What a language is missing here, a line that says what to install; undefined where all is at hand. */
export interface Tools {
  readonly missing: string | undefined;
}

/**
 * The tests of one language. Where its tools are missing they are skipped, and a line says what to install; but in CI, which
 * installs them (`.ci/steps.sh`), they run and fail.
 */
export function describeWith({ missing }: Tools, name: string, body: () => void): void {
  if (missing === undefined || process.env['CI'] !== undefined) return describe(name, body);
  process.stderr.write(`skipped: ${name}: ${missing}\n`);
  describe.skip(`${name} (skipped: ${missing})`, body);
}

/** A Python that has grpc, and what makes code of proto/. `SYNOD_PYTHON` names another one. */
export function pythonTools(): Tools & { readonly command: string } {
  const given = process.env['SYNOD_PYTHON'];
  const candidates = given === undefined ? ['/usr/bin/python3', 'python3'] : [given];
  const command = candidates.find((each) => runs(each, ['-c', 'import grpc.aio, google.protobuf']));
  const complete = command !== undefined && runs('protoc', ['--version']) && runs('which', ['grpc_python_plugin']);
  return {
    command: command ?? candidates[0] ?? 'python3',
    missing: complete ? undefined : `on Debian: apt-get install ${PYTHON_PACKAGES}`,
  };
}

/** Go, the packaged sources of gRPC and of Protocol Buffers under a folder of GOPATH, and what makes code of proto/. */
export function goTools(packaged: string): Tools {
  const sources = ['grpc', 'protobuf'].map((name) => join(packaged, 'src', 'google.golang.org', name));
  const commands = ['go', 'protoc', 'protoc-gen-go', 'protoc-gen-go-grpc'];
  const complete = sources.every((each) => existsSync(each)) && commands.every((each) => runs('which', [each]));
  return { missing: complete ? undefined : `on Debian: apt-get install ${GO_PACKAGES}` };
}

function runs(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** The Python examples with the code of the protocol made in a folder of its own. */
export class Python {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #folder: string;
  readonly #running = new Set<ChildProcess>();

  constructor(command: string) {
    this.command = command;
    this.#folder = mkdtempSync(join(tmpdir(), 'synod-examples-'));
    const { status, stderr } = spawnSync(join(EXAMPLES, 'python', 'generate.sh'), [this.#folder], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`generate.sh failed: ${stderr}`);
    this.env = { ...process.env, PYTHONPATH: this.#folder, PYTHONDONTWRITEBYTECODE: '1' };
  }

  script(name: string): string {
    return join(EXAMPLES, 'python', name);
  }

  /** Starts a script; `lines` are those of its standard output, `said` what came on standard error. */
  start(name: string, args: readonly string[]): Started {
    const child = spawn(this.command, [this.script(name), ...args], { env: this.env });
    this.#running.add(child);
    return started(child, () => this.#running.delete(child));
  }

  /** Ends what still runs, and removes the folder. */
  remove(): void {
    for (const child of this.#running) child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface Started {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
  readonly said: () => string;
  write(line: string): void;
  /** The exit code, null after a signal. */
  readonly ended: Promise<number | null>;
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = { ...process.env, PYTHONPATH: '', PYTHONDONTWRITEBYTECODE: '1' },
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const { ended, lines, said } = started(spawn(command, args, { env }));
  return { code: await ended, out: lines.join('\n'), err: said() };
}

export function started(child: ChildProcess, onEnd: () => void = () => undefined): Started {
  const lines: string[] = [];
  let rest = '';
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      onEnd();
      resolve(code);
    });
  });
  return { child, lines, said: () => said, write: (line) => child.stdin?.write(`${line}\n`), ended };
}
