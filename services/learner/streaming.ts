import type { ServerWritableStream } from '@grpc/grpc-js';

/**
 * Writes one message and resolves when the transport took it, with false when the caller is gone: at most one message of a stream
 * waits in memory, however slow its reader is (R14).
 */
export function writeTo<T>(stream: ServerWritableStream<unknown, T>, message: T): Promise<boolean> {
  return new Promise((resolve) => {
    if (stream.cancelled || stream.destroyed) {
      resolve(false);
      return;
    }
    const gone = (): void => {
      resolve(false);
    };
    stream.once('cancelled', gone);
    stream.once('close', gone);
    stream.write(message, (error?: Error | null) => {
      stream.off('cancelled', gone);
      stream.off('close', gone);
      resolve(error === undefined || error === null);
    });
  });
}
