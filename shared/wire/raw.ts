/**
 * How a service reads and writes its messages.
 *
 * Messages of hot streams stay bytes: what is sent was encoded before, perhaps for several receivers, and what arrives is a Buffer
 * for the codec to read. gRPC's own encoding would run once for every acceptor.
 *
 * Requests of the other methods are decoded as generated, but never with an exception: gRPC would answer that with INTERNAL and
 * without a reason, where the caller needs INVALID_ARGUMENT and what was wrong (R15).
 */
import { messageOf, SynodError } from '../base/errors.ts';

/** The parts of a generated method definition that matter here. */
interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

/** A method definition as @grpc/grpc-js takes it, for a client's `make…Request` as well as for a server's service. */
export interface RawMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (frame: Buffer) => Buffer;
  readonly requestDeserialize: (frame: Buffer) => Buffer;
  readonly responseSerialize: (frame: Buffer) => Buffer;
  readonly responseDeserialize: (frame: Buffer) => Buffer;
}

/** The same method, its messages left as they are. */
export function raw(method: Pick<Method, 'path' | 'requestStream' | 'responseStream'>): RawMethod {
  const { path, requestStream, responseStream } = method;
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/**
 * A service as a server registers it: the named methods raw, the others as generated, except that a request which cannot be
 * decoded reaches the handler as a SynodError INVALID_ARGUMENT in the request's place. Whoever wraps the handlers throws it.
 */
export function served<S extends object, K extends keyof S = never>(
  service: S,
  rawMethods: readonly K[] = [],
): Served<S, K> {
  const methods: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(service) as [string, Method][])
    methods[name] = (rawMethods as readonly string[]).includes(name) ? raw(method) : tolerant(method);
  return methods as unknown as Served<S, K>;
}

export type Served<S, K extends keyof S> = { readonly [N in keyof S]: N extends K ? RawMethod : S[N] };

function tolerant(method: Method): Method {
  return {
    ...method,
    requestDeserialize: (bytes) => {
      try {
        return method.requestDeserialize(bytes);
      } catch (error) {
        return new SynodError(
          'INVALID_ARGUMENT',
          `the request of ${method.path} cannot be read: ${reason(error)}`,
          'none',
          error,
        );
      }
    },
  };
}

/** What a generated decoder means, in words that help: it is a negative slot far more often than a great one. */
function reason(error: unknown): string {
  const message = messageOf(error);
  return message.startsWith('Value is larger') ? 'a number is negative or not below 2^53' : message;
}

function same(frame: Buffer): Buffer {
  return frame;
}
