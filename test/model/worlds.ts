/** The worlds that are searched: each small enough to be searched whole, and large enough for what it is about. */
import { bySize, majority } from '../../shared/paxos/quorum.ts';
import type { ProposerLimits } from './nodes.ts';
import type { World } from './world.ts';

const ONE: ProposerLimits = {
  ballots: 1,
  ballotsAfterRestart: 1,
  asks: [['v1']],
  asksAfterRestart: [['v3']],
  protocol: 'basic',
  canCrash: false,
  finishTo: 0,
};
const TWO: ProposerLimits = { ...ONE, asks: [['v2']] };
const EITHER: ProposerLimits = { ...ONE, asks: [['v1', 'v2']] };
const LEADS: ProposerLimits = { ...ONE, protocol: 'multi' };
const LEADS_TOO: ProposerLimits = { ...TWO, protocol: 'multi' };

const BASE: World = {
  name: '',
  about: '',
  quorum: majority(3),
  needed: { phase2: 2, fast: 3 },
  proposers: [ONE, TWO],
  learners: 1,
  acceptorCrashes: false,
  loses: [],
  down: 0,
  sometimes: [],
  isLarge: false,
};

const CHOSEN = ['a value is chosen in slot 0', 'a learner learns'];
const DUEL = [...CHOSEN, 'the value of another is proposed again', 'a value is chosen at two ballots'];
const REJECTED = ['a reject: ballot', 'a phase ends: accept rejected'];
const TWO_SLOTS = [
  ...CHOSEN,
  'a value is chosen in slot 1',
  'what phase 1 found is proposed again',
  'a no-op fills a slot',
];

const FAST_ONE: ProposerLimits = { ...ONE, protocol: 'fast' };
const FAST_TWO: ProposerLimits = { ...TWO, protocol: 'fast' };
const FAST_FOUR: World = {
  ...BASE,
  quorum: majority(4),
  needed: { phase2: 3, fast: 3 },
  proposers: [FAST_ONE, FAST_TWO],
  learners: 0,
};
const OPENER: ProposerLimits = { ...ONE, protocol: 'opener', asks: [['v1'], ['v2']], ballots: 2 };
const VOTER: ProposerLimits = { ...ONE, protocol: 'voter', asks: [['v3']] };
const OPENED: World = {
  ...BASE,
  proposers: [OPENER, VOTER],
  learners: 0,
  loses: ['tell'],
  isLarge: true,
  sometimes: ['a log is opened', 'a value is chosen at a fast ballot'],
};
const FAST_WAYS = ['a value is chosen at a fast ballot', 'a collision', 'a fast proposal: fast'];

export const WORLDS: readonly World[] = [
  {
    ...BASE,
    name: 'tiny',
    about: 'a decree; two proposers with one ballot each and a choice of two values; no rejects',
    proposers: [EITHER, EITHER],
    learners: 0,
    loses: ['rejected'],
    sometimes: ['the value of another is proposed again', 'a value is chosen at two ballots'],
  },
  {
    ...BASE,
    name: 'basic',
    about: 'a decree; two proposers with one ballot each, a learner',
    sometimes: [...DUEL, ...REJECTED, 'an answer: the value of another'],
  },
  {
    ...BASE,
    name: 'basic-duel-3',
    about: 'a decree; two proposers, one of which goes on to a second ballot',
    proposers: [{ ...ONE, ballots: 2 }, TWO],
    loses: ['rejected'],
    isLarge: true,
    sometimes: [...DUEL, 'an answer: the value of another'],
  },
  {
    ...BASE,
    name: 'basic-duel',
    about: 'a decree; two of three acceptors; two proposers with two ballots and one',
    proposers: [{ ...ONE, ballots: 2 }, TWO],
    down: 1,
    sometimes: [...DUEL, ...REJECTED, 'an answer: the value of another'],
  },
  {
    ...BASE,
    name: 'acceptor-crash',
    about: 'a decree; two of three acceptors; one dies at any moment, synced or not, and comes back from its journal',
    acceptorCrashes: true,
    down: 1,
    sometimes: [...DUEL, ...REJECTED, 'a vote survives a crash'],
  },
  {
    ...BASE,
    name: 'proposer-crash',
    about: 'a decree; two of three acceptors; a proposer dies, comes back with another incarnation and another value',
    proposers: [{ ...ONE, canCrash: true }, TWO],
    down: 1,
    sometimes: DUEL,
  },
  {
    ...BASE,
    name: 'flexible',
    about:
      'a decree; four acceptors, any three promise, any two choose; two proposers with one ballot each; no rejects',
    quorum: bySize(4, 3, 2),
    needed: { phase2: 2, fast: 3 },
    learners: 0,
    loses: ['rejected'],
    sometimes: [
      'a value is chosen in slot 0',
      'the value of another is proposed again',
      'a value is chosen at two ballots',
    ],
  },
  {
    ...BASE,
    name: 'multi',
    about: 'a log; two of three acceptors; two leaders, one after the other or at once, one value each',
    proposers: [LEADS, LEADS_TOO],
    loses: ['rejected'],
    down: 1,
    sometimes: [...CHOSEN, 'a value is chosen in slot 1', 'what phase 1 found is proposed again'],
  },
  {
    ...FAST_FOUR,
    name: 'fast',
    loses: ['tell'],
    about: 'a decree at ballot zero; four acceptors, two proposers that collide, one of which recovers',
    proposers: [FAST_ONE, { ...FAST_TWO, ballots: 0 }],
    sometimes: [...FAST_WAYS, 'a fast proposal: recovered'],
  },
  {
    ...FAST_FOUR,
    name: 'fast-duel',
    about:
      'a decree at ballot zero; four acceptors, two proposers that collide and recover against one another; no rejects',
    loses: ['tell', 'rejected'],
    sometimes: [
      'a value is chosen at a fast ballot',
      'a fast proposal: fast',
      'a fast proposal: fallback',
      'the value of another is proposed again',
      'a value is chosen at two ballots',
    ],
  },
  {
    ...FAST_FOUR,
    name: 'fast-duel-4',
    isLarge: true,
    about: 'the same with rejects, by which collisions are seen at once',
    loses: ['tell'],
    sometimes: [...FAST_WAYS, 'a fast proposal: recovered', 'the value of another is proposed again'],
  },
  {
    ...BASE,
    name: 'fast-3',
    about: 'a decree; three acceptors, a proposer at ballot zero and one that runs Basic Paxos',
    proposers: [FAST_ONE, TWO],
    learners: 0,
    loses: ['rejected', 'tell'],
    sometimes: [
      'a value is chosen at a fast ballot',
      'a fast proposal: fallback',
      'the value of another is proposed again',
    ],
  },
  {
    ...OPENED,
    name: 'fast-open',
    about: 'a log that its leader opens; three acceptors; who opened it and another propose at once, and it recovers',
    proposers: [OPENER, { ...VOTER, ballots: 0 }],
    sometimes: [...OPENED.sometimes, 'a collision', 'a phase ends: accept recovered'],
  },
  {
    ...OPENED,
    name: 'fast-open-led',
    about: 'a log that its leader opens; three acceptors; another leader comes at any moment',
    proposers: [OPENER, LEADS_TOO],
    loses: ['tell', 'rejected'],
    sometimes: [...OPENED.sometimes, 'what phase 1 found is proposed again'],
  },
  {
    ...BASE,
    name: 'multi-slots',
    isLarge: true,
    about: 'a log; two of three acceptors; a leader of two slots, and another that takes over and fills holes',
    proposers: [{ ...LEADS, asks: [['v1'], ['v3']] }, LEADS_TOO],
    down: 1,
    sometimes: [...TWO_SLOTS, 'a no-op is chosen'],
  },
  {
    ...BASE,
    name: 'multi-acceptor-crash',
    isLarge: true,
    about: 'a log; two of three acceptors, one of which dies and comes back; two leaders',
    proposers: [LEADS, LEADS_TOO],
    loses: ['rejected', 'tell'],
    acceptorCrashes: true,
    down: 1,
    sometimes: [...CHOSEN, 'what phase 1 found is proposed again', 'a vote survives a crash'],
  },
  {
    ...BASE,
    name: 'multi-finish',
    isLarge: true,
    about: 'a log; two of three acceptors; a leader of two slots, and a proposer that is asked to finish them',
    proposers: [
      { ...LEADS, asks: [['v1'], ['v3']] },
      { ...TWO, asks: [], finishTo: 2 },
    ],
    down: 1,
    sometimes: [
      ...CHOSEN,
      'a value is chosen in slot 1',
      'the value of another is proposed again',
      'a no-op fills a slot',
    ],
  },
  {
    ...BASE,
    name: 'acceptor-crash-3',
    isLarge: true,
    about: 'a decree; an acceptor dies at any moment, synced or not, and comes back from its journal',
    acceptorCrashes: true,
    loses: ['rejected'],
    sometimes: [...DUEL, 'a vote survives a crash'],
  },
  {
    ...BASE,
    name: 'proposer-crash-3',
    isLarge: true,
    about: 'a decree; a proposer dies, comes back with another incarnation and is asked for another value',
    proposers: [{ ...ONE, canCrash: true }, TWO],
    loses: ['rejected'],
    sometimes: DUEL,
  },
  {
    ...BASE,
    name: 'multi-3',
    isLarge: true,
    about: 'a log; two leaders, one after the other or at once, one value each',
    proposers: [LEADS, LEADS_TOO],
    loses: ['rejected', 'tell'],
    sometimes: [...CHOSEN, 'a leader: taken', 'what phase 1 found is proposed again'],
  },
  {
    ...BASE,
    name: 'multi-slots-3',
    about: 'a log; a leader of two slots, and another that takes over and fills holes',
    proposers: [{ ...LEADS, asks: [['v1'], ['v3']] }, LEADS_TOO],
    isLarge: true,
    loses: ['rejected', 'tell'],
    sometimes: TWO_SLOTS,
  },
];
