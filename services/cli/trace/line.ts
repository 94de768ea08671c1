/** One line of the timeline, for people and as JSON. */
import { memberName, memberShort } from '../../../shared/client/index.ts';
import type { Traced } from '../../../shared/client/index.ts';
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import type { Ballot } from '../../../shared/client/index.ts';
import { showLine } from '../text.ts';
import { jsonValue } from '../values.ts';
import { describe, logText } from './words.ts';

/** `16:02:03.412  p1 ──▶ a*   prepare 4.p1` */
export function timelineLine(event: Traced, showLog: boolean): string {
  const at = new Date(event.wallMs).toISOString().slice(11, 23);
  const log = showLog && event.log !== '' ? `  ${logText(event)}` : '';
  return showLine(`${at}  ${whoText(event).padEnd(10)} ${describe(event)}${log}`);
}

function whoText(event: Traced): string {
  const own = memberShort(event.member);
  if (event.kind === 'sent') return `${own} ──▶ ${memberShort(event.peer)}`;
  if (event.kind === 'received') return `${own} ◀── ${memberShort(event.peer)}`;
  return own;
}

/** An event with its fields, those that say nothing left out. Ballots, members and values as everywhere in synodctl. */
export function jsonLine(event: Traced): string {
  const { member, peer, ballot, higher, value, votes, proposal } = event;
  const { kind, message, log, first, count, number, word, why, phase, protocol, sequence, cause, atMs, wallMs } = event;
  return JSON.stringify({
    at: new Date(wallMs).toISOString(),
    wallMs,
    member: memberName(member),
    sequence,
    cause: cause === 0 ? undefined : cause,
    atMs,
    kind,
    message,
    peer: peer === undefined ? undefined : memberName(peer),
    log: log === '' ? undefined : log,
    ballot: ballotText(ballot),
    higher: ballotText(higher),
    first,
    count: count === 0 ? undefined : count,
    number: number === 0 ? undefined : number,
    phase,
    protocol,
    word: word === '' ? undefined : word,
    why: why === '' ? undefined : why,
    proposal,
    ...(value === undefined ? {} : jsonValue(value, false)),
    votes: votes.length === 0 ? undefined : votes.map(votesJson),
  });
}

function votesJson({ first, count, ballot, value }: Traced['votes'][number]): object {
  return { first, count, ballot: ballotText(ballot), ...(value === undefined ? {} : jsonValue(value, false)) };
}

function ballotText(ballot: Ballot | undefined): string | undefined {
  return ballot === undefined ? undefined : formatBallot(ballot);
}
