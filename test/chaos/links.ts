/**
 * Faults between roles, at their message layer: links cut in both directions or one, sides that do not hear one another, messages lost
 * and late. Clients reach everybody all the time: a leader that is cut off goes on taking proposals that it cannot have chosen.
 */
import type { Prng } from '../../shared/base/prng.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { faults } from '../../shared/client/index.ts';
import type { FaultPeer, NewFault } from '../../shared/client/index.ts';
import { nameOf, pause } from './crew.ts';
import type { Crew, Member } from './crew.ts';
import type { Fault, FaultKind, Ground } from './fault.ts';
import { leaderOf } from './processes.ts';

const ALL: FaultPeer = { role: undefined, id: undefined };
const CUT = { kind: 'cut' } as const;
/** One that cannot be reached to heal it is whole again after this, by itself. */
const FOR_MS = 20_000;
const TIMEOUT_MS = 1_000;
/** Cuts of a link that flaps, and the most time for which it is cut, and whole, each time. */
const FLAPS = 5;
const FLAP_MS_MAX = 700;

/** What one member is asked to do to its messages. */
interface Order {
  readonly member: Member;
  readonly fault: Pick<NewFault, 'action' | 'peers' | 'direction'>;
}

export function linkFaults(ground: Ground): FaultKind[] {
  const { crew } = ground;
  const one = (random: Prng): Member => random.pick(crew.members);
  const leader = (): Member => leaderOf(ground)[0] as Member;
  const way = (random: Prng): NewFault['direction'] => random.pick(['both', 'both', 'in', 'out'] as const);
  const make = (kind: string, text: string, orders: readonly Order[]): Fault => linkFault(ground, kind, text, orders);
  const isolate = (member: Member, direction: NewFault['direction']): Fault =>
    make('cut', `${nameOf(member)} is cut off${oneWay(direction)}`, [
      { member, fault: { action: CUT, peers: [ALL], direction } },
    ]);
  const messages = (kind: string, what: string, action: NewFault['action'], random: Prng): Fault => {
    const hurt = crew.members.filter(() => random.chance(0.4));
    const members = hurt.length === 0 ? [one(random)] : hurt;
    const orders = members.map((member) => ({ member, fault: { action, peers: [ALL], direction: way(random) } }));
    return make(kind, `${what} at ${members.map(nameOf).join(', ')}`, orders);
  };
  return [
    { name: 'cut off one', weight: 3, draw: (random) => isolate(one(random), way(random)) },
    { name: 'cut off the leader', weight: 3, draw: (random) => isolate(leader(), way(random)) },
    { name: 'cut roles apart', weight: 2, draw: (random) => apart(crew, random, make) },
    { name: 'cut in halves', weight: 2, draw: (random) => halves(crew, random, false, make) },
    { name: 'cut with a bridge', weight: 2, draw: (random) => halves(crew, random, true, make) },
    { name: 'cut and flap', weight: 2, draw: (random) => flapping(ground, one(random), random) },
    { name: 'drop', weight: 2, draw: (random) => drop(random, messages) },
    { name: 'delay', weight: 2, draw: (random) => delay(random, messages) },
  ];
}

const oneWay = (direction: NewFault['direction']): string =>
  direction === 'both' ? '' : direction === 'in' ? ': it hears nobody' : ': nobody hears it';

type Make = (kind: string, text: string, orders: readonly Order[]) => Fault;
type Messages = (kind: string, what: string, action: NewFault['action'], random: Prng) => Fault;

function drop(random: Prng, messages: Messages): Fault {
  const share = (1 + random.below(40)) / 100;
  return messages('drop', `${Math.round(100 * share)} % of messages are lost`, { kind: 'drop', share }, random);
}

function delay(random: Prng, messages: Messages): Fault {
  const action = { kind: 'delay', ms: 5 + random.below(200), jitterMs: random.below(200) } as const;
  return messages('delay', `messages are ${action.ms} to ${action.ms + action.jitterMs} ms late`, action, random);
}

/** One proposer or learner does not reach one role; everybody else does. */
function apart(crew: Crew, random: Prng, make: Make): Fault {
  const member = random.pick([...crew.of('proposer'), ...crew.of('learner')]);
  const role = random.pick(['acceptor', 'proposer', 'learner'] as const);
  const peers = [{ role, id: undefined }];
  return make('cut', `${nameOf(member)} is cut off from ${role}s`, [
    { member, fault: { action: CUT, peers, direction: 'both' } },
  ]);
}

/** Two sides that do not hear one another; with a bridge, one member hears both. */
function halves(crew: Crew, random: Prng, hasBridge: boolean, make: Make): Fault {
  const bridge = hasBridge ? random.pick(crew.members) : undefined;
  const sides = crew.members
    .filter((member) => member !== bridge)
    .map((member) => ({ member, isLeft: random.chance(0.5) }));
  const orders = sides.flatMap(({ member, isLeft }): Order[] => {
    const peers = sides.flatMap((each) => (each.isLeft === isLeft ? [] : [each.member]));
    if (peers.length === 0) return [];
    return [{ member, fault: { action: CUT, peers: peers.map(({ role, id }) => ({ role, id })), direction: 'both' } }];
  });
  const left = sides.filter(({ isLeft }) => isLeft).map(({ member }) => nameOf(member));
  const between = bridge === undefined ? '' : `; ${nameOf(bridge)} hears both sides`;
  return make('cut', `${left.join(', ') || 'nobody'} cut off from the rest${between}`, orders);
}

function flapping({ crew, signal }: Ground, member: Member, random: Prng): Fault {
  const orders: Order[] = [{ member, fault: { action: CUT, peers: [ALL], direction: 'both' } }];
  const pausesMs = Array.from({ length: 2 * FLAPS }, () => 50 + random.below(FLAP_MS_MAX));
  return {
    ...{ kind: 'cut', text: `${nameOf(member)} is cut off ${FLAPS} times`, members: [member] },
    async begin() {
      for (const [at, ms] of pausesMs.entries()) {
        if (at % 2 === 0) await order(orders);
        else await heal(crew, [member]);
        await pause(ms, signal);
      }
      return undefined;
    },
    end: () => healed(crew, [member]),
  };
}

function linkFault({ crew }: Ground, kind: string, text: string, orders: readonly Order[]): Fault {
  const members = orders.map(({ member }) => member);
  return {
    ...{ kind, text, members },
    async begin() {
      const done = await order(orders);
      return done === orders.length ? undefined : `${done} of ${orders.length} could be told`;
    },
    end: () => healed(crew, members),
  };
}

/** Gives the orders; returns how many were taken. One that does not run or sleeps takes none. */
async function order(orders: readonly Order[]): Promise<number> {
  const taken = await Promise.all(
    orders.map(({ member, fault }) =>
      reached(() => faults.add(member.grpc, { ...fault, id: 'chaos', forMs: FOR_MS }, TIMEOUT_MS)),
    ),
  );
  return taken.filter(Boolean).length;
}

async function healed(crew: Crew, members: readonly Member[]): Promise<string | undefined> {
  const left = await heal(crew, members);
  return left.length === 0 ? undefined : `${left.map(nameOf).join(', ')} could not be told to stop it`;
}

/** Undoes what the members do that can be reached; returns the others. At those it ends by itself, after a while. */
export async function heal(crew: Crew, members: readonly Member[]): Promise<Member[]> {
  const healed = await Promise.all(
    members.map(async (member) =>
      crew.pid(member) !== undefined && (await reached(() => faults.heal(member.grpc, [], TIMEOUT_MS))) ? [] : [member],
    ),
  );
  return healed.flat();
}

async function reached(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (error instanceof SynodError && ['UNAVAILABLE', 'DEADLINE_EXCEEDED'].includes(error.code)) return false;
    throw error;
  }
}
