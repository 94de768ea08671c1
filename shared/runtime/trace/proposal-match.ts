/**
 * Which events belong to one proposal: those that name it, those about a slot that it was seen to be put in, and phase 1 of its log,
 * which is for all slots. A value may be put in a slot again at a higher ballot, or in two slots (R12): all of them count.
 */
import { decodeEntry } from '../../machine/entry.ts';
import type { AnyTraceEvent, ProposalId } from '../../wire/codec/trace.ts';

/** The values of the slots that an event is about, for those who look for one of them. */
export type TracedValues = () => readonly TracedBatch[];
export interface TracedBatch {
  readonly first: number;
  readonly values: readonly Uint8Array[];
}

/** What is about a log as a whole. */
const WHOLE_LOG: ReadonlySet<string> = new Set<AnyTraceEvent['kind']>([
  'campaign',
  'leader',
  'promised',
  'opened',
  'closed',
]);
const WHOLE_LOG_MESSAGES: ReadonlySet<string> = new Set<NonNullable<AnyTraceEvent['message']>>([
  ...(['ask', 'prepare', 'would-promise', 'promise', 'take-over', 'resign', 'any', 'opened'] as const),
]);
/** Slots of the proposal that are remembered; one that is put in more of them is in trouble that other pages show. */
const SLOTS_MAX = 64;

export class ProposalMatch {
  readonly #id: ProposalId;
  #log: string | undefined;
  readonly #slots: number[] = [];

  constructor(id: ProposalId, log: string | undefined) {
    this.#id = id;
    this.#log = log;
  }

  wants(event: AnyTraceEvent, values: TracedValues | undefined): boolean {
    if (event.proposal !== undefined && sameProposal(event.proposal, this.#id)) {
      this.#log ??= event.log;
      return true;
    }
    if (values !== undefined) this.#search(event.log, values);
    if (event.log === '' || event.log !== this.#log) return false;
    const { first, count } = event;
    if (isWholeLog(event)) return true;
    return first !== undefined && this.#slots.some((slot) => first <= slot && slot < first + count);
  }

  #search(log: string, values: TracedValues): void {
    for (const batch of values()) {
      let slot = batch.first - 1;
      for (const bytes of batch.values) {
        slot++;
        const found = proposalOf(bytes);
        if (found === undefined || !sameProposal(found, this.#id)) continue;
        this.#log ??= log;
        if (this.#slots.length < SLOTS_MAX && !this.#slots.includes(slot)) this.#slots.push(slot);
      }
    }
  }
}

function isWholeLog(event: AnyTraceEvent): boolean {
  const { kind, message, phase, first } = event;
  if (WHOLE_LOG.has(kind) || WHOLE_LOG_MESSAGES.has(message ?? '')) return true;
  return phase === 'prepare' || (message === 'reject' && first === undefined);
}

/** The id in an entry; undefined for a no-op, the opening of a session, and bytes that are no entry. */
export function proposalOf(entry: Uint8Array): ProposalId | undefined {
  try {
    const decoded = decodeEntry(entry);
    if (decoded.kind === 'command')
      return { client: decoded.client, session: decoded.session, sequence: decoded.sequence };
    if (decoded.kind === 'decree') return { client: decoded.client, session: 0, sequence: 0 };
  } catch {
    // Whoever applies it says what is wrong with it.
  }
  return undefined;
}

/** Whether an entry opens a session. Told by its first bytes, because it is asked of every proposal. */
export function isOpening(entry: Uint8Array): boolean {
  return entry[0] === 0x08 && entry[1] === 0x02;
}

/** The beginning of what a client proposed; undefined for what carries nothing of a client. */
export function payloadOf(entry: Uint8Array, bytesMax: number): Uint8Array | undefined {
  try {
    const decoded = decodeEntry(entry);
    // A copy: a view would keep the whole frame that it came in.
    if ('payload' in decoded) return decoded.payload.slice(0, endOfText(decoded.payload, bytesMax));
  } catch {
    // As above.
  }
  return undefined;
}

/** At most `end`, and not within a character of UTF-8: what is cut there would be no text any more. */
function endOfText(bytes: Uint8Array, end: number): number {
  let at = end;
  while (at > end - 4 && at > 0 && ((bytes[at] ?? 0) & 0xc0) === 0x80) at--;
  return at;
}

function sameProposal(a: ProposalId, b: ProposalId): boolean {
  return a.sequence === b.sequence && a.session === b.session && a.client === b.client;
}
