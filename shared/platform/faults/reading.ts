/**
 * Who reads a call, and when the network below is asked for its next message: one at a time.
 *
 * A reader that gets several messages at once, because they were held, asks once for what comes after all of them. So it is not counted how
 * often it asks, only whether the network has been asked and has not answered yet.
 */
export class Reading {
  readonly #ask: () => void;
  #asked = false;

  /** `ask` makes the network give its next message. */
  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** The reader, or one who reads on while messages are held, wants the next message. */
  want(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#ask();
  }

  /** The network gave a message. */
  got(): void {
    this.#asked = false;
  }
}
