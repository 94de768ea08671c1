/**
 * How a process ends: in order when it is asked to, at once when something is wrong.
 *
 * SIGTERM and SIGINT run the stop steps one after the other, all within one grace; a second signal does not wait. An error that
 * nobody caught, or `die` (R4), ends the process at once with code 1: what it knows can no longer be trusted, and the protocol is
 * made to live with processes that die.
 */
import { messageOf } from '../base/errors.ts';
import type { Log } from '../ports/telemetry.ts';

/** Exit codes with a meaning for whoever started the process. */
export const EXIT = {
  ok: 0,
  /** Something went wrong; another start may help. */
  failed: 1,
  /** The configuration or the data is wrong; another start will end the same way until a person did something. */
  refused: 78,
} as const;

export interface LifecycleOptions {
  readonly log: Log;
  /** Milliseconds for all stop steps together. */
  readonly graceMs: number;
  /** Default `process.exit`; tests give their own. */
  readonly exit?: (code: number) => void;
  /** Default `process`; tests give their own. */
  readonly signals?: Pick<NodeJS.EventEmitter, 'on'>;
}

/** A signal that comes this soon after the first is its echo: a terminal and npm both pass Ctrl-C on. */
const SAME_SIGNAL_MS = 500;

interface Step {
  readonly name: string;
  readonly run: () => void | Promise<void>;
}

export class Lifecycle {
  readonly #log: Log;
  readonly #graceMs: number;
  readonly #exit: (code: number) => void;
  readonly #signals: Pick<NodeJS.EventEmitter, 'on'>;
  readonly #steps: Step[] = [];
  #stopping = false;
  #stoppingSince = 0;

  constructor(options: LifecycleOptions) {
    this.#log = options.log;
    this.#graceMs = options.graceMs;
    this.#exit = options.exit ?? ((code) => process.exit(code));
    this.#signals = options.signals ?? process;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Adds a step to an orderly stop; steps run in the order in which they were added. */
  onStop(name: string, run: () => void | Promise<void>): void {
    this.#steps.push({ name, run });
  }

  /** Begins to listen to signals, to errors that nobody caught, and, under a supervisor, to its end. */
  install(): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      this.#signals.on(signal, () => {
        if (!this.#stopping) void this.stop(signal, EXIT.ok);
        else if (performance.now() - this.#stoppingSince > SAME_SIGNAL_MS) this.#exit(EXIT.failed);
      });
    this.#signals.on('uncaughtException', (error: unknown) => {
      this.die('an error that nobody caught', error);
    });
    this.#signals.on('unhandledRejection', (error: unknown) => {
      this.die('a rejection that nobody caught', error);
    });
    if (process.env['SYNOD_SUPERVISED'] === '1') this.#followSupervisor();
  }

  /** Runs the stop steps and exits. A step that fails or does not end within the grace is logged and does not stop the rest. */
  async stop(reason: string, code: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#stoppingSince = performance.now();
    this.#log.info({ reason, graceMs: this.#graceMs }, 'stopping');
    const end = performance.now() + this.#graceMs;
    for (const step of this.#steps) await this.#run(step, Math.max(0, end - performance.now()));
    this.#log.info({ code }, 'stopped');
    this.#exit(code);
  }

  /** Ends the process now: nothing is flushed, answered or sent (R4). */
  die(reason: string, cause?: unknown): void {
    const stack = cause instanceof Error ? cause.stack : undefined;
    this.#log.fatal(
      { reason, error: cause === undefined ? undefined : messageOf(cause), stack },
      `ending now: ${reason}`,
    );
    this.#exit(EXIT.failed);
  }

  /** Ends the process because no start can succeed until a person did something, which the reason says. */
  refuse(reason: string): void {
    this.#log.fatal({ reason }, reason);
    this.#exit(EXIT.refused);
  }

  async #run(step: Step, ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, ms, 'late');
    });
    try {
      const result = await Promise.race([Promise.resolve(step.run()), late]);
      if (result === 'late') this.#log.warn({ step: step.name }, 'a step of the stop did not end within stop.grace');
    } catch (error) {
      this.#log.error({ step: step.name, error: messageOf(error) }, 'a step of the stop failed');
    } finally {
      clearTimeout(timer);
    }
  }

  /** A supervisor holds the other end of standard input: when it is gone, however it went, so are its processes. */
  #followSupervisor(): void {
    const gone = (): void => {
      void this.stop('the supervisor is gone', EXIT.ok);
    };
    process.stdin.on('end', gone).on('error', gone).resume();
  }
}
