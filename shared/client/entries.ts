/** Entries of learners, as programs see them. */
import { readBallot } from '../wire/codec/fields.ts';
import type { LearnedEntry } from '../wire/gen/synod/v1/learner.ts';
import type { Entry, EntryEffect, EntryKind } from './types.ts';

const KINDS: readonly (EntryKind | undefined)[] = [undefined, 'no-op', 'session', 'proposal', 'decree'];
const EFFECTS: readonly (EntryEffect | undefined)[] = [undefined, 'applied', 'duplicate', 'refused', 'none'];

export function readEntry(entry: LearnedEntry): Entry {
  return {
    slot: entry.slot,
    kind: KINDS[entry.kind] ?? 'no-op',
    effect: EFFECTS[entry.effect] ?? 'none',
    value: entry.payload,
    ballot: entry.ballot === undefined ? undefined : readBallot(entry.ballot, 'ballot'),
    client: Buffer.from(entry.client).toString('hex'),
    session: entry.session,
    sequence: entry.sequence,
  };
}
