/** What an acceptor counts: notes of its machine, its journal, its streams. */
import { isFast } from '../../shared/paxos/ballot.ts';
import type { Purpose, RejectReason } from '../../shared/paxos/messages.ts';
import type { Note, Phase } from '../../shared/paxos/notes.ts';
import { BATCH_BUCKETS } from '../../shared/platform/telemetry/metrics.ts';
import type { ActivityNames, ActivityNow, Metrics } from '../../shared/platform/telemetry/metrics.ts';

const PURPOSES = ['lead', 'decree', 'finish', 'open'] as const satisfies readonly Purpose[];
const PHASES = ['prepare', 'accept', 'any'] as const satisfies readonly (Phase | 'any')[];
const REASONS = [
  ...(['ballot', 'led', 'floor', 'space', 'logs'] as const),
  ...(['round', 'busy', 'conflict', 'ahead', 'not-open'] as const),
  // A conflict at a fast ballot: several values met there, which is nobody's fault.
  'collision',
] as const satisfies readonly (RejectReason | 'collision')[];

/** What is asked for its value when it is scraped. */
export interface Gauges {
  readonly journalBytes: () => number;
  readonly journalBytesMax: () => number;
  readonly journalSegments: () => number;
  readonly journalQueuedBytes: () => number;
  readonly journalHasRoom: () => boolean;
  readonly held: () => number;
  readonly logs: () => number;
  readonly speaks: () => boolean;
  readonly sessions: () => number;
  readonly followers: () => number;
  readonly followersBehind: () => number;
}

export type AcceptorMetrics = ReturnType<typeof acceptorMetrics>;

/** Makes every series, at zero. */
export function acceptorMetrics(metrics: Metrics) {
  const syncs = metrics.histogram('synod_acceptor_fsync_seconds', 'Time to make one record of the journal durable', {});
  const entries = metrics.histogram(
    'synod_acceptor_record_entries',
    'Journal entries that shared one write and sync',
    {},
    BATCH_BUCKETS,
  );
  const values = metrics.histogram('synod_acceptor_accept_values', 'Values of one Accept', {}, BATCH_BUCKETS);
  const promises = metrics.counter('synod_acceptor_promises_total', 'Promises made', { purpose: PURPOSES });
  const votes = metrics.counter('synod_acceptor_votes_total', 'Slots voted for', {});
  const bytes = metrics.counter('synod_acceptor_voted_bytes_total', 'Bytes of values voted for', {});
  const rejects = metrics.counter('synod_acceptor_rejects_total', 'Refused Prepares and Accepts', {
    phase: PHASES,
    reason: REASONS,
  });
  const trims = metrics.counter('synod_acceptor_trims_total', 'Times that a trim floor rose', {});
  const dropped = metrics.counter(
    'synod_acceptor_follow_dropped_total',
    'Messages that a learner was too slow to take and reads again from the journal',
    {},
  );
  const refused = metrics.counter(
    'synod_acceptor_fetches_refused_total',
    'Fetches beyond what one learner may have',
    {},
  );
  return {
    gauges: (of: Gauges): void => {
      exposeGauges(metrics, of);
    },
    synced: (ms: number): void => {
      syncs.observe({}, ms / 1_000);
    },
    recorded: (count: number): void => {
      entries.observe({}, count);
    },
    dropped: (count: number): void => {
      dropped.inc({}, count);
    },
    fetchRefused: (): void => {
      refused.inc({});
    },
    busy: (): void => {
      rejects.inc({ phase: 'accept', reason: 'busy' });
    },
    note: (note: Note): void => {
      if (note.kind === 'promised') promises.inc({ purpose: note.purpose });
      else if (note.kind === 'rejected') rejects.inc({ phase: note.phase, reason: reasonOf(note) });
      else if (note.kind === 'trimmed') trims.inc({});
      else if (note.kind === 'voted') {
        votes.inc({}, note.count);
        bytes.inc({}, note.bytes);
        values.observe({}, note.count);
      }
    },
  };
}

/** Why an acceptor refused, as it is counted and logged: two values at one ballot are a mistake (R2) at classic ballots only. */
export function reasonOf({ reason, ballot }: Note & { readonly kind: 'rejected' }): (typeof REASONS)[number] {
  return reason === 'conflict' && isFast(ballot) ? 'collision' : reason;
}

function exposeGauges(metrics: Metrics, of: Gauges): void {
  const gauge = (name: string, help: string, read: () => number | boolean): void => {
    metrics.gaugeOf(`synod_acceptor_${name}`, help, () => Number(read()));
  };
  gauge('journal_bytes', 'Bytes of the journal on disk, preallocated space included', of.journalBytes);
  gauge(
    'journal_bytes_max',
    'Bytes of the journal above which new slots are refused (journal.bytes.max)',
    of.journalBytesMax,
  );
  gauge('journal_segments', 'Files of the journal', of.journalSegments);
  gauge('journal_queued_bytes', 'Bytes of entries that wait for their write', of.journalQueuedBytes);
  gauge('journal_has_room', '1 while new slots are taken', of.journalHasRoom);
  gauge('held_messages', 'Messages that wait until what they depend on is durable', of.held);
  gauge('logs', 'Logs known here', of.logs);
  gauge('speaks', '1 once this acceptor is a member and may promise and vote', of.speaks);
  gauge('sessions', 'Proposers connected', of.sessions);
  gauge('followers', 'Learners connected', of.followers);
  gauge('followers_behind', 'Learners that were too slow for live votes and catch up', of.followersBehind);
}

const ACTIVITY: ActivityNames = {
  tallies: {
    promises: ['synod_acceptor_promises_total', {}],
    votes: ['synod_acceptor_votes_total', {}],
    rejects: ['synod_acceptor_rejects_total', {}],
  },
  times: { fsync: ['synod_acceptor_fsync_seconds', {}] },
};

/** What a status shows of these. */
export function acceptorActivity(metrics: Metrics): Promise<ActivityNow> {
  return metrics.activity(ACTIVITY);
}

/** Unary calls by what came of them. */
export function callMetrics(metrics: Metrics): (method: string, code: number, ms: number) => void {
  const methods = ['Prepare', 'Accept', 'Tip', 'Introduce', 'Forget', 'Status', 'Logs'] as const;
  const results = ['ok', 'failed'] as const;
  const seconds = metrics.histogram('synod_acceptor_call_seconds', 'Time to answer a unary call', {
    method: methods,
    result: results,
  });
  return (path, code, ms) => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const method = methods.find((each) => each === name);
    if (method !== undefined) seconds.observe({ method, result: code === 0 ? 'ok' : 'failed' }, ms / 1_000);
  };
}
