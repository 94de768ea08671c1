/** What an event says to a person, without who and when. */
import { memberShort } from '../../../shared/client/index.ts';
import type { ProposalId, Traced, TracedVotes } from '../../../shared/client/index.ts';
import { FAST, formatBallot, isFast, sameBallot } from '../../../shared/paxos/ballot.ts';
import type { Ballot } from '../../../shared/client/index.ts';
import type { FastLeft } from '../../../shared/paxos/notes.ts';
import { showName } from '../text.ts';
import { showValue } from '../values.ts';

/** Which part of the protocol an event belongs to: how it is coloured. */
export type Part = 'phase 1' | 'phase 2' | 'learning' | 'refusal' | 'other';

const VALUE_CHARS = 24;

/** `4.p1`, `5.p2f` a fast one, `zero` ballot zero: a ballot without the start of its proposer. */
export function shortBallot(ballot: Ballot | undefined): string {
  if (ballot?.round === 0) return 'zero';
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
      if (event.word === 'fast') return `takes a FAST proposal${idText(event.proposal)}`;
      return event.count === 1 ? `takes a proposal${idText(event.proposal)}` : `takes ${String(event.count)} proposals`;
    case 'answered':
      if (event.word === 'refused') return `answers: refused, ${event.why}`;
      return `answers: chosen in ${slots}${event.why === '' ? '' : `, path ${event.why}`}`;
    case 'campaign':
      return `campaigns with ${b}${event.word === 'override' ? ', past the leader’s grace' : ''}: ${event.why}`;
    case 'leader':
      return event.word === 'taken' ? `leads with ${b}` : `${event.word} its lead of ${b}: ${event.why}`;
    case 'quorum':
      return event.word === 'reached'
        ? `a quorum promised ${b}`
        : `no quorum ${event.phase === 'prepare' ? 'promises' : 'votes at'} ${b}: ${event.word}`;
    case 'chosen':
      return `${slots} chosen at ${b}${event.word === 'recovered' ? ': recovered' : ''}`;
    case 'no-op':
      return `fills ${slots} with no-ops`;
    case 'reproposed':
      return `proposes what it found in ${slots} again`;
    case 'unfound':
      return `found no value in ${slots}, and sends nothing there`;
    case 'promised':
      return `promised ${b}`;
    case 'voted':
      return `voted for ${whoseText(event)}${slots} at ${b}`;
    case 'rejected':
      return `refused ${event.peer === undefined ? '' : `${memberShort(event.peer)} at `}${b}: ${reasonText(event)}`;
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
    case 'opened':
      return `${event.member.role === 'proposer' ? 'opens the log' : 'is open'} for any value from slot ${String(event.first)} on at ${b}`;
    case 'closed':
      return `ends ${b}: ${event.why}`;
    case 'collision':
      return `sees a collision in ${slots}: no value can get a fast quorum at ${b}`;
    case 'recovering':
      return `recovers ${slots}: votes at ${shortBallot({ ...event.ballot, kind: FAST })} count as promises of ${b}`;
    case 'left':
      return `goes to a leader with FAST proposals: ${LEFT[event.word]}`;
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
      return `reject ${b}${slots === '' ? '' : ` ${slots}`}: ${reasonText(event)}`;
    case 'accept':
      return `accept ${b} ${slots}${value}`;
    case 'accepted':
      return `accepted ${b} ${slots}${value}`;
    case 'votes':
      return `votes ${b} ${slots}${value}`;
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
    case 'any':
      return `any ${b} from slot ${String(event.first)} on`;
    case 'opened':
      return `opened ${b}`;
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

const LEFT: Readonly<Record<FastLeft, string>> = {
  collided: 'they collide',
  led: 'the log is led or closed',
  unreachable: 'no fast quorum answers',
  unknown: 'nobody knew in time what became of a slot',
};

const REASONS: Readonly<Record<string, string>> = {
  led: 'its leader was heard just now',
  floor: 'it is below the trim floor',
  space: 'the journal is full',
  logs: 'there are too many logs',
  round: 'the round is above the limit',
  busy: 'too much is waiting',
  conflict: 'voted for another value at this ballot',
  ahead: 'too far above the watermark',
  'not-open': 'it is not open for fast voting there',
};

function reasonText({ kind, word, higher, ballot, value }: Traced): string {
  // The log is open at the ballot that was asked for, and this slot of it was recovered at the next one.
  if (word === 'ballot' && ballot !== undefined && higher !== undefined && sameBallot(ballot, higher))
    return 'the slot has a vote above it';
  if (word === 'ballot') return `${shortBallot(higher)} is higher`;
  // A message says which value was first; what happened inside of an acceptor is about the one that came second.
  if (word === 'conflict' && kind !== 'rejected' && value !== undefined) return `voted for ${valueText(value)}`;
  return REASONS[word] ?? word;
}

/** At a fast ballot, which is everybody's, a vote is for somebody's value: `"pear" of p2 in `. */
function whoseText({ ballot, peer, value }: Traced): string {
  if (peer === undefined || ballot === undefined || !isFast(ballot)) return '';
  return `${value === undefined ? 'the value' : valueText(value)} of ${memberShort(peer)} in `;
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
  ...['any', 'opened', 'closed'],
]);
const PHASE_2: ReadonlySet<string> = new Set([
  ...['accept', 'accepted', 'voted', 'chosen', 'no-op', 'reproposed', 'unfound', 'synced', 'recovering'],
]);
const LEARNING: ReadonlySet<string> = new Set(['votes', 'learned', 'applied', 'gap', 'fetch', 'finish', 'trimmed']);

export function partOf(event: Traced): Part {
  const what = event.kind === 'sent' || event.kind === 'received' ? event.message : event.kind;
  if (what === 'reject' || what === 'rejected' || what === 'collision') return 'refusal';
  if (event.kind === 'quorum') return event.phase === 'prepare' ? 'phase 1' : 'phase 2';
  if (PHASE_1.has(what)) return 'phase 1';
  if (PHASE_2.has(what)) return 'phase 2';
  return LEARNING.has(what) ? 'learning' : 'other';
}
