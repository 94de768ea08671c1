// Goal: R3, persist before send, in the one place that does it. Method: the shipped acceptor over a journal whose sync the
// test holds. A script of events is cut after every sync and every send; the acceptor that starts from what was durable then
// must still stand by every message that had left. The control is a journal that says synced before it is.
import { describe, expect, test } from '@jest/globals';
import type { AcceptorEvent } from '../../../shared/paxos/acceptor.ts';
import { compareBallots, type Ballot } from '../../../shared/paxos/ballot.ts';
import type { Prepare, ToAcceptor } from '../../../shared/paxos/messages.ts';
import type { Outgoing } from '../../../shared/runtime/acceptor-node.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { open, SEGMENT, settled } from '../journal/support.ts';
import { accept, bytes, classic, LOG, owner, prepare } from '../paxos/support.ts';
import { crashed, HeldJournal, NodeRig } from './support.ts';

function from(proposer: number, message: ToAcceptor): AcceptorEvent {
  return { kind: 'proposer', from: `p${proposer}`, owner: owner(proposer), message };
}

const fetch: AcceptorEvent = {
  kind: 'learner',
  from: 'l1',
  disk: 'd1',
  message: { kind: 'fetch', log: LOG, from: 0, to: 10, values: true },
};
const question: AcceptorEvent = { kind: 'question', from: 'l1', message: { kind: 'tip?', log: LOG, id: 1 } };

describe('R3: nothing leaves before what it depends on is durable', () => {
  test('a promise waits for its record', async () => {
    const rig = await NodeRig.start();
    await rig.handle(from(1, prepare(classic(1))));
    expect([rig.sent.length, rig.node.held]).toEqual([0, 1]);
    rig.journal.sync();
    expect(rig.kinds()).toEqual(['promised']);
    expect(rig.sent[0]?.position).toBe(0);
  });

  test('a vote waits, towards the proposer and towards the learners', async () => {
    const rig = await NodeRig.start();
    await rig.handle(from(1, accept(classic(1), 0, 'x')));
    expect(rig.sent).toEqual([]);
    rig.journal.sync();
    expect(rig.kinds()).toEqual(['publish', 'accepted']);
  });

  test.each([
    ['a duplicate', from(1, accept(classic(1), 0, 'x')), 'accepted'],
    ['a reject', from(2, accept(classic(0, 2), 3, 'y')), 'rejected'],
    ['a repeated promise', from(1, prepare(classic(1))), 'promised'],
    ['a catch-up read', fetch, 'fetched'],
    ['the end of the log', question, 'tip'],
    ['the heads for a new learner', { kind: 'learner-joined', from: 'l2' } as const, 'head'],
  ])('%s waits for the record that it depends on', async (_what, event, kind) => {
    const rig = await NodeRig.start();
    await rig.handle(from(1, prepare(classic(1))));
    rig.journal.sync();
    await rig.handle(from(1, accept(classic(1), 0, 'x')));
    rig.sent.length = 0;
    await rig.handle(event);
    expect(rig.sent).toEqual([]);
    rig.journal.sync();
    expect(rig.kinds()).toContain(kind);
    for (const { position } of rig.sent) expect(position).toBe(1);
  });

  test('a sync lets go exactly what it covers, in order', async () => {
    const rig = await NodeRig.start();
    for (let slot = 0; slot < 3; slot++) await rig.handle(from(1, accept(classic(1), slot, `v${slot}`)));
    rig.journal.sync(1);
    expect(rig.sent.map((s) => s.position)).toEqual([0, 0, 1, 1]);
    rig.journal.sync();
    expect(rig.sent.map((s) => s.position)).toEqual([0, 0, 1, 1, 2, 2]);
  });

  test('what depends on nothing that waits leaves at once', async () => {
    const rig = await NodeRig.start();
    await rig.handle(question);
    expect(rig.kinds()).toEqual(['tip']);
    expect(rig.flushes).toBe(1);
  });

  test('the journal is trimmed only after the floor is durable', async () => {
    const rig = await NodeRig.start(new HeldJournal(), { holders: 1 });
    await rig.handle(from(1, accept(classic(1), 0, 'a b')));
    rig.journal.sync();
    const held = { kind: 'held', log: LOG, held: 2, agreed: 2 } as const;
    await rig.handle({ kind: 'learner', from: 'l1', disk: 'd1', message: held });
    rig.now += 1_000;
    rig.node.tick();
    await rig.settle();
    expect(rig.journal.trims).toEqual([]);
    rig.journal.sync();
    await rig.settle();
    expect(rig.journal.trims).toHaveLength(1);
  });

  test('a record that cannot be written ends the process, and nothing of that step leaves', async () => {
    const rig = await NodeRig.start();
    rig.journal.append = () => {
      throw new Error('the disk is gone');
    };
    await rig.handle(from(1, accept(classic(1), 0, 'x')));
    await rig.handle(question);
    expect([rig.fatal.length, rig.sent]).toEqual([1, []]);
  });

  test('damage in the journal stops the start, and says so', async () => {
    await expect(NodeRig.start(new HeldJournal([bytes('no record at all')]))).rejects.toMatchObject({
      code: 'DATA_LOSS',
    });
  });
});

/** A conversation with two proposers, duplicates, rejects, reads of old slots and a resignation. */
const SCRIPT: readonly AcceptorEvent[] = [
  from(1, prepare(classic(1))),
  from(1, accept(classic(1), 0, 'a b')),
  from(1, accept(classic(1), 0, 'a b')),
  from(1, accept(classic(1), 2, 'c', 2)),
  fetch,
  question,
  from(2, prepare(classic(3, 2), { override: true })),
  from(1, accept(classic(1), 3, 'd')),
  from(2, accept(classic(3, 2), 2, 'c')),
  from(2, prepare(classic(3, 2), { from: 0 })),
  from(1, accept(classic(4), 4, 'z')),
  from(2, { kind: 'resign', log: LOG, ballot: classic(3, 2) }),
  from(1, prepare(classic(5))),
  from(1, prepare(classic(5), { from: 0, to: 3 })),
  fetch,
];

/** Why a message that left is not true of the acceptor that started again; undefined when it is. */
async function broken(message: Outgoing, rig: NodeRig): Promise<string | undefined> {
  const ask = async (question: Prepare): Promise<Outgoing | undefined> => {
    rig.sent.length = 0;
    await rig.handle({ kind: 'proposer', from: 'p9', owner: owner(9), message: question });
    rig.journal.sync();
    return rig.sent[0]?.message;
  };
  /** Every ballot up to this one must be refused: tried with the greatest ballot below it. */
  const binds = async (ballot: Ballot): Promise<boolean> => {
    const reply = await ask(prepare({ ...ballot, proposer: 0 }, { ask: true, override: true }));
    return (
      reply?.kind === 'reply' &&
      reply.message.kind === 'rejected' &&
      compareBallots(reply.message.promised, ballot) >= 0
    );
  };
  const holds = async (slots: number, count: number, ballot: Ballot): Promise<boolean> => {
    const reply = await ask(prepare(classic(90, 9), { from: slots, to: slots + count, override: true }));
    if (reply?.kind !== 'reply' || reply.message.kind !== 'promised') return false;
    let found = 0;
    for (const v of reply.message.votes) if (compareBallots(v.ballot, ballot) >= 0) found += v.batch.count;
    return found >= count;
  };
  if (message.kind === 'publish') {
    const { first, count, ballot } = message.votes;
    return (await holds(first, count, ballot)) ? undefined : `published vote for ${first} is gone`;
  }
  if (message.kind === 'reply-tip')
    return (await holds(message.message.tip, 1, classic(0))) ? undefined : `the end ${message.message.tip} is gone`;
  if (message.kind === 'reply-learner' && message.message.kind === 'votes') {
    const { first, count, ballot } = message.message;
    return (await holds(first, count, ballot)) ? undefined : `a vote that a learner read, for ${first}, is gone`;
  }
  if (message.kind !== 'reply') return undefined;
  const reply = message.message;
  if (reply.kind === 'promised')
    return (await binds(reply.ballot)) ? undefined : `promise of ${reply.ballot.round} is gone`;
  if (reply.kind === 'accepted')
    return (await holds(reply.first, reply.count, reply.ballot)) ? undefined : `vote for ${reply.first} is gone`;
  if (reply.kind === 'rejected' && reply.promised.round > 0)
    return (await binds(reply.promised)) ? undefined : `the ballot ${reply.promised.round} of a reject is gone`;
  return undefined;
}

/** Runs the script with a sync after every `every` events, crashes before each event and each sync; returns what broke. */
async function crashEverywhere(
  every: number,
  lies: boolean,
): Promise<{ cuts: number; left: number; faults: string[] }> {
  const faults: string[] = [];
  let cuts = 0;
  let left = 0;
  const rig = await NodeRig.start(new HeldJournal([], lies));
  const cut = async (): Promise<void> => {
    cuts++;
    for (const { message } of rig.sent) {
      left++;
      const why = await broken(message, await crashed(rig));
      if (why !== undefined) faults.push(`cut ${cuts}: ${why}`);
    }
  };
  for (const [i, event] of SCRIPT.entries()) {
    await rig.handle(event);
    await cut();
    if (i % every !== every - 1) continue;
    // One record at a time, as far as a sync may have come when the power went.
    while (rig.journal.durable < rig.journal.newest) {
      rig.journal.sync(rig.journal.durable + 1);
      await rig.settle();
      await cut();
    }
  }
  return { cuts, left, faults };
}

describe('a crash between any two effects', () => {
  test.each([1, 2, 3, 5, SCRIPT.length])('with a sync every %d events, all that left stays true', async (every) => {
    const { cuts, left, faults } = await crashEverywhere(every, false);
    expect(faults).toEqual([]);
    expect(cuts).toBeGreaterThan(SCRIPT.length);
    expect(left).toBeGreaterThan(10);
  });

  test('control: with a journal that says synced before it is, votes, promises, duplicates and reads are lost', async () => {
    const { faults } = await crashEverywhere(SCRIPT.length, true);
    for (const what of ['promise of', 'vote for', 'published', 'the end', 'of a reject', 'learner read'])
      expect(faults.some((fault) => fault.includes(what))).toBe(true);
  });
});

describe('the classic mistake: a duplicate is acknowledged before the sync', () => {
  test('the second Accept of an unsynced vote is not answered before the first is durable', async () => {
    const rig = await NodeRig.start();
    await rig.handle(from(1, accept(classic(1), 0, 'x')));
    await rig.handle(from(1, accept(classic(1), 0, 'x')));
    expect(rig.sent).toEqual([]);
    const lost = await crashed(rig);
    await lost.handle(question);
    expect(lost.sent[0]?.message).toEqual(expect.objectContaining({ message: expect.objectContaining({ tip: -1 }) }));
    rig.journal.sync();
    expect(rig.kinds().filter((k) => k === 'accepted')).toHaveLength(2);
  });

  test('control: an acceptor that answers it at once has acknowledged what the crash loses', async () => {
    const rig = await NodeRig.start(new HeldJournal([], true));
    await rig.handle(from(1, accept(classic(1), 0, 'x')));
    await rig.handle(from(1, accept(classic(1), 0, 'x')));
    expect(rig.kinds().filter((k) => k === 'accepted')).toHaveLength(2);
    const lost = await crashed(rig);
    await lost.handle(question);
    expect(lost.sent[0]?.message).toEqual(expect.objectContaining({ message: expect.objectContaining({ tip: -1 }) }));
  });
});

describe('a disk that is full for good', () => {
  test('never ends the acceptor: what its journal cannot take is refused, and taken once there is space', async () => {
    const disk = new MemoryDisk();
    disk.capacity = 2.5 * SEGMENT;
    const { journal } = await open(disk);
    await settled();
    const rig = await NodeRig.over(journal);
    const ask = async (event: AcceptorEvent): Promise<string> => {
      rig.sent.length = 0;
      await rig.handle(event);
      await settled();
      rig.node.tick();
      await rig.settle();
      const message = rig.sent.flatMap((s) => (s.message.kind === 'reply' ? [s.message.message] : []))[0];
      return message?.kind === 'rejected' ? message.reason : (message?.kind ?? 'none');
    };
    const seen: string[] = [];
    for (let round = 1; round < 60; round++) {
      seen.push(await ask(from(1, prepare(classic(round)))));
      seen.push(await ask(from(1, accept(classic(round), 0, 'x'.repeat(700)))));
    }
    expect(rig.fatal).toEqual([]);
    expect(new Set(seen)).toEqual(new Set(['promised', 'accepted', 'space']));
    expect(seen.slice(-2)).toEqual(['space', 'space']);
    disk.capacity = Infinity;
    journal.seekRoom();
    await settled();
    expect(await ask(from(1, prepare(classic(99))))).toBe('promised');
  });

  test('the control: the journal alone would have refused the record, which ends an acceptor', async () => {
    const disk = new MemoryDisk();
    disk.capacity = 2.5 * SEGMENT;
    const { journal } = await open(disk);
    const blind = new Proxy(journal, {
      get: (target, key) => {
        if (key === 'hasRoom' || key === 'room') return key === 'room' ? Infinity : true;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
      set: (target, key, value) => Reflect.set(target, key, value, target),
    });
    const rig = await NodeRig.over(blind);
    for (let round = 1; round < 60; round++) {
      await rig.handle(from(1, accept(classic(round), 0, 'x'.repeat(700))));
      await settled();
    }
    expect(rig.fatal).toEqual([expect.objectContaining({ code: 'RESOURCE_EXHAUSTED' })]);
  });
});
