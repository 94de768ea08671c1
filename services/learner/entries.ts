/** Stored slots as clients see them. */
import type { StoredEntry } from '../../shared/ports/learner-store.ts';
import { bytesOf, ID_BYTES, NOTHING, writeBallot } from '../../shared/wire/codec/fields.ts';
import { Effect } from '../../shared/wire/gen/synod/v1/learner.ts';
import type { LearnedEntry } from '../../shared/wire/gen/synod/v1/learner.ts';
import { EntryKind } from '../../shared/wire/gen/synod/v1/values.ts';

/** True for what a subscriber is shown: each proposal once, where it took effect, and nothing of Synod's own making (R12). */
export function isShown({ applied }: StoredEntry): boolean {
  return applied.kind === 'applied' || applied.kind === 'decree';
}

export function toLearnedEntry(stored: StoredEntry): LearnedEntry {
  const { entry } = stored;
  return {
    slot: stored.slot,
    kind: KINDS[entry.kind],
    client: entry.kind === 'no-op' ? NOTHING : bytesOf(entry.client, ID_BYTES, 'client'),
    session: entry.kind === 'command' ? entry.session : 0,
    sequence: entry.kind === 'command' ? entry.sequence : 0,
    payload: entry.kind === 'command' || entry.kind === 'decree' ? entry.payload : NOTHING,
    ballot: writeBallot(stored.ballot),
    effect: EFFECTS[stored.applied.kind],
  };
}

const KINDS = {
  'no-op': EntryKind.ENTRY_KIND_NO_OP,
  'open-session': EntryKind.ENTRY_KIND_OPEN_SESSION,
  command: EntryKind.ENTRY_KIND_COMMAND,
  decree: EntryKind.ENTRY_KIND_DECREE,
} as const;

const EFFECTS = {
  'no-op': Effect.EFFECT_NONE,
  opened: Effect.EFFECT_APPLIED,
  applied: Effect.EFFECT_APPLIED,
  decree: Effect.EFFECT_APPLIED,
  duplicate: Effect.EFFECT_DUPLICATE,
  refused: Effect.EFFECT_REFUSED,
} as const;
