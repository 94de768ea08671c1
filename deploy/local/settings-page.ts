/**
 * `npm run settings`: writes the table of all settings into docs/operations.md, from the schemas that the roles read them by. A test
 * fails while the page says anything else.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { acceptorSettings } from '../../services/acceptor/config.ts';
import { learnerSettings } from '../../services/learner/config.ts';
import { proposerSettings } from '../../services/proposer/config.ts';
import type { Meta } from '../../shared/platform/config/values.ts';

const SCHEMAS: Readonly<Record<string, z.ZodObject>> = {
  acceptor: acceptorSettings,
  proposer: proposerSettings,
  learner: learnerSettings,
};

const BEGIN = '<!-- The table is made by `npm run settings`. -->\n\n';
const END = '\n<!-- The end of the table. -->\n';

interface Row {
  readonly setting: string;
  readonly roles: string[];
  readonly takes: string;
  readonly preset: string;
  readonly describe: string;
}

/** The table, as prettier leaves it. */
export function settingsTable(): string {
  const rows: Row[] = [];
  for (const [role, schema] of Object.entries(SCHEMAS))
    for (const [setting, type] of Object.entries(schema.shape) as [string, z.ZodType][]) {
      const { form, describe, default: preset } = type.meta() as unknown as Meta;
      const missing = type.safeParse(undefined).success ? '–' : 'required';
      const row = { setting, roles: [role], takes: form, preset: preset ?? missing, describe };
      const same = rows.find((each) => isSame(each, row));
      if (same === undefined) rows.push(row);
      else same.roles.push(role);
    }
  const all = Object.keys(SCHEMAS).length;
  return table([
    ['setting', 'role', 'takes', 'default', 'what for'],
    ...rows.map(({ setting, roles, takes, preset, describe }) => [
      code(setting),
      roles.length === all ? 'all' : roles.join(', '),
      code(takes),
      preset === 'required' || preset === '–' ? preset : code(preset),
      describe,
    ]),
  ]);
}

function isSame(a: Row, b: Row): boolean {
  return a.setting === b.setting && a.takes === b.takes && a.preset === b.preset && a.describe === b.describe;
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = (cells[0] ?? []).map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |\n`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('');
}

/** A page with the table as it is now. Throws where the page has no place for it. */
export function withSettings(page: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page has no ${BEGIN.trim()} with ${END.trim()} after it`);
  return page.slice(0, begin + BEGIN.length) + settingsTable() + page.slice(end);
}

const HELP = `npm run settings: writes the table of all settings into docs/operations.md.

  --check   write nothing; exit code 1 where the page is not current
  --help    this text

Example:
  npm run settings
`;

/** The program. Resolves to its exit code. */
export function main(argv: readonly string[], path: string): number {
  const { values } = parseArgs({ args: [...argv], options: { help: { type: 'boolean' }, check: { type: 'boolean' } } });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const page = readFileSync(path, 'utf8');
  const wanted = withSettings(page);
  if (page === wanted) process.stdout.write(`${path} is current.\n`);
  else if (values.check === true) {
    process.stdout.write(`${path} is not current; run npm run settings.\n`);
    return 1;
  } else {
    writeFileSync(path, wanted);
    process.stdout.write(`${path} is written.\n`);
  }
  return 0;
}

if (process.argv[1]?.endsWith('settings-page.js') === true)
  process.exitCode = main(process.argv.slice(2), 'docs/operations.md');
