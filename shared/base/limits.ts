/** Limits that every part of a cluster shares (DESIGN 10). They are constants because they must be the same everywhere. */
export const LIMITS = {
  /** Bytes of one value as it stands in a slot: 1.5 MiB for what a client gives, as etcd grants, and 64 KiB for what wraps it. */
  valueBytesMax: 1.5 * 1024 * 1024 + 64 * 1024,
  /** Bytes of a log's name in UTF-8. */
  logNameBytesMax: 256,
  /** Logs of one cluster. */
  logsMax: 100_000,
  /** Values of one Accept. */
  batchValuesMax: 1_000,
  /** Bytes of one Accept; one value of any legal size always fits. */
  batchBytesMax: 1024 * 1024,
  /** Proposals that one leader has in flight, over all its logs. */
  inFlightMax: 10_000,
  /** An Accept ends at most this many slots above the watermark: every slot below a voted one must be filled some day. */
  slotsAheadMax: 65_536,
  /** A fast Accept is at most this many slots above the greatest vote and watermark: nobody leads who would fill the rest. */
  fastSlotsAheadMax: 1_024,
  /** A round above this is refused, so that nobody can use up the numbers. */
  roundMax: 2 ** 48,
  /** Sequence numbers that a session may use above what its client acknowledged. */
  sessionWindow: 1_024,
  /** Sessions that one log keeps; opening one more expires the one that was unused the longest, by log order. */
  sessionsMax: 10_000,
  /** Bytes of one gRPC message between roles: a batch with its largest value and what wraps it. */
  messageBytesMax: 4 * 1024 * 1024,
} as const;

/** Logs whose name starts with this belong to Synod itself (the probe). */
export const RESERVED_LOG_PREFIX = 'synod.';
