/** What a demonstration plays on: a running cluster with its members, the events that they tell, and faults that are healed at its end. */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../../../shared/base/errors.ts';
import { ClientError, connect, faults, memberName, memberShort, mergeTraces } from '../../../shared/client/index.ts';
import type {
  FaultAction,
  FaultDirection,
  MergedTrace,
  SynodClient,
  Traced,
  TraceKind,
  TraceMessage,
} from '../../../shared/client/index.ts';
import { formatBallot } from '../../../shared/paxos/ballot.ts';
import { realClock } from '../../../shared/platform/clock.ts';
import type { Context } from '../context.ts';
import type { Place, RoleName } from '../endpoints.ts';
import { lanesOf, Rows } from '../trace/rows.ts';
import type { Row } from '../trace/rows.ts';
import { gather } from '../commands/gather.ts';
import type { Member } from '../commands/gather.ts';
import { EXIT, PartialError } from '../exit.ts';
import type { Events, Verdict } from './claims.ts';
import { Teller } from './teller.ts';

/** What the caller can do to processes; a command that found the cluster running can do nothing to them. */
export interface Hands {
  /** Kills a proposer's process at once, and waits until it is gone; the cluster ends with the demonstration. */
  readonly kill?: (proposer: number) => Promise<void>;
}

export interface StageOptions {
  readonly demo: string;
  readonly slow: boolean;
  /** Roles whose lanes are drawn: those that it is about. */
  readonly drawn: readonly RoleName[];
  /** Roles that have lanes in a picture as well, which is not as narrow. */
  readonly pictured?: readonly RoleName[];
  /** Events that are not drawn: what others say as well. */
  readonly omitted: readonly (TraceMessage | TraceKind)[];
  readonly hands: Hands;
  /** More arguments of `npm start` for a cluster that it can be played on. */
  readonly start?: string;
}

/** A demonstration that cannot go on, or whose text the events contradict. */
export class DemoError extends PartialError {
  constructor(message: string) {
    super(message, EXIT.refused);
  }
}

/** Something had to be done between two messages, and came too late; with a new log it may be in time. */
export class TooLateError extends DemoError {}

/** Faults end by themselves, should this process be killed. */
const FAULT_MS = 180_000;
/** How long something may take that must happen. A busy machine is slow, not wrong. */
const WAIT_MS = 30_000;
/** Short, because some scenes answer to what they see; two machines' clocks would not be apart that far. */
const SETTLE_MS = 60;
const FLUSH_MS = 120;
/** Proposals of a demonstration are tried so long. */
const PROPOSE_MS = 60_000;

/** What tells a reader of Paxos nothing: it is the cluster's housekeeping. */
const HIDDEN: ReadonlySet<string> = new Set([
  ...['synced', 'trimmed', 'peer', 'pause', 'lost', 'unfound'],
  ...['ask', 'would-promise', 'tell', 'fetch', 'alive', 'heartbeat', 'finish'],
]);

interface Followed {
  readonly log: string;
  readonly merged: MergedTrace;
  readonly members: readonly Traced['member'][];
  readonly stop: AbortController;
}

export class Stage {
  /** What the members told of the log, in one order. */
  readonly events: Traced[] = [];
  /** What was drawn, for a picture. */
  readonly rows: Row[] = [];
  #isDrawing = true;
  readonly acceptors: readonly number[];
  readonly proposers: readonly number[];
  readonly learners: readonly number[];
  /** Those of a picture. */
  readonly lanes: readonly string[];
  readonly #drawnLanes: readonly string[];
  readonly hands: Hands;
  readonly #omitted: ReadonlySet<string>;
  readonly #context: Context;
  readonly #teller: Teller;
  readonly #firstLog: string;
  #logs = 1;
  #followed: Followed;
  /** By the receipt of a message: its sending. */
  readonly #sendings = new Map<Traced, Traced>();
  readonly #places: readonly Place[];
  readonly #stop = new AbortController();
  readonly #open = new Rows(false);
  /** What is drawn once, however often it happens: asking again for what is still missing. */
  readonly #drawn = new Set<string>();
  /** Events that are drawn, so far. */
  #count = 0;
  readonly #clients: SynodClient[] = [];
  readonly #faults = new Set<string>();
  readonly #began = performance.now();
  /** Members that the trace lost, and was not told to. */
  #lost: string | undefined;
  readonly #mayGo = new Set<string>();
  #wake: (() => void)[] = [];
  #claims = 0;
  #cancelFlush: (() => void) | undefined;

  private constructor(context: Context, options: StageOptions, followed: Followed) {
    this.#firstLog = followed.log;
    this.hands = options.hands;
    this.#omitted = new Set(options.omitted);
    this.#context = context;
    this.#followed = followed;
    this.#places = context.endpoints.places.filter(({ listening }) => listening);
    const ids = (role: RoleName): number[] => this.#places.filter((each) => each.role === role).map(({ id }) => id);
    this.acceptors = ids('acceptor');
    this.proposers = ids('proposer');
    this.learners = ids('learner');
    const lanes = (roles: readonly RoleName[]): string[] =>
      lanesOf(followed.members.filter(({ role }) => roles.some((each) => each === role)));
    this.#drawnLanes = lanes(options.drawn);
    this.lanes = lanes([...options.drawn, ...(options.pictured ?? [])]);
    this.#teller = new Teller(context.io, {
      ...{ demo: options.demo, json: context.json, slow: options.slow, lanes: this.#drawnLanes },
      wait: (ms) => this.#sleep(ms),
    });
  }

  /** Follows every member of the cluster. Throws where not all run, or where they make no faults. */
  static async open(context: Context, options: StageOptions): Promise<Stage> {
    const { endpoints, io } = context;
    const down = endpoints.places.filter(({ listening }) => !listening);
    // Throws, with what to start, where there is nobody at all.
    for (const role of ['acceptor', 'proposer', 'learner'] as const) endpoints.reachable(role);
    if (down.length > 0)
      throw new ClientError(
        'FAILED_PRECONDITION',
        `every member takes part in a demonstration, and ${down.map(memberName).join(', ')} ${down.length === 1 ? 'is' : 'are'} down (${endpoints.source})`,
        'none',
      );
    await checkFaults(context, options);
    const on: { lost?: typeof Stage.prototype.onLost } = {};
    const followed = await follow(
      endpoints.places,
      `demo-${options.demo}-${randomBytes(3).toString('hex')}`,
      (...lost) => on.lost?.(...lost),
    );
    const stage = new Stage(context, options, followed);
    on.lost = stage.onLost.bind(stage);
    io.signal.addEventListener('abort', stage.#end, { once: true });
    void stage.#pump(followed);
    return stage;
  }

  get log(): string {
    return this.#followed.log;
  }

  /** Turns to another log, which nobody has used: what was told of the one before is let go. */
  async turn(): Promise<void> {
    await this.settle();
    this.#flush();
    const before = this.#followed;
    const log = `${this.#firstLog}-${String(++this.#logs)}`;
    this.#followed = await follow(this.#places, log, this.onLost.bind(this));
    before.stop.abort();
    this.events.length = 0;
    this.#sendings.clear();
    this.#drawn.clear();
    void this.#pump(this.#followed);
    this.#check();
  }

  /** Acceptors that are enough. */
  get quorum(): number {
    return Math.floor(this.acceptors.length / 2) + 1;
  }

  /** The sending of a message that was received, where it was seen. */
  sendingOf(received: Traced): Traced | undefined {
    return this.#sendings.get(received);
  }

  /** What the members say of themselves now. */
  members(): Promise<Member[]> {
    return gather(this.#context, { log: this.log, all: false, logsMax: 1 });
  }

  title(text: string): void {
    this.#teller.title(text);
  }

  async scene(text: string): Promise<void> {
    await this.settle();
    this.#flush();
    await this.#teller.scene(text);
  }

  say(text: string): void {
    this.#flush();
    this.#teller.say(text);
  }

  /** The picture ends here: what is told from now on is for the text alone. */
  picture(): void {
    this.#flush();
    this.#isDrawing = false;
  }

  /** Figures: one object for programs, these lines for people. */
  figures(what: object, lines: readonly string[]): void {
    this.#flush();
    this.#teller.figures(what, lines);
  }

  /** Says something that the events must bear out, and throws a DemoError where they do not. */
  async claim(text: string, check: Verdict): Promise<void> {
    this.#flush();
    const checked = judged(check, this.#followed.merged.dropped, this.#lost);
    this.#claims++;
    await this.#teller.claim(text, checked);
    if (!checked.holds) throw contradiction(text, checked);
  }

  end(): void {
    this.#flush();
    this.#teller.end(this.#claims, performance.now() - this.#began, this.log, this.hands.kill === undefined);
  }

  /** Waits for something that the events show, and gives it. Throws a DemoError when it does not come. */
  async until<T>(what: string, find: (events: Events) => T | undefined | false, msMax = WAIT_MS): Promise<T> {
    const end = realClock.now() + msMax;
    for (;;) {
      const found = find(this.events);
      if (found !== undefined && found !== false) return found;
      this.#check();
      const left = end - realClock.now();
      if (left <= 0) throw new DemoError(`this did not happen within ${String(msMax / 1_000)} s: ${what}`);
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        realClock.after(Math.min(left, 250), resolve);
      });
    }
  }

  /** Like `until`, for what need not happen: undefined where it did not, within that time. */
  async maybe<T>(find: (events: Events) => T | undefined | false, msMax: number): Promise<T | undefined> {
    try {
      return await this.until('', find, msMax);
    } catch (error) {
      if (!(error instanceof DemoError)) throw error;
      return undefined;
    }
  }

  /** A client that knows these proposers and learners alone; by default all. */
  client(options: { readonly proposers?: readonly number[]; readonly learners?: readonly number[] } = {}): SynodClient {
    const at = (role: RoleName, ids: readonly number[]): string[] =>
      this.#places.filter((each) => each.role === role && ids.includes(each.id)).map(({ address }) => address);
    const client = connect({
      proposers: at('proposer', options.proposers ?? this.proposers),
      learners: at('learner', options.learners ?? this.learners),
      timeoutMs: PROPOSE_MS,
    });
    this.#clients.push(client);
    return client;
  }

  /**
   * Cuts members off from one another: `a1`, `p2`, `l1`. One way: what the first send to the second is lost, and nothing else. Both sides make it.
   */
  async cut(left: readonly string[], right: readonly string[], way: 'both' | 'one' = 'both'): Promise<void> {
    const [out, back]: FaultDirection[] = way === 'one' ? ['out', 'in'] : ['both', 'both'];
    await this.#make({ kind: 'cut' }, [
      [left, right, out],
      [right, left, back],
    ] as const);
  }

  /** Holds what the first send to the second for so many milliseconds. */
  async hold(ms: number, left: readonly string[], right: readonly string[]): Promise<void> {
    await this.#make({ kind: 'delay', ms, jitterMs: 0 }, [[left, right, 'out']] as const);
  }

  /** Ends the faults of this demonstration, at every member. */
  async heal(): Promise<void> {
    const ids = [...this.#faults];
    if (ids.length === 0) return;
    // A member that is down has no faults any more.
    await Promise.allSettled(this.#places.map(({ address }) => faults.heal(address, ids, this.#context.timeoutMs)));
    this.#faults.clear();
  }

  /** Names of all members of these roles, but for those. */
  all(roles: readonly RoleName[], but: readonly string[] = []): string[] {
    return this.#places
      .filter(({ role }) => roles.includes(role))
      .map(memberShort)
      .filter((name) => !but.includes(name));
  }

  /** A proposer's process may go from here on: its trace breaks, and that is not a fault of the trace. */
  mayGo(name: string): void {
    this.#mayGo.add(name);
  }

  /** The trace of a member was lost. */
  onLost(log: string, address: string, why: string): void {
    if (log !== this.log) return;
    const place = this.#places.find((each) => each.address === address);
    const name = place === undefined ? address : memberShort(place);
    if (!this.#mayGo.has(name)) this.#lost ??= `${name} was not followed all the time: ${why}`;
  }

  async close(): Promise<void> {
    this.#flush();
    await this.heal();
    for (const client of this.#clients) client.close();
    this.#context.io.signal.removeEventListener('abort', this.#end);
    this.#end();
  }

  readonly #end = (): void => {
    this.#stop.abort();
    this.#followed.stop.abort();
    this.#wakeAll();
  };

  #check(): void {
    if (this.#context.io.signal.aborted) throw new DemoError('given up');
    if (this.#stop.signal.aborted) throw new DemoError(this.#lost ?? 'the trace has ended');
  }

  async #make(
    action: FaultAction,
    sides: readonly (readonly [readonly string[], readonly string[], FaultDirection | undefined])[],
  ): Promise<void> {
    const peers = (names: readonly string[]): { role: RoleName; id: number }[] =>
      this.#places.filter((each) => names.includes(memberShort(each))).map(({ role, id }) => ({ role, id }));
    await Promise.all(
      sides.flatMap(([at, others, direction = 'both']) =>
        this.#places
          .filter((each) => at.includes(memberShort(each)))
          .map(async ({ address }) => {
            const id = `demo-${randomBytes(3).toString('hex')}`;
            this.#faults.add(id);
            const fault = { id, action, peers: peers(others), direction, forMs: FAULT_MS };
            await faults.add(address, fault, this.#context.timeoutMs);
          }),
      ),
    );
  }

  async #pump(followed: Followed): Promise<void> {
    const { merged, log } = followed;
    try {
      for await (const event of merged) {
        if (followed !== this.#followed) return;
        if (event.log !== log) continue;
        this.events.push(event);
        const sending = merged.sendingOf(event);
        if (sending !== undefined) this.#sendings.set(event, sending);
        this.#teller.event(event);
        if (this.#isDrawn(event)) {
          this.#open.push(event, sending);
          // A sending is drawn where it is received.
          if (event.kind !== 'sent') this.#count++;
        }
        this.#cancelFlush ??= realClock.after(FLUSH_MS, () => {
          this.#flush();
        });
        this.#wakeAll();
      }
    } catch (error) {
      if (followed === this.#followed) this.#lost ??= messageOf(error);
    }
    if (followed === this.#followed) this.#end();
  }

  #isDrawn(event: Traced): boolean {
    const what = event.kind === 'sent' || event.kind === 'received' ? event.message : event.kind;
    if (HIDDEN.has(what) || this.#omitted.has(what)) return false;
    if (event.kind !== 'gap' && !(event.kind === 'received' && event.message === 'votes')) return true;
    const { member, peer, ballot, first, count } = event;
    const who = memberShort(member) + (peer === undefined ? '' : memberShort(peer));
    const key = `${who} ${ballot === undefined ? '' : formatBallot(ballot)} ${String(first)} ${String(count)}`;
    if (this.#drawn.has(key)) return false;
    this.#drawn.add(key);
    return true;
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    for (const row of this.#open.flush()) {
      const pictured = this.#isDrawing ? within(row, this.lanes) : undefined;
      if (pictured !== undefined) this.rows.push(pictured);
      const drawn = within(row, this.#drawnLanes);
      if (drawn !== undefined) this.#teller.row(drawn);
    }
  }

  /** Waits until what happened so far was told: nothing came for a moment. Bounded, for a cluster need not come to rest. */
  async settle(): Promise<void> {
    for (let tries = 0; tries < 5; tries++) {
      const drawn = this.#count;
      await this.#sleep(2 * SETTLE_MS);
      if (this.#count === drawn) return;
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #sleep(ms: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = realClock.after(ms, done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

/** Follows what all members tell of a log; resolves once they do. */
async function follow(
  places: readonly Place[],
  log: string,
  onLost: (log: string, address: string, why: string) => void,
): Promise<Followed> {
  const stop = new AbortController();
  const merged = mergeTraces(
    places.map(({ address }) => address),
    {
      ...{ log, values: true, settleMs: SETTLE_MS, signal: stop.signal },
      onChange: ({ address, change, why }) => {
        if (change === 'lost') onLost(log, address, why);
      },
    },
  );
  return { log, merged, members: await merged.ready, stop };
}

/** The row as far as these lanes have it; undefined where it is about others. */
function within(row: Row, lanes: readonly string[]): Row | undefined {
  const to = row.to.filter((lane) => lanes.includes(lane));
  return !lanes.includes(row.from) || (row.to.length > 0 && to.length === 0) ? undefined : { ...row, to };
}

/** What was not seen cannot bear out a claim: where events are missing, none holds. `lost`: who was not followed all the time. */
export function judged(check: Verdict, dropped: number, lost: string | undefined): Verdict {
  if (!check.holds) return check;
  if (dropped > 0) return { holds: false, because: `${String(dropped)} events were lost on the way` };
  return lost === undefined ? check : { holds: false, because: lost };
}

export function contradiction(text: string, { because }: Verdict): DemoError {
  return new DemoError(`the events contradict what is told: "${text}"; instead: ${because}`);
}

/** Throws, with how to start, where a member makes no faults. */
async function checkFaults(context: Context, { demo, start = '' }: StageOptions): Promise<void> {
  const { places, source } = context.endpoints;
  try {
    await Promise.all(places.map(({ address }) => faults.list(address, context.timeoutMs)));
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'FAILED_PRECONDITION') throw error;
    throw new ClientError(
      'FAILED_PRECONDITION',
      `the demonstration cuts members off from one another, and that is switched off in ${source}; ` +
        `start it with npm start -- --faults${start}, or stop it and run npm run demo -- ${demo}`,
      'none',
    );
  }
}
