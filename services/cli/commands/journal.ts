/** `synodctl journal verify|dump DIR`: reads an acceptor's journal where it lies and changes nothing. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SynodError } from '../../../shared/base/errors.ts';
import { dumpJournal, readStamp, refusalError, verifyJournal } from '../../../shared/journal/index.ts';
import type { DumpItem, JournalReport, Verdict } from '../../../shared/journal/index.ts';
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import type { AcceptorRecord } from '../../../shared/paxos/messages.ts';
import { readFolder } from '../../../shared/platform/disk.ts';
import type { Disk } from '../../../shared/ports/disk.ts';
import { decodeRecord } from '../../../shared/wire/codec/record.ts';
import { EXIT, UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { bytesText, table } from '../table.ts';
import { showLine, showName } from '../text.ts';

export interface JournalOptions {
  readonly json?: boolean;
}

export async function verify(folder: string, options: JournalOptions, io: Io): Promise<number> {
  const disk = open(folder);
  const read = await verifyJournal(disk);
  // A journal that cannot be read says nothing of its owner; the stamp beside it may.
  const report = read.identity === undefined ? { ...read, identity: await stampedIdentity(disk) } : read;
  if (report.verdict.kind === 'new') await refuseEmpty(disk, folder);
  if (options.json === true) io.out(JSON.stringify({ folder, ...report }));
  else for (const line of reportLines(folder, report)) io.out(line);
  return exitOf(report.verdict, folder, io);
}

export async function dump(folder: string, options: JournalOptions, io: Io): Promise<number> {
  const disk = open(folder);
  const report = await dumpJournal(disk, (item) => {
    io.out(options.json === true ? JSON.stringify(jsonItem(item)) : showLine(itemLine(item)));
  });
  if (report.verdict.kind === 'new') await refuseEmpty(disk, folder);
  return exitOf(report.verdict, folder, io);
}

function open(folder: string): Disk {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new UsageError(`${folder} is not a folder: give the data folder of an acceptor, such as data/acceptor-1`);
  const inner = join(folder, 'journal');
  return readFolder(existsSync(inner) && statSync(inner).isDirectory() ? inner : folder);
}

async function stampedIdentity(disk: Disk): Promise<JournalReport['identity']> {
  const stamp = await readStamp(disk);
  return stamp === undefined ? undefined : { cluster: stamp.cluster, acceptor: stamp.id, disk: stamp.disk };
}

async function refuseEmpty(disk: Disk, folder: string): Promise<never> {
  const stamp = await readStamp(disk);
  throw new SynodError(
    'NOT_FOUND',
    stamp === undefined
      ? `${folder} holds no journal: give the data folder of an acceptor, such as data/acceptor-1`
      : `${folder} belongs to an acceptor whose journal has not begun`,
  );
}

function exitOf(verdict: Verdict, folder: string, io: Io): number {
  if (verdict.kind !== 'refused') return EXIT.ok;
  io.err(`synodctl: ${folder}: ${refusalError(verdict).message}`);
  return EXIT.damaged;
}

function reportLines(folder: string, report: JournalReport): string[] {
  const { identity, verdict, segments, records, entries, first, newest } = report;
  const owner =
    identity === undefined
      ? 'unknown owner'
      : `acceptor ${String(identity.acceptor)} of cluster ${identity.cluster}, disk ${identity.disk}`;
  const rows = segments.map((each) => [
    each.name,
    String(each.first),
    bytesText(each.used),
    bytesText(each.bytes),
    each.hasHead ? 'yes' : 'no',
  ]);
  return [
    `${folder}: ${owner}`,
    `${String(records)} records with ${String(entries)} entries, positions ${String(first)} to ${String(newest)}`,
    ...(rows.length === 0 ? [] : table(['segment', 'first', 'used', 'size', 'head'], rows)),
    `verdict: ${verdictText(verdict)}`,
  ];
}

function verdictText(verdict: Verdict): string {
  const { kind, ...where } = verdict;
  const details = Object.entries(where).map(([name, value]) => `${name} ${String(value)}`);
  return details.length === 0 ? kind : `${kind} (${details.join(', ')})`;
}

function itemLine(item: DumpItem): string {
  const place = `${String(item.segment).padStart(4)} ${String(item.offset).padStart(10)}`;
  switch (item.kind) {
    case 'segment':
      return `${place}  segment from position ${String(item.first)}: ${item.text}`;
    case 'mark':
      return `${place}  mark: synced ${String(item.synced)}, oldest ${String(item.oldest)}`;
    case 'head':
      return `${place}  head: ${recordText(decodeRecord(item.bytes))}`;
    case 'entry':
      return `${place}  ${String(item.position).padStart(8)}: ${recordText(decodeRecord(item.bytes))}`;
  }
}

function recordText(record: AcceptorRecord): string {
  const { kind, ...rest } = plain(record);
  return `${kind} ${Object.entries(rest)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? showName(value) : JSON.stringify(value)}`)
    .join(' ')}`;
}

function jsonItem(item: DumpItem): object {
  if (item.kind !== 'head' && item.kind !== 'entry') return item;
  const { bytes, ...place } = item;
  return { ...place, record: plain(decodeRecord(bytes)) };
}

/** A record without the bytes of its values, its ballots as text. */
function plain(record: AcceptorRecord): { kind: string } & Record<string, unknown> {
  const fields = Object.entries(record).map(([name, value]: [string, unknown]) => [name, plainField(value)]);
  return Object.fromEntries(fields) as { kind: string } & Record<string, unknown>;
}

function plainField(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('incarnation' in value && 'round' in value) return formatBallot(value as Parameters<typeof formatBallot>[0]);
  if ('bytes' in value && 'count' in value) {
    const { bytes, count } = value as { bytes: Uint8Array; count: number };
    return { count, bytes: bytes.length };
  }
  if (value instanceof Uint8Array) return { bytes: value.length };
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [String(key), plainField(each)]));
  return Array.isArray(value) ? value.map(plainField) : value;
}
