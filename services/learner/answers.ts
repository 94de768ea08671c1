/** For proposers: the session table of a log, and what became of proposals that were sent before (R12). */
import { createHash } from 'node:crypto';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { assertNever } from '../../shared/base/assert.ts';
import { SynodError } from '../../shared/base/errors.ts';
import type { Known, SessionRefusal as Refusal } from '../../shared/machine/sessions.ts';
import type { Clock } from '../../shared/ports/clock.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import type { StreamContext } from '../../shared/platform/grpc/context.ts';
import { StreamWriter } from '../../shared/platform/grpc/stream-writer.ts';
import { hexOf, ID_BYTES, logName, need, NOTHING, whole } from '../../shared/wire/codec/fields.ts';
import { checkHeader, readHeader } from '../../shared/wire/codec/header.ts';
import type { Expected } from '../../shared/wire/codec/header.ts';
import { SessionRefusal } from '../../shared/wire/gen/synod/v1/learner.ts';
import type { AnswerFound, AnswerQuestion } from '../../shared/wire/gen/synod/v1/learner.ts';
import type {
  AnswersRequest,
  AnswersResponse,
  SessionsRequest,
  SessionsResponse,
} from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { withinDeadline } from './reads.ts';
import { writeTo } from './streaming.ts';
import type { Trust } from './trust.ts';
import type { Waiting } from './waiting.ts';

const CHUNK_BYTES = 256 * 1024;
/** Tables on their way at once: each is a copy in memory. */
const TABLES_MAX = 8;
/** A question whose slot was not applied by then gets no answer; nobody waits for it any more. Milliseconds. */
const QUESTION_MS = 60_000;
const QUEUE_BYTES = 4 * 1024 * 1024;

export interface AnswersOptions {
  readonly store: LearnerStore;
  readonly waiting: Waiting;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly expected: Expected;
  /** For a stream whose caller gave no deadline. */
  readonly deadlineMs: number;
  readonly waitsFor: (log: string) => string;
}

export class Answers {
  readonly #options: AnswersOptions;
  #tables = 0;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** Sends the table once all slots below `atLeast` are applied. */
  async sessions(
    request: SessionsRequest,
    stream: ServerWritableStream<unknown, SessionsResponse>,
    timeoutMs: number,
  ): Promise<void> {
    const log = logName(request.log);
    const atLeast = whole(request.atLeast, 'at_least');
    const { waiting } = this.#options;
    await waiting.within(() => this.#appliedUpTo(log, atLeast, timeoutMs));
    if (this.#tables >= TABLES_MAX)
      throw new SynodError(
        'RESOURCE_EXHAUSTED',
        `${String(TABLES_MAX)} session tables are on their way from here; ask another learner`,
      );
    this.#tables++;
    try {
      await this.#sendTable(log, atLeast, stream);
      stream.end();
    } finally {
      this.#tables--;
    }
  }

  async #appliedUpTo(log: string, next: number, timeoutMs: number): Promise<void> {
    const { store, waiting, clock, deadlineMs, trust, waitsFor } = this.#options;
    const ms = withinDeadline(Math.min(timeoutMs, deadlineMs), clock) - clock.now();
    const visible = (): number => store.progress(log)?.visible ?? 0;
    // Only slots that a quorum is known to hold are asked for on a reader's behalf; these are a proposer's word.
    if (visible() < next && !(await waiting.until(log, next, ms, false)))
      throw new SynodError(
        'DEADLINE_EXCEEDED',
        `log "${log}" is applied here up to slot ${String(visible())}, below slot ${String(next)} that was asked for. ${waitsFor(log)}`,
      );
    trust.require();
  }

  async #sendTable(
    log: string,
    atLeast: number,
    stream: ServerWritableStream<unknown, SessionsResponse>,
  ): Promise<void> {
    const table = this.#options.store.sessionsAtLeast(log, atLeast);
    if (table === undefined)
      throw new SynodError('INTERNAL', `the sessions of log "${log}" are not at slot ${String(atLeast)}`);
    const { next, bytes } = table;
    const sum = createHash('sha256').update(bytes).digest();
    for (let at = 0; at === 0 || at < bytes.length; at += CHUNK_BYTES) {
      const isLast = at + CHUNK_BYTES >= bytes.length;
      const part: SessionsResponse = {
        applied: at === 0 ? next : 0,
        bytes: at === 0 ? bytes.length : 0,
        chunk: bytes.subarray(at, at + CHUNK_BYTES),
        sum: isLast ? sum : NOTHING,
      };
      if (!(await writeTo(stream, part))) return;
    }
  }

  /** A proposer's stream of questions; answers come as the slots are applied, in any order. */
  answers(stream: ServerDuplexStream<AnswersRequest, AnswersResponse>, call: StreamContext): void {
    const writer = new StreamWriter<AnswerFound, AnswersResponse>(stream, {
      frame: (answers) => ({ answers: [...answers] }),
      bytesOf: () => 48,
      queueBytesMax: QUEUE_BYTES,
      onOverflow: (queued) => {
        call.fail(
          new SynodError(
            'RESOURCE_EXHAUSTED',
            `${String(queued)} bytes of answers wait to be read; the stream is closed`,
          ),
        );
      },
    });
    let isIntroduced = false;
    let isGone = false;
    stream.on('data', (request: AnswersRequest | SynodError) => {
      try {
        if (request instanceof SynodError) throw request;
        if (!isIntroduced)
          checkHeader(readHeader(need(request.hello, 'hello')), this.#options.expected, [
            'proposer',
            'learner',
            'client',
          ]);
        isIntroduced = true;
        for (const question of request.questions)
          this.#answer(question, () => isGone).then(
            (found) => {
              if (found !== undefined && !isGone) writer.write(found);
            },
            (error: unknown) => {
              call.fail(error);
            },
          );
      } catch (error) {
        call.fail(error);
      }
    });
    stream.on('end', () => {
      writer.end();
    });
    const gone = (): void => {
      isGone = true;
      writer.close();
    };
    stream.once('close', gone).once('cancelled', gone);
  }

  async #answer(question: AnswerQuestion, isGone: () => boolean): Promise<AnswerFound | undefined> {
    const log = logName(question.log);
    const client = hexOf(question.client, ID_BYTES, 'client');
    const { store, waiting, trust } = this.#options;
    const applied = whole(question.applied, 'applied');
    if ((store.progress(log)?.visible ?? 0) < applied) {
      const came = await waiting.within(() => waiting.until(log, applied, QUESTION_MS, false));
      if (!came || isGone()) return undefined;
    }
    trust.require();
    return { id: question.id, applied: store.progress(log)?.next ?? 0, answer: this.#find(log, client, question) };
  }

  #find(log: string, client: string, { session, sequence }: AnswerQuestion): AnswerFound['answer'] {
    const { store } = this.#options;
    if (session !== undefined) return ofKnown(store.lookup(log, client, session, sequence));
    const open = store.sessionOf(log, client);
    return open === undefined ? { $case: 'notFound', value: {} } : { $case: 'session', value: open };
  }
}

function ofKnown(known: Known): AnswerFound['answer'] {
  switch (known.kind) {
    case 'known':
      return { $case: 'slot', value: known.slot };
    case 'new':
      return { $case: 'notFound', value: {} };
    case 'refused':
      return { $case: 'refused', value: REFUSALS[known.reason] };
    default:
      return assertNever(known);
  }
}

const REFUSALS: Readonly<Record<Refusal, SessionRefusal>> = {
  'session-unknown': SessionRefusal.SESSION_REFUSAL_UNKNOWN,
  'session-expired': SessionRefusal.SESSION_REFUSAL_EXPIRED,
  'below-window': SessionRefusal.SESSION_REFUSAL_BELOW_WINDOW,
  'above-window': SessionRefusal.SESSION_REFUSAL_ABOVE_WINDOW,
};
