// Goal: a follower sees what it asked for, and a slow one makes nobody wait. Method: a tracer alone, with events made by hand.
import { describe, expect, test } from '@jest/globals';
import { encodeEntry } from '../../../shared/machine/entry.ts';
import type { Ballot } from '../../../shared/paxos/ballot.ts';
import { CLASSIC } from '../../../shared/paxos/ballot.ts';
import { Tracer, type TraceDraft } from '../../../shared/runtime/trace/tracer.ts';
import type { AnyTraceEvent, TraceFilter } from '../../../shared/wire/codec/trace.ts';
import { readTraceEvent, writeTraceEvent } from '../../../shared/wire/codec/trace.ts';
import { TraceEvent } from '../../../shared/wire/gen/synod/v1/trace.ts';

const EVERYTHING: TraceFilter = { log: undefined, proposal: undefined, queueEvents: 100, values: true, idle: true };
const ballot: Ballot = { round: 1, proposer: 1, incarnation: '0123456789abcdef', kind: CLASSIC };
const CLIENT = 'ab'.repeat(16);

const tracer = (): Tracer => new Tracer(() => 5);
const voted = (log: string, first: number, count = 1): TraceDraft => ({ kind: 'voted', log, ballot, first, count });
const kinds = (events: readonly AnyTraceEvent[]): string[] => events.map(({ kind, log }) => `${kind} ${log}`.trim());

describe('a tracer', () => {
  test('is on while somebody follows, and off again when the last one is gone', () => {
    const each = tracer();
    expect(each.isOn).toBe(false);
    const [a, b] = [each.follow(EVERYTHING), each.follow(EVERYTHING)];
    each.unfollow(a);
    expect(each.isOn).toBe(true);
    each.unfollow(b);
    expect(each.isOn).toBe(false);
    expect(each.beginnings).toBe(1);
    each.follow(EVERYTHING);
    expect(each.beginnings).toBe(2);
  });

  test('drops what does not fit, counts it, and goes on when there is room', () => {
    const each = tracer();
    let told = 0;
    const queue = each.follow({ ...EVERYTHING, queueEvents: 3 }, () => told++);
    for (let slot = 0; slot < 5; slot++) each.record(voted('a', slot));
    expect([queue.length, queue.dropped, told]).toEqual([3, 2, 1]);
    expect(queue.take(2).map(({ first }) => first)).toEqual([0, 1]);
    each.record(voted('a', 5));
    expect(queue.take(10).map(({ first, sequence }) => [first, sequence])).toEqual([
      [2, 3],
      [5, 6],
    ]);
    each.unfollow(queue);
    expect(each.dropped).toBe(2);
  });

  test('tells a burst and then so many a second; while nobody may hear more, nothing is made, and that is counted', () => {
    let now = 0;
    const each = new Tracer(() => now, { burst: 3, aSecond: 100 });
    const queue = each.follow(EVERYTHING);
    const made = (): number => {
      let count = 0;
      for (let slot = 0; slot < 10; slot++)
        if (each.isOn) {
          each.record(voted('a', slot));
          count++;
        }
      return count;
    };
    expect([made(), queue.length, queue.dropped]).toEqual([3, 3, 7]);
    now = 5;
    expect([made(), queue.dropped]).toEqual([0, 17]);
    now = 25;
    expect([made(), queue.length, queue.dropped]).toEqual([2, 5, 25]);
    now = 60_000;
    expect(made()).toBe(3);
    // Who sees one quiet log keeps its budget, and hears of it whatever the others have used up.
    const quiet = each.follow({ ...EVERYTHING, log: 'q', idle: false });
    made();
    expect(quiet.length).toBe(0);
    expect(each.isOn).toBe(true);
    each.record(voted('q', 1));
    expect([quiet.length, quiet.dropped]).toEqual([1, 0]);
  });

  test('a slow follower costs another one nothing', () => {
    const each = tracer();
    const [slow, quick] = [each.follow({ ...EVERYTHING, queueEvents: 1 }), each.follow(EVERYTHING)];
    for (let slot = 0; slot < 5; slot++) each.record(voted('a', slot));
    expect([slow.dropped, quick.dropped, quick.length]).toEqual([4, 0, 5]);
  });

  test('one log alone, with the syncs that something in it waited for', () => {
    const each = tracer();
    const queue = each.follow({ ...EVERYTHING, log: 'a', idle: false });
    each.record({ kind: 'synced', first: 0, count: 1 });
    each.record(voted('b', 0));
    each.record({ kind: 'synced', first: 1, count: 1 });
    each.record(voted('a', 0));
    each.record({ kind: 'synced', first: 2, count: 1 });
    expect(kinds(queue.take(10))).toEqual(['voted a', 'synced']);
  });

  test('without idle, what a cluster at rest says is left out', () => {
    const each = tracer();
    const queue = each.follow({ ...EVERYTHING, idle: false });
    each.record({ kind: 'sent', message: 'heartbeat' });
    each.record(voted('synod.probe.1', 0));
    each.record(voted('a', 0));
    expect(kinds(queue.take(10))).toEqual(['voted a']);
  });

  test('one proposal: itself, the slots that it is put in, and phase 1 of its log', () => {
    const each = tracer();
    const id = { client: CLIENT, session: 3, sequence: 2 };
    const queue = each.follow({ ...EVERYTHING, log: 'a', proposal: id });
    const entry = (sequence: number): Uint8Array =>
      encodeEntry({
        kind: 'command',
        client: CLIENT,
        session: 3,
        sequence,
        acknowledged: 0,
        payload: new Uint8Array(1),
      });
    each.record({ kind: 'promised', log: 'a', ballot });
    each.record({ kind: 'promised', log: 'b', ballot });
    each.record(voted('a', 7));
    const accept = { kind: 'sent', message: 'accept', log: 'a', ballot, first: 6, count: 2 } as const;
    each.record(accept, () => [{ first: 6, values: [entry(1), entry(2)] }]);
    each.record(voted('a', 6));
    each.record(voted('a', 7));
    each.record({ kind: 'learned', log: 'a', ballot, first: 5, count: 9 });
    each.record({ ...accept, first: 8, count: 1 }, () => [{ first: 8, values: [entry(1)] }]);
    expect(queue.take(10).map(({ kind, first }) => `${kind} ${String(first)}`)).toEqual([
      ...['promised undefined', 'sent 6', 'voted 7', 'learned 5'],
    ]);
  });

  test('an event is the same after the wire; a kind of a later version is passed over', () => {
    const each = tracer();
    const queue = each.follow(EVERYTHING);
    each.record({
      ...{ kind: 'sent', message: 'promise', peer: { role: 'proposer', id: 2 }, log: 'a', ballot, first: 3, cause: 9 },
      votes: [{ first: 3, count: 2, ballot, value: Uint8Array.of(1, 2) }],
    });
    const [event] = queue.take(1);
    if (event === undefined) throw new Error('nothing was told');
    const wire = TraceEvent.decode(TraceEvent.encode(writeTraceEvent(event)).finish());
    const read = readTraceEvent(wire);
    expect({ ...read, votes: [] }).toEqual({ ...event, votes: [] });
    expect(Array.from(read?.votes[0]?.value ?? [])).toEqual([1, 2]);
    expect(readTraceEvent({ ...wire, kind: 99 as typeof wire.kind })).toBeUndefined();
    expect(() => readTraceEvent({ ...wire, peerRole: 0 })).toThrow('event.peer of sent is missing');
  });
});
