/** `synodctl`. */
import { connect as connectSocket } from 'node:net';
import type { Io } from './io.ts';
import { run } from './program.ts';
import { terminal } from './terminal.ts';

/** How long a command that does not listen, and one that has something to undo, goes on after Ctrl-C. Milliseconds. */
const LEAVE_MS = 500;
const UNDO_MS = 20_000;

const abort = new AbortController();
let undoing = 0;
process.once('SIGINT', () => {
  abort.abort();
  // A second Ctrl-C ends at once.
  process.once('SIGINT', () => process.exit(130));
  const end = performance.now() + UNDO_MS;
  const leave = (): void => {
    if (undoing === 0 || performance.now() >= end) process.exit(130);
    setTimeout(leave, 100).unref();
  };
  setTimeout(leave, LEAVE_MS).unref();
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
  undoing: () => {
    undoing++;
    return () => undoing--;
  },
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
