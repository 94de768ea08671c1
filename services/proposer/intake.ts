/** Proposals on their way into the machine, and who waits for their answers. */
import { SynodError } from '../../shared/base/errors.ts';
import type { Answer, Progress, Refused } from '../../shared/paxos/peers.ts';
import type { ProposerEvent } from '../../shared/paxos/proposer.ts';
import type { ProposalOutcome } from './metrics.ts';

/** Waits for answers, by the tokens that `submit` gave it. */
export interface Caller {
  onAnswer(token: number, answer: Answer): void;
  /** What happens meanwhile, where the demand asks for it. */
  onProgress?(token: number, progress: Progress): void;
}

export type OnProgress = (progress: Progress) => void;

export interface Demand {
  readonly log: string;
  readonly entry: Uint8Array;
  readonly protocol: 'basic' | 'multi';
  /** The caller sent this proposal before (R12). */
  readonly retry: boolean;
  /** Milliseconds after which it is answered in any case. */
  readonly timeoutMs: number;
  /** Tell the caller's `onProgress` what happens to it. Default false. */
  readonly progress?: boolean;
}

interface Waiting {
  readonly caller: Caller;
  readonly protocol: 'basic' | 'multi';
}

const BASIC = 'basic';
const MULTI = 'multi';

export class Intake {
  readonly #post: (event: ProposerEvent) => void;
  readonly #answered: (protocol: 'basic' | 'multi', outcome: ProposalOutcome) => void;
  readonly #multi = new Map<number, Caller>();
  readonly #others = new Map<number, Waiting>();
  #next = 1;

  constructor(
    post: (event: ProposerEvent) => void,
    answered: (protocol: 'basic' | 'multi', outcome: ProposalOutcome) => void,
  ) {
    this.#post = post;
    this.#answered = answered;
  }

  /** Proposals whose callers wait. */
  get waiting(): number {
    return this.#multi.size + this.#others.size;
  }

  /** Proposes; the caller hears of it exactly once. Tokens count up by one. */
  submit(demand: Demand, caller: Caller): number {
    const { log, entry, protocol, retry, timeoutMs, progress = false } = demand;
    const token = this.#next++;
    if (protocol === MULTI) this.#multi.set(token, caller);
    else this.#others.set(token, { caller, protocol: BASIC });
    this.#post({ kind: 'propose', token, log, entry, protocol, retry, timeoutMs, progress });
    return token;
  }

  /** The same as a promise. */
  ask(demand: Demand, onProgress?: OnProgress): Promise<Answer> {
    return new Promise((resolve) => {
      const onAnswer = (_token: number, answer: Answer): void => {
        resolve(answer);
      };
      if (onProgress === undefined) this.submit(demand, { onAnswer });
      else
        this.submit(
          { ...demand, progress: true },
          {
            onAnswer,
            onProgress: (_token, progress) => {
              onProgress(progress);
            },
          },
        );
    });
  }

  /** Asks for a move of leadership. It may never be answered: the caller keeps a deadline of its own. */
  move(log: string, to: number): { token: number; answer: Promise<Answer> } {
    const token = this.#next++;
    const answer = new Promise<Answer>((resolve) => {
      this.#multi.set(token, {
        onAnswer: (_token, said) => {
          resolve(said);
        },
      });
    });
    this.#post({ kind: 'move', token, log, to });
    return { token, answer };
  }

  /** Nobody waits for this answer any more. */
  forget(token: number): void {
    this.#multi.delete(token);
  }

  progress(token: number, progress: Progress): void {
    const caller = this.#multi.get(token) ?? this.#others.get(token)?.caller;
    caller?.onProgress?.(token, progress);
  }

  settle(token: number, answer: Answer): void {
    const caller = this.#multi.get(token);
    if (caller !== undefined) {
      this.#multi.delete(token);
      this.#answered(MULTI, outcomeOf(answer));
      caller.onAnswer(token, answer);
      return;
    }
    const waiting = this.#others.get(token);
    if (waiting === undefined) return;
    this.#others.delete(token);
    this.#answered(waiting.protocol, outcomeOf(answer));
    waiting.caller.onAnswer(token, answer);
  }
}

export function outcomeOf(answer: Answer): ProposalOutcome {
  if (answer.kind === 'chosen') return answer.ballot === undefined ? 'known' : 'chosen';
  return answer.code === 'DEADLINE_EXCEEDED' ? 'timeout' : 'refused';
}

/** A refusal that may name the proposer to try instead. */
export class RefusedError extends SynodError {
  /** host:port, for the `synod-leader` trailer. */
  readonly leader: string | undefined;
  constructor(refused: Refused, leader: string | undefined) {
    super(refused.code, refused.message, refused.outcome);
    this.leader = leader;
  }
}
