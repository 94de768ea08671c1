/**
 * An ordered, durable list of entries. Positions count entries from 0 and are never used twice, over all starts of a disk.
 *
 * Entries that are appended while a write is under way go together into the next record: one write, one checksum, one
 * fdatasync for all that waited (R6). A failed write or sync ends the process: whoever opened the journal is told once, and nothing
 * after it is reported as synced (R4).
 */
export interface Journal {
  /**
   * Queues an entry; its position is one above that of the entry before. The bytes must not change afterwards.
   * Throws INVALID_ARGUMENT for an entry above `entryBytesMax` and RESOURCE_EXHAUSTED when even the reserve is used up, both with
   * outcome none: nothing was queued.
   */
  append(entry: Uint8Array): number;
  /** The position of the newest entry appended, −1 when there is none. */
  readonly newest: number;
  /** All entries up to and including this position are durable; −1 when none is. */
  readonly synced: number;
  /** Called after `synced` has grown. One listener. */
  onSynced: (synced: number) => void;
  /**
   * Reads entries back, in order, beginning with the first at or after `from`; ends after `to` or when `visit` returns false.
   * Entries that are not yet synced are visited too. What is handed out stays valid, but is a view of a larger buffer: copy
   * what is kept long.
   */
  read(from: number, to: number, visit: (position: number, entry: Uint8Array) => boolean): Promise<void>;
  /** Entries below this position may be dropped, a whole segment at a time. */
  trim(below: number): Promise<void>;
  /** The first position that is still there. */
  readonly first: number;
  /** Bytes on disk, preallocated space included. */
  readonly bytes: number;
  /** Bytes of entries that wait for their write; the owner bounds it (R14). */
  readonly queuedBytes: number;
  /** The largest entry that `append` takes, in bytes. */
  readonly entryBytesMax: number;
  /** False while the next segment cannot be preallocated (no space) or `bytes` is at its limit. New work is refused then (R4). */
  readonly hasRoom: boolean;
  /**
   * The largest entry that `append` takes now, in bytes; Infinity while the next segment is there or being made. Below it even the reserve
   * is used up, and whoever appends more must refuse work before.
   */
  readonly room: number;
  /** Half of the room is used: what little is still needed of the oldest entries should be appended again, so that they can go. */
  readonly wantsTrim: boolean;
  /**
   * The position below which entries must not be needed any more so that a trim frees about a quarter of the bytes, or what it can;
   * `first` while no trim could free anything.
   */
  readonly pinnedBelow: number;
  /** Tries again to preallocate the next segment, in the background; to be called now and then while `hasRoom` is false. */
  seekRoom(): void;
  /** To be called when nothing came for a while: writes a sync mark behind the last write, unless there is one (R6). */
  idle(): void;
  /** Writes what is queued and a sync mark, then closes the files. */
  close(): Promise<void>;
}
