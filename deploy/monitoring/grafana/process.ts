/** A row that every role has: what its process takes, and whether it stands still. */
import { MEMBER } from './dashboard.ts';
import type { Row } from './dashboard.ts';
import { BAD_ABOVE_ZERO, GREEN, PLAIN, RED, YES_OR_NO, BAD_BELOW_ONE, lines, stat } from './panels.ts';

type Role = 'acceptor' | 'proposer' | 'learner';

/** Numbers at the top of a role's dashboard: ready, since when, which version, and whether faults are made on purpose. */
export function basics(role: Role): ReturnType<typeof stat>[] {
  return [
    stat({
      title: 'Ready',
      help: 'Whether it answered that it can do its own job (/readyz, which names what is missing).',
      queries: [[`synod_${role}_ready{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: BAD_BELOW_ONE, words: YES_OR_NO },
    }),
    stat({
      title: 'Started',
      help: 'How long ago each process began. A start that nobody asked for is in its log.',
      queries: [[`process_start_time_seconds{${MEMBER},role="${role}"} * 1000`, '{{id}}']],
      ...{ unit: 'dateTimeFromNow', steps: PLAIN },
    }),
    stat({
      title: 'Faults on purpose',
      help: 'Faults of synodctl fault that are in force. Where others depend on the cluster, there must be none.',
      queries: [[`synod_${role}_faults_active{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: BAD_ABOVE_ZERO },
    }),
  ];
}

export function processRow(role: Role): Row {
  return {
    title: 'Process',
    panels: [
      lines({
        title: 'Event loop',
        help: 'The longest that a timer was late since the last scrape. Whoever stands still answers nobody.',
        queries: [[`synod_${role}_event_loop_lag_seconds{${MEMBER}}`, '{{id}}']],
        unit: 's',
        steps: [
          [null, GREEN],
          [0.5, RED],
        ],
      }),
      lines({
        title: 'Processor',
        help: 'Seconds of processor time for each second. A role works in one thread: about 1 is all that it can use.',
        queries: [[`rate(process_cpu_seconds_total{${MEMBER},role="${role}"}[$__rate_interval])`, '{{id}}']],
        unit: 'percentunit',
      }),
      lines({
        title: 'Memory',
        help: 'Memory that the process holds. It follows queues and caches, which are bounded, and must not grow for ever.',
        queries: [[`process_resident_memory_bytes{${MEMBER},role="${role}"}`, '{{id}}']],
        unit: 'bytes',
      }),
      lines({
        title: 'Traces',
        help: 'Who follows the trace of this role (synodctl trace), and events that were not told because there were too many.',
        queries: [
          [`synod_${role}_trace_followers{${MEMBER}}`, '{{id}} followers'],
          [`synod_${role}_trace_dropped{${MEMBER}}`, '{{id}} dropped'],
        ],
        ...{ unit: 'short', width: 12 },
      }),
      lines({
        title: 'Messages hurt on purpose',
        help: 'Messages that were lost or held by faults of synodctl fault, per second.',
        queries: [
          [`rate(synod_${role}_faults_messages_dropped_total{${MEMBER}}[$__rate_interval])`, '{{id}} lost'],
          [`rate(synod_${role}_faults_messages_delayed_total{${MEMBER}}[$__rate_interval])`, '{{id}} held'],
        ],
        ...{ unit: 'ops', width: 12 },
      }),
    ],
  };
}
