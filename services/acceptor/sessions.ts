/**
 * Sessions of proposers: the hot path. Frames are read into messages for the machine; what the machine answers between two
 * syncs leaves as one frame, with neighbouring votes as one range.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { SynodError } from '../../shared/base/errors.ts';
import type { AcceptorEvent } from '../../shared/paxos/acceptor.ts';
import { BALLOT_ZERO, formatBallot, isFast, ownedBy, sameBallot } from '../../shared/paxos/ballot.ts';
import type { Owner } from '../../shared/paxos/ballot.ts';
import type { Accept, Accepted, FromAcceptor, Rejected, ToAcceptor } from '../../shared/paxos/messages.ts';
import type { StreamContext } from '../../shared/platform/grpc/context.ts';
import { StreamWriter } from '../../shared/platform/grpc/stream-writer.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import { decodeSessionRequest, encodeFromAcceptor, encodeSessionWelcome } from '../../shared/wire/codec/acceptor.ts';
import { checkHeader } from '../../shared/wire/codec/header.ts';
import type { Expected, Header } from '../../shared/wire/codec/header.ts';
import type { Welcome } from '../../shared/wire/codec/introduction.ts';

/** What streams of both kinds need of the acceptor. */
export interface StreamPorts {
  readonly expected: Expected;
  /** Throws while this acceptor must be silent (R5). */
  readonly admit: () => void;
  readonly welcome: () => Welcome;
  readonly post: (event: AcceptorEvent) => void;
  readonly queueBytesMax: number;
  readonly log: Log;
}

export interface SessionPorts extends StreamPorts {
  /** True while too many bytes wait for the journal (R14). */
  readonly isBusy: () => boolean;
  readonly onBusy: () => void;
}

interface Session {
  readonly token: string;
  readonly context: StreamContext;
  readonly writer: StreamWriter<FromAcceptor, Buffer>;
  readonly stream: ServerDuplexStream<Buffer, Buffer>;
  /** Known once the hello came. */
  owner: Owner | undefined;
  closed: boolean;
}

export interface SessionStatus {
  readonly proposer: number;
  readonly peer: string;
  readonly queuedBytes: number;
}

/** Tokens of sessions begin with this. */
export const SESSION = 's';

export class Sessions {
  readonly #ports: SessionPorts;
  readonly #byToken = new Map<string, Session>();
  readonly #byProposer = new Map<number, Session>();
  #next = 0;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#byProposer.size;
  }

  *status(): IterableIterator<SessionStatus> {
    for (const [proposer, session] of this.#byProposer)
      yield { proposer, peer: session.context.peer, queuedBytes: session.writer.queuedBytes };
  }

  /** True while this start of a proposer has a session. */
  has(owner: Owner): boolean {
    return this.#byProposer.get(owner.proposer)?.owner?.incarnation === owner.incarnation;
  }

  /** Serves one stream. */
  open(stream: ServerDuplexStream<Buffer, Buffer>, context: StreamContext): void {
    this.#ports.admit();
    const writer = new StreamWriter<FromAcceptor, Buffer>(stream, {
      frame: (messages) => encodeFromAcceptor(joinAccepted(messages)),
      bytesOf,
      queueBytesMax: this.#ports.queueBytesMax,
      onOverflow: (queued) => {
        // Answers may be lost, because whoever asked asks again; but a proposer this far behind had better begin anew.
        this.#fail(session, tooSlow(queued));
      },
    });
    const session: Session = {
      token: `${SESSION}${String(this.#next++)}`,
      context,
      writer,
      stream,
      owner: undefined,
      closed: false,
    };
    this.#byToken.set(session.token, session);
    stream.on('data', (bytes: Buffer) => {
      if (session.closed) return;
      try {
        this.#onFrame(session, bytes);
      } catch (error) {
        this.#fail(session, error);
      }
    });
    const gone = (): void => {
      this.#close(session);
    };
    stream.on('end', () => {
      writer.end();
      gone();
    });
    stream.once('close', gone).once('cancelled', gone).once('error', gone);
  }

  reply(token: string, message: FromAcceptor): void {
    // An answer to a session that has ended is lost like any message.
    this.#byToken.get(token)?.writer.write(message);
  }

  #onFrame(session: Session, bytes: Buffer): void {
    const { hello, messages } = decodeSessionRequest(bytes);
    const owner = session.owner ?? this.#greet(session, hello);
    for (const message of messages) checkOwner(message, owner);
    for (const message of messages) {
      if (message.kind === 'accept' && this.#ports.isBusy()) {
        this.#ports.onBusy();
        session.writer.write(busy(message));
      } else this.#ports.post({ kind: 'proposer', from: session.token, owner, message });
    }
  }

  #greet(session: Session, hello: Header | undefined): Owner {
    const { log } = this.#ports;
    if (hello === undefined) throw new SynodError('INVALID_ARGUMENT', 'the first frame of a session needs a hello');
    const owner = ownerOf(hello, this.#ports.expected);
    const before = this.#byProposer.get(owner.proposer);
    session.owner = owner;
    this.#byProposer.set(owner.proposer, session);
    if (before !== undefined) {
      const same = before.owner?.incarnation === owner.incarnation;
      // A proposer whose start is over leads nothing any more: its grace ends here.
      if (!same && before.owner !== undefined) this.#ports.post({ kind: 'proposer-gone', owner: before.owner });
      const what = same ? 'it opened another session' : `a later start of it, ${owner.incarnation}, connected`;
      this.#fail(before, new SynodError('ABORTED', `proposer ${String(owner.proposer)}: ${what}`, 'unknown'));
    }
    session.stream.write(encodeSessionWelcome(this.#ports.welcome()));
    log.info(
      { proposer: owner.proposer, incarnation: owner.incarnation, peer: session.context.peer },
      'a proposer connected',
    );
    return owner;
  }

  #fail(session: Session, error: unknown): void {
    if (session.closed) return;
    this.#close(session);
    session.writer.close();
    session.context.fail(error);
  }

  #close(session: Session): void {
    if (session.closed) return;
    session.closed = true;
    this.#byToken.delete(session.token);
    const { owner } = session;
    // A session that was replaced says nothing about its proposer, who is there.
    if (owner === undefined || this.#byProposer.get(owner.proposer) !== session) return;
    this.#byProposer.delete(owner.proposer);
    this.#ports.log.info({ proposer: owner.proposer, incarnation: owner.incarnation }, 'a proposer is gone');
    this.#ports.post({ kind: 'proposer-gone', owner });
  }
}

/** The start of a proposer that a header names. Refuses everybody else, and other clusters and configurations (R7). */
export function ownerOf(header: Header, expected: Expected): Owner {
  const { id, incarnation } = checkHeader(header, expected, ['proposer']);
  if (incarnation === undefined) throw new SynodError('INVALID_ARGUMENT', 'header.incarnation is missing');
  return { proposer: id, incarnation };
}

/** R2: only its owner uses a classic ballot. At a fast one any proposer may propose a value. */
export function checkOwner(message: ToAcceptor, owner: Owner): void {
  if (message.kind === 'tell' || message.kind === 'alive') return;
  const { ballot } = message;
  if (message.kind === 'accept' && isFast(ballot)) return;
  if (ownedBy(ballot, owner)) return;
  throw new SynodError(
    'INVALID_ARGUMENT',
    `${message.kind}.ballot ${formatBallot(ballot)} does not belong to proposer ${String(owner.proposer)} in its start ${owner.incarnation}`,
  );
}

/** Too much waits for the journal. Nothing was looked at, so nothing is said of the log. */
export function busy(accept: Accept): Rejected {
  const { log, ballot, first } = accept;
  const unknown = {
    promised: BALLOT_ZERO,
    state: 'open',
    leader: undefined,
    highest: -1,
    watermark: 0,
    floor: 0,
  } as const;
  return { kind: 'rejected', log, ballot, first, reason: 'busy', ...unknown };
}

export function tooSlow(queuedBytes: number): SynodError {
  return new SynodError(
    'RESOURCE_EXHAUSTED',
    `${String(queuedBytes)} bytes wait for this stream and more do not fit (stream.queue.bytes); connect again and read faster`,
    'unknown',
  );
}

/** R14: acknowledgements are cumulative ranges. */
export function joinAccepted(messages: readonly FromAcceptor[]): readonly FromAcceptor[] {
  if (messages.length < 2) return messages;
  const out: FromAcceptor[] = [];
  let last: Accepted | undefined;
  for (const message of messages) {
    if (message.kind === 'accepted' && last?.log === message.log && last.first + last.count === message.first) {
      // At fast ballots each says which value it is for.
      if (sameBallot(last.ballot, message.ballot) && !isFast(message.ballot)) {
        last = { ...last, count: last.count + message.count };
        out[out.length - 1] = last;
        continue;
      }
    }
    last = message.kind === 'accepted' ? message : undefined;
    out.push(message);
  }
  return out;
}

function bytesOf(message: FromAcceptor): number {
  if (message.kind === 'rejected') return 128 + (message.voted?.length ?? 0);
  if (message.kind !== 'promised') return 128;
  let bytes = 128;
  for (const vote of message.votes) bytes += 64 + vote.batch.bytes.length;
  return bytes;
}
