/**
 * The logs that a proposer takes FAST proposals for, and those that it opened for fast voting. Also the switch between both ways
 * (DESIGN 6): a log where fast votes collide goes to a leader, and the leader opens it again after a wait that doubles.
 */
import type { Ballot } from './ballot.ts';
import { FastLog } from './fast-log.ts';
import type { FromAcceptor } from './messages.ts';
import { Opener } from './opener.ts';
import type { Answer } from './peers.ts';
import type { Admission, Context, Proposal } from './proposing.ts';

export interface FastLogsPorts {
  readonly answer: (proposal: Proposal, answer: Answer) => void;
  /** Gives proposals to the leader of their log, or has one elected; to its opener where one is named. */
  readonly toLeader: (log: string, proposals: readonly Proposal[], opener: number | undefined) => void;
}

/** A log without FAST proposals for this long is not opened for them, and not kept. Milliseconds. */
const IDLE_MS = 10_000;

/** Why and when a log may be opened for fast voting. */
interface Wish {
  /** The last FAST proposal that went to a leader here. */
  askedAt: number;
  waitMs: number;
  notBefore: number;
}

export class FastLogs {
  readonly #ctx: Context;
  readonly #ports: FastLogsPorts;
  readonly #logs = new Map<string, FastLog>();
  readonly #openers = new Map<string, Opener>();
  readonly #wishes = new Map<string, Wish>();

  constructor(ctx: Context, ports: FastLogsPorts) {
    this.#ctx = ctx;
    this.#ports = ports;
  }

  propose(proposal: Proposal): void {
    this.#log(proposal.log).propose(proposal);
  }

  #log(name: string): FastLog {
    const known = this.#logs.get(name);
    if (known !== undefined) return known;
    const log = new FastLog(this.#ctx, name, {
      answer: this.#ports.answer,
      toLeader: (proposals, why, opener) => {
        this.wish(name);
        if (why === 'collided') this.#postpone(name);
        // What is known of the log is not true any more.
        this.#logs.delete(name);
        this.#ports.toLeader(name, proposals, opener);
      },
      isOpening: () => this.#openers.get(name)?.isPreparing === true,
      onSent: (slot, identity, value) => {
        this.#openers.get(name)?.sends(slot, identity, value);
      },
    });
    this.#logs.set(name, log);
    return log;
  }

  /** A FAST proposal goes to a leader: one day the log should be open for such. */
  wish(log: string): void {
    const { now, options } = this.#ctx;
    const wish = this.#wishes.get(log);
    const waitMs = options.fastWaitMsMin;
    if (wish === undefined) this.#wishes.set(log, { askedAt: now, waitMs, notBefore: now + waitMs });
    else wish.askedAt = now;
  }

  #postpone(log: string): void {
    const wish = this.#wishes.get(log);
    if (wish === undefined) return;
    wish.waitMs = Math.min(this.#ctx.options.fastWaitMsMax, 2 * wish.waitMs);
    wish.notBefore = this.#ctx.now + wish.waitMs;
  }

  /** The logs that should be opened for fast voting by who leads them. */
  due(): string[] {
    const { now, quorum, down } = this.#ctx;
    if (this.#wishes.size === 0 || !quorum.isFast(((1 << quorum.size) - 1) & ~down)) return [];
    return [...this.#wishes].flatMap(([log, wish]) => (now >= wish.notBefore ? [log] : []));
  }

  /** Opens the log at a fast ballot above this one. It is led by nobody now. */
  open(log: string, above: Ballot): void {
    this.#openers.set(log, new Opener(this.#ctx, log, above));
    this.#postpone(log);
  }

  /** Whether this proposer opened the log, or is about to. */
  isOpener(log: string): boolean {
    return this.#openers.has(log);
  }

  onAcceptor(from: number, message: FromAcceptor): void {
    const opener = this.#openers.get(message.log);
    const log = this.#logs.get(message.log);
    const wasPreparing = opener?.isPreparing === true;
    if (message.kind === 'promised') opener?.onPromised(from, message);
    else if (message.kind === 'opened') opener?.onOpened(from, message);
    else if (message.kind === 'accepted') {
      opener?.onAccepted(from, message);
      log?.onAccepted(from, message);
    } else if (message.kind === 'rejected') {
      opener?.onRejected(from, message);
      log?.onRejected(from, message);
    }
    if (opener !== undefined) this.#review(opener, wasPreparing);
  }

  /** What waited for an opener goes on when it is done, one way or the other. */
  #review(opener: Opener, wasPreparing: boolean): void {
    if (opener.isClosed) this.#openers.delete(opener.log);
    const log = this.#logs.get(opener.log);
    if (!wasPreparing || opener.isPreparing) return;
    if (opener.isOpen) log?.onOpened(opener.ballot, opener.from);
    else log?.onNotOpened();
  }

  onAcceptorUp(acceptor: number): void {
    for (const opener of this.#openers.values()) opener.onAcceptorUp(acceptor);
  }

  onSessions(log: string, next: number, admission: Admission | undefined): void {
    this.#logs.get(log)?.onSessions(next, admission);
  }

  onTick(): void {
    const { now } = this.#ctx;
    for (const opener of this.#openers.values()) {
      if (opener.isAtRest) continue;
      const wasPreparing = opener.isPreparing;
      opener.onTick();
      this.#review(opener, wasPreparing);
    }
    for (const [name, log] of this.#logs) {
      log.onTick();
      // Names are chosen by clients: what is not used is forgotten.
      if (!log.isBusy && now - log.usedAt >= IDLE_MS) this.#logs.delete(name);
    }
    for (const [name, { askedAt, waitMs }] of this.#wishes)
      if (now - askedAt >= Math.max(IDLE_MS, 2 * waitMs)) this.#wishes.delete(name);
  }
}
