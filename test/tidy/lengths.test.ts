/** A function fits a screen and a file reads from top to bottom. What does not is named here, and may only get shorter. */
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';
import { ROOT, filesOf, textOf } from './source.ts';

const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 500;

/**
 * Lines that are allowed to a function (`file name`) or a file (`file`) above the limit. The roles are
 * each one side of a conversation, and read best in one place.
 */
const ALLOWED: Readonly<Record<string, number>> = {
  'shared/paxos/acceptor.ts': 780,
  'shared/paxos/leader.ts': 815,
  'shared/paxos/proposer.ts': 950,
  'shared/platform/learner-store/store-core.ts': 600,
  // One pass over the records of a segment, with its verdicts in order.
  'shared/journal/scan.ts scanSegment': 75,
};

interface Length {
  readonly what: string;
  readonly lines: number;
}

/** Lengths of a file's functions, from the first line of each to its last. A function inside another counts in both. */
function functionLengths(path: string, text: string): Length[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: Length[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
      const last = source.getLineAndCharacterOfPosition(node.end).line;
      found.push({ what: `${path} ${nameOf(node, source)}`, lines: last - first + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function nameOf(node: ts.SignatureDeclaration, source: ts.SourceFile): string {
  if (node.name !== undefined) return node.name.getText(source);
  if (ts.isConstructorDeclaration(node)) return 'constructor';
  return ts.isVariableDeclaration(node.parent) ? node.parent.name.getText(source) : '(unnamed)';
}

function tooLong(lengths: readonly Length[], max: number, allowed = ALLOWED): string[] {
  return lengths.filter((l) => l.lines > (allowed[l.what] ?? max)).map((l) => `${l.what}: ${l.lines} lines`);
}

const paths = filesOf(ROOT, ['shared', 'services', 'deploy', 'bin'], (path) => /\.(ts|mjs)$/.test(path));
const functions = paths.flatMap((path) => functionLengths(path, textOf(ROOT, path)));
const files = paths.map((path) => ({ what: path, lines: textOf(ROOT, path).split('\n').length - 1 }));

describe('lengths', () => {
  test(`no function is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    expect(tooLong(functions, FUNCTION_LINES_MAX)).toEqual([]);
  });

  test(`no file is longer than ${FILE_LINES_MAX} lines`, () => {
    expect(tooLong(files, FILE_LINES_MAX)).toEqual([]);
  });

  test('what is back within the limits has no allowance any more', () => {
    const now = new Map(functions.map((l) => [l.what, l.lines > FUNCTION_LINES_MAX]));
    for (const file of files) now.set(file.what, file.lines > FILE_LINES_MAX);
    expect(Object.keys(ALLOWED).filter((what) => now.get(what) !== true)).toEqual([]);
  });

  test('a planted function of 71 lines is found, by its name', () => {
    const body = 'void 0;\n'.repeat(69);
    const found = functionLengths('x.ts', `class A {\n  long() {\n${body}  }\n  short() {}\n}\n`);
    expect(tooLong(found, FUNCTION_LINES_MAX)).toEqual(['x.ts long: 71 lines']);
    expect(tooLong(found, FUNCTION_LINES_MAX, { 'x.ts long': 71 })).toEqual([]);
  });
});
