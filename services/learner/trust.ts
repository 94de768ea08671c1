/** Whether this learner may answer for the log as it is: not while its state differs from others' without a majority (R11). */
import { SynodError } from '../../shared/base/errors.ts';

export class Trust {
  #doubt: string | undefined = undefined;

  /** Why it may not, undefined while it may. */
  get doubt(): string | undefined {
    return this.#doubt;
  }

  set(doubt: string | undefined): void {
    this.#doubt = doubt;
  }

  /** Throws FAILED_PRECONDITION while it may not. */
  require(): void {
    if (this.#doubt !== undefined) throw new SynodError('FAILED_PRECONDITION', this.#doubt);
  }
}
