/**
 * Goal: an acceptor whose disk, folder or configuration is not the right one does not speak, and says why in one sentence (R5, R6).
 * Method: acceptors in one process over real gRPC, disks in memory that are copied, emptied and damaged; folders for what only
 * real files have.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openData } from '../../services/acceptor/acceptor.ts';
import { acceptorSettings } from '../../services/acceptor/config.ts';
import type { AcceptorConfig } from '../../services/acceptor/config.ts';
import { loadConfig } from '../../shared/platform/config/load.ts';
import { configurationId } from '../../shared/platform/configuration.ts';
import { AcceptorServiceService as Service } from '../../shared/wire/gen/synod/v1/acceptor_service.ts';
import { MemoryDisk } from '../support/memory-disk.ts';
import { freePorts } from '../support/ports.ts';
import { until } from '../support/until.ts';
import type { Started } from './acceptor-support.ts';
import {
  accept,
  callAccept,
  callPrepare,
  CLUSTER,
  cleanUp,
  cleanups,
  configOf,
  follow,
  openSession,
  prepare,
  proposer,
  start,
  to,
} from './acceptor-support.ts';

afterEach(cleanUp);

const SPEAKS_MS = 30_000;

/** Configurations of a cluster of acceptors on free ports. */
async function cluster(size: number): Promise<AcceptorConfig[]> {
  const ports = await freePorts(size);
  const acceptors = ports.map((port, i) => `${String(i + 1)}=127.0.0.1:${String(port)}`).join(',');
  return ports.map((port, i) =>
    configOf({ id: String(i + 1), listen: `127.0.0.1:${String(port)}`, http: '127.0.0.1:0', acceptors }),
  );
}

function speaks({ acceptor }: Started): boolean {
  return acceptor.core.membership.silentBecause === undefined;
}

describe('a new cluster', () => {
  test('is silent, and says for whom it waits, until all acceptors agreed on a roster; then all speak', async () => {
    const [one, two, three] = (await cluster(3)) as [AcceptorConfig, AcceptorConfig, AcceptorConfig];
    const first = await start(one);
    const second = await start(two);
    const header = proposer({ configuration: configurationId(CLUSTER, [1, 2, 3], 'majority') });
    const connection = to(first.acceptor);
    const silent = { code: 'UNAVAILABLE', outcome: 'none' };
    await expect(callPrepare(connection, prepare(1), header)).rejects.toMatchObject(silent);
    await until(() => (first.acceptor.core.membership.silentBecause ?? '').includes('acceptors 3 to agree'));
    await expect(callPrepare(connection, prepare(1), header)).rejects.toThrow(
      /acceptor 1 does not speak: new disk: waiting to hear from acceptors 3/,
    );
    const session = openSession(connection, header);
    await until(() => session.errors.length === 1);
    expect(session.errors[0]).toMatchObject(silent);
    const follower = follow(connection, { header: { ...header, role: 'learner', incarnation: undefined } });
    await until(() => follower.errors.length === 1);
    expect(follower.errors[0]).toMatchObject(silent);
    // Questions about itself are always answered.
    const status = await connection.unary(Service.status, { header: undefined }, { timeoutMs: 5_000 });
    expect(status).toMatchObject({ speaks: false, silentBecause: expect.stringContaining('acceptors 3') });
    expect((await fetch(`http://${first.acceptor.http}/readyz`)).status).toBe(503);

    const third = await start(three);
    await until(() => [first, second, third].every(speaks), SPEAKS_MS);
    expect((await callPrepare(connection, prepare(1), header)).answer?.$case).toBe('promised');
    expect((await fetch(`http://${first.acceptor.http}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`http://${first.acceptor.http}/metrics`)).text();
    expect(metrics).toMatch(/synod_acceptor_speaks\{[^}]*\} 1/);
    expect(metrics).toMatch(/synod_acceptor_promises_total\{[^}]*purpose="lead"[^}]*\} 1/);
    expect(metrics).toMatch(/synod_acceptor_fsync_seconds_count\{[^}]*\} [1-9]/);
  });
});

describe('a disk that is not what it was', () => {
  /** Two acceptors that spoke; the first is stopped again, and its disk as it was before its last start is returned, too. */
  async function twoWithOneStopped() {
    const [one, two] = (await cluster(2)) as [AcceptorConfig, AcceptorConfig];
    const disk = new MemoryDisk();
    const first = await start(one, disk);
    const second = await start(two);
    await until(() => speaks(first) && speaks(second), SPEAKS_MS);
    await first.acceptor.stop(100);
    const old = disk.clone();
    const again = await start(one, disk);
    await until(() => speaks(again), SPEAKS_MS);
    await again.acceptor.stop(100);
    return { one, disk, old, second };
  }

  test('an older copy is refused by what another acceptor remembers; the newest state is not', async () => {
    const { one, disk, old } = await twoWithOneStopped();
    // The control.
    const newest = await start(one, disk);
    await until(() => speaks(newest), SPEAKS_MS);
    await newest.acceptor.stop(100);
    const restored = await start(one, old);
    await until(() => restored.refusals.length === 1, SPEAKS_MS);
    expect(restored.refusals[0]).toMatch(/acceptor 2 remembers start 3 of it, and this is start 2.*restored or copied/);
    expect(speaks(restored)).toBe(false);
  });

  test('an empty disk under a known id is refused', async () => {
    const { one } = await twoWithOneStopped();
    const empty = await start(one, new MemoryDisk());
    await until(() => empty.refusals.length === 1, SPEAKS_MS);
    expect(empty.refusals[0]).toMatch(
      /acceptor 2 knows acceptor 1 by disk .* An empty or foreign disk cannot take its place/,
    );
  });

  test('an older copy is refused by what a learner remembers, in the status and by its end', async () => {
    const started = await start();
    const { draw, start: number, position } = started.acceptor.core.membership.present;
    const honest = follow(to(started.acceptor), { remembered: { start: number, draw, position } });
    await until(() => honest.welcomes.length === 1);
    const follower = follow(to(started.acceptor), { remembered: { start: 7, draw: 1, position: 3 } });
    await until(() => follower.errors.length === 1 && started.refusals.length === 1);
    expect(started.refusals[0]).toMatch(/learner 1 remembers start 7 of it, which held the roster/);
    expect(follower.errors[0]?.message).toContain('remembers start 7');
    expect(honest.errors).toHaveLength(1);
  });

  test('a damaged journal and a damaged roster are refused with the file', async () => {
    const disk = new MemoryDisk();
    const first = await start(configOf(), disk);
    await callAccept(to(first.acceptor), accept(1, 0, ['a value to damage']));
    await callAccept(to(first.acceptor), accept(1, 1, ['y']));
    await first.acceptor.stop(100);
    const damagedRoster = disk.clone();
    damagedRoster.bytesOf('roster')[6]! ^= 1;
    await expect(start(configOf(), damagedRoster)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringContaining('roster'),
    });
    const segment = (await disk.list()).find((name) => name.endsWith('.seg')) ?? '';
    const bytes = disk.bytesOf(segment);
    bytes[Buffer.from(bytes).indexOf('a value to damage')]! ^= 1;
    await expect(start(configOf(), disk)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringContaining(segment),
    });
  });

  test('a disk that lost its journal is refused', async () => {
    const disk = new MemoryDisk();
    await (await start(configOf(), disk)).acceptor.stop(100);
    for (const name of await disk.list()) if (name.endsWith('.seg')) disk.drop(name);
    await expect(start(configOf(), disk)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringContaining('no journal segments'),
    });
  });

  test('the disk of another acceptor, cluster or configuration is refused with both names', async () => {
    const disk = new MemoryDisk();
    await (await start(configOf(), disk)).acceptor.stop(100);
    const other = configOf({ acceptors: '1=127.0.0.1:1,2=127.0.0.1:2' });
    await expect(start(other, disk)).rejects.toThrow(
      /belongs to configuration [0-9a-f]{16}, and this process is of configuration [0-9a-f]{16}/,
    );
    await expect(start(configOf({ cluster: 'else' }), disk)).rejects.toThrow(
      /belongs to cluster test, and this process is of cluster else/,
    );
  });
});

describe('a data folder', () => {
  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), 'synod-acceptor-'));
    cleanups.push(() => {
      rmSync(path, { recursive: true, force: true });
    });
    return path;
  }

  test('serves one process at a time', async () => {
    const path = join(folder(), 'data');
    const data = await openData(path);
    await expect(openData(path)).rejects.toThrow('another process uses the data folder');
    await data.release();
    await (await openData(path)).release();
  });

  test('that holds something else is refused, and left as it is', async () => {
    const path = folder();
    writeFileSync(join(path, 'letter.txt'), 'dear');
    const data = await openData(path);
    cleanups.push(data.release);
    await expect(start(configOf(), data.disk)).rejects.toThrow("is not empty and not Synod's: it holds letter.txt");
  });

  test('of real files is written and read again', async () => {
    const path = join(folder(), 'data');
    const data = await openData(path);
    cleanups.push(data.release);
    const first = await start(configOf(), data.disk);
    await callAccept(to(first.acceptor), accept(2, 0, ['x']));
    await first.acceptor.stop(100);
    const second = await start(configOf(), data.disk);
    const promised = await callPrepare(to(second.acceptor), prepare(3));
    expect(promised.answer).toMatchObject({ $case: 'promised', value: { highest: 0 } });
  });
});

describe('a configuration', () => {
  const load = (...argv: string[]) =>
    loadConfig(acceptorSettings, { name: 'synod-acceptor', summary: '', argv, env: {} });

  test('names every fault at once', () => {
    expect(() => load('--id', '0', '--cluster', '', '--acceptors', 'x')).toThrow(
      /--cluster must[^]*--id must[^]*--listen is missing[^]*--acceptors must[^]*--data is missing/,
    );
  });

  test('with an id that is not among the acceptors is refused with both', () => {
    const flags = ['--cluster', 'c', '--listen', '127.0.0.1:0', '--acceptors', '1=h:1,2=h:2', '--data', 'd'];
    expect(() => load('--id', '4', ...flags)).toThrow('--id 4 is not among the acceptors 1, 2');
    expect(load('--id', '2', ...flags)).toMatchObject({ kind: 'config', config: { id: 2 } });
  });
});
