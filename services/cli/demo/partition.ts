/** A minority that is away is not missed; without a majority nothing is chosen, and nothing is lost. */
import { ClientError } from '../../../shared/client/index.ts';
import type { Ballot } from '../../../shared/client/index.ts';
import { messageOf } from '../../../shared/base/errors.ts';
import { covers, isBy, isChosen, isEqual, named, nothingChosen, verdict, voters } from './claims.ts';
import { texts } from './read.ts';
import type { Stage } from './stage.ts';

const PATIENT = 'patient';
const HASTY = 'hasty';
/** What the hasty client waits. */
const HASTY_MS = 1_500;

export async function partition(stage: Stage): Promise<void> {
  stage.title('Partitions: with a majority it goes on; without, it waits');
  const minority = stage.acceptors.slice(stage.quorum);
  await minorityAway(stage, minority);
  await majorityAway(stage);
}

async function minorityAway(stage: Stage, away: readonly number[]): Promise<void> {
  const { quorum } = stage;
  const who = named('acceptor', away);
  await stage.scene(
    `First a value with all acceptors, then ${who} ${away.length === 1 ? 'is' : 'are'} cut off from everybody, and another value. ` +
      '(A client also opens a session, which takes slot 0.)',
  );
  const client = stage.client();
  await client.propose(stage.log, Buffer.from('with all'));
  await cutOff(stage, away);
  const { slot, ballot } = await client.propose(stage.log, Buffer.from('with a majority'));
  await stage.until('the learners apply it', (events) =>
    stage.learners.every((id) =>
      events.some((each) => each.kind === 'applied' && isBy(each, 'learner', id) && covers(each, slot)),
    ),
  );
  const at = ballot as Ballot;
  await stage.claim(
    `Slot ${String(slot)} is chosen all the same: a majority was there. The client noticed nothing.`,
    isChosen(stage.events, slot, at, quorum, away),
  );

  await stage.scene(`${who.replace(/^a/, 'A')} ${away.length === 1 ? 'is' : 'are'} let back in.`);
  await stage.heal();
  const [one = 0] = away;
  const next = await client.propose(stage.log, Buffer.from('with all again'));
  await stage.until(`acceptor ${String(one)} votes again`, (events) =>
    voters(events, next.slot, next.ballot ?? at).has(one),
  );
  const missed = await stage.maybe(
    (events) => events.some((each) => each.kind === 'voted' && isBy(each, 'acceptor', one) && covers(each, slot)),
    300,
  );
  await stage.claim(
    `Acceptor ${String(one)} votes again` +
      (missed === true ? `, and for slot ${String(slot)}, which it had missed, as well.` : '.'),
    verdict(voters(stage.events, next.slot, next.ballot ?? at).has(one), `it voted in slot ${String(next.slot)}`),
  );
}

async function majorityAway(stage: Stage): Promise<void> {
  const away = stage.acceptors.slice(0, stage.quorum);
  await stage.scene(
    `Now ${named('acceptor', away)} are cut off: no majority is left. Two clients propose: one gives up after ${String(HASTY_MS / 1_000)} s, the other keeps trying under the same id.`,
  );
  await cutOff(stage, away);
  const before = stage.events.length;
  const patient = stage.client().propose(stage.log, Buffer.from(PATIENT));
  patient.catch(() => undefined);
  const error = await stage
    .client()
    .propose(stage.log, Buffer.from(HASTY), { timeoutMs: HASTY_MS })
    .then(
      () => undefined,
      (caught: unknown) => caught,
    );
  if (error !== undefined && !(error instanceof ClientError)) throw error;
  await stage.claim(
    'Nothing is chosen. Waiting is all that Paxos can do here, and all that it does.',
    nothingChosen(stage.events.slice(before), stage.quorum),
  );
  const outcome = error?.outcome ?? 'answered';
  await stage.claim(
    outcome === 'none'
      ? 'The hasty client is told that its value has no effect and never will: outcome none.'
      : 'The hasty client is told that its value may be chosen yet: outcome unknown.',
    verdict(
      error !== undefined,
      error === undefined ? 'it was answered as if it were chosen' : `${error.code}: ${messageOf(error)}`,
    ),
  );

  await stage.scene('The acceptors are let back in.');
  await stage.heal();
  const { slot, id } = await patient;
  await stage.until('the learners apply it', (events) =>
    stage.learners.every((one) =>
      events.some((each) => each.kind === 'applied' && isBy(each, 'learner', one) && covers(each, slot)),
    ),
  );
  const found = await texts(stage);
  const takings = stage.events.filter(
    (each) => each.kind === 'proposed' && each.proposal?.client === id.client && each.proposal.sequence === id.sequence,
  ).length;
  await stage.claim(
    `The patient client has its answer: slot ${String(slot)}. However often it was sent, it took effect once.`,
    verdict(
      found.filter((value) => value === PATIENT).length === 1,
      `proposers took it ${String(takings)} times; it is in the log once`,
    ),
  );
  const kept = ['with all', 'with a majority', 'with all again'];
  await stage.claim(
    'Nothing was lost: what was chosen before is where it was.',
    isEqual(found.slice(0, kept.length), kept),
  );
  const late = found.includes(HASTY);
  await stage.claim(
    late ? 'The hasty value was chosen after all, as "unknown" had warned.' : 'The hasty value is not in the log.',
    verdict(outcome === 'unknown' || !late, `outcome ${outcome}; in the log: ${late ? 'yes' : 'no'}`),
  );
}

/** These acceptors hear nobody, and nobody hears them. */
async function cutOff(stage: Stage, ids: readonly number[]): Promise<void> {
  const names = ids.map((id) => `a${String(id)}`);
  await stage.cut(names, stage.all(['acceptor', 'proposer', 'learner'], names));
}
