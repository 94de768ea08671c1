/** Does what the parts of a plan say, and ends it all when the faults are over. */
import type { Prng } from '../../shared/base/prng.ts';
import { assertNever } from '../../shared/base/assert.ts';
import { SimAcceptor } from './acceptor.ts';
import type { SimClient, SimReader } from './client.ts';
import type { Damage } from './disk.ts';
import { SimDisk } from './disk.ts';
import type { SimLearner } from './learner.ts';
import type { World } from './node.ts';
import type { Part } from './plan.ts';
import type { QuorumSets } from './quorums.ts';
import type { SimProposer } from './proposer.ts';

type Node = SimAcceptor | SimProposer | SimLearner;

/** Milliseconds that a disk which must be refused stays with its process, at the least, before it is put right. */
const VERDICT_MS = 400;

export class Faults {
  readonly #world: World;
  readonly #clients: readonly SimClient[];
  readonly #fastClients: readonly SimClient[];
  readonly #reader: SimReader;
  readonly #prng: Prng;
  readonly #cuts: string[] = [];
  #isOver = false;
  /** Learner disks that are gone and that acceptors are to forget, and where that was said. */
  readonly #gone: string[] = [];

  constructor(world: World, clients: readonly SimClient[], fastClients: readonly SimClient[], reader: SimReader) {
    this.#world = world;
    this.#clients = clients;
    this.#fastClients = fastClients;
    this.#reader = reader;
    this.#prng = world.stream('faults');
  }

  /** Schedules a part. */
  plan(part: Part): void {
    this.#world.schedule.after(part.at, () => {
      this.#do(part);
    });
  }

  #nodes(): Node[] {
    const { acceptors, proposers, learners } = this.#world;
    return [...acceptors, ...proposers, ...learners];
  }

  #do(part: Part): void {
    const world = this.#world;
    switch (part.kind) {
      case 'propose':
        return this.#clients[part.client]?.propose(part.log, part.payload);
      case 'decree':
        return this.#clients[part.client]?.decree(part.log, part.payload);
      case 'fast-propose':
        return this.#fastClients[part.client]?.propose(part.log, part.payload);
      case 'fast-decree':
        return this.#fastClients[part.client]?.decree(part.log, part.payload, 'fast');
      case 'read':
        return this.#reader.read(part.log, part.learner);
      case 'move':
        return this.#move(part.log, part.to);
      case 'drain':
        return this.#drain(part.proposer, part.ms);
      case 'weather':
        Object.assign(world.network.faults, { loss: part.loss, duplicate: part.duplicate, longTail: part.longTail });
        return;
      case 'cut':
        world.count(`cut ${part.shape}`);
        return this.#cut(part.links, part.ms, part.flaps, part.stagger);
      case 'power':
        world.count('power loss everywhere');
        for (const [i, node] of this.#nodes().entries()) this.#crash(node, 'power', part.ms[i] ?? 100);
        return;
      case 'crash-loop':
        return this.#crashLoop(part.proposer, part.times, part.ms);
      case 'crash':
      case 'crash-at-effect':
      case 'stall':
      case 'clock':
        return this.#toNode(part);
      case 'stall-leader':
        for (const proposer of world.proposers)
          if (proposer.isUp && proposer.leads(part.log)) {
            world.count('leader stalled');
            proposer.stall(part.ms);
          }
        return;
      case 'wipe-learner':
        return this.#wipe(part.learner);
      default:
        return this.#toAcceptor(part);
    }
  }

  // ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #toNode(part: Part & { kind: 'crash' | 'crash-at-effect' | 'stall' | 'clock' }): void {
    const node = this.#nodes().find((n) => n.name === part.node);
    if (node?.isUp !== true) return;
    switch (part.kind) {
      case 'crash':
        return this.#crash(node, part.how, part.ms);
      case 'crash-at-effect':
        node.dieAfter(part.effects, () => {
          this.#crash(node, 'kill', part.ms);
        });
        return;
      case 'stall':
        this.#world.count('stall');
        return node.stall(part.ms);
      case 'clock':
        this.#world.count('clock jump');
        return node.jump(part.ms);
      default:
        assertNever(part);
    }
  }

  #crash(node: Node, how: 'kill' | 'power', ms: number): void {
    if (!node.isUp) return;
    node.crash(how);
    this.#world.count(`crash ${node.name.replace(/-\d+$/, '')}`);
    this.#world.schedule.after(ms, () => {
      this.#start(node);
    });
  }

  #start(node: Node): void {
    if (node.isUp || (node instanceof SimAcceptor && (node.isOut || node.disk.damage !== undefined))) return;
    node.start();
  }

  /** A proposer that dies again soon after each of its starts. */
  #crashLoop(id: number, times: number, ms: number): void {
    const proposer = this.#world.proposers.find((p) => p.id === id);
    if (proposer === undefined || this.#isOver) return;
    this.#crash(proposer, 'kill', 1);
    if (times > 1)
      this.#world.schedule.after(ms, () => {
        this.#crashLoop(id, times - 1, ms);
      });
  }

  #move(log: string, to: number): void {
    const leader = this.#world.proposers.find((p) => p.isUp && p.leads(log));
    (leader ?? this.#world.proposers[0])?.move(log, to);
  }

  #drain(id: number, ms: number): void {
    const proposer = this.#world.proposers.find((p) => p.id === id);
    if (proposer?.isUp !== true) return;
    const stop = (): void => {
      if (proposer.isUp) this.#crash(proposer, 'kill', ms);
    };
    proposer.drain(stop);
    // Whoever asked for it does not wait for ever.
    this.#world.schedule.after(1_000, stop);
  }

  #wipe(id: number): void {
    const { learners, floors } = this.#world;
    const learner = learners.find((l) => l.id === id);
    // An operator does this only where another disk holds what acceptors no longer have.
    const others = learners.filter((l) => l !== learner);
    const isHeld = (other: SimLearner): boolean => [...floors].every(([log, floor]) => other.durable(log) >= floor);
    if (learner === undefined || this.#gone.length > 0 || !others.some(isHeld)) return;
    if (learner.isUp) learner.crash('kill');
    this.#gone.push(learner.wipe());
    this.#world.count('new learner');
    learner.start();
    this.#forget();
  }

  /** The operator tells the acceptors to forget the disk that is gone, until all did. */
  #forget(): void {
    const { acceptors, schedule, network } = this.#world;
    for (const disk of this.#gone)
      for (const acceptor of acceptors)
        network.send('operator', acceptor.name, () => {
          acceptor.receive(() => {
            acceptor.post({ kind: 'forget', from: 'operator', disk, force: false });
          });
        });
    if (!this.#isOver) schedule.after(700, () => this.#forget());
  }

  // ── the network ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #cut(links: readonly string[], ms: number, flaps: number, stagger: number): void {
    const { network, schedule } = this.#world;
    if (this.#isOver) return;
    for (const link of links) {
      network.cut(link);
      this.#cuts.push(link);
    }
    for (const link of links)
      schedule.after(ms + this.#prng.next() * stagger, () => {
        if (!this.#isOver) network.mend(link);
      });
    if (flaps > 1)
      schedule.after(2 * ms, () => {
        this.#cut(links, ms, flaps - 1, stagger);
      });
  }

  // ── disks ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #toAcceptor(
    part: Part & {
      kind:
        'crash-at-write' | 'tear' | 'slow-disk' | 'full-disk' | 'failed-sync' | 'flip' | 'swap' | 'empty' | 'yesterday';
    },
  ): void {
    const world = this.#world;
    const acceptor = world.acceptors[part.acceptor - 1];
    if (acceptor?.isUp !== true || acceptor.isOut || acceptor.disk.damage !== undefined) return;
    const { disk } = acceptor;
    switch (part.kind) {
      case 'crash-at-write':
        disk.diesIn = part.writes;
        return;
      case 'tear':
        disk.diesTorn = true;
        return;
      case 'failed-sync':
        disk.failSync = true;
        return;
      case 'slow-disk':
        world.count('slow disk');
        disk.slow = part.factor;
        world.schedule.after(part.ms, () => {
          disk.slow = 1;
        });
        return;
      case 'full-disk':
        world.count('full disk');
        disk.memory.capacity = disk.memory.used + 2_000;
        world.schedule.after(part.ms, () => {
          disk.memory.capacity = Infinity;
        });
        return;
      case 'flip':
        return this.#flip(acceptor, part.where, part.bit);
      case 'swap':
        return this.#swap(acceptor, world.acceptors[part.other - 1]);
      case 'empty':
        return this.#empty(acceptor, part.ms);
      case 'yesterday':
        return this.#yesterday(acceptor, part.ms, part.restart);
      default:
        assertNever(part);
    }
  }

  /** Runs the process on a disk that it must refuse, then puts the disk right and starts it again. */
  #tryDamaged(acceptor: SimAcceptor, damage: Damage, ms: number, putRight: () => void): void {
    const { schedule } = this.#world;
    acceptor.disk.damage = damage;
    this.#world.count(`damage: ${damage}`);
    acceptor.start();
    schedule.after(ms, () => {
      if (acceptor.isUp) acceptor.crash('kill');
      putRight();
      acceptor.disk.damage = undefined;
      if (!acceptor.isUp) acceptor.start();
    });
  }

  #flip(acceptor: SimAcceptor, where: number, bit: number): void {
    acceptor.crash('power');
    const { disk } = acceptor;
    disk.view.rebuild(disk.memory);
    const place = disk.view.place(where);
    if (place === undefined) return acceptor.start();
    const flip = (): void => {
      const bytes = disk.memory.bytesOf(place.name);
      bytes[place.offset] = (bytes[place.offset] ?? 0) ^ (1 << bit);
    };
    flip();
    this.#tryDamaged(acceptor, 'flipped', VERDICT_MS, flip);
  }

  #swap(one: SimAcceptor, two: SimAcceptor | undefined): void {
    if (two?.isUp !== true || two.disk.damage !== undefined || two.isOut) return;
    if (!one.hasSpoken || !two.hasSpoken) return;
    const swap = (): void => {
      [one.disk, two.disk] = [two.disk, one.disk];
    };
    one.crash('power');
    two.crash('power');
    swap();
    // The first to be put right puts both right.
    let left = 2;
    const putRight = (): void => {
      if (--left === 0) swap();
    };
    for (const acceptor of [one, two]) {
      acceptor.disk.damage = 'swapped';
      this.#world.count('damage: swapped');
      acceptor.start();
    }
    this.#world.schedule.after(VERDICT_MS, () => {
      for (const acceptor of [one, two]) {
        if (acceptor.isUp) acceptor.crash('kill');
        putRight();
        acceptor.disk.damage = undefined;
      }
      for (const acceptor of [one, two]) {
        acceptor.disk.damage = undefined;
        acceptor.start();
      }
    });
  }

  #empty(acceptor: SimAcceptor, ms: number): void {
    if (!acceptor.hasSpoken) return;
    acceptor.crash('power');
    const real = acceptor.disk;
    acceptor.disk = new SimDisk();
    this.#tryDamaged(acceptor, 'emptied', ms, () => {
      acceptor.disk = real;
    });
  }

  /** Keeps an image of the disk; later the process dies and finds that image in place of its disk. Then it is out for good. */
  #yesterday(acceptor: SimAcceptor, ms: number, restart: boolean): void {
    if (!acceptor.hasSpoken) return;
    const image = acceptor.disk.memory.image();
    if (restart) this.#crash(acceptor, 'kill', 1);
    this.#world.schedule.after(ms, () => {
      if (this.#isOver || !acceptor.isUp || acceptor.disk.damage !== undefined) return;
      acceptor.crash('kill');
      acceptor.disk = new SimDisk();
      acceptor.disk.memory = image;
      acceptor.disk.damage = 'yesterday';
      this.#world.count('damage: yesterday');
      acceptor.start();
    });
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Faults stop: for all, or for a core of acceptors with sound disks that holds bare quorums. */
  end(): void {
    this.#isOver = true;
    const { network, acceptors, setup, sets } = this.#world;
    for (const link of this.#cuts) network.mend(link);
    Object.assign(network.faults, { loss: 0, duplicate: 0, longTail: 0 });
    for (const { disk } of acceptors) {
      disk.memory.capacity = Infinity;
      disk.slow = 1;
      disk.failSync = false;
      disk.diesIn = Infinity;
      disk.diesTorn = false;
    }
    const sound = acceptors.filter((a) => !a.isOut && a.disk.damage !== 'yesterday');
    const core = setup.barely && acceptors.every((a) => a.hasSpoken) ? bareCore(sound, sets) : sound;
    if (core.length < acceptors.length) this.#world.count('a bare core');
    for (const acceptor of acceptors)
      if (!core.includes(acceptor)) {
        acceptor.isOut = true;
        if (acceptor.isUp) acceptor.crash('kill');
      }
    for (const node of this.#nodes()) this.#start(node);
  }

  get isOver(): boolean {
    return this.#isOver;
  }
}

/** As few of the last ones as can still elect a leader and choose. */
function bareCore(sound: readonly SimAcceptor[], sets: QuorumSets): readonly SimAcceptor[] {
  const first = sound.findLastIndex((_, at) => sets.isCore(sound.slice(at).map((acceptor) => acceptor.id - 1)));
  return first < 0 ? sound : sound.slice(first);
}
