/** The files of this repository as they are on disk, for tests about the source itself. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Folders that hold nothing that was written by hand. */
const SKIPPED = new Set(['node_modules', 'dist', 'data', 'coverage', 'results', '.git', 'gen']);

/** Paths below `root`, with `/`, sorted. Folders that are generated or installed are left out. */
export function filesOf(root: string, folders: readonly string[], wanted: (path: string) => boolean): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!SKIPPED.has(entry.name)) walk(path);
      } else if (entry.isFile()) {
        const name = relative(root, path).replaceAll('\\', '/');
        if (wanted(name)) found.push(name);
      }
    }
  };
  const there = new Set(readdirSync(root));
  for (const folder of folders) if (folder === '.' || there.has(folder)) walk(join(root, folder));
  return found.sort();
}

export function textOf(root: string, path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

export interface Import {
  readonly from: string;
  /** A path below the root for a file of this repository, otherwise the name of the package or Node module. */
  readonly to: string;
  readonly local: boolean;
}

/** Everything that a file imports or re-exports, types included. */
export function importsOf(root: string, path: string): Import[] {
  const specifiers = ts.preProcessFile(textOf(root, path), true, true).importedFiles.map((file) => file.fileName);
  return specifiers.map((specifier) => {
    const local = specifier.startsWith('.');
    const to = local ? relative(root, resolve(root, dirname(path), specifier)).replaceAll('\\', '/') : specifier;
    return { from: path, to, local };
  });
}
