/** Reads all logs of a run at every learner, slot by slot, once nothing is hurt any more. */
import { ClientError, clientHeader, connect, errorReader } from '../../shared/client/index.ts';
import type { SynodClient } from '../../shared/client/index.ts';
import { connect as connectTo } from '../../shared/platform/grpc/connection.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { Learned } from '../e2e/history.ts';
import type { Crew, Member } from './crew.ts';
import { nameIn } from './values.ts';
import type { Copy } from './verify.ts';

const TIMEOUT_MS = 30_000;

/**
 * Reads up to what one learner has applied after a linearizable read, which lies above everything that was acknowledged. What was on its way
 * when its client gave it up may stand above that as a vote at one acceptor: some quorums know of it, and nobody need ever choose it.
 */
export async function readBack(crew: Crew, logs: readonly string[]): Promise<Copy[]> {
  const learners = crew.of('learner').map(({ id, grpc }) => ({
    ...{ learner: id, logs: new Map<string, readonly Learned[]>() },
    client: connect({ learners: [grpc], cluster: crew.cluster.id, timeoutMs: TIMEOUT_MS, ownConnections: true }),
  }));
  try {
    for (const log of logs) {
      const end = await appliedEnd(learners[0]?.client, log);
      await Promise.all(
        learners.map(async ({ client, logs: shown }) => shown.set(log, await entriesOf(client, log, end))),
      );
    }
    return learners;
  } finally {
    for (const { client } of learners) client.close();
  }
}

/** Where a log ends that a learner has just read up to the tip; 0 where a quorum knows no such log. */
async function appliedEnd(client: SynodClient | undefined, log: string): Promise<number> {
  try {
    return (await client?.read(log, { limit: 1, all: true }))?.applied ?? 0;
  } catch (error) {
    if (error instanceof ClientError && error.code === 'NOT_FOUND') return 0;
    throw error;
  }
}

/** Every slot of a log below an end, no-ops, duplicates and sessions included; none where the learner knows no such log. */
async function entriesOf(client: SynodClient, log: string, end: number): Promise<readonly Learned[]> {
  const entries: Learned[] = [];
  try {
    for (let from = 0; from < end;) {
      const page = await client.read(log, { from, to: end, all: true, linearizable: from === 0 });
      for (const { slot, kind, effect, value, client: who, session, sequence } of page.entries)
        entries.push({
          ...{ slot, kind, effect, id: `${who}/${session}/${sequence}` },
          value: kind === 'proposal' || kind === 'decree' ? nameIn(value) : '',
        });
      if (page.next <= from) throw new Error(`a page of ${log} from slot ${from} does not go on`);
      from = page.next;
    }
    return entries;
  } catch (error) {
    if (error instanceof ClientError && error.code === 'NOT_FOUND') return [];
    throw error;
  }
}

/** Learners whose state has another digest than that of the others (R11), as sentences. */
export async function distrusted(crew: Crew): Promise<string[]> {
  const ask = async ({ id, grpc }: Member): Promise<string[]> => {
    const connection = connectTo(grpc, { fromStatus: errorReader(grpc) });
    try {
      const request = { header: clientHeader() };
      const { trusted } = await connection.unary(LearnerServiceService.status, request, { timeoutMs: TIMEOUT_MS });
      return trusted ? [] : [`learner ${id} has another digest than the others`];
    } finally {
      connection.close();
    }
  };
  return (await Promise.all(crew.of('learner').map(ask))).flat();
}
