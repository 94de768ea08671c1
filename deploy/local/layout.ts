/** Which processes make up a local cluster, and where each of them listens and keeps its data. */
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { SynodError } from '../../shared/base/errors.ts';

export const ROLES = ['acceptor', 'proposer', 'learner'] as const;
export type Role = (typeof ROLES)[number];

export interface Shape {
  readonly acceptors: number;
  readonly proposers: number;
  readonly learners: number;
  /** The quorum system, as the setting `quorum` has it. Default: `majority`. */
  readonly quorum?: string;
}

export interface Member {
  readonly role: Role;
  readonly id: number;
  /** `127.0.0.1:7101` */
  readonly grpc: string;
  /** `127.0.0.1:8101` */
  readonly http: string;
  /** Its folder; a proposer has none. */
  readonly data: string | undefined;
}

/** The quorum system where none is asked for. */
export const MAJORITY = 'majority';

/** The ids of a role's members. */
export function idsUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at + 1);
}

const HOST = '127.0.0.1';
const FIRST_PORT: Readonly<Record<Role, number>> = { acceptor: 101, proposer: 201, learner: 301 };
const HTTP_ABOVE = 1_000;

/** The members of a cluster: gRPC ports base + 101, 201 and 301 and up, HTTP ports 1000 above. */
export function layout(shape: Shape, portBase: number, data: string): Member[] {
  return ROLES.flatMap((role) =>
    Array.from({ length: shape[`${role}s`] }, (_, at) => {
      const port = portBase + FIRST_PORT[role] + at;
      return {
        role,
        id: at + 1,
        grpc: `${HOST}:${String(port)}`,
        http: `${HOST}:${String(port + HTTP_ABOVE)}`,
        data: role === 'proposer' ? undefined : join(data, `${role}-${String(at + 1)}`),
      };
    }),
  );
}

/** Throws UNAVAILABLE when a port of a member is taken, with the port and how to choose others. */
export async function checkPorts(members: readonly Member[]): Promise<void> {
  for (const member of members)
    for (const address of [member.grpc, member.http])
      if (!(await isFree(portOf(address))))
        throw new SynodError(
          'UNAVAILABLE',
          `The port of ${address}, for ${member.role} ${String(member.id)}, is in use; is another cluster running? ` +
            'Choose other ports with: npm start -- --port-base 17000',
        );
}

/** A port base that no other claim on this machine meets, until it is let go. */
export interface PortClaim {
  readonly base: number;
  /** The ports of all members that such a cluster can have. */
  readonly ports: number[];
  readonly release: () => Promise<void>;
}

/** The most members of a role that a claimed base has ports for. */
export const CLAIMED_MEMBERS_MAX = 20;

/**
 * Every base that can be claimed, from 10000 on. Their members' ports are apart, and lie below the range from which outgoing
 * connections take theirs, so that a member which is down for a moment finds its port free when it comes back.
 */
const BASES = Array.from({ length: 11 * 2 * 5 }, (_, i) => {
  const [thousands, half, step] = [Math.floor(i / 10), Math.floor(i / 5) % 2, i % 5];
  return 10_000 + 2_000 * thousands + 500 * half + CLAIMED_MEMBERS_MAX * step;
});

/**
 * Claims a port base for a cluster of at most 20 members a role. The claim is a socket that listens on the base itself, where no
 * member listens: it holds among all processes, also while a member is down, and ends with the process that made it.
 * Throws UNAVAILABLE when all are taken.
 */
export async function claimPortBase(): Promise<PortClaim> {
  const shape = { acceptors: CLAIMED_MEMBERS_MAX, proposers: CLAIMED_MEMBERS_MAX, learners: CLAIMED_MEMBERS_MAX };
  const first = Math.floor(Math.random() * BASES.length);
  for (const base of [...BASES.slice(first), ...BASES.slice(0, first)]) {
    const guard = await listen(base);
    if (guard === undefined) continue;
    const release = (): Promise<void> => closed(guard);
    const ports = layout(shape, base, '').flatMap(({ grpc, http }) => [portOf(grpc), portOf(http)]);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return { base, ports, release };
    await release();
  }
  throw new SynodError('UNAVAILABLE', 'no free ports were found from 10000 to 31900');
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** Whether nobody listens on a port of loopback now. */
export async function isFree(port: number): Promise<boolean> {
  const probe = await listen(port);
  if (probe !== undefined) await closed(probe);
  return probe !== undefined;
}

/** A socket that listens on a port and does not keep the process alive; undefined where the port is taken. */
function listen(port: number): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy()).unref();
  return new Promise((resolve) => {
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen({ host: HOST, port, exclusive: true }, () => {
      resolve(server);
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}
