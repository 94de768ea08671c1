/**
 * A bidirectional stream to a peer that is opened again whenever it breaks, for as long as it is wanted.
 *
 * A stream is *up* when the peer's headers, or a message, came back: only then does somebody listen. A stream that was up and
 * breaks is tried again at once, and then with growing waits. What was written to a broken stream is lost or not, which the
 * protocol allows for; nothing is sent again here.
 */
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { SynodError } from '../../base/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import { realClock, realRandom } from '../clock.ts';
import { Backoff } from './backoff.ts';
import type { Connection } from './connection.ts';
import type { Method } from './methods.ts';
import { StreamWriter } from './stream-writer.ts';
import type { StreamWriterOptions } from './stream-writer.ts';

export interface PersistentStreamOptions<Message, Req, Res> extends Omit<
  StreamWriterOptions<Message, Req>,
  'onOverflow'
> {
  readonly connection: Connection;
  readonly method: Method<Req, Res>;
  /** The first frame of every opening. */
  readonly hello: () => Req;
  readonly onUp: () => void;
  /**
   * The stream broke or could not be opened; called for every failed try. `refused` says that the peer's machine answered that
   * nobody listens there, which is proof that the process is gone; anything else may be the network.
   */
  readonly onDown: (reason: SynodError, refused: boolean) => void;
  /** A message came. Copy what is kept for long: raw bytes are views of larger frames. */
  readonly onMessage: (message: Res) => void;
  /** The queue is full: the stream is closed and opened again, because a peer that is this far behind must be told anew. */
  readonly onOverflow?: (queuedBytes: number) => void;
  /** Waits between tries, in milliseconds. Default 20 to 1,000. */
  readonly retryMsMin?: number;
  readonly retryMsMax?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

type State<Message, Req, Res> =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'waiting'; readonly cancel: () => void }
  | {
      readonly kind: 'opening' | 'up';
      readonly stream: ClientDuplexStream<Req, Res>;
      readonly writer: StreamWriter<Message, Req>;
      readonly since: number;
    };

/** A stream that was up for this long before it broke was a good one: the next try waits for nothing. */
const GOOD_MS = 500;
/** The name of a peer that could not be reached is looked up anew, this often at most; a try waits no longer than that. */
const RENEW_MS = 2_500;

export class PersistentStream<Message, Req, Res> {
  readonly #options: PersistentStreamOptions<Message, Req, Res>;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #state: State<Message, Req, Res> = { kind: 'stopped' };
  #renewedAt: number;
  #cancelWait = (): void => undefined;

  constructor(options: PersistentStreamOptions<Message, Req, Res>) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#backoff = new Backoff(options.retryMsMin ?? 20, options.retryMsMax ?? 1_000, options.random ?? realRandom);
    this.#renewedAt = this.#clock.now();
  }

  get up(): boolean {
    return this.#state.kind === 'up';
  }

  /** Bytes that wait or are on their way to the peer. */
  get queuedBytes(): number {
    return this.#state.kind === 'up' ? this.#state.writer.queuedBytes : 0;
  }

  start(): void {
    if (this.#state.kind === 'stopped') this.#open();
  }

  /** Sends a message. False, and nothing is sent, while the stream is not up or its queue is full. */
  send(message: Message): boolean {
    return this.#state.kind === 'up' && this.#state.writer.write(message);
  }

  /** Tries now what would otherwise wait. */
  retryNow(): void {
    if (this.#state.kind !== 'waiting') return;
    this.#state.cancel();
    this.#open();
  }

  /** Somebody else answers there: closes, and begins anew after a while, at whatever host the name stands for by then. */
  startElsewhere(afterMs: number): void {
    const state = this.#state;
    if (state.kind === 'stopped' || state.kind === 'waiting') return;
    this.#cancelWait();
    const cancel = this.#clock.after(afterMs, () => {
      this.#options.connection.renew();
      this.#open();
    });
    this.#state = { kind: 'waiting', cancel };
    state.writer.close();
    state.stream.cancel();
  }

  /** Sends what waits, ends the stream and opens no other. `onDown` is not called. */
  close(): void {
    this.#cancelWait();
    const state = this.#state;
    this.#state = { kind: 'stopped' };
    if (state.kind === 'waiting') state.cancel();
    if (state.kind === 'up') {
      state.writer.end();
      // A peer that does not end its side is not waited for.
      const cancel = this.#clock.after(GOOD_MS, () => {
        state.stream.cancel();
      });
      state.stream.once('status', cancel);
    }
    if (state.kind === 'opening') state.stream.cancel();
  }

  #open(): void {
    const { connection, method } = this.#options;
    const stream = connection.bidi(method);
    const writer = new StreamWriter<Message, Req>(stream, {
      ...this.#options,
      onOverflow: (queued) => {
        this.#options.onOverflow?.(queued);
        stream.cancel();
      },
    });
    this.#state = { kind: 'opening', stream, writer, since: this.#clock.now() };
    // Events of a stream that was replaced or stopped are dropped: they say nothing about the present one.
    const current = (): boolean =>
      (this.#state.kind === 'opening' || this.#state.kind === 'up') && this.#state.stream === stream;
    stream.on('metadata', () => {
      if (current()) this.#onAlive(stream, writer);
    });
    stream.on('data', (message: Res) => {
      if (!current()) return;
      this.#onAlive(stream, writer);
      this.#options.onMessage(message);
    });
    stream.on('error', (error: ServiceError) => {
      writer.close();
      if (current()) this.#onBroken(connection.errorOf(error), error.details.includes('ECONNREFUSED'));
    });
    stream.on('end', () => {
      writer.close();
      // A status that is an error follows as an `error` event in the same turn; only a peaceful end is reported from here.
      setImmediate(() => {
        if (current()) this.#onBroken(new SynodError('UNAVAILABLE', `${connection.address} ended the stream`), false);
      });
    });
    stream.write(this.#options.hello());
    if (connection.isNamed) this.#limitWait(stream, current);
  }

  /** A host that is gone may take the try and never answer it. */
  #limitWait(stream: ClientDuplexStream<Req, Res>, current: () => boolean): void {
    this.#cancelWait();
    this.#cancelWait = this.#clock.after(RENEW_MS, () => {
      if (!current() || this.#state.kind !== 'opening') return;
      const { address } = this.#options.connection;
      this.#state.writer.close();
      this.#onBroken(new SynodError('UNAVAILABLE', `${address} did not answer within ${String(RENEW_MS)} ms`), false);
      stream.cancel();
    });
  }

  #onAlive(stream: ClientDuplexStream<Req, Res>, writer: StreamWriter<Message, Req>): void {
    if (this.#state.kind === 'up') return;
    this.#state = { kind: 'up', stream, writer, since: this.#clock.now() };
    this.#options.onUp();
  }

  #onBroken(reason: SynodError, refused: boolean): void {
    const good = this.#state.kind === 'up' && this.#clock.now() - this.#state.since >= GOOD_MS;
    if (good) this.#backoff.reset();
    else if (this.#clock.now() - this.#renewedAt >= RENEW_MS) {
      this.#renewedAt = this.#clock.now();
      this.#options.connection.renew();
    }
    // A good stream that broke is tried again at once, so that a peer that is gone is known to be gone (DESIGN 6). One that a
    // peer takes and refuses right away, because of another configuration for example, is tried ever more rarely.
    const waitMs = good ? 0 : this.#backoff.next();
    const cancel = this.#clock.after(waitMs, () => {
      this.#open();
    });
    this.#state = { kind: 'waiting', cancel };
    this.#options.onDown(reason, refused);
  }
}
