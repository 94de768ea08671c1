/**
 * Goal: a log that a proposer took over stays its own, whatever it had to do with that log before.
 * Method: the machine alone, event by event; found by killing proposers over real gRPC, where it came about now and then.
 */
import { expect, test } from '@jest/globals';
import { encodeEntry } from '../../shared/machine/entry.ts';
import { Sessions } from '../../shared/machine/sessions.ts';
import { Proposer } from '../../shared/paxos/proposer.ts';
import type { ProposerEvent } from '../../shared/paxos/proposer.ts';
import type { Prepare } from '../../shared/paxos/messages.ts';
import type { LedLog } from '../../shared/paxos/peers.ts';
import type { ProposerEffect } from '../../shared/paxos/proposing.ts';
import { CLASSIC } from '../../shared/paxos/ballot.ts';
import { majority } from '../../shared/paxos/quorum.ts';
import { createAdmission } from '../../services/proposer/admission.ts';

const INCARNATION = '00000000000000b2';

test('a proposer that forwarded to a leader, and then took its log over, still leads it after a tick', () => {
  let now = 1_000;
  const noOp = encodeEntry({ kind: 'no-op' });
  const machine = new Proposer({ proposer: 1, incarnation: '00000000000000a1' }, majority(3), [1, 2], noOp);
  const step = (...events: ProposerEvent[]): ProposerEffect[] =>
    [...events, { kind: 'turn' } as const].flatMap((event) => machine.step(event, { now, random: 0.5 }));
  const propose = (token: number): ProposerEvent => {
    const entry = encodeEntry({ kind: 'open-session', client: String(token).padStart(32, '0') });
    return { kind: 'propose', token, log: 'a', entry, protocol: 'multi', retry: false, timeoutMs: 60_000 };
  };
  const prepareOf = (effects: readonly ProposerEffect[]): Prepare => {
    const found = effects.flatMap((e) => (e.kind === 'to-acceptor' && e.message.kind === 'prepare' ? [e.message] : []));
    if (found[0] === undefined) throw new Error('nothing was prepared');
    return found[0];
  };

  // Proposer 2 leads the log, and gets the first proposal.
  const led: LedLog = { log: 'a', ballot: { round: 1, proposer: 2, incarnation: INCARNATION, kind: CLASSIC } };
  step(
    {
      kind: 'peer',
      from: 2,
      message: { kind: 'heartbeat', proposer: 2, incarnation: INCARNATION, ledCount: 0, ledDigest: 0 },
    },
    { kind: 'peer', from: 2, message: { kind: 'led-change', full: true, added: [led], removed: [] } },
  );
  const forwarded = step(propose(1));
  expect(forwarded.some((e) => e.kind === 'to-peer' && e.message.kind === 'forward')).toBe(true);

  // It dies, and the log is taken over.
  const { ballot } = prepareOf(step({ kind: 'peer-down', peer: 2, refused: true }));
  const answer = { log: 'a', ballot, highest: -1, watermark: 0 };
  const reported = { from: 0, until: undefined, votes: [], floor: 0 };
  for (const from of [0, 1]) step({ kind: 'acceptor', from, message: { kind: 'would-promise', ...answer } });
  for (const from of [0, 1]) step({ kind: 'acceptor', from, message: { kind: 'promised', ...answer, ...reported } });
  step({ kind: 'sessions', log: 'a', next: 0, admission: createAdmission(new Sessions()) });
  for (const from of [0, 1, 2])
    step({ kind: 'acceptor', from, message: { kind: 'accepted', log: 'a', ballot, first: 0, count: 1 } });
  for (let i = 0; i < 4; i++) {
    now += 25;
    step({ kind: 'tick' });
  }
  expect(machine.leaderOf('a')).toBe(1);
  const sent = step(propose(2)).filter((e) => e.kind === 'to-acceptor');
  expect(sent).toEqual([expect.objectContaining({ message: expect.objectContaining({ kind: 'accept', first: 1 }) })]);
});
