/** The Dockerfile as data: its stages, and in each the instructions in order. */

export interface Instruction {
  readonly word: string;
  /** The rest of the line, continued lines joined. */
  readonly rest: string;
}

export interface Stage {
  readonly from: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** What stands before the first stage, and the stages. */
export function parseDockerfile(text: string): { readonly head: readonly Instruction[]; readonly stages: Stage[] } {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const head: Instruction[] = [];
  const stages: { from: string; name: string | undefined; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, word = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (word === 'FROM') {
      const [, from = '', name] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
      stages.push({ from, name, instructions: [] });
    } else (stages.at(-1)?.instructions ?? head).push({ word, rest });
  }
  return { head, stages };
}

/** The arguments of an instruction in its JSON form. */
export function jsonForm({ rest }: Instruction): string[] {
  return JSON.parse(rest) as string[];
}

/** `A=1 B="two words"` of ENV and LABEL. */
export function assignments({ rest }: Instruction): Record<string, string> {
  const found = rest.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S*))/g);
  return Object.fromEntries([...found].map(([, name = '', quoted, bare = '']) => [name, quoted ?? bare]));
}
