/**
 * Goal: what one role says, another hears, word for word; and what is no message is refused at the door with its reason, never with a
 * crash. Method: round trips of every domain message, a table of refusals, and frames with damaged bytes.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Batch } from '../../shared/base/batch.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { BALLOT_ZERO } from '../../shared/paxos/ballot.ts';
import type { Ballot } from '../../shared/paxos/ballot.ts';
import type { Introduction, RosterState } from '../../shared/paxos/introduction.ts';
import type { AcceptorRecord, FromAcceptor, ToAcceptor, ToLearner } from '../../shared/paxos/messages.ts';
import type { PeerMessage } from '../../shared/paxos/peers.ts';
import * as acceptor from '../../shared/wire/codec/acceptor.ts';
import { checkHeader, readHeader, writeHeader } from '../../shared/wire/codec/header.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import * as introduction from '../../shared/wire/codec/introduction.ts';
import * as learner from '../../shared/wire/codec/learner.ts';
import type { FromLearner, ToLearnerOrTip } from '../../shared/wire/codec/learner.ts';
import * as peers from '../../shared/wire/codec/peers.ts';
import { decodeRecord, encodeRecord } from '../../shared/wire/codec/record.ts';
import { AcceptorRecord as DiskRecord } from '../../shared/wire/gen/journal/v1/record.ts';
import { FollowResponse, SessionRequest } from '../../shared/wire/gen/synod/v1/acceptor.ts';
import {
  ForwardingResponse,
  HeartbeatsRequest,
  HeartbeatsResponse,
} from '../../shared/wire/gen/synod/v1/peer_service.ts';

const ballot: Ballot = { round: 7, proposer: 2, incarnation: '00ff9f86d0810a55', kind: 1 };
const fast: Ballot = { ...ballot, round: 2 ** 48, kind: 0 };
const batch = Batch.of([new Uint8Array(0), new Uint8Array([1, 2, 3]), new Uint8Array(300).fill(9)]);
const log = 'grün/日志';
const top = Number.MAX_SAFE_INTEGER;
const disk = '000102030405060708090a0b0c0d0eff';

const toAcceptor: ToAcceptor[] = [
  {
    kind: 'prepare',
    log,
    ballot,
    from: 0,
    to: undefined,
    purpose: 'lead',
    fromWatermark: true,
    override: false,
    ask: true,
  },
  {
    kind: 'prepare',
    log,
    ballot: { ...ballot, round: 2 ** 48 },
    from: 5,
    to: 6,
    purpose: 'decree',
    fromWatermark: false,
    override: true,
    ask: false,
  },
  {
    kind: 'prepare',
    log,
    ballot,
    from: 5,
    to: top,
    purpose: 'finish',
    fromWatermark: false,
    override: false,
    ask: false,
  },
  { kind: 'accept', log, ballot, first: 0, batch, watermark: 0 },
  { kind: 'accept', log, ballot: BALLOT_ZERO, first: 7, batch: batch.slice(0, 1), watermark: 2 },
  { kind: 'accept', log, ballot: { ...ballot, round: 2 ** 48 }, first: top - 3, batch, watermark: top },
  { kind: 'resign', log, ballot },
  { kind: 'tell', log, watermark: 17 },
  { kind: 'alive' },
  { kind: 'any', log, ballot: fast, from: 9 },
];

const common = { log, ballot, highest: -1, watermark: 3, floor: 2 };
const rejected = {
  kind: 'rejected',
  ...common,
  promised: fast,
  first: undefined,
  leader: undefined,
  state: 'open',
} as const;
const fromAcceptor: FromAcceptor[] = [
  { kind: 'promised', ...common, from: 2, until: undefined, votes: [] },
  {
    kind: 'promised',
    ...common,
    highest: 0,
    from: 2,
    until: 90,
    votes: [
      { first: 2, ballot, batch },
      { first: 80, ballot: BALLOT_ZERO, batch },
    ],
  },
  { kind: 'would-promise', log, ballot, highest: top, watermark: 0 },
  ...(['ballot', 'floor', 'space', 'logs', 'round', 'busy', 'conflict', 'ahead', 'not-open'] as const).map(
    (reason) => ({
      ...rejected,
      reason,
    }),
  ),
  { ...rejected, reason: 'led', state: 'led', leader: 2, first: 0 },
  { ...rejected, reason: 'ballot', state: 'closed', first: top },
  { ...rejected, reason: 'conflict', ballot: BALLOT_ZERO, first: 4, voted: new Uint8Array([8, 1]) },
  { kind: 'accepted', log, ballot, first: 12, count: 3 },
  { kind: 'accepted', log, ballot: BALLOT_ZERO, first: 12, count: 1, identity: 'a7'.repeat(16) },
  {
    ...{ kind: 'accepted', log, ballot: fast, first: 12, count: 1, identity: 'a7'.repeat(16) },
    ...{ voted: new Uint8Array([8, 1]), watermark: 12 },
  },
  { kind: 'opened', log, ballot: fast },
];

const fromLearner: FromLearner[] = [
  { kind: 'fetch', log, from: 3, to: 3, values: true },
  { kind: 'fetch', log, from: 0, to: top, values: false },
  { kind: 'wish', values: true },
  { kind: 'wish', values: false },
  { kind: 'held', log, held: 512, agreed: 256 },
  { kind: 'tip?', log, id: 9 },
];

const identity = '0b'.repeat(16);
const toLearner: ToLearnerOrTip[] = [
  { kind: 'votes', log, ballot, first: 0, count: 3, batch, watermark: 0 },
  { kind: 'votes', log, ballot, first: 4, count: 1000, batch: undefined, watermark: 4 },
  { kind: 'votes', log, ballot: fast, first: 4, count: 1, batch: batch.slice(0, 1), watermark: 4, identity },
  { kind: 'votes', log, ballot: fast, first: 4, count: 1, batch: undefined, watermark: 4, identity },
  { kind: 'head', log, highest: -1, watermark: 0, floor: 0 },
  { kind: 'head', log, highest: 0, watermark: 1, floor: 1 },
  { kind: 'fetched', log, from: 4, until: 9, highest: 20, watermark: 9, floor: 4 },
  { kind: 'tip', log, id: 9, tip: -1 },
  { kind: 'tip', log, id: 10, tip: 0 },
] satisfies (ToLearner | ToLearnerOrTip)[];

const chosen = { kind: 'chosen', slot: 3, ballot: undefined, entry: undefined, leader: undefined } as const;
const incarnation = ballot.incarnation;
const peerMessages: PeerMessage[] = [
  { kind: 'heartbeat', proposer: 1, incarnation: ballot.incarnation, ledCount: 3, ledDigest: 0x1edcba98 },
  { kind: 'heartbeat', proposer: 1, incarnation, ledCount: 3, ledDigest: 0xfedcba98 | 0 },
  { kind: 'led-change', full: true, added: [{ log, ballot }], removed: [] },
  { kind: 'led-change', full: false, added: [], removed: [log, 'b'] },
  { kind: 'led?' },
  { kind: 'take-over', log },
  {
    kind: 'forward',
    id: 1,
    incarnation,
    log,
    entry: new Uint8Array([8, 1]),
    retry: true,
    relayed: true,
    timeoutMs: 5000,
    progress: true,
    fast: true,
  },
  { kind: 'progress', id: 1, incarnation, progress: { kind: 'forwarded', to: 2 } },
  { kind: 'progress', id: 1, incarnation, progress: { kind: 'promised', acceptor: 0, ballot } },
  { kind: 'progress', id: 1, incarnation, progress: { kind: 'accepted', acceptor: 2, ballot, slot: 0 } },
  { kind: 'progress', id: 1, incarnation, progress: { kind: 'untold' } },
  { kind: 'forwarded', id: 1, incarnation, answer: chosen },
  { kind: 'forwarded', id: 1, incarnation, answer: { ...chosen, ballot, entry: new Uint8Array([0]), leader: 1 } },
  {
    kind: 'forwarded',
    id: 2,
    incarnation,
    answer: { kind: 'refused', code: 'UNAVAILABLE', message: 'no quorum', outcome: 'unknown', leader: 2 },
  },
  {
    kind: 'forwarded',
    id: 2,
    incarnation,
    answer: { kind: 'refused', code: 'ABORTED', message: '', outcome: 'none', leader: undefined },
  },
  { kind: 'finish', log, from: 3, to: 9 },
];

const records: AcceptorRecord[] = [
  { kind: 'promise', log, ballot, lead: true },
  { kind: 'any', log, ballot: fast, from: 17 },
  { kind: 'promise', log, ballot: fast, lead: false },
  { kind: 'vote', log, ballot, first: 4, batch, watermark: 3 },
  { kind: 'resign', log, ballot },
  { kind: 'floor', log, floor: 1024 },
  { kind: 'forget', learnerDisk: disk },
  { kind: 'log', log, promised: BALLOT_ZERO, state: 'open', highest: -1, voted: undefined, watermark: 0, floor: 0 },
  { kind: 'log', log, promised: ballot, state: 'led', highest: 0, voted: ballot, watermark: 1, floor: 1 },
  {
    ...{ kind: 'log', log, promised: fast, state: 'open', highest: 8, voted: ballot, watermark: 9, floor: 1 },
    openFrom: 9,
  },
];

/** Bytes as hex, so that a Buffer and a Uint8Array of the same bytes are equal. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, v: unknown) => {
      if (v instanceof Batch) return `${String(v.count)}:${Buffer.from(v.bytes).toString('hex')}`;
      if (v instanceof Uint8Array) return Buffer.from(v).toString('hex');
      if (typeof v === 'object' && v !== null && (v as { type?: unknown }).type === 'Buffer')
        return Buffer.from((v as { data: number[] }).data).toString('hex');
      return v === undefined ? '(undefined)' : v;
    }),
  );
}

describe('what one role says, another hears', () => {
  test.each(toAcceptor.map((m) => [m.kind, m] as const))('a proposer to an acceptor: %s', (_, m) => {
    expect(plain(acceptor.decodeSessionRequest(acceptor.encodeToAcceptor([m])).messages)).toEqual(plain([m]));
  });
  test.each(fromAcceptor.map((m) => [m.kind, m] as const))('an acceptor to a proposer: %s', (_, m) => {
    expect(plain(acceptor.decodeSessionResponse(acceptor.encodeFromAcceptor([m])).messages)).toEqual(plain([m]));
  });
  test.each(fromLearner.map((m) => [m.kind, m] as const))('a learner to an acceptor: %s', (_, m) => {
    expect(plain(learner.decodeFollowRequest(learner.encodeFromLearner([m])).messages)).toEqual(plain([m]));
  });
  test.each(toLearner.map((m) => [m.kind, m] as const))('an acceptor to a learner: %s', (_, m) => {
    expect(plain(learner.decodeFollowResponse(learner.encodeToLearner([m], -1)))).toEqual(
      plain({ welcome: undefined, position: -1, messages: [m] }),
    );
  });
  test.each(peerMessages.map((m) => [m.kind, m] as const))('a proposer to a proposer: %s', (_, m) => {
    expect(plain(peers.decodePeerFrame(peers.encodePeerMessages([m])).messages)).toEqual(plain([m]));
  });
  test.each(records.map((r) => [r.kind, r] as const))('an acceptor to its journal: %s', (_, r) => {
    expect(plain(decodeRecord(encodeRecord(r)))).toEqual(plain(r));
  });
});

describe('frames', () => {
  test('a burst is one frame, and frames one after the other are one frame', () => {
    const once = acceptor.encodeToAcceptor(toAcceptor);
    const joined = Buffer.concat(toAcceptor.map((m) => acceptor.encodeToAcceptor([m])));
    expect(plain(acceptor.decodeSessionRequest(once).messages)).toEqual(plain(toAcceptor));
    expect(plain(acceptor.decodeSessionRequest(joined).messages)).toEqual(plain(toAcceptor));
  });

  test('frames to a learner that are joined carry the greatest position, that of the last', () => {
    const joined = Buffer.concat([
      learner.encodeToLearner(toLearner, 7),
      learner.encodeToLearner(toLearner.slice(0, 1), 8),
    ]);
    const { position, messages } = learner.decodeFollowResponse(joined);
    expect(position).toBe(8);
    expect(plain(messages)).toEqual(plain([...toLearner, toLearner[0]]));
  });

  test('an empty burst is an empty frame', () => {
    expect(acceptor.decodeSessionRequest(acceptor.encodeToAcceptor([]))).toEqual({ hello: undefined, messages: [] });
    expect(learner.decodeFollowResponse(learner.encodeToLearner([], 3)).position).toBe(3);
  });

  test('a batch is framed by hand as the generated code would read and write it', () => {
    for (const m of toAcceptor.slice(3, 5)) {
      const read = SessionRequest.decode(acceptor.encodeToAcceptor([m]));
      expect(plain(read)).toEqual(plain({ hello: undefined, messages: [acceptor.writeToAcceptor(m)] }));
    }
    const votes = FollowResponse.decode(learner.encodeToLearner(toLearner.slice(0, 1), 5));
    expect(Buffer.from(FollowResponse.encode(votes).finish()).length).toBe(
      learner.encodeToLearner(toLearner.slice(0, 1), 5).length,
    );
    const vote = records[2];
    if (vote === undefined) throw new Error('no vote record');
    expect(Buffer.from(DiskRecord.encode(DiskRecord.decode(encodeRecord(vote))).finish()).length).toBe(
      encodeRecord(vote).length,
    );
  });

  test('the four frames between proposers are encoded alike', () => {
    const header: Header = {
      cluster: 'c',
      configuration: '0011223344556677',
      role: 'proposer',
      id: 1,
      incarnation: ballot.incarnation,
    };
    for (const bytes of [peers.encodePeerHello(header), peers.encodePeerMessages(peerMessages)]) {
      for (const frame of [HeartbeatsRequest, HeartbeatsResponse, ForwardingResponse])
        expect(Buffer.from(frame.encode(frame.decode(bytes) as never).finish()).equals(bytes)).toBe(true);
    }
    expect(peers.decodePeerFrame(peers.encodePeerHello(header)).hello).toEqual(header);
  });

  test('values are views of the frame that came', () => {
    const frame = acceptor.encodeToAcceptor([{ kind: 'accept', log, ballot, first: 0, batch, watermark: 0 }]);
    const [m] = acceptor.decodeSessionRequest(frame).messages;
    expect(m?.kind === 'accept' && m.batch.bytes.buffer === frame.buffer).toBe(true);
  });
});

describe('introductions and hellos', () => {
  const remembered = { start: 4, draw: 2 ** 52, position: -1 };
  const disks = new Map([
    [1, disk],
    [2, disk.replace('ff', 'fe')],
  ]);
  const mine: Introduction = { acceptor: 1, disk, ...remembered, position: 99, roster: { kind: 'pending', disks } };

  test('an introduction and its answer', () => {
    for (const roster of [{ kind: 'none' }, { kind: 'pending', disks }, { kind: 'complete', disks }] as const)
      for (const r of [undefined, remembered]) {
        const answer = { introduction: { ...mine, roster }, remembered: r };
        expect(introduction.readIntroduceResponse(introduction.writeIntroduceResponse(answer))).toEqual(answer);
      }
  });

  test('what a disk keeps about rosters and starts', () => {
    const state: RosterState = {
      roster: { kind: 'complete', disks },
      start: 4,
      remembered: new Map([[2, remembered]]),
    };
    expect(introduction.decodeRosterState(introduction.encodeRosterState(state))).toEqual(state);
    const empty: RosterState = { roster: { kind: 'none' }, start: 0, remembered: new Map() };
    expect(introduction.decodeRosterState(introduction.encodeRosterState(empty))).toEqual(empty);
  });

  test('the hello and the welcome of a follower and of a session', () => {
    const header: Header = {
      cluster: 'c',
      configuration: '0011223344556677',
      role: 'learner',
      id: 2,
      incarnation: undefined,
    };
    const hello = { header, learnerDisk: disk, values: true, remembered };
    expect(learner.decodeFollowRequest(learner.encodeFollowHello(hello)).hello).toEqual(hello);
    const welcome = { acceptor: 3, disk, ...remembered };
    expect(learner.decodeFollowResponse(learner.encodeFollowWelcome(welcome)).welcome).toEqual(welcome);
    expect(acceptor.decodeSessionResponse(acceptor.encodeSessionWelcome(welcome)).welcome).toEqual(welcome);
    const proposer: Header = { ...header, role: 'proposer', incarnation: ballot.incarnation };
    expect(acceptor.decodeSessionRequest(acceptor.encodeSessionHello(proposer)).hello).toEqual(proposer);
  });

  test('a header of another cluster, configuration or role is refused with both', () => {
    const expected = { cluster: 'here', configuration: '0011223344556677' };
    const header: Header = { ...expected, role: 'proposer', id: 1, incarnation: ballot.incarnation };
    expect(checkHeader(readHeader(writeHeader(header)), expected, ['proposer'])).toEqual(header);
    expect(() => checkHeader({ ...header, cluster: 'there' }, expected, ['proposer'])).toThrow(
      /cluster "there".*"here"/,
    );
    expect(() => checkHeader({ ...header, configuration: '' }, expected, ['proposer'])).toThrow(
      /configuration \(none\).*0011/,
    );
    expect(() => checkHeader(header, expected, ['acceptor'])).toThrow('a proposer called what is for a acceptor');
    const client: Header = { cluster: '', configuration: '', role: 'client', id: 0, incarnation: undefined };
    expect(checkHeader(client, expected, ['client'])).toEqual(client);
    expect(() => checkHeader({ ...client, cluster: 'there' }, expected, ['client'])).toThrow(/cluster "there"/);
  });
});

describe('refused at the door, with outcome none', () => {
  const accept: ToAcceptor = { kind: 'accept', log, ballot, first: 0, batch, watermark: 0 };
  const prepare: ToAcceptor = { ...(toAcceptor[0] as ToAcceptor & { kind: 'prepare' }) };
  const frame = (m: ToAcceptor) => (): unknown => acceptor.decodeSessionRequest(acceptor.encodeToAcceptor([m]));
  const votes = (m: ToLearnerOrTip) => (): unknown => learner.decodeFollowResponse(learner.encodeToLearner([m], 0));
  const wire = (m: Record<string, unknown>) => (): unknown =>
    acceptor.readAccept({ ...acceptor.writeAccept(accept), ...m });
  const many = Batch.of(Array.from({ length: 1001 }, () => new Uint8Array(1)));
  const huge = Batch.of([new Uint8Array(2 * 1024 * 1024)]);

  test.each<[string, () => unknown, string]>([
    ['a log without a name', frame({ ...accept, log: '' }), 'the log has no name: 1 to 256 bytes of UTF-8 are needed'],
    [
      'a long name',
      frame({ ...accept, log: 'ü'.repeat(129) }),
      "the log's name has 258 bytes of UTF-8: the limit is 256",
    ],
    ['half a surrogate pair', frame({ ...accept, log: 'a\ud800' }), 'is not valid UTF-8'],
    ['too many values', frame({ ...accept, batch: many }), 'an Accept with 1001 values: the limit is 1000'],
    [
      'too large a value',
      frame({ ...accept, batch: huge }),
      'an Accept with 2097157 bytes of 1 values: the limit is 1638405',
    ],
    ['an empty batch', frame({ ...accept, batch: Batch.of([]) }), 'accept.count is 0: at least one slot is needed'],
    ['a batch of another count', wire({ count: 4 }), 'the batch says 4 values and holds 3'],
    ['slots past 2^53', frame({ ...accept, first: top - 1 }), 'the end of accept.count is 9007199254740992'],
    ['a round past 2^48', frame({ ...accept, ballot: { ...ballot, round: 2 ** 48 + 1 } }), 'the limit is 2^48'],
    [
      'round 0 of a proposer',
      frame({ ...accept, ballot: { ...ballot, round: 0 } }),
      'round 0 holds the fast ballot zero alone',
    ],
    ['proposer 0', frame({ ...accept, ballot: { ...ballot, proposer: 0 } }), 'accept.ballot.proposer is 0'],
    ['no ballot', wire({ ballot: undefined }), 'accept.ballot is missing'],
    [
      'a short incarnation',
      wire({ ballot: { round: 1, proposer: 1, incarnation: new Uint8Array(7), kind: 2 } }),
      'has 7 bytes: 8 are needed',
    ],
    [
      'no kind',
      wire({ ballot: { round: 1, proposer: 1, incarnation: new Uint8Array(8), kind: 0 } }),
      'kind is 0: FAST (1) or CLASSIC (2)',
    ],
    [
      'a range that ends before it begins',
      frame({ ...prepare, from: 9, to: 8 }),
      'prepare.to is 8, below prepare.from, which is 9',
    ],
    [
      'an unknown kind',
      () => acceptor.decodeSessionRequest(new Uint8Array([0x12, 0])),
      'is of no kind that is known here',
    ],
    ['fast votes that do not say for what', votes({ ...toLearner[1], ballot: fast } as never), 'one of each is needed'],
    [
      'classic votes with an identity',
      votes({ ...toLearner[0], identity } as never),
      'with an identity, which is for fast ballots',
    ],
    [
      'two values in one Accept at a fast ballot',
      frame({ kind: 'accept', log, ballot: BALLOT_ZERO, first: 0, batch, watermark: 0 }),
      'one value in one slot is taken at fast ballots',
    ],
    [
      'a Prepare at a fast ballot',
      frame({ ...prepare, ballot: fast }),
      'only a Prepare with purpose OPEN is for a fast one',
    ],
    [
      'votes reported twice in a promise',
      () =>
        acceptor.decodeSessionResponse(
          acceptor.encodeFromAcceptor([
            {
              kind: 'promised',
              ...common,
              from: 2,
              until: 9,
              votes: [
                { first: 2, ballot, batch },
                { first: 4, ballot, batch },
              ],
            },
          ]),
        ),
      'promised.votes.first is 4, below the end of what was reported before, which is 5',
    ],
    [
      'votes outside of what a promise reports',
      () =>
        acceptor.decodeSessionResponse(
          acceptor.encodeFromAcceptor([
            { kind: 'promised', ...common, from: 2, until: 4, votes: [{ first: 2, ballot, batch }] },
          ]),
        ),
      'promised.votes reach to 5, above promised.until, which is 4',
    ],
    [
      'a disk that agrees on more than it holds',
      () => learner.decodeFollowRequest(learner.encodeFromLearner([{ kind: 'held', log, held: 1, agreed: 2 }])),
      'held.held is 1, below held.agreed, which is 2',
    ],
    [
      'an empty entry',
      () =>
        peers.decodePeerFrame(
          peers.encodePeerMessages([
            {
              kind: 'forward',
              id: 1,
              incarnation,
              log,
              entry: new Uint8Array(0),
              retry: false,
              relayed: false,
              timeoutMs: 1,
              progress: false,
            },
          ]),
        ),
      'forward.entry is empty',
    ],
    [
      'half a frame',
      () => acceptor.decodeSessionRequest(acceptor.encodeToAcceptor([accept]).subarray(0, 50)),
      '50 bytes are not a synod.v1.SessionRequest',
    ],
  ])('%s', (_, attempt, text) => {
    let error: unknown;
    try {
      attempt();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SynodError);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'none' });
    expect((error as SynodError).message).toContain(text);
  });

  test('the same message, with nothing wrong in it, passes (negative control)', () => {
    expect(frame(accept)).not.toThrow();
    expect(wire({})).not.toThrow();
  });

  test('a journal entry that cannot be read is a loss of data, and says so', () => {
    expect(() => decodeRecord(new Uint8Array([0x7a, 0]))).toThrow(
      'a journal entry of 2 bytes cannot be read (it is of no kind that is known here): it was written by a newer program, or the disk is damaged',
    );
  });
});

describe('damaged bytes are a message or a refusal, never a crash', () => {
  const doors: [string, (bytes: Uint8Array) => unknown, Buffer][] = [
    ['a session request', (b) => acceptor.decodeSessionRequest(b), acceptor.encodeToAcceptor(toAcceptor)],
    ['a session response', (b) => acceptor.decodeSessionResponse(b), acceptor.encodeFromAcceptor(fromAcceptor)],
    ['a follow request', (b) => learner.decodeFollowRequest(b), learner.encodeFromLearner(fromLearner)],
    ['a follow response', (b) => learner.decodeFollowResponse(b), learner.encodeToLearner(toLearner, 5)],
    ['a frame between proposers', (b) => peers.decodePeerFrame(b), peers.encodePeerMessages(peerMessages)],
    ['a journal entry', (b) => decodeRecord(b), encodeRecord(records[7] as AcceptorRecord)],
    ['a vote in the journal', (b) => decodeRecord(b), encodeRecord(records[2] as AcceptorRecord)],
    ['random bytes', (b) => acceptor.decodeSessionRequest(b), Buffer.alloc(64, 0x12)],
  ];
  test.each(doors)('%s', (_, door, good) => {
    let refused = 0;
    const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.integer({ min: 0, max: 255 }) });
    const damage = fc.tuple(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(good.length));
    fc.assert(
      fc.property(damage, ([changes, cut]) => {
        const bytes = Buffer.from(good.subarray(0, cut % 3 === 0 ? cut : good.length));
        for (const { at, byte } of changes) if (at < bytes.length) bytes[at] = byte;
        try {
          door(bytes);
        } catch (error) {
          refused++;
          if (!(error instanceof SynodError)) throw error;
        }
      }),
      { seed: 42, numRuns: 500 },
    );
    // Otherwise the damage never reached the door.
    expect(refused).toBeGreaterThan(10);
  });
});
