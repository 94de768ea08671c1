/** What a proposer tells of a proposal on its way. */
import { SynodError } from '../base/errors.ts';
import type { Progress as Told } from '../paxos/peers.ts';
import { readProgress } from '../wire/codec/progress.ts';
import type { Progress as WireProgress } from '../wire/gen/synod/v1/proposer.ts';

/** Undefined for what this version cannot read: it only explains, so it is passed over. */
export function readTold(wire: WireProgress): Told | undefined {
  try {
    return readProgress(wire, (acceptor) => acceptor);
  } catch (error) {
    if (error instanceof SynodError) return undefined;
    throw error;
  }
}
