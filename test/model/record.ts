/**
 * The checker's own record: what was really sent, and what follows from it. It believes no node, and counts quorums itself.
 * A network in which nothing is ever taken back is that record already, so it is no part of a state by itself.
 */
import { createHash } from 'node:crypto';
import { compareBallots, FAST, formatBallot, sameBallot, type Ballot } from '../../shared/paxos/ballot.ts';
import type { Accept, Promised, Votes } from '../../shared/paxos/messages.ts';
import { bitCount } from '../../shared/paxos/quorum.ts';
import type { Body, Claim } from './deeds.ts';
import { NO_OP, textOf, valuesOf } from './nodes.ts';

/** A message of the network, or an entry of the record. `from` and `to` are places of nodes; `to` is −1 for the record. */
export interface Packet {
  readonly id: number;
  readonly from: number;
  readonly to: number;
  readonly body: Body;
  /** The values of an Accept or of a vote, slot for slot. */
  readonly values: readonly string[];
}

export function valuesIn(body: Body): readonly string[] {
  if (body.kind === 'accept') return valuesOf(body.batch);
  return body.kind === 'votes' && body.batch !== undefined ? valuesOf(body.batch) : [];
}

/** How many acceptors choose a value at a ballot of either kind, counted by the checker itself. */
export interface Needed {
  readonly phase2: number;
  readonly fast: number;
}

interface ChosenAt {
  readonly ballot: Ballot;
  readonly value: string;
}

/** The votes that a packet speaks of for a slot: a vote told to learners, an answer to an Accept, a report in a promise. */
function votesOf(sent: readonly Packet[], { body, values }: Packet, slot: number): ChosenAt[] {
  switch (body.kind) {
    case 'votes':
      return isIn(body, slot) ? [{ ballot: body.ballot, value: values[slot - body.first] ?? '' }] : [];
    case 'accepted':
      // The answer does not carry the value. At a classic ballot one was sent (R2), at a fast one its identity tells which.
      return isIn(body, slot)
        ? sentAt(sent, body.ballot, slot)
            .filter((value) => body.ballot.kind !== FAST || body.identity === identityBySight(value))
            .map((value) => ({ ballot: body.ballot, value }))
        : [];
    case 'rejected':
      return body.voted !== undefined && body.first === slot
        ? [{ ballot: body.ballot, value: textOf(body.voted) }]
        : [];
    case 'promised':
      return body.votes
        .filter((vote) => isIn({ first: vote.first, count: vote.batch.count }, slot))
        .map((vote) => ({ ballot: vote.ballot, value: valuesOf(vote.batch)[slot - vote.first] ?? '' }));
    default:
      return [];
  }
}

function isIn(range: { readonly first: number; readonly count: number }, slot: number): boolean {
  return range.first <= slot && slot < range.first + range.count;
}

function identityBySight(value: string): string {
  return createHash('sha256').update(value, 'latin1').digest('hex').slice(0, 32);
}

/** The values that Accepts at this ballot have for the slot. */
function sentAt(sent: readonly Packet[], ballot: Ballot, slot: number): string[] {
  const found = new Set<string>();
  for (const { body, values } of sent) {
    if (body.kind !== 'accept' || !sameBallot(body.ballot, ballot)) continue;
    const value = values[slot - body.first];
    if (value !== undefined) found.add(value);
  }
  return [...found];
}

/** What one slot was chosen as, at every ballot at which a phase-2 quorum of acceptors voted for one value. */
export function chosenAt(sent: readonly Packet[], slot: number, needed: Needed): ChosenAt[] {
  const voters = new Map<string, ChosenAt & { mask: number }>();
  for (const packet of sent) {
    for (const { ballot, value } of votesOf(sent, packet, slot)) {
      const key = `${formatBallot(ballot)} ${value}`;
      const tally = voters.get(key) ?? { ballot, value, mask: 0 };
      tally.mask |= 1 << packet.from;
      voters.set(key, tally);
    }
  }
  return [...voters.values()].filter(
    ({ mask, ballot }) => bitCount(mask) >= (ballot.kind === FAST ? needed.fast : needed.phase2),
  );
}

export interface Verdict {
  readonly complaint: string | undefined;
  readonly marks: readonly string[];
}

const FINE: Verdict = { complaint: undefined, marks: [] };

/** Judges what leaves a node, by what was sent before. `needed`: acceptors that choose. */
export function judge(sent: readonly Packet[], out: Packet, needed: Needed): Verdict {
  const { body } = out;
  switch (body.kind) {
    case 'promised':
      return judgeChoice(sent, out, needed, promiseFault(sent, out, body));
    case 'accepted':
      return judgeChoice(sent, out, needed, belowPromise(sent, out.from, body.ballot));
    case 'accept':
      return judgeAccept(sent, out, body);
    case 'votes':
      return judgeChoice(sent, out, needed, voteFaults(sent, out, body));
    case 'rejected':
      return body.voted === undefined ? FINE : judgeChoice(sent, out, needed, undefined);
    default:
      return FINE;
  }
}

function wrong(complaint: string | undefined): Verdict {
  return complaint === undefined ? FINE : { complaint, marks: [] };
}

/** R1: promises of one acceptor only rise, across its restarts too. R10: what a promise reports on, it reports whole. */
function promiseFault(sent: readonly Packet[], out: Packet, promised: Promised): string | undefined {
  for (const { from, body } of sent) {
    if (from !== out.from) continue;
    if (body.kind === 'promised' && compareBallots(body.ballot, promised.ballot) > 0)
      return `R1: a promise of ${formatBallot(promised.ballot)} after one of ${formatBallot(body.ballot)}`;
    if (body.kind !== 'accepted') continue;
    for (let slot = body.first; slot < body.first + body.count; slot++) {
      if (slot < promised.from || slot >= (promised.until ?? Infinity)) continue;
      const isReported = promised.votes.some(
        (v) => v.first <= slot && slot < v.first + v.batch.count && compareBallots(v.ballot, body.ballot) >= 0,
      );
      if (!isReported) return `R10: a promise leaves out the vote at ${formatBallot(body.ballot)} in slot ${slot}`;
    }
  }
  return undefined;
}

/** R2: no vote below a promise that was made. */
function belowPromise(sent: readonly Packet[], acceptor: number, ballot: Ballot): string | undefined {
  for (const { from, body } of sent)
    if (from === acceptor && body.kind === 'promised' && compareBallots(ballot, body.ballot) < 0)
      return `R2: a vote at ${formatBallot(ballot)} below the promise of ${formatBallot(body.ballot)}`;
  return undefined;
}

/** R2: one value per slot and ballot, for ever. Validity: only what somebody asked for, or a no-op. */
function judgeAccept(sent: readonly Packet[], out: Packet, accept: Accept): Verdict {
  const asked = new Set<string>();
  const own = new Set<string>();
  for (const { from, body, values } of sent) {
    if (body.kind === 'asked') asked.add(body.value);
    if (body.kind === 'asked' && from === out.from) own.add(body.value);
    if (body.kind !== 'accept' || !sameBallot(body.ballot, accept.ballot) || accept.ballot.kind === FAST) continue;
    for (const [i, value] of out.values.entries()) {
      const other = values[accept.first + i - body.first];
      if (other !== undefined && other !== value)
        return wrong(`R2: ${value} and ${other} at ${formatBallot(accept.ballot)} in slot ${accept.first + i}`);
    }
  }
  const stranger = out.values.find((value) => value !== NO_OP && !asked.has(value));
  if (stranger !== undefined) return wrong(`validity: ${stranger} is sent, and nobody asked for it`);
  const isAnothers = out.values.some((value) => value !== NO_OP && !own.has(value));
  return isAnothers ? { complaint: undefined, marks: ['the value of another is proposed again'] } : FINE;
}

/** Agreement: a slot is chosen as one value, at whatever ballots. */
function judgeChoice(sent: readonly Packet[], out: Packet, needed: Needed, fault: string | undefined): Verdict {
  if (fault !== undefined) return wrong(fault);
  // What was said before brings no new vote.
  if (sent.includes(out)) return FINE;
  const marks: string[] = [];
  for (const slot of slotsOf(out)) {
    const before = chosenAt(sent, slot, needed);
    const after = chosenAt([...sent, out], slot, needed);
    const rival = after.find((chosen) => chosen.value !== after[0]?.value);
    if (rival !== undefined)
      return wrong(`agreement: ${String(after[0]?.value)} and ${rival.value} are both chosen in slot ${slot}`);
    if (after.length > before.length) marks.push(...marksOf(after, slot));
  }
  return marks.length === 0 ? FINE : { complaint: undefined, marks };
}

/** The slots whose votes a packet speaks of. */
function slotsOf({ body }: Packet): number[] {
  const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);
  if (body.kind === 'votes' || body.kind === 'accepted') return range(body.first, body.count);
  if (body.kind === 'rejected') return body.voted === undefined ? [] : [body.first ?? 0];
  return body.kind === 'promised' ? body.votes.flatMap((vote) => range(vote.first, vote.batch.count)) : [];
}

function voteFaults(sent: readonly Packet[], out: Packet, vote: Votes): string | undefined {
  const below = belowPromise(sent, out.from, vote.ballot);
  if (below !== undefined) return below;
  for (const [i, value] of out.values.entries()) {
    const fault = voteFault(sent, out, vote, vote.first + i, value);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function marksOf(chosen: readonly ChosenAt[], slot: number): string[] {
  const marks = [`a value is chosen in slot ${slot}`];
  if (chosen[0]?.value === NO_OP) marks.push('a no-op is chosen');
  if (chosen.length > 1) marks.push('a value is chosen at two ballots');
  if (chosen.some(({ ballot }) => ballot.kind === FAST)) marks.push('a value is chosen at a fast ballot');
  return marks;
}

/** R2: an acceptor has one vote per slot and ballot, and only for what the ballot's owner sent. */
function voteFault(sent: readonly Packet[], out: Packet, vote: Votes, slot: number, value: string): string | undefined {
  for (const packet of sent)
    if (packet.from === out.from)
      for (const other of votesOf(sent, packet, slot))
        if (sameBallot(other.ballot, vote.ballot) && other.value !== value)
          return `R2: two votes of one acceptor at ${formatBallot(vote.ballot)} in slot ${slot}`;
  if (sentAt(sent, vote.ballot, slot).includes(value)) return undefined;
  return `R2: a vote for ${value}, which nobody sent at ${formatBallot(vote.ballot)}`;
}

/** R9: what is told as chosen is chosen. */
export function judgeClaim(sent: readonly Packet[], claim: Claim, needed: Needed): string | undefined {
  const chosen = chosenAt(sent, claim.slot, needed)[0]?.value;
  if (chosen === claim.value) return undefined;
  const is = chosen === undefined ? 'nothing is chosen' : `${chosen} is chosen`;
  return `R9: ${claim.who} says that ${claim.value} is chosen in slot ${claim.slot}, where ${is}`;
}
