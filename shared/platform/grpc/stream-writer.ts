/**
 * Writes messages to a stream, through a queue whose bytes are bounded (R14).
 *
 * Messages of one turn of the event loop, and those that gather while the stream is busy, go out together in one frame: batches
 * form by themselves, without a timer. What does not fit in the queue is not sent, and the owner is told, who then closes the
 * stream or drops what the protocol allows to be lost. Writing never holds up reading.
 */
export interface WritableFrames<Frame> {
  write(frame: Frame, callback: (error?: Error | null) => void): boolean;
  end(): void;
}

export interface StreamWriterOptions<Message, Frame> {
  /** Makes one frame of several messages, in their order. */
  readonly frame: (messages: readonly Message[]) => Frame;
  /** Bytes of one message, roughly: what it costs to keep. */
  readonly bytesOf: (message: Message) => number;
  /** Bytes that may wait or be on their way. A single message of any size is always taken when nothing else waits. */
  readonly queueBytesMax: number;
  /** Bytes that go into one frame before the next begins. Default 1 MiB; one message of any size fits. */
  readonly frameBytesMax?: number;
  /** Bytes given to the transport that it has not taken yet, before messages wait here. Default 512 KiB. */
  readonly windowBytes?: number;
  /** Called, at most once until the queue has drained, when a message did not fit. */
  readonly onOverflow: (queuedBytes: number) => void;
  /** Called when nothing waits and nothing is on its way any more. */
  readonly onDrained?: () => void;
}

export class StreamWriter<Message, Frame> {
  readonly #stream: WritableFrames<Frame>;
  readonly #options: StreamWriterOptions<Message, Frame>;
  readonly #frameBytesMax: number;
  readonly #windowBytes: number;
  #waiting: Message[] = [];
  /** Where the queue begins in `#waiting`; taken messages are cut off together, not one by one. */
  #head = 0;
  #waitingBytes = 0;
  #sentBytes = 0;
  #scheduled = false;
  #overflowing = false;
  #state: 'open' | 'ending' | 'closed' = 'open';

  constructor(stream: WritableFrames<Frame>, options: StreamWriterOptions<Message, Frame>) {
    this.#stream = stream;
    this.#options = options;
    this.#frameBytesMax = options.frameBytesMax ?? 1024 * 1024;
    this.#windowBytes = options.windowBytes ?? 512 * 1024;
  }

  /** Bytes that wait or are on their way. */
  get queuedBytes(): number {
    return this.#waitingBytes + this.#sentBytes;
  }

  /** Queues a message. False when it was not taken: the queue is full, or the writer has ended. */
  write(message: Message): boolean {
    if (this.#state !== 'open') return false;
    const bytes = this.#options.bytesOf(message);
    const queued = this.queuedBytes;
    if (queued > 0 && queued + bytes > this.#options.queueBytesMax) {
      if (!this.#overflowing) {
        this.#overflowing = true;
        this.#options.onOverflow(queued);
      }
      return false;
    }
    this.#waiting.push(message);
    this.#waitingBytes += bytes;
    this.#schedule();
    return true;
  }

  /** Sends what waits, then ends the stream. */
  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#flush();
  }

  /** Forgets what waits: the stream is gone. */
  close(): void {
    this.#state = 'closed';
    this.#waiting = [];
    this.#head = 0;
    this.#waitingBytes = 0;
    this.#sentBytes = 0;
  }

  #schedule(): void {
    // While the transport is full, its callback flushes; there is nothing to do before.
    if (this.#scheduled || this.#sentBytes >= this.#windowBytes) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#state !== 'closed' && this.#head < this.#waiting.length && this.#sentBytes < this.#windowBytes) {
      const { messages, bytes } = this.#take();
      this.#waitingBytes -= bytes;
      this.#sentBytes += bytes;
      this.#stream.write(this.#options.frame(messages), () => {
        this.#onWritten(bytes);
      });
    }
    if (this.#state === 'ending' && this.#head === this.#waiting.length) {
      this.#state = 'closed';
      this.#stream.end();
    }
  }

  /** Takes messages for one frame. */
  #take(): { messages: Message[]; bytes: number } {
    let bytes = 0;
    let end = this.#head;
    for (; end < this.#waiting.length; end++) {
      const more = this.#options.bytesOf(this.#waiting[end] as Message);
      if (end > this.#head && bytes + more > this.#frameBytesMax) break;
      bytes += more;
    }
    const messages = this.#waiting.slice(this.#head, end);
    this.#head = end;
    if (this.#head === this.#waiting.length) {
      this.#waiting = [];
      this.#head = 0;
    } else if (this.#head > 1_024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return { messages, bytes };
  }

  /** The transport took a frame, or failed with it; a failed stream closes, and its owner hears of that from the stream. */
  #onWritten(bytes: number): void {
    if (this.#state === 'closed') return;
    this.#sentBytes -= bytes;
    this.#flush();
    if (this.queuedBytes === 0) {
      this.#overflowing = false;
      this.#options.onDrained?.();
    }
  }
}
