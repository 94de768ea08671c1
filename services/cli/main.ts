/** `synodctl`. */
import { connect as connectSocket } from 'node:net';
import type { Io } from './io.ts';
import { run } from './program.ts';
import { terminal } from './terminal.ts';

const abort = new AbortController();
process.once('SIGINT', () => {
  abort.abort();
  // A second Ctrl-C, or a command that does not listen, ends at once.
  process.once('SIGINT', () => process.exit(130));
  setTimeout(() => process.exit(130), 500).unref();
});
// A reader that went away, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

const io: Io = {
  out: (line) => {
    console.log(line);
  },
  err: (line) => {
    console.error(line);
  },
  env: process.env,
  input: process.stdin,
  piped: !process.stdin.isTTY,
  listens,
  columns: process.stdout.isTTY ? process.stdout.columns : 80,
  color: process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '',
  signal: abort.signal,
  ...(process.stdin.isTTY && process.stdout.isTTY ? { screen: terminal(process.stdin, process.stdout) } : {}),
};

process.exitCode = await run(process.argv.slice(2), io);

function listens(address: string): Promise<boolean> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((resolve) => {
    const socket = connectSocket({ host, port: Number(port), timeout: 2_000 });
    const answer = (yes: boolean) => (): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', answer(true)).once('error', answer(false)).once('timeout', answer(false));
  });
}
