/**
 * Goal: the supervisor of a local cluster starts, watches, restarts and stops roles, and refuses what it must not touch.
 * Method: real processes of a fake role; free ports; every wait is for a condition.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readOptions, startCluster } from '../../deploy/local/cluster.ts';
import type { Cluster, ClusterOptions } from '../../deploy/local/cluster.ts';
import { claimPortBase } from '../../deploy/local/layout.ts';
import { until } from '../support/until.ts';

const FAKE = fileURLToPath(new URL('../support/fake-role.mjs', import.meta.url));

let folder: string;
let clusters: Cluster[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'synod-cluster-'));
  clusters = [];
});
afterEach(async () => {
  for (const cluster of clusters) await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

const data = (): string => join(folder, 'data');
const journal = (): string[] => readFileSync(join(folder, 'journal'), 'utf8').trim().split('\n');

async function start(options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const cluster = await startCluster({
    data: data(),
    portBase: 'free',
    readyMsMax: 20_000,
    roleCommand: (role) => ({ command: process.execPath, arguments: [FAKE, role] }),
    ...options,
    env: { FAKE_JOURNAL: join(folder, 'journal'), ...options.env },
  });
  clusters.push(cluster);
  return cluster;
}

describe('a quorum system', () => {
  test('is given to every role, kept with the folder, and another one is refused by it', async () => {
    const cluster = await start({ acceptors: 4, proposers: 1, learners: 1, quorum: 'sizes:3,2' });
    for (const role of ['acceptor-4', 'proposer-1', 'learner-1'])
      expect(journal().find((line) => line.startsWith(`${role} started`))).toContain('--quorum sizes:3,2');
    await cluster.stop();
    const other = start({ acceptors: 4, proposers: 1, learners: 1 });
    await expect(other).rejects.toThrow(
      /is that of a cluster with the quorum system sizes:3,2,3, not majority: [^]*Start it with --quorum sizes:3,2,3/,
    );
    // The same system, written otherwise.
    await start({ acceptors: 4, proposers: 1, learners: 1, quorum: 'sizes:3,2,3' });
  });

  test('that is not safe starts nothing', async () => {
    await expect(start({ acceptors: 4, quorum: 'sizes:2,2' })).rejects.toThrow('are not safe');
    expect(existsSync(join(folder, 'journal'))).toBe(false);
  });
});

describe('a start', () => {
  test('starts every role with its flags, and is done when all are ready', async () => {
    const cluster = await start({ acceptors: 3, proposers: 2, learners: 1 });
    expect(cluster.members.map(({ role, id }) => `${role}-${String(id)}`)).toEqual([
      ...['acceptor-1', 'acceptor-2', 'acceptor-3', 'proposer-1', 'proposer-2', 'learner-1'],
    ]);
    const port = cluster.portBase;
    const flags = journal().find((line) => line.startsWith('acceptor-2 started')) ?? '';
    expect(flags).toContain(`--id 2 --cluster ${cluster.id} --listen 127.0.0.1:${String(port + 102)}`);
    expect(flags).toContain(`--http 127.0.0.1:${String(port + 1102)}`);
    expect(flags).toContain(`--acceptors ${cluster.endpoints('acceptor')}`);
    expect(flags).toContain(`--data ${join(data(), 'acceptor-2')}`);
    expect(cluster.endpoints('proposer')).toBe(`1=127.0.0.1:${String(port + 201)},2=127.0.0.1:${String(port + 202)}`);
    expect(journal().find((line) => line.startsWith('proposer-1'))).not.toContain('--data');
    expect(readdirSync(join(data(), 'logs'))).toHaveLength(6);
  });

  test('continues with the same cluster id, and with more learners', async () => {
    const first = await start();
    await first.stop();
    const second = await start({ learners: 3 });
    expect(second.id).toBe(first.id);
  });

  test('goes on without a learner that has much to catch up with, and says so; without its only learner it does not', async () => {
    const lines: string[] = [];
    const late = { laggardsMsMax: 0, readyMsMax: 2_000, say: (line: string) => lines.push(line) };
    await start({ ...late, env: { FAKE_NEVER_READY: 'learner-2' } });
    expect(lines.join('\n')).toMatch(
      /Not ready yet, and the rest goes on meanwhile: learner 2: (\[-\] quorum|is starting)/,
    );
    await clusters.pop()?.stop();
    const only = start({ ...late, learners: 1, env: { FAKE_NEVER_READY: 'learner-1' } });
    await expect(only).rejects.toThrow(/not ready within[^]*learner 1/);
  });

  test('that is not ready in time says which role is not and why, and leaves nothing running', async () => {
    const starting = start({ readyMsMax: 1_000, env: { FAKE_NEVER_READY: 'proposer-2' } });
    await expect(starting).rejects.toThrow(/not ready within[^]*proposer 2: \[-\] quorum: 1 of 3 answer/);
    const pids = journal().flatMap((line) => /started (\d+)/.exec(line)?.[1] ?? []);
    expect(pids.length).toBeGreaterThan(0);
    for (const pid of pids) expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH');
  });

  test.each([
    ['acceptor-3', '2 of 3 acceptors'],
    ['learner-1', '1 of 2 learners'],
  ])('goes on without %s, which refuses to run, where the rest is enough, and says so', async (member, left) => {
    const lines: string[] = [];
    const cluster = await start({ env: { FAKE_REFUSE: member }, say: (line) => lines.push(line) });
    const name = member.replace('-', ' ');
    const why = `${name} refused to run: the disk is older than it once was`;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(new RegExp(`^${why} \\(log .*\\)\\. The other ${left} go on without it; put right`));
    const refused = cluster.members.filter(({ role, id }) => cluster.refusal(role, id) !== undefined);
    expect(refused.map(({ role, id }) => `${role} ${String(id)}`)).toEqual([name]);
    await expect(cluster.ready(refused)).rejects.toThrow(why);
  });

  test.each([
    ['two acceptors of three refuse', {}, ['acceptor-2', 'acceptor-3']],
    ['two acceptors of four refuse', { acceptors: 4 }, ['acceptor-1', 'acceptor-4']],
    ['the only learner refuses', { learners: 1 }, ['learner-1']],
    ['every proposer refuses', {}, ['proposer-1', 'proposer-2']],
  ])('ends with the last words of those that refuse where %s', async (_, shape, members) => {
    const starting = start({ ...shape, env: { FAKE_REFUSE: members.join(' ') } });
    const why = members.map((name) => `${name.replace('-', ' ')} refused to run: the disk is older than it once was`);
    await expect(starting).rejects.toThrow(why.join('\n'));
  });

  test('with one learner has acceptors wait for one learner disk, unless they are told otherwise', async () => {
    const flags = (): boolean[] =>
      journal().flatMap((line) => (line.startsWith('acceptor-1 started') ? [line.includes('--trim-holders 1')] : []));
    await (await start({ learners: 1 })).stop();
    await (await start({ learners: 1, env: { SYNOD_TRIM_HOLDERS: '2' } })).stop();
    await (await start()).stop();
    expect(flags()).toEqual([true, false, false]);
  });

  test('is given up when a role cannot stay up, with what it said', async () => {
    await expect(start({ env: { FAKE_CRASH: 'proposer-1' } })).rejects.toThrow(
      /proposer 1 ended 3 times before it was ready: it ended with code 1: Error: no luck today/,
    );
  }, 15_000);

  test('can be given up', async () => {
    const abort = new AbortController();
    const starting = start({ env: { FAKE_NEVER_READY: 'learner-1' }, signal: abort.signal });
    await until(() => existsSync(join(folder, 'journal')) && journal().some((line) => line.startsWith('learner-1')));
    abort.abort();
    await expect(starting).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('what a start refuses, writing nothing', () => {
  test('a folder with other things in it', async () => {
    mkdirSync(data());
    writeFileSync(join(data(), 'thesis.txt'), 'mine');
    await expect(start()).rejects.toThrow(/holds other things \(thesis\.txt\) and no cluster; choose .* --data/);
    expect(readdirSync(data())).toEqual(['thesis.txt']);
  });

  test('but not what npm run monitor keeps there, which may come first', async () => {
    mkdirSync(join(data(), 'prometheus'), { recursive: true });
    await (await start()).stop();
    expect(readdirSync(data())).toEqual(expect.arrayContaining(['cluster.json', 'prometheus']));
  });

  test('a cluster with another number of acceptors', async () => {
    await (await start()).stop();
    const before = readFileSync(join(data(), 'cluster.json'), 'utf8');
    await expect(start({ acceptors: 5 })).rejects.toThrow(
      /a cluster with 3 acceptors, not 5; start it with --acceptors 3/,
    );
    expect(readFileSync(join(data(), 'cluster.json'), 'utf8')).toBe(before);
  });

  test('a damaged cluster.json', async () => {
    mkdirSync(data());
    writeFileSync(join(data(), 'cluster.json'), '{"format":1');
    await expect(start()).rejects.toThrow(/cluster\.json that cannot be read/);
  });

  test('a folder that another supervisor uses, but not one whose supervisor is gone', async () => {
    const first = await start();
    await expect(start()).rejects.toThrow(`in use by the cluster of process ${String(process.pid)}`);
    await first.stop();
    // A process that has certainly ended; its pid may be given again, but not with the same start.
    const gone = spawnSync(process.execPath, ['-e', '0']).pid;
    writeFileSync(join(data(), 'supervisor.lock'), `${String(gone)} 1\n`);
    await start();
  });

  test.each([
    ['gRPC', 201],
    ['HTTP', 1301],
  ])('a %s port in use', async (_, offset) => {
    const { base: portBase, release } = await claimPortBase();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(portBase + offset, '127.0.0.1', resolve));
    await expect(start({ portBase })).rejects.toThrow(
      new RegExp(`127\\.0\\.0\\.1:${String(portBase + offset)},.* --port-base`),
    );
    expect(existsSync(data())).toBe(false);
    await new Promise((resolve) => other.close(resolve));
    await start({ portBase });
    await release();
  });
});

describe('a running cluster', () => {
  test('starts again what was killed, and says so', async () => {
    const lines: string[] = [];
    const cluster = await start({ say: (line) => lines.push(line) });
    const before = cluster.pid('learner', 2);
    expect(cluster.kill('learner', 2)).toBe(true);
    await until(() => cluster.pid('learner', 2) !== before && cluster.pid('learner', 2) !== undefined);
    await cluster.ready();
    expect(lines.join('\n')).toMatch(/learner 2 was ended by SIGKILL; starting it again in 200 ms/);
  });

  test('leaves it down where a test asks for that, until it is restarted', async () => {
    const cluster = await start({ restart: false });
    cluster.kill('acceptor', 1);
    await cluster.ended('acceptor', 1);
    expect(cluster.pid('acceptor', 1)).toBeUndefined();
    expect(cluster.kill('acceptor', 1)).toBe(false);
    await cluster.ready([{ role: 'acceptor', id: 2 }]);
    await cluster.restart('acceptor', 1);
    await cluster.ready();
  });

  test('stops proposers, then learners, then acceptors', async () => {
    const cluster = await start();
    await cluster.stop();
    const order = journal().flatMap((line) => /^(\w+)-\d stopped by SIGTERM$/.exec(line)?.[1] ?? []);
    expect(order).toEqual(['proposer', 'proposer', 'learner', 'learner', 'acceptor', 'acceptor', 'acceptor']);
    expect(existsSync(join(data(), 'supervisor.lock'))).toBe(false);
  });

  test('kills what does not stop in time', async () => {
    const lines: string[] = [];
    const cluster = await start({
      env: { FAKE_STUBBORN: 'acceptor-1' },
      stopMsMax: 100,
      say: (line) => lines.push(line),
    });
    await cluster.stop();
    expect(lines).toContain('acceptor 1 did not stop within 100 ms and is killed.');
    expect(cluster.pid('acceptor', 1)).toBeUndefined();
  });
});

describe('the flags of npm start', () => {
  test('have defaults, and take the port base from the environment', () => {
    expect(readOptions([], {})).toEqual({
      ...{ acceptors: 3, proposers: 2, learners: 2, portBase: 7000, data: 'data', faults: false },
      quorum: 'majority',
    });
    expect(readOptions(['--faults'], {})).toMatchObject({ faults: true });
    expect(readOptions([], { SYNOD_PORT_BASE: '17000' })).toMatchObject({ portBase: 17000 });
    expect(readOptions(['--port-base', '18000'], { SYNOD_PORT_BASE: '17000' })).toMatchObject({ portBase: 18000 });
  });

  test('take a quorum system, and refuse one that is not safe for so many acceptors', () => {
    expect(readOptions(['--acceptors', '4', '--quorum', 'sizes:3,2'], {})).toMatchObject({ quorum: 'sizes:3,2' });
    expect(readOptions(['--acceptors', '6', '--quorum', 'grid:2x3'], {})).toMatchObject({ acceptors: 6 });
    expect(readOptions(['--acceptors', '4'], { SYNOD_QUORUM: 'sizes:3,2' })).toMatchObject({ quorum: 'sizes:3,2' });
    expect(() => readOptions(['--acceptors', '6'], {})).toThrow(
      '--acceptors must be 3, 4, 5, 7, not "6"; six need another --quorum than majority',
    );
    expect(() => readOptions(['--acceptors', '4', '--quorum', 'sizes:2,2'], {})).toThrow(
      '--quorum with 4 acceptors: quorums sizes:2,2 of 4 acceptors are not safe: phase-1 quorum 1+2 and phase-2 quorum 3+4 have no acceptor',
    );
    expect(() => readOptions(['--quorum', 'most'], {})).toThrow('a quorum system must be majority, sizes:Q1,Q2[,QF]');
  });

  test('name every fault at once', () => {
    // One fault, not two: the 2 belongs to the unknown flag.
    expect(() => readOptions(['--lerners', '2'], {})).toThrow(
      /^npm start: --lerners is not a setting; did you mean --learners\?\n/,
    );
    const fault = (): unknown =>
      readOptions(['--acceptors', '2', '--learner', '3', '--data=', 'up', '--faults', 'extra'], {
        SYNOD_PORT_BASE: 'x',
      });
    for (const part of [
      '--acceptors must be 3, 4, 5, 7, not "2"',
      '--learner is not a setting; did you mean --learners?',
      '--data needs a value',
      '"extra" is not expected',
      'SYNOD_PORT_BASE must be a whole number from 1024 to 64000, not "x"',
    ])
      expect(fault).toThrow(part);
  });
});
