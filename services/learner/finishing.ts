/** Has proposers finish slots that hold votes without a quorum. Any proposer will do; one that does not answer is passed over. */
import { messageOf } from '../../shared/base/errors.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import type { Directory } from '../../shared/platform/discovery/directory.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { PeerServiceService } from '../../shared/wire/gen/synod/v1/peer_service.ts';
import type { ConnectedMember, Connections } from './connections.ts';

export interface FinishingOptions {
  readonly proposers: Directory;
  readonly connections: Connections;
  readonly header: Header;
  readonly log: Log;
}

const TIMEOUT_MS = 1_000;
/** Questions on their way; what does not fit is asked again by the machine (R14). */
const RUNNING_MAX = 64;

export class Finishing {
  readonly #options: FinishingOptions;
  readonly #proposers: ConnectedMember[];
  readonly #running = new Set<string>();
  #at = 0;

  constructor(options: FinishingOptions) {
    this.#options = options;
    this.#proposers = options.connections.to('proposer', options.proposers.members);
  }

  start(): void {
    this.#options.proposers.watch({
      onMember: (id, address) => {
        this.#place(id, address);
      },
      // Proposers are asked in turn; none is missed.
      answers: () => false,
    });
  }

  close(): void {
    this.#options.proposers.stop();
  }

  #place(id: number, address: string | undefined): void {
    const { connections } = this.#options;
    const at = this.#proposers.findIndex((proposer) => proposer.id === id);
    for (const gone of at < 0 ? [] : this.#proposers.splice(at, 1)) connections.end(gone.connection);
    if (address !== undefined) this.#proposers.push({ id, connection: connections.open('proposer', id, address) });
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
      const proposer = this.#proposers[this.#at % this.#proposers.length]?.connection;
      if (proposer === undefined) return;
      try {
        const request = { header: writeHeader(this.#options.header), finish: { log, from, to } };
        await proposer.unary(PeerServiceService.finish, request, { timeoutMs: TIMEOUT_MS });
        return;
      } catch (error) {
        this.#at++;
        proposer.renewIfStuck();
        this.#options.log.debug(
          { log, proposer: proposer.address, error: messageOf(error) },
          'a proposer did not take a request to finish slots',
        );
      }
    }
  }
}
