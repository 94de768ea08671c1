/**
 * The proposer: takes proposals for any log, leads logs or hands proposals to who leads, runs Basic rounds for decrees, and
 * finishes what others left. Nothing here is durable: ballots carry this start's incarnation, and are never used twice.
 */
import { assertNever } from '../base/assert.ts';
import type { Outcome } from '../base/errors.ts';
import { RESERVED_LOG_PREFIX } from '../base/limits.ts';
import { BALLOT_ZERO, type Ballot, type Owner } from './ballot.ts';
import { Decrees } from './decrees.ts';
import { Election } from './election.ts';
import { FastLogs } from './fast-logs.ts';
import { Leader } from './leader.ts';
import type { FromAcceptor } from './messages.ts';
import type { Answer, Finish, Forward, Forwarded, ForwardedProgress, LedLog, PeerMessage, Refused } from './peers.ts';
import { tell, WATCHED_MAX } from './progress.ts';
import {
  backoffMs,
  note,
  PROPOSER_DEFAULTS,
  type Context,
  type Proposal,
  type ProposerEffect,
  type ProposerEvent,
  type ProposerOptions,
} from './proposing.ts';
import type { QuorumSystem } from './quorum.ts';
import { Round } from './round.ts';
import type { Machine, Moment } from './step.ts';

export type { ProposerEvent } from './proposing.ts';

interface Move {
  readonly token: number;
  readonly to: number;
  readonly until: number;
  isHandedOver: boolean;
}

/** What a client or a peer gives. */
interface Demand extends Pick<Forward, 'log' | 'entry' | 'retry' | 'timeoutMs'> {
  readonly protocol?: 'basic' | 'multi' | 'fast';
  readonly progress?: boolean;
  readonly relayed?: boolean;
  readonly fast?: boolean | undefined;
}

interface Outgoing {
  readonly proposal: Proposal;
  /** Something else had left this proposer before: a peer that hands it back untouched does not change that. */
  readonly wasSent: boolean;
  readonly peer: number;
  readonly at: number;
}

/** Slots that one round finishes, and rounds that finish at once. */
const FINISH_SLOTS = 1_000;
const FINISH_ROUNDS = 16;

const SHUTTING_DOWN = 'this proposer is shutting down';

export class Proposer implements Machine<ProposerEvent, ProposerEffect> {
  readonly #ctx: Context;
  readonly #election: Election;
  readonly #leaders = new Map<string, Leader>();
  /** Logs that time or new work may move: the rest is left alone. */
  readonly #active = new Set<Leader>();
  readonly #touched = new Set<Leader>();
  readonly #decrees: Decrees;
  readonly #fast: FastLogs;
  /** Logs whose leader here gives them up to open them for fast voting. */
  readonly #opening = new Set<string>();
  /** Slots being finished, by log. */
  readonly #finishing = new Map<string, Round>();
  #probe: Round | undefined;
  #probeNext = 0;
  #probeAt: number;
  readonly #pending = new Map<number, Proposal>();
  readonly #forwarded = new Map<number, Outgoing>();
  #forwardId = 1;
  /** Pending proposals whose progress is told. */
  #watched = 0;
  #internalToken = -1;
  /** Logs whose next campaign may go past a leader's grace. */
  readonly #override = new Set<string>();
  /** Logs that an operator moves: first this leader resigns, then the operator is told once the other one leads. */
  readonly #moves = new Map<string, Move>();
  #draining = false;
  #drained = false;
  #tickAt: number | undefined;
  #paused = false;

  constructor(
    self: Owner,
    quorum: QuorumSystem,
    proposers: readonly number[],
    noOp: Uint8Array,
    options: Partial<ProposerOptions> = {},
  ) {
    this.#ctx = {
      self,
      quorum,
      noOp,
      options: { ...PROPOSER_DEFAULTS, ...options },
      now: 0,
      random: 0,
      lastRound: 0,
      down: 0,
      out: [],
    };
    this.#decrees = new Decrees(this.#ctx, (proposal, answer) => {
      this.#answer(proposal, answer);
    });
    this.#fast = new FastLogs(this.#ctx, {
      answer: (proposal, answer) => {
        this.#answer(proposal, answer);
      },
      toLeader: (log, proposals, opener) => {
        if (opener !== undefined && opener !== self.proposer) this.#leader(log).hint = opener;
        for (const proposal of proposals) this.#queue(proposal);
      },
    });
    this.#election = new Election(this.#ctx, proposers);
    this.#probeAt = -Infinity;
  }

  step(event: ProposerEvent, moment: Moment): ProposerEffect[] {
    const ctx = this.#ctx;
    ctx.now = moment.now;
    ctx.random = moment.random;
    this.#handle(event);
    // Rounds move by what acceptors say of their log, and by time.
    if (event.kind === 'acceptor') this.#finishRounds(event.message.log);
    else if (event.kind === 'tick') this.#finishAllRounds();
    return this.#settle(ctx.out.splice(0));
  }

  #handle(event: ProposerEvent): void {
    switch (event.kind) {
      case 'propose':
        return this.#onPropose(event);
      case 'cancel':
        return this.#cancel(event.token);
      case 'acceptor':
        return this.#onAcceptor(event.from, event.message);
      case 'acceptor-up':
        this.#ctx.down &= ~(1 << event.acceptor);
        for (const leader of this.#leaders.values()) leader.onAcceptorUp(event.acceptor);
        this.#fast.onAcceptorUp(event.acceptor);
        return;
      case 'acceptor-down':
        this.#ctx.down |= 1 << event.acceptor;
        return;
      case 'peer':
        return this.#onPeer(event.from, event.message);
      case 'peer-down':
        if (event.refused) this.#takeOver(event.peer, this.#election.onRefused(event.peer));
        return;
      case 'peer-listed':
        return this.#election.add(event.peer);
      case 'peer-forgotten':
        return this.#takeOver(event.peer, this.#election.forget(event.peer));
      case 'sessions':
        this.#fast.onSessions(event.log, event.next, event.admission);
        return this.#with(event.log, (leader) => {
          leader.onSessions(event.next, event.admission);
        });
      case 'slot':
        return this.#decrees.onSlot(event.log, event.entry);
      case 'finish':
        return this.#onFinish({ ...event, kind: 'finish' });
      case 'move':
        return this.#onMove(event);
      case 'drain':
        return this.#onDrain();
      case 'tick':
        return this.#onTick();
      case 'turn':
        return this.#onTurn();
      default:
        return assertNever(event);
    }
  }

  // ── proposals ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onPropose(event: ProposerEvent & { kind: 'propose' }): void {
    const { options } = this.#ctx;
    const isFast = event.protocol === 'fast';
    const proposal = this.#admit(event.token, event, undefined);
    if (this.#draining) return this.#refuse(proposal, 'UNAVAILABLE', 'this proposer is shutting down; use another one');
    if (this.#pending.size > options.inFlightMax)
      return this.#refuse(
        proposal,
        'RESOURCE_EXHAUSTED',
        `this proposer holds ${String(options.inFlightMax)} proposals (proposals.in-flight.max) and takes no more until some are answered`,
      );
    if (event.protocol === 'basic' || (event.protocol === 'fast' && event.decree === true))
      this.#decrees.propose(proposal, event.protocol);
    else if (isFast) this.#proposeFast(proposal);
    else this.#queue(proposal);
  }

  /** Straight to the acceptors, unless the log is led or on its way to be. */
  #proposeFast(proposal: Proposal): void {
    const { log } = proposal;
    const leader = this.#leaders.get(log);
    const isFree = leader === undefined || (leader.state === 'idle' && leader.queued === 0);
    if (isFree && this.#election.ledBy(log) === undefined) return this.#fast.propose(proposal);
    proposal.path = 'classic';
    this.#fast.wish(log);
    this.#queue(proposal);
  }

  #admit(token: number, demand: Demand, via: Proposal['via']): Proposal {
    const { log, entry, retry, timeoutMs, protocol = 'multi', relayed = false } = demand;
    const fast = protocol === 'fast' || demand.fast === true;
    const { now } = this.#ctx;
    const progress = demand.progress === true && this.#watched < WATCHED_MAX;
    const proposal: Proposal = {
      ...{ token, log, entry, retry, sent: false, done: false, since: now, deadline: now + timeoutMs, via, relayed },
      ...{ progress, protocol, fast, cameAsRetry: retry, lastSlot: -1, earlierSlot: -1, rounds: 0 },
    };
    this.#pending.set(token, proposal);
    if (progress) this.#watched++;
    else if (demand.progress === true) this.#ctx.out.push({ kind: 'progress', token, progress: { kind: 'untold' } });
    return proposal;
  }

  #queue(proposal: Proposal): void {
    const leader = this.#leader(proposal.log);
    leader.enqueue(proposal);
    this.#touch(leader);
  }

  #leader(log: string): Leader {
    let leader = this.#leaders.get(log);
    if (leader === undefined) this.#leaders.set(log, (leader = new Leader(this.#ctx, log)));
    return leader;
  }

  #with(log: string, act: (leader: Leader) => void): void {
    const leader = this.#leaders.get(log);
    if (leader === undefined) return;
    act(leader);
    this.#touch(leader);
  }

  #touch(leader: Leader): void {
    this.#touched.add(leader);
    this.#active.add(leader);
    this.#election.setLed(leader.log, leader.isServing ? leader.ballot : undefined);
  }

  #cancel(token: number): void {
    const proposal = this.#pending.get(token);
    if (proposal === undefined) return;
    this.#close(proposal);
  }

  #close(proposal: Proposal): void {
    proposal.done = true;
    this.#pending.delete(proposal.token);
    if (proposal.progress) this.#watched--;
  }

  #refuse(proposal: Proposal, code: Refused['code'], message: string, leader?: number): void {
    this.#answer(proposal, { kind: 'refused', code, message, outcome: 'none', leader });
  }

  /** Answers; a refusal of what was sent, here or before, says that its outcome is unknown (R15). */
  #answer(proposal: Proposal, answer: Answer): void {
    const outcome: Outcome = proposal.sent || proposal.retry ? 'unknown' : 'none';
    const said = answer.kind === 'refused' && answer.outcome === 'none' ? { ...answer, outcome } : answer;
    this.#ctx.out.push({ kind: 'answer', token: proposal.token, answer: said });
  }

  /** What was sent FAST and went to a leader, this one or another, says so. */
  #onWay({ log, path, rounds, since }: Proposal, answer: Answer, effects: ProposerEffect[]): Answer {
    if (answer.kind !== 'chosen' || path === undefined || answer.path !== undefined) return answer;
    const outcome = path === 'recovered' ? 'recovered' : 'fallback';
    effects.push({ kind: 'note', note: { kind: 'fast', log, outcome, ms: this.#ctx.now - since } });
    return { ...answer, path, rounds: Math.max(1, rounds) };
  }

  /** Turns what is said to a peer's proposals into messages, and forgets what is answered. */
  #settle(effects: ProposerEffect[]): ProposerEffect[] {
    const count = effects.length;
    for (let i = 0; i < count; i++) {
      let effect = effects[i];
      if (effect?.kind !== 'answer' && effect?.kind !== 'progress') continue;
      const proposal = this.#pending.get(effect.token);
      if (proposal === undefined) continue;
      if (effect.kind === 'answer') {
        this.#close(proposal);
        const answer = this.#onWay(proposal, effect.answer, effects);
        effects[i] = effect = { ...effect, answer };
        effects.push({ kind: 'ended', proposal, answer });
      }
      if (proposal.via === undefined) continue;
      const { id, incarnation } = proposal.via;
      const message: Forwarded | ForwardedProgress =
        effect.kind === 'answer'
          ? { kind: 'forwarded', id, incarnation, answer: effect.answer }
          : { kind: 'progress', id, incarnation, progress: effect.progress };
      effects[i] = { kind: 'to-peer', to: proposal.via.peer, message };
    }
    return effects;
  }

  // ── routing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Moves what waits for a log: to its leader, or by campaigning here. */
  #route(leader: Leader): void {
    const ctx = this.#ctx;
    const isEager = ctx.now < leader.eagerUntil && !this.#draining;
    if (leader.state !== 'idle' || ctx.now < leader.notBefore || (leader.queued === 0 && !isEager)) return;
    const target = isEager ? ctx.self.proposer : this.#target(leader);
    if (target === ctx.self.proposer) return this.#campaign(leader, 'proposals wait');
    const stays: Proposal[] = [];
    for (const proposal of leader.takeQueue()) {
      if (proposal.done) continue;
      if (proposal.via === undefined) this.#forward(proposal, target);
      else if (!this.#handOn(proposal, leader)) stays.push(proposal);
    }
    if (stays.length === 0) return;
    if (this.#draining && this.#mayResign(leader)) {
      // Won here, it would be resigned at once, and the peer would send it here again.
      for (const proposal of stays) this.#refuse(proposal, 'UNAVAILABLE', SHUTTING_DOWN);
      return;
    }
    // A peer could not do better than to send them here, and nobody is known to lead.
    for (const proposal of stays) leader.enqueue(proposal);
    // Acceptors name the very peer that forwards: asked again at once, they would say the same.
    if (leader.pause(backoffMs(ctx, leader.attempts))) return;
    this.#campaign(leader, 'a peer forwards, and nobody is known to lead');
  }

  /** What a peer forwarded goes on, once, to a leader that the peer may not reach. False: nobody is known to lead. */
  #handOn(proposal: Proposal, leader: Leader): boolean {
    const hint =
      leader.hint !== undefined && leader.refusedAsLed && this.#election.isAlive(leader.hint) ? leader.hint : undefined;
    const leads = this.#election.ledBy(proposal.log) ?? hint;
    if (leads === undefined || leads === proposal.via?.peer || leads === this.#ctx.self.proposer) return false;
    if (proposal.relayed)
      this.#refuse(proposal, 'UNAVAILABLE', `proposer ${String(leads)} leads log "${proposal.log}"`, leads);
    else this.#forward(proposal, leads);
    return true;
  }

  #target(leader: Leader): number {
    const self = this.#ctx.self.proposer;
    if (this.#override.has(leader.log)) return self;
    const known = leader.hint ?? this.#election.ledBy(leader.log);
    if (known !== undefined && this.#election.isAlive(known) && known !== self) return known;
    if (this.#draining) return this.#election.first(leader.log, 'self') ?? self;
    return this.#election.first(leader.log) ?? self;
  }

  #campaign(leader: Leader, why: string): void {
    const override = this.#override.delete(leader.log);
    leader.campaign(why, override);
    this.#touch(leader);
  }

  /** Gives a proposal to the leader. */
  #forward(proposal: Proposal, to: number): void {
    const ctx = this.#ctx;
    const id = this.#forwardId++;
    const message: Forward = {
      kind: 'forward',
      id,
      incarnation: ctx.self.incarnation,
      log: proposal.log,
      entry: proposal.entry,
      retry: proposal.retry,
      relayed: proposal.via !== undefined,
      fast: proposal.fast,
      timeoutMs: Math.max(1, Math.ceil(proposal.deadline - ctx.now)),
      progress: proposal.progress,
    };
    this.#forwarded.set(id, { proposal, wasSent: proposal.sent, peer: to, at: ctx.now });
    // R15: until the peer answers, it may have proposed it.
    proposal.sent = true;
    proposal.rounds++;
    ctx.out.push({ kind: 'to-peer', to, message });
    note(ctx, { kind: 'forwarded', log: proposal.log, to });
    tell(ctx, proposal, { kind: 'forwarded', to });
  }

  #onForward(from: number, message: Forward): void {
    const { log, id, incarnation } = message;
    const proposal = this.#admit(this.#internalToken--, message, { peer: from, id, incarnation });
    if (message.fast === true) this.#fast.wish(log);
    if (this.#draining) return this.#refuse(proposal, 'UNAVAILABLE', SHUTTING_DOWN);
    if (this.#pending.size > this.#ctx.options.inFlightMax)
      return this.#refuse(
        proposal,
        'RESOURCE_EXHAUSTED',
        `the leader holds ${String(this.#ctx.options.inFlightMax)} proposals (proposals.in-flight.max)`,
      );
    // Who forwards does not lead, whatever was believed of it.
    const leader = this.#leader(log);
    if (leader.hint === from) leader.hint = undefined;
    // It came while the log was led here. A leader again would close what is being opened for it.
    if (message.fast === true && leader.state === 'idle' && this.#fast.isOpener(log)) this.#fast.propose(proposal);
    else this.#queue(proposal);
  }

  #onForwardedProgress({ id, incarnation, progress }: ForwardedProgress): void {
    if (incarnation !== this.#ctx.self.incarnation) return;
    const outgoing = this.#forwarded.get(id);
    if (outgoing !== undefined) tell(this.#ctx, outgoing.proposal, progress);
  }

  #onForwarded(message: Forwarded): void {
    // An answer to an earlier start of this proposer: its ids were the same, its proposals were not.
    if (message.incarnation !== this.#ctx.self.incarnation) return;
    const outgoing = this.#forwarded.get(message.id);
    // An answer to a sending that was given up: a later sending of the same id has, or gets, the answer that counts (R12).
    if (outgoing === undefined) return;
    this.#forwarded.delete(message.id);
    const { proposal } = outgoing;
    if (proposal.done) return;
    const { answer } = message;
    if (answer.kind === 'refused' && answer.outcome === 'none') proposal.sent = outgoing.wasSent;
    if (answer.kind === 'refused' && answer.code === 'UNAVAILABLE') {
      if (answer.outcome === 'unknown') this.#markSent(proposal);
      const leader = this.#leader(proposal.log);
      leader.hint = answer.leader === outgoing.peer ? undefined : answer.leader;
      // It names a leader that cannot be heard from here: no better than a campaign that failed.
      if (leader.hint !== undefined && !this.#election.isAlive(leader.hint) && ++leader.attempts >= 2)
        this.#override.add(leader.log);
      leader.notBefore = Math.max(
        leader.notBefore,
        this.#ctx.now + backoffMs(this.#ctx, answer.leader === undefined ? 2 : 0),
      );
      this.#queue(proposal);
      return;
    }
    if (answer.kind === 'refused' && answer.outcome === 'unknown') this.#markSent(proposal);
    this.#answer(proposal, answer);
  }

  #markSent(proposal: Proposal): void {
    proposal.sent = true;
    proposal.retry = true;
  }

  /** Takes back what was given to a peer: it may or may not have proposed it, so it goes on as a retry. */
  #takeBack(which: (outgoing: Outgoing) => boolean, then: (leader: Leader) => void): void {
    for (const [id, outgoing] of this.#forwarded) {
      if (!which(outgoing)) continue;
      this.#forwarded.delete(id);
      if (outgoing.proposal.done) continue;
      this.#markSent(outgoing.proposal);
      const leader = this.#leader(outgoing.proposal.log);
      then(leader);
      this.#queue(outgoing.proposal);
    }
  }

  // ── acceptors ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onAcceptor(from: number, message: FromAcceptor): void {
    this.#fast.onAcceptor(from, message);
    if (message.kind === 'opened') return;
    const leader = this.#leaders.get(message.log);
    if (message.kind === 'would-promise') {
      leader?.onWouldPromise(from, message);
      if (leader !== undefined) this.#afterCampaign(leader);
      return;
    }
    const rounds = [
      this.#decrees.attempt(message.log),
      this.#finishing.get(message.log),
      this.#probe?.log === message.log ? this.#probe : undefined,
    ];
    for (const target of [leader, ...rounds]) {
      if (target === undefined) continue;
      switch (message.kind) {
        case 'promised':
          target.onPromised(from, message);
          break;
        case 'accepted':
          target.onAccepted(from, message);
          break;
        case 'rejected':
          target.onRejected(from, message);
          break;
        default:
          assertNever(message);
      }
    }
    this.#decrees.tell(from, message);
    if (leader !== undefined) this.#afterCampaign(leader);
  }

  /** A campaign may just have failed: decides where the log's work goes next, and when. */
  #afterCampaign(leader: Leader): void {
    this.#touch(leader);
    if (!leader.hasFailed) return;
    leader.hasFailed = false;
    const ctx = this.#ctx;
    if (ctx.now < leader.eagerUntil) {
      // It was handed over: its leader's resignation reaches the acceptors at any moment.
      leader.notBefore = ctx.now + backoffMs(ctx, 1);
      return;
    }
    const hinted = leader.hint !== undefined && leader.hint !== ctx.self.proposer;
    if (hinted && this.#election.isAlive(leader.hint ?? 0)) return;
    // Acceptors still give their leader its grace, and it cannot be heard from here: another proposer may hear it, and after two
    // timeouts we ask past it.
    if (leader.refusedAsLed && leader.attempts >= 2) this.#override.add(leader.log);
    leader.hint = leader.refusedAsLed && leader.attempts < 2 ? this.#election.first(leader.log, 'self') : undefined;
    leader.notBefore = ctx.now + (leader.refusedAsLed ? ctx.options.timeoutMs / 2 : backoffMs(ctx, leader.attempts));
  }

  // ── decrees, the probe, finishing ────────────────────────────────────────────────────────────────────────────────────

  #finishAllRounds(): void {
    this.#decrees.settleAll();
    for (const log of [...this.#finishing.keys()]) this.#finishRounds(log);
    if (this.#probe !== undefined) this.#finishRounds(this.#probe.log);
  }

  #finishRounds(log: string): void {
    this.#decrees.settle(log);
    const finishing = this.#finishing.get(log);
    if (finishing?.result !== undefined) {
      this.#finishing.delete(log);
      const { result } = finishing;
      if (result.kind === 'led')
        this.#ctx.out.push({ kind: 'to-peer', to: result.leader, message: finishOf(finishing) });
    }
    const probe = this.#probe;
    if (probe?.log !== log || probe.result === undefined) return;
    this.#probe = undefined;
    if (probe.result.kind !== 'chosen') return;
    this.#probeNext = probe.result.from + probe.result.batch.count;
    const ms = this.#ctx.now - probe.since;
    note(this.#ctx, { kind: 'proposal', protocol: 'probe', outcome: 'chosen', ms, count: 1 });
  }

  #onFinish(finish: Finish): void {
    const leader = this.#leaders.get(finish.log);
    if (leader?.isLeading === true) {
      leader.finish(finish.from, finish.to);
      return this.#touch(leader);
    }
    if (leader !== undefined && leader.state !== 'idle') return;
    const other = this.#election.ledBy(finish.log);
    if (other !== undefined) {
      this.#ctx.out.push({ kind: 'to-peer', to: other, message: finish });
      return;
    }
    if (
      this.#finishing.has(finish.log) ||
      this.#decrees.has(finish.log) ||
      this.#finishing.size >= FINISH_ROUNDS ||
      finish.log === this.#probe?.log
    )
      return;
    const to = Math.min(finish.to, finish.from + FINISH_SLOTS);
    this.#finishing.set(
      finish.log,
      new Round(this.#ctx, finish.log, { kind: 'finish', from: finish.from, to }, finish.from),
    );
  }

  // ── peers ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onPeer(from: number, message: PeerMessage): void {
    switch (message.kind) {
      case 'heartbeat':
        return this.#election.onHeartbeat(message);
      case 'led-change':
        return this.#election.onLedChange(from, message);
      case 'led?':
        return this.#election.onLedQuestion(from);
      case 'take-over': {
        const leader = this.#leader(message.log);
        if (!this.#draining) this.#takeOverNow(leader, `handed over by proposer ${String(from)}`);
        return;
      }
      case 'forward':
        return this.#onForward(from, message);
      case 'forwarded':
        return this.#onForwarded(message);
      case 'progress':
        return this.#onForwardedProgress(message);
      case 'finish':
        return this.#onFinish(message);
      default:
        return assertNever(message);
    }
  }

  /** A peer is silent: what it led moves, what it was given comes back. */
  #takeOver(peer: number, led: readonly LedLog[]): void {
    for (const { log, ballot } of led) {
      const leader = this.#leader(log);
      if (leader.hint === peer) leader.hint = undefined;
      leader.learn(ballot);
      if (this.#election.first(log) === this.#ctx.self.proposer && !this.#draining)
        this.#takeOverNow(leader, `proposer ${String(peer)} is silent`);
    }
    this.#takeBack(
      (outgoing) => outgoing.peer === peer,
      (leader) => {
        if (leader.hint === peer) leader.hint = undefined;
        leader.notBefore = 0;
      },
    );
  }

  // ── moving leadership ────────────────────────────────────────────────────────────────────────────────────────────────

  #onMove(event: ProposerEvent & { kind: 'move' }): void {
    const refuse = (message: string, leader?: number): void => {
      const answer: Refused = { kind: 'refused', code: 'FAILED_PRECONDITION', message, outcome: 'none', leader };
      this.#ctx.out.push({ kind: 'answer', token: event.token, answer });
    };
    const leader = this.#leader(event.log);
    if (!this.#election.isAlive(event.to)) return refuse(`proposer ${String(event.to)} is not known to be alive`);
    const other = this.#election.ledBy(event.log) ?? leader.hint;
    const { self, options, now } = this.#ctx;
    if (event.to === self.proposer && leader.isLeading)
      return this.#moved(event.log, event.token, event.to, leader.ballot);
    if (!leader.isLeading && other !== undefined && other !== event.to && this.#election.isAlive(other))
      return refuse(`log "${event.log}" is led by proposer ${String(other)}; ask it`, other);
    const before = this.#moves.get(event.log);
    if (before !== undefined)
      return refuse(`log "${event.log}" is being moved to proposer ${String(before.to)} already`);
    const move: Move = {
      token: event.token,
      to: event.to,
      until: now + 4 * options.timeoutMs,
      isHandedOver: !leader.isLeading,
    };
    this.#moves.set(event.log, move);
    if (leader.isLeading) leader.startResigning();
    else if (event.to === self.proposer) this.#takeOverNow(leader, 'an operator moved the log here');
    else this.#ctx.out.push({ kind: 'to-peer', to: event.to, message: { kind: 'take-over', log: event.log } });
    this.#touch(leader);
  }

  #takeOverNow(leader: Leader, why: string): void {
    leader.hint = undefined;
    leader.eagerUntil = this.#ctx.now + 4 * this.#ctx.options.timeoutMs;
    if (leader.state === 'idle') this.#campaign(leader, why);
  }

  #moved(log: string, token: number, to: number, ballot: Ballot | undefined): void {
    this.#moves.delete(log);
    this.#ctx.out.push({
      kind: 'answer',
      token,
      answer: { kind: 'chosen', slot: 0, ballot, entry: undefined, leader: to },
    });
  }

  /** Tells operators whose log has its new leader, or has none in time. */
  #checkMoves(): void {
    for (const [log, move] of this.#moves) {
      const leader = this.#leaders.get(log);
      const isHere = move.to === this.#ctx.self.proposer;
      const ballot = isHere ? leader?.ballot : this.#election.ballotOf(move.to, log);
      if (move.isHandedOver && ballot !== undefined) this.#moved(log, move.token, move.to, ballot);
      else if (this.#ctx.now >= move.until) {
        this.#moves.delete(log);
        const message = `proposer ${String(move.to)} does not lead log "${log}" yet; see synodctl status`;
        this.#ctx.out.push({
          kind: 'answer',
          token: move.token,
          answer: { kind: 'refused', code: 'UNAVAILABLE', message, outcome: 'unknown', leader: undefined },
        });
      }
    }
  }

  #onDrain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#override.clear();
    for (const leader of this.#leaders.values()) if (leader.isLeading) this.#touch(leader);
  }

  /** While draining: resign at once where a peer can go on, else when all that waits is answered. */
  #mayResign(leader: Leader): boolean {
    return this.#pending.size === 0 || this.#election.first(leader.log, 'self') !== undefined;
  }

  #tryResign(leader: Leader): void {
    const move = this.#moves.get(leader.log);
    if (this.#opening.has(leader.log)) return this.#tryOpen(leader);
    if (!leader.isResigning) {
      if (move?.isHandedOver === false) this.#endMove(leader, move.token);
      return;
    }
    const to = move?.to ?? this.#election.first(leader.log, 'self');
    if (!leader.tryResign(move === undefined ? 'shutting down' : 'an operator moved the log')) return;
    if (move !== undefined) move.isHandedOver = true;
    leader.hint = to;
    if (to !== undefined) this.#ctx.out.push({ kind: 'to-peer', to, message: { kind: 'take-over', log: leader.log } });
    this.#touch(leader);
  }

  /** A leader that has nothing in flight gives the log up, and opens it for fast voting. */
  #tryOpen(leader: Leader): void {
    const { ballot } = leader;
    if (leader.isResigning && !leader.tryResign('the log is opened for fast voting')) return;
    this.#opening.delete(leader.log);
    if (ballot === undefined || this.#draining) return;
    leader.learn(ballot);
    this.#fast.open(leader.log, ballot);
    // What gathered meanwhile takes the fast ballot as well; a leader for it would close the log.
    for (const proposal of leader.takeQueue())
      if (proposal.fast === true) this.#fast.propose(proposal);
      else leader.enqueue(proposal);
    this.#touch(leader);
  }

  /** The log was lost to somebody else before it could be handed over. */
  #endMove(leader: Leader, token: number): void {
    this.#moves.delete(leader.log);
    const message = `this proposer lost log "${leader.log}" before it could hand it over; see who leads it now`;
    const answer = { kind: 'refused', code: 'ABORTED', message, outcome: 'none', leader: leader.hint } as const;
    this.#ctx.out.push({ kind: 'answer', token, answer });
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onTurn(): void {
    if (this.#draining)
      for (const leader of this.#leaders.values()) if (leader.isServing && this.#mayResign(leader)) this.#touch(leader);
    for (const leader of this.#touched) {
      if (this.#draining && leader.isServing && this.#mayResign(leader)) leader.startResigning();
      leader.pump();
      this.#route(leader);
      this.#tryResign(leader);
      this.#election.setLed(leader.log, leader.isServing ? leader.ballot : undefined);
      this.#forget(leader);
    }
    this.#touched.clear();
    this.#checkMoves();
    this.#election.announce();
    if (!this.#draining || this.#drained || this.#pending.size > 0) return;
    for (const leader of this.#leaders.values()) if (leader.isLeading) return;
    this.#drained = true;
    this.#ctx.out.push({ kind: 'drained' });
  }

  /** Names are chosen by clients: a log that is not led here, and has nothing waiting, is forgotten. */
  #forget(leader: Leader): void {
    if (leader.state !== 'idle' || leader.needsTick) return;
    // It must not be ticked again: by then another one may stand under its log's name, perhaps leading.
    this.#active.delete(leader);
    if (this.#leaders.get(leader.log) === leader) this.#leaders.delete(leader.log);
  }

  #onTick(): void {
    const ctx = this.#ctx;
    const slept = this.#tickAt === undefined ? 0 : ctx.now - this.#tickAt;
    this.#tickAt = ctx.now;
    if (slept > 2 * ctx.options.heartbeatMs && !this.#paused) {
      // A pause of our own: what looks late may wait in the inbox. Look again at the next tick, however late that is.
      this.#paused = true;
      note(ctx, { kind: 'pause', ms: slept });
      return this.#election.onPause();
    }
    this.#paused = false;
    for (const { peer, led } of this.#election.onTick()) this.#takeOver(peer, led);
    this.#expire();
    this.#tickForwarded();
    for (const leader of this.#active) {
      leader.onTick();
      this.#afterCampaign(leader);
      if (!leader.needsTick) this.#active.delete(leader);
      this.#forget(leader);
    }
    this.#decrees.onTick();
    this.#fast.onTick();
    if (!this.#draining) this.#openLogs();
    for (const round of this.#finishing.values()) round.onTick();
    this.#tickProbe();
  }

  /** Logs that are led here, and should be open for FAST proposals: nobody asks for a leader. */
  #openLogs(): void {
    const { now, options } = this.#ctx;
    for (const log of this.#fast.due()) {
      const leader = this.#leaders.get(log);
      if (leader?.isServing !== true || leader.isNeeded || this.#moves.has(log)) continue;
      // It may be wished for since long before: who was elected, or was given the log by an operator, leads it first.
      if (now - (leader.since ?? now) < options.fastWaitMsMin) continue;
      this.#opening.add(leader.log);
      leader.startResigning();
      this.#touch(leader);
    }
  }

  /** Work given to a leader that does not answer in two timeouts: it comes back, and may go past that leader's grace. */
  #tickForwarded(): void {
    const { now, options } = this.#ctx;
    this.#takeBack(
      (outgoing) => now - outgoing.at >= 2 * options.timeoutMs,
      (leader) => this.#override.add(leader.log),
    );
  }

  #expire(): void {
    const { now } = this.#ctx;
    for (const proposal of this.#pending.values()) {
      if (now < proposal.deadline) continue;
      const waited = Math.round(now - proposal.since);
      this.#answer(proposal, {
        kind: 'refused',
        code: 'DEADLINE_EXCEEDED',
        message: `not chosen within ${String(waited)} ms: ${this.#whyLate(proposal)}`,
        outcome: 'none',
        leader: undefined,
      });
      note(this.#ctx, { kind: 'proposal', protocol: 'multi', outcome: 'timeout', ms: waited, count: 1 });
    }
    this.#decrees.expire();
    for (const [log, round] of this.#finishing)
      if (now - round.since > 10 * this.#ctx.options.timeoutMs) this.#finishing.delete(log);
  }

  #whyLate(proposal: Proposal): string {
    const leader = this.#leaders.get(proposal.log);
    if (this.#decrees.has(proposal.log))
      return 'no quorum of acceptors answered, or other proposers kept asking with higher ballots';
    switch (leader?.state) {
      case 'leading':
        return proposal.sent
          ? 'no quorum of acceptors voted for it'
          : 'this proposer leads, but had no room or no learner to load sessions from';
      case 'asking':
      case 'preparing':
        return 'no quorum of acceptors answered';
      default:
        return proposal.sent ? 'the leader did not answer' : 'no leader could be found or elected';
    }
  }

  #tickProbe(): void {
    const { now, options, self, random } = this.#ctx;
    if (this.#probeAt === -Infinity) this.#probeAt = now + random * options.probeMs;
    if (this.#probe !== undefined) {
      this.#probe.onTick();
      if (now - this.#probe.since > options.probeMs / 2) {
        note(this.#ctx, {
          kind: 'proposal',
          protocol: 'probe',
          outcome: 'timeout',
          ms: now - this.#probe.since,
          count: 1,
        });
        this.#probe = undefined;
      }
      return;
    }
    if (now < this.#probeAt || this.#draining) return;
    this.#probeAt = now + options.probeMs;
    this.#probe = new Round(
      this.#ctx,
      `${RESERVED_LOG_PREFIX}probe.${String(self.proposer)}`,
      { kind: 'probe' },
      this.#probeNext,
    );
  }

  // ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────

  get pending(): number {
    return this.#pending.size;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** The live proposer that leads the log, as far as is known here. */
  leaderOf(log: string): number | undefined {
    if (this.#leaders.get(log)?.isServing === true) return this.#ctx.self.proposer;
    return this.#election.ledBy(log) ?? this.#leaders.get(log)?.hint;
  }

  peers(): { id: number; alive: boolean; led: number }[] {
    return [...this.#election.peers()];
  }

  get ledCount(): number {
    return this.#election.ledLogs.size;
  }

  /** The logs that this proposer leads, or tries to. */
  *status(): IterableIterator<ProposerLogStatus> {
    for (const leader of this.#leaders.values()) {
      if (leader.state === 'idle' && leader.queued === 0) continue;
      yield {
        log: leader.log,
        state: leader.state,
        ballot: leader.ballot ?? BALLOT_ZERO,
        watermark: leader.watermark,
        next: leader.next,
        queued: leader.queued,
        inFlight: leader.inFlight,
      };
    }
  }
}

export interface ProposerLogStatus {
  readonly log: string;
  readonly state: Leader['state'];
  /** Ballot zero where it does not lead. */
  readonly ballot: Ballot;
  readonly watermark: number;
  readonly next: number;
  readonly queued: number;
  readonly inFlight: number;
}

function finishOf(round: Round): Finish {
  const { task } = round;
  return task.kind === 'finish'
    ? { kind: 'finish', log: round.log, from: task.from, to: task.to }
    : { kind: 'finish', log: round.log, from: 0, to: 1 };
}
