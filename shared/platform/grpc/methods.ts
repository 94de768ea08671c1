/** What this room needs to know of generated code: the definitions of methods, and the types that follow from them. */
import type { ServerDuplexStream, ServerWritableStream, ServiceDefinition } from '@grpc/grpc-js';
import type { CallContext, StreamContext } from './context.ts';

/** A method as generators describe it. The serializers decide whether messages travel decoded or as raw bytes. */
export interface Method<Req, Res> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Req) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Req;
  readonly responseSerialize: (value: Res) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Res;
}

export type UnaryHandler<Req, Res> = (request: Req, call: CallContext) => Res | Promise<Res>;
export type ServerStreamHandler<Req, Res> = (
  request: Req,
  stream: ServerWritableStream<Req, Res>,
  call: StreamContext,
) => void | Promise<void>;
export type BidiHandler<Req, Res> = (stream: ServerDuplexStream<Req, Res>, call: StreamContext) => void | Promise<void>;

type RequestOf<M> = M extends { readonly requestDeserialize: (bytes: Buffer) => infer Req } ? Req : never;
type ResponseOf<M> = M extends { readonly responseDeserialize: (bytes: Buffer) => infer Res } ? Res : never;

/** One handler for every method of a service; a method that takes a stream and answers once is not used in Synod. */
export type Handlers<S> = {
  readonly [K in keyof S]: S[K] extends { readonly requestStream: false; readonly responseStream: false }
    ? UnaryHandler<RequestOf<S[K]>, ResponseOf<S[K]>>
    : S[K] extends { readonly requestStream: false; readonly responseStream: true }
      ? ServerStreamHandler<RequestOf<S[K]>, ResponseOf<S[K]>>
      : S[K] extends { readonly requestStream: true; readonly responseStream: true }
        ? BidiHandler<RequestOf<S[K]>, ResponseOf<S[K]>>
        : never;
};

/** A service with its handlers, its message types forgotten, as `serve` takes it. */
export interface ServedService {
  readonly definition: ServiceDefinition;
  readonly handlers: Readonly<Record<string, unknown>>;
}

/** Pairs a generated service with its handlers; the compiler checks each of them. */
export function service<S>(definition: S, handlers: Handlers<S>): ServedService {
  return { definition: definition as ServiceDefinition, handlers };
}
