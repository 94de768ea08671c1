/**
 * Streams of learners: every vote as it becomes durable, and answers to what they ask.
 *
 * Votes of one burst are encoded once with values and once without, and every learner gets the same buffer. A learner that
 * is too slow loses live votes, never answers in part: which logs it lost something of is remembered, and it is sent their
 * heads once its queue is empty, so that it fetches the rest from the journal (R14).
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { assertNever } from '../../shared/base/assert.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { sameBallot } from '../../shared/paxos/ballot.ts';
import type { Remembered } from '../../shared/paxos/introduction.ts';
import type { Tip, ToLearner, Votes } from '../../shared/paxos/messages.ts';
import type { StreamContext } from '../../shared/platform/grpc/context.ts';
import { StreamWriter } from '../../shared/platform/grpc/stream-writer.ts';
import { checkHeader } from '../../shared/wire/codec/header.ts';
import { decodeFollowRequest, encodeFollowWelcome, encodeToLearner } from '../../shared/wire/codec/learner.ts';
import type { FollowHello, FromLearner } from '../../shared/wire/codec/learner.ts';
import type { StreamPorts } from './sessions.ts';

export interface FollowerPorts extends StreamPorts {
  /** What a learner's disk remembers of this acceptor (R5). */
  readonly onRemembered: (learner: string, remembered: Remembered) => void;
  /** Messages that did not fit. */
  readonly onDropped: (count: number) => void;
  readonly onFetchRefused: () => void;
}

interface Greeted {
  readonly learner: number;
  readonly disk: string;
}

interface Follower {
  readonly token: string;
  readonly stream: ServerDuplexStream<Buffer, Buffer>;
  readonly context: StreamContext;
  /** Takes frames as they go out; several are one. */
  readonly writer: StreamWriter<Buffer, Buffer>;
  greeted: Greeted | undefined;
  values: boolean;
  /** Logs of which something did not fit into the queue. */
  readonly dirty: Set<string>;
  /** The votes of an answer to Fetch, until the end of it comes. */
  answer: Votes[];
  fetches: number;
  closed: boolean;
}

export interface FollowerStatus extends Greeted {
  readonly peer: string;
  readonly queuedBytes: number;
}

/** Tokens of followers begin with this; those of heads that a follower is owed with the other. */
export const FOLLOW = 'f';
export const HEAD = 'h';
/** Fetches of one learner that are being answered. More are not answered; a learner asks again for what does not come. */
const FETCHES_MAX = 64;
/** Heads that are asked for together once a slow learner's queue is empty. */
const HEADS_A_PAGE = 1_000;
/** Bytes of votes in one frame; a single batch of any size fits. */
const FRAME_BYTES = 1024 * 1024;
/** Live votes go to learners at most this often, unless a frame is full. Milliseconds. */
const GATHER_MS = 5;

export class Followers {
  readonly #ports: FollowerPorts;
  readonly #byToken = new Map<string, Follower>();
  #next = 0;
  /** Votes that were let go for one sync, and the journal position that they depend on. */
  #votes: Votes[] = [];
  #votesBytes = 0;
  #position = -1;
  #flushedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(ports: FollowerPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#byToken.size;
  }

  get behind(): number {
    let behind = 0;
    for (const { dirty } of this.#byToken.values()) if (dirty.size > 0) behind++;
    return behind;
  }

  /** The learner whose stream a token names. */
  learnerOf(token: string): number | undefined {
    return this.#byToken.get(token.slice(1))?.greeted?.learner;
  }

  *status(): IterableIterator<FollowerStatus> {
    for (const { greeted, context, writer } of this.#byToken.values())
      if (greeted !== undefined) yield { ...greeted, peer: context.peer, queuedBytes: writer.queuedBytes };
  }

  /** Serves one stream. The gate is asked once the hello came: what a learner remembers counts before this acceptor speaks. */
  open(stream: ServerDuplexStream<Buffer, Buffer>, context: StreamContext): void {
    const writer = new StreamWriter<Buffer, Buffer>(stream, {
      frame: (frames) => (frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames)),
      bytesOf: (frame) => frame.length,
      queueBytesMax: this.#ports.queueBytesMax,
      // Each write that fails is dealt with where it is made.
      onOverflow: () => {
        this.#ports.log.warn({ learner: follower.greeted?.learner }, 'a learner is too slow for live votes');
      },
      onDrained: () => {
        this.#askHeads(follower);
      },
    });
    const follower: Follower = {
      ...{ token: String(this.#next++), stream, context, writer, greeted: undefined, values: false },
      ...{ dirty: new Set<string>(), answer: [], fetches: 0, closed: false },
    };
    stream.on('data', (bytes: Buffer) => {
      if (follower.closed) return;
      try {
        this.#onFrame(follower, bytes);
      } catch (error) {
        this.#close(follower);
        writer.close();
        context.fail(error);
      }
    });
    const gone = (): void => {
      this.#close(follower);
    };
    stream.on('end', () => {
      writer.end();
      gone();
    });
    stream.once('close', gone).once('cancelled', gone).once('error', gone);
  }

  /** Live votes, which leave with the next `flush`. */
  publish(votes: Votes, position: number): void {
    if (this.#byToken.size === 0) return;
    this.#votes.push(votes);
    this.#votesBytes += votes.batch?.bytes.length ?? 0;
    this.#position = position;
    if (this.#votesBytes >= FRAME_BYTES) this.flush();
  }

  /**
   * Lets the gathered votes go now if none went for a moment, else when that moment is over. Nobody who proposes waits for
   * learners, and a message for every vote to every learner costs more than all else that a lone proposal costs.
   */
  flushSoon(): void {
    if (this.#votes.length === 0 || this.#timer !== undefined) return;
    const early = this.#flushedAt + GATHER_MS - performance.now();
    if (early <= 0) return this.flush();
    this.#timer = setTimeout(() => {
      this.flush();
    }, early);
  }

  /** Lets the gathered votes go. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#votes.length === 0) return;
    this.#flushedAt = performance.now();
    const votes = this.#votes;
    this.#votes = [];
    this.#votesBytes = 0;
    let full: Buffer | undefined;
    let bare: Buffer | undefined;
    for (const follower of this.#byToken.values()) {
      if (follower.greeted === undefined) continue;
      const frame = follower.values
        ? (full ??= encodeToLearner(votes, this.#position))
        : (bare ??= encodeToLearner(withoutValues(votes), this.#position));
      if (follower.writer.write(frame)) continue;
      for (const { log } of votes) follower.dirty.add(log);
      this.#ports.onDropped(votes.length);
    }
  }

  /** An answer for one learner; `to` is the token that its question came with. */
  reply(to: string, message: ToLearner | Tip, position: number): void {
    const follower = this.#byToken.get(to.slice(1));
    if (follower === undefined) return;
    // What was published before stays before.
    this.flush();
    switch (message.kind) {
      case 'votes':
        follower.answer.push(message);
        return;
      case 'fetched':
        return to.startsWith(HEAD)
          ? this.#write(follower, message.log, { ...message, kind: 'head' }, position)
          : this.#endFetch(follower, message, position);
      case 'head':
        return this.#write(follower, message.log, message, position);
      case 'tip':
        // One that does not fit is asked for again.
        follower.writer.write(encodeToLearner([message], position));
        return;
      default:
        assertNever(message);
    }
  }

  /** All of an answer goes, or none: `fetched` says that every vote came before it. */
  #endFetch(follower: Follower, fetched: ToLearner & { kind: 'fetched' }, position: number): void {
    const votes = follower.answer;
    follower.answer = [];
    follower.fetches--;
    if (follower.writer.write(encodeToLearner([...votes, fetched], position))) return;
    follower.dirty.add(fetched.log);
    this.#ports.onDropped(votes.length + 1);
  }

  #write(follower: Follower, log: string, head: ToLearner & { kind: 'head' }, position: number): void {
    if (follower.writer.write(encodeToLearner([head], position))) return;
    follower.dirty.add(log);
    this.#ports.onDropped(1);
  }

  #onFrame(follower: Follower, bytes: Buffer): void {
    const { hello, messages } = decodeFollowRequest(bytes);
    const greeted = follower.greeted ?? this.#greet(follower, hello);
    for (const message of messages) this.#onMessage(follower, greeted, message);
  }

  #greet(follower: Follower, hello: FollowHello | undefined): Greeted {
    if (hello === undefined) throw new SynodError('INVALID_ARGUMENT', 'the first frame of a follower needs a hello');
    const { header, learnerDisk, values, remembered } = hello;
    const { id } = checkHeader(header, this.#ports.expected, ['learner']);
    if (remembered !== undefined) this.#ports.onRemembered(String(id), remembered);
    this.#ports.admit();
    const greeted = { learner: id, disk: learnerDisk };
    follower.greeted = greeted;
    follower.values = values;
    follower.stream.write(encodeFollowWelcome(this.#ports.welcome()));
    this.#byToken.set(follower.token, follower);
    this.#ports.post({ kind: 'learner-joined', from: FOLLOW + follower.token });
    this.#ports.log.info(
      { learner: id, disk: learnerDisk, values, peer: follower.context.peer },
      'a learner connected',
    );
    return greeted;
  }

  #onMessage(follower: Follower, { disk }: Greeted, message: FromLearner): void {
    const from = FOLLOW + follower.token;
    switch (message.kind) {
      case 'wish':
        follower.values = message.values;
        return;
      case 'tip?':
        return this.#ports.post({ kind: 'question', from, message });
      case 'fetch':
        if (follower.fetches >= FETCHES_MAX) return this.#ports.onFetchRefused();
        follower.fetches++;
        return this.#ports.post({ kind: 'learner', from, disk, message });
      case 'held':
        return this.#ports.post({ kind: 'learner', from, disk, message });
      default:
        return assertNever(message);
    }
  }

  /** A fetch of no slots tells how far a log is; it goes through the machine like all that is told (R3). */
  #askHeads(follower: Follower): void {
    const { dirty, greeted, token } = follower;
    if (dirty.size === 0 || greeted === undefined || follower.closed) return;
    let left = HEADS_A_PAGE;
    for (const log of dirty) {
      if (left-- === 0) break;
      dirty.delete(log);
      const message = { kind: 'fetch', log, from: 0, to: 0, values: false } as const;
      this.#ports.post({ kind: 'learner', from: HEAD + token, disk: greeted.disk, message });
    }
  }

  #close(follower: Follower): void {
    if (follower.closed) return;
    follower.closed = true;
    this.#byToken.delete(follower.token);
    if (follower.greeted !== undefined)
      this.#ports.log.info({ learner: follower.greeted.learner }, 'a learner is gone');
  }
}

/** Votes at classic ballots without what was voted for, neighbours as one range. Fast ballots need their values (R9). */
export function withoutValues(votes: readonly Votes[]): Votes[] {
  const out: Votes[] = [];
  for (const vote of votes) {
    const last = out[out.length - 1];
    if (last?.log === vote.log && last.first + last.count === vote.first && sameBallot(last.ballot, vote.ballot))
      out[out.length - 1] = { ...vote, first: last.first, count: last.count + vote.count, batch: undefined };
    else out.push({ ...vote, batch: undefined });
  }
  return out;
}
