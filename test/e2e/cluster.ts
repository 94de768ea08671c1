/** Clusters of real processes for these tests: the built roles, on free ports, in a folder of their own, gone afterwards. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startCluster } from '../../deploy/local/cluster.ts';
import type { Cluster, ClusterOptions, Member, Role } from '../../deploy/local/cluster.ts';
import { messageOf } from '../../shared/base/errors.ts';
import { clientHeader, errorReader } from '../../shared/client/index.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { Leading } from '../../shared/wire/gen/synod/v1/proposer.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const main = (role: Role | 'cli'): string => join(ROOT, 'dist', 'services', role, 'main.js');

/** Many times as much of what is random or repeated, for a night. */
export const FACTOR = Math.max(1, Number(process.env['SYNOD_SIM_FACTOR'] ?? '1'));

const READY_MS_MAX = 60_000;
const POLL_MS = 20;

/** Waits until a condition gives something; fails with what was waited for. */
export async function eventually<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  msMax = 60_000,
): Promise<T> {
  for (const end = performance.now() + msMax; ;) {
    const found = await condition();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`not within ${msMax} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A new folder, and its removal. */
export function scratch(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'synod-e2e-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A cluster that a test may hurt, with the questions that tests ask it. */
export class Harness {
  readonly cluster: Cluster;
  readonly folder: string;
  readonly #remove: () => void;
  readonly #connections = new Map<string, Connection>();
  readonly #onStop: (() => void)[] = [];

  private constructor(cluster: Cluster, folder: string, remove: () => void) {
    this.cluster = cluster;
    this.folder = folder;
    this.#remove = remove;
  }

  /** Members do not come back by themselves unless `restart` says so. */
  static async start(options: Partial<ClusterOptions> = {}): Promise<Harness> {
    const { path, remove } = scratch();
    const folder = join(path, 'data');
    try {
      const cluster = await startCluster({
        ...{ data: folder, portBase: 'free', restart: false, readyMsMax: READY_MS_MAX },
        roleCommand: (role) => ({ command: process.execPath, arguments: [main(role)] }),
        ...options,
      });
      return new Harness(cluster, folder, remove);
    } catch (error) {
      remove();
      throw error;
    }
  }

  /** What a test that failed leaves running is ended with the cluster. */
  onStop(end: () => void): void {
    this.#onStop.push(end);
  }

  async stop(): Promise<void> {
    for (const end of this.#onStop) end();
    for (const connection of this.#connections.values()) connection.close();
    // One that is stopped hears nothing else.
    for (const { role, id } of this.cluster.members) this.cluster.kill(role, id, 'SIGCONT');
    await this.cluster.stop();
    this.#remove();
  }

  at(address: string): Connection {
    const known = this.#connections.get(address) ?? connect(address, { fromStatus: errorReader(address) });
    this.#connections.set(address, known);
    return known;
  }

  member(role: Role, id: number): Member {
    const found = this.cluster.members.find((each) => each.role === role && each.id === id);
    if (found === undefined) throw new Error(`there is no ${role} ${id}`);
    return found;
  }

  /** Ends a member with a signal and waits for its end. */
  async end(role: Role, id: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.cluster.kill(role, id, signal)) throw new Error(`${role} ${id} does not run`);
    await this.cluster.ended(role, id);
  }

  /** Starts what does not run, so that a test that failed does not fail the next. */
  async allBack(): Promise<void> {
    const { cluster } = this;
    const down = cluster.members.filter(({ role, id }) => cluster.pid(role, id) === undefined);
    await Promise.all(down.map(({ role, id }) => cluster.restart(role, id)));
    await cluster.ready();
  }

  /** Starts a member again and waits until it is ready. */
  async back(role: Role, id: number): Promise<void> {
    await this.cluster.restart(role, id);
    await this.cluster.ready([{ role, id }]);
  }

  /** The proposer that says it leads a log; undefined while nobody does. */
  async leader(log: string): Promise<number | undefined> {
    const said = await this.#leading(log);
    return said.find(({ leads }) => leads === true)?.id;
  }

  /** Waits until a proposer leads a log. */
  async leads(log: string): Promise<number> {
    let said: unknown;
    const leader = eventually(`a proposer leads ${log}`, async () => {
      const all = await this.#leading(log);
      said = all;
      return all.find(({ leads }) => leads === true)?.id;
    });
    return leader.catch((error: unknown) => {
      throw new Error(`${messageOf(error)}; they say ${JSON.stringify(said)}`);
    });
  }

  /** What each proposer that runs says: whether it leads, or why it does not answer. */
  #leading(log: string): Promise<{ readonly id: number; readonly leads: boolean | string }[]> {
    const running = this.cluster.members.filter(
      ({ role, id }) => role === 'proposer' && this.cluster.pid(role, id) !== undefined,
    );
    const request = { header: clientHeader(), log, after: '', limit: 1, all: false, led: true };
    return Promise.all(
      running.map(async ({ id, grpc }) => {
        try {
          const answer = await this.at(grpc).unary(ProposerServiceService.logs, request, { timeoutMs: 1_000 });
          return { id, leads: answer.logs.some((each) => each.log === log && each.leading === Leading.LEADING_LEADS) };
        } catch (error) {
          return { id, leads: messageOf(error) };
        }
      }),
    );
  }

  /** How long a member's log is, to read later what came after. */
  logLength(role: Role, id: number): number {
    return statSync(this.#logFile(role, id)).size;
  }

  /** The lines of a member's log from a length on. */
  logLines(
    role: Role,
    id: number,
    from: number,
  ): { readonly level: string; readonly msg: string; readonly code?: number }[] {
    return readFileSync(this.#logFile(role, id))
      .subarray(from)
      .toString('utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { level: string; msg: string });
  }

  /** Runs a member in a process of its own until it ends, on its own addresses or on others. */
  run(role: Role, id: number, at: Partial<Pick<Member, 'grpc' | 'http'>> = {}): Promise<Ended> {
    const { grpc, http, data } = { ...this.member(role, id), ...at };
    return runToEnd([
      main(role),
      ...['--id', String(id), '--cluster', this.cluster.id, '--listen', grpc, '--http', http],
      ...(['acceptor', 'proposer', 'learner'] as const).flatMap((each) => [`--${each}s`, this.cluster.endpoints(each)]),
      ...(data === undefined ? [] : ['--data', data]),
    ]);
  }

  #logFile(role: Role, id: number): string {
    return join(this.folder, 'logs', `${role}-${id}.log`);
  }
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a Node program to its end; one that does not end within `msMax` is killed, and its code is null. */
export function runToEnd(
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly input?: string; readonly msMax?: number } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...options.env } });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    const timer = setTimeout(() => child.kill('SIGKILL'), options.msMax ?? 30_000);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out, err });
    });
  });
}

/** `synodctl` on the cluster of a port base. */
export function synodctl(portBase: number, args: readonly string[], input?: string): Promise<Ended> {
  const env = { SYNOD_PORT_BASE: String(portBase) };
  return runToEnd([main('cli'), ...args], input === undefined ? { env } : { env, input });
}

/** Builds what is missing or stale, as `npm test` does before all tests; the processes of these tests run what was built. */
export async function built(): Promise<void> {
  const script = "const { prepare } = await import('./deploy/local/prepare.mjs'); await prepare();";
  const { code, out, err } = await runToEnd(['--input-type=module', '-e', script], { msMax: 180_000 });
  if (code !== 0) throw new Error(`the build failed:\n${out}${err}`);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}
