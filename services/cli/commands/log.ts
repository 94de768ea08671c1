/** `synodctl log` and `synodctl subscribe`: what was chosen, slot by slot. */
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import type { Entry } from '../../../shared/client/index.ts';
import { OK, parseNumber, withClient } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { jsonValue, showValue } from '../values.ts';

export interface LogOptions extends CommonOptions {
  readonly log: string;
  readonly from: string;
  readonly limit?: string;
  readonly all?: boolean;
  readonly local?: boolean;
  readonly base64?: boolean;
}

const LIMIT = 100;

export async function showLog(options: LogOptions, context: Context): Promise<number> {
  let from = parseNumber(options.from, '--from', 0);
  let left = options.limit === undefined ? LIMIT : parseNumber(options.limit, '--limit', 1);
  // The first page finds out where the end is; the others need not ask a quorum again.
  let linearizable = options.local !== true;
  return withClient(context, ['learner'], async (client) => {
    for (;;) {
      const page = await client.read(options.log, {
        from,
        limit: Math.min(left, 1_000),
        linearizable,
        all: options.all ?? false,
      });
      if (from < page.first && page.entries.length === 0)
        context.io.err(`slots below ${String(page.first)} are not kept by this learner`);
      for (const entry of page.entries) print(entry, options, context);
      left -= page.entries.length;
      linearizable = false;
      if (page.next >= page.applied || page.next <= from) return OK;
      from = page.next;
      if (left <= 0) {
        if (options.limit === undefined)
          context.io.err(`… and more: --from ${String(from)}, or --limit N for longer pages`);
        return OK;
      }
    }
  });
}

export async function subscribe(options: LogOptions, context: Context): Promise<number> {
  const from = parseNumber(options.from, '--from', 0);
  const limit = options.limit === undefined ? Infinity : parseNumber(options.limit, '--limit', 1);
  return withClient(context, ['learner'], async (client) => {
    let count = 0;
    const { signal } = context.io;
    for await (const entry of client.subscribe(options.log, { from, all: options.all ?? false, signal })) {
      print(entry, options, context);
      if (++count >= limit) break;
    }
    return OK;
  });
}

function print(entry: Entry, options: LogOptions, { io, json }: Context): void {
  const { slot, kind, effect, client, session, sequence } = entry;
  const base64 = options.base64 ?? false;
  const ballot = entry.ballot === undefined ? undefined : formatBallot(entry.ballot);
  if (json) {
    const id = kind === 'no-op' ? {} : { client, session, sequence };
    io.out(JSON.stringify({ slot, ballot: ballot ?? null, kind, effect, ...id, ...jsonValue(entry.value, base64) }));
    return;
  }
  const what =
    kind === 'proposal' || kind === 'decree'
      ? `${showValue(entry.value, base64)}${effect === 'applied' ? '' : `  (${effect})`}`
      : `(${kind}${kind === 'session' ? ` of ${client}` : ''})`;
  io.out(`slot ${String(slot)}  ballot ${ballot ?? '–'}  ${what}`);
}
