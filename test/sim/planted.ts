/**
 * Planted faults: the mistakes that careful people and teaching code make, each as an edit of the shipped source. The simulator
 * runs over a copy that has the edit; a simulator that cannot find them proves nothing.
 */
export interface PlantedFault {
  readonly name: string;
  readonly file: string;
  /** Exactly as it stands in the source, once. */
  readonly find: string;
  readonly replace: string;
}

export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    name: 'a promise is not durable',
    file: 'shared/paxos/acceptor.ts',
    find: "this.#persist({ kind: 'promise', log: log.name, ballot, lead });",
    replace: '',
  },
  {
    name: 'a vote is not durable',
    file: 'shared/wire/codec/record.ts',
    find: 'export function encodeRecord(record: AcceptorRecord): Buffer {',
    replace:
      "export function encodeRecord(record: AcceptorRecord): Buffer {\n  if (record.kind === 'vote') record = { kind: 'floor', log: record.log, floor: 0 };",
  },
  {
    name: 'promising by set membership instead of order: any ballot not seen before is promised',
    file: 'shared/paxos/acceptor.ts',
    find: 'if (compareBallots(ballot, log.promised) < 0 || compareBallots(ballot, log.voted) < 0)',
    replace: 'if (false as boolean)',
  },
  {
    name: 'a vote below the promise',
    file: 'shared/paxos/acceptor.ts',
    find: "if (compareBallots(ballot, log.promised) < 0) return refuse('ballot', log);",
    replace: '',
  },
  {
    name: 'a new leader begins at the watermark and does not propose again what phase 1 found above it',
    file: 'shared/paxos/leader.ts',
    find: 'const next = Math.max(phase1.highest + 1, start);',
    replace: 'const next = start;',
  },
  {
    name: 'counters without proposer id: ballots are compared by round alone',
    file: 'shared/paxos/ballot.ts',
    find: 'if (a.round !== b.round) return a.round - b.round;',
    replace: 'return a.round - b.round;',
  },
  {
    name: 'a ballot without its incarnation: every start of a proposer draws the same',
    file: 'test/sim/nodes.ts',
    find: 'incarnation: hex(world.prng, 16)',
    replace: "incarnation: hex(world.prng, 16).replace(/./g, '0')",
  },
  {
    name: 'a phase-2 quorum one too small',
    file: 'shared/paxos/quorum.ts',
    find: 'isPhase2: (members) => bitCount(members) >= phase2,',
    replace: 'isPhase2: (members) => bitCount(members) >= phase2 - 1,',
  },
  {
    name: 'a phase-1 quorum one too small',
    file: 'shared/paxos/quorum.ts',
    find: 'isPhase1: (members) => bitCount(members) >= phase1,',
    replace: 'isPhase1: (members) => bitCount(members) >= phase1 - 1,',
  },
  {
    name: 'the value choice ignores the votes of phase 1',
    file: 'shared/paxos/phase1.ts',
    find: 'for (const { first, vote } of report.votes) merge(found, first, vote, from, to);',
    replace: '',
  },
  {
    name: 'the value choice takes the lowest ballot',
    file: 'shared/paxos/phase1.ts',
    find: 'if (order !== 0) return order > 0 ? cut : old;',
    replace: 'if (order !== 0) return order < 0 ? cut : old;',
  },
  {
    name: 'accepted messages are counted without the acceptor’s id',
    file: 'shared/paxos/leader.ts',
    find: 'flight.voters |= 1 << acceptor;\n    }\n    if (state.finishing?.flights !== undefined)',
    replace: 'flight.voters = (flight.voters << 1) | 1;\n    }\n    if (state.finishing?.flights !== undefined)',
  },
  {
    name: 'a learner counts votes without their ballot',
    file: 'shared/paxos/learner.ts',
    find: 'const mine = tallies.find((t) => sameBallot(t.ballot, votes.ballot));',
    replace: 'const mine = tallies[0];',
  },
  {
    name: 'messages leave before the sync, duplicates included',
    file: 'shared/runtime/acceptor-node.ts',
    find: 'held !== undefined && held.position <= synced;',
    replace: 'held !== undefined;',
  },
  {
    name: 'a promise does not carry the floor and the watermark',
    file: 'shared/paxos/acceptor.ts',
    find: 'highest: log.highest,\n        watermark: log.watermark,\n        floor: log.floor,\n      },\n    });\n  }\n\n  #onAccept',
    replace: 'highest: log.highest,\n        watermark: 0,\n        floor: 0,\n      },\n    });\n  }\n\n  #onAccept',
  },
  {
    name: 'a new leader’s session table lacks what it proposed again',
    file: 'shared/paxos/leader.ts',
    find: 'if (slot >= next) admission.feed(slot, value);',
    replace: 'if (slot >= next) admission.feed(slot, this.#ctx.noOp);',
  },
  {
    name: 'a proposer takes an answer to its earlier start for its own',
    file: 'shared/paxos/proposer.ts',
    find: 'if (message.incarnation !== this.#ctx.self.incarnation) return;',
    replace: '',
  },
];
