/** A broken invariant: the process that sees one says so and stops (style: asserts stay on in production). */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Stops on a broken invariant. `rule` names the rule that would be broken, for example `R2`. */
export function assert(condition: boolean, rule: string, message: () => string): asserts condition {
  if (!condition) throw new InvariantError(`${rule}: ${message()}`);
}

/** The end of a switch over a closed union: the compiler proves that it is never reached. */
export function assertNever(value: never): never {
  throw new InvariantError(`unexpected ${JSON.stringify(value)}`);
}
