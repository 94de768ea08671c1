/** The cluster under load: who leads, how far each role is, and whether a log holds what was acknowledged. */
import type { Cluster } from '../../deploy/local/cluster.ts';
import { clientHeader, errorReader } from '../../shared/client/index.ts';
import { messageOf } from '../../shared/base/errors.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { Leading } from '../../shared/wire/gen/synod/v1/proposer.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { readValue } from './messages.ts';
import type { Failure } from './messages.ts';
import { wait } from './workers.ts';

const CALL = { timeoutMs: 10_000 };

/** How far a log is at the acceptors and at the learners: one above the highest vote, and all applied below. */
export interface Progress {
  readonly atMs: number;
  readonly voted: number;
  readonly applied: readonly number[];
}

/** What client processes say they proposed. */
export interface Claimed {
  readonly worker: number;
  readonly proposed: number;
  readonly failures: readonly Failure[];
}

export interface Verdict {
  readonly counts: boolean;
  readonly acknowledged: number;
  readonly found: number;
  /** Why the run does not count. */
  readonly faults: readonly string[];
}

export class Target {
  readonly cluster: Cluster;
  readonly #connections = new Map<string, Connection>();

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** The proposer that leads a log; undefined while nobody does. */
  async leader(log: string): Promise<number | undefined> {
    for (const { id, grpc } of this.cluster.members.filter(({ role }) => role === 'proposer')) {
      const request = { header: clientHeader(), log, after: '', limit: 1, all: false, led: true };
      const answer = await this.#at(grpc)
        .unary(ProposerServiceService.logs, request, { timeoutMs: 2_000 })
        .catch(() => undefined);
      if (answer?.logs.some((each) => each.log === log && each.leading === Leading.LEADING_LEADS) === true) return id;
    }
    return undefined;
  }

  async progress(log: string): Promise<Progress> {
    const request = { header: clientHeader(), log, after: '', limit: 1, all: false };
    const atMs = performance.now();
    const [acceptors, learners] = await Promise.all([
      Promise.all(
        this.cluster.addresses('acceptor').map((at) => this.#at(at).unary(AcceptorServiceService.logs, request, CALL)),
      ),
      Promise.all(
        this.cluster.addresses('learner').map((at) => this.#at(at).unary(LearnerServiceService.logs, request, CALL)),
      ),
    ]);
    return {
      atMs,
      voted: Math.max(0, ...acceptors.map((each) => (each.logs[0]?.highest ?? -1) + 1)),
      applied: learners.map((each) => each.logs[0]?.applied ?? 0),
    };
  }

  /** Milliseconds until every learner applied all that is voted now. */
  async drained(log: string, msMax: number): Promise<number> {
    const began = performance.now();
    const { voted } = await this.progress(log);
    for (;;) {
      const { applied } = await this.progress(log);
      if (applied.every((each) => each >= voted)) return performance.now() - began;
      if (performance.now() - began > msMax)
        throw new Error(
          `the learners applied ${applied.join(' and ')} of ${String(voted)} slots within ${String(msMax)} ms`,
        );
      await wait(50);
    }
  }

  /** Reads the whole log at every learner: each acknowledged value is there once, and nothing that nobody proposed (R12). */
  async verify(log: string, claimed: readonly Claimed[]): Promise<Verdict> {
    const faults: string[] = [];
    let found = 0;
    for (const address of this.cluster.addresses('learner')) {
      const seen = claimed.map(({ proposed }) => new Uint8Array(proposed));
      try {
        found = await this.#count(address, log, (worker, counter) => {
          const row = seen[worker];
          if (row === undefined || counter >= row.length) return `it holds a value that nobody proposed`;
          row[counter] = (row[counter] ?? 0) + 1;
          return undefined;
        });
      } catch (error) {
        faults.push(`the learner at ${address}: ${messageOf(error)}`);
        continue;
      }
      faults.push(...claimed.flatMap((each, at) => differences(each, seen[at] ?? new Uint8Array(0), address)));
    }
    const acknowledged = claimed.reduce((sum, each) => sum + each.proposed - each.failures.length, 0);
    return { counts: faults.length === 0, acknowledged, found, faults };
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
  }

  async #count(
    address: string,
    log: string,
    visit: (worker: number, counter: number) => string | undefined,
  ): Promise<number> {
    let count = 0;
    for (let from = 0, first = true; ; first = false) {
      const request = { header: clientHeader(), log, from, limit: 0, linearizable: first, all: false };
      const page = await this.#at(address).unary(LearnerServiceService.read, request, { timeoutMs: 60_000 });
      for (const entry of page.entries) {
        const { worker, counter } = readValue(entry.payload);
        const fault = visit(worker, counter);
        if (fault !== undefined) throw new Error(`${fault} (slot ${String(entry.slot)})`);
        count++;
      }
      if (page.next >= page.applied || page.next <= from) return count;
      from = page.next;
    }
  }

  #at(address: string): Connection {
    const known = this.#connections.get(address) ?? connect(address, { fromStatus: errorReader(address) });
    this.#connections.set(address, known);
    return known;
  }
}

/** What a learner's log lacks or has too often of one client process's values. */
function differences({ worker, proposed, failures }: Claimed, seen: Uint8Array, address: string): string[] {
  const failed = new Map(failures.map(({ counter, outcome }) => [counter, outcome]));
  let missing = 0;
  let twice = 0;
  let refused = 0;
  for (let counter = 0; counter < proposed; counter++) {
    const times = seen[counter] ?? 0;
    const outcome = failed.get(counter);
    if (times > 1) twice++;
    else if (times === 0 && outcome === undefined) missing++;
    else if (times === 1 && outcome === 'none') refused++;
  }
  const of = `of client process ${String(worker)} at the learner ${address}`;
  return [
    ...(missing === 0 ? [] : [`${String(missing)} acknowledged values ${of} are missing`]),
    ...(twice === 0 ? [] : [`${String(twice)} values ${of} took effect twice`]),
    ...(refused === 0 ? [] : [`${String(refused)} values ${of} were refused with outcome none and took effect`]),
  ];
}
