/** Has proposers finish slots that hold votes without a quorum. Any proposer will do; one that does not answer is passed over. */
import { messageOf } from '../../shared/base/errors.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { PeerServiceService } from '../../shared/wire/gen/synod/v1/peer_service.ts';

const TIMEOUT_MS = 1_000;
/** Questions on their way; what does not fit is asked again by the machine (R14). */
const RUNNING_MAX = 64;

export class Finishing {
  readonly #proposers: readonly Connection[];
  readonly #header: Header;
  readonly #log: Log;
  readonly #running = new Set<string>();
  #at = 0;

  constructor(proposers: readonly Connection[], header: Header, log: Log) {
    this.#proposers = proposers;
    this.#header = header;
    this.#log = log;
  }

  /** Asks for [from, to) of a log to be finished; nothing more than one question a log is on its way. */
  ask(log: string, from: number, to: number): void {
    if (this.#running.has(log) || this.#running.size >= RUNNING_MAX) return;
    this.#running.add(log);
    // Never rejects.
    void this.#ask(log, from, to).finally(() => this.#running.delete(log));
  }

  async #ask(log: string, from: number, to: number): Promise<void> {
    const end = this.#at + this.#proposers.length;
    while (this.#at < end) {
      const proposer = this.#proposers[this.#at % this.#proposers.length];
      if (proposer === undefined) return;
      try {
        const request = { header: writeHeader(this.#header), finish: { log, from, to } };
        await proposer.unary(PeerServiceService.finish, request, { timeoutMs: TIMEOUT_MS });
        return;
      } catch (error) {
        this.#at++;
        this.#log.debug(
          { log, proposer: proposer.address, error: messageOf(error) },
          'a proposer did not take a request to finish slots',
        );
      }
    }
  }
}
