/**
 * The processes of a run: a cluster of its own, whose members are hurt and brought back here alone. A member that ends when nobody
 * hurt it is a violation: no fault of another may end a process.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster } from '../../deploy/local/cluster.ts';
import type { Cluster, Member, Role, Shape } from '../../deploy/local/cluster.ts';

export type { Member, Role, Shape } from '../../deploy/local/cluster.ts';

/** Time for all members to be ready, at the start and after the last fault. */
const READY_MS_MAX = 90_000;
const POLL_MS = 20;
/** A member that ended so often by itself is not started again. */
const ENDS_MAX = 3;

/** Who it is, as in `acceptor 2`. */
export const nameOf = ({ role, id }: Pick<Member, 'role' | 'id'>): string => `${role} ${id}`;

export interface CrewOptions {
  readonly shape: Shape;
  readonly roleArguments: Readonly<Partial<Record<Role, readonly string[]>>>;
  /** A member ended and nobody had hurt it; the sentence holds the end of its log. */
  readonly onUnexpectedEnd: (sentence: string) => void;
  readonly signal: AbortSignal;
}

export class Crew {
  readonly cluster: Cluster;
  readonly #folder: string;
  readonly #options: CrewOptions;
  /** Members that may end, and how often that is allowed now. */
  readonly #hurt = new Map<string, number>();
  readonly #onStop: (() => void)[] = [];
  readonly #ends = new Map<string, number>();
  #stopping = false;

  private constructor(cluster: Cluster, folder: string, options: CrewOptions) {
    this.cluster = cluster;
    this.#folder = folder;
    this.#options = options;
    for (const member of this.members) this.#watch(member);
  }

  static async start(options: CrewOptions): Promise<Crew> {
    const folder = mkdtempSync(join(tmpdir(), 'synod-chaos-'));
    try {
      const cluster = await startCluster({
        ...options.shape,
        ...{ data: join(folder, 'data'), portBase: 'free', restart: false, faults: true, readyMsMax: READY_MS_MAX },
        roleArguments: options.roleArguments,
        signal: options.signal,
      });
      return new Crew(cluster, folder, options);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get members(): readonly Member[] {
    return this.cluster.members;
  }

  of(role: Role): Member[] {
    return this.members.filter((member) => member.role === role);
  }

  pid({ role, id }: Member): number | undefined {
    return this.cluster.pid(role, id);
  }

  /** What undoes a fault that a run left behind when it was given up. */
  onStop(undo: () => void): void {
    this.#onStop.push(undo);
  }

  /** From here on a member may end, until the returned function is called. */
  mayEnd(member: Member): () => void {
    const name = nameOf(member);
    this.#hurt.set(name, (this.#hurt.get(name) ?? 0) + 1);
    return () => this.#hurt.set(name, (this.#hurt.get(name) ?? 1) - 1);
  }

  /** Ends members with a signal and waits until they are gone. Those that do not run are left as they are. */
  async end(members: readonly Member[], signal: NodeJS.Signals): Promise<void> {
    const allowed = members.map((member) => this.mayEnd(member));
    for (const { role, id } of members) this.cluster.kill(role, id, signal);
    await Promise.all(members.map(({ role, id }) => this.cluster.ended(role, id)));
    // The watch of each member is told in the same turn as this function.
    await new Promise((resolve) => setImmediate(resolve));
    for (const done of allowed) done();
  }

  /** Starts those of the members that do not run. It does not wait until they are ready. */
  async back(members: readonly Member[]): Promise<void> {
    const down = members.filter((member) => this.pid(member) === undefined);
    await Promise.all(down.map(({ role, id }) => this.cluster.restart(role, id)));
    for (const member of down) this.#watch(member);
  }

  signal(member: Member, signal: NodeJS.Signals): void {
    this.cluster.kill(member.role, member.id, signal);
  }

  /** The last lines of a member's log, in one. */
  lastWords({ role, id }: Member, lines = 5): string {
    const text = readFileSync(join(this.#folder, 'data', 'logs', `${role}-${id}.log`), 'utf8').trimEnd();
    return text.split('\n').slice(-lines).join(' ⏎ ').slice(-1_500);
  }

  /** A folder of this run, gone with it. */
  folder(name: string): string {
    return join(this.#folder, name);
  }

  /** Copies what all members printed. */
  keepLogs(to: string): void {
    cpSync(join(this.#folder, 'data', 'logs'), to, { recursive: true });
  }

  /** Stops all and leaves nothing behind. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    // A process that is stopped hears nothing else.
    for (const member of this.members) this.signal(member, 'SIGCONT');
    await this.cluster.stop();
    for (const undo of this.#onStop.reverse()) undo();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #watch(member: Member): void {
    const pid = this.pid(member);
    void this.cluster.ended(member.role, member.id).then(() => {
      if (this.#stopping || (this.#hurt.get(nameOf(member)) ?? 0) > 0) return;
      this.#options.onUnexpectedEnd(
        `${nameOf(member)} (pid ${pid ?? 'unknown'}) ended although nothing was done to it; it said last: ${this.lastWords(member)}`,
      );
      const ends = (this.#ends.get(nameOf(member)) ?? 0) + 1;
      this.#ends.set(nameOf(member), ends);
      if (ends < ENDS_MAX) void this.back([member]);
    });
  }
}

/** Waits until a condition gives something; undefined when it does not within the time, or when the run is given up. */
export async function within<T>(
  msMax: number,
  signal: AbortSignal,
  condition: () => Promise<T | undefined> | T | undefined,
): Promise<T | undefined> {
  for (const end = performance.now() + msMax; ;) {
    const found = await condition();
    if (found !== undefined || performance.now() > end || signal.aborted) return found;
    await pause(POLL_MS, signal);
  }
}

/** Lets time pass; ends early, without an error, when the signal comes. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
