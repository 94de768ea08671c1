/** One acceptor or several: promises, votes, the journal and its disk, and who follows. */
import { MEMBER, dashboard } from './dashboard.ts';
import type { Row } from './dashboard.ts';
import { BAD_BELOW_ONE, GREEN, ORANGE, PLAIN, RED, YES_OR_NO, heatmap, lines, quantiles, stat } from './panels.ts';
import { basics, processRow } from './process.ts';

const rate = (metric: string, by: string, and = ''): string =>
  `sum by (${by}) (rate(${metric}{${MEMBER}${and}}[$__rate_interval]))`;

const STATE: Row = {
  title: 'State',
  panels: [
    ...basics('acceptor'),
    stat({
      title: 'Speaks',
      help: 'Whether it is a member with the right disk, and may promise and vote (R5). Its log says why not.',
      queries: [[`synod_acceptor_speaks{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: BAD_BELOW_ONE, words: YES_OR_NO },
    }),
    stat({
      title: 'Takes new slots',
      help: 'Whether its journal has room. When too many have none, proposals are refused.',
      queries: [[`synod_acceptor_journal_has_room{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', steps: BAD_BELOW_ONE, words: YES_OR_NO },
    }),
    stat({
      title: 'Logs',
      help: 'Logs that it knows. A log is never forgotten; there may be 100,000.',
      queries: [[`synod_acceptor_logs{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'short', steps: PLAIN },
    }),
  ],
};

const VOTES: Row = {
  title: 'Promises and votes',
  panels: [
    lines({
      title: 'Slots voted for',
      help: 'Votes per second. Acceptors of one cluster vote for nearly the same slots.',
      queries: [[rate('synod_acceptor_votes_total', 'id'), '{{id}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Bytes voted for',
      help: 'Bytes of values per second, which go to the journal and to learners.',
      queries: [[rate('synod_acceptor_voted_bytes_total', 'id'), '{{id}}']],
      unit: 'Bps',
    }),
    lines({
      title: 'Values of an Accept',
      help: 'How many slots came in one message: the leader sends what gathered while its pipeline was full.',
      queries: quantiles('synod_acceptor_accept_values', MEMBER),
      unit: 'short',
    }),
    lines({
      title: 'Promises',
      help: 'Promises per second by what they are for: to lead a log, one decree, to finish a slot, to open a log for FAST.',
      queries: [[rate('synod_acceptor_promises_total', 'id, purpose'), '{{id}} {{purpose}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Rejects',
      help: 'Refused Prepares and Accepts by reason. `ballot`, `led` and, with FAST, `collision` are the protocol at work; `space` and `busy` are a disk; `conflict` must stay 0.',
      queries: [[rate('synod_acceptor_rejects_total', 'phase, reason'), '{{phase}} {{reason}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Proposers connected',
      help: 'Sessions of proposers. Each proposer has one with each acceptor.',
      queries: [[`synod_acceptor_sessions{${MEMBER}}`, '{{id}}']],
      ...{ unit: 'none', isState: true },
    }),
  ],
};

const JOURNAL: Row = {
  title: 'The journal and its disk',
  panels: [
    heatmap({
      title: 'Syncs',
      help: 'Time to make one record durable. Nothing leaves an acceptor before (R3): this is part of every proposal.',
      queries: [[`sum by (le) (increase(synod_acceptor_fsync_seconds_bucket{${MEMBER}}[$__rate_interval]))`, '{{le}}']],
      unit: 's',
    }),
    lines({
      title: 'Syncs by acceptor',
      help: 'The same as numbers. An alert fires where 99 % of five minutes is above 100 ms.',
      queries: quantiles('synod_acceptor_fsync_seconds', MEMBER, 'id'),
      ...{ unit: 's', width: 12 },
      steps: [
        [null, GREEN],
        [0.1, RED],
      ],
    }),
    lines({
      title: 'Entries of a record',
      help: 'Entries that shared one write and one sync: what gathered while the last sync ran.',
      queries: quantiles('synod_acceptor_record_entries', MEMBER),
      unit: 'short',
    }),
    lines({
      title: 'Waiting for the disk',
      help: 'Bytes of entries that wait for their write. Above journal.queue.bytes Accepts are refused as busy.',
      queries: [[`synod_acceptor_journal_queued_bytes{${MEMBER}}`, '{{id}}']],
      unit: 'bytes',
    }),
    lines({
      title: 'Held messages',
      help: 'Messages that wait until what they depend on is durable.',
      queries: [[`synod_acceptor_held_messages{${MEMBER}}`, '{{id}}']],
      unit: 'short',
    }),
    lines({
      title: 'Size',
      help: 'Bytes of the journal on disk, preallocated space included, and journal.bytes.max. It is trimmed from the half on, as far as learners hold it.',
      queries: [
        [`synod_acceptor_journal_bytes{${MEMBER}}`, '{{id}}'],
        [`synod_acceptor_journal_bytes_max{${MEMBER}}`, '{{id}} limit'],
      ],
      unit: 'bytes',
    }),
    lines({
      title: 'Used',
      help: 'The same as a share. Above 100 % new slots are refused.',
      queries: [[`synod_acceptor_journal_bytes{${MEMBER}} / synod_acceptor_journal_bytes_max{${MEMBER}}`, '{{id}}']],
      unit: 'percentunit',
      steps: [
        [null, GREEN],
        [0.8, ORANGE],
        [1, RED],
      ],
    }),
    lines({
      title: 'Trims',
      help: 'Times that a trim floor rose: enough learner disks (trim.holders) held the slots below it.',
      queries: [[rate('synod_acceptor_trims_total', 'id'), '{{id}}']],
      unit: 'ops',
    }),
  ],
};

const FOLLOWERS: Row = {
  title: 'Learners and callers',
  panels: [
    lines({
      title: 'Learners connected',
      help: 'Learners that follow its votes, and those of them that were too slow and catch up from the journal.',
      queries: [
        [`synod_acceptor_followers{${MEMBER}}`, '{{id}} connected'],
        [`synod_acceptor_followers_behind{${MEMBER}}`, '{{id}} behind'],
      ],
      ...{ unit: 'none', isState: true },
    }),
    lines({
      title: 'What learners were too slow for',
      help: 'Messages that a learner did not take in time and reads again from the journal, and fetches beyond what one learner may have under way.',
      queries: [
        [rate('synod_acceptor_follow_dropped_total', 'id'), '{{id}} dropped'],
        [rate('synod_acceptor_fetches_refused_total', 'id'), '{{id}} fetches refused'],
      ],
      unit: 'ops',
    }),
    lines({
      title: 'Unary calls',
      help: 'Calls of people, tools and proposers in other languages, by method and result. Synod’s own roles use streams.',
      queries: [[rate('synod_acceptor_call_seconds_count', 'method, result'), '{{method}} {{result}}']],
      unit: 'ops',
    }),
    lines({
      title: 'Time of unary calls',
      help: 'Half and 99 % of them, by method.',
      queries: quantiles('synod_acceptor_call_seconds', MEMBER, 'method'),
      ...{ unit: 's', width: 24 },
    }),
  ],
};

export const acceptor = dashboard({
  uid: 'acceptor',
  title: 'Synod / Acceptor',
  description: 'Promises, votes, the journal and its disk. What acceptors keep is what Synod knows.',
  members: 'synod_acceptor_ready',
  rows: [STATE, VOTES, JOURNAL, FOLLOWERS, processRow('acceptor')],
});
