/**
 * What a seed stands for: a cluster, and an explicit list of parts, faults and operations with their times. All of it is drawn
 * before anything runs, so that parts can be left out one by one and the rest stays as it was (minimise.ts).
 */
import { Prng } from '../../shared/base/prng.ts';
import { hex } from './node.ts';
import { drawQuorums, QuorumSets, type SimQuorums } from './quorums.ts';

/** How a cluster is made. Times in milliseconds. */
export interface Setup {
  readonly acceptors: number;
  readonly quorums: SimQuorums;
  readonly proposers: number;
  readonly learners: number;
  readonly clients: number;
  readonly delayMs: number;
  /** Mean time of a sync. */
  readonly syncMs: number;
  /** Clocks run up to so many times as fast or as slow. */
  readonly drift: number;
  readonly probeMs: number;
  readonly segmentBytes: number;
  /** The journal is full at so many segments. */
  readonly segments: number;
  /** Some values are of many sectors. */
  readonly large: boolean;
  readonly sessionsMax: number;
  /** The acceptors agree on their roster first, instead of finding it on their disks. */
  readonly bootstraps: boolean;
  /** Faults and operations begin within this time. */
  readonly faultsMs: number;
  /** When faults stop, acceptors beyond bare quorums stay down. */
  readonly barely: boolean;
}

export type Doing =
  // what clients and operators do
  | { readonly kind: 'propose'; readonly client: number; readonly log: string; readonly payload: string }
  | { readonly kind: 'decree'; readonly client: number; readonly log: string; readonly payload: string }
  | { readonly kind: 'fast-propose'; readonly client: number; readonly log: string; readonly payload: string }
  | { readonly kind: 'fast-decree'; readonly client: number; readonly log: string; readonly payload: string }
  | { readonly kind: 'read'; readonly log: string; readonly learner: number }
  | { readonly kind: 'move'; readonly log: string; readonly to: number }
  | { readonly kind: 'drain'; readonly proposer: number; readonly ms: number }
  // the network
  | {
      readonly kind: 'weather';
      readonly loss: number;
      readonly duplicate: number;
      readonly longTail: number;
    }
  | {
      readonly kind: 'cut';
      readonly shape: string;
      readonly links: readonly string[];
      readonly ms: number;
      /** Times that it comes and goes. */
      readonly flaps: number;
      /** Links heal one after the other within this time. */
      readonly stagger: number;
    }
  // processes
  | { readonly kind: 'crash'; readonly node: string; readonly how: 'kill' | 'power'; readonly ms: number }
  | { readonly kind: 'crash-at-effect'; readonly node: string; readonly effects: number; readonly ms: number }
  | { readonly kind: 'crash-at-write'; readonly acceptor: number; readonly writes: number }
  | { readonly kind: 'tear'; readonly acceptor: number }
  | { readonly kind: 'crash-loop'; readonly proposer: number; readonly times: number; readonly ms: number }
  | { readonly kind: 'power'; readonly ms: readonly number[] }
  | { readonly kind: 'stall'; readonly node: string; readonly ms: number }
  | { readonly kind: 'stall-leader'; readonly log: string; readonly ms: number }
  | { readonly kind: 'clock'; readonly node: string; readonly ms: number }
  // disks
  | { readonly kind: 'slow-disk'; readonly acceptor: number; readonly factor: number; readonly ms: number }
  | { readonly kind: 'full-disk'; readonly acceptor: number; readonly ms: number }
  | { readonly kind: 'failed-sync'; readonly acceptor: number }
  | { readonly kind: 'flip'; readonly acceptor: number; readonly where: number; readonly bit: number }
  | { readonly kind: 'swap'; readonly acceptor: number; readonly other: number }
  | { readonly kind: 'empty'; readonly acceptor: number; readonly ms: number }
  | { readonly kind: 'yesterday'; readonly acceptor: number; readonly ms: number; readonly restart: boolean }
  | { readonly kind: 'wipe-learner'; readonly learner: number };

export type Part = { readonly at: number } & Doing;

export interface Plan {
  readonly seed: number;
  readonly setup: Setup;
  readonly parts: readonly Part[];
}

const DECREES = 6;
const FAST_DECREES = 8;
/** Clients that propose FAST, whatever the setup says of the others. */
export const FAST_CLIENTS = 3;
/**
 * Quorum systems are drawn from a stream of their own, so that seeds which get none have the plans that they had before there was a
 * choice. Among those are the pinned seeds.
 */
const QUORUM_STREAM = 40 << 16;

/** Draws a plan. The same seed gives the same plan on every machine. */
export function drawPlan(seed: number): Plan {
  const prng = new Prng(seed);
  const setup = { ...drawSetup(prng), ...drawQuorums(new Prng(seed ^ QUORUM_STREAM)) };
  const parts: Part[] = [];
  const calm = prng.chance(0.2);
  if (!calm)
    parts.push({
      at: 0,
      kind: 'weather',
      loss: prng.next() * 0.15,
      duplicate: prng.next() * 0.2,
      longTail: prng.next() * 0.02,
    });
  drawOperations(prng, setup, parts);
  if (!prng.chance(0.08)) drawFaults(prng, setup, parts);
  // From a source of its own: what was drawn for a seed before there was a fast path is drawn as it was.
  drawFast(new Prng(seed ^ 0x0fa57000), setup, parts);
  drawFastLogs(new Prng(seed ^ 0x0fa57001), setup, parts);
  parts.sort((a, b) => a.at - b.at);
  return { seed, setup, parts };
}

function drawSetup(prng: Prng): Setup {
  const large = prng.chance(0.3);
  return {
    acceptors: prng.pick([3, 3, 3, 4, 5]),
    quorums: { kind: 'majority' },
    proposers: prng.pick([2, 2, 3]),
    learners: prng.pick([1, 2, 2, 3]),
    clients: prng.pick([1, 2, 4]),
    delayMs: prng.pick([0.3, 1, 5, 20]),
    syncMs: prng.pick([0.1, 1, 10]),
    drift: prng.pick([1, 1.02, 1.02, 2]),
    probeMs: 2_000,
    segmentBytes: 32 * 1024,
    // Learners agree every 16 slots only, so that much of every log is never trimmed and must fit.
    segments: large ? 20 : prng.pick([4, 6]),
    large,
    sessionsMax: prng.pick([2, 10_000, 10_000]),
    bootstraps: prng.chance(0.15),
    faultsMs: prng.pick([1_500, 3_000, 4_500]),
    barely: prng.chance(0.5),
  };
}

function drawOperations(prng: Prng, setup: Setup, parts: Part[]): void {
  const logs = ['a', 'b', 'c'].slice(0, prng.pick([1, 1, 2, 3]));
  const at = (): number => prng.next() * setup.faultsMs;
  for (let client = 0; client < setup.clients; client++)
    for (let i = 15 + prng.below(40); i > 0; i--) {
      const size = prng.chance(0.3) ? (setup.large ? 400 + prng.below(1_600) : 100 + prng.below(300)) : 8;
      const payload = hex(prng, size);
      if (prng.chance(0.15))
        parts.push({
          at: at(),
          kind: 'decree',
          client,
          log: `decree-${prng.below(DECREES) + 1}`,
          payload: hex(prng, 8),
        });
      else parts.push({ at: at(), kind: 'propose', client, log: prng.pick(logs), payload });
    }
  for (let i = prng.pick([2, 8, 40]); i > 0; i--) {
    const begin = at();
    const log = prng.pick(logs);
    // Several at once: a read must not join a question that was on its way when it came.
    for (let n = 1 + prng.below(4); n > 0; n--)
      parts.push({ at: begin + prng.next() * 20, kind: 'read', log, learner: prng.below(setup.learners) + 1 });
  }
  if (prng.chance(0.3))
    for (let i = 1 + prng.below(3); i > 0; i--)
      parts.push({ at: at(), kind: 'move', log: prng.pick(logs), to: prng.below(setup.proposers) + 1 });
  if (prng.chance(0.2))
    parts.push({ at: at(), kind: 'drain', proposer: prng.below(setup.proposers) + 1, ms: prng.next() * 500 });
}

/** Fast decrees: alone, and in bursts of several clients that collide; on logs of their own, of Basic decrees, and of leaders. */
function drawFast(prng: Prng, setup: Setup, parts: Part[]): void {
  for (let i = prng.pick([0, 3, 10]); i > 0; i--) {
    const begin = prng.next() * setup.faultsMs;
    const kind = prng.next();
    const log =
      kind < 0.7
        ? `fast-${prng.below(FAST_DECREES) + 1}`
        : kind < 0.9
          ? `decree-${prng.below(DECREES) + 1}`
          : prng.pick(['a', 'b', 'c']);
    const spread = prng.pick([0, setup.delayMs, 20]);
    const payload = hex(prng, 8);
    const isSame = prng.chance(0.3);
    for (let n = prng.pick([1, 2, 2, 3]); n > 0; n--)
      parts.push({
        at: begin + prng.next() * spread,
        kind: 'fast-decree',
        client: prng.below(FAST_CLIENTS),
        log,
        // Equal bytes of two clients are two values.
        payload: isSame ? payload : hex(prng, 8),
      });
  }
}

/** FAST proposals in logs of many slots: of their own, and now and then in those that leaders have. */
function drawFastLogs(prng: Prng, setup: Setup, parts: Part[]): void {
  const logs = prng.pick([['f'], ['f', 'g'], ['f', 'a']]);
  for (let i = prng.pick([0, 10, 30]); i > 0; i--) {
    const begin = prng.next() * setup.faultsMs;
    const log = prng.pick(logs);
    for (let n = prng.pick([1, 1, 2, 3]); n > 0; n--)
      parts.push({
        at: begin + prng.next() * prng.pick([0, setup.delayMs, 20]),
        kind: 'fast-propose',
        client: prng.below(FAST_CLIENTS),
        log,
        payload: hex(prng, 8),
      });
  }
}

function drawFaults(prng: Prng, setup: Setup, parts: Part[]): void {
  const every = prng.pick([80, 200, 600]);
  for (let at = prng.next() * prng.pick([50, 1_000]); at < setup.faultsMs; at += prng.next() * 2 * every)
    parts.push({ at, ...drawFault(prng, setup) });
  drawDamage(prng, setup, parts);
}

function drawFault(prng: Prng, setup: Setup): Doing {
  const nodes = nodesOf(setup);
  const acceptor = prng.below(setup.acceptors) + 1;
  const how = prng.chance(0.5) ? 'kill' : 'power';
  const kind = prng.next();
  if (kind < 0.14) return { kind: 'crash', node: prng.pick(nodes), how, ms: prng.next() * 500 };
  if (kind < 0.28)
    return { kind: 'crash-at-effect', node: prng.pick(nodes), effects: 1 + prng.below(20), ms: prng.next() * 300 };
  if (kind < 0.35) return { kind: 'crash-at-write', acceptor, writes: 1 + prng.below(8) };
  if (kind < 0.38) return { kind: 'tear', acceptor };
  if (kind < 0.44)
    return {
      kind: 'crash-loop',
      proposer: prng.below(setup.proposers) + 1,
      times: 2 + prng.below(4),
      ms: 5 + prng.next() * 150,
    };
  if (kind < 0.46) return { kind: 'power', ms: nodes.map(() => prng.next() * 300) };
  if (kind < 0.53) return { kind: 'stall', node: prng.pick(nodes), ms: prng.next() * prng.pick([60, 400, 2_000]) };
  if (kind < 0.59) return { kind: 'stall-leader', log: 'a', ms: 300 + prng.next() * 2_000 };
  if (kind < 0.62) return { kind: 'clock', node: prng.pick(nodes), ms: prng.next() * prng.pick([500, 3_600_000]) };
  if (kind < 0.65) return { kind: 'slow-disk', acceptor, factor: prng.pick([10, 100]), ms: prng.next() * 1_500 };
  if (kind < 0.68) return { kind: 'full-disk', acceptor, ms: prng.next() * 1_500 };
  if (kind < 0.71) return { kind: 'failed-sync', acceptor };
  return drawCut(prng, setup);
}

function nodesOf(setup: Setup): string[] {
  const many = (role: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `${role}-${String(i + 1)}`);
  return [
    ...many('acceptor', setup.acceptors),
    ...many('proposer', setup.proposers),
    ...many('learner', setup.learners),
  ];
}

function drawCut(prng: Prng, setup: Setup): Doing {
  const nodes = nodesOf(setup);
  const shape = prng.pick(['full', 'one-way', 'isolate', 'pair', 'bridge', 'roles']);
  const links: string[] = [];
  const cut = (a: string, b: string, both: boolean): void => {
    if (a === b) return;
    links.push(`${a}>${b}`);
    if (both) links.push(`${b}>${a}`);
  };
  const side = new Map(nodes.map((node) => [node, prng.chance(0.5)]));
  const [one, two] = [prng.pick(nodes), prng.pick(nodes)];
  const roles = prng.pick([
    ['proposer', 'acceptor'],
    ['acceptor', 'learner'],
    ['proposer', 'proposer'],
    ['proposer', 'learner'],
  ] as const);
  for (const a of nodes)
    for (const b of nodes) {
      if (shape === 'full' && side.get(a) !== side.get(b)) cut(a, b, false);
      // One side hears the other, and is not heard.
      if (shape === 'one-way' && side.get(a) === true && side.get(b) === false) cut(a, b, false);
      if (shape === 'isolate' && a === one) cut(a, b, true);
      if (shape === 'pair' && a === one && b === two) cut(a, b, prng.chance(0.5));
      // Both sides reach one node, and not one another.
      if (shape === 'bridge' && a !== one && b !== one && side.get(a) !== side.get(b)) cut(a, b, false);
      if (shape === 'roles' && a.startsWith(roles[0]) && b.startsWith(roles[1]) && prng.chance(0.7))
        cut(a, b, prng.chance(0.7));
    }
  const flaps = prng.chance(0.2) ? 2 + prng.below(4) : 1;
  const stagger = prng.chance(0.3) ? prng.next() * 800 : 0;
  return { kind: 'cut', shape, links, ms: prng.next() * prng.pick([100, 2_000]), flaps, stagger };
}

/** The atlas: disks that are lost or may be older than anybody knows belong to a minority, so that a sound quorum is left. */
function drawDamage(prng: Prng, setup: Setup, parts: Part[]): void {
  const { acceptors, faultsMs } = setup;
  const minority = dispensable(setup);
  const damaged = prng.chance(0.3) ? Array.from({ length: minority }, (_, i) => i + 1) : [];
  const at = (): number => faultsMs * (0.2 + 0.7 * prng.next());
  for (const acceptor of damaged)
    parts.push({ at: at(), kind: 'yesterday', acceptor, ms: prng.next() * 1_000, restart: prng.chance(0.6) });
  // These are put right after the verdict.
  const sound = minority + 1 + prng.below(acceptors - minority);
  if (prng.chance(0.2)) parts.push({ at: at(), kind: 'flip', acceptor: sound, where: prng.next(), bit: prng.below(8) });
  if (prng.chance(0.1))
    parts.push({ at: at(), kind: 'swap', acceptor: sound, other: sound === acceptors ? acceptors - 1 : sound + 1 });
  if (prng.chance(0.15)) parts.push({ at: at(), kind: 'empty', acceptor: sound, ms: 200 + prng.next() * 1_000 });
  if (setup.learners > 1 && prng.chance(0.2))
    parts.push({ at: at(), kind: 'wipe-learner', learner: prng.below(setup.learners) + 1 });
}

/** How many acceptors, the first ones, may be out for good: the others hold both kinds of quorum. */
function dispensable({ acceptors, quorums }: Setup): number {
  const sets = new QuorumSets(acceptors, quorums);
  const positions = Array.from({ length: acceptors }, (_, position) => position);
  const needed = positions.findLastIndex((first) => sets.isCore(positions.slice(first)));
  return Math.min(needed, Math.ceil(acceptors / 2) - 1);
}

/** `1234.5 ms  crash of acceptor-2, power, for 300 ms`: a part for people. */
export function describe({ at, ...doing }: Part): string {
  const rest = Object.entries(doing)
    .filter(([key]) => key !== 'kind')
    .map(([key, value]) => `${key}=${short(value)}`);
  return `${at.toFixed(1).padStart(8)} ms  ${doing.kind} ${rest.join(' ')}`;
}

function short(value: unknown): string {
  if (typeof value === 'number') return String(Math.round(value * 1_000) / 1_000);
  if (Array.isArray(value))
    return value.length > 8 ? `[${value.slice(0, 8).map(short).join(',')},…]` : `[${value.map(short).join(',')}]`;
  const text = String(value);
  return text.length > 24 ? `${text.slice(0, 24)}…` : text;
}
