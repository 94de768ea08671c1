/** One learner or several: whether they keep up and agree, what readers get, and their disks. */
import { MEMBER, dashboard } from './dashboard.ts';
import type { Row } from './dashboard.ts';
import {
  BAD_ABOVE_ZERO,
  BAD_BELOW_ONE,
  GREEN,
  PLAIN,
  RED,
  YES_OR_NO,
  heatmap,
  lines,
  quantiles,
  stat,
} from './panels.ts';
import { basics, processRow } from './process.ts';

const rate = (metric: string, by: string, and = ''): string =>
  `sum by (${by}) (rate(${metric}{${MEMBER}${and}}[$__rate_interval]))`;

const STATE: Row = {
  title: 'State',
  panels: [
    ...basics('learner'),
    stat({
      title: 'Trusted',
      help: 'Whether it gives linearizable answers: no while its digests differ from others and no majority has one state (R11).',
      queries: [[`synod_learner_trusted{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: BAD_BELOW_ONE, words: YES_OR_NO },
    }),
    stat({
      title: 'Digest mismatches',
      help: 'Digests that differed from another learner’s at the same slot since its start. Anything but 0 needs somebody at once.',
      queries: [[`synod_learner_digest_mismatches{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: BAD_ABOVE_ZERO },
    }),
    stat({
      title: 'Acceptors heard',
      help: 'Acceptors that it is connected to. It needs a quorum of them to learn.',
      queries: [[`synod_learner_connected_acceptors{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: PLAIN },
    }),
  ],
};

const KEEPS_UP: Row = {
  title: 'Does it keep up?',
  panels: [
    lines({
      title: 'Lag',
      help: 'Slots known to be voted and not applied, over all logs. Under load it is what is on its way; it must come back to 0.',
      queries: [[`synod_learner_lag_slots{${MEMBER}}`, '{{id}}']],
      unit: 'short',
      steps: [
        [null, GREEN],
        [10_000, RED],
      ],
    }),
    lines({
      title: 'Logs behind',
      help: 'Logs with slots missing. More than a moment of it is a gap that is being asked for.',
      queries: [[`synod_learner_behind_logs{${MEMBER}}`, '{{id}}']],
      unit: 'none',
    }),
    lines({
      title: 'Slots applied and held',
      help: 'Slots per second that it applied, and that are on its disk for good. The second follows the first.',
      queries: [
        [`sum by (id) (deriv(synod_learner_applied_slots{${MEMBER}}[$__rate_interval]))`, '{{id}} applied'],
        [`sum by (id) (deriv(synod_learner_held_slots{${MEMBER}}[$__rate_interval]))`, '{{id}} held'],
      ],
      unit: 'ops',
    }),
    lines({
      title: 'Slots learned',
      help: 'Slots per second that it counted a quorum of votes for.',
      queries: [[rate('synod_learner_learned_slots_total', 'id'), '{{id}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Votes heard',
      help: 'Votes per second from each acceptor. One that is missing here does not reach this learner.',
      queries: [[rate('synod_learner_votes_total', 'id, acceptor'), '{{id}} from acceptor {{acceptor}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Slots asked for',
      help: 'Times that it missed slots and asked: acceptors, other learners, or a proposer to finish them.',
      queries: [[rate('synod_learner_gaps_total', 'id, asked'), '{{id}} {{asked}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Logs copied',
      help: 'Logs that it took from another learner because acceptors no longer keep them: as chosen values, as a snapshot, or failed.',
      queries: [[rate('synod_learner_catch_ups_total', 'id, outcome'), '{{id}} {{outcome}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Waiting to be applied',
      help: 'Bytes of values that wait (apply.queue.max). What comes beyond it is dropped and fetched later.',
      queries: [[`synod_learner_apply_queue_bytes{${MEMBER}}`, '{{id}}']],
      unit: 'bytes',
    }),
    lines({
      title: 'Dropped votes',
      help: 'Votes dropped because that queue was full, since the start. They are fetched later.',
      queries: [[`synod_learner_dropped_votes{${MEMBER}}`, '{{id}}']],
      unit: 'short',
    }),
  ],
};

const READERS: Row = {
  title: 'Readers',
  panels: [
    lines({
      title: 'Reads',
      help: 'Reads by kind and outcome: answered, refused, or late (their deadline came first). `end` and `sessions` are asked by clients and proposers.',
      queries: [[rate('synod_learner_reads_total', 'kind, outcome'), '{{kind}} {{outcome}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Waiting reads',
      help: 'Reads, answers and session tables that wait for a slot. At reads.waiting.max it refuses.',
      queries: [[`synod_learner_waiting_reads{${MEMBER}}`, '{{id}}']],
      unit: 'short',
    }),
    lines({
      title: 'Subscriptions',
      help: 'Subscriptions open. At subscribers.max it refuses.',
      queries: [[`synod_learner_subscribers{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', isState: true },
    }),
  ],
};

const STORE: Row = {
  title: 'The store and its disk',
  panels: [
    heatmap({
      title: 'Transactions',
      help: 'Time of one transaction of the store: what gathered is applied together.',
      queries: [[`sum by (le) (increase(synod_learner_apply_seconds_bucket{${MEMBER}}[$__rate_interval]))`, '{{le}}']],
      unit: 's',
    }),
    lines({
      title: 'Transactions by learner',
      help: 'The same as numbers. An alert fires where 99 % of five minutes is above 250 ms.',
      queries: [
        ...quantiles('synod_learner_apply_seconds', MEMBER, 'id'),
        [`cluster_id:synod_learner_apply_seconds:p99_5m{cluster=~"$cluster"}`, '99 % of 5 minutes {{id}}'],
      ],
      ...{ unit: 's', width: 12 },
      steps: [
        [null, GREEN],
        [0.25, RED],
      ],
    }),
    lines({
      title: 'Slots of a transaction',
      help: 'How many slots shared one transaction.',
      queries: quantiles('synod_learner_apply_batch_slots', MEMBER),
      unit: 'short',
    }),
    lines({
      title: 'Size',
      help: 'Bytes of the store on disk. It keeps every chosen value.',
      queries: [[`synod_learner_store_bytes{${MEMBER}}`, '{{id}}']],
      unit: 'bytes',
    }),
    lines({
      title: 'Logs',
      help: 'Logs that it knows, the probes’ own included.',
      queries: [[`synod_learner_logs{${MEMBER}}`, '{{id}}']],
      unit: 'short',
    }),
  ],
};

export const learner = dashboard({
  uid: 'learner',
  title: 'Synod / Learner',
  description: 'Do learners keep up and agree, what do readers get, and how are their disks?',
  members: 'synod_learner_ready',
  rows: [STATE, KEEPS_UP, READERS, STORE, processRow('learner')],
});
