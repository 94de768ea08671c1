/** Who speaks: the header of every unary request between roles, and of the first frame of every stream (R7). */
import { SynodError } from '../../base/errors.ts';
import type { Header as WireHeader } from '../gen/synod/v1/common.ts';
import { bytesOf, hexOf, INCARNATION_BYTES, member, need, readEnum } from './fields.ts';

export type Role = 'proposer' | 'acceptor' | 'learner' | 'client';

export interface Header {
  /** Empty from a client that does not say. */
  readonly cluster: string;
  /** 16 hex digits; empty from a client that does not say. */
  readonly configuration: string;
  readonly role: Role;
  /** From 1 on; 0 for a client. */
  readonly id: number;
  /** 16 hex digits for a proposer, undefined for all others. */
  readonly incarnation: string | undefined;
}

const ROLES: readonly (Role | undefined)[] = [undefined, 'proposer', 'acceptor', 'learner', 'client'];

export function writeHeader(header: Header): WireHeader {
  const { cluster, configuration, role, id, incarnation } = header;
  return {
    cluster,
    configuration:
      configuration === '' ? new Uint8Array(0) : bytesOf(configuration, INCARNATION_BYTES, 'configuration'),
    role: ROLES.indexOf(role) as WireHeader['role'],
    id,
    incarnation: incarnation === undefined ? new Uint8Array(0) : bytesOf(incarnation, INCARNATION_BYTES, 'incarnation'),
  };
}

/** Reads the header of a role. A client's request without any header reads as a client that does not say. */
export function readHeader(wire: WireHeader | undefined): Header {
  const { cluster, configuration, role, id, incarnation } = need(wire, 'header');
  const name = readEnum(ROLES, role, 'header.role');
  if (name === 'client')
    return { cluster, configuration: readConfiguration(configuration), role: name, id, incarnation: undefined };
  return {
    cluster,
    configuration: readConfiguration(configuration),
    role: name,
    id: member(id, 'header.id'),
    incarnation: name === 'proposer' ? hexOf(incarnation, INCARNATION_BYTES, 'header.incarnation') : undefined,
  };
}

function readConfiguration(bytes: Uint8Array): string {
  return bytes.length === 0 ? '' : hexOf(bytes, INCARNATION_BYTES, 'header.configuration');
}

/** What a member of a cluster knows about itself, against which headers are checked. */
export interface Expected {
  readonly cluster: string;
  readonly configuration: string;
}

/** A header that a client left out, or that names no role: any client may call without one. */
export function readClientHeader(wire: WireHeader | undefined): Header {
  if (wire === undefined || wire.role === 0)
    return {
      cluster: wire?.cluster ?? '',
      configuration: wire === undefined ? '' : readConfiguration(wire.configuration),
      role: 'client',
      id: 0,
      incarnation: undefined,
    };
  return readHeader(wire);
}

/**
 * Refuses another cluster, another configuration (R7), and roles that have no business here. Roles must name both; a client's
 * are checked only where it names them.
 */
export function checkHeader(header: Header, expected: Expected, roles: readonly Role[]): Header {
  const { cluster, configuration, role } = header;
  if (!roles.includes(role))
    throw new SynodError('FAILED_PRECONDITION', `a ${role} called what is for a ${roles.join(' or a ')}`);
  const free = role === 'client';
  if (cluster !== expected.cluster && !(free && cluster === ''))
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the message is for cluster ${JSON.stringify(cluster)}, and this is ${JSON.stringify(expected.cluster)}: check the endpoints and the cluster setting`,
    );
  if (configuration !== expected.configuration && !(free && configuration === ''))
    throw new SynodError(
      'FAILED_PRECONDITION',
      `the message is for configuration ${configuration === '' ? '(none)' : configuration}, and this is ${expected.configuration}: all members need the same acceptors and quorums`,
    );
  return header;
}
