/** A client that keeps its ids: it retries through any proposer, sometimes twice at once, and remembers what it was told. */
import { decodeEntry, encodeEntry } from '../../shared/machine/entry.ts';
import type { Prng } from '../../shared/base/prng.ts';
import type { Answer } from '../../shared/paxos/peers.ts';
import { hex, type World } from './node.ts';
import type { SimProposer } from './proposer.ts';

interface Operation {
  readonly log: string;
  readonly entry: Uint8Array;
  readonly protocol: 'basic' | 'multi' | 'fast';
  readonly isDecree: boolean;
  /** −1 opens one. */
  readonly session: number;
  readonly client: string;
  readonly sequence: number;
  /** Called once; undefined when the client gave it up. */
  readonly done: (slot: number | undefined) => void;
  /** An attempt may have had an effect. */
  maySucceed: boolean;
  isDone: boolean;
  tries: number;
  sends: number;
  sentAt: number;
}

interface SessionState {
  /** The id under which it is opened, and no other session: numbers that begin anew under an old id may be taken for retries. */
  readonly client: string;
  session: number | undefined;
  isOpening: boolean;
  next: number;
  readonly answered: Set<number>;
  acknowledged: number;
}

/** Operations of a client in one log at once. */
const IN_FLIGHT = 6;

export class SimClient {
  readonly #world: World;
  readonly #prng: Prng;
  readonly #id: string;
  readonly #protocol: 'multi' | 'fast';
  readonly #sessions = new Map<string, SessionState>();
  /** Payloads that wait for a session, or for room in it. */
  readonly #waiting = new Map<string, string[]>();
  readonly #inFlight = new Map<string, number>();
  #begun = 0;
  #done = 0;

  /** `protocol`: of what it proposes in logs, and of the sessions that it opens there. */
  constructor(world: World, name: string, protocol: 'multi' | 'fast' = 'multi') {
    this.#world = world;
    this.#protocol = protocol;
    this.#prng = world.stream(name);
    this.#id = hex(this.#prng, 32);
  }

  get isDone(): boolean {
    return this.#begun === this.#done;
  }

  get progress(): string {
    return `a client has ${this.#done} of ${this.#begun} operations answered`;
  }

  decree(log: string, payload: string, protocol: 'basic' | 'fast' = 'basic'): void {
    this.#begun++;
    const entry = encodeEntry({ kind: 'decree', client: this.#id, payload: Buffer.from(payload) });
    const done = (): void => {
      this.#done++;
    };
    this.#run(log, entry, protocol, this.#id, 0, 0, done);
  }

  propose(log: string, payload: string): void {
    this.#begun++;
    const waiting = this.#waiting.get(log) ?? [];
    this.#waiting.set(log, waiting);
    waiting.push(payload);
    this.#next(log);
  }

  /** Sends what waits, as far as there is a session and room in it. */
  #next(log: string): void {
    const waiting = this.#waiting.get(log) ?? [];
    while (waiting.length > 0 && (this.#inFlight.get(log) ?? 0) < IN_FLIGHT) {
      let state = this.#sessions.get(log);
      if (state === undefined)
        this.#sessions.set(
          log,
          (state = {
            client: hex(this.#prng, 32),
            session: undefined,
            isOpening: false,
            next: 1,
            answered: new Set(),
            acknowledged: 0,
          }),
        );
      if (state.session === undefined) {
        if (!state.isOpening) this.#open(log, state);
        return;
      }
      this.#command(log, state, state.session, waiting.shift() ?? '');
    }
  }

  #open(log: string, state: SessionState): void {
    state.isOpening = true;
    const entry = encodeEntry({ kind: 'open-session', client: state.client });
    this.#run(log, entry, this.#protocol, state.client, -1, 0, (slot) => {
      state.isOpening = false;
      state.session = slot;
      this.#next(log);
    });
  }

  #command(log: string, state: SessionState, session: number, payload: string): void {
    const sequence = state.next++;
    const { acknowledged } = state;
    const entry = encodeEntry({
      kind: 'command',
      client: state.client,
      session,
      sequence,
      acknowledged,
      payload: Buffer.from(payload),
    });
    this.#inFlight.set(log, (this.#inFlight.get(log) ?? 0) + 1);
    this.#run(log, entry, this.#protocol, state.client, session, sequence, () => {
      this.#done++;
      this.#inFlight.set(log, (this.#inFlight.get(log) ?? 0) - 1);
      // What was given up is not asked about again either.
      state.answered.add(sequence);
      while (state.answered.delete(state.acknowledged + 1)) state.acknowledged++;
      this.#next(log);
    });
  }

  #run(
    log: string,
    entry: Uint8Array,
    protocol: 'basic' | 'multi' | 'fast',
    client: string,
    session: number,
    sequence: number,
    done: (slot: number | undefined) => void,
  ): void {
    this.#world.oracle.proposes(entry);
    this.#attempt({
      ...{ log, entry, protocol, client, session, sequence, done },
      isDecree: decodeEntry(entry).kind === 'decree',
      ...{ maySucceed: false, isDone: false, tries: 0, sends: 0, sentAt: 0 },
    });
  }

  #attempt(operation: Operation): void {
    const prng = this.#prng;
    const { schedule, proposers } = this.#world;
    const isRetry = operation.tries > 0 && operation.maySucceed;
    operation.tries++;
    const timeoutMs = 300 + prng.below(2_000);
    this.#send(operation, prng.pick(proposers), isRetry, timeoutMs);
    if (prng.chance(0.1)) this.#send(operation, prng.pick(proposers), true, timeoutMs);
    const { tries } = operation;
    schedule.after(timeoutMs + 200, () => {
      if (operation.isDone || operation.tries !== tries) return;
      // Nothing was heard: it may have been chosen.
      operation.maySucceed = true;
      this.#attempt(operation);
    });
  }

  #send(operation: Operation, to: SimProposer, retry: boolean, timeoutMs: number): void {
    const { network, schedule } = this.#world;
    const { tries } = operation;
    operation.maySucceed ||= retry;
    operation.sends++;
    operation.sentAt = schedule.now;
    // A call: it comes once or never.
    const deliver = (): void => {
      to.receive(() => {
        to.propose(operation, retry, timeoutMs, (answer) => {
          network.send(to.name, 'client', () => {
            this.#onAnswer(operation, tries, answer);
          });
        });
      });
    };
    network.send('client', to.name, deliver, true);
  }

  #onAnswer(operation: Operation, tries: number, answer: Answer): void {
    if (answer.kind === 'chosen') {
      this.#check(operation, answer.slot, answer.entry);
      return this.#finish(operation, answer.slot);
    }
    if (operation.isDone || operation.tries !== tries) return;
    const { schedule, oracle } = this.#world;
    const isCommand = !operation.isDecree && operation.session >= 0;
    if (answer.outcome === 'unknown') operation.maySucceed = true;
    else if (isCommand && operation.sends === 1 && this.#prng.chance(0.3)) {
      // R15: it had no effect and never will. The client believes that, and gives it up.
      this.#world.count('refused with outcome none');
      oracle.refused(operation.log, operation.client, operation.session, operation.sequence);
      return this.#finish(operation, undefined);
    }
    if (isCommand && answer.code === 'FAILED_PRECONDITION') {
      this.#world.count('session expired under a client');
      const state = this.#sessions.get(operation.log);
      if (state?.session === operation.session) this.#sessions.delete(operation.log);
      return this.#finish(operation, undefined);
    }
    if (operation.isDecree && answer.code === 'FAILED_PRECONDITION') return this.#finish(operation, undefined);
    schedule.after(this.#prng.next() * 300, () => {
      if (!operation.isDone && operation.tries === tries) this.#attempt(operation);
    });
  }

  #finish(operation: Operation, slot: number | undefined): void {
    if (operation.isDone) return;
    operation.isDone = true;
    operation.done(slot);
  }

  #check(
    { log, isDecree, client, session, sequence, sends, sentAt }: Operation,
    slot: number,
    entry: Uint8Array | undefined,
  ): void {
    const { oracle } = this.#world;
    if (isDecree) {
      if (entry === undefined) return this.#world.violation(`a decree of ${log} was answered without its value`);
      // The log is a sequence: the service says so.
      if (decodeEntry(entry).kind !== 'decree') this.#world.count('a decree of a log that is none');
      return oracle.decree(log, entry);
    }
    if (session < 0) return;
    oracle.answer(log, client, session, sequence, slot);
    const chosen = oracle.chosenAt(log, slot);
    if (sends > 1 && chosen !== undefined && chosen.at < sentAt)
      this.#world.count('retry answered from an earlier slot');
  }
}

/** Reads through learners until it was answered. */
export class SimReader {
  readonly #world: World;
  readonly #prng: Prng;
  #open = 0;

  constructor(world: World) {
    this.#world = world;
    this.#prng = world.stream('reader');
  }

  get isDone(): boolean {
    return this.#open === 0;
  }

  read(log: string, learner: number): void {
    this.#open++;
    this.#try(log, learner);
  }

  #try(log: string, id: number): void {
    const { world } = this;
    const learner = world.learners.find((l) => l.id === id);
    const start = world.oracle.readBegan(log);
    let isDone = false;
    world.schedule.after(2_500, () => {
      if (isDone) return;
      isDone = true;
      world.count('read without answer');
      this.#try(log, this.#prng.pick(world.learners).id);
    });
    world.network.send(
      'client',
      `learner-${String(id)}`,
      () => {
        learner?.receive(() => {
          learner.read(log, (end) => {
            if (end === undefined || isDone) return;
            isDone = true;
            this.#open--;
            world.count('read answered');
            world.oracle.readEnded(log, start, end);
          });
        });
      },
      true,
    );
  }

  get world(): World {
    return this.#world;
  }
}
