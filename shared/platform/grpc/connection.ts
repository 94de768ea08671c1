/** A client connection to one address, and calls over it. */
import { Client, Metadata, credentials as channelCredentials } from '@grpc/grpc-js';
import type {
  CallOptions,
  ChannelCredentials,
  ClientDuplexStream,
  ClientReadableStream,
  Interceptor,
  ServiceError,
} from '@grpc/grpc-js';
import type { SynodError } from '../../base/errors.ts';
import type { Method } from './methods.ts';
import { channelOptions } from './options.ts';
import type { ChannelTuning } from './options.ts';

/** A status as a client receives it; `get` reads one trailer. */
export interface ReceivedStatus {
  readonly code: number;
  readonly details: string;
  get(trailer: string): string | undefined;
}

export interface ConnectOptions extends ChannelTuning {
  /** Reads an error back out of a status; the table belongs to `wire`. */
  readonly fromStatus: (status: ReceivedStatus) => SynodError;
  readonly credentials?: ChannelCredentials;
  /** What every call passes through. Default: nothing. */
  readonly interceptors?: Interceptor[];
}

export interface CallTuning {
  /** Milliseconds until the call ends with DEADLINE_EXCEEDED, whose outcome is unknown. */
  readonly timeoutMs: number;
  readonly metadata?: Metadata;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

const NO_METADATA = new Metadata();

/** Makes a connection; nothing is sent before the first call. */
export function connect(address: string, options: ConnectOptions): Connection {
  return new Connection(address, options);
}

export class Connection {
  readonly address: string;
  readonly #fromStatus: (status: ReceivedStatus) => SynodError;
  readonly #client: Client;

  constructor(address: string, options: ConnectOptions) {
    this.address = address;
    this.#fromStatus = options.fromStatus;
    const { interceptors = [] } = options;
    this.#client = new Client(address, options.credentials ?? channelCredentials.createInsecure(), {
      ...channelOptions(options),
      interceptors,
    });
  }

  /** One request, one answer. Rejects with a SynodError. */
  unary<Req, Res>(method: Method<Req, Res>, request: Req, call: CallTuning): Promise<Res> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        running.cancel();
      };
      const running = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        call.metadata ?? NO_METADATA,
        { deadline: Date.now() + call.timeoutMs },
        (error, value) => {
          call.signal?.removeEventListener('abort', onAbort);
          if (error !== null) reject(this.errorOf(error));
          else resolve(value as Res);
        },
      );
      if (call.signal?.aborted === true) running.cancel();
      else call.signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** One request, a stream of answers. Its `error` event carries a ServiceError; see `errorOf`. */
  serverStream<Req, Res>(
    method: Method<Req, Res>,
    request: Req,
    call: Partial<CallTuning> = {},
  ): ClientReadableStream<Res> {
    return this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      call.metadata ?? NO_METADATA,
      streamOptions(call),
    );
  }

  /** A stream both ways. Its `error` event carries a ServiceError; see `errorOf`. */
  bidi<Req, Res>(method: Method<Req, Res>, call: Partial<CallTuning> = {}): ClientDuplexStream<Req, Res> {
    return this.#client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      call.metadata ?? NO_METADATA,
      streamOptions(call),
    );
  }

  /** What the `error` event of a stream says, as our error. */
  errorOf(error: ServiceError): SynodError {
    return this.#fromStatus({
      code: error.code,
      details: error.details,
      get: (trailer) => {
        const [value] = error.metadata.get(trailer);
        return typeof value === 'string' ? value : undefined;
      },
    });
  }

  /** Ends the connection; calls in progress end with CANCELLED or UNAVAILABLE. */
  close(): void {
    this.#client.close();
  }
}

function streamOptions(call: Partial<CallTuning>): CallOptions {
  return call.timeoutMs === undefined ? {} : { deadline: Date.now() + call.timeoutMs };
}
