/** A gRPC server as every role runs one: guarded handlers, limits, health, reflection on request, and an end in order. */
import { readFileSync } from 'node:fs';
import { Server, ServerCredentials, ServerInterceptingCall, status } from '@grpc/grpc-js';
import type { ServerInterceptor, UntypedServiceImplementation } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { InvariantError } from '../../base/assert.ts';
import { SynodError, messageOf } from '../../base/errors.ts';
import type { Log } from '../../ports/telemetry.ts';
import { Guard } from './guard.ts';
import type { GuardOptions, Status } from './guard.ts';
import type { BidiHandler, ServedService, ServerStreamHandler, UnaryHandler } from './methods.ts';
import { serverOptions } from './options.ts';
import type { Facing, ServerTuning } from './options.ts';

export interface ServeOptions extends ServerTuning {
  /** `127.0.0.1:7101`; port 0 takes a free one. */
  readonly address: string;
  readonly services: readonly ServedService[];
  readonly facing: Facing;
  /** The one table from errors to statuses; it belongs to `wire`. */
  readonly toStatus: (error: SynodError) => Status;
  readonly log: Log;
  /** Unary calls in progress (`calls.max`). Default 10,000. */
  readonly callsMax?: number;
  /** Streams open (`streams.max`). Default 1,000. */
  readonly streamsMax?: number;
  /** Deadline of a unary call whose caller gave none, in milliseconds. Default 5,000. */
  readonly deadlineMs?: number;
  /** A file with a FileDescriptorSet; given, the server answers gRPC reflection from it. */
  readonly reflectionFile?: string;
  readonly credentials?: ServerCredentials;
  /** What every call passes through. Default: nothing. */
  readonly interceptors?: readonly ServerInterceptor[];
  readonly onInvariant?: (error: InvariantError) => void;
  readonly onAnswered?: GuardOptions['onAnswered'];
}

export interface RunningServer {
  /** The address with the port that was bound. */
  readonly address: string;
  readonly port: number;
  /** Unary calls whose handlers are at work. */
  readonly calls: number;
  readonly streams: number;
  /** Sets what gRPC health says of the whole server (service name empty). It begins as NOT_SERVING. */
  setServing(serving: boolean): void;
  /** Stops taking calls, ends streams, waits up to `graceMs` for calls in progress, then cuts them off. Never fails. */
  close(graceMs: number): Promise<void>;
}

/** Binds and serves. Throws UNAVAILABLE when the address is in use, FAILED_PRECONDITION when it can never be bound. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const guard = new Guard({
    toStatus: options.toStatus,
    callsMax: options.callsMax ?? 10_000,
    streamsMax: options.streamsMax ?? 1_000,
    deadlineMs: options.deadlineMs ?? 5_000,
    log: options.log,
    onInvariant: options.onInvariant ?? throwLater,
    onAnswered: options.onAnswered,
  });
  const interceptors = [refuseCompressed, ...(options.interceptors ?? [])];
  const server = new Server({ ...serverOptions(options.facing, options), interceptors });
  for (const served of options.services) server.addService(served.definition, guarded(guard, served));
  const health = new HealthImplementation({ '': 'NOT_SERVING' });
  health.addToServer(server);
  if (options.reflectionFile !== undefined) addReflection(server, options.reflectionFile);

  const port = await bind(server, options.address, options.credentials ?? ServerCredentials.createInsecure());
  const address = `${options.address.slice(0, options.address.lastIndexOf(':'))}:${String(port)}`;
  let closing: Promise<void> | undefined;
  return {
    address,
    port,
    get calls() {
      return guard.calls;
    },
    get streams() {
      return guard.streams;
    },
    setServing(serving) {
      health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
    },
    close(graceMs) {
      health.setStatus('', 'NOT_SERVING');
      closing ??= stop(server, guard, address, graceMs);
      return closing;
    },
  };
}

function guarded(guard: Guard, served: ServedService): UntypedServiceImplementation {
  const out: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(served.definition)) {
    const handler = served.handlers[name];
    if (typeof handler !== 'function') throw new Error(`the method ${method.path} has no handler`);
    if (!method.responseStream) out[name] = guard.unary(handler as UnaryHandler<unknown, unknown>);
    else if (!method.requestStream) out[name] = guard.serverStream(handler as ServerStreamHandler<unknown, unknown>);
    else out[name] = guard.bidi(handler as BidiHandler<unknown, unknown>);
  }
  return out;
}

/**
 * Compressed requests are refused: values are opaque bytes, and a small message that unpacks to a large one is the cheapest way
 * to fill a server's memory. The encoding is read off the call of grpc-js itself, so that other calls cost nothing; a test
 * watches that it is still found there.
 */
const refuseCompressed: ServerInterceptor = (_method, call) => {
  const encoding = (call as { incomingEncoding?: string }).incomingEncoding;
  // grpc-js needs no more of what comes back than the interface of the call that it gave, whatever its types say.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
  if (encoding === undefined || encoding === 'identity') return call as ServerInterceptingCall;
  return new ServerInterceptingCall(call, {
    start: () => {
      call.sendStatus({
        code: status.UNIMPLEMENTED,
        details: `messages compressed with ${encoding} are not taken; send them with grpc-encoding identity`,
      });
    },
  });
};

function addReflection(server: Server, file: string): void {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new SynodError('FAILED_PRECONDITION', `reflection: the descriptor file cannot be read: ${messageOf(error)}`);
  }
  new ReflectionService(loadFileDescriptorSetFromBuffer(bytes)).addToServer(server);
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port);
      else if (error.message.includes('EADDRINUSE'))
        reject(new SynodError('UNAVAILABLE', `${address} is in use by another process; choose another with --listen`));
      else
        reject(
          new SynodError(
            'FAILED_PRECONDITION',
            `cannot listen on ${address} (--listen): ${error.message}`,
            'none',
            error,
          ),
        );
    });
  });
}

/** `drain` comes before `tryShutdown`, which alone would wait for open streams for ever. */
function stop(server: Server, guard: Guard, address: string, graceMs: number): Promise<void> {
  guard.drain();
  server.drain(address, graceMs);
  return new Promise((resolve) => {
    // A connection that does not end even after the drain is not waited for.
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs + 250);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function throwLater(error: InvariantError): void {
  setImmediate(() => {
    throw error;
  });
}
