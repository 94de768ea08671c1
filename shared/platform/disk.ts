/**
 * The disk of a journal as a folder of real files. Files are 0600, the folder 0700. Plain callbacks of `fs` with a descriptor:
 * a write and its fdatasync are the hot path of an acceptor.
 */
import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { SynodError, messageOf } from '../base/errors.ts';
import type { Disk, DiskFile, OpenMode } from '../ports/disk.ts';
import { diskErrorCode } from '../ports/disk.ts';

const FLAGS: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
};

/** Writes up to this size are done at once: handing them to a thread costs more than copying them into the page cache. */
const WRITE_AT_ONCE_BYTES = 64 * 1024;

/**
 * Opens a data folder, creating it (0700) where it is missing. Rejects with FAILED_PRECONDITION for what is no folder, belongs to
 * another user, or can be written by group or others: who can write there can undo promises.
 */
export async function openFolder(path: string): Promise<Disk> {
  const folder = resolve(path);
  try {
    await makeFolder(folder);
  } catch (error) {
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the data folder ${folder} cannot be made: ${messageOf(error)}`,
      'none',
      error,
    );
  }
  await checkFolder(folder);
  return new FolderDisk(folder);
}

/** Opens an existing folder for reading alone (`synodctl journal`); nothing is created or checked. */
export function readFolder(path: string): Disk {
  return new FolderDisk(resolve(path));
}

async function makeFolder(folder: string): Promise<void> {
  const made = await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 });
  if (made === undefined) return;
  // Every folder that was made is a name in the one above, and must survive a crash like the files in it.
  for (let at = folder; at.length >= made.length; at = dirname(at)) await syncPath(dirname(at));
}

async function checkFolder(folder: string): Promise<void> {
  const stat = await fs.promises.stat(folder);
  const fail = (what: string): never => {
    throw new SynodError('FAILED_PRECONDITION', `the data folder ${folder} ${what}`);
  };
  if (!stat.isDirectory()) fail('is not a folder');
  if ((stat.mode & 0o022) !== 0)
    fail(
      `can be written by its group or by everyone (mode ${(stat.mode & 0o777).toString(8)}); ` +
        `run: chmod go-w ${folder}, or give a new folder inside it`,
    );
  const user = process.getuid?.();
  if (user !== undefined && stat.uid !== user)
    fail(`belongs to user ${String(stat.uid)}, and this process runs as user ${String(user)}`);
}

async function syncPath(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems have no such call for folders; they keep names durable on their own.
    if (diskErrorCode(error) !== 'EINVAL') throw error;
  } finally {
    await handle.close();
  }
}

class FolderDisk implements Disk {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async list(): Promise<string[]> {
    return (await fs.promises.readdir(this.#folder)).sort();
  }

  open(name: string, mode: OpenMode): Promise<DiskFile> {
    return new Promise((done, failed) => {
      fs.open(join(this.#folder, name), FLAGS[mode], 0o600, (error, fd) => {
        if (error) failed(error);
        else done(new FolderFile(fd));
      });
    });
  }

  rename(from: string, to: string): Promise<void> {
    return fs.promises.rename(join(this.#folder, from), join(this.#folder, to));
  }

  remove(name: string): Promise<void> {
    return fs.promises.unlink(join(this.#folder, name));
  }

  syncFolder(): Promise<void> {
    return syncPath(this.#folder);
  }
}

class FolderFile implements DiskFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  size(): Promise<number> {
    return new Promise((done, failed) => {
      fs.fstat(this.#fd, (error, stat) => {
        if (error) failed(error);
        else done(stat.size);
      });
    });
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    // Not from Node's shared pool: what a reader keeps must pin nothing else.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    let filled = 0;
    while (filled < length) {
      const n = await this.#readSome(bytes, filled, offset + filled);
      if (n === 0) break;
      filled += n;
    }
    return filled === length ? bytes : bytes.subarray(0, filled);
  }

  #readSome(into: Uint8Array, at: number, offset: number): Promise<number> {
    return new Promise((done, failed) => {
      fs.read(this.#fd, into, at, into.length - at, offset, (error, n) => {
        if (error) failed(error);
        else done(n);
      });
    });
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    // A write may be short, on a full disk above all; the call behind a short one says why.
    let written = 0;
    while (written < bytes.length) {
      const rest = bytes.length - written;
      const n =
        rest <= WRITE_AT_ONCE_BYTES
          ? fs.writeSync(this.#fd, bytes, written, rest, offset + written)
          : await this.#writeSome(bytes, written, offset + written);
      if (n === 0) throw Object.assign(new Error('EIO: a write wrote nothing'), { code: 'EIO' });
      written += n;
    }
  }

  #writeSome(bytes: Uint8Array, at: number, offset: number): Promise<number> {
    return new Promise((done, failed) => {
      fs.write(this.#fd, bytes, at, bytes.length - at, offset, (error, n) => {
        if (error) failed(error);
        else done(n);
      });
    });
  }

  sync(): Promise<void> {
    return new Promise((done, failed) => {
      fs.fdatasync(this.#fd, (error) => {
        if (error) failed(error);
        else done();
      });
    });
  }

  truncate(size: number): Promise<void> {
    return new Promise((done, failed) => {
      fs.ftruncate(this.#fd, size, (error) => {
        if (error) failed(error);
        else done();
      });
    });
  }

  close(): Promise<void> {
    return new Promise((done, failed) => {
      fs.close(this.#fd, (error) => {
        if (error) failed(error);
        else done();
      });
    });
  }
}
