import type { Metadata, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';

type Surface = Pick<
  ServerUnaryCall<unknown, unknown>,
  'metadata' | 'getPeer' | 'getPath' | 'getDeadline' | 'cancelled'
>;

/** What a handler may ask about the call that it answers. */
export class CallContext {
  readonly #call: Surface;
  readonly #deadline: number;

  /** `deadline` is in milliseconds of the wall clock, because that is what grpc-js counts in. */
  constructor(call: Surface, deadline: number) {
    this.#call = call;
    this.#deadline = deadline;
  }

  /** `/synod.v1.AcceptorService/Prepare` */
  get method(): string {
    return this.#call.getPath();
  }

  /** Address and port of the caller. */
  get peer(): string {
    return this.#call.getPeer();
  }

  get metadata(): Metadata {
    return this.#call.metadata;
  }

  /** Milliseconds left until nobody waits for the answer any more; Infinity on a stream without a deadline. */
  get timeoutMs(): number {
    return Math.max(0, this.#deadline - Date.now());
  }

  /** True when the caller hung up: work that has not begun is not worth beginning. */
  get cancelled(): boolean {
    return this.#call.cancelled;
  }
}

/** The context of a stream. */
export class StreamContext extends CallContext {
  readonly #fail: (error: unknown) => void;
  /** Set by a handler that ends its stream in its own way when the server drains; otherwise it ends with UNAVAILABLE. */
  onDrain: (() => void) | undefined;

  constructor(
    stream: ServerDuplexStream<unknown, unknown> | ServerWritableStream<unknown, unknown>,
    deadline: number,
    fail: (error: unknown) => void,
  ) {
    super(stream, deadline);
    this.#fail = fail;
  }

  /** Ends the stream with the status of this error, from wherever the handler's work has got to. */
  fail(error: unknown): void {
    this.#fail(error);
  }
}
