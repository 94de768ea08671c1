/** FAST proposals: which way they went, how long each way took, and what collisions cost. */
import { CLUSTER, MEMBER, dashboard } from './dashboard.ts';
import type { Row } from './dashboard.ts';
import { GREEN, RED, heatmap, lines, quantiles, stat } from './panels.ts';

const rate = (metric: string, by: string, and = ''): string =>
  `sum by (${by}) (rate(${metric}{${MEMBER}${and}}[$__rate_interval]))`;

const WAYS: Row = {
  title: 'Which way they went',
  panels: [
    stat({
      title: 'On the fast path',
      help: 'The share of FAST proposals that a fast quorum chose at once. Where it is low, Multi is faster.',
      queries: [
        [
          `sum(rate(synod_proposer_fast_seconds_count{${MEMBER},outcome="fast"}[$__rate_interval])) / (sum(rate(synod_proposer_fast_seconds_count{${MEMBER}}[$__rate_interval])) > 0)`,
          'fast',
        ],
      ],
      unit: 'percentunit',
      steps: [
        [null, RED],
        [0.8, GREEN],
      ],
      ...{ width: 6, height: 8 },
    }),
    lines({
      title: 'FAST proposals by way',
      help: 'fast: a fast quorum voted for it. coordinated: it collided, and who opened the ballot decided by the votes. recovered: by a classic ballot. fallback: through a leader.',
      queries: [[rate('synod_proposer_fast_seconds_count', 'outcome'), '{{outcome}}']],
      ...{ unit: 'ops', stacked: true, width: 9 },
    }),
    lines({
      title: 'Proposals by outcome',
      help: 'What clients of FAST were told.',
      queries: [[rate('synod_proposer_proposals_total', 'outcome', ',protocol="fast"'), '{{outcome}}']],
      ...{ unit: 'ops', width: 9 },
    }),
  ],
};

const TIMES: Row = {
  title: 'How long each way took',
  panels: [
    heatmap({
      title: 'All ways',
      help: 'Time of a proposal that was sent FAST. Two bands are two ways: in good times one round trip, after a collision several.',
      queries: [[`sum by (le) (increase(synod_proposer_fast_seconds_bucket{${MEMBER}}[$__rate_interval]))`, '{{le}}']],
      unit: 's',
    }),
    lines({
      title: 'By way',
      help: 'Half and 99 % of them. Compare with Multi on the dashboard of the cluster.',
      queries: quantiles('synod_proposer_fast_seconds', MEMBER, 'outcome'),
      ...{ unit: 's', width: 12 },
    }),
  ],
};

const COLLISIONS: Row = {
  title: 'Collisions',
  panels: [
    lines({
      title: 'Collisions',
      help: 'Slots per second in which votes went to several values, so that none could get a fast quorum.',
      queries: [[rate('synod_proposer_collisions_total', 'id'), 'proposer {{id}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Collisions per proposal',
      help: 'Of five minutes. Above 0.2 a log is better led; Synod gives such a log to a leader and tries again later.',
      queries: [[`cluster:synod_proposer_collisions:ratio5m{${CLUSTER}}`, '{{cluster}}']],
      unit: 'percentunit',
      steps: [
        [null, GREEN],
        [0.2, RED],
      ],
    }),
    lines({
      title: 'How fast rounds ended',
      help: 'Phases of FAST proposals by result. recovered is a slot whose value a later ballot found.',
      queries: [[rate('synod_proposer_quorums_total', 'phase, result', ',protocol="fast"'), '{{phase}} {{result}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Logs opened for FAST',
      help: 'Logs that were opened for fast voting by their leader, and closed again. A log that is opened and closed all the time is better led.',
      queries: [[rate('synod_proposer_fast_openings_total', 'change'), '{{change}}']],
      unit: 'ops',
    }),
    lines({
      title: 'FAST given up for a while',
      help: 'Times that the FAST proposals of a log went to a leader: collided too often, led by somebody, too few acceptors reachable, or unknown what became of one.',
      queries: [[rate('synod_proposer_fast_left_total', 'reason'), '{{reason}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Refused fast votes',
      help: 'Accepts refused because another value has the vote (collision), the log is not open for FAST there, or the slot is too far ahead.',
      queries: [
        [
          `sum by (reason) (rate(synod_acceptor_rejects_total{${CLUSTER},reason=~"collision|not-open|ahead"}[$__rate_interval]))`,
          '{{reason}}',
        ],
      ],
      unit: 'ops',
    }),
  ],
};

export const fast = dashboard({
  uid: 'fast',
  title: 'Synod / Fast paths',
  description: 'FAST proposals: which way they went, how long each took, and what collisions cost.',
  members: 'synod_proposer_ready',
  rows: [WAYS, TIMES, COLLISIONS],
});
