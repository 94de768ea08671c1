/**
 * A seeded world of acceptors that only agree on a roster and start (R5). Questions are lost, repeated and late, also past the
 * end of the process that asked; processes crash between any two steps; disks are wiped, exchanged and brought back from
 * earlier. What may be said is judged from outside, by what the disks held. Planted faults must be found.
 */
import { describe, expect, test } from '@jest/globals';
import { Prng } from '../../shared/base/prng.ts';
import type {
  Introduction,
  IntroductionAnswer,
  Remembered,
  Roster,
  RosterState,
} from '../../shared/paxos/introduction.ts';
import { EMPTY_ROSTER_STATE, formatDisks, sameDisks, sameStart } from '../../shared/paxos/introduction.ts';
import type { RosterEffect, RosterEvent } from '../../shared/paxos/roster.ts';
import { RosterKeeper } from '../../shared/paxos/roster.ts';

interface SimDisk {
  readonly id: string;
  readonly state: RosterState;
  readonly position: number;
}

interface Process {
  readonly acceptor: number;
  readonly keeper: RosterKeeper;
  readonly startPosition: number;
  start: Remembered | undefined;
  speaking: boolean;
}

type Keeper = new (settings: ConstructorParameters<typeof RosterKeeper>[0]) => RosterKeeper;

interface Options {
  readonly acceptors: number;
  readonly faults: boolean;
  readonly keeper?: Keeper;
  /** The planted fault: a machine is told that its state is durable while it is not yet. */
  readonly liesAboutDurability?: boolean;
}

class World {
  now = 0;
  readonly problems: string[] = [];
  refusals = 0;
  everSpoke = 0;
  readonly #prng: Prng;
  readonly #options: Options;
  readonly #ids: number[];
  readonly #disks = new Map<number, SimDisk>();
  readonly #backups: { acceptor: number; disk: SimDisk }[] = [];
  readonly #up = new Map<number, Process>();
  readonly #queue: { at: number; run: () => void }[] = [];
  /** Rosters that a disk ever held durably, by disk id. */
  readonly #held = new Map<string, Set<string>>();
  #drawn = 0;

  constructor(seed: number, options: Options) {
    this.#prng = new Prng(seed);
    this.#options = options;
    this.#ids = Array.from({ length: options.acceptors }, (_, i) => i + 1);
    for (const id of this.#ids) {
      this.#disks.set(id, this.#blank());
      this.#later(this.#prng.below(500), () => {
        this.#start(id);
      });
    }
  }

  get speaking(): number {
    return [...this.#up.values()].filter((p) => p.speaking).length;
  }

  /** Runs for so many milliseconds, with faults where they are asked for. */
  run(ms: number, faults: boolean): void {
    const end = this.now + ms;
    for (; this.now < end; this.now++) {
      this.#deliver();
      for (const p of [...this.#up.values()]) if (this.now % 50 === p.acceptor) this.#tick(p);
      if (faults && this.#prng.chance(0.004)) this.#fault();
      this.#judge();
    }
  }

  /** Everything goes down at once and comes back, in any order. */
  crashAll(): void {
    for (const id of this.#ids) this.#crash(id);
  }

  #tick(p: Process): void {
    const disk = this.#disk(p.acceptor);
    // An acceptor that speaks writes its journal; only what is synced counts.
    if (p.speaking) this.#disks.set(p.acceptor, { ...disk, position: disk.position + this.#prng.below(5) });
    this.#feed(p, { kind: 'tick', position: this.#disk(p.acceptor).position });
    if (this.#prng.chance(0.05)) this.#feed(p, { kind: 'announce', position: this.#disk(p.acceptor).position });
  }

  #fault(): void {
    const id = this.#prng.pick(this.#ids);
    const disk = this.#disk(id);
    const what = this.#prng.below(12);
    if (what < 7) return this.#crash(id);
    if (what < 9) return void this.#backups.push({ acceptor: id, disk });
    this.#crash(id);
    const backup = this.#backups.length === 0 ? undefined : this.#prng.pick(this.#backups);
    if (what === 9) this.#disks.set(id, this.#blank());
    else if (what === 10 && backup !== undefined) {
      this.#crash(backup.acceptor);
      this.#disks.set(backup.acceptor, backup.disk);
    } else if (what === 11) {
      const other = this.#prng.pick(this.#ids);
      this.#crash(other);
      this.#disks.set(id, this.#disk(other));
      this.#disks.set(other, disk);
    }
  }

  #crash(id: number): void {
    if (!this.#up.delete(id)) return;
    this.#later(this.#prng.below(800), () => {
      this.#start(id);
    });
  }

  #start(id: number): void {
    if (this.#up.has(id)) return;
    const Keeper = this.#options.keeper ?? RosterKeeper;
    const disk = this.#disk(id);
    const keeper = new Keeper({ acceptor: id, disk: disk.id, acceptors: this.#ids });
    const p: Process = { acceptor: id, keeper, startPosition: disk.position, start: undefined, speaking: false };
    this.#up.set(id, p);
    this.#feed(p, { kind: 'started', state: disk.state, position: disk.position });
  }

  #feed(p: Process, event: RosterEvent): void {
    if (this.#up.get(p.acceptor) !== p) return;
    for (const effect of p.keeper.step(event, { now: this.now, random: this.#prng.next() })) this.#do(p, effect);
  }

  #do(p: Process, effect: RosterEffect): void {
    switch (effect.kind) {
      case 'persist':
        return this.#persist(p, effect.state, effect.token);
      case 'ask':
        p.start = effect.introduction;
        return this.#ask(p, effect.to, effect.introduction);
      case 'speak':
        p.speaking = true;
        this.everSpoke++;
        return this.#judgeSpeaker(p);
      case 'refuse':
        this.refusals++;
        p.speaking = false;
        this.#up.delete(p.acceptor);
        // A supervisor starts it again; it must refuse again, or have a reason not to.
        return this.#later(1_000 + this.#prng.below(2_000), () => {
          this.#start(p.acceptor);
        });
      case 'reply': {
        const answer = this.#replies.get(effect.token);
        this.#replies.delete(effect.token);
        return answer?.(effect.answer);
      }
      case 'note':
        return;
    }
  }

  #persist(p: Process, state: RosterState, token: number): void {
    const write = (): void => {
      const before = this.#disk(p.acceptor);
      this.#disks.set(p.acceptor, { ...before, state });
      const { roster } = before.state;
      if (roster.kind !== 'none' && (state.roster.kind === 'none' || !sameDisks(roster.disks, state.roster.disks)))
        this.problems.push(`disk ${before.id} replaced its roster`);
      this.#recordRoster(this.#disk(p.acceptor).id, state.roster);
    };
    const lies = this.#options.liesAboutDurability === true;
    this.#later(this.#prng.below(lies ? 200 : 20), () => {
      if (this.#up.get(p.acceptor) !== p) return;
      write();
      if (!lies) this.#feed(p, { kind: 'persisted', token });
    });
    if (lies)
      this.#later(0, () => {
        this.#feed(p, { kind: 'persisted', token });
      });
  }

  readonly #replies = new Map<number, (answer: IntroductionAnswer) => void>();
  #tokens = 0;

  #ask(p: Process, to: number, introduction: Introduction): void {
    for (let copies = this.#times(); copies > 0; copies--) {
      this.#later(this.#delay(), () => {
        const peer = this.#up.get(to);
        if (peer === undefined) return;
        const before = this.#disk(to).state.remembered.get(p.acceptor);
        const token = this.#tokens++;
        this.#replies.set(token, (answer) => {
          for (let again = this.#times(); again > 0; again--)
            this.#later(this.#delay(), () => {
              this.#feed(p, { kind: 'answered', from: to, answer });
              this.#judgeAnswer(p, before, to);
            });
        });
        this.#feed(peer, { kind: 'asked', introduction, token });
      });
    }
  }

  /** R5 from outside: a start that a reached acceptor remembers to be older than it was does not go on. */
  #judgeAnswer(p: Process, before: Remembered | undefined, by: number): void {
    const { start } = p;
    if (this.#up.get(p.acceptor) !== p || start === undefined || before === undefined) return;
    if (sameStart(before, start)) return;
    const older = before.start >= start.start || before.position > p.startPosition;
    if (older)
      this.problems.push(`acceptor ${String(p.acceptor)} goes on, though ${String(by)} remembers more of its disk`);
  }

  #judgeSpeaker(p: Process): void {
    const { state } = this.#disk(p.acceptor);
    if (state.roster.kind !== 'complete') {
      this.problems.push(`acceptor ${String(p.acceptor)} speaks, its own disk says ${state.roster.kind}`);
      return;
    }
    const roster = formatDisks(state.roster.disks);
    for (const [id, disk] of state.roster.disks)
      if (this.#held.get(disk)?.has(roster) !== true)
        this.problems.push(`acceptor ${String(p.acceptor)} speaks, the disk of ${String(id)} never held the roster`);
    const witnesses = this.#ids.filter((id) => {
      const seen = this.#disk(id).state.remembered.get(p.acceptor);
      return id !== p.acceptor && seen !== undefined && p.start !== undefined && seen.start >= p.start.start;
    });
    // A witness whose disk was wiped or brought back since is no fault of the speaker; without such faults one must be left.
    if (witnesses.length === 0 && !this.#options.faults && this.#ids.length > 1)
      this.problems.push(`acceptor ${String(p.acceptor)} speaks, and no other disk remembers its start`);
  }

  #judge(): void {
    const rosters = new Set<string>();
    for (const p of this.#up.values()) {
      const { roster } = this.#disk(p.acceptor).state;
      if (p.speaking) rosters.add(roster.kind === 'none' ? 'none' : formatDisks(roster.disks));
    }
    if (rosters.size > 1) this.problems.push(`two rosters speak at once: ${[...rosters].join(' and ')}`);
  }

  #recordRoster(disk: string, roster: Roster): void {
    if (roster.kind === 'none') return;
    const rosters = this.#held.get(disk) ?? new Set();
    this.#held.set(disk, rosters.add(formatDisks(roster.disks)));
  }

  #deliver(): void {
    const due = this.#queue.filter((e) => e.at <= this.now);
    if (due.length === 0) return;
    const rest = this.#queue.filter((e) => e.at > this.now);
    this.#queue.splice(0, this.#queue.length, ...rest);
    for (const e of due) e.run();
  }

  #later(ms: number, run: () => void): void {
    this.#queue.push({ at: this.now + 1 + ms, run });
  }

  #times(): number {
    if (!this.#options.faults) return 1;
    return this.#prng.chance(0.15) ? 0 : this.#prng.chance(0.1) ? 2 : 1;
  }

  #delay(): number {
    return this.#options.faults && this.#prng.chance(0.05) ? this.#prng.below(3_000) : this.#prng.below(20);
  }

  #disk(id: number): SimDisk {
    const disk = this.#disks.get(id);
    if (disk === undefined) throw new Error(`no disk of ${String(id)}`);
    return disk;
  }

  #blank(): SimDisk {
    return { id: `d${String(++this.#drawn)}`, state: EMPTY_ROSTER_STATE, position: -1 };
  }
}

/** The nightly run multiplies the seeds of every simulation. */
const SEEDS = 40 * Number(process.env['SYNOD_SIM_FACTOR'] ?? 1);

function search(seeds: number, options: Options): { problems: string[]; spoke: number; refused: number } {
  let spoke = 0;
  let refused = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const world = new World(seed, { ...options, acceptors: options.acceptors + (seed % 2) });
    world.run(12_000, options.faults);
    spoke += world.everSpoke;
    refused += world.refusals;
    if (world.problems.length > 0)
      return { problems: world.problems.map((p) => `seed ${String(seed)}: ${p}`), spoke, refused };
  }
  return { problems: [], spoke, refused };
}

describe('rosters and starts, simulated', () => {
  test('whatever happens to messages, processes and disks, no acceptor speaks that R5 forbids to', () => {
    const found = search(SEEDS, { acceptors: 3, faults: true });
    expect(found.problems).toEqual([]);
    // The search was worth something: acceptors spoke, and disks were refused.
    expect(found.spoke).toBeGreaterThan(SEEDS);
    expect(found.refused).toBeGreaterThan(SEEDS);
  });

  test('without faults all acceptors of a new cluster speak, and all again after a crash of all at once', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const acceptors = 1 + (seed % 5);
      const world = new World(seed, { acceptors, faults: false });
      world.run(3_000, false);
      expect(world.speaking).toBe(acceptors);
      world.crashAll();
      expect(world.speaking).toBe(0);
      world.run(3_000, false);
      expect(world.speaking).toBe(acceptors);
      expect(world.refusals).toBe(0);
      expect(world.problems).toEqual([]);
    }
  });

  test('when messages are lost and late and processes crash, but no disk is touched, all speak in the end', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = new World(seed, { acceptors: 3, faults: true });
      for (let crashes = 0; crashes < 4; crashes++) {
        world.run(700, false);
        world.crashAll();
      }
      world.run(10_000, false);
      expect(world.speaking).toBe(3);
      expect(world.problems).toEqual([]);
    }
  });
});

describe('planted faults are found', () => {
  test('a roster that is called complete when a majority holds it', () => {
    class Hasty extends RosterKeeper {
      protected override heldByAll(holders: number, others: number): boolean {
        return holders >= others / 2;
      }
    }
    expect(search(60, { acceptors: 3, faults: true, keeper: Hasty }).problems).not.toEqual([]);
  });

  test('a reply before what it says is durable', () => {
    expect(search(60, { acceptors: 3, faults: true, liesAboutDurability: true }).problems).not.toEqual([]);
  });

  test('an acceptor that does not listen to what others remember', () => {
    class Deaf extends RosterKeeper {
      protected override contradiction(): string | undefined {
        return undefined;
      }
    }
    expect(search(60, { acceptors: 3, faults: true, keeper: Deaf }).problems).not.toEqual([]);
  });
});
