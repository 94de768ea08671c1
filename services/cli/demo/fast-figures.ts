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
}

/** What happened in all proposers since `before`. */
export function figuresOf(before: readonly Member[], now: readonly Member[]): Figures {
  const sum = new Map<Way, { bounds: readonly number[]; counts: number[] }>();
  let collisions = 0;
  for (const { place, said } of now) {
    if (typeof said === 'string' || said.role !== 'proposer') continue;
    const then = before.find((each) => each.place.address === place.address)?.said;
    const past = then === undefined || typeof then === 'string' ? undefined : then.status.activity;
    const tally = (of: typeof past): number => of?.tallies.find(({ name }) => name === 'collisions')?.count ?? 0;
    collisions += tally(said.status.activity) - tally(past);
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
    collisions,
  };
}

export function figureLines({ ways, collisions }: Figures): string[] {
  const rows = WAYS.map((way) => {
    const { proposals, p50Ms } = ways[way];
    return [way, String(proposals), p50Ms === null ? '–' : `${p50Ms.toFixed(1)} ms`, MEANS[way]];
  });
  return [
    ...table(['way', 'proposals', 'median', ''], rows),
    '',
    `collisions seen by proposers: ${String(collisions)}`,
  ];
}

/** The proposers counted at least so many. */
export function counted(figures: Figures, least: Readonly<Record<Way, number>>): Verdict {
  const short = WAYS.filter((way) => figures.ways[way].proposals < least[way]);
  const text = WAYS.map((way) => `${way} ${String(figures.ways[way].proposals)}`).join(', ');
  const missing = short.map((way) => `at least ${String(least[way])} ${way}`).join(', ');
  return verdict(
    short.length === 0 && figures.collisions > 0,
    `${text}, collisions ${String(figures.collisions)}${missing === '' ? '' : `; and not ${missing}`}`,
  );
}
