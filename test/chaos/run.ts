/**
 * One run: a cluster of real processes, clients that work and remember, faults drawn from the seed; then everything is undone, must
 * come back, and is judged.
 */
import { setMaxListeners } from 'node:events';
import { Prng } from '../../shared/base/prng.ts';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { Crew, nameOf, pause, within } from './crew.ts';
import type { Shape } from './crew.ts';
import { fullDisks, JOURNAL_MIB, syncErrors } from './disks.ts';
import type { Fault, FaultKind, Ground, Skipped } from './fault.ts';
import { History } from './history.ts';
import { heal, linkFaults } from './links.ts';
import { networkFaults } from './network.ts';
import { processFaults } from './processes.ts';
import { distrusted, readBack } from './read-back.ts';
import type { FaultRecord } from './result.ts';
import { verify } from './verify.ts';
import type { Copy, Judgement } from './verify.ts';
import { Workload } from './workload.ts';

/** Calm before the first fault: at least so long, and until so much succeeded, or the run does not count. */
const CALM_MS_MIN = 2_000;
const CALM_MS_MAX = 30_000;
export const OK_BEFORE_MIN = 100;
/** Operations that must succeed for each second of a run, and after all faults were undone. */
export const OK_PER_SECOND_MIN = 5;
const OK_AFTER_MIN = 50;
const AFTER_MS_MAX = 60_000;
/** Between two faults, and how long one lasts. */
const GAP_MS = [300, 2_500] as const;
const HOLD_MS = [200, 3_000] as const;
/** Small segments, so that they change often. */
const SEGMENT = ['--journal-segment-bytes', '16MiB', '--journal-bytes-max', `${JOURNAL_MIB}MiB`];

export interface RunOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly shape: Shape;
  readonly clients: number;
  readonly rate: number;
  /** Only kinds of faults whose name matches. */
  readonly only: RegExp | undefined;
  /** Why there are no faults of the network; undefined where there are. */
  readonly noNetwork: string | undefined;
  /** A folder for the logs of all members, made where something is wrong. */
  readonly keep: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface Run {
  readonly history: History;
  readonly copies: readonly Copy[];
  readonly faults: readonly FaultRecord[];
  readonly skipped: readonly Skipped[];
  readonly durationMs: number;
  readonly okBeforeFaults: number;
  readonly judgement: Judgement;
  /** Those of the judgement, and those that showed while the run went on. */
  readonly violations: readonly string[];
}

/** Runs it and leaves nothing behind. Throws where the cluster cannot be started, and where the run is given up. */
export async function run(options: RunOptions): Promise<Run> {
  const { shape, signal, say } = options;
  setMaxListeners(0, signal);
  const violations: string[] = [];
  const violation = (sentence: string): void => {
    violations.push(sentence);
    say(`VIOLATION: ${sentence}`);
  };
  const roleArguments = { acceptor: SEGMENT };
  const crew = await Crew.start({ shape, roleArguments, onUnexpectedEnd: violation, signal });
  try {
    const done = await inCluster(crew, violations, violation, options);
    if (done.violations.length > 0) crew.keepLogs(options.keep);
    return done;
  } finally {
    await crew.stop();
  }
}

async function inCluster(
  crew: Crew,
  violations: string[],
  violation: (sentence: string) => void,
  options: RunOptions,
): Promise<Run> {
  const { say, signal, clients, rate, seed, seconds } = options;
  const history = new History();
  const began = performance.now();
  const now = (): number => performance.now() - began;
  const workload = new Workload({ crew, history, clients, rate, seed, now });
  const ground: Ground = { crew, workload, signal, violation };
  const faults: FaultRecord[] = [];
  let kinds: Kinds;
  let okBeforeFaults: number;
  try {
    kinds = await kindsOf(ground, options);
    await calm(history, now, signal);
    okBeforeFaults = history.ok;
    const end = now() + 1_000 * seconds;
    const hurting = { ground, faults, now, end, say };
    await Promise.all([
      hurt({ ...hurting, kinds: kinds.processes, random: new Prng(seed) }),
      hurt({ ...hurting, kinds: kinds.links, random: new Prng(seed + 1) }),
    ]);
    say('All faults are undone; waiting for everything to come back …');
    await comesBack(ground, history);
  } finally {
    await workload.stop();
  }
  for (const kind of [...kinds.processes, ...kinds.links]) await kind.close?.();
  if (signal.aborted) throw new SynodError('CANCELLED', 'the run was given up');
  const durationMs = now();
  workload.check();
  say(`Reading ${history.logs.size} logs and ${history.decrees.size} decrees at every learner …`);
  const copies = await readBack(crew, [...history.logs.keys(), ...history.decrees.keys()]).catch((error: unknown) => {
    violation(`the learners could not be read when all faults were undone: ${messageOf(error)}`);
    return [];
  });
  for (const text of await distrusted(crew)) violation(text);
  say(`Judging ${history.moments.length} operations …`);
  const judgement = verify(history, copies);
  const vacuous = vacuousness(history.ok, okBeforeFaults, faults.length, seconds);
  const all = [...violations, ...judgement.violations, ...vacuous];
  return { history, copies, faults, skipped: kinds.skipped, durationMs, okBeforeFaults, judgement, violations: all };
}

/** A run in which too little happened says nothing. */
export function vacuousness(ok: number, okBefore: number, faults: number, seconds: number): string[] {
  const least = Math.round(OK_PER_SECOND_MIN * seconds);
  return [
    ...(okBefore < OK_BEFORE_MIN
      ? [`vacuous: ${okBefore} operations succeeded before the first fault, and ${OK_BEFORE_MIN} make a run`]
      : []),
    ...(ok < least ? [`vacuous: ${ok} operations succeeded in ${seconds} s, and ${least} make a run`] : []),
    ...(faults === 0 ? ['vacuous: there was no fault'] : []),
  ];
}

/** Faults of processes and disks come one after the other, and those of links beside them. */
interface Kinds {
  readonly processes: readonly FaultKind[];
  readonly links: readonly FaultKind[];
  readonly skipped: readonly Skipped[];
}

async function kindsOf(ground: Ground, { only, noNetwork }: RunOptions): Promise<Kinds> {
  const isWanted = ({ name }: { readonly name: string }): boolean => only?.test(name) ?? true;
  const links = [...linkFaults(ground), ...networkFaults(ground, noNetwork)].filter(isWanted);
  const all: (FaultKind | Skipped)[] = processFaults(ground).filter(isWanted);
  if (isWanted({ name: 'sync error' })) all.push(syncErrors(ground));
  if (isWanted({ name: 'full disk' })) all.push(await fullDisks(ground));
  const able = (kinds: readonly (FaultKind | Skipped)[]): FaultKind[] =>
    kinds.flatMap((each) => ('why' in each ? [] : [each]));
  const skipped = [...all, ...links].flatMap((each) => ('why' in each ? [each] : []));
  return { processes: able(all), links: able(links), skipped };
}

async function calm(history: History, now: () => number, signal: AbortSignal): Promise<void> {
  await pause(CALM_MS_MIN, signal);
  await within(CALM_MS_MAX - now(), signal, () => (history.ok >= OK_BEFORE_MIN ? true : undefined));
}

interface Hurting {
  readonly ground: Ground;
  readonly kinds: readonly FaultKind[];
  readonly faults: FaultRecord[];
  readonly now: () => number;
  /** No fault begins after this moment. */
  readonly end: number;
  readonly random: Prng;
  readonly say: (line: string) => void;
}

/** One fault after the other, until the time is over. */
async function hurt({ ground, kinds, faults, now, end, random, say }: Hurting): Promise<void> {
  const { signal, workload } = ground;
  if (kinds.length === 0) return;
  const between = ([least, most]: readonly [number, number]): number => least + random.below(most - least);
  for (;;) {
    await pause(between(GAP_MS), signal);
    const hold = between(HOLD_MS);
    const fault = weighted(kinds, random).draw(random);
    if (now() > end || signal.aborted) return;
    workload.check();
    const beganMs = now();
    const record: FaultRecord = {
      ...{ kind: fault.kind, text: fault.text, members: fault.members.map(nameOf) },
      ...{ beganMs, endedMs: beganMs, note: undefined },
    };
    faults.push(record);
    await happen(fault, record, hold, signal);
    record.endedMs = now();
    say(`${(record.beganMs / 1_000).toFixed(1).padStart(7)} s  ${record.text}${noteOf(record)}`);
  }
}

async function happen(fault: Fault, record: FaultRecord, holdMs: number, signal: AbortSignal): Promise<void> {
  try {
    record.note = await fault.begin();
    await pause(holdMs, signal);
  } finally {
    const said = await fault.end();
    record.note = [record.note ?? [], said ?? []].flat().join('; ') || undefined;
  }
}

const noteOf = ({ note }: FaultRecord): string => (note === undefined ? '' : ` (${note})`);

function weighted(kinds: readonly FaultKind[], random: Prng): FaultKind {
  let left = random.below(kinds.reduce((sum, { weight }) => sum + weight, 0));
  return kinds.find(({ weight }) => (left -= weight) < 0) ?? (kinds[0] as FaultKind);
}

/** Everybody runs and is ready again, and clients get answers. */
async function comesBack({ crew, signal, violation }: Ground, history: History): Promise<void> {
  await crew.back(crew.members);
  const healed = async (): Promise<true | undefined> =>
    (await heal(crew, crew.members)).length === 0 ? true : undefined;
  if ((await within(AFTER_MS_MAX, signal, healed)) === undefined) violation('faults of links could not be undone');
  if (signal.aborted) return;
  try {
    await crew.cluster.ready(crew.members);
  } catch (error) {
    violation(`after all faults were undone: ${messageOf(error)}`);
  }
  const before = history.ok;
  await pause(CALM_MS_MIN, signal);
  const isWorking = (): true | undefined => (history.ok >= before + OK_AFTER_MIN ? true : undefined);
  if ((await within(AFTER_MS_MAX, signal, isWorking)) === undefined)
    violation(
      `only ${history.ok - before} operations succeeded within ${AFTER_MS_MAX / 1_000} s after all faults were undone`,
    );
}
