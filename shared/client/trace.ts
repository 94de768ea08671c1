/** What happens in a running cluster, as its roles tell it. See proto/synod/v1/trace.proto for what each event means. */
import { setMaxListeners } from 'node:events';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { messageOf } from '../base/errors.ts';
import { realClock, realRandom } from '../platform/clock.ts';
import { Backoff } from '../platform/grpc/backoff.ts';
import { connect } from '../platform/grpc/connection.ts';
import type { Connection } from '../platform/grpc/connection.ts';
import { readEnum } from '../wire/codec/fields.ts';
import { readTraceEvent, writeProposal } from '../wire/codec/trace.ts';
import type { ProposalId, TraceMember } from '../wire/codec/trace.ts';
import { TraceServiceService } from '../wire/gen/synod/v1/trace_service.ts';
import type { TraceServiceFollowResponse } from '../wire/gen/synod/v1/trace_service.ts';
import { clientHeader } from './client.ts';
import { ClientError, errorReader, worthRetrying } from './errors.ts';
import { asClientError, sleep } from './retry.ts';
import { TraceMerger } from './trace-merge.ts';
import type { Traced } from './trace-merge.ts';

export { memberName, memberShort, TraceMerger } from './trace-merge.ts';
export type { Traced } from './trace-merge.ts';
export type { ProposalId, TracedVotes, TraceEvent, TraceKind, TraceMember, TraceMessage } from '../wire/codec/trace.ts';

export interface TraceOptions {
  /** Only what is about this log. Default: all logs. */
  readonly log?: string;
  /** Only what belongs to this proposal; phase 1 of `log` goes along. */
  readonly proposal?: ProposalId;
  /** Events that wait at a role for this follower before more are dropped. Default 16,384, at most 262,144. */
  readonly queueEvents?: number;
  /** With the first 64 bytes of values. Default false. */
  readonly values?: boolean;
  /** With heartbeats, watermarks and the logs of the cluster itself. Default false. */
  readonly idle?: boolean;
  /** The cluster's id: another cluster refuses. Default: not checked. */
  readonly cluster?: string;
  /** Ends the trace. */
  readonly signal?: AbortSignal;
}

/** A role that tells, from the moment when it answered. */
export interface TraceFollower extends AsyncIterable<Traced> {
  /** Who tells. Rejects with a ClientError when nobody does, or it refuses. Nothing that happens afterwards is missed. */
  readonly ready: Promise<TraceMember>;
  /** Events that were not told, because this end was too slow or more happened than a follower hears, since the beginning. */
  readonly dropped: number;
}

const ROLES = [undefined, 'proposer', 'acceptor', 'learner'] as const;

/**
 * Follows the role at `address` until the signal comes or its stream ends; the iteration then throws the ClientError that ended
 * it. To be iterated once. Who reads slowly makes the role drop events, never wait.
 */
export function followTrace(address: string, options: TraceOptions = {}): TraceFollower {
  return new Following(address, options);
}

class Following implements TraceFollower {
  readonly ready: Promise<TraceMember>;
  readonly #stream: AsyncGenerator<TraceServiceFollowResponse, void, undefined>;
  readonly #first: Promise<TraceServiceFollowResponse>;
  readonly #close: () => void;
  readonly #signal: AbortSignal | undefined;
  #dropped = 0;

  constructor(address: string, options: TraceOptions) {
    const { log = '', proposal, queueEvents = 0, values = false, idle = false, cluster, signal } = options;
    const connection = connect(address, { fromStatus: errorReader(address), ownConnection: true });
    const stream = connection.serverStream(TraceServiceService.follow, {
      ...{ header: clientHeader(cluster), log, queueEvents, values, idle },
      proposal: proposal === undefined ? undefined : writeProposal(proposal),
    });
    // Its error reaches whoever iterates; one that comes after our own cancelling must not end the process.
    stream.on('error', () => undefined);
    this.#signal = signal;
    const cancel = (): void => {
      stream.cancel();
    };
    this.#close = () => {
      signal?.removeEventListener('abort', cancel);
      stream.cancel();
      connection.close();
    };
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted === true) cancel();
    this.#stream = responses(stream, connection);
    this.#first = this.#next().then((response) => {
      if (response !== undefined) return response;
      throw new ClientError('UNAVAILABLE', `${address} ended the trace before it began`, 'none', { address });
    });
    this.ready = this.#first.then(memberOf);
    // Whoever iterates hears of it as well.
    this.ready.catch(this.#close);
  }

  get dropped(): number {
    return this.#dropped;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Traced, void, undefined> {
    try {
      const first = await this.#first;
      const member = memberOf(first);
      // One difference for all of a stream: a wall clock that is set meanwhile must not change the order of one role.
      const offsetMs = (first.wallUs - first.timeUs) / 1_000;
      for (let response: TraceServiceFollowResponse | undefined = first; response !== undefined;) {
        this.#dropped = response.dropped;
        for (const wire of response.events) {
          const event = readTraceEvent(wire);
          if (event !== undefined) yield { ...event, member, wallMs: event.atMs + offsetMs };
        }
        response = await this.#next();
      }
    } catch (error) {
      if (this.#signal?.aborted !== true) throw error;
    } finally {
      this.#close();
    }
  }

  async #next(): Promise<TraceServiceFollowResponse | undefined> {
    const next = await this.#stream.next();
    return next.done === true ? undefined : next.value;
  }
}

async function* responses(
  stream: ClientReadableStream<TraceServiceFollowResponse>,
  connection: Connection,
): AsyncGenerator<TraceServiceFollowResponse, void, undefined> {
  try {
    for await (const response of stream) yield response as TraceServiceFollowResponse;
  } catch (error) {
    const { address } = connection;
    if (error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error)
      throw connection.errorOf(error as ServiceError);
    throw new ClientError('UNAVAILABLE', `the trace of ${address} broke: ${messageOf(error)}`, 'none', { address });
  }
}

function memberOf({ role, id }: TraceServiceFollowResponse): TraceMember {
  return { role: readEnum(ROLES, role, 'role'), id };
}

export interface MergeOptions extends TraceOptions {
  /** How long events wait for those of other roles that happened before. Milliseconds, default 150. */
  readonly settleMs?: number;
  /** A role is followed, or not any more, and why; one that is lost is tried again. */
  readonly onChange?: (change: TraceChange) => void;
}

export interface TraceChange {
  readonly address: string;
  /** Undefined where it was never reached. */
  readonly member: TraceMember | undefined;
  readonly change: 'followed' | 'lost';
  readonly why: string;
}

export interface MergedTrace extends AsyncIterable<Traced> {
  /**
   * Resolves to those that are followed once each address answered or failed; rejects when none answers. Nothing that happens
   * afterwards in them is missed.
   */
  readonly ready: Promise<readonly TraceMember[]>;
  /** Events that were not told, over all roles. */
  readonly dropped: number;
  /** The sending of a message whose receipt came out of this trace, where it was seen. */
  sendingOf(received: Traced): Traced | undefined;
}

const SETTLE_MS = 150;
/** Events that may wait here; then the roles are read no further, and drop. */
const WAITING_MAX = 50_000;

/**
 * Follows all addresses and gives out one order: each role's events in theirs, and no message received before it was sent. A role
 * that is lost is followed again when it is back. Ends with the signal, or when the loop is left. To be iterated once.
 */
export function mergeTraces(addresses: readonly string[], options: MergeOptions = {}): MergedTrace {
  return new Merging(addresses, options);
}

class Merging implements MergedTrace {
  readonly ready: Promise<readonly TraceMember[]>;
  readonly #options: MergeOptions;
  readonly #merger: TraceMerger;
  readonly #stop = new AbortController();
  readonly #dropped = new Map<string, () => number>();
  #droppedBefore = 0;
  #failure: ClientError | undefined;
  /** Ends the wait of readers for room here. */
  #onRoom: (() => void)[] = [];

  constructor(addresses: readonly string[], options: MergeOptions) {
    this.#options = options;
    // Every role that is followed listens to it.
    setMaxListeners(0, this.#stop.signal);
    this.#merger = new TraceMerger(options.settleMs ?? SETTLE_MS);
    options.signal?.addEventListener('abort', this.#end, { once: true });
    if (options.signal?.aborted === true) this.#end();
    const firsts = addresses.map(
      (address) =>
        new Promise<TraceMember>((resolve, reject) => {
          void this.#keep(address, resolve, reject);
        }),
    );
    this.ready = Promise.allSettled(firsts).then((all) => {
      const members = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      if (members.length > 0) return members;
      const [first] = all;
      const failure =
        first?.status === 'rejected'
          ? asClientError(first.reason, '')
          : new ClientError('FAILED_PRECONDITION', 'no role is named whose trace could be followed', 'none');
      this.#failure = failure;
      this.#end();
      throw failure;
    });
    this.ready.catch(() => undefined);
  }

  get dropped(): number {
    let sum = this.#droppedBefore;
    for (const count of this.#dropped.values()) sum += count();
    return sum;
  }

  sendingOf(received: Traced): Traced | undefined {
    return this.#merger.sendingOf(received);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Traced, void, undefined> {
    const { signal } = this.#stop;
    try {
      while (!signal.aborted) {
        yield* this.#merger.take(realClock.now());
        for (const resume of this.#onRoom.splice(0)) resume();
        await sleep(realClock, 10, signal);
      }
      if (this.#failure !== undefined) throw this.#failure;
      yield* this.#merger.take(Infinity);
    } finally {
      this.#end();
    }
  }

  readonly #end = (): void => {
    this.#options.signal?.removeEventListener('abort', this.#end);
    this.#stop.abort();
    for (const resume of this.#onRoom.splice(0)) resume();
  };

  /** Follows one address for as long as the trace lasts. A refusal that will not change is told once, and is the end of it. */
  async #keep(
    address: string,
    onFirst: (member: TraceMember) => void,
    onFailed: (error: unknown) => void,
  ): Promise<void> {
    const { signal } = this.#stop;
    const backoff = new Backoff(50, 1_000, realRandom);
    let told = '';
    while (!this.#isOver()) {
      const follower = followTrace(address, { ...this.#options, signal });
      this.#dropped.set(address, () => follower.dropped);
      let member: TraceMember | undefined;
      let why = 'its stream ended';
      try {
        member = await follower.ready;
        onFirst(member);
        backoff.reset();
        told = '';
        this.#options.onChange?.({ address, member, change: 'followed', why: '' });
        for await (const event of follower) {
          this.#merger.push(event, realClock.now());
          if (this.#merger.length >= WAITING_MAX) await this.#room();
        }
      } catch (error) {
        const failed = asClientError(error, address);
        why = messageOf(failed);
        onFailed(failed);
        if (!this.#isOver() && !worthRetrying(failed)) {
          this.#options.onChange?.({ address, member, change: 'lost', why });
          return;
        }
      }
      if (this.#isOver()) break;
      this.#droppedBefore += follower.dropped;
      this.#dropped.delete(address);
      if (told !== why) this.#options.onChange?.({ address, member, change: 'lost', why });
      told = why;
      await sleep(realClock, backoff.next(), signal);
    }
    onFailed(new ClientError('CANCELLED', 'the trace was ended', 'none', { address }));
  }

  #isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom.push(resolve);
    });
  }
}
