/** What a learner says of itself: its logs, links and queues. */
import { VERSION } from '../../shared/platform/version.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import type { Clock } from '../../shared/ports/clock.ts';
import type { Learner } from '../../shared/paxos/learner.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import { RESERVED_LOG_PREFIX } from '../../shared/base/limits.ts';
import { bytesOf, ID_BYTES } from '../../shared/wire/codec/fields.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { writeRemembered } from '../../shared/wire/codec/introduction.ts';
import { Role } from '../../shared/wire/gen/synod/v1/common.ts';
import type { Link, Queue } from '../../shared/wire/gen/synod/v1/common.ts';
import type { LearnerLog } from '../../shared/wire/gen/synod/v1/learner.ts';
import type {
  LearnerServiceLogsRequest,
  LearnerServiceLogsResponse,
  LearnerServiceStatusResponse,
  RememberedAcceptor,
} from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { Acceptors } from './acceptors.ts';
import type { Agreement } from './agreement.ts';
import type { Applier } from './applier.ts';
import type { Peers } from './peers.ts';
import type { Subscriptions } from './subscriptions.ts';
import type { Trust } from './trust.ts';
import type { Waiting } from './waiting.ts';

export interface StatusOptions {
  readonly header: Header;
  readonly quorum: QuorumSystem;
  readonly store: LearnerStore;
  readonly machine: Learner;
  readonly applier: Applier;
  readonly agreement: Agreement;
  readonly acceptors: Acceptors;
  readonly peers: Peers;
  readonly subscriptions: Subscriptions;
  readonly waiting: Waiting;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly queueBytesMax: number;
  readonly storeBytes: () => number;
  readonly address: () => string;
  /** Why the process is not ready. */
  readonly notReady: () => string[];
  readonly faults: () => { faultsOn: boolean; faults: string[] };
}

const LOGS_MAX = 1_000;

export class StatusPages {
  readonly #options: StatusOptions;
  readonly #startedAt: number;
  /** The names of all logs in order, made again when there are more. */
  #names: string[] = [];

  constructor(options: StatusOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
  }

  status(): LearnerServiceStatusResponse {
    const { header, quorum, store, trust, subscriptions, clock, address, notReady, faults, storeBytes } = this.#options;
    return {
      process: {
        version: VERSION,
        uptimeMs: Math.round(clock.now() - this.#startedAt),
        address: address(),
        notReady: notReady(),
        ...faults(),
        quorum: quorum.name,
      },
      header: writeHeader(header),
      disk: bytesOf(store.identity.disk, ID_BYTES, 'disk'),
      trusted: trust.doubt === undefined,
      logs: this.#sorted().length,
      subscribers: subscriptions.length,
      storeBytes: storeBytes(),
      queues: this.#queues(),
      links: this.#links(),
      acceptors: this.#remembered(),
      activity: undefined,
    };
  }

  logs(request: LearnerServiceLogsRequest): LearnerServiceLogsResponse {
    const limit = request.limit === 0 ? LOGS_MAX : Math.min(request.limit, LOGS_MAX);
    const names = this.#sorted();
    if (request.log !== '') return { logs: names.includes(request.log) ? [this.#log(request.log)] : [], more: false };
    const logs: LearnerLog[] = [];
    for (let i = firstAfter(names, request.after); i < names.length; i++) {
      const name = names[i] ?? '';
      if (!request.all && name.startsWith(RESERVED_LOG_PREFIX)) continue;
      if (logs.length === limit) return { logs, more: true };
      logs.push(this.#log(name));
    }
    return { logs, more: false };
  }

  /** The same for `/status.json`. */
  json(): unknown {
    const { header, store, machine, acceptors, trust, peers } = this.#options;
    const { process, logs, subscribers, storeBytes, queues } = this.status();
    return {
      role: 'learner',
      id: header.id,
      cluster: header.cluster,
      configuration: header.configuration,
      disk: store.identity.disk,
      process,
      trusted: trust.doubt ?? true,
      logs,
      behind: machine.behind,
      subscribers,
      storeBytes,
      queues,
      acceptors: acceptors.links.map((link) => ({
        id: link.id,
        address: link.connection.address,
        state: link.state,
        reason: link.reason,
        sendsValues: link.position === acceptors.source,
        remembered: store.remembered(link.id),
      })),
      learners: peers.links.map((link) => ({
        id: link.id,
        address: link.connection.address,
        connected: link.stream.up,
        disk: link.disk,
      })),
    };
  }

  #log(log: string): LearnerLog {
    const { store, machine, agreement } = this.#options;
    const progress = store.progress(log);
    const held = progress?.held ?? 0;
    const applied = progress?.visible ?? 0;
    return {
      log,
      applied,
      held,
      agreed: agreement.agreed(log, held),
      first: 0,
      seen: Math.max(applied, machine.seen(log)),
      sessions: store.sessionCount(log) ?? 0,
      waitsFor: machine.waitsFor(log),
    };
  }

  #sorted(): readonly string[] {
    const known = [...this.#options.store.logs()];
    if (known.length !== this.#names.length) this.#names = known.map(({ log }) => log).sort();
    return this.#names;
  }

  #queues(): Queue[] {
    const { applier, waiting, subscriptions, queueBytesMax } = this.#options;
    return [
      { name: 'apply.queue', length: applier.queuedBytes, limit: queueBytesMax, refused: applier.dropped },
      { name: 'reads.waiting', length: waiting.length, limit: waiting.limit, refused: waiting.refused },
      { name: 'subscribers', length: subscriptions.length, limit: subscriptions.limit, refused: subscriptions.refused },
    ];
  }

  #links(): Link[] {
    const now = this.#options.clock.now();
    const heard = (at: number): number | undefined => (at === -Infinity ? undefined : Math.round(now - at));
    return [
      ...this.#options.acceptors.links.map((link) => ({
        role: Role.ROLE_ACCEPTOR,
        id: link.id,
        address: link.connection.address,
        connected: link.state === 'speaking',
        heardMsAgo: heard(link.heardAt),
        queuedBytes: link.stream.queuedBytes,
      })),
      ...this.#options.peers.links.map((link) => ({
        role: Role.ROLE_LEARNER,
        id: link.id,
        address: link.connection.address,
        connected: link.stream.up,
        heardMsAgo: heard(link.heardAt),
        queuedBytes: link.stream.queuedBytes,
      })),
    ];
  }

  #remembered(): RememberedAcceptor[] {
    const { acceptors, store } = this.#options;
    return acceptors.links.flatMap(({ id, position }) => {
      const remembered = store.remembered(id);
      if (remembered === undefined) return [];
      return [{ acceptor: id, remembered: writeRemembered(remembered), sendsValues: position === acceptors.source }];
    });
  }
}

/** The position of the first name above `after`. */
function firstAfter(names: readonly string[], after: string): number {
  if (after === '') return 0;
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Slots that are known to be voted and are not applied here, over all logs. */
export function lagOf(machine: Learner): number {
  let lag = 0;
  for (const { head, applied } of machine.status()) lag += Math.max(0, head + 1 - applied);
  return lag;
}
