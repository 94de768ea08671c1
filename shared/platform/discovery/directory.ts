/**
 * Where the members of a role are. A fixed list never changes. A list that DNS gives is asked for again and again: members come,
 * move, and are forgotten only after long, because DNS may be silent or late, and proves nothing about who is alive.
 */
import { messageOf } from '../../base/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/telemetry.ts';
import { everyMs } from '../clock.ts';
import { dnsNameText } from '../config/values.ts';
import type { DnsName } from '../config/values.ts';

/** Whoever keeps connections to the members. */
export interface Watcher {
  /** A member is new, or is somewhere else now. `address` undefined: it is forgotten. */
  readonly onMember: (id: number, address: string | undefined) => void;
  /** The member answers: it is not forgotten, whatever DNS says. */
  readonly answers: (id: number) => boolean;
}

export interface Directory {
  /** Addresses by id, as they are known now. */
  readonly members: ReadonlyMap<number, string>;
  /** Whoever is not on the list never will be. */
  readonly isFixed: boolean;
  /** Nobody else is to be expected: the list is fixed, or DNS answered for as long as a member is remembered. */
  readonly isSettled: boolean;
  /** Why nobody may be known, for a person; undefined where nothing is wrong. */
  readonly trouble: string | undefined;
  /** Begins to look. Those that are known already are not told again. */
  watch(watcher: Watcher): void;
  stop(): void;
}

/** What DNS says of one member. */
export interface Named {
  /** The name of the member's host: its first label ends in the member's number. */
  readonly target: string;
  /** `host:port`, by IP address; none when the name has none now. */
  readonly addresses: readonly string[];
}

/** Asks DNS. Rejects when it gives no answer, or names nobody. */
export interface MemberLookup {
  find(name: DnsName): Promise<readonly Named[]>;
}

export interface DiscoveryOptions {
  readonly intervalMs: number;
  readonly forgetMs: number;
  readonly lookup: MemberLookup;
  readonly clock: Clock;
  readonly log: Log;
}

export class FixedDirectory implements Directory {
  readonly members: ReadonlyMap<number, string>;
  readonly isFixed = true;
  readonly isSettled = true;
  readonly trouble = undefined;

  constructor(members: ReadonlyMap<number, string>) {
    this.members = members;
  }

  watch(): void {
    // Nothing ever changes.
  }

  stop(): void {
    // Nothing runs.
  }
}

interface Member {
  address: string;
  /** Answers of DNS, one after the other, that did not name it. */
  missed: number;
}

/** Members of a role at most: every one costs connections, and what DNS says is not ours to bound. */
export const MEMBERS_MAX = 256;
/** Names in warnings that were said already: what DNS says is bounded here. */
const SAID_MAX = 1_000;

export class DnsDirectory implements Directory {
  readonly isFixed = false;
  readonly #name: DnsName;
  readonly #role: string;
  readonly #options: DiscoveryOptions;
  readonly #known = new Map<number, Member>();
  /** So many answers in a row that do not name a member let it be forgotten. Answers, not time: no answer proves nothing. */
  readonly #missedMax: number;
  readonly #said = new Set<string>();
  #watcher: Watcher = { onMember: () => undefined, answers: () => false };
  #answers = 0;
  #trouble: string | undefined = 'DNS was not asked yet';
  #isLooking = false;
  #isStopped = false;
  #stopTicks = (): void => undefined;

  constructor(name: DnsName, role: string, options: DiscoveryOptions) {
    this.#name = name;
    this.#role = role;
    this.#options = options;
    this.#missedMax = Math.max(1, Math.ceil(options.forgetMs / options.intervalMs));
  }

  get members(): ReadonlyMap<number, string> {
    return new Map([...this.#known].map(([id, { address }]) => [id, address] as const).sort(([a], [b]) => a - b));
  }

  get isSettled(): boolean {
    return this.#answers >= this.#missedMax;
  }

  get trouble(): string | undefined {
    return this.#trouble === undefined ? undefined : `${dnsNameText(this.#name)}: ${this.#trouble}`;
  }

  watch(watcher: Watcher): void {
    this.#watcher = watcher;
    const look = (): void => {
      void this.look();
    };
    look();
    this.#stopTicks = everyMs(this.#options.clock, this.#options.intervalMs, look);
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopTicks();
  }

  /** Asks DNS once; a question that is under way is not asked again. Never rejects. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#isStopped) return;
    this.#isLooking = true;
    try {
      const found = await this.#options.lookup.find(this.#name);
      this.#hear(found);
    } catch (error) {
      this.#setTrouble(messageOf(error));
    } finally {
      this.#isLooking = false;
    }
  }

  #hear(found: readonly Named[]): void {
    if (this.#isStopped) return;
    const named = this.#byId(found);
    if (named.size === 0) {
      this.#setTrouble('no name that DNS gives ends in a member’s number');
      return;
    }
    for (const [id, { target, addresses }] of named) this.#meet(id, target, addresses);
    const trouble = this.#unmet(named);
    this.#setTrouble(trouble);
    // Somebody is there whom nobody can reach yet: that is no proof of who else there is.
    if (trouble === undefined) this.#answers++;
    for (const [id, member] of this.#known) {
      if (named.has(id)) member.missed = 0;
      else if (++member.missed >= this.#missedMax && !this.#watcher.answers(id)) this.#forget(id, member);
    }
  }

  /** A name without an address now, as of a pod that is being made anew, leaves the member where it was. */
  #meet(id: number, target: string, addresses: readonly string[]): void {
    const before = this.#known.get(id);
    const [address] = addresses;
    if (address === undefined || (before !== undefined && addresses.includes(before.address))) return;
    if (before === undefined && this.#known.size >= MEMBERS_MAX) return;
    if (before === undefined) this.#known.set(id, { address, missed: 0 });
    else before.address = address;
    this.#options.log.info(
      { [this.#role]: id, address, name: target, before: before?.address },
      before === undefined ? `DNS names a ${this.#role}` : `a ${this.#role} has another address`,
    );
    this.#watcher.onMember(id, address);
  }

  /** Why not everybody who is named is known. */
  #unmet(named: ReadonlyMap<number, Named>): string | undefined {
    const unmet = [...named].filter(([id]) => !this.#known.has(id)).map(([, { target }]) => target);
    if (unmet.length === 0) return undefined;
    return this.#known.size >= MEMBERS_MAX
      ? `${String(MEMBERS_MAX)} members are known, and no more are taken`
      : `DNS gives no address of ${unmet.slice(0, 3).join(', ')}${unmet.length > 3 ? ` and ${String(unmet.length - 3)} more` : ''}`;
  }

  #forget(id: number, { address }: Member): void {
    this.#known.delete(id);
    this.#options.log.warn(
      { [this.#role]: id, address },
      `DNS does not name a ${this.#role} any more, and it does not answer: it is forgotten (discovery.forget)`,
    );
    this.#watcher.onMember(id, undefined);
  }

  #byId(found: readonly Named[]): Map<number, Named> {
    const named = new Map<number, Named>();
    const sorted = [...found].sort((a, b) => (a.target < b.target ? -1 : 1));
    for (const each of sorted) {
      const id = memberNumber(each.target);
      const first = id === undefined ? undefined : named.get(id);
      if (id === undefined)
        this.#warn(each.target, `its first label does not end in - and a number from 1 to ${String(ID_MAX)}`);
      else if (first === undefined) named.set(id, each);
      else if (first.target !== each.target) this.#warn(each.target, `${first.target} has the same number`);
    }
    return named;
  }

  #warn(target: string, why: string): void {
    const text = `${target} is no ${this.#role} and left out: ${why}`;
    if (this.#said.has(text) || this.#said.size >= SAID_MAX) return;
    this.#said.add(text);
    this.#options.log.warn({ name: dnsNameText(this.#name) }, text);
  }

  #setTrouble(trouble: string | undefined): void {
    const before = this.#trouble;
    this.#trouble = trouble;
    if (trouble === before) return;
    const about = { name: dnsNameText(this.#name), members: this.#known.size };
    if (trouble === undefined) this.#options.log.info(about, `DNS names every ${this.#role}`);
    else
      this.#options.log.warn(
        { ...about, error: trouble },
        `DNS does not say where every ${this.#role} is; those that are known stay`,
      );
  }
}

const ID_MAX = 65_535;

/**
 * The number of a member from the name of its host: `synod-learner-3.synod-learner.…` is 3. Undefined for other names; a pod that
 * has no name of its own is called by its IP address with dashes, whose last number says nothing.
 */
export function memberNumber(target: string): number | undefined {
  const [label = ''] = target.split('.');
  const match = /^[A-Za-z](?:[A-Za-z0-9]|-(?!-))*-([1-9]\d{0,4})$/.exec(label);
  const id = Number(match?.[1] ?? 0);
  return id >= 1 && id <= ID_MAX ? id : undefined;
}
