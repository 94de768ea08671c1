/**
 * The stamp of a data folder: whose disk this is (R5). Drawn and written once, in two copies, and compared at every start, so that
 * a process never speaks from another's disk, nor from a disk that lost its journal.
 */
import { crc32 } from 'node:zlib';
import { SynodError } from '../base/errors.ts';
import type { Disk } from '../ports/disk.ts';

/** Who the process says that it is. */
export interface StampOwner {
  readonly cluster: string;
  /** The id of the configuration. */
  readonly configuration: string;
  /** `acceptor` or `learner`. */
  readonly role: string;
  readonly id: number;
}

export interface Stamp extends StampOwner {
  readonly format: number;
  /** 32 hex digits, drawn when the folder was first used. */
  readonly disk: string;
  /** True once the folder holds data; from then on missing data is a loss, not a beginning. */
  readonly begun: boolean;
}

const FORMAT = 1;
const NAMES = ['identity.json', 'identity.copy.json'] as const;
const TEMPORARY = 'identity.new';
/** Names that may be in a folder before its stamp: the lock, and what a first start left when it was interrupted. */
const BEFORE_STAMP = /^(lock\.|identity\.new$|lost\+found$)/;

/**
 * Reads the folder's stamp and compares it, or, in an empty folder, writes one with the disk id that `draw` returns. Rejects with
 * FAILED_PRECONDITION for a foreign folder or a newer format and DATA_LOSS when both copies are damaged; then nothing is changed.
 */
export async function openStamp(disk: Disk, owner: StampOwner, draw: () => string): Promise<Stamp> {
  const names = await disk.list();
  const copies = await Promise.all(
    NAMES.map((name) => (names.includes(name) ? readCopy(disk, name) : Promise.resolve(undefined))),
  );
  const whole = copies.filter((copy) => copy !== undefined && copy !== 'damaged');
  const [one, two] = whole;
  if (one === undefined) {
    if (copies.includes('damaged'))
      throw new SynodError('DATA_LOSS', `both ${NAMES.join(' and ')} are damaged; restore one of them`);
    return firstStamp(disk, owner, draw, names);
  }
  compare(one, owner);
  if (two !== undefined) {
    compare(two, owner);
    if (two.disk !== one.disk)
      throw new SynodError('DATA_LOSS', `${NAMES.join(' and ')} name different disks: ${one.disk} and ${two.disk}`);
  }
  const stamp = { ...one, begun: whole.some((copy) => copy.begun) };
  // A damaged or missing copy, or one that a crash left behind the other, is written again from the whole one.
  if (whole.length < 2 || one.begun !== two?.begun) await write(disk, stamp);
  return stamp;
}

/** Notes durably that the folder holds data now. To be called when the journal or store was begun. */
export async function markBegun(disk: Disk, stamp: Stamp): Promise<Stamp> {
  if (stamp.begun) return stamp;
  const begun = { ...stamp, begun: true };
  await write(disk, begun);
  return begun;
}

/** Reads a folder's stamp without comparing or changing anything; undefined when there is none that is whole. */
export async function readStamp(disk: Disk): Promise<Stamp | undefined> {
  const names = await disk.list();
  for (const name of NAMES) {
    const copy = names.includes(name) ? await readCopy(disk, name) : undefined;
    if (copy !== undefined && copy !== 'damaged') return copy;
  }
  return undefined;
}

/** Stamps a folder whose data was made without its process. To be called when all of that is durable. */
export async function stampRestored(disk: Disk, owner: StampOwner, id: string): Promise<void> {
  const { cluster, configuration, role } = owner;
  await write(disk, { format: FORMAT, cluster, configuration, role, id: owner.id, disk: id, begun: true });
}

/** Rejects with FAILED_PRECONDITION where the folder holds anything that a first start would not find there. */
export async function requireUnused(disk: Disk, role: string): Promise<void> {
  refuseUsed(await disk.list(), role);
}

function refuseUsed(names: readonly string[], role: string): void {
  const other = names.find((name) => !BEFORE_STAMP.test(name));
  if (other !== undefined)
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the data folder is not empty and not Synod's: it holds ${other} and no ${NAMES[0]}; give the ${role} a folder of its own`,
    );
}

async function firstStamp(disk: Disk, owner: StampOwner, draw: () => string, names: string[]): Promise<Stamp> {
  refuseUsed(names, owner.role);
  const { cluster, configuration, role, id } = owner;
  const stamp: Stamp = { format: FORMAT, cluster, configuration, role, id, disk: draw(), begun: false };
  await write(disk, stamp);
  return stamp;
}

function compare(stamp: Stamp, owner: StampOwner): void {
  if (stamp.format > FORMAT)
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the data folder has format ${String(stamp.format)}, and this version of Synod knows up to ${String(FORMAT)}; start a newer one`,
    );
  for (const key of ['cluster', 'configuration', 'role', 'id'] as const) {
    if (stamp[key] === owner[key]) continue;
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the data folder belongs to ${key} ${String(stamp[key])}, and this process is of ${key} ${String(owner[key])}; ` +
        'give it its own data folder, or correct its configuration',
    );
  }
}

async function write(disk: Disk, stamp: Stamp): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify({ ...stamp, check: checkOf(stamp) }, undefined, 2) + '\n');
  for (const name of NAMES) {
    const file = await disk.open(TEMPORARY, 'create');
    try {
      await file.truncate(0);
      await file.write(0, bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(TEMPORARY, name);
    // One copy is durable before the other is touched.
    await disk.syncFolder();
  }
}

async function readCopy(disk: Disk, name: string): Promise<Stamp | 'damaged'> {
  const file = await disk.open(name, 'read');
  try {
    return parse(new TextDecoder().decode(await file.read(0, Math.min(await file.size(), 65536))));
  } finally {
    await file.close();
  }
}

function parse(text: string): Stamp | 'damaged' {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'damaged'; // Not JSON: the other copy decides.
  }
  if (typeof value !== 'object' || value === null) return 'damaged';
  const { check, ...v } = value as Partial<Record<keyof Stamp | 'check', unknown>>;
  if (check !== checkOf(v)) return 'damaged';
  const { format, cluster, configuration, role, id, disk, begun } = v;
  if (typeof format !== 'number' || typeof cluster !== 'string' || typeof configuration !== 'string') return 'damaged';
  if (typeof role !== 'string' || typeof id !== 'number' || typeof disk !== 'string') return 'damaged';
  if (typeof begun !== 'boolean') return 'damaged';
  return { format, cluster, configuration, role, id, disk, begun };
}

/** Over all fields but itself, in their order, whatever they are: a newer format is checked in the same way. */
function checkOf(fields: object): string {
  return crc32(JSON.stringify(fields)).toString(16).padStart(8, '0');
}
