/** A DNS server on loopback that answers SRV, A and AAAA questions from a zone that a test changes as it goes. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { HostPort } from '../../shared/platform/config/values.ts';

export interface Srv {
  readonly target: string;
  readonly port: number;
}

const TYPE = { A: 1, AAAA: 28, SRV: 33 } as const;
const NXDOMAIN = 3;
const SERVFAIL = 2;

export class DnsServer {
  /** Services by their full name. An empty list is a name without such records. */
  readonly services = new Map<string, readonly Srv[]>();
  /** Addresses of hosts. */
  readonly hosts = new Map<string, readonly string[]>();
  /** `silent` answers nothing, `failing` says that it cannot answer. */
  mood: 'well' | 'silent' | 'failing' = 'well';
  /** Names that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #socket: Socket = createSocket('udp4');

  /** On a free port of loopback, or where glibc can be told to ask: on port 53 of another address of it. */
  static async start(host = '127.0.0.1', port = 0): Promise<DnsServer> {
    const server = new DnsServer();
    await new Promise<void>((resolve, reject) => server.#socket.once('error', reject).bind(port, host, resolve));
    server.#socket.on('message', (question, from) => {
      const answer = server.#answer(question);
      if (answer !== undefined) server.#socket.send(answer, from.port, from.address);
    });
    return server;
  }

  get at(): HostPort {
    const { address, port } = this.#socket.address();
    return { host: address, port };
  }

  /** Members of a service, each a host of its own: `name-1` at `address`, and so on. */
  set(service: string, members: ReadonlyMap<string, string>): void {
    const domain = service.replace(/^_[^.]*\._tcp\./, '');
    const records: Srv[] = [];
    for (const [name, address] of members) {
      const [ip = '', port = ''] = address.split(':');
      const target = `${name}.${domain}`;
      this.hosts.set(target, [ip]);
      records.push({ target, port: Number(port) });
    }
    this.services.set(service, records);
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#socket.close(resolve);
    });
  }

  #answer(question: Buffer): Buffer | undefined {
    const { name, end } = readName(question);
    const type = question.readUInt16BE(end);
    this.asked.push(name);
    if (this.mood === 'silent') return undefined;
    const found = this.#records(name, type);
    const head = Buffer.alloc(12);
    question.copy(head, 0, 0, 2);
    const code = this.mood === 'failing' ? SERVFAIL : found === undefined ? NXDOMAIN : 0;
    head.writeUInt16BE(0x8180 | code, 2);
    head.writeUInt16BE(1, 4);
    const answers = code === 0 ? (found ?? []) : [];
    head.writeUInt16BE(answers.length, 6);
    const rows = answers.flatMap((data) => {
      // Type, class and seconds to live, then the data; the name is that of the question, at offset 12.
      const row = Buffer.alloc(12);
      row.writeUInt16BE(0xc00c, 0);
      row.writeUInt16BE(type, 2);
      row.writeUInt16BE(1, 4);
      row.writeUInt16BE(data.length, 10);
      return [row, data];
    });
    return Buffer.concat([head, question.subarray(12, end + 4), ...rows]);
  }

  /** Undefined where the name is not known at all. */
  #records(name: string, type: number): Buffer[] | undefined {
    const services = this.services.get(name);
    const addresses = this.hosts.get(name);
    if (services === undefined && addresses === undefined) return undefined;
    if (type === TYPE.SRV)
      return (services ?? []).map(({ target, port }) => {
        const head = Buffer.alloc(6);
        head.writeUInt16BE(port, 4);
        return Buffer.concat([head, writeName(target)]);
      });
    const ips = (addresses ?? []).filter((ip) => isIPv6(ip) === (type === TYPE.AAAA));
    return type === TYPE.A || type === TYPE.AAAA ? ips.map(bytesOfIp) : [];
  }
}

function bytesOfIp(ip: string): Buffer {
  if (!isIPv6(ip)) return Buffer.from(ip.split('.').map(Number));
  const [left = '', right = ''] = ip.split('::');
  const words = (text: string): number[] => (text === '' ? [] : text.split(':').map((word) => parseInt(word, 16)));
  const [first, last] = [words(left), words(right)];
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
}

/** The name of the question, in lower case: resolvers vary the case to be harder to fool. */
function readName(question: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function writeName(name: string): Buffer {
  return Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ]);
}
