/** `synodctl trace`: what really happens in a running cluster, of all its members in one order. */
import { writeFileSync } from 'node:fs';
import { messageOf } from '../../../shared/base/errors.ts';
import { memberName, mergeTraces } from '../../../shared/client/index.ts';
import type {
  MergedTrace,
  ProposalId,
  Proposed,
  TraceChange,
  Traced,
  TraceMember,
} from '../../../shared/client/index.ts';
import { realClock } from '../../../shared/platform/clock.ts';
import { readDuration } from '../../../shared/platform/config/values.ts';
import { readPayload } from '../../../shared/wire/codec/client.ts';
import { OK, withClient } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { UsageError } from '../exit.ts';
import { ageText } from '../table.ts';
import { showLine, showName } from '../text.ts';
import { TextChart } from '../trace/chart.ts';
import { jsonLine, timelineLine } from '../trace/line.ts';
import { lanesOf, Rows } from '../trace/rows.ts';
import type { Row } from '../trace/rows.ts';
import { svgOf } from '../trace/svg.ts';
import { parseValue } from '../values.ts';

export interface TraceOptions extends CommonOptions {
  readonly log?: string;
  readonly id?: string;
  readonly propose?: string;
  readonly for?: string;
  readonly svg?: string;
  readonly chart?: boolean;
  readonly all?: boolean;
}

/** What a picture takes; more is not readable, and memory is bounded. */
const SVG_ROWS_MAX = 2_000;
/** A chart's rows wait so long for more that belong to them. Milliseconds. */
const FLUSH_MS = 150;
/** How long `--propose` waits, once it is answered, for all learners to apply it. Milliseconds. */
const APPLY_MS = 3_000;
const FOR_MS_MAX = 7 * 24 * 3_600_000;

export async function trace(options: TraceOptions, context: Context): Promise<number> {
  const { io } = context;
  const proposal = options.id === undefined ? undefined : parseId(options.id);
  const forMs = options.for === undefined ? undefined : parseFor(options.for);
  const value = options.propose === undefined ? undefined : readPayload(parseValue(options.propose, false));
  if (context.json && (options.chart === true || options.svg !== undefined))
    throw new UsageError('--json prints events; give it without --chart and --svg');
  if (value !== undefined && proposal !== undefined) throw new UsageError('give --propose or --id, not both');
  const log = options.log ?? (value === undefined ? undefined : 'default');

  const stop = new AbortController();
  const end = (): void => {
    stop.abort();
  };
  io.signal.addEventListener('abort', end, { once: true });
  if (io.signal.aborted) end();
  const cancel = forMs === undefined ? (): void => undefined : realClock.after(forMs, end);
  const merged = mergeTraces(addressesOf(context), {
    ...(log === undefined ? {} : { log }),
    ...(proposal === undefined ? {} : { proposal }),
    values: true,
    idle: options.all ?? false,
    signal: stop.signal,
    onChange: (change) => {
      sayChange(change, context);
    },
  });
  try {
    const members = await merged.ready;
    const out = new Output(options, context, members, log);
    if (value === undefined) {
      io.err(`following ${members.length} members${forMs === undefined ? '; Ctrl-C ends' : ` for ${ageText(forMs)}`}`);
      for await (const event of merged) out.event(event, merged.sendingOf(event));
    } else
      for (const event of await proposeTraced(merged, members, log ?? 'default', value, context, end))
        out.event(event, merged.sendingOf(event));
    out.end();
    return OK;
  } finally {
    cancel();
    end();
    if (merged.dropped > 0)
      io.err(
        `${String(merged.dropped)} events are missing: more happened than is told (1,000 at once and 100 a second of each member); --log or --id look closer`,
      );
  }
}

/** Who can be asked; who is known to be down is told. */
function addressesOf({ endpoints, io }: Context): string[] {
  for (const { role, id, address, listening } of endpoints.places)
    if (!listening) io.err(`without ${role} ${String(id)}: nobody answers at ${address}`);
  const addresses = endpoints.places.filter(({ listening }) => listening).map(({ address }) => address);
  // Throws, with what to start, where there is nobody at all.
  return addresses.length > 0 ? addresses : endpoints.reachable('acceptor');
}

function sayChange({ address, member, change, why }: TraceChange, { io }: Context): void {
  if (change === 'lost')
    io.err(showLine(`${member === undefined ? address : memberName(member)} is not followed: ${why}`));
}

/** Proposes, waits until it is applied everywhere, and gives what belongs to it. */
async function proposeTraced(
  merged: MergedTrace,
  members: readonly TraceMember[],
  log: string,
  value: Uint8Array,
  context: Context,
  end: () => void,
): Promise<Traced[]> {
  const events: Traced[] = [];
  const learners = members.filter(({ role }) => role === 'learner').length;
  let proposed: Proposed | undefined;
  let failure: Error | undefined;
  const proposing = withClient(context, ['proposer'], async (client) => {
    proposed = await client.propose(log, value);
    realClock.after(APPLY_MS, end);
  }).catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error(messageOf(error));
    end();
  });
  for await (const event of merged) {
    if (event.log === log) events.push(event);
    if (proposed === undefined) continue;
    const { slot } = proposed;
    const done = new Set(
      events.flatMap((each) => (each.kind === 'applied' && covers(each, slot) ? [each.member.id] : [])),
    );
    if (done.size >= learners) end();
  }
  await proposing;
  if (failure !== undefined) throw failure;
  const slot = proposed?.slot ?? 0;
  return events.filter((event) => event.first === undefined || isPhase1(event) || covers(event, slot));
}

function covers({ first, count }: Traced, slot: number): boolean {
  return first !== undefined && first <= slot && slot < first + count;
}

/** It names the slots that it reports from, and is about the whole log. */
function isPhase1({ message }: Traced): boolean {
  return message === 'ask' || message === 'prepare' || message === 'promise';
}

/** Prints events in the form that was asked for, and keeps what a picture needs. */
class Output {
  readonly #options: TraceOptions;
  readonly #context: Context;
  readonly #members: readonly TraceMember[];
  readonly #log: string | undefined;
  readonly #rows: Rows;
  readonly #chart: TextChart | undefined;
  readonly #kept: Row[] = [];
  #missing = 0;
  #cancelFlush: (() => void) | undefined;

  constructor(options: TraceOptions, context: Context, members: readonly TraceMember[], log: string | undefined) {
    const { io } = context;
    this.#options = options;
    this.#context = context;
    this.#members = members;
    this.#log = log;
    this.#rows = new Rows(options.all ?? false);
    if (options.chart !== true) return;
    this.#chart = new TextChart(lanesOf(members), io.columns ?? 80, io.color ?? false);
    io.out(this.#chart.head());
  }

  event(event: Traced, send: Traced | undefined): void {
    const { io, json } = this.#context;
    if (json) io.out(jsonLine(event));
    else if (this.#chart === undefined) io.out(timelineLine(event, this.#log === undefined));
    if (this.#chart === undefined && this.#options.svg === undefined) return;
    this.#rows.push(event, send);
    this.#cancelFlush ??= realClock.after(FLUSH_MS, () => {
      this.#cancelFlush = undefined;
      this.#flush();
    });
  }

  end(): void {
    this.#cancelFlush?.();
    this.#flush();
    const { svg } = this.#options;
    if (svg === undefined) return;
    const notes = this.#missing === 0 ? [] : [`${String(this.#missing)} more rows are left out`];
    const title = `What happened${this.#log === undefined ? '' : ` in log ${showName(this.#log)}`}`;
    const lanes = lanesOf(this.#members);
    try {
      writeFileSync(svg, svgOf(this.#kept, { title, lanes, notes }));
    } catch (error) {
      throw new UsageError(`--svg ${showName(svg)} cannot be written: ${messageOf(error)}`);
    }
    this.#context.io.err(`${showName(svg)}: ${String(this.#kept.length)} rows`);
  }

  #flush(): void {
    for (const row of this.#rows.flush()) {
      for (const line of this.#chart?.lines(row) ?? []) this.#context.io.out(line);
      if (this.#options.svg === undefined) continue;
      if (this.#kept.length < SVG_ROWS_MAX) this.#kept.push(row);
      else this.#missing++;
    }
  }
}

/** `CLIENT:SESSION:SEQUENCE`, the client as 32 hex digits or base64; of a decree the client alone. */
function parseId(given: string): ProposalId {
  const [client = '', session = '0', sequence = '0', ...more] = given.split(':');
  const hex = /^[0-9a-f]{32}$/i.test(client) ? client.toLowerCase() : Buffer.from(client, 'base64').toString('hex');
  const numbers = [session, sequence].map((text) => (/^\d{1,16}$/.test(text) ? Number(text) : NaN));
  const [first = NaN, second = NaN] = numbers;
  if (hex.length !== 32 || more.length > 0 || !Number.isSafeInteger(first) || !Number.isSafeInteger(second))
    throw new UsageError(
      `--id must be CLIENT:SESSION:SEQUENCE as synodctl log --all --json shows them (of a decree CLIENT alone), not ${JSON.stringify(given)}`,
    );
  return { client: hex, session: first, sequence: second };
}

function parseFor(given: string): number {
  const ms = readDuration(given);
  if (ms !== undefined && ms >= 1 && ms <= FOR_MS_MAX) return ms;
  throw new UsageError(
    `--for must be a duration such as 500ms, 10s or 2m, from 1ms to ${ageText(FOR_MS_MAX)}, not ${JSON.stringify(given)}`,
  );
}
