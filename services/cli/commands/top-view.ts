/** What `synodctl top` shows: what every member says now, and what happened since it was asked before. */
import type { Activity } from '../../../shared/wire/gen/synod/v1/common.ts';
import type { Member, Said } from './gather.ts';
import { logRows } from './log-rows.ts';
import type { LogRow } from './log-rows.ts';

/** What all members said at one moment. */
export interface Sample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly members: readonly Member[];
}

/** Milliseconds; null where nothing happened. */
export interface Quantiles {
  readonly p50: number | null;
  readonly p99: number | null;
}

export interface Row {
  readonly id: number;
  readonly state: 'ready' | 'not ready' | 'down';
  /** Why it is not ready; empty when it is. */
  readonly why: string;
  /** How often each happened in a second; null: not known yet. */
  readonly perSecond: Readonly<Record<string, number | null>>;
  readonly ms: Readonly<Record<string, Quantiles>>;
  /** What stands now. */
  readonly now: Readonly<Record<string, number>>;
}

export interface LogView extends LogRow {
  /** Slots that were chosen in a second. */
  readonly chosenPerSecond: number | null;
}

export interface View {
  /** Milliseconds that the rates are over; null: nothing is known of before. */
  readonly overMs: number | null;
  readonly proposers: readonly Row[];
  readonly acceptors: readonly Row[];
  readonly learners: readonly Row[];
  readonly logs: readonly LogView[];
}

/** How proposals ended, whichever protocol they were for. */
export const ENDS = ['chosen', 'known', 'refused', 'timeout'] as const;

export function viewOf(before: Sample | undefined, now: Sample): View {
  const overMs = before === undefined ? null : now.at - before.at;
  const rows = (role: Said['role']): Row[] =>
    now.members
      .filter(({ place }) => place.role === role)
      .map((member) => {
        const earlier = before?.members.find((each) => each.place.address === member.place.address);
        return rowOf(member, earlier, overMs);
      });
  const logsBefore = new Map(logRows(before?.members ?? []).map((row) => [row.log, row.watermark]));
  const logs = logRows(now.members).map((row) => {
    const was = logsBefore.get(row.log);
    const chosenPerSecond = was === undefined || overMs === null ? null : perSecond(row.watermark - was, overMs);
    return { ...row, chosenPerSecond };
  });
  // What moves comes first.
  logs.sort((a, b) => (b.chosenPerSecond ?? 0) - (a.chosenPerSecond ?? 0) || b.queued - a.queued);
  return { overMs, proposers: rows('proposer'), acceptors: rows('acceptor'), learners: rows('learner'), logs };
}

function rowOf({ id, said }: Member, before: Member | undefined, overMs: number | null): Row {
  if (typeof said === 'string') return { id, state: 'down', why: said, perSecond: {}, ms: {}, now: {} };
  const why = whyNot(said);
  const past = before === undefined || typeof before.said === 'string' ? undefined : before.said;
  const { tallies, times } = said.status.activity ?? { tallies: [], times: [] };
  // A member that started since then counts from zero again.
  const then = past === undefined || uptimeOf(past) > uptimeOf(said) ? undefined : past.status.activity;
  const rates = Object.fromEntries(
    tallies.map(({ name, count }) => [
      name,
      then === undefined || overMs === null ? null : perSecond(count - tallyOf(then, name), overMs),
    ]),
  );
  return {
    ...{ id, why, state: why === '' ? 'ready' : 'not ready' },
    perSecond: said.role === 'proposer' ? { ...rates, ...endsOf(rates) } : rates,
    ms: Object.fromEntries(
      times.map(({ name, boundsUs, counts }) => {
        const earlier = then?.times.find((each) => each.name === name)?.counts ?? [];
        const since = counts.map((count, at) => count - (earlier[at] ?? 0));
        return [name, then === undefined ? { p50: null, p99: null } : quantilesOf(boundsUs, since)];
      }),
    ),
    now: nowOf(said),
  };
}

/** Of both protocols together. */
function endsOf(rates: Readonly<Record<string, number | null>>): Record<string, number | null> {
  return Object.fromEntries(
    ENDS.map((end) => {
      const all = [rates[`multi.${end}`], rates[`basic.${end}`], rates[`fast.${end}`]];
      return [end, all.some((rate) => rate === null) ? null : all.reduce<number>((sum, rate) => sum + (rate ?? 0), 0)];
    }),
  );
}

function nowOf(said: Said): Record<string, number> {
  switch (said.role) {
    case 'proposer': {
      const { led, inFlight, queued } = said.status;
      return { leads: led, inFlight, queued };
    }
    case 'acceptor': {
      const { journal, queues } = said.status;
      const waiting = queues.find(({ name }) => name === 'journal.queue.bytes')?.length ?? 0;
      return { bytes: journal?.bytes ?? 0, bytesMax: journal?.bytesMax ?? 0, queuedBytes: waiting };
    }
    case 'learner': {
      const behind = said.logs.reduce((sum, log) => sum + Math.max(0, log.seen - log.applied), 0);
      return { behind, bytes: said.status.storeBytes, subscribers: said.status.subscribers };
    }
  }
}

function whyNot(said: Said): string {
  const why = said.status.process?.notReady ?? [];
  if (said.role === 'acceptor' && !said.status.speaks) return [said.status.silentBecause, ...why].join('; ');
  return why.join('; ');
}

function uptimeOf(said: Said): number {
  return said.status.process?.uptimeMs ?? 0;
}

function tallyOf(activity: Activity, name: string): number {
  return activity.tallies.find((each) => each.name === name)?.count ?? 0;
}

function perSecond(count: number, overMs: number): number {
  return overMs <= 0 ? 0 : (1_000 * Math.max(0, count)) / overMs;
}

function quantilesOf(boundsUs: readonly number[], counts: readonly number[]): Quantiles {
  return { p50: quantile(boundsUs, counts, 0.5), p99: quantile(boundsUs, counts, 0.99) };
}

/**
 * Milliseconds below which a share of what was counted lies, taken as evenly spread between two bounds, as Prometheus does. What took
 * longer than the last bound counts as that bound. Null where nothing was counted.
 */
export function quantile(boundsUs: readonly number[], counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + Math.max(0, count), 0);
  if (total === 0) return null;
  let below = 0;
  for (let at = 0; at < boundsUs.length; at++) {
    const count = Math.max(0, counts[at] ?? 0);
    if (count > 0 && below + count >= share * total) {
      const from = at === 0 ? 0 : (boundsUs[at - 1] ?? 0);
      return (from + (((boundsUs[at] ?? 0) - from) * (share * total - below)) / count) / 1_000;
    }
    below += count;
  }
  return (boundsUs[boundsUs.length - 1] ?? 0) / 1_000;
}
