/**
 * Sessions with the acceptors: one stream to each, opened again for as long as this process runs.
 *
 * What goes to all of them is encoded once, and the same buffer is given to every stream. A queue that is full closes its
 * stream: what was in it is lost, and the machine sends again what matters when the acceptor is back.
 */
import type { SynodError } from '../../shared/base/errors.ts';
import { messageOf } from '../../shared/base/errors.ts';
import type { ToAcceptor } from '../../shared/paxos/messages.ts';
import type { ProposerEvent } from '../../shared/paxos/proposer.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import type { Faults } from '../../shared/platform/faults/faults.ts';
import { PersistentStream } from '../../shared/platform/grpc/persistent-stream.ts';
import type { Clock } from '../../shared/ports/clock.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import { decodeSessionResponse, encodeSessionHello, encodeToAcceptor } from '../../shared/wire/codec/acceptor.ts';
import { joinFrames } from '../../shared/wire/codec/framing.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import type { Welcome } from '../../shared/wire/codec/introduction.ts';
import type { Link } from '../../shared/wire/gen/synod/v1/common.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { raw } from '../../shared/wire/raw.ts';
import { errorOf } from '../../shared/wire/status.ts';

export interface LinkPorts {
  readonly header: Header;
  readonly post: (event: ProposerEvent) => void;
  readonly queueBytesMax: number;
  readonly log: Log;
  readonly clock: Clock;
  readonly faults: Faults;
}

interface AcceptorLink {
  readonly id: number;
  readonly position: number;
  readonly connection: Connection;
  readonly stream: PersistentStream<Buffer, Buffer, Buffer>;
  /** The acceptor said who it is, on the present stream. */
  welcomed: boolean;
  heardAt: number | undefined;
  /** The last reason why it could not be reached, so that a log says each one once. */
  trouble: string;
}

/** How long an address where another acceptor answers is left alone. Milliseconds. */
const WRONG_MS = 5_000;

/** Bytes of batches in one frame of several messages: a frame may not outgrow `LIMITS.messageBytesMax`. */
const FRAME_BYTES = 1024 * 1024;

export class AcceptorLinks {
  readonly #ports: LinkPorts;
  readonly #links: readonly AcceptorLink[];
  /** Messages of this turn, in their order. */
  #gathered: { readonly to: number | undefined; readonly message: ToAcceptor }[] = [];

  /** Addresses by id, in the order of the ids: an acceptor's position is its place in that order. */
  constructor(addresses: ReadonlyMap<number, string>, ports: LinkPorts) {
    this.#ports = ports;
    this.#links = [...addresses].map(([id, address], position) => this.#link(id, address, position));
  }

  start(): void {
    for (const { stream } of this.#links) stream.start();
  }

  /** Queues a message until the end of the turn; `to` undefined is for all. */
  send(to: number | undefined, message: ToAcceptor): void {
    this.#gathered.push({ to, message });
  }

  /** Sends what this turn gathered: neighbours for the same receivers in one frame. */
  flush(): void {
    if (this.#gathered.length === 0) return;
    const gathered = this.#gathered;
    this.#gathered = [];
    let run: ToAcceptor[] = [];
    let bytes = 0;
    for (let i = 0; i < gathered.length; i++) {
      const item = gathered[i];
      const next = gathered[i + 1];
      if (item === undefined) break;
      run.push(item.message);
      bytes += sizeOf(item.message);
      if (next?.to === item.to && next !== undefined && bytes + sizeOf(next.message) <= FRAME_BYTES) continue;
      this.#transmit(item.to, encodeToAcceptor(run));
      run = [];
      bytes = 0;
    }
  }

  /** Positions of the acceptors that are connected and speak, as a set of bits. */
  get connected(): number {
    let mask = 0;
    for (const link of this.#links) if (link.welcomed && link.stream.up) mask |= 1 << link.position;
    return mask;
  }

  /**
   * Whether acceptors know a log: true once one of those that are connected says so, false once enough of them do not, undefined
   * where too few answer. `isEnough` judges the positions of those that answered.
   */
  knows(log: string, isEnough: (positions: number) => boolean, timeoutMs: number): Promise<boolean | undefined> {
    const header = writeHeader(this.#ports.header);
    const request = { header, log, after: '', limit: 1, all: true };
    return new Promise((resolve) => {
      let answered = 0;
      const asked = this.#links
        .filter((link) => link.welcomed && link.stream.up)
        .map(async ({ connection, position, id }) => {
          try {
            const { logs } = await connection.unary(AcceptorServiceService.logs, request, { timeoutMs });
            answered |= 1 << position;
            if (logs.length > 0) resolve(true);
            else if (isEnough(answered)) resolve(false);
          } catch (error) {
            this.#ports.log.debug(
              { acceptor: id, error: messageOf(error) },
              'an acceptor did not say whether it knows a log',
            );
          }
        });
      void Promise.all(asked).then(() => {
        resolve(undefined);
      });
    });
  }

  /** Why acceptors are not connected, by id. */
  troubles(): string[] {
    return this.#links.filter((l) => !l.welcomed).map((l) => `acceptor ${String(l.id)}: ${l.trouble || 'connecting'}`);
  }

  links(role: Link['role']): Link[] {
    const now = this.#ports.clock.now();
    return this.#links.map((l) => ({
      role,
      id: l.id,
      address: l.connection.address,
      connected: l.welcomed && l.stream.up,
      heardMsAgo: l.heardAt === undefined ? undefined : Math.max(0, Math.round(now - l.heardAt)),
      queuedBytes: l.stream.queuedBytes,
    }));
  }

  close(): void {
    for (const { stream, connection } of this.#links) {
      stream.close();
      connection.close();
    }
  }

  #transmit(to: number | undefined, frame: Buffer): void {
    // A stream that is down loses it: `acceptor-up` makes the machine send again what is still open.
    if (to !== undefined) this.#links[to]?.stream.send(frame);
    else for (const { stream } of this.#links) stream.send(frame);
  }

  #link(id: number, address: string, position: number): AcceptorLink {
    const { header, log, queueBytesMax, clock, faults } = this.#ports;
    const fromStatus = (status: Parameters<typeof errorOf>[0]): SynodError => errorOf(status).error;
    const connection = connect(address, { fromStatus, ownConnection: true, ...faults.towards('acceptor', id) });
    const hello = encodeSessionHello(header);
    const stream = new PersistentStream<Buffer, Buffer, Buffer>({
      connection,
      method: raw(AcceptorServiceService.session),
      hello: () => hello,
      frame: joinFrames,
      bytesOf: (frame) => frame.length,
      queueBytesMax,
      clock,
      retryMsMax: 500,
      onUp: () => undefined,
      onDown: (reason) => {
        this.#onDown(link, reason);
      },
      onMessage: (frame) => {
        this.#onFrame(link, frame);
      },
      onOverflow: (queued) => {
        log.warn({ acceptor: id, queued }, 'an acceptor is too slow: its stream is opened anew (stream.queue.bytes)');
      },
    });
    const link: AcceptorLink = {
      id,
      position,
      connection,
      stream,
      welcomed: false,
      heardAt: undefined,
      trouble: '',
    };
    return link;
  }

  #onDown(link: AcceptorLink, reason: SynodError): void {
    link.welcomed = false;
    this.#ports.post({ kind: 'acceptor-down', acceptor: link.position });
    if (link.trouble === reason.message) return;
    link.trouble = reason.message;
    this.#ports.log.warn({ acceptor: link.id, address: link.connection.address }, `no session: ${reason.message}`);
  }

  #onFrame(link: AcceptorLink, frame: Buffer): void {
    const { log, post, clock } = this.#ports;
    link.heardAt = clock.now();
    try {
      const { welcome, messages } = decodeSessionResponse(frame);
      if (welcome !== undefined) this.#onWelcome(link, welcome);
      // R9: votes count by acceptor. Whoever has not said that it is this one has no vote.
      if (!link.welcomed) return;
      for (const message of messages) post({ kind: 'acceptor', from: link.position, message });
    } catch (error) {
      log.error({ acceptor: link.id, error: messageOf(error) }, 'a frame of an acceptor cannot be read; it is dropped');
    }
  }

  #onWelcome(link: AcceptorLink, welcome: Welcome): void {
    const { log, post } = this.#ports;
    if (welcome.acceptor !== link.id) {
      link.trouble = `at ${link.connection.address} answers acceptor ${String(welcome.acceptor)} (--acceptors)`;
      log.error({ acceptor: link.id }, link.trouble);
      // An acceptor keeps one session of a proposer: this one would only cut off the link that is meant for it.
      link.stream.startElsewhere(WRONG_MS);
      return;
    }
    link.welcomed = true;
    link.trouble = '';
    log.info({ acceptor: link.id, disk: welcome.disk, start: welcome.start }, 'an acceptor is connected');
    post({ kind: 'acceptor-up', acceptor: link.position });
  }
}

function sizeOf(message: ToAcceptor): number {
  return 100 + (message.kind === 'accept' ? message.batch.bytes.length : 0);
}
