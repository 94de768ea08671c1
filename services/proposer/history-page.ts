/** What a proposer remembers of proposals that ended, as its History call tells it. */
import type { Header } from '../../shared/wire/codec/header.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import { bytesOf, ID_BYTES, writeBallot } from '../../shared/wire/codec/fields.ts';
import { PROPOSAL_ENDS } from '../../shared/wire/codec/history.ts';
import type { HistoryDemand } from '../../shared/wire/codec/history.ts';
import { OUTCOMES } from '../../shared/wire/codec/peers.ts';
import type * as wire from '../../shared/wire/gen/synod/v1/history.ts';
import { Protocol } from '../../shared/wire/gen/synod/v1/proposer.ts';
import type { HistoryResponse } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { EntryKind } from '../../shared/wire/gen/synod/v1/values.ts';
import { codeNumber } from '../../shared/wire/status.ts';
import type { History, ProposalCount, ProposalRecord } from './history.ts';

const NOTHING = new Uint8Array(0);
const KINDS = {
  command: EntryKind.ENTRY_KIND_COMMAND,
  decree: EntryKind.ENTRY_KIND_DECREE,
  'open-session': EntryKind.ENTRY_KIND_OPEN_SESSION,
  unknown: EntryKind.ENTRY_KIND_UNSPECIFIED,
} as const;

export function historyResponse(
  history: History,
  header: Header,
  wanted: HistoryDemand,
  uptimeMs: number,
): HistoryResponse {
  const { records, before } = history.read(wanted);
  return {
    header: writeHeader(header),
    records: records.map(writeRecord),
    nextBefore: before,
    counts: history.counts().map(writeCount),
    ended: history.ended,
    kept: history.kept,
    keptMax: history.keptMax,
    uptimeMs: Math.round(uptimeMs),
  };
}

function writeRecord(record: ProposalRecord): wire.ProposalRecord {
  const { number, log, id, slot, otherSlot, ballot, leader, forwardedBy, rounds, retry, othersValue, refusal } = record;
  return {
    ...{ number, log, slot, otherSlot, leader, forwardedBy, rounds, retry, othersValue },
    kind: KINDS[id.kind],
    client: id.client === '' ? NOTHING : bytesOf(id.client, ID_BYTES, 'client'),
    session: id.session,
    sequence: id.sequence,
    ballot: ballot === undefined ? undefined : writeBallot(ballot),
    tookUs: Math.max(0, Math.round(record.tookMs * 1_000)),
    atMs: Math.max(0, Math.round(record.at)),
    ...writeEnd({ ...record, ...refusal }),
  };
}

function writeCount(count: ProposalCount): wire.ProposalCount {
  return { ...writeEnd(count), count: count.count };
}

type End = Pick<ProposalCount, 'protocol' | 'end'> & Partial<Pick<ProposalCount, 'code' | 'outcome' | 'message'>>;

function writeEnd({
  protocol,
  end,
  code,
  outcome,
  message = '',
}: End): Pick<wire.ProposalCount, 'protocol' | 'end' | 'code' | 'outcome' | 'message'> {
  return {
    protocol: protocol === 'basic' ? Protocol.PROTOCOL_BASIC : Protocol.PROTOCOL_MULTI,
    end: PROPOSAL_ENDS.indexOf(end) as wire.ProposalEnd,
    code: code === undefined ? 0 : codeNumber(code),
    outcome: OUTCOMES.indexOf(outcome) as wire.ProposalCount['outcome'],
    message,
  };
}
