/** `synodctl history`: what became of proposals, as the proposers remember it; and of one, as everybody knows it. */
import { clientHeader, formatProposalId, parseProposalId } from '../../../shared/client/index.ts';
import type { ProposalIdPrefix } from '../../../shared/client/index.ts';
import { logName } from '../../../shared/wire/codec/fields.ts';
import { PROPOSAL_ENDS } from '../../../shared/wire/codec/history.ts';
import type { ProposalCount } from '../../../shared/wire/gen/synod/v1/history.ts';
import type { HistoryRequest } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import { OK, parseNumber } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { UsageError } from '../exit.ts';
import { table } from '../table.ts';
import { showLine } from '../text.ts';
import { askAll, keptText } from './history-ask.ts';
import type { Told } from './history-ask.ts';
import { explain } from './history-explain.ts';
import { HISTORY_HEAD, historyCells, historyJson, historyRows, refusalOf } from './history-rows.ts';
import type { HistoryRow } from './history-rows.ts';

export interface HistoryOptions extends CommonOptions {
  readonly log?: string;
  readonly id?: string;
  readonly slot?: string;
  readonly limit?: string;
  readonly all?: boolean;
}

const LIMIT = 20;
const LIMIT_MAX = 10_000;

export async function history(options: HistoryOptions, context: Context): Promise<number> {
  const limit = options.limit === undefined ? LIMIT : parseNumber(options.limit, '--limit', 1, LIMIT_MAX);
  const slot = options.slot === undefined ? undefined : parseNumber(options.slot, '--slot', 0);
  if (slot !== undefined && options.log === undefined)
    throw new UsageError('--slot needs --log: every log has such a slot');
  const log = options.log === undefined ? undefined : logName(options.log);
  const id = options.id === undefined ? undefined : readId(options.id);
  const request = requestOf({ log, slot, id, sessions: options.all ?? id !== undefined });
  // A proposal that was forwarded has two records.
  const told = await askAll(context, request, id === undefined ? 2 * limit : LIMIT_MAX);
  const rows = historyRows(told).filter((row) => id === undefined || row.client.startsWith(id.client));
  if (id !== undefined) return explain(id, oneOf(rows, id), log, told, context);
  print(rows.slice(-limit), told, context, log);
  return OK;
}

function readId(given: string): ProposalIdPrefix {
  const id = parseProposalId(given);
  if (id !== undefined) return id;
  throw new UsageError(
    `--id must be CLIENT:SESSION:SEQUENCE, or CLIENT for a decree, where CLIENT is the first 4 to 32 hex digits, not ${JSON.stringify(given)}; synodctl history and propose --json print ids`,
  );
}

function requestOf(wanted: {
  readonly log: string | undefined;
  readonly slot: number | undefined;
  readonly id: ProposalIdPrefix | undefined;
  readonly sessions: boolean;
}): HistoryRequest {
  const { log, slot, id, sessions } = wanted;
  const digits = id?.client ?? '';
  return {
    ...{ header: clientHeader(), log: log ?? '', slot, sessions, before: 0, limit: 0 },
    // Half a byte is looked at here.
    client: Buffer.from(digits.slice(0, digits.length - (digits.length % 2)), 'hex'),
    session: id?.session,
    sequence: id?.sequence,
  };
}

/** The proposal that is meant. Throws UsageError where the digits of the id fit several. */
function oneOf(rows: readonly HistoryRow[], id: ProposalIdPrefix): HistoryRow | undefined {
  const others = rows.filter((row) => row.kind !== 'session');
  const exact = others.filter((row) => id.session !== undefined || row.kind === 'decree');
  const fitting = [exact, others, rows].find((some) => some.length > 0) ?? [];
  if (fitting.length <= 1) return fitting[0];
  const some = fitting.slice(-5).map((row) => `${row.id} in log ${JSON.stringify(row.log)}`);
  throw new UsageError(
    `--id fits ${String(fitting.length)} proposals: give more of ${formatProposalId({ client: id.client, session: id.session ?? 0, sequence: id.sequence ?? 0 })}, or --log; for example ${some.join(', ')}`,
  );
}

function print(rows: readonly HistoryRow[], told: readonly Told[], context: Context, log: string | undefined): void {
  const { io, json } = context;
  const counts = sumCounts(told);
  if (json) {
    for (const row of rows) io.out(JSON.stringify(historyJson(row)));
    const proposers = told.map(({ proposer, last, trouble }) =>
      last === undefined
        ? { proposer, trouble }
        : { proposer, ended: last.ended, kept: last.kept, keptMax: last.keptMax, uptimeMs: last.uptimeMs },
    );
    io.out(JSON.stringify({ counts, proposers }));
    return;
  }
  if (rows.length === 0)
    io.out(
      log === undefined
        ? 'No proposal is remembered: proposers remember those that ended since their start.'
        : `No proposal of log ${showLine(JSON.stringify(log))} is remembered; synodctl logs shows which logs there are.`,
    );
  else for (const line of table(HISTORY_HEAD, rows.map(historyCells))) io.out(line);
  io.out('');
  io.out('All logs, since the start of each proposer, openings of sessions included:');
  for (const line of counts.map(countText)) io.out(`  ${showLine(line)}`);
  if (counts.length === 0) io.out('  nothing yet');
  for (const line of told.map(keptText)) io.out(`  ${showLine(line)}`);
}

interface CountRow {
  readonly protocol: 'basic' | 'multi';
  readonly end: string;
  readonly code: string | null;
  readonly outcome: string | null;
  readonly count: number;
  readonly message: string | null;
}

/** Over all proposers; successes first, then the most frequent. */
function sumCounts(told: readonly Told[]): CountRow[] {
  const sums = new Map<string, CountRow>();
  for (const each of told.flatMap(({ last }) => last?.counts ?? [])) {
    const row = countRow(each);
    const key = [row.protocol, row.end, row.code, row.outcome].join();
    const known = sums.get(key);
    sums.set(key, known === undefined ? row : { ...known, count: known.count + row.count });
  }
  return [...sums.values()].sort((a, b) => Number(a.code !== null) - Number(b.code !== null) || b.count - a.count);
}

function countRow(count: ProposalCount): CountRow {
  return {
    protocol: count.protocol === 1 ? 'basic' : 'multi',
    end: PROPOSAL_ENDS[count.end] ?? 'refused',
    count: count.count,
    ...refusalOf(count),
  };
}

function countText({ protocol, end, code, outcome, count, message }: CountRow): string {
  const reason = code === null ? '' : ` ${code}, outcome ${outcome ?? 'unknown'}; the last: ${message ?? ''}`;
  return `${String(count)} ${end}${protocol === 'basic' ? ' by basic' : ''}${reason}`;
}
