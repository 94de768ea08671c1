/**
 * The rows of a message-sequence chart: one for each thing that happened in a member, and one for each message where it was received.
 * One message to several members is one row, as long as nothing else happened to the later receivers in between.
 */
import { memberShort } from '../../../shared/client/index.ts';
import type { Traced, TraceMember } from '../../../shared/client/index.ts';
import { describe, partOf, shortBallot } from './words.ts';
import type { Part } from './words.ts';

export interface Row {
  readonly wallMs: number;
  /** Whose lane it is on; of a message, the sender's. */
  readonly from: string;
  /** The receivers of a message, by their lanes; empty for what happened inside of a member. */
  readonly to: string[];
  readonly text: string;
  readonly part: Part;
  readonly log: string;
  /** An acceptor's promise of the log that changed hands here: the proposer that has it now. */
  readonly promisedTo: number | undefined;
}

interface Open {
  readonly row: Row;
  readonly send: Traced | undefined;
  readonly key: string;
}

/** Rows that one message may be joined to, back from the newest. */
const LOOK_BACK = 16;
/** Promises that are remembered, by acceptor and log. */
const PROMISES_MAX = 10_000;

/** What only whoever asks for everything wants in a chart. */
const DETAIL: ReadonlySet<string> = new Set(['synced']);

export class Rows {
  readonly #all: boolean;
  #open: Open[] = [];
  readonly #promised = new Map<string, string>();

  constructor(all: boolean) {
    this.#all = all;
  }

  /** `send`: the sending of a message that was received, where it was seen. */
  push(event: Traced, send: Traced | undefined): void {
    if (event.kind === 'sent' || (!this.#all && DETAIL.has(event.kind))) return;
    if (event.kind === 'received') this.#message(event, send);
    else this.#add(event, memberShort(event.member), [], this.#local(event), undefined);
  }

  /** Gives out all rows; nothing is joined to them any more. */
  flush(): Row[] {
    const rows = this.#open.map(({ row }) => row);
    this.#open = [];
    return rows;
  }

  #message(event: Traced & { kind: 'sent' | 'received' }, send: Traced | undefined): void {
    const lane = memberShort(event.member);
    const from = memberShort(event.peer);
    // Votes carry their values to one learner alone; the acceptor knows them.
    const text = describe(
      event.value === undefined && send?.value !== undefined ? { ...event, value: send.value } : event,
    );
    const key = `${from} ${text} ${event.log}`;
    for (let at = this.#open.length - 1; at >= Math.max(0, this.#open.length - LOOK_BACK); at--) {
      const each = this.#open[at];
      if (each === undefined) break;
      if (each.key === key && each.send === send && each.row.to.length > 0 && !each.row.to.includes(lane)) {
        each.row.to.push(lane);
        return;
      }
      // Something else happened to this receiver: what it received now comes after it.
      if (each.row.from === lane || each.row.to.includes(lane)) break;
    }
    this.#add(event, from, [lane], text, send, key);
  }

  #local(event: Traced): string {
    if (event.kind !== 'promised') return describe(event);
    const before = this.#promised.get(promiseKey(event.member, event.log));
    return `promised ${shortBallot(event.ballot)}${before === undefined ? '' : `, before ${before}`}`;
  }

  #add(event: Traced, from: string, to: string[], text: string, send: Traced | undefined, key = ''): void {
    const promisedTo = event.kind === 'promised' ? event.ballot.proposer : undefined;
    if (event.kind === 'promised' && this.#promised.size < PROMISES_MAX)
      this.#promised.set(promiseKey(event.member, event.log), shortBallot(event.ballot));
    const { wallMs, log } = event;
    this.#open.push({ row: { wallMs, from, to, text, part: partOf(event), log, promisedTo }, send, key });
  }
}

function promiseKey(member: TraceMember, log: string): string {
  return `${memberShort(member)} ${log}`;
}

/** Lanes in the order in which a write goes through them: proposers, acceptors, learners. */
export function lanesOf(members: readonly TraceMember[]): string[] {
  const order = ['proposer', 'acceptor', 'learner'];
  const sorted = [...members].sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role) || a.id - b.id);
  return [...new Set(sorted.map(memberShort))];
}
