/**
 * Goal: what clients ask of proposers comes true once, whoever leads, and every refusal says what is known of the outcome.
 * Method: real gRPC in one process with real acceptors and a real learner; every wait is for a condition.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SynodError } from '../../shared/base/errors.ts';
import { Outcome } from '../../shared/wire/gen/synod/v1/common.ts';
import { ProposerServiceService as Service } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import type {
  ProposeRequest,
  ProposeStreamRequest,
  ProposeStreamResponse,
} from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { CLIENT, TestCluster } from '../support/proposer.ts';
import { refusal } from '../support/refusal.ts';
import { until } from '../support/until.ts';

const BASIC = 1;
let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.startAll();
});
afterEach(async () => {
  await cluster.end();
  expect(cluster.fatals).toEqual([]);
});

const place = (session: number, sequence: number, change: Partial<ProposeRequest> = {}): Partial<ProposeRequest> => ({
  client: CLIENT,
  session,
  sequence,
  ...change,
});
const failure = (call: Promise<unknown>): Promise<SynodError> =>
  call.then(
    (value) => Promise.reject(new Error(`it succeeded: ${JSON.stringify(value)}`)),
    (error: unknown) => error as SynodError,
  );

describe('one proposal', () => {
  test('gets the next slot, with the ballot and the leader; without a client it goes in a session of the proposer', async () => {
    const first = await cluster.propose(1);
    const second = await cluster.propose(1);
    expect(second.slot).toBe(first.slot + 1);
    expect(second.ballot).toEqual(first.ballot);
    expect(second.leader).toBe(await cluster.leaderOf('a'));
    expect([first.sequence, second.sequence]).toEqual([1, 2]);
    expect(second.session).toBe(first.session);
    expect(first.session).toBeLessThan(first.slot);
  });

  test('through a proposer that does not lead, is forwarded to the one that does', async () => {
    await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    const answers = [await cluster.propose(1), await cluster.propose(2)];
    expect(answers.map((answer) => answer.leader)).toEqual([leader, leader]);
    const other = cluster.proposers.get(3 - leader);
    expect(other?.node.machine.ledCount).toBe(0);
  });

  test('sent again under the same id, gets the slot of the first sending, through any proposer (R12)', async () => {
    const session = await cluster.openSession(1, 'a');
    const first = await cluster.propose(1, place(session, 1));
    const again = await cluster.propose(1, place(session, 1, { retry: true }));
    const elsewhere = await cluster.propose(2, place(session, 1, { retry: true }));
    expect([again.slot, elsewhere.slot]).toEqual([first.slot, first.slot]);
    // The control: another number gets another slot.
    expect((await cluster.propose(2, place(session, 2))).slot).toBe(first.slot + 1);
  });

  test('opening a session twice gives the same number', async () => {
    const session = await cluster.openSession(1, 'a');
    expect(await cluster.openSession(2, 'a')).toBe(session);
  });

  test('many at once, from both proposers, all get slots of their own', async () => {
    const answers = await Promise.all(Array.from({ length: 3_000 }, (_, i) => cluster.propose(1 + (i % 2))));
    expect(new Set(answers.map((answer) => answer.slot)).size).toBe(3_000);
  });
});

describe('a decree', () => {
  test('that two propose gives both the same value', async () => {
    const [a, b] = await Promise.all([
      cluster.propose(1, { log: 'd', protocol: BASIC, payload: Buffer.from('one') }),
      cluster.propose(2, { log: 'd', protocol: BASIC, payload: Buffer.from('two') }),
    ]);
    expect(Buffer.from(a.payload).toString()).toBe(Buffer.from(b.payload).toString());
    expect([a.own, b.own].filter(Boolean)).toHaveLength(1);
    const later = await cluster.propose(1, { log: 'd', protocol: BASIC, payload: Buffer.from('three') });
    expect(Buffer.from(later.payload).toString()).toBe(Buffer.from(a.payload).toString());
    expect([later.slot, later.own]).toEqual([0, false]);
  });

  test('is refused on a log that is a sequence, and changes nothing', async () => {
    const { slot } = await cluster.propose(1);
    const error = await failure(cluster.propose(2, { protocol: BASIC }));
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', outcome: 'none' });
    expect(error.message).toContain('log of its own');
    expect((await cluster.propose(1)).slot).toBe(slot + 1);
  });
});

describe('a FAST proposal', () => {
  const FAST = 3;
  const [BY_FAST_VOTES, RECOVERED, CLASSIC] = [1, 2, 3];

  test('of a decree is chosen at ballot zero, by votes alone', async () => {
    const answer = await cluster.propose(1, { log: 'd', protocol: FAST, decree: true });
    expect(answer).toMatchObject({ slot: 0, own: true, path: BY_FAST_VOTES, rounds: 1, ballot: { round: 0 } });
    const later = await cluster.propose(2, { log: 'd', protocol: FAST, decree: true, payload: Buffer.from('late') });
    expect([Buffer.from(later.payload).toString(), later.own]).toEqual(['value', false]);
  });

  test('of a decree that two propose at once gives both the same value, however it was found', async () => {
    for (let round = 0; round < 5; round++) {
      const log = `d-${round}`;
      const both = await Promise.all(
        [1, 2].map((id) =>
          cluster.propose(id, { log, protocol: FAST, decree: true, payload: Buffer.from(`of ${id}`) }),
        ),
      );
      expect(new Set(both.map(({ payload }) => Buffer.from(payload).toString())).size).toBe(1);
      expect(both.filter(({ own }) => own)).toHaveLength(1);
      for (const { path } of both) expect([BY_FAST_VOTES, RECOVERED, CLASSIC]).toContain(path);
    }
  });

  test('of a decree with equal bytes as another is told whether its own was chosen, by one of the two (history d)', async () => {
    for (let round = 0; round < 5; round++) {
      const asked = { log: `e-${round}`, protocol: FAST, decree: true, payload: Buffer.from('same') } as const;
      const both = await Promise.all([1, 2].map((id) => cluster.propose(id, asked)));
      expect(both.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['same', 'same']);
      expect(both.filter(({ own }) => own)).toHaveLength(1);
    }
    // Control: one that sends its value again, under its own id, is told that it is its own.
    const mine = { log: 'e-mine', protocol: FAST, decree: true, client: Buffer.alloc(16, 7) } as const;
    const first = await cluster.propose(1, mine);
    const again = await cluster.propose(2, { ...mine, retry: true });
    expect([first.own, again.own]).toEqual([true, true]);
  });

  test('in a log takes the next slot without a leader, and the session that it needs as well', async () => {
    const first = await cluster.propose(1, { log: 'f', protocol: FAST });
    const second = await cluster.propose(1, { log: 'f', protocol: FAST });
    expect([first.slot, second.slot]).toEqual([1, 2]);
    expect([first.path, second.path]).toEqual([BY_FAST_VOTES, BY_FAST_VOTES]);
    expect([...cluster.proposers.values()].map(({ node }) => node.machine.leaderOf('f'))).toEqual([
      undefined,
      undefined,
    ]);
    // Another proposer goes on where this one is.
    expect(await cluster.propose(2, { log: 'f', protocol: FAST })).toMatchObject({ path: BY_FAST_VOTES });
  });

  test('in a log that is led goes to its leader, and says so', async () => {
    const { slot } = await cluster.propose(1);
    expect(await cluster.propose(2, { protocol: FAST })).toMatchObject({ slot: slot + 2, path: CLASSIC });
  });

  test('many at once, from both proposers, all get slots of their own', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => cluster.propose(1 + (i % 2), { log: 'f', protocol: FAST })),
    );
    expect(new Set(answers.map((answer) => answer.slot)).size).toBe(40);
  });
});

describe('refusals', () => {
  const WRONG: readonly (readonly [string, Partial<ProposeRequest>, string, string])[] = [
    ['a log without a name', { log: '' }, 'INVALID_ARGUMENT', 'no name'],
    ['a name that is too long', { log: 'x'.repeat(257) }, 'INVALID_ARGUMENT', '257 bytes'],
    ['a log of Synod itself', { log: 'synod.probe.1' }, 'INVALID_ARGUMENT', 'synod.'],
    ['an empty value', { payload: Buffer.alloc(0) }, 'INVALID_ARGUMENT', 'empty'],
    ['an oversize value', { payload: Buffer.alloc(1_600_000) }, 'INVALID_ARGUMENT', '1600000 bytes'],
    ['a decree with MULTI', { protocol: 2, decree: true }, 'INVALID_ARGUMENT', 'not with MULTI'],
    ['sequence 0', { client: CLIENT, session: 1, sequence: 0 }, 'INVALID_ARGUMENT', 'begin at 1'],
    ['a client id of 3 bytes', { client: Buffer.from('abc') }, 'INVALID_ARGUMENT', '3 bytes'],
    ['a session without a client', { session: 4 }, 'INVALID_ARGUMENT', 'no client'],
    ['a session that nobody opened', { client: CLIENT, session: 99, sequence: 1 }, 'FAILED_PRECONDITION', 'session 99'],
  ];
  test.each(WRONG)('%s is refused with outcome none', async (_, change, code, text) => {
    const error = await failure(cluster.propose(1, change));
    expect(error).toMatchObject({ code, outcome: 'none' });
    expect(error.message).toContain(text);
  });

  test('another cluster is refused', async () => {
    const header = {
      cluster: 'other',
      configuration: Buffer.alloc(0),
      role: 4,
      id: 0,
      incarnation: Buffer.alloc(0),
    } as const;
    const error = await failure(cluster.propose(1, { header }));
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', outcome: 'none' });
    expect(error.message).toContain('"other"');
  });

  test('a retry in a session that is not open has an unknown outcome, a first sending has none', async () => {
    const lost = place(99, 1, { retry: true });
    expect(await failure(cluster.propose(1, lost))).toMatchObject({ code: 'FAILED_PRECONDITION', outcome: 'unknown' });
  });

  test('without a quorum: unknown for what was sent to acceptors, none for what never was', async () => {
    await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    const session = await cluster.openSession(leader, 'a');
    await Promise.all([cluster.stopAcceptor(1), cluster.stopAcceptor(2)]);
    const sent = await failure(cluster.propose(leader, place(session, 1), 1_000));
    expect(sent).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' });
    const never = await refusal(() => cluster.propose(leader, { log: 'new' }, 1_000));
    expect(never).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'none' });
    expect(cluster.proposers.get(leader)?.notReady().join()).toContain('1 of 3');
    // The quorum comes back, and the retry is chosen once.
    await Promise.all([cluster.startAcceptor(1), cluster.startAcceptor(2)]);
    const again = await cluster.propose(leader, place(session, 1, { retry: true }));
    const once = await cluster.propose(leader, place(session, 1, { retry: true }));
    expect(once.slot).toBe(again.slot);
  });
});

describe('leadership', () => {
  test('of a proposer that shuts down is handed over, and it refuses what comes later', async () => {
    const { slot } = await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    const proposer = cluster.proposers.get(leader);
    await proposer?.drain();
    const other = cluster.proposers.get(3 - leader);
    await until(() => other?.node.machine.leaderOf('a') === 3 - leader);
    expect(proposer?.notReady().join()).toContain('stopping');
    const error = await failure(cluster.propose(leader));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', outcome: 'none' });
    const next = await cluster.propose(3 - leader);
    expect(next.leader).toBe(3 - leader);
    expect(next.slot).toBeGreaterThan(slot);
  });

  test('of a proposer that dies is taken over, and a retry gets its first slot from the new leader', async () => {
    const session = await cluster.openSession(1, 'a');
    const first = await cluster.propose(1, place(session, 1));
    const leader = await cluster.leaderOf('a');
    await cluster.killProposer(leader);
    const again = await cluster.propose(3 - leader, place(session, 1, { retry: true }));
    expect(again).toMatchObject({ slot: first.slot, leader: 3 - leader });
    expect((await cluster.propose(3 - leader, place(session, 2))).slot).toBeGreaterThan(first.slot);
  });

  test('moves when an operator asks, and whoever does not lead names who does', async () => {
    await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    const move = (at: number, to: number): Promise<unknown> =>
      cluster.client(at).unary(Service.moveLeader, { header: undefined, log: 'a', to }, { timeoutMs: 5_000 });
    const error = await failure(move(3 - leader, 3 - leader));
    expect(error.message).toContain(`led by proposer ${String(leader)}`);
    expect(await move(leader, 0)).toMatchObject({ from: leader, leader: 3 - leader });
    await until(() => cluster.proposers.get(3 - leader)?.node.machine.leaderOf('a') === 3 - leader);
    expect(await failure(move(leader, 7))).toMatchObject({ code: 'NOT_FOUND', outcome: 'none' });
  });

  test('is not moved for a log that nobody made: NOT_FOUND, outcome none, and no acceptor knows it afterwards', async () => {
    await cluster.propose(1);
    const move = (at: number, log: string, to: number): Promise<unknown> =>
      cluster.client(at).unary(Service.moveLeader, { header: undefined, log, to }, { timeoutMs: 5_000 });
    expect(await failure(move(1, 'nosuch', 2))).toMatchObject({ code: 'NOT_FOUND', outcome: 'none' });
    expect(await failure(move(2, 'nosuch', 2))).toMatchObject({ code: 'NOT_FOUND', outcome: 'none' });
    expect(await cluster.logsOfAcceptors()).toContain('a');
    expect(await cluster.logsOfAcceptors()).not.toContain('nosuch');
    // Control: proposers that have just started, and know of no log, move one that acceptors know.
    await cluster.killProposer(1);
    await cluster.killProposer(2);
    await Promise.all([cluster.startProposer(1), cluster.startProposer(2)]);
    await cluster.ready();
    expect(await move(1, 'a', 1)).toMatchObject({ leader: 1 });
  }, 30_000);

  test('is not moved while too few acceptors answer to say whether the log exists', async () => {
    await cluster.stopAcceptor(1);
    await cluster.stopAcceptor(2);
    await until(() => cluster.proposers.get(1)?.node.acceptorsConnected === 1);
    const request = { header: undefined, log: 'nosuch', to: 1 };
    const error = await failure(cluster.client(1).unary(Service.moveLeader, request, { timeoutMs: 5_000 }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', outcome: 'none' });
  });

  test('of a log that no learner can give the sessions of answers no first attempt (R12), until one can', async () => {
    const session = await cluster.openSession(1, 'a');
    await cluster.propose(1, place(session, 1));
    const leader = await cluster.leaderOf('a');
    await cluster.stopLearner();
    await cluster.killProposer(leader);
    const error = await refusal(() => cluster.propose(3 - leader, place(session, 2), 1_500));
    expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'none' });
    await cluster.startLearner();
    const answer = await cluster.propose(3 - leader, place(session, 2));
    expect(answer.leader).toBe(3 - leader);
  });
});

describe('a stream of proposals', () => {
  function open(id: number, hello: Partial<NonNullable<ProposeStreamRequest['hello']>> = {}) {
    const stream = cluster.client(id).bidi(Service.proposeStream);
    const seen: ProposeStreamResponse[] = [];
    const errors: SynodError[] = [];
    let ended = false;
    stream.on('data', (message: ProposeStreamResponse) => seen.push(message));
    stream.on('error', (error) => errors.push(cluster.client(id).errorOf(error as never)));
    stream.on('end', () => (ended = true));
    const none = Buffer.alloc(0);
    stream.write({
      hello: { header: undefined, log: 's', protocol: 2, client: none, session: undefined, ...hello },
      proposals: [],
    });
    const send = (
      firstSequence: number,
      count: number,
      change: { acknowledged?: number; retry?: boolean; progress?: boolean } = {},
    ): void => {
      const payloads = Array.from({ length: count }, (_, i) => Buffer.from(`v${String(firstSequence + i)}`));
      const proposals = [{ firstSequence, payloads, acknowledged: 0, retry: false, progress: false, ...change }];
      stream.write({ hello: undefined, proposals });
    };
    return {
      stream,
      errors,
      send,
      isEnded: () => ended,
      welcome: () => seen.find((m) => m.welcome !== undefined)?.welcome,
      chosen: () => seen.flatMap((m) => m.chosen),
      refused: () => seen.flatMap((m) => m.refused),
      progress: () => seen.flatMap((m) => m.progress),
      count: () => seen.flatMap((m) => m.chosen).reduce((sum, range) => sum + range.count, 0),
    };
  }

  test.each([1, 2])('is answered in ranges, in the order of the numbers, through proposer %s', async (id) => {
    const s = open(id);
    s.send(1, 500);
    s.send(501, 500);
    await until(() => s.count() === 1_000);
    expect(s.welcome()).toMatchObject({ window: 1_024 });
    const chosen = s.chosen();
    expect(chosen.length).toBeLessThan(20);
    let next = 1;
    for (const range of chosen) {
      expect(range.firstSequence).toBe(next);
      next += range.count;
    }
    const slots = chosen.map((range) => range.firstSlot - range.firstSequence);
    expect(new Set(slots).size).toBe(1);
    s.stream.end();
    await until(s.isEnded);
    expect(s.errors).toEqual([]);
  });

  test('goes on in its session on another stream, where a retry gets the first slots', async () => {
    const session = await cluster.openSession(1, 's');
    const first = open(1, { client: CLIENT, session });
    first.send(1, 10);
    await until(() => first.count() === 10);
    const second = open(2, { client: CLIENT, session });
    second.send(1, 10, { retry: true });
    second.send(11, 5, { acknowledged: 10 });
    await until(() => second.count() === 15);
    expect(second.chosen()[0]?.firstSlot).toBe(first.chosen()[0]?.firstSlot);
  });

  test('refuses what does not fit, with none for a first sending and unknown for a retry', async () => {
    const s = open(1);
    s.send(1, 1_100);
    await until(() => s.refused().length === 1);
    expect(s.refused()[0]).toMatchObject({ firstSequence: 1, count: 1_100, outcome: Outcome.OUTCOME_NONE });
    s.send(1, 1_100, { retry: true });
    await until(() => s.refused().length === 2);
    expect(s.refused()[1]?.outcome).toBe(Outcome.OUTCOME_UNKNOWN);
    s.send(1, 10);
    await until(() => s.count() === 10);
  });

  test('without a hello is refused', async () => {
    const stream = cluster.client(1).bidi(Service.proposeStream);
    const errors: SynodError[] = [];
    stream.on('error', (error) => errors.push(cluster.client(1).errorOf(error as never)));
    stream.write({ hello: undefined, proposals: [] });
    await until(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'none' });
  });
});

describe('for operators', () => {
  test('status, logs, pages and series are there', async () => {
    await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    const client = cluster.client(leader);
    const status = await client.unary(Service.status, { header: undefined }, { timeoutMs: 5_000 });
    expect(status).toMatchObject({ led: 1 });
    expect(status.links).toHaveLength(5);
    expect(status.links.every((link) => link.connected)).toBe(true);
    const all = { header: undefined, log: '', after: '', limit: 0, all: false, led: false };
    const { logs } = await client.unary(Service.logs, all, { timeoutMs: 5_000 });
    expect(logs).toEqual([expect.objectContaining({ log: 'a', leader })]);
    const base = `http://${cluster.proposers.get(leader)?.httpAddress ?? ''}`;
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`${base}/metrics`)).text();
    for (const name of ['proposals_total', 'quorums_total', 'leader_changes_total', 'batch_values', 'accept_seconds'])
      expect(metrics).toContain(`synod_proposer_${name}`);
    expect(metrics).toMatch(/synod_proposer_proposals_total\{protocol="multi",outcome="timeout",[^}]*\} 0/);
    for (const acceptor of [1, 2, 3])
      expect(metrics).toMatch(new RegExp(`synod_proposer_acceptor_connected{acceptor="${acceptor}",[^}]*} 1`));
    for (const phase of ['prepare', 'accept'])
      expect(metrics).toMatch(new RegExp(`synod_proposer_quorum_connected{phase="${phase}",[^}]*} 1`));
    expect(metrics).toMatch(/synod_proposer_leaderless_logs\{[^}]*\} 0/);
    const page = (await (await fetch(`${base}/status.json`)).json()) as { logs: unknown[] };
    expect(page.logs).toHaveLength(1);
  });
});
