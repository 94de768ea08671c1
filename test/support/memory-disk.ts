/**
 * A disk in memory that keeps what a real one keeps, and no more: beside what a process sees there is what would survive a loss
 * of power. Everything happens at the call, promises settle in microtasks, and chance comes from a seeded source, so that runs
 * repeat exactly. The simulator and the journal's tests use it.
 */
import type { Prng } from '../../shared/base/prng.ts';
import type { Disk, DiskFile, OpenMode } from '../../shared/ports/disk.ts';

const SECTOR = 512;

export interface DiskOp {
  readonly kind:
    'list' | 'open' | 'rename' | 'remove' | 'sync-folder' | 'size' | 'read' | 'write' | 'sync' | 'truncate' | 'close';
  readonly name: string;
  /** Which operation of this disk it is, from 0. */
  readonly number: number;
}

interface Inode {
  /** What a process reads. */
  current: Uint8Array;
  /** What survives a loss of power. */
  durable: Uint8Array;
  /** Sectors that the next sync makes durable. A failed sync forgets them, as real systems do: they stay readable only. */
  dirty: Set<number>;
}

type NameOp =
  | { readonly kind: 'link'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly inode: Inode }
  | { readonly kind: 'unlink'; readonly name: string };

type Names = Map<string, Inode>;

export class MemoryDisk implements Disk {
  /** Returns the error with which an operation fails, if it is to fail. A failed write leaves half of its bytes. */
  fault: (op: DiskOp) => Error | undefined = () => undefined;
  /** Called before an operation; it waits for the promise, if one is returned. */
  gate: (op: DiskOp) => Promise<void> | undefined = () => undefined;
  /** Called after something became durable. */
  onDurable: (op: DiskOp) => void = () => undefined;
  /** Bytes that all files together may have; more fails with ENOSPC. */
  capacity = Infinity;
  /** From this operation on the process is dead: nothing happens any more and no promise settles. */
  diesAt = Infinity;
  /** Operations so far. */
  operations = 0;

  #names: Names;
  #durableNames: Names;
  #pending: NameOp[] = [];
  #dead = false;

  constructor() {
    this.#names = new Map();
    this.#durableNames = new Map();
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Kills the process; the machine lives on, so all that was written can be read. Returns the disk for the next start. */
  kill(): MemoryDisk {
    this.#dead = true;
    const next = new MemoryDisk();
    next.capacity = this.capacity;
    next.#names = this.#names;
    next.#durableNames = this.#durableNames;
    next.#pending = this.#pending;
    return next;
  }

  /** Cuts the power: of what was not synced, sectors and names survive by chance. Returns the disk for the next start. */
  crash(prng: Prng): MemoryDisk {
    this.#dead = true;
    const keep = prng.pick([0, 0.25, 0.5, 0.75, 1]);
    const names: Names = new Map(this.#durableNames);
    for (const op of this.#pending) if (prng.chance(keep)) applyName(names, op);
    const next = new MemoryDisk();
    next.capacity = this.capacity;
    const copies = new Map<Inode, Inode>();
    for (const [name, inode] of names) {
      let copy = copies.get(inode);
      if (copy === undefined) copies.set(inode, (copy = afterCrash(inode, prng, keep)));
      next.#names.set(name, copy);
      next.#durableNames.set(name, copy);
    }
    return next;
  }

  /** A disk with the same files, all of it durable: an image to damage. */
  clone(): MemoryDisk {
    const next = new MemoryDisk();
    for (const [name, inode] of this.#names) {
      const copy: Inode = { current: inode.current.slice(), durable: inode.current.slice(), dirty: new Set() };
      next.#names.set(name, copy);
      next.#durableNames.set(name, copy);
    }
    return next;
  }

  /** The bytes of a file as a process reads them; changing them changes the file. */
  bytesOf(name: string): Uint8Array {
    return this.#inode(name).current;
  }

  /** What a loss of power now would leave of a file, undefined when its name would be gone. Not to be changed. */
  durableOf(name: string): Uint8Array | undefined {
    return this.#durableNames.get(name)?.durable;
  }

  /** The names that a loss of power now would leave. */
  durableNames(): Iterable<string> {
    return this.#durableNames.keys();
  }

  /** How many sectors of a file the next sync would make durable. */
  dirtySectors(name: string): number {
    return this.#names.get(name)?.dirty.size ?? 0;
  }

  /** Bytes that all files together have. */
  get used(): number {
    let used = 0;
    for (const each of this.#names.values()) used += each.current.length;
    return used;
  }

  /** A disk with what a loss of power now would leave: a copy that can be put back later. */
  image(): MemoryDisk {
    const next = new MemoryDisk();
    for (const [name, inode] of this.#durableNames) next.put(name, inode.durable);
    return next;
  }

  /** Puts a file there, durably. */
  put(name: string, bytes: Uint8Array): void {
    const inode: Inode = { current: bytes.slice(), durable: bytes.slice(), dirty: new Set() };
    this.#names.set(name, inode);
    this.#durableNames.set(name, inode);
  }

  /** Takes a file away, durably. */
  drop(name: string): void {
    this.#names.delete(name);
    this.#durableNames.delete(name);
  }

  list(): Promise<string[]> {
    return this.#run('list', '', () => [...this.#names.keys()].sort());
  }

  open(name: string, mode: OpenMode): Promise<DiskFile> {
    return this.#run('open', name, () => {
      let inode = this.#names.get(name);
      if (inode === undefined && mode === 'create') {
        inode = { current: new Uint8Array(0), durable: new Uint8Array(0), dirty: new Set() };
        this.#name({ kind: 'link', name, inode });
      }
      if (inode === undefined) throw diskError('ENOENT', `no file ${name}`);
      return this.#file(name, inode, mode);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run('rename', to, () => {
      this.#name({ kind: 'rename', from, to, inode: this.#inode(from) });
    });
  }

  remove(name: string): Promise<void> {
    return this.#run('remove', name, () => {
      this.#inode(name);
      this.#name({ kind: 'unlink', name });
    });
  }

  syncFolder(): Promise<void> {
    return this.#run('sync-folder', '', () => {
      for (const op of this.#pending.splice(0)) applyName(this.#durableNames, op);
    });
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw diskError('ENOENT', `no file ${name}`);
    return inode;
  }

  #name(op: NameOp): void {
    applyName(this.#names, op);
    this.#pending.push(op);
  }

  #file(name: string, inode: Inode, mode: OpenMode): DiskFile {
    let open = true;
    const run = <T>(kind: DiskOp['kind'], act: () => T, failed?: () => void): Promise<T> =>
      this.#run(
        kind,
        name,
        () => {
          if (!open) throw diskError('EBADF', `${name} is closed`);
          if (mode === 'read' && (kind === 'write' || kind === 'sync' || kind === 'truncate'))
            throw diskError('EBADF', `${name} is open for reading only`);
          return act();
        },
        failed,
      );
    return {
      size: () => run('size', () => inode.current.length),
      read: (offset, length) => run('read', () => inode.current.slice(offset, offset + length)),
      write: (offset, bytes) => {
        return run(
          'write',
          () => {
            this.#write(inode, offset, bytes);
          },
          () => {
            this.#write(inode, offset, bytes.subarray(0, bytes.length / 2));
          },
        );
      },
      sync: () =>
        run(
          'sync',
          () => {
            for (const sector of inode.dirty) keepSector(inode, sector);
            inode.dirty.clear();
          },
          () => {
            inode.dirty.clear();
          },
        ),
      truncate: (size) =>
        run('truncate', () => {
          const bytes = new Uint8Array(size);
          bytes.set(inode.current.subarray(0, size));
          inode.current = bytes;
          // Kept simple: a new size is durable at once, the bytes within it are not.
          const durable = new Uint8Array(size);
          durable.set(inode.durable.subarray(0, size));
          inode.durable = durable;
        }),
      close: () =>
        run('close', () => {
          open = false;
        }),
    };
  }

  #write(inode: Inode, offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    const grows = end - inode.current.length;
    if (grows > 0) {
      if (this.capacity !== Infinity && this.used + grows > this.capacity)
        throw diskError('ENOSPC', 'no space left on device');
      const larger = new Uint8Array(end);
      larger.set(inode.current);
      inode.current = larger;
    }
    inode.current.set(bytes, offset);
    for (let sector = Math.floor(offset / SECTOR); sector * SECTOR < end; sector++) inode.dirty.add(sector);
  }

  async #run<T>(kind: DiskOp['kind'], name: string, act: () => T, failed?: () => void): Promise<T> {
    const op = { kind, name, number: this.operations++ };
    if (op.number >= this.diesAt) this.#dead = true;
    const wait = this.#dead ? undefined : this.gate(op);
    if (wait !== undefined) await wait;
    // A dead process learns nothing any more.
    if (this.#dead) {
      if (op.number === this.diesAt && kind === 'write') act();
      return new Promise<T>(() => undefined);
    }
    const error = this.fault(op);
    if (error === undefined) {
      const result = act();
      if (kind === 'sync' || kind === 'sync-folder') this.onDurable(op);
      return result;
    }
    failed?.();
    throw error;
  }
}

/** An error as the system gives it. */
export function diskError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

function applyName(names: Names, op: NameOp): void {
  switch (op.kind) {
    case 'link':
      names.set(op.name, op.inode);
      return;
    case 'rename':
      if (names.get(op.from) === op.inode) names.delete(op.from);
      names.set(op.to, op.inode);
      return;
    case 'unlink':
      names.delete(op.name);
      return;
  }
}

function keepSector(inode: Inode, sector: number): void {
  const from = sector * SECTOR;
  const to = Math.min(from + SECTOR, inode.current.length);
  if (inode.durable.length < to) {
    const larger = new Uint8Array(to);
    larger.set(inode.durable);
    inode.durable = larger;
  }
  if (from < to) inode.durable.set(inode.current.subarray(from, to), from);
}

function afterCrash(inode: Inode, prng: Prng, keep: number): Inode {
  const survivor: Inode = { current: inode.current, durable: inode.durable.slice(), dirty: new Set() };
  for (const sector of inode.dirty) if (prng.chance(keep)) keepSector(survivor, sector);
  return { current: survivor.durable.slice(), durable: survivor.durable, dirty: new Set() };
}
