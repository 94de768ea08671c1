/** The door for clients: what ProposerService and LearnerService take from anybody, with every limit checked (R15: outcome none). */
import { SynodError } from '../../base/errors.ts';
import { LIMITS, RESERVED_LOG_PREFIX } from '../../base/limits.ts';
import type { Proposals, ProposeStreamHello } from '../gen/synod/v1/proposer.ts';
import type { OpenSessionRequest, ProposeRequest } from '../gen/synod/v1/proposer_service.ts';
import { hexOf, ID_BYTES, logName, notBelow, refuse, whole } from './fields.ts';
import { readClientHeader } from './header.ts';
import type { Header } from './header.ts';

export type Protocol = 'basic' | 'multi';

/** A proposal's place in a session. */
export interface SessionPlace {
  /** 32 hex digits. */
  readonly client: string;
  readonly session: number;
  /** From 1 on. */
  readonly sequence: number;
  readonly acknowledged: number;
}

export interface ProposeDemand {
  readonly header: Header;
  readonly log: string;
  readonly protocol: Protocol;
  readonly payload: Uint8Array;
  /** Undefined: the proposer uses a session of its own. */
  readonly place: SessionPlace | undefined;
  /** BASIC only: the client that wants to recognise its value, 32 hex digits. */
  readonly client: string | undefined;
  readonly retry: boolean;
}

/** Bytes of a payload: what a value may have, less what wraps it. */
export const PAYLOAD_BYTES_MAX = LIMITS.valueBytesMax - 64 * 1024;

export function readProposeRequest(m: ProposeRequest): ProposeDemand {
  const protocol = readProtocol(m.protocol);
  const client = m.client.length === 0 ? undefined : hexOf(m.client, ID_BYTES, 'client');
  const header = readClientHeader(m.header);
  const log = readClientLog(m.log);
  const payload = readPayload(m.payload);
  if (protocol === 'basic') return { header, log, protocol, payload, place: undefined, client, retry: m.retry };
  if (client === undefined) {
    if (m.session !== 0 || m.sequence !== 0 || m.retry)
      refuse(
        'the proposal has a session, a sequence number or the retry mark, but no client: send the client id that opened the session',
      );
    return { header, log, protocol, payload, place: undefined, client, retry: false };
  }
  const acknowledged = whole(m.acknowledged, 'acknowledged');
  const place = {
    client,
    session: whole(m.session, 'session'),
    sequence: readSequence(m.sequence, 1, acknowledged),
    acknowledged,
  };
  return { header, log, protocol, payload, place, client, retry: m.retry };
}

export function readOpenSessionRequest(m: OpenSessionRequest): { header: Header; log: string; client: string } {
  return {
    header: readClientHeader(m.header),
    log: readClientLog(m.log),
    client: hexOf(m.client, ID_BYTES, 'client'),
  };
}

export interface StreamHello {
  readonly header: Header;
  readonly log: string;
  /** Undefined: the proposer makes one. */
  readonly client: string | undefined;
  /** Undefined: the proposer opens one. */
  readonly session: number | undefined;
}

export function readProposeStreamHello(m: ProposeStreamHello): StreamHello {
  if (readProtocol(m.protocol) === 'basic')
    refuse('a stream proposes with MULTI: a decree is one proposal, for which Propose is there');
  const client = m.client.length === 0 ? undefined : hexOf(m.client, ID_BYTES, 'hello.client');
  if (client === undefined && m.session !== undefined)
    refuse('hello.session needs hello.client, the client that opened it');
  return {
    header: readClientHeader(m.header),
    log: readClientLog(m.log),
    client,
    session: m.session === undefined ? undefined : whole(m.session, 'hello.session'),
  };
}

export interface ProposalsDemand {
  readonly firstSequence: number;
  readonly payloads: readonly Uint8Array[];
  readonly acknowledged: number;
  readonly retry: boolean;
  readonly progress: boolean;
}

export function readProposals(m: Proposals): ProposalsDemand {
  if (m.payloads.length === 0) refuse('proposals.payloads is empty: at least one value is needed');
  const acknowledged = whole(m.acknowledged, 'proposals.acknowledged');
  const firstSequence = readSequence(m.firstSequence, m.payloads.length, acknowledged);
  for (const payload of m.payloads) readPayload(payload);
  return { firstSequence, payloads: m.payloads, acknowledged, retry: m.retry, progress: m.progress };
}

/** A log that a client may propose to or read: not one of Synod's own. */
export function readClientLog(log: string): string {
  if (logName(log).startsWith(RESERVED_LOG_PREFIX))
    refuse(
      `the log's name ${JSON.stringify(log)} begins with ${RESERVED_LOG_PREFIX}: such logs belong to Synod itself`,
    );
  return log;
}

/** A range of slots; `to` undefined stands for the end. */
export function readRange(from: number, to: number | undefined): { from: number; to: number | undefined } {
  whole(from, 'from');
  return { from, to: to === undefined ? undefined : notBelow(whole(to, 'to'), from, 'to', 'from') };
}

/** A client's value: at least one byte, at most `PAYLOAD_BYTES_MAX`. */
export function readPayload(payload: Uint8Array): Uint8Array {
  if (payload.length === 0) refuse('the value is empty: at least one byte is needed');
  if (payload.length > PAYLOAD_BYTES_MAX)
    refuse(
      `the value has ${String(payload.length)} bytes: the limit is ${String(PAYLOAD_BYTES_MAX)} bytes (1.5 MiB); it is fixed, the same for every cluster, and no setting`,
    );
  return payload;
}

function readSequence(first: number, count: number, acknowledged: number): number {
  if (whole(first, 'sequence') < 1) refuse('sequence is 0: numbers of a session begin at 1');
  if (first <= acknowledged)
    refuse(
      `sequence ${String(first)} is not above ${String(acknowledged)}, up to which the client acknowledged its answers`,
    );
  const last = first + count - 1;
  if (last - acknowledged > LIMITS.sessionWindow)
    refuse(
      `sequence ${String(last)} is ${String(last - acknowledged)} above the acknowledged ${String(acknowledged)}: the window of a session is ${String(LIMITS.sessionWindow)}`,
    );
  return first;
}

function readProtocol(protocol: number): Protocol {
  switch (protocol) {
    case 0:
    case 2:
      return 'multi';
    case 1:
      return 'basic';
    case 3:
      throw new SynodError('UNIMPLEMENTED', 'protocol FAST is not served here: propose with MULTI or BASIC');
    default:
      return refuse(`protocol is ${String(protocol)}: BASIC (1) or MULTI (2) is needed`);
  }
}
