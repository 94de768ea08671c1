/**
 * The other learners: how far each is, and whether its state is ours (R11). Every learner keeps a stream to every other one and
 * sends, a few times a second, how far its changed logs are with their newest digests; the answer says the same of the other
 * side. Idle logs are compared too, a few at a time, and all of them when a stream is new.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { SynodError } from '../../shared/base/errors.ts';
import { CHECKPOINT_SLOTS } from '../../shared/ports/learner-store.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import type { Clock, Random } from '../../shared/ports/clock.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import type { Directory } from '../../shared/platform/discovery/directory.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import type { StreamContext } from '../../shared/platform/grpc/context.ts';
import { PersistentStream } from '../../shared/platform/grpc/persistent-stream.ts';
import { StreamWriter } from '../../shared/platform/grpc/stream-writer.ts';
import { bytesOf, hexOf, ID_BYTES, logName, need, refuse, whole } from '../../shared/wire/codec/fields.ts';
import { checkHeader, readHeader, writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import type { Header as WireHeader } from '../../shared/wire/gen/synod/v1/common.ts';
import type { Digest, Learned } from '../../shared/wire/gen/synod/v1/learner.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { CompareRequest, CompareResponse } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import type { Agreement, Verdict } from './agreement.ts';
import type { Connections } from './connections.ts';

export interface PeersOptions {
  /** All learners; this one may be among them. */
  readonly learners: Directory;
  readonly connections: Connections;
  readonly header: Header;
  readonly store: LearnerStore;
  readonly agreement: Agreement;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Another learner has all slots below. */
  readonly onKnown: (log: string, next: number) => void;
  /** More of the log is agreed on. */
  readonly onAgreed: (log: string) => void;
  /** Called while digests differ, whenever more is known of that, and once after. */
  readonly onVerdict: (verdict: Verdict) => void;
}

interface Said {
  readonly digests: Digest[];
  readonly learned: Learned[];
}

export interface PeerLink {
  readonly id: number;
  readonly connection: Connection;
  readonly stream: PersistentStream<Said, CompareRequest, CompareResponse>;
  /** Logs to be told of. */
  readonly changed: Set<string>;
  heardAt: number;
  disk: string | undefined;
  /** Streams that it has open here. */
  inbound: number;
  /** Why it refuses this learner: said once in the log. */
  refusal: string;
}

const LOGS_A_TICK = 1_000;
const IDLE_LOGS_A_TICK = 20;
const QUEUE_BYTES = 4 * 1024 * 1024;
/** A learner that said something so lately is alive. Milliseconds. */
const HEARD_MS = 2_000;
/** How long an address where another learner answers is left alone. Milliseconds. */
const WRONG_MS = 5_000;

export class Peers {
  /** The others that are known now. The same list for ever: others hold it. */
  readonly links: PeerLink[] = [];
  readonly #options: PeersOptions;
  #idle: Iterator<{ readonly log: string }> | undefined = undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
    for (const [id, address] of options.learners.members)
      if (id !== options.header.id) this.links.push(this.#link(id, address));
    this.#count();
  }

  start(): void {
    for (const link of this.links) link.stream.start();
    this.#options.learners.watch({
      onMember: (id, address) => {
        this.#place(id, address);
      },
      answers: (id) => this.isUp(id),
    });
  }

  close(): void {
    this.#options.learners.stop();
    for (const link of this.links) link.stream.close();
  }

  /** Another learner is known of, or is at another address; `address` undefined: it is not counted any more. */
  #place(id: number, address: string | undefined): void {
    const { header, connections, agreement, onVerdict } = this.#options;
    if (id === header.id) return;
    const at = this.links.findIndex((link) => link.id === id);
    for (const gone of at < 0 ? [] : this.links.splice(at, 1)) {
      gone.stream.close();
      connections.end(gone.connection);
    }
    if (address === undefined) {
      const wasDisputed = agreement.isDisputed();
      agreement.forget(id);
      this.#count();
      if (wasDisputed) onVerdict(agreement.verdict());
      return;
    }
    const link = this.#link(id, address);
    this.links.push(link);
    this.links.sort((a, b) => a.id - b.id);
    this.#count();
    link.stream.start();
  }

  /** R11: a majority is one of all that are known, heard or not. Nobody is alone before the others had time to be found. */
  #count(): void {
    const { agreement, learners } = this.#options;
    agreement.setLearners(this.links.length + 1, learners.isSettled);
  }

  #link(id: number, address: string): PeerLink {
    const connection = this.#options.connections.open('learner', id, address);
    return {
      ...{ id, connection, stream: this.#streamTo(id, connection) },
      ...{ changed: new Set<string>(), heardAt: -Infinity, disk: undefined, inbound: 0, refusal: '' },
    };
  }

  isUp(learner: number): boolean {
    return this.links.some((link) => link.id === learner && link.stream.up);
  }

  changed(log: string): void {
    for (const link of this.links) link.changed.add(log);
  }

  /** Call every `compare.interval`. */
  tick(): void {
    this.#count();
    const idle = this.#someIdle();
    for (const link of this.links) {
      if (!link.stream.up) continue;
      const said: Said = { digests: [], learned: [] };
      const moved = new Set<string>();
      for (const log of link.changed) {
        if (moved.size >= LOGS_A_TICK) break;
        link.changed.delete(log);
        moved.add(log);
        this.#say(said, log, this.#newest(log));
      }
      for (const log of idle) if (!moved.has(log)) this.#say(said, log, this.#atRest(log));
      for (const { log, slot, mine } of this.#options.agreement.disputes()) {
        if (said.digests.length >= 2 * LOGS_A_TICK) break;
        said.digests.push({ log, slot, digest: mine });
      }
      if (said.learned.length + said.digests.length > 0) link.stream.send(said);
    }
  }

  /** The answering side of another learner's stream. */
  serve(stream: ServerDuplexStream<CompareRequest, CompareResponse>, call: StreamContext): void {
    const { header, store, log } = this.#options;
    const writer = new StreamWriter<Said, CompareResponse>(stream, {
      frame: (said) => ({ welcome: undefined, disk: new Uint8Array(0), ...join(said) }),
      bytesOf: sizeOf,
      queueBytesMax: QUEUE_BYTES,
      // What it did not hear now it asks for again.
      onOverflow: (queuedBytes) => {
        log.debug({ queuedBytes }, 'another learner reads too slowly to be answered');
      },
    });
    let from: PeerLink | undefined;
    stream.on('data', (request: CompareRequest | SynodError) => {
      try {
        if (request instanceof SynodError) throw request;
        if (from === undefined) {
          from = this.#introduced(request);
          from.inbound++;
          stream.write({
            welcome: writeHeader(header),
            disk: bytesOf(store.identity.disk, ID_BYTES, 'disk'),
            digests: [],
            learned: [],
          });
        }
        writer.write(this.#answer(from, request));
      } catch (error) {
        call.fail(error);
      }
    });
    stream.on('end', () => {
      writer.end();
    });
    stream.once('close', () => {
      writer.close();
      if (from !== undefined) from.inbound--;
    });
  }

  #introduced(request: CompareRequest): PeerLink {
    const { header } = this.#options;
    const hello = checkHeader(readHeader(need(request.hello, 'hello')), header, ['learner']);
    const link = this.links.find(({ id }) => id === hello.id);
    if (link === undefined)
      return refuse(
        `learner ${String(hello.id)} is not one of the others here (${this.links.map(({ id }) => String(id)).join(', ')}): check --id and --learners`,
      );
    const disk = hexOf(request.disk, ID_BYTES, 'disk');
    // R11: two that go by one number would be counted as one. One that was cut off is not waited for.
    const isHeard = link.inbound > 0 && this.#options.clock.now() - link.heardAt < HEARD_MS;
    if (isHeard && link.disk !== undefined && link.disk !== disk)
      throw new SynodError(
        'FAILED_PRECONDITION',
        `learner ${String(hello.id)} runs already, with disk ${link.disk}, and this is disk ${disk}: two processes have the same --id`,
      );
    link.disk = disk;
    return link;
  }

  #answer(link: PeerLink, { digests, learned }: CompareRequest): Said {
    this.#hear(link, digests, learned);
    const said: Said = { digests: [], learned: [] };
    for (const { log, slot } of digests) {
      const here = this.#options.store.digestAt(log, slot);
      const digest = here === undefined ? this.#newest(log) : { log, slot, digest: here };
      if (digest !== undefined) said.digests.push(digest);
    }
    for (const { log } of learned) this.#sayLearned(said, log);
    return said;
  }

  #hear(link: PeerLink, digests: readonly Digest[], learned: readonly Learned[]): void {
    const { store, agreement, clock, onKnown, onAgreed, onVerdict } = this.#options;
    link.heardAt = clock.now();
    for (const { log, watermark } of learned) onKnown(logName(log), whole(watermark, 'learned.watermark'));
    const wasDisputed = agreement.isDisputed();
    for (const { log, slot, digest } of digests) {
      if (digest.length !== 32) refuse(`a digest has ${String(digest.length)} bytes: 32 are needed`);
      const mine = store.digestAt(log, slot);
      if (mine === undefined || slot === 0) continue;
      if (agreement.compare(link.id, log, slot, mine, digest)) onAgreed(log);
    }
    // One more word may give a majority, or end the dispute.
    if (wasDisputed || agreement.isDisputed()) onVerdict(agreement.verdict());
  }

  #streamTo(id: number, connection: Connection): PersistentStream<Said, CompareRequest, CompareResponse> {
    const { header, store, clock, random, log } = this.#options;
    const link = (): PeerLink | undefined => this.links.find((each) => each.id === id);
    return new PersistentStream<Said, CompareRequest, CompareResponse>({
      connection,
      method: LearnerServiceService.compare,
      clock,
      random,
      hello: () => ({
        hello: writeHeader(header),
        disk: bytesOf(store.identity.disk, ID_BYTES, 'disk'),
        digests: [],
        learned: [],
      }),
      frame: (said) => ({ hello: undefined, disk: new Uint8Array(0), ...join(said) }),
      bytesOf: sizeOf,
      queueBytesMax: QUEUE_BYTES,
      onUp: () => {
        log.info({ learner: id }, 'another learner is heard');
        for (const { log: name } of store.logs()) link()?.changed.add(name);
      },
      onDown: (reason) => {
        log.debug({ learner: id, reason: reason.message }, 'another learner is not heard');
        const from = link();
        if (from === undefined || reason.code !== 'FAILED_PRECONDITION' || from.refusal === reason.message) return;
        from.refusal = reason.message;
        log.error({ learner: id, error: reason.message }, 'another learner refuses this one');
      },
      onMessage: (response) => {
        const to = link();
        if (to === undefined) return;
        try {
          if (response.welcome !== undefined && !this.#isWelcome(to, response.welcome)) return;
          if (response.welcome !== undefined) to.disk = hexOf(response.disk, ID_BYTES, 'disk');
          this.#hear(to, response.digests, response.learned);
        } catch (error) {
          if (!(error instanceof SynodError) || error.code !== 'INVALID_ARGUMENT') throw error;
          log.error(
            { learner: id, error: error.message },
            'a message of another learner cannot be read and is ignored',
          );
        }
      },
    });
  }

  /** R11: digests count by learner. An address may have come to be another's, whose word would then count twice. */
  #isWelcome({ id, connection, stream }: PeerLink, welcome: WireHeader): boolean {
    const { role, id: who } = readHeader(welcome);
    if (role === 'learner' && who === id) return true;
    const { address } = connection;
    this.#options.log.error({ learner: id, address }, `at ${address} answers ${role} ${String(who)} (--learners)`);
    stream.startElsewhere(WRONG_MS);
    return false;
  }

  #say(said: Said, log: string, digest: Digest | undefined): void {
    this.#sayLearned(said, log);
    if (digest !== undefined) said.digests.push(digest);
  }

  #sayLearned(said: Said, log: string): void {
    const progress = this.#options.store.progress(log);
    if (progress !== undefined) said.learned.push({ log, watermark: progress.visible, held: progress.held, first: 0 });
  }

  /** The digest at the last fixed slot. */
  #newest(log: string): Digest | undefined {
    const { store } = this.#options;
    const visible = store.progress(log)?.visible ?? 0;
    const slot = visible - (visible % CHECKPOINT_SLOTS);
    const digest = slot === 0 ? undefined : store.digestAt(log, slot);
    return digest === undefined ? undefined : { log, slot, digest };
  }

  /** The same for a log that has not moved, at its end: what it keeps there may be trimmed once another has it too. */
  #atRest(log: string): Digest | undefined {
    const { store, agreement } = this.#options;
    const slot = store.progress(log)?.visible ?? 0;
    const digest = agreement.agreed(log, slot) < slot ? store.digestAt(log, slot) : undefined;
    return digest === undefined ? this.#newest(log) : { log, slot, digest };
  }

  /** A few logs more, in turn. */
  #someIdle(): string[] {
    const out: string[] = [];
    while (out.length < IDLE_LOGS_A_TICK) {
      this.#idle ??= this.#options.store.logs()[Symbol.iterator]();
      const next = this.#idle.next();
      if (next.done === true) {
        this.#idle = undefined;
        break;
      }
      out.push(next.value.log);
    }
    return out;
  }
}

function join(said: readonly Said[]): Said {
  return { digests: said.flatMap((s) => s.digests), learned: said.flatMap((s) => s.learned) };
}

function sizeOf({ digests, learned }: Said): number {
  let size = 16;
  for (const { log } of digests) size += log.length + 48;
  for (const { log } of learned) size += log.length + 24;
  return size;
}
