/**
 * Streams between proposers. Each dials every other for what it has to say itself, on two connections: heartbeats and who leads
 * what on one, proposals and their answers on the other, so that bulk never makes a proposer look silent.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import type { Forward, PeerMessage } from '../../shared/paxos/peers.ts';
import type { Directory } from '../../shared/platform/discovery/directory.ts';
import { connect } from '../../shared/platform/grpc/connection.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import type { StreamContext } from '../../shared/platform/grpc/context.ts';
import { PersistentStream } from '../../shared/platform/grpc/persistent-stream.ts';
import { checkHeader } from '../../shared/wire/codec/header.ts';
import type { Expected } from '../../shared/wire/codec/header.ts';
import { decodePeerFrame, encodePeerHello, encodePeerMessages } from '../../shared/wire/codec/peers.ts';
import type { Link } from '../../shared/wire/gen/synod/v1/common.ts';
import { PeerServiceService } from '../../shared/wire/gen/synod/v1/peer_service.ts';
import { raw } from '../../shared/wire/raw.ts';
import { errorOf } from '../../shared/wire/status.ts';
import type { LinkPorts } from './acceptors.ts';

type PeerStream = PersistentStream<PeerMessage, Buffer, Buffer>;

interface Peer {
  readonly id: number;
  readonly address: string;
  readonly connections: readonly Connection[];
  readonly heartbeats: PeerStream;
  readonly forwarding: PeerStream;
}

/** A proposer that said something so lately is alive: heartbeats are ten times as frequent. Milliseconds. */
const HEARD_MS = 1_000;
/** How long an address where another proposer answers is left alone. Milliseconds. */
const WRONG_MS = 5_000;

export class PeerLinks {
  readonly #ports: LinkPorts;
  readonly #isFixed: boolean;
  readonly #expected: Expected;
  readonly #peers = new Map<number, Peer>();
  readonly #heardAt = new Map<number, number>();
  /** Streams that peers have open here. */
  readonly #inbound = new Map<number, number>();
  /** Which start of a peer speaks here. */
  readonly #starts = new Map<number, string>();
  /** Peers found to refuse connections, and why others refuse what this one says: said once in the log. */
  readonly #refusing = new Set<number>();
  readonly #refusals = new Map<number, string>();

  constructor({ members, isFixed }: Pick<Directory, 'members' | 'isFixed'>, ports: LinkPorts) {
    this.#ports = ports;
    this.#isFixed = isFixed;
    this.#expected = ports.header;
    for (const [id, address] of members) if (id !== ports.header.id) this.#peers.set(id, this.#peer(id, address));
  }

  start(): void {
    for (const peer of this.#peers.values()) start(peer);
  }

  /** A peer is known of, or is at another address; `address` undefined: it is given up. This proposer itself is left out. */
  place(id: number, address: string | undefined): void {
    if (id === this.#ports.header.id) return;
    const before = this.#peers.get(id);
    if (before !== undefined) close(before);
    this.#peers.delete(id);
    if (address === undefined) {
      this.#refusing.delete(id);
      this.#ports.post({ kind: 'peer-forgotten', peer: id });
      return;
    }
    const peer = this.#peer(id, address);
    this.#peers.set(id, peer);
    this.#ports.post({ kind: 'peer-listed', peer: id });
    start(peer);
  }

  /** Whether it takes what is said here, or speaks here itself. */
  answers(id: number): boolean {
    return this.#peers.get(id)?.heartbeats.up === true || (this.#inbound.get(id) ?? 0) > 0;
  }

  send(to: number, message: PeerMessage): void {
    const peer = this.#peers.get(to);
    if (peer === undefined) return;
    switch (message.kind) {
      case 'forward':
        if (!peer.forwarding.send(message)) this.#notForwarded(to, message);
        return;
      case 'forwarded':
      case 'finish':
        peer.forwarding.send(message);
        return;
      default:
        peer.heartbeats.send(message);
    }
  }

  /** Serves either stream of a peer: only the peer speaks on it, but for the welcome. */
  serve(stream: ServerDuplexStream<Buffer, Buffer>, context: StreamContext): void {
    let from: number | undefined;
    let isGone = false;
    const welcome = encodePeerHello(this.#ports.header);
    stream.on('data', (frame: Buffer) => {
      if (isGone) return;
      try {
        const { hello, messages } = decodePeerFrame(frame);
        if (from === undefined) {
          from = this.#greet(hello);
          this.#count(from, 1);
          stream.write(welcome);
        }
        this.#heardAt.set(from, this.#ports.clock.now());
        for (const message of messages) this.#receive(from, message);
      } catch (error) {
        context.fail(error);
      }
    });
    const gone = (): void => {
      if (from !== undefined && !isGone) this.#count(from, -1);
      isGone = true;
    };
    stream.on('end', () => {
      gone();
      stream.end();
    });
    stream.once('close', gone).once('cancelled', gone).once('error', gone);
  }

  links(role: Link['role']): Link[] {
    const now = this.#ports.clock.now();
    return [...this.#peers.values()].map((peer) => {
      const heardAt = this.#heardAt.get(peer.id);
      return {
        role,
        id: peer.id,
        address: peer.address,
        connected: peer.heartbeats.up && peer.forwarding.up,
        heardMsAgo: heardAt === undefined ? undefined : Math.max(0, Math.round(now - heardAt)),
        queuedBytes: peer.heartbeats.queuedBytes + peer.forwarding.queuedBytes,
      };
    });
  }

  close(): void {
    for (const peer of this.#peers.values()) close(peer);
  }

  #greet(hello: ReturnType<typeof decodePeerFrame>['hello']): number {
    if (hello === undefined)
      throw new SynodError('INVALID_ARGUMENT', 'the first frame of a stream between proposers needs a hello');
    const { id, incarnation = '' } = checkHeader(hello, this.#expected, ['proposer']);
    if (id === this.#ports.header.id)
      throw new SynodError(
        'FAILED_PRECONDITION',
        `this is proposer ${String(id)} itself: two processes have the same --id, or --proposers names an address twice`,
      );
    if (!this.#peers.has(id))
      throw this.#isFixed
        ? new SynodError('FAILED_PRECONDITION', `proposer ${String(id)} is not among --proposers here`)
        : // It may have heard of this one first.
          new SynodError('UNAVAILABLE', `DNS has not named proposer ${String(id)} here yet (--proposers)`);
    const other = this.#starts.get(id);
    if (other !== undefined && other !== incarnation && this.#isHeard(id))
      throw new SynodError(
        'FAILED_PRECONDITION',
        `proposer ${String(id)} runs already, as start ${other.slice(0, 8)}, and this is start ${incarnation.slice(0, 8)}: ` +
          'two processes have the same --id',
      );
    this.#starts.set(id, incarnation);
    return id;
  }

  /** It speaks here now. One that was cut off is not waited for: its next start may be elsewhere. */
  #isHeard(id: number): boolean {
    const silentMs = this.#ports.clock.now() - (this.#heardAt.get(id) ?? -Infinity);
    return (this.#inbound.get(id) ?? 0) > 0 && silentMs < HEARD_MS;
  }

  #receive(from: number, message: PeerMessage): void {
    if (message.kind === 'heartbeat' && message.proposer !== from)
      throw new SynodError(
        'INVALID_ARGUMENT',
        `proposer ${String(from)} sent a heartbeat of proposer ${String(message.proposer)}`,
      );
    this.#ports.post({ kind: 'peer', from, message });
  }

  /** It never left: the proposal goes back at once, instead of waiting for an answer that cannot come. */
  #notForwarded(to: number, { id, incarnation, log }: Forward): void {
    const answer = {
      kind: 'refused',
      code: 'UNAVAILABLE',
      message: `proposer ${String(to)}, which leads log "${log}", cannot be reached`,
      outcome: 'none',
      leader: undefined,
    } as const;
    this.#ports.post({
      kind: 'peer',
      from: to,
      message: { kind: 'forwarded', id, incarnation, answer },
      isMadeHere: true,
    });
  }

  #peer(id: number, address: string): Peer {
    const open = (method: 'heartbeats' | 'forwarding'): { connection: Connection; stream: PeerStream } => {
      const { header, queueBytesMax, clock, faults } = this.#ports;
      const fromStatus = (status: Parameters<typeof errorOf>[0]): SynodError => errorOf(status).error;
      const connection = connect(address, { fromStatus, ownConnection: true, ...faults.towards('proposer', id) });
      const hello = encodePeerHello(header);
      const stream: PeerStream = new PersistentStream<PeerMessage, Buffer, Buffer>({
        connection,
        method: raw(PeerServiceService[method]),
        hello: () => hello,
        frame: encodePeerMessages,
        bytesOf,
        queueBytesMax,
        clock,
        retryMsMax: 500,
        onUp: () => {
          this.#refusing.delete(id);
          this.#refusals.delete(id);
        },
        onDown: (reason, refused) => {
          this.#onDown(id, reason, refused);
        },
        onMessage: (frame) => {
          this.#onWelcome(id, address, stream, frame);
        },
      });
      return { connection, stream };
    };
    const heartbeats = open('heartbeats');
    const forwarding = open('forwarding');
    return {
      id,
      address,
      connections: [heartbeats.connection, forwarding.connection],
      heartbeats: heartbeats.stream,
      forwarding: forwarding.stream,
    };
  }

  /** All that comes back is who answers. */
  #onWelcome(id: number, address: string, stream: PeerStream, frame: Buffer): void {
    const { log } = this.#ports;
    try {
      const { hello } = decodePeerFrame(frame);
      if (hello === undefined || (hello.role === 'proposer' && hello.id === id)) return;
      log.error({ proposer: id, address }, `at ${address} answers ${hello.role} ${String(hello.id)} (--proposers)`);
      stream.startElsewhere(WRONG_MS);
    } catch (error) {
      log.error({ proposer: id, error: messageOf(error) }, 'the welcome of a proposer cannot be read');
    }
  }

  #count(peer: number, by: number): void {
    this.#inbound.set(peer, (this.#inbound.get(peer) ?? 0) + by);
  }

  #onDown(peer: number, reason: SynodError, refusedNow: boolean): void {
    // A peer that has a stream open here is running: the refusal is an old one, which a connection repeats until it tries again.
    const refused = refusedNow && (this.#inbound.get(peer) ?? 0) === 0;
    this.#ports.post({ kind: 'peer-down', peer, refused });
    if (reason.code === 'FAILED_PRECONDITION' && this.#refusals.get(peer) !== reason.message) {
      this.#refusals.set(peer, reason.message);
      this.#ports.log.error({ proposer: peer, error: reason.message }, 'another proposer refuses this one');
    }
    if (!refused || this.#refusing.has(peer)) return;
    this.#refusing.add(peer);
    this.#ports.log.warn(
      { proposer: peer, error: messageOf(reason) },
      'a proposer refuses connections: it is not running',
    );
  }
}

function start({ heartbeats, forwarding }: Peer): void {
  heartbeats.start();
  forwarding.start();
}

function close({ heartbeats, forwarding, connections }: Peer): void {
  heartbeats.close();
  forwarding.close();
  for (const connection of connections) connection.close();
}

function bytesOf(message: PeerMessage): number {
  switch (message.kind) {
    case 'forward':
      return 80 + message.log.length + message.entry.length;
    case 'led-change':
      return 80 + 120 * (message.added.length + message.removed.length);
    default:
      return 120;
  }
}
