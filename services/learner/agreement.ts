/**
 * Whether this learner's state is that of the others (R11), by digests at fixed slots, and at the end of logs that rest.
 *
 * Up to the greatest slot where another learner had the same digest, the state is *agreed*: only that much may be trimmed. Where
 * digests differ, a majority of all learners decides: a learner that differs from what a majority has stops; where there is no
 * majority, nobody knows who is right, and all that differ stop answering linearizable reads.
 */
import { bytesEqual } from '../../shared/base/batch.ts';
import { CHECKPOINT_SLOTS } from '../../shared/ports/learner-store.ts';

export type Verdict =
  | { readonly kind: 'agreed' }
  /** Somebody differs, and a majority, this learner included, does not. */
  | { readonly kind: 'upheld'; readonly text: string }
  /** Nobody has a majority. */
  | { readonly kind: 'disputed'; readonly text: string }
  /** A majority has another state than this learner. */
  | { readonly kind: 'outvoted'; readonly text: string };

interface Dispute {
  /** The least slot where digests were seen to differ. */
  readonly slot: number;
  readonly mine: Uint8Array;
  /** What the others have there, by learner. */
  readonly theirs: Map<number, Uint8Array>;
}

export class Agreement {
  #learners: number;
  #isAlone: boolean;
  readonly #agreed = new Map<string, number>();
  readonly #disputes = new Map<string, Dispute>();
  #mismatches = 0;

  /** `learners`: how many there are, this one included. */
  constructor(learners: number) {
    this.#learners = learners;
    this.#isAlone = learners === 1;
  }

  /** So many are known now, this one included. `isAll`: no others are to be expected, so that one that is alone is the only one. */
  setLearners(learners: number, isAll: boolean): void {
    this.#learners = learners;
    this.#isAlone = learners === 1 && isAll;
  }

  /** What a learner said counts no more: it is none of those that are known. */
  forget(learner: number): void {
    for (const [log, { theirs, mine }] of this.#disputes) {
      theirs.delete(learner);
      if ([...theirs.values()].every((other) => bytesEqual(other, mine))) this.#disputes.delete(log);
    }
  }

  /** Digests that differed, since the start. */
  get mismatches(): number {
    return this.#mismatches;
  }

  /** Compares a digest at a slot with another learner's. True when `agreed` of the log has grown. */
  compare(learner: number, log: string, slot: number, mine: Uint8Array, theirs: Uint8Array): boolean {
    const isEqual = bytesEqual(mine, theirs);
    const dispute = this.#disputes.get(log);
    if (!isEqual) {
      this.#mismatches++;
      // The digest at the end of a log can be asked for only while it rests; once it moved, the next fixed slot must decide.
      const isOver = dispute !== undefined && dispute.slot % CHECKPOINT_SLOTS !== 0 && slot !== dispute.slot;
      if (dispute === undefined || slot < dispute.slot || isOver)
        this.#disputes.set(log, { slot, mine, theirs: new Map([[learner, theirs.slice()]]) });
      else if (slot === dispute.slot) dispute.theirs.set(learner, theirs.slice());
      return false;
    }
    // A digest covers all slots below, so who is equal here is equal there.
    if (dispute !== undefined && dispute.slot <= slot) {
      dispute.theirs.set(learner, dispute.mine);
      // Whoever differed took its state anew.
      if ([...dispute.theirs.values()].every((other) => bytesEqual(other, dispute.mine))) this.#disputes.delete(log);
    }
    if (slot <= (this.#agreed.get(log) ?? 0)) return false;
    this.#agreed.set(log, slot);
    return true;
  }

  /** All slots below are durable here, up to `held`, with a digest that another learner shares. */
  agreed(log: string, held: number): number {
    // The only learner has nobody to ask: what it holds is all there is.
    if (this.#isAlone) return held - (held % CHECKPOINT_SLOTS);
    return Math.min(this.#agreed.get(log) ?? 0, held);
  }

  /** Where digests differ: everybody is asked for theirs there, again and again, until there is a majority. */
  *disputes(): Iterable<{ readonly log: string; readonly slot: number; readonly mine: Uint8Array }> {
    for (const [log, { slot, mine }] of this.#disputes) yield { log, slot, mine };
  }

  isDisputed(): boolean {
    return this.#disputes.size > 0;
  }

  /** The gravest of all logs. */
  verdict(): Verdict {
    let worst: Verdict = { kind: 'agreed' };
    for (const [log, dispute] of this.#disputes) {
      const verdict = this.#judge(log, dispute);
      if (verdict.kind === 'outvoted') return verdict;
      if (verdict.kind === 'disputed' || worst.kind === 'agreed') worst = verdict;
    }
    return worst;
  }

  #judge(log: string, { slot, mine, theirs }: Dispute): Verdict {
    const majority = Math.floor(this.#learners / 2) + 1;
    const groups = new Map<string, number[]>();
    for (const [learner, digest] of theirs) {
      const name = hex(digest);
      groups.set(name, [...(groups.get(name) ?? []), learner]);
    }
    const own = hex(mine);
    const where = `log "${log}": at slot ${String(slot)} the state of this learner has digest ${own}`;
    const said = [...groups].map(([name, who]) => `${name} at learner ${who.join(' and ')}`).join(', ');
    for (const [name, who] of groups)
      if (name !== own && who.length >= majority)
        return {
          kind: 'outvoted',
          text: `R11: ${where}, and a majority has another: ${said}. This learner stops; remove its data folder and start it again, and it takes all logs from the others`,
        };
    const text = `R11: ${where}, and others differ: ${said}`;
    if ((groups.get(own)?.length ?? 0) + 1 >= majority) return { kind: 'upheld', text };
    return {
      kind: 'disputed',
      text: `${text}. No majority of the ${String(this.#learners)} learners has one state, so linearizable answers are not given`,
    };
  }
}

function hex(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, Math.min(digest.length, 8)).toString('hex');
}
