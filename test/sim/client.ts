/** A client that keeps its ids: it retries through any proposer, sometimes twice at once, and remembers what it was told. */
import { encodeEntry } from '../../shared/machine/entry.ts';
import type { Answer } from '../../shared/paxos/peers.ts';
import { decodeEntry } from '../../shared/machine/entry.ts';
import { hex, type SimProposer, type World } from './nodes.ts';

interface Operation {
  readonly log: string;
  readonly entry: Uint8Array;
  readonly protocol: 'basic' | 'multi';
  readonly session: number;
  readonly sequence: number;
  readonly done: (slot: number | undefined) => void;
  /** An attempt may have had an effect. */
  maySucceed: boolean;
  isDone: boolean;
  tries: number;
}

export class SimClient {
  readonly #world: World;
  readonly #id: string;
  readonly #logs: readonly string[];
  readonly #decrees: readonly string[];
  readonly #operations: number;
  #left: number;
  #inFlight = 0;
  readonly #sessions = new Map<
    string,
    { session: number | undefined; isOpening: boolean; next: number; answered: Set<number>; acknowledged: number }
  >();
  /** Ids that were refused with outcome none and given up: they must never take effect (R15). */
  readonly never: { log: string; client: string; session: number; sequence: number }[] = [];
  retries = 0;

  constructor(world: World, logs: readonly string[], decrees: readonly string[], operations: number) {
    this.#world = world;
    this.#id = hex(world.prng, 32);
    this.#logs = logs;
    this.#decrees = decrees;
    this.#operations = operations;
    this.#left = operations;
  }

  get isDone(): boolean {
    return this.#left === 0 && this.#inFlight === 0;
  }

  get progress(): string {
    return `${String(this.#operations - this.#left)} of ${String(this.#operations)} begun, ${String(this.#inFlight)} in flight`;
  }

  start(): void {
    const { prng, schedule } = this.#world;
    const again = (): void => {
      if (this.#left === 0) return;
      if (this.#inFlight < 6) this.#begin();
      schedule.after(prng.next() * 60, again);
    };
    schedule.after(prng.next() * 200, again);
  }

  #begin(): void {
    const { prng } = this.#world;
    if (this.#decrees.length > 0 && prng.chance(0.2)) {
      this.#left--;
      const entry = encodeEntry({ kind: 'decree', client: this.#id, payload: Buffer.from(hex(prng, 8)) });
      return this.#run({
        log: prng.pick(this.#decrees),
        entry,
        protocol: 'basic',
        session: 0,
        sequence: 0,
        done: () => undefined,
        maySucceed: false,
        isDone: false,
        tries: 0,
      });
    }
    const log = prng.pick(this.#logs);
    let session = this.#sessions.get(log);
    if (session === undefined)
      this.#sessions.set(
        log,
        (session = { session: undefined, isOpening: false, next: 1, answered: new Set(), acknowledged: 0 }),
      );
    if (session.session === undefined) {
      if (!session.isOpening) this.#open(log, session);
      return;
    }
    this.#left--;
    this.#command(log, session, session.session);
  }

  #open(log: string, state: { session: number | undefined; isOpening: boolean }): void {
    state.isOpening = true;
    const entry = encodeEntry({ kind: 'open-session', client: this.#id });
    const done = (slot: number | undefined): void => {
      state.isOpening = false;
      state.session = slot;
    };
    this.#run({
      log,
      entry,
      protocol: 'multi',
      session: -1,
      sequence: 0,
      done,
      maySucceed: false,
      isDone: false,
      tries: 0,
    });
  }

  #command(log: string, state: { next: number; answered: Set<number>; acknowledged: number }, session: number): void {
    const sequence = state.next++;
    const entry = encodeEntry({
      kind: 'command',
      client: this.#id,
      session,
      sequence,
      acknowledged: state.acknowledged,
      payload: Buffer.from(hex(this.#world.prng, 8)),
    });
    const done = (): void => {
      state.answered.add(sequence);
      while (state.answered.delete(state.acknowledged + 1)) state.acknowledged++;
    };
    this.#run({ log, entry, protocol: 'multi', session, sequence, done, maySucceed: false, isDone: false, tries: 0 });
  }

  #run(operation: Operation): void {
    this.#inFlight++;
    this.#attempt(operation);
  }

  #attempt(operation: Operation): void {
    const { prng, schedule } = this.#world;
    const isRetry = operation.tries > 0 && operation.maySucceed;
    operation.tries++;
    if (isRetry) this.retries++;
    const timeoutMs = 300 + prng.below(2_000);
    this.#send(operation, prng.pick(this.#world.proposers), isRetry, timeoutMs);
    if (prng.chance(0.1)) this.#send(operation, prng.pick(this.#world.proposers), true, timeoutMs);
    const tries = operation.tries;
    schedule.after(timeoutMs + 200, () => {
      if (operation.isDone || operation.tries !== tries) return;
      // Nothing was heard: it may have been chosen.
      operation.maySucceed = true;
      this.#attempt(operation);
    });
  }

  #send(operation: Operation, to: SimProposer, retry: boolean, timeoutMs: number): void {
    const { network } = this.#world;
    const tries = operation.tries;
    // A request that left may be delivered late or twice: only an answer can say that it had no effect.
    operation.maySucceed ||= retry;
    network.send('client', to.name, () => {
      if (!to.isUp) return;
      to.propose(operation.log, operation.entry, operation.protocol, retry, timeoutMs, (answer) => {
        network.send(to.name, 'client', () => {
          this.#onAnswer(operation, tries, answer);
        });
      });
    });
  }

  #onAnswer(operation: Operation, tries: number, answer: Answer): void {
    const { prng, schedule } = this.#world;
    if (answer.kind === 'chosen') {
      this.#check(operation, answer.slot, answer.entry);
      if (operation.isDone) return;
      operation.isDone = true;
      this.#inFlight--;
      operation.done(answer.slot);
      return;
    }
    if (operation.isDone || operation.tries !== tries) return;
    if (answer.outcome === 'unknown') operation.maySucceed = true;
    schedule.after(prng.next() * 300, () => {
      if (!operation.isDone && operation.tries === tries) this.#attempt(operation);
    });
  }

  #check(operation: Operation, slot: number, entry: Uint8Array | undefined): void {
    const { oracle } = this.#world;
    if (operation.protocol === 'basic') {
      if (entry === undefined || decodeEntry(entry).kind !== 'decree')
        this.#world.fail(new Error(`a decree of ${operation.log} was answered without its value`));
      else oracle.decree(operation.log, entry);
    } else if (operation.session >= 0)
      oracle.answer(operation.log, this.#id, operation.session, operation.sequence, slot);
  }
}
