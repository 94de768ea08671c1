/** The lines of `synodctl top`: everything in 80 columns, and in as many lines as there are. */
import { bytesText } from '../table.ts';
import { columnsOf, cutTo, showLine, showName } from '../text.ts';
import { timeText } from './history-rows.ts';
import { ENDS } from './top-view.ts';
import type { LogView, Quantiles, Row, View } from './top-view.ts';

/** Widths of columns, each with one space before it but the first; negative: to the left. */
type Widths = readonly number[];

const PROPOSERS: Widths = [-8, -9, 5, 9, 6, 8, 13, 13];
const ACCEPTORS: Widths = [-8, -9, 7, 10, 9, 13, 9, 8];
const LEARNERS: Widths = [-8, -9, 9, 8, 13, 7, 10];
const LOGS: Widths = [-26, -10, -15, 9, 9];

/** The size of a screen, and whether it is drawn again and again. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
  readonly live: boolean;
}

/** One screen; logs that do not fit are counted in the last line. */
export function screenOf(view: View, at: number, { columns, rows, live }: Size): string[] {
  const lines = [...headLines(view, at, columns, live), ...memberLines(view)];
  const left = Math.max(2, rows - lines.length);
  lines.push(...logLines(view.logs, left));
  return lines.slice(0, rows).map((line) => cutTo(showLine(line), columns));
}

function headLines({ overMs, proposers }: View, at: number, columns: number, live: boolean): string[] {
  const sums = ENDS.map((end) => `${rateText(sum(proposers.map((row) => row.perSecond[end] ?? null)))} ${end}`);
  const over = overMs === null ? 'rates follow' : `over ${(overMs / 1_000).toFixed(1)} s`;
  const left = `synodctl top${live ? '   q ends' : ''}`;
  const right = `${over}   ${timeText(at)}`;
  const width = Math.min(columns, 80);
  return [left + right.padStart(Math.max(1, width - left.length)), `proposals/s:  ${sums.join('   ')}`, ''];
}

function memberLines({ proposers, acceptors, learners }: View): string[] {
  return [
    line(PROPOSERS, ['', '', '', '', '', '', 'promise ms', 'accept ms']),
    line(PROPOSERS, ['proposer', 'state', 'leads', 'in flight', 'queued', 'chosen/s', 'p50/p99', 'p50/p99']),
    ...proposers.flatMap((row) => withWhy(row, proposerLine(row))),
    '',
    line(ACCEPTORS, ['acceptor', 'state', 'votes/s', 'promises/s', 'rejects/s', 'fsync p50/p99', 'journal', 'queued']),
    ...acceptors.flatMap((row) => withWhy(row, acceptorLine(row))),
    '',
    line(LEARNERS, ['learner', 'state', 'learned/s', 'reads/s', 'apply p50/p99', 'behind', 'store']),
    ...learners.flatMap((row) => withWhy(row, learnerLine(row))),
    '',
  ];
}

function proposerLine({ id, state, now, perSecond, ms }: Row): string {
  return line(PROPOSERS, [
    ...[String(id), state, countText(now['leads']), countText(now['inFlight']), countText(now['queued'])],
    ...[rateText(perSecond['chosen']), msText(ms['promise']), msText(ms['accept'])],
  ]);
}

function acceptorLine({ id, state, now, perSecond, ms }: Row): string {
  return line(ACCEPTORS, [
    ...[String(id), state, rateText(perSecond['votes']), rateText(perSecond['promises'])],
    ...[rateText(perSecond['rejects']), msText(ms['fsync'])],
    ...[bytesText(now['bytes'] ?? 0), bytesText(now['queuedBytes'] ?? 0)],
  ]);
}

function learnerLine({ id, state, now, perSecond, ms }: Row): string {
  return line(LEARNERS, [
    ...[String(id), state, rateText(perSecond['learned']), rateText(perSecond['reads']), msText(ms['apply'])],
    ...[countText(now['behind']), bytesText(now['bytes'] ?? 0)],
  ]);
}

/** Why a member is not ready comes in its place where it is down, and under it where it still has something to show. */
function withWhy({ id, state, why }: Row, shown: string): string[] {
  if (state === 'ready') return [shown];
  return state === 'down' ? [`${String(id).padEnd(8)} down      ${why}`] : [shown, `         ${why}`];
}

function logLines(logs: readonly LogView[], rows: number): string[] {
  if (logs.length === 0) return ['No logs yet: a log is made by its first proposal.'];
  const shown = logs.length + 1 <= rows ? logs.length : Math.max(0, rows - 2);
  const more = logs.length - shown;
  return [
    line(LOGS, ['log', 'leader', 'ballot', 'end', 'chosen/s']),
    ...logs
      .slice(0, shown)
      .map((log) =>
        line(LOGS, [
          cutTo(showName(log.log), 26),
          log.state === 'led' && log.leader !== null ? `proposer ${String(log.leader)}` : log.state,
          log.ballot ?? '–',
          String(log.end),
          rateText(log.chosenPerSecond),
        ]),
      ),
    ...(more > 0 ? [`… and ${String(more)} more logs; see synodctl logs`] : []),
  ];
}

function line(widths: Widths, cells: readonly string[]): string {
  return cells
    .map((cell, at) => {
      const width = widths[at] ?? 0;
      const padding = ' '.repeat(Math.max(0, Math.abs(width) - columnsOf(cell)));
      return width < 0 ? cell + padding : padding + cell;
    })
    .join(' ')
    .trimEnd();
}

/** `0.8/2.5`: half took less than the first, all but one in a hundred less than the second. */
function msText({ p50, p99 }: Quantiles = { p50: null, p99: null }): string {
  if (p50 === null || p99 === null) return '–';
  return [p50, p99].map((ms) => ms.toFixed(ms >= 100 ? 0 : 1)).join('/');
}

function rateText(rate: number | null | undefined): string {
  if (rate === null || rate === undefined) return '–';
  return rate >= 10 || rate === 0 ? String(Math.round(rate)) : rate.toFixed(1);
}

function countText(count: number | undefined): string {
  return count === undefined ? '–' : String(count);
}

function sum(rates: readonly (number | null)[]): number | null {
  const known = rates.filter((rate) => rate !== null);
  return known.length === 0 ? null : known.reduce((total, rate) => total + rate, 0);
}
