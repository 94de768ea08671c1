/** Fast Paxos: a value in two message delays, two values that collide, both recoveries, and what happens without a fast quorum. */
import { ClientError } from '../../../shared/client/index.ts';
import type { Ballot, Decided, SynodClient, Traced } from '../../../shared/client/index.ts';
import { BALLOT_ZERO } from '../../../shared/paxos/ballot.ts';
import { majority } from '../../../shared/paxos/quorum.ts';
import type { Member } from '../commands/gather.ts';
import { shortBallot } from '../trace/words.ts';
import { covers, isBy, isChosen, isEqual, isSame, named, verdict, voters } from './claims.ts';
import type { Events, Verdict } from './claims.ts';
import {
  inDelays,
  isChosenFast,
  isCollision,
  pickedByPromises,
  pickedByVotes,
  sawCollision,
  tooFew,
  wayTo,
  wentToLeader,
} from './fast-claims.ts';
import type { Place, Sizes } from './fast-claims.ts';
import { counted, figureLines, figuresOf } from './fast-figures.ts';
import { texts } from './read.ts';
import { DemoError, TooLateError } from './stage.ts';
import type { Stage } from './stage.ts';

const ONE = 'one';
const RED = 'red';
const BLUE = 'blue';
/** Two Accepts cross within this time; less than the 200 ms after which a proposer gives a fast quorum up. */
const HOLD_MS = 120;
/** Longer than that. */
const SLOW_MS = 350;
/** A leader opens a log for fast voting after a second or more. */
const OPEN_MS = 20_000;
/** Slot 0 at ballot zero, where every decree begins. */
const START: Place = { slot: 0, ballot: BALLOT_ZERO };

export async function fast(stage: Stage): Promise<void> {
  const before = await stage.members();
  const sizes = sizesOf(stage, before);
  const [p1 = 1, p2 = 2] = stage.proposers;
  stage.title('Fast Paxos: straight to the acceptors, without a leader');
  await twoDelays(stage, sizes, p1);
  await stage.turn();
  await collided(stage, sizes, [p1, p2]);
  await stage.turn();
  await coordinated(stage, sizes, [p1, p2]);
  await stage.turn();
  await lost(stage, sizes, p1);

  await stage.settle();
  const figures = figuresOf(before, await stage.members());
  stage.figures({ statistics: figures }, ['What the proposers counted meanwhile:', '', ...figureLines(figures)]);
  await stage.claim(
    'Nothing of this was told alone: their metrics count every way that was shown.',
    // A proposer that learns late what became of its slot may have gone to a leader; that a slot was recovered is certain.
    counted(figures, { fast: 1, recovered: 1, fallback: 2 }),
  );
}

/** Throws where other quorums than majorities decide: the text tells of those. */
function sizesOf(stage: Stage, members: readonly Member[]): Sizes {
  const system = majority(stage.acceptors);
  for (const { said } of members) {
    const other = typeof said === 'string' ? undefined : said.status.process?.quorum;
    if (other !== undefined && other !== '' && other !== system.name)
      throw new ClientError(
        'FAILED_PRECONDITION',
        `demo fast tells of majorities, and the quorum system of this cluster is "${other}"; run npm run demo -- fast --alone`,
        'none',
      );
  }
  for (let fast = 1; fast <= system.size; fast++)
    if (system.isFast((1 << fast) - 1)) return { acceptors: system.size, fast };
  throw new DemoError(`${system.name} has no fast quorum`);
}

// ── two message delays ─────────────────────────────────────────────────────────────────────────────────────────────────

async function twoDelays(stage: Stage, { acceptors, fast: quorum }: Sizes, p1: number): Promise<void> {
  await stage.scene(
    `A decree that nobody asked for before is open at ballot zero: any proposer may send a value, and each acceptor votes for the first that comes. ` +
      `${String(quorum)} of ${String(acceptors)} acceptors are a fast quorum. Proposer ${String(p1)} sends "${ONE}".`,
  );
  const decided = await inTime(stage, p1);
  const chosen = await stage.until('the proposer sees it chosen', (events) => chosenBy(events, p1));
  const learned = await stage.until('a learner learns it', (events) => events.find((each) => each.kind === 'learned'));
  await appliedBy(stage, 0);
  await stage.settle();
  await stage.claim(
    'A fast quorum voted for it. Nobody led, and nobody was asked for a promise.',
    isChosenFast(stage.events, START, ONE, quorum),
  );
  const way = (end: Traced) => wayTo(stage.events, end, stage.sendingOf.bind(stage), isAccept(START));
  await stage.claim(
    'The learner knew after two message delays: proposer, acceptor, learner.',
    inDelays(way(learned), learned, 2),
  );
  await stage.claim(
    'So did the proposer: it counts the same votes. Through a leader elsewhere it is four.',
    inDelays(way(chosen), chosen, 2),
  );
  await stage.claim(`Its client hears that it went the fast way.`, wentBy(decided, 'fast', ONE));
}

// ── a collision at ballot zero ─────────────────────────────────────────────────────────────────────────────────────────

async function collided(stage: Stage, sizes: Sizes, [p1, p2]: readonly [number, number]): Promise<void> {
  const halves = halvesOf(stage);
  await stage.scene(
    `Another decree. Proposers ${String(p1)} and ${String(p2)} want ${RED} and ${BLUE} at once. ` +
      `${whereFirst(p1, p2, halves)} So no value may get the ${String(sizes.fast)} votes that it takes.`,
  );
  await cross(stage, p1, p2, halves);
  const answers = Promise.all([
    stage.client({ proposers: [p1] }).decide(stage.log, Buffer.from(RED), { protocol: 'fast' }),
    stage.client({ proposers: [p2] }).decide(stage.log, Buffer.from(BLUE), { protocol: 'fast' }),
  ]);
  answers.catch(() => undefined);
  await crossed(stage, START, sizes);
  const saw = await stage.maybe((events) => sawCollision(events, START).holds, 3_000);
  await stage.heal();
  if (saw === undefined) throw new TooLateError('nobody saw the collision before it was over: this machine is busy');
  await stage.claim(
    'They collide: the votes are split, and whoever votes yet, none can get a fast quorum.',
    isCollision(stage.events, START, [RED, BLUE], sizes),
  );
  await stage.claim(
    'A proposer sees that by itself: who comes second is told which value was first.',
    sawCollision(stage.events, START),
  );
  const learned = await stage.until('a learner learns it', (events) => events.find((each) => each.kind === 'learned'));
  await appliedBy(stage, 0);
  // What follows is no news: the other proposer finds the value as well.
  stage.picture();
  const decided = await answers;
  await stage.settle();
  await stage.settle();
  const ballot = ballotOf(learned);
  await stage.claim(
    `Proposer ${String(ballot.proposer)} recovers by ballot ${shortBallot(ballot)}, both phases. Of the votes that its promises report it has to take a value that may be chosen.`,
    pickedByPromises(stage.events, ballot.proposer, ballot, START, sizes),
  );
  await stage.claim(
    `A majority votes for it at ${shortBallot(ballot)}: chosen.`,
    isChosen(stage.events, 0, ballot, stage.quorum),
  );
  const [first, second] = decided.map(({ value }) => Buffer.from(value).toString());
  const own = decided.filter((each) => each.own).length;
  await stage.claim(
    'Both clients hear the same value; one of them, that it was its own.',
    verdict(first === second && own === 1, `${String(first)} and ${String(second)}; own: ${String(own)} of 2`),
  );
}

// ── a collision where somebody opened the log ──────────────────────────────────────────────────────────────────────────

async function coordinated(stage: Stage, sizes: Sizes, [p1, p2]: readonly [number, number]): Promise<void> {
  const clients = new Map([p1, p2].map((id) => [id, stage.client({ proposers: [id] })]));
  const { leader, other, opened } = await openedLog(stage, clients, [p1, p2]);
  const halves = halvesOf(stage);
  await stage.scene(
    `Again ${RED} and ${BLUE} at once. ${whereFirst(leader, other, halves)} The next slot at ${shortBallot(opened.ballot)} will collide.`,
  );
  await cross(stage, leader, other, halves);
  const send = (id: number, value: string) =>
    (clients.get(id) as SynodClient).propose(stage.log, Buffer.from(value), { protocol: 'fast' });
  const answers = Promise.all([send(leader, RED), send(other, BLUE)]);
  answers.catch(() => undefined);
  const place = { slot: opened.first, ballot: opened.ballot };
  await crossed(stage, place, sizes);
  const recovering = await stage.maybe(
    (events) => events.find((each) => each.kind === 'recovering' && covers(each, place.slot)),
    3_000,
  );
  await stage.heal();
  // Recovered because time had passed, or by somebody else: not what is told here.
  if (recovering === undefined || recovering.cause === 0)
    throw new TooLateError('the collision was not seen by who opened the log in time: this machine is busy');
  const learned = await stage.until('a learner learns the slot', (events) =>
    events.find((each) => each.kind === 'learned' && covers(each, place.slot)),
  );
  const [red, blue] = await answers;
  await appliedBy(stage, Math.max(red.slot, blue.slot));
  await stage.settle();
  await stage.claim(
    `They collide in slot ${String(place.slot)}.`,
    isCollision(stage.events, place, [RED, BLUE], sizes),
  );
  await stage.claim(
    `Who opened the ballot heard every vote. It takes them for promises of the ballot that follows, and asks for votes at once: no Prepare.`,
    pickedByVotes(stage.events, leader, place, RED, sizes),
  );
  const way = wayTo(stage.events, learned, stage.sendingOf.bind(stage), isAccept(place));
  await stage.claim(
    `Four message delays, collision included. Nobody else may do this, and nowhere else: not at ballot zero, not for the next slot.`,
    inDelays(way, learned, 4),
  );
  const found = await texts(stage);
  await stage.claim(
    `One value got slot ${String(place.slot)}, the other a later one. Each took effect once.`,
    both(found, [RED, BLUE], [red.slot, blue.slot], place.slot),
  );
}

interface OpenedLog {
  readonly leader: number;
  readonly other: number;
  readonly opened: Traced & { readonly kind: 'opened' };
}

/** A log that is led, and that its leader opens for fast voting. */
async function openedLog(
  stage: Stage,
  clients: ReadonlyMap<number, SynodClient>,
  [p1, p2]: readonly [number, number],
): Promise<OpenedLog> {
  await stage.scene(
    'Now a log of many slots, with a leader: two values through Multi-Paxos, and then one that is sent FAST to who does not lead. ' +
      '(Clients open sessions, which take slots as well.)',
  );
  const propose = (id: number, value: string, protocol: 'multi' | 'fast') =>
    (clients.get(id) as SynodClient).propose(stage.log, Buffer.from(value), { protocol });
  await propose(p1, 'first', 'multi');
  const { leader = 0 } = await propose(p2, 'second', 'multi');
  const other = leader === p1 ? p2 : p1;
  const third = await propose(other, 'third', 'fast');
  await stage.until('the answer is told', (events) => wentToLeader(events, other, leader).holds);
  await stage.settle();
  await stage.claim(
    `The log is led, so FAST goes to the leader like all else: path ${third.path ?? 'unknown'}, and two messages more.`,
    wentToLeader(stage.events, other, leader),
  );
  await stage.scene(
    `FAST proposals came, so the leader, proposer ${String(leader)}, soon gives its lead up and opens the log again: phase 1 at a fast ballot of its own, and then Any.`,
  );
  const opened = await stage.until(
    'the leader opens the log for fast voting',
    (events) =>
      events.find((each): each is OpenedLog['opened'] => each.kind === 'opened' && isBy(each, 'proposer', leader)),
    OPEN_MS,
  );
  const openers = (events: Events) =>
    new Set(
      events.flatMap((each) =>
        each.kind === 'opened' && each.member.role === 'acceptor' && isSame(each.ballot, opened.ballot)
          ? [each.member.id]
          : [],
      ),
    );
  await stage.until('all acceptors are open', (events) => openers(events).size === stage.acceptors.length);
  await stage.settle();
  await stage.claim(
    `At ${shortBallot(opened.ballot)}, from slot ${String(opened.first)} on, acceptors vote again for whatever comes first.`,
    verdict(openers(stage.events).size === stage.acceptors.length, `open: ${named('acceptor', openers(stage.events))}`),
  );
  return { leader, other, opened };
}

function both(found: readonly string[], values: readonly string[], slots: readonly number[], place: number): Verdict {
  const tail = found.filter((value) => values.includes(value));
  const [first = -1, second = -1] = [...slots].sort((a, b) => a - b);
  const each = isEqual([...tail].sort(), [...values].sort());
  return verdict(
    each.holds && first === place && second > place,
    `slots ${slots.map(String).join(' and ')}; the log has ${found.join(', ')}`,
  );
}

// ── no fast quorum ─────────────────────────────────────────────────────────────────────────────────────────────────────

async function lost(stage: Stage, sizes: Sizes, p1: number): Promise<void> {
  const away = stage.acceptors.slice(stage.quorum);
  const who = named('acceptor', away);
  const left = sizes.acceptors - away.length;
  await stage.scene(
    `${who.replace(/^a/, 'A')} ${away.length === 1 ? 'is' : 'are'} cut off from everybody. ${String(left)} are left: a majority, ` +
      (left < sizes.fast ? `and no fast quorum, which takes ${String(sizes.fast)}.` : 'and just a fast quorum.'),
  );
  const names = away.map((id) => `a${String(id)}`);
  await stage.cut(names, stage.all(['acceptor', 'proposer', 'learner'], names));
  if (left >= sizes.fast) await stillFast(stage, sizes, p1, away);
  const decided = await stage.client({ proposers: [p1] }).decide(stage.log, Buffer.from(ONE), { protocol: 'fast' });
  await appliedBy(stage, 0);
  // By a vote that is late the value may be chosen at ballot zero as well; that is for learners to see.
  const { ballot } = await stage.until('the proposer sees it chosen', (events) => chosenBy(events, p1));
  await stage.settle();
  const sent = stage.events.findIndex((each) => each.kind === 'sent' && each.message === 'prepare');
  await stage.claim(
    'Too few votes came in time, and that is all a proposer can know.',
    tooFew(stage.events.slice(0, Math.max(0, sent)), START, sizes.fast),
  );
  await stage.claim(
    `So it falls back to the classic way, ballot ${shortBallot(ballot)}: a majority promised, and voted.`,
    isChosen(stage.events, 0, ballot, stage.quorum, away),
  );
  await stage.claim('The client has its answer, later, and is told why.', wentBy(decided, 'classic', ONE));
  await stage.heal();
}

/** With four acceptors a fast quorum is as large as a majority: it is gone in time only, when one more is slow. */
async function stillFast(stage: Stage, sizes: Sizes, p1: number, away: readonly number[]): Promise<void> {
  const decided = await inTime(stage, p1);
  await appliedBy(stage, 0);
  await stage.settle();
  await stage.claim('With one lost the fast way goes on.', isChosen(stage.events, 0, BALLOT_ZERO, sizes.fast, away));
  await stage.claim('Its client noticed nothing.', wentBy(decided, 'fast', ONE));
  const [, , slow = 3] = stage.acceptors;
  await stage.turn();
  await stage.scene(
    `And now what proposer ${String(p1)} sends to acceptor ${String(slow)} comes ${String(SLOW_MS)} ms late. Another decree:`,
  );
  await stage.hold(SLOW_MS, [`p${String(p1)}`], [`a${String(slow)}`]);
}

// ── what scenes share ──────────────────────────────────────────────────────────────────────────────────────────────────

type Halves = readonly [readonly number[], readonly number[]];

/** The larger half first. */
function halvesOf({ acceptors }: Stage): Halves {
  const half = Math.ceil(acceptors.length / 2);
  return [acceptors.slice(0, half), acceptors.slice(half)];
}

function whereFirst(one: number, two: number, [near, far]: Halves): string {
  return (
    `What proposer ${String(one)} sends is first at ${named('acceptor', near)}, what proposer ${String(two)} sends at ${named('acceptor', far)}: ` +
    `the rest of it comes ${String(HOLD_MS)} ms late.`
  );
}

async function cross(stage: Stage, one: number, two: number, [near, far]: Halves): Promise<void> {
  const acceptors = (ids: readonly number[]): string[] => ids.map((id) => `a${String(id)}`);
  await stage.hold(HOLD_MS, [`p${String(one)}`], acceptors(far));
  await stage.hold(HOLD_MS, [`p${String(two)}`], acceptors(near));
}

/** Waits for all votes at the fast ballot. Throws a TooLateError where one of the two was late, so that they did not cross. */
async function crossed(stage: Stage, place: Place, sizes: Sizes): Promise<void> {
  const all = await stage.maybe((events) => voters(events, place.slot, place.ballot).size === sizes.acceptors, 3_000);
  if (all === undefined || !isCollision(stage.events, place, [RED, BLUE], sizes).holds)
    throw new TooLateError('the two values did not cross on their way: this machine is busy');
}

/** Decides the log by the fast way. Throws a TooLateError where a fast quorum was there, and did not answer in time. */
async function inTime(stage: Stage, proposer: number): Promise<Decided> {
  const decided = await stage
    .client({ proposers: [proposer] })
    .decide(stage.log, Buffer.from(ONE), { protocol: 'fast' });
  if (decided.path === 'fast') return decided;
  throw new TooLateError('no fast quorum answered in time, though all were there: this machine is busy');
}

/** Every learner applied the slot. */
async function appliedBy(stage: Stage, slot: number): Promise<void> {
  await stage.until('the learners apply it', (events) =>
    stage.learners.every((id) =>
      events.some((each) => each.kind === 'applied' && isBy(each, 'learner', id) && covers(each, slot)),
    ),
  );
}

function chosenBy(events: Events, proposer: number) {
  return events.find(
    (each): each is Traced & { readonly kind: 'chosen' } => each.kind === 'chosen' && isBy(each, 'proposer', proposer),
  );
}

function isAccept({ slot, ballot }: Place) {
  return (sent: Traced): boolean =>
    sent.kind === 'sent' && sent.message === 'accept' && covers(sent, slot) && isSame(sent.ballot, ballot);
}

function ballotOf({ ballot }: Traced): Ballot {
  if (ballot === undefined) throw new DemoError('a learner learned at no ballot');
  return ballot;
}

function wentBy({ value, path, rounds }: Decided, wanted: Decided['path'], text: string): Verdict {
  const got = Buffer.from(value).toString();
  return verdict(
    path === wanted && got === text,
    `the answer: ${got}, path ${path ?? 'unknown'}, ballots tried: ${rounds === undefined ? 'unknown' : String(rounds)}`,
  );
}
