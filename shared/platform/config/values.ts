/**
 * The kinds of settings. Each takes the text of a flag, an environment variable or a file, and says what is wrong with it and
 * what would be right. A default is written as a user would write it, and goes through the same door.
 */
import { isIP } from 'node:net';
import { z } from 'zod';

/** What `--help` and error messages know of a setting. */
export interface About {
  /** What it is for, in one line. */
  readonly describe: string;
  /** As a user would write it. Without one the setting must be given, unless it is optional. */
  readonly default?: string;
  /** Its value is never logged or shown. */
  readonly secret?: boolean;
}

/** How a setting is written, for help: `DURATION`, `N`, `HOST:PORT`. */
export interface Meta extends About {
  readonly form: string;
}

/** Reads a text, or answers why it cannot be: a sentence that begins with what it must be. */
type Read<T> = (text: string) => { readonly value: T } | { readonly must: string };

type Setting<T> = z.ZodType<T, string | undefined>;

/** Makes a setting of a kind of your own. */
export function setting<T>(form: string, about: About, read: Read<T>): Setting<T> {
  const schema = z.string().transform((text, context) => {
    const result = text === '' ? { must: 'must not be empty' } : read(text);
    if ('value' in result) return result.value;
    context.addIssue({ code: 'custom', message: result.must, input: text });
    return z.NEVER;
  });
  const meta = { ...about, form } satisfies Meta;
  const preset = about.default === undefined ? schema : schema.prefault(about.default);
  // zod says `Awaited<T>`, because a transform may be a promise; these are not.
  return (preset as Setting<unknown> as Setting<T>).meta({ ...meta });
}

/** A setting that may be left out. */
export function optional<T>(inner: Setting<T>): z.ZodType<T | undefined, string | undefined> {
  return inner.optional().meta({ ...inner.meta() });
}

export interface TextAbout extends About {
  readonly pattern?: RegExp;
  /** What the pattern asks for, after "must be". */
  readonly must?: string;
  readonly form?: string;
}

export function text(about: TextAbout): Setting<string> {
  return setting(about.form ?? 'TEXT', about, (given) =>
    about.pattern === undefined || about.pattern.test(given)
      ? { value: given }
      : { must: `must be ${about.must ?? String(about.pattern)}` },
  );
}

export interface RangeAbout extends About {
  readonly min?: number;
  readonly max?: number;
}

export function integer(about: RangeAbout): Setting<number> {
  const min = about.min ?? 0;
  const max = about.max ?? Number.MAX_SAFE_INTEGER;
  return setting('N', about, (given) => {
    const value = /^-?\d{1,16}$/.test(given) ? Number(given) : NaN;
    return value >= min && value <= max
      ? { value }
      : { must: `must be a whole number from ${String(min)} to ${String(max)}` };
  });
}

/** One of a few words. */
export function choice<const T extends string>(words: readonly T[], about: About): Setting<T> {
  return setting(words.join('|'), about, (given) => {
    const found = words.find((word) => word === given);
    return found === undefined ? { must: `must be one of ${words.join(', ')}` } : { value: found };
  });
}

/** Yes or no; as a flag it needs no value. */
export function yesNo(about: About): Setting<boolean> {
  return setting('true|false', about, (given) =>
    given === 'true' || given === 'false' ? { value: given === 'true' } : { must: 'must be true or false' },
  );
}

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `100ms`, `5s`, `2m`, `1h`; milliseconds in code. A number without a unit is refused. */
export function duration(about: RangeAbout): Setting<number> {
  const min = about.min ?? 0;
  const max = about.max ?? 24 * 3_600_000;
  return setting('DURATION', about, (given) => {
    const value = withUnit(given, DURATION_MS);
    if (value !== undefined && value >= min && value <= max) return { value };
    return { must: `must be a duration such as 100ms, 5s or 2m, from ${durationText(min)} to ${durationText(max)}` };
  });
}

/** Milliseconds of `100ms`, `5s`, `2m`, `1h`; undefined for anything else. */
export function readDuration(given: string): number | undefined {
  return withUnit(given, DURATION_MS);
}

const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** `512KiB`, `64MiB`, `2GiB`; bytes in code. A number without a unit is refused. */
export function size(about: RangeAbout): Setting<number> {
  const min = about.min ?? 0;
  const max = about.max ?? 1024 ** 5;
  return setting('SIZE', about, (given) => {
    const value = withUnit(given, SIZE_BYTES);
    if (value !== undefined && value >= min && value <= max) return { value };
    return { must: `must be a size such as 512KiB or 64MiB, from ${sizeText(min)} to ${sizeText(max)}` };
  });
}

function withUnit(given: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)([A-Za-z]{1,3})$/.exec(given);
  const unit = units[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}

/** Writes milliseconds as a user would: `1500ms`, `5s`. */
export function durationText(ms: number): string {
  return textWithUnit(ms, DURATION_MS, 'ms');
}

/** Writes bytes as a user would: `1500B`, `64MiB`. */
export function sizeText(bytes: number): string {
  return textWithUnit(bytes, SIZE_BYTES, 'B');
}

function textWithUnit(value: number, units: Readonly<Record<string, number>>, smallest: string): string {
  const [unit, each] = Object.entries(units)
    .reverse()
    .find(([, u]) => value >= u && value % u === 0) ?? [smallest, 1];
  return `${String(value / each)}${unit}`;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Splits `host:port`, `[::1]:port` included; undefined when it is not one. */
export function parseHostPort(given: string): HostPort | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})$/.exec(given);
  const port = Number(match?.[2]);
  return match?.[1] === undefined || port > 65_535 ? undefined : { host: match[1], port };
}

/** `host:port` again. */
export function hostPortText(at: HostPort): string {
  return `${at.host}:${String(at.port)}`;
}

export function hostPort(about: About): Setting<HostPort> {
  return setting('HOST:PORT', about, (given) => {
    const value = parseHostPort(given);
    return value === undefined ? { must: 'must be HOST:PORT with a port from 0 to 65535' } : { value };
  });
}

/** Splits `ip:port`, `[::1]:port` included; undefined for anything else, names included. */
export function parseIpPort(given: string): HostPort | undefined {
  const value = parseHostPort(given);
  return value === undefined || value.port === 0 || isIP(value.host.replace(/^\[|\]$/g, '')) === 0 ? undefined : value;
}

export function ipPort(about: About): Setting<HostPort> {
  return setting('IP:PORT', about, (given) => {
    const value = parseIpPort(given);
    return value === undefined ? { must: 'must be IP:PORT, an address and not a name' } : { value };
  });
}

/** `1=127.0.0.1:7101,2=127.0.0.1:7102`: addresses by id, in order of the ids. Ids are from 1 to 65,535. */
export function endpoints(about: About): Setting<ReadonlyMap<number, string>> {
  return setting('ID=HOST:PORT,…', about, readEndpoints);
}

function readEndpoints(given: string): ReturnType<Read<ReadonlyMap<number, string>>> {
  const found = new Map<number, string>();
  for (const part of given.split(',')) {
    const [idText = '', address = ''] = part.trim().split('=', 2);
    const id = /^[1-9]\d{0,4}$/.test(idText) ? Number(idText) : 0;
    if (id < 1 || id > 65_535 || (parseHostPort(address)?.port ?? 0) === 0)
      return {
        must: `must be a list such as 1=127.0.0.1:7101,2=127.0.0.1:7102${part === given ? '' : ` (see ${JSON.stringify(part)})`}`,
      };
    if (found.has(id)) return { must: `must name each id once (${String(id)} is there twice)` };
    if ([...found.values()].includes(address))
      return { must: `must name each address once (${address} is there twice)` };
    found.set(id, address);
  }
  return { value: new Map([...found].sort(([a], [b]) => a - b)) };
}

/** Members that DNS names: the SRV records of a port of a service. */
export interface DnsName {
  readonly kind: 'dns';
  /** The name of the service, looked for in the search domains of this machine too. */
  readonly host: string;
  /** The name of its port. */
  readonly service: string;
  /** The port of every member, where it was given as a number; undefined: as the records say. */
  readonly port: number | undefined;
}

/** The members of a role by id, or where to find them. */
export type MemberList = ReadonlyMap<number, string> | DnsName;

const DNS = 'dns:';
/** The name of the gRPC port, where none is given. */
const SERVICE = 'grpc';

/** Reads `dns:HOST`, `dns:HOST:PORT`, `dns:HOST:PORTNAME`; undefined when it is none of them. */
export function parseDnsName(given: string): DnsName | undefined {
  const match = /^dns:([A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?)(?::([A-Za-z0-9-]{1,15}))?$/.exec(given);
  if (match === null) return undefined;
  const [, host = '', text = SERVICE] = match;
  if (!/^\d+$/.test(text)) return { kind: 'dns', host, service: text, port: undefined };
  const port = Number(text);
  return port < 1 || port > 65_535 ? undefined : { kind: 'dns', host, service: SERVICE, port };
}

/** `dns:host:port` again. */
export function dnsNameText({ host, service, port }: DnsName): string {
  return `${DNS}${host}:${port === undefined ? service : String(port)}`;
}

export function isFixed(list: MemberList): list is ReadonlyMap<number, string> {
  return !('kind' in list);
}

/** A list as of `endpoints`, or `dns:HOST:PORT`: found by DNS, again and again. */
export function members(about: About): Setting<MemberList> {
  return setting<MemberList>('ID=HOST:PORT,…|dns:HOST:PORT', about, (given) => {
    if (!given.startsWith(DNS)) {
      const list = readEndpoints(given);
      return 'must' in list ? { must: `${list.must}, or dns:HOST:PORT, a service that DNS knows` } : list;
    }
    const value = parseDnsName(given);
    return value === undefined
      ? { must: 'must be dns:HOST:PORT with one host name, and a port from 1 to 65535 or the name of one' }
      : { value };
  });
}
