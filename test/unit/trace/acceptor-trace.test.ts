// Goal: an acceptor tells who asked, also at fast ballots, which are everybody's. Method: its trace alone, with events made by hand.
import { describe, expect, test } from '@jest/globals';
import { Batch } from '../../../shared/base/batch.ts';
import { encodeEntry } from '../../../shared/machine/entry.ts';
import { BALLOT_ZERO, CLASSIC, FAST, type Ballot } from '../../../shared/paxos/ballot.ts';
import type { AcceptorEvent } from '../../../shared/paxos/acceptor.ts';
import { AcceptorTrace } from '../../../shared/runtime/trace/acceptor-trace.ts';
import { Tracer } from '../../../shared/runtime/trace/tracer.ts';
import type { AnyTraceEvent } from '../../../shared/wire/codec/trace.ts';

const INCARNATION = 'ab'.repeat(8);
/** A fast ballot that proposer 1 opened, and a classic one of its own. */
const F: Ballot = { round: 3, proposer: 1, incarnation: INCARNATION, kind: FAST };
const C: Ballot = { ...F, kind: CLASSIC };
const LOG = 'events';

const entry = (value: string): Uint8Array =>
  encodeEntry({ kind: 'decree', client: 'cd'.repeat(16), payload: Buffer.from(value) });
const asks = (proposer: number, ballot: Ballot, value: string): AcceptorEvent => ({
  ...{ kind: 'proposer', from: `token-${String(proposer)}`, owner: { proposer, incarnation: INCARNATION } },
  message: { kind: 'accept', log: LOG, ballot, first: 0, batch: Batch.of([entry(value)]), watermark: 0 },
});

function rig() {
  const tracer = new Tracer(() => 0);
  const queue = tracer.follow({ log: undefined, proposal: undefined, queueEvents: 100, values: true, idle: false });
  const trace = new AcceptorTrace(tracer, () => undefined);
  const said = (event: AnyTraceEvent | undefined) => [
    event?.message ?? event?.kind,
    event?.peer === undefined ? undefined : `${event.peer.role} ${String(event.peer.id)}`,
    event?.value === undefined ? undefined : Buffer.from(event.value).toString(),
  ];
  return {
    trace,
    voted: (ballot: Ballot) => {
      trace.note({ kind: 'voted', log: LOG, ballot, first: 0, count: 1, bytes: 1 });
      return said(queue.take(100).at(-1));
    },
    replies: (to: number, ballot: Ballot, voted?: string) => {
      const more = voted === undefined ? {} : { voted: entry(voted) };
      const message = { kind: 'accepted', log: LOG, ballot, first: 0, count: 1, identity: 'x', ...more } as const;
      trace.sent({ kind: 'reply', to: `token-${String(to)}`, message }, 0);
      return said(queue.take(100).at(-1));
    },
  };
}

describe('at a fast ballot', () => {
  test.each([
    ['ballot zero, which is nobody’s', BALLOT_ZERO],
    ['one that another proposer opened', F],
  ])('%s: a vote says whose value it is for, and the answer goes to who asked', (_, ballot) => {
    const { trace, voted, replies } = rig();
    trace.event(asks(2, ballot, 'pear'));
    expect(voted(ballot)).toEqual(['voted', 'proposer 2', 'pear']);
    expect(replies(2, ballot)).toEqual(['accepted', 'proposer 2', undefined]);
  });

  test('who opened it hears of the votes for others, with the value, though it did not ask', () => {
    const { trace, replies } = rig();
    trace.event(asks(2, F, 'pear'));
    expect(replies(1, F, 'pear')).toEqual(['accepted', 'proposer 1', 'pear']);
  });

  test('a late answer goes to who asked for it, whoever asked since', () => {
    const { trace, replies } = rig();
    trace.event(asks(2, BALLOT_ZERO, 'pear'));
    trace.event(asks(1, BALLOT_ZERO, 'fig'));
    expect(replies(2, BALLOT_ZERO)[1]).toBe('proposer 2');
    expect(replies(1, BALLOT_ZERO)[1]).toBe('proposer 1');
  });
});

test('at a classic ballot a vote names nobody: the ballot does', () => {
  const { trace, voted } = rig();
  trace.event(asks(1, C, 'pear'));
  expect(voted(C)).toEqual(['voted', undefined, undefined]);
});
