/**
 * A cluster on this machine whose last acceptor is acceptor.py. For looking at it; see README.md.
 *
 *   node docs/examples/python/cluster.mjs [--port-base N] [--python COMMAND]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepare } from '../../../deploy/local/prepare.mjs';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const HELP = `node docs/examples/python/cluster.mjs [flags]: acceptors 1 and 2 of Synod and 3 in Python, 2 proposers, 2 learners

  --port-base N      as for npm start (default 7000)
  --python COMMAND   a Python that has grpc (default /usr/bin/python3)
  --help             this text

What it keeps is gone when it ends: the Python acceptor could not go on with it. Ctrl-C stops all.
`;

const { values: flags } = parseArgs({
  options: {
    'port-base': { type: 'string', default: '7000' },
    python: { type: 'string', default: '/usr/bin/python3' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

await prepare();
const { startCluster } = await import('../../../dist/deploy/local/cluster.js');
const folder = mkdtempSync(join(tmpdir(), 'synod-python-'));
const say = (line) => process.stdout.write(`${line}\n`);
const ended = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, resolve);
});

try {
  const cluster = await startCluster({
    data: join(folder, 'data'),
    portBase: Number(flags['port-base']),
    say,
    roleCommand: (role, id) =>
      role === 'acceptor' && id === 3
        ? { command: flags.python, arguments: [at('acceptor.py')] }
        : { command: process.execPath, arguments: [at(`../../../dist/services/${role}/main.js`)] },
  });
  for (const { role, id, grpc } of cluster.members)
    say(`  ${role} ${id}  ${grpc}  pid ${cluster.pid(role, id)}${role === 'acceptor' && id === 3 ? '  (Python)' : ''}`);
  say('Ready. Ctrl-C stops it.');
  await ended;
  await cluster.stop();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
