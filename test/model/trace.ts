/** A history as lines that a person can read. */
import { formatBallot } from '../../shared/paxos/ballot.ts';
import type { Body, Deed } from './deeds.ts';
import type { Local } from './locals.ts';
import { valuesIn } from './record.ts';
import type { Move, Search, State } from './search.ts';

interface Line {
  readonly text: string;
  /** Given at once because it changes nothing, and worth telling only where somebody hears it later: what was said. */
  readonly answers: readonly string[] | undefined;
  readonly hears: string | undefined;
}

/** Replays the moves from the start, and tells of each deed what happened and what came of it. */
export async function describe(search: Search, moves: readonly Move[]): Promise<string[]> {
  const lines: Line[] = [];
  let state = search.start;
  // Where the search went on with the acceptors in another order, names go with it: the place in the story, by place.
  let names = search.cast.tables.map((_, place) => place);
  for (const move of moves) {
    for (const deed of move.deeds) state = await tell(search, state, move.place, deed, names, lines, false);
    for (const { place, deed } of await search.answersIn(state.nodes, state.sent))
      state = await tell(search, state, place, deed, names, lines, true);
    const { state: next, permutation } = await search.standIn(state);
    const order = search.cast.permutations[permutation] as readonly number[];
    names = names.map((_, place) => names[place < search.cast.acceptors ? order.indexOf(place) : place] as number);
    state = next;
  }
  const heard = new Set(lines.map((line) => line.hears));
  return lines
    .filter((line) => line.answers === undefined || line.answers.some((said) => heard.has(said)))
    .map((line, i) => `${String(i + 1).padStart(3)}. ${line.text}`);
}

async function tell(
  search: Search,
  state: State,
  place: number,
  deedId: number,
  names: readonly number[],
  lines: Line[],
  isAnswer: boolean,
): Promise<State> {
  const { cast, network } = search;
  const nameOf = (at: number): string => cast.nameOf(names[at] as number);
  const step = await search.step(place, state.nodes[place] as Local, deedId);
  const ids = network.packetsAt(place, step);
  const fresh = network.get([...new Set(ids)].filter((id) => !state.sent.includes(id)));
  const said = [...new Set(fresh.map((packet) => textOfBody(packet.body)))];
  const results = [...said, ...step.claims.map((c) => `tells that ${c.value} is chosen in slot ${c.slot}`)];
  if (step.complaint !== undefined) results.push(`stops: ${step.complaint}`);
  const deed = cast.deeds.get(deedId);
  const from = deed.kind === 'hear' ? (place < cast.acceptors ? cast.acceptors : 0) + deed.from : place;
  const text = [`${nameOf(place)} ${textOfDeed(deed, nameOf(from))}`, ...results].join('\n       → ');
  lines.push({
    text,
    answers: isAnswer ? fresh.map((packet) => `${nameOf(packet.from)} ${textOfBody(packet.body)}`) : undefined,
    hears: deed.kind === 'hear' ? `${nameOf(from)} ${textOfBody(deed.body)}` : undefined,
  });
  const sent = [...new Set([...state.sent, ...ids])].sort((a, b) => a - b);
  return { nodes: state.nodes.map((local, at) => (at === place ? step.to : local)), sent };
}

function textOfDeed(deed: Deed, from: string): string {
  switch (deed.kind) {
    case 'hear':
      return `hears from ${from}: ${textOfBody(deed.body)}`;
    case 'ask':
      return `is asked for ${deed.value}`;
    case 'tick':
      return 'waits until all its timers have run out';
    case 'finish':
      return `is asked to finish the slots below ${deed.to}`;
    case 'sync':
      return 'has its journal synced';
    case 'restart':
      return deed.keeps ? 'dies and starts again, with what it wrote last' : 'dies and starts again';
  }
}

function textOfBody(body: Body): string {
  switch (body.kind) {
    case 'prepare':
      return `prepare ${formatBallot(body.ballot)} from slot ${body.from}`;
    case 'promised': {
      const votes = body.votes.map(({ first, ballot, batch }) => {
        const values = valuesIn({ kind: 'votes', log: '', ballot, first, count: batch.count, batch, watermark: 0 });
        return `${values.join()} from slot ${first} on at ${formatBallot(ballot)}`;
      });
      return `promised ${formatBallot(body.ballot)}; votes: ${votes.join('; ') || 'none'}; watermark ${body.watermark}`;
    }
    case 'rejected':
      return `rejected ${formatBallot(body.ballot)} (${body.reason}): at ${formatBallot(body.promised)}`;
    case 'accept':
      return `accept ${formatBallot(body.ballot)}: ${valuesIn(body).join()} from slot ${body.first} on, watermark ${body.watermark}`;
    case 'accepted':
      return `accepted ${formatBallot(body.ballot)}: ${body.count} from slot ${body.first} on`;
    case 'votes':
      return `votes ${formatBallot(body.ballot)}: ${valuesIn(body).join()} from slot ${body.first} on`;
    case 'tell':
      return `tell: all below slot ${body.watermark} is chosen`;
    case 'asked':
      return `a client asks for ${body.value}`;
    default:
      return body.kind;
  }
}
