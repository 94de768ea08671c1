// Goal: what an acceptor keeps, says to learners and people, and may forget (R10), to the slot and the record: the head of a
// segment, the end of pages, the trim floor, what is written again. Method: one acceptor, messages by hand.
import { describe, expect, test } from '@jest/globals';
import type { AcceptorEffect } from '../../../shared/paxos/acceptor.ts';
import { LIMITS } from '../../../shared/base/limits.ts';
import { BALLOT_ZERO } from '../../../shared/paxos/ballot.ts';
import type { AcceptorRecord, FromAcceptor } from '../../../shared/paxos/messages.ts';
import { AcceptorRig, accept, batch, classic, LOG, owner, prepare, words } from './support.ts';

/** An acceptor that knows only what stands at the head of a segment of this one's journal. */
function fromHead(a: AcceptorRig): AcceptorRig {
  const bare = new AcceptorRig();
  for (const record of a.machine.head()) bare.machine.restore(record, undefined);
  return bare;
}

function reason(reply: FromAcceptor): string {
  return reply.kind === 'rejected' ? reply.reason : reply.kind;
}

function held(a: AcceptorRig, disk: string, slots: number, agreed = slots, log = LOG): void {
  a.step({ kind: 'learner', from: 'learner', disk, message: { kind: 'held', log, held: slots, agreed } });
}

/** Time for the acceptor to look what may be trimmed; returns what it did. */
function trim(a: AcceptorRig): AcceptorEffect[] {
  a.now += 1_000;
  return a.step({ kind: 'tick' });
}

describe('the head of a segment', () => {
  test('carries the greatest ballot of any vote, below which nothing is promised when the votes are gone (R1)', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(2)));
    a.ask(accept(classic(6, 2), 0, 'x'));
    expect(reason(fromHead(a).answer(prepare(classic(5))))).toBe('ballot');
    expect(reason(fromHead(a).answer(prepare(classic(6, 2))))).toBe('promised');
    expect([...a.machine.head()]).toEqual([expect.objectContaining({ voted: classic(6, 2), highest: 0 })]);
  });

  test('of a log without votes names no ballot of a vote', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(2)));
    expect([...a.machine.head()]).toEqual([
      {
        ...{ kind: 'log', log: LOG, promised: classic(2), state: 'led', highest: -1 },
        ...{ voted: undefined, watermark: 0, floor: 0 },
      },
    ]);
    expect(reason(fromHead(a).answer(accept(classic(2), 0, 'x')))).toBe('accepted');
  });

  test('names the learner disks that were forgotten, which hold nothing ever again', () => {
    const a = new AcceptorRig();
    a.step({ kind: 'forget', from: 'x', disk: 'disk-1', force: false });
    expect(a.effects).toEqual([
      { kind: 'persist', record: { kind: 'forget', learnerDisk: 'disk-1' } },
      { kind: 'reply-forget', to: 'x', refused: undefined },
    ]);
    for (const again of [fromHead(a), a.restarted()]) {
      again.ask(accept(classic(1), 0, 'x y'));
      for (const disk of ['disk-1', 'disk-2']) held(again, disk, 2);
      expect(trim(again).filter((e) => e.kind === 'persist')).toEqual([]);
      held(again, 'disk-3', 1);
      expect(trim(again)).toContainEqual({ kind: 'persist', record: { kind: 'floor', log: LOG, floor: 1 } });
      again.step({ kind: 'forget', from: 'x', disk: 'disk-1', force: true });
      expect(again.persisted).toEqual([]);
    }
  });

  test('and older promises in any order behind it leave the greatest one, and who leads', () => {
    const records: AcceptorRecord[] = [
      { kind: 'promise', log: LOG, ballot: classic(7), lead: true },
      { kind: 'promise', log: LOG, ballot: classic(5, 2), lead: false },
      { kind: 'promise', log: LOG, ballot: classic(7), lead: false },
      { kind: 'resign', log: LOG, ballot: classic(5, 2) },
    ];
    const state = (kept: readonly AcceptorRecord[]): unknown => {
      const a = new AcceptorRig({}, kept);
      return [...a.machine.status()].map((s) => [s.promised, s.state]);
    };
    expect(state(records)).toEqual([[classic(7), 'led']]);
    expect(state([...records, { kind: 'resign', log: LOG, ballot: classic(7) }])).toEqual([[classic(7), 'closed']]);
    expect(state([{ kind: 'promise', log: LOG, ballot: classic(7), lead: false }])).toEqual([[classic(7), 'closed']]);
  });

  test('holds no vote: a vote there is a mistake of the journal (R6)', () => {
    const a = new AcceptorRig();
    expect(() => {
      a.machine.restore(
        { kind: 'vote', log: LOG, ballot: classic(1), first: 0, batch: batch('x'), watermark: 0 },
        undefined,
      );
    }).toThrow('R6: a vote at the head of a segment');
  });
});

describe('the floor', () => {
  function voted(): AcceptorRig {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b c d e f'));
    return a;
  }

  test('is what the second best learner disk holds and agreed on, whichever is less, in whatever order they speak', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [0, 2, 1],
    ]) {
      const a = voted();
      const reports = [
        ['disk-1', 6, 5],
        ['disk-2', 3, 6],
        ['disk-3', 6, 1],
      ] as const;
      for (const i of order) {
        const [disk, slots, agreed] = reports[i]!;
        held(a, disk, slots, agreed);
      }
      expect(trim(a)).toContainEqual({ kind: 'persist', record: { kind: 'floor', log: LOG, floor: 3 } });
    }
  });

  test('is looked at once per trim interval, and told to people', () => {
    const a = voted();
    trim(a);
    for (const disk of ['disk-1', 'disk-2']) held(a, disk, 4);
    a.now += 999;
    expect(a.step({ kind: 'tick' })).toEqual([]);
    a.now += 1;
    expect(a.step({ kind: 'tick' })).toContainEqual({ kind: 'note', note: { kind: 'trimmed', log: LOG, floor: 4 } });
    expect([...a.machine.status()][0]?.holders).toEqual([
      { disk: 'disk-1', held: 4, agreed: 4 },
      { disk: 'disk-2', held: 4, agreed: 4 },
    ]);
  });

  test('of one log frees nothing of the journal that another log still needs', () => {
    const a = new AcceptorRig();
    a.ask({ ...accept(classic(1), 0, 'x y'), log: 'other' });
    a.ask(accept(classic(1), 0, 'a b'));
    for (const disk of ['disk-1', 'disk-2']) held(a, disk, 2);
    expect(trim(a).filter((e) => e.kind === 'trim')).toEqual([]);
    for (const disk of ['disk-1', 'disk-2']) held(a, disk, 2, 2, 'other');
    expect(trim(a).filter((e) => e.kind === 'trim')).toEqual([{ kind: 'trim', below: a.records.length }]);
    // Nothing new is free: nothing is said.
    expect(trim(a)).toEqual([]);
  });

  test('a learner disk may be forgotten while enough others hold what is below the floor, and no sooner', () => {
    const a = voted();
    for (const disk of ['disk-1', 'disk-2', 'disk-3']) held(a, disk, disk === 'disk-3' ? 3 : 4);
    trim(a);
    const answer = (disk: string): string | undefined => {
      const [reply] = a
        .step({ kind: 'forget', from: 'x', disk, force: false })
        .flatMap((e) => (e.kind === 'reply-forget' ? [e] : []));
      return reply?.refused;
    };
    expect(answer('disk-1')).toBe(
      'forgetting learner disk disk-1 would leave fewer than 2 learner disks (trim.holders) known to hold log "orders" ' +
        'below its floor, slot 4, which acceptors no longer keep; use --force only if that may be lost',
    );
    held(a, 'disk-3', 4);
    expect(answer('disk-1')).toBeUndefined();
    expect(answer('disk-2')).toContain('disk-2');
  });
});

describe('what leaves an acceptor', () => {
  test('a vote is told to learners with its value and the watermark, and to people', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'x y', 1));
    const all = batch('x y');
    expect(a.effects).toEqual([
      {
        kind: 'persist',
        record: { kind: 'vote', log: LOG, ballot: classic(1), first: 0, batch: all, watermark: 1 },
      },
      {
        kind: 'publish',
        votes: { kind: 'votes', log: LOG, ballot: classic(1), first: 0, count: 2, batch: all, watermark: 1 },
      },
      {
        kind: 'note',
        note: { kind: 'voted', log: LOG, ballot: classic(1), first: 0, count: 2, bytes: all.bytes.length },
      },
      {
        kind: 'reply',
        to: 'stream',
        message: { kind: 'accepted', log: LOG, ballot: classic(1), first: 0, count: 2 },
      },
    ]);
  });

  test('a watermark that is told with a vote never falls', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'x y', 2));
    a.ask(accept(classic(1), 2, 'z', 0));
    expect(a.persisted).toEqual([expect.objectContaining({ kind: 'vote', watermark: 2 })]);
    a.ask({ kind: 'tell', log: LOG, watermark: 1 });
    expect([...a.machine.status()][0]?.watermark).toBe(2);
    expect(a.step({ kind: 'proposer', from: 's', owner: owner(1), message: { kind: 'tell', log: 'no', watermark: 9 } }))
      // A log that nobody voted in is not made by being told of.
      .toEqual([]);
  });

  test('a promise and a reject are told to people, with why', () => {
    const a = new AcceptorRig();
    a.ask(prepare(classic(4), { purpose: 'decree' }));
    expect(a.effects).toContainEqual({
      kind: 'note',
      note: { kind: 'promised', log: LOG, ballot: classic(4), purpose: 'decree' },
    });
    a.ask(accept(classic(3), 0, 'x'));
    expect(a.effects).toContainEqual({
      kind: 'note',
      note: {
        ...{ kind: 'rejected', phase: 'accept', log: LOG, reason: 'ballot' },
        ...{ ballot: classic(3), promised: classic(4) },
      },
    });
  });

  test('a reject for a log that is not there says how such a log stands: open, without a promise or a vote', () => {
    const a = new AcceptorRig({ logsMax: 0 });
    expect(a.answer(accept(classic(3), 0, 'x'))).toEqual({
      ...{ kind: 'rejected', log: LOG, ballot: classic(3), first: 0, reason: 'logs', promised: BALLOT_ZERO },
      ...{ state: 'open', leader: undefined, highest: -1, watermark: 0, floor: 0 },
    });
  });

  test('a learner that joins hears the head of every log', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'x y', 1));
    expect(a.step({ kind: 'learner-joined', from: 'learner' })).toEqual([
      {
        kind: 'reply-learner',
        to: 'learner',
        message: { kind: 'head', log: LOG, highest: 1, watermark: 1, floor: 0 },
      },
    ]);
  });

  test('a learner that reads a log beyond its end, or one that is not there, is told so', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'x y'));
    const fetch = (log: string, from: number, to: number): string[] =>
      a
        .step({ kind: 'learner', from: 'l', disk: 'd', message: { kind: 'fetch', log, from, to, values: true } })
        .flatMap((e) => (e.kind === 'reply-learner' ? [e.message] : []))
        .map((m) => (m.kind === 'votes' ? `${m.first} ${words(m.batch) ?? ''}` : JSON.stringify(m)));
    const end = (log: string, from: number, until: number, highest: number): string =>
      JSON.stringify({ kind: 'fetched', log, from, until, highest, watermark: 0, floor: 0 });
    expect(fetch(LOG, 0, 1)).toEqual(['0 x', end(LOG, 0, 1, 1)]);
    expect(fetch(LOG, 2, 9)).toEqual([end(LOG, 2, 9, 1)]);
    expect(fetch('none', 0, 9)).toEqual([end('none', 0, 9, -1)]);
  });
});

describe('the end of a page (R10)', () => {
  test('is named where votes above it were not asked for, and only there', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b c d'));
    const until = (to: number | undefined, from = 0): number | undefined =>
      a.promise(prepare(classic(5), { from, to, purpose: 'finish' })).until;
    expect([until(3), until(4), until(5), until(undefined)]).toEqual([3, undefined, undefined, undefined]);
    expect([until(2, 3), until(4, 3)]).toEqual([3, undefined]);
  });
});

describe('the end of a page that is full (R10)', () => {
  test('is where the next vote begins, also where fewer slots were asked for than are voted', () => {
    const a = new AcceptorRig({ pageBytes: 1 });
    for (let slot = 0; slot < 5; slot++) a.ask(accept(classic(1), slot, 'x'));
    for (const to of [2, 4, undefined]) {
      const page = a.promise(prepare(classic(5), { to, purpose: 'finish' }));
      expect([page.votes.map((v) => v.first), page.until]).toEqual([[0], 1]);
    }
  });
});

describe('votes that are written again', () => {
  const rewritten = (a: AcceptorRig, below: number): string[] => {
    a.step({ kind: 'compact', below });
    return a.persisted.map((r) => (r.kind === 'vote' ? `${r.log} ${r.first} ${words(r.batch) ?? ''}` : r.kind));
  };

  test('are those of logs whose oldest vote stands below what the journal wants to free, and no others', () => {
    const a = new AcceptorRig();
    a.ask({ ...accept(classic(1), 0, 'x y'), log: 'old' });
    a.ask(accept(classic(1), 0, 'a b'));
    expect(rewritten(a, 0)).toEqual([]);
    expect(rewritten(a, 1)).toEqual(['old 0 x y']);
    expect(rewritten(a, 2)).toEqual([`${LOG} 0 a b`]);
    expect(rewritten(a, 2)).toEqual([]);
    // Written again, they can be written again.
    expect(rewritten(a, 1_000)).toEqual(['old 0 x y', `${LOG} 0 a b`]);
    expect(rewritten(a, 2)).toEqual([]);
    // Nobody is told: they are the same votes. They are found where they stand now.
    expect(a.effects).toEqual([]);
    a.ask({ kind: 'tell', log: 'old', watermark: 2 });
    const page = a.promise({ ...prepare(classic(3)), log: 'old' });
    expect(page.votes.map((v) => words(v.batch))).toEqual(['x y']);
  });

  test('of a log that was never voted in are none', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(1)));
    expect(rewritten(a, 9)).toEqual([]);
  });

  test('are read back from the journal once, although they are asked for again meanwhile', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b', 2));
    const moment = { now: a.now, random: 0 };
    const first = a.machine.step({ kind: 'compact', below: 1 }, moment);
    expect(first.map((e) => e.kind)).toEqual(['load']);
    expect(a.machine.step({ kind: 'compact', below: 1 }, moment)).toEqual([]);
    const [load] = first;
    if (load?.kind !== 'load') throw new Error('no load');
    const votes = [{ first: 0, ballot: classic(1), batch: batch('a b') }];
    const done = a.machine.step({ kind: 'loaded', id: load.id, votes }, moment);
    expect(done.map((e) => (e.kind === 'persist' ? e.record.kind : e.kind))).toEqual(['vote']);
    // An answer that comes twice, or that nobody asked for, is nothing.
    expect(a.machine.step({ kind: 'loaded', id: load.id, votes }, moment)).toEqual([]);
  });
});

describe('votes for some of the slots of a batch', () => {
  test('that came before do not stand for the rest: a batch that goes further is written, and answered after that (R3)', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 2, 'x y'));
    expect(a.answer(accept(classic(1), 2, 'x y z')).kind).toBe('accepted');
    expect(a.persisted).toEqual([expect.objectContaining({ kind: 'vote', first: 2, batch: batch('x y z') })]);
    expect(a.answer(accept(classic(1), 3, 'y z')).kind).toBe('accepted');
    expect(a.persisted).toEqual([]);
  });

  test('below the watermark leave every slot above it its own value (R10)', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b c d'));
    a.ask({ kind: 'tell', log: LOG, watermark: 2 });
    a.ask(accept(classic(2), 1, 'b c d'));
    const shown = (from: number, fromWatermark: boolean): string[] =>
      a
        .promise(prepare(classic(3), { from, fromWatermark }))
        .votes.map((v) => `${v.first}@${v.ballot.round} ${words(v.batch) ?? ''}`);
    expect(shown(0, true)).toEqual(['2@2 c d']);
    expect(shown(0, false).join(' ')).toContain('0@1 a');
  });
});

describe('small print', () => {
  test('a Resign counts for a log that is led, at its ballot, and for no other', () => {
    const a = new AcceptorRig();
    const resign = { kind: 'resign', log: LOG, ballot: classic(1) } as const;
    a.ask(resign);
    expect(a.effects).toEqual([]);
    a.promise(prepare(classic(1)));
    a.ask(resign);
    expect([a.persisted.length, [...a.machine.status()][0]?.state]).toEqual([1, 'closed']);
    a.ask(resign);
    expect(a.persisted).toEqual([]);
  });

  test('the greatest round is a round; a range that ends at the floor is below it', () => {
    const a = new AcceptorRig();
    const greatest = classic(LIMITS.roundMax);
    expect(reason(a.answer(accept(greatest, 0, 'a b')))).toBe('accepted');
    for (const disk of ['disk-1', 'disk-2']) held(a, disk, 2);
    trim(a);
    expect(reason(a.answer(prepare(greatest, { to: 2, purpose: 'finish' })))).toBe('floor');
    expect(reason(a.answer(prepare(greatest, { to: 3, purpose: 'finish' })))).toBe('promised');
  });

  test('a log that is there is served although there is room for no other', () => {
    const a = new AcceptorRig({ logsMax: 1 });
    expect(reason(a.answer(accept(classic(1), 0, 'x')))).toBe('accepted');
    expect([...a.machine.status()][0]?.state).toBe('open');
    expect(reason(a.answer(prepare(classic(2))))).toBe('promised');
  });

  test('what a learner holds of a log that is not here is nothing to an acceptor', () => {
    const a = new AcceptorRig();
    held(a, 'disk-1', 4);
    expect([a.effects, [...a.machine.status()]]).toEqual([[], []]);
  });

  test('a learner disk may be forgotten where nothing was trimmed, whatever others hold', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b'));
    held(a, 'disk-1', 2);
    a.step({ kind: 'forget', from: 'x', disk: 'disk-1', force: false });
    expect(a.effects).toContainEqual({ kind: 'reply-forget', to: 'x', refused: undefined });
  });
});
