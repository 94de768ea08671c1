/** One proposal as all proposers together remember it: its records at whoever was asked, and at whoever led. */
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import type { Outcome } from '../../../shared/base/errors.ts';
import { formatProposalId } from '../../../shared/client/index.ts';
import { readBallot } from '../../../shared/wire/codec/fields.ts';
import { PROPOSAL_ENDS } from '../../../shared/wire/codec/history.ts';
import { OUTCOMES } from '../../../shared/wire/codec/peers.ts';
import type { ProposalCount, ProposalRecord } from '../../../shared/wire/gen/synod/v1/history.ts';
import { EntryKind } from '../../../shared/wire/gen/synod/v1/values.ts';
import { codeOf } from '../../../shared/wire/status.ts';
import { showName } from '../text.ts';

export type End = 'chosen' | 'known' | 'refused' | 'timeout';

/** How a proposal ended at one proposer. */
export interface Sending {
  readonly proposer: number;
  /** The proposer that gave it to that one; null: a client asked there. */
  readonly forwardedBy: number | null;
  readonly end: End;
  readonly slot: number | null;
  readonly otherSlot: number | null;
  readonly ballot: string | null;
  readonly leader: number | null;
  readonly rounds: number;
  readonly retry: boolean;
  readonly ms: number;
  /** Milliseconds since 1970 by that proposer's clock. */
  readonly at: number;
  readonly code: string | null;
  readonly message: string | null;
  readonly outcome: Outcome | null;
  /** A decree: the value of another was chosen. */
  readonly othersValue: boolean;
}

export interface HistoryRow {
  readonly id: string;
  readonly client: string;
  readonly session: number;
  readonly sequence: number;
  readonly log: string;
  readonly kind: 'proposal' | 'decree' | 'session' | 'unknown';
  readonly protocol: 'basic' | 'multi';
  /** What is known of it over all sendings: chosen, where anybody saw that. */
  readonly best: Sending;
  /** What its client was told last; null: that proposer is not there any more, or has forgotten it. */
  readonly told: Sending | null;
  /** All of them, the oldest first. */
  readonly sendings: readonly Sending[];
}

export interface Remembered {
  readonly proposer: number;
  readonly records: readonly ProposalRecord[];
}

const KINDS: Readonly<Record<number, HistoryRow['kind']>> = {
  [EntryKind.ENTRY_KIND_COMMAND]: 'proposal',
  [EntryKind.ENTRY_KIND_DECREE]: 'decree',
  [EntryKind.ENTRY_KIND_OPEN_SESSION]: 'session',
};
/** What says more comes first. */
const ENDS: readonly End[] = ['chosen', 'known', 'timeout', 'refused'];

/** One row a proposal, by the time at which it was last answered, the newest last. */
export function historyRows(remembered: readonly Remembered[]): HistoryRow[] {
  const byId = new Map<string, { record: ProposalRecord; sendings: Sending[] }>();
  for (const { proposer, records } of remembered)
    for (const record of [...records].reverse()) {
      const { client, session, sequence, log, kind } = record;
      const key = JSON.stringify([log, kind, Buffer.from(client).toString('hex'), session, sequence]);
      const known = byId.get(key) ?? { record, sendings: [] };
      known.sendings.push(sendingOf(proposer, record));
      byId.set(key, known);
    }
  return [...byId.values()]
    .map(({ record, sendings }) => rowOf(record, sendings))
    .sort((a, b) => lastOf(a) - lastOf(b));
}

function rowOf(record: ProposalRecord, unsorted: readonly Sending[]): HistoryRow {
  // A leader answers before the proposer that forwarded to it.
  const sendings = [...unsorted].sort((a, b) => a.at - b.at || Number(b.forwardedBy) - Number(a.forwardedBy));
  const { session, sequence, log } = record;
  const client = Buffer.from(record.client).toString('hex');
  const asked = sendings.filter((each) => each.forwardedBy === null);
  const order = [...asked.reverse(), ...sendings];
  const best = ENDS.flatMap((end) => order.filter((each) => each.end === end))[0] as Sending;
  return {
    ...{ id: formatProposalId({ client, session, sequence }), client, session, sequence, log, sendings },
    kind: KINDS[record.kind] ?? 'unknown',
    protocol: record.protocol === 1 ? 'basic' : 'multi',
    best,
    told: asked[0] ?? null,
  };
}

function sendingOf(proposer: number, record: ProposalRecord): Sending {
  const { forwardedBy, slot, otherSlot, ballot, leader, rounds, retry, tookUs, atMs, othersValue } = record;
  return {
    ...{ proposer, rounds, retry, othersValue, at: atMs },
    forwardedBy: forwardedBy === 0 ? null : forwardedBy,
    end: PROPOSAL_ENDS[record.end] ?? 'refused',
    slot: slot ?? null,
    otherSlot: otherSlot ?? null,
    ballot: ballot === undefined ? null : formatBallot(readBallot(ballot, 'ballot')),
    leader: leader ?? null,
    ms: Math.round(tookUs / 100) / 10,
    ...refusalOf(record),
  };
}

/** Code, text and outcome of what was refused, or timed out. */
export function refusalOf({
  code,
  message,
  outcome,
}: Pick<ProposalCount, 'code' | 'message' | 'outcome'>): Pick<Sending, 'code' | 'message' | 'outcome'> {
  if (code === 0) return { code: null, message: null, outcome: null };
  return { code: codeOf(code), message, outcome: OUTCOMES[outcome] ?? null };
}

function lastOf(row: HistoryRow): number {
  return row.sendings[row.sendings.length - 1]?.at ?? 0;
}

/** A row for scripts: what is known of it over all sendings, what its client was told, and each sending. */
export function historyJson({ id, log, kind, protocol, best, told, sendings }: HistoryRow): object {
  const { end, slot, otherSlot, ballot, leader, ms, at, code, message, outcome, othersValue } = best;
  return {
    ...{ id, log, kind, protocol, end, slot, otherSlot, ballot, leader, ms, at, code, message, outcome, othersValue },
    ...{ told: told?.end ?? null, sendings },
  };
}

export const HISTORY_HEAD = ['time', 'id', 'log', 'outcome', 'slot', 'ms', 'leader', 'notes'];

export function historyCells(row: HistoryRow): string[] {
  const { best, told } = row;
  const shown = told ?? best;
  return [
    timeText(shown.at),
    formatProposalId(row, 8),
    showName(row.log),
    best.end === 'refused' || best.end === 'timeout' ? `${best.end}, ${best.outcome ?? 'unknown'}` : best.end,
    best.slot === null ? '–' : String(best.slot),
    shown.ms.toFixed(1),
    best.leader === null ? '–' : String(best.leader),
    notesOf(row).join('; '),
  ];
}

function notesOf(row: HistoryRow): string[] {
  const { best, told, sendings, kind, protocol } = row;
  const asked = sendings.filter((each) => each.forwardedBy === null).length;
  return [
    kind === 'proposal' ? '' : kind === 'decree' ? protocol : kind,
    told !== null && told.proposer !== best.leader && best.leader !== null ? `through ${String(told.proposer)}` : '',
    asked > 1 ? `sent ${String(asked)} times` : '',
    told !== null && told.end !== best.end ? `its client was told ${told.end}` : '',
    best.othersValue ? "another's value" : '',
    best.otherSlot === null ? '' : `sent in slot ${String(best.otherSlot)}, too`,
    best.message === null ? '' : `${best.code ?? ''}: ${best.message}`,
  ].filter((note) => note !== '');
}

/** `16:20:01` of the day, in this machine's time zone. */
export function timeText(at: number, millis = false): string {
  const time = new Date(at);
  const two = (n: number): string => String(n).padStart(2, '0');
  const text = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
  return millis ? `${text}.${String(time.getMilliseconds()).padStart(3, '0')}` : text;
}
