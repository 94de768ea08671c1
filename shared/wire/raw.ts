/**
 * Methods whose messages stay bytes: what is sent was encoded before, perhaps for several receivers, and what arrives is a Buffer
 * for the codec to read. gRPC's own per-message encoding would run once for every acceptor.
 */

/** The parts of a generated method definition that matter here. */
interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** A method definition as @grpc/grpc-js takes it, for a client's `make…Request` as well as for a server's service. */
export interface RawMethod extends Method {
  requestSerialize(this: void, frame: Buffer): Buffer;
  requestDeserialize(this: void, frame: Buffer): Buffer;
  responseSerialize(this: void, frame: Buffer): Buffer;
  responseDeserialize(this: void, frame: Buffer): Buffer;
}

/** The same method, its messages left as they are. */
export function raw(method: Method): RawMethod {
  return {
    path: method.path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/** A service of which the named methods are raw and the others as generated. */
export function withRaw<S extends Readonly<Record<string, Method>>, K extends keyof S>(
  service: S,
  names: readonly K[],
): Omit<S, K> & Record<K, RawMethod> {
  const methods: Record<string, Method> = { ...service };
  for (const name of names) methods[name as string] = raw(service[name] as Method);
  return methods as Omit<S, K> & Record<K, RawMethod>;
}

function same(frame: Buffer): Buffer {
  return frame;
}
