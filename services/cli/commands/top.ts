/** `synodctl top`: the whole cluster at work, drawn again every second. */
import { readDuration } from '../../../shared/platform/config/values.ts';
import { OK, contextOf } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import type { Screen } from '../io.ts';
import { gather } from './gather.ts';
import { screenOf } from './top-screen.ts';
import type { Size } from './top-screen.ts';
import { viewOf } from './top-view.ts';
import type { Sample, View } from './top-view.ts';

export interface TopOptions extends CommonOptions {
  readonly once?: boolean;
  readonly interval?: string;
}

const INTERVAL_MS = 1_000;
const INTERVAL_MS_MIN = 100;
const INTERVAL_MS_MAX = 3_600_000;
/** Logs that are looked at. */
const LOGS_MAX = 1_000;
/** Where there is no terminal to ask. */
const COLUMNS = 80;
const ROWS = 24;

export async function top(options: TopOptions, context: Context): Promise<number> {
  const { io, json } = context;
  const intervalMs = readInterval(options.interval);
  const { screen } = io;
  if (screen !== undefined && !json && options.once !== true) return live(options, context, intervalMs, screen);
  let before = await sample(options, context, intervalMs);
  for (let first = true; ; first = false) {
    await wait(intervalMs, io.signal);
    if (io.signal.aborted) return OK;
    const now = await sample(options, context, intervalMs);
    const view = viewOf(before, now);
    before = now;
    if (json) io.out(JSON.stringify({ at: new Date().toISOString(), ...view }));
    else {
      if (!first) io.out('');
      for (const line of screenOf(view, Date.now(), sizeOf(screen, false))) io.out(line);
    }
    if (options.once === true) return exitCodeOf(view, context);
  }
}

/** Draws until q or Ctrl-C; the terminal is then as it was. */
async function live(options: TopOptions, context: Context, intervalMs: number, screen: Screen): Promise<number> {
  const quit = new AbortController();
  const signal = AbortSignal.any([quit.signal, context.io.signal]);
  const close = screen.open((key) => {
    if (key === 'q' || key === 'Q' || key === '\u0003') quit.abort();
  });
  try {
    let before: Sample | undefined;
    while (!signal.aborted) {
      const now = await until(signal, sample(options, context, intervalMs));
      if (now === undefined) break;
      screen.draw(screenOf(viewOf(before, now), Date.now(), sizeOf(screen, true)));
      before = now;
      await wait(intervalMs, signal);
    }
  } finally {
    close();
  }
  return OK;
}

function sizeOf(screen: Screen | undefined, live: boolean): Size {
  return { columns: screen?.columns() ?? COLUMNS, rows: screen?.rows() ?? ROWS, live };
}

function readInterval(given: string | undefined): number {
  if (given === undefined) return INTERVAL_MS;
  const ms = readDuration(given);
  if (ms !== undefined && ms >= INTERVAL_MS_MIN && ms <= INTERVAL_MS_MAX) return ms;
  throw new UsageError(`--interval must be a time from 100ms to 1h, such as 2s, not ${JSON.stringify(given)}`);
}

async function sample(options: TopOptions, context: Context, intervalMs: number): Promise<Sample> {
  // Members come and go: who listens is found out each time. One that hangs must not hold up the others for long.
  const { endpoints } = await contextOf(options, context.io);
  const timeoutMs = Math.min(context.timeoutMs, Math.max(intervalMs, INTERVAL_MS));
  const members = await gather({ ...context, endpoints, timeoutMs }, { all: false, logsMax: LOGS_MAX });
  return { at: performance.now(), members };
}

function exitCodeOf({ proposers, acceptors, learners }: View, context: Context): number {
  if ([...proposers, ...acceptors, ...learners].some(({ state }) => state !== 'down')) return OK;
  context.io.err(
    `synodctl: nobody answers at any of ${context.endpoints.places.map((each) => each.address).join(', ')}`,
  );
  return EXIT.unreachable;
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done, { once: true });
  });
}

/** Undefined as soon as the signal comes: what was asked for is not waited for. */
function until<T>(signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  return Promise.race([
    work,
    new Promise<undefined>((resolve) => {
      const done = (): void => {
        resolve(undefined);
      };
      if (signal.aborted) done();
      else signal.addEventListener('abort', done, { once: true });
    }),
  ]);
}
