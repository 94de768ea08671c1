/** The dashboard to open first: is it healthy, what became of proposals, how long phases take, who leads. */
import { CLUSTER, dashboard } from './dashboard.ts';
import type { Row } from './dashboard.ts';
import {
  BAD_ABOVE_ZERO,
  BAD_BELOW_ONE,
  GREEN,
  ORANGE,
  PLAIN,
  RED,
  YES_OR_NO,
  heatmap,
  lines,
  quantiles,
  stat,
  states,
  table,
} from './panels.ts';

const READY = `{__name__=~"synod_(acceptor|proposer|learner)_ready",${CLUSTER},role=~"$role"}`;

const HEALTH: Row = {
  title: 'Is it healthy?',
  panels: [
    stat({
      title: 'A quorum answers',
      help: 'Whether a proposer got its probe chosen in the last minute and a half. Each tries a whole round every 10 s, also when nobody proposes.',
      queries: [
        [
          `sum by (cluster) (increase(synod_proposer_proposals_total{${CLUSTER},protocol="probe",outcome="chosen"}[90s])) > bool 0`,
          '{{cluster}}',
        ],
      ],
      ...{ unit: 'none', steps: BAD_BELOW_ONE, words: YES_OR_NO },
    }),
    stat({
      title: 'Alerts',
      help: 'Alerts of Synod that fire now. Each names a page of docs/runbooks.',
      queries: [
        [
          `sum(ALERTS{${CLUSTER},alertname=~"Synod.+",alertstate="firing",severity="critical"}) or vector(0)`,
          'critical',
        ],
        [`sum(ALERTS{${CLUSTER},alertname=~"Synod.+",alertstate="firing",severity="warning"}) or vector(0)`, 'warning'],
      ],
      ...{ unit: 'none', steps: BAD_ABOVE_ZERO },
    }),
    stat({
      title: 'Acceptors connected',
      help: 'Acceptors that some proposer is connected to, and that speak. Below a quorum nothing is chosen.',
      queries: [
        [`sum(max by (cluster, acceptor) (synod_proposer_acceptor_connected{${CLUSTER}}))`, 'connected'],
        [`count(max by (cluster, acceptor) (synod_proposer_acceptor_connected{${CLUSTER}}))`, 'of'],
      ],
      ...{ unit: 'none', steps: PLAIN },
    }),
    stat({
      title: 'Quorums connected',
      help: 'Whether the acceptors that proposers are connected to suffice, for each phase: prepare elects, accept chooses.',
      queries: [
        [`min by (phase) (max by (cluster, phase) (synod_proposer_quorum_connected{${CLUSTER}}))`, '{{phase}}'],
      ],
      ...{ unit: 'none', steps: BAD_BELOW_ONE, words: YES_OR_NO },
    }),
    stat({
      title: 'Logs without a leader',
      help: 'Logs in which proposals wait because nobody leads. A moment of it after a failure is normal.',
      queries: [[`sum(max by (cluster) (synod_proposer_leaderless_logs{${CLUSTER}}))`, 'logs']],
      ...{ unit: 'none', steps: BAD_ABOVE_ZERO },
    }),
    stat({
      title: 'Learners agree',
      help: 'Digests that differed between learners at the same slot (R11). Anything but 0 needs somebody at once.',
      queries: [[`sum(synod_learner_digest_mismatches{${CLUSTER}})`, 'mismatches']],
      ...{ unit: 'none', steps: BAD_ABOVE_ZERO },
    }),
    states({
      title: 'Members',
      help: 'Whether each member answered that it can do its own job (/readyz). A gap is a member that could not be scraped.',
      queries: [[READY, '{{role}} {{id}}']],
      words: { 0: ['not ready', RED], 1: ['ready', GREEN] },
      height: 9,
    }),
    table({
      title: 'Alerts that fire or are about to',
      help: 'Empty while all is well. The page of an alert in docs/runbooks says what it means and what to do.',
      queries: [[`ALERTS{${CLUSTER},alertname=~"Synod.+"}`, '']],
      hidden: ['Time', 'Value', '__name__', 'job'],
      height: 9,
    }),
  ],
};

const PROPOSALS: Row = {
  title: 'Proposals',
  panels: [
    lines({
      title: 'Proposals by outcome',
      help: 'What clients were told: chosen, known (a retry that had had its effect), refused, timeout. The probe is left out.',
      queries: [
        [
          `sum by (outcome) (rate(synod_proposer_proposals_total{${CLUSTER},protocol!="probe"}[$__rate_interval]))`,
          '{{outcome}}',
        ],
      ],
      ...{ unit: 'ops', stacked: true },
    }),
    lines({
      title: 'Proposals by protocol',
      help: 'Multi goes through a leader, basic decides by itself, fast asks the acceptors directly; probes are Synod’s own.',
      queries: [
        [`sum by (protocol) (rate(synod_proposer_proposals_total{${CLUSTER}}[$__rate_interval]))`, '{{protocol}}'],
      ],
      unit: 'ops',
    }),
    lines({
      title: 'Share that failed',
      help: 'Proposals that were refused or timed out, of all in five minutes. An alert fires above 1 %.',
      queries: [
        [`cluster:synod_proposer_timeouts:ratio5m{${CLUSTER}}`, 'timeout {{cluster}}'],
        [`cluster:synod_proposer_refusals:ratio5m{${CLUSTER}}`, 'refused {{cluster}}'],
      ],
      unit: 'percentunit',
      steps: [
        [null, GREEN],
        [0.01, RED],
      ],
    }),
    lines({
      title: 'Quorum outcomes: prepare',
      help: 'How first phases ended. A steady leader runs none but for probes; rejected and timeout next to no reached means that nobody can be elected.',
      queries: [
        [
          `sum by (result) (rate(synod_proposer_quorums_total{${CLUSTER},phase="prepare"}[$__rate_interval]))`,
          '{{result}}',
        ],
      ],
      ...{ unit: 'ops', width: 12 },
    }),
    lines({
      title: 'Quorum outcomes: accept',
      help: 'How second phases ended: reached, rejected by a higher ballot, timeout, or for FAST collision and recovered.',
      queries: [
        [
          `sum by (result) (rate(synod_proposer_quorums_total{${CLUSTER},phase="accept"}[$__rate_interval]))`,
          '{{result}}',
        ],
      ],
      ...{ unit: 'ops', width: 12 },
    }),
  ],
};

const LATENCY: Row = {
  title: 'Latency',
  panels: [
    heatmap({
      title: 'Promises: round trips',
      help: 'From a Prepare to the promise of one acceptor. Idle clusters show the probes, one every 10 s and proposer.',
      queries: [
        [`sum by (le) (increase(synod_proposer_promise_seconds_bucket{${CLUSTER}}[$__rate_interval]))`, '{{le}}'],
      ],
      unit: 's',
    }),
    heatmap({
      title: 'Accepts: round trips',
      help: 'From an Accept to the vote of one acceptor, its sync included. A second band is one acceptor that is slower.',
      queries: [
        [`sum by (le) (increase(synod_proposer_accept_seconds_bucket{${CLUSTER}}[$__rate_interval]))`, '{{le}}'],
      ],
      unit: 's',
    }),
    lines({
      title: 'Promises: quantiles',
      help: 'The same as numbers, over all acceptors.',
      queries: quantiles('synod_proposer_promise_seconds', CLUSTER),
      unit: 's',
    }),
    lines({
      title: 'Accepts: quantiles',
      help: 'The same as numbers, over all acceptors.',
      queries: quantiles('synod_proposer_accept_seconds', CLUSTER),
      unit: 's',
    }),
    lines({
      title: 'Time to a quorum',
      help: 'Until a phase had its quorum. A client waits for the accept phase, and for what queues before it.',
      queries: [
        [
          `histogram_quantile(0.5, sum by (phase, le) (rate(synod_proposer_quorum_seconds_bucket{${CLUSTER}}[$__rate_interval])))`,
          '50 % {{phase}}',
        ],
        [
          `histogram_quantile(0.99, sum by (phase, le) (rate(synod_proposer_quorum_seconds_bucket{${CLUSTER}}[$__rate_interval])))`,
          '99 % {{phase}}',
        ],
      ],
      unit: 's',
    }),
    lines({
      title: 'Accepts by acceptor',
      help: '95 % of five minutes. One acceptor far above the others has a slow disk or a slow way; the quorum does not wait for it.',
      queries: [[`cluster_acceptor:synod_proposer_accept_seconds:p95_5m{${CLUSTER}}`, 'acceptor {{acceptor}}']],
      ...{ unit: 's', width: 12 },
    }),
    lines({
      title: 'Syncs by acceptor',
      help: '99 % of five minutes: the time to make one record of the journal durable. An alert fires above 100 ms.',
      queries: [[`cluster_id:synod_acceptor_fsync_seconds:p99_5m{${CLUSTER}}`, 'acceptor {{id}}']],
      ...{ unit: 's', width: 12 },
      steps: [
        [null, GREEN],
        [0.1, RED],
      ],
    }),
  ],
};

const LEADERS: Row = {
  title: 'Who leads, and who keeps up',
  panels: [
    lines({
      title: 'Logs led',
      help: 'How many logs each proposer leads. Zero everywhere is normal where only Basic and FAST are used.',
      queries: [[`sum by (cluster, id) (synod_proposer_led_logs{${CLUSTER}})`, 'proposer {{id}}']],
      ...{ unit: 'none', isState: true, stacked: true },
    }),
    lines({
      title: 'Leader changes',
      help: 'Leaderships taken, resigned (on purpose) and lost, per second. Anything steady is flapping.',
      queries: [
        [`sum by (change) (rate(synod_proposer_leader_changes_total{${CLUSTER}}[$__rate_interval]))`, '{{change}}'],
      ],
      unit: 'ops',
    }),
    lines({
      title: 'Slots that learners lag',
      help: 'Slots known to be voted and not applied. It follows the load, and must come back to 0.',
      queries: [[`sum by (cluster, id) (synod_learner_lag_slots{${CLUSTER}})`, 'learner {{id}}']],
      unit: 'short',
      steps: [
        [null, GREEN],
        [10_000, RED],
      ],
    }),
    lines({
      title: 'Journals',
      help: 'How much of journal.bytes.max each acceptor uses. Trimming keeps it about the half; above 100 % new slots are refused.',
      queries: [[`cluster_id:synod_acceptor_journal_used:ratio{${CLUSTER}}`, 'acceptor {{id}}']],
      unit: 'percentunit',
      steps: [
        [null, GREEN],
        [0.8, ORANGE],
        [1, RED],
      ],
    }),
    lines({
      title: 'Event loops',
      help: 'The longest that each process stood still since the last scrape. Above half a second proposers take one another for dead.',
      queries: [
        [
          `{__name__=~"synod_(acceptor|proposer|learner)_event_loop_lag_seconds",${CLUSTER},role=~"$role"}`,
          '{{role}} {{id}}',
        ],
      ],
      unit: 's',
      steps: [
        [null, GREEN],
        [0.5, RED],
      ],
    }),
    lines({
      title: 'Learned slots',
      help: 'Slots that each learner learned to be chosen, per second. All learners learn all slots.',
      queries: [
        [
          `sum by (cluster, id) (rate(synod_learner_learned_slots_total{${CLUSTER}}[$__rate_interval]))`,
          'learner {{id}}',
        ],
      ],
      unit: 'ops',
    }),
    table({
      title: 'Versions',
      help: 'Which version each member runs. Two of them are normal during an update only.',
      queries: [
        [
          `max by (cluster, role, id, version, instance) ({__name__=~"synod_(acceptor|proposer|learner)_build_info",${CLUSTER},role=~"$role"})`,
          '',
        ],
      ],
      hidden: ['Time', 'Value'],
      width: 24,
    }),
  ],
};

export const cluster = dashboard({
  uid: 'cluster',
  title: 'Synod / Cluster',
  description:
    'Open this one first: is the cluster healthy, what became of proposals, how long phases take, who leads.',
  roles: true,
  rows: [HEALTH, PROPOSALS, LATENCY, LEADERS],
});
