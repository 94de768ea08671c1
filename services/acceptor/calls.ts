/** Unary calls that wait for their answer from the machine. One sweep keeps their deadlines: there is no timer for each. */
import { SynodError } from '../../shared/base/errors.ts';
import type { AcceptorEvent } from '../../shared/paxos/acceptor.ts';
import type { Fetched, FromAcceptor } from '../../shared/paxos/messages.ts';
import type { Clock } from '../../shared/ports/clock.ts';

export interface Forgotten {
  readonly kind: 'forgotten';
  readonly refused: string | undefined;
}

export type CallAnswer = FromAcceptor | Fetched | Forgotten;

interface Waiting {
  readonly done: (answer: CallAnswer) => void;
  readonly failed: (error: SynodError) => void;
  readonly expiresAt: number;
}

/** Tokens of calls begin with this. */
export const CALL = 'u';

export class Calls {
  readonly #clock: Clock;
  readonly #post: (event: AcceptorEvent) => void;
  readonly #waiting = new Map<string, Waiting>();
  #next = 0;

  constructor(clock: Clock, post: (event: AcceptorEvent) => void) {
    this.#clock = clock;
    this.#post = post;
  }

  /** Posts the event that `of` makes with the call's token, and waits for its one answer. */
  ask(timeoutMs: number, of: (token: string) => AcceptorEvent): Promise<CallAnswer> {
    return new Promise((done, failed) => {
      const token = `${CALL}${String(this.#next++)}`;
      this.#waiting.set(token, { done, failed, expiresAt: this.#clock.now() + timeoutMs });
      this.#post(of(token));
    });
  }

  /** An answer may come for a call that nobody waits for any more. */
  settle(token: string, answer: CallAnswer): void {
    this.#waiting.get(token)?.done(answer);
    this.#waiting.delete(token);
  }

  /** Ends the calls whose deadline has passed. */
  sweep(): void {
    const now = this.#clock.now();
    for (const [token, call] of this.#waiting) {
      if (now < call.expiresAt) continue;
      this.#waiting.delete(token);
      call.failed(
        new SynodError(
          'DEADLINE_EXCEEDED',
          'the journal did not confirm in time; ask again with the same ballot',
          'unknown',
        ),
      );
    }
  }
}
