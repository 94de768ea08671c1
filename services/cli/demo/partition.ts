/** A minority that is away is not missed; without a majority nothing is chosen, and nothing is lost. */
import { ClientError } from '../../../shared/client/index.ts';
import type { Ballot, SynodClient } from '../../../shared/client/index.ts';
import { messageOf } from '../../../shared/base/errors.ts';
import { covers, isBy, isChosen, isEqual, named, nothingChosen, verdict, voters } from './claims.ts';
import { texts } from './read.ts';
import { DemoError } from './stage.ts';
import type { Stage } from './stage.ts';

const PATIENT = 'patient';
const HASTY = 'hasty';
/** What the hasty client waits. */
const HASTY_MS = 1_500;
/** Values that are proposed until an acceptor that is back votes again. */
const AGAIN_MAX = 30;

export async function partition(stage: Stage): Promise<void> {
  stage.title('Partitions: with a majority it goes on; without, it waits');
  const minority = stage.acceptors.slice(stage.quorum);
  const client = stage.client();
  const kept = await minorityAway(stage, client, minority);
  await majorityAway(stage, client, kept);
}

/** Resolves to the values that were chosen. */
async function minorityAway(stage: Stage, client: SynodClient, away: readonly number[]): Promise<string[]> {
  const { quorum } = stage;
  const who = named('acceptor', away);
  await stage.scene(
    `First a value with all acceptors, then ${who} ${away.length === 1 ? 'is' : 'are'} cut off from everybody, and another value. ` +
      '(A client also opens a session, which takes slot 0.)',
  );
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

  await stage.scene(
    `${who.replace(/^a/, 'A')} ${away.length === 1 ? 'is' : 'are'} let back in, and values are proposed until it votes again: connections that were silent are made anew first.`,
  );
  await stage.heal();
  const [one = 0] = away;
  const more: string[] = [];
  for (let again: number | undefined; again === undefined;) {
    if (more.length >= AGAIN_MAX)
      throw new DemoError(`acceptor ${String(one)} did not vote in ${String(AGAIN_MAX)} slots`);
    more.push(`back ${String(more.length + 1)}`);
    const next = await client.propose(stage.log, Buffer.from(more.at(-1) ?? ''));
    again = await stage.maybe(
      (events) => (voters(events, next.slot, next.ballot ?? at).has(one) ? next.slot : undefined),
      500,
    );
    if (again !== undefined)
      await stage.claim(
        `Acceptor ${String(one)} votes again. The vote in slot ${String(slot)} that it missed is not needed: that slot is chosen, with or without it.`,
        verdict(true, `it voted in slot ${String(again)}`),
      );
  }
  return ['with all', 'with a majority', ...more];
}

async function majorityAway(stage: Stage, client: SynodClient, kept: readonly string[]): Promise<void> {
  const away = stage.acceptors.slice(0, stage.quorum);
  await stage.scene(
    `Now ${named('acceptor', away)} are cut off: no majority is left. Two clients propose: one gives up after ${String(HASTY_MS / 1_000)} s, the other keeps trying under the same id.`,
  );
  await cutOff(stage, away);
  const before = stage.events.length;
  const patient = client.propose(stage.log, Buffer.from(PATIENT));
  patient.catch(() => undefined);
  const error = await client.propose(stage.log, Buffer.from(HASTY), { timeoutMs: HASTY_MS }).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error !== undefined && !(error instanceof ClientError)) throw new DemoError(messageOf(error));
  await stage.settle();
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
  const { slot } = await patient;
  await stage.until('the learners apply it', (events) =>
    stage.learners.every((one) =>
      events.some((each) => each.kind === 'applied' && isBy(each, 'learner', one) && covers(each, slot)),
    ),
  );
  const found = await texts(stage);
  const takings = stage.events.slice(before).filter(({ kind }) => kind === 'proposed').length;
  await stage.claim(
    `The patient client has its answer: slot ${String(slot)}. However often it was sent, it took effect once.`,
    verdict(
      found.filter((value) => value === PATIENT).length === 1,
      `the two values were given to proposers ${String(takings)} times; this one took effect once`,
    ),
  );
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
