// Goal: one order in which no message is received before it was sent, whatever the clocks say; and charts that show it.
import { describe, expect, test } from '@jest/globals';
import { TextChart } from '../../../services/cli/trace/chart.ts';
import { lanesOf, Rows } from '../../../services/cli/trace/rows.ts';
import { svgOf } from '../../../services/cli/trace/svg.ts';
import { memberShort, TraceMerger } from '../../../shared/client/index.ts';
import type { Traced, TraceMember } from '../../../shared/client/index.ts';
import { CLASSIC } from '../../../shared/paxos/ballot.ts';

const p1: TraceMember = { role: 'proposer', id: 1 };
const acceptor = (id: number): TraceMember => ({ role: 'acceptor', id });
const ballot = { round: 4, proposer: 1, incarnation: '0123456789abcdef', kind: CLASSIC } as const;

let sequence = 0;
function event(member: TraceMember, wallMs: number, fields: object): Traced {
  return {
    ...{ sequence: ++sequence, atMs: wallMs, cause: 0, log: 'a', message: undefined, peer: undefined, ballot },
    ...{ higher: undefined, first: undefined, count: 0, number: 0, word: '', why: '', phase: undefined },
    ...{ protocol: undefined, proposal: undefined, value: undefined, votes: [], member, wallMs },
    ...fields,
  } as unknown as Traced;
}
const sent = (from: TraceMember, to: TraceMember, at: number, message = 'prepare'): Traced =>
  event(from, at, { kind: 'sent', message, peer: to, first: 0 });
const received = (by: TraceMember, from: TraceMember, at: number, message = 'prepare'): Traced =>
  event(by, at, { kind: 'received', message, peer: from, first: 0 });
const text = (each: Traced): string => `${memberShort(each.member)} ${each.kind} ${String(each.message)}`;

function merged(events: readonly Traced[]): Traced[] {
  const merger = new TraceMerger(100);
  for (const each of events) merger.push(each, 0);
  return [...merger.take(Infinity)];
}

describe('merged', () => {
  test('a message is received after it was sent, though the receiver’s clock is behind', () => {
    const events = [
      received(acceptor(1), p1, 10),
      event(acceptor(1), 11, { kind: 'promised', word: 'lead' }),
      sent(acceptor(1), p1, 12, 'promise'),
      event(p1, 500, { kind: 'campaign' }),
      sent(p1, acceptor(0), 501),
      received(p1, acceptor(1), 502, 'promise'),
    ];
    expect(merged(events).map(text)).toEqual([
      ...['p1 campaign undefined', 'p1 sent prepare', 'a1 received prepare', 'a1 promised undefined'],
      ...['a1 sent promise', 'p1 received promise'],
    ]);
    // Control: by the clocks alone the receipt would come first.
    expect([...events].sort((a, b) => a.wallMs - b.wallMs).map(text)[0]).toBe('a1 received prepare');
  });

  test('a receipt whose sending nobody saw is not held for ever', () => {
    expect(merged([received(acceptor(1), p1, 10)]).map(text)).toEqual(['a1 received prepare']);
  });

  test('nothing is given out before it has settled', () => {
    const merger = new TraceMerger(100);
    merger.push(sent(p1, acceptor(0), 5), 1_000);
    expect([...merger.take(1_099)]).toEqual([]);
    merger.push(sent(acceptor(1), p1, 4, 'promise'), 1_050);
    expect([...merger.take(1_149)]).toEqual([]);
    expect([...merger.take(1_150)].map(text)).toEqual(['a1 sent promise', 'p1 sent prepare']);
  });

  test('ranges that were joined on their way find the sending of their last slot', () => {
    const merger = new TraceMerger(0);
    const one = event(acceptor(1), 9, { kind: 'sent', message: 'accepted', peer: p1, first: 3, count: 2 });
    const joined = event(p1, 5, { kind: 'received', message: 'accepted', peer: acceptor(1), first: 0, count: 5 });
    merger.push(joined, 0);
    merger.push(one, 0);
    expect([...merger.take(Infinity)]).toEqual([one, joined]);
    expect(merger.sendingOf(joined)).toBe(one);
  });
});

describe('a chart', () => {
  const members = [
    p1,
    { role: 'proposer', id: 2 } as const,
    ...[1, 2, 3].map(acceptor),
    { role: 'learner', id: 1 } as const,
  ];
  const rowsOf = (): Rows => {
    const rows = new Rows(false);
    const send = sent(p1, acceptor(0), 0);
    for (const id of [1, 2, 3]) {
      rows.push(received(acceptor(id), p1, id), send);
      rows.push(event(acceptor(id), id, { kind: 'promised', word: 'lead' }), undefined);
    }
    const higher = { ...ballot, round: 5, proposer: 2 };
    rows.push(event(acceptor(1), 9, { kind: 'promised', word: 'lead', ballot: higher }), undefined);
    return rows;
  };

  test('in text: one message to all is one row, and a promise says what it was before', () => {
    const chart = new TextChart(lanesOf(members), 80, false);
    const lines = rowsOf()
      .flush()
      .flatMap((row) => chart.lines(row));
    expect([chart.head(), ...lines].map((line) => line.slice(7))).toEqual([
      '  p1  p2  a1  a2  a3  l1',
      '  ├───┼───▶───▶───▶   │   prepare 4.p1',
      '  │   │   ●   │   │   │   a1 promised 4.p1',
      '  │   │   │   ●   │   │   a2 promised 4.p1',
      '  │   │   │   │   ●   │   a3 promised 4.p1',
      '  │   │   ●   │   │   │   a1 promised 5.p2, before 4.p1',
    ]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('in text: 3 + 3 + 2 members fit into 80 columns with a long text', () => {
    const lanes = ['p1', 'p2', 'p3', 'a1', 'a2', 'a3', 'l1', 'l2'];
    const chart = new TextChart(lanes, 80, false);
    const row = {
      wallMs: 0,
      from: 'l2',
      to: ['p1'],
      text: 'word '.repeat(20),
      part: 'other',
      log: 'a',
      promisedTo: undefined,
    } as const;
    const lines = chart.lines({ ...row, to: ['p1'] });
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) expect(line.length).toBeLessThan(80);
  });

  test('as SVG: names and values are escaped, every row is there, nothing is loaded from elsewhere', () => {
    const rows = rowsOf().flush();
    const evil = event(p1, 99, { kind: 'leader', word: 'lost', why: '<script>"&\u0007' });
    const more = new Rows(false);
    more.push(evil, undefined);
    const svg = svgOf([...rows, ...more.flush()], { title: 'log <a>', lanes: lanesOf(members), notes: [] });
    expect(svg.match(/<g class=/g)).toHaveLength(rows.length + 1);
    expect(svg).toContain('&lt;script&gt;&quot;&amp;\\u0007');
    expect(svg).not.toMatch(/<script|href|url\(/);
    expect(svg).not.toContain('\u0007');
    expect(svg.match(/class="p[12] bar"/g)?.length).toBeGreaterThan(3);
  });

  test('as SVG: no text lies on another of its row, or leaves the page', () => {
    const svg = svgOf(rowsOf().flush(), { title: 'a', lanes: lanesOf(members), notes: [] });
    const width = Number(/width="(\d+)"/.exec(svg)?.[1]);
    for (const group of svg.split('<g class=').slice(1)) {
      const texts = [...group.matchAll(/<text x="([\d.]+)"[^>]*?(text-anchor="end" )?textLength="([\d.]+)"/g)].map(
        ([, x, end, length]) => {
          const left = end === undefined ? Number(x) : Number(x) - Number(length);
          return [left, left + Number(length)] as const;
        },
      );
      const [a, b] = texts.sort((one, other) => one[0] - other[0]);
      expect(a?.[1]).toBeLessThan(b?.[0] ?? Infinity);
      for (const [left, right] of texts) expect(left >= 0 && right <= width).toBe(true);
    }
  });
});
