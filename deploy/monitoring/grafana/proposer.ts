/** One proposer or several: what they take, hold, send and are answered. */
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
  states,
} from './panels.ts';
import { basics, processRow } from './process.ts';

const rate = (metric: string, by: string, and = ''): string =>
  `sum by (${by}) (rate(${metric}{${MEMBER}${and}}[$__rate_interval]))`;

const STATE: Row = {
  title: 'State',
  panels: [
    ...basics('proposer'),
    stat({
      title: 'Acceptors connected',
      help: 'Acceptors that it is connected to, and that speak.',
      queries: [[`synod_proposer_acceptors_connected{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: PLAIN },
    }),
    stat({
      title: 'Peers heard',
      help: 'Other proposers that it hears. Without any it works alone, and nobody takes over from it.',
      queries: [[`synod_proposer_peers_alive{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: PLAIN },
    }),
    stat({
      title: 'Learners reachable',
      help: 'Learners that answered it lately. It needs one to begin to lead a log.',
      queries: [[`synod_proposer_learners_reachable{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: BAD_BELOW_ONE },
    }),
    states({
      title: 'Connections to acceptors',
      help: 'Which acceptors each proposer is connected to and hears speak.',
      queries: [[`synod_proposer_acceptor_connected{${MEMBER}}`, 'proposer {{id}} to acceptor {{acceptor}}']],
      words: { 0: ['cut off', RED], 1: ['connected', GREEN] },
    }),
    states({
      title: 'Quorums connected',
      help: 'Whether those acceptors suffice for each phase: prepare elects, accept chooses.',
      queries: [[`synod_proposer_quorum_connected{${MEMBER}}`, 'proposer {{id}} {{phase}}']],
      words: YES_OR_NO,
    }),
  ],
};

const TAKES: Row = {
  title: 'What it takes and holds',
  panels: [
    lines({
      title: 'Proposals by outcome',
      help: 'What its clients were told, by protocol. The probe has no client.',
      queries: [[rate('synod_proposer_proposals_total', 'protocol, outcome'), '{{protocol}} {{outcome}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Held',
      help: 'Proposals held here, forwarded ones included, and how many may be (proposals.in-flight.max). At the limit it refuses.',
      queries: [
        [`synod_proposer_pending{${MEMBER}}`, '{{id}} held'],
        [`synod_proposer_pending_max{${MEMBER}}`, '{{id}} limit'],
      ],
      unit: 'short',
    }),
    lines({
      title: 'Where they wait',
      help: 'Sent and not yet chosen; waiting to be sent; waiting for a number of the session that this proposer gives to clients without one.',
      queries: [
        [`synod_proposer_in_flight{${MEMBER}}`, '{{id}} in flight'],
        [`synod_proposer_queued{${MEMBER}}`, '{{id}} queued'],
        [`synod_proposer_session_waiting{${MEMBER}}`, '{{id}} wait for a session'],
      ],
      unit: 'short',
    }),
    lines({
      title: 'Forwarded',
      help: 'Proposals that it gave to the leader of their log, because another one leads it.',
      queries: [[rate('synod_proposer_forwarded_total', 'id'), '{{id}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Values of a batch',
      help: 'Batches form while the pipeline is full: under load they grow, when idle they hold one value.',
      queries: quantiles('synod_proposer_batch_values', MEMBER),
      unit: 'short',
    }),
    lines({
      title: 'Bytes of a batch',
      help: 'A batch holds at most 1,000 values or 1 MiB, and always at least one value.',
      queries: quantiles('synod_proposer_batch_bytes', MEMBER),
      unit: 'bytes',
    }),
  ],
};

const PHASES: Row = {
  title: 'Phases',
  panels: [
    heatmap({
      title: 'Accepts: round trips',
      help: 'From an Accept to the vote of one acceptor, its sync included.',
      queries: [
        [`sum by (le) (increase(synod_proposer_accept_seconds_bucket{${MEMBER}}[$__rate_interval]))`, '{{le}}'],
      ],
      unit: 's',
    }),
    heatmap({
      title: 'Promises: round trips',
      help: 'From a Prepare to the promise of one acceptor.',
      queries: [
        [`sum by (le) (increase(synod_proposer_promise_seconds_bucket{${MEMBER}}[$__rate_interval]))`, '{{le}}'],
      ],
      unit: 's',
    }),
    lines({
      title: 'Accepts by acceptor',
      help: 'Which acceptor is slower than the others.',
      queries: quantiles('synod_proposer_accept_seconds', MEMBER, 'acceptor'),
      unit: 's',
    }),
    lines({
      title: 'Promises by acceptor',
      help: 'Which acceptor is slower than the others.',
      queries: quantiles('synod_proposer_promise_seconds', MEMBER, 'acceptor'),
      unit: 's',
    }),
    lines({
      title: 'Time to a quorum',
      help: 'Until a phase had its quorum: as slow as the slowest acceptor that was needed.',
      queries: quantiles('synod_proposer_quorum_seconds', MEMBER, 'phase'),
      unit: 's',
    }),
    lines({
      title: 'How phases ended',
      help: 'Reached, rejected by a higher ballot, timeout; for FAST also collision and recovered. By protocol; probes and finished slots are protocols of their own here.',
      queries: [[rate('synod_proposer_quorums_total', 'phase, protocol, result'), '{{phase}} {{protocol}} {{result}}']],
      ...{ unit: 'ops', width: 16 },
    }),
    lines({
      title: 'The probe',
      help: 'The time of a whole round of Basic Paxos with a no-op, every 10 s. It says what a proposal would take if there were none.',
      queries: quantiles('synod_proposer_probe_seconds', MEMBER),
      unit: 's',
    }),
  ],
};

const LEADS: Row = {
  title: 'Leading',
  panels: [
    lines({
      title: 'Logs led',
      help: 'Logs that it leads. `synodctl logs` names them.',
      queries: [[`synod_proposer_led_logs{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', isState: true },
    }),
    lines({
      title: 'Leader changes',
      help: 'Leaderships taken, resigned on purpose, and lost to a higher ballot.',
      queries: [[rate('synod_proposer_leader_changes_total', 'id, change'), '{{id}} {{change}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Campaigns',
      help: 'Attempts to lead a log. Many that end in no leadership are a duel, or a quorum that is missing.',
      queries: [[rate('synod_proposer_campaigns_total', 'id'), '{{id}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Other proposers',
      help: 'Others heard again (up), given up after a silence (silent), or gone at once because their port refused (refused).',
      queries: [[rate('synod_proposer_peer_changes_total', 'id, change'), '{{id}} {{change}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Slots found and filled',
      help: 'After a change of leader: slots proposed again as found, and holes filled with a no-op.',
      queries: [
        [rate('synod_proposer_reproposed_total', 'id'), '{{id}} proposed again'],
        [rate('synod_proposer_no_ops_total', 'id'), '{{id}} no-ops'],
      ],
      unit: 'ops',
    }),
    lines({
      title: 'Logs without a leader',
      help: 'Logs with proposals that wait here because nobody leads them.',
      queries: [[`synod_proposer_leaderless_logs{${MEMBER}}`, '{{id}}']],
      unit: 'none',
      steps: BAD_ABOVE_ZERO,
    }),
    lines({
      title: 'Pauses',
      help: 'Times that the process stood still for more than a heartbeat and noticed: how many a second, and how long. It waits once before it acts on what it missed.',
      queries: [
        [rate('synod_proposer_pause_seconds_count', 'id'), '{{id}} a second'],
        [
          `histogram_quantile(0.99, sum by (id, le) (rate(synod_proposer_pause_seconds_bucket{${MEMBER}}[$__rate_interval])))`,
          '{{id}} seconds, 99 %',
        ],
      ],
      ...{ unit: 'none', width: 24 },
    }),
  ],
};

export const proposer = dashboard({
  uid: 'proposer',
  title: 'Synod / Proposer',
  description: 'What proposers take, hold, send and are answered. Clients speak to them; one of them leads each log.',
  members: 'synod_proposer_ready',
  rows: [STATE, TAKES, PHASES, LEADS, processRow('proposer')],
});
