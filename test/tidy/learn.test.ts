/**
 * Goal: README and docs/learn say the same in both languages, and name nothing that is not there.
 * Method: pages are read as data and compared with their twins, with package.json, with the help of the real programs, with the
 * lists of planted mistakes, and with the rules of ARCHITECTURE.md.
 */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { run } from '../../services/cli/program.ts';
import { PLANTED_IN_MODEL } from '../model/planted.ts';
import { WORLDS } from '../model/worlds.ts';
import { PLANTED_FAULTS } from '../sim/planted.ts';
import { commandsOf, differences, parsePage, slugOf } from './markdown.ts';
import type { Command, Page } from './markdown.ts';
import { ROOT, filesOf, textOf } from './source.ts';

/** Named in docs/learn ahead of their making. What is there has no place here any more: a test fails until it is taken out. */
const NOT_BUILT_YET: {
  readonly synodctl: readonly string[];
  readonly npm: readonly string[];
  readonly pictures: readonly string[];
} = {
  synodctl: [],
  npm: [],
  pictures: [],
};

const PAGE_LINES_MAX = 150;

const scripts = (JSON.parse(textOf(ROOT, 'package.json')) as { scripts: Record<string, string> }).scripts;
const english = filesOf(ROOT, ['docs'], (path) => /^docs\/learn\/en\/.*\.md$/.test(path));
const chinese = filesOf(ROOT, ['docs'], (path) => /^docs\/learn\/zh-CN\/.*\.md$/.test(path));
const everyPage = ['README.md', 'README.zh-CN.md', 'docs/learn/README.md', ...english, ...chinese];

const pageAt = (path: string): Page => parsePage(textOf(ROOT, path));
const twinOf = (path: string): string => path.replace('/en/', '/zh-CN/').replace(/^README\.md$/, 'README.zh-CN.md');

describe('pages in two languages', () => {
  test('docs/learn has the same pages in English and in Chinese, and the index links to each', () => {
    expect(english.length).toBeGreaterThanOrEqual(10);
    expect(chinese).toEqual(english.map(twinOf));
    const linked = pageAt('docs/learn/README.md').links.map(({ target }) => `docs/learn/${target}`);
    expect([...english, ...chinese].filter((path) => !linked.includes(path))).toEqual([]);
  });

  test.each(['README.md', ...english])(
    '%s and its twin have the same headings, commands, code, tables and links',
    (path) => {
      expect(differences(pageAt(path), pageAt(twinOf(path)))).toEqual([]);
    },
  );

  test('negative control: what is changed in a twin alone is found', () => {
    const text = textOf(ROOT, 'README.zh-CN.md');
    const page = pageAt('README.md');
    for (const [from, to, found] of [
      ['\n## ', '\n### ', 'levels of headings'],
      ['npm test ', 'npm run tests ', 'block 1'],
      ['$ npx synodctl propose hello', '$ npx synodctl put hello', 'block '],
      ['`retry: true`', '`retry`', 'code retry: true'],
      ['(docs/operations.md)', '(docs/operation.md)', 'link docs/operations.md'],
      ['Apache-2.0', '1997', 'year 1997'],
      ['\n- ', '\n', 'items of lists'],
    ] as const) {
      expect(text).toContain(from);
      expect(differences(page, parsePage(text.replace(from, to)))).toContainEqual(expect.stringContaining(found));
    }
    expect(text).toContain('# 全部测试');
    expect(differences(page, parsePage(text.replace('# 全部测试', '# 另一条注释')))).toEqual([]);
  });
});

describe('what pages name', () => {
  test.each(everyPage)('%s: every command is there, with its flags', async (path) => {
    const wrong = await Promise.all(commandsOf(pageAt(path)).map(faultOf));
    expect(wrong.filter((fault) => fault !== undefined)).toEqual([]);
  });

  test('each page of docs/learn has a command that the reader can run today', () => {
    const isOpen = ([first, second = '', third = '']: Command): boolean =>
      first === 'npm' ? NOT_BUILT_YET.npm.includes(third) : NOT_BUILT_YET.synodctl.includes(second);
    const without = english.filter((path) => commandsOf(pageAt(path)).every(isOpen));
    expect(without).toEqual([]);
  });

  test('negative control: commands, flags, faults and worlds that are not there are found', async () => {
    for (const [line, found] of [
      ['npm run nothing', 'no script nothing'],
      ['npm run sim -- --seedz 50', '--seedz'],
      ['npm start -- --fault', '--fault'],
      ['npm run model -- --fault "a vote is green"', 'a vote is green'],
      ['npm run model -- --world flat', 'flat'],
      ['npm test -- test/unit/paxoz', 'test/unit/paxoz'],
      ['npm test -- test/sim/planted -t "a vote is green"', 'a vote is green'],
      ['npx synodctl put x', 'synodctl put'],
      ['npx synodctl fault burn x', 'synodctl fault burn'],
      ['npx synodctl log --lag x', '--lag'],
    ] as const) {
      const [command = []] = commandsOf(parsePage(`\`\`\`\n${line}\n\`\`\`\n`));
      expect(await faultOf(command)).toContain(found);
    }
  });

  test.each(everyPage)('%s: every link leads to a file and a heading', (path) => {
    expect(pageAt(path).links.flatMap(({ target }) => brokenLink(path, target))).toEqual([]);
  });

  test('negative control: links to no file and to no heading are found', () => {
    expect(brokenLink('docs/learn/README.md', 'en/nothing.md')).toHaveLength(1);
    expect(brokenLink('docs/learn/README.md', '../../ARCHITECTURE.md#the-rule')).toHaveLength(1);
    expect(brokenLink('docs/learn/README.md', '../../ARCHITECTURE.md#the-rules')).toEqual([]);
    expect(slugOf('## Fast Paxos: one message delay less'.slice(3))).toBe('fast-paxos-one-message-delay-less');
  });

  test('what is built has no place among what is not built yet', async () => {
    const built = await Promise.all(NOT_BUILT_YET.synodctl.map((name) => helpOf([name])));
    expect(NOT_BUILT_YET.synodctl.filter((_, i) => built[i] !== undefined)).toEqual([]);
    expect(NOT_BUILT_YET.npm.filter((name) => name in scripts)).toEqual([]);
    expect(NOT_BUILT_YET.pictures.filter((name) => existsSync(join(ROOT, 'docs/learn/pictures', name)))).toEqual([]);
  });

  test('every picture that is awaited stands on a page', () => {
    const shown = english.flatMap((path) => pageAt(path).links.filter((link) => link.isPicture));
    expect(shown.map(({ target }) => target.replace('../pictures/', '')).sort()).toEqual([
      'basic.svg',
      'fast.svg',
      'learner.svg',
      'multi.svg',
      'partition.svg',
    ]);
  });
});

describe('the rules in docs/learn', () => {
  const titles = [...textOf(ROOT, 'ARCHITECTURE.md').matchAll(/^\*\*(R\d+ · [^*]+)\.\*\*/gm)].map(
    ([, title = '']) => title,
  );

  test('are those of ARCHITECTURE.md, by number and by name', () => {
    expect(titles).toHaveLength(15);
    const listed = (path: string): string[] =>
      [...textOf(ROOT, path).matchAll(/^\| (R\d+ · [^|]*\S) +\|/gm)].map(([, title = '']) => title);
    expect(listed('docs/learn/en/04-safety.md')).toEqual(titles);
    const number = (title: string): string => title.replace(/ ·.*$/, '');
    expect(listed('docs/learn/zh-CN/04-safety.md').map(number)).toEqual(titles.map(number));
  });

  test.each([...english, ...chinese])(
    `%s names no rule that there is not, and has at most ${PAGE_LINES_MAX} lines`,
    (path) => {
      const named = [...textOf(ROOT, path).matchAll(/\bR\d+\b/g)].map(([name]) => name);
      expect(named.filter((name) => !titles.some((title) => title.startsWith(`${name} `)))).toEqual([]);
      expect(pageAt(path).lines).toBeLessThanOrEqual(PAGE_LINES_MAX);
    },
  );
});

/** What is wrong with a command of a page; nothing where it can be run as it stands. */
async function faultOf(command: Command): Promise<string | undefined> {
  return command[0] === 'npm' ? faultOfNpm(command) : faultOfSynodctl(command.slice(1));
}

function faultOfNpm([, verb = '', ...rest]: Command): string | undefined {
  const script = verb === 'run' ? (rest[0] ?? '') : verb;
  if (NOT_BUILT_YET.npm.includes(script)) return undefined;
  const runs = scripts[script];
  if (runs === undefined) return `npm has no script ${script}`;
  const args = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : [];
  if (script === 'test') return faultOfTest(args);
  const [, main] = /run\.mjs (\S+)\.js/.exec(runs) ?? [];
  const help = helpText(main === undefined ? 'deploy/local' : dirname(main));
  const flag = args.find((arg) => arg.startsWith('--') && !new RegExp(`^ +${arg}\\b(?!-)`, 'm').test(help));
  if (flag !== undefined) return `npm run ${script} takes no ${flag}`;
  const valueOf = (name: string): string | undefined =>
    args.includes(name) ? args[args.indexOf(name) + 1] : undefined;
  const [fault, world] = [valueOf('--fault'), valueOf('--world')];
  // TEXT stands for any name.
  if (fault !== undefined && fault !== 'TEXT' && !PLANTED_IN_MODEL.some(({ name }) => name.startsWith(fault)))
    return `no mistake of the model begins with ${fault}`;
  if (world !== undefined && !WORLDS.some(({ name }) => name === world)) return `the model has no world ${world}`;
  return undefined;
}

function faultOfTest(args: Command): string | undefined {
  const at = args.indexOf('-t');
  const files = at < 0 ? args : args.slice(0, at);
  const absent = files.find((file) => filesOf(ROOT, ['test'], (path) => path.startsWith(file)).length === 0);
  if (absent !== undefined) return `there are no tests ${absent}`;
  const name = at < 0 ? 'TEXT' : (args[at + 1] ?? '');
  const known = PLANTED_FAULTS.filter(
    (fault) => fault.isSeldom !== true && new RegExp(name).test(`finds: ${fault.name}`),
  );
  return name === 'TEXT' || known.length === 1 ? undefined : `${String(known.length)} tests are named ${name}`;
}

/** The sources of a program, for its help. */
function helpText(folder: string): string {
  return filesOf(ROOT, ['test', 'deploy'], (path) => path.startsWith(`${folder}/`) && path.endsWith('.ts'))
    .map((path) => textOf(ROOT, path))
    .join('\n');
}

async function faultOfSynodctl(words: Command): Promise<string | undefined> {
  const [first = ''] = words;
  if (first === '' || NOT_BUILT_YET.synodctl.includes(first)) return undefined;
  const path: string[] = [];
  let help = await helpOf([]);
  for (const word of words) {
    const next = word.startsWith('-') ? undefined : await helpOf([...path, word]);
    if (next === undefined) break;
    path.push(word);
    help = next;
  }
  const further = words[path.length];
  if (
    path.length === 0 ||
    (/^Usage: .*\[command\]/.test(help ?? '') && further !== undefined && !further.startsWith('-'))
  )
    return `there is no synodctl ${[...path, further].join(' ')}`;
  const flag = words.find(
    (word) => /^--?[a-z]/.test(word) && !new RegExp(`(^|[ ,])${word}\\b(?!-)`, 'm').test(help ?? ''),
  );
  return flag === undefined ? undefined : `synodctl ${path.join(' ')} takes no ${flag}`;
}

/** What the real program prints for `--help` of a command; nothing where it has no such command. */
async function helpOf(path: readonly string[]): Promise<string | undefined> {
  const lines: string[] = [];
  const out = (line: string): void => {
    lines.push(line);
  };
  const never = new AbortController().signal;
  await run([...path, '--help'], {
    ...{ out, err: out, env: {}, input: noInput(), piped: false, signal: never },
    listens: () => Promise.resolve(false),
  });
  const help = lines.join('\n');
  return new RegExp(`^Usage: ${['synodctl', ...path].join(' ')}( |$)`, 'm').test(help) ? help : undefined;
}

async function* noInput(): AsyncGenerator<string> {
  // Nobody types here.
}

function brokenLink(from: string, target: string): string[] {
  const [file = '', anchor] = target.split('#');
  if (/^https?:/.test(target)) return [`${target}: pages link within the repository`];
  const path = file === '' ? from : normalize(join(dirname(from), file)).replaceAll('\\', '/');
  const name = path.replace('docs/learn/pictures/', '');
  if (NOT_BUILT_YET.pictures.includes(name)) return [];
  if (!existsSync(join(ROOT, path))) return [`${target}: there is no ${path}`];
  if (anchor === undefined || pageAt(path).headings.some(({ slug }) => slug === anchor)) return [];
  return [`${target}: ${path} has no such heading`];
}
