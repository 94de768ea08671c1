/**
 * The contract between a machine and its shell: `step(event, moment) → effects`.
 *
 * A machine is synchronous and total. Time and chance come in with every event; what it wants done goes out as effects, in
 * order. The shell (`runtime`, or the simulator) makes every `persist` durable before it lets out a `send` or `answer` of the
 * same or a later step (R3).
 */
import type { Note } from './notes.ts';

/** When an event is handled: monotonic milliseconds of this process, and a fresh random number in [0, 1). */
export interface Moment {
  readonly now: number;
  readonly random: number;
}

export interface Machine<Event, Effect> {
  step(event: Event, moment: Moment): Effect[];
}

/** Something that happened, for metrics, log lines and traces. Notes change nothing. */
export interface NoteEffect {
  readonly kind: 'note';
  readonly note: Note;
}
