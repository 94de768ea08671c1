/**
 * Quorum reads of a log's end (R13): a phase-1 quorum of acceptors is asked for the greatest slot voted for; every proposal that
 * was answered before lies at or below the greatest of the answers.
 *
 * A read joins only a question that is sent after the read arrived: one question of a log is on its way, and those who come
 * meanwhile gather for the next. Answers to a question that was sent again, because a stream broke, count all the same.
 */
import { SynodError } from '../../shared/base/errors.ts';
import { bitCount } from '../../shared/paxos/quorum.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import type { Tip, TipQuestion } from '../../shared/paxos/messages.ts';
import type { Clock } from '../../shared/ports/clock.ts';

interface Reader {
  readonly resolve: (tip: number) => void;
}

interface Question {
  readonly id: number;
  /** Acceptors that answered, as a set of positions. */
  answered: number;
  tip: number;
  readonly readers: Set<Reader>;
}

interface LogQuestions {
  readonly log: string;
  asked: Question | undefined;
  gathering: Set<Reader>;
}

export interface TipsOptions {
  readonly quorum: QuorumSystem;
  readonly clock: Clock;
  /** Sends a question to the acceptor at this position, or drops it while that one cannot be reached. */
  readonly send: (acceptor: number, question: TipQuestion) => void;
  /** For errors: how many acceptors are connected. */
  readonly connected: () => number;
}

export class Tips {
  readonly #options: TipsOptions;
  readonly #logs = new Map<string, LogQuestions>();
  #lastId = 0;

  constructor(options: TipsOptions) {
    this.#options = options;
  }

  /** Questions on their way. */
  get asked(): number {
    return this.#logs.size;
  }

  /**
   * The greatest slot that may be chosen by now, −1 for none. Rejects with UNAVAILABLE when no quorum answered within `ms`.
   */
  ask(log: string, ms: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let state = this.#logs.get(log);
      if (state === undefined) {
        state = { log, asked: undefined, gathering: new Set() };
        this.#logs.set(log, state);
      }
      const of = state;
      const cancel = this.#options.clock.after(ms, () => {
        reject(this.#noQuorum(of, ms));
        this.#leave(of, reader);
      });
      const reader: Reader = {
        resolve: (tip) => {
          cancel();
          resolve(tip);
        },
      };
      // R13: never into `asked`, which was sent before this read arrived.
      of.gathering.add(reader);
      if (of.asked === undefined) this.#next(of);
    });
  }

  onTip(acceptor: number, { log, id, tip }: Tip): void {
    const state = this.#logs.get(log);
    const question = state?.asked;
    // An answer to a question that nobody waits for any more.
    if (state === undefined || question?.id !== id) return;
    question.answered |= 1 << acceptor;
    question.tip = Math.max(question.tip, tip);
    if (!this.#options.quorum.isPhase1(question.answered)) return;
    for (const reader of question.readers) reader.resolve(question.tip);
    this.#next(state);
  }

  /** The stream to an acceptor is new: what it did not answer is asked again. */
  onUp(acceptor: number): void {
    for (const { log, asked } of this.#logs.values())
      if (asked !== undefined && (asked.answered & (1 << acceptor)) === 0)
        this.#options.send(acceptor, { kind: 'tip?', log, id: asked.id });
  }

  #next(state: LogQuestions): void {
    if (state.gathering.size === 0) {
      this.#logs.delete(state.log);
      return;
    }
    const id = ++this.#lastId;
    state.asked = { id, answered: 0, tip: -1, readers: state.gathering };
    state.gathering = new Set();
    for (let acceptor = 0; acceptor < this.#options.quorum.size; acceptor++)
      this.#options.send(acceptor, { kind: 'tip?', log: state.log, id });
  }

  /** A reader gave up. A question that nobody waits for makes room for the next. */
  #leave(state: LogQuestions, reader: Reader): void {
    state.gathering.delete(reader);
    state.asked?.readers.delete(reader);
    if (state.asked?.readers.size === 0) this.#next(state);
  }

  #noQuorum({ log, asked }: LogQuestions, ms: number): SynodError {
    const { quorum, connected } = this.#options;
    const answered = bitCount(asked?.answered ?? 0);
    return new SynodError(
      'UNAVAILABLE',
      `the end of log "${log}" could not be read within ${String(Math.round(ms))} ms: ${String(answered)} of ${String(quorum.size)} acceptors answered ` +
        `and ${String(connected())} are connected; a phase-1 quorum is needed (${quorum.name}). A read that is not linearizable needs none`,
    );
  }
}
