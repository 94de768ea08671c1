/**
 * Goal: after the loss of all acceptors a new cluster goes on from one learner's folder: old values stay, retries of old proposals
 * get their first answers, new values take the next slots, and no disk but the restored ones comes in (R5, R10, R12). Method: a real
 * cluster that is killed and whose acceptors' folders are removed; synodctl; a cluster on what that made. Controls: an empty disk in
 * the place of a restored one, and acceptors without the ends of the learner, which decide slots anew.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { open as openLmdb } from 'lmdb';
import { clientHeader, connect } from '../../shared/client/index.ts';
import type { Entry, SynodClient } from '../../shared/client/index.ts';
import { keys } from '../../shared/platform/learner-store/store-rows.ts';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import { LearnerServiceService } from '../../shared/wire/gen/synod/v1/learner_service.ts';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import type { ProposeRequest } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import { Harness, built, eventually, main, runToEnd, scratch } from './cluster.ts';

jest.setTimeout(180_000);

const LOG = 'orders';
const CLIENT = Buffer.from('5a'.repeat(16), 'hex');
const COUNT = 700;

const folder = scratch();
const restored = join(folder.path, 'new');
const untouched = join(folder.path, 'copy');
const whole = join(folder.path, 'whole');
let session: number;
let lastSlot: number;
let oldId: string;
let harness: Harness | undefined;
let client: SynodClient;

function clientOf(of: Harness): SynodClient {
  const [proposers, learners] = [of.cluster.addresses('proposer'), of.cluster.addresses('learner')];
  return connect({ proposers, learners, timeoutMs: 60_000 });
}

/** A proposal under an id of its own, as a client in another language sends it. */
function propose(of: Harness, sequence: number, retry: boolean): Promise<{ readonly slot: number }> {
  const request: ProposeRequest = {
    ...{ header: clientHeader(), log: LOG, protocol: 0, payload: Buffer.from(`own ${sequence}`), client: CLIENT },
    ...{ session, sequence, acknowledged: 0, retry, decree: false },
  };
  const [address = ''] = of.cluster.addresses('proposer');
  return of.at(address).unary(ProposerServiceService.propose, request, { timeoutMs: 60_000 });
}

const restore = (args: readonly string[]) => runToEnd([main('cli'), 'cluster', 'restore', ...args]);

async function valuesOf(of: SynodClient, from: number): Promise<readonly Entry[]> {
  const { entries } = await of.read(LOG, { from, limit: 10_000 });
  return entries;
}

let before: string[];
let decree: string;

/** An old cluster with a log of many slots, a decree, and a proposal whose id is known; then it is gone, but for its learners. */
beforeAll(async () => {
  await built();
  const old = await Harness.start({ proposers: 1 });
  const writer = clientOf(old);
  try {
    oldId = old.cluster.id;
    const [address = ''] = old.cluster.addresses('proposer');
    const opened = await old
      .at(address)
      .unary(
        ProposerServiceService.openSession,
        { header: clientHeader(), log: LOG, client: CLIENT, protocol: 0 },
        { timeoutMs: 60_000 },
      );
    session = opened.session;
    const stream = writer.proposeStream(LOG);
    for (let i = 0; i < COUNT; i++) await stream.write([Buffer.from(`value ${i}`)]);
    await stream.finish();
    lastSlot = (await propose(old, 1, false)).slot;
    decree = Buffer.from((await writer.decide('primary', Buffer.from('node-1'))).value).toString();
    before = (await valuesOf(writer, 0)).map(({ slot, value }) => `${slot} ${Buffer.from(value).toString()}`);
    const running = await restore([learnerOf(old.folder, 1), '--into', restored, '--cluster', 'new', '--yes']);
    expect([running.code, running.err]).toEqual([1, expect.stringContaining('another process uses the data folder')]);
    expect(existsSync(restored)).toBe(false);
    // Both learners hold all of it, the first one on its disk.
    await eventually('the learner holds what was chosen', async () => {
      const { logs } = await old
        .at(old.cluster.addresses('learner')[0] ?? '')
        .unary(
          LearnerServiceService.logs,
          { header: clientHeader(), log: LOG, after: '', limit: 1, all: true },
          { timeoutMs: 5_000 },
        );
      return logs.some((each) => each.held === lastSlot + 1);
    });
    for (const { role, id } of old.cluster.members) if (old.cluster.kill(role, id)) await old.cluster.ended(role, id);
    for (const id of [1, 2, 3]) rmSync(old.member('acceptor', id).data ?? '', { recursive: true });
    const { code, out, err } = await restore([
      learnerOf(old.folder, 1),
      '--into',
      restored,
      '--cluster',
      'new',
      '--yes',
    ]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`learner 1 of cluster ${oldId}`);
    expect(out).toMatch(new RegExp(`^orders +${lastSlot + 1}$`, 'm'));
    expect(out).toContain('They are gone, and other values will take their slots.');
    cpSync(restored, untouched, { recursive: true });
  } finally {
    writer.close();
    await old.stop();
  }
  harness = await Harness.start({ data: restored });
  client = clientOf(harness);
});

afterAll(async () => {
  (client as SynodClient | undefined)?.close();
  await harness?.stop();
  folder.remove();
});

const learnerOf = (data: string, id: number): string => join(data, `learner-${id}`);
const running = (): Harness => {
  if (harness === undefined) throw new Error('the restored cluster does not run');
  return harness;
};

describe('a cluster that was restored from a learner', () => {
  test('has an id of its own, and every value that the learner held, in its slot', async () => {
    expect(running().cluster.id).not.toBe(oldId);
    const now = (await valuesOf(client, 0)).map(({ slot, value }) => `${slot} ${Buffer.from(value).toString()}`);
    expect(now).toEqual(before);
    expect(before).toHaveLength(COUNT + 1);
  });

  test('answers the retry of an old proposal with its first slot, and a decree with its value', async () => {
    expect((await propose(running(), 1, true)).slot).toBe(lastSlot);
    const again = await client.decide('primary', Buffer.from('node-2'));
    expect([Buffer.from(again.value).toString(), again.own]).toEqual([decree, false]);
    expect(decree).toBe('node-1');
  });

  test('puts new values into the next slots, large ones too', async () => {
    const { slot } = await propose(running(), 2, false);
    expect(slot).toBe(lastSlot + 1);
    const large = await client.propose(LOG, Buffer.alloc(1_400_000, 'x'));
    expect(large.slot).toBeGreaterThan(slot);
    const [own, ...rest] = await valuesOf(client, slot);
    expect(Buffer.from(own?.value ?? []).toString()).toBe('own 2');
    expect(rest.at(-1)?.value).toHaveLength(1_400_000);
  });

  test('gives the other learner everything, and both have the same digests', async () => {
    const [, second = ''] = running().cluster.addresses('learner');
    const request = { header: clientHeader(), log: LOG, after: '', limit: 1, all: true };
    await eventually('learner 2 has all slots, and both agree on them', async () => {
      const { logs } = await running().at(second).unary(LearnerServiceService.logs, request, { timeoutMs: 5_000 });
      const end = (await client.end(LOG)).end;
      return logs.some((each) => each.held === end && each.agreed === end);
    });
  });

  test('refuses an empty disk in the place of a restored one', async () => {
    const { data = '' } = running().member('acceptor', 3);
    await running().end('acceptor', 3);
    renameSync(data, `${data}.right`);
    mkdirSync(data, { mode: 0o700 });
    try {
      const { code, err, out } = await running().run('acceptor', 3);
      expect(code).toBe(EXIT.refused);
      expect(err + out).toMatch(
        // Whoever is heard first.
        /acceptor 3 does not speak with disk \w{32}: (acceptor \d knows acceptor 3 by disk|learner \d remembers start \d)/,
      );
    } finally {
      rmSync(data, { recursive: true });
      renameSync(`${data}.right`, data);
    }
    // The control: the right one is let in again.
    await running().back('acceptor', 3);
  });

  test('goes on after a restart of everything', async () => {
    client.close();
    await running().cluster.stop();
    harness = await Harness.start({ data: restored });
    client = clientOf(harness);
    expect((await propose(harness, 1, true)).slot).toBe(lastSlot);
    await client.propose(LOG, Buffer.from('after a restart'));
  });
});

/** Whole folders of a restored cluster, but for its acceptors. */
function wipeAcceptors(): void {
  for (const id of [1, 2, 3]) rmSync(join(untouched, `acceptor-${id}`), { recursive: true });
}

test('the restored learner lets no acceptors speak that were all wiped, so that they decide nothing anew', async () => {
  cpSync(untouched, whole, { recursive: true });
  wipeAcceptors();
  await expect(Harness.start({ data: untouched, learners: 1, proposers: 1 })).rejects.toThrow(
    /does not speak with disk \w{32}: learner 1 remembers start 1000000 of it/,
  );
});

test('the control: acceptors that do not know the ends, and a learner that does not know them, decide a slot anew', async () => {
  const { acceptors, cluster } = JSON.parse(readFileSync(join(untouched, 'cluster.json'), 'utf8')) as {
    readonly acceptors: number;
    readonly cluster: string;
  };
  expect([acceptors, cluster]).toEqual([3, expect.stringMatching(/^[0-9a-f]{32}$/)]);
  wipeAcceptors();
  const db = openLmdb<Uint8Array, Uint8Array>({
    ...{ path: join(untouched, 'learner-1'), noSubdir: false, encoding: 'binary', keyEncoding: 'binary' },
  });
  for (const id of [1, 2, 3]) await db.remove(keys.acceptor(id));
  await db.close();
  const unsafe = await Harness.start({ data: untouched, learners: 1, proposers: 1 });
  const writer = clientOf(unsafe);
  try {
    expect((await writer.propose(LOG, Buffer.from('anew'))).slot).toBeLessThan(lastSlot);
  } finally {
    writer.close();
    await unsafe.stop();
  }
});

test('a restored disk and empty ones make no cluster', async () => {
  const mixed = join(folder.path, 'mixed');
  const { code } = await restore([join(whole, 'learner-1'), '--into', mixed, '--cluster', 'mixed-1', '--yes']);
  expect(code).toBe(0);
  for (const id of [2, 3]) rmSync(join(mixed, `acceptor-${id}`), { recursive: true });
  const one = scratch();
  try {
    const ports = running().cluster.members.filter(({ role }) => role === 'acceptor');
    await running().cluster.stop();
    const list = ports.map(({ id, grpc }) => `${id}=${grpc}`).join(',');
    const commandOf = (id: number): string[] => [
      ...[main('acceptor'), '--id', String(id), '--cluster', 'mixed-1', '--acceptors', list],
      ...['--listen', ports[id - 1]?.grpc ?? '', '--http', ports[id - 1]?.http ?? ''],
      ...['--data', id === 1 ? join(mixed, 'acceptor-1') : join(one.path, String(id))],
    ];
    const first = spawn(process.execPath, commandOf(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise((resolve) => first.once('close', resolve));
    let said = '';
    for (const stream of [first.stdout, first.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
    const others = await Promise.all([2, 3].map((id) => runToEnd(commandOf(id), { msMax: 120_000 })));
    // It waits for its own, and still runs: until the test ends it.
    expect(first.kill('SIGKILL')).toBe(true);
    await ended;
    expect(said).toContain('the acceptor serves');
    expect(said).not.toContain('this acceptor speaks from now on');
    for (const { code: ending, out, err } of others) {
      expect(ending).toBe(EXIT.refused);
      expect(out + err).toMatch(/does not speak with disk \w{32}: acceptor \d knows acceptor \d by/);
    }
  } finally {
    one.remove();
  }
});
