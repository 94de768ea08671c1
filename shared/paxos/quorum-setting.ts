/**
 * A quorum system as people write it: in the setting `quorum`, and in `synodctl quorum`.
 *
 *   majority
 *   sizes:Q1,Q2[,QF]                          any Q1 promise, any Q2 choose, any QF choose at a fast ballot
 *   grid:ROWSxCOLUMNS                         one acceptor of each column promises, a whole column chooses
 *   weighted:ID=WEIGHT,…:Q1,Q2[,QF]           as sizes, of weights
 *   sets:ID+ID,…/ID+ID,…[/ID+ID,…]            the sets that promise, that choose, that choose at a fast ballot
 */
import { SynodError } from '../base/errors.ts';
import { bySize, explicit, grid, majority, weighted, type QuorumSystem } from './quorum.ts';

/** What a quorum setting must be, after "must be". */
export const QUORUM_FORMS =
  'majority, sizes:Q1,Q2[,QF], grid:ROWSxCOLUMNS, weighted:ID=WEIGHT,…:Q1,Q2[,QF] or sets:ID+ID,…/ID+ID,…[/ID+ID,…] ' +
  '(phase 1 / phase 2 / fast)';

/** Makes the system of the acceptors with these ids. */
type Make = (ids: readonly number[]) => QuorumSystem;

/** True when the text has the form of a quorum system. Whether it is safe depends on the acceptors. */
export function isQuorumSetting(text: string): boolean {
  return read(text) !== undefined;
}

/**
 * The system that a setting names, for the acceptors with these ids. Throws INVALID_ARGUMENT when the text is none, or does not fit
 * the acceptors, and UnsafeQuorumsError when its quorums can miss each other.
 */
export function quorumSystem(text: string, ids: readonly number[]): QuorumSystem {
  const make = read(text);
  if (make === undefined)
    throw new SynodError('INVALID_ARGUMENT', `a quorum system must be ${QUORUM_FORMS}, not ${JSON.stringify(text)}`);
  return make(ids);
}

/** The ids that a setting names itself, or as many from 1 on as its grid has places; undefined where it names none. */
export function idsNamed(text: string): readonly number[] | undefined {
  const gridOf = /^grid:(\d)x(\d)$/.exec(text);
  if (gridOf !== null) return Array.from({ length: Number(gridOf[1]) * Number(gridOf[2]) }, (_, i) => i + 1);
  const weights = /^weighted:([^:]+):/.exec(text)?.[1];
  const named = weights?.split(',').map((part) => part.split('=')[0] ?? '');
  const found = named ?? /^sets:(.+)$/.exec(text)?.[1]?.split(/[/,+]/);
  if (found === undefined || !isQuorumSetting(text)) return undefined;
  return [...new Set(found.map(Number))].sort((a, b) => a - b);
}

function read(text: string): Make | undefined {
  if (text === 'majority') return majority;
  const [family = '', rest = ''] = splitOnce(text, ':');
  switch (family) {
    case 'sizes':
      return readSizes(rest);
    case 'grid':
      return readGrid(rest);
    case 'weighted':
      return readWeighted(rest);
    case 'sets':
      return readSets(rest);
    default:
      return undefined;
  }
}

function readSizes(text: string): Make | undefined {
  const sizes = numbers(text, ',');
  const [q1, q2, qf] = sizes ?? [];
  if (q1 === undefined || q2 === undefined || (sizes?.length ?? 0) > 3) return undefined;
  return (ids) => bySize(ids, q1, q2, qf);
}

function readGrid(text: string): Make | undefined {
  const [rows, columns, more] = numbers(text, 'x') ?? [];
  if (rows === undefined || columns === undefined || more !== undefined) return undefined;
  return (ids) => grid(ids, rows, columns);
}

function readWeighted(text: string): Make | undefined {
  const [weightsText = '', sizesText = ''] = splitOnce(text, ':');
  const sizes = numbers(sizesText, ',');
  const [q1, q2, qf] = sizes ?? [];
  if (q1 === undefined || q2 === undefined || (sizes?.length ?? 0) > 3) return undefined;
  const weights = new Map<number, number>();
  for (const part of weightsText.split(',')) {
    const [id, weight, more] = numbers(part, '=') ?? [];
    if (id === undefined || weight === undefined || more !== undefined || weights.has(id)) return undefined;
    weights.set(id, weight);
  }
  return (ids) => weighted(ids, weights, q1, q2, qf);
}

function readSets(text: string): Make | undefined {
  const phases = text.split('/').map((phase) => {
    const sets = phase.split(',').map((set) => numbers(set, '+'));
    return sets.every((set) => set !== undefined) ? sets : undefined;
  });
  const [phase1, phase2, fast] = phases;
  if (phase1 === undefined || phase2 === undefined || phases.length > 3) return undefined;
  if (phases.length === 3 && fast === undefined) return undefined;
  return (ids) => explicit(ids, { phase1, phase2, ...(fast === undefined ? {} : { fast }) });
}

function splitOnce(text: string, at: string): readonly string[] {
  const place = text.indexOf(at);
  return place < 0 ? [text] : [text.slice(0, place), text.slice(place + 1)];
}

/** Whole numbers below 100,000 with a sign between them; undefined for anything else. */
function numbers(text: string, sign: string): number[] | undefined {
  const parts = text.split(sign);
  return parts.every((part) => /^\d{1,5}$/.test(part)) ? parts.map(Number) : undefined;
}
