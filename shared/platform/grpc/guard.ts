/**
 * The one wrapper around every handler. It admits a bounded number of calls, puts a deadline on each, and turns whatever a
 * handler throws, now or later, into a status: an async handler that rejects would otherwise end the process.
 */
import { Metadata } from '@grpc/grpc-js';
import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  sendUnaryData,
} from '@grpc/grpc-js';
import { InvariantError } from '../../base/assert.ts';
import { SynodError, messageOf } from '../../base/errors.ts';
import type { Log } from '../../ports/telemetry.ts';
import { CallContext, StreamContext } from './context.ts';
import type { BidiHandler, ServerStreamHandler, UnaryHandler } from './methods.ts';

/** A gRPC status as `wire` makes it. */
export interface Status {
  readonly code: number;
  readonly details: string;
  /** Metadata to send behind the status. */
  readonly trailers: Readonly<Record<string, string>>;
}

/** A gRPC status as grpc-js takes it. */
interface SentStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

export interface GuardOptions {
  /** The one table from errors to statuses; it belongs to `wire`. */
  readonly toStatus: (error: SynodError) => Status;
  /** Unary calls in progress, over all connections. Beyond it calls are refused with RESOURCE_EXHAUSTED (R14). */
  readonly callsMax: number;
  /** Streams open, over all connections. */
  readonly streamsMax: number;
  /** Deadline of a unary call whose caller gave none. */
  readonly deadlineMs: number;
  readonly log: Log;
  /** Called with a broken invariant. The process must end; the default lets it reach `uncaughtException`. */
  readonly onInvariant: (error: InvariantError) => void;
  /** Called when a unary call was answered: its path, its status code (0 is OK) and how long it took. */
  readonly onAnswered: ((method: string, code: number, ms: number) => void) | undefined;
}

type AnyStream = ServerDuplexStream<unknown, unknown> | ServerWritableStream<unknown, unknown>;
/** grpc-js's types allow a bare status in an `error` event's place; this is the shape it reads. */
type StatusError = Error & SentStatus;

export class Guard {
  readonly #options: GuardOptions;
  readonly #streams = new Map<StreamContext, AnyStream>();
  #calls = 0;
  #draining = false;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** Unary calls whose handlers are at work, those included whose callers have gone. */
  get calls(): number {
    return this.#calls;
  }

  get streams(): number {
    return this.#streams.size;
  }

  unary<Req, Res>(handler: UnaryHandler<Req, Res>): handleUnaryCall<Req, Res> {
    return (call, callback) => {
      const refusal = this.#refusal('calls', this.#calls, this.#options.callsMax);
      if (refusal !== undefined) {
        callback(this.#statusOf(refusal, call.getPath()));
        return;
      }
      this.#calls++;
      const answer = this.#answerOnce(call, callback);
      const finish = (error: unknown, value?: Res): void => {
        // The place is given back when the work ends, not when the caller goes: a flood of cancelled calls is held too.
        this.#calls--;
        answer(error, value);
      };
      let result: Res | Promise<Res>;
      try {
        result = handler(readable(call.request), new CallContext(call, answer.deadline));
      } catch (error) {
        finish(error);
        return;
      }
      if (!isPromise(result)) finish(undefined, result);
      else
        result.then(
          (value) => {
            finish(undefined, value);
          },
          (error: unknown) => {
            finish(error);
          },
        );
    };
  }

  serverStream<Req, Res>(handler: ServerStreamHandler<Req, Res>): handleServerStreamingCall<Req, Res> {
    return (stream) => {
      this.#open(stream, (context) => handler(readable(stream.request), stream, context));
    };
  }

  bidi<Req, Res>(handler: BidiHandler<Req, Res>): handleBidiStreamingCall<Req, Res> {
    return (stream) => {
      this.#open(stream, (context) => handler(stream, context));
    };
  }

  /** Refuses what comes from now on and ends the open streams, each in its handler's way where it has one. */
  drain(): void {
    this.#draining = true;
    for (const context of [...this.#streams.keys()]) {
      if (context.onDrain !== undefined) context.onDrain();
      else context.fail(new SynodError('UNAVAILABLE', 'this server is stopping', 'unknown'));
    }
  }

  /** Answers at most once, at the latest at the deadline. */
  #answerOnce<Req, Res>(
    call: ServerUnaryCall<Req, Res>,
    callback: sendUnaryData<Res>,
  ): ((error: unknown, value?: Res) => void) & { deadline: number } {
    const began = performance.now();
    const given = Number(call.getDeadline());
    let answered = false;
    const send = (error: unknown, value?: Res): void => {
      if (answered) {
        // The caller has its DEADLINE_EXCEEDED already. A broken invariant still stops the process.
        if (error instanceof InvariantError) this.#options.onInvariant(error);
        return;
      }
      answered = true;
      if (timer !== undefined) clearTimeout(timer);
      const status = error === undefined ? undefined : this.#statusOf(error, call.getPath());
      this.#options.onAnswered?.(call.getPath(), status?.code ?? 0, performance.now() - began);
      if (status !== undefined) callback(status);
      else callback(null, value);
    };
    // A caller's own deadline is kept by grpc-js, which answers for us.
    const timer = Number.isFinite(given)
      ? undefined
      : setTimeout(() => {
          const ms = String(this.#options.deadlineMs);
          send(
            new SynodError(
              'DEADLINE_EXCEEDED',
              `no answer within ${ms} ms; a deadline of the caller replaces this one`,
              'unknown',
            ),
          );
        }, this.#options.deadlineMs);
    return Object.assign(send, { deadline: Number.isFinite(given) ? given : Date.now() + this.#options.deadlineMs });
  }

  #open(stream: AnyStream, run: (context: StreamContext) => void | Promise<void>): void {
    const path = stream.getPath();
    const context = new StreamContext(stream, Number(stream.getDeadline()), (error) => {
      this.#endWith(stream, error);
    });
    const refusal = this.#refusal('streams', this.#streams.size, this.#options.streamsMax);
    if (refusal !== undefined) {
      this.#endWith(stream, refusal);
      return;
    }
    this.#streams.set(context, stream);
    const forget = (): void => {
      this.#streams.delete(context);
    };
    stream.once('close', forget);
    stream.once('cancelled', forget);
    stream.once('finish', forget);
    // An error of the stream itself means that the caller is gone; handlers listen to `close` for what they must undo.
    stream.on('error', (error: Error) => {
      this.#options.log.debug({ method: path, error: messageOf(error) }, 'stream ended with an error');
    });
    // Headers at once, so that the caller knows that it is connected before there is anything to say.
    stream.sendMetadata(new Metadata());
    try {
      const result = run(context);
      if (isPromise(result)) result.catch(context.fail.bind(context));
    } catch (error) {
      context.fail(error);
    }
  }

  #endWith(stream: AnyStream, error: unknown): void {
    const status = this.#statusOf(error, stream.getPath());
    // grpc-js reads a status off an `error` event and ends the stream with it.
    stream.emit('error', Object.assign(new Error(status.details), status) satisfies StatusError);
  }

  #refusal(what: 'calls' | 'streams', now: number, max: number): SynodError | undefined {
    if (this.#draining) return new SynodError('UNAVAILABLE', 'this server is stopping');
    if (now < max) return undefined;
    return new SynodError(
      'RESOURCE_EXHAUSTED',
      `${String(now)} ${what} are in progress here and ${what}.max is ${String(max)}; try again later or elsewhere`,
    );
  }

  #statusOf(error: unknown, method: string): SentStatus {
    if (error instanceof SynodError) return sent(this.#options.toStatus(error));
    // What nobody foresaw goes to the log with its stack, and to the caller without it.
    this.#options.log.error(
      { method, error: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
      'a handler failed unexpectedly',
    );
    if (error instanceof InvariantError) this.#options.onInvariant(error);
    return sent(
      this.#options.toStatus(
        new SynodError('INTERNAL', 'an unexpected error; the log of the server says more', 'unknown'),
      ),
    );
  }
}

function sent(status: Status): SentStatus {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(status.trailers)) metadata.set(key, value);
  return { code: status.code, details: status.details, metadata };
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise;
}

/** A request that could not be decoded comes as the error that says why, in the request's place (`served` in `wire`). */
function readable<Req>(request: Req): Req {
  if (request instanceof SynodError) throw request;
  return request;
}
