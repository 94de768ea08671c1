/** `node deploy/local/run.mjs test/bench/main.js …`: installs and builds what is missing, then runs a built file. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, become, prepare } from './prepare.mjs';

await prepare();
const [file = '', ...args] = process.argv.slice(2);
if (!/^[\w./-]+\.js$/.test(file) || file.includes('..') || !existsSync(join(ROOT, 'dist', file))) {
  process.stderr.write(
    `There is no built file ${JSON.stringify(file)}; name one below dist, such as test/bench/main.js.\n`,
  );
  process.exit(1);
}
become([join('dist', file), ...args]);
