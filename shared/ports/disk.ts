/**
 * What a journal asks of a disk. `platform` does it with files, the simulator with memory that loses and tears what was not
 * synced. Every call may fail with an error that carries a `code` (`ENOSPC`, `EIO`, `ENOENT`, …); nothing is retried inside.
 */
export interface Disk {
  /** Names in the folder, sorted. */
  list(): Promise<string[]>;
  /** Opens a file for reading and writing; creates an empty one if it is missing and `create` is set. */
  open(name: string, create: boolean): Promise<DiskFile>;
  /** Renames over whatever has the new name. Durable only after `syncFolder`. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals in the folder durable. */
  syncFolder(): Promise<void>;
}

export interface DiskFile {
  size(): Promise<number>;
  /** Reads up to `length` bytes; fewer only at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Writes all bytes or fails; after a failure any part of them may be in the file. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes the data written so far durable (fdatasync). After a failure nothing is known about it. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}
