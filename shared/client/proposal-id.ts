/** The id of a proposal as text: `CLIENT:SESSION:SEQUENCE`, or `CLIENT` for a decree. */
import type { ProposalId } from './types.ts';

/** `c1c1…:4:17`; the client's id whole, or its first `digits`. */
export function formatProposalId({ client, session, sequence }: ProposalId, digits = 32): string {
  const short = client.slice(0, digits);
  return sequence === 0 && session === 0 ? short : `${short}:${String(session)}:${String(sequence)}`;
}

/** What a person gives: the first digits of a client's id, and for a proposal of a session its numbers. */
export interface ProposalIdPrefix {
  readonly client: string;
  readonly session: number | undefined;
  readonly sequence: number | undefined;
}

/** Undefined for what is no id. At least 4 digits of the client are needed. */
export function parseProposalId(text: string): ProposalIdPrefix | undefined {
  const match = /^([0-9a-fA-F]{4,32})(?::(\d{1,16}):(\d{1,16}))?$/.exec(text);
  if (match?.[1] === undefined) return undefined;
  const numbers = [match[2], match[3]].map((digits) => (digits === undefined ? undefined : Number(digits)));
  if (numbers.some((each) => each !== undefined && !Number.isSafeInteger(each))) return undefined;
  return { client: match[1].toLowerCase(), session: numbers[0], sequence: numbers[1] };
}
