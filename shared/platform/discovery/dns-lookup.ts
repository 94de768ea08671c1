/**
 * Members by DNS: the SRV records of a service, and the addresses of the names in them. Asked with c-ares, which takes no thread of
 * the pool that journals sync with, as getaddrinfo would.
 */
import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { SynodError, messageOf } from '../../base/errors.ts';
import { hostPortText } from '../config/values.ts';
import type { DnsName, HostPort } from '../config/values.ts';
import { MEMBERS_MAX } from './directory.ts';
import type { MemberLookup, Named } from './directory.ts';

export interface DnsLookupOptions {
  /** Default: the servers of this machine. */
  readonly server?: HostPort | undefined;
  /** What `/etc/resolv.conf` says of search domains. Default: the file, or nothing where a server is given. */
  readonly resolvConf?: string;
}

/** How long one server may take, and how often it is asked. */
const TIMEOUT_MS = 1_000;
const TRIES = 2;

export class DnsLookup implements MemberLookup {
  readonly #resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  readonly #search: Search;
  /** Under which full name the service was found: asked first. */
  readonly #found = new Map<string, string>();

  constructor({ server, resolvConf }: DnsLookupOptions = {}) {
    if (server !== undefined) this.#resolver.setServers([hostPortText(server)]);
    this.#search = readSearch(resolvConf ?? (server === undefined ? systemConf() : ''));
  }

  /** Rejects with UNAVAILABLE when nobody is named, names too many, or DNS does not answer. */
  async find(name: DnsName): Promise<readonly Named[]> {
    const service = name.host.startsWith('_') ? name.host : `_${name.service}._tcp.${name.host}`;
    const records = await this.#records(service);
    if (records.length > MEMBERS_MAX)
      throw new SynodError(
        'UNAVAILABLE',
        `DNS names ${String(records.length)} members by ${service}; at most ${String(MEMBERS_MAX)} are taken`,
      );
    return Promise.all(
      records.map(async (record) => ({
        target: record.name,
        addresses: await this.#addresses(record.name, name.port ?? record.port),
      })),
    );
  }

  async #records(service: string): Promise<readonly { readonly name: string; readonly port: number }[]> {
    const names = fullNames(service, this.#search);
    const found = this.#found.get(service);
    for (const name of found === undefined ? names : [found, ...names.filter((each) => each !== found)]) {
      try {
        const records = await this.#resolver.resolveSrv(name);
        if (records.length === 0) continue;
        this.#found.set(service, name);
        return records;
      } catch (error) {
        if (isAbsent(error)) continue;
        const why = codeOf(error) ?? messageOf(error);
        throw new SynodError('UNAVAILABLE', `DNS does not say who is ${name}: ${why}`, 'none', error);
      }
    }
    throw new SynodError('UNAVAILABLE', `DNS has no SRV record of ${names.join(', nor of ')}`);
  }

  /** None where the name has none now, or DNS does not say: the others count all the same. */
  async #addresses(target: string, port: number): Promise<string[]> {
    for (const [family, open, close] of [
      [4, '', ''],
      [6, '[', ']'],
    ] as const)
      try {
        const found = await (family === 4 ? this.#resolver.resolve4(target) : this.#resolver.resolve6(target));
        if (found.length > 0) return found.sort().map((ip) => `${open}${ip}${close}:${String(port)}`);
      } catch (error) {
        // A name that is not known by either family stays without an address until it is asked for again.
        if (!isAbsent(error)) return [];
      }
    return [];
  }
}

/** DNS answered, and there is nothing. */
function isAbsent(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOTFOUND' || code === 'ENODATA';
}

/** `ETIMEOUT` and the like, as c-ares says it. */
function codeOf(error: unknown): string | undefined {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

interface Search {
  readonly domains: readonly string[];
  /** A name with at least so many dots is first taken for a full one. */
  readonly dots: number;
}

/** `search` and `ndots` of a resolv.conf: c-ares leaves them to its caller here. */
export function readSearch(conf: string): Search {
  let domains: string[] = [];
  let dots = 1;
  for (const line of conf.split('\n')) {
    const [word = '', ...rest] = line.trim().split(/\s+/);
    if (word === 'search' || word === 'domain') domains = rest.map((domain) => domain.replace(/\.$/, ''));
    if (word !== 'options') continue;
    for (const option of rest) dots = Number(/^ndots:(\d{1,2})$/.exec(option)?.[1] ?? dots);
  }
  return { domains: domains.filter((domain) => domain !== ''), dots };
}

/** The names to ask for, in order, as the resolver of the C library would. */
export function fullNames(name: string, { domains, dots }: Search): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const searched = domains.map((domain) => `${name}.${domain}`);
  return name.split('.').length - 1 >= dots ? [name, ...searched] : [...searched, name];
}

function systemConf(): string {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    // Not every system has one: names are then taken as they are.
    return '';
  }
}
