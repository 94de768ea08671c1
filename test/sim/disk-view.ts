/**
 * Reads an acceptor's disk from outside: what a loss of power at this moment would leave of its journal. It follows the syncs of
 * the disk and parses the records that became durable, so whatever leaves the acceptor can be compared with it (R3, R10).
 */
import { entriesOf, payloadIsWhole, readHeader, recordBytes, seedOf } from '../../shared/journal/record.ts';
import { parseStart, segmentNumber } from '../../shared/journal/segment.ts';
import {
  BALLOT_ZERO,
  compareBallots,
  FAST,
  formatBallot,
  maxBallot,
  sameBallot,
  type Ballot,
} from '../../shared/paxos/ballot.ts';
import type { AcceptorRecord } from '../../shared/paxos/messages.ts';
import { decodeRecord } from '../../shared/wire/codec/record.ts';
import type { MemoryDisk } from '../support/memory-disk.ts';
import { identityBySight } from './oracle.ts';

export interface DurableLog {
  promised: Ballot;
  /** The greatest ballot voted at. */
  voted: Ballot;
  highest: number;
  floor: number;
  /** By slot: every ballot voted at, the latest last. */
  readonly votes: Map<number, Ballot[]>;
  /** By slot and fast ballot: the identity of what was voted for there. */
  readonly fast: Map<string, string>;
  /** By slot: the segment that holds the latest vote. */
  readonly where: Map<number, number>;
}

type VoteRecord = Extract<AcceptorRecord, { kind: 'vote' }>;

interface DurableSegment {
  readonly number: number;
  /** Up to here its records are durable and were read. */
  end: number;
  readonly votes: { readonly log: string; readonly first: number; readonly end: number }[];
}

export class DiskView {
  readonly #logs = new Map<string, DurableLog>();
  readonly #segments = new Map<string, DurableSegment>();
  #seed = 0;
  /** Why a segment must not have been removed, if so. */
  broken: string | undefined;

  /** What is durable of a log. */
  log(name: string): DurableLog {
    let log = this.#logs.get(name);
    if (log === undefined) {
      log = {
        promised: BALLOT_ZERO,
        voted: BALLOT_ZERO,
        highest: -1,
        floor: 0,
        votes: new Map(),
        fast: new Map(),
        where: new Map(),
      };
      this.#logs.set(name, log);
    }
    return log;
  }

  /** True for a segment that is part of the journal. */
  holds(name: string): boolean {
    return this.#segments.has(name);
  }

  /** `identity`: at a fast ballot, of what was voted for; undefined asks for any. */
  hasVote(name: string, slot: number, ballot: Ballot, identity: string | undefined): boolean {
    const log = this.#logs.get(name);
    const ballots = log?.votes.get(slot);
    if (ballots === undefined) return false;
    if (identity !== undefined && log?.fast.get(`${slot} ${formatBallot(ballot)}`) !== identity) return false;
    for (let i = ballots.length - 1; i >= 0; i--) if (sameBallot(ballots[i] as Ballot, ballot)) return true;
    return false;
  }

  /** Begins anew, on the disk as it is. */
  rebuild(disk: MemoryDisk): void {
    this.#logs.clear();
    this.#segments.clear();
    this.onFolder(disk);
  }

  /** A file was synced. It may still be known to its owner by the name under which it was made. */
  onSync(disk: MemoryDisk, opened: string): void {
    const name = opened.replace('.tmp', '.seg');
    const segment = this.#segments.get(name);
    const bytes = segment === undefined ? undefined : disk.durableOf(name);
    if (segment !== undefined && bytes !== undefined) this.#read(segment, bytes);
  }

  /** The folder was synced: segments came or went. */
  onFolder(disk: MemoryDisk): void {
    const names = [...disk.durableNames()].filter((name) => segmentNumber(name) !== undefined).sort();
    for (const name of names) {
      if (this.#segments.has(name)) continue;
      const segment: DurableSegment = { number: segmentNumber(name) ?? 0, end: 0, votes: [] };
      this.#segments.set(name, segment);
      this.#read(segment, disk.durableOf(name) ?? new Uint8Array(0));
    }
    for (const [name, segment] of this.#segments) if (!names.includes(name)) this.#removed(name, segment);
  }

  /** A byte inside a record that is whole and durable, by chance; undefined when there is none. `at` is in [0, 1). */
  place(at: number): { readonly name: string; readonly offset: number } | undefined {
    let total = 0;
    for (const segment of this.#segments.values()) total += segment.end;
    let offset = Math.floor(at * total);
    for (const [name, segment] of this.#segments) {
      if (offset < segment.end) return { name, offset };
      offset -= segment.end;
    }
    return undefined;
  }

  #read(segment: DurableSegment, bytes: Uint8Array): void {
    for (;;) {
      const at = segment.end;
      const header = readHeader(bytes, at, this.#seed);
      if (header?.segment !== segment.number || header.offset !== at) return;
      const size = recordBytes(0, header.length);
      if (at + size > bytes.length || !payloadIsWhole(bytes, at, header, this.#seed)) return;
      segment.end = at + size;
      if (header.type === 'start') {
        const start = parseStart(entriesOf(bytes, at, header)[0] ?? new Uint8Array(0));
        this.#seed = seedOf(start?.disk ?? '');
      } else if (header.type !== 'mark') for (const entry of entriesOf(bytes, at, header)) this.#record(segment, entry);
    }
  }

  #record(segment: DurableSegment, entry: Uint8Array): void {
    const record = decodeRecord(entry);
    if (record.kind === 'forget' || record.kind === 'resign' || record.kind === 'any') return;
    const log = this.log(record.log);
    switch (record.kind) {
      case 'promise':
        log.promised = maxBallot(log.promised, record.ballot);
        return;
      case 'vote':
        return this.#vote(segment, log, record);
      case 'floor':
        log.floor = Math.max(log.floor, record.floor);
        return;
      case 'log':
        log.promised = maxBallot(log.promised, record.promised);
        if (record.voted !== undefined) log.voted = maxBallot(log.voted, record.voted);
        log.floor = Math.max(log.floor, record.floor);
        log.highest = Math.max(log.highest, record.highest);
    }
  }

  #vote(segment: DurableSegment, log: DurableLog, record: VoteRecord): void {
    const { log: name, ballot, first, batch } = record;
    const { count } = batch;
    if (ballot.kind === FAST)
      batch.values().forEach((bytes, i) => {
        log.fast.set(`${first + i} ${formatBallot(ballot)}`, identityBySight(ballot, bytes) ?? '');
      });
    log.voted = maxBallot(log.voted, ballot);
    log.highest = Math.max(log.highest, first + count - 1);
    segment.votes.push({ log: name, first, end: first + count });
    for (let slot = first; slot < first + count; slot++) {
      const ballots = log.votes.get(slot);
      if (ballots === undefined) log.votes.set(slot, [ballot]);
      else if (compareBallots(ballots[ballots.length - 1] as Ballot, ballot) < 0) ballots.push(ballot);
      log.where.set(slot, segment.number);
    }
  }

  /** R10: the votes of a segment that goes are below a durable floor, or were written again later. */
  #removed(name: string, segment: DurableSegment): void {
    this.#segments.delete(name);
    for (const { log: of, first, end } of segment.votes) {
      const log = this.log(of);
      for (let slot = Math.max(first, log.floor); slot < end; slot++)
        if (log.where.get(slot) === segment.number)
          this.broken ??= `R10: ${name} was removed with the vote for slot ${slot} of ${of}; the durable floor is ${log.floor}`;
    }
  }
}
