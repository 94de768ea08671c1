/** `synodctl history --id`: what happened to one proposal, from all who may know: proposers, learners, acceptors. */
import { messageOf } from '../../../shared/base/errors.ts';
import { ClientError, clientHeader, formatProposalId, readEntry } from '../../../shared/client/index.ts';
import type { Entry, ProposalIdPrefix } from '../../../shared/client/index.ts';
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import { LearnerServiceService } from '../../../shared/wire/gen/synod/v1/learner_service.ts';
import type { ReadResponse } from '../../../shared/wire/gen/synod/v1/learner_service.ts';
import { OK, ask } from '../context.ts';
import type { Context } from '../context.ts';
import type { Place } from '../endpoints.ts';
import { showLine, showName } from '../text.ts';
import { gather } from './gather.ts';
import { ballotText } from './log-rows.ts';
import { keptText } from './history-ask.ts';
import type { Told } from './history-ask.ts';
import { historyJson, timeText } from './history-rows.ts';
import type { HistoryRow, Sending } from './history-rows.ts';

/** Slots that a search goes through at a learner: an id has no place that could be looked up. */
const SEARCHED_MAX = 100_000;
const PAGE = 1_000;

/** Where a learner has the proposal. */
interface Found {
  readonly slot: number;
  readonly effect: Entry['effect'];
  readonly ballot: string | null;
}

interface AtLearner {
  readonly learner: number;
  /** Every slot in which it stands, in order: the first has the effect. */
  readonly found: readonly Found[];
  /** All slots below are applied there; null: it does not answer. */
  readonly applied: number | null;
  /** The slots that were looked at. */
  readonly from: number;
  readonly to: number;
  readonly trouble: string | null;
}

interface AtAcceptor {
  readonly acceptor: number;
  /** The highest slot that it voted in; null: none, or unknown. */
  readonly highest: number | null;
  readonly promised: string | null;
  readonly watermark: number | null;
  readonly floor: number | null;
  readonly trouble: string | null;
}

export async function explain(
  id: ProposalIdPrefix,
  row: HistoryRow | undefined,
  givenLog: string | undefined,
  told: readonly Told[],
  context: Context,
): Promise<number> {
  const log = row?.log ?? givenLog;
  if (log === undefined) throw notFound(id, told, 'with --log L the learners are searched, too');
  const learners = await askLearners(log, row ?? id, row?.best.slot ?? null, context);
  const slot = row?.best.slot ?? learners.flatMap(({ found }) => found.map((each) => each.slot))[0] ?? null;
  if (row === undefined && slot === null)
    throw notFound(id, told, learners.map((each) => learnerText(each, null)).join('; '));
  const acceptors = await askAcceptors(log, context);
  const shown = row?.id ?? idText(id);
  if (context.json) {
    const proposal = row === undefined ? null : historyJson(row);
    context.io.out(JSON.stringify({ id: shown, log, slot, proposal, learners, acceptors }));
    return OK;
  }
  const out = (line: string): void => {
    context.io.out(showLine(line));
  };
  out(`proposal ${shown} in log ${showName(log)}${row === undefined ? '' : `, ${kindText(row)}`}`);
  if (row === undefined) out('  no proposer remembers it any more:');
  for (const line of row === undefined
    ? told.map(keptText)
    : row.sendings.map((each) => sendingText(each, row.protocol)))
    out(`  ${line}`);
  out(verdict(row, slot, learners));
  for (const learner of learners) out(`  ${learnerText(learner, slot)}`);
  for (const acceptor of acceptors) out(`  ${acceptorText(acceptor, slot)}`);
  return OK;
}

function notFound(id: ProposalIdPrefix, told: readonly Told[], more: string): ClientError {
  const who = told.map(keptText).join('; ');
  return new ClientError('NOT_FOUND', `nobody knows proposal ${idText(id)} any more: ${who}; ${more}`, 'none');
}

function idText({ client, session = 0, sequence = 0 }: ProposalIdPrefix): string {
  return formatProposalId({ client, session, sequence });
}

function kindText({ kind, protocol }: HistoryRow): string {
  if (kind === 'session') return 'the opening of a session';
  return protocol === 'basic' ? 'a decree, by Basic Paxos' : 'by Multi-Paxos';
}

function sendingText(sending: Sending, protocol: HistoryRow['protocol']): string {
  const { proposer, forwardedBy, end, slot, otherSlot, ballot, leader, rounds, retry, ms, code, message, outcome } =
    sending;
  const who =
    forwardedBy === null
      ? `asked of proposer ${String(proposer)}${retry ? ' as a retry' : ''}`
      : `forwarded by proposer ${String(forwardedBy)} to proposer ${String(proposer)}`;
  const how =
    code === null
      ? `${end}${slot === null ? '' : ` in slot ${String(slot)}`}${ballot === null ? '' : ` at ${ballot}`}${leader === null ? '' : `, led by proposer ${String(leader)}`}`
      : `${end}, outcome ${outcome ?? 'unknown'}: ${message ?? ''} (${code})`;
  const also = otherSlot === null ? '' : `, sent in slot ${String(otherSlot)} before`;
  const times =
    protocol === 'basic'
      ? `${String(rounds)} ${rounds === 1 ? 'ballot' : 'ballots'}`
      : rounds === 1
        ? 'sent once'
        : `sent ${String(rounds)} times`;
  return `${timeText(sending.at, true)}  ${who}: ${how}, after ${ms.toFixed(1)} ms, ${times}${also}`;
}

/** The answer in one sentence. */
function verdict(row: HistoryRow | undefined, slot: number | null, learners: readonly AtLearner[]): string {
  const applied = learners.some(({ found }) => found.length > 0);
  if (row?.best.othersValue === true) return 'The value of another was chosen in this decree, and not this one.';
  if (applied) return `It is chosen in slot ${String(slot)} and applied, once.`;
  if (slot !== null) return `It is chosen in slot ${String(slot)}; no learner that answers shows it.`;
  if (row?.best.outcome === 'none') return 'It had no effect and never will.';
  return 'Its outcome is not known: no learner that answers shows it, up to where it has applied. It may be chosen yet.';
}

// ── learners ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function askLearners(log: string, id: ProposalIdPrefix, slot: number | null, context: Context): Promise<AtLearner[]> {
  return Promise.all(
    context.endpoints.of('learner').map(async (place): Promise<AtLearner> => {
      // A proposal stands above the slot that opened its session.
      const from = slot ?? id.session ?? 0;
      if (!place.listening) return notAnswering(place, from, 'nothing listens there');
      try {
        return await searchLearner(place, log, id, from, context.timeoutMs);
      } catch (error) {
        return notAnswering(place, from, messageOf(error));
      }
    }),
  );
}

function notAnswering({ id }: Place, from: number, trouble: string): AtLearner {
  return { learner: id, found: [], applied: null, from, to: from, trouble };
}

/** Looks through the log from a slot on; a page further than where it is found, for a second slot of the same proposal. */
async function searchLearner(
  place: Place,
  log: string,
  id: ProposalIdPrefix,
  from: number,
  timeoutMs: number,
): Promise<AtLearner> {
  const found: Found[] = [];
  let applied = 0;
  let next = from;
  while (next < from + SEARCHED_MAX) {
    const request = {
      header: clientHeader(),
      log,
      from: next,
      to: undefined,
      limit: PAGE,
      linearizable: false,
      all: true,
    };
    const page: ReadResponse = await ask('learner', place.address, LearnerServiceService.read, request, timeoutMs);
    const before = found.length;
    for (const entry of page.entries.map(readEntry)) if (isIt(entry, id)) found.push(foundAt(entry));
    applied = page.applied;
    const isEnd = page.next >= page.applied || page.next <= next;
    next = Math.max(next, page.next);
    if (isEnd || before > 0) break;
  }
  return { learner: place.id, found, applied, from, to: next, trouble: null };
}

function isIt(entry: Entry, { client, session, sequence }: ProposalIdPrefix): boolean {
  if (!entry.client.startsWith(client)) return false;
  if (session === undefined || (session === 0 && sequence === 0))
    return entry.kind === 'decree' || entry.kind === 'session';
  return entry.kind === 'proposal' && entry.session === session && entry.sequence === sequence;
}

function foundAt({ slot, effect, ballot }: Entry): Found {
  return { slot, effect, ballot: ballot === undefined ? null : formatBallot(ballot) };
}

function learnerText({ learner, found, applied, from, to, trouble }: AtLearner, slot: number | null): string {
  const who = `learner ${String(learner)}`;
  if (applied === null) return `${who} does not answer: ${trouble ?? ''}`;
  if (found.length > 0)
    return `${who}: ${found.map((each) => `slot ${String(each.slot)} ${each.effect}${each.ballot === null ? '' : ` at ${each.ballot}`}`).join(', ')}`;
  if (slot !== null && applied <= slot)
    return `${who}: has applied the slots below ${String(applied)} so far, and this one not yet`;
  const where = to > from ? ` in slots ${String(from)} to ${String(to - 1)}` : '';
  return `${who}: does not have it${where}; has applied the slots below ${String(applied)}`;
}

// ── acceptors ───────────────────────────────────────────────────────────────────────────────────────────────────────────

async function askAcceptors(log: string, context: Context): Promise<AtAcceptor[]> {
  const members = await gather(context, { log, all: true, logsMax: 1 });
  return members.flatMap(({ place, id, said }): AtAcceptor[] => {
    if (place.role !== 'acceptor') return [];
    const nothing = { acceptor: id, highest: null, promised: null, watermark: null, floor: null };
    if (typeof said === 'string') return [{ ...nothing, trouble: said }];
    const known = said.role === 'acceptor' ? said.logs[0] : undefined;
    if (known === undefined) return [{ ...nothing, trouble: null }];
    const { highest, promised, watermark, floor } = known;
    return [
      { acceptor: id, highest: highest ?? null, promised: ballotText(promised), watermark, floor, trouble: null },
    ];
  });
}

function acceptorText(
  { acceptor, highest, promised, watermark, floor, trouble }: AtAcceptor,
  slot: number | null,
): string {
  const who = `acceptor ${String(acceptor)}`;
  if (trouble !== null) return `${who} does not answer: ${trouble}`;
  if (watermark === null) return `${who}: does not know the log`;
  const ballot = promised === null ? '' : `, promised ${promised}`;
  const reach = highest === null ? 'never voted' : `its votes reach slot ${String(highest)}`;
  const dropped =
    slot !== null && floor !== null && slot < floor
      ? `; it dropped its vote for slot ${String(slot)}, because learners hold the value`
      : '';
  return `${who}: ${reach}, knows those below ${String(watermark)} to be chosen${ballot}${dropped}`;
}
