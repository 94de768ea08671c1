/** A subscription that lasts: it goes on at another learner when one is lost, and hands out no slot twice. */
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { realClock, realRandom } from '../platform/clock.ts';
import { Backoff } from '../platform/grpc/backoff.ts';
import type { Connection } from '../platform/grpc/connection.ts';
import type { Header } from '../wire/gen/synod/v1/common.ts';
import { LearnerServiceService } from '../wire/gen/synod/v1/learner_service.ts';
import type { SubscribeResponse } from '../wire/gen/synod/v1/learner_service.ts';
import { readEntry } from './entries.ts';
import { worthRetrying } from './errors.ts';
import { asClientError, sleep } from './retry.ts';
import type { Routes } from './routes.ts';
import type { Entry, SubscribeOptions } from './types.ts';

export interface SubscriptionOptions extends SubscribeOptions {
  readonly routes: Routes;
  readonly header: Header;
  readonly log: string;
  readonly failFast: boolean;
}

/**
 * Every entry from `from` on, in order. Ends when the signal comes; throws a ClientError when no learner can serve it at all. A
 * slow reader holds the learner up, not this process: nothing is read ahead of the loop but one message.
 */
export async function* subscription(options: SubscriptionOptions): AsyncGenerator<Entry, void, undefined> {
  const { routes, signal } = options;
  const backoff = new Backoff(10, 1_000, realRandom);
  let next = options.from ?? 0;
  let unreachable = 0;
  while (signal?.aborted !== true) {
    const connection = routes.pick('');
    const stream = open(connection, options, next);
    try {
      for await (const message of messages(stream, connection)) {
        backoff.reset();
        unreachable = 0;
        for (const entry of message.entries) {
          // A learner that sends again what was asked for before would be at fault; the reader does not suffer for it.
          if (entry.slot < next) continue;
          next = entry.slot + 1;
          yield readEntry(entry);
        }
        next = Math.max(next, message.next);
      }
    } catch (error) {
      if (aborted(signal)) return;
      const last = asClientError(error, connection.address);
      unreachable = last.unreachable ? unreachable + 1 : 0;
      if (!worthRetrying(last) || (options.failFast && unreachable >= routes.size)) throw last;
      routes.failed('', connection.address, undefined);
    } finally {
      stream.cancel();
    }
    await sleep(realClock, backoff.next(), signal);
  }
}

function open(
  connection: Connection,
  options: SubscriptionOptions,
  from: number,
): ClientReadableStream<SubscribeResponse> {
  const { header, log, all, signal } = options;
  const stream = connection.serverStream(LearnerServiceService.subscribe, { header, log, from, all: all ?? false });
  const cancel = (): void => {
    stream.cancel();
  };
  signal?.addEventListener('abort', cancel, { once: true });
  stream.once('close', () => signal?.removeEventListener('abort', cancel));
  // Its error reaches the loop; one that comes after the loop has ended, from our own cancelling, must not end the process.
  stream.on('error', () => undefined);
  return stream;
}

async function* messages(
  stream: ClientReadableStream<SubscribeResponse>,
  connection: Connection,
): AsyncGenerator<SubscribeResponse, void, undefined> {
  try {
    for await (const message of stream as AsyncIterable<SubscribeResponse>) yield message;
  } catch (error) {
    throw isServiceError(error) ? asClientError(connection.errorOf(error), connection.address) : error;
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}

function aborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
