/** One role as a process: started, asked whether it is ready, started again when it dies, stopped. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../shared/base/errors.ts';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import type { Member, Role } from './layout.ts';

/** The command of a member and the arguments that come before those of every role. */
export type RoleCommand = (
  role: Role,
  id: number,
) => { readonly command: string; readonly arguments: readonly string[] };

export interface RoleProcessOptions {
  readonly member: Member;
  readonly arguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly restart: boolean;
  readonly command: RoleCommand | undefined;
  readonly logFolder: string;
  readonly say: (line: string) => void;
  /** The role ended with the code for wrong configuration or data; it is not started again. its `refusal` says why. */
  readonly onRefused: (who: RoleProcess) => void;
}

/** The first restart comes after this, each next after twice as long; a role that ran for a while begins anew. */
const RESTART_MS_MIN = 200;
const RESTART_MS_MAX = 5_000;
const RAN_WELL_MS = 10_000;

const BUILT: RoleCommand = (role) => ({
  command: process.execPath,
  // Compiled, this file is dist/deploy/local/role-process.js.
  arguments: [fileURLToPath(new URL(`../../services/${role}/main.js`, import.meta.url))],
});

export class RoleProcess {
  readonly member: Member;
  readonly name: string;
  readonly logFile: string;
  readonly #options: RoleProcessOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #restart: boolean;
  #restarts = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastEnd = 'it does not run';
  #signalled = false;
  #refusal: string | undefined;

  constructor(options: RoleProcessOptions) {
    this.#options = options;
    this.member = options.member;
    this.name = `${options.member.role} ${String(options.member.id)}`;
    this.logFile = join(options.logFolder, `${options.member.role}-${String(options.member.id)}.log`);
    this.#restart = options.restart;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** How often it ended on its own since it was last ready or ran for a while; what was killed from here does not count. */
  get restarts(): number {
    return this.#restarts;
  }

  /** How its last process ended, and what that said last. */
  get lastEnd(): string {
    return this.#lastEnd;
  }

  /** Why it refuses to run, a sentence; undefined when it does not refuse. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  start(): void {
    this.#refusal = undefined;
    const { command, arguments: first } = (this.#options.command ?? BUILT)(this.member.role, this.member.id);
    const log = openSync(this.logFile, 'a', 0o600);
    const logBegin = statSync(this.logFile).size;
    const began = performance.now();
    const child = spawn(command, [...first, ...this.#options.arguments], {
      // A pipe that nobody writes to: its end tells the role that its supervisor is gone, however that went.
      stdio: ['pipe', log, log],
      // Not in the group of the terminal: Ctrl-C reaches the supervisor alone, which stops roles in order.
      detached: true,
      env: { ...process.env, UV_THREADPOOL_SIZE: '8', ...this.#options.env, SYNOD_SUPERVISED: '1' },
    });
    closeSync(log);
    child.stdin?.on('error', () => {
      // The role is gone; its exit is what counts.
    });
    this.#child = child;
    this.#signalled = false;
    this.#exited = new Promise((resolve) => {
      const ended = (how: string, code: number | null): void => {
        if (this.#child !== child) return;
        this.#child = undefined;
        resolve();
        this.#onExit(how, code, logBegin, performance.now() - began);
      };
      child.on('error', (error) => {
        ended(`could not be run: ${error.message}`, null);
      });
      child.on('exit', (code, signal) => {
        ended(signal === null ? `ended with code ${String(code)}` : `was ended by ${signal}`, code);
      });
    });
  }

  /** Sends a signal; false when the process does not run. */
  signal(signal: NodeJS.Signals): boolean {
    this.#signalled = this.#child !== undefined;
    return this.#child?.kill(signal) ?? false;
  }

  /** Resolves when the process that runs now has ended; at once when none does. */
  ended(): Promise<void> {
    return this.#exited;
  }

  async restartNow(): Promise<void> {
    clearTimeout(this.#timer);
    const restart = this.#restart;
    this.#restart = false;
    this.signal('SIGKILL');
    await this.#exited;
    this.#restart = restart;
    this.start();
  }

  stopRestarting(): void {
    this.#restart = false;
    clearTimeout(this.#timer);
  }

  /** Asks the process to stop and waits; after `msMax` it is killed. */
  async stop(msMax: number): Promise<void> {
    this.stopRestarting();
    if (!this.signal('SIGTERM')) return;
    const timer = setTimeout(() => {
      this.#options.say(`${this.name} did not stop within ${String(msMax)} ms and is killed.`);
      this.signal('SIGKILL');
    }, msMax);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Undefined when the role says that it is ready, else what is missing. */
  whyNotReady(): Promise<string | undefined> {
    if (this.#child === undefined) return Promise.resolve(this.#lastEnd);
    return new Promise((resolve) => {
      const request = get(`http://${this.member.http}/readyz`, { agent: false, timeout: 2_000 }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => {
          if (response.statusCode === 200) this.#restarts = 0;
          resolve(response.statusCode === 200 ? undefined : body.trim().replaceAll('\n', '; ').slice(0, 300));
        });
        response.on('error', (error) => {
          resolve(error.message);
        });
      });
      request.on('timeout', () => request.destroy(new Error('no answer within 2000 ms')));
      request.on('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code === 'ECONNREFUSED' ? 'is starting' : messageOf(error));
      });
    });
  }

  #onExit(how: string, code: number | null, logBegin: number, ranMs: number): void {
    const said = lastWords(this.logFile, logBegin);
    this.#lastEnd = `it ${how}${said === '' ? '' : `: ${said.slice(0, 500)}`}`;
    if (code === EXIT.refused) {
      this.#refusal = `${this.name} refused to run: ${said === '' ? `see ${this.logFile}` : said}`;
      this.#options.onRefused(this);
      return;
    }
    if (!this.#restart) return;
    this.#restarts = ranMs > RAN_WELL_MS ? 0 : this.#restarts;
    const waitMs = Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** this.#restarts);
    if (!this.#signalled) this.#restarts++;
    this.#options.say(`${this.name} ${how}; starting it again in ${String(waitMs)} ms (log ${this.logFile}).`);
    this.#timer = setTimeout(() => {
      this.start();
    }, waitMs);
  }
}

/** What a process said last: its last lines of text or, where it wrote JSON only, its newest error; empty when nothing. */
function lastWords(file: string, begin: number): string {
  const lines = readFileSync(file)
    .subarray(begin)
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const plain = lines.filter((line) => !line.startsWith('{'));
  // Of an error that nobody caught, the line that names it; else all that was said.
  const thrown = plain.find((line) => /^\w*Error\b/.test(line));
  if (thrown !== undefined) return thrown;
  if (plain.length > 0) return plain.slice(-20).join('\n');
  for (const line of lines.reverse()) {
    const said = parseLine(line);
    if (said?.level === 'fatal' || said?.level === 'error') return said.msg;
  }
  return '';
}

/** The fields of a JSON line; undefined for one that was cut off. */
function parseLine(line: string): { readonly level: string; readonly msg: string } | undefined {
  try {
    return JSON.parse(line) as { level: string; msg: string };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
