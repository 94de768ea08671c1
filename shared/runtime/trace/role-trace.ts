/** What the traces of all roles share: what follows from what, and how notes and batches are told. */
import type { Batch } from '../../base/batch.ts';
import type { Note } from '../../paxos/notes.ts';
import type { Machine, Moment } from '../../paxos/step.ts';
import { TRACE_LIMITS } from '../../wire/codec/trace.ts';
import type { TraceMember, TracedVotes } from '../../wire/codec/trace.ts';
import type { VoteRange } from '../../paxos/messages.ts';
import { payloadOf } from './proposal-match.ts';
import type { TracedValues } from './proposal-match.ts';
import type { TraceDraft, Tracer } from './tracer.ts';

/** A trace of one machine: told of every event before, and of every effect after the machine's step. */
export interface MachineTrace<Event, Effect> {
  readonly tracer: Tracer;
  event(event: Event): void;
  effect(effect: Effect): void;
  /** The step is over. */
  end(): void;
}

/** The machine, watched while somebody follows. */
export function traced<Event, Effect>(
  machine: Machine<Event, Effect>,
  trace: MachineTrace<Event, Effect>,
): Machine<Event, Effect> {
  const { tracer } = trace;
  return {
    step(event: Event, moment: Moment): Effect[] {
      if (!tracer.isOn) return machine.step(event, moment);
      trace.event(event);
      const effects = machine.step(event, moment);
      for (const effect of effects) trace.effect(effect);
      trace.end();
      return effects;
    },
  };
}

/** All acceptors, proposers, learners. */
export const ACCEPTORS: TraceMember = { role: 'acceptor', id: 0 };
export const PROPOSERS: TraceMember = { role: 'proposer', id: 0 };
export const LEARNERS: TraceMember = { role: 'learner', id: 0 };

export function acceptor(id: number): TraceMember {
  return { role: 'acceptor', id };
}
export function proposer(id: number): TraceMember {
  return { role: 'proposer', id };
}
export function learner(id: number): TraceMember {
  return { role: 'learner', id };
}

/** The first of a batch's payloads, where anybody wants to see it. */
export function shown(tracer: Tracer, batch: Batch | undefined): Uint8Array | undefined {
  return tracer.wantsValues ? shownEntry(tracer, batch?.slice(0, 1).values()[0]) : undefined;
}

export function valuesOf(first: number, batch: Batch | undefined): TracedValues {
  return () => (batch === undefined ? [] : [{ first, values: batch.values() }]);
}

/** The beginning of what an entry carries, where anybody wants to see it. */
export function shownEntry(tracer: Tracer, entry: Uint8Array | undefined): Uint8Array | undefined {
  return tracer.wantsValues && entry !== undefined ? payloadOf(entry, TRACE_LIMITS.valueBytes) : undefined;
}

export function votesOf(tracer: Tracer, votes: readonly VoteRange[]): TracedVotes[] {
  return votes.slice(0, TRACE_LIMITS.votesMax).map(({ first, ballot, batch }) => ({
    first,
    count: batch.count,
    ballot,
    value: shown(tracer, batch),
  }));
}

/** A note as an event; undefined for those that only metrics want. */
export function noteDraft(note: Note): TraceDraft | undefined {
  switch (note.kind) {
    case 'promised':
      return { kind: 'promised', log: note.log, ballot: note.ballot, word: note.purpose };
    case 'voted':
    case 'learned':
      return { kind: note.kind, log: note.log, ballot: note.ballot, first: note.first, count: note.count };
    case 'rejected': {
      const { log, ballot, promised: higher, phase, reason: word } = note;
      if (phase === 'any') return undefined;
      return { kind: 'rejected', log, ballot, higher, phase, word };
    }
    case 'trimmed':
      return { kind: 'trimmed', log: note.log, first: note.floor };
    case 'quorum': {
      const { log, ballot, phase, protocol, outcome, first, count = 0 } = note;
      if (first !== undefined)
        return { kind: 'chosen', log, ballot, protocol, first, count, word: outcome === 'recovered' ? outcome : '' };
      // A collision has an event of its own.
      return outcome === 'collision' ? undefined : { kind: 'quorum', log, ballot, phase, protocol, word: outcome };
    }
    case 'leader':
      return { kind: 'leader', log: note.log, ballot: note.ballot, word: note.change, why: note.why };
    case 'campaign':
      return {
        kind: 'campaign',
        log: note.log,
        ballot: note.ballot,
        word: note.override ? 'override' : '',
        why: note.why,
      };
    case 'no-op':
    case 'reproposed':
      return { kind: note.kind, log: note.log, first: note.first, count: note.count };
    case 'unfound':
      return { kind: 'unfound', log: note.log, first: note.from, count: note.to - note.from };
    case 'gap':
      return { kind: 'gap', log: note.log, first: note.from, count: note.to - note.from, word: note.asked };
    case 'peer':
      return { kind: 'peer', peer: proposer(note.proposer), word: note.change };
    case 'opened':
      return { kind: 'opened', log: note.log, ballot: note.ballot, first: note.from };
    case 'closed':
      return { kind: 'closed', log: note.log, ballot: note.ballot, why: note.why };
    case 'collision':
    case 'recovering':
      return { kind: note.kind, log: note.log, ballot: note.ballot, first: note.slot, count: 1 };
    case 'left':
      return { kind: 'left', log: note.log, word: note.why };
    case 'pause':
      return { kind: 'pause', why: `${note.ms.toFixed(0)} ms` };
    default:
      return undefined;
  }
}
