/** A Prometheus of this machine as a child process: for `npm run monitor` and for the test of dashboards and rules. */
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SynodError, messageOf } from '../../shared/base/errors.ts';

/** How to get what is not installed, for people. */
export const HOW_TO_GET =
  'On Debian and Ubuntu: apt-get install prometheus (it brings promtool). Elsewhere: the archive or container image of ' +
  'prometheus.io; put the program on the PATH.';

/** The path of a program of Prometheus, by the PATH; undefined where it is not installed. */
export function findProgram(name: 'prometheus' | 'promtool'): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        // Not there, or not to be run: the next folder may have it.
        return false;
      }
    });
}

export interface PrometheusOptions {
  /** The program, as `findProgram` found it. */
  readonly program: string;
  readonly configFile: string;
  /** What it stores goes here; made when missing. One Prometheus at a time uses it. */
  readonly data: string;
  /** On 127.0.0.1. */
  readonly port: number;
  /** Milliseconds until it must be ready. Default 30,000. */
  readonly readyMsMax?: number;
}

export interface RunningPrometheus {
  /** `http://127.0.0.1:9090` */
  readonly url: string;
  readonly pid: number;
  /** Resolves when the process ended, with what it said last. */
  readonly ended: Promise<string>;
  /** Reads the configuration anew. */
  reload(): void;
  /** Ends it, with SIGTERM and after `msMax` (default 10,000) with SIGKILL. */
  stop(msMax?: number): Promise<void>;
}

/** How much of what it said is kept to be told when it ends. */
const WORDS_MAX = 2_000;

/** Starts Prometheus and waits until it answers. Throws UNAVAILABLE with its last words when it does not. */
export async function startPrometheus(options: PrometheusOptions): Promise<RunningPrometheus> {
  const { program, configFile, data, port, readyMsMax = 30_000 } = options;
  const address = `127.0.0.1:${String(port)}`;
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const child = spawn(
    program,
    [
      ...[`--config.file=${configFile}`, `--storage.tsdb.path=${data}`, `--web.listen-address=${address}`],
      ...['--storage.tsdb.retention.time=15d', '--log.level=warn'],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let words = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-WORDS_MAX)));
  const state = { isOver: false };
  const ended = new Promise<string>((resolve) => {
    const end = (said: string): void => {
      state.isOver = true;
      resolve(said);
    };
    child.on('error', (error) => {
      end(error.message);
    });
    child.on('close', () => {
      end(words.trim());
    });
  });
  const stop = async (msMax = 10_000): Promise<void> => {
    if (state.isOver) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), msMax);
    await ended;
    clearTimeout(timer);
  };
  const url = `http://${address}`;
  for (const end = performance.now() + readyMsMax; ;) {
    const why = await whyNotReady(url);
    if (why === undefined) break;
    if (state.isOver) throw new SynodError('UNAVAILABLE', `Prometheus ended before it was ready: ${await ended}`);
    if (performance.now() > end) {
      await stop();
      throw new SynodError('UNAVAILABLE', `Prometheus at ${url} was not ready within ${String(readyMsMax)} ms: ${why}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { url, pid: child.pid ?? 0, ended, reload: () => child.kill('SIGHUP'), stop };
}

async function whyNotReady(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(2_000) });
    return answer.ok ? undefined : (await answer.text()).trim();
  } catch (error) {
    return messageOf(error);
  }
}
