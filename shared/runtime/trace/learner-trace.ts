/** What a learner tells: votes as they come, what it learned of them and applied, and what it misses. */
import type { LearnerEffect, LearnerEvent } from '../../paxos/learner.ts';
import type { TraceMember } from '../../wire/codec/trace.ts';
import { PROPOSERS, acceptor, noteDraft, valuesOf } from './role-trace.ts';
import type { MachineTrace } from './role-trace.ts';
import type { Tracer } from './tracer.ts';

export class LearnerTrace implements MachineTrace<LearnerEvent, LearnerEffect> {
  readonly tracer: Tracer;
  readonly #acceptors: readonly number[];
  #beginning = -1;
  #cause = 0;
  /** By log: the first slot that is not known to be applied. Only of logs in which something happened since somebody follows. */
  readonly #next = new Map<string, number>();

  /** `acceptors`: their ids by position. */
  constructor(tracer: Tracer, acceptors: readonly number[]) {
    this.tracer = tracer;
    this.#acceptors = acceptors;
  }

  event(event: LearnerEvent): void {
    if (this.#beginning !== this.tracer.beginnings) {
      this.#beginning = this.tracer.beginnings;
      this.#next.clear();
    }
    this.#cause = 0;
    if (event.kind === 'applied') return this.#applied(event.log, event.next);
    if (event.kind === 'acceptor' && event.message.kind === 'votes') {
      const { log, ballot, first, count, batch } = event.message;
      const peer = this.#acceptor(event.from);
      this.#cause = this.tracer.record(
        { kind: 'received', message: 'votes', peer, log, ballot, first, count },
        valuesOf(first, batch),
      );
    } else if (event.kind === 'acceptor-down')
      this.tracer.record({ kind: 'peer', peer: this.#acceptor(event.acceptor), word: 'gone' });
  }

  effect(effect: LearnerEffect): void {
    const cause = this.#cause;
    if (effect.kind === 'note') {
      const { note } = effect;
      const draft = noteDraft(note);
      if (draft !== undefined) this.tracer.record({ ...draft, cause });
      if (note.kind === 'learned' && !this.#next.has(note.log)) this.#next.set(note.log, note.first);
    } else if (effect.kind === 'fetch') {
      const { log, from: first, to } = effect.message;
      const peer = this.#acceptor(effect.to);
      this.tracer.record({ kind: 'sent', message: 'fetch', peer, log, first, count: to - first, cause });
    } else if (effect.kind === 'finish') {
      const { log, from: first, to } = effect;
      this.tracer.record({ kind: 'sent', message: 'finish', peer: PROPOSERS, log, first, count: to - first, cause });
    }
  }

  end(): void {
    // Everything is told at once.
  }

  /** Where it is not known from where on, the last slot is told alone. */
  #applied(log: string, next: number): void {
    const first = this.#next.get(log) ?? next - 1;
    if (next <= first) return;
    this.#next.set(log, next);
    this.tracer.record({ kind: 'applied', log, first, count: next - first });
  }

  #acceptor(position: number): TraceMember {
    return acceptor(this.#acceptors[position] ?? position + 1);
  }
}
