/** The outside of a command, so that tests can be it. */
import type { MemberLookup } from '../../shared/platform/discovery/directory.ts';

export interface Io {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array | string>;
  /** False when standard input is a terminal, where nobody means it as a list of values. */
  readonly piped: boolean;
  /** Whether something listens on an address. */
  readonly listens: (address: string) => Promise<boolean>;
  /** Asks DNS for members. Default: the servers of this machine, or SYNOD_DISCOVERY_SERVER. */
  readonly lookup?: MemberLookup;
  /** Cells of a terminal's line. Default 80. */
  readonly columns?: number;
  /** Whether colours are shown. Default: not. */
  readonly color?: boolean;
  /** Comes when the user gives up (Ctrl-C). */
  readonly signal: AbortSignal;
  /** Something is in force that is to be undone: the first Ctrl-C waits for that. Call what is given once it is done. */
  readonly undoing?: () => () => void;
  /** The terminal, where both input and output are one. */
  readonly screen?: Screen;
}

/** A terminal that is drawn on as a whole. */
export interface Screen {
  readonly columns: () => number;
  readonly rows: () => number;
  /** Begins, and tells of keys as they come; returns what ends it and leaves the terminal as it was. */
  readonly open: (onKey: (key: string) => void) => () => void;
  /** Puts these lines in place of what is there. */
  readonly draw: (lines: readonly string[]) => void;
}
