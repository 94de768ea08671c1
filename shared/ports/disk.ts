/**
 * What a journal asks of a disk: one flat folder of files. `platform` does it with real files, the simulator with memory that
 * loses and tears what was not synced. Every call may fail with an error that carries a `code` (`ENOSPC`, `EIO`, `ENOENT`, …);
 * nothing is retried inside.
 */
export interface Disk {
  /** Names in the folder, sorted. */
  list(): Promise<string[]>;
  /** Opens a file. `read` can only read; `write` also writes; `create` also makes an empty file where there is none. */
  open(name: string, mode: OpenMode): Promise<DiskFile>;
  /** Renames over whatever has the new name. Durable only after `syncFolder`. */
  rename(from: string, to: string): Promise<void>;
  /** Removes the name; a file that is open stays readable until it is closed. Durable only after `syncFolder`. */
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals in the folder durable. */
  syncFolder(): Promise<void>;
}

export type OpenMode = 'read' | 'write' | 'create';

export interface DiskFile {
  size(): Promise<number>;
  /** Reads up to `length` bytes into a buffer of its own, which is never used again; fewer only at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Writes all bytes or fails; after a failure any part of them may be in the file. The bytes are free again afterwards. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes the data written so far durable (fdatasync). After a failure nothing is known about it. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

/** The `code` of an error of a disk, or the empty string. */
export function diskErrorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** True for the errors that only mean that a disk or a quota is full. */
export function isNoSpace(error: unknown): boolean {
  const code = diskErrorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}
