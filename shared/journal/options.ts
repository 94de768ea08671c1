/** What a journal is opened with. */
import type { JournalIdentity } from './segment.ts';

export interface JournalOptions {
  readonly identity: JournalIdentity;
  /** Begin a journal where the folder holds none. Set only while the folder's stamp says that none was begun (R5). */
  readonly create: boolean;
  /** Bytes of a segment, a multiple of 512 (`journal.segment.bytes`; default 64 MiB, `JOURNAL_DEFAULTS`). */
  readonly segmentBytes: number;
  /** Above this `hasRoom` is false (`journal.bytes.max`; default 1 GiB). */
  readonly bytesMax: number;
  /** Bytes beyond `bytesMax` that `append` may still use (default two segments). */
  readonly reserveBytes: number;
  /**
   * The owner's state, as entries for the head of a new segment: after a trim, this and the entries behind it are all there is.
   * Called synchronously while a segment's first record is composed. It may already contain entries that are still queued and
   * that a replay will bring again, so replaying an entry twice must change nothing.
   */
  readonly head: () => readonly Uint8Array[];
  /**
   * A write or a sync failed: the process must end at once (R4). Called once, and perhaps before the journal is open for its owner,
   * because the next segment is prepared meanwhile.
   */
  readonly onFatal: (error: Error) => void;
}

export const JOURNAL_DEFAULTS = {
  segmentBytes: 64 * 1024 * 1024,
  bytesMax: 1024 * 1024 * 1024,
  reserveBytes: 2 * 64 * 1024 * 1024,
} as const;
