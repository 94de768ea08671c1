/**
 * An ordered, durable list of entries. Positions count entries from 0 and are never used twice, over all starts of a disk.
 *
 * Entries that are appended while a write is under way go together into the next record: one write, one checksum, one
 * fdatasync for all that waited (R6). A failed write or sync ends the process: `onFatal` is called once and nothing after it is
 * reported as synced (R4).
 */
export interface Journal {
  /** Queues an entry; its position is one above that of the entry before. */
  append(entry: Uint8Array): number;
  /** The position of the newest entry appended, −1 when there is none. */
  readonly newest: number;
  /** All entries up to and including this position are durable; −1 when none is. */
  readonly synced: number;
  /** Called after `synced` has grown. One listener. */
  onSynced: (synced: number) => void;
  /** Called when a write or a sync failed. The owner must end the process. */
  onFatal: (error: Error) => void;
  /** Reads entries back, in order, beginning with the first at or after `from`; ends after `to` or when `visit` returns false. */
  read(from: number, to: number, visit: (position: number, entry: Uint8Array) => boolean): Promise<void>;
  /** Entries below this position may be dropped, a whole segment at a time. */
  trim(below: number): Promise<void>;
  /** The first position that is still there. */
  readonly first: number;
  /** Bytes on disk, preallocated space included. */
  readonly bytes: number;
  /** False while the next segment cannot be preallocated (no space) or `bytes` is at its limit. New work is refused then (R4). */
  readonly hasRoom: boolean;
  close(): Promise<void>;
}
