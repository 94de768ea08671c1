/**
 * The acceptor: promises and votes, for every log. It does not know which protocol runs (DESIGN 3).
 *
 * Votes at or above a log's watermark are kept in memory, and there are never more of them than a leader has in flight.
 * Older ones are in the journal: what needs them asks for a `load`, and is stepped again when the votes are `loaded`.
 */
import { assert, assertNever } from '../base/assert.ts';
import type { Batch } from '../base/batch.ts';
import { LIMITS } from '../base/limits.ts';
import type { RangeMap } from '../base/range-map.ts';
import { ACCEPTOR_DEFAULTS } from './accepting.ts';
import type { AcceptorEffect, AcceptorEvent, AcceptorLogStatus, AcceptorOptions } from './accepting.ts';
import {
  acceptedAt,
  headOf,
  higherOf,
  identityAt,
  newLog,
  newVotes,
  notFast,
  open,
  raise,
  type LogRecord,
  type Vote,
} from './acceptor-log.ts';
import {
  BALLOT_ZERO,
  compareBallots,
  isFast,
  maxBallot,
  ownedBy,
  sameBallot,
  type Ballot,
  type Owner,
} from './ballot.ts';
import type { Accept, AcceptorRecord, Any, Fetch, Prepare, RejectReason, TipQuestion, VoteRange } from './messages.ts';
import type { Machine, Moment, NoteEffect } from './step.ts';

export { ACCEPTOR_DEFAULTS } from './accepting.ts';
export type { AcceptorEffect, AcceptorEvent, AcceptorLogStatus, AcceptorOptions } from './accepting.ts';

/** Pieces of the journal that one load reads, unless more of them hold one slot. */
const LOAD_PIECES = 6;
/** What a record takes in the journal beyond its values, at most; and what is kept for floors when everything else is refused. Bytes. */
const RECORD_BYTES = 1024;
const FLOORS_BYTES = 8 * 1024;
/** What is moved on at once: logs with this many bytes of votes at most, this many of them, and this many bytes in all. */
const COMPACT_LOG_BYTES = 8 * 1024 * 1024;
const COMPACT_LOGS = 256;
const COMPACT_BYTES = 32 * 1024 * 1024;

/** Votes that were read back: all of [from, to), and nothing beyond. */
interface Loaded {
  readonly from: number;
  readonly to: number;
  readonly votes: RangeMap<Vote>;
}

/** Work that waits for old votes. */
interface PendingLoad {
  readonly log: string;
  readonly from: number;
  readonly to: number;
  readonly version: number;
  readonly event: AcceptorEvent;
  /** What was read for the same event so far, up to `from`. */
  readonly before: Loaded | undefined;
}

export class Acceptor implements Machine<AcceptorEvent, AcceptorEffect> {
  readonly #options: AcceptorOptions;
  readonly #logs = new Map<string, LogRecord>();
  /** When a proposer's start was last heard, by owner. */
  readonly #heard = new Map<string, number>();
  readonly #forgotten = new Set<string>();
  readonly #loads = new Map<number, PendingLoad>();
  readonly #dirty = new Set<string>();
  #loadId = 0;
  #hasRoom = true;
  #room = Infinity;
  /** What is left of that in this step. */
  #left = Infinity;
  #trimAt = 0;
  #trimmedBelow = 0;
  /** The position that the next persisted record takes in the journal. */
  #position: number;
  /** Bytes of the votes in the journal, as far as this start knows them. */
  #written = 0;
  #out: AcceptorEffect[] = [];
  #now = 0;

  /** `position` is where the journal continues; call `restore` for every record that it holds before the first step. */
  constructor(position: number, options: Partial<AcceptorOptions> = {}) {
    this.#options = { ...ACCEPTOR_DEFAULTS, ...options };
    this.#position = position;
  }

  step(event: AcceptorEvent, moment: Moment): AcceptorEffect[] {
    this.#out = [];
    this.#now = moment.now;
    this.#left = this.#room;
    this.#handle(event, undefined);
    return this.#out;
  }

  #handle(event: AcceptorEvent, loaded: Loaded | undefined): void {
    switch (event.kind) {
      case 'proposer':
        return this.#onProposer(event, loaded);
      case 'proposer-gone':
        this.#heard.delete(ownerKey(event.owner));
        return;
      case 'learner':
        return this.#onLearner(event, loaded);
      case 'learner-joined':
        for (const log of this.#logs.values())
          this.#out.push({ kind: 'reply-learner', to: event.from, message: headOf(log) });
        return;
      case 'question':
        return this.#onQuestion(event.from, event.message);
      case 'forget':
        return this.#onForget(event.from, event.disk, event.force);
      case 'loaded':
        return this.#onLoaded(event.id, event.votes);
      case 'room':
        this.#hasRoom = event.hasRoom;
        this.#room = event.bytes;
        return;
      case 'compact':
        return this.#onCompact(event.below);
      case 'rewrite':
        return this.#onRewrite(event, loaded);
      case 'tick':
        return this.#onTick();
      default:
        return assertNever(event);
    }
  }

  // ── proposers ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onProposer(event: AcceptorEvent & { kind: 'proposer' }, loaded: Loaded | undefined): void {
    // Work that was put off is no sign of life.
    if (loaded === undefined) this.#heard.set(ownerKey(event.owner), this.#now);
    const { message } = event;
    switch (message.kind) {
      case 'prepare':
        return this.#onPrepare(event, message, loaded);
      case 'accept':
        return this.#onAccept(event, message, loaded);
      case 'resign':
        return this.#onResign(message.log, message.ballot);
      case 'tell': {
        const log = this.#logs.get(message.log);
        if (log !== undefined) this.#raiseWatermark(log, message.watermark);
        return;
      }
      case 'any':
        return this.#onAny(event, message);
      case 'alive':
        return;
      default:
        return assertNever(message);
    }
  }

  /** R2: fast voting opens at a ballot that is promised, and is closed by the next promise. */
  #onAny(event: AcceptorEvent & { kind: 'proposer' }, any: Any): void {
    const log = this.#logs.get(any.log);
    if (log === undefined || !sameBallot(any.ballot, log.promised))
      return this.#reject(event.from, any, undefined, 'ballot', log);
    if (log.openFrom === undefined) {
      if (!this.#takes(0)) return this.#reject(event.from, any, undefined, 'space', log);
      this.#persist({ kind: 'any', log: log.name, ballot: any.ballot, from: any.from });
      open(log, any.from);
      this.#note({ kind: 'opened', log: log.name, ballot: any.ballot, from: any.from });
    }
    log.opener = event.from;
    this.#out.push({ kind: 'reply', to: event.from, message: { kind: 'opened', log: log.name, ballot: any.ballot } });
  }

  #onPrepare(event: AcceptorEvent & { kind: 'proposer' }, prepare: Prepare, loaded: Loaded | undefined): void {
    const refuse = (reason: RejectReason, log: LogRecord | undefined): void => {
      this.#reject(event.from, prepare, undefined, reason, log);
    };
    const { ballot } = prepare;
    if (ballot.round > LIMITS.roundMax) return refuse('round', this.#logs.get(prepare.log));
    const known = this.#logs.get(prepare.log);
    if (known === undefined && this.#logs.size >= this.#options.logsMax) return refuse('logs', undefined);
    const log = known ?? newLog(prepare.log);
    if (prepare.to !== undefined && prepare.to <= log.floor) return refuse('floor', log);

    // R1: the owner of the promised ballot is answered again, for any range, and nothing changes.
    if (!sameBallot(ballot, log.promised)) {
      if (compareBallots(ballot, log.promised) < 0 || compareBallots(ballot, log.voted) < 0)
        return refuse('ballot', log);
      const leaderHeard = this.#leaderHeard(log, event.owner);
      if (leaderHeard && !(prepare.override && this.#now - log.overrideAt >= this.#options.overrideMs))
        return refuse('led', log);
      if (!this.#takes(0)) return refuse('space', log);
      if (prepare.ask) {
        this.#out.push({
          kind: 'reply',
          to: event.from,
          message: { kind: 'would-promise', log: log.name, ballot, highest: log.highest, watermark: log.watermark },
        });
        return;
      }
      if (leaderHeard) log.overrideAt = this.#now;
      this.#logs.set(log.name, log);
      this.#promise(log, ballot, prepare);
    }
    this.#report(event, log, prepare, loaded);
  }

  #promise(log: LogRecord, ballot: Ballot, prepare: Prepare): void {
    const lead = prepare.purpose === 'lead';
    this.#persist({ kind: 'promise', log: log.name, ballot, lead });
    assert(compareBallots(ballot, log.promised) > 0, 'R1', () => `${log.name}: a promise does not grow`);
    raise(log, ballot, lead);
    this.#note({ kind: 'promised', log: log.name, ballot, purpose: prepare.purpose });
  }

  /** Answers with the votes of the slots asked about, a page at a time (R10). */
  #report(
    event: AcceptorEvent & { kind: 'proposer' },
    log: LogRecord,
    prepare: Prepare,
    loaded: Loaded | undefined,
  ): void {
    const from = Math.max(prepare.from, log.floor, prepare.fromWatermark ? log.watermark : 0);
    const end = Math.min(prepare.to ?? Infinity, log.highest + 1);
    const votes = this.#votesFor(event, log, from, end, loaded);
    if (votes === undefined) return;
    const page: VoteRange[] = [];
    let bytes = 0;
    let until: number | undefined = votes.end < end ? votes.end : undefined;
    for (const range of votes.ranges) {
      if (page.length > 0 && bytes + range.value.batch.bytes.length > this.#options.pageBytes) {
        until = range.from;
        break;
      }
      bytes += range.value.batch.bytes.length;
      page.push({ first: range.from, ballot: range.value.ballot, batch: range.value.batch });
    }
    // R10: a page says itself how far it reports, so that the answer to a shorter question is never taken for a longer one's.
    if (until === undefined && end <= log.highest) until = Math.max(from, end);
    this.#out.push({
      kind: 'reply',
      to: event.from,
      message: {
        kind: 'promised',
        log: log.name,
        ballot: prepare.ballot,
        from,
        until,
        votes: page,
        highest: log.highest,
        watermark: log.watermark,
        floor: log.floor,
      },
    });
  }

  #onAccept(event: AcceptorEvent & { kind: 'proposer' }, accept: Accept, loaded: Loaded | undefined): void {
    const { ballot, first, batch } = accept;
    const end = first + batch.count;
    const refuse = (reason: RejectReason, log: LogRecord | undefined): void => {
      this.#reject(event.from, accept, first, reason, log);
    };
    if (ballot.round > LIMITS.roundMax) return refuse('round', this.#logs.get(accept.log));
    const known = this.#logs.get(accept.log);
    if (known === undefined && this.#logs.size >= this.#options.logsMax) return refuse('logs', undefined);
    const log = known ?? newLog(accept.log);
    if (first < log.floor) return refuse('floor', log);
    // R2: a vote only at or above the log's promise …
    if (compareBallots(ballot, log.promised) < 0) return refuse('ballot', log);
    // Every slot below a voted one gets a value some day: one Accept far above the rest would have to be filled up to.
    if (end > Math.max(accept.watermark, log.watermark) + LIMITS.slotsAheadMax) return refuse('ahead', log);
    const closed = isFast(ballot) ? notFast(log, accept) : undefined;
    if (closed !== undefined) return refuse(closed, log);
    // A full journal takes no new slots, but lets those that are under way be finished.
    if (!this.#hasRoom && end - 1 > log.highest) return refuse('space', log);
    const votes = this.#votesFor(event, log, first, end, loaded, true);
    if (votes === undefined) return;
    if (votes.end < end) return refuse('busy', log);
    let again = 0;
    for (const { from, to, value } of votes.ranges) {
      const order = compareBallots(ballot, value.ballot);
      // … and the slot's promise is also the ballot of its vote.
      if (order < 0) return refuse('ballot', log);
      if (order > 0) continue;
      if (!value.batch.equals(batch.slice(from - first, to - first))) {
        // R2: one vote a ballot. At a fast ballot whoever comes second hears which value was first.
        const voted = isFast(ballot) ? value.batch.values()[0] : undefined;
        return this.#reject(event.from, accept, first, 'conflict', log, voted);
      }
      again += to - from;
    }
    if (again < batch.count && !this.#takes(batch.bytes.length)) return refuse('space', log);
    this.#logs.set(log.name, log);
    if (again < batch.count) this.#vote(log, accept, event.from);
    // A duplicate is answered like the first, after whatever the first depends on is durable (R3, in the shell).
    this.#out.push({
      kind: 'reply',
      to: event.from,
      message: acceptedAt(log, ballot, first, batch),
    });
    this.#raiseWatermark(log, accept.watermark);
  }

  #vote(log: LogRecord, accept: Accept, from: string): void {
    const { ballot, first, batch } = accept;
    const watermark = Math.max(log.watermark, accept.watermark);
    assert(compareBallots(ballot, log.promised) >= 0, 'R2', () => `${log.name}: a vote below the promise`);
    const position = this.#persist({ kind: 'vote', log: log.name, ballot, first, batch, watermark });
    this.#remember(log, position, ballot, first, batch);
    this.#out.push({
      kind: 'publish',
      votes: {
        kind: 'votes',
        log: log.name,
        ballot,
        first,
        count: batch.count,
        batch,
        watermark,
        ...identityAt(ballot, batch),
      },
    });
    // Who opened the ballot counts the votes of all, so that it sees a collision as early as anybody.
    if (isFast(ballot) && log.opener !== undefined && log.opener !== from && sameBallot(ballot, log.promised))
      this.#out.push({
        kind: 'reply',
        to: log.opener,
        message: { ...acceptedAt(log, ballot, first, batch), voted: batch.values()[0] },
      });
    this.#note({ kind: 'voted', log: log.name, ballot, first, count: batch.count, bytes: batch.bytes.length });
  }

  #remember(log: LogRecord, position: number, ballot: Ballot, first: number, batch: Batch): void {
    const end = first + batch.count;
    log.index.add(position, first, end, batch.bytes.length, this.#written);
    this.#written += batch.bytes.length;
    if (first < log.kept) log.oldVotesVersion++;
    const from = Math.max(first, log.kept);
    if (from < end) log.votes.set(from, end, { ballot, batch: batch.slice(from - first, batch.count) });
    log.highest = Math.max(log.highest, end - 1);
    log.voted = maxBallot(log.voted, ballot);
  }

  #onResign(name: string, ballot: Ballot): void {
    const log = this.#logs.get(name);
    if (log?.state !== 'led' || !sameBallot(log.promised, ballot)) return;
    // As if it were lost on the way: the grace ends by itself.
    if (!this.#takes(0)) return;
    this.#persist({ kind: 'resign', log: name, ballot });
    log.state = 'closed';
  }

  /** A leader other than the asker spoke within its grace, from the very start that the log's promise names. */
  #leaderHeard(log: LogRecord, asker: Owner): boolean {
    if (log.state !== 'led' || ownedBy(log.promised, asker)) return false;
    // A vote above the promise: a quorum promised that ballot, so this leader is one no more, whatever else it speaks of.
    if (compareBallots(log.voted, log.promised) > 0) return false;
    const at = this.#heard.get(ownerKey(log.promised));
    return at !== undefined && this.#now - at < this.#options.graceMs;
  }

  #reject(
    to: string,
    asked: Prepare | Accept | Any,
    first: number | undefined,
    reason: RejectReason,
    log: LogRecord | undefined,
    voted?: Uint8Array,
  ): void {
    const promised = log === undefined ? BALLOT_ZERO : higherOf(log);
    this.#out.push({
      kind: 'reply',
      to,
      message: {
        kind: 'rejected',
        log: asked.log,
        ballot: asked.ballot,
        first,
        reason,
        promised,
        state: log?.state ?? 'open',
        leader: log?.state === 'led' ? log.promised.proposer : undefined,
        highest: log?.highest ?? -1,
        watermark: log?.watermark ?? 0,
        floor: log?.floor ?? 0,
        ...(voted === undefined ? {} : { voted }),
      },
    });
    this.#note({ kind: 'rejected', phase: asked.kind, log: asked.log, reason, ballot: asked.ballot, promised });
  }

  #raiseWatermark(log: LogRecord, watermark: number): void {
    if (watermark <= log.watermark) return;
    log.watermark = watermark;
    // What is chosen is read back from the journal by the few that still need it.
    log.kept = Math.max(log.kept, watermark);
    log.votes.dropBelow(log.kept);
  }

  // ── old votes ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The votes of [from, to), cut at `end` where what was read so far ends; `whole` reads on until nothing is cut. Undefined when
   * votes must first be read from the journal: the event is then handled again once they are there.
   */
  #votesFor(
    event: AcceptorEvent,
    log: LogRecord,
    from: number,
    to: number,
    loaded: Loaded | undefined,
    whole = false,
  ): { ranges: readonly { from: number; to: number; value: Vote }[]; end: number } | undefined {
    const old = Math.min(to, log.kept);
    if (from >= old) return { ranges: from < to ? log.votes.within(from, to) : [], end: to };
    if (loaded === undefined || from < loaded.from || from >= loaded.to) {
      this.#load(event, log, from, old, undefined);
      return undefined;
    }
    // What was loaded ends where it was asked to end, however far the watermark and the floor have moved since: slots above it
    // are neither here nor in memory, so the answer is cut there and says so.
    const end = Math.min(loaded.to, old);
    if (end < old && whole) {
      this.#load(event, log, loaded.to, old, loaded);
      return undefined;
    }
    const ranges = loaded.votes.within(from, end);
    return end < old ? { ranges, end } : { ranges: [...ranges, ...log.votes.within(old, to)], end: to };
  }

  #load(event: AcceptorEvent, log: LogRecord, from: number, to: number, before: Loaded | undefined): void {
    const end = this.#loadEnd(log, from, to);
    const id = this.#loadId++;
    this.#loads.set(id, { log: log.name, from, to: end, version: log.oldVotesVersion, event, before });
    this.#out.push({ kind: 'load', id, log: log.name, from, to: end, pieces: log.index.find(from, end) });
  }

  /** How far one load goes: until it has read enough pieces of the journal, at least one slot. */
  #loadEnd(log: LogRecord, from: number, to: number): number {
    const starts = log.index
      .find(from, to)
      .map((piece) => piece.from)
      .sort((a, b) => a - b);
    return Math.min(to, Math.max(from + 1, starts[LOAD_PIECES] ?? to));
  }

  #onLoaded(id: number, votes: readonly VoteRange[]): void {
    const load = this.#loads.get(id);
    if (load === undefined) return;
    this.#loads.delete(id);
    const log = this.#logs.get(load.log);
    if (log === undefined) return;
    if (log.oldVotesVersion !== load.version) return this.#handle(load.event, undefined);
    const found = load.before?.votes ?? newVotes();
    for (const vote of votes)
      found.set(vote.first, vote.first + vote.batch.count, { ballot: vote.ballot, batch: vote.batch });
    this.#handle(load.event, {
      from: load.before?.from ?? load.from,
      to: load.to,
      votes: found,
    });
  }

  // ── learners ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onLearner(event: AcceptorEvent & { kind: 'learner' }, loaded: Loaded | undefined): void {
    const { message } = event;
    switch (message.kind) {
      case 'fetch':
        return this.#onFetch(event, message, loaded);
      case 'held': {
        const log = this.#logs.get(message.log);
        if (log === undefined || this.#forgotten.has(event.disk)) return;
        log.holders.set(event.disk, { held: message.held, agreed: message.agreed });
        this.#dirty.add(log.name);
        return;
      }
      case 'wish':
        // The shell keeps who wants values: it is about the stream, not about the log.
        return;
      default:
        return assertNever(message);
    }
  }

  #onFetch(event: AcceptorEvent & { kind: 'learner' }, fetch: Fetch, loaded: Loaded | undefined): void {
    const to = event.from;
    const log = this.#logs.get(fetch.log);
    const head = log ?? newLog(fetch.log);
    const from = Math.max(fetch.from, head.floor);
    const end = Math.min(fetch.to, head.highest + 1);
    let until = Math.max(from, fetch.to);
    if (log !== undefined && from < end) {
      const votes = this.#votesFor(event, log, from, end, loaded);
      if (votes === undefined) return;
      if (votes.end < end) until = votes.end;
      let bytes = 0;
      for (const { from: first, to: last, value } of votes.ranges) {
        if (fetch.values && bytes > 0 && bytes + value.batch.bytes.length > this.#options.pageBytes) {
          until = first;
          break;
        }
        bytes += value.batch.bytes.length;
        this.#out.push({
          kind: 'reply-learner',
          to,
          message: {
            kind: 'votes',
            log: log.name,
            ballot: value.ballot,
            first,
            count: last - first,
            batch: fetch.values ? value.batch : undefined,
            watermark: log.watermark,
            ...identityAt(value.ballot, value.batch),
          },
        });
      }
    }
    this.#out.push({
      kind: 'reply-learner',
      to,
      message: {
        kind: 'fetched',
        log: fetch.log,
        from: fetch.from,
        until,
        highest: head.highest,
        watermark: head.watermark,
        floor: head.floor,
      },
    });
  }

  #onQuestion(to: string, question: TipQuestion): void {
    const log = this.#logs.get(question.log);
    const tip = log === undefined ? -1 : Math.max(log.highest, log.floor - 1);
    this.#out.push({ kind: 'reply-tip', to, message: { kind: 'tip', log: question.log, id: question.id, tip } });
  }

  // ── trimming ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onTick(): void {
    if (this.#now - this.#trimAt < this.#options.trimMs) return;
    this.#trimAt = this.#now;
    for (const name of this.#dirty) {
      // Floors are what frees a full journal, so they may use the last that it has.
      if (this.#left < RECORD_BYTES) break;
      this.#dirty.delete(name);
      const log = this.#logs.get(name);
      if (log !== undefined) this.#raiseFloor(log);
    }
    let oldest = this.#position;
    for (const log of this.#logs.values()) oldest = Math.min(oldest, log.index.oldest ?? this.#position);
    if (oldest > this.#trimmedBelow) {
      this.#trimmedBelow = oldest;
      this.#out.push({ kind: 'trim', below: oldest });
    }
  }

  #raiseFloor(log: LogRecord): void {
    const agreed = [...log.holders.values()].map((h) => Math.min(h.held, h.agreed)).sort((a, b) => b - a);
    const floor = Math.min(agreed[this.#options.holders - 1] ?? 0, log.highest + 1);
    if (floor <= log.floor) return;
    // R10: the floor is durable before the votes are dropped. The shell does `trim` only after what came before it is synced,
    // and the journal keeps the votes until then.
    this.#persist({ kind: 'floor', log: log.name, floor });
    this.#setFloor(log, floor);
    this.#note({ kind: 'trimmed', log: log.name, floor });
  }

  /**
   * A log that rests keeps its last few slots for ever: learners agree at checkpoints only. Such votes would pin the oldest
   * segment of a journal that other logs fill, so they are written again at its end. Logs with much to keep stay where they are:
   * moving them frees nothing.
   */
  #onCompact(below: number): void {
    let [moved, bytes] = [0, 0];
    for (const log of this.#logs.values()) {
      if (log.rewriting || (log.index.oldest ?? below) >= below || log.index.bytes > COMPACT_LOG_BYTES) continue;
      if (log.highest + 1 - log.floor > LIMITS.batchValuesMax) continue;
      if (!this.#takes(log.index.bytes + (log.highest + 1 - log.floor) * RECORD_BYTES)) return;
      if (moved++ >= COMPACT_LOGS || (bytes += log.index.bytes) > COMPACT_BYTES) return;
      log.rewriting = true;
      this.#handle({ kind: 'rewrite', log: log.name }, undefined);
    }
  }

  #onRewrite(event: AcceptorEvent & { kind: 'rewrite' }, loaded: Loaded | undefined): void {
    const log = this.#logs.get(event.log);
    if (log === undefined) return;
    const votes = this.#votesFor(event, log, log.floor, log.highest + 1, loaded, true);
    if (votes === undefined) return;
    log.rewriting = false;
    if (votes.end < log.highest + 1) return;
    if (!this.#takes(votes.ranges.reduce((sum, { value }) => sum + value.batch.bytes.length + RECORD_BYTES, 0))) return;
    const begin = this.#position;
    log.index.close();
    for (const { from, to, value } of votes.ranges) {
      // The same vote, not a new one: nothing about the log changes, and nobody is told.
      const position = this.#persist({
        kind: 'vote',
        log: log.name,
        ballot: value.ballot,
        first: from,
        batch: value.batch,
        watermark: log.watermark,
      });
      log.index.add(position, from, to, value.batch.bytes.length, this.#written);
      this.#written += value.batch.bytes.length;
    }
    log.index.dropBefore(begin);
  }

  #setFloor(log: LogRecord, floor: number): void {
    log.floor = Math.max(log.floor, floor);
    log.watermark = Math.max(log.watermark, log.floor);
    log.kept = Math.max(log.kept, log.watermark);
    log.votes.dropBelow(log.kept);
    log.index.dropBelow(log.floor);
  }

  #onForget(to: string, disk: string, force: boolean): void {
    let short: LogRecord | undefined;
    for (const log of this.#logs.values()) {
      if (log.floor === 0) continue;
      let left = 0;
      for (const [other, held] of log.holders) if (other !== disk && held.held >= log.floor) left++;
      if (left < this.#options.holders) short = log;
    }
    if (short !== undefined && !force) {
      const refused =
        `forgetting learner disk ${disk} would leave fewer than ${String(this.#options.holders)} learner disks (trim.holders) known to hold log ` +
        `"${short.name}" below its floor, slot ${String(short.floor)}, which acceptors no longer keep; use --force only if that may be lost`;
      this.#out.push({ kind: 'reply-forget', to, refused });
      return;
    }
    if (!this.#takes(0)) {
      const refused = `learner disk ${disk} is not forgotten: the journal is full and its reserve used up (journal.bytes.max, or no space on the disk); free space first`;
      this.#out.push({ kind: 'reply-forget', to, refused });
      return;
    }
    if (!this.#forgotten.has(disk)) this.#persist({ kind: 'forget', learnerDisk: disk });
    this.#forget(disk);
    this.#out.push({ kind: 'reply-forget', to, refused: undefined });
  }

  #forget(disk: string): void {
    this.#forgotten.add(disk);
    for (const log of this.#logs.values()) log.holders.delete(disk);
  }

  // ── the journal ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a record back from the journal. `position` is undefined for the records at the head of its oldest segment. */
  restore(record: AcceptorRecord, position: number | undefined): void {
    if (record.kind === 'forget') return this.#forget(record.learnerDisk);
    let log = this.#logs.get(record.log);
    if (log === undefined) this.#logs.set(record.log, (log = newLog(record.log)));
    switch (record.kind) {
      case 'promise':
        if (compareBallots(record.ballot, log.promised) <= 0) return;
        raise(log, record.ballot, record.lead);
        return;
      case 'any':
        if (sameBallot(record.ballot, log.promised)) open(log, record.from);
        return;
      case 'vote':
        assert(position !== undefined, 'R6', () => 'a vote at the head of a segment');
        this.#remember(log, position, record.ballot, record.first, record.batch);
        return this.#raiseWatermark(log, record.watermark);
      case 'resign':
        if (sameBallot(log.promised, record.ballot)) log.state = 'closed';
        return;
      case 'floor':
        return this.#setFloor(log, record.floor);
      case 'log':
        log.promised = record.promised;
        log.state = record.state;
        log.openFrom = record.openFrom;
        log.highest = Math.max(log.highest, record.highest);
        if (record.voted !== undefined) log.voted = maxBallot(log.voted, record.voted);
        this.#raiseWatermark(log, record.watermark);
        return this.#setFloor(log, record.floor);
      default:
        return assertNever(record);
    }
  }

  /** What must survive when the segments before are deleted: written at the head of every new segment. */
  *head(): IterableIterator<AcceptorRecord> {
    for (const log of this.#logs.values())
      yield {
        kind: 'log',
        log: log.name,
        promised: log.promised,
        state: log.state,
        highest: log.highest,
        voted: log.highest < 0 ? undefined : log.voted,
        watermark: log.watermark,
        floor: log.floor,
        ...(log.openFrom === undefined ? {} : { openFrom: log.openFrom }),
      };
    for (const learnerDisk of this.#forgotten) yield { kind: 'forget', learnerDisk };
  }

  /** The journal takes a record with so many bytes of values, and some floors behind it. */
  #takes(bytes: number): boolean {
    return bytes + RECORD_BYTES + FLOORS_BYTES <= this.#left;
  }

  #persist(record: AcceptorRecord): number {
    this.#left -= RECORD_BYTES + (record.kind === 'vote' ? record.batch.bytes.length : 0);
    this.#out.push({ kind: 'persist', record });
    return this.#position++;
  }

  #note(note: NoteEffect['note']): void {
    this.#out.push({ kind: 'note', note });
  }

  // ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────

  get logs(): number {
    return this.#logs.size;
  }

  /** How each log stands here, and what is kept and why. */
  *status(): IterableIterator<AcceptorLogStatus> {
    for (const log of this.#logs.values())
      yield {
        log: log.name,
        promised: log.promised,
        state: log.state,
        openFrom: log.openFrom,
        highest: log.highest,
        watermark: log.watermark,
        floor: log.floor,
        inMemory: log.votes.size,
        holders: [...log.holders].map(([disk, h]) => ({ disk, held: h.held, agreed: h.agreed })),
      };
  }
}

function ownerKey(owner: Owner): string {
  return `${String(owner.proposer)}.${owner.incarnation}`;
}
