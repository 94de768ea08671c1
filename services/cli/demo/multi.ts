/** A log with a leader: phase 1 once, and what a half-done slot becomes when the leader is gone. */
import type { Ballot, SynodClient } from '../../../shared/client/index.ts';
import { shortBallot } from '../trace/words.ts';
import {
  covers,
  finished,
  foundVote,
  isBy,
  isChosen,
  isEqual,
  isHigher,
  isPromised,
  named,
  streamed,
  verdict,
  votedOnly,
} from './claims.ts';
import type { Events } from './claims.ts';
import { texts } from './read.ts';
import type { Stage } from './stage.ts';

const MORE = ['two', 'three', 'four'];
const HALF = 'half-done';

export async function multi(stage: Stage): Promise<void> {
  stage.title('A log: one leader, one phase 1, many values');
  await stage.scene(
    'A first value for a new log. Nobody leads it, so a proposer runs phase 1, for all of its slots at once; then it is the leader. ' +
      '(A client also opens a session, which takes slot 0.)',
  );
  const client = stage.client();
  const { leader: l = 0, ballot: b } = await client.propose(stage.log, Buffer.from('one'));
  const led = await stage.until('a proposer leads', (events) => events.findLast((each) => each.kind === 'leader'));
  const ballot = b ?? led.ballot;
  await stage.claim(
    `Proposer ${String(l)} leads with ballot ${shortBallot(ballot)}: a majority promised it.`,
    isPromised(stage.events, ballot, stage.quorum),
  );

  await stage.scene(`Three more values. The promises hold for every slot from there on, so each takes phase 2 alone.`);
  const before = stage.events.length;
  const slots: number[] = [];
  for (const value of MORE) slots.push((await client.propose(stage.log, Buffer.from(value))).slot);
  await stage.until('the learners apply them', (events) =>
    stage.learners.every((id) => applied(events, id, slots.at(-1) ?? 0)),
  );
  await stage.claim(
    'Not one Prepare was sent for them: phase 1 was paid once.',
    streamed(stage.events.slice(before), slots, ballot),
  );
  await takenOver(stage, client, l, ballot);
}

async function takenOver(stage: Stage, client: SynodClient, l: number, ballot: Ballot): Promise<void> {
  const [a = 1] = stage.acceptors;
  const others = stage.acceptors.filter((id) => id !== a).map((id) => `a${String(id)}`);
  const next = stage.proposers.filter((id) => id !== l);
  const away = stage.acceptors.slice(stage.quorum);
  await stage.scene(
    `The leader is cut off from all acceptors but acceptor ${String(a)}, and a client gives it one more value, "${HALF}". ` +
      `(${named('Proposer', next)} ${next.length === 1 ? 'is' : 'are'} cut off from ${named('acceptor', away)}, so that any majority there has acceptor ${String(a)} in it.)`,
  );
  await stage.cut([`p${String(l)}`], others);
  // Before anybody can run phase 1: one that finds no vote may as well send the value as its own, when the client tries again.
  await stage.cut(
    next.map((id) => `p${String(id)}`),
    away.map((id) => `a${String(id)}`),
  );
  // The client asks first where the leader is, and tries the others under the same id once that one is gone.
  const answer = client.propose(stage.log, Buffer.from(HALF));
  answer.catch(() => undefined);
  const vote = await stage.until('one acceptor votes for the half-done slot', (events) => halfVote(events, a, l));
  const slot = vote.first;
  const died = await gone(stage, l);
  await stage.settle();
  await stage.claim(
    `Slot ${String(slot)} is half done: acceptor ${String(a)} voted, no majority did, and the leader ${died}.`,
    votedOnly(stage.events, slot, ballot, [a]),
  );

  await stage.scene(
    `The client has no answer, and tries again at ${named('proposer', next)}, under the same id. Somebody has to run phase 1 anew.`,
  );
  const done = await answer;
  const learned = await stage.until('a learner learns the slot', (events) =>
    events.find((each) => each.kind === 'learned' && covers(each, slot)),
  );
  await stage.until('the learners apply it', (events) => stage.learners.every((id) => applied(events, id, slot)));
  const second = learned.ballot as Ballot;
  const n = second.proposer;
  await stage.claim(
    `Proposer ${String(n)} ran phase 1 with ballot ${shortBallot(second)}, which is higher.`,
    isHigher(second, ballot),
  );
  await stage.claim(
    `A promise reported the vote in slot ${String(slot)}: it may have been chosen.`,
    foundVote(stage.events, n, second, { slot, earlier: ballot, value: HALF }),
  );
  await stage.claim(
    'So it first finishes what the old leader began: the same value, in the same slot.',
    finished(stage.events, n, slot, second, HALF),
  );
  await stage.claim(
    `A majority voted for it at ${shortBallot(second)}: now it is chosen.`,
    isChosen(stage.events, slot, second, stage.quorum),
  );
  await stage.claim(
    `The client hears of slot ${String(slot)}, the one in which its first try was half done.`,
    verdict(done.slot === slot, `the answer: slot ${String(done.slot)}`),
  );
  await stage.heal();
  await stage.claim(
    'The log has every value once, in the order in which they came.',
    isEqual(await texts(stage), ['one', ...MORE, HALF]),
  );
}

/** The leader goes: its process where we can, otherwise all of its messages. */
async function gone(stage: Stage, l: number): Promise<string> {
  const { kill } = stage.hands;
  stage.mayGo(`p${String(l)}`);
  if (kill === undefined) {
    await stage.cut([`p${String(l)}`], stage.all(['acceptor', 'proposer', 'learner'], [`p${String(l)}`]));
    return 'is cut off from everybody';
  }
  await kill(l);
  return 'is dead (SIGKILL)';
}

function halfVote(events: Events, acceptor: number, proposer: number): { readonly first: number } | undefined {
  const slot = events.find(
    (each) =>
      each.kind === 'sent' &&
      each.message === 'accept' &&
      isBy(each, 'proposer', proposer) &&
      each.value !== undefined &&
      Buffer.from(each.value).toString() === HALF,
  )?.first;
  if (slot === undefined) return undefined;
  for (const each of events)
    if (each.kind === 'voted' && isBy(each, 'acceptor', acceptor) && covers(each, slot)) return { first: slot };
  return undefined;
}

function applied(events: Events, learner: number, slot: number): boolean {
  return events.some((each) => each.kind === 'applied' && isBy(each, 'learner', learner) && covers(each, slot));
}
