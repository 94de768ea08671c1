/**
 * Makes the copy of the source that the checker runs: the shipped files, transpiled, in which a private field `#x` is the plain
 * field `$x`, so that states can be read and compared; and, for a negative control, with one planted edit.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import type { PlantedFault } from '../sim/planted.ts';

/** The root of the repository, from the source and from the build alike. */
export const ROOT = rootAbove(import.meta.dirname);

const FOLDERS = ['shared/base', 'shared/paxos', 'shared/ports', 'shared/runtime', 'shared/wire', 'test/model'];
/** What runs outside of the copy, and what it needs. */
const OUTSIDE = ['test/model/main.ts', 'test/model/copy.ts', 'test/model/planted.ts'];

function rootAbove(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : rootAbove(dirname(folder));
}

/** Returns the folder of the copy, below `dist` so that packages resolve; `remove` it when done. Throws when the edit's text is gone. */
export function makeCopy(fault?: PlantedFault): { readonly folder: string; readonly remove: () => void } {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'dist', 'model-'));
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const file of FOLDERS.flatMap(sources)) {
      const target = join(folder, file.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, transpile(plant(file, readFileSync(join(ROOT, file), 'utf8'), fault)));
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { folder, remove };
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name).replaceAll('\\', '/'))
    .filter((file) => !OUTSIDE.includes(file));
}

function plant(file: string, text: string, fault: PlantedFault | undefined): string {
  if (fault?.file !== file) return text;
  let planted = text;
  for (const edit of [fault, ...(fault.also === undefined ? [] : [fault.also])]) {
    if (planted.split(edit.find).length !== 2) throw new Error(`"${fault.name}": its text is not once in ${file}`);
    planted = planted.replace(edit.find, () => edit.replace);
  }
  return planted;
}

function transpile(text: string): string {
  return ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
    transformers: { before: [openPrivateNames] },
  }).outputText;
}

/** `#x` → `$x`, in the syntax tree: no text in a string or a comment is touched, and nothing else changes. */
const openPrivateNames: ts.TransformerFactory<ts.SourceFile> = (context) => (file) => {
  const visit = (node: ts.Node): ts.Node =>
    ts.isPrivateIdentifier(node)
      ? context.factory.createIdentifier(`$${node.text.slice(1)}`)
      : ts.visitEachChild(node, visit, context);
  return ts.visitEachChild(file, visit, context);
};
