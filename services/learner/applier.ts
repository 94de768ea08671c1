/**
 * The learner's machine over its store. What the machine hands over as chosen waits in a queue; all that has gathered is applied
 * in one transaction while the next gathers. The queue is bounded in bytes: votes that come while it is full are dropped but for
 * the slots they name, which are fetched when their turn comes (R14).
 */
import { messageOf } from '../../shared/base/errors.ts';
import { Fifo } from '../../shared/base/fifo.ts';
import type { Learner, LearnerEffect, LearnerEvent } from '../../shared/paxos/learner.ts';
import type { Fetch, ToLearner } from '../../shared/paxos/messages.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import type { Clock, Random } from '../../shared/ports/clock.ts';
import type { ChosenBatch, LearnerStore } from '../../shared/ports/learner-store.ts';
import { Inbox } from '../../shared/runtime/inbox.ts';
import { traced } from '../../shared/runtime/trace/role-trace.ts';
import type { LearnerTrace } from '../../shared/runtime/trace/learner-trace.ts';

export interface ApplierOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** A transaction begins this long after the last one began, unless somebody waits or much has gathered (`apply.interval`). */
  readonly intervalMs: number;
  readonly isWaited: () => boolean;
  /** Bytes of values that wait (`apply.queue.max`). */
  readonly queueBytesMax: number;
  readonly fetch: (to: number, message: Fetch) => void;
  readonly catchUp: (log: string, from: number) => void;
  readonly finish: (log: string, from: number, to: number) => void;
  readonly note: (note: Note) => void;
  /** Told of all that happens, while somebody follows it. Default: nobody does. */
  readonly trace?: LearnerTrace;
  /** All slots below `next` can be read. */
  readonly onApplied: (log: string, next: number) => void;
  /** A transaction is through. */
  readonly onTransaction: (slots: number, ms: number) => void;
  readonly onFatal: (error: unknown) => void;
}

/** Bytes and batches of one transaction, so that none takes long. */
const TRANSACTION_BYTES = 8 * 1024 * 1024;
const TRANSACTION_BATCHES = 2_000;

/**
 * Every transaction syncs the store's file, and a sync of a growing file holds up those of the acceptors on the same disk: a
 * transaction a proposal made a proposal take three times as long. So what is little and not waited for gathers for a moment.
 */
const GATHERED_BYTES = 64 * 1024;

export class Applier {
  readonly #machine: Learner;
  readonly #store: LearnerStore;
  readonly #options: ApplierOptions;
  readonly #inbox: Inbox<LearnerEvent, LearnerEffect>;
  readonly #queue = new Fifo<ChosenBatch>();
  #queuedBytes = 0;
  #dropped = 0;
  #applying = false;
  #beganAt = -Infinity;
  #cancelWait: (() => void) | undefined;
  #stopped = false;
  /** Batches ever queued, and ever applied. */
  #queued = 0;
  #applied = 0;
  /** Who waits until so many are applied. */
  readonly #settling = new Set<{ readonly target: number; readonly resolve: () => void }>();
  /** Logs that a snapshot is taken into: what is chosen of them meanwhile waits here. */
  readonly #parked = new Map<string, ChosenBatch[]>();

  constructor(machine: Learner, store: LearnerStore, options: ApplierOptions) {
    this.#machine = machine;
    this.#store = store;
    this.#options = options;
    this.#inbox = new Inbox(
      options.trace === undefined ? machine : traced(machine, options.trace),
      {
        now: () => options.clock.now(),
        random: () => options.random.next(),
        soon: (callback) => setImmediate(callback),
        onFatal: options.onFatal,
      },
      (effect) => {
        this.#perform(effect);
      },
      () => {
        this.#apply();
      },
    );
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Votes that did not fit into the queue, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  get isFull(): boolean {
    return this.#queuedBytes >= this.#options.queueBytesMax;
  }

  post(event: LearnerEvent): void {
    this.#inbox.post(event);
  }

  /** A message of the acceptor at this position of the configuration. */
  heard(from: number, message: ToLearner): void {
    if (message.kind !== 'votes' || !this.isFull) {
      this.#inbox.post({ kind: 'acceptor', from, message });
      return;
    }
    // R14: the values stay at the acceptors; that they are there is remembered.
    this.#dropped++;
    const highest = message.first + message.count - 1;
    const { log, watermark } = message;
    this.#inbox.post({ kind: 'acceptor', from, message: { kind: 'head', log, highest, watermark, floor: 0 } });
  }

  /** Call often: time passes. While the queue is full, nothing more is asked for. */
  tick(): void {
    if (this.#machine.behind > 0 && !this.isFull) this.#inbox.post({ kind: 'tick' });
  }

  /**
   * Runs `work`, which takes a snapshot into a log, while nothing else is applied to that log. What the machine hands over
   * meanwhile is applied afterwards, as far as the snapshot did not bring it.
   */
  async exclusively(log: string, work: () => Promise<void>): Promise<void> {
    this.#parked.set(log, []);
    try {
      await this.#settled();
      await work();
    } finally {
      this.#unpark(log);
    }
  }

  /** Handles nothing more; resolves when what is being applied is. */
  async stop(): Promise<void> {
    this.#inbox.stop();
    await this.#settled();
    this.#stopped = true;
    this.#cancelWait?.();
  }

  #perform(effect: LearnerEffect): void {
    switch (effect.kind) {
      case 'chosen':
        return this.#enqueue(effect);
      case 'fetch':
        return this.#options.fetch(effect.to, effect.message);
      case 'catch-up':
        return this.#options.catchUp(effect.log, effect.from);
      case 'finish':
        return this.#options.finish(effect.log, effect.from, effect.to);
      case 'note':
        return this.#options.note(effect.note);
    }
  }

  #enqueue({ log, first, batch, ballot }: ChosenBatch): void {
    const parked = this.#parked.get(log);
    if (parked !== undefined) {
      parked.push({ log, first, batch, ballot });
      return;
    }
    this.#queue.push({ log, first, batch, ballot });
    this.#queued++;
    this.#queuedBytes += batch.bytes.length;
  }

  /** Somebody waits for what is queued: it gathers no longer. */
  hurry(): void {
    this.#apply();
  }

  #apply(): void {
    if (this.#applying || this.#stopped || this.#queue.length === 0) return;
    const { clock, intervalMs, isWaited } = this.#options;
    const early = this.#beganAt + intervalMs - clock.now();
    if (early > 0 && this.#queuedBytes < GATHERED_BYTES && this.#settling.size === 0 && !isWaited()) {
      this.#cancelWait ??= clock.after(early, () => {
        this.#cancelWait = undefined;
        this.#apply();
      });
      return;
    }
    this.#cancelWait?.();
    this.#cancelWait = undefined;
    this.#applying = true;
    this.#applyAll().then(
      () => {
        this.#applying = false;
        // What came between the last look and now.
        this.#apply();
      },
      (error: unknown) => {
        this.#options.onFatal(error);
      },
    );
  }

  async #applyAll(): Promise<void> {
    const batches = this.#take();
    if (batches.length > 0) {
      const began = this.#options.clock.now();
      this.#beganAt = began;
      await this.#store.apply(batches);
      let slots = 0;
      const logs = new Set<string>();
      for (const { log, batch } of batches) {
        slots += batch.count;
        this.#queuedBytes -= batch.bytes.length;
        logs.add(log);
      }
      this.#applied += batches.length;
      this.#options.onTransaction(slots, this.#options.clock.now() - began);
      for (const log of logs) this.#tellApplied(log);
      this.#wakeSettled();
    }
  }

  #take(): ChosenBatch[] {
    const out: ChosenBatch[] = [];
    let bytes = 0;
    while (out.length < TRANSACTION_BATCHES && bytes < TRANSACTION_BYTES) {
      const batch = this.#queue.shift();
      if (batch === undefined) break;
      out.push(batch);
      bytes += batch.batch.bytes.length;
    }
    return out;
  }

  #tellApplied(log: string): void {
    const progress = this.#store.progress(log);
    if (progress === undefined) return;
    this.#inbox.post({ kind: 'applied', log, next: progress.visible });
    this.#options.onApplied(log, progress.visible);
  }

  #unpark(log: string): void {
    const next = this.#store.progress(log)?.next ?? 0;
    try {
      // Handled before anything else can be: from now on the machine hands over what follows `next`.
      if (next > 0) this.#inbox.handleNow({ kind: 'applied', log, next });
    } catch (error) {
      this.#options.onFatal(new Error(`after a snapshot of log "${log}": ${messageOf(error)}`, { cause: error }));
    }
    const parked = this.#parked.get(log) ?? [];
    this.#parked.delete(log);
    for (const { first, batch, ballot } of parked) {
      const skip = Math.max(0, next - first);
      if (skip >= batch.count) continue;
      this.#enqueue({ log, first: first + skip, batch: batch.slice(skip, batch.count), ballot });
    }
    if (next > 0) this.#options.onApplied(log, next);
    this.#apply();
  }

  /** Resolves when everything that is queued now is applied. */
  #settled(): Promise<void> {
    if (this.#applied >= this.#queued) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settling.add({ target: this.#queued, resolve });
      this.#apply();
    });
  }

  #wakeSettled(): void {
    for (const each of this.#settling) {
      if (each.target > this.#applied) continue;
      this.#settling.delete(each);
      each.resolve();
    }
  }
}
