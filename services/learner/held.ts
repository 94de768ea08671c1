/**
 * Tells all acceptors what this learner's disk holds, a few times a second and only for logs that changed: the reason why acceptors
 * may drop votes. Only what is durable is reported.
 */
import type { LearnerStore } from '../../shared/ports/learner-store.ts';
import type { Acceptors } from './acceptors.ts';
import type { Agreement } from './agreement.ts';

export class HeldReports {
  readonly #store: LearnerStore;
  readonly #agreement: Agreement;
  readonly #acceptors: Acceptors;
  readonly #changed = new Set<string>();

  constructor(store: LearnerStore, agreement: Agreement, acceptors: Acceptors) {
    this.#store = store;
    this.#agreement = agreement;
    this.#acceptors = acceptors;
  }

  changed(log: string): void {
    this.#changed.add(log);
  }

  /** An acceptor that is newly heard is told all. */
  tellAll(acceptor: number): void {
    for (const { log, held } of this.#store.logs()) this.#tell(acceptor, log, held);
  }

  /** Call a few times a second. */
  tick(): void {
    for (const log of this.#changed) {
      const held = this.#store.progress(log)?.held ?? 0;
      for (const { position } of this.#acceptors.links) this.#tell(position, log, held);
    }
    this.#changed.clear();
  }

  #tell(acceptor: number, log: string, held: number): void {
    if (held === 0) return;
    this.#acceptors.send(acceptor, { kind: 'held', log, held, agreed: this.#agreement.agreed(log, held) });
  }
}
