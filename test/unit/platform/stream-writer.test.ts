/** Goal: a writer's queue is bounded, batches form by themselves, and order is kept (R14). Method: a stream that the test drives. */
import { describe, expect, test } from '@jest/globals';
import { Backoff } from '../../../shared/platform/grpc/backoff.ts';
import { StreamWriter } from '../../../shared/platform/grpc/stream-writer.ts';
import type { StreamWriterOptions } from '../../../shared/platform/grpc/stream-writer.ts';

class FakeStream {
  readonly frames: string[] = [];
  readonly #callbacks: (() => void)[] = [];
  ended = false;
  write(frame: string, callback: () => void): boolean {
    this.frames.push(frame);
    this.#callbacks.push(callback);
    return true;
  }
  end(): void {
    this.ended = true;
  }
  /** The transport takes the oldest frame that it has not taken. */
  take(): void {
    this.#callbacks.shift()?.();
  }
}

function writer(options: Partial<StreamWriterOptions<string, string>> = {}) {
  const stream = new FakeStream();
  const overflows: number[] = [];
  const made = new StreamWriter<string, string>(stream, {
    frame: (messages) => messages.join(''),
    bytesOf: (message) => message.length,
    queueBytesMax: 10,
    windowBytes: 4,
    onOverflow: (queued) => overflows.push(queued),
    ...options,
  });
  return { stream, overflows, writer: made };
}

const turn = (): Promise<void> => Promise.resolve();

describe('a stream writer', () => {
  test('sends what one turn wrote as one frame', async () => {
    const { stream, writer: w } = writer();
    for (const message of ['a', 'b', 'c']) w.write(message);
    await turn();
    expect(stream.frames).toEqual(['abc']);
    w.write('d');
    await turn();
    expect(stream.frames).toEqual(['abc', 'd']);
  });

  test('gathers while the transport is busy, and goes on when it is not', async () => {
    const { stream, writer: w } = writer();
    w.write('aaaa');
    await turn();
    w.write('b');
    await turn();
    w.write('c');
    await turn();
    expect(stream.frames).toEqual(['aaaa']);
    stream.take();
    expect(stream.frames).toEqual(['aaaa', 'bc']);
    expect(w.queuedBytes).toBe(2);
  });

  test('refuses what does not fit, tells once, and takes again after it has drained', async () => {
    const { stream, overflows, writer: w } = writer();
    expect(w.write('123456')).toBe(true);
    expect(w.write('7890')).toBe(true);
    expect(w.write('x')).toBe(false);
    expect(w.write('y')).toBe(false);
    expect(overflows).toEqual([10]);
    await turn();
    stream.take();
    stream.take();
    expect(w.queuedBytes).toBe(0);
    expect(w.write('z')).toBe(true);
    await turn();
    expect(stream.frames.join('')).toBe('1234567890z');
  });

  test('takes one message that is larger than the queue, so that every legal size passes', async () => {
    const { stream, writer: w } = writer();
    expect(w.write('a message of 25 bytes or so')).toBe(true);
    expect(w.write('b')).toBe(false);
    await turn();
    expect(stream.frames).toEqual(['a message of 25 bytes or so']);
  });

  test('keeps frames within their size, but never splits a message', async () => {
    const { stream, writer: w } = writer({ frameBytesMax: 3, windowBytes: 100, queueBytesMax: 100 });
    for (const message of ['ab', 'c', 'd', 'efghi', 'j']) w.write(message);
    await turn();
    expect(stream.frames).toEqual(['abc', 'd', 'efghi', 'j']);
  });

  test('keeps the order over thousands of messages', async () => {
    const { stream, writer: w } = writer({ windowBytes: 50, queueBytesMax: 1e9, frameBytesMax: 20 });
    let sent = '';
    for (let i = 0; i < 10_000; i++) {
      w.write(`${String(i)},`);
      sent += `${String(i)},`;
      if (i % 7 === 0) stream.take();
      if (i % 11 === 0) await turn();
    }
    while (w.queuedBytes > 0) stream.take();
    expect(stream.frames.join('')).toBe(sent);
  });

  test('sends what waits before it ends, and takes nothing after', async () => {
    const { stream, writer: w } = writer();
    w.write('aaaa');
    await turn();
    w.write('b');
    w.end();
    expect(w.write('c')).toBe(false);
    expect(stream.ended).toBe(false);
    stream.take();
    expect(stream.frames).toEqual(['aaaa', 'b']);
    expect(stream.ended).toBe(true);
  });

  test('forgets everything when it is closed', async () => {
    const { stream, writer: w } = writer();
    w.write('a');
    w.close();
    await turn();
    expect(stream.frames).toEqual([]);
    expect(w.queuedBytes).toBe(0);
  });
});

describe('a backoff', () => {
  test('draws from bounds that double up to the most, and begins anew after a success', () => {
    const backoff = new Backoff(20, 100, { next: () => 0.5 });
    expect([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([
      10, 20, 40, 50, 50,
    ]);
    backoff.reset();
    expect(backoff.next()).toBe(10);
  });
});
