/** What an acceptor counts of its refusals. */
import { describe, expect, test } from '@jest/globals';
import { acceptorMetrics, reasonOf } from '../../../services/acceptor/metrics.ts';
import { BALLOT_ZERO, FAST, successor } from '../../../shared/paxos/ballot.ts';
import type { Ballot } from '../../../shared/paxos/ballot.ts';
import type { Note } from '../../../shared/paxos/notes.ts';
import { Metrics } from '../../../shared/platform/telemetry/metrics.ts';

function refusal(reason: 'conflict' | 'ballot', ballot: Ballot): Note & { readonly kind: 'rejected' } {
  return { kind: 'rejected', phase: 'accept', log: 'a', reason, ballot, promised: ballot };
}

describe('a second value at a ballot', () => {
  const fast: Ballot = { round: 3, proposer: 1, incarnation: '00000000000000a1', kind: FAST };
  const classic = successor(fast);

  test('is a conflict at a classic ballot, where no proposer may send two (R2)', () => {
    expect(reasonOf(refusal('conflict', classic))).toBe('conflict');
  });

  test('is a collision at a fast ballot, where several proposers send', () => {
    expect(reasonOf(refusal('conflict', fast))).toBe('collision');
    expect(reasonOf(refusal('conflict', BALLOT_ZERO))).toBe('collision');
    expect(reasonOf(refusal('ballot', fast))).toBe('ballot');
  });

  test('is counted as what it is', async () => {
    const metrics = new Metrics({ role: 'acceptor', id: 1 });
    const counts = acceptorMetrics(metrics);
    counts.note(refusal('conflict', fast));
    counts.note(refusal('conflict', fast));
    const text = await metrics.scrape();
    expect(text).toMatch(/rejects_total\{phase="accept",reason="collision",[^}]*\} 2/);
    expect(text).toMatch(/rejects_total\{phase="accept",reason="conflict",[^}]*\} 0/);
  });
});
