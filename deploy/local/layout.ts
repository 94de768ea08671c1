/** Which processes make up a local cluster, and where each of them listens and keeps its data. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { SynodError } from '../../shared/base/errors.ts';

export const ROLES = ['acceptor', 'proposer', 'learner'] as const;
export type Role = (typeof ROLES)[number];

export interface Shape {
  readonly acceptors: number;
  readonly proposers: number;
  readonly learners: number;
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
      if (!(await isFree(address)))
        throw new SynodError(
          'UNAVAILABLE',
          `The port of ${address}, for ${member.role} ${String(member.id)}, is in use; is another cluster running? ` +
            'Choose other ports with: npm start -- --port-base 17000',
        );
}

/**
 * A port base whose ports are all free. It is looked for below the range from which outgoing connections take their ports, so
 * that a member which is down for a moment finds its port free when it comes back.
 */
export async function choosePortBase(shape: Shape): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const base = 10_000 + 20 * Math.floor(Math.random() * 1_000);
    const addresses = layout(shape, base, '').flatMap(({ grpc, http }) => [grpc, http]);
    const free = await Promise.all(addresses.map(isFree));
    if (!free.includes(false)) return base;
  }
  throw new SynodError('UNAVAILABLE', 'no free ports were found from 10101 to 31399');
}

function isFree(address: string): Promise<boolean> {
  const port = Number(address.slice(address.lastIndexOf(':') + 1));
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => {
      resolve(false);
    });
    probe.listen({ host: HOST, port, exclusive: true }, () => {
      probe.close(() => {
        resolve(true);
      });
    });
  });
}
