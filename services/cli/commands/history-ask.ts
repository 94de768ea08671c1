/** Asks all proposers for what they remember of proposals. */
import { messageOf } from '../../../shared/base/errors.ts';
import { HISTORY_LIMIT_MAX } from '../../../shared/wire/codec/history.ts';
import type { ProposalRecord } from '../../../shared/wire/gen/synod/v1/history.ts';
import { ProposerServiceService } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import type { HistoryRequest, HistoryResponse } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import { ask } from '../context.ts';
import type { Context } from '../context.ts';
import type { Place } from '../endpoints.ts';
import { ageText } from '../table.ts';

/** What one proposer says, or why it says nothing. */
export interface Told {
  readonly proposer: number;
  readonly records: readonly ProposalRecord[];
  readonly last: HistoryResponse | undefined;
  readonly trouble: string | undefined;
}

/** Asks every proposer, page by page; who does not answer is part of the answer. Throws where nobody does. */
export async function askAll(context: Context, request: HistoryRequest, recordsMax: number): Promise<Told[]> {
  const { endpoints } = context;
  endpoints.reachable('proposer');
  const told = await Promise.all(endpoints.of('proposer').map((place) => askOne(context, place, request, recordsMax)));
  const failed = told.find(({ error }) => error !== undefined);
  if (told.every(({ last }) => last === undefined) && failed !== undefined) throw failed.error;
  return told;
}

async function askOne(
  { timeoutMs }: Context,
  { address, id, listening }: Place,
  request: HistoryRequest,
  recordsMax: number,
): Promise<Told & { readonly error?: unknown }> {
  if (!listening) return { proposer: id, records: [], last: undefined, trouble: 'nothing listens there' };
  const records: ProposalRecord[] = [];
  try {
    for (let before = 0; ;) {
      const limit = Math.min(HISTORY_LIMIT_MAX, recordsMax - records.length);
      const page = { ...request, before, limit };
      const last = await ask('proposer', address, ProposerServiceService.history, page, timeoutMs);
      records.push(...last.records);
      if (last.nextBefore === undefined || last.nextBefore <= 1 || records.length >= recordsMax)
        return { proposer: last.header?.id ?? id, records, last, trouble: undefined };
      before = last.nextBefore;
    }
  } catch (error) {
    return { proposer: id, records: [], last: undefined, trouble: messageOf(error), error };
  }
}

/** What a proposer remembers, and from when. */
export function keptText({ proposer, last, trouble }: Told): string {
  if (last === undefined) return `without proposer ${String(proposer)}: ${trouble ?? ''}`;
  const kept =
    last.kept === last.ended
      ? `all ${String(last.ended)} that ended there`
      : `the last ${String(last.kept)} of ${String(last.ended)} that ended there`;
  return `proposer ${String(proposer)}, up ${ageText(last.uptimeMs)}, remembers ${kept}`;
}
