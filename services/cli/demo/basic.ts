/** Two proposers want different things, and the second has to take the value of the first. */
import type { Ballot, Decided, Traced } from '../../../shared/client/index.ts';
import { shortBallot } from '../trace/words.ts';
import {
  foundVote,
  isBy,
  isChosen,
  isEqual,
  isHigher,
  isPromised,
  isSame,
  named,
  promisers,
  sentOnly,
  verdict,
  votedOnly,
  voters,
} from './claims.ts';
import type { Events } from './claims.ts';
import { TooLateError } from './stage.ts';
import type { Stage } from './stage.ts';

/** The promise that completes the first quorum is held so long: less than the second after which a proposer begins anew. */
const HOLD_MS = 800;

/** Milliseconds until the vote is there, or was never asked for. */
const VOTE_MS = 3_000;

const FIRST = 'node-1';
const SECOND = 'node-2';

export async function basic(stage: Stage): Promise<void> {
  const [p1 = 1, p2 = 2] = stage.proposers;
  stage.title(`A duel: proposer ${String(p1)} wants ${FIRST}, proposer ${String(p2)} wants ${SECOND}`);
  const { first, answer, last } = await halfDone(stage, p1);
  await overtaken(stage, p1, p2, first, last);

  await stage.scene(
    `Proposer ${String(p1)} is let back in. Its client has waited all the time. It tries again at a higher ballot, and has to find what was chosen meanwhile.`,
  );
  await stage.heal();
  const decided = await answer;
  await stage.until('proposer 1 answers its client', (events) =>
    events.some((each) => each.kind === 'answered' && each.word === 'chosen' && isBy(each, 'proposer', p1)),
  );
  await stage.claim(
    `Client 1 hears that ${FIRST} was chosen, and that this was its own value.`,
    isAnswer(decided, FIRST, true),
  );
  const { entries } = await stage.client().read(stage.log);
  await stage.claim(
    'And that is what a reader finds in slot 0, for ever.',
    isEqual(
      entries.map(({ value }) => Buffer.from(value).toString()),
      [FIRST],
    ),
  );
}

interface HalfDone {
  /** The ballot at which one acceptor voted. */
  readonly first: Ballot;
  readonly answer: Promise<Decided>;
  readonly last: number;
}

/** The first proposer gets its promises, and one vote. */
async function halfDone(stage: Stage, p1: number): Promise<HalfDone> {
  const { acceptors, quorum } = stage;
  const last = acceptors.at(-1) ?? 3;
  const held = acceptors[0] ?? 1;
  // Those that are left are just a quorum, so that the held promise decides when phase 2 begins.
  const away = acceptors.slice(quorum - 1, -1);
  const name = `p${String(p1)}`;
  await stage.scene(
    `Phase 1 of proposer ${String(p1)}. It is cut off from ${named('acceptor', away)}, so it needs the promise of every other one. ` +
      `What acceptor ${String(held)} answers comes late, so that we can step in between the phases.`,
  );
  await stage.cut([name], away.map(acceptor));
  await stage.hold(HOLD_MS, [acceptor(held)], [name]);
  const answer = stage.client({ proposers: [p1] }).decide(stage.log, Buffer.from(FIRST));
  answer.catch(() => undefined);
  const first = await stage.until('a quorum promises the first ballot', (events) => {
    const ballots = events.flatMap((each) =>
      each.kind === 'promised' && each.ballot.proposer === p1 ? each.ballot : [],
    );
    return ballots.find((ballot) => promisers(events, ballot).size >= quorum);
  });
  await stage.cut([name], acceptors.filter((id) => id !== last && !away.includes(id)).map(acceptor), 'one');
  const vote = await stage.maybe(
    (events) =>
      events.find(
        (each): each is Traced & { readonly kind: 'voted' } =>
          each.kind === 'voted' && isBy(each, 'acceptor', last) && each.ballot.proposer === p1,
      ),
    VOTE_MS,
  );
  await stage.cut([name], [acceptor(last)]);
  await stage.settle();
  if (vote === undefined || voters(stage.events, 0, vote.ballot).size !== 1)
    throw new TooLateError('proposer 1 was not cut off between its two phases: this machine is busy');
  await stage.claim(
    `A majority promised ballot ${shortBallot(vote.ballot)}. Nobody reported a vote, so proposer ${String(p1)} was free to send its own value.`,
    isPromised(stage.events, isSame(first, vote.ballot) ? first : vote.ballot, quorum),
  );
  await stage.claim(
    `Its Accept(${shortBallot(vote.ballot)}, ${FIRST}) reached acceptor ${String(last)} alone; then proposer ${String(p1)} was cut off from all of them.`,
    votedOnly(stage.events, 0, vote.ballot, [last]),
  );
  stage.say('One vote is no majority: nothing is chosen. But who could know that?');
  return { first: vote.ballot, answer, last };
}

/** The second proposer finds the vote. */
async function overtaken(stage: Stage, p1: number, p2: number, first: Ballot, last: number): Promise<void> {
  const { acceptors, quorum } = stage;
  const away = acceptors.slice(0, acceptors.length - quorum);
  await stage.scene(
    `Now proposer ${String(p2)} wants ${SECOND} in the same slot. It reaches a majority, and acceptor ${String(last)} is one of it. ` +
      `(It is cut off from ${named('acceptor', away)}.)`,
  );
  await stage.cut([`p${String(p2)}`], away.map(acceptor));
  const decided = await stage.client({ proposers: [p2] }).decide(stage.log, Buffer.from(SECOND));
  const ballot = await stage.until('the value is chosen at a ballot of the second proposer', (events) =>
    chosenBy(events, p2),
  );
  await stage.until('the learners apply it', (events) =>
    stage.learners.every((id) => events.some((each) => each.kind === 'applied' && isBy(each, 'learner', id))),
  );
  await stage.claim(
    `Its ballot ${shortBallot(ballot)} is higher, so the promises shut proposer ${String(p1)} out.`,
    isHigher(ballot, first),
  );
  await stage.claim(
    `One of its promises reported a vote for ${FIRST}. That vote may have been the one that decided: with ${named('acceptor', away)} it would be a majority, and proposer ${String(p2)} cannot ask there.`,
    foundVote(stage.events, p2, ballot, { slot: 0, earlier: first, value: FIRST }),
  );
  await stage.claim(
    `So it gives up ${SECOND} and proposes ${FIRST}: the value of the highest ballot that was reported.`,
    sentOnly(stage.events, p2, FIRST),
  );
  await stage.claim(
    `A majority voted for it: ${FIRST} is chosen at ${shortBallot(ballot)}.`,
    isChosen(stage.events, 0, ballot, quorum),
  );
  await stage.claim(
    `Client 2 hears that ${FIRST} was chosen, and that this was not its own value.`,
    isAnswer(decided, FIRST, false),
  );
}

function chosenBy(events: Events, proposer: number): Ballot | undefined {
  for (const each of events) if (each.kind === 'chosen' && isBy(each, 'proposer', proposer)) return each.ballot;
  return undefined;
}

function isAnswer({ value, own }: Decided, wanted: string, isOwn: boolean) {
  const text = Buffer.from(value).toString();
  return verdict(text === wanted && own === isOwn, `the answer: ${text}, own: ${String(own)}`);
}

function acceptor(id: number): string {
  return `a${String(id)}`;
}
