/**
 * Goal: an acceptor says over gRPC what its machine decides, and nothing before it is durable (R3), over unary calls, sessions and
 * followers alike.
 * Method: real servers and clients on loopback, disks in memory whose syncs can be held back. Every wait is for a condition.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { AcceptorServiceService as Service } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { raw } from '../../shared/wire/raw.ts';
import { FAST } from '../../shared/paxos/ballot.ts';
import { bytesOf } from '../../shared/wire/codec/fields.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import { MemoryDisk } from '../support/memory-disk.ts';
import { until } from '../support/until.ts';
import {
  accept,
  ballot,
  callAccept,
  callPrepare,
  cleanUp,
  configOf,
  follow,
  LEARNER_DISK,
  openSession,
  prepare,
  proposer,
  start,
  to,
} from './acceptor-support.ts';

afterEach(cleanUp);

/** A disk whose syncs of journal records wait while the gate is shut. */
function gatedDisk(): { disk: MemoryDisk; shut(): void; open(): void; waiting(): number } {
  const disk = new MemoryDisk();
  let shut = false;
  let waiting: (() => void)[] = [];
  disk.gate = (op) => {
    if (!shut || op.kind !== 'sync' || !op.name.endsWith('.tmp')) return undefined;
    return new Promise<void>((done) => waiting.push(done));
  };
  return {
    disk,
    shut: () => {
      shut = true;
    },
    open: () => {
      shut = false;
      for (const done of waiting) done();
      waiting = [];
    },
    waiting: () => waiting.length,
  };
}

/** Everything that could have been answered has been: a call that depends on nothing new made its way there and back. */
async function roundTrips(connection: ReturnType<typeof to>): Promise<void> {
  const request = { header: writeHeader(proposer()) };
  for (let i = 0; i < 5; i++) await connection.unary(Service.status, request, { timeoutMs: 5_000 });
}

describe('unary calls', () => {
  test('promise, vote, and refuse what is below the promise, with the higher ballot', async () => {
    const connection = to((await start()).acceptor);
    const promised = await callPrepare(connection, prepare(2));
    expect(promised.answer).toMatchObject({ $case: 'promised', value: { log: 'a', from: 0, votes: [] } });
    const voted = await callAccept(connection, accept(2, 0, ['x', 'y']));
    expect(voted.answer).toMatchObject({ $case: 'accepted', value: { first: 0, count: 2 } });
    const refused = await callAccept(connection, accept(1, 2, ['z']));
    expect(refused.answer).toMatchObject({ $case: 'rejected', value: { reason: 1, promised: { round: 2 } } });
  });

  test('Tip answers the greatest voted slot, or none', async () => {
    const connection = to((await start()).acceptor);
    const request = { header: writeHeader(proposer()), log: 'a' };
    expect(await connection.unary(Service.tip, request, { timeoutMs: 5_000 })).toMatchObject({ tip: undefined });
    await callAccept(connection, accept(1, 0, ['x', 'y']));
    expect(await connection.unary(Service.tip, request, { timeoutMs: 5_000 })).toMatchObject({ tip: 1, floor: 0 });
  });

  test('Status and Logs tell what is kept and why', async () => {
    const connection = to((await start()).acceptor);
    await callPrepare(connection, prepare(1));
    await callAccept(connection, accept(1, 0, ['x']));
    const status = await connection.unary(Service.status, { header: undefined }, { timeoutMs: 5_000 });
    expect(status).toMatchObject({ speaks: true, silentBecause: '', logs: 1, introduction: { acceptor: 1 } });
    const all = { header: undefined, log: '', after: '', limit: 0, all: false };
    const { logs, more } = await connection.unary(Service.logs, all, { timeoutMs: 5_000 });
    expect(more).toBe(false);
    expect(logs).toMatchObject([
      { log: 'a', state: 3, leader: 1, highest: 0, keptBecause: 'slot 0: held by 0 of 2 learner disks (trim.holders)' },
    ]);
    // Synod's own logs are named as what the journal is kept for only where there is no other.
    await callPrepare(connection, prepare(1, { log: 'synod.probe.1' }));
    await callAccept(connection, accept(1, 0, ['x', 'y', 'z'], { log: 'synod.probe.1' }));
    const kept = (await connection.unary(Service.status, { header: undefined }, { timeoutMs: 5_000 })).journal;
    expect(kept?.keptBecause).toBe('log "a": slot 0 above its trim floor');
  });

  test('Forget says whether the learner disk was known, and journals nothing for one that is not (R14)', async () => {
    const connection = to((await start()).acceptor);
    await callPrepare(connection, prepare(1));
    await callAccept(connection, accept(1, 0, ['x']));
    const forget = (disk: string): Promise<unknown> => {
      const request = { header: undefined, learnerDisk: bytesOf(disk, 16, 'disk'), force: true };
      return connection.unary(Service.forget, request, { timeoutMs: 5_000 });
    };
    const newest = async (): Promise<number | undefined> =>
      (await connection.unary(Service.status, { header: undefined }, { timeoutMs: 5_000 })).journal?.synced;
    const before = await newest();
    expect(await forget('cd'.repeat(16))).toEqual({ known: false, lost: [] });
    expect(await newest()).toBe(before);
    // Control: one that holds something is forgotten, and known to be so when it is asked for again.
    const follower = follow(connection);
    await until(() => follower.welcomes.length > 0);
    follower.send({ kind: 'held', log: 'a', held: 1, agreed: 0 });
    const all = { header: undefined, log: 'a', after: '', limit: 0, all: false };
    const holders = async (): Promise<number> =>
      (await connection.unary(Service.logs, all, { timeoutMs: 5_000 })).logs[0]?.holders.length ?? 0;
    for (let asked = 0; (await holders()) !== 1; asked++) expect(asked).toBeLessThan(1_000);
    expect(await forget(LEARNER_DISK)).toMatchObject({ known: true });
    expect([await holders(), await newest()]).toEqual([0, (before ?? -1) + 1]);
    expect(await forget(LEARNER_DISK)).toMatchObject({ known: true });
    expect(await newest()).toBe((before ?? -1) + 1);
  });

  test('a negative slot, a log without a name, an empty batch and a foreign ballot are refused with outcome none', async () => {
    const connection = to((await start()).acceptor);
    const bad = { code: 'INVALID_ARGUMENT', outcome: 'none' };
    // AcceptRequest.accept.first = −1, which no generated encoder writes.
    const negative = Buffer.from([0x12, 11, 0x18, ...new Array<number>(9).fill(0xff), 1]);
    const call = connection.unary(raw(Service.accept), negative, { timeoutMs: 5_000 });
    await expect(call).rejects.toMatchObject({ ...bad, message: expect.stringContaining('a number is negative') });
    await expect(callAccept(connection, accept(1, 0, ['x'], { log: '' }))).rejects.toMatchObject(bad);
    await expect(callAccept(connection, accept(1, 0, []))).rejects.toMatchObject(bad);
    await expect(callAccept(connection, accept(1, 0, ['x'], { ballot: ballot(1, { proposer: 2 }) }))).rejects.toThrow(
      'does not belong to proposer 1',
    );
    await expect(
      callAccept(connection, accept(1, 0, ['x', 'y'], { ballot: ballot(1, { kind: FAST }) })),
    ).rejects.toThrow('fast ballot');
    const { logs } = await connection.unary(Service.status, { header: undefined }, { timeoutMs: 5_000 });
    expect(logs).toBe(0);
  });

  test('another cluster and another configuration are refused with both names', async () => {
    const connection = to((await start()).acceptor);
    await expect(callPrepare(connection, prepare(1), proposer({ cluster: 'other' }))).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      outcome: 'none',
      message: expect.stringMatching(/cluster "other", and this is "test"/),
    });
    const foreign = 'f'.repeat(16);
    await expect(callPrepare(connection, prepare(1), proposer({ configuration: foreign }))).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(`configuration ${foreign}, and this is ${proposer().configuration}`),
    });
  });
});

describe('a session', () => {
  test('welcomes the proposer, then promises and votes, neighbours as one range', async () => {
    const gate = gatedDisk();
    const session = openSession(to((await start(configOf(), gate.disk)).acceptor));
    session.send(prepare(1));
    await until(() => session.received.length === 1);
    expect(session.welcomes).toMatchObject([{ acceptor: 1, start: 1 }]);
    gate.shut();
    session.send(accept(1, 0, ['x']));
    await until(() => gate.waiting() === 1);
    session.send(accept(1, 1, ['y', 'z']), accept(1, 3, ['w']));
    gate.open();
    await until(() => session.received.some((m) => m.kind === 'accepted' && m.first + m.count === 4));
    expect(session.frames.at(-1)).toMatchObject([{ kind: 'accepted', first: 1, count: 3 }]);
  });

  test('a resent Accept is answered again', async () => {
    const session = openSession(to((await start()).acceptor));
    session.send(accept(1, 0, ['x']));
    await until(() => session.received.length === 1);
    session.send(accept(1, 0, ['x']));
    await until(() => session.received.length === 2);
    expect(session.received).toMatchObject([
      { kind: 'accepted', first: 0 },
      { kind: 'accepted', first: 0 },
    ]);
  });

  test('of a later start of the same proposer ends the one before, and its grace', async () => {
    const { acceptor } = await start();
    const first = openSession(to(acceptor));
    first.send(prepare(1));
    await until(() => first.received.length === 1);
    const other = openSession(to(acceptor), proposer({ id: 2 }));
    other.send(prepare(2, { ballot: ballot(2, { proposer: 2 }) }));
    await until(() => other.received.length === 1);
    // The leader was heard just now.
    expect(other.received).toMatchObject([{ kind: 'rejected', reason: 'led', leader: 1 }]);
    openSession(to(acceptor), proposer({ incarnation: '00000000000000a2' }));
    await until(() => first.errors.length === 1);
    expect(first.errors[0]).toMatchObject({ code: 'ABORTED', message: expect.stringContaining('a later start of it') });
    other.send(prepare(2, { ballot: ballot(2, { proposer: 2 }) }));
    await until(() => other.received.length === 2);
    expect(other.received[1]).toMatchObject({ kind: 'promised' });
  });

  test('is refused with a wrong configuration or a frame that cannot be read, and says what is wrong', async () => {
    const { acceptor } = await start();
    const foreign = openSession(to(acceptor), proposer({ configuration: 'e'.repeat(16) }));
    await until(() => foreign.errors.length === 1);
    expect(foreign.errors[0]).toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('e'.repeat(16)),
    });
    const session = openSession(to(acceptor));
    session.send(accept(1, 0, []));
    await until(() => session.errors.length === 1);
    expect(session.errors[0]).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('is told when too much waits for the journal', async () => {
    const gate = gatedDisk();
    const { acceptor } = await start(configOf({}, { 'journal.queue.bytes': 100 }), gate.disk);
    const session = openSession(to(acceptor));
    gate.shut();
    session.send(accept(1, 0, ['x'.repeat(200)]));
    await until(() => gate.waiting() === 1);
    session.send(accept(1, 1, ['y']));
    await until(() => session.received.length === 1);
    expect(session.received).toMatchObject([{ kind: 'rejected', reason: 'busy', first: 1 }]);
    gate.open();
    await until(() => session.received.length === 2);
  });
});

describe('nothing leaves before it is durable (R3)', () => {
  test.each(['held back', 'let through'] as const)('with its sync %s', async (how) => {
    const gate = gatedDisk();
    const { acceptor } = await start(configOf(), gate.disk);
    const connection = to(acceptor);
    const session = openSession(to(acceptor));
    const follower = follow(to(acceptor));
    await until(() => session.welcomes.length + follower.welcomes.length === 2);
    if (how === 'held back') gate.shut();
    let answers = 0;
    const calls = [callPrepare(connection, prepare(1)), callAccept(connection, accept(1, 0, ['x']))];
    for (const call of calls) void call.then(() => answers++);
    await roundTrips(connection);
    session.send(accept(1, 0, ['x']));
    follower.send({ kind: 'tip?', log: 'a', id: 1 });
    if (how === 'let through') {
      // The control: without the gate all of it comes.
      await until(() => answers === 2 && session.received.length > 0 && follower.received.length >= 2);
      return;
    }
    await until(() => gate.waiting() > 0);
    await until(() => acceptor.core.node.held >= 5);
    await roundTrips(connection);
    expect([answers, session.received, follower.received]).toEqual([0, [], []]);
    gate.open();
    await Promise.all(calls);
    await until(() => session.received.length > 0 && follower.received.length >= 2);
  });

  test('a journal that cannot be written ends the process, and nothing is said any more (R4)', async () => {
    const disk = new MemoryDisk();
    const { acceptor, deaths } = await start(configOf(), disk);
    const connection = to(acceptor);
    await callPrepare(connection, prepare(1));
    disk.fault = (op) => (op.kind === 'sync' ? new Error('EIO: the disk is gone') : undefined);
    const call = callAccept(connection, accept(1, 0, ['x']), proposer(), 500);
    await expect(call).rejects.toMatchObject({ outcome: 'unknown' });
    expect(deaths).toEqual(['the journal could not be written (R4)']);
  });
});

describe('a restart', () => {
  test('keeps promises and votes', async () => {
    const disk = new MemoryDisk();
    const first = await start(configOf(), disk);
    const before = to(first.acceptor);
    await callPrepare(before, prepare(5));
    await callAccept(before, accept(5, 0, ['x', 'y']));
    await first.acceptor.stop(100);
    const second = await start(configOf(), disk);
    const connection = to(second.acceptor);
    const late = await callAccept(connection, accept(4, 2, ['z']));
    expect(late.answer).toMatchObject({ $case: 'rejected', value: { promised: { round: 5 } } });
    const again = await callPrepare(connection, prepare(5));
    expect(again.answer).toMatchObject({ $case: 'promised', value: { highest: 1, votes: [{ first: 0, count: 2 }] } });
    expect(second.acceptor.core.membership.present).toMatchObject({ start: 2 });
  });

  test('of an acceptor that was killed keeps what it said', async () => {
    const disk = new MemoryDisk();
    const first = await start(configOf(), disk);
    await callAccept(to(first.acceptor), accept(3, 0, ['x']));
    const second = await start(configOf(), disk.kill());
    const promised = await callPrepare(to(second.acceptor), prepare(4));
    expect(promised.answer).toMatchObject({ $case: 'promised', value: { votes: [{ ballot: { round: 3 } }] } });
    // The first one is dead, and its disk answers nothing: ending it waits for nothing.
    first.acceptor.core.silenceForEver();
  });
});
