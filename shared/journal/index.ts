/** The door of this room. */
export type { JournalOptions } from './options.ts';
export { JOURNAL_DEFAULTS } from './options.ts';
export type { OpenedJournal } from './open.ts';
export { openJournal } from './open.ts';
export type { RestoredAcceptor } from './restored.ts';
export { writeRestored } from './restored.ts';
export { readRoster, writeRoster } from './roster-file.ts';
export type { JournalIdentity } from './segment.ts';
export type { Stamp, StampOwner } from './stamp.ts';
export { markBegun, openStamp, readStamp } from './stamp.ts';
export type { Damage, Refusal, Verdict } from './verdict.ts';
export { refusalError } from './verdict.ts';
export type { DumpItem, JournalReport, SegmentReport } from './verify.ts';
export { dumpJournal, verifyJournal } from './verify.ts';
