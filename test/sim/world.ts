/**
 * One seed: a whole cluster of shipped machines in virtual time, a workload, and faults drawn from the seed. First faults run
 * and safety is watched; then faults stop and everything must finish within a bound.
 */
import { messageOf } from '../../shared/base/errors.ts';
import { Prng } from '../../shared/base/prng.ts';
import { encodeEntry } from '../../shared/machine/entry.ts';
import { bySize, type QuorumSystem } from '../../shared/paxos/quorum.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import { SimClient } from './client.ts';
import { Network } from './network.ts';
import { SimAcceptor, SimLearner, SimProposer, type World } from './nodes.ts';
import { Oracle, Violation } from './oracle.ts';
import { Schedule } from './schedule.ts';

export interface SimResult {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly chosen: number;
  readonly answered: number;
  readonly steps: number;
  readonly virtualMs: number;
  /** How often each thing that a run should meet now and then happened. */
  readonly coverage: Record<string, number>;
}

export interface SimOptions {
  /** Called for every note, for a trace. */
  readonly trace?: (line: string) => void;
}

const FAULTS_MS = 8_000;
const HEAL_MS = 60_000;
const DECREES = ['decree-1', 'decree-2', 'decree-3', 'decree-4', 'decree-5', 'decree-6', 'decree-7', 'decree-8'];

/** Runs one seed to its end. The same seed does the same on every machine. */
export async function simulate(seed: number, options: SimOptions = {}): Promise<SimResult> {
  const run = new Run(seed, options);
  return run.run();
}

class Run implements World {
  readonly schedule = new Schedule();
  readonly prng: Prng;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly quorum: QuorumSystem;
  readonly noOp = encodeEntry({ kind: 'no-op' });
  readonly acceptors: SimAcceptor[] = [];
  readonly proposers: SimProposer[] = [];
  readonly learners: SimLearner[] = [];
  readonly holders: number;
  readonly syncMs: number;
  readonly #seed: number;
  readonly #clients: SimClient[] = [];
  readonly #coverage: Record<string, number> = {};
  readonly #options: SimOptions;
  #error: unknown;
  #settling: Promise<void>[] = [];
  #faulty = true;

  constructor(seed: number, options: SimOptions) {
    this.#seed = seed;
    this.#options = options;
    const prng = new Prng(seed);
    this.prng = prng;
    const n = prng.pick([3, 3, 3, 4, 5]);
    const majority = Math.floor(n / 2) + 1;
    this.quorum = bySize(n, majority, majority);
    this.oracle = new Oracle(majority);
    const calm = prng.chance(0.2);
    this.network = new Network(this.schedule, prng, {
      loss: calm ? 0 : prng.next() * 0.15,
      duplicate: calm ? 0 : prng.next() * 0.2,
      delayMs: prng.pick([0.3, 1, 5, 20]),
      longTail: calm ? 0 : prng.next() * 0.02,
    });
    this.syncMs = prng.pick([0.1, 1, 10]);
    for (let i = 0; i < n; i++) this.acceptors.push(new SimAcceptor(this, i));
    for (let i = 1; i <= prng.pick([2, 2, 3]); i++) this.proposers.push(new SimProposer(this, i));
    for (let i = 1; i <= prng.pick([1, 2, 2, 3]); i++) this.learners.push(new SimLearner(this, i));
    this.holders = Math.min(2, this.learners.length);
    const logs = ['a', 'b', 'c'].slice(0, prng.pick([1, 1, 2, 3]));
    for (let i = 0; i < prng.pick([1, 2, 4]); i++)
      this.#clients.push(new SimClient(this, logs, DECREES, 20 + prng.below(60)));
  }

  async run(): Promise<SimResult> {
    for (const node of this.#nodes) node.start();
    for (const client of this.#clients) client.start();
    this.#planFaults();
    this.schedule.after(FAULTS_MS, () => {
      this.#heal();
    });
    try {
      await this.#loop();
    } catch (error) {
      this.fail(error);
    }
    const violation =
      this.#error === undefined
        ? undefined
        : this.#error instanceof Error
          ? `${this.#error.name}: ${this.#error.message}`
          : messageOf(this.#error);
    return {
      seed: this.#seed,
      violation,
      chosen: this.oracle.chosen,
      answered: this.oracle.answered,
      steps: this.schedule.steps,
      virtualMs: Math.round(this.schedule.now),
      coverage: this.#coverage,
    };
  }

  get #nodes(): (SimAcceptor | SimProposer | SimLearner)[] {
    return [...this.acceptors, ...this.proposers, ...this.learners];
  }

  async #loop(): Promise<void> {
    let checkAt = FAULTS_MS;
    while (this.#error === undefined) {
      if (!this.schedule.step()) break;
      // Old votes are read through a promise that is settled already: let what waits for it run before time goes on.
      for (let i = 0; i < 8; i++) await Promise.resolve();
      while (this.#settling.length > 0) await Promise.all(this.#settling.splice(0));
      if (this.#faulty || this.schedule.now < checkAt) continue;
      checkAt = this.schedule.now + 50;
      if (this.#isSettled()) break;
      if (this.schedule.now > FAULTS_MS + HEAL_MS)
        throw new Violation(
          `liveness: not finished ${String(HEAL_MS)} ms after the faults ended: ${this.#unfinished()}`,
        );
    }
    if (this.#error === undefined) this.oracle.finish();
    if (this.#error === undefined && this.oracle.chosen === 0) throw new Violation('nothing was ever chosen');
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  #planFaults(): void {
    const { prng } = this;
    if (prng.chance(0.1)) return;
    const every = prng.pick([60, 150, 500]);
    const next = (): void => {
      if (!this.#faulty) return;
      this.#fault();
      this.schedule.after(prng.next() * 2 * every, next);
    };
    this.schedule.after(prng.next() * prng.pick([50, 1_000]), next);
  }

  #fault(): void {
    const { prng } = this;
    const kind = prng.next();
    if (kind < 0.35) return this.#crash(prng.pick(this.#nodes), prng.next() * 500);
    if (kind < 0.5) return this.#crash(prng.pick(this.proposers), prng.next() * 50);
    if (kind < 0.57) return this.#flap(prng.pick(this.proposers), 2 + prng.below(4));
    if (kind < 0.62) {
      // Everything loses its power at once.
      for (const node of this.#nodes) this.#crash(node, prng.next() * 300);
      return;
    }
    this.#partition();
  }

  #crash(node: SimAcceptor | SimProposer | SimLearner, downMs: number): void {
    if (!node.isUp) return;
    node.crash();
    this.count(
      `crash ${node instanceof SimAcceptor ? 'acceptor' : node instanceof SimProposer ? 'proposer' : 'learner'}`,
    );
    this.schedule.after(downMs, () => {
      if (!node.isUp) node.start();
    });
  }

  /** A proposer that dies again soon after each of its starts. */
  #flap(node: SimProposer, times: number): void {
    this.#crash(node, 1);
    if (times > 1)
      this.schedule.after(5 + this.prng.next() * 150, () => {
        if (this.#faulty) this.#flap(node, times - 1);
      });
  }

  /** Cuts one node off, both ways or one way, or two nodes from one another. */
  #partition(): void {
    const { prng, network } = this;
    const a = prng.pick(this.#nodes);
    const others = prng.chance(0.5) ? this.#nodes : [prng.pick(this.#nodes)];
    const both = prng.chance(0.5);
    const cut: string[] = [];
    for (const b of others) {
      if (b === a) continue;
      cut.push(`${a.name}>${b.name}`);
      if (both) cut.push(`${b.name}>${a.name}`);
    }
    for (const link of cut) network.cut.add(link);
    this.count(both ? 'partition' : 'one-way partition');
    this.schedule.after(prng.next() * prng.pick([100, 2_000]), () => {
      for (const link of cut) network.cut.delete(link);
    });
  }

  #heal(): void {
    this.#faulty = false;
    this.network.cut.clear();
    Object.assign(this.network.faults, { loss: 0, duplicate: 0, longTail: 0 });
    for (const node of this.#nodes) if (!node.isUp) node.start();
  }

  #isSettled(): boolean {
    return (
      this.#clients.every((client) => client.isDone) &&
      this.#nodes.every((node) => node.isUp) &&
      this.#lagging() === undefined
    );
  }

  #lagging(): string | undefined {
    for (const learner of this.learners)
      for (const log of this.oracle.logs) {
        // The probe goes on for ever: its last slots may be under way.
        if (log.startsWith('synod.')) continue;
        if (learner.next(log) < this.oracle.end(log))
          return `${learner.name} has ${String(learner.next(log))} of ${String(this.oracle.end(log))} slots of log ${log}`;
      }
    return undefined;
  }

  #unfinished(): string {
    const clients = this.#clients.filter((client) => !client.isDone).map((client) => client.progress);
    return [...clients, this.#lagging() ?? 'learners are level'].join('; ');
  }

  // ── for the nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

  count(what: string): void {
    this.#coverage[what] = (this.#coverage[what] ?? 0) + 1;
  }

  note(who: string, note: Note): void {
    switch (note.kind) {
      case 'leader':
        this.count(`leader ${note.change}`);
        break;
      case 'campaign':
        if (note.override) this.count('override');
        break;
      case 'gap':
        this.count(`gap ${note.asked}`);
        break;
      case 'quorum':
        this.count(`${note.protocol} ${note.phase} ${note.outcome}`);
        break;
      case 'rejected':
        this.count(`rejected ${note.reason}`);
        break;
      default:
        this.count(note.kind);
    }
    this.#options.trace?.(`${this.schedule.now.toFixed(1).padStart(9)} ${who.padEnd(11)} ${JSON.stringify(note)}`);
  }

  fail(error: unknown): void {
    this.#error ??= error;
  }

  settle(promise: Promise<void>): void {
    this.#settling.push(promise);
  }
}
