/** What all simulated processes share: starts and ends, a clock of their own, stalls, and the network. */
import type { Prng } from '../../shared/base/prng.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import type { SessionLimits } from '../../shared/machine/sessions.ts';
import type { InboxPorts } from '../../shared/runtime/inbox.ts';
import type { SimAcceptor } from './acceptor.ts';
import type { SimLearner } from './learner.ts';
import type { SimProposer } from './proposer.ts';
import type { Network } from './network.ts';
import type { Oracle } from './oracle.ts';
import type { Setup } from './plan.ts';
import type { Schedule } from './schedule.ts';
import type { QuorumSets } from './quorums.ts';
import type { TraceWatch } from './trace-watch.ts';

/** What the nodes share. */
export interface World {
  readonly setup: Setup;
  readonly schedule: Schedule;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly quorum: QuorumSystem;
  /** Its sets as who watches sees them. */
  readonly sets: QuorumSets;
  readonly limits: SessionLimits;
  readonly noOp: Uint8Array;
  readonly acceptors: readonly SimAcceptor[];
  readonly proposers: readonly SimProposer[];
  readonly learners: readonly SimLearner[];
  readonly holders: number;
  /** The greatest trim floor of each log at any acceptor. */
  readonly floors: Map<string, number>;
  /** Follows the traces of all nodes, where a test wants them. */
  readonly watch: TraceWatch | undefined;
  /** A source of chance of its own, drawn from the seed and a name. */
  stream(name: string): Prng;
  count(what: string): void;
  note(who: string, note: Note): void;
  say(who: string, text: string): void;
  fail(error: unknown): void;
  violation(text: string): void;
  /** Promises were settled: all that waits for them runs before the next callback of the schedule. */
  stir(): void;
}

export abstract class SimNode {
  readonly world: World;
  readonly name: string;
  readonly prng: Prng;
  isUp = false;
  /** Which start this is: what was scheduled for an older one is dropped. */
  #start = 0;
  /** The node's clock: a rate, and an offset that changes at every start, so that nobody relies on a common time. */
  #rate = 1;
  #offset = 0;
  #stalledUntil = 0;
  #effectsLeft = Infinity;
  #onDeath: () => void = () => undefined;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.prng = world.stream(name);
  }

  abstract start(): void;
  /** Ends the process. `how` matters to disks alone. */
  abstract crash(how: 'kill' | 'power'): void;

  protected begin(): void {
    this.isUp = true;
    this.#start++;
    this.#offset = Math.floor(this.prng.next() * 1e6);
    this.#stalledUntil = 0;
    this.#effectsLeft = Infinity;
    const { drift } = this.world.setup;
    this.#rate = drift ** (this.prng.next() * 2 - 1);
  }

  protected get startNumber(): number {
    return this.#start;
  }

  /** True while the process of this start lives. */
  protected lives(start: number): boolean {
    return this.isUp && this.#start === start;
  }

  /** Monotonic milliseconds, by this node's clock. */
  now(): number {
    return this.world.schedule.now * this.#rate + this.#offset;
  }

  /** The clock jumps ahead, as after a suspended machine; timers that run stay as they are. */
  jump(ms: number): void {
    this.#offset += ms;
  }

  /** Stands still for so long: nothing is received, no timer fires, no sync returns. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.world.schedule.now + ms);
  }

  /** Dies at its nth effect from now: between two messages of one turn, if that is where it is. */
  dieAfter(effects: number, onDeath: () => void): void {
    this.#effectsLeft = effects;
    this.#onDeath = onDeath;
  }

  /** Runs now, or when the node stands still no longer. */
  awake(start: number, run: () => void): void {
    if (!this.lives(start)) return;
    const wait = this.#stalledUntil - this.world.schedule.now;
    if (wait <= 0) return run();
    this.world.schedule.after(wait, () => {
      this.awake(start, run);
    });
  }

  /** Runs after `ms` by this node's clock, if this start still lives then. The function returned cancels it. */
  protected later(ms: number, run: () => void): () => void {
    const start = this.#start;
    let isCancelled = false;
    this.world.schedule.after(ms / this.#rate, () => {
      if (!isCancelled)
        this.awake(start, () => {
          if (!isCancelled) run();
        });
    });
    return () => {
      isCancelled = true;
    };
  }

  protected every(ms: number, run: () => void): void {
    const again = (): void => {
      this.later(ms, () => {
        run();
        again();
      });
    };
    again();
  }

  protected ports(): InboxPorts {
    const start = this.#start;
    return {
      now: () => this.now(),
      random: () => this.prng.next(),
      soon: (callback) => {
        this.later(0, callback);
      },
      onFatal: (error) => {
        if (this.lives(start)) this.world.fail(error);
      },
    };
  }

  /** To another node, over the network. False: this process ended instead. */
  send(to: SimNode, deliver: () => void, once = false): boolean {
    if (!this.isUp) return false;
    if (--this.#effectsLeft <= 0) {
      this.#effectsLeft = Infinity;
      this.world.count('crash between effects');
      this.#onDeath();
      return false;
    }
    this.world.network.send(
      this.name,
      to.name,
      () => {
        to.receive(deliver);
      },
      once,
    );
    return true;
  }

  receive(deliver: () => void): void {
    this.awake(this.#start, deliver);
  }
}

export function hex(prng: Prng, digits: number): string {
  let out = '';
  while (out.length < digits) out += prng.uint32().toString(16).padStart(8, '0');
  return out.slice(0, digits);
}
