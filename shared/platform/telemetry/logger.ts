import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger } from 'pino';

export interface LoggerOptions {
  readonly role: string;
  readonly id: number;
  readonly level: string;
  /** Where lines go. Default: standard output, written at once, so that the last line before an exit is never lost. */
  readonly destination?: { write(line: string): void };
}

/** A logger of JSON lines with a level by name, an ISO time, and the process's role and id on every line. */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { role: options.role, id: options.id },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    options.destination ?? pino.destination({ fd: 1, sync: true }),
  );
}
