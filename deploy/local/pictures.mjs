/**
 * `npm run pictures [-- FOLDER]`: plays all demonstrations on clusters of their own, and writes what happened as the pictures of
 * docs/learn. Look at each before it is committed: another run is another picture.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT, prepare } from './prepare.mjs';

await prepare();
const folder = process.argv[2] ?? join(ROOT, 'docs', 'learn', 'pictures');
for (const name of ['basic', 'multi', 'partition', 'learner', 'fast']) {
  const file = join(folder, `${name}.svg`);
  const code = await play([join(ROOT, 'deploy', 'local', 'demo.mjs'), name, '--svg', file, '--alone']);
  if (code !== 0) {
    process.stderr.write(`${file} was not made: the demonstration ended with ${code}\n`);
    process.exit(1);
  }
  process.stdout.write(`${file}\n`);
}

function play(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', () => resolve(1));
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
