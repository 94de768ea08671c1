import { describe, expect, test } from '@jest/globals';
import { Batch } from '../../../shared/base/batch.ts';
import { encodeEntry } from '../../../shared/machine/entry.ts';
import { Sessions } from '../../../shared/machine/sessions.ts';
import { Acceptor, type AcceptorEffect, type AcceptorEvent } from '../../../shared/paxos/acceptor.ts';
import { CLASSIC, type Ballot } from '../../../shared/paxos/ballot.ts';
import { Leader } from '../../../shared/paxos/leader.ts';
import { Learner } from '../../../shared/paxos/learner.ts';
import type { Accept, FromAcceptor, Prepare, Promised, VoteRange } from '../../../shared/paxos/messages.ts';
import { PROPOSER_DEFAULTS, type Context, type ProposerEffect } from '../../../shared/paxos/proposing.ts';
import { Proposer, type ProposerEvent } from '../../../shared/paxos/proposer.ts';
import { majority } from '../../../shared/paxos/quorum.ts';
import { createAdmission } from '../../../services/proposer/admission.ts';

const NO_OP = encodeEntry({ kind: 'no-op' });
/** What a proposal carries for people. */
const ASIDE = {
  progress: false,
  protocol: 'multi',
  cameAsRetry: false,
  lastSlot: -1,
  earlierSlot: -1,
  rounds: 0,
} as const;

const LOG = 'a';
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const value = (text: string): Batch => Batch.of([bytes(text)]);
const text = (b: Batch): string[] => b.values().map((v) => new TextDecoder().decode(v));
const owner = (proposer: number) => ({ proposer, incarnation: `000000000000000${String(proposer)}` });
const ballot = (round: number, proposer: number): Ballot => ({ round, ...owner(proposer), kind: CLASSIC });

/** An acceptor with a journal; loads wait until a test lets them go. */
class Disk {
  readonly machine = new Acceptor(0);
  readonly votes = new Map<number, VoteRange>();
  readonly loads: (AcceptorEffect & { kind: 'load' })[] = [];
  position = 0;
  step(event: AcceptorEvent, now = 5_000): FromAcceptor[] {
    const out: FromAcceptor[] = [];
    for (const effect of this.machine.step(event, { now, random: 0.5 })) {
      if (effect.kind === 'persist') {
        if (effect.record.kind === 'vote') this.votes.set(this.position, effect.record);
        this.position++;
      }
      if (effect.kind === 'load') this.loads.push(effect);
      if (effect.kind === 'reply') out.push(effect.message);
    }
    return out;
  }
  hear(from: number, message: (AcceptorEvent & { kind: 'proposer' })['message'], now = 5_000): FromAcceptor[] {
    return this.step({ kind: 'proposer', from: String(from), owner: owner(from), message }, now);
  }
  load(): FromAcceptor[] {
    const out: FromAcceptor[] = [];
    for (let load = this.loads.shift(); load !== undefined; load = this.loads.shift()) {
      const slots = new Map<number, VoteRange>();
      for (const piece of load.pieces)
        for (let at = piece.first; at <= piece.last; at++) {
          const vote = this.votes.get(at);
          for (let i = 0; vote !== undefined && i < vote.batch.count; i++)
            if (vote.first + i >= load.from && vote.first + i < load.to)
              slots.set(vote.first + i, {
                first: vote.first + i,
                ballot: vote.ballot,
                batch: vote.batch.slice(i, i + 1),
              });
        }
      out.push(...this.step({ kind: 'loaded', id: load.id, votes: [...slots.values()] }));
    }
    return out;
  }
}

function context(self: number, n = 3): Context {
  return {
    self: owner(self),
    options: PROPOSER_DEFAULTS,
    quorum: majority(n),
    noOp: NO_OP,
    now: 1_000,
    random: 0.5,
    lastRound: 0,
    out: [],
  };
}

test('finishing while a load runs does not choose a second value (R8, R10)', () => {
  const [a, b, c] = [new Disk(), new Disk(), new Disk()];
  const accept = (b: Ballot, first: number, v: string, watermark: number): Accept => ({
    kind: 'accept',
    log: LOG,
    ballot: b,
    first,
    batch: value(v),
    watermark,
  });
  const prepare = (b: Ballot): Prepare => ({
    kind: 'prepare',
    log: LOG,
    ballot: b,
    from: 0,
    to: undefined,
    purpose: 'lead',
    fromWatermark: true,
    override: true,
    ask: false,
  });
  // Proposer 1 leads and reaches only C with slot 1, then dies.
  for (const d of [a, b, c]) d.hear(1, prepare(ballot(1, 1)), 1_000);
  for (const d of [a, b, c]) d.hear(1, accept(ballot(1, 1), 0, 'zero', 0), 1_000);
  c.hear(1, accept(ballot(1, 1), 1, 'old', 0), 1_000);
  // Proposer 2 leads by A and B: 'new' is chosen in slot 1.
  for (const d of [a, b]) d.hear(2, prepare(ballot(2, 2)), 2_000);
  for (const d of [a, b]) d.hear(2, accept(ballot(2, 2), 0, 'zero', 0), 2_000);
  const chosen = [a, b].map((d) => d.hear(2, accept(ballot(2, 2), 1, 'new', 1), 2_000)[0]?.kind);
  expect(chosen).toEqual(['accepted', 'accepted']);
  // Proposer 2 stands still for longer than its grace; a learner has proposer 3 finish the log. B cannot be reached from it.
  const p3 = new Proposer(owner(3), majority(3), [3], NO_OP);
  let effects = p3.step({ kind: 'finish', log: LOG, from: 0, to: 2 }, { now: 5_000, random: 0.5 });
  const answers: [number, FromAcceptor][] = [];
  const deliver = (list: ProposerEffect[]): void => {
    for (const e of list)
      if (e.kind === 'to-acceptor')
        for (const [i, d] of [a, b, c].entries())
          if (i !== 1 && (e.to === undefined || e.to === i)) for (const m of d.hear(3, e.message)) answers.push([i, m]);
  };
  deliver(effects);
  const second: string[] = [];
  for (let round = 0; round < 12; round++) {
    deliver(p3.step({ kind: 'tick' }, { now: 5_000 + round * 150, random: 0.5 }));
    // Proposer 2 wakes up: what it led is chosen, and it says so, while A still reads its old votes.
    if (a.loads.length > 0) a.hear(2, { kind: 'tell', log: LOG, watermark: 2 });
    for (const m of a.load()) answers.push([0, m]);
    for (const m of c.load()) answers.push([2, m]);
    for (const [from, message] of answers.splice(0)) {
      effects = p3.step({ kind: 'acceptor', from, message }, { now: 5_010 + round * 150, random: 0.5 });
      for (const e of effects)
        if (e.kind === 'to-acceptor' && e.message.kind === 'accept' && e.message.first <= 1)
          second.push(text(e.message.batch)[1 - e.message.first] ?? '');
      deliver(effects);
    }
  }
  // Slot 1 as the acceptors have it at the end: 'new' was chosen at (2, p2) and answered.
  const last = [a, c]
    .map((d) => [...d.votes.values()].filter((v) => v.first <= 1 && v.first + v.batch.count > 1).pop())
    .map((v) => (v === undefined ? '' : text(v.batch)[1 - v.first]));
  expect({ second: second.filter((v) => v === 'old'), last }).toEqual({ second: [], last: ['new', 'new'] });
});

test('a late page of an earlier finish does not answer a later one (R10, R2)', () => {
  const ctx = context(1);
  const leader = new Leader(ctx, LOG);
  leader.onRejected(0, {
    kind: 'rejected',
    log: LOG,
    ballot: ballot(5, 9),
    first: undefined,
    reason: 'ballot',
    promised: ballot(5, 9),
    state: 'closed',
    leader: undefined,
    highest: -1,
    watermark: 0,
    floor: 0,
  });
  leader.campaign('test', false);
  const b = (ctx.out[1] as { message: Prepare }).message.ballot;
  const page = (over: Partial<Promised>): Promised => ({
    kind: 'promised',
    log: LOG,
    ballot: b,
    from: 0,
    until: undefined,
    votes: [],
    highest: -1,
    watermark: 0,
    floor: 0,
    ...over,
  });
  for (const i of [0, 1])
    leader.onWouldPromise(i, { kind: 'would-promise', log: LOG, ballot: b, highest: -1, watermark: 0 });
  for (const i of [0, 1]) leader.onPromised(i, page({}));
  leader.onSessions(0, { check: () => ({ kind: 'new' }), feed: () => undefined });
  const send = (name: string): void => {
    leader.enqueue({
      token: 1,
      log: LOG,
      entry: bytes(name),
      retry: false,
      sent: false,
      done: false,
      since: 0,
      deadline: 1e9,
      via: undefined,
      relayed: false,
      ...ASIDE,
    });
    leader.pump();
  };
  send('s0');
  for (const i of [0, 1]) leader.onAccepted(i, { kind: 'accepted', log: LOG, ballot: b, first: 0, count: 1 });
  // First finish, of [0, 1): acceptor 0 is slow with its page (it reads old votes), 1 and 2 do it.
  leader.finish(0, 100);
  for (const i of [1, 2])
    leader.onPromised(i, page({ votes: [{ first: 0, ballot: b, batch: value('s0') }], highest: 0, watermark: 1 }));
  for (const i of [1, 2]) leader.onAccepted(i, { kind: 'accepted', log: LOG, ballot: b, first: 0, count: 1 });
  // Slot 1 is chosen by 0 and 1. Acceptor 2 missed it, and has there what an earlier leader sent to it alone.
  send('s1');
  for (const i of [0, 1]) leader.onAccepted(i, { kind: 'accepted', log: LOG, ballot: b, first: 1, count: 1 });
  ctx.out.length = 0;
  leader.finish(0, 100);
  // The late page of acceptor 0: it answers [0, 1). Then acceptor 2 answers [0, 2).
  leader.onPromised(0, page({ votes: [{ first: 0, ballot: b, batch: value('s0') }], highest: 1, watermark: 1 }));
  leader.onPromised(
    2,
    page({
      votes: [
        { first: 0, ballot: b, batch: value('s0') },
        { first: 1, ballot: ballot(5, 9), batch: value('stale') },
      ],
      highest: 1,
      watermark: 1,
    }),
  );
  const sent = ctx.out.flatMap((e) =>
    e.kind === 'to-acceptor' && e.message.kind === 'accept' ? [...text(e.message.batch)] : [],
  );
  expect(sent).not.toContain('stale');
});

/** Proposers with one another, and acceptors that answer at once; links between proposers can be cut. */
class Cluster {
  now = 1_000;
  readonly acceptors = [new Disk(), new Disk(), new Disk()];
  readonly proposers = new Map<number, Proposer>();
  readonly cut = new Set<string>();
  readonly answers: { at: number; token: number; answer: unknown }[] = [];
  forwards = 0;
  /** Acceptors that proposers cannot reach. */
  deaf = new Set<string>();
  constructor(n: number) {
    const ids = Array.from({ length: n }, (_, i) => i + 1);
    for (const id of ids) this.proposers.set(id, new Proposer(owner(id), majority(3), ids, NO_OP, { probeMs: 1e9 }));
  }
  post(id: number, event: ProposerEvent): void {
    this.perform(id, this.proposers.get(id)?.step(event, { now: this.now, random: 0.5 }) ?? []);
  }
  #queue: (() => void)[] = [];
  perform(id: number, effects: ProposerEffect[]): void {
    for (const e of effects) {
      if (e.kind === 'answer') this.answers.push({ at: id, token: e.token, answer: e.answer });
      if (e.kind === 'to-peer' && !this.cut.has(`${String(id)}-${String(e.to)}`)) {
        if (e.message.kind === 'forward') this.forwards++;
        this.#queue.push(() => this.post(e.to, { kind: 'peer', from: id, message: e.message }));
      }
      if (e.kind === 'to-acceptor')
        for (const [i, d] of this.acceptors.entries())
          if ((e.to === undefined || e.to === i) && !this.deaf.has(`${String(id)}-${String(i)}`))
            this.#queue.push(() => {
              for (const m of [...d.hear(id, e.message, this.now), ...d.load()])
                this.#queue.push(() => this.post(id, { kind: 'acceptor', from: i, message: m }));
            });
      if (e.kind === 'load-sessions')
        this.#queue.push(() => {
          this.post(id, {
            kind: 'sessions',
            log: e.log,
            next: e.slot,
            admission: { check: () => ({ kind: 'new' }), feed: () => undefined },
          });
        });
    }
  }
  run(ms: number, only?: readonly number[]): void {
    for (const end = this.now + ms; this.now < end; this.now += 10) {
      for (const id of this.proposers.keys())
        if (only === undefined || only.includes(id)) this.post(id, { kind: 'tick' });
      for (let i = 0; i < 50; i++) {
        for (const job of this.#queue.splice(0)) job();
        for (const id of this.proposers.keys())
          if (only === undefined || only.includes(id)) this.post(id, { kind: 'turn' });
        if (this.#queue.length === 0) break;
      }
    }
  }
}

describe('routing', () => {
  test('a forwarded proposal whose deadline passes has an unknown outcome (R15)', () => {
    const cluster = new Cluster(2);
    cluster.run(500);
    cluster.post(1, {
      kind: 'propose',
      token: 1,
      log: LOG,
      entry: bytes('x'),
      protocol: 'multi',
      retry: false,
      timeoutMs: 3_000,
    });
    cluster.run(500);
    const leader = [1, 2].find((id) => cluster.proposers.get(id)?.ledCount === 1) ?? 0;
    const other = 3 - leader;
    expect(leader).not.toBe(0);
    // The leader's answers no longer reach the other: whatever it forwards may well be chosen.
    cluster.cut.add(`${String(leader)}-${String(other)}`);
    cluster.post(other, {
      kind: 'propose',
      token: 7,
      log: LOG,
      entry: bytes('y'),
      protocol: 'multi',
      retry: false,
      timeoutMs: 300,
    });
    cluster.run(400);
    const voted = cluster.acceptors.some((a) => [...a.votes.values()].some((v) => text(v.batch).includes('y')));
    expect(voted).toBe(true);
    const answer = cluster.answers.find((x) => x.token === 7)?.answer;
    expect(answer).toMatchObject({ kind: 'refused', outcome: 'unknown' });
  });

  test.each(['x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7', 'x8'])(
    'proposals for log %s get through while proposers 1 and 3 cannot hear one another',
    (log) => {
      const cluster = new Cluster(3);
      cluster.cut.add('1-3').add('3-1');
      cluster.run(1_000);
      cluster.post(3, {
        kind: 'propose',
        token: 1,
        log,
        entry: bytes('a'),
        protocol: 'multi',
        retry: false,
        timeoutMs: 20_000,
      });
      cluster.run(3_000);
      cluster.forwards = 0;
      cluster.post(1, {
        kind: 'propose',
        token: 2,
        log,
        entry: bytes('b'),
        protocol: 'multi',
        retry: false,
        timeoutMs: 20_000,
      });
      cluster.run(15_000);
      expect([cluster.answers.map((x) => x.token).sort(), cluster.forwards < 100]).toEqual([[1, 2], true]);
    },
  );

  test('a proposer that is always late by more than two heartbeats still keeps deadlines', () => {
    const p = new Proposer(owner(1), majority(3), [1, 2], NO_OP);
    const answers: ProposerEffect[] = [];
    p.step({ kind: 'tick' }, { now: 0, random: 0.5 });
    p.step(
      { kind: 'propose', token: 1, log: LOG, entry: bytes('x'), protocol: 'multi', retry: false, timeoutMs: 1_000 },
      { now: 1, random: 0.5 },
    );
    for (let now = 210; now < 20_000; now += 210)
      answers.push(
        ...p.step({ kind: 'tick' }, { now, random: 0.5 }),
        ...p.step({ kind: 'turn' }, { now, random: 0.5 }),
      );
    expect(answers.some((e) => e.kind === 'answer')).toBe(true);
    expect(answers.some((e) => e.kind === 'to-peer' && e.message.kind === 'heartbeat')).toBe(true);
  });
});

test('a leader that one acceptor refused for space still gives up without a quorum', () => {
  const ctx = context(1);
  const leader = new Leader(ctx, LOG);
  leader.campaign('test', false);
  const b = (ctx.out[1] as { message: Prepare }).message.ballot;
  for (const i of [0, 1])
    leader.onWouldPromise(i, { kind: 'would-promise', log: LOG, ballot: b, highest: -1, watermark: 0 });
  for (const i of [0, 1])
    leader.onPromised(i, {
      kind: 'promised',
      log: LOG,
      ballot: b,
      from: 0,
      until: undefined,
      votes: [],
      highest: -1,
      watermark: 0,
      floor: 0,
    });
  leader.onSessions(0, { check: () => ({ kind: 'new' }), feed: () => undefined });
  leader.enqueue({
    token: 1,
    log: LOG,
    entry: bytes('x'),
    retry: false,
    sent: false,
    done: false,
    since: 0,
    deadline: 1e9,
    via: undefined,
    relayed: false,
    ...ASIDE,
  });
  leader.pump();
  leader.onRejected(0, {
    kind: 'rejected',
    log: LOG,
    ballot: b,
    first: 0,
    reason: 'space',
    promised: b,
    state: 'led',
    leader: 1,
    highest: -1,
    watermark: 0,
    floor: 0,
  });
  for (let i = 0; i < 1_000; i++) {
    ctx.now += 25;
    leader.onTick();
  }
  expect(leader.isLeading).toBe(false);
});

test('a deposed leader does not refuse a session that it has not heard of with outcome none (R12)', () => {
  const ctx = context(1);
  const leader = new Leader(ctx, LOG);
  leader.campaign('test', false);
  const b = (ctx.out[1] as { message: Prepare }).message.ballot;
  for (const i of [0, 1])
    leader.onWouldPromise(i, { kind: 'would-promise', log: LOG, ballot: b, highest: -1, watermark: 0 });
  for (const i of [0, 1])
    leader.onPromised(i, {
      kind: 'promised',
      log: LOG,
      ballot: b,
      from: 0,
      until: undefined,
      votes: [],
      highest: -1,
      watermark: 0,
      floor: 0,
    });
  leader.onSessions(0, createAdmission(new Sessions()));
  // Meanwhile another proposer leads, and the client's session was opened in slot 0 there.
  ctx.out.length = 0;
  const entry = encodeEntry({
    kind: 'command',
    client: 'ab'.repeat(16),
    session: 0,
    sequence: 1,
    acknowledged: 0,
    payload: bytes('x'),
  });
  leader.enqueue({
    token: 1,
    log: LOG,
    entry,
    retry: false,
    sent: false,
    done: false,
    since: 0,
    deadline: 1e9,
    via: undefined,
    relayed: false,
    ...ASIDE,
  });
  leader.pump();
  expect(ctx.out.filter((e) => e.kind === 'answer')).toEqual([]);
});

test('a leader does not gather without bound to finish what a learner lacks (R14)', () => {
  const ctx = context(1);
  const leader = new Leader(ctx, LOG);
  leader.campaign('test', false);
  const b = (ctx.out[1] as { message: Prepare }).message.ballot;
  for (const i of [0, 1])
    leader.onWouldPromise(i, { kind: 'would-promise', log: LOG, ballot: b, highest: 99_999, watermark: 100_000 });
  for (const i of [0, 1])
    leader.onPromised(i, {
      kind: 'promised',
      log: LOG,
      ballot: b,
      from: 100_000,
      until: undefined,
      votes: [],
      highest: 99_999,
      watermark: 100_000,
      floor: 0,
    });
  ctx.out.length = 0;
  leader.finish(0, 100_000);
  const asked = ctx.out.flatMap((e) =>
    e.kind === 'to-acceptor' && e.message.kind === 'prepare' ? [(e.message.to ?? 0) - e.message.from] : [],
  );
  expect(Math.max(...asked)).toBeLessThanOrEqual(1_000);
});

describe('a learner', () => {
  test('helps a log although 64 others cannot be helped', () => {
    const learner = new Learner(majority(3), 0);
    const head = (log: string) => ({ kind: 'head', log, highest: 0, watermark: 0, floor: 0 }) as const;
    // Votes of one slot, at a single acceptor that is gone for good: nobody finishes them.
    for (let i = 0; i < 64; i++)
      learner.step({ kind: 'acceptor', from: 0, message: head(`stuck-${String(i)}`) }, { now: 0, random: 0 });
    learner.step({ kind: 'acceptor', from: 1, message: head('good') }, { now: 0, random: 0 });
    let asked = false;
    for (let now = 0; now < 60_000; now += 25)
      for (const e of learner.step({ kind: 'tick' }, { now, random: 0 }))
        if (e.kind === 'fetch' && e.message.log === 'good') asked = true;
    expect(asked).toBe(true);
  });

  test('does not ask for ever to finish a slot that nobody alive has voted in', () => {
    const learner = new Learner(majority(3), 0);
    learner.step(
      { kind: 'acceptor', from: 0, message: { kind: 'head', log: 'a', highest: 0, watermark: 0, floor: 0 } },
      { now: 0, random: 0 },
    );
    learner.step({ kind: 'acceptor-down', acceptor: 0 }, { now: 0, random: 0 });
    let late = 0;
    for (let now = 0; now < 600_000; now += 25)
      for (const e of learner.step({ kind: 'tick' }, { now, random: 0 }))
        if (e.kind === 'finish' && now > 300_000) late++;
    expect(late).toBeLessThan(50);
  });
});

test('a learner whose source lacks the votes asks those that voted for their values, and nobody to finish', () => {
  const learner = new Learner(majority(3), 0);
  const log: string[] = [];
  const note = (now: number, effects: ReturnType<Learner['step']>): void => {
    for (const e of effects) {
      if (e.kind === 'finish') log.push(`finish at ${String(now)}`);
      if (e.kind === 'fetch' && e.message.values && e.to !== 0) log.push(`values at ${String(now)}`);
    }
  };
  for (const from of [1, 2])
    note(
      0,
      learner.step(
        {
          kind: 'acceptor',
          from,
          message: {
            kind: 'votes',
            log: 'a',
            ballot: ballot(1, 1),
            first: 0,
            count: 5,
            batch: undefined,
            watermark: 0,
          },
        },
        { now: 0, random: 0 },
      ),
    );
  for (let now = 0; now < 1_000 && !log.some((l) => l.startsWith('values')); now += 25) {
    const effects = learner.step({ kind: 'tick' }, { now, random: 0 });
    note(now, effects);
    for (const e of effects)
      if (e.kind === 'fetch')
        note(
          now,
          learner.step(
            {
              kind: 'acceptor',
              from: e.to,
              message: {
                kind: 'fetched',
                log: 'a',
                from: e.message.from,
                until: e.message.to,
                highest: e.to === 0 ? -1 : 4,
                watermark: 5,
                floor: 0,
              },
            },
            { now, random: 0 },
          ),
        );
  }
  expect(log[0]).toMatch(/^values at (50|75|100)$/);
});

/** How many entries of maps are walked over while `work` runs. */
function walked(work: () => void): number {
  const methods = ['keys', 'values', 'entries', Symbol.iterator] as const;
  const own = methods.map((name) => Map.prototype[name]);
  let count = 0;
  methods.forEach((name, i) => {
    Map.prototype[name] = function* (this: Map<unknown, unknown>) {
      for (const each of own[i]!.call(this) as Iterable<never>) {
        count++;
        yield each;
      }
    } as never;
  });
  try {
    work();
  } finally {
    methods.forEach((name, i) => (Map.prototype[name] = own[i] as never));
  }
  return count;
}

test('an answer for one of many decrees walks over that decree alone', () => {
  const p = new Proposer(owner(1), majority(3), [1], NO_OP);
  const moment = { now: 0, random: 0.5 };
  const prepares: Prepare[] = [];
  for (let token = 1; token <= 500; token++) {
    const propose = { kind: 'propose', token, log: `d${String(token)}`, entry: bytes('x') } as const;
    for (const e of p.step({ ...propose, protocol: 'basic', retry: false, timeoutMs: 1e6 }, moment))
      if (e.kind === 'to-acceptor' && e.message.kind === 'prepare') prepares.push(e.message);
  }
  const answers = walked(() => {
    for (const { log, ballot: b } of prepares) {
      const page = { from: 0, until: undefined, votes: [], highest: -1, watermark: 0, floor: 0 };
      p.step({ kind: 'acceptor', from: 0, message: { kind: 'promised', log, ballot: b, ...page } }, moment);
    }
  });
  expect(answers).toBeLessThan(500 * 4);
  // The control: time walks over all of them.
  expect(walked(() => p.step({ kind: 'tick' }, moment))).toBeGreaterThanOrEqual(500);
});

test('a campaign that was under way when draining began does not leave a log led', () => {
  const cluster = new Cluster(1);
  cluster.run(100);
  cluster.post(1, {
    kind: 'propose',
    token: 1,
    log: LOG,
    entry: bytes('x'),
    protocol: 'multi',
    retry: false,
    timeoutMs: 5_000,
  });
  cluster.post(1, { kind: 'turn' });
  cluster.post(1, { kind: 'drain' });
  cluster.run(3_000);
  // Promises written by one acceptor: leading and resigning over and over wears the journals.
  expect(cluster.acceptors[0]?.position ?? 0).toBeLessThan(20);
  expect(cluster.answers.map((x) => x.token)).toEqual([1]);
  expect([...(cluster.proposers.get(1)?.status() ?? [])].map((s) => s.state)).toEqual([]);
});

test('an operator who moves a log hears of it also when leadership is lost meanwhile', () => {
  const cluster = new Cluster(2);
  cluster.run(500);
  cluster.post(1, {
    kind: 'propose',
    token: 1,
    log: LOG,
    entry: bytes('x'),
    protocol: 'multi',
    retry: false,
    timeoutMs: 5_000,
  });
  cluster.run(500);
  const leader = [1, 2].find((id) => cluster.proposers.get(id)?.ledCount === 1) ?? 0;
  for (const i of [0, 1, 2]) cluster.deaf.add(`${String(leader)}-${String(i)}`);
  cluster.post(leader, {
    kind: 'propose',
    token: 2,
    log: LOG,
    entry: bytes('y'),
    protocol: 'multi',
    retry: false,
    timeoutMs: 5_000,
  });
  cluster.run(50);
  cluster.post(leader, { kind: 'move', token: 99, log: LOG, to: 3 - leader });
  cluster.run(20_000);
  expect(cluster.answers.some((a) => a.token === 99)).toBe(true);
});

test('names of logs that the cluster refuses are not kept', () => {
  const p = new Proposer(owner(1), majority(3), [1], NO_OP);
  let now = 0;
  for (let i = 0; i < 1_000; i++) {
    const log = `no-${String(i)}`;
    p.step(
      { kind: 'propose', token: i, log, entry: bytes('x'), protocol: 'multi', retry: false, timeoutMs: 100 },
      { now, random: 0.5 },
    );
    const out = p.step({ kind: 'turn' }, { now, random: 0.5 });
    for (const e of out)
      if (e.kind === 'to-acceptor' && e.message.kind === 'prepare')
        for (const from of [0, 1])
          p.step(
            {
              kind: 'acceptor',
              from,
              message: {
                kind: 'rejected',
                log,
                ballot: e.message.ballot,
                first: undefined,
                reason: 'logs',
                promised: ballot(0, 0),
                state: 'open',
                leader: undefined,
                highest: -1,
                watermark: 0,
                floor: 0,
              },
            },
            { now, random: 0.5 },
          );
    now += 1;
  }
  expect(p.pending).toBe(0);
  p.step({ kind: 'turn' }, { now, random: 0.5 });
  // acceptor-up walks over everything that is kept.
  let visited = 0;
  const leaders: unknown = Leader.prototype.onAcceptorUp;
  Leader.prototype.onAcceptorUp = function () {
    visited++;
  };
  p.step({ kind: 'acceptor-up', acceptor: 0 }, { now, random: 0.5 });
  Leader.prototype.onAcceptorUp = leaders as typeof Leader.prototype.onAcceptorUp;
  expect(visited).toBeLessThan(100);
});

test('a log that is handed over is asked for again while its old leader’s resignation is under way', () => {
  const p = new Proposer(owner(2), majority(3), [1, 2], NO_OP);
  let now = 1_000;
  const campaigns: Ballot[] = [];
  const step = (event: Parameters<Proposer['step']>[0]): void => {
    for (const e of [...p.step(event, { now, random: 0.5 }), ...p.step({ kind: 'turn' }, { now, random: 0.5 })])
      if (e.kind === 'to-acceptor' && e.message.kind === 'prepare') campaigns.push(e.message.ballot);
  };
  const heartbeat = {
    kind: 'heartbeat',
    proposer: 1,
    incarnation: owner(1).incarnation,
    ledCount: 0,
    ledDigest: 0,
  } as const;
  step({ kind: 'peer', from: 1, message: heartbeat });
  step({ kind: 'tick' });
  step({ kind: 'peer', from: 1, message: { kind: 'take-over', log: 'a' } });
  for (const from of [0, 1])
    step({
      kind: 'acceptor',
      from,
      message: {
        kind: 'rejected',
        log: 'a',
        ballot: campaigns[0] ?? ballot(0, 0),
        first: undefined,
        reason: 'ballot',
        promised: ballot(9, 1),
        state: 'led',
        leader: 1,
        highest: 3,
        watermark: 4,
        floor: 0,
      },
    });
  for (let i = 0; i < 4; i++) {
    now += 25;
    step({ kind: 'peer', from: 1, message: heartbeat });
    step({ kind: 'tick' });
  }
  expect(campaigns.map((b) => b.round)).toEqual([1, 10]);
});

test('two rounds of one start never share a ballot, on one log or on two (R2)', () => {
  const p = new Proposer(owner(1), majority(3), [1], NO_OP);
  const ballots: Ballot[] = [];
  const step = (event: Parameters<Proposer['step']>[0], now: number): void => {
    for (const e of [...p.step(event, { now, random: 0.5 }), ...p.step({ kind: 'turn' }, { now, random: 0.5 })])
      if (e.kind === 'to-acceptor' && e.message.kind === 'prepare') ballots.push(e.message.ballot);
  };
  const propose = (token: number, log: string, protocol: 'basic' | 'multi', now: number): void => {
    step({ kind: 'propose', token, log, entry: bytes('x'), protocol, retry: false, timeoutMs: 30 }, now);
  };
  propose(1, 'a', 'basic', 1_000);
  // Nobody answers: the first round is given up at its deadline, and the next one knows nothing of it.
  step({ kind: 'tick' }, 1_020);
  step({ kind: 'tick' }, 1_040);
  propose(2, 'a', 'basic', 1_050);
  propose(3, 'a', 'multi', 1_050);
  propose(4, 'b', 'basic', 1_050);
  expect(ballots.map((b) => b.round)).toEqual([1, 2, 3, 4]);
});
