/**
 * Goal: a fault at either end of a connection does to unary calls and streams what its page says, and nothing is lost in between.
 * Method: two processes' worth of gRPC in one, a proposer that calls a learner's and a proposer's methods; faults at the caller, at
 * the one who answers, or at both. Every wait is for a condition.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SynodError } from '../../shared/base/errors.ts';
import { faults as ask } from '../../shared/client/index.ts';
import { Faults } from '../../shared/platform/faults/faults.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { service } from '../../shared/platform/grpc/methods.ts';
import { PersistentStream } from '../../shared/platform/grpc/persistent-stream.ts';
import { serve } from '../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../shared/platform/grpc/server.ts';
import type { FaultAction, FaultDirection, FaultPeer } from '../../shared/wire/codec/fault.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import { encodePeerHello } from '../../shared/wire/codec/peers.ts';
import { PeerServiceService } from '../../shared/wire/gen/synod/v1/peer_service.ts';
import { raw, served } from '../../shared/wire/raw.ts';
import { errorOf, statusOf } from '../../shared/wire/status.ts';
import { silentLog } from '../support/silent-log.ts';
import { until } from '../support/until.ts';

const CONFIGURATION = 'ab'.repeat(8);
const CALLER: Header = {
  ...{ cluster: 'c', configuration: CONFIGURATION, role: 'proposer', id: 1, incarnation: '00000000000000aa' },
};
const ANSWERER: Header = { ...CALLER, id: 2 };
const BOTH_WAYS = { requestStream: true, responseStream: true } as const;
const DEFINITION = {
  ...served(PeerServiceService),
  heartbeats: { ...raw(PeerServiceService.heartbeats), ...BOTH_WAYS },
  forwarding: { ...raw(PeerServiceService.forwarding), ...BOTH_WAYS },
};

let caller: Faults;
let answerer: Faults;
let server: RunningServer;
let connection: Connection;
/** What the one who answers heard. */
let asked: number;
let ended: number;
let streams: Buffer[][];

beforeEach(async () => {
  asked = 0;
  ended = 0;
  streams = [];
  caller = new Faults({ on: true, self: CALLER, log: silentLog });
  answerer = new Faults({ on: true, self: ANSWERER, log: silentLog });
  const echo = service(DEFINITION, {
    heartbeats: (stream) => {
      const heard: Buffer[] = [];
      streams.push(heard);
      stream.on('data', (frame: Buffer) => {
        heard.push(frame);
        stream.write(frame);
      });
      stream.on('end', () => stream.end());
      stream.once('cancelled', () => ended++).once('error', () => undefined);
    },
    forwarding: (stream) => {
      stream.end();
    },
    finish: () => {
      asked++;
      return { leader: 7 };
    },
  });
  server = await serve({
    ...{ address: '127.0.0.1:0', services: [echo, answerer.service], ...answerer.served, facing: 'roles' },
    ...{ toStatus: statusOf, log: silentLog },
  });
  connection = connectBy(caller);
});
afterEach(async () => {
  connection.close();
  caller.stop();
  answerer.stop();
  await server.close(0);
});

function connectBy(faults: Faults): Connection {
  const fromStatus = (status: Parameters<typeof errorOf>[0]): SynodError => errorOf(status).error;
  return connect(server.address, { fromStatus, ownConnection: true, ...faults.towards('proposer', 2) });
}

type Side = 'the caller' | 'the one who answers';
const SIDES: readonly Side[] = ['the caller', 'the one who answers'];
const at = (side: Side): Faults => (side === 'the caller' ? caller : answerer);
const OTHER: Readonly<Record<Side, FaultPeer>> = {
  'the caller': { role: 'proposer', id: 2 },
  'the one who answers': { role: 'proposer', id: 1 },
};

function make(side: Side, action: FaultAction, direction: FaultDirection = 'both'): void {
  at(side).add({ id: action.kind, action, peers: [OTHER[side]], direction, forMs: 0 });
}

function heal(side: Side): void {
  at(side).heal();
}

function finish(timeoutMs: number, by = connection): Promise<{ leader?: number | undefined }> {
  const request = { header: writeHeader(CALLER), finish: undefined };
  return by.unary(PeerServiceService.finish, request, { timeoutMs });
}

interface Open {
  readonly stream: PersistentStream<Buffer, Buffer, Buffer>;
  readonly heard: Buffer[];
  readonly downs: SynodError[];
}

function open(): Open {
  const hello = encodePeerHello(CALLER);
  const opened: Open = {
    stream: new PersistentStream<Buffer, Buffer, Buffer>({
      connection,
      method: raw(PeerServiceService.heartbeats),
      hello: () => hello,
      // One frame a message, so that each is judged.
      frame: ([only]) => only as Buffer,
      frameBytesMax: 1,
      bytesOf: ({ length }) => length,
      queueBytesMax: 1024 * 1024,
      onUp: () => undefined,
      onDown: (reason) => opened.downs.push(reason),
      onMessage: (frame) => {
        if (!frame.equals(hello)) opened.heard.push(frame);
      },
    }),
    ...{ heard: [], downs: [] },
  };
  opened.stream.start();
  return opened;
}

const numbered = (n: number): Buffer => Buffer.from(`message ${String(n)}`);
const texts = (frames: readonly Buffer[]): string[] => frames.map(String).filter((text) => text.startsWith('message'));
const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => String(numbered(from + i)));

describe('a unary call', () => {
  test('is answered while no fault is in force, and where only others are cut off (control)', async () => {
    expect(await finish(5_000)).toEqual({ leader: 7 });
    caller.add({ id: 'x', action: { kind: 'cut' }, peers: [{ role: 'proposer', id: 3 }], direction: 'both', forMs: 0 });
    answerer.add({
      id: 'x',
      action: { kind: 'cut' },
      peers: [{ role: 'client', id: undefined }],
      direction: 'both',
      forMs: 0,
    });
    expect(await finish(5_000)).toEqual({ leader: 7 });
  });

  test.each(SIDES)(
    'to a member that %s is cut off from hangs until its deadline, and is heard by nobody',
    async (side) => {
      make(side, { kind: 'cut' });
      await expect(finish(300)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' });
      expect(asked).toBe(0);
      heal(side);
      expect(await finish(5_000)).toEqual({ leader: 7 });
    },
  );

  test.each([
    ['the caller', 'in'],
    ['the one who answers', 'out'],
  ] as const)('is heard, and its answer is not, where %s loses what goes %s', async (side, direction) => {
    make(side, { kind: 'cut' }, direction);
    await expect(finish(300)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' });
    expect(asked).toBe(1);
  });

  test('hangs no longer than its caller waits, and ends when it is given up', async () => {
    make('the caller', { kind: 'cut' });
    const abort = new AbortController();
    const request = { header: writeHeader(CALLER), finish: undefined };
    const call = connection.unary(PeerServiceService.finish, request, { timeoutMs: 60_000, signal: abort.signal });
    abort.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    // The same where it was answered, and only the answer is lost.
    caller.heal();
    make('the caller', { kind: 'cut' }, 'in');
    const later = new AbortController();
    const lost = connection.unary(PeerServiceService.finish, request, { timeoutMs: 60_000, signal: later.signal });
    await until(() => caller.dropped > 1);
    later.abort();
    await expect(lost).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test.each(SIDES)('that was in the air ends when the cut at %s is healed, outcome unknown', async (side) => {
    make(side, { kind: 'cut' });
    const error = finish(60_000).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    await until(() => at(side).dropped > 0);
    heal(side);
    expect(await error).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown' });
  });

  test.each(SIDES)('waits for its delay at %s', async (side) => {
    make(side, { kind: 'delay', ms: 100, jitterMs: 0 });
    const began = performance.now();
    expect(await finish(10_000)).toEqual({ leader: 7 });
    // Question and answer.
    expect(performance.now() - began).toBeGreaterThanOrEqual(195);
  });

  test.each(SIDES)('whose message was lost at %s ends within a second, long before its deadline', async (side) => {
    make(side, { kind: 'drop', share: 1 });
    await expect(finish(60_000)).rejects.toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown' });
    expect(asked).toBe(0);
  });
});

describe('a stream', () => {
  test.each(SIDES)(
    'stays open and silent while %s is cut off; healed, it begins anew, and all is heard again',
    async (side) => {
      const { stream, heard, downs } = open();
      await until(() => stream.up);
      stream.send(numbered(0));
      await until(() => heard.length === 1);
      make(side, { kind: 'cut' });
      for (let n = 1; n < 20; n++) stream.send(numbered(n));
      await until(() => at(side).dropped > 0);
      expect([stream.up, downs.length, streams.length]).toEqual([true, 0, 1]);
      heal(side);
      await until(() => downs.length === 1 && stream.up && streams.length === 2);
      expect(downs[0]).toMatchObject({ code: 'UNAVAILABLE' });
      await until(() => ended === 1);
      stream.send(numbered(20));
      await until(() => heard.length === 2);
      expect(texts(heard)).toEqual([...numbers(0, 1), ...numbers(20, 21)]);
      expect(texts(streams[0] ?? [])).toEqual(numbers(0, 1));
      stream.close();
    },
  );

  test.each(SIDES)('that nothing was said on outlives a cut at %s', async (side) => {
    const { stream, heard, downs } = open();
    await until(() => stream.up);
    stream.send(numbered(0));
    await until(() => heard.length === 1);
    make(side, { kind: 'cut' });
    heal(side);
    stream.send(numbered(1));
    await until(() => heard.length === 2);
    expect([downs.length, streams.length]).toEqual([0, 1]);
    stream.close();
  });

  test.each(SIDES)('that is opened while %s is cut off opens when that is healed', async (side) => {
    make(side, { kind: 'cut' });
    const { stream, heard } = open();
    await until(() => at(side).dropped > 0);
    expect(stream.up).toBe(false);
    heal(side);
    await until(() => stream.up);
    stream.send(numbered(0));
    await until(() => heard.length === 1);
    stream.close();
  });

  test.each(SIDES)('whose messages %s holds keeps their order, whatever the jitter, and loses none', async (side) => {
    const { stream, heard, downs } = open();
    await until(() => stream.up);
    make(side, { kind: 'delay', ms: 5, jitterMs: 60 });
    for (let n = 0; n < 200; n++) stream.send(numbered(n));
    await until(() => heard.length === 200);
    expect(texts(heard)).toEqual(numbers(0, 200));
    expect([downs.length, at(side).delayed >= 200]).toEqual([0, true]);
    stream.close();
  });

  test.each(SIDES)('is read on after messages that were held at %s were let go together', async (side) => {
    const { stream, heard, downs } = open();
    await until(() => stream.up);
    make(side, { kind: 'delay', ms: 60_000, jitterMs: 0 });
    for (let n = 0; n < 200; n++) stream.send(numbered(n));
    await until(() => at(side).delayed >= 200);
    heal(side);
    // One at a time, so that each waits for the reading that the one before it left behind.
    for (let n = 200; n < 250; n++) {
      stream.send(numbered(n));
      await until(() => heard.length === n + 1);
    }
    expect([texts(heard), downs.length]).toEqual([numbers(0, 250), 0]);
    stream.close();
  });

  test('is not slower for its length: what is held does not hold up what comes after it', async () => {
    const { stream, heard } = open();
    await until(() => stream.up);
    make('the caller', { kind: 'delay', ms: 100, jitterMs: 0 }, 'out');
    make('the one who answers', { kind: 'delay', ms: 100, jitterMs: 0 }, 'in');
    for (let n = 0; n < 500; n++) stream.send(numbered(n));
    // One after the other they would take 100 s.
    await until(() => heard.length === 500, 20_000);
    stream.close();
  }, 30_000);

  test.each(SIDES)('that lost a message at %s shows what came before it, ends, and begins anew', async (side) => {
    const { stream, heard, downs } = open();
    await until(() => stream.up);
    make(side, { kind: 'drop', share: 0.05 });
    for (let n = 0; n < 400; n++) stream.send(numbered(n));
    await until(() => downs.length >= 1);
    const first = texts(streams[0] ?? []);
    // A prefix, without a gap: at one of both ends it is cut short.
    expect(first).toEqual(numbers(0, first.length));
    expect(texts(heard).slice(0, first.length)).toEqual(numbers(0, Math.min(heard.length, first.length)));
    heal(side);
    const before = heard.length;
    await until(() => stream.send(numbered(1_000)));
    await until(() => heard.length > before && String(heard.at(-1)) === 'message 1000');
    stream.close();
  });

  test('that its owner closes while it is cut off is forgotten here at once, and there when the cut is healed', async () => {
    const { stream, heard } = open();
    await until(() => stream.up);
    stream.send(numbered(0));
    await until(() => heard.length === 1);
    make('the caller', { kind: 'cut' });
    make('the one who answers', { kind: 'cut' });
    stream.close();
    expect([stream.up, server.streams, ended]).toEqual([false, 1, 0]);
    heal('the caller');
    heal('the one who answers');
    await until(() => server.streams === 0);
  });
});

describe('what no fault takes', () => {
  test('FaultService: a member that is cut off from everybody, clients included, is healed by it', async () => {
    answerer.add({
      ...{ id: 'all', action: { kind: 'cut' }, direction: 'both', forMs: 0 },
      peers: [
        { role: undefined, id: undefined },
        { role: 'client', id: undefined },
      ],
    });
    const client = connectBy(new Faults({ on: false, self: CALLER, log: silentLog }));
    await expect(finish(300, client)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect((await ask.list(server.address)).faults).toHaveLength(1);
    expect(await ask.heal(server.address)).toHaveLength(1);
    expect(await finish(5_000, client)).toEqual({ leader: 7 });
    client.close();
  });

  test('a header of another cluster is refused before anything is changed', async () => {
    const header = writeHeader({ ...CALLER, cluster: 'other' });
    const { FaultServiceService } = await import('../../shared/wire/gen/synod/v1/fault_service.ts');
    const call = connection.unary(FaultServiceService.heal, { header, ids: [] }, { timeoutMs: 5_000 });
    await expect(call).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', outcome: 'none' });
  });
});

test('where faults are off, no message passes anything', () => {
  const off = new Faults({ on: false, self: CALLER, log: silentLog });
  expect([off.towards('proposer', 2), off.served]).toEqual([{}, {}]);
});
