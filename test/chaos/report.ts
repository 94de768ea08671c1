/** The result as text for a person. */
import type { ChaosResult } from './result.ts';

/** Violations that are shown; the rest is counted. */
const SHOWN_MAX = 20;

export function report(result: ChaosResult): string[] {
  const { counts, faults, judged, violations, skipped, shape } = result;
  const byKind = new Map<string, number>();
  for (const { kind } of faults) byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
  return [
    '',
    `${shape.acceptors} acceptors (${shape.quorum ?? 'majority'}), ${shape.proposers} proposers, ${shape.learners} learners, ${result.clients} clients; seed ${result.seed}, ${seconds(result.durationMs)}.`,
    `${result.machine}, Node ${result.node}.`,
    '',
    ...Object.entries(result.kinds).map(
      ([kind, { ok, other }]) => `  ${kind.padEnd(8)} ${count(ok).padStart(9)} ok  ${count(other).padStart(7)} not`,
    ),
    `  ${'together'.padEnd(8)} ${count(counts.ok).padStart(9)} ok  ${count(counts.unknown)} unknown, ${count(counts.none)} without effect; ${count(result.okBeforeFaults)} ok before the first fault`,
    '',
    `  faults   ${[...byKind].map(([kind, times]) => `${times} × ${kind}`).join(', ') || 'none'}`,
    ...skipped.map((line) => `  skipped  ${line}`),
    '',
    `Judged ${count(judged.histories)} histories with ${count(judged.operations)} operations in ${count(judged.states)} states.`,
    ...violations.slice(0, SHOWN_MAX).map((text) => `VIOLATION: ${text}`),
    ...(violations.length > SHOWN_MAX ? [`… and ${violations.length - SHOWN_MAX} more`] : []),
    violations.length === 0
      ? 'Nothing acknowledged was lost, all learners agree, every history is linearizable.'
      : `${violations.length} sentences are broken. Again: npm run chaos -- ${again(result)}`,
  ];
}

/** The flags that repeat a run. Faults come as they came; how processes ran in between does not. */
export function again({ seconds: time, seed, shape, clients }: ChaosResult): string {
  return (
    `--seconds ${time} --seed ${seed} --acceptors ${shape.acceptors} --quorum ${shape.quorum ?? 'majority'} --proposers ${shape.proposers} ` +
    `--learners ${shape.learners} --clients ${clients}`
  );
}

export const count = (value: number): string => value.toLocaleString('en-US');
export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
