/**
 * Goal: learners hear every vote, with values or without, from positions that are durable; one that is too slow is told where
 * the logs end and reads the rest from the journal (R14).
 * Method: real servers and clients on loopback; a slow learner stops reading.
 */
import { afterEach, expect, test } from '@jest/globals';
import type { ToLearnerOrTip } from '../../shared/wire/codec/learner.ts';
import { until } from '../support/until.ts';
import {
  accept,
  callAccept,
  callPrepare,
  cleanUp,
  configOf,
  follow,
  openSession,
  prepare,
  start,
  to,
} from './acceptor-support.ts';

afterEach(cleanUp);

const votesOf = (messages: readonly ToLearnerOrTip[]) =>
  messages.flatMap((m) => (m.kind === 'votes' ? [{ first: m.first, count: m.count, values: m.batch?.count }] : []));

test('a learner hears live votes with values, another without them', async () => {
  const { acceptor } = await start();
  const full = follow(to(acceptor));
  const bare = follow(to(acceptor), { values: false });
  await until(() => full.welcomes.length + bare.welcomes.length === 2);
  const connection = to(acceptor);
  await callAccept(connection, accept(1, 0, ['x', 'y']));
  await until(() => full.received.length > 0 && bare.received.length > 0);
  expect(votesOf(full.received)).toEqual([{ first: 0, count: 2, values: 2 }]);
  expect(votesOf(bare.received)).toEqual([{ first: 0, count: 2, values: undefined }]);
  expect(full.positions).toEqual([acceptor.core.journal.synced]);
  bare.send({ kind: 'wish', values: true });
  bare.send({ kind: 'tip?', log: 'a', id: 7 });
  await until(() => bare.received.some((m) => m.kind === 'tip'));
  expect(bare.received.at(-1)).toEqual({ kind: 'tip', log: 'a', id: 7, tip: 1 });
  await callAccept(connection, accept(1, 2, ['z']));
  await until(() => votesOf(bare.received).length === 2);
  expect(votesOf(bare.received)[1]).toEqual({ first: 2, count: 1, values: 1 });
});

test('a learner that comes later is told the heads of all logs, and fetches what it missed', async () => {
  const { acceptor } = await start();
  const connection = to(acceptor);
  await callAccept(connection, accept(1, 0, ['x', 'y', 'z']));
  await callAccept(connection, accept(1, 0, ['w'], { log: 'b' }));
  // Below the watermark the votes are in the journal alone.
  await callAccept(connection, accept(1, 3, ['v'], { watermark: 3 }));
  const follower = follow(to(acceptor));
  await until(() => follower.received.length === 2);
  expect(follower.received).toMatchObject([
    { kind: 'head', log: 'a', highest: 3, watermark: 3, floor: 0 },
    { kind: 'head', log: 'b', highest: 0 },
  ]);
  follower.send({ kind: 'fetch', log: 'a', from: 1, to: 4, values: true });
  await until(() => follower.received.some((m) => m.kind === 'fetched'));
  expect(votesOf(follower.received)).toEqual([
    { first: 1, count: 2, values: 2 },
    { first: 3, count: 1, values: 1 },
  ]);
  expect(follower.received.at(-1)).toMatchObject({ kind: 'fetched', from: 1, until: 4, highest: 3 });
});

test('what two learner disks hold and agree on is dropped, and its floor told', async () => {
  const { acceptor } = await start();
  await callPrepare(to(acceptor), prepare(1));
  await callAccept(to(acceptor), accept(1, 0, ['x', 'y']));
  const one = follow(to(acceptor));
  const two = follow(to(acceptor), { learnerDisk: 'cd'.repeat(16) });
  for (const learner of [one, two]) learner.send({ kind: 'held', log: 'a', held: 2, agreed: 2 });
  await until(() => [...acceptor.core.machine.status()][0]?.floor === 2);
  const refused = await callAccept(to(acceptor), accept(1, 0, ['x']));
  expect(refused.answer).toMatchObject({ $case: 'rejected', value: { floor: 2 } });
});

test('a learner that is too slow loses live votes, is sent heads when it reads again, and gets the rest by Fetch', async () => {
  const { acceptor } = await start(
    configOf({}, { 'stream.queue.bytes': 64 * 1024, 'journal.segment.bytes': 1 << 20, 'journal.bytes.max': 1 << 26 }),
  );
  const slow = follow(to(acceptor, { receiveWindowBytes: 65_536 }));
  await until(() => slow.welcomes.length === 1);
  slow.pause();
  const session = openSession(to(acceptor));
  let slots = 0;
  let acknowledged = 0;
  // grpc-js and the sockets take some before they push back.
  while (acceptor.core.followers.behind === 0) {
    for (let i = 0; i < 8; i++) session.send(accept(1, slots++, ['v'.repeat(100_000)]));
    await until(() => {
      acknowledged = Math.max(
        acknowledged,
        ...session.received.map((m) => (m.kind === 'accepted' ? m.first + m.count : 0)),
      );
      return acknowledged === slots;
    });
  }
  expect(slow.errors).toEqual([]);
  slow.resume();
  await until(() => slow.received.some((m) => m.kind === 'head' && m.highest === slots - 1));
  const seen = votesOf(slow.received);
  expect(seen.reduce((sum, vote) => sum + vote.count, 0)).toBeLessThan(slots);
  const held = new Set(seen.map(({ first }) => first));
  const missed = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !held.has(slot));
  for (let from = missed[0]!; from < slots;) {
    const before = slow.received.length;
    slow.send({ kind: 'fetch', log: 'a', from, to: slots, values: true });
    await until(() => slow.received.slice(before).some((m) => m.kind === 'fetched'));
    const end = slow.received.slice(before).find((m) => m.kind === 'fetched');
    from = end?.kind === 'fetched' ? end.until : slots;
  }
  for (const { first } of votesOf(slow.received)) held.add(first);
  expect(held.size).toBe(slots);
}, 30_000);
