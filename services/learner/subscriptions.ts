/**
 * Subscriptions: every slot from a given one on, in order, each proposal once. A subscriber is read to from the store at its own
 * pace and nothing waits for it in memory but one message (R14). A message may hold no entries: it says how far the log went
 * with nothing to show, so that whoever resumes goes on from there.
 */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { SynodError } from '../../shared/base/errors.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import { logName, whole } from '../../shared/wire/codec/fields.ts';
import type { SubscribeRequest, SubscribeResponse } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { isShown, toLearnedEntry } from './entries.ts';
import { writeTo } from './streaming.ts';
import type { Waiting } from './waiting.ts';

const PAGE = { slots: 1_000, bytes: 256 * 1024 };

export class Subscriptions {
  readonly #store: LearnerStore;
  readonly #waiting: Waiting;
  readonly limit: number;
  #open = 0;
  #refused = 0;

  constructor(store: LearnerStore, waiting: Waiting, limit: number) {
    this.#store = store;
    this.#waiting = waiting;
    this.limit = limit;
  }

  get length(): number {
    return this.#open;
  }

  get refused(): number {
    return this.#refused;
  }

  async serve(request: SubscribeRequest, stream: ServerWritableStream<unknown, SubscribeResponse>): Promise<void> {
    const log = logName(request.log);
    const from = whole(request.from, 'from');
    if (this.#open >= this.limit) {
      this.#refused++;
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(this.#open)} subscriptions are open here and subscribers.max is ${String(this.limit)}; subscribe at another learner`,
      );
    }
    this.#open++;
    let wake = (): void => undefined;
    const onWake = (): void => {
      wake();
    };
    const unlisten = this.#waiting.listen(log, onWake);
    stream.once('cancelled', onWake).once('close', onWake).once('finish', onWake);
    try {
      for (let next = from; isOpen(stream);) {
        if ((this.#store.progress(log)?.visible ?? 0) > next) next = await this.#send(log, next, request.all, stream);
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      unlisten();
      this.#open--;
    }
  }

  async #send(
    log: string,
    from: number,
    all: boolean,
    stream: ServerWritableStream<unknown, SubscribeResponse>,
  ): Promise<number> {
    const page = this.#store.read(log, from, PAGE);
    const last = page.at(-1);
    if (last === undefined)
      throw new SynodError('INTERNAL', `slot ${String(from)} of log "${log}" cannot be read here`);
    const next = last.slot + 1;
    await writeTo(stream, { entries: page.filter((e) => all || isShown(e)).map(toLearnedEntry), next });
    return next;
  }
}

function isOpen(stream: ServerWritableStream<unknown, unknown>): boolean {
  return !stream.cancelled && !stream.destroyed && !stream.writableEnded;
}
