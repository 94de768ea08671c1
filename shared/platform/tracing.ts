/**
 * TraceService of a role: its tracer, and the streams of those who follow it. Events gather for a moment and leave together, outside of
 * the turns in which they happened; a stream whose caller does not read lets its queue fill and its role run.
 */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { SynodError } from '../base/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
import { Tracer } from '../runtime/trace/tracer.ts';
import type { TraceQueue } from '../runtime/trace/tracer.ts';
import { checkHeader, readClientHeader } from '../wire/codec/header.ts';
import type { Header, Role } from '../wire/codec/header.ts';
import { TRACE_LIMITS, readFollow, writeTraceEvent } from '../wire/codec/trace.ts';
import { Role as WireRole } from '../wire/gen/synod/v1/common.ts';
import { TraceServiceService } from '../wire/gen/synod/v1/trace_service.ts';
import type { TraceServiceFollowRequest, TraceServiceFollowResponse } from '../wire/gen/synod/v1/trace_service.ts';
import { served } from '../wire/raw.ts';
import { realClock } from './clock.ts';
import type { StreamContext } from './grpc/context.ts';
import { service } from './grpc/methods.ts';
import type { ServedService } from './grpc/methods.ts';
import type { Metrics } from './telemetry/metrics.ts';

export interface TracingOptions {
  readonly self: Header;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
}

type Stream = ServerWritableStream<TraceServiceFollowRequest, TraceServiceFollowResponse>;

/** How long events gather, and how many leave at once before others get a turn. Milliseconds; events. */
const GATHER_MS = 20;
/** The same while more happens than this follower hears: fewer messages, and still within the time in which readers put events in order. */
const BUSY_GATHER_MS = 100;
const FRAME_EVENTS = 256;

const ANYBODY: readonly Role[] = ['client', 'proposer', 'acceptor', 'learner'];
const WIRE_ROLE = {
  proposer: WireRole.ROLE_PROPOSER,
  acceptor: WireRole.ROLE_ACCEPTOR,
  learner: WireRole.ROLE_LEARNER,
  client: WireRole.ROLE_CLIENT,
} as const;

export class Tracing {
  readonly tracer: Tracer;
  readonly #options: TracingOptions;
  readonly #clock: Clock;

  constructor(options: TracingOptions) {
    const { clock = realClock, metrics, self } = options;
    this.#options = options;
    this.#clock = clock;
    const tracer = new Tracer(() => clock.now(), TRACE_LIMITS.budget);
    this.tracer = tracer;
    const prefix = `synod_${self.role}_trace`;
    metrics?.gaugeOf(`${prefix}_followers`, 'Who follows the trace of this role', () => tracer.followers);
    metrics?.gaugeOf(
      `${prefix}_dropped`,
      'Events of the trace that were not told: above the budget of a follower, or it was slow',
      () => tracer.dropped,
    );
  }

  get service(): ServedService {
    return service(served(TraceServiceService), {
      follow: (request, stream, context) => {
        this.#follow(request, stream, context);
      },
    });
  }

  #follow(request: TraceServiceFollowRequest, stream: Stream, context: StreamContext): void {
    const { self, log } = this.#options;
    checkHeader(readClientHeader(request.header), self, ANYBODY);
    const filter = readFollow(request);
    const { followers } = this.tracer;
    if (followers >= TRACE_LIMITS.followersMax)
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(followers)} callers follow the trace of ${self.role} ${String(self.id)} already, and the limit is ${String(TRACE_LIMITS.followersMax)}: end one of them`,
      );
    const queue = this.tracer.follow(filter, () => {
      outlet.gather();
    });
    const outlet = new Outlet(stream, queue, this.#clock, self);
    outlet.greet();
    log.info({ peer: context.peer, log: filter.log }, 'somebody follows the trace');
    let isGone = false;
    const gone = (): void => {
      if (isGone) return;
      isGone = true;
      outlet.close();
      this.tracer.unfollow(queue);
      log.info({ peer: context.peer, dropped: queue.dropped }, 'somebody follows the trace no longer');
    };
    stream.once('close', gone).once('cancelled', gone).once('error', gone).once('finish', gone);
  }
}

/** Writes one follower's queue to its stream. */
class Outlet {
  readonly #stream: Stream;
  readonly #queue: TraceQueue;
  readonly #clock: Clock;
  readonly #self: Header;
  #cancel: (() => void) | undefined;
  #isClosed = false;
  /** The transport is full: what comes stays in the queue until it is not. */
  #isFull = false;

  constructor(stream: Stream, queue: TraceQueue, clock: Clock, self: Header) {
    this.#stream = stream;
    this.#queue = queue;
    this.#clock = clock;
    this.#self = self;
    stream.on('drain', () => {
      this.#isFull = false;
      if (this.#queue.length > 0) this.gather();
    });
  }

  /** Who tells; from here on everything is seen. */
  greet(): void {
    this.#write([]);
  }

  gather(): void {
    if (this.#cancel !== undefined || this.#isFull || this.#isClosed) return;
    const ms = this.#queue.hasBudget ? GATHER_MS : BUSY_GATHER_MS;
    this.#cancel = this.#clock.after(ms, () => {
      this.#cancel = undefined;
      this.#flush();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #flush(): void {
    if (this.#isClosed || this.#isFull) return;
    const events = this.#queue.take(FRAME_EVENTS);
    if (events.length === 0) return;
    this.#write(events.map(writeTraceEvent));
    if (this.#queue.length === 0) return;
    // Many wait: on with the rest once others had their turn.
    this.#cancel = this.#clock.after(0, () => {
      this.#cancel = undefined;
      this.#flush();
    });
  }

  #write(events: TraceServiceFollowResponse['events']): void {
    const { role, id } = this.#self;
    const nowMs = this.#clock.now();
    const taken = this.#stream.write({
      role: WIRE_ROLE[role],
      id,
      timeUs: Math.round(nowMs * 1_000),
      wallUs: Math.round((performance.timeOrigin + nowMs) * 1_000),
      events,
      dropped: this.#queue.dropped,
    });
    this.#isFull = !taken;
  }
}
