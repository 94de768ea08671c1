/**
 * One process per data folder. Node has no file locks, so a process holds a folder by listening on a unix socket inside it: the
 * kernel closes it however the process ends, kill -9 included, and it is seen by every container that mounts the folder on this host.
 *
 * Each process binds a name of its own, then looks at all other names. A socket that takes a connection is a living owner, and
 * the one who looks gives up. Both of two that start at once may give up; never do both go on, because each listens before it
 * looks. A socket that refuses is a dead owner's, or not yet listening; it is removed, so each checks after listening that its
 * own name is still there.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import { join, resolve } from 'node:path';
import { messageOf, SynodError } from '../base/errors.ts';
import { diskErrorCode } from '../ports/disk.ts';

export interface FolderLock {
  /** Lets the folder go. */
  release(): Promise<void>;
}

const NAME = /^lock\.[0-9a-f]+\.sock$/;
/** A socket's address holds about a hundred bytes, on every system. */
const ADDRESS_BYTES_MAX = 100;

/** Takes a folder for this process. Rejects with FAILED_PRECONDITION while another one holds it. */
export async function lockFolder(path: string): Promise<FolderLock> {
  const folder = resolve(path);
  const fd = fs.openSync(folder, 'r');
  const name = `lock.${randomBytes(6).toString('hex')}.sock`;
  const address = (of: string): string => socketAddress(folder, fd, of);
  const server = net.createServer((socket) => socket.destroy());
  try {
    await listen(server, address(name));
    fs.chmodSync(join(folder, name), 0o600);
    await refuseIfHeld(folder, name, address);
    // Somebody who looked between our bind and our listen may have taken us for dead.
    if (!fs.existsSync(join(folder, name))) throw heldError(folder);
  } catch (error) {
    await close(server);
    fs.closeSync(fd);
    if (error instanceof SynodError) throw error;
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the data folder ${folder} cannot be locked: ${messageOf(error)}`,
      'none',
      error,
    );
  }
  // The lock alone keeps no process alive.
  server.unref();
  return {
    release: async () => {
      await close(server);
      fs.closeSync(fd);
    },
  };
}

/** The address of a socket in the folder. Long paths go through the folder's descriptor, where the system offers that. */
function socketAddress(folder: string, fd: number, name: string): string {
  const path = join(folder, name);
  if (Buffer.byteLength(path) <= ADDRESS_BYTES_MAX) return path;
  const short = `/proc/self/fd/${String(fd)}`;
  if (fs.existsSync(short)) return `${short}/${name}`;
  throw new SynodError(
    'FAILED_PRECONDITION',
    `the path of the data folder ${folder} is too long to be locked: at most ${String(ADDRESS_BYTES_MAX - name.length - 1)} bytes here`,
  );
}

async function refuseIfHeld(folder: string, own: string, address: (name: string) => string): Promise<void> {
  for (const name of fs.readdirSync(folder)) {
    if (name === own || !NAME.test(name)) continue;
    if (await isAlive(address(name))) throw heldError(folder);
    fs.rmSync(join(folder, name), { force: true });
  }
}

function heldError(folder: string): SynodError {
  return new SynodError('FAILED_PRECONDITION', `another process uses the data folder ${folder}; stop it first`);
}

/** True unless the system says that nobody listens there. */
function isAlive(address: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = net.connect(address);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', (error) => {
      // Anything but these two, a full backlog for one, may be a living owner.
      const code = diskErrorCode(error);
      done(code !== 'ECONNREFUSED' && code !== 'ENOENT');
    });
  });
}

function listen(server: net.Server, address: string): Promise<void> {
  return new Promise((done, failed) => {
    server.once('error', failed);
    // Not shared with the workers of a cluster: this very process holds the folder.
    server.listen({ path: address, exclusive: true }, () => {
      server.off('error', failed);
      done();
    });
  });
}

function close(server: net.Server): Promise<void> {
  return new Promise((done) => {
    // An error only says that it was not listening.
    server.close(() => {
      done();
    });
  });
}
