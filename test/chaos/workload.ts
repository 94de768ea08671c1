/**
 * Clients that work while the cluster is hurt, and write down what they were told. Each has lanes that do one thing after the other:
 * propose, read a log or its end, ask for a decree. Logs are left for new ones after a while, so that each has a history that can be
 * judged, and decrees are asked for by several at once.
 */
import { setMaxListeners } from 'node:events';
import { Prng } from '../../shared/base/prng.ts';
import { ClientError, connect } from '../../shared/client/index.ts';
import type { Page, ProposeStream, Proposed, SynodClient } from '../../shared/client/index.ts';
import { messageOf } from '../../shared/base/errors.ts';
import type { LogOp } from '../linear/models.ts';
import type { Crew } from './crew.ts';
import { pause } from './crew.ts';
import type { History, Moment, OperationKind } from './history.ts';
import { nameIn, valueOf } from './values.ts';

/** Lanes of a client that do one operation after the other, and lanes that share a stream. */
const LANES = 2;
const STREAM_LANES = 2;
/** Longer than a change of leader, shorter than most faults: so that some outcomes stay unknown. */
const TIMEOUT_MS = 3_000;
const ATTEMPT_MS = 1_000;
/** Logs that are written at the same time, and proposals until one of them is left. */
const LOGS = 4;
/** Of these so many take FAST proposals alone, which keeps them open; in the others they are mixed with proposals to leaders. */
const FAST_LOGS = 1;
const PROPOSALS_PER_LOG = 400;
/** Questions for one decree before the next one begins. */
const ASKS_PER_DECREE = 6;
/** A read begins at most so many slots below the last one that was acknowledged. */
const READ_BACK_SLOTS = 30;
/** How often each is done, of 100. */
const SHARES: readonly (readonly [OperationKind, number])[] = [
  ['propose', 50],
  ['fast', 10],
  ['read', 20],
  ['end', 6],
  ['decide', 9],
  ['look', 5],
];

export interface WorkloadOptions {
  readonly crew: Crew;
  readonly history: History;
  readonly clients: number;
  /** Operations a second, of all lanes together, that are aimed at. */
  readonly rate: number;
  readonly seed: number;
  /** Milliseconds since the run began. */
  readonly now: () => number;
}

interface CurrentLog {
  name: string;
  readonly isFast: boolean;
  proposals: number;
  /** The greatest slot that was acknowledged. */
  top: number;
}

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #clients: SynodClient[] = [];
  readonly #stop = new AbortController();
  readonly #logs: CurrentLog[];
  readonly #lanes: Promise<void>[];
  readonly #pauseMs: number;
  #made = 0;
  #values = 0;
  #asks = 0;
  #leader: number | undefined;
  #failure: unknown;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    const { crew, clients, rate } = options;
    // Every lane waits with it.
    setMaxListeners(0, this.#stop.signal);
    this.#pauseMs = (1_000 * clients * (LANES + STREAM_LANES)) / rate;
    this.#logs = Array.from({ length: LOGS }, (_, at) => this.#newLog(at < FAST_LOGS));
    for (let at = 0; at < clients; at++) {
      const turned = (addresses: string[]): string[] => [...addresses.slice(at), ...addresses.slice(0, at)];
      this.#clients.push(
        connect({
          ...{ cluster: crew.cluster.id, timeoutMs: TIMEOUT_MS, attemptMs: ATTEMPT_MS, ownConnections: true },
          proposers: turned(crew.cluster.addresses('proposer')),
          learners: turned(crew.cluster.addresses('learner')),
        }),
      );
    }
    this.#lanes = this.#clients.flatMap((client, at) => [
      ...Array.from({ length: LANES }, (_, lane) => this.#lane(client, at, lane)),
      this.#streamLanes(client, at),
    ]);
    for (const lane of this.#lanes) lane.catch((error: unknown) => (this.#failure ??= error));
  }

  /** The proposer that the newest answer named as leader. */
  get leader(): number | undefined {
    return this.#leader;
  }

  /** Throws where the workload itself failed: no run is judged without it. */
  check(): void {
    if (this.#failure !== undefined)
      throw this.#failure instanceof Error ? this.#failure : new Error(messageOf(this.#failure));
  }

  /** Ends the lanes, each after its present operation. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#lanes).finally(() => {
      for (const client of this.#clients) client.close();
    });
  }

  /** Proposes one value of so many bytes in a log of its own kind, recorded like the rest. */
  async proposeLarge(bytes: number): Promise<void> {
    const [client] = this.#clients;
    if (client === undefined) return;
    await this.#propose(0, 'propose', 'chaos-large', bytes, (log, value) => client.propose(log, value));
  }

  #newLog(isFast: boolean): CurrentLog {
    return { name: `chaos-${++this.#made}`, isFast, proposals: 0, top: -1 };
  }

  async #lane(client: SynodClient, at: number, lane: number): Promise<void> {
    const random = new Prng(this.#options.seed * 1_000 + at * 10 + lane);
    while (!this.#stop.signal.aborted) {
      await pause(2 * this.#pauseMs * random.next(), this.#stop.signal);
      const current = random.pick(this.#logs);
      switch (drawn(random)) {
        case 'read':
          await this.#read(client, at, current, random);
          break;
        case 'end':
          await this.#end(client, at, current.name);
          break;
        case 'decide':
          await this.#decide(client, at, random);
          break;
        case 'look':
          await this.#look(client, at, this.#decreeName(this.#asks - random.below(ASKS_PER_DECREE)));
          break;
        case 'fast':
          await this.#proposeFast(client, at, current, random);
          break;
        default:
          if (current.isFast) await this.#proposeFast(client, at, current, random);
          else await this.#proposeIn(current, at, 'propose', random, (log, value) => client.propose(log, value));
      }
    }
  }

  async #proposeFast(client: SynodClient, at: number, current: CurrentLog, random: Prng): Promise<void> {
    const send = (log: string, value: Uint8Array): Promise<Proposed> =>
      client.propose(log, value, { protocol: 'fast' });
    await this.#proposeIn(current, at, 'fast', random, send);
  }

  /** Lanes that share a stream: a new one for each log, and where the last one ended. */
  async #streamLanes(client: SynodClient, at: number): Promise<void> {
    let stream: { readonly log: string; readonly of: ProposeStream } | undefined;
    const lane = async (_: unknown, number: number): Promise<void> => {
      const random = new Prng(this.#options.seed * 1_000 + at * 10 + 5 + number);
      while (!this.#stop.signal.aborted) {
        await pause(2 * this.#pauseMs * random.next(), this.#stop.signal);
        const current = this.#logs[FAST_LOGS + (at % (LOGS - FAST_LOGS))] as CurrentLog;
        if (stream?.log !== current.name) {
          void stream?.of.finish().catch(() => undefined);
          stream = { log: current.name, of: client.proposeStream(current.name, { timeoutMs: TIMEOUT_MS }) };
        }
        const mine = stream;
        const isOk = await this.#proposeIn(current, at, 'stream', random, (_log, value) => mine.of.propose(value));
        if (isOk || stream !== mine) continue;
        mine.of.close();
        stream = undefined;
      }
    };
    await Promise.all(Array.from({ length: STREAM_LANES }, lane)).finally(() => stream?.of.close());
  }

  async #proposeIn(
    current: CurrentLog,
    client: number,
    kind: OperationKind,
    random: Prng,
    send: (log: string, value: Uint8Array) => Promise<{ readonly slot: number } & Partial<Proposed>>,
  ): Promise<boolean> {
    if (++current.proposals === PROPOSALS_PER_LOG)
      this.#logs[this.#logs.indexOf(current)] = this.#newLog(current.isFast);
    // Mostly small; now and then so large that a few fill a message.
    const bytes = random.chance(0.02) ? 20_000 + random.below(80_000) : random.below(300);
    const slot = await this.#propose(client, kind, current.name, bytes, send);
    current.top = Math.max(current.top, slot ?? -1);
    return slot !== undefined;
  }

  async #propose(
    client: number,
    kind: OperationKind,
    log: string,
    bytes: number,
    send: (log: string, value: Uint8Array) => Promise<{ readonly slot: number } & Partial<Proposed>>,
  ): Promise<number | undefined> {
    const { operations, refused } = this.#options.history.log(log);
    const { name, value } = valueOf(++this.#values, bytes);
    let slot: number | undefined;
    const append = (): LogOp => ({ kind: 'append', value: name, slot });
    const moment = await this.#timed(client, kind, async () => {
      const answer = await send(log, value);
      slot = answer.slot;
      return answer.leader;
    });
    if (moment.outcome === 'none') refused.push({ value: name, message: moment.message });
    else operations.push({ ...times(moment), op: append() });
    return slot;
  }

  async #read(client: SynodClient, at: number, current: CurrentLog, random: Prng): Promise<void> {
    const log = current.name;
    const from = Math.max(0, current.top - random.below(READ_BACK_SLOTS));
    const to = random.chance(0.3) ? from + 1 + random.below(READ_BACK_SLOTS) : undefined;
    let page: Page | 'unknown log' | undefined;
    const moment = await this.#timed(at, 'read', async () => {
      page = await client.read(log, to === undefined ? { from } : { from, to }).catch(unknownLog);
      return undefined;
    });
    if (page === undefined) return;
    this.#options.history.log(log).operations.push({ ...times(moment), op: readOp(page, from, to) });
  }

  async #end(client: SynodClient, at: number, log: string): Promise<void> {
    let end: number | undefined;
    const moment = await this.#timed(at, 'end', async () => {
      ({ end } = await client.end(log));
      return undefined;
    });
    if (end === undefined) return;
    this.#options.history.log(log).operations.push({ ...times(moment), op: { kind: 'end', end } });
  }

  /** Who asks for one decree does so by both protocols, one beside the other. */
  async #decide(client: SynodClient, at: number, random: Prng): Promise<void> {
    const log = this.#decreeName(this.#asks++);
    const { operations, refused, wrongOwners } = this.#options.history.decree(log);
    const { name, value } = valueOf(++this.#values, 10);
    let chosen: string | undefined;
    const moment = await this.#timed(at, 'decide', async () => {
      const answer = await client.decide(log, value, { protocol: random.chance(0.6) ? 'fast' : 'basic' });
      chosen = nameIn(answer.value);
      if (answer.own !== (chosen === name))
        wrongOwners.push(
          `the answer to ${name} is ${chosen}, and says that this is ${answer.own ? '' : 'not '}its own`,
        );
      return undefined;
    });
    if (moment.outcome === 'none') refused.push({ value: name, message: moment.message });
    else operations.push({ ...times(moment), op: { kind: 'decide', value: name, chosen } });
  }

  async #look(client: SynodClient, at: number, log: string): Promise<void> {
    let page: Page | 'unknown log' | undefined;
    const moment = await this.#timed(at, 'look', async () => {
      page = await client.read(log, { from: 0 }).catch(unknownLog);
      return undefined;
    });
    if (page === undefined) return;
    const first = page === 'unknown log' ? undefined : page.entries[0];
    const chosen = first === undefined ? undefined : nameIn(first.value);
    this.#options.history.decree(log).operations.push({ ...times(moment), op: { kind: 'look', chosen } });
  }

  #decreeName(ask: number): string {
    return `decree-${Math.floor(Math.max(0, ask) / ASKS_PER_DECREE) + 1}`;
  }

  /** Does one operation, puts it on the timeline and says how it ended. What is no error of a client ends the run. */
  async #timed(
    client: number,
    kind: OperationKind,
    call: () => Promise<number | undefined>,
  ): Promise<Moment & { readonly message: string }> {
    const { now, history } = this.#options;
    const calledMs = now();
    let leader: number | undefined;
    let outcome: Moment['outcome'] = 'ok';
    let message = '';
    try {
      leader = await call();
      this.#leader = leader ?? this.#leader;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      ({ outcome, message } = error);
      if (!EXPECTED.has(error.code)) history.oddities.push(`${kind}: ${error.code}: ${message}`);
    }
    const moment: Moment = { client, kind, calledMs, returnedMs: now(), outcome, leader };
    history.add(moment);
    return { ...moment, message };
  }
}

/** How a call may end while members are hurt. Anything else would be a fault of Synod, or of this workload. */
const EXPECTED: ReadonlySet<string> = new Set([
  ...['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'ABORTED'],
  // Of a stream that was closed because another lane's proposal failed in it.
  'CANCELLED',
]);

function drawn(random: Prng): OperationKind {
  let left = random.below(SHARES.reduce((sum, [, share]) => sum + share, 0));
  for (const [kind, share] of SHARES) if ((left -= share) < 0) return kind;
  return 'propose';
}

/** An operation whose outcome is unknown never returned, as far as its client can tell. */
function times({ calledMs, returnedMs, outcome }: Moment) {
  return { calledMs, returnedMs: outcome === 'ok' ? returnedMs : undefined };
}

/** A log is unknown until its first proposal: that is an answer. */
function unknownLog(error: unknown): 'unknown log' {
  if (error instanceof ClientError && error.code === 'NOT_FOUND') return 'unknown log';
  throw error;
}

/** What a page says. Only where the learner had to look for the end does it say that nothing acknowledged lies above. */
export function readOp(page: Page | 'unknown log', from: number, to: number | undefined): LogOp {
  if (page === 'unknown log') return { kind: 'read', from: 0, next: 0, end: 0, entries: [] };
  const { entries, next, applied } = page;
  return {
    ...{ kind: 'read', from, next, end: to === undefined || applied < to ? applied : undefined },
    entries: entries.map(({ slot, value }) => ({ slot, value: nameIn(value) })),
  };
}
