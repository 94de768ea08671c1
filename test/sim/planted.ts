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
  /** Another edit, of the same file where it names none. */
  readonly also?: { readonly file?: string; readonly find: string; readonly replace: string };
  /** It takes many seeds: looked for by `npm run sim -- --planted` alone. */
  readonly isSeldom?: true;
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
    file: 'test/sim/proposer.ts',
    find: 'incarnation: hex(this.prng, 16)',
    replace: "incarnation: hex(this.prng, 16).replace(/./g, '0')",
    isSeldom: true,
  },
  {
    name: 'a phase-2 quorum one too small',
    file: 'shared/paxos/quorum.ts',
    find: 'isPhase2: (members) => phase2[members] === 1,',
    replace: 'isPhase2: (members) => ids.some((_, i) => phase2[members | (1 << i)] === 1),',
  },
  {
    name: 'a phase-1 quorum one too small',
    file: 'shared/paxos/quorum.ts',
    find: 'isPhase1: (members) => phase1[members] === 1,',
    replace: 'isPhase1: (members) => ids.some((_, i) => phase1[members | (1 << i)] === 1),',
  },
  {
    name: 'a phase-2 quorum of a grid that is a row, and nobody looks whether they meet',
    file: 'shared/paxos/quorum.ts',
    find: 'phase2: (members) => columnMasks.some((column) => (members & column) === column),',
    replace: 'phase2: (members) => columnMasks.every((column) => (members & column) !== 0),',
    also: { find: '  refuseMisses(ids, family, tables);\n', replace: '' },
  },
  {
    name: 'weighted acceptors are counted as one each, and nobody looks whether they meet',
    file: 'shared/paxos/quorum.ts',
    find: 'each.reduce((sum, weight, position) => sum + ((members >> position) & 1) * weight, 0);',
    replace: 'Math.round(bitCount(members) * (each.reduce((sum, weight) => sum + weight, 0) / ids.length));',
    also: { find: '  refuseMisses(ids, family, tables);\n', replace: '' },
  },
  {
    name: 'a leader takes promises of a phase-2 quorum for those of a phase-1 quorum',
    file: 'shared/paxos/phase1.ts',
    find: 'return this.#quorum.isPhase1(this.#complete);',
    replace: 'return this.#quorum.isPhase2(this.#complete);',
    also: { find: 'this.#quorum.isPhase1(quorum)', replace: 'this.#quorum.isPhase2(quorum)' },
  },
  {
    name: 'the value choice ignores the votes of phase 1',
    file: 'shared/paxos/phase1.ts',
    find: 'for (const { first, vote } of report.votes) merge(found, acceptor, first, vote, from, to);',
    replace: '',
  },
  {
    name: 'the value choice takes the lowest ballot',
    file: 'shared/paxos/phase1.ts',
    find: 'if (order !== 0) return order > 0 ? mine : old;',
    replace: 'if (order !== 0) return order < 0 ? mine : old;',
    isSeldom: true,
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
    find: 'const mine = tallies.find((t) => sameBallot(t.ballot, votes.ballot) && t.identity === identity);',
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
    isSeldom: true,
  },
  {
    name: '>= for > in R1: a promise of the same round is given again to another proposer',
    file: 'shared/paxos/acceptor.ts',
    find: 'if (compareBallots(ballot, log.promised) < 0 || compareBallots(ballot, log.voted) < 0)',
    replace: 'if (ballot.round < log.promised.round || compareBallots(ballot, log.voted) < 0)',
  },
  {
    name: 'a torn tail is cut one record early',
    file: 'shared/journal/open.ts',
    find: 'const entries = again ? entriesOf(end.last.bytes, 0, end.last.header) : [];',
    replace: "const entries = again && end.tail !== 'torn' ? entriesOf(end.last.bytes, 0, end.last.header) : [];",
  },
  {
    name: 'the last write is kept without being written again (R6)',
    file: 'shared/journal/open.ts',
    find: "end.tail === 'clean' ? await keepTail",
    replace: "end.tail !== 'torn' ? await keepTail",
  },
  {
    name: 'a failed sync is tried again',
    file: 'shared/journal/journal.ts',
    find: 'await segment.file.sync();\n      segment.end += size;',
    replace: 'await segment.file.sync().catch(() => segment.file.sync());\n      segment.end += size;',
  },
  {
    name: 'a record is read without its checksum',
    file: 'shared/journal/record.ts',
    find: 'return crc32(bytes.subarray(at + HEADER, end), seedFor(header.type, seed)) === header.payloadCrc;',
    replace: 'return end <= bytes.length;',
  },
  {
    name: 'a trim takes a segment that is still needed',
    file: 'shared/journal/journal.ts',
    find: 'if (i > 0 && segment.hasHead && segment.first <= below) keep = i;',
    replace: 'if (i > 0 && segment.hasHead && segment.first <= below + 40) keep = i;',
  },
  {
    name: 'a floor is not durable before votes are dropped',
    file: 'shared/paxos/acceptor.ts',
    find: "this.#persist({ kind: 'floor', log: log.name, floor });\n    this.#setFloor(log, floor);",
    replace: 'this.#setFloor(log, floor);',
  },
  {
    name: 'a duplicate is acknowledged before the sync of the first',
    file: 'shared/runtime/acceptor-node.ts',
    find: 'this.#held.push({ position: this.#journal.newest, effect, cause: this.#trace?.cause ?? 0 });',
    replace: `
        if (effect.kind === 'reply' && effect.message.kind === 'accepted') {
          const key = effect.message.log + effect.message.first + JSON.stringify(effect.message.ballot);
          const seen = (this.seen ??= new Set());
          if (seen.has(key)) return this.#ports.send(effect, -1);
          seen.add(key);
        }
        this.#held.push({ position: this.#journal.newest, effect, cause: this.#trace?.cause ?? 0 });`,
  },
  {
    name: 'a session table is lost in a snapshot',
    file: 'shared/machine/session.ts',
    find: 'to.varint(count).raw(window.done());',
    replace: 'to.varint(0);',
  },
  {
    name: 'a leader does not look whether it knows a proposal',
    file: 'services/proposer/admission.ts',
    find: '      return known;\n    },\n    feed',
    replace: '      return NEW;\n    },\n    feed',
  },
  {
    name: 'a refusal of what was sent before says that it had no effect',
    file: 'shared/paxos/proposer.ts',
    find: "const outcome: Outcome = proposal.sent || proposal.retry ? 'unknown' : 'none';",
    replace: "const outcome: Outcome = 'none';",
  },
  {
    name: 'a read joins a question that was on its way before it came',
    file: 'services/learner/tips.ts',
    find: 'of.gathering.add(reader);',
    replace: '(of.asked?.readers ?? of.gathering).add(reader);',
    isSeldom: true,
  },
  {
    name: 'a read asks one acceptor, not a quorum',
    file: 'services/learner/tips.ts',
    find: 'if (!this.#options.quorum.isPhase1(question.answered)) return;',
    replace: '',
  },
  {
    name: 'a no-op is proposed below a watermark',
    file: 'shared/paxos/leader.ts',
    find: 'const start = phase1.watermark;',
    replace: 'const start = Math.max(0, phase1.watermark - 1);',
  },
  {
    name: 'a leader uses its ballot again after it stepped down',
    file: 'shared/paxos/leader.ts',
    find: 'const ballot = freshBallot(this.#ctx, this.#seen);',
    replace: 'const ballot = (this.ballotOnce ??= freshBallot(this.#ctx, this.#seen));',
  },
  {
    name: 'a disk that is older than it once was speaks',
    file: 'shared/paxos/introduction.ts',
    find: 'if (sameStart(own, remembered)) return undefined;\n  if (remembered.start > own.start)',
    replace: 'if (own.start > 0) return undefined;\n  if (remembered.start > own.start)',
    isSeldom: true,
  },
  {
    name: 'a session that expired is opened again under its client id',
    file: 'test/sim/client.ts',
    find: 'client: hex(this.#prng, 32),',
    replace: 'client: this.#id,',
    also: {
      find: 'if (state?.session === operation.session) this.#sessions.delete(operation.log);',
      replace: 'this.#sessions.delete(operation.log);',
    },
  },
  {
    name: 'a proposer that is sent back to who forwards asks again at once',
    file: 'shared/paxos/proposer.ts',
    find: 'if (leader.pause(backoffMs(ctx, leader.attempts))) return;',
    replace: '',
  },
  {
    name: 'a fast quorum one too small',
    file: 'shared/paxos/quorum.ts',
    find: 'isFast: (members) => fast[members] === 1,',
    replace: 'isFast: (members) => ids.some((_, i) => fast[members | (1 << i)] === 1),',
  },
  {
    name: 'plurality choice: the value with the most votes, whatever their ballots',
    file: 'shared/paxos/phase1.ts',
    find: 'if (order !== 0) return order > 0 ? mine : old;',
    replace: 'if (order !== 0) return mine.values.length > old.values.length ? mine : old;',
  },
  {
    name: 'a recovery ignores fast votes',
    file: 'shared/paxos/phase1.ts',
    find: 'for (const { first, vote } of report.votes) merge(',
    replace: 'for (const { first, vote } of report.votes) if (!isFast(vote.ballot)) merge(',
  },
  {
    name: 'a recovery takes any fast vote, not the one that may be chosen',
    file: 'shared/paxos/phase1.ts',
    find: 'return (possible[0] ?? [...values].sort(byVotes)[0])?.batch;',
    replace: 'return [...values].sort((a, b) => byVotes(b, a))[0]?.batch;',
  },
  {
    name: 'history (a): fast votes of others are taken for promises, and a value is sent without phase 1',
    file: 'shared/paxos/round.ts',
    find: '    sendTo(ctx, undefined, this.#message(ballot, this.#from));\n  }',
    replace:
      "    sendTo(ctx, undefined, this.#message(ballot, this.#from));\n    if (this.task.kind === 'decree' && this.log.startsWith('fast')) {\n      const flight = { ballot, first: 0, batch: Batch.of([this.task.entry()]), voters: 0, sentAt: ctx.now, since: ctx.now };\n      this.#phase = { kind: 'accepting', ballot, flights: [flight], since: ctx.now, no: 0, full: 0 };\n      this.#accept(undefined, flight);\n    }\n  }",
  },
  {
    name: 'history (c): a learner takes the value from one acceptor and the votes from others',
    file: 'shared/paxos/learner.ts',
    find: 'sameBallot(t.ballot, votes.ballot) && t.identity === identity)',
    replace: 'sameBallot(t.ballot, votes.ballot))',
    also: { find: 'mine.batch.equals(batch),', replace: 'true,' },
  },
  {
    name: 'history (d): values are told apart without their clients, and two are told that theirs is chosen',
    file: 'shared/paxos/identity.ts',
    find: 'const digest = sha256(value);',
    replace: 'const digest = sha256(value.subarray(20));',
  },
  {
    name: 'an acceptor gives a second vote at a fast ballot',
    file: 'shared/paxos/acceptor.ts',
    find: 'if (!value.batch.equals(batch.slice(from - first, to - first))) {',
    replace: 'if (!isFast(ballot) && !value.batch.equals(batch.slice(from - first, to - first))) {',
  },
  {
    name: 'a proposer counts a classic quorum of fast votes',
    file: 'shared/paxos/fast.ts',
    find: 'if (value !== undefined && this.#ctx.quorum.isFast(voters)) return this.#chosen(value);',
    replace: 'if (value !== undefined && this.#ctx.quorum.isPhase2(voters)) return this.#chosen(value);',
  },
  {
    name: 'history (b): a recovery of one slot is taken for a licence for the next',
    file: 'shared/paxos/opener.ts',
    find: '    this.#accept(undefined, first, value);\n  }\n\n  /** R8',
    replace:
      '    this.#accept(undefined, first, value);\n    this.#accept(undefined, first + 1, value);\n  }\n\n  /** R8',
  },
  {
    name: 'a coordinated recovery counts the votes of fewer than a phase-1 quorum',
    file: 'shared/paxos/opener.ts',
    find: 'if (slot.sent !== undefined || !quorum.isPhase1(voted)) return;',
    replace: 'if (slot.sent !== undefined || voted === 0) return;',
    also: {
      find: 'if (!this.#isPossible(slot)) this.#recover(first, slot);',
      replace: 'this.#recover(first, slot);',
    },
  },
  {
    name: 'a loser takes the slot that it lost for its own',
    file: 'shared/paxos/fast-log.ts',
    find: 'if (value !== undefined) return this.#lost(flight, value);',
    replace: 'if (value !== undefined) return this.#won(flight);',
  },
  {
    name: 'Any is sent where it is not free: slots above are voted, and not known to be chosen',
    file: 'shared/paxos/opener.ts',
    find: "if (highest + 1 > from) return this.#close('slots below are not finished');",
    replace: '',
    isSeldom: true,
  },
];
