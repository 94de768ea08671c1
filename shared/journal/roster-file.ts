/**
 * What an acceptor's disk keeps for R5 beside its journal: its roster, its starts, and what it remembers of others. One small
 * file, replaced as a whole: written aside, synced, renamed, and the folder synced, so that a crash leaves the old or the new. The
 * file for the next replacement is made before it is needed: a full disk refuses new slots (R4), and does not end a process that
 * only has to remember what it heard of others.
 *
 *   4 bytes  CRC-32 of the rest, big-endian
 *   rest     a journal.v1.RosterRecord
 */
import { crc32 } from 'node:zlib';
import { messageOf, SynodError } from '../base/errors.ts';
import type { RosterState } from '../paxos/introduction.ts';
import { EMPTY_ROSTER_STATE } from '../paxos/introduction.ts';
import { isNoSpace } from '../ports/disk.ts';
import type { Disk } from '../ports/disk.ts';
import { decodeRosterState, encodeRosterState } from '../wire/codec/introduction.ts';

const NAME = 'roster';
const TEMPORARY = 'roster.new';
/** A roster of 65,535 acceptors is smaller than this. */
const BYTES_MAX = 16 * 1024 * 1024;
/** Allocated for the next replacement: one block of a usual disk, which holds the roster of a usual cluster. */
const SPARE_BYTES = 4_096;

/** Reads the roster; a folder without one was never used, or is older than its roster, which others tell (R5). */
export async function readRoster(disk: Disk): Promise<RosterState> {
  if (!(await disk.list()).includes(NAME)) return EMPTY_ROSTER_STATE;
  const file = await disk.open(NAME, 'read');
  try {
    const bytes = await file.read(0, Math.min(await file.size(), BYTES_MAX));
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.length < 4 || view.readUInt32BE(0) !== crc32(view.subarray(4))) throw damaged('its checksum does not fit');
    return decodeRosterState(view.subarray(4));
  } catch (error) {
    if (error instanceof SynodError && error.code === 'INVALID_ARGUMENT') throw damaged(messageOf(error));
    throw error;
  } finally {
    await file.close();
  }
}

/** Replaces the roster; durable when the promise resolves. */
export async function writeRoster(disk: Disk, state: RosterState): Promise<void> {
  const record = encodeRosterState(state);
  const bytes = Buffer.alloc(4 + record.length);
  bytes.writeUInt32BE(crc32(record), 0);
  bytes.set(record, 4);
  // Not cut before it is written: its bytes are there already.
  await replaceBytes(disk, bytes);
  await disk.rename(TEMPORARY, NAME);
  await disk.syncFolder();
  await makeSpare(disk);
}

/** Makes the file for the next replacement from what the last one freed. Where there is no space, the next one may still find some. */
async function makeSpare(disk: Disk): Promise<void> {
  try {
    await replaceBytes(disk, new Uint8Array(SPARE_BYTES));
  } catch (error) {
    if (!isNoSpace(error)) throw error;
  }
}

async function replaceBytes(disk: Disk, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(TEMPORARY, 'create');
  try {
    await file.write(0, bytes);
    await file.truncate(bytes.length);
    await file.sync();
  } finally {
    await file.close();
  }
}

function damaged(why: string): SynodError {
  return new SynodError(
    'DATA_LOSS',
    `the file ${NAME} in the data folder is damaged (${why}); restore the disk, or leave this acceptor stopped: ` +
      'the others go on while they hold a quorum',
  );
}
