/** Where the cluster is: named with --endpoints, by addresses or names that DNS knows, or a local one found by its port base. */
import { ClientError } from '../../shared/client/index.ts';
import { SynodError } from '../../shared/base/errors.ts';
import { dnsNameText, parseDnsName, parseHostPort, parseIpPort } from '../../shared/platform/config/values.ts';
import type { DnsName, HostPort } from '../../shared/platform/config/values.ts';
import { memberNumber } from '../../shared/platform/discovery/directory.ts';
import { DnsLookup } from '../../shared/platform/discovery/dns-lookup.ts';
import { UsageError } from './exit.ts';
import type { Io } from './io.ts';

export const ROLES = ['acceptor', 'proposer', 'learner'] as const;
export type RoleName = (typeof ROLES)[number];

export interface Place {
  readonly role: RoleName;
  /** Its place among those of its role; its id, where ids are counted from 1. */
  readonly id: number;
  readonly address: string;
  /** False: known to be down. */
  readonly listening: boolean;
}

export interface EndpointOptions {
  readonly endpoints?: string;
  readonly portBase?: string;
}

export const DEFAULT_PORT_BASE = 7000;
const HOST = '127.0.0.1';
const FIRST_PORT: Readonly<Record<RoleName, number>> = { acceptor: 101, proposer: 201, learner: 301 };
/** What `npm start` runs when it is not told otherwise: those that are missing of it are reported as down. */
const SHAPE: Readonly<Record<RoleName, number>> = { acceptor: 3, proposer: 2, learner: 2 };
/** Ports of each role that are looked at. */
const LOOKED_AT = 9;

export class Endpoints {
  readonly places: readonly Place[];
  /** For messages: where these addresses come from. */
  readonly source: string;

  constructor(places: readonly Place[], source: string) {
    this.places = places;
    this.source = source;
  }

  of(role: RoleName): readonly Place[] {
    return this.places.filter((place) => place.role === role);
  }

  /**
   * The addresses of a role that may answer. Throws UNAVAILABLE, with what to start, when there is none, and UsageError where the
   * command line names none at all.
   */
  reachable(role: RoleName): string[] {
    const all = this.of(role);
    const found = all.filter((place) => place.listening).map((place) => place.address);
    if (found.length > 0) return found;
    if (all.length === 0) throw new UsageError(`no ${role} is named in ${this.source}: add ${role}=HOST:PORT`);
    const where = all.map((place) => place.address).join(', ');
    throw new ClientError(
      'UNAVAILABLE',
      `no ${role} answers at ${where} (${this.source}): start a cluster with npm start, or name another with --port-base or --endpoints`,
      'none',
      { unreachable: true },
    );
  }
}

/** Flags come before the environment, endpoints before a port base. Throws UsageError for what is neither. */
export async function findEndpoints(
  options: EndpointOptions,
  io: Pick<Io, 'env' | 'listens' | 'lookup'>,
): Promise<Endpoints> {
  if (options.endpoints !== undefined) return named(options.endpoints, '--endpoints', io);
  if (options.portBase !== undefined) return local(parsePortBase(options.portBase, '--port-base'), io);
  const { SYNOD_ENDPOINTS: endpoints, SYNOD_PORT_BASE: portBase } = io.env;
  if (endpoints !== undefined && endpoints !== '') return named(endpoints, 'SYNOD_ENDPOINTS', io);
  if (portBase !== undefined && portBase !== '') return local(parsePortBase(portBase, 'SYNOD_PORT_BASE'), io);
  return local(DEFAULT_PORT_BASE, io);
}

/** `proposer=host:7201,learner=host:7301,acceptor=host:7101`; several of a role in the order of their ids. */
export function parseEndpoints(given: string, name: string): Endpoints {
  const places: Place[] = [];
  for (const part of given.split(',')) {
    const { role, address } = split(part);
    if (role === undefined || (parseHostPort(address)?.port ?? 0) === 0)
      throw new UsageError(
        `${name} must be a list such as proposer=127.0.0.1:7201,learner=127.0.0.1:7301, or of names that DNS knows, such as ` +
          `proposer=dns:synod-proposer:7201; ${JSON.stringify(part)} is neither ROLE=HOST:PORT nor ROLE=dns:HOST:PORT`,
      );
    places.push({ role, id: places.filter((each) => each.role === role).length + 1, address, listening: true });
  }
  return new Endpoints(places, name);
}

function split(part: string): { readonly role: RoleName | undefined; readonly address: string } {
  const [roleText = '', address = ''] = part.trim().split('=', 2);
  return { role: ROLES.find((each) => each === roleText || `${each}s` === roleText), address };
}

/** The same, where some roles are found by DNS: `learner=dns:synod-learner:7301`. DNS is asked now, once. */
async function named(given: string, name: string, io: Pick<Io, 'env' | 'lookup'>): Promise<Endpoints> {
  const [fixed, services]: [string[], { readonly role: RoleName; readonly name: DnsName }[]] = [[], []];
  for (const part of given.split(',')) {
    const { role, address } = split(part);
    const service = role === undefined ? undefined : parseDnsName(address);
    if (role === undefined || service === undefined) fixed.push(part);
    else services.push({ role, name: service });
  }
  if (services.length === 0) return parseEndpoints(given, name);
  const lookup = io.lookup ?? new DnsLookup({ server: serverOf(io.env) });
  const places = fixed.length === 0 ? [] : [...parseEndpoints(fixed.join(','), name).places];
  for (const { role, name: service } of services) {
    if (places.some((place) => place.role === role))
      throw new UsageError(`${name} names ${role}s twice: give all addresses, or one dns: name`);
    places.push(...(await membersOf(role, service, lookup)));
  }
  return new Endpoints(places, name);
}

async function membersOf(role: RoleName, service: DnsName, lookup: NonNullable<Io['lookup']>): Promise<Place[]> {
  try {
    const found = await lookup.find(service);
    const places = found.flatMap(({ target, addresses: [address] }) => {
      const id = memberNumber(target);
      return id === undefined || address === undefined ? [] : [{ role, id, address, listening: true }];
    });
    if (places.length > 0) return places.sort((a, b) => a.id - b.id);
    throw new SynodError(
      'UNAVAILABLE',
      `of ${String(found.length)} names that DNS gives none has a number and an address`,
    );
  } catch (error) {
    if (!(error instanceof SynodError)) throw error;
    throw new ClientError('UNAVAILABLE', `no ${role} is found by ${dnsNameText(service)}: ${error.message}`, 'none', {
      unreachable: true,
    });
  }
}

function serverOf(env: Io['env']): HostPort | undefined {
  const given = env['SYNOD_DISCOVERY_SERVER'];
  if (given === undefined || given === '') return undefined;
  const server = parseIpPort(given);
  if (server === undefined)
    throw new UsageError(`SYNOD_DISCOVERY_SERVER must be IP:PORT of a DNS server, not ${JSON.stringify(given)}`);
  return server;
}

function parsePortBase(given: string, name: string): number {
  const base = /^\d{1,5}$/.test(given) ? Number(given) : NaN;
  if (base >= 1024 && base <= 64_000) return base;
  throw new UsageError(`${name} must be a whole number from 1024 to 64000, not ${JSON.stringify(given)}`);
}

/** A local cluster: whoever listens, and whoever should. */
async function local(base: number, io: Pick<Io, 'listens'>): Promise<Endpoints> {
  const looked = await Promise.all(
    ROLES.flatMap((role) =>
      Array.from({ length: LOOKED_AT }, async (_, at) => {
        const address = `${HOST}:${String(base + FIRST_PORT[role] + at)}`;
        return { role, id: at + 1, address, listening: await io.listens(address) };
      }),
    ),
  );
  const last = (role: RoleName): number =>
    Math.max(SHAPE[role], ...looked.filter((place) => place.role === role && place.listening).map(({ id }) => id));
  const places = looked.filter(({ role, id }) => id <= last(role));
  return new Endpoints(places, `the local cluster on port base ${String(base)}`);
}
