/** What an event says to a person, without who and when. */
import type { ProposalId, Traced, TracedVotes } from '../../../shared/client/index.ts';
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import type { Ballot } from '../../../shared/client/index.ts';
import { showName } from '../text.ts';
import { showValue } from '../values.ts';

/** Which part of the protocol an event belongs to: how it is coloured. */
export type Part = 'phase 1' | 'phase 2' | 'learning' | 'refusal' | 'other';

const VALUE_CHARS = 24;

/** `4.p1`: a ballot without the start of its proposer. */
export function shortBallot(ballot: Ballot | undefined): string {
  return ballot === undefined ? '–' : formatBallot(ballot).replace(/\.[0-9a-f]{8}(f?)$/, '$1');
}

/** `slot 3`, `slots 3–5`, or nothing. */
export function slotsText(first: number | undefined, count: number): string {
  if (first === undefined || count === 0) return '';
  return count === 1 ? `slot ${String(first)}` : `slots ${String(first)}–${String(first + count - 1)}`;
}

export function describe(event: Traced): string {
  const b = shortBallot(event.ballot);
  const slots = slotsText(event.first, event.count);
  switch (event.kind) {
    case 'sent':
    case 'received':
      return messageText(event);
    case 'proposed':
      if (event.word === 'session') return 'opens a session';
      return event.count === 1 ? `takes a proposal${idText(event.proposal)}` : `takes ${String(event.count)} proposals`;
    case 'answered':
      return event.word === 'chosen' ? `answers: chosen in ${slots}` : `answers: refused, ${event.why}`;
    case 'campaign':
      return `campaigns with ${b}${event.word === 'override' ? ', past the leader’s grace' : ''}: ${event.why}`;
    case 'leader':
      return event.word === 'taken' ? `leads with ${b}` : `${event.word} its lead of ${b}: ${event.why}`;
    case 'quorum':
      return event.word === 'reached'
        ? `a quorum promised ${b}`
        : `no quorum ${event.phase === 'prepare' ? 'promises' : 'votes at'} ${b}: ${event.word}`;
    case 'chosen':
      return `${slots} chosen at ${b}`;
    case 'no-op':
      return `fills ${slots} with no-ops`;
    case 'reproposed':
      return `proposes what it found in ${slots} again`;
    case 'unfound':
      return `found no value in ${slots}, and sends nothing there`;
    case 'promised':
      return `promised ${b}`;
    case 'voted':
      return `voted for ${slots} at ${b}`;
    case 'rejected':
      return `refused ${b}: ${reasonText(event.word, event.higher)}`;
    case 'synced':
      return `journal durable up to ${String(event.first)}`;
    case 'trimmed':
      return `dropped its votes below slot ${String(event.first)}`;
    case 'learned':
      return `learned ${slots}`;
    case 'applied':
      return `applied ${slots}`;
    case 'gap':
      return `misses ${slots} and asks ${event.word === 'finish' ? 'a proposer to finish them' : event.word}`;
    case 'peer':
      return `${event.peer.role} ${String(event.peer.id)} is ${event.word}`;
    case 'pause':
      return `stood still for ${event.why}`;
  }
}

/** A message, in few words: `prepare 4.p1`. */
function messageText(event: Traced & { kind: 'sent' | 'received' }): string {
  const b = shortBallot(event.ballot);
  const slots = slotsText(event.first, event.count);
  const value = event.value === undefined ? '' : ` ${valueText(event.value)}`;
  switch (event.message) {
    case 'ask':
      return `would you promise ${b}?`;
    case 'prepare':
      return `prepare ${b}`;
    case 'would-promise':
      return `would promise ${b}`;
    case 'promise':
      return `promise ${b}${votesText(event.votes)}`;
    case 'reject':
      return `reject ${b}: ${reasonText(event.word, event.higher)}`;
    case 'accept':
      return `accept ${b} ${slots}${value}`;
    case 'accepted':
      return `accepted ${b} ${slots}`;
    case 'votes':
      return `votes ${b} ${slots}`;
    case 'forward':
      return `forward #${String(event.number)}`;
    case 'forwarded':
      return `answer #${String(event.number)}: ${event.word === 'chosen' ? slots : `refused, ${event.why}`}`;
    case 'take-over':
      return 'take the log over';
    case 'resign':
      return `resign ${b}`;
    case 'finish':
      return `finish ${slots}`;
    case 'fetch':
      return slots === '' ? 'how far?' : `votes of ${slots}?`;
    case 'tell':
      return `chosen below ${String(event.first)}`;
    case 'alive':
      return 'alive';
    case 'heartbeat':
      return 'heartbeat';
  }
}

function votesText(votes: readonly TracedVotes[]): string {
  if (votes.length === 0) return ', no votes';
  return votes
    .map(({ first, count, ballot, value }) => {
      const shown = value === undefined ? '' : ` ${valueText(value)}`;
      return `, voted ${slotsText(first, count)} at ${shortBallot(ballot)}${shown}`;
    })
    .join('');
}

const REASONS: Readonly<Record<string, string>> = {
  led: 'its leader was heard just now',
  floor: 'it is below the trim floor',
  space: 'the journal is full',
  logs: 'there are too many logs',
  round: 'the round is above the limit',
  busy: 'too much is waiting',
  conflict: 'voted for another value at this ballot',
  ahead: 'too far above the watermark',
};

function reasonText(word: string, higher: Ballot | undefined): string {
  return word === 'ballot' ? `${shortBallot(higher)} is higher` : (REASONS[word] ?? word);
}

function valueText(value: Uint8Array): string {
  const text = showValue(value, false);
  return JSON.stringify(text.length > VALUE_CHARS ? `${text.slice(0, VALUE_CHARS - 1)}…` : text);
}

function idText(id: ProposalId | undefined): string {
  return id === undefined ? '' : ` ${proposalText(id)}`;
}

/** `3f9a…:7:1`: what names a proposal, as `--id` takes it but for the length of the client's part. */
export function proposalText({ client, session, sequence }: ProposalId): string {
  return `${client.slice(0, 4)}…:${String(session)}:${String(sequence)}`;
}

/** The log of an event, for lines that are about several. */
export function logText({ log }: Traced): string {
  return log === '' ? '' : showName(log);
}

const PHASE_1: ReadonlySet<string> = new Set([
  'ask',
  'prepare',
  'would-promise',
  'promise',
  'campaign',
  'promised',
  'leader',
]);
const PHASE_2: ReadonlySet<string> = new Set([
  ...['accept', 'accepted', 'voted', 'chosen', 'no-op', 'reproposed', 'unfound', 'synced'],
]);
const LEARNING: ReadonlySet<string> = new Set(['votes', 'learned', 'applied', 'gap', 'fetch', 'finish', 'trimmed']);

export function partOf(event: Traced): Part {
  const what = event.kind === 'sent' || event.kind === 'received' ? event.message : event.kind;
  if (what === 'reject' || what === 'rejected') return 'refusal';
  if (event.kind === 'quorum') return event.phase === 'prepare' ? 'phase 1' : 'phase 2';
  if (PHASE_1.has(what)) return 'phase 1';
  if (PHASE_2.has(what)) return 'phase 2';
  return LEARNING.has(what) ? 'learning' : 'other';
}
