/** `synodctl fault …`: messages between members that are cut, lost or held on purpose, on a cluster that runs with --faults. */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../../../shared/base/errors.ts';
import { ClientError, faults } from '../../../shared/client/index.ts';
import type { FaultAction, FaultDirection, FaultPeer, FaultsInForce, NewFault } from '../../../shared/client/index.ts';
import { readDuration } from '../../../shared/platform/config/values.ts';
import { actionText, FAULT_LIMITS, peersText } from '../../../shared/wire/codec/fault.ts';
import { OK } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import type { Place } from '../endpoints.ts';
import { EXIT, UsageError } from '../exit.ts';
import { nameOf, readSides } from '../members.ts';
import type { Named } from '../members.ts';
import { ageText, table } from '../table.ts';
import { showLine } from '../text.ts';

export interface FaultOptions extends CommonOptions {
  readonly for?: string;
  readonly jitter?: string;
  readonly oneWay?: boolean;
  readonly bothWays?: boolean;
}

/** What one member is asked to make. */
interface Part {
  readonly at: Named;
  readonly peers: readonly FaultPeer[];
  readonly direction: FaultDirection;
}

/** What came of asking one member. */
interface Reply<T> {
  readonly name: string;
  readonly answer?: T;
  readonly error?: unknown;
}

/** `partition A from C`: both sides make it, so that either alone is enough. */
export function partition(words: readonly string[], options: FaultOptions, context: Context): Promise<number> {
  const { left, right } = readSides(words, 'from', context.endpoints);
  const oneWay = options.oneWay ?? false;
  const parts = [...partsAt(left, right, oneWay ? 'out' : 'both'), ...partsAt(right, left, oneWay ? 'in' : 'both')];
  return make({ kind: 'cut' }, parts, options, context, (took) => {
    const pairs = left.flatMap((a) => right.map((b) => [a.name, b.name] as const));
    return pairs.filter(([a, b]) => !took.has(a) && !took.has(b)).map(([a, b]) => `${a} from ${b}`);
  });
}

export function drop(words: readonly string[], options: FaultOptions, context: Context): Promise<number> {
  const [share = '', ...rest] = words;
  return onTheWay({ kind: 'drop', share: readShare(share) }, rest, options, context);
}

export function delay(words: readonly string[], options: FaultOptions, context: Context): Promise<number> {
  const [ms = '', ...rest] = words;
  const max = FAULT_LIMITS.delayMsMax;
  const jitterMs = options.jitter === undefined ? 0 : readMs(options.jitter, '--jitter', 0, max);
  return onTheWay({ kind: 'delay', ms: readMs(ms, 'TIME', 1, max), jitterMs }, rest, options, context);
}

/** Senders make it: made at both ends it would count twice. Clients are asked for nothing, so whom they call makes theirs. */
function onTheWay(
  action: FaultAction,
  words: readonly string[],
  options: FaultOptions,
  context: Context,
): Promise<number> {
  const { left, right } = readSides(words, 'to', context.endpoints);
  const way = (from: readonly Named[], to: readonly Named[]): Part[] => [
    ...partsAt(from, to, 'out'),
    ...(from.some(({ place }) => place === undefined)
      ? partsAt(
          to,
          from.filter(({ place }) => place === undefined),
          'in',
        )
      : []),
  ];
  const parts = [...way(left, right), ...(options.bothWays === true ? way(right, left) : [])];
  const wanted = [...new Set(parts.map(({ at }) => at.name))];
  return make(action, parts, options, context, (took) => wanted.filter((name) => !took.has(name)));
}

function partsAt(members: readonly Named[], others: readonly Named[], direction: FaultDirection): Part[] {
  const peers = others.map(({ peer }) => peer);
  return members.flatMap((at) => (at.place === undefined ? [] : [{ at, peers, direction }]));
}

/** Has the members make it. `missing`: what is not as it was asked for, given who took it. */
async function make(
  action: FaultAction,
  parts: readonly Part[],
  options: FaultOptions,
  context: Context,
  missing: (took: ReadonlySet<string>) => string[],
): Promise<number> {
  const id = randomBytes(3).toString('hex');
  const forMs = options.for === undefined ? 0 : readMs(options.for, '--for', 1, FAULT_LIMITS.forMsMax);
  if (parts.length === 0) throw new UsageError('only clients are named, and nobody who could make the fault');
  // A member that is on the way in and out of it makes two faults; the second has an id of its own.
  const seen = new Set<string>();
  const replies = await Promise.all(
    parts.map(({ at, peers, direction }) => {
      const fault: NewFault = { id: seen.has(at.name) ? `${id}.in` : id, action, peers, direction, forMs };
      seen.add(at.name);
      return askOne(at.place as Place, (address) => faults.add(address, fault, context.timeoutMs));
    }),
  );
  const failed = replies.filter(({ error }) => error !== undefined);
  const took = new Set(replies.map(({ name }) => name).filter((name) => failed.every((reply) => reply.name !== name)));
  const [first] = failed;
  if (took.size === 0 && first?.error instanceof Error) throw first.error;
  const open = missing(took);
  report(context, { id, action, forMs, took: [...took], missing: open }, failed);
  return open.length === 0 ? OK : EXIT.refused;
}

interface Made {
  readonly id: string;
  readonly action: FaultAction;
  readonly forMs: number;
  readonly took: readonly string[];
  readonly missing: readonly string[];
}

function report({ io, json }: Context, made: Made, failed: readonly Reply<unknown>[]): void {
  const { id, action, forMs, took, missing } = made;
  const without = failed.map(({ name, error }) => ({ member: name, why: messageOf(error) }));
  if (json) {
    io.out(JSON.stringify({ id, ...action, forMs, took, missing, without }));
    return;
  }
  const until = forMs === 0 ? `until synodctl fault heal ${id}` : `for ${ageText(forMs)}`;
  io.out(`fault ${id}: ${actionText(action)}, ${until}; made by ${took.join(', ')}`);
  for (const { member, why } of without) io.err(showLine(`without ${member}: ${why}`));
  if (missing.length > 0)
    io.err(`not in force for ${missing.join(', ')}; what is in force stays so until it is healed`);
}

/** `heal [id…]`: everywhere at once. A member that is down has no faults any more. */
export async function heal(ids: readonly string[], context: Context): Promise<number> {
  const asked = await askAll(context, (address) =>
    faults.heal(
      address,
      ids.flatMap((id) => [id, `${id}.in`]),
      context.timeoutMs,
    ),
  );
  const rows = asked.answered.map(({ name, answer }) => ({
    member: name,
    healed: [...new Set(answer.map(({ id }) => id))],
  }));
  if (context.json) for (const row of rows) context.io.out(JSON.stringify(row));
  else {
    const healed = rows.filter((row) => row.healed.length > 0);
    for (const { member, healed: gone } of healed) context.io.out(`healed at ${member}: ${gone.join(', ')}`);
    if (healed.length === 0) context.io.out('no such fault was in force');
  }
  return withoutSome(asked, context);
}

/** `list`: one row for each fault of each member. */
export async function list(context: Context): Promise<number> {
  const asked = await askAll(context, (address) => faults.list(address, context.timeoutMs));
  const rows = asked.answered.flatMap(({ name, answer }) =>
    answer.faults.map((fault) => ({ member: name, ...fault, ...countsOf(answer) })),
  );
  if (context.json) for (const row of rows) context.io.out(JSON.stringify(row));
  else if (rows.length === 0) context.io.out('No faults are in force.');
  else {
    const head = ['member', 'id', 'what', 'with', 'left', 'lost there', 'held there'];
    const cells = rows.map((row) => [
      row.member,
      row.id,
      actionText(row.action),
      `${{ in: 'from', out: 'to', both: 'from and to' }[row.direction]} ${peersText(row.peers)}`,
      row.forMs === 0 ? 'until healed' : ageText(row.forMs),
      String(row.messagesDropped),
      String(row.messagesDelayed),
    ]);
    for (const line of table(head, cells)) context.io.out(line);
  }
  return withoutSome(asked, context);
}

function countsOf({ messagesDropped, messagesDelayed }: FaultsInForce): Omit<FaultsInForce, 'faults'> {
  return { messagesDropped, messagesDelayed };
}

interface Asked<T> {
  readonly answered: readonly { readonly name: string; readonly answer: T }[];
  /** Those that run and did not do it. */
  readonly failed: readonly Reply<T>[];
}

/** Asks all members that run. Throws the first error where none did it. */
async function askAll<T>(context: Context, ask: (address: string) => Promise<T>): Promise<Asked<T>> {
  const replies = await Promise.all(context.endpoints.places.map((place) => askOne(place, ask)));
  const answered = replies.flatMap(({ name, answer }) => (answer === undefined ? [] : [{ name, answer }]));
  const failed = replies.filter(({ error }) => error !== undefined && !isDown(error));
  const [first] = [...failed, ...replies];
  if (answered.length === 0) throw first?.error instanceof Error ? first.error : new UsageError('no member is named');
  return { answered, failed };
}

async function askOne<T>(place: Place, ask: (address: string) => Promise<T>): Promise<Reply<T>> {
  const name = nameOf(place);
  if (!place.listening)
    return {
      name,
      error: new ClientError('UNAVAILABLE', `${name} is down: nothing listens at ${place.address}`, 'none', {
        unreachable: true,
      }),
    };
  try {
    return { name, answer: await ask(place.address) };
  } catch (error) {
    return { name, error };
  }
}

function isDown(error: unknown): boolean {
  return error instanceof ClientError && error.unreachable && error.outcome === 'none';
}

function withoutSome({ failed }: Asked<unknown>, { io }: Context): number {
  for (const { name, error } of failed) io.err(showLine(`without ${name}: ${messageOf(error)}`));
  return failed.length === 0 ? OK : EXIT.refused;
}

/** `30%`, `0.3`: above 0, at most 1. */
function readShare(given: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,6})?)(%?)$/.exec(given);
  const share = match === null ? NaN : Number(match[1]) / (match[2] === '%' ? 100 : 1);
  if (share > 0 && share <= 1) return share;
  throw new UsageError(`SHARE must be above 0 and at most 100%, such as 30% or 0.3, not ${JSON.stringify(given)}`);
}

function readMs(given: string, name: string, min: number, max: number): number {
  const ms = readDuration(given);
  if (ms !== undefined && ms >= min && ms <= max) return ms;
  throw new UsageError(
    `${name} must be a duration such as 50ms, 10s or 2m, from ${ageText(min)} to ${ageText(max)}, not ${JSON.stringify(given)}`,
  );
}
