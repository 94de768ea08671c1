/** What happens to a proposal on its way: domain ⇄ Progress, to clients and between proposers. */
import { assertNever } from '../../base/assert.ts';
import type { Progress } from '../../paxos/peers.ts';
import type * as wire from '../gen/synod/v1/proposer.ts';
import { ProgressKind } from '../gen/synod/v1/proposer.ts';
import { member, readBallot, refuse, whole, writeBallot } from './fields.ts';

const NONE = { sequence: 0, ballot: undefined, slot: undefined } as const;

/** `nameOf`: how the receiver knows the acceptor at a position of the configuration. `sequence`: of which proposal of a stream. */
export function writeProgress(progress: Progress, nameOf: (position: number) => number, sequence = 0): wire.Progress {
  switch (progress.kind) {
    case 'forwarded':
      return { ...NONE, sequence, kind: ProgressKind.PROGRESS_KIND_FORWARDED, member: progress.to };
    case 'promised': {
      const ballot = writeBallot(progress.ballot);
      return {
        ...NONE,
        sequence,
        kind: ProgressKind.PROGRESS_KIND_PROMISED,
        member: nameOf(progress.acceptor),
        ballot,
      };
    }
    case 'accepted': {
      const { acceptor, ballot, slot } = progress;
      const kind = ProgressKind.PROGRESS_KIND_ACCEPTED;
      return { sequence, kind, member: nameOf(acceptor), ballot: writeBallot(ballot), slot };
    }
    case 'untold':
      return { ...NONE, sequence, kind: ProgressKind.PROGRESS_KIND_UNTOLD, member: 0 };
    default:
      return assertNever(progress);
  }
}

/** The inverse. Throws INVALID_ARGUMENT. */
export function readProgress(m: wire.Progress, positionOf: (name: number) => number): Progress {
  switch (m.kind) {
    case ProgressKind.PROGRESS_KIND_FORWARDED:
      return { kind: 'forwarded', to: member(m.member, 'progress.member') };
    case ProgressKind.PROGRESS_KIND_PROMISED:
      return { kind: 'promised', acceptor: positionOf(m.member), ballot: readBallot(m.ballot, 'progress.ballot') };
    case ProgressKind.PROGRESS_KIND_ACCEPTED: {
      const ballot = readBallot(m.ballot, 'progress.ballot');
      return { kind: 'accepted', acceptor: positionOf(m.member), ballot, slot: whole(m.slot ?? 0, 'progress.slot') };
    }
    case ProgressKind.PROGRESS_KIND_UNTOLD:
      return { kind: 'untold' };
    default:
      return refuse(`progress.kind is ${String(m.kind)}, which is not known here`);
  }
}
