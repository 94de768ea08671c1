/** The calls of clients that are no streams of proposals: one proposal, a session, a move of leadership. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { bytesEqual } from '../../shared/base/batch.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { LIMITS } from '../../shared/base/limits.ts';
import { decodeEntry, encodeEntry } from '../../shared/machine/entry.ts';
import type { Answer, Chosen } from '../../shared/paxos/peers.ts';
import { newId } from '../../shared/platform/clock.ts';
import type { CallContext, StreamContext } from '../../shared/platform/grpc/context.ts';
import { readClientLog, readOpenSessionRequest, readProposeRequest } from '../../shared/wire/codec/client.ts';
import type { ProposeDemand } from '../../shared/wire/codec/client.ts';
import { bytesOf, ID_BYTES, need, writeBallot } from '../../shared/wire/codec/fields.ts';
import { checkHeader, readClientHeader } from '../../shared/wire/codec/header.ts';
import type { Expected, Header } from '../../shared/wire/codec/header.ts';
import { writeProgress } from '../../shared/wire/codec/progress.ts';
import { Path } from '../../shared/wire/gen/synod/v1/proposer.ts';
import type {
  MoveLeaderRequest,
  MoveLeaderResponse,
  OpenSessionRequest,
  OpenSessionResponse,
  ProposeRequest,
  ProposeResponse,
  ProposeWithProgressRequest,
  ProposeWithProgressResponse,
} from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { RefusedError } from './intake.ts';
import type { Intake, OnProgress } from './intake.ts';
import type { OwnSessions } from './own-sessions.ts';

export interface ProposePorts {
  readonly expected: Expected;
  readonly intake: Intake;
  readonly ownSessions: OwnSessions;
  /** host:port of a proposer. */
  readonly addressOf: (proposer: number) => string | undefined;
  readonly leaderOf: (log: string) => number | undefined;
  /** Whether acceptors know a log; undefined where too few of them answer in so many milliseconds. */
  readonly knowsLog: (log: string, timeoutMs: number) => Promise<boolean | undefined>;
  /** The other proposers that are alive. */
  readonly livePeers: () => readonly number[];
  readonly self: number;
  /** The number of the acceptor at a position of the configuration. */
  readonly acceptorAt: (position: number) => number;
  /** Milliseconds for a stream whose caller gave no deadline. */
  readonly timeoutMs: number;
}

const NOTHING = new Uint8Array(0);

/** Milliseconds before the caller's deadline at which it gets our own answer, which says what is known of the outcome. */
const MARGIN_MS = 50;

/** How long a proposal may take: a little less than its caller waits. */
export function timeoutOf(call: CallContext): number {
  const { timeoutMs } = call;
  return Math.max(1, timeoutMs - Math.min(MARGIN_MS, timeoutMs / 4));
}

/** Clients alone call these; they may leave out who they are. */
export function checkClient(header: Header, expected: Expected): void {
  checkHeader(header, expected, ['client']);
}

export class Propose {
  readonly #ports: ProposePorts;

  constructor(ports: ProposePorts) {
    this.#ports = ports;
  }

  propose(request: ProposeRequest, call: CallContext): Promise<ProposeResponse> {
    return this.#propose(request, timeoutOf(call));
  }

  /** The same, and says meanwhile what happens. What is told of one proposal is little, so nothing has to bound it here. */
  async proposeWithProgress(
    request: ProposeWithProgressRequest,
    stream: ServerWritableStream<unknown, ProposeWithProgressResponse>,
    call: StreamContext,
  ): Promise<void> {
    const { acceptorAt, timeoutMs } = this.#ports;
    const ms = Number.isFinite(call.timeoutMs) ? timeoutOf(call) : timeoutMs;
    const answer = await this.#propose(need(request.propose, 'propose'), ms, (progress) => {
      if (!stream.destroyed) stream.write({ progress: [writeProgress(progress, acceptorAt)], answer: undefined });
    });
    if (stream.destroyed) return;
    stream.write({ progress: [], answer });
    stream.end();
  }

  #propose(request: ProposeRequest, timeoutMs: number, onProgress?: OnProgress): Promise<ProposeResponse> {
    const demand = readProposeRequest(request);
    checkClient(demand.header, this.#ports.expected);
    if (demand.decree) return this.#decree(demand, timeoutMs, onProgress);
    if (demand.place === undefined) return this.#unnamed(demand, timeoutMs, onProgress);
    return this.#named(demand, demand.place, timeoutMs, onProgress);
  }

  async openSession(request: OpenSessionRequest, call: CallContext): Promise<OpenSessionResponse> {
    const { header, log, client, protocol } = readOpenSessionRequest(request);
    checkClient(header, this.#ports.expected);
    const chosen = await this.open(log, client, timeoutOf(call), protocol);
    return { client: request.client, session: chosen.slot, window: LIMITS.sessionWindow };
  }

  /** Opens the session of a client, or finds the one that is open: the slot is its number. Throws RefusedError. */
  async open(log: string, client: string, timeoutMs: number, protocol: 'multi' | 'fast' = 'multi'): Promise<Chosen> {
    const entry = encodeEntry({ kind: 'open-session', client });
    // Opening twice is opening once, so whether it is a retry makes no difference.
    return this.#chosen(await this.#ports.intake.ask({ log, entry, protocol, retry: false, timeoutMs }));
  }

  async moveLeader(request: MoveLeaderRequest, call: CallContext): Promise<MoveLeaderResponse> {
    const { expected, intake, leaderOf } = this.#ports;
    checkClient(readClientHeader(request.header), expected);
    const log = readClientLog(request.log);
    const from = leaderOf(log);
    const to = request.to === 0 ? this.#anyBut(from) : request.to;
    if (to !== this.#ports.self && this.#ports.addressOf(to) === undefined)
      throw new SynodError('NOT_FOUND', `there is no proposer ${String(to)} among --proposers`);
    if (from === undefined) await this.#requireLog(log, timeoutOf(call) / 2);
    const timeoutMs = timeoutOf(call);
    const { token, answer } = intake.move(log, to);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        intake.forget(token);
        const message = `log "${log}" did not move within ${String(Math.round(timeoutMs))} ms; its leader may not reach a quorum`;
        reject(new SynodError('DEADLINE_EXCEEDED', message, 'unknown'));
      }, timeoutMs);
    });
    try {
      const { ballot } = this.#chosen(await Promise.race([answer, late]));
      return { from, leader: to, ballot: ballot === undefined ? undefined : writeBallot(ballot) };
    } finally {
      clearTimeout(timer);
    }
  }

  /** A move prepares the log, and what is prepared exists for ever: a name that nobody used must not get there by a slip. */
  async #requireLog(log: string, timeoutMs: number): Promise<void> {
    const known = await this.#ports.knowsLog(log, timeoutMs);
    if (known === true) return;
    if (known === false)
      throw new SynodError('NOT_FOUND', `there is no log "${log}": a log is made by its first proposal`);
    const message = `too few acceptors answer to say whether there is a log "${log}"; see synodctl status`;
    throw new SynodError('UNAVAILABLE', message);
  }

  async #decree(demand: ProposeDemand, timeoutMs: number, onProgress?: OnProgress): Promise<ProposeResponse> {
    const { log, payload, retry, protocol } = demand;
    // A decree has no session; the client id only tells whose value was chosen.
    const client = demand.client ?? newId();
    const entry = encodeEntry({ kind: 'decree', client, payload });
    const asked = { log, entry, protocol, decree: true, retry, timeoutMs } as const;
    const chosen = this.#chosen(await this.#ports.intake.ask(asked, onProgress));
    const value = chosen.entry === undefined ? undefined : decodeEntry(chosen.entry);
    if (chosen.entry === undefined || value?.kind !== 'decree')
      throw new SynodError(
        'FAILED_PRECONDITION',
        `slot 0 of log "${log}" holds no decree: the log is a sequence; a decree needs a log of its own`,
        retry ? 'unknown' : 'none',
      );
    const own = bytesEqual(chosen.entry, entry);
    return { ...responseOf(log, chosen, client, 0, 0), ...wayOf(protocol, chosen), payload: value.payload, own };
  }

  async #named(
    demand: ProposeDemand,
    place: NonNullable<ProposeDemand['place']>,
    timeoutMs: number,
    onProgress?: OnProgress,
  ): Promise<ProposeResponse> {
    const { log, payload, retry, protocol } = demand;
    const { client, session, sequence, acknowledged } = place;
    const entry = encodeEntry({ kind: 'command', client, session, sequence, acknowledged, payload });
    const asked = { log, entry, protocol, retry, timeoutMs } as const;
    const chosen = this.#chosen(await this.#ports.intake.ask(asked, onProgress));
    return { ...responseOf(log, chosen, client, session, sequence), ...wayOf(protocol, chosen) };
  }

  async #unnamed(demand: ProposeDemand, timeoutMs: number, onProgress?: OnProgress): Promise<ProposeResponse> {
    const { log, payload, protocol } = demand;
    const { ownSessions } = this.#ports;
    const own = await ownSessions.propose(log, payload, timeoutMs, onProgress, protocol === 'fast' ? 'fast' : 'multi');
    const { answer, client, session, sequence } = own;
    const chosen = this.#chosen(answer);
    return { ...responseOf(log, chosen, client, session, sequence), ...wayOf(protocol, chosen) };
  }

  /** Throws where it was refused. */
  #chosen(answer: Answer): Chosen {
    if (answer.kind === 'chosen') return answer;
    throw new RefusedError(answer, answer.leader === undefined ? undefined : this.#ports.addressOf(answer.leader));
  }

  #anyBut(leader: number | undefined): number {
    const { self, livePeers } = this.#ports;
    const other = [...livePeers(), self].find((proposer) => proposer !== leader);
    if (other === undefined)
      throw new SynodError('FAILED_PRECONDITION', 'no other proposer is alive that could lead the log');
    return other;
  }
}

function responseOf(log: string, chosen: Chosen, client: string, session: number, sequence: number): ProposeResponse {
  const { slot, ballot, leader } = chosen;
  return {
    log,
    slot,
    ballot: ballot === undefined ? undefined : writeBallot(ballot),
    leader,
    payload: NOTHING,
    own: true,
    client: bytesOf(client, ID_BYTES, 'client'),
    session,
    sequence,
    path: Path.PATH_UNSPECIFIED,
    rounds: 0,
  };
}

const PATHS = { fast: Path.PATH_FAST, recovered: Path.PATH_RECOVERED, classic: Path.PATH_CLASSIC } as const;

/** The way that a proposal took, for those that were sent FAST, and its ballots. */
function wayOf(protocol: ProposeDemand['protocol'], chosen: Chosen): Pick<ProposeResponse, 'path' | 'rounds'> {
  const path = protocol === 'fast' ? PATHS[chosen.path ?? 'classic'] : Path.PATH_UNSPECIFIED;
  return { path, rounds: chosen.rounds ?? 0 };
}
