/** Errors as a client sees them: which address said so, whom to ask instead, and whether anything may have happened (R15). */
import { SynodError } from '../base/errors.ts';
import type { Code, Outcome } from '../base/errors.ts';
import type { ReceivedStatus } from '../platform/grpc/connection.ts';
import { OUTCOME_TRAILER, errorOf } from '../wire/status.ts';

export interface ErrorPlace {
  /** Who was asked; empty where nobody was. */
  readonly address?: string;
  /** host:port of the proposer to try instead. */
  readonly leader?: string | undefined;
  /** Nobody took the connection: the request was not sent. */
  readonly unreachable?: boolean;
  /** Nobody answered in time: this end of the call made the error, and it says nothing of why. */
  readonly silent?: boolean;
  readonly cause?: unknown;
}

/** A SynodError that a call ended with. `outcome` covers all tries of the call: one whose outcome is unknown makes it unknown. */
export class ClientError extends SynodError {
  readonly address: string;
  readonly leader: string | undefined;
  readonly unreachable: boolean;
  readonly silent: boolean;

  constructor(code: Code, message: string, outcome: Outcome, place: ErrorPlace = {}) {
    super(code, message, outcome, place.cause);
    this.address = place.address ?? '';
    this.leader = place.leader;
    this.unreachable = place.unreachable ?? false;
    this.silent = place.silent ?? false;
  }

  /** The same error with another outcome: that of all tries together. */
  withOutcome(outcome: Outcome): ClientError {
    if (this.outcome === outcome) return this;
    const { address, leader, unreachable, silent } = this;
    return new ClientError(this.code, this.message, outcome, { address, leader, unreachable, silent, cause: this });
  }
}

/** What grpc-js says of a call that it gave to no connection, because there was none to give it to. */
const NOT_SENT = /^(No connection established|Name resolution failed|Failed to connect)/;

/** What it says where it got a connection on which nobody speaks HTTP/2. */
const NO_GRPC = /protocol error|parse error|PROTOCOL_ERROR/i;
/** The fault in the middle of its text. A moment of time may follow, and how the name was resolved. */
const LAST_ERROR = /Last error: (.*?)(?: \(\d{4}-\d\d-\d\dT[^)]*\))?\. Resolution note/;

/** The reader of statuses for a connection to this address, where a member of this role should be. */
export function errorReader(address: string, role = 'member of a cluster'): (status: ReceivedStatus) => ClientError {
  return (status) => {
    const { error, leader } = errorOf(status);
    if (error.code === 'UNAVAILABLE' && NOT_SENT.test(status.details))
      return new ClientError('UNAVAILABLE', notSent(address, status.details), 'none', {
        address,
        unreachable: true,
        cause: error,
      });
    if (error.code === 'UNIMPLEMENTED' && status.get(OUTCOME_TRAILER) === undefined)
      return new ClientError(error.code, `what answers at ${address} is not a ${role} (${status.details})`, 'none', {
        address,
        cause: error,
      });
    // A member's own refusal carries its outcome; a deadline without one was noticed here.
    if (error.code === 'DEADLINE_EXCEEDED' && status.get(OUTCOME_TRAILER) === undefined)
      return new ClientError(error.code, `${address} did not answer in time`, 'unknown', {
        address,
        silent: true,
        cause: error,
      });
    return new ClientError(error.code, error.message, error.outcome, { address, leader, cause: error });
  };
}

/** Codes after which another try, elsewhere or later, may succeed. */
const AGAIN: ReadonlySet<Code> = new Set<Code>([
  'UNAVAILABLE',
  'RESOURCE_EXHAUSTED',
  'DEADLINE_EXCEEDED',
  'ABORTED',
  'INTERNAL',
]);

export function worthRetrying(error: ClientError): boolean {
  return AGAIN.has(error.code);
}

function notSent(address: string, details: string): string {
  if (details.includes('ECONNREFUSED')) return `nobody answers at ${address}: the connection is refused`;
  if (NO_GRPC.test(details))
    return `what listens at ${address} does not speak gRPC: is it a member's HTTP port, or another program's?`;
  const [, last = details] = LAST_ERROR.exec(details) ?? [];
  return `nobody answers at ${address}: ${last === 'Failed to connect' ? 'the connection is cut at once' : shortened(last)}`;
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}
