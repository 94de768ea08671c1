/** CPU seconds and memory of processes, from /proc; zero where the system has none. */
import { existsSync, readFileSync } from 'node:fs';

/** Clock ticks a second in /proc, the same on every Linux that Node runs on. */
const TICKS = 100;

export interface Usage {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly anonymousBytes: number;
}

const NOTHING: Usage = { cpuSeconds: 0, rssBytes: 0, anonymousBytes: 0 };

export function usageOf(pid: number | undefined): Usage {
  const folder = `/proc/${String(pid)}`;
  if (pid === undefined || !existsSync(`${folder}/stat`)) return NOTHING;
  try {
    const stat = readFileSync(`${folder}/stat`, 'utf8');
    // The second field, the name, may hold spaces; the 12th and 13th after it are user and system time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`${folder}/status`, 'utf8');
    const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
      rssBytes: kilobytes('VmRSS') * 1024,
      anonymousBytes: kilobytes('RssAnon') * 1024,
    };
  } catch {
    // It ended between the look and the reading.
    return NOTHING;
  }
}

export interface RoleUsage {
  /** Of all processes of the role together, while it was watched. */
  cpuSeconds: number;
  /** Of the largest process of the role. */
  peakRssBytes: number;
  peakAnonymousBytes: number;
}

/** Watches processes, each under the name of its role, until it is stopped. */
export class Watch {
  readonly #pids: () => readonly { readonly role: string; readonly pid: number | undefined }[];
  readonly #roles = new Map<string, RoleUsage>();
  readonly #last = new Map<number, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(pids: () => readonly { readonly role: string; readonly pid: number | undefined }[]) {
    this.#pids = pids;
    this.#sample();
    this.#timer = setInterval(() => {
      this.#sample();
    }, 500);
  }

  stop(): Record<string, RoleUsage> {
    clearInterval(this.#timer);
    this.#sample();
    return Object.fromEntries(this.#roles);
  }

  #sample(): void {
    for (const { role, pid } of this.#pids()) {
      const now = usageOf(pid);
      if (pid === undefined || now === NOTHING) continue;
      const sum = this.#roles.get(role) ?? { cpuSeconds: 0, peakRssBytes: 0, peakAnonymousBytes: 0 };
      this.#roles.set(role, sum);
      sum.cpuSeconds += now.cpuSeconds - (this.#last.get(pid) ?? now.cpuSeconds);
      this.#last.set(pid, now.cpuSeconds);
      sum.peakRssBytes = Math.max(sum.peakRssBytes, now.rssBytes);
      sum.peakAnonymousBytes = Math.max(sum.peakAnonymousBytes, now.anonymousBytes);
    }
  }
}
