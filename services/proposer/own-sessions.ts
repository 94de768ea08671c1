/**
 * The sessions in which this proposer proposes for callers that have none: one for each log, opened through the log itself when
 * it is first needed, and again, under a new client id, when it expired.
 *
 * Numbers are given in the order of arrival, at most a window of them in use. Whatever the answer was, a number that has one is
 * acknowledged: nobody will ask for it again.
 */
import { assert } from '../../shared/base/assert.ts';
import { Fifo } from '../../shared/base/fifo.ts';
import { LIMITS } from '../../shared/base/limits.ts';
import { encodeEntry } from '../../shared/machine/entry.ts';
import type { Answer, Refused } from '../../shared/paxos/peers.ts';
import type { Clock } from '../../shared/ports/clock.ts';
import type { Caller, Intake, OnProgress } from './intake.ts';

/** An answer, with the id under which it was proposed. */
export interface OwnAnswer {
  readonly answer: Answer;
  readonly client: string;
  readonly session: number;
  readonly sequence: number;
}

export interface OwnSessionPorts {
  readonly intake: Intake;
  readonly clock: Clock;
  /** Draws a client id: 32 hex digits. */
  readonly newId: () => string;
  /** Milliseconds that opening a session may take. */
  readonly openMs: number;
  /** Proposals that may wait for a number, over all logs (R14). */
  readonly waitingMax: number;
}

/** Logs with a session; the one that was made first is forgotten when there are more, if it is idle. */
const LOGS_MAX = 10_000;
/** How often a proposal may meet an expired session before it is given up. */
const TRIES_MAX = 3;

interface Job {
  readonly payload: Uint8Array;
  readonly deadline: number;
  readonly done: (answer: OwnAnswer) => void;
  readonly onProgress: OnProgress | undefined;
  tries: number;
}

export class OwnSessions {
  readonly #ports: OwnSessionPorts;
  readonly #byLog = new Map<string, OwnSession>();
  #waiting = 0;

  constructor(ports: OwnSessionPorts) {
    this.#ports = ports;
  }

  /** Proposals that wait for a number. */
  get waiting(): number {
    return this.#waiting;
  }

  propose(log: string, payload: Uint8Array, timeoutMs: number, onProgress?: OnProgress): Promise<OwnAnswer> {
    return new Promise((done) => {
      const job: Job = { payload, deadline: this.#ports.clock.now() + timeoutMs, done, onProgress, tries: 0 };
      this.#give(log, job);
    });
  }

  /** Call now and then: ends the wait of those whose deadline passed. */
  tick(): void {
    for (const session of this.#byLog.values()) session.expire();
  }

  #give(log: string, job: Job): void {
    const { waitingMax } = this.#ports;
    if (this.#waiting >= waitingMax) {
      const message = `${String(this.#waiting)} proposals without a session of their own wait here already, and the limit is ${String(waitingMax)} (proposals.in-flight.max)`;
      finish(job, refused('RESOURCE_EXHAUSTED', message));
      return;
    }
    (this.#byLog.get(log) ?? this.#add(log)).give(job);
  }

  #add(log: string): OwnSession {
    if (this.#byLog.size >= LOGS_MAX)
      for (const [name, old] of this.#byLog) {
        if (!old.isIdle) continue;
        this.#byLog.delete(name);
        break;
      }
    const session = new OwnSession(log, this.#ports, {
      counted: (by) => {
        this.#waiting += by;
      },
      ended: (jobs) => {
        if (this.#byLog.get(log) === session) this.#byLog.delete(log);
        for (const job of jobs) this.#give(log, job);
      },
    });
    this.#byLog.set(log, session);
    return session;
  }
}

interface Owner {
  /** The number of those who wait changed. */
  counted(by: number): void;
  /** The session is of no use any more; these go on in another one. */
  ended(jobs: readonly Job[]): void;
}

type State =
  { readonly kind: 'opening' } | { readonly kind: 'open'; readonly number: number } | { readonly kind: 'ended' };

class OwnSession {
  readonly #log: string;
  readonly #ports: OwnSessionPorts;
  readonly #owner: Owner;
  readonly #client: string;
  #state: State = { kind: 'opening' };
  readonly #waiting = new Fifo<Job>();
  #next = 1;
  #floor = 0;
  /** Numbers above the floor that have their answers. */
  readonly #answered = new Set<number>();

  constructor(log: string, ports: OwnSessionPorts, owner: Owner) {
    this.#log = log;
    this.#ports = ports;
    this.#owner = owner;
    // A new id each time: under an old one the log may know a session whose numbers are used up.
    this.#client = ports.newId();
    const entry = encodeEntry({ kind: 'open-session', client: this.#client });
    const demand = { log, entry, protocol: 'multi', retry: false, timeoutMs: ports.openMs } as const;
    ports.intake.submit(demand, {
      onAnswer: (_token, answer) => {
        this.#onOpened(answer);
      },
    });
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#floor + 1 === this.#next;
  }

  give(job: Job): void {
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      this.#send(job);
      return;
    }
    this.#waiting.push(job);
    this.#owner.counted(1);
  }

  expire(): void {
    const now = this.#ports.clock.now();
    // Deadlines are nearly in the order of arrival; one that is not ends when those before it did.
    for (let job = this.#waiting.peek(); job !== undefined && job.deadline <= now; job = this.#waiting.peek()) {
      this.#take();
      const what =
        this.#state.kind === 'opening'
          ? 'the session of this proposer could not be opened'
          : 'no number of its session became free';
      finish(job, refused('DEADLINE_EXCEEDED', `not proposed in time: ${what}`));
    }
  }

  #onOpened(answer: Answer): void {
    if (answer.kind === 'chosen') {
      this.#state = { kind: 'open', number: answer.slot };
      this.#pump();
      return;
    }
    this.#state = { kind: 'ended' };
    this.#owner.ended([]);
    // None of these was sent, whatever became of the opening.
    for (let job = this.#take(); job !== undefined; job = this.#take()) finish(job, { ...answer, outcome: 'none' });
  }

  #hasRoom(): boolean {
    return this.#state.kind === 'open' && this.#next - this.#floor <= LIMITS.sessionWindow;
  }

  #take(): Job | undefined {
    const job = this.#waiting.shift();
    if (job !== undefined) this.#owner.counted(-1);
    return job;
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      const job = this.#take();
      if (job !== undefined) this.#send(job);
    }
  }

  #send(job: Job): void {
    const state = this.#state;
    assert(state.kind === 'open', 'R12', () => `${this.#log}: a number was given in a session that is not open`);
    const { intake, clock } = this.#ports;
    const session = state.number;
    const sequence = this.#next++;
    const entry = encodeEntry({
      kind: 'command',
      client: this.#client,
      session,
      sequence,
      acknowledged: this.#floor,
      payload: job.payload,
    });
    const timeoutMs = Math.max(1, job.deadline - clock.now());
    const caller: Caller = {
      onAnswer: (_token, answer) => {
        this.#onAnswer(job, session, sequence, answer);
      },
      onProgress: (_token, told) => job.onProgress?.(told),
    };
    const progress = job.onProgress !== undefined;
    intake.submit({ log: this.#log, entry, protocol: 'multi', retry: false, timeoutMs, progress }, caller);
  }

  #onAnswer(job: Job, session: number, sequence: number, answer: Answer): void {
    // In a log's leader only the session table answers so; it had no effect, and the number means nothing any more.
    const isGone = answer.kind === 'refused' && answer.code === 'FAILED_PRECONDITION' && answer.outcome === 'none';
    if (isGone && job.tries < TRIES_MAX) {
      job.tries++;
      this.#end(job);
      return;
    }
    this.#acknowledge(sequence);
    job.done({ answer, client: this.#client, session, sequence });
    this.#pump();
  }

  #end(job: Job): void {
    this.#state = { kind: 'ended' };
    const jobs = [job];
    for (let each = this.#take(); each !== undefined; each = this.#take()) jobs.push(each);
    this.#owner.ended(jobs);
  }

  #acknowledge(sequence: number): void {
    if (sequence !== this.#floor + 1) {
      this.#answered.add(sequence);
      return;
    }
    this.#floor = sequence;
    while (this.#answered.delete(this.#floor + 1)) this.#floor++;
  }
}

function refused(code: Refused['code'], message: string): Refused {
  return { kind: 'refused', code, message, outcome: 'none', leader: undefined };
}

function finish(job: Job, answer: Answer): void {
  job.done({ answer, client: '', session: 0, sequence: 0 });
}
