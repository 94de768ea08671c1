/**
 * Streams of proposals: many in a message, pipelined, all of one session. The answers of a turn leave together, as ranges.
 * Reading goes on whatever becomes of the writing (R14): what does not fit is refused, and a reader who takes nothing is cut off.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { LIMITS } from '../../shared/base/limits.ts';
import { encodeEntry } from '../../shared/machine/entry.ts';
import { sameBallot } from '../../shared/paxos/ballot.ts';
import type { Ballot } from '../../shared/paxos/ballot.ts';
import type { Answer, Chosen, Refused } from '../../shared/paxos/peers.ts';
import { newId } from '../../shared/platform/clock.ts';
import type { StreamContext } from '../../shared/platform/grpc/context.ts';
import { StreamWriter } from '../../shared/platform/grpc/stream-writer.ts';
import { readProposals, readProposeStreamHello } from '../../shared/wire/codec/client.ts';
import type { ProposalsDemand, StreamHello } from '../../shared/wire/codec/client.ts';
import { bytesOf, ID_BYTES, writeBallot } from '../../shared/wire/codec/fields.ts';
import type { Expected } from '../../shared/wire/codec/header.ts';
import { OUTCOMES } from '../../shared/wire/codec/peers.ts';
import { writeProgress } from '../../shared/wire/codec/progress.ts';
import type {
  Progress as WireProgress,
  Proposals,
  ProposalsChosen,
  ProposalsRefused,
} from '../../shared/wire/gen/synod/v1/proposer.ts';
import type { ProposeStreamRequest, ProposeStreamResponse } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { codeNumber } from '../../shared/wire/status.ts';
import type { Caller, Intake } from './intake.ts';
import { checkClient } from './propose.ts';

export interface StreamPorts {
  readonly expected: Expected;
  readonly intake: Intake;
  /** Opens a session, as the unary call does. */
  readonly open: (log: string, client: string, timeoutMs: number) => Promise<Chosen>;
  readonly addressOf: (proposer: number) => string | undefined;
  readonly leaderOf: (log: string) => number | undefined;
  /** Milliseconds within which each proposal is answered. */
  readonly timeoutMs: number;
  readonly queueBytesMax: number;
  /** The number of the acceptor at a position of the configuration. */
  readonly acceptorAt: (position: number) => number;
}

export type ProposeWire = ServerDuplexStream<ProposeStreamRequest, ProposeStreamResponse>;

/** Proposals of one stream without an answer, and their bytes (R14). A session's window is what an honest client uses. */
const UNANSWERED_MAX = 4 * LIMITS.sessionWindow;
const UNANSWERED_BYTES_MAX = 16 * 1024 * 1024;
/** Where so many bytes wait for a client, answers go on and progress is left out (R14). */
const PROGRESS_BYTES_MAX = 1024 * 1024;
/** Also what is told in one turn. */
const PROGRESS_MAX = 10_000;
const PROGRESS_BYTES = 64;

export class ProposeStreams {
  readonly #ports: StreamPorts;
  /** Streams with answers that were not written yet. */
  readonly #dirty = new Set<OpenStream>();

  constructor(ports: StreamPorts) {
    this.#ports = ports;
  }

  open(stream: ProposeWire, context: StreamContext): void {
    const open = new OpenStream(this.#ports, stream, context, () => {
      this.#dirty.add(open);
    });
  }

  /** Writes the answers of this turn. */
  flush(): void {
    if (this.#dirty.size === 0) return;
    for (const stream of this.#dirty) stream.flush();
    this.#dirty.clear();
  }
}

interface Answered {
  readonly sequence: number;
  readonly answer: Answer;
}

type State =
  | { readonly kind: 'new' }
  /** What came before the session was open waits for it. */
  | { readonly kind: 'opening'; readonly hello: StreamHello; readonly held: Proposals[] }
  | { readonly kind: 'open'; readonly log: string; readonly client: string; readonly session: number }
  | { readonly kind: 'closed' };

class OpenStream {
  readonly #ports: StreamPorts;
  readonly #stream: ProposeWire;
  readonly #context: StreamContext;
  readonly #writer: StreamWriter<ProposeStreamResponse, ProposeStreamResponse>;
  readonly #onDirty: () => void;
  #state: State = { kind: 'new' };
  #answers: Answered[] = [];
  #progress: WireProgress[] = [];
  /** The client was told that some progress is left out. */
  #saysUntold = false;
  #unanswered = 0;
  #unansweredBytes = 0;
  #ended = false;

  constructor(ports: StreamPorts, stream: ProposeWire, context: StreamContext, onDirty: () => void) {
    this.#ports = ports;
    this.#stream = stream;
    this.#context = context;
    this.#onDirty = onDirty;
    this.#writer = new StreamWriter<ProposeStreamResponse, ProposeStreamResponse>(stream, {
      frame: joinResponses,
      bytesOf: responseBytes,
      queueBytesMax: ports.queueBytesMax,
      onOverflow: (queued) => {
        const message = `${String(queued)} bytes of answers wait for this client and more do not fit (stream.queue.bytes); read faster`;
        this.#fail(new SynodError('RESOURCE_EXHAUSTED', message, 'unknown'));
      },
    });
    stream.on('data', (message: ProposeStreamRequest | SynodError) => {
      try {
        this.#onMessage(message);
      } catch (error) {
        this.#fail(error);
      }
    });
    const gone = (): void => {
      this.#close();
    };
    stream.on('end', () => {
      this.#ended = true;
      this.#maybeEnd();
    });
    stream.once('close', gone).once('cancelled', gone).once('error', gone);
  }

  #onMessage(message: ProposeStreamRequest | SynodError): void {
    if (this.#state.kind === 'closed') return;
    if (message instanceof SynodError) throw message;
    if (this.#state.kind === 'new') this.#greet(message);
    else if (message.hello !== undefined)
      throw new SynodError('INVALID_ARGUMENT', 'a stream of proposals has one hello, in its first message', 'unknown');
    for (const proposals of message.proposals) this.#take(proposals);
  }

  #greet(message: ProposeStreamRequest): void {
    if (message.hello === undefined)
      throw new SynodError('INVALID_ARGUMENT', 'the first message of a stream of proposals needs a hello');
    const hello = readProposeStreamHello(message.hello);
    checkClient(hello.header, this.#ports.expected);
    const client = hello.client ?? newId();
    if (hello.session !== undefined) {
      this.#welcome(hello.log, client, hello.session);
      return;
    }
    this.#state = { kind: 'opening', hello, held: [] };
    this.#ports.open(hello.log, client, this.#ports.timeoutMs).then(
      (chosen) => {
        this.#onOpened(hello.log, client, chosen.slot);
      },
      (error: unknown) => {
        this.#fail(error);
      },
    );
  }

  #onOpened(log: string, client: string, session: number): void {
    if (this.#state.kind !== 'opening') return;
    const { held } = this.#state;
    this.#welcome(log, client, session);
    try {
      for (const proposals of held) this.#take(proposals);
    } catch (error) {
      this.#fail(error);
    }
    this.#maybeEnd();
  }

  #welcome(log: string, client: string, session: number): void {
    this.#state = { kind: 'open', log, client, session };
    const welcome = {
      client: bytesOf(client, ID_BYTES, 'client'),
      session,
      window: LIMITS.sessionWindow,
      leader: this.#ports.leaderOf(log),
    };
    this.#writer.write({ welcome, chosen: [], refused: [], progress: [] });
  }

  #take(proposals: Proposals): void {
    const state = this.#state;
    if (state.kind === 'closed' || state.kind === 'new') return;
    const { payloads, firstSequence, retry } = proposals;
    const bytes = payloads.reduce((sum, payload) => sum + payload.length, 0);
    const held = state.kind === 'opening' ? state.held.reduce((sum, each) => sum + each.payloads.length, 0) : 0;
    const isFull =
      this.#unanswered + held + payloads.length > UNANSWERED_MAX ||
      (this.#unanswered > 0 && this.#unansweredBytes + bytes > UNANSWERED_BYTES_MAX);
    if (isFull) {
      const message = `${String(this.#unanswered + held)} proposals of this stream wait for their answers, and its limits are ${String(UNANSWERED_MAX)} proposals and 16 MiB; wait for answers`;
      this.#refuse(firstSequence, payloads.length, new SynodError('RESOURCE_EXHAUSTED', message), retry);
      return;
    }
    if (state.kind === 'opening') {
      state.held.push(proposals);
      return;
    }
    let demand: ProposalsDemand;
    try {
      demand = readProposals(proposals);
    } catch (error) {
      // Nothing of this message was proposed; without numbers there is nothing that an answer could name.
      if (!(error instanceof SynodError) || firstSequence < 1 || payloads.length === 0) throw error;
      this.#refuse(firstSequence, payloads.length, error, retry);
      return;
    }
    this.#propose(state, demand, bytes);
  }

  #propose(state: State & { kind: 'open' }, demand: ProposalsDemand, bytes: number): void {
    const { intake, timeoutMs } = this.#ports;
    const { log, client, session } = state;
    const { payloads, firstSequence, acknowledged, retry, progress } = demand;
    this.#unanswered += payloads.length;
    this.#unansweredBytes += bytes;
    let left = payloads.length;
    let firstToken = 0;
    // One caller for the whole message: tokens count up as numbers do.
    const caller: Caller = {
      onAnswer: (token, answer) => {
        if (--left === 0) this.#unansweredBytes -= bytes;
        this.#onAnswer(firstSequence + token - firstToken, answer);
      },
      onProgress: (token, told) => {
        this.#onProgress(writeProgress(told, this.#ports.acceptorAt, firstSequence + token - firstToken));
      },
    };
    let sequence = firstSequence;
    for (const payload of payloads) {
      const entry = encodeEntry({ kind: 'command', client, session, sequence, acknowledged, payload });
      const token = intake.submit({ log, entry, protocol: 'multi', retry, timeoutMs, progress }, caller);
      if (sequence === firstSequence) firstToken = token;
      sequence++;
    }
  }

  #onAnswer(sequence: number, answer: Answer): void {
    this.#unanswered--;
    if (this.#state.kind === 'closed') return;
    this.#answers.push({ sequence, answer });
    this.#onDirty();
  }

  #onProgress(told: WireProgress): void {
    if (this.#state.kind === 'closed') return;
    if (this.#progress.length >= PROGRESS_MAX || this.#writer.queuedBytes > PROGRESS_BYTES_MAX) {
      if (this.#saysUntold) return;
      this.#saysUntold = true;
      told = writeProgress({ kind: 'untold' }, this.#ports.acceptorAt);
    }
    this.#progress.push(told);
    this.#onDirty();
  }

  #refuse(firstSequence: number, count: number, error: SynodError, retry: boolean): void {
    const refused: ProposalsRefused = {
      firstSequence,
      count,
      code: codeNumber(error.code),
      message: messageOf(error),
      // R15: an earlier sending may have had its effect.
      outcome: OUTCOMES.indexOf(retry ? 'unknown' : error.outcome) as ProposalsRefused['outcome'],
      leader: '',
    };
    this.#writer.write({ welcome: undefined, chosen: [], refused: [refused], progress: [] });
  }

  /** Writes what was answered. */
  flush(): void {
    const answers = this.#answers;
    const progress = this.#progress;
    this.#answers = [];
    this.#progress = [];
    if (this.#state.kind === 'closed') return;
    this.#writer.write({ welcome: undefined, ...rangesOf(answers, this.#ports.addressOf), progress });
    this.#maybeEnd();
  }

  #maybeEnd(): void {
    if (!this.#ended || this.#unanswered > 0 || this.#answers.length > 0 || this.#state.kind === 'opening') return;
    this.#writer.end();
    this.#close();
  }

  #fail(error: unknown): void {
    if (this.#state.kind === 'closed') return;
    this.#close();
    this.#writer.close();
    this.#context.fail(error);
  }

  /** Proposals that are under way go on: nobody hears of them here, and their ids can be asked for again. */
  #close(): void {
    this.#state = { kind: 'closed' };
    this.#answers = [];
    this.#progress = [];
    if (this.#stream.destroyed) this.#writer.close();
  }
}

/** Neighbouring answers of the same kind as ranges. */
function rangesOf(
  answers: readonly Answered[],
  addressOf: (proposer: number) => string | undefined,
): { chosen: ProposalsChosen[]; refused: ProposalsRefused[] } {
  const chosen: ProposalsChosen[] = [];
  const refused: ProposalsRefused[] = [];
  let run: { ballot: Ballot | undefined; message: ProposalsChosen } | undefined;
  let refusal: { answer: Refused; message: ProposalsRefused } | undefined;
  for (const { sequence, answer } of answers) {
    if (answer.kind === 'chosen') {
      const { slot, ballot, leader } = answer;
      const message = run?.message;
      if (
        run !== undefined &&
        message !== undefined &&
        message.firstSequence + message.count === sequence &&
        message.firstSlot + message.count === slot &&
        message.leader === leader &&
        isSame(run.ballot, ballot)
      ) {
        message.count++;
        continue;
      }
      const wire = ballot === undefined ? undefined : writeBallot(ballot);
      run = { ballot, message: { firstSequence: sequence, count: 1, firstSlot: slot, ballot: wire, leader } };
      chosen.push(run.message);
    } else if (refusal !== undefined && continues(refusal, sequence, answer)) refusal.message.count++;
    else {
      refusal = { answer, message: refusedOf(sequence, answer, addressOf) };
      refused.push(refusal.message);
    }
  }
  return { chosen, refused };
}

function isSame(a: Ballot | undefined, b: Ballot | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return sameBallot(a, b);
}

function continues(last: { answer: Refused; message: ProposalsRefused }, sequence: number, answer: Refused): boolean {
  const { code, message, outcome, leader } = last.answer;
  return (
    last.message.firstSequence + last.message.count === sequence &&
    code === answer.code &&
    message === answer.message &&
    outcome === answer.outcome &&
    leader === answer.leader
  );
}

function refusedOf(
  firstSequence: number,
  answer: Refused,
  addressOf: (proposer: number) => string | undefined,
): ProposalsRefused {
  const { code, message, outcome, leader } = answer;
  return {
    firstSequence,
    count: 1,
    code: codeNumber(code),
    message,
    outcome: OUTCOMES.indexOf(outcome) as ProposalsRefused['outcome'],
    leader: (leader === undefined ? undefined : addressOf(leader)) ?? '',
  };
}

function joinResponses(messages: readonly ProposeStreamResponse[]): ProposeStreamResponse {
  const [first] = messages;
  if (first !== undefined && messages.length === 1) return first;
  return {
    welcome: first?.welcome,
    chosen: messages.flatMap((m) => m.chosen),
    refused: messages.flatMap((m) => m.refused),
    progress: messages.flatMap((m) => m.progress),
  };
}

function responseBytes({ chosen, refused, progress }: ProposeStreamResponse): number {
  return (
    64 +
    PROGRESS_BYTES * progress.length +
    48 * chosen.length +
    refused.reduce((sum, r) => sum + 48 + r.message.length, 0)
  );
}
