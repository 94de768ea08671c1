/** `synodctl quorum`: which quorum systems so many acceptors can have, and what each survives, before anyone deploys one. */
import { SynodError } from '../../../shared/base/errors.ts';
import { idsNamed, isQuorumSetting, QUORUM_FORMS, quorumSystem } from '../../../shared/paxos/quorum-setting.ts';
import {
  ACCEPTORS_MAX,
  ACCEPTORS_MIN,
  UnsafeQuorumsError,
  bitCount,
  gridsOf,
  membersOf,
  survives,
  type QuorumPhase,
  type QuorumSystem,
} from '../../../shared/paxos/quorum.ts';
import { parseNumber } from '../context.ts';
import { EXIT, UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { table } from '../table.ts';
import { showLine } from '../text.ts';

export interface QuorumOptions {
  readonly acceptors?: string;
  readonly q1?: string;
  readonly q2?: string;
  readonly qf?: string;
  readonly grid?: string;
  readonly weights?: string;
  readonly sets?: string;
  readonly json?: boolean;
}

const PHASES = ['phase1', 'phase2', 'fast'] as const satisfies readonly QuorumPhase[];

/** Prints the systems that are legal, or judges the one that is given. An unsafe one is refused, with exit code 1. */
export function quorum(given: string | undefined, options: QuorumOptions, io: Io): number {
  const asked = settingOf(given, options);
  const ids = idsOf(asked, options.acceptors);
  if (asked === undefined) return showAll(ids, options.json === true, io);
  return showOne(asked, ids, options.json === true, io);
}

/** The system that the command line asks about; undefined where it asks about none. */
function settingOf(given: string | undefined, options: QuorumOptions): string | undefined {
  const { q1, q2, qf, grid, weights, sets } = options;
  const ways = [given, grid, sets, weights].filter((way) => way !== undefined);
  if (ways.length > 1 || (ways.length === 1 && weights === undefined && (q1 ?? q2 ?? qf) !== undefined))
    throw new UsageError(
      'one system at a time: SYSTEM, or --q1 --q2 [--qf], or --grid, or --weights with --q1 --q2, or --sets',
    );
  const sizes = (): string => {
    if (q1 === undefined || q2 === undefined)
      throw new UsageError('--q1 and --q2 belong together: how many promise, and how many choose');
    const numbers = [parseNumber(q1, '--q1', 0), parseNumber(q2, '--q2', 0)];
    return [...numbers, ...(qf === undefined ? [] : [parseNumber(qf, '--qf', 0)])].join(',');
  };
  const setting =
    given ??
    (grid !== undefined
      ? `grid:${grid}`
      : sets !== undefined
        ? `sets:${sets}`
        : weights !== undefined
          ? `weighted:${weights}:${sizes()}`
          : (q1 ?? q2 ?? qf) === undefined
            ? undefined
            : `sizes:${sizes()}`);
  if (setting === undefined || isQuorumSetting(setting)) return setting;
  throw new UsageError(`a quorum system must be ${QUORUM_FORMS}, not ${JSON.stringify(setting)}`);
}

/** The acceptors' ids: those that the system names, or from 1 on. */
function idsOf(setting: string | undefined, acceptors: string | undefined): readonly number[] {
  const named = setting === undefined ? undefined : idsNamed(setting);
  if (acceptors === undefined && named !== undefined) return named;
  const count = parseNumber(acceptors ?? String(ACCEPTORS_MIN), '--acceptors', ACCEPTORS_MIN, ACCEPTORS_MAX);
  return named?.length === count ? named : Array.from({ length: count }, (_, i) => i + 1);
}

/** What a phase needs and survives. */
interface PhaseRow {
  /** The smallest and the greatest number of acceptors in a quorum of which none can be left out. */
  readonly acceptors: readonly [number, number];
  /** Losses after which a quorum is always left. */
  readonly survivesAny: number;
  /** Losses after which one is left, when they are the right ones. */
  readonly survivesAtBest: number;
  /** All quorums of which none can be left out, by ids. */
  readonly quorums: readonly (readonly number[])[];
}

interface SystemRow {
  readonly system: string;
  readonly name: string;
  readonly acceptors: readonly number[];
  readonly phase1: PhaseRow;
  readonly phase2: PhaseRow;
  /** Null where the system has no fast quorums. */
  readonly fast: PhaseRow | null;
}

function rowOf(system: QuorumSystem, ids: readonly number[]): SystemRow {
  const phase = (which: QuorumPhase): PhaseRow | null => {
    const lost = survives(system, which);
    if (lost === undefined) return null;
    const sets = system.minimal(which);
    const counts = sets.map(bitCount);
    return {
      acceptors: [Math.min(...counts), Math.max(...counts)],
      survivesAny: lost.any,
      survivesAtBest: lost.best,
      quorums: sets.map((set) => membersOf(ids, set)),
    };
  };
  const [phase1, phase2] = [phase('phase1'), phase('phase2')];
  // Every system that is built has quorums in both phases.
  if (phase1 === null || phase2 === null) throw new SynodError('INTERNAL', `${system.setting} has no quorums`);
  return { system: system.setting, name: system.name, acceptors: ids, phase1, phase2, fast: phase('fast') };
}

function showAll(ids: readonly number[], json: boolean, io: Io): number {
  const rows = legalSystems(ids).map((system) => rowOf(system, ids));
  if (json) {
    for (const row of rows) io.out(JSON.stringify({ legal: true, ...row }));
    return EXIT.ok;
  }
  io.out(`Quorum systems of ${String(ids.length)} acceptors, and how many losses each survives.`);
  io.out('');
  const head = ['--quorum', 'phase 1', 'survives', 'phase 2', 'survives', 'fast', 'survives'];
  const cells = (phase: PhaseRow | null): string[] => [countText(phase), lossText(phase)];
  const lines = rows.map((row) => [row.system, ...PHASES.flatMap((phase) => cells(row[phase]))]);
  for (const line of table(head, lines)) io.out(line);
  io.out('');
  for (const line of LEGEND) io.out(line);
  return EXIT.ok;
}

const LEGEND = [
  'phase 1  acceptors that must promise: to elect a leader, for a linearizable read',
  'phase 2  acceptors that must vote: to choose a value, whoever leads already',
  'fast     acceptors that must vote: to choose a value at a fast ballot',
  '"1 to 3" survives any 1 loss, and 3 when they are the right ones. Fewer in one',
  'phase are more in the other. Also: weighted, sets, larger sizes (--help).',
];

/** Majorities, the smallest sizes that are safe, and grids. */
function legalSystems(ids: readonly number[]): QuorumSystem[] {
  const n = ids.length;
  const settings = [
    'majority',
    ...Array.from({ length: n }, (_, i) => `sizes:${String(n - i)},${String(i + 1)}`),
    ...gridsOf(n).filter((each) => !each.startsWith('grid:1x') && !each.endsWith('x1')),
  ];
  const systems = settings.map((setting) => quorumSystem(setting, ids));
  return systems.filter((system, at) => systems.findIndex((other) => other.setting === system.setting) === at);
}

function countText(phase: PhaseRow | null): string {
  if (phase === null) return '–';
  const [least, most] = phase.acceptors;
  return least === most ? String(least) : `${String(least)} to ${String(most)}`;
}

function lossText(phase: PhaseRow | null): string {
  if (phase === null) return '–';
  const { survivesAny, survivesAtBest } = phase;
  return survivesAny === survivesAtBest ? String(survivesAny) : `${String(survivesAny)} to ${String(survivesAtBest)}`;
}

function showOne(asked: string, ids: readonly number[], json: boolean, io: Io): number {
  let system: QuorumSystem;
  try {
    system = quorumSystem(asked, ids);
  } catch (error) {
    if (!json || !(error instanceof UnsafeQuorumsError)) throw error;
    const { message, sets, nearest } = error;
    io.out(JSON.stringify({ legal: false, system: asked, acceptors: ids, why: message, sets, nearest }));
    return EXIT.refused;
  }
  const row = rowOf(system, ids);
  if (json) {
    io.out(JSON.stringify({ legal: true, ...row }));
    return EXIT.ok;
  }
  io.out(showLine(`${row.system} of ${String(ids.length)} acceptors is safe.`));
  io.out(`Every phase-1 quorum meets every phase-2 quorum${row.fast === null ? '. There are no fast quorums.' : ','}`);
  if (row.fast !== null) io.out('and every two fast quorums in common.');
  io.out('');
  const name = { phase1: 'phase 1', phase2: 'phase 2', fast: 'fast' };
  const lines = PHASES.map((phase) => {
    const each = row[phase];
    const quorums = each?.quorums ?? [];
    return [name[phase], countText(each), lossText(each), String(quorums.length), quorums[0]?.join('+') ?? '–'];
  });
  for (const line of table(['', 'acceptors', 'survives', 'quorums', 'such as'], lines)) io.out(line);
  io.out('');
  io.out(`Give every role: --quorum ${row.system}`);
  return EXIT.ok;
}
