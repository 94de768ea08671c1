/** What a command ends with: its exit code, and one line on standard error when it failed (R15). */
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { ClientError } from '../../shared/client/index.ts';
import { showLine } from './text.ts';

/** Exit codes of every command; part of what scripts rely on. */
export const EXIT = {
  ok: 0,
  /** Refused or failed, and what is named in the error changed nothing (outcome none). */
  refused: 1,
  /** The command line is wrong. */
  usage: 2,
  /** It may or may not have happened (outcome unknown). */
  unknown: 3,
  /** Nobody answers. */
  unreachable: 4,
  /** A journal is damaged. */
  damaged: 5,
} as const;

export const EXIT_HELP = `
Exit codes: 0 done; 1 refused, what the error names changed nothing; 2 wrong usage; 3 outcome unknown, it may have happened;
4 nobody answers; 5 a journal is damaged.`;

/** A command line that cannot be meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Some of what was asked for is done, and the rest was not tried. */
export class PartialError extends Error {
  override readonly name = 'PartialError';
  /** Of what was tried, all together. */
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The code of several outcomes together: one that is not known makes all of it unknown. */
export function worseCode(a: number, b: number): number {
  return a === EXIT.unknown || b === EXIT.unknown ? EXIT.unknown : Math.max(a, b);
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof PartialError) return error.exitCode;
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof ClientError && error.unreachable && error.outcome === 'none') return EXIT.unreachable;
  if (error instanceof SynodError && error.outcome === 'unknown') return EXIT.unknown;
  return EXIT.refused;
}

/** One line for a person, or one JSON object. */
export function errorLine(error: unknown, json: boolean): string {
  const whole = messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
  const message = json ? whole : showLine(whole);
  if (error instanceof UsageError)
    return json ? JSON.stringify({ error: { code: 'USAGE', message, outcome: 'none' } }) : `synodctl: ${message}`;
  if (error instanceof PartialError) {
    const outcome = error.exitCode === EXIT.unknown ? 'unknown' : 'none';
    return json ? JSON.stringify({ error: { code: 'PARTIAL', message, outcome } }) : `synodctl: ${message} [PARTIAL]`;
  }
  const code = error instanceof SynodError ? error.code : 'INTERNAL';
  const outcome = error instanceof SynodError ? error.outcome : 'unknown';
  if (json) return JSON.stringify({ error: { code, message, outcome } });
  const meaning =
    outcome === 'none' ? 'outcome none: nothing was changed' : 'outcome unknown: it may have happened, or happen yet';
  return `synodctl: ${message} [${code}, ${meaning}]`;
}
