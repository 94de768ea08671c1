/**
 * Goal: what a demonstration says is borne out by events, or found to be contradicted by them.
 * Method: each claim is given events that bear it out, and as its control the same ones with one thing changed.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { demo, DEMOS } from '../../../services/cli/commands/demo.ts';
import * as claims from '../../../services/cli/demo/claims.ts';
import * as fast from '../../../services/cli/demo/fast-claims.ts';
import { counted, figureLines, figuresOf } from '../../../services/cli/demo/fast-figures.ts';
import { contradiction, judged } from '../../../services/cli/demo/stage.ts';
import { Teller } from '../../../services/cli/demo/teller.ts';
import { parseEndpoints } from '../../../services/cli/endpoints.ts';
import { errorLine, exitCodeOf, UsageError } from '../../../services/cli/exit.ts';
import type { Member } from '../../../services/cli/commands/gather.ts';
import type { Ballot, Traced } from '../../../shared/client/index.ts';
import { CLASSIC, FAST } from '../../../shared/paxos/ballot.ts';
import { Faults } from '../../../shared/platform/faults/faults.ts';
import { serve } from '../../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../../shared/platform/grpc/server.ts';
import { statusOf } from '../../../shared/wire/status.ts';
import { silentLog } from '../../support/silent-log.ts';

const ballot = (round: number, proposer: number): Ballot =>
  ({
    ...{ round, proposer, incarnation: '00112233aabbccdd', kind: 0 },
  }) as unknown as Ballot;
const B1 = ballot(1, 1);
const B2 = ballot(2, 2);
const bytes = (text: string): Uint8Array => Buffer.from(text);

function event(who: string, kind: string, fields: object = {}): Traced {
  const role = { p: 'proposer', a: 'acceptor', l: 'learner' }[who.slice(0, 1)];
  return {
    member: { role, id: Number(who.slice(1)) },
    kind,
    count: 1,
    first: 0,
    votes: [],
    word: '',
    ...fields,
  } as unknown as Traced;
}
const from = (role: string, id: number): object => ({ peer: { role, id } });
const voted = (who: string, at: Ballot, first = 0): Traced => event(who, 'voted', { ballot: at, first });
const promised = (who: string, at: Ballot): Traced => event(who, 'promised', { ballot: at });
const accept = (who: string, at: Ballot, value: string, first = 0): Traced =>
  event(who, 'sent', { message: 'accept', ballot: at, value: bytes(value), first });
const promise = (value: string, at = B1): Traced =>
  event('p2', 'received', {
    ...{ message: 'promise', ballot: B2, ...from('acceptor', 3) },
    votes: [{ first: 0, count: 1, ballot: at, value: bytes(value) }],
  });
const votes = (acceptor: number, first = 0): Traced =>
  event('l1', 'received', { message: 'votes', ballot: B1, first, ...from('acceptor', acceptor) });
const learned = (who: string, first = 0): Traced => event(who, 'learned', { ballot: B1, first });
const applied = (who: string, first: number, count = 1): Traced => event(who, 'applied', { first, count });

// A slot at a fast ballot, five acceptors of which four choose there.
const F: Ballot = { ...ballot(3, 2), kind: FAST };
const C: Ballot = { ...ballot(3, 2), kind: CLASSIC };
const PLACE = { slot: 7, ballot: F };
const FIVE = { acceptors: 5, fast: 4 };
const fastVote = (who: string, value: string, at: Ballot = F): Traced =>
  event(who, 'voted', { ballot: at, first: 7, value: bytes(value) });
const split = (red: readonly string[], blue: readonly string[]): Traced[] => [
  ...red.map((who) => fastVote(who, 'red')),
  ...blue.map((who) => fastVote(who, 'blue')),
];
const reported = (acceptor: number, value: string, at: Ballot = F): Traced =>
  event('p1', 'received', {
    ...{ message: 'promise', ballot: B2, ...from('acceptor', acceptor) },
    votes: [{ first: 7, count: 1, ballot: at, value: bytes(value) }],
  });
const heard = (message: 'accepted' | 'reject', acceptor: number, value?: string): Traced =>
  event('p2', 'received', {
    ...{ message, ballot: F, first: 7, ...from('acceptor', acceptor) },
    ...(value === undefined ? {} : { value: bytes(value) }),
  });
const recovering = event('p2', 'recovering', { ballot: C, first: 7 });
/** By promises, at a higher ballot: three reports, then what is sent. */
const picks = (...reports: readonly Traced[]) =>
  fast.pickedByPromises([...reports, accept('p1', B2, 'blue', 7)], 1, B2, PLACE, FIVE);
/** By votes, as who opened the ballot: what was heard, then what is sent. */
const counts = (sent: string, ...votes: readonly Traced[]) =>
  fast.pickedByVotes([...votes, recovering, accept('p2', C, sent, 7)], 2, PLACE, 'red', FIVE);
/** A way of two messages: accept, votes. */
const WAY = ((): { events: Traced[]; end: Traced; sendingOf: fast.SendingOf } => {
  const sent = event('p1', 'sent', { message: 'accept', ballot: F, first: 7, sequence: 4, cause: 3 });
  const got = event('a2', 'received', { message: 'accept', ballot: F, first: 7, sequence: 9, cause: 0 });
  const told = event('a2', 'sent', { message: 'votes', ballot: F, first: 7, sequence: 11, cause: 9 });
  const came = event('l1', 'received', { message: 'votes', ballot: F, first: 7, sequence: 5, cause: 0 });
  const end = event('l1', 'learned', { ballot: F, first: 7, sequence: 6, cause: 5 });
  const sendings = new Map([
    [got, sent],
    [came, told],
  ]);
  return { events: [sent, got, told, came, end], end, sendingOf: (each) => sendings.get(each) };
})();
const way = (events: readonly Traced[], wanted: number, isFirst = 'accept') => {
  const found = fast.wayTo(events, WAY.end, WAY.sendingOf, (each) => 'message' in each && each.message === isFirst);
  return fast.inDelays(found, WAY.end, wanted);
};

/** A claim, events that bear it out, and events that contradict it. */
const CLAIMS: Readonly<Record<string, readonly [claims.Verdict, ...claims.Verdict[]]>> = {
  'a majority promised': [
    claims.isPromised([promised('a1', B1), promised('a3', B1)], B1, 2),
    claims.isPromised([promised('a1', B1), promised('a1', B1)], B1, 2),
    claims.isPromised([promised('a1', B1), promised('a3', B2)], B1, 2),
  ],
  'one acceptor alone voted': [
    claims.votedOnly([voted('a3', B1)], 0, B1, [3]),
    claims.votedOnly([voted('a3', B1), voted('a1', B1)], 0, B1, [3]),
    claims.votedOnly([voted('a3', B2)], 0, B1, [3]),
    claims.votedOnly([], 0, B1, [3]),
  ],
  'a majority voted, and nobody who was away': [
    claims.isChosen([voted('a1', B1), voted('a2', B1)], 0, B1, 2, [3]),
    claims.isChosen([voted('a1', B1), voted('a2', B1), voted('a3', B1)], 0, B1, 2, [3]),
    claims.isChosen([voted('a1', B1), voted('a2', B2)], 0, B1, 2),
    claims.isChosen([voted('a1', B1), voted('a2', B1, 1)], 0, B1, 2),
  ],
  'phase 1 found the vote of the first one': [
    claims.foundVote([promise('node-1')], 2, B2, { slot: 0, earlier: B1, value: 'node-1' }),
    claims.foundVote([promise('node-2')], 2, B2, { slot: 0, earlier: B1, value: 'node-1' }),
    claims.foundVote([promise('node-1', B2)], 2, B2, { slot: 0, earlier: B1, value: 'node-1' }),
    claims.foundVote([promise('node-1')], 1, B2, { slot: 0, earlier: B1, value: 'node-1' }),
    claims.foundVote([accept('p2', B2, 'node-1'), promise('node-1')], 2, B2, {
      ...{ slot: 0, earlier: B1, value: 'node-1' },
    }),
    claims.foundVote([], 2, B2, { slot: 0, earlier: B1, value: 'node-1' }),
  ],
  'the second one proposed the value of the first': [
    claims.sentOnly([accept('p1', B1, 'node-1'), accept('p2', B2, 'node-1')], 2, 'node-1'),
    claims.sentOnly([accept('p2', B2, 'node-1'), accept('p2', B2, 'node-2')], 2, 'node-1'),
    claims.sentOnly([accept('p1', B1, 'node-1')], 2, 'node-1'),
  ],
  'a ballot is higher': [claims.isHigher(B2, B1), claims.isHigher(B1, B2), claims.isHigher(B1, B1)],
  'values were streamed without phase 1': [
    claims.streamed([event('p1', 'chosen', { ballot: B1, first: 4, count: 2 })], [4, 5], B1),
    claims.streamed([event('p1', 'chosen', { ballot: B1, first: 4 })], [4, 5], B1),
    claims.streamed([event('p1', 'chosen', { ballot: B2, first: 4 })], [4], B1),
    claims.streamed(
      [event('p2', 'sent', { message: 'prepare', ballot: B2 }), event('p1', 'chosen', { ballot: B1, first: 4 })],
      [4],
      B1,
    ),
  ],
  'a half-done slot was finished with its value': [
    claims.finished([accept('p2', B2, 'half', 6)], 2, 6, B2, 'half'),
    claims.finished([accept('p2', B2, 'other', 6)], 2, 6, B2, 'half'),
    claims.finished([accept('p2', B2, 'half', 7)], 2, 6, B2, 'half'),
    claims.finished([accept('p1', B1, 'half', 6)], 2, 6, B2, 'half'),
  ],
  'nothing was chosen': [
    claims.nothingChosen([voted('a3', B1), voted('a2', B2)], 2),
    claims.nothingChosen([voted('a3', B1), voted('a2', B1)], 2),
    claims.nothingChosen([learned('l1')], 2),
    claims.nothingChosen([event('p1', 'chosen', { ballot: B1 })], 2),
  ],
  'a learner counted before it learned': [
    claims.counted([votes(1), votes(3), learned('l1')], 1, 0, 2),
    claims.counted([votes(1), votes(1), learned('l1')], 1, 0, 2),
    claims.counted([votes(1), learned('l1'), votes(3)], 1, 0, 2),
    claims.counted([votes(1), votes(3, 1), learned('l1')], 1, 0, 2),
    claims.counted([votes(1), votes(3)], 1, 0, 2),
  ],
  'a learner stood still': [
    claims.stoodStill([learned('l1'), applied('l1', 0)], 2),
    claims.stoodStill([learned('l2')], 2),
    claims.stoodStill([applied('l2', 0)], 2),
  ],
  'slots were applied in order': [
    claims.appliedInOrder([applied('l2', 0), applied('l1', 0), applied('l2', 1, 3)], 2, 4),
    claims.appliedInOrder([applied('l2', 0), applied('l2', 2, 2)], 2, 4),
    claims.appliedInOrder([applied('l2', 0), applied('l2', 0)], 2, 1),
    claims.appliedInOrder([applied('l2', 0)], 2, 4),
  ],
  'two values collide': [
    fast.isCollision(split(['a1', 'a2', 'a3'], ['a4', 'a5']), PLACE, ['red', 'blue'], FIVE),
    fast.isCollision(split(['a1', 'a2', 'a3'], ['a4']), PLACE, ['red', 'blue'], FIVE),
    fast.isCollision(split(['a1', 'a2', 'a3', 'a4'], ['a5']), PLACE, ['red', 'blue'], FIVE),
    fast.isCollision(split(['a1', 'a2', 'a3'], []), PLACE, ['red', 'blue'], FIVE),
    fast.isCollision(split(['a1', 'a2', 'a3'], ['a4', 'a5']), { ...PLACE, slot: 8 }, ['red', 'blue'], FIVE),
  ],
  'a proposer saw the collision': [
    fast.sawCollision([event('p1', 'collision', { ballot: F, first: 7 })], PLACE),
    fast.sawCollision([event('p1', 'collision', { ballot: F, first: 8 })], PLACE),
    fast.sawCollision(split(['a1', 'a2', 'a3'], ['a4', 'a5']), PLACE),
  ],
  'a fast quorum chose, and nobody prepared': [
    fast.isChosenFast(split(['a1', 'a2', 'a3', 'a4'], []), PLACE, 'red', 4),
    fast.isChosenFast(split(['a1', 'a2', 'a3'], ['a4']), PLACE, 'red', 4),
    fast.isChosenFast(split(['a1', 'a2', 'a3', 'a3'], []), PLACE, 'red', 4),
    fast.isChosenFast(
      [event('p1', 'sent', { message: 'prepare', ballot: B1 }), ...split(['a1', 'a2', 'a3', 'a4'], [])],
      ...([PLACE, 'red', 4] as const),
    ),
  ],
  'too few voted': [
    fast.tooFew(split(['a1', 'a2', 'a3'], []), PLACE, 4),
    fast.tooFew(split(['a1', 'a2', 'a3'], ['a4']), PLACE, 4),
  ],
  'it took two message delays': [
    way(WAY.events, 2),
    way(WAY.events, 3),
    way(WAY.events, 2, 'prepare'),
    way(
      WAY.events.filter(({ kind }) => kind !== 'received'),
      2,
    ),
  ],
  'a value was picked by promises (R8)': [
    picks(reported(3, 'red'), reported(4, 'blue'), reported(5, 'blue')),
    picks(reported(3, 'red'), reported(2, 'red'), reported(5, 'blue')),
    picks(reported(3, 'red'), reported(2, 'green'), reported(5, 'black')),
    picks(reported(3, 'red', B1), reported(4, 'blue', B1), reported(5, 'blue', B1)),
    fast.pickedByPromises([reported(4, 'blue')], 1, B2, PLACE, FIVE),
  ],
  'a value was picked by a vote at a classic ballot that came after the fast one (R8)': [
    picks(reported(3, 'red'), reported(2, 'red'), reported(5, 'blue', C)),
    picks(reported(3, 'blue'), reported(2, 'blue'), reported(5, 'red', C)),
  ],
  'a value was picked by votes (R8), without a Prepare': [
    counts('red', heard('accepted', 1), heard('accepted', 2), heard('reject', 3, 'red'), heard('accepted', 4, 'blue')),
    counts('blue', heard('accepted', 1), heard('accepted', 2), heard('reject', 3, 'red'), heard('accepted', 4, 'blue')),
    counts('green', heard('accepted', 1), heard('accepted', 2), heard('accepted', 4, 'blue')),
    fast.pickedByVotes(
      [
        heard('accepted', 1),
        recovering,
        event('p2', 'sent', { message: 'prepare', ballot: C }),
        accept('p2', C, 'red', 7),
      ],
      ...([2, PLACE, 'red', FIVE] as const),
    ),
    fast.pickedByVotes([heard('accepted', 1), accept('p2', C, 'red', 7)], 2, PLACE, 'red', FIVE),
  ],
  'a value went to the leader, and its answer came back': [
    fast.wentToLeader(
      [
        event('p1', 'sent', { message: 'forward', ...from('proposer', 2) }),
        event('p1', 'received', { message: 'forwarded', ...from('proposer', 2) }),
      ],
      ...([1, 2] as const),
    ),
    fast.wentToLeader([event('p1', 'sent', { message: 'forward', ...from('proposer', 2) })], 1, 2),
    fast.wentToLeader([event('p1', 'received', { message: 'forwarded', ...from('proposer', 2) })], 1, 2),
  ],
  'two lists are the same': [
    claims.isEqual(['a', 'b'], ['a', 'b']),
    claims.isEqual(['b', 'a'], ['a', 'b']),
    claims.isEqual(['a'], ['a', 'b']),
  ],
};

describe('a claim', () => {
  test.each(Object.entries(CLAIMS))(
    '"%s" holds where the events bear it out, and not where one of them is changed',
    (_, [good, ...bad]) => {
      expect(good).toMatchObject({ holds: true });
      expect(bad.length).toBeGreaterThan(0);
      for (const each of bad) {
        expect(each).toMatchObject({ holds: false });
        expect(each.because).not.toBe('');
      }
    },
  );

  test('does not hold where events are missing, whatever those that came say', () => {
    const good = claims.verdict(true, 'seen');
    expect(judged(good, 0, undefined)).toEqual(good);
    expect(judged(good, 3, undefined)).toEqual({ holds: false, because: '3 events were lost on the way' });
    expect(judged(good, 0, 'a1 was not followed')).toEqual({ holds: false, because: 'a1 was not followed' });
    expect(judged(claims.verdict(false, 'seen'), 3, 'x').because).toBe('seen');
  });

  test('that is contradicted ends the demonstration with exit code 1, and is named with what was seen instead', () => {
    const error = contradiction('it snows', claims.verdict(false, 'it rained'));
    expect(exitCodeOf(error)).toBe(1);
    expect(errorLine(error, false)).toContain('the events contradict what is told: "it snows"; instead: it rained');
  });
});

describe('the figures of FAST proposals', () => {
  const member = (address: string, fastCounts: readonly number[], collisions: number): Member =>
    ({
      place: { role: 'proposer', id: 1, address, listening: true },
      id: 1,
      said: {
        role: 'proposer',
        logs: [],
        status: {
          activity: {
            tallies: ['collisions', 'recoveries'].map((name) => ({ name, count: collisions })),
            times: [{ name: 'way.fast', boundsUs: [1_000, 2_000], counts: fastCounts }],
          },
        },
      },
    }) as unknown as Member;

  test('are what all proposers counted since, and those that were there before are not in them', () => {
    const before = [member('a', [5, 0, 0], 2), member('b', [0, 0, 0], 0)];
    const figures = figuresOf(before, [member('a', [6, 0, 0], 3), member('b', [1, 0, 1], 0)]);
    expect(figures.ways.fast.proposals).toBe(3);
    expect([figures.ways.fallback.proposals, figures.collisions]).toEqual([0, 1]);
    expect(figureLines(figures).find((line) => line.startsWith('fast'))).toMatch(/^fast +3 +\d/);
    const none = { fast: 0, coordinated: 0, recovered: 0, fallback: 0 };
    expect(counted(figures, { ...none, fast: 3 })).toMatchObject({ holds: true });
    expect(counted(figures, { ...none, fast: 4 })).toMatchObject({ holds: false });
    expect(counted(figures, { ...none, coordinated: 1 }).because).toContain('not at least 1 coordinated');
    expect(counted(figuresOf(before, before), none)).toMatchObject({ holds: false });
  });
});

describe('the text', () => {
  const told = async (json: boolean, slow: boolean): Promise<{ lines: string[]; waits: number[] }> => {
    const lines: string[] = [];
    const waits: number[] = [];
    const io = { out: (line: string) => lines.push(line), err: () => undefined };
    const wait = async (ms: number): Promise<void> => void waits.push(ms);
    const options = { demo: 'basic', json, slow, lanes: ['p1', 'a1'], wait };
    const teller = new Teller(io as never, options);
    teller.title('A title');
    await teller.scene('A scene with many words. '.repeat(9).trim());
    teller.say('what happens '.repeat(12).trim());
    await teller.claim('a claim '.repeat(20).trim(), claims.verdict(true, 'evidence '.repeat(20).trim()));
    await teller.claim('another', claims.verdict(false, 'not so'));
    teller.figures({ statistics: { fast: 1 } }, ['way  proposals', 'fast 1']);
    teller.end(2, 1_234, 'demo-basic-1', true);
    return { lines, waits };
  };

  test('has at most 80 columns, marks what holds and what does not, and waits only for an audience', async () => {
    const { lines, waits } = await told(false, false);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.filter((line) => line.startsWith(' ✓'))).toHaveLength(1);
    expect(lines.filter((line) => /^ ✗ {3}another$/.test(line))).toHaveLength(1);
    expect(waits).toEqual([]);
    expect((await told(false, true)).waits).toHaveLength(3);
  });

  test('as JSON is one object a line, with the claims and whether they hold', async () => {
    const { lines, waits } = await told(true, true);
    const objects = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects.filter(({ claim }) => claim !== undefined).map(({ holds }) => holds)).toEqual([true, false]);
    expect(objects.at(-1)).toMatchObject({ demo: 'basic', done: true, claims: 2 });
    expect(waits).toEqual([]);
  });
});

describe('where it cannot be played', () => {
  let server: RunningServer;
  beforeAll(async () => {
    const self = {
      cluster: 'c',
      configuration: 'ab'.repeat(8),
      role: 'acceptor' as const,
      id: 1,
      incarnation: undefined,
    };
    const off = new Faults({ on: false, self, log: silentLog });
    server = await serve({
      ...{ address: '127.0.0.1:0', services: [off.service], facing: 'roles', toStatus: statusOf, log: silentLog },
    });
  });
  afterAll(() => server.close(0));

  const context = () => ({
    io: { err: () => undefined, out: () => undefined, signal: new AbortController().signal } as never,
    ...{ json: false, timeoutMs: 5_000 },
    endpoints: parseEndpoints(
      ['acceptor', 'proposer', 'learner'].map((role) => `${role}=${server.address}`).join(','),
      '--endpoints',
    ),
  });

  test('a cluster without faults is told how it is started with them', async () => {
    for (const name of Object.keys(DEMOS)) {
      const error: unknown = await demo(name, {}, context()).catch((caught: unknown) => caught);
      expect(exitCodeOf(error)).toBe(1);
      expect(errorLine(error, false)).toContain('start it with npm start -- --faults');
      expect(errorLine(error, false)).toContain(`npm run demo -- ${name}`);
    }
  });

  test('a demonstration that there is not is answered with those that there are', async () => {
    await expect(demo('raft', {}, context())).rejects.toThrow(UsageError);
    await expect(demo('raft', {}, context())).rejects.toThrow('basic, multi, partition, learner, fast');
  });
});
