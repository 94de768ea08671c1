/**
 * Goal: proposers and learners that are started later are found by all, used, and given up when they are gone; a member that comes
 * back at another address is found again. Method: real processes that are told of one another by a DNS server on loopback and, for
 * acceptors, by names that the test moves from 127.0.0.1 to 127.0.0.2, where the old address takes connections and says nothing.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { claimPortBase, layout } from '../../deploy/local/layout.ts';
import type { Member, PortClaim, Role } from '../../deploy/local/layout.ts';
import { clientHeader, connect, errorReader } from '../../shared/client/index.ts';
import type { SynodClient } from '../../shared/client/index.ts';
import { connect as connectTo } from '../../shared/platform/grpc/connection.ts';
import { AcceptorServiceService } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { Role as WireRole } from '../../shared/wire/gen/synod/v1/common.ts';
import type { Link } from '../../shared/wire/gen/synod/v1/common.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { DnsServer } from '../support/dns-server.ts';
import { ROOT, built, eventually, main, runToEnd, scratch } from './cluster.ts';

jest.setTimeout(180_000);

const PROPOSERS = '_grpc._tcp.synod-proposer.test';
const LEARNERS = '_grpc._tcp.synod-learner.test';
const FORGET_MS = 1_500;
const CLUSTER = 'found-by-dns';
const LOG = 'found';

const folder = scratch();
const processes = new Map<string, ChildProcess>();
let dns: DnsServer;
let claim: PortClaim;
let members: Member[];
let client: SynodClient;

beforeAll(async () => {
  await built();
  dns = await DnsServer.start();
  claim = await claimPortBase();
  members = layout({ acceptors: 3, proposers: 3, learners: 3 }, claim.base, folder.path);
  for (const id of [1, 2, 3]) move(id, '127.0.0.1');
  name('proposer', [1, 2]);
  name('learner', [1, 2]);
  for (const id of [1, 2, 3]) start('acceptor', id);
  for (const id of [1, 2]) for (const role of ['proposer', 'learner'] as const) start(role, id);
  client = connect({ proposers: [1, 2].map((id) => member('proposer', id).grpc), timeoutMs: 60_000 });
});

afterAll(async () => {
  (client as SynodClient | undefined)?.close();
  await Promise.all([...processes.values()].map((each) => end(each, 'SIGKILL')));
  await (claim as PortClaim | undefined)?.release();
  await (dns as DnsServer | undefined)?.stop();
  folder.remove();
});

function member(role: Role, id: number): Member {
  const found = members.find((each) => each.role === role && each.id === id);
  if (found === undefined) throw new Error(`there is no ${role} ${id}`);
  return found;
}

/** What DNS says from now on of the members of a role. */
function name(role: 'proposer' | 'learner', ids: readonly number[]): void {
  const hosts = new Map(ids.map((id) => [`synod-${role}-${id}`, member(role, id).grpc] as const));
  dns.set(role === 'proposer' ? PROPOSERS : LEARNERS, hosts);
}

const hostsFile = (): string => join(folder.path, 'hosts.json');
const hosts: Record<string, string> = {};

/** An acceptor's name stands for another address from now on. */
function move(id: number, ip: string): void {
  hosts[`acceptor-${id}.test`] = ip;
  writeFileSync(hostsFile(), JSON.stringify(hosts));
}

const portOf = (address: string): string => address.replace(/^.*:/, '');

function start(role: Role, id: number, ip = '127.0.0.1'): void {
  const { grpc, http, data } = member(role, id);
  const acceptors = [1, 2, 3].map((a) => `${a}=acceptor-${a}.test:${portOf(member('acceptor', a).grpc)}`).join(',');
  const discovery = ['--discovery-server', `127.0.0.1:${dns.at.port}`, '--discovery-interval', '100ms'];
  const args = [
    ...['--import', join(ROOT, 'test/support/hosts.mjs'), main(role), '--id', String(id), '--cluster', CLUSTER],
    ...['--listen', `${ip}:${portOf(grpc)}`, '--http', http, '--acceptors', acceptors],
    ...['--proposers', 'dns:synod-proposer.test', '--learners', 'dns:synod-learner.test:grpc'],
    ...(data === undefined ? [] : ['--data', data]),
    ...(role === 'acceptor' ? [] : [...discovery, '--discovery-forget', `${FORGET_MS}ms`]),
  ];
  const log = openSync(logOf(role, id), 'a');
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, SYNOD_TEST_HOSTS: hostsFile() },
  });
  processes.set(`${role}-${id}`, child);
}

const logOf = (role: Role, id: number): string => join(folder.path, `${role}-${id}.log`);

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child?.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}

/** The links that a member reports, undefined while it does not answer. */
async function linksOf(role: 'proposer' | 'learner', id: number): Promise<Link[] | undefined> {
  const { grpc } = member(role, id);
  const connection = connectTo(grpc, { fromStatus: errorReader(grpc) });
  const [request, call] = [{ header: clientHeader() }, { timeoutMs: 2_000 }];
  try {
    const status =
      role === 'proposer'
        ? connection.unary(ProposerServiceService.status, request, call)
        : connection.unary(LearnerServiceService.status, request, call);
    return (await status).links;
  } catch {
    return undefined;
  } finally {
    connection.close();
  }
}

/** Waits until a member reports these numbers of a role, all of them connected. */
async function knows(role: 'proposer' | 'learner', id: number, of: WireRole, ids: readonly number[]): Promise<void> {
  let last: unknown;
  await eventually(`${role} ${id} knows those of role ${of}: ${ids.join()}`, async () => {
    const links = (await linksOf(role, id))?.filter((link) => link.role === of);
    last = links;
    return links?.map((link) => link.id).join() === ids.join() && links.every((link) => link.connected);
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it says ${JSON.stringify(last)}`);
  });
}

/** Waits until those who ask DNS heard its answer so often that they would have forgotten who is not in it. */
async function answersPass(): Promise<void> {
  const count = (): number => dns.asked.filter((each) => each === LEARNERS).length;
  // Four processes ask, 15 times until they forget; twice that.
  const wanted = count() + 4 * 2 * (FORGET_MS / 100);
  await eventually('DNS was asked often', () => count() >= wanted);
}

function synodctl(args: readonly string[]) {
  const acceptors = [1, 2, 3].map((id) => `acceptor=${member('acceptor', id).grpc}`);
  const named = ['proposer=dns:synod-proposer.test', 'learner=dns:synod-learner.test:grpc'];
  return runToEnd([main('cli'), ...args], {
    env: {
      SYNOD_ENDPOINTS: [...named, ...acceptors].join(),
      SYNOD_DISCOVERY_SERVER: `127.0.0.1:${dns.at.port}`,
    },
  });
}

describe('a cluster whose proposers and learners are named by DNS', () => {
  test('chooses values, and its members know one another', async () => {
    await client.propose(LOG, Buffer.from('first'));
    for (const id of [1, 2]) {
      await knows('proposer', id, WireRole.ROLE_PROPOSER, [3 - id]);
      await knows('proposer', id, WireRole.ROLE_LEARNER, [1, 2]);
      await knows('learner', id, WireRole.ROLE_LEARNER, [3 - id]);
    }
  });

  test('finds a learner and a proposer that are started later, and uses them', async () => {
    // Started before DNS names them: nobody knows them, and they do what they can.
    start('learner', 3);
    start('proposer', 3);
    await eventually('proposer 3 serves', () => linksOf('proposer', 3));
    await answersPass();
    expect((await linksOf('proposer', 1))?.some(({ id, role }) => id === 3 && role !== WireRole.ROLE_ACCEPTOR)).toBe(
      false,
    );
    name('learner', [1, 2, 3]);
    name('proposer', [1, 2, 3]);
    for (const id of [1, 2, 3]) {
      const others = [1, 2, 3].filter((other) => other !== id);
      await knows('proposer', id, WireRole.ROLE_PROPOSER, others);
      await knows('proposer', id, WireRole.ROLE_LEARNER, [1, 2, 3]);
      await knows('learner', id, WireRole.ROLE_LEARNER, others);
    }
    await eventually('the log is moved to proposer 3', async () => {
      const moved = await synodctl(['leader', 'move', LOG, '3', '--json']);
      return moved.code === 0;
    });
    await client.propose(LOG, Buffer.from('through the third'));
    const { code, out } = await synodctl(['status', '--json']);
    expect(code).toBe(0);
    for (const role of ['proposer', 'learner']) expect(out).toMatch(new RegExp(`"role":"${role}","id":3`));
  });

  test('counts what the new learner holds before it trims', async () => {
    const { grpc } = member('acceptor', 1);
    const connection = connectTo(grpc, { fromStatus: errorReader(grpc) });
    const request = { header: clientHeader(), log: LOG, after: '', limit: 1, all: true };
    await eventually('acceptor 1 knows what learner 3 holds', async () => {
      const { logs } = await connection.unary(AcceptorServiceService.logs, request, { timeoutMs: 5_000 });
      return logs[0]?.holders.some((each) => each.learner === 3 && each.held > 0);
    }).finally(() => {
      connection.close();
    });
  });

  test('keeps a member that DNS does not name while it answers, and everybody while DNS is silent', async () => {
    name('learner', [1, 3]);
    await answersPass();
    for (const id of [1, 2, 3]) await knows('proposer', id, WireRole.ROLE_LEARNER, [1, 2, 3]);
    name('learner', []);
    await answersPass();
    await knows('learner', 1, WireRole.ROLE_LEARNER, [2, 3]);
    name('learner', [1, 2, 3]);
  });

  test('forgets a member that is gone and that DNS does not name any more', async () => {
    await end(processes.get('learner-3'));
    await end(processes.get('proposer-3'));
    await answersPass();
    // Named by DNS, it is known, and known to be down.
    const down = (await linksOf('learner', 1))?.find(({ id, role }) => id === 3 && role === WireRole.ROLE_LEARNER);
    expect(down?.connected).toBe(false);
    name('learner', [1, 2]);
    name('proposer', [1, 2]);
    for (const id of [1, 2]) {
      await knows('proposer', id, WireRole.ROLE_PROPOSER, [3 - id]);
      await knows('proposer', id, WireRole.ROLE_LEARNER, [1, 2]);
      await knows('learner', id, WireRole.ROLE_LEARNER, [3 - id]);
    }
    await client.propose(LOG, Buffer.from('without the third'));
    expect(readFileSync(logOf('learner', 1), 'utf8')).toMatch(/it is forgotten \(discovery\.forget\)/);
  });
});

test('a learner that comes back at another address is found there', async () => {
  await end(processes.get('learner-2'), 'SIGKILL');
  start('learner', 2, '127.0.0.2');
  const port = portOf(member('learner', 2).grpc);
  const one = member('learner', 1).grpc;
  dns.set(
    LEARNERS,
    new Map([
      ['synod-learner-1', one],
      ['synod-learner-2', `127.0.0.2:${port}`],
    ]),
  );
  await knows('learner', 1, WireRole.ROLE_LEARNER, [2]);
  await knows('proposer', 1, WireRole.ROLE_LEARNER, [1, 2]);
  const links = await linksOf('proposer', 1);
  expect(links?.find(({ role, id }) => role === WireRole.ROLE_LEARNER && id === 2)?.address).toBe(`127.0.0.2:${port}`);
});

test('an acceptor that comes back at another address is found there, though its old address takes connections', async () => {
  const isConnected = async (): Promise<boolean> => {
    const links = await Promise.all([linksOf('proposer', 1), linksOf('proposer', 2), linksOf('learner', 1)]);
    return links.every((of) => of?.find(({ role, id }) => role === WireRole.ROLE_ACCEPTOR && id === 1)?.connected);
  };
  await eventually('acceptor 1 is connected', isConnected);
  await end(processes.get('acceptor-1'), 'SIGKILL');
  const port = portOf(member('acceptor', 1).grpc);
  // As a host that is gone: whoever connects hears nothing.
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(Number(port), '127.0.0.1', resolve));
  start('acceptor', 1, '127.0.0.2');
  try {
    // Who waits for a first try for ever makes no second one: there are seven processes with a connection or two each.
    await eventually('all try the old address, and try it again', () => sockets.size > 12);
    // The control: with the old address under its name nobody finds it.
    await client.propose(LOG, Buffer.from('while one of three is elsewhere'));
    expect(await isConnected()).toBe(false);
    move(1, '127.0.0.2');
    await eventually('acceptor 1 is found again', isConnected);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  }
});
