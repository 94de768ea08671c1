/** Goal: what a client gets wrong is refused with the value and the limit, before it enters a log; and statuses carry the outcome. */
import { describe, expect, test } from '@jest/globals';
import { InvariantError } from '../../shared/base/assert.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { ReadRequest } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { Proposals, ProposeStreamHello } from '../../shared/wire/gen/synod/v1/proposer.ts';
import { OpenSessionRequest, ProposeRequest } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import {
  PAYLOAD_BYTES_MAX,
  readOpenSessionRequest,
  readProposals,
  readProposeRequest,
  readProposeStreamHello,
  readRange,
} from '../../shared/wire/codec/client.ts';
import { served } from '../../shared/wire/raw.ts';
import { codeNumber, codeOf, errorOf, LEADER_TRAILER, OUTCOME_TRAILER, statusOf } from '../../shared/wire/status.ts';

const payload = new Uint8Array([1]);
const client = new Uint8Array(16).fill(0xab);
const propose = (m: Partial<ProposeRequest>) => (): unknown =>
  readProposeRequest(ProposeRequest.fromPartial({ log: 'a', payload, ...m }));
const proposals = (m: Partial<Proposals>) => (): unknown =>
  readProposals(Proposals.fromPartial({ firstSequence: 1, payloads: [payload], ...m }));
const hello = (m: Partial<ProposeStreamHello>) => (): unknown =>
  readProposeStreamHello(ProposeStreamHello.fromPartial({ log: 'a', ...m }));

describe('the door for clients', () => {
  test('a log and a payload are enough', () => {
    expect(readProposeRequest(ProposeRequest.fromPartial({ log: 'a', payload }))).toMatchObject({
      log: 'a',
      protocol: 'multi',
      place: undefined,
      retry: false,
      header: { role: 'client', cluster: '', configuration: '' },
    });
  });

  test('a place in a session is taken as it is given', () => {
    const request = { log: 'a', payload, client, session: 7, sequence: 12, acknowledged: 3, retry: true };
    const place = { client: 'ab'.repeat(16), session: 7, sequence: 12, acknowledged: 3 };
    expect(readProposeRequest(ProposeRequest.fromPartial(request))).toMatchObject({ place, retry: true });
    expect(readOpenSessionRequest(OpenSessionRequest.fromPartial({ log: 'a', client })).client).toBe(place.client);
  });

  test.each<[string, () => unknown, string]>([
    ['an empty value', propose({ payload: new Uint8Array(0) }), 'the value is empty: at least one byte is needed'],
    [
      'an oversize value',
      propose({ payload: new Uint8Array(PAYLOAD_BYTES_MAX + 1) }),
      'the value has 1572865 bytes: the limit is 1572864',
    ],
    ['a log without a name', propose({ log: '' }), 'the log has no name'],
    ['a log of Synod itself', propose({ log: 'synod.probe.1' }), 'such logs belong to Synod itself'],
    ['a client of 15 bytes', propose({ client: new Uint8Array(15) }), 'client has 15 bytes: 16 are needed'],
    ['a retry of nobody', propose({ retry: true }), 'but no client'],
    ['sequence 0', propose({ client, session: 1 }), 'sequence is 0: numbers of a session begin at 1'],
    ['an acknowledged number', propose({ client, sequence: 4, acknowledged: 4 }), 'sequence 4 is not above 4'],
    [
      'a number past the window',
      propose({ client, sequence: 1025 }),
      'sequence 1025 is 1025 above the acknowledged 0: the window of a session is 1024',
    ],
    [
      'an unknown protocol',
      propose({ protocol: 9 as never }),
      'protocol is 9: BASIC (1), MULTI (2) or FAST (3) is needed',
    ],
    [
      'a burst past the window',
      proposals({ firstSequence: 1000, payloads: Array.from({ length: 26 }, () => payload) }),
      'sequence 1025',
    ],
    ['an empty burst', proposals({ payloads: [] }), 'proposals.payloads is empty'],
    ['an empty value in a burst', proposals({ payloads: [payload, new Uint8Array(0)] }), 'the value is empty'],
    ['a stream of decrees', hello({ protocol: 1 }), 'a stream proposes with MULTI'],
    ['a session of nobody', hello({ session: 3 }), 'hello.session needs hello.client'],
    ['a range that ends before it begins', () => readRange(4, 3), 'to is 3, below from, which is 4'],
  ])('%s is refused', (_, attempt, text) => {
    expect(attempt).toThrow(SynodError);
    expect(attempt).toThrow(text);
    expect(attempt).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', outcome: 'none' }));
  });

  test('the largest value and the last number of the window are taken (negative control)', () => {
    expect(propose({ payload: new Uint8Array(PAYLOAD_BYTES_MAX), client, sequence: 1024 })).not.toThrow();
    expect(proposals({ firstSequence: 1000, payloads: Array.from({ length: 25 }, () => payload) })).not.toThrow();
  });

  test('the fast protocol is for the next slot, or for a decree', () => {
    expect(propose({ protocol: 3 })()).toMatchObject({ protocol: 'fast', decree: false });
    expect(propose({ protocol: 3, decree: true })()).toMatchObject({ protocol: 'fast', decree: true });
    expect(propose({ protocol: 1 })()).toMatchObject({ protocol: 'basic', decree: true });
    expect(propose({ protocol: 2, decree: true })).toThrow('not with MULTI');
    expect(propose({ protocol: 3, decree: true, session: 4 })).toThrow('a decree has no session');
  });
});

describe('served methods', () => {
  test('a negative slot is refused with a reason, not with an exception inside gRPC', () => {
    const bytes = Buffer.from(ReadRequest.encode(ReadRequest.fromPartial({ log: 'a' })).finish());
    const negative = Buffer.concat([bytes, Buffer.from([0x18, ...Array<number>(9).fill(0xff), 1])]);
    const { read } = served(LearnerServiceService);
    expect(read.requestDeserialize(negative)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      outcome: 'none',
      message: 'the request of /synod.v1.LearnerService/Read cannot be read: a number is negative or not below 2^53',
    });
    expect(read.requestDeserialize(bytes)).toMatchObject({ log: 'a' });
    expect(() => LearnerServiceService.read.requestDeserialize(negative)).toThrow();
  });

  test('a raw method hands over the very buffer, a method beside it stays as it was', () => {
    const service = served(AcceptorServiceService, ['session', 'follow']);
    const frame = Buffer.from('frame');
    expect(service.session.requestDeserialize(frame)).toBe(frame);
    expect(service.follow.responseSerialize(frame)).toBe(frame);
    expect(service.session.path).toBe('/synod.v1.AcceptorService/Session');
    expect(service.prepare.path).toBe('/synod.v1.AcceptorService/Prepare');
  });
});

describe('statuses', () => {
  const received = (status: ReturnType<typeof statusOf>) =>
    errorOf({ ...status, get: (name) => status.trailers[name] });

  test('an error arrives with its code, text, outcome and leader', () => {
    for (const outcome of ['none', 'unknown'] as const) {
      const sent = new SynodError('RESOURCE_EXHAUSTED', '10001 proposals in flight: the limit is 10000', outcome);
      const { error, leader } = received(statusOf(sent, '127.0.0.1:7201'));
      expect(error).toMatchObject({ code: sent.code, message: sent.message, outcome });
      expect(leader).toBe('127.0.0.1:7201');
    }
  });

  test('a fault of the server keeps its text to itself, and its outcome is unknown', () => {
    expect(statusOf(new TypeError('x is undefined at /home/…'))).toEqual({
      code: 13,
      details: 'internal error',
      trailers: { [OUTCOME_TRAILER]: 'unknown' },
    });
    expect(statusOf(new InvariantError('R2: two values')).details).toBe('a broken invariant stopped this process');
  });

  test('a status that was made on the way leaves the outcome unknown', () => {
    const cut = (code: number) => errorOf({ code, details: 'No connection established', get: () => undefined });
    expect(cut(14).error).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown' });
    expect(cut(4).error).toMatchObject({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' });
    expect(cut(2).error).toMatchObject({ code: 'INTERNAL', outcome: 'unknown' });
    expect(cut(12).error).toMatchObject({ code: 'UNIMPLEMENTED', outcome: 'none' });
  });

  test('codes and numbers belong together, and a long text is cut', () => {
    expect(codeOf(codeNumber('OUT_OF_RANGE'))).toBe('OUT_OF_RANGE');
    expect(codeNumber('UNAVAILABLE')).toBe(14);
    expect(statusOf(new SynodError('ABORTED', 'x'.repeat(5000))).details).toHaveLength(1024);
    expect(statusOf(new SynodError('ABORTED', 'x')).trailers[LEADER_TRAILER]).toBeUndefined();
  });
});
