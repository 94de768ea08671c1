/** What a proposer counts: notes of its machine, and proposals by what came of them. */
import type { FastLeft, FastOutcome, Note, Phase, Protocol, QuorumOutcome } from '../../shared/paxos/notes.ts';
import { BATCH_BUCKETS } from '../../shared/platform/telemetry/metrics.ts';
import type { ActivityNames, ActivityNow, Metrics } from '../../shared/platform/telemetry/metrics.ts';

const PHASES = ['prepare', 'accept'] as const satisfies readonly Phase[];
const PROTOCOLS = ['basic', 'multi', 'fast', 'probe', 'finish'] as const satisfies readonly Protocol[];
const QUORUM_OUTCOMES = [
  'reached',
  'rejected',
  'timeout',
  'collision',
  'recovered',
] as const satisfies readonly QuorumOutcome[];
const OUTCOMES = ['chosen', 'known', 'refused', 'timeout'] as const;
const CHANGES = ['taken', 'resigned', 'lost'] as const;
const FAST_OUTCOMES = ['fast', 'coordinated', 'recovered', 'fallback'] as const satisfies readonly FastOutcome[];
const FAST_LEFT = ['collided', 'led', 'unreachable', 'unknown'] as const satisfies readonly FastLeft[];
const OPEN_CHANGES = ['opened', 'closed'] as const;
const PEER_CHANGES = ['up', 'silent', 'refused'] as const;
const BYTES_BUCKETS = [64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304] as const;

export type ProposalOutcome = (typeof OUTCOMES)[number];
/** What clients propose with. */
export type ProposalProtocol = 'basic' | 'multi' | 'fast';

/** What is asked for its value when it is scraped. */
export interface Gauges {
  readonly inFlight: () => number;
  readonly queued: () => number;
  readonly pending: () => number;
  readonly pendingMax: () => number;
  readonly leaderless: () => number;
  readonly waiting: () => number;
  readonly led: () => number;
  readonly peersAlive: () => number;
  readonly acceptorsConnected: () => number;
  /** Whether the acceptor at a position is connected and speaks. */
  readonly isConnected: (position: number) => boolean;
  /** Whether the acceptors that are connected could be a quorum of a phase. */
  readonly hasQuorum: (phase: Phase) => boolean;
  readonly learnersReachable: () => number;
}

const PROPOSALS = 'synod_proposer_proposals_total';
const ACTIVITY: ActivityNames = {
  tallies: {
    // The probe is left out: nobody waits for it.
    ...Object.fromEntries(
      (['basic', 'multi', 'fast'] as const).flatMap((protocol) =>
        OUTCOMES.map((outcome) => [`${protocol}.${outcome}`, [PROPOSALS, { protocol, outcome }]] as const),
      ),
    ),
    forwarded: ['synod_proposer_forwarded_total', {}],
    collisions: ['synod_proposer_collisions_total', {}],
    recoveries: ['synod_proposer_quorums_total', { result: 'recovered' }],
    campaigns: ['synod_proposer_campaigns_total', {}],
  },
  times: {
    promise: ['synod_proposer_promise_seconds', {}],
    accept: ['synod_proposer_accept_seconds', {}],
    'quorum.prepare': ['synod_proposer_quorum_seconds', { phase: 'prepare' }],
    'quorum.accept': ['synod_proposer_quorum_seconds', { phase: 'accept' }],
    ...Object.fromEntries(
      FAST_OUTCOMES.map((outcome) => [`way.${outcome}`, ['synod_proposer_fast_seconds', { outcome }]] as const),
    ),
  },
};

/** What a status shows of these. */
export function proposerActivity(metrics: Metrics): Promise<ActivityNow> {
  return metrics.activity(ACTIVITY);
}

export type ProposerMetrics = ReturnType<typeof proposerMetrics>;

/** Makes every series, at zero. `acceptors` are their ids in the order of their positions. */
export function proposerMetrics(metrics: Metrics, acceptors: readonly number[]) {
  const ids = acceptors.map(String);
  const series = makeSeries(metrics, ids);
  const tally = tallies();
  let forwards = 0;
  return {
    gauges: (of: Gauges): void => {
      exposeGauges(metrics, ids, of);
    },
    /** Counts one answer; it reaches the series with the next `flush`, because a counter costs more than the answer. */
    answered: tally.add,
    /** Call at the end of a turn. */
    flush: (): void => {
      tally.take((protocol, outcome, count) => {
        series.proposals.inc({ protocol, outcome }, count);
      });
      if (forwards === 0) return;
      series.forwarded.inc({}, forwards);
      forwards = 0;
    },
    note: (note: Note): void => {
      if (note.kind === 'forwarded') forwards++;
      else countNote(series, ids, note);
    },
  };
}

type Series = ReturnType<typeof makeSeries>;

function makeSeries(metrics: Metrics, ids: readonly string[]) {
  const rtt = {
    promise: metrics.histogram('synod_proposer_promise_seconds', 'From a Prepare to the promise of one acceptor', {
      acceptor: ids,
    }),
    accept: metrics.histogram('synod_proposer_accept_seconds', 'From an Accept to the vote of one acceptor', {
      acceptor: ids,
    }),
  };
  const quorumTime = metrics.histogram('synod_proposer_quorum_seconds', 'Time until a phase had its quorum', {
    phase: PHASES,
  });
  const quorums = metrics.counter('synod_proposer_quorums_total', 'How phases ended', {
    phase: PHASES,
    protocol: PROTOCOLS,
    result: QUORUM_OUTCOMES,
  });
  const proposals = metrics.counter('synod_proposer_proposals_total', 'Proposals by what came of them', {
    protocol: ['basic', 'multi', 'fast', 'probe'],
    outcome: OUTCOMES,
  });
  const values = metrics.histogram('synod_proposer_batch_values', 'Values of one batch', {}, BATCH_BUCKETS);
  const bytes = metrics.histogram('synod_proposer_batch_bytes', 'Bytes of one batch', {}, BYTES_BUCKETS);
  const changes = metrics.counter('synod_proposer_leader_changes_total', 'Leadership of a log taken or given up', {
    change: CHANGES,
  });
  const campaigns = metrics.counter('synod_proposer_campaigns_total', 'Attempts to lead a log', {});
  const forwarded = metrics.counter('synod_proposer_forwarded_total', 'Proposals given to the leader', {});
  const peers = metrics.counter('synod_proposer_peer_changes_total', 'Other proposers heard again or given up', {
    change: PEER_CHANGES,
  });
  const noOps = metrics.counter('synod_proposer_no_ops_total', 'Slots filled with a no-op', {});
  const recovered = metrics.counter('synod_proposer_reproposed_total', 'Slots proposed again as found', {});
  const fast = metrics.histogram('synod_proposer_fast_seconds', 'Time of a proposal that was sent FAST, by its way', {
    outcome: FAST_OUTCOMES,
  });
  const collisions = metrics.counter(
    'synod_proposer_collisions_total',
    'Slots where fast votes went to several values, and no value could get a fast quorum',
    {},
  );
  const left = metrics.counter('synod_proposer_fast_left_total', "Times that a log's FAST proposals went to a leader", {
    reason: FAST_LEFT,
  });
  const openings = metrics.counter(
    'synod_proposer_fast_openings_total',
    'Logs opened for fast voting, and closed again',
    {
      change: OPEN_CHANGES,
    },
  );
  const pauses = metrics.histogram('synod_proposer_pause_seconds', 'Times that this process stood still', {});
  const probe = metrics.histogram('synod_proposer_probe_seconds', 'Time of a probe round that was chosen', {});
  return {
    ...{ rtt, quorumTime, quorums, proposals, values, bytes, changes },
    ...{ fast, collisions, left, openings },
    ...{ campaigns, forwarded, peers, noOps, recovered, pauses, probe },
  };
}

function countNote(series: Series, ids: readonly string[], note: Note): void {
  switch (note.kind) {
    case 'promise-rtt':
      series.rtt.promise.observe({ acceptor: ids[note.acceptor] ?? '' }, note.ms / 1_000);
      return;
    case 'accept-rtt':
      series.rtt.accept.observe({ acceptor: ids[note.acceptor] ?? '' }, note.ms / 1_000);
      return;
    case 'quorum':
      series.quorums.inc({ phase: note.phase, protocol: note.protocol, result: note.outcome });
      if (note.outcome === 'reached') series.quorumTime.observe({ phase: note.phase }, note.ms / 1_000);
      return;
    case 'batch':
      series.values.observe({}, note.values);
      series.bytes.observe({}, note.bytes);
      return;
    case 'leader':
      series.changes.inc({ change: note.change });
      return;
    case 'campaign':
      series.campaigns.inc({});
      return;
    case 'peer':
      series.peers.inc({ change: note.change });
      return;
    case 'no-op':
      series.noOps.inc({}, note.count);
      return;
    case 'reproposed':
      series.recovered.inc({}, note.count);
      return;
    case 'fast':
      series.fast.observe({ outcome: note.outcome }, note.ms / 1_000);
      return;
    case 'collision':
      series.collisions.inc({});
      return;
    case 'left':
      series.left.inc({ reason: note.why });
      return;
    case 'opened':
    case 'closed':
      series.openings.inc({ change: note.kind });
      return;
    case 'pause':
      series.pauses.observe({}, note.ms / 1_000);
      return;
    case 'proposal':
      // Answers to clients are counted where they are given; only the probe has no client.
      if (note.protocol !== 'probe') return;
      series.proposals.inc({ protocol: 'probe', outcome: note.outcome }, note.count);
      if (note.outcome === 'chosen') series.probe.observe({}, note.ms / 1_000);
      return;
    default:
      return;
  }
}

/** Counts of answers between two flushes. */
function tallies() {
  const counts = { basic: newCounts(), multi: newCounts(), fast: newCounts() };
  let any = false;
  return {
    add: (protocol: ProposalProtocol, outcome: ProposalOutcome): void => {
      counts[protocol][outcome]++;
      any = true;
    },
    take: (each: (protocol: ProposalProtocol, outcome: ProposalOutcome, count: number) => void): void => {
      if (!any) return;
      any = false;
      for (const protocol of ['basic', 'multi', 'fast'] as const)
        for (const outcome of OUTCOMES) {
          const count = counts[protocol][outcome];
          if (count > 0) each(protocol, outcome, count);
          counts[protocol][outcome] = 0;
        }
    },
  };
}

function newCounts(): Record<ProposalOutcome, number> {
  return { chosen: 0, known: 0, refused: 0, timeout: 0 };
}

function exposeGauges(metrics: Metrics, ids: readonly string[], of: Gauges): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    metrics.gaugeOf(`synod_proposer_${name}`, help, read);
  };
  gauge('in_flight', 'Proposals sent to the acceptors and not yet chosen', of.inFlight);
  gauge('queued', 'Proposals that wait to be sent', of.queued);
  gauge('pending', 'Proposals held here, forwarded ones included', of.pending);
  gauge('pending_max', 'Proposals held here before more are refused (proposals.in-flight.max)', of.pendingMax);
  gauge('leaderless_logs', 'Logs with proposals that wait here because nobody leads the log', of.leaderless);
  gauge('session_waiting', 'Proposals that wait for a number of the session of this proposer', of.waiting);
  gauge('led_logs', 'Logs that this proposer leads', of.led);
  gauge('peers_alive', 'Other proposers that are heard', of.peersAlive);
  gauge('acceptors_connected', 'Acceptors connected that speak', of.acceptorsConnected);
  gauge('learners_reachable', 'Learners that answered lately', of.learnersReachable);
  metrics.gaugesOf(
    'synod_proposer_acceptor_connected',
    '1 while this acceptor is connected and speaks',
    'acceptor',
    Object.fromEntries(ids.map((id, position) => [id, () => Number(of.isConnected(position))])),
  );
  metrics.gaugesOf(
    'synod_proposer_quorum_connected',
    '1 while the acceptors that are connected suffice for this phase',
    'phase',
    Object.fromEntries(PHASES.map((phase) => [phase, () => Number(of.hasQuorum(phase))])),
  );
}
