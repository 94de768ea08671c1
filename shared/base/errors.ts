/** What a caller may conclude about its request (R15). `none`: it had no effect and never will. `unknown`: it may have. */
export type Outcome = 'none' | 'unknown';

/** The codes that Synod uses; the names are those of gRPC, whose numbers only `wire` knows. */
export const CODES = [
  'INVALID_ARGUMENT',
  'OUT_OF_RANGE',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'FAILED_PRECONDITION',
  'RESOURCE_EXHAUSTED',
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'UNIMPLEMENTED',
  'ABORTED',
  'CANCELLED',
  'DATA_LOSS',
  'INTERNAL',
] as const;

export type Code = (typeof CODES)[number];

/**
 * An operating error, written for a person: what was wrong, the value, the limit and the setting.
 * `outcome` says whether what was asked for may have happened; only `none` may be tried again as new.
 */
export class SynodError extends Error {
  override readonly name = 'SynodError';
  readonly code: Code;
  readonly outcome: Outcome;
  constructor(code: Code, message: string, outcome: Outcome = 'none', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.outcome = outcome;
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
