/** Has all acceptors stop counting on the disk of a learner that will not come back. Each of them judges for itself. */
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { bytesOf, hexOf, ID_BYTES, refuse } from '../../shared/wire/codec/fields.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { ForgetResponse } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import type { ForgetLearnerRequest, ForgetLearnerResponse } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { Peers } from './peers.ts';

export interface ForgettingOptions {
  readonly acceptors: readonly { readonly id: number; readonly connection: Connection }[];
  readonly peers: Peers;
  readonly header: Header;
  /** This learner's own disk. */
  readonly disk: string;
}

const TIMEOUT_MS = 2_000;
/** Pages of an acceptor's logs that are looked through for a learner's disk. */
const PAGES_MAX = 20;

export class Forgetting {
  readonly #options: ForgettingOptions;

  constructor(options: ForgettingOptions) {
    this.#options = options;
  }

  /** Rejects with an acceptor's own words when it refuses; what others did by then is told, and asking again completes it. */
  async forget(request: ForgetLearnerRequest): Promise<ForgetLearnerResponse> {
    const disk = await this.#diskOf(request);
    this.#refuseLiving(disk);
    /** Those that do not count on the disk any more, and which of them did before. */
    const acceptors: number[] = [];
    const changed: number[] = [];
    const missing: number[] = [];
    const lost = new Set<string>();
    // One after the other: the first that refuses stops the rest.
    for (const { id, connection } of this.#options.acceptors)
      try {
        const answer = await this.#ask(connection, disk, request.force);
        acceptors.push(id);
        if (answer.known) changed.push(id);
        for (const line of answer.lost) lost.add(line);
      } catch (error) {
        if (!(error instanceof SynodError) || (error.code !== 'UNAVAILABLE' && error.code !== 'DEADLINE_EXCEEDED'))
          throw refusal(id, changed, error);
        missing.push(id);
      }
    if (changed.length === 0) throw unknownDisk(disk, missing);
    return { learnerDisk: bytesOf(disk, ID_BYTES, 'learner_disk'), acceptors, missing, lost: [...lost] };
  }

  async #ask(connection: Connection, disk: string, force: boolean): Promise<ForgetResponse> {
    const request = {
      header: writeHeader(this.#options.header),
      learnerDisk: bytesOf(disk, ID_BYTES, 'learner_disk'),
      force,
    };
    return connection.unary(AcceptorServiceService.forget, request, { timeoutMs: TIMEOUT_MS });
  }

  /** A learner that runs would report again what it holds. */
  #refuseLiving(disk: string): void {
    if (disk === this.#options.disk)
      throw new SynodError(
        'FAILED_PRECONDITION',
        'this is the learner that was asked to be forgotten, and it runs; ask another one after it was stopped',
      );
    const living = this.#options.peers.links.find((link) => link.disk === disk && link.stream.up);
    if (living !== undefined)
      throw new SynodError(
        'FAILED_PRECONDITION',
        `learner ${String(living.id)} runs and would report its disk again; stop it first`,
      );
  }

  #isLiving(disk: string): boolean {
    return (
      disk === this.#options.disk || this.#options.peers.links.some((link) => link.disk === disk && link.stream.up)
    );
  }

  async #diskOf({ learnerDisk, learner }: ForgetLearnerRequest): Promise<string> {
    if (learnerDisk.length > 0) return hexOf(learnerDisk, ID_BYTES, 'learner_disk');
    if (learner === 0) return refuse('learner_disk or learner is needed: whose disk shall be forgotten?');
    if (learner === this.#options.header.id) return this.#options.disk;
    const heard = this.#options.peers.links.find((link) => link.id === learner)?.disk;
    return heard ?? (await this.#reported(learner));
  }

  /** A learner that was never heard here may have reported to an acceptor. */
  async #reported(learner: number): Promise<string> {
    const header = writeHeader(this.#options.header);
    let unheard = '';
    /** Disks that hold something and belong to no learner that is known to run. */
    const orphans = new Set<string>();
    for (const { id, connection } of this.#options.acceptors)
      try {
        let after = '';
        for (let pages = 0; pages < PAGES_MAX; pages++) {
          const request = { header, log: '', after, limit: 0, all: true };
          const { logs, more } = await connection.unary(AcceptorServiceService.logs, request, {
            timeoutMs: TIMEOUT_MS,
          });
          for (const each of logs.flatMap((entry) => entry.holders)) {
            const disk = hexOf(each.learnerDisk, ID_BYTES, 'learner_disk');
            if (each.learner === learner) return disk;
            if (each.learner === 0 && !this.#isLiving(disk)) orphans.add(disk);
          }
          after = logs.at(-1)?.log ?? '';
          if (!more) break;
        }
      } catch (error) {
        unheard += `; acceptor ${String(id)} did not answer (${messageOf(error)})`;
      }
    throw notKnown(learner, [...orphans], unheard);
  }
}

/** Disks that are named in one error. */
const DISKS_MAX = 8;

/** Acceptors keep what a disk holds, but which learner has it only while they heard from that learner since their start. */
function notKnown(learner: number, orphans: readonly string[], unheard: string): SynodError {
  const name = `learner ${String(learner)}`;
  const which =
    orphans.length === 0
      ? 'the acceptors know no disk that is not of a learner that runs, so there may be nothing to forget'
      : `disks without a learner that runs are: ${orphans.slice(0, DISKS_MAX).join(', ')}`;
  return new SynodError(
    'NOT_FOUND',
    `which disk ${name} has is not known, because it was not heard since the acceptors started; give the disk's id instead ` +
      `of the number (32 hex digits; "disk" in the log of ${name}); ${which}${unheard}`,
  );
}

/** Force does not help: it is for what would be lost, and with a disk that nobody counts on nothing is. */
function unknownDisk(disk: string, missing: readonly number[]): SynodError {
  const silent = missing.length === 0 ? '' : `; acceptors ${missing.join(', ')} could not be asked`;
  return new SynodError(
    'NOT_FOUND',
    `no acceptor counts on disk ${disk}, so there is nothing to forget: it may be mistyped (a learner's log and its /status.json ` +
      `name its disk), or not have reported since the acceptors started${silent}`,
  );
}

function refusal(id: number, done: readonly number[], error: unknown): SynodError {
  const before = done.length === 0 ? 'nothing was forgotten' : `acceptors ${done.join(', ')} have forgotten it already`;
  const code = error instanceof SynodError ? error.code : 'INTERNAL';
  return new SynodError(
    code,
    `acceptor ${String(id)} refuses, and ${before}: ${messageOf(error)}`,
    done.length === 0 ? 'none' : 'unknown',
    error,
  );
}
