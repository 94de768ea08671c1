/**
 * Goal: a run in which something was lost, doubled, changed or out of order is refused, and one in which all is well is not. Method: a small
 * history with what two learners show of it; then the same with one thing damaged.
 */
import { describe, expect, test } from '@jest/globals';
import type { Learned } from '../e2e/history.ts';
import { History } from './history.ts';
import { page } from './page.ts';
import { report } from './report.ts';
import { bucketsOf } from './result.ts';
import type { ChaosResult } from './result.ts';
import { OK_BEFORE_MIN, OK_PER_SECOND_MIN, vacuousness } from './run.ts';
import { nameIn, valueOf } from './values.ts';
import { verify } from './verify.ts';

const proposal = (slot: number, value: string): Learned => ({
  ...{ slot, value, kind: 'proposal', effect: 'applied', id: `c/0/${slot}` },
});
const session = (slot: number): Learned => ({ slot, value: '', kind: 'session', effect: 'none', id: '' });
const decree = (value: string): Learned => ({ slot: 0, value, kind: 'decree', effect: 'applied', id: 'c/0/0' });

/** Slots 1, 2 and 4 were acknowledged, 3 has an unknown outcome, v6 was refused; the decree is d1. */
function evidence(): { history: History; copies: { learner: number; logs: Map<string, Learned[]> }[] } {
  const history = new History();
  const { operations, refused } = history.log('log');
  const append = (value: string, slot: number | undefined, calledMs: number, returnedMs: number | undefined): void => {
    operations.push({ op: { kind: 'append', value, slot }, calledMs, returnedMs });
  };
  append('v1', 1, 0, 1);
  append('v2', 2, 2, 4);
  append('v3', undefined, 2, undefined);
  append('v4', 4, 5, 6);
  const entries = [
    { slot: 1, value: 'v1' },
    { slot: 2, value: 'v2' },
  ];
  operations.push({ op: { kind: 'read', from: 0, next: 3, end: 3, entries }, calledMs: 3, returnedMs: 5 });
  operations.push({ op: { kind: 'end', end: 5 }, calledMs: 7, returnedMs: 8 });
  refused.push({ value: 'v6', message: 'no room' });
  const decisions = history.decree('decree').operations;
  decisions.push({ op: { kind: 'decide', value: 'd1', chosen: 'd1' }, calledMs: 0, returnedMs: 1 });
  decisions.push({ op: { kind: 'decide', value: 'd2', chosen: 'd1' }, calledMs: 2, returnedMs: 3 });
  const copies = [1, 2].map((learner) => ({
    learner,
    logs: new Map([
      ['log', [session(0), proposal(1, 'v1'), proposal(2, 'v2'), proposal(3, 'v3'), proposal(4, 'v4')]],
      ['decree', [decree('d1')]],
    ]),
  }));
  return { history, copies };
}

type Evidence = ReturnType<typeof evidence>;
const both = ({ copies }: Evidence, log: string, hurt: (entries: Learned[]) => void): void => {
  for (const { logs } of copies) hurt(logs.get(log)!);
};

describe('a run is refused when', () => {
  const damages: Record<string, readonly [(of: Evidence) => void, RegExp]> = {
    'all learners lost an acknowledged value': [
      (of) => both(of, 'log', (entries) => void entries.splice(4, 1)),
      /log: learner 1 shows v4 in no slot; it was acknowledged in slot 4/,
    ],
    'one learner has another value': [
      ({ copies }) => copies[1]!.logs.get('log')!.splice(2, 1, proposal(2, 'v9')),
      /learners 1 and 2 differ/,
    ],
    'one learner lost a slot in the midst': [
      ({ copies }) => copies[1]!.logs.get('log')!.splice(2, 1),
      /learner 2 shows slot 3 where slot 2 belongs/,
    ],
    'a value took effect twice': [
      (of) => both(of, 'log', (entries) => entries.push(proposal(5, 'v3'))),
      /learner 1 shows v3 in slot 3, 5: it took effect twice/,
    ],
    'two acknowledged values changed places': [
      (of) => both(of, 'log', (entries) => entries.splice(1, 2, proposal(1, 'v2'), proposal(2, 'v1'))),
      /it was acknowledged in slot 1/,
    ],
    'a value is there whose client was told that it had no effect': [
      (of) => both(of, 'log', (entries) => entries.push(proposal(5, 'v6'))),
      /its client was told that it had no effect: no room/,
    ],
    'a value is there that nobody proposed': [
      (of) => both(of, 'log', (entries) => entries.push(proposal(5, 'v9'))),
      /shows v9 in slot 5, which nobody proposed/,
    ],
    'a read was stale': [
      ({ history }) =>
        history.log('log').operations.push({
          ...{ op: { kind: 'read', from: 0, next: 1, end: 1, entries: [] }, calledMs: 7, returnedMs: 8 },
        }),
      /log is not linearizable: after .* operations none of these can be next/,
    ],
    'an end was below what had been acknowledged': [
      ({ history }) => history.log('log').operations.push({ op: { kind: 'end', end: 4 }, calledMs: 7, returnedMs: 8 }),
      /log is not linearizable/,
    ],
    'the order of slots contradicts real time': [
      ({ history }) => {
        const { operations } = history.log('log');
        operations[0] = { ...operations[0]!, calledMs: 7, returnedMs: 8 };
      },
      /v1 is in slot 1, and began after v4 was acknowledged in slot 4/,
    ],
    'a decree has two answers': [
      ({ history }) =>
        history.decree('decree').operations.push({
          ...{ op: { kind: 'decide', value: 'd3', chosen: 'd3' }, calledMs: 4, returnedMs: 5 },
        }),
      /decree: it has 2 values: d1, d3/,
    ],
    'a learner has another decree': [
      ({ copies }) => copies[1]!.logs.set('decree', [decree('d2')]),
      /decree: it has 2 values: d1, d2/,
    ],
    'a learner lost a decree': [
      ({ copies }) => copies[1]!.logs.delete('decree'),
      /decree: learner 2 shows no value, and clients were told one/,
    ],
    'an answer was wrong about whose it was': [
      ({ history }) => history.decree('decree').wrongOwners.push('the answer is wrong'),
      /decree: the answer is wrong/,
    ],
    'a client was told what no client should be told': [
      ({ history }) => history.oddities.push('propose: INTERNAL: broken'),
      /propose: INTERNAL: broken/,
    ],
    'no learner was read': [({ copies }) => copies.splice(0), /no learner was read/],
  };

  test.each(Object.entries(damages))('%s', (_, [hurt, sentence]) => {
    const of = evidence();
    hurt(of);
    expect(verify(of.history, of.copies).violations.join('\n')).toMatch(sentence);
  });

  test('nothing is wrong with it (control): it is not', () => {
    const { history, copies } = evidence();
    const judged = verify(history, copies);
    expect(judged).toMatchObject({ violations: [], histories: 2, operations: 8 });
  });

  test('what is unknown took no effect, or did: it is not', () => {
    const of = evidence();
    both(of, 'log', (entries) => entries.splice(3, 1, { ...session(3), kind: 'no-op' }));
    expect(verify(of.history, of.copies).violations).toEqual([]);
  });
});

describe('a run does not count when', () => {
  test.each([
    ['too little succeeded before the first fault', [10_000, OK_BEFORE_MIN - 1, 1, 10], /before the first fault/],
    ['too little succeeded', [OK_PER_SECOND_MIN * 10 - 1, OK_BEFORE_MIN, 1, 10], /succeeded in 10 s/],
    ['there was no fault', [10_000, OK_BEFORE_MIN, 0, 10], /there was no fault/],
  ] as const)('%s', (_, [ok, before, faults, seconds], sentence) => {
    expect(vacuousness(ok, before, faults, seconds)).toEqual([expect.stringMatching(sentence)]);
  });

  test('all of that is enough (control): it does', () => {
    expect(vacuousness(OK_PER_SECOND_MIN * 10, OK_BEFORE_MIN, 1, 10)).toEqual([]);
  });
});

describe('a value', () => {
  test('says who it is, whatever its size', () => {
    for (const [number, bytes] of [
      [1, 0],
      [17, 300],
      [99, 100_000],
    ] as const) {
      const { name, value } = valueOf(number, bytes);
      expect([nameIn(value), value.length]).toEqual([name, name.length + 1 + bytes]);
    }
  });

  test('in which a byte is another, or is missing, is one that nobody proposed', () => {
    const { value } = valueOf(17, 300);
    for (const at of [0, 1, 5, 8, 200, value.length - 1]) {
      const hurt = Buffer.from(value);
      hurt.writeUInt8(hurt.readUInt8(at) ^ 1, at);
      expect(nameIn(hurt)).not.toBe('v17.300');
      expect(nameIn(value.subarray(0, at))).not.toBe('v17.300');
    }
  });
});

describe('the report', () => {
  const moments = Array.from({ length: 100 }, (_, at) => ({
    ...({ client: at % 2, kind: 'propose', calledMs: 10 * at, returnedMs: 10 * at + 5, leader: 1 + (at % 2) } as const),
    outcome: at % 10 === 3 ? 'unknown' : 'ok',
  })) as Parameters<typeof bucketsOf>[0];
  const result: ChaosResult = {
    ...{ when: '2026-11-26T12:00:00.000Z', commit: null, machine: '2 × a processor', node: '20', seed: 5, seconds: 1 },
    ...{ durationMs: 1_000, clients: 2, shape: { acceptors: 3, proposers: 2, learners: 2 }, okBeforeFaults: 30 },
    counts: { ok: 90, none: 0, unknown: 10 },
    kinds: { propose: { ok: 90, other: 10 } },
    faults: [
      {
        kind: 'kill',
        text: 'kill -9 of acceptor 1',
        members: ['acceptor 1'],
        beganMs: 300,
        endedMs: 600,
        note: undefined,
      },
      {
        kind: 'cut',
        text: 'proposer 2 is <cut> off',
        members: ['proposer 2'],
        beganMs: 400,
        endedMs: 500,
        note: 'why',
      },
    ],
    skipped: ['full disk: no file system can be mounted here'],
    judged: { histories: 4, operations: 100, states: 120 },
    violations: [],
    bucketMs: 100,
    buckets: bucketsOf(moments, 1_000, 2, 100),
  };

  test('counts every operation in its place', () => {
    const sums = result.buckets.map(({ ok, unknown }) => [ok, unknown]);
    expect(sums).toEqual(Array.from({ length: 10 }, () => [9, 1]));
    expect(result.buckets[0]).toMatchObject({
      slowestMs: 5,
      leaders: { 1: 5, 2: 5 },
      clients: [
        [5, 0],
        [4, 1],
      ],
    });
  });

  test('is one page that asks nothing of the network, with operations, leaders and faults', () => {
    const html = page(result);
    expect(html).not.toMatch(/https?:|<script|<link|@import|url\(/);
    for (const text of [
      'proposer 2 is &lt;cut&gt; off (why)',
      'kill -9 of acceptor 1',
      'leaders by answers',
      '--seed 5',
    ])
      expect(html).toContain(text);
    expect(html).toContain('all in order');
    // A bar of the kill: from 300 to 600 of 1000 ms.
    expect(html).toMatch(/fill="#c0392b"><title>0\.3 s to 0\.6 s: kill -9 of acceptor 1/);
  });

  test('says what is wrong, on the page and as text', () => {
    const broken = { ...result, violations: ['chaos-1: a <value> was lost'] };
    expect(page(broken)).toContain('chaos-1: a &lt;value&gt; was lost');
    expect(report(broken)).toContain('VIOLATION: chaos-1: a <value> was lost');
    expect(report(broken).at(-1)).toContain('npm run chaos -- --seconds 1 --seed 5 --acceptors 3');
    expect(report(result).at(-1)).toContain('Nothing acknowledged was lost');
    expect(report(result).join('\n')).toContain('1 × kill, 1 × cut');
  });
});
