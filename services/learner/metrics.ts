/** What a learner counts. Names begin with `synod_learner_`. */
import type { Note } from '../../shared/paxos/notes.ts';
import { BATCH_BUCKETS, LATENCY_BUCKETS } from '../../shared/platform/telemetry/metrics.ts';
import type {
  ActivityNames,
  ActivityNow,
  Counter,
  Histogram,
  Metrics,
} from '../../shared/platform/telemetry/metrics.ts';

const READS = { kind: ['local', 'linearizable', 'end', 'sessions'], outcome: ['answered', 'refused', 'late'] } as const;
const ASKED = { asked: ['acceptors', 'learners', 'finish'] } as const;
const COPIES = { outcome: ['chosen', 'snapshot', 'failed'] } as const;
const NONE = {} as const;

export type ReadKind = (typeof READS.kind)[number];

/** Values that are asked for at a scrape. */
export interface Gauges {
  readonly lagSlots: () => number;
  readonly appliedSlots: () => number;
  readonly heldSlots: () => number;
  readonly logs: () => number;
  readonly logsBehind: () => number;
  readonly subscribers: () => number;
  readonly waiting: () => number;
  readonly queueBytes: () => number;
  readonly droppedVotes: () => number;
  readonly digestMismatches: () => number;
  readonly trusted: () => number;
  readonly storeBytes: () => number;
  readonly acceptorsConnected: () => number;
}

const ACTIVITY: ActivityNames = {
  tallies: {
    learned: ['synod_learner_learned_slots_total', {}],
    reads: ['synod_learner_reads_total', { outcome: 'answered' }],
  },
  times: { apply: ['synod_learner_apply_seconds', {}] },
};

export class LearnerMetrics {
  readonly #metrics: Metrics;
  readonly #votes: Counter<{ acceptor: readonly string[] }>;
  readonly #learned: Counter<typeof NONE>;
  readonly #gaps: Counter<typeof ASKED>;
  readonly #reads: Counter<typeof READS>;
  readonly #copies: Counter<typeof COPIES>;
  readonly #applySeconds: Histogram<typeof NONE>;
  readonly #applySlots: Histogram<typeof NONE>;

  constructor(metrics: Metrics, acceptors: readonly number[], gauges: Gauges) {
    this.#metrics = metrics;
    const ids = { acceptor: acceptors.map(String) };
    this.#votes = metrics.counter('synod_learner_votes_total', 'Slots voted for, as heard from each acceptor', ids);
    this.#learned = metrics.counter('synod_learner_learned_slots_total', 'Slots learned as chosen', NONE);
    this.#gaps = metrics.counter(
      'synod_learner_gaps_total',
      'Times that missing slots were asked for, by whom was asked',
      ASKED,
    );
    this.#reads = metrics.counter('synod_learner_reads_total', 'Reads by kind and outcome', READS);
    this.#copies = metrics.counter(
      'synod_learner_catch_ups_total',
      'Logs copied from another learner, by outcome',
      COPIES,
    );
    this.#applySeconds = metrics.histogram(
      'synod_learner_apply_seconds',
      'One transaction of the store',
      NONE,
      LATENCY_BUCKETS,
    );
    this.#applySlots = metrics.histogram(
      'synod_learner_apply_batch_slots',
      'Slots of one transaction',
      NONE,
      BATCH_BUCKETS,
    );
    const gauge = (name: string, help: string, read: () => number): void => {
      metrics.gaugeOf(`synod_learner_${name}`, help, read);
    };
    gauge('lag_slots', 'Slots known to be voted and not applied, over all logs', gauges.lagSlots);
    gauge('applied_slots', 'Slots applied, over all logs', gauges.appliedSlots);
    gauge('held_slots', 'Slots on disk, over all logs', gauges.heldSlots);
    gauge('logs', 'Logs known', gauges.logs);
    gauge('behind_logs', 'Logs with slots missing', gauges.logsBehind);
    gauge('subscribers', 'Subscriptions open', gauges.subscribers);
    gauge('waiting_reads', 'Reads, answers and tables that wait for a slot', gauges.waiting);
    gauge('apply_queue_bytes', 'Values that wait to be applied', gauges.queueBytes);
    gauge('dropped_votes', 'Votes dropped because the queue was full, to be fetched later', gauges.droppedVotes);
    gauge('digest_mismatches', 'Digests that differed from another learner', gauges.digestMismatches);
    gauge(
      'trusted',
      '1 while linearizable answers are given, 0 while digests differ without a majority',
      gauges.trusted,
    );
    gauge('store_bytes', 'Bytes of the store on disk', gauges.storeBytes);
    gauge('connected_acceptors', 'Acceptors that are heard', gauges.acceptorsConnected);
  }

  /** What a status shows of these. */
  activity(): Promise<ActivityNow> {
    return this.#metrics.activity(ACTIVITY);
  }

  votes(acceptor: number, slots: number): void {
    this.#votes.inc({ acceptor: String(acceptor) }, slots);
  }

  note(note: Note): void {
    if (note.kind === 'learned') this.#learned.inc({}, note.count);
    else if (note.kind === 'gap') this.#gaps.inc({ asked: note.asked });
  }

  transaction(slots: number, ms: number): void {
    this.#applySeconds.observe({}, ms / 1_000);
    this.#applySlots.observe({}, slots);
  }

  copied(outcome: 'chosen' | 'snapshot' | 'failed'): void {
    this.#copies.inc({ outcome });
  }

  read(kind: ReadKind, outcome: 'answered' | 'refused' | 'late'): void {
    this.#reads.inc({ kind, outcome });
  }
}
