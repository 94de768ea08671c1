import { describe, expect, test } from '@jest/globals';
import { Batch } from '../../../shared/base/batch.ts';
import { Acceptor, type AcceptorEffect, type AcceptorEvent } from '../../../shared/paxos/acceptor.ts';
import { CLASSIC, type Ballot } from '../../../shared/paxos/ballot.ts';
import type { Promised, ToAcceptor, VoteRange } from '../../../shared/paxos/messages.ts';

const LOG = 'a';
function ballot(round: number, proposer: number): Ballot {
  return { round, proposer, incarnation: `000000000000000${String(proposer)}`, kind: CLASSIC };
}
function value(text: string): Batch {
  return Batch.of([new TextEncoder().encode(text)]);
}

/** An acceptor with a journal in memory; a load is answered only when a test says so, from the journal as it was asked. */
class Bench {
  readonly acceptor: Acceptor;
  readonly journal: { log: string; vote: VoteRange }[] = [];
  loads: (AcceptorEffect & { kind: 'load' })[] = [];
  now = 1000;
  position = -1;
  readonly records = new Map<number, VoteRange>();
  constructor() {
    this.acceptor = new Acceptor(0);
  }
  step(event: AcceptorEvent): AcceptorEffect[] {
    const effects = this.acceptor.step(event, { now: this.now, random: 0.5 });
    for (const effect of effects) {
      if (effect.kind === 'persist') {
        this.position++;
        if (effect.record.kind === 'vote')
          this.records.set(this.position, {
            first: effect.record.first,
            ballot: effect.record.ballot,
            batch: effect.record.batch,
          });
      }
      if (effect.kind === 'load') this.loads.push(effect);
    }
    return effects;
  }
  from(proposer: number, message: ToAcceptor): AcceptorEffect[] {
    const owner = { proposer, incarnation: `000000000000000${String(proposer)}` };
    return this.step({ kind: 'proposer', from: `p${String(proposer)}`, owner, message });
  }
  load(): AcceptorEffect[] {
    const load = this.loads.shift();
    if (load === undefined) throw new Error('nothing to load');
    const slots = new Map<number, VoteRange>();
    for (const piece of load.pieces)
      for (let at = piece.first; at <= piece.last; at++) {
        const vote = this.records.get(at);
        if (vote === undefined) continue;
        for (let i = 0; i < vote.batch.count; i++) {
          const slot = vote.first + i;
          if (slot >= load.from && slot < load.to)
            slots.set(slot, { first: slot, ballot: vote.ballot, batch: vote.batch.slice(i, i + 1) });
        }
      }
    return this.step({ kind: 'loaded', id: load.id, votes: [...slots.values()].sort((a, b) => a.first - b.first) });
  }
  accept(proposer: number, b: Ballot, first: number, text: string, watermark: number): AcceptorEffect[] {
    return this.from(proposer, { kind: 'accept', log: LOG, ballot: b, first, batch: value(text), watermark });
  }
}

describe('old votes are loaded while the watermark rises', () => {
  test('a promise that waited for a load reports every vote of the slots it claims to report (R10)', () => {
    const bench = new Bench();
    const b1 = ballot(1, 1);
    for (let slot = 0; slot < 10; slot++) bench.accept(1, b1, slot, `v${String(slot)}`, 0);
    bench.from(1, { kind: 'tell', log: LOG, watermark: 5 });
    // Another proposer finishes [0, 10): slots 0 to 4 are old and are loaded.
    bench.now += 1000;
    bench.from(2, {
      kind: 'prepare',
      log: LOG,
      ballot: ballot(2, 2),
      from: 0,
      to: 10,
      purpose: 'finish',
      fromWatermark: false,
      override: false,
      ask: false,
    });
    expect(bench.loads).toHaveLength(1);
    // Meanwhile the paused leader tells what it knew to be chosen.
    bench.from(1, { kind: 'tell', log: LOG, watermark: 10 });
    const reported = new Set<number>();
    let until: number | undefined;
    let effects = bench.load();
    for (let i = 0; i < 5; i++) {
      const promised = effects.find((e) => e.kind === 'reply')?.message as Promised | undefined;
      if (promised === undefined) {
        effects = bench.load();
        continue;
      }
      for (const v of promised.votes) for (let j = 0; j < v.batch.count; j++) reported.add(v.first + j);
      until = promised.until;
      break;
    }
    const claimed = until ?? 10;
    const missing: number[] = [];
    for (let slot = 0; slot < claimed; slot++) if (!reported.has(slot)) missing.push(slot);
    expect(missing).toEqual([]);
  });

  test('an accept that waited for a load does not vote below the vote that the slot has (R2)', () => {
    const bench = new Bench();
    const b1 = ballot(1, 1);
    const b2 = ballot(2, 2);
    // Votes at b2 without a promise of b2: the Prepare went to others.
    bench.accept(1, b1, 0, 'x0', 0);
    bench.accept(2, b2, 1, 'new', 0);
    bench.from(2, { kind: 'tell', log: LOG, watermark: 1 });
    const old = Batch.of(['x0', 'old'].map((t) => new TextEncoder().encode(t)));
    bench.from(1, { kind: 'accept', log: LOG, ballot: b1, first: 0, batch: old, watermark: 0 });
    expect(bench.loads).toHaveLength(1);
    bench.from(2, { kind: 'tell', log: LOG, watermark: 2 });
    const effects = bench.load();
    expect(effects.some((e) => e.kind === 'persist' && e.record.kind === 'vote')).toBe(false);
  });
});

describe('how much one load reads', () => {
  test('a gap beside a wide piece does not load the whole journal', () => {
    const bench = new Bench();
    const b1 = ballot(1, 1);
    const big = (first: number): void => {
      const batch = Batch.of([new Uint8Array(300 * 1024)]);
      bench.from(1, { kind: 'accept', log: LOG, ballot: b1, first, batch, watermark: first });
    };
    for (let slot = 0; slot < 3000; slot++) if (slot !== 500) big(slot);
    // Slot 3 is finished again at a higher ballot by the leader in the same piece as a new slot: a piece of [3, 3002).
    bench.from(1, { kind: 'accept', log: LOG, ballot: ballot(2, 1), first: 3, batch: value('s3'), watermark: 3000 });
    bench.load();
    bench.accept(1, ballot(2, 1), 3001, 'tiny', 3000);
    bench.step({
      kind: 'learner',
      from: 'l',
      disk: 'd',
      message: { kind: 'fetch', log: LOG, from: 500, to: 3000, values: true },
    });
    const pieces = bench.loads[0]?.pieces.length ?? 0;
    expect(pieces).toBeLessThan(10);
  });
});

describe('votes that are written again at the end of the journal', () => {
  test('are all of them, although the watermark rises while the old ones are read (R3, R10)', () => {
    const bench = new Bench();
    const b1 = ballot(1, 1);
    for (let slot = 0; slot < 10; slot++) bench.accept(1, b1, slot, `v${String(slot)}`, 0);
    bench.from(1, { kind: 'tell', log: LOG, watermark: 5 });
    bench.step({ kind: 'compact', below: 1_000 });
    expect(bench.loads).toHaveLength(1);
    bench.from(1, { kind: 'tell', log: LOG, watermark: 10 });
    bench.load();
    while (bench.loads.length > 0) bench.load();
    // Later a learner fetches everything.
    let effects = bench.step({
      kind: 'learner',
      from: 'l',
      disk: 'd',
      message: { kind: 'fetch', log: LOG, from: 0, to: 10, values: true },
    });
    if (bench.loads.length > 0) effects = bench.load();
    const slots: number[] = [];
    for (const e of effects)
      if (e.kind === 'reply-learner' && e.message.kind === 'votes')
        for (let i = 0; i < e.message.count; i++) slots.push(e.message.first + i);
    expect(slots).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('are moved on for a log that is written seldom too, however many pieces of the journal hold it', () => {
    const bench = new Bench();
    const b1 = ballot(1, 1);
    const busy = (first: number): void => {
      bench.from(1, { kind: 'accept', log: 'busy', ballot: b1, first, batch: value('b'), watermark: first });
    };
    for (let slot = 0; slot < 8; slot++) {
      bench.accept(1, b1, slot, `v${String(slot)}`, slot);
      for (let i = 0; i < 2_500; i++) busy(slot * 2_500 + i);
    }
    const before = bench.position;
    bench.step({ kind: 'compact', below: 5_000 });
    while (bench.loads.length > 0) bench.load();
    // All eight stand at the end now, where they hold nothing up.
    const moved = [...bench.records].filter(([position]) => position > before).map(([, vote]) => vote.first);
    expect(moved).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
