/**
 * Copying from another learner. Near its end a log comes as chosen batches, which the machine takes as if they had been voted
 * for; from far away as a snapshot, of which nothing can be seen before its digest was found right.
 */
import { createHash } from 'node:crypto';
import type { ServerWritableStream, ServiceError } from '@grpc/grpc-js';
import { bytesEqual } from '../../shared/base/batch.ts';
import type { Batch } from '../../shared/base/batch.ts';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import type { LearnerStore, SnapshotHeader, SnapshotImport } from '../../shared/ports/learner-store.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { readBallot, readBatch, writeBallot } from '../../shared/wire/codec/fields.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import type { CatchUpBatch, CatchUpEnd, CatchUpHeader } from '../../shared/wire/gen/synod/v1/learner.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { CatchUpRequest, CatchUpResponse } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { Applier } from './applier.ts';
import { writeTo } from './streaming.ts';
import type { Waiting } from './waiting.ts';

/** More slots than this come as a snapshot. */
const NEAR_SLOTS = 10_000;
/** Chosen batches are handed to the machine up to so far above what is applied; its window is twice that. */
const AHEAD_SLOTS = 10_000;
const RUNNING_MAX = 4;
const SERVED_MAX = 8;
const STALL_MS = 30_000;
const PART_BYTES = 1024 * 1024;

export interface CatchUpsOptions {
  readonly peers: readonly { readonly id: number; readonly connection: Connection }[];
  /** False for a learner that is not heard: it is asked last. */
  readonly isUp: (learner: number) => boolean;
  readonly header: Header;
  readonly store: LearnerStore;
  readonly applier: Applier;
  readonly waiting: Waiting;
  readonly log: Log;
  readonly onDone: (outcome: 'chosen' | 'snapshot' | 'failed') => void;
}

/** The asking side. */
export class CatchUps {
  readonly #options: CatchUpsOptions;
  readonly #running = new Map<string, AbortController>();
  #at = 0;
  #stopped = false;

  constructor(options: CatchUpsOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Copies a log from its next slot on, unless that is under way. The machine asks again while it is behind. */
  ask(log: string): void {
    if (this.#stopped || this.#running.has(log) || this.#running.size >= RUNNING_MAX) return;
    const peer = this.#pick();
    if (peer === undefined) return;
    const abort = new AbortController();
    this.#running.set(log, abort);
    this.#copy(log, peer.connection, abort.signal).then(
      (outcome) => {
        this.#running.delete(log);
        this.#options.onDone(outcome);
      },
      (error: unknown) => {
        this.#running.delete(log);
        this.#options.onDone('failed');
        this.#options.log.warn(
          { log, learner: peer.id, error: messageOf(error) },
          'a log could not be copied from another learner',
        );
      },
    );
  }

  stop(): void {
    this.#stopped = true;
    for (const abort of this.#running.values()) abort.abort();
  }

  /** Another one each time. */
  #pick(): { readonly id: number; readonly connection: Connection } | undefined {
    const { peers, isUp } = this.#options;
    const up = peers.filter((peer) => isUp(peer.id));
    const among = up.length > 0 ? up : peers;
    return among[this.#at++ % among.length];
  }

  async #copy(log: string, from: Connection, signal: AbortSignal): Promise<'chosen' | 'snapshot'> {
    const { store, header, applier } = this.#options;
    const next = store.progress(log)?.next ?? 0;
    const stream = from.serverStream(LearnerServiceService.catchUp, {
      header: writeHeader(header),
      log,
      from: next,
      to: undefined,
    });
    const cancel = (): void => {
      stream.cancel();
    };
    signal.addEventListener('abort', cancel, { once: true });
    const parts = new Parts(stream[Symbol.asyncIterator]() as AsyncIterator<CatchUpResponse>, from);
    try {
      const head = await parts.header(log, next);
      if (!head.snapshot) {
        await this.#takeChosen(log, parts);
        return 'chosen';
      }
      await applier.exclusively(log, () => this.#takeSnapshot(log, head, parts));
      return 'snapshot';
    } finally {
      signal.removeEventListener('abort', cancel);
      stream.cancel();
    }
  }

  async #takeChosen(log: string, parts: Parts): Promise<void> {
    const { applier, waiting, store } = this.#options;
    for (let part = await parts.next(); part !== undefined; part = await parts.next()) {
      const { first, batch, ballot } = readChosen(part);
      const applied = store.progress(log)?.visible ?? 0;
      // The machine takes nothing beyond its window: it is given time to apply what it has.
      if (first > applied + AHEAD_SLOTS && !(await waiting.until(log, first - AHEAD_SLOTS, STALL_MS, false)))
        throw new SynodError(
          'ABORTED',
          `slots below ${String(first - AHEAD_SLOTS)} were not applied within ${String(STALL_MS)} ms`,
        );
      applier.post({ kind: 'chosen', log, first, batch, ballot });
    }
  }

  async #takeSnapshot(log: string, head: CatchUpHeader, parts: Parts): Promise<void> {
    const { store } = this.#options;
    const next = store.progress(log)?.next ?? 0;
    if (next !== head.from) throw new SynodError('ABORTED', `log "${log}" went on to slot ${String(next)} meanwhile`);
    // The digest is the last that comes, and is put in here then; the store looks at it only at the end.
    const digest = new Uint8Array(32);
    const header: SnapshotHeader = { log, from: head.from, upTo: head.to, digest };
    const taken = await store.importSnapshot(header);
    try {
      await this.#fill(log, taken, parts, head);
      digest.set(parts.end().digest);
    } catch (error) {
      await taken.abort();
      throw error;
    }
    await taken.finish();
  }

  async #fill(log: string, taken: SnapshotImport, parts: Parts, head: CatchUpHeader): Promise<void> {
    let at = head.from;
    for (let part = await parts.next(); part !== undefined; part = await parts.next()) {
      const { first, batch, ballot } = readChosen(part);
      await taken.add([{ log, first, batch, ballot }]);
      at = first + batch.count;
    }
    if (at !== head.to)
      throw new SynodError(
        'DATA_LOSS',
        `the snapshot of log "${log}" ended at slot ${String(at)}, not ${String(head.to)}`,
      );
  }
}

function readChosen(part: CatchUpBatch): { first: number; batch: Batch; ballot: ReturnType<typeof readBallot> } {
  const batch = readBatch(part.first, part.count, part.values, 'batch');
  return { first: part.first, batch, ballot: readBallot(part.ballot, 'batch.ballot') };
}

/** The parts of an answer in their order: header, batches, end; the sum over all batches must be right. */
class Parts {
  readonly #stream: AsyncIterator<CatchUpResponse>;
  readonly #from: Connection;
  readonly #sum = createHash('sha256');
  #end: CatchUpEnd | undefined = undefined;

  constructor(stream: AsyncIterator<CatchUpResponse>, from: Connection) {
    this.#stream = stream;
    this.#from = from;
  }

  async header(log: string, from: number): Promise<CatchUpHeader> {
    const part = await this.#read();
    if (part?.$case !== 'header') throw this.#fault('did not begin with a header');
    const { value } = part;
    if (value.log !== log || value.from !== from || value.to < from)
      throw this.#fault(`is about slots ${String(value.from)} to ${String(value.to)} of log "${value.log}"`);
    if (value.sessionsBytes > 0) throw this.#fault('has a session table, which this version makes from the batches');
    return value;
  }

  /** The next batch, undefined after the last. */
  async next(): Promise<CatchUpBatch | undefined> {
    const part = await this.#read();
    if (part?.$case === 'batch') {
      this.#sum.update(part.value.values);
      return part.value;
    }
    if (part?.$case !== 'end') throw this.#fault('broke off');
    this.#end = part.value;
    if (!bytesEqual(this.#sum.digest(), part.value.sum)) throw this.#fault('does not have the sum that it says');
    return undefined;
  }

  end(): CatchUpEnd {
    if (this.#end?.digest.length !== 32) throw this.#fault('has no digest of 32 bytes at its end');
    return this.#end;
  }

  async #read(): Promise<NonNullable<CatchUpResponse['part']> | undefined> {
    try {
      const next = await this.#stream.next();
      return next.done === true ? undefined : next.value.part;
    } catch (error) {
      throw isServiceError(error) ? this.#from.errorOf(error) : error;
    }
  }

  #fault(what: string): SynodError {
    return new SynodError('DATA_LOSS', `the copy from ${this.#from.address} ${what}`);
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'details' in error && 'metadata' in error;
}

// ── the answering side ───────────────────────────────────────────────────────────────────────────────────────────────

export class CatchUpServer {
  readonly #store: LearnerStore;
  #served = 0;

  constructor(store: LearnerStore) {
    this.#store = store;
  }

  get served(): number {
    return this.#served;
  }

  async serve(request: CatchUpRequest, stream: ServerWritableStream<unknown, CatchUpResponse>): Promise<void> {
    if (this.#served >= SERVED_MAX)
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(this.#served)} learners are being copied to here; the limit is ${String(SERVED_MAX)}`,
      );
    this.#served++;
    try {
      await this.#send(request, stream);
      stream.end();
    } finally {
      this.#served--;
    }
  }

  async #send(
    { log, from, to }: CatchUpRequest,
    stream: ServerWritableStream<unknown, CatchUpResponse>,
  ): Promise<void> {
    const header = await this.#store.snapshot(log, from);
    const end = Math.min(header.upTo, to ?? header.upTo);
    // A snapshot ends where its digest was taken.
    const snapshot = end === header.upTo && end - from > NEAR_SLOTS;
    const sum = createHash('sha256');
    await writeTo(stream, { part: { $case: 'header', value: { log, from, to: end, snapshot, sessionsBytes: 0 } } });
    for (let at = from; at < end;) {
      const batches = this.#store.readBatches(log, at, end, PART_BYTES);
      for (const { first, batch, ballot } of batches) {
        sum.update(batch.bytes);
        const value = { first, count: batch.count, values: batch.bytes, ballot: writeBallot(ballot) };
        if (!(await writeTo(stream, { part: { $case: 'batch', value } }))) return;
        at = first + batch.count;
      }
      if (batches.length === 0)
        throw new SynodError('INTERNAL', `slot ${String(at)} of log "${log}" cannot be read here`);
    }
    const digest = end === header.upTo ? header.digest : new Uint8Array(0);
    await writeTo(stream, { part: { $case: 'end', value: { sum: sum.digest(), digest } } });
  }
}
