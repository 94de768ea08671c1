/** `synodctl propose`: has values chosen and prints where. */
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import { ClientError } from '../../../shared/client/index.ts';
import type { Decided, Proposed, StreamAnswer, SynodClient } from '../../../shared/client/index.ts';
import { OK, withClient } from '../context.ts';
import type { CommonOptions, Context } from '../context.ts';
import { UsageError, errorLine, exitCodeOf } from '../exit.ts';
import { jsonValue, linesOf, linesOfFile, parseValue, showValue } from '../values.ts';

export interface ProposeOptions extends CommonOptions {
  readonly log: string;
  readonly protocol: string;
  readonly file?: string;
  readonly base64?: boolean;
}

export async function propose(values: readonly string[], options: ProposeOptions, context: Context): Promise<number> {
  const base64 = options.base64 ?? false;
  if (options.protocol !== 'multi' && options.protocol !== 'basic')
    throw new UsageError(`--protocol must be multi or basic, not ${JSON.stringify(options.protocol)}`);
  const given = source(values, options, context);
  const printer = new Printer(context, options.log, base64);
  const only = 'length' in given && given.length === 1 ? given[0] : undefined;
  if (only !== undefined) {
    const value = parseValue(only, base64);
    return withClient(context, ['proposer'], async (client) => {
      if (options.protocol === 'basic') printer.decided(await client.decide(options.log, value));
      else printer.proposed(await client.propose(options.log, value), value);
      return OK;
    });
  }
  if (options.protocol === 'basic')
    throw new UsageError('a decree is one value: give exactly one VALUE with --protocol basic');
  return withClient(context, ['proposer'], (client) => proposeMany(client, given, options, printer));
}

/** The values of the command line, of the file or of standard input, in this order. */
function source(
  values: readonly string[],
  options: ProposeOptions,
  { io }: Context,
): readonly string[] | AsyncIterable<string> {
  if (options.file !== undefined) {
    if (values.length > 0) throw new UsageError('give values or --file, not both');
    return options.file === '-' ? linesOf(io.input) : linesOfFile(options.file);
  }
  if (values.length > 0) return values;
  if (io.piped) return linesOf(io.input);
  throw new UsageError('give at least one VALUE, or --file F, or values on standard input, one a line');
}

async function proposeMany(
  client: SynodClient,
  values: readonly string[] | AsyncIterable<string>,
  options: ProposeOptions,
  printer: Printer,
): Promise<number> {
  const stream = client.proposeStream(options.log, {
    onAnswer: (answer) => {
      printer.answered(answer);
    },
  });
  const base64 = options.base64 ?? false;
  try {
    for await (const line of values) {
      const value = parseValue(line, base64);
      if (value.length === 0) throw new UsageError('an empty line is no value: at least one byte is needed');
      printer.sent(value);
      await stream.write([value]);
    }
  } catch (error) {
    // What was taken before is still answered; the fault is told after it.
    if (!(error instanceof ClientError)) await stream.finish();
    throw error;
  }
  if (printer.count === 0) throw new UsageError('no values came: give at least one, one a line');
  await stream.finish().catch((error: unknown) => {
    // Each proposal that this leaves without an answer was printed as refused.
    if (!(error instanceof ClientError)) throw error;
  });
  return printer.code;
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

  constructor(context: Context, log: string, base64: boolean) {
    this.#context = context;
    this.#log = log;
    this.#base64 = base64;
  }

  /** Values given so far. */
  get count(): number {
    return this.#sent;
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
          : { log: this.#log, slot: answer.firstSlot + at, ballot: answer.ballot, leader: answer.leader },
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
      else this.proposed(result, value);
    }
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
          ...jsonValue(value, this.#base64),
        }),
      );
    } else io.out(`${log}  slot ${String(slot)}  ballot ${ballot ?? '–'}  ${showValue(value, this.#base64)}${note}`);
  }

  decided(decided: Decided): void {
    this.proposed(decided, decided.value, decided.own ? '' : '  (this value was chosen before yours)');
  }

  #refused(error: ClientError, value: Uint8Array): void {
    this.code = Math.max(this.code, exitCodeOf(error));
    const shown = showValue(value.subarray(0, 60), this.#base64);
    const named = new ClientError(error.code, `${shown}: ${error.message}`, error.outcome, {
      unreachable: error.unreachable,
    });
    this.#context.io.err(errorLine(named, this.#context.json));
  }
}
