/** The door for questions about proposals that ended: what a History request must be, and how proposals end by number. */
import { SynodError } from '../../base/errors.ts';
import type { HistoryRequest } from '../gen/synod/v1/proposer_service.ts';
import { hexOf, ID_BYTES, logName, refuse, whole } from './fields.ts';
import { readClientHeader } from './header.ts';
import type { Header } from './header.ts';

export const HISTORY_LIMIT_MAX = 1_000;
const LIMIT = 100;

/** Ends by the enum's numbers. */
export const PROPOSAL_ENDS = [undefined, 'chosen', 'known', 'refused', 'timeout'] as const;

export interface HistoryDemand {
  readonly header: Header;
  readonly log: string | undefined;
  /** Lower-case hex digits that the client's id begins with; empty for any. */
  readonly client: string;
  readonly session: number | undefined;
  readonly sequence: number | undefined;
  readonly slot: number | undefined;
  /** Only records below this number. */
  readonly before: number;
  readonly limit: number;
  readonly sessions: boolean;
}

export function readHistoryRequest(m: HistoryRequest): HistoryDemand {
  if (m.client.length > ID_BYTES)
    refuse(`client has ${String(m.client.length)} bytes: the id of a client has ${String(ID_BYTES)}`);
  if (m.limit > HISTORY_LIMIT_MAX)
    throw new SynodError(
      'OUT_OF_RANGE',
      `limit is ${String(m.limit)}: one answer holds at most ${String(HISTORY_LIMIT_MAX)} records; ask on with before`,
    );
  return {
    header: readClientHeader(m.header),
    log: m.log === '' ? undefined : logName(m.log),
    client: hexOf(m.client, m.client.length, 'client'),
    session: m.session === undefined ? undefined : whole(m.session, 'session'),
    sequence: m.sequence === undefined ? undefined : whole(m.sequence, 'sequence'),
    slot: m.slot === undefined ? undefined : whole(m.slot, 'slot'),
    before: m.before === 0 ? Infinity : whole(m.before, 'before'),
    limit: m.limit === 0 ? LIMIT : m.limit,
    sessions: m.sessions,
  };
}
