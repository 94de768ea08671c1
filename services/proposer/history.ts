/**
 * What became of the proposals that ended here lately: a ring of a fixed number of records, whose texts are bounded by their bytes,
 * too. Made for the end of every proposal: numbers go into arrays that are there already, no text is made, and an id is read out of
 * its bytes only for who asks. Nothing is decided by it.
 */
import { bytesEqual } from '../../shared/base/batch.ts';
import { CODES } from '../../shared/base/errors.ts';
import type { Code, Outcome } from '../../shared/base/errors.ts';
import { ENTRY_ID_BYTES, readEntryId } from '../../shared/machine/entry.ts';
import type { EntryId } from '../../shared/machine/entry.ts';
import type { Ballot } from '../../shared/paxos/ballot.ts';
import type { Answer } from '../../shared/paxos/peers.ts';
import type { Proposal } from '../../shared/paxos/proposing.ts';
import type { HistoryDemand } from '../../shared/wire/codec/history.ts';
import { outcomeOf } from './intake.ts';
import type { ProposalOutcome } from './metrics.ts';

export interface HistoryOptions {
  /** Records kept at most; 0 keeps none, and counts all the same. */
  readonly proposalsMax: number;
  /** Bytes that names of logs, ballots and texts of refusals may take, over all records. */
  readonly bytesMax: number;
  /** Milliseconds since 1970. */
  readonly wallNow: () => number;
}

export type ProtocolName = 'basic' | 'multi';

export interface ProposalRecord {
  readonly number: number;
  readonly log: string;
  readonly id: EntryId;
  readonly protocol: ProtocolName;
  readonly end: ProposalOutcome;
  readonly slot: number | undefined;
  readonly otherSlot: number | undefined;
  readonly ballot: Ballot | undefined;
  readonly leader: number | undefined;
  /** 0: a client asked here. */
  readonly forwardedBy: number;
  readonly rounds: number;
  readonly retry: boolean;
  /** A decree for which the value of another was chosen. */
  readonly othersValue: boolean;
  readonly tookMs: number;
  readonly at: number;
  readonly refusal: { readonly code: Code; readonly message: string; readonly outcome: Outcome } | undefined;
}

export interface ProposalCount {
  readonly protocol: ProtocolName;
  readonly end: ProposalOutcome;
  readonly code: Code | undefined;
  readonly outcome: Outcome | undefined;
  readonly count: number;
  /** Of the last one. */
  readonly message: string;
}

type Wanted = Omit<HistoryDemand, 'header'>;

const PROTOCOLS = ['basic', 'multi'] as const;
const ENDS = ['chosen', 'known', 'refused', 'timeout'] as const satisfies readonly ProposalOutcome[];
const OUTCOMES = ['none', 'unknown'] as const satisfies readonly Outcome[];
/** A protocol, an end, and for a refusal its code and outcome: one number, a place among the counts. */
const REASONS = CODES.length * OUTCOMES.length + 1;
/** Records that one question looks at: whoever wants more asks for the next page (R14). */
const LOOKED_AT_MAX = 20_000;
/** What a record's own objects take, roughly. */
const BALLOT_BYTES = 64;

export class History {
  readonly #options: HistoryOptions;
  readonly #max: number;
  readonly #heads: Uint8Array;
  /** Of each record: slot, other slot, milliseconds it took, when it ended. −1 for no slot. */
  readonly #numbers: Float64Array;
  /** Of each record: who forwarded it, who led (0: nobody known), rounds, marks. */
  readonly #small: Uint32Array;
  readonly #kinds: Uint16Array;
  readonly #logs: string[];
  readonly #ballots: (Ballot | undefined)[];
  readonly #messages: string[];
  readonly #counts = new Float64Array(PROTOCOLS.length * ENDS.length * REASONS);
  readonly #lastMessages = new Array<string>(this.#counts.length).fill('');
  #ended = 0;
  #kept = 0;
  #bytes = 0;

  constructor(options: HistoryOptions) {
    this.#options = options;
    const max = (this.#max = options.proposalsMax);
    this.#heads = new Uint8Array(max * ENTRY_ID_BYTES);
    this.#numbers = new Float64Array(max * 4);
    this.#small = new Uint32Array(max * 4);
    this.#kinds = new Uint16Array(max);
    this.#logs = new Array<string>(max).fill('');
    this.#ballots = new Array<Ballot | undefined>(max).fill(undefined);
    this.#messages = new Array<string>(max).fill('');
  }

  /** Proposals that ended here since the start. */
  get ended(): number {
    return this.#ended;
  }

  get kept(): number {
    return this.#kept;
  }

  get keptMax(): number {
    return this.#max;
  }

  /** Takes the end of a proposal. */
  add(proposal: Proposal, answer: Answer, tookMs: number): void {
    const kind = kindOf(proposal.protocol, answer);
    const message = answer.kind === 'refused' ? answer.message : '';
    // What was forwarded counts where its client asked: so the sum over all proposers has it once.
    if (proposal.via === undefined) {
      this.#counts[kind] = (this.#counts[kind] ?? 0) + 1;
      if (message !== '') this.#lastMessages[kind] = message;
    }
    const at = this.#ended++ % Math.max(1, this.#max);
    if (this.#max === 0) return;
    if (this.#kept === this.#max) this.#drop();
    this.#kept++;
    this.#kinds[at] = kind;
    this.#logs[at] = proposal.log;
    this.#messages[at] = message;
    this.#ballots[at] = answer.kind === 'chosen' ? answer.ballot : undefined;
    this.#writeHead(at * ENTRY_ID_BYTES, proposal.entry);
    this.#writeNumbers(at * 4, proposal, answer, tookMs);
    this.#bytes += this.#bytesAt(at);
    while (this.#bytes > this.#options.bytesMax) this.#drop();
  }

  #writeHead(at: number, entry: Uint8Array): void {
    const length = Math.min(entry.length, ENTRY_ID_BYTES);
    const heads = this.#heads;
    for (let i = 0; i < length; i++) heads[at + i] = entry[i] ?? 0;
    heads.fill(0, at + length, at + ENTRY_ID_BYTES);
  }

  #writeNumbers(at: number, proposal: Proposal, answer: Answer, tookMs: number): void {
    const slot = answer.kind === 'chosen' ? answer.slot : -1;
    const { lastSlot, earlierSlot } = proposal;
    this.#numbers[at] = slot;
    this.#numbers[at + 1] = lastSlot === slot ? earlierSlot : lastSlot;
    this.#numbers[at + 2] = tookMs;
    this.#numbers[at + 3] = this.#options.wallNow();
    this.#small[at] = proposal.via?.peer ?? 0;
    this.#small[at + 1] = answer.leader ?? 0;
    this.#small[at + 2] = proposal.rounds;
    const isOthers =
      answer.kind === 'chosen' && answer.entry !== undefined && !bytesEqual(answer.entry, proposal.entry);
    this.#small[at + 3] = (proposal.cameAsRetry ? 1 : 0) | (isOthers ? 2 : 0);
  }

  /** The oldest goes. */
  #drop(): void {
    const at = (this.#ended - this.#kept) % this.#max;
    this.#bytes -= this.#bytesAt(at);
    this.#kept--;
    this.#logs[at] = '';
    this.#messages[at] = '';
    this.#ballots[at] = undefined;
  }

  #bytesAt(at: number): number {
    const texts = (this.#logs[at]?.length ?? 0) + (this.#messages[at]?.length ?? 0);
    return 2 * texts + (this.#ballots[at] === undefined ? 0 : BALLOT_BYTES);
  }

  /** The newest first. `before`: ask on from here; undefined when there is nothing more. */
  read(wanted: Wanted): { readonly records: ProposalRecord[]; readonly before: number | undefined } {
    const records: ProposalRecord[] = [];
    const oldest = this.#ended - this.#kept + 1;
    let number = Math.min(this.#ended, wanted.before - 1);
    for (let looked = 0; number >= oldest; number--, looked++) {
      if (records.length >= wanted.limit || looked >= LOOKED_AT_MAX) return { records, before: number + 1 };
      const at = (number - 1) % this.#max;
      if (wanted.log !== undefined && this.#logs[at] !== wanted.log) continue;
      if (wanted.slot !== undefined && !this.#isIn(at, wanted.slot)) continue;
      const id = readEntryId(this.#heads.subarray(at * ENTRY_ID_BYTES, (at + 1) * ENTRY_ID_BYTES));
      if (isWanted(id, wanted)) records.push(this.#record(number, at, id));
    }
    return { records, before: undefined };
  }

  #isIn(at: number, slot: number): boolean {
    return this.#numbers[at * 4] === slot || this.#numbers[at * 4 + 1] === slot;
  }

  #record(number: number, at: number, id: EntryId): ProposalRecord {
    const [slot = -1, other = -1, tookMs = 0, when = 0] = this.#numbers.subarray(at * 4, at * 4 + 4);
    const [forwardedBy = 0, leader = 0, rounds = 0, marks = 0] = this.#small.subarray(at * 4, at * 4 + 4);
    const { protocol, end, code, outcome } = reasonOf(this.#kinds[at] ?? 0);
    return {
      ...{ number, log: this.#logs[at] ?? '', id, protocol, end, ballot: this.#ballots[at] },
      ...{ forwardedBy, rounds, tookMs, at: when },
      slot: slot < 0 ? undefined : slot,
      otherSlot: other < 0 ? undefined : other,
      leader: leader === 0 ? undefined : leader,
      retry: (marks & 1) !== 0,
      othersValue: (marks & 2) !== 0,
      refusal:
        code === undefined || outcome === undefined ? undefined : { code, outcome, message: this.#messages[at] ?? '' },
    };
  }

  /** How proposals of clients of this proposer ended since the start; what never happened is left out. */
  counts(): ProposalCount[] {
    return [...this.#counts].flatMap((count, kind) =>
      count === 0 ? [] : [{ ...reasonOf(kind), count, message: this.#lastMessages[kind] ?? '' }],
    );
  }
}

function isWanted(id: EntryId, wanted: Wanted): boolean {
  if (id.kind === 'open-session' && !wanted.sessions) return false;
  if (wanted.session !== undefined && id.session !== wanted.session) return false;
  if (wanted.sequence !== undefined && id.sequence !== wanted.sequence) return false;
  return id.client.startsWith(wanted.client);
}

function kindOf(protocol: ProtocolName, answer: Answer): number {
  const end = ENDS.indexOf(outcomeOf(answer));
  const reason =
    answer.kind === 'chosen' ? 0 : 1 + CODES.indexOf(answer.code) * OUTCOMES.length + OUTCOMES.indexOf(answer.outcome);
  return (PROTOCOLS.indexOf(protocol) * ENDS.length + end) * REASONS + reason;
}

function reasonOf(kind: number): Pick<ProposalCount, 'protocol' | 'end' | 'code' | 'outcome'> {
  const reason = (kind % REASONS) - 1;
  const rest = Math.floor(kind / REASONS);
  return {
    protocol: PROTOCOLS[Math.floor(rest / ENDS.length)] ?? 'multi',
    end: ENDS[rest % ENDS.length] ?? 'refused',
    code: reason < 0 ? undefined : CODES[Math.floor(reason / OUTCOMES.length)],
    outcome: reason < 0 ? undefined : OUTCOMES[reason % OUTCOMES.length],
  };
}
