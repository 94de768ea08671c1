/** A script of messages to an acceptor, drawn from a seed, and its answers in a form that can be compared. */
import { Batch } from '../../shared/base/batch.ts';
import type { Prng } from '../../shared/base/prng.ts';
import { CLASSIC, formatBallot } from '../../shared/paxos/ballot.ts';
import type { Ballot } from '../../shared/paxos/ballot.ts';
import type { Accept, Prepare } from '../../shared/paxos/messages.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { readBallot } from '../../shared/wire/codec/fields.ts';
import type { VoteRange } from '../../shared/wire/gen/synod/v1/acceptor.ts';
import { callAccept, callPrepare, follow, proposer } from '../integration/acceptor-support.ts';
import { until } from '../support/until.ts';

export const INCARNATIONS = ['00000000000000a1', '80000000000000a2'];
const LOGS = ['a', 'b'];
const ROUNDS = 12;
const SLOTS = 8;

export interface Said {
  readonly message: Prepare | Accept;
}

/** Ballots rise slowly, so that messages at older ones and at the same one come often; one Accept is far ahead of all others. */
export function scriptOf(prng: Prng, count: number): Said[] {
  return Array.from({ length: count }, (_, at) => {
    const near = Math.floor((at * ROUNDS) / count);
    const ballot: Ballot = {
      round: Math.max(1, near + prng.below(4) - 1),
      proposer: 1 + prng.below(2),
      incarnation: prng.pick(INCARNATIONS),
      kind: CLASSIC,
    };
    const log = prng.pick(LOGS);
    return { message: prng.chance(0.4) ? drawPrepare(prng, log, ballot) : drawAccept(prng, log, ballot) };
  });
}

function drawPrepare(prng: Prng, log: string, ballot: Ballot): Prepare {
  const from = prng.below(SLOTS);
  return {
    ...{ kind: 'prepare', log, ballot, from },
    to: prng.chance(0.5) ? undefined : from + 1 + prng.below(SLOTS),
    purpose: prng.pick(['lead', 'decree', 'finish']),
    fromWatermark: prng.chance(0.3),
    override: false,
    ask: prng.chance(0.2),
  };
}

function drawAccept(prng: Prng, log: string, ballot: Ballot): Accept {
  const first = prng.chance(0.03) ? 70_000 : prng.below(SLOTS);
  // Two values, so that the same one comes again at the same ballot, and another one too.
  const values = Array.from({ length: 1 + prng.below(3) }, () => Buffer.from(prng.pick(['x', 'y'])));
  return {
    kind: 'accept',
    log,
    ballot,
    first,
    batch: Batch.of(values),
    watermark: prng.chance(0.1) ? prng.below(3) : 0,
  };
}

export interface Answer {
  /** What it is called on the wire; a refusal with the number of its reason. */
  readonly kind: string;
  /** All of it, votes slot by slot: how they are cut into ranges is the acceptor's own business. */
  readonly whole: unknown;
}

/** Says one message by its unary call, as the proposer that owns its ballot. */
export async function said(connection: Connection, { message }: Said): Promise<Answer> {
  const header = proposer({ id: message.ballot.proposer, incarnation: message.ballot.incarnation });
  const { answer } =
    message.kind === 'prepare'
      ? await callPrepare(connection, message, header)
      : await callAccept(connection, message, header);
  if (answer === undefined) throw new Error('an answer of no kind');
  if (answer.$case === 'promised')
    return { kind: answer.$case, whole: { ...answer.value, votes: answer.value.votes.flatMap(slotsOf) } };
  if (answer.$case === 'rejected') return { kind: `rejected: ${answer.value.reason}`, whole: answer.value };
  return { kind: answer.$case, whole: answer.value };
}

function slotsOf(range: VoteRange): { slot: number; ballot: string; value: string }[] {
  const ballot = ballotText(readBallot(range.ballot, 'ballot'));
  return valuesOf(Batch.from(range.values, range.count)).map((value, i) => ({ slot: range.first + i, ballot, value }));
}

function valuesOf(batch: Batch): string[] {
  return batch.values().map((value) => Buffer.from(value).toString());
}

export function ballotText(ballot: Ballot): string {
  return `${formatBallot(ballot)} ${ballot.incarnation}`;
}

/** What a learner that connects now hears: the head of every log, and every vote in the order of the slots. */
export async function slotsHeard(connection: Connection): Promise<unknown[]> {
  const follower = follow(connection);
  await until(() => follower.received.filter(({ kind }) => kind === 'head').length === LOGS.length);
  for (const log of LOGS) {
    follower.send({ kind: 'fetch', log, from: 0, to: 100_000, values: true });
    await until(() => follower.received.some((message) => message.kind === 'fetched' && message.log === log));
  }
  return follower.received.flatMap((message): unknown[] => {
    if (message.kind !== 'votes') return [message];
    const { log, first, ballot, watermark, batch } = message;
    return valuesOf(batch ?? Batch.of([])).map((value, i) => ({
      log,
      slot: first + i,
      ballot: ballotText(ballot),
      watermark,
      value,
    }));
  });
}
