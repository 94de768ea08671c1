/**
 * What a demonstration says is checked here against what the members told. Each claim is a pure function of the events, so that one
 * that they contradict is found: in its own tests, and when a demonstration is shown.
 */
import { memberName } from '../../../shared/client/index.ts';
import type { Ballot, Traced, TraceMember } from '../../../shared/client/index.ts';
import { compareBallots, formatBallot, sameBallot } from '../../../shared/paxos/ballot.ts';
import { textOf } from '../values.ts';
import { shortBallot, slotsText } from '../trace/words.ts';

/** Whether a claim holds, and the evidence for or against it. */
export interface Verdict {
  readonly holds: boolean;
  readonly because: string;
}

export type Events = readonly Traced[];

export function verdict(holds: boolean, because: string): Verdict {
  return { holds, because };
}

export function isSame(a: Ballot | undefined, b: Ballot | undefined): boolean {
  return a !== undefined && b !== undefined && sameBallot(a, b);
}

export function covers({ first, count }: Pick<Traced, 'first' | 'count'>, slot: number): boolean {
  return first !== undefined && first <= slot && slot < first + count;
}

/** `acceptor 1`, `acceptors 1 and 3`, `nobody`. */
export function named(role: string, ids: Iterable<number>): string {
  const all = [...ids].sort((a, b) => a - b).map(String);
  if (all.length === 0) return 'nobody';
  if (all.length === 1) return `${role} ${all.join('')}`;
  return `${role}s ${all.slice(0, -1).join(', ')} and ${all.at(-1) ?? ''}`;
}

export function isBy(event: Traced, role: TraceMember['role'], id: number): boolean {
  return event.member.role === role && event.member.id === id;
}

/** Acceptors that promised a ballot. */
export function promisers(events: Events, ballot: Ballot): Set<number> {
  return new Set(
    events.flatMap((each) => (each.kind === 'promised' && isSame(each.ballot, ballot) ? [each.member.id] : [])),
  );
}

/** Acceptors that voted in a slot at a ballot. */
export function voters(events: Events, slot: number, ballot: Ballot): Set<number> {
  return new Set(
    events.flatMap((each) =>
      each.kind === 'voted' && covers(each, slot) && isSame(each.ballot, ballot) ? [each.member.id] : [],
    ),
  );
}

/** At least `quorum` acceptors promised the ballot. */
export function isPromised(events: Events, ballot: Ballot, quorum: number): Verdict {
  const who = promisers(events, ballot);
  return verdict(who.size >= quorum, `${named('acceptor', who)} promised ${shortBallot(ballot)}`);
}

/** Exactly these acceptors voted in the slot at the ballot. */
export function votedOnly(events: Events, slot: number, ballot: Ballot, ids: readonly number[]): Verdict {
  const who = voters(events, slot, ballot);
  const holds = who.size === ids.length && ids.every((id) => who.has(id));
  return verdict(holds, `${named('acceptor', who)} voted in slot ${String(slot)} at ${shortBallot(ballot)}`);
}

/** At least `quorum` acceptors voted in the slot at the ballot, and none of those that were away. */
export function isChosen(
  events: Events,
  slot: number,
  ballot: Ballot,
  quorum: number,
  away: readonly number[] = [],
): Verdict {
  const who = voters(events, slot, ballot);
  const holds = who.size >= quorum && away.every((id) => !who.has(id));
  return verdict(holds, `${named('acceptor', who)} voted in slot ${String(slot)} at ${shortBallot(ballot)}`);
}

/** Before it sent anything for the slot at `ballot`, the proposer had a promise that reports a vote there, at `earlier`, for the value. */
export function foundVote(
  events: Events,
  proposer: number,
  ballot: Ballot,
  { slot, earlier, value }: { readonly slot: number; readonly earlier: Ballot; readonly value: string },
): Verdict {
  for (const each of events) {
    if (!isBy(each, 'proposer', proposer) || !isSame(each.ballot, ballot)) continue;
    if (each.kind === 'sent' && each.message === 'accept' && covers(each, slot)) break;
    if (each.kind !== 'received' || each.message !== 'promise') continue;
    const vote = each.votes.find((one) => covers(one, slot) && isSame(one.ballot, earlier));
    if (vote === undefined) continue;
    // The beginning of a value is told of the first slot of a range alone.
    const told = vote.first === slot && vote.value !== undefined ? textOf(vote.value) : undefined;
    const holds = told === undefined || told === value;
    return verdict(
      holds,
      `${memberName(each.peer)} reported its vote at ${shortBallot(earlier)}${told === undefined ? '' : ` for ${told}`}`,
    );
  }
  return verdict(false, `no promise of ${shortBallot(ballot)} reported a vote at ${shortBallot(earlier)} in time`);
}

/** Whatever the proposer asked to vote for was this value, and it asked at least once. */
export function sentOnly(events: Events, proposer: number, value: string): Verdict {
  const sent = events.flatMap((each) =>
    each.kind === 'sent' && each.message === 'accept' && isBy(each, 'proposer', proposer) && each.value !== undefined
      ? [`${textOf(each.value) ?? '?'} at ${shortBallot(each.ballot)}`]
      : [],
  );
  const holds = sent.length > 0 && sent.every((text) => text.startsWith(`${value} at `));
  return verdict(holds, `it sent ${sent.length === 0 ? 'no Accept' : [...new Set(sent)].join(', ')}`);
}

export function isHigher(ballot: Ballot, than: Ballot): Verdict {
  const holds = compareBallots(ballot, than) > 0;
  return verdict(holds, `${shortBallot(ballot)} is ${holds ? 'higher than' : 'not higher than'} ${shortBallot(than)}`);
}

/** Nobody sent a Prepare, and each of these slots was chosen at the ballot. */
export function streamed(events: Events, slots: readonly number[], ballot: Ballot): Verdict {
  const prepare = events.find((each) => each.kind === 'sent' && each.message === 'prepare');
  if (prepare !== undefined)
    return verdict(false, `${memberName(prepare.member)} sent Prepare(${shortBallot(prepare.ballot)})`);
  const open = slots.find(
    (slot) => !events.some((each) => each.kind === 'chosen' && covers(each, slot) && isSame(each.ballot, ballot)),
  );
  if (open !== undefined)
    return verdict(false, `slot ${String(open)} was not seen to be chosen at ${shortBallot(ballot)}`);
  return verdict(true, `0 Prepares, ${String(slots.length)} values chosen at ${shortBallot(ballot)}`);
}

/** The proposer asked at this ballot to vote in the slot, and for no other value as far as values were told. */
export function finished(events: Events, proposer: number, slot: number, ballot: Ballot, value: string): Verdict {
  const sent = events.filter(
    (each) =>
      each.kind === 'sent' &&
      each.message === 'accept' &&
      isBy(each, 'proposer', proposer) &&
      isSame(each.ballot, ballot) &&
      covers(each, slot),
  );
  const told = sent.flatMap((each) => (each.first === slot && each.value !== undefined ? textOf(each.value) : []));
  const holds = sent.length > 0 && told.every((text) => text === value);
  const what = sent.length === 0 ? 'no Accept' : `Accept(${shortBallot(ballot)}, ${told[0] ?? 'several values'})`;
  return verdict(holds, `proposer ${String(proposer)} sent ${what} for slot ${String(slot)}`);
}

/** No proposer and no learner saw anything chosen, and no ballot has a quorum of votes in a slot. */
export function nothingChosen(events: Events, quorum: number): Verdict {
  const told = events.find((each) => each.kind === 'chosen' || each.kind === 'learned');
  if (told !== undefined)
    return verdict(
      false,
      `${memberName(told.member)} saw ${slotsText(told.first, told.count)} chosen at ${shortBallot(told.ballot)}`,
    );
  let most = 0;
  for (const vote of events) {
    if (vote.kind !== 'voted') continue;
    for (let slot = vote.first; slot < vote.first + vote.count; slot++)
      most = Math.max(most, voters(events, slot, vote.ballot).size);
  }
  return verdict(most < quorum, `at most ${String(most)} of the ${String(quorum)} votes that it takes`);
}

/** Before it learned the slot, the learner had heard votes at one ballot from `quorum` different acceptors. */
export function counted(events: Events, learner: number, slot: number, quorum: number): Verdict {
  const heard = new Map<string, Set<number>>();
  for (const each of events) {
    if (!isBy(each, 'learner', learner) || !covers(each, slot)) continue;
    if (each.kind === 'learned') {
      const who = heard.get(formatBallot(each.ballot)) ?? new Set<number>();
      return verdict(
        who.size >= quorum,
        `learner ${String(learner)} had the votes of ${named('acceptor', who)} when it learned slot ${String(slot)}`,
      );
    }
    if (each.kind !== 'received' || each.message !== 'votes') continue;
    const key = each.ballot === undefined ? '' : formatBallot(each.ballot);
    heard.set(key, (heard.get(key) ?? new Set<number>()).add(each.peer.id));
  }
  return verdict(false, `learner ${String(learner)} did not learn slot ${String(slot)}`);
}

/** The learner learned and applied nothing. */
export function stoodStill(events: Events, learner: number): Verdict {
  const moved = events.find(
    (each) => isBy(each, 'learner', learner) && (each.kind === 'learned' || each.kind === 'applied'),
  );
  return moved === undefined
    ? verdict(true, `learner ${String(learner)} learned and applied nothing`)
    : verdict(false, `learner ${String(learner)} ${moved.kind} ${slotsText(moved.first, moved.count)}`);
}

/** The learner applied the slots [0, end), each once, in order. */
export function appliedInOrder(events: Events, learner: number, end: number): Verdict {
  let next = 0;
  for (const each of events) {
    if (each.kind !== 'applied' || !isBy(each, 'learner', learner)) continue;
    if (each.first !== next)
      return verdict(false, `learner ${String(learner)} applied slot ${String(each.first)} after ${String(next - 1)}`);
    next += each.count;
  }
  const holds = next >= end;
  return verdict(holds, `learner ${String(learner)} applied the slots 0–${String(next - 1)}, one after the other`);
}

/** Two lists of values are the same. */
export function isEqual(found: readonly string[], wanted: readonly string[]): Verdict {
  const holds = found.length === wanted.length && found.every((value, at) => value === wanted[at]);
  return verdict(holds, holds ? found.join(', ') : `${found.join(', ')}; and not ${wanted.join(', ')}`);
}
