/** What a run found, as it is written to a file and shown to a person. */
import type { Shape } from '../../deploy/local/cluster.ts';
import type { Moment, Outcome } from './history.ts';
import type { Judgement } from './verify.ts';

/** A fault as it happened; milliseconds since the run began. */
export interface FaultRecord {
  readonly kind: string;
  readonly text: string;
  readonly members: readonly string[];
  readonly beganMs: number;
  endedMs: number;
  note: string | undefined;
}

/** Counts of what happened between two moments, for the page. */
export interface Bucket {
  readonly ok: number;
  readonly none: number;
  readonly unknown: number;
  /** Milliseconds of the slowest operation that succeeded; 0 where none did. */
  readonly slowestMs: number;
  /** Answers by the proposer that led. */
  readonly leaders: Readonly<Record<string, number>>;
  /** For each client what its operations came to: how many were ok, and how many were not. */
  readonly clients: readonly (readonly [number, number])[];
}

export interface ChaosResult {
  readonly when: string;
  readonly commit: string | null;
  readonly machine: string;
  readonly node: string;
  readonly seed: number;
  readonly seconds: number;
  /** Of the timeline; it is longer than the faults, which have a calm time before and after them. */
  readonly durationMs: number;
  readonly shape: Shape;
  readonly clients: number;
  readonly counts: Readonly<Record<Outcome, number>>;
  /** Operations that succeeded before the first fault. */
  readonly okBeforeFaults: number;
  readonly kinds: Readonly<Record<string, { readonly ok: number; readonly other: number }>>;
  readonly faults: readonly FaultRecord[];
  /** Faults that this machine cannot do, with the reason. */
  readonly skipped: readonly string[];
  readonly judged: Omit<Judgement, 'violations'>;
  /** Empty where all is in order. */
  readonly violations: readonly string[];
  readonly bucketMs: number;
  readonly buckets: readonly Bucket[];
}

/** Puts moments into buckets by the time at which they ended. */
export function bucketsOf(
  moments: readonly Moment[],
  durationMs: number,
  clients: number,
  bucketMs: number,
): readonly Bucket[] {
  const buckets = Array.from({ length: Math.ceil(durationMs / bucketMs) }, () => {
    const leaders: Record<string, number> = {};
    const each = Array.from({ length: clients }, (): [number, number] => [0, 0]);
    return { ok: 0, none: 0, unknown: 0, slowestMs: 0, leaders, clients: each };
  });
  for (const { client, calledMs, returnedMs, outcome, leader } of moments) {
    const bucket = buckets[Math.min(buckets.length - 1, Math.floor(returnedMs / bucketMs))];
    if (bucket === undefined) continue;
    bucket[outcome]++;
    const own = bucket.clients[client];
    if (own !== undefined) own[outcome === 'ok' ? 0 : 1]++;
    if (outcome === 'ok') bucket.slowestMs = Math.max(bucket.slowestMs, Math.round(returnedMs - calledMs));
    if (leader !== undefined) bucket.leaders[String(leader)] = (bucket.leaders[String(leader)] ?? 0) + 1;
  }
  return buckets;
}
