/** Disks and starts of acceptors (R5): introductions, what is remembered of one another, and what the disk keeps of it. */
import { assertNever } from '../../base/assert.ts';
import type {
  Disks,
  Introduction,
  IntroductionAnswer,
  Remembered,
  Roster,
  RosterState,
} from '../../paxos/introduction.ts';
import type * as wire from '../gen/synod/v1/acceptor.ts';
import type { IntroduceResponse } from '../gen/synod/v1/acceptor_service.ts';
import type { Remembered as WireRemembered } from '../gen/synod/v1/common.ts';
import { RosterRecord } from '../gen/journal/v1/record.ts';
import { bytesOf, hexOf, ID_BYTES, member, need, parse, readOrNone, refuse, whole, writeOrNone } from './fields.ts';

/** Which acceptor, on which disk, in which start of it, up to which journal position. */
export interface Welcome extends Remembered {
  readonly acceptor: number;
  readonly disk: string;
}

export function writeWelcome(w: Welcome): wire.Welcome {
  return { acceptor: w.acceptor, disk: bytesOf(w.disk, ID_BYTES, 'disk'), now: writeRemembered(w) };
}

export function readWelcome(w: wire.Welcome): Welcome {
  return {
    acceptor: member(w.acceptor, 'welcome.acceptor'),
    disk: hexOf(w.disk, ID_BYTES, 'welcome.disk'),
    ...readRemembered(need(w.now, 'welcome.now'), 'welcome.now'),
  };
}

export function writeRemembered(r: Remembered): WireRemembered {
  return { start: r.start, draw: r.draw, position: writeOrNone(r.position) };
}

export function readRemembered(r: WireRemembered, field: string): Remembered {
  return {
    start: readStart(r.start, `${field}.start`),
    draw: whole(r.draw, `${field}.draw`),
    position: readOrNone(r.position, `${field}.position`),
  };
}

function readStart(start: number, field: string): number {
  if (whole(start, field) < 1) refuse(`${field} is 0: starts are counted from 1`);
  return start;
}

export function writeIntroduction(i: Introduction): wire.Introduction {
  return {
    acceptor: i.acceptor,
    disk: bytesOf(i.disk, ID_BYTES, 'disk'),
    now: writeRemembered(i),
    roster: { state: stateOf(i.roster), members: writeDisks(i.roster) },
  };
}

export function readIntroduction(wire: wire.Introduction | undefined): Introduction {
  const i = need(wire, 'introduction');
  const roster = need(i.roster, 'introduction.roster');
  return {
    acceptor: member(i.acceptor, 'introduction.acceptor'),
    disk: hexOf(i.disk, ID_BYTES, 'introduction.disk'),
    ...readRemembered(need(i.now, 'introduction.now'), 'introduction.now'),
    roster: readRoster(roster.state, roster.members, 'introduction.roster'),
  };
}

export function writeIntroduceResponse(answer: IntroductionAnswer): IntroduceResponse {
  const { introduction, remembered } = answer;
  return {
    introduction: writeIntroduction(introduction),
    remembered: remembered === undefined ? undefined : writeRemembered(remembered),
  };
}

export function readIntroduceResponse(answer: IntroduceResponse): IntroductionAnswer {
  const { introduction, remembered } = answer;
  return {
    introduction: readIntroduction(introduction),
    remembered: remembered === undefined ? undefined : readRemembered(remembered, 'remembered'),
  };
}

/** What an acceptor's disk keeps for R5, as the bytes of a journal.v1.RosterRecord. */
export function encodeRosterState(state: RosterState): Buffer {
  const remembered = [...state.remembered]
    .sort(([a], [b]) => a - b)
    .map(([acceptor, r]) => ({ acceptor, start: r.start, draw: r.draw, position: writeOrNone(r.position) }));
  const record = { state: stateOf(state.roster), members: writeDisks(state.roster), start: state.start, remembered };
  return Buffer.from(RosterRecord.encode(record).finish());
}

/** Throws INVALID_ARGUMENT when the bytes are no such record. */
export function decodeRosterState(bytes: Uint8Array): RosterState {
  const record = parse('journal.v1.RosterRecord', (b) => RosterRecord.decode(b), bytes);
  const remembered = new Map<number, Remembered>();
  for (const r of record.remembered) {
    const acceptor = member(r.acceptor, 'remembered.acceptor');
    if (remembered.has(acceptor)) refuse(`acceptor ${String(acceptor)} is remembered twice`);
    remembered.set(acceptor, readRemembered(r, 'remembered'));
  }
  return {
    roster: readRoster(record.state, record.members, 'roster'),
    start: whole(record.start, 'start'),
    remembered,
  };
}

function stateOf(roster: Roster): 1 | 2 | 3 {
  switch (roster.kind) {
    case 'none':
      return 1;
    case 'pending':
      return 2;
    case 'complete':
      return 3;
    default:
      return assertNever(roster);
  }
}

function writeDisks(roster: Roster): wire.RosterMember[] {
  if (roster.kind === 'none') return [];
  return [...roster.disks]
    .sort(([a], [b]) => a - b)
    .map(([acceptor, disk]) => ({ acceptor, disk: bytesOf(disk, ID_BYTES, 'disk') }));
}

function readRoster(state: number, members: readonly wire.RosterMember[], field: string): Roster {
  if (state === 1)
    return members.length === 0 ? { kind: 'none' } : refuse(`${field} has members and says that it is none`);
  if (state !== 2 && state !== 3) return refuse(`${field}.state is ${String(state)}, which is not known here`);
  const disks = new Map<number, string>();
  for (const m of members) {
    const acceptor = member(m.acceptor, `${field}.acceptor`);
    if (disks.has(acceptor)) refuse(`${field} names acceptor ${String(acceptor)} twice`);
    disks.set(acceptor, hexOf(m.disk, ID_BYTES, `${field}.disk`));
  }
  if (disks.size === 0) refuse(`${field} is empty`);
  const read: Disks = disks;
  return { kind: state === 2 ? 'pending' : 'complete', disks: read };
}
