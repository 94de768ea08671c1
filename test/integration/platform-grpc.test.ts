/**
 * Goal: what the roles rely on in the gRPC layer, shown with real connections on loopback.
 * Method: one small service with JSON messages; every wait is for a condition.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { connect as connectSocket } from 'node:net';
import { Client, compressionAlgorithms, credentials, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { InvariantError } from '../../shared/base/assert.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection, ReceivedStatus } from '../../shared/platform/grpc/connection.ts';
import { service } from '../../shared/platform/grpc/methods.ts';
import { raw } from '../../shared/wire/raw.ts';
import type { Handlers, Method } from '../../shared/platform/grpc/methods.ts';
import { PersistentStream } from '../../shared/platform/grpc/persistent-stream.ts';
import { serve } from '../../shared/platform/grpc/server.ts';
import type { RunningServer, ServeOptions } from '../../shared/platform/grpc/server.ts';
import { errorOf, statusOf } from '../../shared/wire/status.ts';
import { until } from '../support/until.ts';

interface Say {
  readonly say: string;
}

const json = {
  requestSerialize: (value: Say) => Buffer.from(JSON.stringify(value)),
  requestDeserialize: (bytes: Buffer) => JSON.parse(bytes.toString()) as Say,
  responseSerialize: (value: Say) => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes: Buffer) => JSON.parse(bytes.toString()) as Say,
};

const Echo = {
  say: { path: '/test.Echo/Say', requestStream: false, responseStream: false, ...json },
  count: { path: '/test.Echo/Count', requestStream: false, responseStream: true, ...json },
  talk: { path: '/test.Echo/Talk', requestStream: true, responseStream: true, ...json },
} as const;

const quiet = { debug: noop, info: noop, warn: noop, error: noop, fatal: noop };
function noop(): void {
  // these tests say what they need to know by their own means
}

const fromStatus = (received: ReceivedStatus): SynodError => errorOf(received).error;

const echo: Handlers<typeof Echo> = {
  say: (request) => request,
  count: (request, stream) => {
    for (let i = 0; i < Number(request.say); i++) stream.write({ say: String(i) });
    stream.end();
  },
  talk: (stream) => {
    stream.on('data', (message: Say) => stream.write(message));
    stream.on('end', () => stream.end());
  },
};

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(
  handlers: Partial<Handlers<typeof Echo>> = {},
  options: Partial<ServeOptions> = {},
): Promise<RunningServer> {
  const server = await serve({
    address: '127.0.0.1:0',
    facing: 'roles',
    services: [service(Echo, { ...echo, ...handlers })],
    toStatus: statusOf,
    log: quiet,
    ...options,
  });
  cleanups.push(() => server.close(0));
  return server;
}

function to(server: { address: string }): Connection {
  const connection = connect(server.address, { fromStatus, ownConnection: true });
  cleanups.push(() => {
    connection.close();
  });
  return connection;
}

const call = { timeoutMs: 5_000 };

describe('unary calls', () => {
  test('carry a request and its answer', async () => {
    const connection = to(await start());
    expect(await connection.unary(Echo.say, { say: 'hello' }, call)).toEqual({ say: 'hello' });
  });

  test('a handler that rejects answers with the status of its error, and the outcome', async () => {
    const server = await start({
      say: async () => {
        await Promise.resolve();
        throw new SynodError('FAILED_PRECONDITION', 'wrong cluster', 'none');
      },
    });
    await expect(to(server).unary(Echo.say, { say: '' }, call)).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: 'wrong cluster',
      outcome: 'none',
    });
  });

  test('an error that nobody foresaw is INTERNAL, unknown, and says nothing of the code', async () => {
    const logged: object[] = [];
    const server = await start(
      { say: () => Promise.reject(new Error('secret at line 7')) },
      { log: { ...quiet, error: (fields) => logged.push(fields) } },
    );
    const error = await to(server)
      .unary(Echo.say, { say: '' }, call)
      .catch((e: unknown) => e as SynodError);
    expect(error).toMatchObject({ code: 'INTERNAL', outcome: 'unknown' });
    expect((error as SynodError).message).not.toContain('secret');
    expect(JSON.stringify(logged)).toContain('secret at line 7');
  });

  test('a broken invariant is handed to the process', async () => {
    const seen: string[] = [];
    const server = await start(
      {
        say: () => {
          throw new InvariantError('R2: two values');
        },
      },
      { onInvariant: (error) => seen.push(error.message) },
    );
    await expect(to(server).unary(Echo.say, { say: '' }, call)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(seen).toEqual(['R2: two values']);
  });

  test('a caller without a deadline gets that of the server', async () => {
    const server = await start({ say: () => new Promise<Say>(noop) }, { deadlineMs: 30 });
    const client = new Client(server.address, credentials.createInsecure());
    cleanups.push(() => {
      client.close();
    });
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest(Echo.say.path, json.requestSerialize, json.responseDeserialize, { say: '' }, resolve);
    });
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
    expect(error?.details).toContain('no answer within 30 ms');
  });

  test('calls beyond calls.max are refused with none, and the places come back when the work ends', async () => {
    const waiting: ((answer: Say) => void)[] = [];
    const server = await start(
      { say: (request) => (request.say === 'wait' ? new Promise<Say>((resolve) => waiting.push(resolve)) : request) },
      { callsMax: 2 },
    );
    const connection = to(server);
    const held = [connection.unary(Echo.say, { say: 'wait' }, call), connection.unary(Echo.say, { say: 'wait' }, call)];
    await until(() => waiting.length === 2);
    await expect(connection.unary(Echo.say, { say: 'third' }, call)).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      outcome: 'none',
      message: expect.stringContaining('calls.max is 2') as unknown,
    });
    for (const release of waiting) release({ say: 'done' });
    await Promise.all(held);
    expect(server.calls).toBe(0);
    await expect(connection.unary(Echo.say, { say: 'third' }, call)).resolves.toEqual({ say: 'third' });
  });

  test('a call that its caller gave up still takes its place until its work ends', async () => {
    let release: (answer: Say) => void = noop;
    const server = await start({ say: () => new Promise<Say>((resolve) => (release = resolve)) }, { callsMax: 1 });
    const abort = new AbortController();
    const given = to(server).unary(Echo.say, { say: '' }, { ...call, signal: abort.signal });
    await until(() => server.calls === 1);
    abort.abort();
    await expect(given).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(to(server).unary(Echo.say, { say: '' }, call)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    release({ say: '' });
    await until(() => server.calls === 0);
  });

  test('a compressed request is refused, and an uncompressed one is not', async () => {
    const server = await start();
    const gzip = new Client(server.address, credentials.createInsecure(), {
      'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
    });
    cleanups.push(() => {
      gzip.close();
    });
    const error = await new Promise<ServiceError | null>((resolve) => {
      gzip.makeUnaryRequest(Echo.say.path, json.requestSerialize, json.responseDeserialize, { say: 'x' }, resolve);
    });
    expect(error?.code).toBe(status.UNIMPLEMENTED);
    expect(error?.details).toContain('gzip');
    await expect(to(server).unary(Echo.say, { say: 'x' }, call)).resolves.toEqual({ say: 'x' });
  });

  test('a dead port is UNAVAILABLE at once', async () => {
    const server = await start();
    await server.close(0);
    await expect(to(server).unary(Echo.say, { say: '' }, call)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('bytes pass through a raw method as they came', async () => {
    const connection = to(await start());
    const answer = await connection.unary(raw(Echo.say), Buffer.from('{"say":"raw"}'), call);
    expect(answer.toString()).toBe('{"say":"raw"}');
  });
});

describe('a server', () => {
  test('says which port is in use and which setting changes it', async () => {
    const server = await start();
    await expect(start({}, { address: server.address })).rejects.toThrow(
      `${server.address} is in use by another process; choose another with --listen`,
    );
  });

  test('answers gRPC health', async () => {
    const server = await start();
    const health: Method<Buffer, Buffer> = raw({ ...Echo.say, path: '/grpc.health.v1.Health/Check' });
    const connection = to(server);
    expect([...(await connection.unary(health, Buffer.alloc(0), call))]).toEqual([8, 2]);
    server.setServing(true);
    expect([...(await connection.unary(health, Buffer.alloc(0), call))]).toEqual([8, 1]);
  });

  test('ends within its grace although a stream stays open, and lets a call in progress finish', async () => {
    let release: (answer: Say) => void = noop;
    const server = await start({ say: () => new Promise<Say>((resolve) => (release = resolve)), talk: noop });
    const connection = to(server);
    const talk = connection.bidi(Echo.talk);
    const ended = new Promise<ServiceError>((resolve) => talk.on('error', resolve));
    talk.resume();
    const slow = connection.unary(Echo.say, { say: '' }, call);
    await until(() => server.calls === 1 && server.streams === 1);
    const closed = server.close(2_000);
    expect((await ended).code).toBe(status.UNAVAILABLE);
    release({ say: 'finished' });
    await expect(slow).resolves.toEqual({ say: 'finished' });
    await closed;
  });

  test('cuts off a call that does not finish within the grace', async () => {
    const server = await start({ say: () => new Promise<Say>(noop) });
    const stuck = to(server).unary(Echo.say, { say: '' }, call);
    await until(() => server.calls === 1);
    const cut = expect(stuck).rejects.toBeInstanceOf(SynodError);
    await server.close(20);
    await cut;
  });

  test('survives bytes that are not gRPC', async () => {
    const server = await start();
    const socket = connectSocket(server.port, '127.0.0.1');
    await new Promise<void>((resolve) => {
      socket.on('close', () => {
        resolve();
      });
      socket.on('error', noop);
      socket.resume();
      socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(10));
    });
    await expect(to(server).unary(Echo.say, { say: 'alive' }, call)).resolves.toEqual({ say: 'alive' });
  });
});

describe('streams', () => {
  test('a server stream delivers in order', async () => {
    const got: string[] = [];
    const stream = to(await start()).serverStream(Echo.count, { say: '5' });
    stream.on('data', (message: Say) => got.push(message.say));
    await new Promise((resolve) => stream.on('end', resolve));
    expect(got).toEqual(['0', '1', '2', '3', '4']);
  });

  test('a stream handler that rejects ends the stream with its status', async () => {
    const server = await start({ talk: () => Promise.reject(new SynodError('INVALID_ARGUMENT', 'no hello')) });
    const connection = to(server);
    const stream = connection.bidi(Echo.talk);
    stream.resume();
    const error = await new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    expect(connection.errorOf(error)).toMatchObject({ code: 'INVALID_ARGUMENT', message: 'no hello' });
    await until(() => server.streams === 0);
  });

  test('a stream that its caller drops is forgotten', async () => {
    const server = await start();
    const stream = to(server).bidi(Echo.talk);
    stream.on('error', noop);
    stream.resume();
    await until(() => server.streams === 1);
    stream.cancel();
    await until(() => server.streams === 0);
  });
});

describe('a persistent stream', () => {
  interface Seen {
    up: number;
    readonly down: { reason: SynodError; refused: boolean }[];
    readonly got: string[];
  }

  function open(
    connection: Connection,
    more: Partial<{ queueBytesMax: number; onOverflow: () => void }> = {},
  ): {
    stream: PersistentStream<string, Say, Say>;
    seen: Seen;
  } {
    const seen: Seen = { up: 0, down: [], got: [] };
    const stream = new PersistentStream<string, Say, Say>({
      connection,
      method: Echo.talk,
      hello: () => ({ say: 'hello' }),
      frame: (messages) => ({ say: messages.join('+') }),
      bytesOf: (message) => message.length,
      queueBytesMax: 1_000_000,
      onUp: () => seen.up++,
      onDown: (reason, refused) => seen.down.push({ reason, refused }),
      onMessage: (message) => seen.got.push(message.say),
      retryMsMax: 50,
      ...more,
    });
    cleanups.push(() => {
      stream.close();
    });
    stream.start();
    return { stream, seen };
  }

  test('says hello, is up with the headers of its peer, and sends a burst as one frame', async () => {
    const { stream, seen } = open(to(await start()));
    expect(stream.send('too early')).toBe(false);
    await until(() => stream.up && seen.got.length === 1);
    for (const word of ['a', 'b', 'c']) expect(stream.send(word)).toBe(true);
    await until(() => seen.got.length === 2);
    expect(seen.got).toEqual(['hello', 'a+b+c']);
  });

  test('reports a refused connection as refused, and comes up when the peer is there', async () => {
    const first = await start();
    await first.close(0);
    const { stream, seen } = open(to(first));
    await until(() => seen.down.some(({ refused }) => refused));
    expect(stream.up).toBe(false);
    await start({}, { address: first.address });
    await until(() => stream.up);
    expect(seen.up).toBe(1);
  });

  test('reopens after its peer is gone and back, with a new hello', async () => {
    const first = await start();
    const { stream, seen } = open(to(first));
    await until(() => stream.up);
    await first.close(0);
    await until(() => seen.down.some(({ refused }) => refused));
    // The break itself is no proof that the process is gone.
    expect(seen.down[0]?.refused).toBe(false);
    await start({}, { address: first.address });
    await until(() => seen.got.filter((word) => word === 'hello').length === 2);
    expect(stream.send('again')).toBe(true);
    await until(() => seen.got.includes('again'));
  });

  test('a peer that takes the stream and refuses it at once is tried ever more rarely', async () => {
    let tries = 0;
    const server = await start({
      talk: () => {
        tries++;
        throw new SynodError('FAILED_PRECONDITION', 'another configuration');
      },
    });
    const { seen } = open(to(server));
    await until(() => seen.down.length >= 4);
    // The negative control: without growing waits there would be hundreds of tries in the time that four take.
    expect(tries).toBeLessThan(8);
    expect(seen.down[0]).toMatchObject({ reason: { code: 'FAILED_PRECONDITION' }, refused: false });
  });

  test('reading goes on while writing is blocked, and a queue that is full is told and starts anew (R14)', async () => {
    let talking = 0;
    const server = await start({
      talk: (stream) => {
        talking++;
        // This peer never reads, so writing to it is blocked soon; it talks all the same.
        stream.write({ say: 'still talking' });
      },
    });
    let overflows = 0;
    const { stream, seen } = open(to(server), { queueBytesMax: 2_000_000, onOverflow: () => overflows++ });
    await until(() => seen.got.length === 1);
    const big = 'x'.repeat(100_000);
    await until(() => !stream.send(big));
    expect(overflows).toBe(1);
    expect(stream.queuedBytes).toBeLessThanOrEqual(2_000_000);
    await until(() => talking === 2 && seen.got.length === 2);
  });
});
