/** What a member itself says when it refuses. */
import type { SynodError } from '../../shared/base/errors.ts';
import { messageOf } from '../../shared/base/errors.ts';

/** The end of a call that was made at its caller's side, or by the wrapper around handlers: of the member it says nothing. */
const CUT_OFF = /^Deadline exceeded|did not answer in time|no answer within/;
const TRIES = 50;

/** Asks until the member's own refusal comes: on a busy machine a deadline may be over before that is on its way. */
export async function refusal(ask: () => Promise<unknown>): Promise<SynodError> {
  for (let tries = 0; tries < TRIES; tries++) {
    const error = await ask().then(
      (value) => {
        throw new Error(`it succeeded: ${JSON.stringify(value)}`);
      },
      (reason: unknown) => reason as SynodError,
    );
    if (!CUT_OFF.test(messageOf(error))) return error;
  }
  throw new Error(`no refusal of its own in ${String(TRIES)} tries`);
}
