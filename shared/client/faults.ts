/** Faults of one role for programs that test a running cluster: put in force, looked at, healed. See proto/synod/v1/fault.proto. */
import { connect } from '../platform/grpc/connection.ts';
import type { Connection } from '../platform/grpc/connection.ts';
import { readFault, writeFault } from '../wire/codec/fault.ts';
import type { Fault } from '../wire/codec/fault.ts';
import { FaultServiceService } from '../wire/gen/synod/v1/fault_service.ts';
import { clientHeader } from './client.ts';
import { errorReader } from './errors.ts';

export type { Fault, FaultAction, FaultDirection, FaultPeer } from '../wire/codec/fault.ts';

/** A fault as it is asked for. Left out: the role draws an id; it lasts until it is healed. */
export type NewFault = Pick<Fault, 'action' | 'peers' | 'direction'> & Partial<Pick<Fault, 'id' | 'forMs'>>;

export interface FaultsInForce {
  /** Oldest first; `forMs` is the time that is left, 0 until it is healed. */
  readonly faults: readonly Fault[];
  /** Messages lost and held since the process started. */
  readonly messagesDropped: number;
  readonly messagesDelayed: number;
}

const TIMEOUT_MS = 5_000;

const noId = (): string => '';

/**
 * Calls to the role at `address`. They reject with a ClientError: FAILED_PRECONDITION, outcome none, where the role's setting
 * `faults` is off. `timeoutMs` is 5,000 where it is left out. Each may be repeated without harm once the fault has an id.
 */
export const faults = {
  /** Puts a fault in force, in place of one with the same id; resolves to it as it is in force. */
  add(address: string, fault: NewFault, timeoutMs = TIMEOUT_MS): Promise<Fault> {
    const wire = writeFault({ id: '', forMs: 0, ...fault });
    return withRole(address, async (role) => {
      const request = { header: clientHeader(), fault: wire };
      const answer = await role.unary(FaultServiceService.add, request, { timeoutMs });
      return readFault(answer.fault, noId);
    });
  },

  list(address: string, timeoutMs = TIMEOUT_MS): Promise<FaultsInForce> {
    return withRole(address, async (role) => {
      const answer = await role.unary(FaultServiceService.list, { header: clientHeader() }, { timeoutMs });
      const { messagesDropped, messagesDelayed } = answer;
      return { faults: answer.faults.map((each) => readFault(each, noId)), messagesDropped, messagesDelayed };
    });
  },

  /** Ends faults by their ids, or all of the role. Resolves to those that were in force. */
  heal(address: string, ids: readonly string[] = [], timeoutMs = TIMEOUT_MS): Promise<Fault[]> {
    return withRole(address, async (role) => {
      const request = { header: clientHeader(), ids: [...ids] };
      const answer = await role.unary(FaultServiceService.heal, request, { timeoutMs });
      return answer.healed.map((each) => readFault(each, noId));
    });
  },
} as const;

async function withRole<T>(address: string, run: (role: Connection) => Promise<T>): Promise<T> {
  const role = connect(address, { fromStatus: errorReader(address) });
  try {
    return await run(role);
  } finally {
    role.close();
  }
}
