/** Faults of processes: killed, killed as soon as they start, stopped and woken again. */
import type { Prng } from '../../shared/base/prng.ts';
import { nameOf, pause } from './crew.ts';
import type { Crew, Member } from './crew.ts';
import type { Fault, FaultKind, Ground } from './fault.ts';

/** Starts that a crash loop ends, and the pause after each. */
const CRASHES = 3;
const CRASH_MS_MAX = 600;

/** Every fault of processes, in the order in which a page shows them. */
export function processFaults(ground: Ground): FaultKind[] {
  const { crew } = ground;
  const one = (random: Prng): Member[] => [random.pick(crew.members)];
  const some = (random: Prng): Member[] => {
    const drawn = crew.members.filter(() => random.chance(0.4));
    return drawn.length === 0 ? one(random) : drawn;
  };
  const leader = (): Member[] => leaderOf(ground);
  return [
    { name: 'kill one', weight: 4, draw: (random) => kill(crew, one(random)) },
    { name: 'kill the leader', weight: 3, draw: () => kill(crew, leader()) },
    { name: 'kill several', weight: 2, draw: (random) => kill(crew, some(random)) },
    { name: 'kill all', weight: 1, draw: () => kill(crew, crew.members) },
    { name: 'crash loop', weight: 2, draw: (random) => crashLoop(ground, one(random), random) },
    { name: 'pause one', weight: 3, draw: (random) => pauseOf(crew, one(random)) },
    { name: 'pause the leader', weight: 3, draw: () => pauseOf(crew, leader()) },
    { name: 'pause several', weight: 1, draw: (random) => pauseOf(crew, some(random)) },
  ];
}

/** The proposer that the newest answer named; the first one while no answer did. */
export function leaderOf({ crew, workload }: Ground): Member[] {
  const proposers = crew.of('proposer');
  const named = proposers.filter(({ id }) => id === workload.leader);
  return named.length > 0 ? named : proposers.slice(0, 1);
}

const names = (members: readonly Member[]): string => members.map(nameOf).join(', ');

function kill(crew: Crew, members: readonly Member[]): Fault {
  return {
    ...{ kind: 'kill', text: `kill -9 of ${names(members)}`, members },
    async begin() {
      await crew.end(members, 'SIGKILL');
      return undefined;
    },
    end: () => back(crew, members),
  };
}

async function back(crew: Crew, members: readonly Member[]): Promise<undefined> {
  await crew.back(members);
}

function crashLoop({ crew, signal }: Ground, members: readonly Member[], random: Prng): Fault {
  const pausesMs = Array.from({ length: CRASHES }, () => random.below(CRASH_MS_MAX));
  return {
    ...{ kind: 'kill', text: `kill -9 of ${names(members)}, ${CRASHES + 1} times while it starts`, members },
    async begin() {
      await crew.end(members, 'SIGKILL');
      for (const ms of pausesMs) {
        await crew.back(members);
        await pause(ms, signal);
        await crew.end(members, 'SIGKILL');
      }
      return undefined;
    },
    end: () => back(crew, members),
  };
}

/** One that sleeps misses everything, and goes on where it was: a leader that does not know that another took over. */
function pauseOf(crew: Crew, members: readonly Member[]): Fault {
  const all = (signal: NodeJS.Signals): Promise<undefined> => {
    for (const member of members) crew.signal(member, signal);
    return Promise.resolve(undefined);
  };
  return {
    ...{ kind: 'pause', text: `SIGSTOP of ${names(members)}, then SIGCONT`, members },
    begin: () => all('SIGSTOP'),
    end: () => all('SIGCONT'),
  };
}
