/** Clients that propose without pause and remember what they were told; and the reading of all learners at the end. */
import { ClientError, connect } from '../../shared/client/index.ts';
import type { ProposeStream, SynodClient } from '../../shared/client/index.ts';
import type { Cluster } from '../../deploy/local/cluster.ts';
import { clientHeader } from '../../shared/client/index.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { Harness } from './cluster.ts';
import { eventually } from './cluster.ts';
import { faultsOf } from './history.ts';
import type { History, Learned, LearnedLog, Operation, Told } from './history.ts';

/** Clients, lanes of each that propose one after the other, and lanes that share one stream. */
const CLIENTS = 2;
const LANES = 2;
const STREAM_LANES = 2;
/** Longer than any fault here lasts: within it a client tries again, with the same number. */
const TIMEOUT_MS = 45_000;
/** One proposal in so many is looked for at a learner as soon as it is acknowledged. */
const READ_EVERY = 16;

export class Load {
  readonly log: string;
  readonly operations: Operation[] = [];
  /** What a linearizable read did not show although it had been acknowledged before (R13). */
  readonly staleReads: string[] = [];
  readonly #clients: SynodClient[];
  readonly #lanes: Promise<void>[];
  #acknowledged = 0;
  #counter = 0;
  #stopping = false;
  #failure: Error | undefined;

  constructor(harness: Harness, log: string) {
    const { cluster } = harness;
    harness.onStop(() => {
      this.#stopping = true;
      for (const client of this.#clients) client.close();
    });
    this.log = log;
    this.#clients = Array.from({ length: CLIENTS }, (_, at) => {
      const turned = (addresses: string[]): string[] => [...addresses.slice(at), ...addresses.slice(0, at)];
      return connect({
        ...{ cluster: cluster.id, timeoutMs: TIMEOUT_MS, ownConnections: true },
        ...{ proposers: turned(cluster.addresses('proposer')), learners: turned(cluster.addresses('learner')) },
      });
    });
    this.#lanes = this.#clients.flatMap((client) => Array.from({ length: LANES }, () => this.#unaryLane(client)));
    const [first] = this.#clients;
    if (first !== undefined) this.#lanes.push(this.#streamLanes(first));
    for (const lane of this.#lanes)
      lane.catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      });
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Waits until so many more proposals were acknowledged. */
  async grows(by: number): Promise<void> {
    const goal = this.#acknowledged + by;
    await eventually(`${by} more proposals are acknowledged`, () => {
      if (this.#failure !== undefined) throw this.#failure;
      return this.#acknowledged >= goal;
    });
  }

  /** Ends the lanes, each after its present proposal. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#lanes).finally(() => {
      for (const client of this.#clients) client.close();
    });
  }

  async #unaryLane(client: SynodClient): Promise<void> {
    while (!this.#stopping) {
      const { told, counter, value } = await this.#one((bytes) => client.propose(this.log, bytes));
      if (told.kind === 'chosen' && counter % READ_EVERY === 0) await this.#readBack(client, told.slot, value);
    }
  }

  async #streamLanes(client: SynodClient): Promise<void> {
    let stream: ProposeStream | undefined;
    const lane = async (): Promise<void> => {
      while (!this.#stopping) {
        stream ??= client.proposeStream(this.log, { inFlightMax: 16, timeoutMs: TIMEOUT_MS });
        const mine = stream;
        const { told } = await this.#one((bytes) => mine.propose(bytes));
        // A stream that ended is replaced once.
        if (told.kind === 'failed' && stream === mine) {
          mine.close();
          stream = undefined;
        }
      }
    };
    await Promise.all(Array.from({ length: STREAM_LANES }, lane)).finally(() => stream?.close());
  }

  async #one(propose: (value: Uint8Array) => Promise<{ readonly slot: number }>) {
    const counter = this.#counter++;
    const value = `${this.log}/${counter}`;
    const beganMs = performance.now();
    const told = await propose(Buffer.from(value)).then(
      ({ slot }): Told => ({ kind: 'chosen', slot }),
      (error: unknown): Told => {
        if (!(error instanceof ClientError)) throw error;
        return { kind: 'failed', outcome: error.outcome, message: error.message };
      },
    );
    this.operations.push({ value, beganMs, endedMs: performance.now(), told });
    if (told.kind === 'chosen') this.#acknowledged++;
    return { told, counter, value };
  }

  async #readBack(client: SynodClient, slot: number, value: string): Promise<void> {
    try {
      const { entries } = await client.read(this.log, { from: slot, to: slot + 1 });
      const shown = entries.map((each) => Buffer.from(each.value).toString());
      if (shown.length !== 1 || shown[0] !== value)
        this.staleReads.push(
          `slot ${slot} was acknowledged with ${value}; a later read showed ${shown.join() || 'nothing'}`,
        );
    } catch (error) {
      // A read that found nobody in time says nothing about what was chosen.
      if (!(error instanceof ClientError)) throw error;
    }
  }
}

/** Reads every learner up to the end of the log, no-ops, duplicates and sessions included. */
export async function readAll(cluster: Cluster, log: string): Promise<LearnedLog[]> {
  const learners = cluster.members.filter(({ role }) => role === 'learner');
  const clients = learners.map(({ grpc }) => connect({ learners: [grpc], timeoutMs: 30_000 }));
  try {
    const { end } = (await clients[0]?.end(log)) ?? { end: 0 };
    return await Promise.all(
      clients.map(async (client, at) => {
        const entries: Learned[] = [];
        for (let from = 0; from < end;) {
          const page = await client.read(log, { from, to: end, all: true, linearizable: from === 0 });
          if (page.next <= from) throw new Error(`a page of ${log} from slot ${from} does not go on`);
          for (const each of page.entries)
            entries.push({
              ...{ slot: each.slot, kind: each.kind, effect: each.effect, value: Buffer.from(each.value).toString() },
              id: `${each.client}/${each.session}/${each.sequence}`,
            });
          from = page.next;
        }
        return { learner: learners[at]?.id ?? 0, entries };
      }),
    );
  } finally {
    for (const client of clients) client.close();
  }
}

/** Ends the load, reads all learners and returns what is wrong, nothing when all is in order. Fails where too little happened. */
export async function audit(harness: Harness, load: Load, acknowledgedMin: number): Promise<string[]> {
  await load.stop();
  const history: History = { operations: load.operations, logs: await readAll(harness.cluster, load.log) };
  const faults = [...faultsOf(history), ...load.staleReads, ...(await distrust(harness))];
  if (load.acknowledged < acknowledgedMin)
    faults.push(`only ${load.acknowledged} proposals were acknowledged, and ${acknowledgedMin} make a test`);
  return faults.slice(0, 20);
}

/** Learners whose state has another digest than that of the others (R11). */
async function distrust(harness: Harness): Promise<string[]> {
  const learners = harness.cluster.members.filter(({ role }) => role === 'learner');
  const said = await Promise.all(
    learners.map(async ({ id, grpc }) => {
      const request = { header: clientHeader() };
      const { trusted } = await harness.at(grpc).unary(LearnerServiceService.status, request, { timeoutMs: 5_000 });
      return trusted ? [] : [`learner ${id} has another digest than the others`];
    }),
  );
  return said.flat();
}
