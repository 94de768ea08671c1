/** Pages as data: headings, code, links and commands, for tests that keep pages in step with one another and with the programs. */

export interface Block {
  /** What follows the fence; `text` marks a drawing, which may be translated. */
  readonly language: string;
  /** Without the indentation of the fence. */
  readonly lines: readonly string[];
}

export interface Page {
  readonly headings: readonly { readonly level: number; readonly slug: string }[];
  readonly blocks: readonly Block[];
  /** Code in running text, sorted, each once. */
  readonly codes: readonly string[];
  readonly links: readonly { readonly target: string; readonly isPicture: boolean }[];
  /** Rows of each table, and items of all lists. */
  readonly tables: readonly number[];
  readonly items: number;
  readonly years: readonly string[];
  readonly lines: number;
}

export function parsePage(text: string): Page {
  const { prose, blocks } = separate(text);
  const plain = prose.map((line) => line.replace(/`[^`]*`/g, '`'));
  const headings = prose.flatMap((line) => {
    const [, marks, title] = /^(#+) (.*)$/.exec(line) ?? [];
    return marks === undefined || title === undefined ? [] : [{ level: marks.length, slug: slugOf(title) }];
  });
  const links = plain.flatMap((line) =>
    [...line.matchAll(/(!?)\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, mark, target = '']) => ({
      target,
      isPicture: mark === '!',
    })),
  );
  return {
    headings,
    blocks,
    codes: sortedOnce([...prose.join('\n').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)),
    links,
    tables: tableRows(plain),
    items: plain.filter((line) => /^ *(-|\d+\.) /.test(line)).length,
    years: sortedOnce([...plain.join('\n').matchAll(/(?<![\d.,:])(?:19|20)\d\d(?!\d|[,:]\d)/g)].map(([year]) => year)),
    lines: text.split('\n').length - 1,
  };
}

/** What differs between a page and its twin in another language, as sentences; none where they are in step. */
export function differences(page: Page, twin: Page): string[] {
  const found: string[] = [];
  const same = (what: string, a: unknown, b: unknown): void => {
    const [one, other] = [JSON.stringify(a), JSON.stringify(b)];
    if (one !== other) found.push(`${what}: ${one} here, ${other} in the twin`);
  };
  const missing = (what: string, a: readonly string[], b: readonly string[]): void => {
    for (const each of a) if (!b.includes(each)) found.push(`${what} ${each} is not in the twin`);
    for (const each of b) if (!a.includes(each)) found.push(`${what} ${each} is in the twin alone`);
  };
  const level = ({ level }: { level: number }): number => level;
  same('levels of headings', page.headings.map(level), twin.headings.map(level));
  same('rows of tables', page.tables, twin.tables);
  same('items of lists', page.items, twin.items);
  same('blocks of code', page.blocks.length, twin.blocks.length);
  page.blocks.forEach((block, i) => {
    const other = twin.blocks[i];
    if (other !== undefined) same(`block ${String(i + 1)}`, essence(block), essence(other));
  });
  missing('code', page.codes, twin.codes);
  missing('link', targetsOf(page), targetsOf(twin));
  missing('year', page.years, twin.years);
  return found;
}

/** A command line of a page, in words, without comment. */
export type Command = readonly string[];

/** The commands of a page that run something of this repository: npm and synodctl, in blocks and in running text. */
export function commandsOf(page: Page): Command[] {
  const lines = page.blocks.flatMap((block) => {
    if (block.language === 'console')
      return joined(block.lines)
        .filter((line) => line.startsWith('$ '))
        .map((line) => line.slice(2));
    return block.language === '' ? joined(block.lines) : [];
  });
  return [...lines, ...page.codes].flatMap(pipeline).filter(([first]) => first === 'npm' || first === 'synodctl');
}

/** The words of each command of a line that may be a pipeline, by the shell's rules for quotes. `npx` is left out. */
function pipeline(line: string): Command[] {
  const commands: string[][] = [[]];
  for (const [token] of line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)) {
    if (token.startsWith('#')) break;
    if (token === '|') commands.push([]);
    else commands[commands.length - 1]?.push(token.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
  }
  return commands.map((words) => (words[0] === 'npx' ? words.slice(1) : words)).filter((words) => words.length > 0);
}

function joined(lines: readonly string[]): string[] {
  return lines.join('\n').replace(/\\\n/g, ' ').split('\n');
}

/** The anchor that GitHub gives a heading. */
export function slugOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

function separate(text: string): { prose: string[]; blocks: Block[] } {
  const prose: string[] = [];
  const blocks: Block[] = [];
  let open: { language: string; indent: number; lines: string[] } | undefined;
  for (const line of text.split('\n')) {
    const [, indent = '', language = ''] = /^( *)```(\w*)$/.exec(line) ?? [];
    const isFence = line.trimStart().startsWith('```');
    if (open === undefined && isFence) open = { language, indent: indent.length, lines: [] };
    else if (open === undefined) prose.push(line);
    else if (isFence) {
      blocks.push({ language: open.language, lines: open.lines });
      open = undefined;
    } else open.lines.push(line.slice(open.indent));
  }
  return { prose, blocks };
}

/** What must be the same in every language: of a drawing its height, of code everything but comments. */
function essence({ language, lines }: Block): unknown {
  if (language === 'text') return [language, lines.length];
  return [language, ...lines.map((line) => line.replace(/(^|\s+)(#|\/\/) .*$/, ''))];
}

function tableRows(lines: readonly string[]): number[] {
  const counts: number[] = [];
  let rows = 0;
  for (const line of [...lines, '']) {
    if (line.startsWith('|')) rows++;
    else if (rows > 0) {
      counts.push(rows);
      rows = 0;
    }
  }
  return counts;
}

/** Targets without the anchor, which has the words of its language; the two READMEs are one. */
function targetsOf(page: Page): string[] {
  return sortedOnce(page.links.map(({ target }) => target.replace(/#.*$/, '').replace('README.zh-CN.md', 'README.md')));
}

function sortedOnce(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
