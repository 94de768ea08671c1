/**
 * Synod for programs. A client proposes to any proposer, reads from any learner, and does what exactly-once takes: one session
 * per log, under an id of its own, and the same number for every sending of a proposal (R12).
 *
 *   const synod = connect({ proposers: ['127.0.0.1:7201', '127.0.0.1:7202'], learners: ['127.0.0.1:7301'] });
 *   const { slot } = await synod.propose('orders', Buffer.from('hello'));
 *   for await (const entry of synod.subscribe('orders')) console.log(entry.slot, entry.value);
 */
import type { ServiceError } from '@grpc/grpc-js';
import { SynodError } from '../base/errors.ts';
import { newId, realRandom } from '../platform/clock.ts';
import { readClientLog, readPayload } from '../wire/codec/client.ts';
import { readBallot } from '../wire/codec/fields.ts';
import { writeHeader } from '../wire/codec/header.ts';
import type { Ballot as WireBallot, Header } from '../wire/gen/synod/v1/common.ts';
import { LearnerServiceService } from '../wire/gen/synod/v1/learner_service.ts';
import { Protocol } from '../wire/gen/synod/v1/proposer.ts';
import { ProposerServiceService } from '../wire/gen/synod/v1/proposer_service.ts';
import type {
  ProposeRequest,
  ProposeResponse,
  ProposeWithProgressResponse,
} from '../wire/gen/synod/v1/proposer_service.ts';
import { readEntry } from './entries.ts';
import { ClientError } from './errors.ts';
import { readTold } from './progress.ts';
import { ProposeStream } from './propose-stream.ts';
import { withRetries } from './retry.ts';
import type { Attempt, RetryOptions } from './retry.ts';
import { Routes } from './routes.ts';
import { Session } from './session.ts';
import { subscription } from './subscription.ts';
import type {
  Ballot,
  CallOptions,
  ClientOptions,
  Decided,
  Entry,
  Page,
  Proposed,
  ProposeOptions,
  ProposeStreamOptions,
  ReadOptions,
  SubscribeOptions,
} from './types.ts';

/** Makes a client; nothing is sent before its first call. Throws INVALID_ARGUMENT for an address that is none. */
export function connect(options: ClientOptions): SynodClient {
  return new SynodClient(options);
}

/** Options of one of several calls that share the time that their caller gave. */
interface PartOptions extends CallOptions {
  readonly wholeMs?: number;
}

export class SynodClient {
  readonly #header: Header;
  readonly #options: Required<Omit<ClientOptions, 'cluster'>>;
  readonly #proposers: Routes;
  readonly #learners: Routes;
  readonly #sessions = new Map<string, Promise<Session>>();
  /** Ids under which a session is being opened: a try that failed may have opened one. */
  readonly #openings = new Map<string, Buffer>();
  readonly #streams = new Set<ProposeStream>();

  constructor(options: ClientOptions) {
    this.#options = {
      proposers: options.proposers ?? [],
      learners: options.learners ?? [],
      timeoutMs: options.timeoutMs ?? 5_000,
      timeoutName: options.timeoutName ?? 'timeoutMs',
      attemptMs: options.attemptMs ?? 2_000,
      failFast: options.failFast ?? false,
      waitingMax: options.waitingMax ?? 10_000,
      ownConnections: options.ownConnections ?? false,
    };
    const { proposers, learners, ownConnections } = this.#options;
    this.#header = clientHeader(options.cluster);
    this.#proposers = new Routes('proposer', proposers, realRandom.next(), ownConnections);
    this.#learners = new Routes('learner', learners, realRandom.next(), ownConnections);
  }

  /**
   * Has a value chosen in the next slot of a log, which is made by its first proposal. Takes effect once, however often it had to
   * be sent. Rejects with a ClientError: with outcome none it had no effect, with unknown it may have.
   */
  async propose(log: string, value: Uint8Array, options: ProposeOptions = {}): Promise<Proposed> {
    check(log, value);
    const began = performance.now();
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs;
    const leftMs = (): number => Math.max(1, timeoutMs - (performance.now() - began));
    for (let reopened = false; ; reopened = true) {
      const opened = this.#session(log, { ...options, timeoutMs: leftMs(), wholeMs: timeoutMs });
      const session = await opened;
      const sequence = await beginWithin(session, leftMs(), this.#options.timeoutName);
      try {
        const answer = await this.#try(log, { ...options, timeoutMs: leftMs(), wholeMs: timeoutMs }, (attempt) =>
          proposeOnce(
            attempt,
            {
              ...{
                header: this.#header,
                log,
                protocol: Protocol.PROTOCOL_MULTI,
                payload: value,
                client: session.client,
              },
              ...{ session: session.id, sequence, acknowledged: session.acknowledged, retry: attempt.retry },
            },
            options,
          ),
        );
        this.#proposers.leads(log, answer.leader);
        return proposed(answer, options);
      } catch (error) {
        if (!(error instanceof ClientError) || error.code !== 'FAILED_PRECONDITION') throw error;
        // Most likely the session expired. With outcome none this proposal had no effect in it and may go into a new one, once.
        // Others may have met the same, and have a new one already.
        if (this.#sessions.get(log) === opened) this.#sessions.delete(log);
        if (error.outcome === 'unknown' || reopened) throw error;
      } finally {
        session.end(sequence);
      }
    }
  }

  /**
   * Basic Paxos on slot 0 of a log that is used for nothing else: a decree. Resolves with the value that was chosen, which is this
   * one or that of another. Asking again is harmless, whatever the outcome was.
   */
  async decide(log: string, value: Uint8Array, options: ProposeOptions = {}): Promise<Decided> {
    check(log, value);
    // An id of its own: by it the answer says whether *this* value was chosen, not another decision of the same client.
    const client = Buffer.from(newId(), 'hex');
    const answer = await this.#try(log, options, (attempt) =>
      proposeOnce(
        attempt,
        {
          ...{ header: this.#header, log, protocol: Protocol.PROTOCOL_BASIC, payload: value, client },
          ...{ session: 0, sequence: 0, acknowledged: 0, retry: attempt.retry },
        },
        options,
      ),
    );
    return { ...proposed(answer, options), value: answer.payload, own: answer.own };
  }

  /** Many values into one log, pipelined: the fast way. See ProposeStream. */
  proposeStream(log: string, options: ProposeStreamOptions = {}): ProposeStream {
    readClientLog(log);
    const stream = new ProposeStream({
      ...options,
      routes: this.#proposers,
      header: this.#header,
      log,
      attemptMs: this.#options.attemptMs,
      timeoutName: this.#options.timeoutName,
      failFast: this.#options.failFast,
      onClosed: () => this.#streams.delete(stream),
    });
    this.#streams.add(stream);
    return stream;
  }

  /** A slot or a range of slots, as a learner applied them. */
  async read(log: string, options: ReadOptions = {}): Promise<Page> {
    const { from = 0, to, limit = 0, linearizable = true, all = false } = options;
    const answer = await this.#ask(log, options, (attempt) =>
      attempt.connection.unary(
        LearnerServiceService.read,
        { header: this.#header, log, from, to, limit, linearizable, all },
        callTuning(attempt, options),
      ),
    );
    return { entries: answer.entries.map(readEntry), next: answer.next, applied: answer.applied, first: answer.first };
  }

  /** Every entry from a slot on, as it is applied, until the signal comes; goes on by itself at another learner. */
  subscribe(log: string, options: SubscribeOptions = {}): AsyncIterable<Entry> {
    return subscription({
      ...options,
      routes: this.#learners,
      header: this.#header,
      log,
      failFast: this.#options.failFast,
    });
  }

  /** The end of a log: every proposal that was answered before this call is below `end` (R13). */
  async end(log: string, options: CallOptions = {}): Promise<{ readonly end: number; readonly applied: number }> {
    const answer = await this.#ask(log, options, (attempt) =>
      attempt.connection.unary(LearnerServiceService.end, { header: this.#header, log }, callTuning(attempt, options)),
    );
    return { end: answer.end, applied: answer.applied };
  }

  /** Ends all connections and streams; calls in progress fail. */
  close(): void {
    for (const stream of [...this.#streams]) stream.close();
    this.#proposers.close();
    this.#learners.close();
  }

  /**
   * The session of a log, opened by the first proposal that needs it. Every one has a client id of its own: opening again under an
   * old id may give the old session, from a leader that does not know yet that it expired, or one that another proposal
   * has opened meanwhile; numbers that begin anew in it would be taken for retries (R12).
   */
  #session(log: string, options: PartOptions): Promise<Session> {
    const known = this.#sessions.get(log);
    if (known !== undefined) return known;
    const client = this.#openings.get(log) ?? Buffer.from(newId(), 'hex');
    this.#openings.set(log, client);
    const opening = this.#try(log, options, (attempt) =>
      attempt.connection.unary(
        ProposerServiceService.openSession,
        { header: this.#header, log, client },
        callTuning(attempt, options),
      ),
    ).then(
      (answer) => {
        this.#openings.delete(log);
        return new Session(answer.session, client, answer.window, this.#options.waitingMax);
      },
      (error: unknown) => {
        this.#sessions.delete(log);
        // Opening a session a second time answers with the first: nothing that the caller wanted has happened.
        if (error instanceof ClientError) throw error.withOutcome('none');
        throw error;
      },
    );
    this.#sessions.set(log, opening);
    return opening;
  }

  #try<T>(log: string, options: PartOptions, once: (attempt: Attempt) => Promise<T>): Promise<T> {
    return withRetries({ ...this.#retryOptions(log, options), routes: this.#proposers }, once);
  }

  #ask<T>(log: string, options: CallOptions, once: (attempt: Attempt) => Promise<T>): Promise<T> {
    return withRetries({ ...this.#retryOptions(log, options), routes: this.#learners, reads: true }, once);
  }

  #retryOptions(log: string, options: PartOptions): Omit<RetryOptions, 'routes'> {
    const { attemptMs, failFast, timeoutName } = this.#options;
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs;
    return { log, timeoutMs, wholeMs: options.wholeMs, timeoutName, attemptMs, failFast, signal: options.signal };
  }
}

/** The header of a client's request. */
export function clientHeader(cluster = ''): Header {
  return writeHeader({ cluster, configuration: '', role: 'client', id: 0, incarnation: undefined });
}

/** A number of the session once there is room, at the latest after `ms`. */
async function beginWithin(session: Session, ms: number, timeoutName: string): Promise<number> {
  const ready = session.tryBegin();
  if (ready !== undefined) return ready;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `no room in the session within ${String(Math.round(ms))} ms (${timeoutName}): too many proposals are on their way`;
      reject(new ClientError('DEADLINE_EXCEEDED', text, 'none'));
    }, ms);
  });
  // Nobody may be waiting for it any more when it comes.
  timeout.catch(() => undefined);
  try {
    return await session.begin(timeout);
  } catch (error) {
    if (error instanceof ClientError || !(error instanceof SynodError)) throw error;
    throw new ClientError(error.code, error.message, error.outcome);
  } finally {
    clearTimeout(timer);
  }
}

/** What a proposer would refuse is refused here, before anything is sent. */
function check(log: string, value: Uint8Array): void {
  try {
    readClientLog(log);
    readPayload(value);
  } catch (error) {
    if (error instanceof SynodError) throw new ClientError(error.code, error.message, 'none', { cause: error });
    throw error;
  }
}

function callTuning(attempt: Attempt, options: CallOptions): { timeoutMs: number; signal?: AbortSignal } {
  return options.signal === undefined
    ? { timeoutMs: attempt.timeoutMs }
    : { timeoutMs: attempt.timeoutMs, signal: options.signal };
}

/** One try of a proposal; a stream of what happens where somebody wants to hear of it. */
function proposeOnce(attempt: Attempt, request: ProposeRequest, options: ProposeOptions): Promise<ProposeResponse> {
  const { connection } = attempt;
  const { onProgress, signal } = options;
  const tuning = callTuning(attempt, options);
  if (onProgress === undefined) return connection.unary(ProposerServiceService.propose, request, tuning);
  return new Promise((resolve, reject) => {
    const stream = connection.serverStream(ProposerServiceService.proposeWithProgress, { propose: request }, tuning);
    const cancel = (): void => {
      stream.cancel();
    };
    signal?.addEventListener('abort', cancel, { once: true });
    stream.on('data', ({ progress, answer }: ProposeWithProgressResponse) => {
      for (const each of progress) {
        const told = readTold(each);
        if (told !== undefined) onProgress(told);
      }
      if (answer !== undefined) resolve(answer);
    });
    stream.on('error', (error: ServiceError) => {
      reject(connection.errorOf(error));
    });
    stream.on('end', () => {
      signal?.removeEventListener('abort', cancel);
      // An error that comes with the status follows in the same turn. An answer that came before makes this mean nothing.
      setImmediate(() => {
        reject(new ClientError('UNAVAILABLE', `${connection.address} ended the call without an answer`, 'unknown'));
      });
    });
  });
}

function proposed(response: ProposeResponse, { onProgress }: ProposeOptions): Proposed {
  const { log, slot, leader, session, sequence } = response;
  const ballot = ballotOf(response.ballot);
  onProgress?.({ kind: 'chosen', slot, ballot, leader });
  const id = { client: Buffer.from(response.client).toString('hex'), session, sequence };
  return { log, id, slot, ballot, leader };
}

function ballotOf(ballot: WireBallot | undefined): Ballot | undefined {
  return ballot === undefined ? undefined : readBallot(ballot, 'ballot');
}
