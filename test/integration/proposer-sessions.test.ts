/**
 * Goal: proposals without a client get numbers of one session of the proposer, never more than the window of them at once, and
 * a session that expired is replaced by another one.
 * Method: the sessions over an intake whose machine is this test.
 */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { Intake } from '../../services/proposer/intake.ts';
import { OwnSessions } from '../../services/proposer/own-sessions.ts';
import type { OwnAnswer } from '../../services/proposer/own-sessions.ts';
import { decodeEntry } from '../../shared/machine/entry.ts';
import type { Command } from '../../shared/machine/entry.ts';
import type { Answer, Refused } from '../../shared/paxos/peers.ts';

interface Sent {
  readonly token: number;
  readonly entry: ReturnType<typeof decodeEntry>;
  readonly timeoutMs: number;
}

let now: number;
let sent: Sent[];
let answers: OwnAnswer[];
let intake: Intake;
let sessions: OwnSessions;

beforeEach(() => {
  now = 0;
  sent = [];
  answers = [];
  intake = new Intake(
    (event) => {
      if (event.kind === 'propose')
        sent.push({ token: event.token, entry: decodeEntry(event.entry), timeoutMs: event.timeoutMs });
    },
    () => undefined,
  );
  let ids = 0;
  sessions = new OwnSessions({
    intake,
    clock: { now: () => now, after: () => () => undefined },
    newId: () => String(++ids).padStart(32, '0'),
    openMs: 5_000,
    waitingMax: 2_000,
  });
});

const PAYLOAD = Buffer.from('x');
const propose = (timeoutMs = 5_000): void => {
  void sessions.propose('a', PAYLOAD, timeoutMs).then((answer) => answers.push(answer));
};
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const take = (): Sent[] => sent.splice(0);
const chosen = (slot: number): Answer => ({ kind: 'chosen', slot, ballot: undefined, entry: undefined, leader: 1 });
const refused = (code: Refused['code'], outcome: Refused['outcome']): Refused => ({
  kind: 'refused',
  ...{ code, message: 'no', outcome, leader: undefined },
});
const commands = (of: readonly Sent[]): Command[] => of.map(({ entry }) => entry as Command);

/** Answers the opening of the session, which must be all that was sent. */
function open(slot: number): string {
  const [opening, ...rest] = take();
  expect(rest).toEqual([]);
  if (opening?.entry.kind !== 'open-session') throw new Error('no session was opened');
  intake.settle(opening.token, chosen(slot));
  return opening.entry.client;
}

describe('the sessions of a proposer', () => {
  test('one is opened with the first proposal, which waits for it; numbers count up from 1', async () => {
    propose();
    propose();
    const client = open(7);
    const two = take();
    expect(commands(two)).toEqual([
      expect.objectContaining({ client, session: 7, sequence: 1, acknowledged: 0 }),
      expect.objectContaining({ client, session: 7, sequence: 2, acknowledged: 0 }),
    ]);
    for (const { token } of two) intake.settle(token, chosen(token));
    await settled();
    expect(answers.map(({ session, sequence }) => [session, sequence])).toEqual([
      [7, 1],
      [7, 2],
    ]);
    propose();
    expect(commands(take())).toEqual([expect.objectContaining({ sequence: 3, acknowledged: 2 })]);
  });

  test('at most 1,024 numbers are in use above the oldest that has no answer', () => {
    for (let i = 0; i < 1_500; i++) propose();
    open(0);
    const first = take();
    expect(first).toHaveLength(1_024);
    expect(sessions.waiting).toBe(476);
    // An answer in the middle acknowledges nothing, so there is no room.
    const middle = first[500];
    if (middle !== undefined) intake.settle(middle.token, chosen(1));
    expect(take()).toEqual([]);
    for (const { token } of first.slice(0, 500)) intake.settle(token, chosen(1));
    const next = commands(take());
    expect(sessions.waiting).toBe(0);
    expect(next).toHaveLength(476);
    for (const { sequence, acknowledged } of next) expect(sequence - acknowledged).toBeLessThanOrEqual(1_024);
  });

  test('what does not fit in the queue is refused with none (R14)', async () => {
    for (let i = 0; i < 2_001; i++) propose();
    await settled();
    expect(answers.map(({ answer }) => answer)).toEqual([
      expect.objectContaining({ code: 'RESOURCE_EXHAUSTED', outcome: 'none' }),
    ]);
  });

  test('one that expired is replaced under another client id, and what was refused goes on in it', async () => {
    propose();
    const before = open(3);
    const [lost] = take();
    intake.settle(lost?.token ?? 0, refused('FAILED_PRECONDITION', 'none'));
    const after = open(90);
    expect(after).not.toBe(before);
    const [again] = take();
    expect(again?.entry).toMatchObject({ client: after, session: 90, sequence: 1 });
    intake.settle(again?.token ?? 0, chosen(91));
    await settled();
    expect(answers).toEqual([expect.objectContaining({ session: 90, answer: chosen(91) })]);
  });

  test('a refusal whose outcome is unknown is never proposed again under another number (R12)', async () => {
    propose();
    open(3);
    const [lost] = take();
    intake.settle(lost?.token ?? 0, refused('FAILED_PRECONDITION', 'unknown'));
    await settled();
    expect(take()).toEqual([]);
    expect(answers[0]?.answer).toMatchObject({ outcome: 'unknown' });
  });

  test('where none can be opened, what waits is refused with none, and the next proposal tries anew', async () => {
    propose();
    intake.settle(take()[0]?.token ?? 0, refused('DEADLINE_EXCEEDED', 'unknown'));
    await settled();
    expect(answers[0]?.answer).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'none' });
    propose();
    open(5);
    expect(take()).toHaveLength(1);
  });

  test('who waits longer than its deadline is told so, with none', async () => {
    propose(100);
    now = 101;
    sessions.tick();
    await settled();
    expect(answers[0]?.answer).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'none' });
    open(5);
    expect(take()).toEqual([]);
  });
});
