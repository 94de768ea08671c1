/** `synodctl propose`: has values chosen and prints where. */
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import { SynodError, messageOf } from '../../../shared/base/errors.ts';
import { readPayload } from '../../../shared/wire/codec/client.ts';
import { ClientError } from '../../../shared/client/index.ts';
import { formatProposalId } from '../../../shared/client/index.ts';
import type {
  Decided,
  Progress,
  ProposalId,
  ProposeStream,
  Proposed,
  StreamAnswer,
  SynodClient,
} from '../../../shared/client/index.ts';
import { OK, withClient } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { EXIT, PartialError, UsageError, errorLine, exitCodeOf, worseCode } from '../exit.ts';
import { showName } from '../text.ts';
import { jsonValue, linesOf, linesOfFile, parseValue, showValue } from '../values.ts';

export interface ProposeOptions extends CommonOptions {
  readonly log: string;
  readonly protocol: string;
  readonly decree?: boolean;
  readonly file?: string;
  readonly base64?: boolean;
  readonly progress?: boolean;
}

export async function propose(values: readonly string[], options: ProposeOptions, context: Context): Promise<number> {
  const base64 = options.base64 ?? false;
  const { protocol } = options;
  if (protocol !== 'multi' && protocol !== 'basic' && protocol !== 'fast')
    throw new UsageError(`--protocol must be multi, basic or fast, not ${JSON.stringify(protocol)}`);
  if (options.decree === true && protocol === 'multi')
    throw new UsageError('a decree is decided by Basic or Fast Paxos: give --protocol basic or fast with --decree');
  const isDecree = protocol === 'basic' || options.decree === true;
  const given = source(values, options, context);
  const printer = new Printer(context, options.log, base64);
  const { onProgress } = printer.telling(options.progress ?? false);
  const opener = (client: SynodClient) => (): ProposeStream =>
    printer.of(
      client.proposeStream(options.log, {
        onAnswer: printer.answered.bind(printer),
        timeoutMs: context.timeoutMs,
        ...(onProgress === undefined ? {} : { onProgress }),
      }),
    );
  const watched = onProgress === undefined ? {} : { onProgress: onProgress.bind(undefined, 1) };
  if (!(given instanceof Array)) {
    if (protocol !== 'multi') throw new UsageError(ONE_VALUE);
    return withClient(context, ['proposer'], (client) => proposeMany(opener(client), given, base64, printer));
  }
  // Nothing is proposed before all of them are known to be values.
  const sound = given.map((each, at) => readValue(each, base64, given.length === 1 ? '' : placeOf(options, at + 1)));
  const [only] = sound;
  if (only === undefined) throw new UsageError(NO_VALUES);
  if (protocol !== 'multi' && sound.length > 1) throw new UsageError(ONE_VALUE);
  return withClient(context, ['proposer'], async (client) => {
    if (sound.length > 1) return proposeMany(opener(client), sound, false, printer);
    if (isDecree && protocol !== 'multi')
      printer.decided(await client.decide(options.log, only, { ...watched, protocol }));
    else if (protocol === 'fast')
      printer.proposed(await client.propose(options.log, only, { ...watched, protocol }), only);
    else printer.proposed(await client.propose(options.log, only, watched), only);
    return OK;
  });
}

const ONE_VALUE = 'with --protocol basic or fast one value is proposed at a time: give exactly one VALUE';
const NO_VALUES = 'no values came: give at least one, one a line';

type Given = string | Uint8Array;

/** The values of the command line, of the file or of standard input, in this order. */
function source(
  values: readonly string[],
  options: ProposeOptions,
  { io }: Context,
): readonly Given[] | AsyncIterable<Uint8Array> {
  if (options.file !== undefined) {
    if (values.length > 0) throw new UsageError('give values or --file, not both');
    return options.file === '-' ? linesOf(io.input) : linesOfFile(options.file);
  }
  if (values.length > 0) return values;
  if (io.piped) return linesOf(io.input);
  throw new UsageError('give at least one VALUE, or --file F, or values on standard input, one a line');
}

function placeOf({ file }: ProposeOptions, number: number): string {
  return file === undefined ? `VALUE ${String(number)}: ` : `line ${String(number)} of ${showName(file)}: `;
}

/** The bytes of a value. Throws UsageError, with the place in front, for what no value can be. */
function readValue(given: Given, base64: boolean, place: string): Uint8Array {
  try {
    return readPayload(parseValue(given, base64));
  } catch (error) {
    if (place !== '' && (error instanceof UsageError || error instanceof SynodError))
      throw new UsageError(place + messageOf(error));
    throw error;
  }
}

/** Proposes lines as they come. The stream begins with the first of them: where there is none, nothing happens. */
async function proposeMany(
  open: () => ProposeStream,
  lines: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  base64: boolean,
  printer: Printer,
): Promise<number> {
  let stream: ProposeStream | undefined;
  try {
    for await (const line of lines) {
      const value = readValue(line, base64, `line ${String(printer.count + 1)} of standard input: `);
      stream ??= open();
      printer.sent(value);
      await stream.write([value]);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    // What was taken before is still answered; the fault is told after it.
    await finish(stream);
    throw printer.partial(error);
  }
  if (stream === undefined) throw new UsageError(NO_VALUES);
  await finish(stream);
  return printer.code;
}

/** Waits for all answers. Each proposal that the end of the stream leaves without one was printed as refused. */
async function finish(stream: ProposeStream | undefined): Promise<void> {
  await stream?.finish().catch((error: unknown) => {
    if (!(error instanceof ClientError)) throw error;
  });
}

/** Prints answers in the order in which the values were given, as soon as they are known. */
class Printer {
  code: number = OK;
  readonly #context: Context;
  readonly #log: string;
  readonly #base64: boolean;
  readonly #values = new Map<number, Uint8Array>();
  readonly #answers = new Map<number, Proposed | ClientError>();
  #sent = 0;
  #printed = 0;
  #chosen = 0;
  #stream: ProposeStream | undefined;

  constructor(context: Context, log: string, base64: boolean) {
    this.#context = context;
    this.#log = log;
    this.#base64 = base64;
  }

  /** Values given so far. */
  get count(): number {
    return this.#sent;
  }

  /** The answers come from this stream. */
  of(stream: ProposeStream): ProposeStream {
    return (this.#stream = stream);
  }

  /** What is to be called with the progress of proposals, where it is wanted. */
  telling(wanted: boolean): { onProgress: ((sequence: number, progress: Progress) => void) | undefined } {
    const began = performance.now();
    if (!wanted) return { onProgress: undefined };
    return {
      onProgress: (sequence, progress) => {
        this.#told(sequence, progress, performance.now() - began);
      },
    };
  }

  #told(sequence: number, progress: Progress, ms: number): void {
    // The line of the proposal itself says it.
    if (progress.kind === 'chosen') return;
    const { io, json } = this.#context;
    const ballot = 'ballot' in progress ? formatBallot(progress.ballot) : null;
    if (json) {
      const { kind } = progress;
      io.out(
        JSON.stringify({ log: this.#log, value: sequence, progress: { ...progress, kind, ballot }, ms: round(ms) }),
      );
      return;
    }
    const which = this.#sent > 1 || this.#stream !== undefined ? `value ${String(sequence)}  ` : '';
    io.out(`${showName(this.#log)}  ${which}${progressText(progress, ballot)}  after ${String(round(ms))} ms`);
  }

  sent(value: Uint8Array): void {
    this.#values.set(++this.#sent, value);
  }

  answered(answer: StreamAnswer): void {
    for (let at = 0; at < answer.count; at++)
      this.#answers.set(
        answer.firstSequence + at,
        answer.kind === 'refused'
          ? answer.error
          : {
              ...{ log: this.#log, id: this.#idOf(answer.firstSequence + at), slot: answer.firstSlot + at },
              ...{ ballot: answer.ballot, leader: answer.leader },
            },
      );
    for (;;) {
      const sequence = this.#printed + 1;
      const result = this.#answers.get(sequence);
      const value = this.#values.get(sequence);
      if (result === undefined || value === undefined) return;
      this.#answers.delete(sequence);
      this.#values.delete(sequence);
      this.#printed = sequence;
      if (result instanceof ClientError) this.#refused(result, value);
      else {
        this.#chosen++;
        this.proposed(result, value);
      }
    }
  }

  #idOf(sequence: number): ProposalId {
    return this.#stream?.idOf(sequence) ?? { client: '', session: 0, sequence };
  }

  /** The fault of a line, with what became of those before it. */
  partial(fault: UsageError): PartialError {
    const before = `${String(this.#chosen)} of the ${String(this.#sent)} values before it were chosen, and nothing from there on was sent`;
    const message = `${fault.message}; ${this.#sent === 0 ? 'nothing was sent' : before}`;
    return new PartialError(message, worseCode(this.code, EXIT.refused));
  }

  proposed(where: Proposed, value: Uint8Array, note = ''): void {
    const { io, json } = this.#context;
    const ballot = where.ballot === undefined ? undefined : formatBallot(where.ballot);
    const { log, slot, leader } = where;
    if (json) {
      const own = note === '';
      io.out(
        JSON.stringify({
          log,
          slot,
          ballot: ballot ?? null,
          leader: leader ?? null,
          own,
          id: formatProposalId(where.id),
          ...(where.path === undefined ? {} : { path: where.path, rounds: where.rounds ?? null }),
          ...jsonValue(value, this.#base64),
        }),
      );
    } else
      io.out(
        `${showName(log)}  slot ${String(slot)}  ballot ${ballot ?? '–'}  ${showValue(value, this.#base64)}${wayOf(where)}${note}`,
      );
  }

  decided(decided: Decided): void {
    this.proposed(decided, decided.value, decided.own ? '' : '  (this value was chosen before yours)');
  }

  #refused(error: ClientError, value: Uint8Array): void {
    this.code = worseCode(this.code, exitCodeOf(error));
    const shown = showValue(value.subarray(0, 60), this.#base64);
    const named = new ClientError(error.code, `${shown}: ${error.message}`, error.outcome, {
      unreachable: error.unreachable,
    });
    this.#context.io.err(errorLine(named, this.#context.json));
  }
}

/** The way of a proposal that was sent FAST, for people. */
function wayOf({ path, rounds }: Proposed): string {
  if (path === undefined) return '';
  return `  ${path}${rounds === undefined ? '' : `, ${String(rounds)} ${rounds === 1 ? 'round' : 'rounds'}`}`;
}

function progressText(progress: Exclude<Progress, { kind: 'chosen' }>, ballot: string | null): string {
  switch (progress.kind) {
    case 'forwarded':
      return `forwarded to proposer ${String(progress.to)}`;
    case 'promised':
      return `promised by acceptor ${String(progress.acceptor)}  ballot ${ballot ?? '–'}`;
    case 'accepted':
      return `accepted by acceptor ${String(progress.acceptor)}  slot ${String(progress.slot)}  ballot ${ballot ?? '–'}`;
    case 'untold':
      return 'nothing more is told: too many proposals are watched, or this end reads too slowly';
  }
}

/** Milliseconds with one digit behind the point. */
function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
