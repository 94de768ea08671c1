/** Mistakes that the checker must find, as edits of the shipped source, each in a world that is made for it. */
import type { PlantedFault } from '../sim/planted.ts';

export interface ModelFault extends PlantedFault {
  readonly world: string;
}

export const PLANTED_IN_MODEL: readonly ModelFault[] = [
  {
    name: 'a promise is not durable',
    world: 'acceptor-crash',
    file: 'shared/paxos/acceptor.ts',
    find: "this.#persist({ kind: 'promise', log: log.name, ballot, lead });",
    replace: '',
  },
  {
    name: 'a vote is not durable',
    world: 'acceptor-crash',
    file: 'shared/wire/codec/record.ts',
    find: 'export function encodeRecord(record: AcceptorRecord): Buffer {',
    replace:
      "export function encodeRecord(record: AcceptorRecord): Buffer {\n  if (record.kind === 'vote') record = { kind: 'floor', log: record.log, floor: 0 };",
  },
  {
    name: 'messages leave before the sync',
    world: 'acceptor-crash',
    file: 'shared/runtime/acceptor-node.ts',
    find: 'held !== undefined && held.position <= synced;',
    replace: 'held !== undefined;',
  },
  {
    name: 'a vote below the promise',
    world: 'basic',
    file: 'shared/paxos/acceptor.ts',
    find: "if (compareBallots(ballot, log.promised) < 0) return refuse('ballot', log);",
    replace: '',
  },
  {
    name: 'a vote below the vote of the slot',
    world: 'basic',
    file: 'shared/paxos/acceptor.ts',
    find: "if (order < 0) return refuse('ballot', log);",
    replace: '',
  },
  {
    name: 'promising by set membership instead of order: any ballot not seen before is promised',
    world: 'basic',
    file: 'shared/paxos/acceptor.ts',
    find: 'if (compareBallots(ballot, log.promised) < 0 || compareBallots(ballot, log.voted) < 0)',
    replace: 'if (false as boolean)',
  },
  {
    name: 'counters without proposer id: ballots are compared by round alone',
    world: 'basic',
    file: 'shared/paxos/ballot.ts',
    find: 'if (a.round !== b.round) return a.round - b.round;',
    replace: 'return a.round - b.round;',
  },
  {
    name: 'a ballot without its incarnation',
    world: 'proposer-crash',
    file: 'test/model/nodes.ts',
    find: "this.#incarnation = (deed.higher ? 'c' : '4').repeat(16);",
    replace: '',
  },
  {
    name: 'a phase-2 quorum one too small',
    world: 'basic',
    file: 'shared/paxos/quorum.ts',
    find: 'isPhase2: (members) => phase2[members] === 1,',
    replace: 'isPhase2: (members) => ids.some((_, i) => phase2[members | (1 << i)] === 1),',
  },
  {
    name: 'a phase-1 quorum one too small',
    world: 'basic',
    file: 'shared/paxos/quorum.ts',
    find: 'isPhase1: (members) => phase1[members] === 1,',
    replace: 'isPhase1: (members) => ids.some((_, i) => phase1[members | (1 << i)] === 1),',
  },
  {
    name: 'sizes of quorums that miss each other, and nobody looks: any two of four promise, any two choose',
    world: 'flexible',
    file: 'shared/paxos/quorum.ts',
    find: 'phase1: heavy(weightOf, q1),\n    phase2: heavy(weightOf, q2),\n    fast',
    replace: 'phase1: heavy(weightOf, q1 - 1),\n    phase2: heavy(weightOf, q2),\n    fast',
    also: { find: '  refuseMisses(ids, family, tables);\n', replace: '' },
  },
  {
    name: 'the value choice ignores the votes of phase 1',
    world: 'basic',
    file: 'shared/paxos/phase1.ts',
    find: 'for (const { first, vote } of report.votes) merge(found, first, vote, from, to);',
    replace: '',
  },
  {
    name: 'the value choice takes the lowest ballot',
    world: 'basic-duel-3',
    file: 'shared/paxos/phase1.ts',
    find: 'if (order !== 0) return order > 0 ? cut : old;',
    replace: 'if (order !== 0) return order < 0 ? cut : old;',
  },
  {
    name: 'a Basic round counts accepted messages without the acceptor’s id',
    world: 'basic',
    file: 'shared/paxos/round.ts',
    find: 'flight.voters |= 1 << acceptor;\n    }\n    if (phase.flights.every',
    replace: 'flight.voters = (flight.voters << 1) | 1;\n    }\n    if (phase.flights.every',
  },
  {
    name: 'a Basic round counts accepted messages without their ballot',
    world: 'basic-duel',
    file: 'shared/paxos/round.ts',
    find: "if (phase.kind !== 'accepting' || !sameBallot(message.ballot, phase.ballot)) return;",
    replace: "if (phase.kind !== 'accepting') return;",
  },
  {
    name: 'a learner counts votes without their ballot',
    world: 'basic',
    file: 'shared/paxos/learner.ts',
    find: 'const mine = tallies.find((t) => sameBallot(t.ballot, votes.ballot));',
    replace: 'const mine = tallies[0];',
  },
  {
    name: 'a new leader begins at the watermark and does not propose again what phase 1 found above it',
    world: 'multi',
    file: 'shared/paxos/leader.ts',
    find: 'const next = Math.max(phase1.highest + 1, start);',
    replace: 'const next = start;',
  },
  {
    name: 'a leader counts accepted messages without the acceptor’s id',
    world: 'multi',
    file: 'shared/paxos/leader.ts',
    find: 'flight.voters |= 1 << acceptor;\n    }\n    if (state.finishing?.flights !== undefined)',
    replace: 'flight.voters = (flight.voters << 1) | 1;\n    }\n    if (state.finishing?.flights !== undefined)',
  },
  {
    name: 'a start forgets that it voted: the votes are not taken back from the journal',
    world: 'acceptor-crash',
    file: 'shared/paxos/acceptor.ts',
    find: 'this.#remember(log, position, record.ballot, record.first, record.batch);\n        return',
    replace: 'return',
  },
];
