/** The leader's copy of a log's session table (R12), as the heart asks for it. The simulator runs this very file. */
import { messageOf } from '../../shared/base/errors.ts';
import { decodeEntry } from '../../shared/machine/entry.ts';
import type { Entry, UnknownEntry } from '../../shared/machine/entry.ts';
import type { SessionRefusal, Sessions } from '../../shared/machine/sessions.ts';
import type { Refused } from '../../shared/paxos/peers.ts';
import type { Admission, Verdict } from '../../shared/paxos/proposing.ts';

const NEW: Verdict = { kind: 'new' };

export function createAdmission(sessions: Sessions): Admission {
  // What is checked and found new is fed right after: it is read once.
  let lastBytes: Uint8Array | undefined;
  let last: Entry | UnknownEntry | undefined;
  const read = (bytes: Uint8Array): Entry | UnknownEntry => {
    if (last === undefined || bytes !== lastBytes) last = decodeEntry(bytes);
    lastBytes = bytes;
    return last;
  };
  return {
    check(bytes) {
      let entry: Entry | UnknownEntry;
      try {
        entry = read(bytes);
      } catch (error) {
        return unreadable(messageOf(error));
      }
      // A learner stops at a kind that it does not know, so none may enter a log.
      if (entry.kind === 'unknown') return unreadable(`entries of kind ${String(entry.number)} are not known here`);
      if (entry.kind === 'open-session') {
        const open = sessions.sessionOf(entry.client);
        return open === undefined ? NEW : { kind: 'known', slot: open };
      }
      if (entry.kind !== 'command') return NEW;
      const known = sessions.lookup(entry.client, entry.session, entry.sequence, entry.acknowledged);
      if (known.kind === 'refused')
        return { kind: 'refused', refused: refusalOf(known.reason, entry.session, entry.sequence) };
      return known;
    },
    feed(slot, bytes) {
      // A table that stands above the slot has applied it already.
      if (slot >= sessions.next) sessions.apply(slot, read(bytes));
    },
  };
}

function unreadable(why: string): Verdict {
  const message = `the forwarded entry cannot be proposed: ${why}`;
  return {
    kind: 'invalid',
    refused: { kind: 'refused', code: 'INVALID_ARGUMENT', message, outcome: 'none', leader: undefined },
  };
}

/**
 * What a client is told. What is refused here was not proposed, so its outcome is none; that becomes unknown where the proposal
 * was sent before, which the proposer knows (R15).
 */
export function refusalOf(reason: SessionRefusal, session: number, sequence: number): Refused {
  const refused = (code: Refused['code'], message: string, outcome: Refused['outcome']): Refused => ({
    kind: 'refused',
    code,
    message,
    outcome,
    leader: undefined,
  });
  const number = `sequence number ${String(sequence)} of session ${String(session)}`;
  switch (reason) {
    case 'session-unknown':
      return refused(
        'FAILED_PRECONDITION',
        `no session ${String(session)} of this client is open in the log; open one first`,
        'none',
      );
    case 'session-expired':
      return refused(
        'FAILED_PRECONDITION',
        `session ${String(session)} has expired, so nobody knows any more whether an earlier sending of ${number} took effect; open a new one`,
        'none',
      );
    case 'below-window':
      return refused(
        'OUT_OF_RANGE',
        `${number} is at or below what the client acknowledged, so its answer is no longer kept`,
        'unknown',
      );
    case 'above-window':
      return refused(
        'OUT_OF_RANGE',
        `${number} is more than 1024 above what the client acknowledged (the session's window); acknowledge answers first`,
        'none',
      );
  }
}
