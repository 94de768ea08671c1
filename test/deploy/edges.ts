/** Whom each role dials, by the text of its code. */
import { ROOT, filesOf, textOf } from '../tidy/source.ts';

export const ROLES = ['acceptor', 'proposer', 'learner'] as const;
export type Role = (typeof ROLES)[number];

/** `proposer → acceptor`, by the two ways in which the code makes a connection between roles, each with the role as a word. */
export function dialled(): string[] {
  const edges = ROLES.flatMap((role) => {
    const text = filesOf(ROOT, ['services'], (path) => path.startsWith(`services/${role}/`))
      .map((path) => textOf(ROOT, path))
      .join('\n');
    const found = [...text.matchAll(/(?:\.towards|onnections\.(?:to|open))\(\s*'(acceptor|proposer|learner)'/g)];
    return found.map(([, to = '']) => `${role} → ${to}`);
  });
  return [...new Set(edges)].sort();
}
