/**
 * One seed: a whole cluster of shipped machines in virtual time, and the parts of its plan. First faults run and safety is
 * watched; then faults stop for a sufficient core and everything must finish within a bound.
 */
import { messageOf } from '../../shared/base/errors.ts';
import { Prng } from '../../shared/base/prng.ts';
import { LIMITS } from '../../shared/base/limits.ts';
import { encodeEntry } from '../../shared/machine/entry.ts';
import type { SessionLimits } from '../../shared/machine/sessions.ts';
import type { QuorumSystem } from '../../shared/paxos/quorum.ts';
import { quorumSystem } from '../../shared/paxos/quorum-setting.ts';
import type { Note } from '../../shared/paxos/notes.ts';
import { SimAcceptor } from './acceptor.ts';
import { SimClient, SimReader } from './client.ts';
import { Faults } from './faults.ts';
import { SimLearner } from './learner.ts';
import { Network } from './network.ts';
import { hex, type World } from './node.ts';
import { Oracle, Violation } from './oracle.ts';
import { drawPlan, type Plan, type Setup } from './plan.ts';
import { SimProposer } from './proposer.ts';
import { QuorumSets, settingOf } from './quorums.ts';
import { Schedule } from './schedule.ts';
import type { TraceWatch } from './trace-watch.ts';

export interface SimResult {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly chosen: number;
  readonly answered: number;
  readonly reads: number;
  readonly steps: number;
  readonly virtualMs: number;
  /** How often each thing that a run should meet now and then happened. */
  readonly coverage: Record<string, number>;
}

export interface SimOptions {
  /** Called for whatever happens, for a trace. */
  readonly trace?: (line: string) => void;
  /** Follows the traces of all nodes and judges them at the end. */
  readonly watch?: TraceWatch;
  /** Numbers of the parts of the plan that are kept; default all. */
  readonly keep?: readonly number[];
}

/** Everything must finish within this time after the faults ended. Virtual milliseconds. */
const HEAL_MS = 60_000;
/** More campaigns than this of one proposer for one log within this time are a storm. Virtual milliseconds. */
const PACE = 30;
const PACE_MS = 200;

/** Runs one seed to its end. The same seed does the same on every machine. */
export async function simulate(seed: number, options: SimOptions = {}): Promise<SimResult> {
  return runPlan(drawPlan(seed), options);
}

/** Runs a plan, or the parts of it that are kept. */
export async function runPlan(plan: Plan, options: SimOptions = {}): Promise<SimResult> {
  const run = new Run(plan, options);
  return run.run();
}

class Run implements World {
  readonly setup: Setup;
  readonly schedule = new Schedule();
  readonly network: Network;
  readonly oracle: Oracle;
  readonly quorum: QuorumSystem;
  readonly sets: QuorumSets;
  readonly limits: SessionLimits;
  readonly noOp = encodeEntry({ kind: 'no-op' });
  readonly acceptors: SimAcceptor[] = [];
  readonly proposers: SimProposer[] = [];
  readonly learners: SimLearner[] = [];
  readonly holders: number;
  readonly floors = new Map<string, number>();
  readonly watch: TraceWatch | undefined;
  readonly #plan: Plan;
  readonly #options: SimOptions;
  readonly #clients: SimClient[] = [];
  readonly #reader: SimReader;
  readonly #faults: Faults;
  readonly #coverage: Record<string, number> = {};
  #error: unknown;
  #isStirred = false;
  /** The latest campaigns of each proposer for each log. */
  readonly #campaigns = new Map<string, number[]>();

  constructor(plan: Plan, options: SimOptions) {
    const { setup } = plan;
    this.#plan = plan;
    this.#options = options;
    this.watch = options.watch;
    this.setup = setup;
    const ids = Array.from({ length: setup.acceptors }, (_, i) => i + 1);
    this.quorum = quorumSystem(settingOf(setup.quorums), ids);
    this.sets = new QuorumSets(setup.acceptors, setup.quorums);
    this.limits = { window: LIMITS.sessionWindow, sessionsMax: setup.sessionsMax };
    this.holders = Math.min(2, setup.learners);
    this.oracle = new Oracle({
      isPhase2: (voters) => this.sets.isPhase2(voters),
      noOp: this.noOp,
      now: () => this.schedule.now,
      count: (what) => {
        this.count(what);
      },
    });
    const faults = { loss: 0, duplicate: 0, longTail: 0, delayMs: setup.delayMs };
    this.network = new Network(this.schedule, (name) => this.stream(name), faults);
    for (let i = 0; i < setup.acceptors; i++) this.acceptors.push(new SimAcceptor(this, i));
    for (let i = 1; i <= setup.proposers; i++) this.proposers.push(new SimProposer(this, i));
    for (let i = 1; i <= setup.learners; i++) this.learners.push(new SimLearner(this, i));
    for (let i = 0; i < setup.clients; i++) this.#clients.push(new SimClient(this, i));
    this.#reader = new SimReader(this);
    this.#faults = new Faults(this, this.#clients, this.#reader);
  }

  async run(): Promise<SimResult> {
    try {
      await this.#begin();
      await this.#loop();
    } catch (error) {
      this.fail(error);
    }
    const error = this.#error;
    const violation =
      error === undefined ? undefined : error instanceof Error ? `${error.name}: ${error.message}` : messageOf(error);
    return {
      seed: this.#plan.seed,
      violation,
      chosen: this.oracle.chosen,
      answered: this.oracle.answered,
      reads: this.oracle.reads,
      steps: this.schedule.steps,
      virtualMs: Math.round(this.schedule.now),
      coverage: this.#coverage,
    };
  }

  async #begin(): Promise<void> {
    this.count(`quorums: ${this.setup.quorums.kind}`);
    if (this.setup.bootstraps) this.count('bootstrap');
    else {
      const prng = this.stream('disks');
      const disks = new Map(this.acceptors.map((a) => [a.id, hex(prng, 32)]));
      for (const acceptor of this.acceptors) await acceptor.prepare(disks);
    }
    for (const node of [...this.acceptors, ...this.proposers, ...this.learners]) node.start();
    const kept = this.#options.keep === undefined ? undefined : new Set(this.#options.keep);
    for (const [number, part] of this.#plan.parts.entries())
      if (kept === undefined || kept.has(number)) this.#faults.plan(part);
    this.schedule.after(this.setup.faultsMs, () => {
      this.#faults.end();
    });
  }

  async #loop(): Promise<void> {
    const { schedule } = this;
    let checkAt = this.setup.faultsMs;
    await drained();
    while (this.#error === undefined) {
      if (!schedule.step()) break;
      // What waits for a promise runs before time goes on.
      if (this.#isStirred) {
        this.#isStirred = false;
        await drained();
      }
      if (!this.#faults.isOver || schedule.now < checkAt) continue;
      checkAt = schedule.now + 50;
      if (this.#isSettled()) break;
      if (schedule.now > this.setup.faultsMs + HEAL_MS)
        throw new Violation(
          `liveness: not finished ${HEAL_MS} ms after the faults ended: ${this.#unfinished().join('; ')}`,
        );
    }
    if (this.#error !== undefined) return;
    this.oracle.finish();
    const wrong = this.watch?.judge(this.oracle) ?? [];
    if (wrong.length > 0) throw new Violation(`trace: ${wrong.slice(0, 5).join('; ')}`);
  }

  #isSettled(): boolean {
    return this.#clients.every((client) => client.isDone) && this.#reader.isDone && this.#lagging() === undefined;
  }

  #lagging(): string | undefined {
    for (const learner of this.learners)
      for (const log of this.oracle.logs) {
        // The probe goes on for ever: its last slots may be under way.
        if (log.startsWith('synod.')) continue;
        if (learner.next(log) < this.oracle.end(log))
          return `${learner.name} has ${learner.next(log)} of ${this.oracle.end(log)} slots of log ${log}`;
      }
    return undefined;
  }

  #unfinished(): string[] {
    const clients = this.#clients.filter((client) => !client.isDone).map((client) => client.progress);
    if (!this.#reader.isDone) clients.push('a read is not answered');
    return [...clients, this.#lagging() ?? 'learners are level', ...this.acceptors.map((a) => a.standing)];
  }

  // ── for the nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

  stream(name: string): Prng {
    let hash = 0x811c9dc5 ^ this.#plan.seed;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    return new Prng(Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0);
  }

  count(what: string): void {
    this.#coverage[what] = (this.#coverage[what] ?? 0) + 1;
    if (this.#options.trace !== undefined) this.say('', what);
  }

  note(who: string, note: Note): void {
    this.#coverage[nameOf(note)] = (this.#coverage[nameOf(note)] ?? 0) + 1;
    if (note.kind === 'campaign') this.#pace(`${who} ${note.log}`);
    if (this.#options.trace !== undefined) this.say(who, JSON.stringify(note));
  }

  /** A proposer that is refused waits before it asks again. */
  #pace(whose: string): void {
    const last = this.#campaigns.get(whose) ?? [];
    this.#campaigns.set(whose, last);
    last.push(this.schedule.now);
    if (last.length <= PACE) return;
    const ms = this.schedule.now - (last.shift() ?? 0);
    if (ms < PACE_MS) this.violation(`pace: ${whose} campaigned ${PACE} times in ${ms.toFixed(1)} ms`);
  }

  say(who: string, text: string): void {
    this.#options.trace?.(`${this.schedule.now.toFixed(1).padStart(9)} ${who.padEnd(11)} ${text}`);
  }

  fail(error: unknown): void {
    this.#error ??= error;
  }

  violation(text: string): void {
    this.fail(new Violation(text));
  }

  stir(): void {
    this.#isStirred = true;
  }
}

/** Resolves once no promise has anything left to do. */
function drained(): Promise<void> {
  return new Promise((done) => {
    setImmediate(done);
  });
}

function nameOf(note: Note): string {
  switch (note.kind) {
    case 'leader':
      return `leader ${note.change}`;
    case 'campaign':
      return note.override ? 'override' : 'campaign';
    case 'gap':
      return `gap ${note.asked}`;
    case 'quorum':
      return `${note.protocol} ${note.phase} ${note.outcome}`;
    case 'rejected':
      return `rejected ${note.reason}`;
    default:
      return note.kind;
  }
}
