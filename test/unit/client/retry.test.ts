/** Goal: what a call that ran out of time says is the newest reason that anybody gave. Method: a clock that the tries drive. */
import { expect, test } from '@jest/globals';
import { ClientError } from '../../../shared/client/errors.ts';
import { withRetries } from '../../../shared/client/retry.ts';
import { Routes } from '../../../shared/client/routes.ts';

const WHY = 'connected to 1 of 3 acceptors';
const ADDRESS = '127.0.0.1:1';

/** A call of 120 ms whose first try is refused with a reason, if `reason` says so, and whose others get no answer in 20 ms. */
async function ends(reason: boolean): Promise<{ readonly error: ClientError; readonly tries: number }> {
  let now = 0;
  let tries = 0;
  const clock = {
    now: () => now,
    after: (ms: number, run: () => void) => {
      now += ms;
      queueMicrotask(run);
      return () => undefined;
    },
  };
  const routes = new Routes('proposer', [ADDRESS], 0);
  const call = withRetries(
    {
      routes,
      log: 'a',
      timeoutMs: 120,
      attemptMs: 20,
      failFast: false,
      timeoutName: 'timeoutMs',
      clock,
      random: { next: () => 0.5 },
    },
    () => {
      if (tries++ === 0 && reason)
        return Promise.reject(new ClientError('UNAVAILABLE', WHY, 'none', { address: ADDRESS }));
      now += 20;
      const silent = { address: ADDRESS, silent: true };
      return Promise.reject(
        new ClientError('DEADLINE_EXCEEDED', `${ADDRESS} did not answer in time`, 'unknown', silent),
      );
    },
  );
  const error = await call.then(
    () => {
      throw new Error('it succeeded');
    },
    (thrown: unknown) => thrown as ClientError,
  );
  routes.close();
  return { error, tries };
}

test('after the deadline the reason that a proposer gave is told, though the last try had no answer', async () => {
  const { error, tries } = await ends(true);
  expect(error.message).toMatch(new RegExp(`tries; last: ${WHY}$`));
  expect([error.code, error.outcome]).toEqual(['DEADLINE_EXCEEDED', 'unknown']);
  expect(tries).toBeGreaterThan(1);
});

/** A call of 1,000 ms with tries of up to 500 ms, each refused after `share` of its time by a member that says how long it had. */
async function cutShort(share: number): Promise<string> {
  let now = 0;
  const clock = {
    now: () => now,
    after: (ms: number, run: () => void) => {
      now += ms;
      queueMicrotask(run);
      return () => undefined;
    },
  };
  const routes = new Routes('proposer', [ADDRESS], 0);
  const options = { routes, log: 'a', timeoutMs: 1_000, wholeMs: 1_500, attemptMs: 500, failFast: false };
  const call = withRetries(
    { ...options, timeoutName: '--timeout', clock, random: { next: () => 0 } },
    ({ timeoutMs }) => {
      now += timeoutMs * share;
      const text = `not chosen within ${String(timeoutMs)} ms`;
      return Promise.reject(new ClientError('DEADLINE_EXCEEDED', text, 'none', { address: ADDRESS }));
    },
  );
  const error = await call.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown as ClientError,
  );
  routes.close();
  return error.message;
}

test('a try that the deadline cut short does not hide the reason of one that had its time, and the setting has its name', async () => {
  // 500, then 490 or less, then what little is left: the last of them had no chance.
  expect(await cutShort(0.95)).toMatch(
    /^not done within 1500 ms \(--timeout\) and \d+ tries; last: not chosen within [45]\d\d/,
  );
});

test('where nobody gave a reason, that nobody answered is told', async () => {
  const { error } = await ends(false);
  expect(error.message).toContain('did not answer in time');
});
