/** What a command ends with: its exit code, and one line on standard error when it failed (R15). */
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { ClientError } from '../../shared/client/index.ts';

/** Exit codes of every command; part of what scripts rely on. */
export const EXIT = {
  ok: 0,
  /** Refused or failed, and nothing was changed (outcome none). */
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
Exit codes: 0 done; 1 refused, nothing was changed; 2 wrong usage; 3 outcome unknown, it may have happened;
4 nobody answers; 5 a journal is damaged.`;

/** A command line that cannot be meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof ClientError && error.unreachable && error.outcome === 'none') return EXIT.unreachable;
  if (error instanceof SynodError && error.outcome === 'unknown') return EXIT.unknown;
  return EXIT.refused;
}

/** One line for a person, or one JSON object. */
export function errorLine(error: unknown, json: boolean): string {
  const message = messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
  if (error instanceof UsageError)
    return json ? JSON.stringify({ error: { code: 'USAGE', message, outcome: 'none' } }) : `synodctl: ${message}`;
  const code = error instanceof SynodError ? error.code : 'INTERNAL';
  const outcome = error instanceof SynodError ? error.outcome : 'unknown';
  if (json) return JSON.stringify({ error: { code, message, outcome } });
  const meaning =
    outcome === 'none' ? 'outcome none: nothing was changed' : 'outcome unknown: it may have happened, or happen yet';
  return `synodctl: ${message} [${code}, ${meaning}]`;
}
