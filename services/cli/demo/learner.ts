/** Learners count votes, each for itself; one is late, and closes its gap. */
import { memberName } from '../../../shared/client/index.ts';
import { slotsText } from '../trace/words.ts';
import { appliedInOrder, counted, covers, isBy, isEqual, stoodStill, verdict } from './claims.ts';
import type { Events } from './claims.ts';
import { textsOf } from './read.ts';
import type { Stage } from './stage.ts';

const MISSED = ['two', 'three', 'four'];

export async function learner(stage: Stage): Promise<void> {
  const [on = 1, late = 2] = stage.learners;
  stage.title('Learning: nobody announces a decision; every learner counts votes');
  await stage.scene(
    'One value for a new log. Acceptors tell the learners of each vote. (A client also opens a session, which takes slot 0.)',
  );
  const client = stage.client();
  const { slot } = await client.propose(stage.log, Buffer.from('one'));
  await stage.until('both learners apply it', (events) => [on, late].every((id) => applied(events, id, slot)));
  for (const id of [on, late])
    await stage.claim(
      `Learner ${String(id)} counted a majority by itself before it took slot ${String(slot)} for chosen.`,
      counted(stage.events, id, slot, stage.quorum),
    );

  await stage.scene(
    `Learner ${String(late)} is cut off from the acceptors and from the other learners, and three more values are proposed.`,
  );
  const name = `l${String(late)}`;
  await stage.cut([name], stage.all(['acceptor', 'learner'], [name]));
  const before = stage.events.length;
  let end = slot;
  for (const value of MISSED) end = (await client.propose(stage.log, Buffer.from(value))).slot;
  await stage.until('the other learner applies them', (events) => applied(events, on, end));
  await stage.settle();
  const since = stage.events.slice(before);
  await stage.claim(
    `They are chosen, and learner ${String(on)} has them: a learner that is away holds nobody up.`,
    verdict(
      MISSED.every((_, at) => applied(since, on, end - at)),
      `learner ${String(on)} applied ${slotsText(end - MISSED.length + 1, MISSED.length)}`,
    ),
  );
  await stage.claim(`Learner ${String(late)} knows of none of them.`, stoodStill(since, late));
  await stage.claim(
    `Who asks it gets what it has; it is old, and in order.`,
    isEqual(await textsOf(stage, late), ['one']),
  );

  await stage.scene(
    `Learner ${String(late)} is let back in. It hears of a slot whose predecessors it misses, and asks for them.`,
  );
  const healed = stage.events.length;
  await stage.heal();
  await stage.until('the late learner applies everything', (events) => applied(events, late, end));
  await stage.claim(
    `It closes its gap: everything up to slot ${String(end)} is there.`,
    closed(stage.events.slice(healed), late, end),
  );
  await stage.claim(
    'Learning may come in any order. Applying does not: slot after slot, without a gap.',
    appliedInOrder(stage.events, late, end + 1),
  );
  await stage.claim('And both learners hold the same.', isEqual(await textsOf(stage, late), await textsOf(stage, on)));
}

/** What the late learner heard of those slots, and from whom. */
function closed(events: Events, id: number, end: number) {
  const from = new Set(
    events.flatMap((each) =>
      each.kind === 'received' && isBy(each, 'learner', id) && each.message === 'votes' ? [memberName(each.peer)] : [],
    ),
  );
  const gap = events.find((each) => each.kind === 'gap' && isBy(each, 'learner', id));
  const asked =
    gap === undefined
      ? 'it was told without asking'
      : `it missed ${slotsText(gap.first, gap.count)} and asked ${gap.word}`;
  return verdict(applied(events, id, end), `${asked}; votes came from ${[...from].join(', ') || 'nobody'}`);
}

function applied(events: Events, learnerId: number, slot: number): boolean {
  return events.some((each) => each.kind === 'applied' && isBy(each, 'learner', learnerId) && covers(each, slot));
}
