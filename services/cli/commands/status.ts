/** `synodctl status` and `synodctl logs`: the whole cluster on one screen, with what is down. */
import { RESERVED_LOG_PREFIX } from '../../../shared/base/limits.ts';
import type { Process, Queue } from '../../../shared/wire/gen/synod/v1/common.ts';
import { OK, parseNumber } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { EXIT } from '../exit.ts';
import { ageText, bytesText, table } from '../table.ts';
import { showLine } from '../text.ts';
import { gather } from './gather.ts';
import type { Member, Said } from './gather.ts';
import { LOG_HEAD, logCells, logRows } from './log-rows.ts';

export interface StatusOptions extends CommonOptions {
  readonly log?: string;
  readonly all?: boolean;
  readonly limit?: string;
}

interface MemberRow {
  readonly role: string;
  readonly id: number;
  readonly address: string;
  readonly state: 'ready' | 'not ready' | 'down';
  readonly uptimeMs: number | null;
  readonly version: string | null;
  /** The quorum system that it was started with. */
  readonly quorum: string | null;
  readonly logs: number | null;
  /** Logs that a proposer leads. */
  readonly leads: number | null;
  readonly queues: readonly { readonly name: string; readonly length: number; readonly limit: number }[];
  /** What it keeps on disk. */
  readonly bytes: number | null;
  readonly bytesMax: number | null;
  readonly notes: readonly string[];
}

export async function status(options: StatusOptions, context: Context): Promise<number> {
  const logsMax = options.limit === undefined ? 20 : parseNumber(options.limit, '--limit', 1);
  const members = await gather(context, wantedOf(options, logsMax));
  const rows = members.map((member) => memberRow(member, options.all ?? false));
  const logs = logRows(members).slice(0, logsMax);
  const nobody = rows.every((row) => row.state === 'down');
  if (context.json) context.io.out(JSON.stringify({ members: rows, logs }));
  else if (!nobody) {
    const head = ['role', 'address', 'state', 'up', 'logs', 'queued', 'on disk', 'notes'];
    for (const line of table(head, rows.map(memberCells))) context.io.out(line);
    for (const line of quorumLines(rows)) context.io.out(line);
    context.io.out('');
    if (logs.length === 0) context.io.out('No logs yet: a log is made by its first proposal.');
    else for (const line of table(LOG_HEAD, logs.map(logCells))) context.io.out(line);
    const known = Math.max(...rows.map((row) => row.logs ?? 0));
    if (options.log === undefined && known > logsMax)
      context.io.out(`… of ${String(known)} logs; see --limit, --log or synodctl logs`);
  }
  if (!nobody) return OK;
  // The same words as every other command has for it.
  requireSomebody(context);
  context.io.err(`synodctl: nobody answers at any of ${rows.map((row) => row.address).join(', ')}`);
  return EXIT.unreachable;
}

export async function logs(options: StatusOptions, context: Context): Promise<number> {
  const logsMax = options.limit === undefined ? 1_000 : parseNumber(options.limit, '--limit', 1);
  const members = await gather(context, wantedOf(options, logsMax));
  if (members.every(({ said }) => typeof said === 'string')) {
    requireSomebody(context);
    context.io.err(`synodctl: ${members.flatMap(({ said }) => (typeof said === 'string' ? [said] : [])).join('; ')}`);
    return EXIT.unreachable;
  }
  const rows = logRows(members).slice(0, logsMax);
  if (context.json) for (const row of rows) context.io.out(JSON.stringify(row));
  else if (rows.length === 0) context.io.out('No logs yet: a log is made by its first proposal.');
  else for (const line of table(LOG_HEAD, rows.map(logCells))) context.io.out(line);
  if (rows.length === logsMax && !context.json) context.io.err(`… the first ${String(logsMax)}; more with --limit N`);
  for (const { place, said } of members)
    if (typeof said === 'string') context.io.err(showLine(`without ${place.role} ${String(place.id)}: ${said}`));
  return OK;
}

/** Throws what every other command says where none of those that are named, or looked for, takes a connection. */
function requireSomebody({ endpoints }: Context): void {
  if (endpoints.places.some(({ listening }) => listening)) return;
  for (const { role } of endpoints.places) endpoints.reachable(role);
}

function wantedOf(options: StatusOptions, logsMax: number): { all: boolean; logsMax: number; log?: string } {
  return { all: options.all ?? false, logsMax, ...(options.log === undefined ? {} : { log: options.log }) };
}

function memberRow({ place, id, said }: Member, all: boolean): MemberRow {
  const { role, address } = place;
  const nothing = {
    uptimeMs: null,
    version: null,
    quorum: null,
    logs: null,
    leads: null,
    queues: [],
    bytes: null,
    bytesMax: null,
  };
  if (typeof said === 'string') return { role, id, address, state: 'down', ...nothing, notes: [said] };
  const process: Process | undefined = said.status.process;
  const missing = process?.notReady ?? [];
  return {
    role,
    id,
    address,
    state: missing.length === 0 && !isSilent(said) ? 'ready' : 'not ready',
    uptimeMs: process?.uptimeMs ?? null,
    version: process?.version ?? null,
    quorum: process?.quorum === undefined || process.quorum === '' ? null : process.quorum,
    logs: said.status.logs,
    leads: said.role === 'proposer' ? said.status.led : null,
    queues: queuesOf(said),
    bytes:
      said.role === 'acceptor'
        ? (said.status.journal?.bytes ?? null)
        : said.role === 'learner'
          ? said.status.storeBytes
          : null,
    bytesMax: said.role === 'acceptor' ? (said.status.journal?.bytesMax ?? null) : null,
    notes: [...missing, ...faultNotes(process), ...notesOf(said, all)].filter(
      (note, at, every) => note !== '' && every.indexOf(note) === at,
    ),
  };
}

/** `quorums  majority: any 2 of 3`; where members were started with several, who has which. */
function quorumLines(rows: readonly MemberRow[]): string[] {
  const who = new Map<string, string[]>();
  for (const { quorum, role, id } of rows)
    if (quorum !== null) who.set(quorum, [...(who.get(quorum) ?? []), `${role} ${String(id)}`]);
  if (who.size === 1) return [...who.keys()].map((quorum) => showLine(`quorums  ${quorum}`));
  return [...who].map(([quorum, members]) =>
    showLine(`quorums DIFFER, so that members refuse one another  ${quorum}: ${members.join(', ')}`),
  );
}

function faultNotes(process: Process | undefined): string[] {
  if (process?.faultsOn !== true) return [];
  return process.faults.length === 0 ? ['faults on'] : process.faults.map((fault) => `fault ${fault}`);
}

function isSilent(said: Said): boolean {
  return said.role === 'acceptor' && !said.status.speaks;
}

function queuesOf(said: Said): { name: string; length: number; limit: number }[] {
  return said.status.queues.map(({ name, length, limit }: Queue) => ({ name, length, limit }));
}

/** `all`: also of Synod's own logs. */
function notesOf(said: Said, all: boolean): string[] {
  const unheard = said.status.links
    .filter((link) => !link.connected)
    .map(
      (link) =>
        `does not hear ${['', 'proposer', 'acceptor', 'learner', 'client'][link.role] ?? ''} ${String(link.id)}`,
    );
  switch (said.role) {
    case 'acceptor': {
      const { journal, silentBecause } = said.status;
      const full = journal === undefined || journal.hasRoom ? '' : 'its journal is full (journal.bytes.max)';
      const keptBecause = journal?.keptBecause ?? '';
      const isHidden = !all && keptBecause.startsWith(`log "${RESERVED_LOG_PREFIX}`);
      const kept = keptBecause === '' || isHidden ? '' : `kept: ${keptBecause}`;
      return [silentBecause, full, kept, ...unheard];
    }
    case 'proposer': {
      const { led, inFlight } = said.status;
      return [`leads ${String(led)}, ${String(inFlight)} in flight`, ...unheard];
    }
    case 'learner': {
      const { trusted, subscribers } = said.status;
      return [
        trusted ? '' : 'its digests differ from those of another learner: no linearizable reads here',
        subscribers === 0 ? '' : `${String(subscribers)} subscribers`,
        ...unheard,
      ];
    }
  }
}

function memberCells(row: MemberRow): string[] {
  // What is nearly empty is no news; --json has all of them.
  const busy = row.queues.filter((queue) => queue.length * 50 > queue.limit);
  return [
    `${row.role} ${String(row.id)}`,
    row.address,
    row.state,
    row.uptimeMs === null ? '–' : ageText(row.uptimeMs),
    row.logs === null ? '–' : String(row.logs),
    busy.length === 0
      ? '0'
      : busy.map((queue) => `${queue.name} ${String(queue.length)}/${String(queue.limit)}`).join(', '),
    row.bytes === null ? '–' : bytesText(row.bytes) + (row.bytesMax === null ? '' : ` of ${bytesText(row.bytesMax)}`),
    row.notes.join('; '),
  ];
}
