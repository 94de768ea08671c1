/**
 * One table between SynodErrors and gRPC statuses, with the two trailers that carry what a status cannot say (R15): whether the
 * outcome is known, and whom to ask instead.
 */
import { messageOf, SynodError } from '../base/errors.ts';
import type { Code, Outcome } from '../base/errors.ts';
import { InvariantError } from '../base/assert.ts';

/** `none` or `unknown`. */
export const OUTCOME_TRAILER = 'synod-outcome';
/** host:port of the proposer to try instead. */
export const LEADER_TRAILER = 'synod-leader';

/** The numbers of gRPC's codes. */
const NUMBERS: Readonly<Record<Code, number>> = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
};

const CODES = new Map<number, Code>((Object.keys(NUMBERS) as Code[]).map((code) => [NUMBERS[code], code]));

/** gRPC's number of a code. */
export function codeNumber(code: Code): number {
  return NUMBERS[code];
}

/** The code of a gRPC number; those that Synod never sends (UNKNOWN, PERMISSION_DENIED, UNAUTHENTICATED, others) are INTERNAL. */
export function codeOf(number: number): Code {
  return CODES.get(number) ?? 'INTERNAL';
}

/** A status as a server sends it. */
export interface Status {
  readonly code: number;
  readonly details: string;
  /** Metadata to send behind the status. */
  readonly trailers: Readonly<Record<string, string>>;
}

/** Characters of a message; headers of HTTP/2 have a limit, and a status that does not fit is lost with its trailers. */
const DETAILS_MAX = 1024;

/**
 * The status of anything that was thrown. What is no SynodError is a fault of the server: the caller hears that there was one,
 * with outcome unknown, and the server's log hears which.
 *
 * @param leader host:port to send in `synod-leader`.
 */
export function statusOf(error: unknown, leader?: string): Status {
  const known = error instanceof SynodError;
  const outcome: Outcome = known ? error.outcome : 'unknown';
  const details = known
    ? error.message
    : error instanceof InvariantError
      ? 'a broken invariant stopped this process'
      : 'internal error';
  return {
    code: NUMBERS[known ? error.code : 'INTERNAL'],
    details: details.length > DETAILS_MAX ? `${details.slice(0, DETAILS_MAX - 1)}…` : details,
    trailers:
      leader === undefined ? { [OUTCOME_TRAILER]: outcome } : { [OUTCOME_TRAILER]: outcome, [LEADER_TRAILER]: leader },
  };
}

/** A status as a client receives it; `get` reads one trailer. */
export interface ReceivedStatus {
  readonly code: number;
  readonly details: string;
  get(trailer: string): string | undefined;
}

/**
 * The error of a status, and the leader to try. A status without our trailer was made on the way (a broken connection, a deadline):
 * whether the request arrived is not known, except where no such method is there at all.
 */
export function errorOf(status: ReceivedStatus): { error: SynodError; leader: string | undefined } {
  const code = codeOf(status.code);
  const said = status.get(OUTCOME_TRAILER);
  const outcome: Outcome = said === 'none' || (said === undefined && code === 'UNIMPLEMENTED') ? 'none' : 'unknown';
  return { error: new SynodError(code, messageOf(status.details), outcome), leader: status.get(LEADER_TRAILER) };
}
