/** What all members say of themselves and of their logs, gathered at once; those that are down are part of the answer. */
import { clientHeader } from '../../../shared/client/index.ts';
import { messageOf } from '../../../shared/base/errors.ts';
import { errorReader } from '../../../shared/client/index.ts';
import { connect } from '../../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../../shared/platform/grpc/connection.ts';
import type { AcceptorLog } from '../../../shared/wire/gen/synod/v1/acceptor.ts';
import { AcceptorServiceService } from '../../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { AcceptorServiceStatusResponse } from '../../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { LearnerLog } from '../../../shared/wire/gen/synod/v1/learner.ts';
import { LearnerServiceService } from '../../../shared/wire/gen/synod/v1/learner_service.ts';
import type { LearnerServiceStatusResponse } from '../../../shared/wire/gen/synod/v1/learner_service.ts';
import type { ProposerLog } from '../../../shared/wire/gen/synod/v1/proposer.ts';
import { ProposerServiceService } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import type { ProposerServiceStatusResponse } from '../../../shared/wire/gen/synod/v1/proposer_service.ts';
import type { Context } from '../context.ts';
import type { Place } from '../endpoints.ts';

export type Said =
  | { readonly role: 'acceptor'; readonly status: AcceptorServiceStatusResponse; readonly logs: readonly AcceptorLog[] }
  | { readonly role: 'proposer'; readonly status: ProposerServiceStatusResponse; readonly logs: readonly ProposerLog[] }
  | { readonly role: 'learner'; readonly status: LearnerServiceStatusResponse; readonly logs: readonly LearnerLog[] };

export interface Member {
  readonly place: Place;
  /** Its number, as it says itself where it answers. */
  readonly id: number;
  /** What it says, or why it says nothing. */
  readonly said: Said | string;
}

export interface Wanted {
  /** Only this log. Default: all, page by page, up to `logsMax`. */
  readonly log?: string;
  readonly all: boolean;
  readonly logsMax: number;
}

/** Asks every member; never fails. */
export function gather(context: Context, wanted: Wanted): Promise<Member[]> {
  return Promise.all(
    context.endpoints.places.map(async (place) => {
      if (!place.listening) return { place, id: place.id, said: 'down: nothing listens there' };
      const connection = connect(place.address, { fromStatus: errorReader(place.address, place.role) });
      try {
        const said = await askMember(connection, place, wanted, context.timeoutMs);
        return { place, id: idOf(said) ?? place.id, said };
      } catch (error) {
        return { place, id: place.id, said: messageOf(error) };
      } finally {
        connection.close();
      }
    }),
  );
}

async function askMember(connection: Connection, place: Place, wanted: Wanted, timeoutMs: number): Promise<Said> {
  const header = clientHeader();
  const call = { timeoutMs };
  const page = (after: string): { header: typeof header; log: string; after: string; limit: number; all: boolean } => ({
    ...{ header, log: wanted.log ?? '', after, limit: Math.min(1_000, wanted.logsMax), all: wanted.all },
  });
  switch (place.role) {
    case 'acceptor': {
      const status = await connection.unary(AcceptorServiceService.status, { header }, call);
      // Until it may speak, it says why, and nothing about logs.
      const logs = status.speaks
        ? await pages(wanted, (after) => connection.unary(AcceptorServiceService.logs, page(after), call))
        : [];
      return { role: 'acceptor', status, logs };
    }
    case 'proposer': {
      const status = await connection.unary(ProposerServiceService.status, { header }, call);
      const logs = await pages(wanted, (after) =>
        connection.unary(ProposerServiceService.logs, { ...page(after), led: false }, call),
      );
      return { role: 'proposer', status, logs };
    }
    case 'learner': {
      const status = await connection.unary(LearnerServiceService.status, { header }, call);
      const logs = await pages(wanted, (after) => connection.unary(LearnerServiceService.logs, page(after), call));
      return { role: 'learner', status, logs };
    }
  }
}

async function pages<L extends { readonly log: string }>(
  wanted: Wanted,
  ask: (after: string) => Promise<{ readonly logs: readonly L[]; readonly more: boolean }>,
): Promise<L[]> {
  const found: L[] = [];
  for (let after = ''; found.length < wanted.logsMax;) {
    const { logs, more } = await ask(after);
    found.push(...logs);
    const last = logs[logs.length - 1];
    if (!more || last === undefined) break;
    after = last.log;
  }
  return found.slice(0, wanted.logsMax);
}

function idOf(said: Said): number | undefined {
  const id = said.role === 'acceptor' ? said.status.introduction?.acceptor : said.status.header?.id;
  return id === 0 ? undefined : id;
}
