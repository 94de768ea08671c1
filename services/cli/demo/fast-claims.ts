/** What the demonstration of Fast Paxos says, checked as in `claims.ts`: pure functions of what the members told. */
import { memberName, memberShort } from '../../../shared/client/index.ts';
import type { Ballot, Traced } from '../../../shared/client/index.ts';
import { compareBallots } from '../../../shared/paxos/ballot.ts';
import { shortBallot } from '../trace/words.ts';
import { textOf } from '../values.ts';
import { covers, isBy, isSame, named, verdict, voters } from './claims.ts';
import type { Events, Verdict } from './claims.ts';

/** How many acceptors there are, and how many of them choose a value at a fast ballot. */
export interface Sizes {
  readonly acceptors: number;
  readonly fast: number;
}

/** A slot at a fast ballot. */
export interface Place {
  readonly slot: number;
  readonly ballot: Ballot;
}

/** Acceptors that voted in the slot at the fast ballot, by the value that they voted for. */
export function votersByValue(events: Events, { slot, ballot }: Place): Map<string, Set<number>> {
  const all = new Map<string, Set<number>>();
  for (const each of events) {
    if (each.kind !== 'voted' || !covers(each, slot) || !isSame(each.ballot, ballot)) continue;
    const value = each.value === undefined ? '?' : (textOf(each.value) ?? '?');
    all.set(value, (all.get(value) ?? new Set()).add(each.member.id));
  }
  return all;
}

function votesText(votes: ReadonlyMap<string, ReadonlySet<number>>): string {
  return [...votes].map(([value, who]) => `${value}: ${named('acceptor', who)}`).join('; ') || 'nobody voted';
}

/** The votes at the fast ballot went to both values, and no value can get a fast quorum any more. */
export function isCollision(events: Events, place: Place, values: readonly string[], sizes: Sizes): Verdict {
  const votes = votersByValue(events, place);
  const voted = [...votes.values()].reduce((sum, who) => sum + who.size, 0);
  const left = sizes.acceptors - voted;
  const holds =
    values.every((value) => votes.has(value)) && [...votes.values()].every((who) => who.size + left < sizes.fast);
  return verdict(holds, votesText(votes));
}

/** At least one proposer saw the collision by itself. */
export function sawCollision(events: Events, { slot, ballot }: Place): Verdict {
  const who = new Set(
    events.flatMap((each) =>
      each.kind === 'collision' && covers(each, slot) && isSame(each.ballot, ballot) ? [each.member.id] : [],
    ),
  );
  return verdict(who.size > 0, `seen by ${named('proposer', who)}`);
}

/** A fast quorum voted for the value, and no proposer asked for a promise. */
export function isChosenFast(events: Events, place: Place, value: string, fast: number): Verdict {
  const prepare = events.find((each) => each.kind === 'sent' && each.message === 'prepare');
  if (prepare !== undefined)
    return verdict(false, `${memberName(prepare.member)} sent Prepare(${shortBallot(prepare.ballot)})`);
  const votes = votersByValue(events, place);
  return verdict((votes.get(value)?.size ?? 0) >= fast, `${votesText(votes)}; 0 Prepares`);
}

/** Fewer than a fast quorum voted at the fast ballot. */
export function tooFew(events: Events, { slot, ballot }: Place, fast: number): Verdict {
  const who = voters(events, slot, ballot);
  return verdict(
    who.size < fast,
    `${named('acceptor', who)} voted at ${shortBallot(ballot)}; it takes ${String(fast)}`,
  );
}

export type SendingOf = (received: Traced) => Traced | undefined;

/**
 * The messages that led to an event, one caused by the receipt of the other, from the one that `isFirst` names; undefined where what was
 * told does not lead there, as when time had to pass in between.
 */
export function wayTo(
  events: Events,
  end: Traced,
  sendingOf: SendingOf,
  isFirst: (sent: Traced) => boolean,
): Traced[] | undefined {
  const way: Traced[] = [];
  for (let at: Traced | undefined = end; at !== undefined;) {
    if (at.kind === 'received') {
      const sending = sendingOf(at);
      if (sending === undefined) return undefined;
      way.unshift(sending);
      if (isFirst(sending)) return way;
      at = sending;
      continue;
    }
    const { member, cause }: Traced = at;
    at = cause === 0 ? undefined : events.find((each) => each.sequence === cause && isBy(each, member.role, member.id));
  }
  return undefined;
}

/** It took so many messages, one after the other, from there to the event. */
export function inDelays(way: readonly Traced[] | undefined, end: Traced, wanted: number): Verdict {
  if (way === undefined) return verdict(false, 'what was told does not lead from the one to the other');
  const hops = way.map((sent) =>
    sent.kind === 'sent' ? `${memberShort(sent.member)} ─${sent.message.toUpperCase()}─▶ ` : '',
  );
  return verdict(way.length === wanted, `${hops.join('')}${memberShort(end.member)}`);
}

/** Votes at a fast ballot that a proposer had heard of, by value. */
type Heard = Map<string, Set<number>>;

function hear(heard: Heard, value: string, acceptor: number): void {
  heard.set(value, (heard.get(value) ?? new Set()).add(acceptor));
}

/**
 * Before it sent a value for the slot at `ballot`, the proposer had promises that reported the fast votes, and its value is one that they
 * allow (R8): the one that has |Q| + f − n votes of a quorum Q or, where none has, any that was voted for.
 */
export function pickedByPromises(
  events: Events,
  proposer: number,
  ballot: Ballot,
  place: Place,
  sizes: Sizes,
): Verdict {
  const heard: Heard = new Map();
  const quorum = new Set<number>();
  let later: { readonly ballot: Ballot; readonly value: string } | undefined;
  for (const each of events) {
    if (!isBy(each, 'proposer', proposer) || !isSame(each.ballot, ballot)) continue;
    if (each.kind === 'received' && each.message === 'promise') {
      quorum.add(each.peer.id);
      const vote = each.votes.find((one) => covers(one, place.slot) && isSame(one.ballot, place.ballot));
      if (vote?.value !== undefined) hear(heard, textOf(vote.value) ?? '?', each.peer.id);
      for (const one of each.votes)
        if (covers(one, place.slot) && compareBallots(one.ballot, later?.ballot ?? place.ballot) > 0)
          later = { ballot: one.ballot, value: one.value === undefined ? '?' : (textOf(one.value) ?? '?') };
    }
    if (each.kind === 'sent' && each.message === 'accept' && covers(each, place.slot))
      return later === undefined ? picked(heard, quorum.size, each.value, sizes) : pickedLater(later, each.value);
  }
  return verdict(false, `proposer ${String(proposer)} sent no Accept(${shortBallot(ballot)})`);
}

/** Somebody has recovered the slot before: the vote at the highest classic ballot gives the value. */
function pickedLater(
  { ballot, value }: { readonly ballot: Ballot; readonly value: string },
  sent: Uint8Array | undefined,
): Verdict {
  const text = sent === undefined ? '?' : (textOf(sent) ?? '?');
  return verdict(text === value, `a promise reported a vote at ${shortBallot(ballot)} for ${value}; it sent ${text}`);
}

/**
 * The same for who opened the fast ballot: it sent its value at the successor by the votes that it had heard of, without a Prepare.
 * `own`: the value that it sent at the fast ballot itself, which acceptors do not repeat to it.
 */
export function pickedByVotes(events: Events, opener: number, place: Place, own: string, sizes: Sizes): Verdict {
  const heard: Heard = new Map();
  let since = false;
  for (const each of events) {
    if (!isBy(each, 'proposer', opener)) continue;
    if (each.kind === 'recovering' && covers(each, place.slot)) since = true;
    if (!since && each.kind === 'received' && covers(each, place.slot) && isSame(each.ballot, place.ballot)) {
      const value = each.value === undefined ? undefined : textOf(each.value);
      if (each.message === 'accepted') hear(heard, value ?? own, each.peer.id);
      else if (each.message === 'reject' && value !== undefined) hear(heard, value, each.peer.id);
    }
    if (each.kind !== 'sent' || !since) continue;
    if (each.message === 'prepare') return verdict(false, `it sent Prepare(${shortBallot(each.ballot)})`);
    if (each.message === 'accept' && covers(each, place.slot)) {
      const quorum = new Set([...heard.values()].flatMap((who) => [...who]));
      return picked(heard, quorum.size, each.value, sizes);
    }
  }
  return verdict(false, `proposer ${String(opener)} recovered nothing`);
}

function picked(heard: Heard, quorum: number, sent: Uint8Array | undefined, { acceptors, fast }: Sizes): Verdict {
  const value = sent === undefined ? '?' : (textOf(sent) ?? '?');
  const bound = quorum + fast - acceptors;
  const must = [...heard].flatMap(([each, who]) => (who.size >= bound ? [each] : []));
  const counts = [...heard].map(([each, who]) => `${each} ${String(who.size)}`).join(', ');
  const holds = must.length === 0 ? heard.has(value) : must.length === 1 && must[0] === value;
  const why = must.length === 0 ? 'none has so many' : `that is ${must.join(' and ')}`;
  return verdict(
    holds,
    `votes heard: ${counts || 'none'}; ${String(quorum)} + ${String(fast)} − ${String(acceptors)} = ${String(bound)}: ${why}; it sent ${value}`,
  );
}

/** What one proposer gave to the leader, and its answer. */
export function wentToLeader(events: Events, proposer: number, leader: number): Verdict {
  const both = (['forward', 'forwarded'] as const).map((message) =>
    events.some(
      (each) =>
        (message === 'forward' ? each.kind === 'sent' : each.kind === 'received') &&
        'message' in each &&
        each.message === message &&
        isBy(each, 'proposer', proposer) &&
        each.peer?.id === leader,
    ),
  );
  const text = ['forward', 'answer'].filter((_, at) => both[at] === true).join(' and ') || 'neither';
  return verdict(both.every(Boolean), `between proposers ${String(proposer)} and ${String(leader)}: ${text}`);
}
