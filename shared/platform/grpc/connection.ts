/** A client connection to one address, and calls over it. */
import { isIP } from 'node:net';
import { Client, Metadata, connectivityState, credentials as channelCredentials } from '@grpc/grpc-js';
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
  readonly #options: ConnectOptions;
  #client: Client;
  #isClosed = false;

  constructor(address: string, options: ConnectOptions) {
    this.address = address;
    this.#fromStatus = options.fromStatus;
    this.#options = options;
    this.#client = this.#open();
  }

  /** The address is a name, which may stand for another host tomorrow. */
  get isNamed(): boolean {
    return isIP(this.address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')) === 0;
  }

  /**
   * Looks the name up again and connects anew; calls in progress end. grpc-js looks a name up when a connection breaks, and then
   * never while it waits for the host that the name stood for, which may be gone: TCP gives that up after two minutes. Nothing
   * happens where the address is no name.
   */
  renew(): void {
    if (this.#isClosed || !this.isNamed) return;
    this.#client.close();
    this.#client = this.#open();
  }

  /** The same, unless the connection stands. For connections without streams, after a call that was not answered. */
  renewIfStuck(): void {
    if (this.#isClosed || !this.isNamed) return;
    if (this.#client.getChannel().getConnectivityState(false) !== connectivityState.READY) this.renew();
  }

  #open(): Client {
    const { interceptors = [], credentials = channelCredentials.createInsecure() } = this.#options;
    return new Client(this.address, credentials, { ...channelOptions(this.#options), interceptors });
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
    this.#isClosed = true;
    this.#client.close();
  }
}

function streamOptions(call: Partial<CallTuning>): CallOptions {
  return call.timeoutMs === undefined ? {} : { deadline: Date.now() + call.timeoutMs };
}
