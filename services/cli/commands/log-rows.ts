/** One log as all roles together see it. */
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import { readBallot } from '../../../shared/wire/codec/fields.ts';
import type { Ballot } from '../../../shared/wire/gen/synod/v1/common.ts';
import { LogState } from '../../../shared/wire/gen/synod/v1/common.ts';
import { Leading } from '../../../shared/wire/gen/synod/v1/proposer.ts';
import { showName } from '../text.ts';
import type { Member, Said } from './gather.ts';

export interface LogRow {
  readonly log: string;
  readonly state: 'led' | 'open' | 'closed' | 'unknown';
  readonly leader: number | null;
  readonly ballot: string | null;
  /** One above the highest slot that any acceptor voted in. */
  readonly end: number;
  readonly watermark: number;
  /** All slots below are applied, by learner. */
  readonly applied: Readonly<Record<string, number>>;
  readonly floor: number;
  readonly inFlight: number;
  readonly queued: number;
  /** What keeps votes from being trimmed, and what learners wait for. */
  readonly notes: readonly string[];
}

type LogOf<R extends Said['role']> = Extract<Said, { role: R }>['logs'][number];

interface Seen {
  readonly acceptors: { readonly id: number; readonly log: LogOf<'acceptor'> }[];
  readonly proposers: { readonly id: number; readonly log: LogOf<'proposer'> }[];
  readonly learners: { readonly id: number; readonly log: LogOf<'learner'> }[];
}

/** One row a log, in the order of their names. */
export function logRows(members: readonly Member[]): LogRow[] {
  const seen = new Map<string, Seen>();
  const at = (log: string): Seen => {
    const found = seen.get(log) ?? { acceptors: [], proposers: [], learners: [] };
    seen.set(log, found);
    return found;
  };
  for (const { id, said } of members) {
    if (typeof said === 'string') continue;
    if (said.role === 'acceptor') for (const log of said.logs) at(log.log).acceptors.push({ id, log });
    else if (said.role === 'proposer') for (const log of said.logs) at(log.log).proposers.push({ id, log });
    else for (const log of said.logs) at(log.log).learners.push({ id, log });
  }
  return [...seen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([log, by]) => rowOf(log, by));
}

function rowOf(log: string, { acceptors, proposers, learners }: Seen): LogRow {
  const leads = proposers.find((each) => each.log.leading === Leading.LEADING_LEADS);
  const known = proposers.find((each) => each.log.leader !== undefined);
  const promised = acceptors.reduce<LogOf<'acceptor'> | undefined>(
    (best, { log: each }) => ((each.promised?.round ?? 0) > (best?.promised?.round ?? -1) ? each : best),
    undefined,
  );
  const leader = leads?.id ?? promised?.leader ?? known?.log.leader ?? null;
  return {
    log,
    state: leads === undefined ? stateText(promised?.state) : 'led',
    leader,
    ballot: ballotText(leads?.log.ballot ?? promised?.promised),
    end: greatest([
      ...acceptors.map((each) => (each.log.highest ?? -1) + 1),
      ...learners.map((each) => each.log.seen),
      leads?.log.next ?? 0,
    ]),
    watermark: greatest([...acceptors, ...proposers].map((each) => each.log.watermark)),
    applied: Object.fromEntries(learners.map(({ id, log: each }) => [String(id), each.applied])),
    floor: greatest(acceptors.map((each) => each.log.floor)),
    inFlight: sum(proposers.map((each) => each.log.inFlight)),
    queued: sum(proposers.map((each) => each.log.queued)),
    notes: [
      ...new Set([
        ...acceptors.filter((each) => each.log.keptBecause !== '').map((each) => `kept: ${each.log.keptBecause}`),
        ...learners
          .filter((each) => each.log.waitsFor !== '')
          .map((each) => `learner ${String(each.id)} waits: ${each.log.waitsFor}`),
      ]),
    ],
  };
}

/** A row for a table: log, state, leader, ballot, end, watermark, applied by learner, floor, in flight. */
export const LOG_HEAD = [
  'log',
  'leader',
  'ballot',
  'end',
  'watermark',
  'applied',
  'floor',
  'in flight',
  'queued',
  'notes',
];

export function logCells(row: LogRow): string[] {
  const applied = Object.entries(row.applied).map(([id, slot]) => `${id}:${String(slot)}`);
  return [
    showName(row.log),
    row.state === 'led' && row.leader !== null ? `proposer ${String(row.leader)}` : row.state,
    row.ballot ?? '–',
    ...[row.end, row.watermark].map(String),
    applied.join(' ') || '–',
    ...[row.floor, row.inFlight, row.queued].map(String),
    row.notes.join('; '),
  ];
}

function stateText(state: number | undefined): LogRow['state'] {
  switch (state) {
    case LogState.LOG_STATE_OPEN:
      return 'open';
    case LogState.LOG_STATE_CLOSED:
      return 'closed';
    case LogState.LOG_STATE_LED:
      return 'led';
    default:
      return 'unknown';
  }
}

export function ballotText(ballot: Ballot | undefined): string | null {
  return ballot === undefined ? null : formatBallot(readBallot(ballot, 'ballot'));
}

function greatest(numbers: readonly number[]): number {
  return Math.max(0, ...numbers);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
