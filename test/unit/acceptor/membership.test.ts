/**
 * Goal: an acceptor that finds no space for what it must remember says nothing that depends on it, and goes on when there is space (R3,
 * R4). Method: the shipped membership over a disk that the test holds, on a clock that it moves.
 */
import { describe, expect, test } from '@jest/globals';
import { Membership } from '../../../services/acceptor/membership.ts';
import { EMPTY_ROSTER_STATE } from '../../../shared/paxos/introduction.ts';
import type { Introduction, IntroductionAnswer, RosterState } from '../../../shared/paxos/introduction.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { diskError } from '../../support/memory-disk.ts';
import { silentLog } from '../../support/silent-log.ts';
import { settled } from '../journal/support.ts';

const disk = (id: number): string => String(id).repeat(32);

function rig() {
  const clock = new ManualClock();
  const saved: RosterState[] = [];
  const fatal: unknown[] = [];
  const disk1 = { error: undefined as Error | undefined, tries: 0 };
  const membership = new Membership(
    { acceptor: 1, disk: disk(1), acceptors: [1, 2, 3] },
    {
      clock,
      random: { next: () => 0.5 },
      log: silentLog,
      position: () => 5,
      save: (state) => {
        disk1.tries++;
        if (disk1.error !== undefined) return Promise.reject(disk1.error);
        saved.push(state);
        return Promise.resolve();
      },
      ask: () => new Promise<IntroductionAnswer>(() => undefined),
      onSpeak: () => undefined,
      onRefused: () => undefined,
      onFatal: (error) => void fatal.push(error),
    },
  );
  return { clock, saved, fatal, disk1, membership };
}

const roster = {
  kind: 'complete',
  disks: new Map([1, 2, 3].map((id) => [id, disk(id)])),
} as const;
const second: Introduction = { acceptor: 2, disk: disk(2), roster, start: 4, draw: 7, position: 9 };

async function started(error: Error | undefined) {
  const parts = rig();
  parts.membership.start({ ...EMPTY_ROSTER_STATE, roster, start: 1 }, 5);
  await settled();
  const before = parts.saved.length;
  parts.disk1.error = error;
  let answer: IntroductionAnswer | undefined;
  const asked = parts.membership.introduce(second).then((it) => (answer = it));
  asked.catch(() => undefined);
  await settled();
  return { ...parts, before, answer: () => answer };
}

describe('a roster that cannot be stored', () => {
  test('for want of space is tried again; who introduced itself is answered only when it is stored', async () => {
    const { clock, saved, fatal, disk1, before, answer } = await started(
      diskError('ENOSPC', 'no space left on device'),
    );
    for (let i = 0; i < 5; i++) {
      clock.advance(250);
      await settled();
    }
    expect(disk1.tries).toBeGreaterThanOrEqual(before + 5);
    expect([fatal, saved.length, answer()]).toEqual([[], before, undefined]);
    disk1.error = undefined;
    clock.advance(250);
    await settled();
    expect(saved.at(-1)?.remembered.get(2)).toEqual({ start: 4, draw: 7, position: 9 });
    expect(answer()?.remembered).toEqual({ start: 4, draw: 7, position: 9 });
    expect(clock.waiting).toBe(0);
  });

  test('for any other reason ends the process at once, and is never tried again (the control)', async () => {
    const { clock, fatal, disk1, answer } = await started(diskError('EIO', 'i/o error'));
    const { tries } = disk1;
    clock.advance(5_000);
    await settled();
    expect(fatal).toHaveLength(1);
    expect([disk1.tries, answer()]).toEqual([tries, undefined]);
  });
});
