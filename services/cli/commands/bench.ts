/** `synodctl bench`: the benchmark, which starts a cluster of its own in a temporary folder. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SynodError } from '../../../shared/base/errors.ts';
import { EXIT } from '../exit.ts';

/** Compiled, this file is dist/services/cli/commands/bench.js. */
const PROGRAM = fileURLToPath(new URL('../../../test/bench/main.js', import.meta.url));

/** Runs the benchmark with these arguments in a process of its own; ends as it ends. */
export async function bench(args: readonly string[]): Promise<number> {
  if (!existsSync(PROGRAM))
    throw new SynodError('NOT_FOUND', `the benchmark is not part of this installation: ${PROGRAM} is missing`);
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  process.on('SIGTERM', pass);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      process.off('SIGTERM', pass);
      resolve(code ?? EXIT.refused);
    });
  });
}
