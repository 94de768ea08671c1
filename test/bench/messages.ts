/** What the benchmark and its client processes say to one another. */
import type { Outcome } from '../../shared/base/errors.ts';
import type { HistogramState } from './histogram.ts';

export interface Job {
  readonly kind: 'unary' | 'stream';
  readonly proposers: readonly string[];
  readonly log: string;
  /** This process among the client processes; it is in every value. */
  readonly worker: number;
  /** Connections, each with a client of its own. */
  readonly clients: number;
  /** Unary: proposals in flight, all clients together. Stream: streams, all clients together. */
  readonly lanes: number;
  readonly valueBytes: number;
  /** Ends by itself after so many proposals; 0: when it is told to. */
  readonly total: number;
}

export type ToWorker = { readonly kind: 'start'; readonly job: Job } | { readonly kind: 'measure' | 'stop' };

export interface Failure {
  readonly counter: number;
  readonly outcome: Outcome;
  readonly message: string;
}

export interface Done {
  readonly kind: 'done';
  readonly worker: number;
  /** Values were numbered from 0 to below this one; all but the failed ones were acknowledged. */
  readonly proposed: number;
  readonly failures: readonly Failure[];
  /** Acknowledged between measure and stop, and how long that was. */
  readonly measured: number;
  readonly measuredMs: number;
  readonly latency: HistogramState;
  readonly cpuSeconds: number;
}

export type FromWorker =
  | { readonly kind: 'started' }
  | { readonly kind: 'progress'; readonly acknowledged: number }
  | Done
  | { readonly kind: 'failed'; readonly message: string };

/** A value that says who proposed it and which of its values it is, so that a reader can look for each. */
export function makeValue(worker: number, counter: number, bytes: number): Buffer {
  const value = Buffer.alloc(bytes, 0x2e);
  value.writeUInt32LE(worker, 0);
  value.writeUIntLE(counter, 4, 6);
  return value;
}

/** The least size of a value. */
export const VALUE_BYTES_MIN = 10;

export function readValue(value: Uint8Array): { worker: number; counter: number } {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < VALUE_BYTES_MIN)
    throw new Error(`a value of ${String(bytes.length)} bytes is none of the benchmark's`);
  return { worker: bytes.readUInt32LE(0), counter: bytes.readUIntLE(4, 6) };
}
