/**
 * The world `tiny` beside the public TLA+ model MCPaxosTiny (tlaplus/Examples, PaxosHowToWinATuringAward): two ballots, two values,
 * three acceptors, no symmetry. There a state is the set of messages 1a, 1b, 2a, 2b: all else follows from it. So is the image
 * of a state here: what was sent, with proposers, clients and copies for each receiver left out.
 */
import { compareBallots, formatBallot, type Ballot } from '../../shared/paxos/ballot.ts';
import type { Packet } from './record.ts';
import { valuesIn } from './record.ts';
import { Search, type Result } from './search.ts';
import type { World } from './world.ts';

/** States of MCPaxosTiny, as its manifest says. */
export const TLA_PAXOS_TINY = 3_921;

export interface Comparison {
  readonly result: Result;
  /** Different images, all of them. */
  readonly images: number;
  /** Different images without promises of a ballot that report a vote at that ballot or above. */
  readonly common: number;
}

/** Counts the images of a world's states. */
export async function compare(world: World): Promise<Comparison> {
  const images = new Set<string>();
  const common = new Set<string>();
  const onState = (sent: readonly Packet[]): void => {
    images.add(imageOf(sent));
    common.add(imageOf(sent.filter((packet) => !isAnsweredAgain(packet))));
  };
  const search: Search = new Search(world, {
    statesMax: 1e6,
    symmetry: false,
    onProgress: () => undefined,
    onState: (state) => {
      onState(search.network.get(state.sent));
    },
  });
  const result = await search.run();
  return { result, images: images.size, common: common.size };
}

function imageOf(sent: readonly Packet[]): string {
  const messages = sent.flatMap((packet) => messageOf(packet) ?? []);
  return [...new Set(messages)].sort().join();
}

function messageOf({ from, body }: Packet): string | undefined {
  switch (body.kind) {
    case 'prepare':
      return `1a ${name(body.ballot)}`;
    case 'promised': {
      const votes = body.votes.map(
        (v) => `${name(v.ballot)}=${valuesIn({ ...body, ...v, kind: 'votes', count: 1 }).join()}`,
      );
      return `1b ${from} ${name(body.ballot)} ${votes.join()}`;
    }
    case 'accept':
      return `2a ${name(body.ballot)} ${valuesIn(body).join()}`;
    case 'votes':
      return `2b ${from} ${name(body.ballot)} ${valuesIn(body).join()}`;
    default:
      return undefined;
  }
}

function name(ballot: Ballot): string {
  return formatBallot(ballot);
}

function isAnsweredAgain({ body }: Packet): boolean {
  return body.kind === 'promised' && body.votes.some((vote) => compareBallots(vote.ballot, body.ballot) >= 0);
}
