/** What every command has at hand. */
import { connect, errorReader } from '../../shared/client/index.ts';
import { ClientError } from '../../shared/client/index.ts';
import type { SynodClient } from '../../shared/client/index.ts';
import { connect as connectTo } from '../../shared/platform/grpc/connection.ts';
import type { Method } from '../../shared/platform/grpc/methods.ts';
import { findEndpoints } from './endpoints.ts';
import type { EndpointOptions, Endpoints, RoleName } from './endpoints.ts';
import { EXIT, UsageError } from './exit.ts';
import type { Io } from './io.ts';

/** Options that every command takes which speaks to a cluster. */
export interface CommonOptions extends EndpointOptions {
  readonly json?: boolean;
  readonly timeout?: string;
}

export interface Context {
  readonly io: Io;
  readonly json: boolean;
  readonly timeoutMs: number;
  readonly endpoints: Endpoints;
}

const TIMEOUT_MS = 5_000;

export async function contextOf(options: CommonOptions, io: Io): Promise<Context> {
  return {
    io,
    json: options.json ?? false,
    timeoutMs:
      options.timeout === undefined ? TIMEOUT_MS : 1_000 * parseNumber(options.timeout, '--timeout', 1, 86_400),
    endpoints: await findEndpoints(options, io),
  };
}

/** Runs with a client that knows these roles, and closes it. */
export async function withClient<T>(
  context: Context,
  roles: readonly RoleName[],
  run: (client: SynodClient) => Promise<T>,
): Promise<T> {
  const { endpoints, timeoutMs } = context;
  const client = connect({
    proposers: roles.includes('proposer') ? endpoints.reachable('proposer') : [],
    learners: roles.includes('learner') ? endpoints.reachable('learner') : [],
    timeoutMs,
    timeoutName: '--timeout',
    failFast: true,
  });
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

/** One request to one address, where a member of this role should be. Rejects with a ClientError. */
export async function ask<Req, Res>(
  role: RoleName,
  address: string,
  method: Method<Req, Res>,
  request: Req,
  timeoutMs: number,
): Promise<Res> {
  const connection = connectTo(address, { fromStatus: errorReader(address, role) });
  try {
    return await connection.unary(method, request, { timeoutMs });
  } finally {
    connection.close();
  }
}

/** One request to the first of a role that takes it: another is asked only where one did not get it. */
export async function askAny<Req, Res>(
  context: Context,
  role: RoleName,
  method: Method<Req, Res>,
  request: Req,
): Promise<Res> {
  let last: unknown;
  for (const address of context.endpoints.reachable(role)) {
    try {
      return await ask(role, address, method, request, context.timeoutMs);
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'UNAVAILABLE' || error.outcome !== 'none') throw error;
      last = error;
    }
  }
  throw last;
}

/** A whole number of a flag. Throws UsageError with the flag and the limits. */
export function parseNumber(given: string, name: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  const value = /^-?\d{1,16}$/.test(given) ? Number(given) : NaN;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const limit = max === Number.MAX_SAFE_INTEGER ? `from ${String(min)} on` : `from ${String(min)} to ${String(max)}`;
  throw new UsageError(`${name} must be a whole number ${limit}, not ${JSON.stringify(given)}`);
}

export const OK = EXIT.ok;
