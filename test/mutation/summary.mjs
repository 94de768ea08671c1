/** A report of Stryker in short: counts by file, and each mutant that no test noticed. */

/**
 * Of all that counts, how much was noticed, in percent; NaN when nothing counts. A mutant that no test reaches counts against the
 * score; one that acts only while files are imported does not count.
 */
export function scoreOf({ killed, timeout, survived, unreached }) {
  return ((killed + timeout) / (killed + timeout + survived + unreached)) * 100;
}

/** `files`: counts by path, sorted; `all`: their sum; `unnoticed`: where, what, and whether a test reaches it. */
export function summaryOf(report) {
  const files = {};
  const unnoticed = [];
  const all = nothing();
  for (const [path, { mutants }] of Object.entries(report.files).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const counts = nothing();
    for (const mutant of mutants) {
      for (const sum of [counts, all]) {
        sum.mutants++;
        sum[kindOf(mutant)]++;
      }
      if (mutant.status === 'Survived' || mutant.status === 'NoCoverage') unnoticed.push(lineOf(path, mutant));
    }
    if (counts.mutants > 0) files[path] = { ...counts, score: scoreOf(counts) };
  }
  return { all: { ...all, score: scoreOf(all) }, files, unnoticed };
}

function nothing() {
  return { mutants: 0, killed: 0, timeout: 0, survived: 0, unreached: 0, ignored: 0, broken: 0 };
}

const KINDS = {
  Killed: 'killed',
  Timeout: 'timeout',
  Survived: 'survived',
  NoCoverage: 'unreached',
  Ignored: 'ignored',
  RuntimeError: 'broken',
  CompileError: 'broken',
};

function kindOf({ status }) {
  const kind = KINDS[status];
  if (kind === undefined) throw new Error(`a mutant has the status ${status}, which this does not know`);
  return kind;
}

function lineOf(path, { location, mutatorName, replacement, status }) {
  const { line, column } = location.start;
  return { path, line, column, mutator: mutatorName, replacement, reached: status === 'Survived' };
}

/** The summary for people: the mutants, then a table. */
export function shown({ all, files, unnoticed }) {
  const lines = unnoticed.map(
    ({ path, line, column, mutator, replacement, reached }) =>
      `${path}:${line}:${column} ${reached ? 'survived' : 'not reached'}: ${mutator} → ${short(replacement)}`,
  );
  const heads = ['file', 'mutants', 'killed', 'timeout', 'survived', 'unreached', 'ignored', 'broken', 'score'];
  const rows = [...Object.entries(files), ['all', all]].map(([path, counts]) => [
    path,
    ...heads.slice(1, -1).map((head) => String(counts[head])),
    Number.isNaN(counts.score) ? '–' : counts.score.toFixed(1),
  ]);
  const width = Math.max(...rows.map(([path]) => path.length));
  const table = [heads, ...rows].map(([path, ...rest]) =>
    [path.padEnd(width), ...rest.map((text) => text.padStart(9))].join(' '),
  );
  return `${[...lines, '', ...table].join('\n')}\n`;
}

/** One line of what stands there instead, without its indentation. */
function short(text = '') {
  const flat = text.replaceAll(/\s+/g, ' ');
  return flat.length > 80 ? `${flat.slice(0, 79)}…` : flat;
}
