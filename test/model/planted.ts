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
    find: 'isPhase2: (members) => bitCount(members) >= phase2,',
    replace: 'isPhase2: (members) => bitCount(members) >= phase2 - 1,',
  },
  {
    name: 'a phase-1 quorum one too small',
    world: 'basic',
    file: 'shared/paxos/quorum.ts',
    find: 'isPhase1: (members) => bitCount(members) >= phase1,',
    replace: 'isPhase1: (members) => bitCount(members) >= phase1 - 1,',
  },
  {
    name: 'the value choice ignores the votes of phase 1',
    world: 'basic',
    file: 'shared/paxos/phase1.ts',
    find: 'for (const { first, vote } of report.votes) merge(found, acceptor, first, vote, from, to);',
    replace: '',
  },
  {
    name: 'the value choice takes the lowest ballot',
    world: 'basic-duel-3',
    file: 'shared/paxos/phase1.ts',
    find: 'if (order !== 0) return order > 0 ? mine : old;',
    replace: 'if (order !== 0) return order < 0 ? mine : old;',
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
    find: 'const mine = tallies.find((t) => sameBallot(t.ballot, votes.ballot) && t.identity === identity);',
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
  {
    name: 'a fast quorum one too small',
    world: 'fast',
    file: 'shared/paxos/quorum.ts',
    find: 'const isFast = (members: number): boolean => bitCount(members) >= fast;',
    replace: 'const isFast = (members: number): boolean => bitCount(members) >= fast - 1;',
  },
  {
    name: 'a recovery ignores fast votes',
    world: 'fast',
    file: 'shared/paxos/phase1.ts',
    find: 'for (const { first, vote } of report.votes) merge(',
    replace: 'for (const { first, vote } of report.votes) if (!isFast(vote.ballot)) merge(',
  },
  {
    name: 'a recovery takes any fast vote, not the one that may be chosen',
    world: 'fast',
    file: 'shared/paxos/phase1.ts',
    find: 'return (possible[0] ?? [...values].sort(byVotes)[0])?.batch;',
    replace: 'return [...values].sort((a, b) => byVotes(b, a))[0]?.batch;',
  },
  {
    name: 'a proposer counts a classic quorum of fast votes',
    world: 'fast-3',
    file: 'shared/paxos/fast.ts',
    find: 'if (value !== undefined && this.#ctx.quorum.isFast(voters)) return this.#chosen(value);',
    replace: 'if (value !== undefined && this.#ctx.quorum.isPhase2(voters)) return this.#chosen(value);',
  },
];
