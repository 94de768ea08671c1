/**
 * A log of many slots at a proposer that does not lead it, while it is open for fast voting: a value goes straight to all acceptors at
 * the open fast ballot, in the slot that seems to be next. Who loses a slot goes on to the next one. What collides is recovered by
 * who opened the ballot; where nobody did (ballot zero), or it takes too long, the log's proposals go to a leader.
 *
 * An answer needs every slot below to be chosen and the session table up to there (R12): this proposer feeds its copy with each slot
 * that it saw chosen, and where it missed one, it asks a learner that applied the slot.
 */
import { Batch } from '../base/batch.ts';
import { Fifo } from '../base/fifo.ts';
import {
  BALLOT_ZERO,
  compareBallots,
  isFast,
  maxBallot,
  ownedBy,
  sameBallot,
  successor,
  type Ballot,
} from './ballot.ts';
import { identityOf } from './identity.ts';
import type { Accepted, Rejected } from './messages.ts';
import type { FastLeft, FastOutcome } from './notes.ts';
import type { Answer, Path } from './peers.ts';
import { tell } from './progress.ts';
import { note, sendTo, sentIn, type Admission, type Context, type Proposal } from './proposing.ts';
import { isStillPossible } from './tallies.ts';

export interface FastPorts {
  readonly answer: (proposal: Proposal, answer: Answer) => void;
  /**
   * Gives proposals to the log's leader, or has one elected: it finds what was voted. Where the log is being opened, its opener is named,
   * which takes them when it is done: a leader would close it again.
   */
  readonly toLeader: (proposals: readonly Proposal[], why: FastLeft, opener: number | undefined) => void;
  /** What is sent at a fast ballot that this very proposer opened. */
  readonly onSent: (slot: number, identity: string, value: Uint8Array) => void;
  /** This proposer is opening the log: nothing is sent until it is open. */
  readonly isOpening: () => boolean;
}

interface Tally {
  voters: number;
  value: Uint8Array | undefined;
}

/** The one value of this proposer that is under way. */
interface Flight {
  readonly proposal: Proposal;
  readonly slot: number;
  readonly ballot: Ballot;
  readonly identity: string;
  readonly since: number;
  readonly tallies: Map<string, Tally>;
  /** Acceptors that refused, and what they said of the log. */
  out: number;
  promised: Ballot;
  /** The greatest ballot at which one of them is open. */
  open: Ballot | undefined;
  /** One that is open at this very ballot voted above it in this slot, which is being recovered. */
  isTaken: boolean;
  highest: number;
  /** Its slot is decided elsewhere, or below something unknown: a learner must say what became of it. */
  resolving: { readonly since: number; askedAt: number; readonly path: Path } | undefined;
}

/** Of so many slots at most it is counted how many collided, once there are enough to say so. */
const WINDOW = 100;
const WINDOW_MIN = 20;

export class FastLog {
  readonly log: string;
  readonly #ctx: Context;
  readonly #ports: FastPorts;
  readonly #queue = new Fifo<Proposal>();
  /** Where fast voting is open, as far as is known here, and the slot that seems to be next. */
  #ballot: Ballot = BALLOT_ZERO;
  #next = 0;
  #watermark = 0;
  #flight: Flight | undefined;
  /** The session table, complete for all slots below `fed`. */
  #admission: Admission | undefined;
  #fed = 0;
  /** Whether the last slots collided, the latest last. */
  readonly #collided: boolean[] = [];
  usedAt: number;

  constructor(ctx: Context, log: string, ports: FastPorts) {
    this.#ctx = ctx;
    this.log = log;
    this.#ports = ports;
    this.usedAt = ctx.now;
    ctx.out.push({ kind: 'load-sessions', log, slot: 0 });
  }

  get isBusy(): boolean {
    return this.#flight !== undefined || this.#queue.length > 0;
  }

  propose(proposal: Proposal): void {
    this.usedAt = this.#ctx.now;
    this.#queue.push(proposal);
    this.#pump();
  }

  #pump(): void {
    while (this.#flight === undefined && !this.#ports.isOpening()) {
      const proposal = this.#queue.peek();
      // What another proposer took is judged before it is sent; where nothing is loaded yet, that comes at once.
      if (proposal === undefined || (proposal.via !== undefined && this.#admission === undefined)) return;
      this.#queue.shift();
      if (proposal.done) continue;
      const verdict = proposal.via === undefined ? undefined : this.#admission?.check(proposal.entry);
      if (verdict?.kind === 'invalid') this.#ports.answer(proposal, verdict.refused);
      else this.#send(proposal);
    }
  }

  /** This proposer opened the log: where nobody has to be asked. */
  onOpened(ballot: Ballot, from: number): void {
    this.#ballot = ballot;
    this.#next = Math.max(this.#next, from);
    this.#watermark = Math.max(this.#watermark, from);
    if (this.#fed < from) {
      this.#fed = -1;
      this.#ctx.out.push({ kind: 'load-sessions', log: this.log, slot: from });
    }
    this.#pump();
  }

  /** It could not be opened: what waited for that goes to a leader. */
  onNotOpened(): void {
    if (this.#flight === undefined && this.#queue.length > 0) this.#leave('led', 'classic');
  }

  #send(proposal: Proposal): void {
    const ctx = this.#ctx;
    const [identity, ballot, slot] = [identityOf(proposal.entry), this.#ballot, this.#next];
    const flight: Flight = {
      ...{
        proposal,
        slot,
        ballot,
        identity,
        since: ctx.now,
        out: 0,
        promised: BALLOT_ZERO,
        open: undefined,
        isTaken: false,
        highest: -1,
      },
      tallies: new Map([[identity, { voters: 0, value: proposal.entry }]]),
      resolving: undefined,
    };
    this.#flight = flight;
    if (!this.#isPossible(flight)) return this.#leave('unreachable', 'classic');
    sentIn(proposal, slot);
    const batch = Batch.of([proposal.entry]);
    sendTo(ctx, undefined, { kind: 'accept', log: this.log, ballot, first: slot, batch, watermark: this.#watermark });
    this.#ports.onSent(slot, identity, proposal.entry);
  }

  // ── votes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  onAccepted(acceptor: number, message: Accepted): void {
    if (message.watermark !== undefined) this.#watermark = Math.max(this.#watermark, message.watermark);
    const flight = this.#flightOf(message.ballot, message.first);
    // What is repeated to the opener of others' votes is counted all the same: a vote is a vote.
    if (flight !== undefined && message.identity !== undefined)
      this.#vote(flight, acceptor, message.identity, message.voted);
  }

  onRejected(acceptor: number, message: Rejected): void {
    const flight = this.#flightOf(message.ballot, message.first);
    if (flight === undefined || message.reason === 'busy') return;
    this.#watermark = Math.max(this.#watermark, message.watermark, message.floor);
    flight.highest = Math.max(flight.highest, message.highest);
    if (message.reason === 'conflict' && message.voted !== undefined)
      return this.#vote(flight, acceptor, identityOf(message.voted), message.voted);
    flight.promised = maxBallot(flight.promised, message.promised);
    if (message.state === 'open' && isFast(message.promised))
      flight.open = maxBallot(flight.open ?? BALLOT_ZERO, message.promised);
    if (message.state === 'open' && message.reason === 'ballot' && sameBallot(message.promised, flight.ballot))
      flight.isTaken = true;
    flight.out |= 1 << acceptor;
    this.#count(flight);
  }

  #flightOf(ballot: Ballot, first: number | undefined): Flight | undefined {
    const flight = this.#flight;
    return flight !== undefined && first === flight.slot && sameBallot(ballot, flight.ballot) ? flight : undefined;
  }

  #vote(flight: Flight, acceptor: number, identity: string, value: Uint8Array | undefined): void {
    const tally = flight.tallies.get(identity) ?? { voters: 0, value };
    if ((tally.voters & (1 << acceptor)) === 0) {
      note(this.#ctx, { kind: 'accept-rtt', acceptor, ms: this.#ctx.now - flight.since });
      const { proposal, ballot, slot } = flight;
      if (identity === flight.identity) tell(this.#ctx, proposal, { kind: 'accepted', acceptor, ballot, slot });
    }
    tally.voters |= 1 << acceptor;
    tally.value ??= value;
    flight.tallies.set(identity, tally);
    this.#count(flight);
  }

  #count(flight: Flight): void {
    if (flight.resolving !== undefined) return;
    for (const [identity, { voters, value }] of flight.tallies) {
      if (!this.#ctx.quorum.isFast(voters)) continue;
      if (identity === flight.identity) return this.#won(flight);
      if (value !== undefined) return this.#lost(flight, value);
    }
    if (!this.#isPossible(flight)) this.#blocked(flight);
  }

  #isPossible({ tallies, out }: Flight): boolean {
    return isStillPossible(this.#ctx.quorum, tallies.values(), out | this.#ctx.down);
  }

  /** A fast quorum voted for the own value. */
  #won(flight: Flight): void {
    this.#saw(false);
    const ms = this.#ctx.now - flight.since;
    note(this.#ctx, {
      ...{ kind: 'quorum', phase: 'accept', protocol: 'fast', outcome: 'reached', log: this.log },
      ...{ ballot: flight.ballot, ms, first: flight.slot, count: 1 },
    } as const);
    this.#next = Math.max(this.#next, flight.slot + 1);
    // R12: what stands below is known, value by value; otherwise a learner that applied the slot says what it means.
    if (this.#admission === undefined || this.#fed !== flight.slot) return this.#resolve(flight, 'fast');
    const { proposal } = flight;
    const verdict = this.#admission.check(proposal.entry);
    this.#feed(flight.slot, proposal.entry);
    // R15: it was sent this once, to this slot, and has no effect there.
    if (verdict.kind === 'refused' && !proposal.retry) proposal.sent = false;
    this.#tell(flight, verdict, 'fast');
  }

  /** A fast quorum voted for the value of another: the own one is not in this slot, and goes to the next. */
  #lost(flight: Flight, value: Uint8Array): void {
    this.#saw(false);
    if (this.#admission !== undefined && this.#fed === flight.slot) this.#feed(flight.slot, value);
    // Others may be further: what stands between is learned at once, not slot by slot.
    this.#next = Math.max(this.#next, flight.slot + 1, flight.highest + 1);
    this.#again(flight);
  }

  #feed(slot: number, value: Uint8Array): void {
    this.#admission?.feed(slot, value);
    this.#fed = slot + 1;
    this.#watermark = Math.max(this.#watermark, this.#fed);
  }

  /** A second sending is a retry, and is marked so (R12). */
  #again({ proposal }: Flight): void {
    proposal.retry = true;
    this.#flight = undefined;
    if (proposal.done) return this.#pump();
    this.#send(proposal);
  }

  /** No value can get a fast quorum in this slot at this ballot. */
  #blocked(flight: Flight): void {
    const voted = [...flight.tallies.values()].filter(({ voters }) => voters !== 0).length;
    const { promised, open, ballot, slot, isTaken } = flight;
    const isCollision = voted > 1 || isTaken;
    this.#saw(isCollision);
    if (voted > 1) this.#noteCollision(flight);
    const order = open === undefined ? -1 : compareBallots(open, ballot);
    // An acceptor that voted at the successor, in a slot that was recovered, and did not hear of the opening names that.
    const isOpen = open !== undefined && compareBallots(promised, successor(open)) <= 0;
    // Recovered by who opened the log, maybe for this very value: to send it again would have it chosen twice.
    if (isOpen && order === 0 && isTaken) return this.#resolve(flight, 'recovered');
    if (isOpen && (order > 0 || (order === 0 && this.#watermark > slot))) {
      // The log was opened at another ballot since, or further up. What became of the slots between is not known here.
      this.#ballot = open;
      this.#next = Math.max(flight.highest + 1, this.#watermark);
      this.#fed = -1;
      return this.#again(flight);
    }
    const path = isCollision ? 'recovered' : 'classic';
    if (this.#tooManyCollided()) return this.#leave('collided', path);
    // Who opened the ballot sees the same votes, and recovers the slot.
    if (isCollision && this.#hasOpener(ballot)) return this.#resolve(flight, path);
    const isOpening = !isOpen && isFast(promised) && compareBallots(promised, ballot) > 0;
    const why = isCollision ? 'collided' : flight.out === 0 ? 'unreachable' : 'led';
    this.#leave(why, path, isOpening ? promised.proposer : undefined);
  }

  #noteCollision({ ballot, slot, since }: Flight): void {
    const { log } = this;
    // Who opened the ballot sees it there.
    if (!ownedBy(ballot, this.#ctx.self)) note(this.#ctx, { kind: 'collision', log, slot, ballot });
    note(this.#ctx, {
      ...{ kind: 'quorum', phase: 'accept', protocol: 'fast', outcome: 'collision' },
      ...{ log, ballot, ms: this.#ctx.now - since },
    } as const);
  }

  /** Whether somebody recovers slots at this ballot: who opened it. Nobody opened ballot zero. */
  #hasOpener(ballot: Ballot): boolean {
    return ballot.round > 0 && this.#ctx.options.fastRecovery === 'coordinated';
  }

  #saw(isCollision: boolean): void {
    this.#collided.push(isCollision);
    if (this.#collided.length > WINDOW) this.#collided.shift();
  }

  #tooManyCollided(): boolean {
    const collided = this.#collided.filter(Boolean).length;
    const most = (this.#ctx.options.fastCollisionsMax / 100) * this.#collided.length;
    return this.#collided.length >= WINDOW_MIN && collided > most;
  }

  // ── what a learner says ──────────────────────────────────────────────────────────────────────────────────────────────

  #resolve(flight: Flight, path: Path): void {
    const { now } = this.#ctx;
    flight.resolving = { since: now, askedAt: now, path };
    // A learner may have been heard that is past the slot: what it said is all that one will say.
    if (this.#admission !== undefined && this.#fed > flight.slot) return this.#decide(flight, this.#admission, path);
    this.#ctx.out.push({ kind: 'load-sessions', log: this.log, slot: flight.slot + 1 });
  }

  /** A session table that is complete for all slots below `next`: what is there is chosen. */
  onSessions(next: number, admission: Admission | undefined): void {
    if (admission === undefined || (this.#admission !== undefined && next <= this.#fed)) return;
    this.#admission = admission;
    this.#fed = next;
    this.#watermark = Math.max(this.#watermark, next);
    this.#next = Math.max(this.#next, next);
    const flight = this.#flight;
    if (flight === undefined) return this.#pump();
    if (flight.resolving !== undefined && next > flight.slot) this.#decide(flight, admission, flight.resolving.path);
  }

  /** The table is complete past the flight's slot. */
  #decide(flight: Flight, admission: Admission, path: Path): void {
    const verdict = admission.check(flight.proposal.entry);
    if (verdict.kind === 'new') return this.#again(flight);
    this.#tell(flight, verdict, path);
  }

  #tell(flight: Flight, verdict: ReturnType<Admission['check']>, path: Path): void {
    const { proposal, slot, ballot } = flight;
    this.#flight = undefined;
    if (!proposal.done) {
      const outcome: FastOutcome = path === 'fast' ? 'fast' : path === 'recovered' ? 'coordinated' : 'fallback';
      note(this.#ctx, { kind: 'fast', log: this.log, outcome, ms: this.#ctx.now - proposal.since });
      if (verdict.kind === 'refused' || verdict.kind === 'invalid') this.#ports.answer(proposal, verdict.refused);
      else {
        const at = verdict.kind === 'known' ? verdict.slot : slot;
        const seen = at === slot && path === 'fast' ? ballot : undefined;
        this.#ports.answer(proposal, {
          ...{ kind: 'chosen', slot: at, ballot: seen, entry: undefined, leader: undefined },
          ...{ path, rounds: proposal.rounds },
        });
      }
    }
    this.#pump();
  }

  // ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The flight and all that waits go the classic way. */
  #leave(why: FastLeft, path: Path, opener?: number): void {
    const flight = this.#flight;
    this.#flight = undefined;
    const waiting = [...(flight === undefined ? [] : [flight.proposal]), ...this.#queue.drain()];
    for (const proposal of waiting) {
      if (proposal.sent) proposal.retry = true;
      proposal.path = proposal === flight?.proposal ? path : 'classic';
      // Whoever opened the log is not to try again: what collided, or was left undecided, needs a leader.
      if (why === 'collided' || why === 'unknown') proposal.fast = false;
    }
    // What happens to the log from here on is not seen.
    this.#fed = -1;
    note(this.#ctx, { kind: 'left', log: this.log, why });
    this.#ports.toLeader(
      waiting.filter((proposal) => !proposal.done),
      why,
      opener,
    );
  }

  onTick(): void {
    const flight = this.#flight;
    const { now, options } = this.#ctx;
    if (flight === undefined) return;
    const { resolving } = flight;
    if (resolving === undefined) {
      if (now - flight.since < options.fastMs && this.#isPossible(flight)) return;
      const isVoted = [...flight.tallies.values()].some(({ voters }) => voters !== 0);
      // Who opened the ballot decides by the votes that are there.
      if (isVoted && this.#hasOpener(flight.ballot)) return this.#resolve(flight, 'recovered');
      return this.#blocked(flight);
    }
    if (now - resolving.since >= 3 * options.fastMs)
      return this.#leave('unknown', resolving.path === 'fast' ? 'classic' : resolving.path);
    if (now - resolving.askedAt < options.fastMs / 4) return;
    resolving.askedAt = now;
    this.#ctx.out.push({ kind: 'load-sessions', log: this.log, slot: flight.slot + 1 });
  }
}
