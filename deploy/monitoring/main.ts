/** `npm run dashboards`: writes dashboards, rules and tables anew from their sources. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '../../shared/base/errors.ts';
import { madeFiles } from './files.ts';

const HELP = `npm run dashboards [-- --check]: the dashboards, rules and tables that are made from sources

  --check   writes nothing; exit code 1 when a file is not what its source makes, and its name
  --json    the files that changed, or would, as one JSON object
  --help    this text

For example, after a change in deploy/monitoring/grafana/cluster.ts:

  npm run dashboards && git diff deploy/monitoring docs/monitoring.md

Exit codes: 0 done; 1 a file is stale (--check) or could not be made; 2 wrong usage.
`;

async function main(argv: readonly string[]): Promise<number> {
  const flags = new Set(argv);
  if (flags.has('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = argv.find((each) => !['--check', '--json'].includes(each));
  if (unknown !== undefined) {
    process.stderr.write(`npm run dashboards: ${unknown} is not a setting; see npm run dashboards -- --help\n`);
    return 2;
  }
  const root = process.cwd();
  const check = flags.has('--check');
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  const made = await madeFiles(read);
  const stale = Object.entries(made).filter(([path, text]) => !existsSync(join(root, path)) || read(path) !== text);
  for (const [path, text] of check ? [] : stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const names = stale.map(([path]) => path);
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(check ? { stale: names } : { written: names })}\n`);
  else for (const name of names) process.stdout.write(`${check ? 'stale' : 'written'}: ${name}\n`);
  if (!flags.has('--json') && names.length === 0) process.stdout.write('All is what its source makes.\n');
  return check && names.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`npm run dashboards: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
