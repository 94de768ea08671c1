/**
 * The streams to all acceptors: votes in; fetches, questions and what is held out. One acceptor is asked for values with its
 * votes, the others for votes alone; which one follows from the learner's number, so that learners spread over them.
 */
import { messageOf } from '../../shared/base/errors.ts';
import { remember, sameStart } from '../../shared/paxos/introduction.ts';
import type { Remembered } from '../../shared/paxos/introduction.ts';
import type { Tip, ToLearner } from '../../shared/paxos/messages.ts';
import { bitCount } from '../../shared/paxos/quorum.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import type { Clock, Random } from '../../shared/ports/clock.ts';
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import type { Log } from '../../shared/ports/telemetry.ts';
import type { Connection } from '../../shared/platform/grpc/connection.ts';
import { raw } from '../../shared/wire/raw.ts';
import { PersistentStream } from '../../shared/platform/grpc/persistent-stream.ts';
import { decodeFollowResponse, encodeFollowHello, encodeFromLearner } from '../../shared/wire/codec/learner.ts';
import type { FromLearner } from '../../shared/wire/codec/learner.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import type { Welcome } from '../../shared/wire/codec/introduction.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';

export interface AcceptorsOptions {
  /** In the order of the configuration: by id. */
  readonly members: readonly { readonly id: number; readonly connection: Connection }[];
  readonly header: Header;
  readonly store: LearnerStore;
  /** The position of the acceptor that is asked for values first. */
  readonly source: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onMessage: (acceptor: number, message: ToLearner) => void;
  readonly onTip: (acceptor: number, tip: Tip) => void;
  readonly onUp: (acceptor: number) => void;
  readonly onDown: (acceptor: number) => void;
  readonly onFatal: (error: unknown) => void;
}

export interface AcceptorLink {
  readonly position: number;
  readonly id: number;
  readonly connection: Connection;
  readonly stream: PersistentStream<FromLearner, Buffer, Buffer>;
  /** `speaking`: it said who it is, and what it said agrees with what is remembered of it (R5). */
  state: 'down' | 'speaking' | 'contradicted';
  /** This start of it. Known while it is speaking. */
  start: Remembered | undefined;
  /** Why it is down, for people. */
  reason: string;
  heardAt: number;
  /** Until then another is asked for values, because this one fell behind the rest. */
  slowUntil: number;
}

/** An acceptor that says nothing for this long, while another does and slots are missing, is slow. Milliseconds. */
const SLOW_MS = 2_000;
const SLOW_FOR_MS = 10_000;
/** How long an address where another acceptor answers is left alone. Milliseconds. */
const WRONG_MS = 5_000;
const QUEUE_BYTES = 32 * 1024 * 1024;

export class Acceptors {
  readonly #options: AcceptorsOptions;
  readonly links: readonly AcceptorLink[];
  #source: number;

  constructor(options: AcceptorsOptions) {
    this.#options = options;
    this.#source = options.source;
    this.links = options.members.map(({ id, connection }, position) => ({
      position,
      id,
      connection,
      stream: this.#streamTo(position, id, connection),
      state: 'down',
      start: undefined,
      reason: 'not connected yet',
      heardAt: -Infinity,
      slowUntil: -Infinity,
    }));
  }

  start(): void {
    for (const link of this.links) link.stream.start();
  }

  close(): void {
    for (const link of this.links) link.stream.close();
  }

  /** The position of the acceptor that sends values. */
  get source(): number {
    return this.#source;
  }

  /** Connected acceptors, as a set of positions. */
  get connected(): number {
    return this.links.reduce((set, link) => (link.state === 'speaking' ? set | (1 << link.position) : set), 0);
  }

  /**
   * Whether enough are heard for values to be learned: a phase-2 quorum. A linearizable read needs a phase-1 quorum, and says so
   * itself. Else what is missing, for a person.
   */
  hears(quorum: QuorumSystem): true | string {
    if (quorum.isPhase2(this.connected)) return true;
    const down = this.links.filter((link) => link.state !== 'speaking');
    const why = down.map((link) => `acceptor ${String(link.id)}: ${link.reason}`).join('; ');
    return `${String(bitCount(this.connected))} of ${String(quorum.size)} are heard and a quorum is needed (${quorum.name}); ${why}`;
  }

  /** False, and nothing is sent, while that acceptor is not connected. */
  send(acceptor: number, message: FromLearner): boolean {
    const link = this.links[acceptor];
    return link?.state === 'speaking' && link.stream.send(message);
  }

  /** Call about every second. `isBehind`: slots are missing. */
  tick(isBehind: boolean): void {
    const now = this.#options.clock.now();
    const source = this.links[this.#source];
    const newest = Math.max(...this.links.map((link) => link.heardAt));
    if (isBehind && source !== undefined && newest - source.heardAt > SLOW_MS) source.slowUntil = now + SLOW_FOR_MS;
    this.#chooseSource();
  }

  #streamTo(position: number, id: number, connection: Connection): PersistentStream<FromLearner, Buffer, Buffer> {
    const { header, store, clock, random, log } = this.#options;
    return new PersistentStream<FromLearner, Buffer, Buffer>({
      connection,
      method: raw(AcceptorServiceService.follow),
      clock,
      random,
      hello: () =>
        encodeFollowHello({
          header,
          learnerDisk: store.identity.disk,
          values: position === this.#source,
          remembered: store.remembered(id),
        }),
      frame: encodeFromLearner,
      bytesOf: (message) => 32 + ('log' in message ? message.log.length : 0),
      queueBytesMax: QUEUE_BYTES,
      // A stream is of use once the acceptor said who it is.
      onUp: () => undefined,
      onDown: (reason) => {
        const link = this.links[position];
        if (link === undefined) return;
        if (link.state !== 'down')
          log.warn({ acceptor: id, reason: reason.message }, 'an acceptor is not heard any more');
        link.state = 'down';
        link.start = undefined;
        link.reason = reason.message;
        this.#options.onDown(position);
        this.#chooseSource();
      },
      onMessage: (frame) => {
        const link = this.links[position];
        if (link !== undefined) this.#onFrame(link, frame);
      },
    });
  }

  #onFrame(link: AcceptorLink, bytes: Buffer): void {
    const { clock, log, onFatal } = this.#options;
    let frame: ReturnType<typeof decodeFollowResponse>;
    try {
      frame = decodeFollowResponse(bytes);
    } catch (error) {
      // What cannot be read counts for nothing; the slots it named are fetched again.
      log.error(
        { acceptor: link.id, error: messageOf(error) },
        'a message of an acceptor cannot be read and is ignored',
      );
      return;
    }
    link.heardAt = clock.now();
    try {
      if (frame.welcome !== undefined) this.#onWelcome(link, frame.welcome);
      if (link.state !== 'speaking' || link.start === undefined) return;
      if (frame.position > link.start.position) this.#remember(link, { ...link.start, position: frame.position });
    } catch (error) {
      onFatal(error);
      return;
    }
    for (const message of frame.messages)
      if (message.kind === 'tip') this.#options.onTip(link.position, message);
      else this.#options.onMessage(link.position, message);
  }

  #onWelcome(link: AcceptorLink, welcome: Welcome): void {
    const { store, log } = this.#options;
    const told: Remembered = { start: welcome.start, draw: welcome.draw, position: welcome.position };
    const before = store.remembered(link.id);
    const kept = remember(before, told);
    if (welcome.acceptor !== link.id || !sameStart(kept, told)) {
      // R5: an earlier start, or a disk that knows less than it once sent here. What it says counts for nothing.
      link.state = 'contradicted';
      link.reason =
        welcome.acceptor !== link.id
          ? `acceptor ${String(welcome.acceptor)} answers at the address of acceptor ${String(link.id)}`
          : `it is start ${String(told.start)} at journal position ${String(told.position)}, and start ${String(kept.start)} with position ${String(kept.position)} is remembered here: its disk is older than it once was`;
      log.error({ acceptor: link.id, address: link.connection.address, reason: link.reason }, 'an acceptor is ignored');
      if (welcome.acceptor !== link.id) link.stream.startElsewhere(WRONG_MS);
      return;
    }
    link.state = 'speaking';
    link.start = kept;
    link.reason = '';
    log.info({ acceptor: link.id, start: told.start }, 'an acceptor is heard');
    if (kept !== before) {
      store.remember(link.id, kept);
      // Durable at once, not only with the next transaction: a log may be idle for long (R5).
      store.flushed().catch(this.#options.onFatal);
    }
    this.#chooseSource();
    this.#options.onUp(link.position);
  }

  #remember(link: AcceptorLink, told: Remembered): void {
    link.start = told;
    this.#options.store.remember(link.id, told);
  }

  /** The first acceptor from the preferred one on that is heard and not slow; where none is, the present one stays. */
  #chooseSource(): void {
    const now = this.#options.clock.now();
    const { length } = this.links;
    for (const patient of [false, true])
      for (let i = 0; i < length; i++) {
        const position = (this.#options.source + i) % length;
        const link = this.links[position];
        if (link?.state !== 'speaking' || (!patient && link.slowUntil > now)) continue;
        this.#wish(position);
        return;
      }
  }

  #wish(position: number): void {
    const before = this.#source;
    if (position === before) return;
    this.#source = position;
    this.send(position, { kind: 'wish', values: true });
    this.send(before, { kind: 'wish', values: false });
  }
}
