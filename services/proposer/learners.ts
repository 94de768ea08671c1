/**
 * What a proposer asks of learners: the session table of a log that it begins to lead, and the entry of a slot that the acceptors
 * trimmed. Any learner will do. The one that answered last is asked first, and another one too when it takes its time.
 */
import { createHash } from 'node:crypto';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { encodeEntry } from '../../shared/machine/entry.ts';
import { Sessions } from '../../shared/machine/sessions.ts';
import type { ProposerEvent } from '../../shared/paxos/proposer.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import type { Faults } from '../../shared/platform/faults/faults.ts';
import type { Clock } from '../../shared/ports/clock.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import { hexOf, ID_BYTES } from '../../shared/wire/codec/fields.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import type { Link } from '../../shared/wire/gen/synod/v1/common.ts';
import type { LearnedEntry } from '../../shared/wire/gen/synod/v1/learner.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { SessionsResponse } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { EntryKind } from '../../shared/wire/gen/synod/v1/values.ts';
import { errorOf } from '../../shared/wire/status.ts';
import { createAdmission } from './admission.ts';

/** A second learner is asked when the first took this long. Milliseconds. */
const HEDGE_MS = 100;
/** A learner that has not applied the slot by then is given up; the machine asks again while it needs the table. */
const LOAD_MS = 2_000;
/** How often learners are asked whether they are there, and how long an answer holds. */
const LOOK_MS = 1_000;
const REACHABLE_MS = 5_000;
/** Session tables are bounded by `LIMITS.sessionsMax`; this is far above what the largest takes. */
const TABLE_BYTES_MAX = 1024 * 1024 * 1024;

export interface LearnerPorts {
  readonly header: Header;
  readonly post: (event: ProposerEvent) => void;
  readonly log: Log;
  readonly clock: Clock;
  readonly faults: Faults;
}

interface LearnerLink {
  readonly id: number;
  readonly connection: Connection;
  heardAt: number | undefined;
  asking: boolean;
}

interface Load {
  readonly slot: number;
  readonly abort: AbortController;
}

interface Table {
  readonly next: number;
  readonly bytes: Uint8Array;
}

export class LearnerLinks {
  readonly #ports: LearnerPorts;
  readonly #links: LearnerLink[] = [];
  readonly #loads = new Map<string, Load>();
  /** Who is asked first, by place among those that are known; each proposer begins with another one. */
  #first: number;
  #lookAt = -Infinity;

  constructor(addresses: ReadonlyMap<number, string>, ports: LearnerPorts) {
    this.#ports = ports;
    for (const [id, address] of addresses) this.#links.push(this.#link(id, address));
    this.#first = ports.header.id;
  }

  /** A learner is known of, or is at another address; `address` undefined: it is given up. */
  place(id: number, address: string | undefined): void {
    const at = this.#links.findIndex((link) => link.id === id);
    if (at >= 0) this.#links.splice(at, 1)[0]?.connection.close();
    if (address === undefined) return;
    const link = this.#link(id, address);
    this.#links.push(link);
    this.#links.sort((a, b) => a.id - b.id);
    this.#look(link);
  }

  /** Whether it answered lately. */
  answers(id: number): boolean {
    return this.#links.some((link) => link.id === id && this.#isReachable(link));
  }

  /** Posts the table of a log once a learner applied all slots below `slot`. One load of a log runs at a time. */
  loadSessions(log: string, slot: number): void {
    const { post } = this.#ports;
    // Below slot 0 nothing can have happened: the table of a new log is empty, and known without asking.
    if (slot === 0) {
      post({ kind: 'sessions', log, next: 0, admission: createAdmission(new Sessions()) });
      return;
    }
    const running = this.#loads.get(log);
    if (running?.slot === slot) return;
    running?.abort.abort();
    const load: Load = { slot, abort: new AbortController() };
    this.#loads.set(log, load);
    this.#fromAny(load.abort, (link, signal) => this.#fetchTable(link, log, slot, signal))
      .then(
        ({ next, bytes }) => {
          post({ kind: 'sessions', log, next, admission: createAdmission(Sessions.import(bytes)) });
        },
        (error: unknown) => {
          this.#ports.log.warn({ log, slot, error: messageOf(error) }, 'no learner gave the sessions of a log');
        },
      )
      .catch((error: unknown) => {
        this.#ports.log.error({ log, error: messageOf(error) }, 'the session table of a learner cannot be read');
      })
      .finally(() => {
        if (this.#loads.get(log) === load) this.#loads.delete(log);
      });
  }

  /** Posts the entry of a slot, or that no learner could say. */
  readSlot(log: string, slot: number): void {
    const { post, header } = this.#ports;
    const request = {
      header: writeHeader(header),
      log,
      from: slot,
      to: slot + 1,
      limit: 1,
      // It is chosen already: a learner that did not hear of it yet gets it first.
      linearizable: true,
      all: true,
    };
    this.#fromAny(new AbortController(), async ({ connection }, signal) => {
      const answer = await connection.unary(LearnerServiceService.read, request, { timeoutMs: LOAD_MS, signal });
      const found = answer.entries.find((entry) => entry.slot === slot);
      if (found === undefined) throw new SynodError('NOT_FOUND', `slot ${String(slot)} is not there yet`);
      return entryOf(found);
    }).then(
      (entry) => {
        post({ kind: 'slot', log, slot, entry });
      },
      (error: unknown) => {
        this.#ports.log.warn({ log, slot, error: messageOf(error) }, 'no learner gave the entry of a slot');
        post({ kind: 'slot', log, slot, entry: undefined });
      },
    );
  }

  /** Call now and then: asks learners whether they are there. */
  tick(): void {
    const now = this.#ports.clock.now();
    if (now - this.#lookAt < LOOK_MS) return;
    this.#lookAt = now;
    for (const link of this.#links) this.#look(link);
  }

  /** Learners that answered lately. */
  get reachable(): number {
    return this.#links.filter((link) => this.#isReachable(link)).length;
  }

  links(role: Link['role']): Link[] {
    const now = this.#ports.clock.now();
    return this.#links.map((link) => ({
      role,
      id: link.id,
      address: link.connection.address,
      connected: this.#isReachable(link),
      heardMsAgo: link.heardAt === undefined ? undefined : Math.max(0, Math.round(now - link.heardAt)),
      queuedBytes: 0,
    }));
  }

  close(): void {
    for (const { abort } of this.#loads.values()) abort.abort();
    for (const { connection } of this.#links) connection.close();
  }

  #isReachable({ heardAt }: LearnerLink): boolean {
    return heardAt !== undefined && this.#ports.clock.now() - heardAt < REACHABLE_MS;
  }

  #link(id: number, address: string): LearnerLink {
    const fromStatus = (status: Parameters<typeof errorOf>[0]): SynodError => errorOf(status).error;
    const connection = connect(address, { fromStatus, ...this.#ports.faults.towards('learner', id) });
    return { id, connection, heardAt: undefined, asking: false };
  }

  #look(link: LearnerLink): void {
    if (link.asking) return;
    link.asking = true;
    const request = { header: writeHeader(this.#ports.header) };
    link.connection
      .unary(LearnerServiceService.status, request, { timeoutMs: LOOK_MS })
      .then(
        () => {
          link.heardAt = this.#ports.clock.now();
        },
        (error: unknown) => {
          this.#ports.log.debug({ learner: link.id, error: messageOf(error) }, 'a learner does not answer');
          link.connection.renewIfStuck();
        },
      )
      .finally(() => {
        link.asking = false;
      });
  }

  /** Asks the learners one after the other, each when the one before failed or took long; the first answer counts. */
  #fromAny<T>(abort: AbortController, ask: (link: LearnerLink, signal: AbortSignal) => Promise<T>): Promise<T> {
    const order = this.#links.map((_, i) => this.#links[(this.#first + i) % this.#links.length]);
    const count = order.length;
    if (count === 0) return Promise.reject(new SynodError('UNAVAILABLE', 'no learner is known yet (--learners)'));
    return new Promise((resolve, reject) => {
      let failed = 0;
      let cancelHedge = (): void => undefined;
      const next = (): void => {
        cancelHedge();
        const link = order.shift();
        if (link === undefined) return;
        cancelHedge = this.#ports.clock.after(HEDGE_MS, next);
        ask(link, abort.signal).then(
          (value) => {
            cancelHedge();
            this.#first = Math.max(0, this.#links.indexOf(link));
            link.heardAt = this.#ports.clock.now();
            resolve(value);
            abort.abort();
          },
          (error: unknown) => {
            failed++;
            if (failed === count) reject(error instanceof Error ? error : new Error(messageOf(error)));
            else if (!abort.signal.aborted) next();
          },
        );
      };
      next();
    });
  }

  #fetchTable(link: LearnerLink, log: string, slot: number, signal: AbortSignal): Promise<Table> {
    const request = { header: writeHeader(this.#ports.header), log, atLeast: slot };
    const stream = link.connection.serverStream(LearnerServiceService.sessions, request, { timeoutMs: LOAD_MS });
    const cancel = (): void => {
      stream.cancel();
    };
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel, { once: true });
    return new Promise<Table>((resolve, reject) => {
      const parts: Uint8Array[] = [];
      let head: SessionsResponse | undefined;
      let sum: Uint8Array = new Uint8Array(0);
      let bytes = 0;
      stream.on('data', (message: SessionsResponse) => {
        head ??= message;
        parts.push(message.chunk);
        bytes += message.chunk.length;
        if (message.sum.length > 0) sum = message.sum;
        if (bytes > TABLE_BYTES_MAX) cancel();
      });
      stream.on('error', (error) => {
        signal.removeEventListener('abort', cancel);
        reject(link.connection.errorOf(error as Parameters<Connection['errorOf']>[0]));
      });
      stream.on('end', () => {
        signal.removeEventListener('abort', cancel);
        const table = Buffer.concat(parts);
        if (head === undefined) reject(new SynodError('DATA_LOSS', 'a learner sent no session table'));
        else if (!createHash('sha256').update(table).digest().equals(sum))
          reject(new SynodError('DATA_LOSS', 'a session table was damaged on its way'));
        else resolve({ next: head.applied, bytes: table });
      });
    });
  }
}

/** The encoded entry of a slot, as it was chosen. */
function entryOf(entry: LearnedEntry): Uint8Array {
  const { kind, session, sequence, payload } = entry;
  const client = (): string => hexOf(entry.client, ID_BYTES, 'entry.client');
  switch (kind) {
    case EntryKind.ENTRY_KIND_DECREE:
      return encodeEntry({ kind: 'decree', client: client(), payload });
    case EntryKind.ENTRY_KIND_OPEN_SESSION:
      return encodeEntry({ kind: 'open-session', client: client() });
    case EntryKind.ENTRY_KIND_COMMAND:
      return encodeEntry({ kind: 'command', client: client(), session, sequence, acknowledged: 0, payload });
    case EntryKind.ENTRY_KIND_NO_OP:
      return encodeEntry({ kind: 'no-op' });
    default:
      throw new SynodError('DATA_LOSS', `a learner sent an entry of kind ${String(kind)}, which is not known here`);
  }
}
