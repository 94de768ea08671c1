// Goal: what an acceptor must say and must not say, sentence by sentence: Paxos Made Simple's P1a and P1, R1, R2, R10, the
// grace of a leader, paging and floors. Method: one acceptor, messages by hand; what its journal holds is its memory. Each
// mistake of teaching code stands beside the rule as an acceptor that makes it, and is seen to break the rule.
import { describe, expect, test } from '@jest/globals';
import { SynodError } from '../../../shared/base/errors.ts';
import { LIMITS } from '../../../shared/base/limits.ts';
import { BALLOT_ZERO, compareBallots, type Ballot } from '../../../shared/paxos/ballot.ts';
import type { FromAcceptor, Promised, Rejected } from '../../../shared/paxos/messages.ts';
import { AcceptorRig, accept, batch, classic, LOG, owner, prepare, words } from './support.ts';

function refusal(reply: FromAcceptor | undefined): Rejected {
  if (reply?.kind !== 'rejected') throw new SynodError('INTERNAL', `not rejected: ${JSON.stringify(reply)}`);
  return reply;
}

/** `3@2.p1: x y`: what a promise reports, readable. */
function reported(page: Promised): string[] {
  return page.votes.map((v) => `${v.first}@${v.ballot.round}.p${v.ballot.proposer}: ${words(v.batch) ?? ''}`);
}

describe('P1a: an acceptor can accept a proposal iff it has not responded to a prepare with a greater number', () => {
  test('an acceptor votes for the first proposal that it receives (P1)', () => {
    const a = new AcceptorRig();
    expect(a.answer(accept(classic(1), 0, 'x'))).toEqual(
      expect.objectContaining({ kind: 'accepted', first: 0, count: 1 }),
    );
    expect(a.persisted).toEqual([expect.objectContaining({ kind: 'vote', first: 0 })]);
  });

  test('votes at the promised ballot and above, and refuses below', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(3)));
    expect(a.answer(accept(classic(3), 0, 'x')).kind).toBe('accepted');
    expect(a.answer(accept(classic(4), 1, 'y')).kind).toBe('accepted');
    const no = refusal(a.answer(accept(classic(2), 2, 'z')));
    expect(no.reason).toBe('ballot');
    expect(a.persisted).toEqual([]);
  });

  test('a promise is of the whole log, whatever slots it reports', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(3), { from: 5, to: 6, purpose: 'decree' }));
    expect(refusal(a.answer(accept(classic(2), 0, 'x'))).promised).toEqual(classic(3));
  });

  test('a promise of one log says nothing of another', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(3)));
    expect(a.answer({ ...accept(classic(1), 0, 'x'), log: 'other' }).kind).toBe('accepted');
  });
});

describe('R1: promises', () => {
  test('are made only for ballots strictly above the log’s promise', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(2, 2)));
    for (const low of [classic(1, 9), classic(2, 1), BALLOT_ZERO]) {
      expect(refusal(a.answer(prepare(low))).promised).toEqual(classic(2, 2));
      expect(a.persisted).toEqual([]);
    }
    a.step({ kind: 'proposer-gone', owner: owner(2) });
    expect(a.answer(prepare(classic(2, 3))).kind).toBe('promised');
  });

  test('are never made below the ballot of a vote', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(5), 7, 'x'));
    const no = refusal(a.answer(prepare(classic(4, 2))));
    expect([no.reason, no.promised]).toEqual(['ballot', classic(5)]);
  });

  test('a vote at a ballot is not a promise of it: the Prepare at that ballot is a first one, and is made durable', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(5), 0, 'x'));
    const page = a.promise(prepare(classic(5)));
    expect(a.persisted).toEqual([{ kind: 'promise', log: LOG, ballot: classic(5), lead: true }]);
    expect(reported(page)).toEqual(['0@5.p1: x']);
  });

  test('the owner of the promised ballot is answered again, for any range, and nothing changes', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(2)));
    a.ask(accept(classic(2), 0, 'x y z'));
    for (const range of [{}, { from: 1, to: 2 }, { from: 2 }, { purpose: 'finish' as const }]) {
      expect(a.promise(prepare(classic(2), range)).from).toBe(range.from ?? 0);
      expect(a.persisted).toEqual([]);
    }
    expect([...a.machine.status()][0]?.state).toBe('led');
  });

  test('grow over restarts: what was promised or voted before binds after', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(4)));
    a.ask(accept(classic(6, 2), 0, 'x'));
    const again = a.restarted();
    expect(refusal(again.answer(prepare(classic(3)))).promised).toEqual(classic(6, 2));
    expect(refusal(again.answer(accept(classic(3), 1, 'y'))).reason).toBe('ballot');
    expect(refusal(again.answer(prepare(classic(5)))).promised).toEqual(classic(6, 2));
    again.step({ kind: 'proposer-gone', owner: owner(1) });
    expect(reported(again.promise(prepare(classic(6, 2))))).toEqual(['0@6.p2: x']);
  });

  test('control: a restart from a journal that lacks the promise breaks it', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(4)));
    const forgetful = a.restarted(0);
    expect(forgetful.answer(accept(classic(3), 0, 'x')).kind).toBe('accepted');
  });
});

describe('R2: votes', () => {
  test('a slot’s promise is the greater of the log’s promise and the ballot of its vote', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(2)));
    a.ask(accept(classic(5, 2), 0, 'x'));
    expect(refusal(a.answer(accept(classic(4), 0, 'y'))).promised).toEqual(classic(5, 2));
    // The other slots have the log's promise alone: a vote is no promise for the log.
    expect(a.answer(accept(classic(4), 1, 'y')).kind).toBe('accepted');
  });

  test('at one ballot a slot has one value: another one is a conflict, and changes nothing', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(2), 0, 'x y'));
    const before = a.records.length;
    expect(refusal(a.answer(accept(classic(2), 1, 'z'))).reason).toBe('conflict');
    expect(refusal(a.answer(accept(classic(2), 0, 'x z'))).reason).toBe('conflict');
    expect(a.records).toHaveLength(before);
    expect(reported(a.promise(prepare(classic(2))))).toEqual(['0@2.p1: x y']);
  });

  test('a batch is voted for as a whole or not at all', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(5), 1, 'b'));
    expect(refusal(a.answer(accept(classic(4), 0, 'x y z'))).reason).toBe('ballot');
    expect(reported(a.promise(prepare(classic(6))))).toEqual(['1@5.p1: b']);
  });

  test('a vote at a higher ballot takes the place of the older one', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b c'));
    a.ask(accept(classic(2), 1, 'x'));
    expect(reported(a.promise(prepare(classic(3))))).toEqual(['0@1.p1: a', '1@2.p1: x', '2@1.p1: c']);
    expect(reported(a.restarted().promise(prepare(classic(4))))).toEqual(['0@1.p1: a', '1@2.p1: x', '2@1.p1: c']);
  });

  test('a duplicate is answered like the first, and is not written again', () => {
    const a = new AcceptorRig();
    const first = a.answer(accept(classic(1), 0, 'x y'));
    expect(a.answer(accept(classic(1), 0, 'x y'))).toEqual(first);
    expect(a.persisted).toEqual([]);
    expect(a.effects.some((e) => e.kind === 'publish')).toBe(false);
  });

  test('rounds above 2^48 are refused, so that nobody can use up the numbers', () => {
    const a = new AcceptorRig();
    expect(refusal(a.answer(prepare(classic(2 ** 48 + 1)))).reason).toBe('round');
    expect(refusal(a.answer(accept(classic(2 ** 48 + 1), 0, 'x'))).reason).toBe('round');
    expect(a.records).toEqual([]);
    expect(a.answer(prepare(classic(2 ** 48))).kind).toBe('promised');
  });
});

describe('an Accept far above the watermark', () => {
  const ahead = LIMITS.slotsAheadMax;

  test('is refused and changes nothing, because every slot below a vote must be filled', () => {
    const a = new AcceptorRig();
    expect(refusal(a.answer(accept(classic(1), ahead, 'x'))).reason).toBe('ahead');
    expect(a.persisted).toEqual([]);
  });

  test('is taken where it, or what was told before, says how far the chosen prefix reaches', () => {
    const a = new AcceptorRig();
    expect(a.answer(accept(classic(1), ahead - 1, 'x')).kind).toBe('accepted');
    expect(a.answer(accept(classic(1), ahead, 'x', 1)).kind).toBe('accepted');
    // A late copy of an Accept with an older watermark is judged by what is known now.
    expect(a.answer(accept(classic(1), ahead, 'x')).kind).toBe('accepted');
  });
});

describe('mistakes of teaching code', () => {
  test('promising by set membership instead of order promises an old ballot after a newer one', () => {
    const seen = new Set<string>();
    const byMembership = (ballot: Ballot): boolean => {
      const isNew = !seen.has(JSON.stringify(ballot));
      seen.add(JSON.stringify(ballot));
      return isNew;
    };
    const a = new AcceptorRig();
    const answers = [classic(3, 2), classic(2)].map((ballot) => [
      byMembership(ballot),
      a.answer(prepare(ballot)).kind === 'promised',
    ]);
    expect(answers).toEqual([
      [true, true],
      [true, false],
    ]);
  });

  test('a reject carries the higher ballot, and how the log stands', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(7, 2)));
    a.ask(accept(classic(7, 2), 0, 'x y', 1));
    for (const message of [prepare(classic(3)), accept(classic(3), 2, 'z')]) {
      const no = refusal(a.answer(message));
      expect(compareBallots(no.promised, message.ballot)).toBeGreaterThan(0);
      expect(no).toEqual(
        expect.objectContaining({
          promised: classic(7, 2),
          state: 'led',
          leader: 2,
          highest: 1,
          watermark: 1,
          floor: 0,
        }),
      );
    }
  });
});

describe('a leader’s grace', () => {
  const led = (): AcceptorRig => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(1)));
    return a;
  };

  test('refuses a Prepare from another while the leader was heard within 400 ms, and names the leader', () => {
    const a = led();
    a.now += 399;
    const no = refusal(a.answer(prepare(classic(2, 2))));
    expect([no.reason, no.leader, no.state]).toEqual(['led', 1, 'led']);
    a.now += 1;
    expect(a.answer(prepare(classic(2, 2))).kind).toBe('promised');
  });

  test('is renewed by anything that the leader says', () => {
    const a = led();
    a.now += 300;
    a.ask({ kind: 'alive' }, owner(1));
    a.now += 300;
    expect(refusal(a.answer(prepare(classic(2, 2)))).reason).toBe('led');
  });

  test('does not hold against the leader itself', () => {
    expect(led().answer(prepare(classic(2))).kind).toBe('promised');
  });

  test('ends at once when the leader’s stream breaks', () => {
    const a = led();
    a.step({ kind: 'proposer-gone', owner: owner(1) });
    expect(a.answer(prepare(classic(2, 2))).kind).toBe('promised');
  });

  test('ends with a vote at a higher ballot, whose owner a quorum promised: the old leader may speak of other logs for ever', () => {
    const a = led();
    expect(a.answer(accept(classic(2, 2), 0, 'x')).kind).toBe('accepted');
    a.ask({ kind: 'alive' }, owner(1));
    // The new leader asks for slots to finish, at its own ballot, which this acceptor never promised.
    expect(a.answer(prepare(classic(2, 2), { from: 0, to: 1 })).kind).toBe('promised');
    expect(refusal(a.answer(accept(classic(1), 1, 'y'))).reason).toBe('ballot');
  });

  test('belongs to one incarnation: another start of the same proposer does not renew it', () => {
    const a = led();
    a.now += 300;
    a.ask({ kind: 'alive' }, owner(1, 'b'));
    a.now += 100;
    expect(a.answer(prepare(classic(2, 2))).kind).toBe('promised');
  });

  test('ends when the leader resigns, durably; another’s Resign is nothing', () => {
    const a = led();
    a.ask({ kind: 'resign', log: LOG, ballot: classic(1, 2) });
    expect(refusal(a.answer(prepare(classic(2, 2)))).reason).toBe('led');
    a.ask({ kind: 'resign', log: LOG, ballot: classic(1) });
    expect(a.persisted).toEqual([{ kind: 'resign', log: LOG, ballot: classic(1) }]);
    expect([...a.restarted().machine.status()][0]?.state).toBe('closed');
    expect(a.answer(prepare(classic(2, 2))).kind).toBe('promised');
  });

  test('is only for logs that are led: a decree’s Prepare leaves the log closed, and anyone may prepare there', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(1), { purpose: 'decree' }));
    expect([...a.machine.status()][0]?.state).toBe('closed');
    expect(a.answer(prepare(classic(2, 2))).kind).toBe('promised');
  });

  test('is passed by an override once per 10 s and log', () => {
    const a = led();
    expect(a.answer(prepare(classic(2, 2), { override: true })).kind).toBe('promised');
    expect(refusal(a.answer(prepare(classic(3, 1), { override: true }))).reason).toBe('led');
    const alive = (): void => void a.ask({ kind: 'alive' }, owner(2));
    a.now += 9_999;
    alive();
    expect(refusal(a.answer(prepare(classic(3, 1), { override: true }))).reason).toBe('led');
    a.now += 1;
    alive();
    expect(a.answer(prepare(classic(3, 1), { override: true })).kind).toBe('promised');
  });

  test('an override that was not needed is not used up', () => {
    const a = led();
    a.now += 500;
    expect(a.answer(prepare(classic(2, 2), { override: true })).kind).toBe('promised');
    expect(a.answer(prepare(classic(3, 1), { override: true })).kind).toBe('promised');
  });
});

describe('asking first', () => {
  test('says whether a promise would be made, and nothing changes', () => {
    const a = new AcceptorRig();
    expect(a.answer(prepare(classic(5), { ask: true })).kind).toBe('would-promise');
    expect(a.persisted).toEqual([]);
    expect([...a.machine.status()]).toEqual([]);
    expect(a.answer(accept(classic(1), 0, 'x')).kind).toBe('accepted');
  });

  test('is refused for the reasons a Prepare is, and uses no override up', () => {
    const a = new AcceptorRig();
    a.promise(prepare(classic(3)));
    expect(refusal(a.answer(prepare(classic(2, 2), { ask: true }))).reason).toBe('ballot');
    expect(refusal(a.answer(prepare(classic(4, 2), { ask: true }))).reason).toBe('led');
    expect(a.answer(prepare(classic(4, 2), { ask: true, override: true })).kind).toBe('would-promise');
    expect(a.answer(prepare(classic(4, 2), { override: true })).kind).toBe('promised');
  });
});

describe('R10: what a promise reports', () => {
  /** Slots 0 to 9, one record each, then a watermark. */
  function tenSlots(watermark: number, options = {}): AcceptorRig {
    const a = new AcceptorRig(options);
    a.promise(prepare(classic(1)));
    for (let slot = 0; slot < 10; slot++) a.ask(accept(classic(1), slot, `v${slot}`));
    a.ask({ kind: 'tell', log: LOG, watermark });
    a.step({ kind: 'proposer-gone', owner: owner(1) });
    return a;
  }

  test('names the slot it reports from: what was asked, or the watermark where that was asked for', () => {
    const a = tenSlots(6);
    const fromWatermark = a.promise(prepare(classic(2), { fromWatermark: true }));
    expect([fromWatermark.from, fromWatermark.watermark, fromWatermark.votes.length]).toEqual([6, 6, 4]);
    const asked = a.promise(prepare(classic(2), { from: 2, to: 4 }));
    expect([asked.from, asked.until, reported(asked)]).toEqual([2, 4, ['2@1.p1: v2', '3@1.p1: v3']]);
  });

  test('reads votes below the watermark back from the journal, and never calls such a slot free', () => {
    const a = tenSlots(8);
    expect([...a.machine.status()][0]?.inMemory).toBe(2);
    const page = a.promise(prepare(classic(2)));
    expect(a.loads).toBe(1);
    expect(page.votes).toHaveLength(10);
  });

  test('also reports the highest vote above the slots that were asked for', () => {
    expect(tenSlots(0).promise(prepare(classic(2), { from: 3, to: 4, purpose: 'decree' })).highest).toBe(9);
  });

  test('comes in pages, each of which says where to go on', () => {
    const a = tenSlots(0, { pageBytes: batch('v0').bytes.length * 3 });
    const seen: string[] = [];
    let from: number | undefined = 0;
    let pages = 0;
    while (from !== undefined) {
      const page: Promised = a.promise(prepare(classic(2), { from }));
      expect(page.from).toBe(from);
      seen.push(...reported(page));
      from = page.until;
      pages++;
    }
    expect(pages).toBe(4);
    expect(seen).toEqual(Array.from({ length: 10 }, (_, slot) => `${slot}@1.p1: v${slot}`));
  });

  test('a vote that is larger than a page is a page of its own', () => {
    const a = tenSlots(0, { pageBytes: 1 });
    const page = a.promise(prepare(classic(2)));
    expect([page.votes.length, page.until]).toEqual([1, 1]);
  });

  test('is the newer vote where the journal is read while a slot below the watermark is voted again', () => {
    const a = tenSlots(10);
    // The report waits for its load; before that is there, slot 4 gets a vote at a higher ballot.
    const asked = a.machine.step(
      { kind: 'proposer', from: 's', owner: owner(2), message: prepare(classic(2, 2)) },
      { now: a.now, random: 0 },
    );
    const load = asked.find((e) => e.kind === 'load');
    expect(load).toBeDefined();
    const again = a.machine.step(
      { kind: 'proposer', from: 's', owner: owner(2), message: accept(classic(2, 2), 4, 'new') },
      { now: a.now, random: 0 },
    );
    const second = again.find((e) => e.kind === 'load');
    if (load?.kind !== 'load' || second?.kind !== 'load')
      throw new SynodError('INTERNAL', 'both must read the journal');
    a.machine.step(
      { kind: 'loaded', id: second.id, votes: [{ first: 4, ballot: classic(1), batch: batch('v4') }] },
      { now: a.now, random: 0 },
    );
    const stale = a.machine.step(
      { kind: 'loaded', id: load.id, votes: [{ first: 4, ballot: classic(1), batch: batch('v4') }] },
      { now: a.now, random: 0 },
    );
    expect(stale.map((e) => e.kind)).toEqual(['load']);
  });
});

describe('R10: floors', () => {
  function trimmed(): AcceptorRig {
    const a = new AcceptorRig();
    a.promise(prepare(classic(1)));
    for (let slot = 0; slot < 10; slot++) a.ask(accept(classic(1), slot, `v${slot}`));
    a.hold(6);
    a.step({ kind: 'proposer-gone', owner: owner(1) });
    return a;
  }

  test('rise to what trim.holders learner disks hold and agree on, and never above the highest vote', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b c d'));
    a.hold(3, ['disk-1']);
    expect(a.persisted).toEqual([]);
    a.hold(2, ['disk-2']);
    expect(a.persisted).toEqual([{ kind: 'floor', log: LOG, floor: 2 }]);
    a.hold(900, ['disk-1', 'disk-2']);
    expect(a.persisted).toEqual([{ kind: 'floor', log: LOG, floor: 4 }]);
  });

  test('are written before the journal is trimmed', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'a b c d'));
    a.hold(4);
    const order = a.effects.map((e) => e.kind).filter((k) => k === 'persist' || k === 'trim');
    expect(order).toEqual(['persist', 'trim']);
  });

  test('a Prepare or an Accept below the floor is refused with the floor', () => {
    const a = trimmed();
    for (const message of [prepare(classic(2), { from: 2, to: 5 }), accept(classic(2), 2, 'x')]) {
      const no = refusal(a.answer(message));
      expect([no.reason, no.floor, no.watermark]).toEqual(['floor', 6, 6]);
      expect(a.persisted).toEqual([]);
    }
  });

  test('a batch that straddles the floor is refused with it, and its upper part is taken', () => {
    const a = trimmed();
    expect(refusal(a.answer(accept(classic(1), 4, 'v4 v5 v6 v7'))).floor).toBe(6);
    expect(a.answer(accept(classic(1), 6, 'v6 v7')).kind).toBe('accepted');
  });

  test('a question that straddles the floor is reported from the floor on: what is below is unknown, not free', () => {
    const page = trimmed().promise(prepare(classic(2), { from: 2, to: 8, purpose: 'finish' }));
    expect([page.from, page.floor, page.watermark, reported(page)]).toEqual([6, 6, 6, ['6@1.p1: v6', '7@1.p1: v7']]);
  });

  test('survive a restart, and a trimmed log is not forgotten', () => {
    const a = trimmed();
    const again = a.restarted();
    expect(refusal(again.answer(accept(classic(2), 0, 'x'))).floor).toBe(6);
    // From the head of a segment alone, when all else was deleted:
    const bare = new AcceptorRig();
    for (const record of a.machine.head()) bare.machine.restore(record, undefined);
    expect([...bare.machine.status()][0]).toEqual(
      expect.objectContaining({ promised: classic(1), state: 'led', highest: 9, floor: 6, watermark: 6 }),
    );
    expect(refusal(bare.answer(prepare(classic(1, 0)))).reason).toBe('ballot');
  });

  test('forgetting a learner disk is refused when too few would hold what was trimmed; --force names the loss', () => {
    const a = trimmed();
    a.step({ kind: 'forget', from: 'x', disk: 'disk-1', force: false });
    const refused = a.effects.find((e) => e.kind === 'reply-forget');
    expect(refused?.kind === 'reply-forget' ? refused.refused : '').toContain('below its floor, slot 6');
    a.step({ kind: 'forget', from: 'x', disk: 'disk-1', force: true });
    expect(a.persisted).toEqual([{ kind: 'forget', learnerDisk: 'disk-1' }]);
    a.hold(9, ['disk-1', 'disk-2']);
    expect(a.persisted).toEqual([]);
  });
});

describe('full journals and many logs', () => {
  test('a full journal takes no new slots, but Prepares, and Accepts up to the highest voted slot', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'x y'));
    a.step({ kind: 'room', hasRoom: false, bytes: Infinity });
    expect(refusal(a.answer(accept(classic(1), 2, 'z'))).reason).toBe('space');
    expect(a.answer(prepare(classic(2))).kind).toBe('promised');
    expect(a.answer(accept(classic(2), 0, 'x y')).kind).toBe('accepted');
    a.step({ kind: 'room', hasRoom: true, bytes: Infinity });
    expect(a.answer(accept(classic(2), 2, 'z')).kind).toBe('accepted');
  });

  test('a journal whose reserve is used up gets no promise and no vote, and still answers what needs neither', () => {
    const a = new AcceptorRig();
    a.ask(accept(classic(1), 0, 'x y'));
    a.step({ kind: 'room', hasRoom: false, bytes: 9_000 });
    const before = a.records.length;
    expect(refusal(a.answer(prepare(classic(2)))).reason).toBe('space');
    expect(refusal(a.answer(prepare(classic(2), { ask: true }))).reason).toBe('space');
    expect(refusal(a.answer(accept(classic(2), 0, 'x y'))).reason).toBe('space');
    expect(a.answer(accept(classic(1), 0, 'x y')).kind).toBe('accepted');
    a.step({ kind: 'forget', from: 'x', disk: 'disk-1', force: true });
    const refused = a.effects.find((e) => e.kind === 'reply-forget');
    expect(refused?.kind === 'reply-forget' ? refused.refused : '').toContain('journal.bytes.max');
    expect(a.records).toHaveLength(before);
    a.step({ kind: 'room', hasRoom: false, bytes: 10_000 });
    expect(a.answer(prepare(classic(2))).kind).toBe('promised');
  });

  test('the floors that free a full journal still find a place in it', () => {
    const a = new AcceptorRig();
    for (let slot = 0; slot < 10; slot++) a.ask(accept(classic(1), slot, `v${slot}`));
    a.step({ kind: 'room', hasRoom: false, bytes: 2_000 });
    expect(refusal(a.answer(prepare(classic(9)))).reason).toBe('space');
    a.hold(9);
    expect(a.persisted.filter(({ kind }) => kind === 'floor')).toHaveLength(1);
    a.step({ kind: 'room', hasRoom: false, bytes: 0 });
    a.hold(10);
    expect(a.persisted.filter(({ kind }) => kind === 'floor')).toHaveLength(0);
    // It is not forgotten: the next look writes it.
    a.step({ kind: 'room', hasRoom: false, bytes: 2_000 });
    a.hold(10);
    expect(a.persisted.filter(({ kind }) => kind === 'floor')).toHaveLength(1);
  });

  test('one log more than the limit is refused, and changes nothing', () => {
    const a = new AcceptorRig({ logsMax: 1 });
    a.promise(prepare(classic(1)));
    expect(refusal(a.answer({ ...accept(classic(1), 0, 'x'), log: 'second' })).reason).toBe('logs');
    expect(refusal(a.answer({ ...prepare(classic(1)), log: 'second' })).reason).toBe('logs');
    expect(a.machine.logs).toBe(1);
    expect(a.answer(accept(classic(1), 0, 'x')).kind).toBe('accepted');
  });
});

describe('learners and readers', () => {
  test('the end of a log is the greatest vote, also one that is not chosen, or the floor less one (R13)', () => {
    const a = new AcceptorRig();
    const tip = (): unknown => {
      const [reply] = a.step({ kind: 'question', from: 'l', message: { kind: 'tip?', log: LOG, id: 3 } });
      return reply?.kind === 'reply-tip' ? reply.message.tip : undefined;
    };
    expect(tip()).toBe(-1);
    a.ask(accept(classic(1), 4, 'x'));
    expect(tip()).toBe(4);
    const trimmedOnly = new AcceptorRig();
    trimmedOnly.machine.restore({ kind: 'floor', log: LOG, floor: 8 }, undefined);
    const [reply] = trimmedOnly.step({ kind: 'question', from: 'l', message: { kind: 'tip?', log: LOG, id: 1 } });
    expect(reply?.kind === 'reply-tip' ? reply.message.tip : undefined).toBe(7);
  });

  test('a catch-up read ends with how far it got, the watermark and the floor', () => {
    const a = new AcceptorRig({ pageBytes: batch('v0').bytes.length * 2 });
    for (let slot = 0; slot < 5; slot++) a.ask(accept(classic(1), slot, `v${slot}`));
    const fetch = (from: number, values: boolean): string[] =>
      a
        .step({ kind: 'learner', from: 'l', disk: 'd', message: { kind: 'fetch', log: LOG, from, to: 9, values } })
        .flatMap((e) => (e.kind === 'reply-learner' ? [e.message] : []))
        .map((m) =>
          m.kind === 'votes'
            ? `${m.first} ${words(m.batch) ?? '-'}`
            : m.kind === 'fetched'
              ? `until ${m.until} of ${m.highest}`
              : m.kind,
        );
    expect(fetch(0, true)).toEqual(['0 v0', '1 v1', 'until 2 of 4']);
    expect(fetch(2, false)).toEqual(['2 -', '3 -', '4 -', 'until 9 of 4']);
  });
});
