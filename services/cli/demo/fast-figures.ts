/** What the proposers of a cluster count of FAST proposals, between two moments. */
import type { Member } from '../commands/gather.ts';
import { quantile } from '../commands/top-view.ts';
import { table } from '../table.ts';
import { verdict } from './claims.ts';
import type { Verdict } from './claims.ts';

/** The ways of a FAST proposal, as `synod_proposer_fast_seconds` names them. */
export const WAYS = ['fast', 'coordinated', 'recovered', 'fallback'] as const;
export type Way = (typeof WAYS)[number];

const MEANS: Readonly<Record<Way, string>> = {
  fast: 'a fast quorum voted for it',
  coordinated: 'collided, and who opened the ballot decided',
  recovered: 'collided, and a classic ballot decided',
  fallback: 'no collision; the classic way all the same',
};

export interface Figures {
  readonly ways: Readonly<Record<Way, { readonly proposals: number; readonly p50Ms: number | null }>>;
  /** Each proposer counts those that it sees. */
  readonly collisions: number;
  /** Slots that who opened the log recovered, whatever became of the values that collided there. */
  readonly recoveries: number;
}

/** What happened in all proposers since `before`. */
export function figuresOf(before: readonly Member[], now: readonly Member[]): Figures {
  const sum = new Map<Way, { bounds: readonly number[]; counts: number[] }>();
  let [collisions, recoveries] = [0, 0];
  for (const { place, said } of now) {
    if (typeof said === 'string' || said.role !== 'proposer') continue;
    const then = before.find((each) => each.place.address === place.address)?.said;
    const past = then === undefined || typeof then === 'string' ? undefined : then.status.activity;
    const tally = (of: typeof past, wanted: string): number =>
      of?.tallies.find(({ name }) => name === wanted)?.count ?? 0;
    const since = (wanted: string): number => tally(said.status.activity, wanted) - tally(past, wanted);
    collisions += since('collisions');
    recoveries += since('recoveries');
    for (const way of WAYS) {
      const times = said.status.activity?.times.find(({ name }) => name === `way.${way}`);
      const earlier = past?.times.find(({ name }) => name === `way.${way}`)?.counts ?? [];
      const counts = (times?.counts ?? []).map((count, at) => count - (earlier[at] ?? 0));
      const known = sum.get(way)?.counts ?? [];
      sum.set(way, { bounds: times?.boundsUs ?? [], counts: counts.map((count, at) => count + (known[at] ?? 0)) });
    }
  }
  const row = (way: Way): Figures['ways'][Way] => {
    const { bounds = [], counts = [] } = sum.get(way) ?? {};
    return { proposals: counts.reduce((all, count) => all + count, 0), p50Ms: quantile(bounds, counts, 0.5) };
  };
  return {
    ways: {
      fast: row('fast'),
      coordinated: row('coordinated'),
      recovered: row('recovered'),
      fallback: row('fallback'),
    },
    ...{ collisions, recoveries },
  };
}

export function figureLines({ ways, collisions, recoveries }: Figures): string[] {
  const rows = WAYS.map((way) => {
    const { proposals, p50Ms } = ways[way];
    return [way, String(proposals), p50Ms === null ? '–' : `${p50Ms.toFixed(1)} ms`, MEANS[way]];
  });
  return [
    ...table(['way', 'proposals', 'median', ''], rows),
    '',
    `collisions seen by proposers: ${String(collisions)}; recovered by who opened the log: ${String(recoveries)}`,
  ];
}

/** The proposers counted at least so many proposals by their way, a collision, and a recovery by who opened a log. */
export function counted(figures: Figures, least: Readonly<Partial<Record<Way, number>>>): Verdict {
  const { ways, collisions, recoveries } = figures;
  const short = WAYS.filter((way) => ways[way].proposals < (least[way] ?? 0));
  const text = WAYS.map((way) => `${way} ${String(ways[way].proposals)}`).join(', ');
  const missing = short.map((way) => `at least ${String(least[way])} ${way}`).join(', ');
  return verdict(
    short.length === 0 && collisions > 0 && recoveries > 0,
    `${text}, collisions ${String(collisions)}, recoveries by an opener ${String(recoveries)}${missing === '' ? '' : `; and not ${missing}`}`,
  );
}
