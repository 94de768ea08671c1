/**
 * Runs the roster machine (R5): reads and writes its state, carries its questions to the other acceptors, and opens the gate
 * that everything but introductions waits at.
 */
import { assertNever } from '../../shared/base/assert.ts';
import { messageOf, SynodError } from '../../shared/base/errors.ts';
import type { Introduction, IntroductionAnswer, Remembered, RosterState } from '../../shared/paxos/introduction.ts';
import { formatDisks } from '../../shared/paxos/introduction.ts';
import { RosterKeeper } from '../../shared/paxos/roster.ts';
import type { RosterEffect, RosterEvent, RosterNote, RosterSettings, Standing } from '../../shared/paxos/roster.ts';
import type { Clock, Random } from '../../shared/ports/clock.ts';
import { isNoSpace } from '../../shared/ports/disk.ts';
import type { Log } from '../../shared/ports/telemetry.ts';

export interface MembershipPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The newest journal position that is synced. */
  readonly position: () => number;
  /** Makes the state durable. */
  readonly save: (state: RosterState) => Promise<void>;
  /** Introduces this acceptor to another one. */
  readonly ask: (to: number, introduction: Introduction) => Promise<IntroductionAnswer>;
  /** From now on this acceptor may promise, vote and answer reads. */
  readonly onSpeak: () => void;
  /** The process must end with this text, once what was answered before has left. */
  readonly onRefused: (reason: string) => void;
  /** The state cannot be made durable, or an invariant broke: the process must end at once (R4). */
  readonly onFatal: (error: unknown) => void;
}

/** A roster that found no space is written again after this. Milliseconds. */
const SAVE_AGAIN_MS = 250;

interface Waiter {
  readonly done: (answer: IntroductionAnswer) => void;
  readonly failed: (error: SynodError) => void;
}

export class Membership {
  readonly #settings: RosterSettings;
  readonly #ports: MembershipPorts;
  readonly #keeper: RosterKeeper;
  readonly #asked = new Map<number, Waiter>();
  readonly #asking = new Set<Promise<void>>();
  /** Why the last question to an acceptor failed, and when one was answered. */
  readonly #failures = new Map<number, string>();
  readonly #heardAt = new Map<number, number>();
  #token = 0;
  #stopping = false;

  constructor(settings: RosterSettings, ports: MembershipPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#keeper = new RosterKeeper(settings);
  }

  get standing(): Standing {
    return this.#keeper.standing;
  }

  /** This start of the acceptor. */
  get present(): Introduction {
    return this.#keeper.present;
  }

  /** Why this acceptor must be silent, undefined when it may speak. */
  get silentBecause(): string | undefined {
    if (this.#stopping) return 'it is stopping';
    const { standing } = this;
    switch (standing.kind) {
      case 'speaking':
        return undefined;
      case 'refused':
        return standing.reason;
      case 'waiting': {
        const failures = [...this.#failures].map(([id, why]) => `acceptor ${String(id)}: ${why}`);
        return [standing.why, ...failures].join('; ');
      }
      default:
        return assertNever(standing);
    }
  }

  /** R5: promises, votes and reads pass here. Throws UNAVAILABLE, outcome none, with what is waited for. */
  admit(): void {
    const why = this.silentBecause;
    if (why !== undefined)
      throw new SynodError('UNAVAILABLE', `acceptor ${String(this.#settings.acceptor)} does not speak: ${why}`);
  }

  /** Milliseconds since an acceptor answered, undefined when it never did. */
  heardMsAgo(acceptor: number): number | undefined {
    const at = this.#heardAt.get(acceptor);
    return at === undefined ? undefined : this.#ports.clock.now() - at;
  }

  /** First, once. `position` is the newest one found on the disk. */
  start(state: RosterState, position: number): void {
    this.#step({ kind: 'started', state, position });
  }

  tick(): void {
    this.#step({ kind: 'tick', position: this.#ports.position() });
  }

  /** Another acceptor introduces itself; answered whatever this one's own standing. */
  introduce(introduction: Introduction): Promise<IntroductionAnswer> {
    return new Promise((done, failed) => {
      const token = this.#token++;
      this.#asked.set(token, { done, failed });
      this.#step({ kind: 'asked', introduction, token });
      // A machine that refused answers nothing more.
      if (this.standing.kind === 'refused') this.#failAsked();
    });
  }

  /** A learner said what it remembers of this acceptor. It may prove that the disk is older than it once was. */
  learnerRemembers(learner: string, remembered: Remembered): void {
    this.#step({ kind: 'learner-remembers', learner, remembered });
  }

  /** From now on nothing but introductions is answered. */
  silence(): void {
    this.#stopping = true;
  }

  /** Tells the others how far the journal came. Resolves when they answered or cannot be reached. */
  async announce(): Promise<void> {
    this.#step({ kind: 'announce', position: this.#ports.position() });
    await Promise.all(this.#asking);
  }

  #step(event: RosterEvent): void {
    const { clock, random } = this.#ports;
    try {
      for (const effect of this.#keeper.step(event, { now: clock.now(), random: random.next() })) this.#perform(effect);
    } catch (error) {
      this.#ports.onFatal(error);
    }
  }

  #perform(effect: RosterEffect): void {
    switch (effect.kind) {
      case 'ask':
        return this.#ask(effect.to, effect.introduction);
      case 'reply':
        this.#asked.get(effect.token)?.done(effect.answer);
        this.#asked.delete(effect.token);
        return;
      case 'persist':
        return this.#save(effect);
      case 'speak':
        this.#ports.log.info({ ...this.present, roster: undefined }, 'this acceptor speaks from now on');
        return this.#ports.onSpeak();
      case 'refuse':
        this.#failAsked();
        return this.#ports.onRefused(effect.reason);
      case 'note':
        return this.#note(effect.note);
      default:
        assertNever(effect);
    }
  }

  /** Without space nothing is lost but time: the old state stands, nothing that depends on the new one was said, and the next waits. */
  #save(effect: RosterEffect & { kind: 'persist' }, tries = 1): void {
    const { save, clock, log, onFatal } = this.#ports;
    save(effect.state).then(
      () => {
        this.#step({ kind: 'persisted', token: effect.token });
      },
      (error: unknown) => {
        if (!isNoSpace(error)) return onFatal(error);
        if (tries === 1)
          log.warn(
            { error: messageOf(error) },
            'the disk has no space for the roster; it is tried again, and acceptors that introduce themselves wait',
          );
        clock.after(SAVE_AGAIN_MS, () => {
          this.#save(effect, tries + 1);
        });
      },
    );
  }

  #ask(to: number, introduction: Introduction): void {
    const asking = this.#ports.ask(to, introduction).then(
      (answer) => {
        this.#failures.delete(to);
        this.#heardAt.set(to, this.#ports.clock.now());
        this.#step({ kind: 'answered', from: to, answer });
      },
      (error: unknown) => {
        // grpc-js ends its text with the heading of a note that is empty.
        this.#noteFailure(to, messageOf(error).replace(/\. Resolution note: $/, ''));
      },
    );
    this.#asking.add(asking);
    void asking.finally(() => this.#asking.delete(asking));
  }

  #noteFailure(to: number, why: string): void {
    // The same again, four times a second, helps nobody.
    if (this.#failures.get(to) === why) return;
    this.#failures.set(to, why);
    this.#ports.log.warn({ acceptor: to, error: why }, `acceptor ${String(to)} does not answer an introduction`);
  }

  #failAsked(): void {
    for (const waiter of this.#asked.values())
      waiter.failed(new SynodError('UNAVAILABLE', `acceptor ${String(this.#settings.acceptor)} is ending`));
    this.#asked.clear();
  }

  #note(note: RosterNote): void {
    const { log } = this.#ports;
    switch (note.kind) {
      case 'roster-pending':
        return log.info({ roster: formatDisks(note.disks) }, 'the roster is stored, pending');
      case 'roster-complete':
        return log.info({ roster: formatDisks(note.disks) }, 'the roster is complete');
      case 'start-remembered':
        return log.info({ by: note.by, start: note.start }, 'another acceptor remembers this start');
      case 'stranger':
        return log.warn(
          { acceptor: note.acceptor, disk: note.disk },
          `acceptor ${String(note.acceptor)} introduced itself with a disk or roster that does not belong to this cluster; it does not count`,
        );
      default:
        assertNever(note);
    }
  }
}
