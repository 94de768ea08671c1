/**
 * Many proposals into one log over one stream: they go out in batches that form by themselves, at most a window of them is on
 * its way, and a stream that breaks is opened again at another proposer, where what has no answer yet is sent again with its
 * numbers (R12). Values are chosen in the order of writing unless something had to be sent again.
 */
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { LIMITS } from '../base/limits.ts';
import { newId, realClock, realRandom } from '../platform/clock.ts';
import { Backoff } from '../platform/grpc/backoff.ts';
import type { Connection } from '../platform/grpc/connection.ts';
import { readPayload } from '../wire/codec/client.ts';
import { readBallot } from '../wire/codec/fields.ts';
import { Outcome } from '../wire/gen/synod/v1/common.ts';
import type { Header } from '../wire/gen/synod/v1/common.ts';
import { Protocol } from '../wire/gen/synod/v1/proposer.ts';
import type { ProposalsChosen, ProposalsRefused, ProposeStreamWelcome } from '../wire/gen/synod/v1/proposer.ts';
import { ProposerServiceService } from '../wire/gen/synod/v1/proposer_service.ts';
import type { ProposeStreamRequest, ProposeStreamResponse } from '../wire/gen/synod/v1/proposer_service.ts';
import { codeOf } from '../wire/status.ts';
import { ClientError, worthRetrying } from './errors.ts';
import { readTold } from './progress.ts';
import { asClientError } from './retry.ts';
import type { Routes } from './routes.ts';
import { proposalsOf } from './stream-messages.ts';
import type { ProposalId, Proposed, ProposeStreamOptions, StreamAnswer } from './types.ts';

export interface StreamSetup extends ProposeStreamOptions {
  readonly routes: Routes;
  readonly header: Header;
  readonly log: string;
  readonly attemptMs: number;
  /** How errors name `timeoutMs`. */
  readonly timeoutName: string;
  readonly failFast: boolean;
  readonly onClosed: () => void;
}

type Wire = ClientDuplexStream<ProposeStreamRequest, ProposeStreamResponse>;

type State =
  | { readonly kind: 'waiting'; readonly cancel: () => void }
  | { readonly kind: 'opening' | 'up'; readonly connection: Connection; readonly stream: Wire }
  | { readonly kind: 'closed'; readonly error: ClientError };

interface Promised {
  readonly resolve: (answer: Proposed) => void;
  readonly reject: (error: ClientError) => void;
}

/** How often a stream that says nothing is looked at. */
const WATCH_MS = 250;

export class ProposeStream {
  readonly #setup: StreamSetup;
  readonly #client = Buffer.from(newId(), 'hex');
  readonly #inFlightMax: number;
  readonly #backoff = new Backoff(10, 500, realRandom);
  /** What has no answer yet, by sequence modulo its length. */
  readonly #values: (Uint8Array | undefined)[] = new Array<Uint8Array | undefined>(LIMITS.sessionWindow).fill(
    undefined,
  );
  readonly #promised = new Map<number, Promised>();
  /** Numbers to send again on the present stream. */
  #again: number[] = [];
  #roomWaiters: (() => void)[] = [];
  #idleWaiters: Promised['reject'][] = [];
  #session: number | undefined;
  #window: number = LIMITS.sessionWindow;
  #next = 1;
  /** The greatest number sent, ever. */
  #sent = 0;
  #floor = 0;
  #unanswered = 0;
  #flushing = false;
  #full = false;
  #unreachable = 0;
  /** Why the stream broke the last time; empty while a proposer has it. */
  #trouble = '';
  #heardAt = realClock.now();
  #progressAt = realClock.now();
  #state: State;
  readonly #watch: NodeJS.Timeout;

  constructor(setup: StreamSetup) {
    this.#setup = setup;
    this.#inFlightMax = Math.max(1, Math.min(setup.inFlightMax ?? LIMITS.sessionWindow, LIMITS.sessionWindow));
    this.#state = this.#open();
    this.#watch = setInterval(() => {
      this.#look();
    }, WATCH_MS);
  }

  /** The id of a proposal by its number. Known once one was answered. */
  idOf(sequence: number): ProposalId {
    return { client: this.#client.toString('hex'), session: this.#session ?? 0, sequence };
  }

  /** Proposals written and not answered. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Resolves when a proposer has taken the stream and its session is open. */
  async opened(): Promise<void> {
    while (this.#session === undefined) {
      this.#hasRoom();
      await this.#room();
    }
  }

  /**
   * Writes values and resolves when all of them are on their way: wait for it before writing more (backpressure). Rejects when the
   * stream has ended; which of the values were chosen says `onAnswer`.
   */
  async write(values: readonly Uint8Array[]): Promise<void> {
    for (const value of values) {
      while (!this.#hasRoom()) await this.#room();
      this.#enqueue(value);
    }
  }

  /** Writes a value if there is room for it now. Throws when the stream has ended. */
  tryWrite(value: Uint8Array): boolean {
    if (!this.#hasRoom()) return false;
    this.#enqueue(value);
    return true;
  }

  /** Writes one value and resolves when it is chosen. Also waits for room. */
  async propose(value: Uint8Array): Promise<Proposed> {
    while (!this.#hasRoom()) await this.#room();
    return new Promise((resolve, reject) => {
      this.#promised.set(this.#enqueue(value), { resolve, reject });
    });
  }

  /** Resolves when everything that was written has its answer, then ends the stream. */
  async finish(): Promise<void> {
    if (this.#unanswered > 0)
      await new Promise<void>((resolve, reject) => {
        this.#idleWaiters.push((error) => {
          if (this.#unanswered === 0) resolve();
          else reject(error);
        });
      });
    this.close();
  }

  /** Ends the stream now; what has no answer is refused with CANCELLED, outcome unknown where it was sent. */
  close(): void {
    this.#end(new ClientError('CANCELLED', 'the stream was closed by its owner', 'none'));
  }

  #hasRoom(): boolean {
    if (this.#state.kind === 'closed') throw this.#state.error;
    return this.#next - this.#floor <= Math.min(this.#window, this.#inFlightMax);
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  #enqueue(value: Uint8Array): number {
    readPayload(value);
    const sequence = this.#next++;
    if (this.#unanswered === 0) this.#heardAt = this.#progressAt = realClock.now();
    this.#values[sequence % this.#values.length] = value;
    this.#unanswered++;
    this.#schedule();
    return sequence;
  }

  /** What is written in one turn goes out together. */
  #schedule(): void {
    if (this.#flushing || this.#full || this.#state.kind !== 'up') return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const watched = this.#setup.onProgress !== undefined;
    while (this.#state.kind === 'up' && !this.#full) {
      const retry = this.#again.length > 0;
      const numbers = retry ? this.#again : range(this.#sent + 1, Math.min(this.#next, this.#floor + this.#window + 1));
      const taken = proposalsOf(numbers, (sequence) => this.#valueOf(sequence), this.#floor, retry, watched);
      if (taken.count === 0) return;
      if (retry) this.#again = this.#again.slice(taken.count);
      else this.#sent += taken.count;
      if (taken.proposals === undefined) continue;
      this.#full = !this.#state.stream.write({ hello: undefined, proposals: [taken.proposals] });
    }
  }

  #valueOf(sequence: number): Uint8Array | undefined {
    return sequence > this.#floor ? this.#values[sequence % this.#values.length] : undefined;
  }

  #open(): State {
    const { routes, log, header } = this.#setup;
    const connection = routes.pick(log);
    const stream = connection.bidi(ProposerServiceService.proposeStream);
    const current = (): boolean =>
      (this.#state.kind === 'opening' || this.#state.kind === 'up') && this.#state.stream === stream;
    stream.on('data', (message: ProposeStreamResponse) => {
      if (current()) this.#onMessage(connection, stream, message);
    });
    stream.on('drain', () => {
      if (!current()) return;
      this.#full = false;
      this.#schedule();
    });
    stream.on('error', (error: ServiceError) => {
      if (current()) this.#onBroken(asClientError(connection.errorOf(error), connection.address));
    });
    stream.on('end', () => {
      // A status that is an error follows as an `error` event in the same turn.
      setImmediate(() => {
        if (current())
          this.#onBroken(
            new ClientError('UNAVAILABLE', `${connection.address} ended the stream`, 'unknown', {
              address: connection.address,
            }),
          );
      });
    });
    this.#full = false;
    this.#heardAt = realClock.now();
    const hello = { header, log, protocol: Protocol.PROTOCOL_MULTI, client: this.#client, session: this.#session };
    stream.write({ hello, proposals: [] });
    return { kind: 'opening', connection, stream };
  }

  #onMessage(connection: Connection, stream: Wire, message: ProposeStreamResponse): void {
    this.#heardAt = realClock.now();
    if (message.welcome !== undefined) this.#onWelcome(connection, stream, message.welcome);
    for (const each of message.progress) {
      const told = readTold(each);
      if (told !== undefined) this.#setup.onProgress?.(each.sequence, told);
    }
    for (const chosen of message.chosen) this.#onChosen(chosen);
    for (const refused of message.refused) this.#onRefused(refused);
    if (this.#state.kind === 'closed') return;
    this.#wake();
    this.#schedule();
  }

  #onWelcome(connection: Connection, stream: Wire, welcome: ProposeStreamWelcome): void {
    this.#session = welcome.session;
    this.#window = Math.min(welcome.window, LIMITS.sessionWindow);
    this.#backoff.reset();
    this.#unreachable = 0;
    this.#setup.routes.leads(this.#setup.log, welcome.leader);
    this.#state = { kind: 'up', connection, stream };
    // Everything that was sent on an earlier stream and has no answer goes out again, marked as a retry (R12).
    this.#again = range(this.#floor + 1, this.#sent + 1).filter((sequence) => this.#valueOf(sequence) !== undefined);
  }

  #onChosen({ firstSequence, count, firstSlot, ballot: wire, leader }: ProposalsChosen): void {
    const ballot = wire === undefined ? undefined : readBallot(wire, 'ballot');
    this.#eachRun(firstSequence, count, (from, length) => {
      const slot = firstSlot + from - firstSequence;
      this.#settle({ kind: 'chosen', firstSequence: from, count: length, firstSlot: slot, ballot, leader });
    });
  }

  #onRefused({ firstSequence, count, code, message, outcome: wireOutcome, leader }: ProposalsRefused): void {
    const outcome = wireOutcome === Outcome.OUTCOME_UNKNOWN ? 'unknown' : 'none';
    const address = this.#state.kind === 'up' ? this.#state.connection.address : '';
    const error = new ClientError(codeOf(code), message, outcome, { address, leader });
    if (!worthRetrying(error)) {
      this.#eachRun(firstSequence, count, (from, length) => {
        this.#settle({ kind: 'refused', firstSequence: from, count: length, error });
      });
      return;
    }
    // The same numbers may be sent again, whatever the outcome was; at another proposer where this one names the leader.
    if (leader !== '') {
      this.#setup.routes.failed(this.#setup.log, address, leader);
      this.#onBroken(error);
      return;
    }
    const numbers = range(firstSequence, firstSequence + count);
    realClock.after(this.#backoff.next(), () => {
      this.#again.push(...numbers.filter((sequence) => this.#valueOf(sequence) !== undefined));
      this.#schedule();
    });
  }

  /** Visits the runs of [first, first + count) that have no answer yet; the others were answered on an earlier stream. */
  #eachRun(first: number, count: number, visit: (from: number, length: number) => void): void {
    let from = first;
    const end = Math.min(first + count, this.#next);
    for (let at = first; at <= end; at++) {
      if (at < end && this.#valueOf(at) !== undefined) continue;
      if (at > from) visit(from, at - from);
      from = at + 1;
    }
  }

  /** Gives an answer to proposals that have none. */
  #settle(answer: StreamAnswer): void {
    this.#progressAt = this.#heardAt;
    const end = answer.firstSequence + answer.count;
    for (let sequence = answer.firstSequence; sequence < end; sequence++) {
      this.#values[sequence % this.#values.length] = undefined;
      this.#unanswered--;
      const promised = this.#promised.get(sequence);
      if (promised === undefined) continue;
      this.#promised.delete(sequence);
      if (answer.kind === 'refused') promised.reject(answer.error);
      else {
        const { ballot, leader, firstSlot, firstSequence } = answer;
        const slot = firstSlot + sequence - firstSequence;
        promised.resolve({ log: this.#setup.log, id: this.idOf(sequence), slot, ballot, leader });
      }
    }
    while (this.#floor + 1 < this.#next && this.#values[(this.#floor + 1) % this.#values.length] === undefined)
      this.#floor++;
    this.#setup.onAnswer?.(answer);
  }

  #wake(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const resolve of waiters) resolve();
    if (this.#unanswered > 0) return;
    const idle = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const settle of idle) settle(new ClientError('CANCELLED', 'the stream ended', 'none'));
  }

  #onBroken(error: ClientError): void {
    if (this.#state.kind !== 'opening' && this.#state.kind !== 'up') return;
    this.#state.stream.cancel();
    this.#trouble = error.message;
    const { routes, log, failFast } = this.#setup;
    this.#unreachable = error.unreachable ? this.#unreachable + 1 : 0;
    if (!worthRetrying(error) || (failFast && this.#unreachable >= routes.size)) return this.#end(error);
    routes.failed(log, this.#state.connection.address, error.leader);
    const cancel = realClock.after(error.leader === undefined ? this.#backoff.next() : 0, () => {
      this.#state = this.#open();
    });
    this.#state = { kind: 'waiting', cancel };
  }

  /** A stream that answers nothing, or that nobody takes, is given up in the end. */
  #look(): void {
    if (this.#unanswered === 0 && this.#session !== undefined) return;
    const now = realClock.now();
    const timeoutMs = this.#setup.timeoutMs ?? 30_000;
    if (now - this.#progressAt > timeoutMs) {
      const last = this.#trouble === '' ? '' : `; last: ${this.#trouble}`;
      const text = `no proposal was answered within ${String(timeoutMs)} ms (${this.#setup.timeoutName})${last}`;
      this.#end(new ClientError('DEADLINE_EXCEEDED', text, 'none'));
    } else if (
      (this.#state.kind === 'up' || this.#state.kind === 'opening') &&
      now - this.#heardAt > this.#setup.attemptMs
    ) {
      const { address } = this.#state.connection;
      const text = `${address} answered nothing within ${String(this.#setup.attemptMs)} ms`;
      this.#onBroken(new ClientError('DEADLINE_EXCEEDED', text, 'unknown', { address }));
    }
  }

  /** Ends for good: what has no answer is refused, with outcome none only where it was never sent. */
  #end(error: ClientError): void {
    if (this.#state.kind === 'closed') return;
    clearInterval(this.#watch);
    const state = this.#state;
    this.#state = { kind: 'closed', error };
    if (state.kind === 'waiting') state.cancel();
    else if (this.#unanswered === 0) state.stream.end();
    else state.stream.cancel();
    for (const [first, end, outcome] of [
      [this.#floor + 1, this.#sent + 1, 'unknown'],
      [this.#sent + 1, this.#next, 'none'],
    ] as const) {
      const refusal = error.withOutcome(outcome);
      this.#eachRun(first, end - first, (from, count) => {
        this.#settle({ kind: 'refused', firstSequence: from, count, error: refusal });
      });
    }
    this.#wake();
    this.#setup.onClosed();
  }
}

function range(from: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - from) }, (_, at) => from + at);
}
