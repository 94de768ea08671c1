/**
 * Whether an acceptor may speak: the roster of disks, and starts (R5).
 *
 * A new cluster agrees on one roster {acceptor → disk}. The acceptor with the lowest id builds it once it knows every disk;
 * the others take it over. It is stored *pending* at all, and an acceptor calls it *complete* only when it saw the same roster
 * stored at all, so that no two rosters can both be complete. From then on a disk that is not on it is refused, and an
 * acceptor needs one other to start: the one that remembers its start.
 *
 *   1 (lowest id)                    2                              3
 *   │ ── ask{none} ────────────────▶ │ ── …every 250 ms, until answered, each to each
 *   │ ◀── {none, disk 2} ─────────── │
 *   │ persist pending{1,2,3}         │                              │
 *   │ ── ask{pending} ─────────────▶ │ persist pending, start of 1  │
 *   │ ◀── {pending, remembers 1} ─── │                              │
 *   │ ── ask{pending} ────────────────────────────────────────────▶ │ the same
 *   │ persist complete, then speak   │
 *
 * Each step can be repeated after a crash: a stored roster is told as it is stored, and never replaced. Questions are
 * answered whatever this acceptor's own standing, or a cluster that starts all at once would wait for itself.
 */
import { assert, assertNever } from '../base/assert.ts';
import type { Disks, Introduction, IntroductionAnswer, Remembered, Roster, RosterState } from './introduction.ts';
import { contradiction, remember, sameDisks, sameStart } from './introduction.ts';
import * as refusals from './refusals.ts';
import type { Machine, Moment } from './step.ts';

/** Milliseconds between questions to an acceptor while this one does not speak. */
export const ASK_EVERY_MS = 250;
/** Milliseconds between questions to an acceptor that does not remember this start, once this one speaks. */
export const MISSING_EVERY_MS = 1_000;
/** Milliseconds between tellings of start and position to an acceptor that remembers this start. */
export const ANNOUNCE_EVERY_MS = 10_000;
/** Milliseconds that the other acceptors are given to object after the first one stored this start. Makes detection better. */
export const OBJECTION_MS = 500;

export interface RosterSettings {
  readonly acceptor: number;
  /** Drawn when this disk was first used. */
  readonly disk: string;
  /** The acceptor ids of the configuration, this one included. */
  readonly acceptors: readonly number[];
}

export type RosterEvent =
  /** First, once. `position` is the newest journal position found on the disk; the machine counts the new start itself. */
  | { readonly kind: 'started'; readonly state: RosterState; readonly position: number }
  | { readonly kind: 'answered'; readonly from: number; readonly answer: IntroductionAnswer }
  | { readonly kind: 'asked'; readonly introduction: Introduction; readonly token: number }
  /** The state of the `persist` effect with this token is durable. */
  | { readonly kind: 'persisted'; readonly token: number }
  /** At least every 250 ms. `position` is the newest journal position that is synced. */
  | { readonly kind: 'tick'; readonly position: number }
  /** Tell everyone start and position now, for example before the process ends. */
  | { readonly kind: 'announce'; readonly position: number }
  /** A learner said, when it connected, what it durably remembers of this acceptor. */
  | { readonly kind: 'learner-remembers'; readonly learner: string; readonly remembered: Remembered };

export type RosterEffect =
  | { readonly kind: 'ask'; readonly to: number; readonly introduction: Introduction }
  /** Answers the question that came with this token. */
  | { readonly kind: 'reply'; readonly token: number; readonly answer: IntroductionAnswer }
  /** Replace what the disk keeps, then say `persisted`. The next one follows only after that. */
  | { readonly kind: 'persist'; readonly token: number; readonly state: RosterState }
  /** From now on this acceptor may promise, vote and answer reads. Once. */
  | { readonly kind: 'speak' }
  /** The process must end with this text, after the replies before it. Nothing follows. */
  | { readonly kind: 'refuse'; readonly reason: string }
  | { readonly kind: 'note'; readonly note: RosterNote };

export type RosterNote =
  | { readonly kind: 'roster-pending'; readonly disks: Disks }
  | { readonly kind: 'roster-complete'; readonly disks: Disks }
  | { readonly kind: 'start-remembered'; readonly by: number; readonly start: number }
  /** An acceptor introduced itself with a disk or a roster that does not belong here; it does not count. */
  | { readonly kind: 'stranger'; readonly acceptor: number; readonly disk: string };

export type Standing =
  | { readonly kind: 'waiting'; readonly why: string }
  | { readonly kind: 'speaking' }
  | { readonly kind: 'refused'; readonly reason: string };

interface Held {
  readonly token: number;
  readonly asker: Introduction;
  readonly version: number;
}

/** One acceptor's part in R5. Total over its events; after `refuse` it does nothing more. */
export class RosterKeeper implements Machine<RosterEvent, RosterEffect> {
  readonly #own: RosterSettings;
  readonly #others: readonly number[];

  /** What the disk will hold, and what it does hold; only the latter is ever told (R3). Versions count changes. */
  #wanted: RosterState | undefined;
  #durable: RosterState | undefined;
  #version = 0;
  #durableVersion = 0;
  #writing: { readonly state: RosterState; readonly version: number } | undefined;

  #draw = 0;
  #positionAtStart = -1;
  #position = -1;
  /** The disk held no roster when this start began. */
  #cameBare = false;

  /** Disks of acceptors that answered and hold no roster: what a new roster is built from. */
  readonly #fresh = new Map<number, string>();
  /** Acceptors that hold the roster stored here, pending or complete. */
  readonly #holders = new Set<number>();
  /** An acceptor calls the roster stored here complete, so all hold it. */
  #proven = false;
  /** Acceptors that hold another roster. */
  readonly #strangers = new Set<number>();
  readonly #answered = new Set<number>();
  /** Acceptors that durably remember this start, and when the first of them said so. */
  readonly #witnesses = new Set<number>();
  #witnessedAt = 0;
  readonly #askAt = new Map<number, number>();
  #held: Held[] = [];
  #speaking = false;
  #refused: string | undefined;

  constructor(settings: RosterSettings) {
    assert(settings.acceptors.includes(settings.acceptor), 'R5', () => 'an acceptor belongs to its own configuration');
    this.#own = settings;
    this.#others = settings.acceptors.filter((id) => id !== settings.acceptor);
  }

  /** For readiness and status: whether this acceptor speaks, and if not, what it waits for. */
  get standing(): Standing {
    if (this.#refused !== undefined) return { kind: 'refused', reason: this.#refused };
    return this.#speaking ? { kind: 'speaking' } : { kind: 'waiting', why: this.#waitsFor() };
  }

  /** This start of the acceptor, as it introduces itself. To be asked only after `started`. */
  get present(): Introduction {
    return this.#introduction(this.#position);
  }

  step(event: RosterEvent, moment: Moment): RosterEffect[] {
    if (this.#refused !== undefined) return [];
    const out: RosterEffect[] = [];
    this.#handle(event, moment, out);
    if (!this.#isRefused()) this.#advance(moment, out);
    if (!this.#isRefused()) {
      this.#flush(out);
      this.#askAll(moment.now, out);
    }
    return out;
  }

  #handle(event: RosterEvent, moment: Moment, out: RosterEffect[]): void {
    switch (event.kind) {
      case 'started':
        return this.#onStarted(event.state, event.position, moment, out);
      case 'asked':
        return this.#onAsked(event.introduction, event.token, out);
      case 'answered':
        return this.#onAnswered(event.from, event.answer, moment, out);
      case 'persisted':
        return this.#onPersisted(event.token, out);
      case 'announce':
        this.#askAt.clear();
        this.#position = Math.max(this.#position, event.position);
        return;
      case 'tick':
        this.#position = Math.max(this.#position, event.position);
        return;
      case 'learner-remembers':
        return this.#object(`learner ${event.learner}`, event.remembered, out);
      default:
        assertNever(event);
    }
  }

  #onStarted(state: RosterState, position: number, moment: Moment, out: RosterEffect[]): void {
    assert(this.#wanted === undefined, 'R5', () => 'an acceptor starts once in a process');
    const { roster } = state;
    this.#positionAtStart = this.#position = position;
    this.#draw = Math.floor(moment.random * 2 ** 48);
    this.#cameBare = roster.kind === 'none';
    this.#durable = state;
    this.#want({ ...state, start: state.start + 1 });
    if (roster.kind === 'none') return;
    if (roster.disks.get(this.#own.acceptor) !== this.#own.disk)
      return this.#refuse(refusals.otherAcceptorsDisk(this.#own, roster.disks), out);
    if (!this.#isOfConfiguration(roster.disks))
      this.#refuse(refusals.wrongConfiguration(this.#own, roster.disks, this.#own.acceptors), out);
  }

  /** Another acceptor introduces itself. It is answered in any case; what it says may also end this process. */
  #onAsked(asker: Introduction, token: number, out: RosterEffect[]): void {
    const objection = asker.acceptor === this.#own.acceptor ? this.#meetNamesake(asker) : this.#learnFrom(asker, out);
    if (objection === undefined) {
      this.#rememberAsker(asker);
      // R3: the answer tells what is durable, and waits for what this very question changed.
      this.#held.push({ token, asker, version: this.#version });
      return this.#release(out);
    }
    // Whoever disagrees must hear it, or only one of two that cannot go together would stop.
    if (this.#durableVersion > 0) this.#reply(token, asker, out);
    this.#refuse(objection, out);
  }

  #onAnswered(from: number, answer: IntroductionAnswer, moment: Moment, out: RosterEffect[]): void {
    const { introduction, remembered } = answer;
    // Not an acceptor of this configuration, or one that is reached under another's address: nothing it says counts here.
    if (introduction.acceptor !== from || !this.#others.includes(from)) return;
    this.#answered.add(from);
    if (remembered !== undefined) this.#object(`acceptor ${String(from)}`, remembered, out);
    if (this.#isRefused()) return;
    const objection = this.#learnFrom(introduction, out);
    if (objection !== undefined) return this.#refuse(objection, out);
    if (introduction.roster.kind === 'none') this.#fresh.set(from, introduction.disk);
    if (remembered === undefined || !sameStart(remembered, this.#self()) || !this.#isOnRoster(introduction)) return;
    if (this.#witnesses.has(from)) return;
    if (this.#witnesses.size === 0) this.#witnessedAt = moment.now;
    this.#witnesses.add(from);
    out.push({ kind: 'note', note: { kind: 'start-remembered', by: from, start: remembered.start } });
  }

  #onPersisted(token: number, out: RosterEffect[]): void {
    const writing = this.#writing;
    assert(writing?.version === token, 'R3', () => `persisted ${String(token)} was not being written`);
    const before = this.#durable?.roster.kind;
    this.#durable = writing.state;
    this.#durableVersion = token;
    this.#writing = undefined;
    const { roster } = writing.state;
    if (roster.kind !== before) {
      // Others wait for this news; no need to let them wait for the next question.
      this.#askAt.clear();
      if (roster.kind !== 'none')
        out.push({
          kind: 'note',
          note: { kind: roster.kind === 'pending' ? 'roster-pending' : 'roster-complete', disks: roster.disks },
        });
    }
    this.#release(out);
  }

  /** Takes in what an acceptor says of its roster. Returns why this process must end, if it must. */
  #learnFrom(told: Introduction, out: RosterEffect[]): string | undefined {
    const mine = this.#state().roster;
    const theirs = told.roster;
    if (mine.kind === 'none') return this.#learnWithoutRoster(told);
    if (theirs.kind === 'none' || sameDisks(mine.disks, theirs.disks)) {
      this.#strangers.delete(told.acceptor);
      // A disk that is not on the roster is refused: by its own process, which hears of the roster in the answer.
      if (mine.disks.get(told.acceptor) !== told.disk) this.#noteStranger(told, out);
      else if (theirs.kind !== 'none') this.#holders.add(told.acceptor);
      if (theirs.kind === 'complete') this.#proven = true;
      return undefined;
    }
    // R5: a stored roster is never replaced. A pending one that meets another can never be stored at all.
    if (mine.kind === 'pending') return refusals.rostersDiffer(this.#own, told, mine.disks, theirs.disks);
    // A complete one is not given up because one foreign acceptor came by; more than half of all are no accident.
    this.#strangers.add(told.acceptor);
    this.#noteStranger(told, out);
    if (this.#strangers.size * 2 <= this.#own.acceptors.length) return undefined;
    return refusals.outnumbered(this.#own, [...this.#strangers], mine.disks);
  }

  #learnWithoutRoster(told: Introduction): string | undefined {
    const theirs = told.roster;
    if (theirs.kind === 'none') {
      if (told.disk !== this.#own.disk) return undefined;
      return refusals.oneDiskTwice(this.#own, this.#own.acceptor, told.acceptor, told.disk);
    }
    if (theirs.disks.get(this.#own.acceptor) !== this.#own.disk)
      return refusals.notOnRoster(this.#own, told, theirs.disks);
    if (!this.#isOfConfiguration(theirs.disks))
      return refusals.wrongConfiguration(this.#own, theirs.disks, this.#own.acceptors);
    // Complete means that every disk stored it, this one too: it has lost that since.
    if (theirs.kind === 'complete')
      return refusals.lostRoster(this.#own, `acceptor ${String(told.acceptor)}`, undefined);
    this.#want({ ...this.#state(), roster: { kind: 'pending', disks: theirs.disks } });
    if (theirs.disks.get(told.acceptor) === told.disk) this.#holders.add(told.acceptor);
    return undefined;
  }

  /** Another process under this acceptor's own id: a copy of the disk, or an empty one. The later start stays. */
  #meetNamesake(asker: Introduction): string | undefined {
    if (asker.disk !== this.#own.disk || asker.start <= this.#self().start) return undefined;
    const why = `says that it is start ${String(asker.start)} of the same disk, and this is start ${String(this.#self().start)}`;
    return refusals.olderThanItWas(this.#own, 'another process', why);
  }

  #rememberAsker(asker: Introduction): void {
    const state = this.#state();
    // Remembering is of use only for disks that can speak, and those hold the roster. So it also proves that they held it.
    if (!this.#isOnRoster(asker) || asker.acceptor === this.#own.acceptor) return;
    const before = state.remembered.get(asker.acceptor);
    const after = remember(before, asker);
    if (after !== before) this.#want({ ...state, remembered: new Map(state.remembered).set(asker.acceptor, after) });
  }

  /** Ends this process if someone remembers that the disk was further than it is (R5). */
  #object(who: string, remembered: Remembered, out: RosterEffect[]): void {
    const own = { ...this.#self(), position: this.#positionAtStart };
    // Starts are remembered only of those that hold the roster: an earlier start held it, and this disk came without.
    if (this.#cameBare && !sameStart(own, remembered))
      return this.#refuse(refusals.lostRoster(this.#own, who, remembered.start), out);
    const why = this.contradiction(own, remembered);
    if (why !== undefined) this.#refuse(refusals.olderThanItWas(this.#own, who, why), out);
  }

  #advance(moment: Moment, out: RosterEffect[]): void {
    const state = this.#state();
    const stored = this.#durable?.roster.kind;
    // R3: nothing is concluded before the start itself is durable.
    if (this.#durableVersion === 0) return;
    if (state.roster.kind === 'none') return this.#build(out);
    if (state.roster.kind === 'pending') {
      // R5: complete only after the same roster was seen stored at all, this disk included.
      if (stored !== 'pending' || !(this.#proven || this.heldByAll(this.#holders.size, this.#others.length))) return;
      return this.#want({ ...state, roster: { kind: 'complete', disks: state.roster.disks } });
    }
    if (stored !== 'complete' || this.#speaking || !this.#isWitnessed(moment.now)) return;
    this.#speaking = true;
    out.push({ kind: 'speak' });
  }

  /** Only the lowest id builds a roster, so that crashes and wiped disks during bootstrap leave two of them less often. */
  #build(out: RosterEffect[]): void {
    if (this.#others.some((id) => id < this.#own.acceptor || !this.#fresh.has(id))) return;
    const disks = new Map<number, string>();
    for (const id of this.#own.acceptors) disks.set(id, this.#fresh.get(id) ?? this.#own.disk);
    const owner = new Map<string, number>();
    for (const [id, disk] of disks) {
      const first = owner.get(disk);
      if (first !== undefined) return this.#refuse(refusals.oneDiskTwice(this.#own, first, id, disk), out);
      owner.set(disk, id);
    }
    this.#want({ ...this.#state(), roster: { kind: 'pending', disks } });
  }

  /** R5: at least one other stored this start; those that can be reached had time to object. */
  #isWitnessed(now: number): boolean {
    if (this.#others.length === 0) return true;
    if (this.#witnesses.size === 0) return false;
    return this.#others.every((id) => this.#answered.has(id)) || now - this.#witnessedAt >= OBJECTION_MS;
  }

  #flush(out: RosterEffect[]): void {
    if (this.#writing !== undefined || this.#version === this.#durableVersion) return;
    this.#writing = { state: this.#state(), version: this.#version };
    out.push({ kind: 'persist', token: this.#version, state: this.#writing.state });
  }

  #askAll(now: number, out: RosterEffect[]): void {
    if (this.#durableVersion === 0) return;
    for (const to of this.#others) {
      if (now < (this.#askAt.get(to) ?? now)) continue;
      const witness = this.#witnesses.has(to);
      this.#askAt.set(to, now + (!this.#speaking ? ASK_EVERY_MS : witness ? ANNOUNCE_EVERY_MS : MISSING_EVERY_MS));
      // Until it stored this start, an acceptor is told the position the disk started from: it compares that with its memory.
      out.push({ kind: 'ask', to, introduction: this.#introduction(witness ? this.#position : this.#positionAtStart) });
    }
  }

  #release(out: RosterEffect[]): void {
    const ready = this.#held.filter((held) => held.version <= this.#durableVersion);
    this.#held = this.#held.filter((held) => held.version > this.#durableVersion);
    for (const held of ready) this.#reply(held.token, held.asker, out);
  }

  #reply(token: number, asker: Introduction, out: RosterEffect[]): void {
    const namesake = asker.acceptor === this.#own.acceptor && asker.disk === this.#own.disk;
    // What is remembered was said from the disk on the roster. One that is not on it is refused by the roster in this answer.
    const roster = this.#durable?.roster;
    const isOnRoster =
      roster !== undefined && roster.kind !== 'none' && roster.disks.get(asker.acceptor) === asker.disk;
    const known = isOnRoster ? this.#durable?.remembered.get(asker.acceptor) : undefined;
    const remembered = namesake ? this.#self() : known;
    out.push({ kind: 'reply', token, answer: { introduction: this.#introduction(this.#position), remembered } });
  }

  #introduction(position: number): Introduction {
    const roster: Roster = this.#durable?.roster ?? { kind: 'none' };
    return { acceptor: this.#own.acceptor, disk: this.#own.disk, roster, ...this.#self(), position };
  }

  #self(): Remembered {
    return { start: this.#state().start, draw: this.#draw, position: this.#position };
  }

  #state(): RosterState {
    assert(this.#wanted !== undefined, 'R5', () => 'an acceptor reads its disk before anything else');
    return this.#wanted;
  }

  #want(state: RosterState): void {
    this.#wanted = state;
    this.#version++;
  }

  #isOnRoster(told: Introduction): boolean {
    const mine = this.#state().roster;
    if (mine.kind === 'none' || told.roster.kind === 'none') return false;
    return mine.disks.get(told.acceptor) === told.disk && sameDisks(mine.disks, told.roster.disks);
  }

  #isOfConfiguration(disks: Disks): boolean {
    return disks.size === this.#own.acceptors.length && this.#own.acceptors.every((id) => disks.has(id));
  }

  #noteStranger(told: Introduction, out: RosterEffect[]): void {
    out.push({ kind: 'note', note: { kind: 'stranger', acceptor: told.acceptor, disk: told.disk } });
  }

  #refuse(reason: string, out: RosterEffect[]): void {
    this.#refused = reason;
    this.#speaking = false;
    out.push({ kind: 'refuse', reason });
  }

  #isRefused(): boolean {
    return this.#refused !== undefined;
  }

  #waitsFor(): string {
    if (this.#durableVersion === 0) return 'the number of this start is being written';
    const missing = (seen: { has(id: number): boolean }): string =>
      this.#others.filter((id) => !seen.has(id)).join(', ');
    const roster = this.#state().roster.kind;
    if (roster === 'none')
      return `new disk: waiting to hear from acceptors ${missing(this.#fresh)} to agree on a roster`;
    if (roster === 'pending') return `roster pending: waiting until acceptors ${missing(this.#holders)} have stored it`;
    return `waiting until one of acceptors ${this.#others.join(', ')} has stored start ${String(this.#self().start)}`;
  }

  /** The rule that makes a roster complete; a test replaces it to see the fault found. */
  protected heldByAll(holders: number, others: number): boolean {
    return holders === others;
  }

  /** The rule that finds an older disk; a test replaces it to see the fault found. */
  protected contradiction(own: Remembered, remembered: Remembered): string | undefined {
    return contradiction(own, remembered);
  }
}
