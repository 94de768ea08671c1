/**
 * Goal: `synodctl cluster restore` writes nothing where anything is wrong, changes nothing that it reads, and says what it is about to
 * do before it does it. Method: a learner's folder made by its store; the command as it is, with a terminal that the test plays.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { open as openLmdb } from 'lmdb';
import { run } from '../../services/cli/program.ts';
import { Batch } from '../../shared/base/batch.ts';
import { readRoster, readStamp, verifyJournal } from '../../shared/journal/index.ts';
import { CLASSIC, type Ballot } from '../../shared/paxos/ballot.ts';
import { readFolder } from '../../shared/platform/disk.ts';
import { lockFolder } from '../../shared/platform/journal-lock.ts';
import type { FolderLock } from '../../shared/platform/journal-lock.ts';
import { openLearnerStore, readLearnerStore } from '../../shared/platform/learner-store/store.ts';
import { CLIENT, command, open } from '../support/learner.ts';

const SLOTS = 400;
const OLD = 'old-cluster';
const BALLOT: Ballot = { round: 3, proposer: 1, incarnation: '00000000000000aa', kind: CLASSIC };

let root: string;
let source: string;
let into: string;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'synod-restore-'));
  [source, into] = [join(root, 'learner-2'), join(root, 'new')];
  const store = await openLearnerStore({
    folder: source,
    identity: { cluster: OLD, learner: '2', disk: 'ab'.repeat(16) },
  });
  const entries = [open(), ...Array.from({ length: SLOTS - 1 }, (_, i) => command(0, i + 1, `value ${i + 1}`, i))];
  for (const [i, entry] of entries.entries())
    await store.apply([{ log: 'orders', first: i, ballot: BALLOT, batch: Batch.of([entry]) }]);
  await store.apply([{ log: 'synod.probe.1', first: 0, ballot: BALLOT, batch: Batch.of([open()]) }]);
  store.remember(1, { start: 4, draw: 77, position: 900 });
  await store.close();
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** `typed`: what a person at a terminal types, after `meanwhile`; undefined: there is no terminal. */
async function restore(args: readonly string[], typed?: string, meanwhile?: () => Promise<void>): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await run(['cluster', 'restore', ...args], {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    env: {},
    input: (async function* () {
      await meanwhile?.();
      if (typed !== undefined) yield `${typed}\n`;
    })(),
    piped: typed === undefined,
    listens: async () => false,
    signal: new AbortController().signal,
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

const whole = (): string[] => [source, '--into', into, '--cluster', 'new-cluster', '--yes'];

/** Every file under the folder with a hash of its bytes; the reader's own lock file of LMDB apart. */
function contents(): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile() && each.name !== 'lock.mdb')
    .map((each) => {
      const path = join(each.parentPath, each.name);
      return `${path} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
    })
    .sort();
}

describe('what is wrong is said, and nothing is written', () => {
  beforeEach(() => {
    mkdirSync(join(root, 'empty'));
    mkdirSync(join(root, 'learner-2b'));
    writeFileSync(join(root, 'learner-2b', 'data.mdb'), '');
  });
  const cases: readonly [string, () => readonly string[], number, string | RegExp][] = [
    [
      'no folder',
      () => [join(root, 'nowhere'), ...whole().slice(1)],
      2,
      'is not a folder: give the data folder of a stopped',
    ],
    [
      'a folder without a store',
      () => [join(root, 'empty'), ...whole().slice(1)],
      1,
      "holds no learner's store: there is no data.mdb in it",
    ],
    ['no --into', () => [source, '--cluster', 'x', '--yes'], 2, '--into DIR is needed'],
    ['no --cluster', () => [source, '--into', into, '--yes'], 2, '--cluster ID is needed'],
    ['a name that is no id', () => [source, '--into', into, '--cluster', 'a b', '--yes'], 2, 'must be 1 to 64 letters'],
    [
      'the id of the old cluster',
      () => [source, '--into', into, '--cluster', OLD, '--yes'],
      1,
      'is the id of the old cluster',
    ],
    ['two acceptors', () => [...whole(), '--acceptors', '2'], 2, '--acceptors must be a whole number from 3 to 7'],
    ['an acceptor twice', () => [...whole(), '--acceptors', '1,2,2'], 2, 'names an id twice: 1,2,2'],
    ['eight acceptors', () => [...whole(), '--acceptors', '1,2,3,4,5,6,7,8'], 2, 'names 8; a cluster has 3 to 7'],
    ['quorums that miss each other', () => [...whole(), '--quorum', 'sizes:1,2'], 1, 'are not safe'],
    ['no quorum system', () => [...whole(), '--quorum', 'most'], 2, '--quorum must be'],
    ['learner 0', () => [...whole(), '--learner', '0'], 2, '--learner must be a whole number from 1'],
    ['nobody to ask', () => whole().slice(0, -1), 2, 'nobody can be asked here: add --yes'],
    [
      'a target below a file',
      () => [source, '--into', join(root, 'learner-2b', 'data.mdb', 'new'), '--cluster', 'x', '--yes'],
      1,
      /the new cluster could not be written: .*ENOTDIR.*outcome none/,
    ],
    [
      'the folder itself as the target',
      () => [source, '--into', source, '--cluster', 'x', '--yes'],
      2,
      "is in the learner's folder",
    ],
    [
      'a target in the folder',
      () => [source, '--into', `${source}/./new`, '--cluster', 'x', '--yes'],
      2,
      "is in the learner's folder",
    ],
  ];
  test.each(cases)('%s', async (_, args, code, text) => {
    const before = contents();
    const ran = await restore(args());
    expect([ran.code, ran.err]).toEqual([code, expect.stringMatching(text)]);
    expect(contents()).toEqual(before);
    expect(existsSync(into)).toBe(false);
  });

  test.each([['cluster.json'], ['acceptor-2/identity.json'], ['learner-2/data.mdb']])(
    'a target that holds %s already',
    async (name) => {
      mkdirSync(join(into, name, '..'), { recursive: true });
      writeFileSync(join(into, name), 'mine');
      const before = contents();
      const ran = await restore(whole());
      expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('is not empty')]);
      expect(contents()).toEqual(before);
    },
  );

  test('a learner that runs', async () => {
    const lock = await lockFolder(source);
    const ran = await restore(whole());
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('another process uses the data folder')]);
    await lock.release();
    expect((await restore(whole())).code).toBe(0);
  });

  test('a person who types something else', async () => {
    const ran = await restore(whole().slice(0, -1), 'yes');
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('not the id of the new cluster')]);
    expect(ran.out).toContain('What may be missing in it:');
    expect(existsSync(into)).toBe(false);
  });

  test('a target that another restore fills while a person is asked; what that made stays', async () => {
    const copy = join(root, 'copy');
    cpSync(source, copy, { recursive: true });
    const ran = await restore(whole().slice(0, -1), 'new-cluster', async () => {
      expect(await restore([copy, ...whole().slice(1)])).toMatchObject({ code: 0 });
    });
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('is not empty')]);
    for (const id of [1, 2, 3])
      expect(await readStamp(readFolder(join(into, `acceptor-${id}`)))).toMatchObject({ cluster: 'new-cluster', id });
    expect(existsSync(join(into, 'learner-2', 'data.mdb'))).toBe(true);
  });

  test('a target in which somebody starts while a person is asked; nothing of it is removed', async () => {
    const folder = join(into, 'acceptor-2');
    let lock: FolderLock | undefined;
    const ran = await restore(whole().slice(0, -1), 'new-cluster', async () => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      lock = await lockFolder(folder);
    });
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('another process uses the data folder')]);
    expect(readdirSync(folder).filter((name) => name.endsWith('.sock'))).toHaveLength(1);
    await lock?.release();
  });

  test('a store whose values are not those of its digests; what was begun is removed', async () => {
    // A value below a fixed slot, changed on disk so that its record can still be read.
    const db = openLmdb<Uint8Array, Uint8Array>({
      ...{ path: source, noSubdir: false, encoding: 'binary' as const, keyEncoding: 'binary' as const },
    });
    const [row] = [...db.getRange()].filter(({ value }) => Buffer.from(value).includes('value 17'));
    if (row === undefined) throw new Error('value 17 is not there');
    await db.put(
      row.key,
      Buffer.from(Buffer.from(row.value).toString('latin1').replace('value 17', 'value 71'), 'latin1'),
    );
    await db.close();
    const ran = await restore(whole());
    expect([ran.code, ran.err]).toEqual([1, expect.stringMatching(/DATA_LOSS/)]);
    expect(readdirSync(into)).toEqual([]);
  });
});

describe('a restore', () => {
  test('tells what the learner holds, and changes nothing', async () => {
    const before = contents();
    const { code, out } = await restore([source, '--dry-run']);
    expect(code).toBe(0);
    expect(out).toContain(`learner 2 of cluster ${OLD}, disk ${'ab'.repeat(16)}`);
    expect(out).toMatch(new RegExp(`^orders +${SLOTS}$`, 'm'));
    const json = JSON.parse((await restore([source, '--dry-run', '--json'])).out) as object;
    expect(json).toMatchObject({ from: { cluster: OLD, learner: '2' }, logs: { orders: SLOTS, 'synod.probe.1': 1 } });
    expect(contents()).toEqual(before);
  });

  test('makes folders for all acceptors and the learner once its id is typed, and leaves the source as it was', async () => {
    const before = contents();
    const ran = await restore([...whole().slice(0, -1), '--acceptors', '2,5,9', '--learner', '7'], 'new-cluster');
    expect([ran.code, ran.err]).toEqual([0, '']);
    expect(contents()).toEqual(expect.arrayContaining(before));
    // Neither the ids nor the name are such as npm start gives: it makes no claim that it could start this.
    expect(readdirSync(into).sort()).toEqual(['acceptor-2', 'acceptor-5', 'acceptor-9', 'learner-7']);
    for (const id of [2, 5, 9]) {
      const disk = readFolder(join(into, `acceptor-${id}`));
      expect(await readStamp(disk)).toMatchObject({ cluster: 'new-cluster', role: 'acceptor', id, begun: true });
      expect((await verifyJournal(disk)).verdict.kind).toBe('clean');
    }
    const store = await readLearnerStore(join(into, 'learner-7'));
    expect(store.identity).toMatchObject({ cluster: 'new-cluster', learner: '7' });
    expect(store.identity.disk).not.toBe('ab'.repeat(16));
    expect(store.progress('orders')?.next).toBe(SLOTS);
    expect(store.lookup('orders', CLIENT, 0, SLOTS - 1)).toMatchObject({ kind: 'known', slot: SLOTS - 1 });
    // R5: were the new acceptors wiped, it would know; of the old ones, of which one had a number too, it knows nothing.
    for (const id of [2, 5, 9]) {
      const { start, roster } = await readRoster(readFolder(join(into, `acceptor-${id}`)));
      expect(roster.kind).toBe('pending');
      expect(store.remembered(id)).toEqual({ start, draw: 0, position: 1 });
    }
    expect(store.remembered(1)).toBeUndefined();
    await store.close();
  });

  test('takes folders that are there and empty, wherever it is run from', async () => {
    for (const name of ['acceptor-1', 'learner-2']) mkdirSync(join(into, name), { recursive: true, mode: 0o700 });
    const dotted = `${root}/./new`;
    expect(await restore([source, '--into', dotted, '--cluster', 'new-cluster', '--yes'])).toMatchObject({ code: 0 });
  });

  test('takes folders that are there and empty, such as new file systems', async () => {
    for (const name of ['acceptor-1', 'acceptor-2', 'acceptor-3', 'learner-2'])
      mkdirSync(join(into, name, 'lost+found'), { recursive: true, mode: 0o700 });
    expect((await restore(whole())).code).toBe(0);
  });

  test('draws an id that npm start takes, and says it in JSON with the ends of all logs', async () => {
    const ran = await restore([source, '--into', into, '--cluster', 'new', '--acceptors', '5', '--yes', '--json']);
    const said = JSON.parse(ran.out) as { readonly cluster: string };
    expect(said).toMatchObject({
      ...{ from: { cluster: OLD }, acceptors: [1, 2, 3, 4, 5], quorum: 'majority', learner: 2, into },
      ...{ logs: { orders: SLOTS, 'synod.probe.1': 1 }, cluster: expect.stringMatching(/^[0-9a-f]{32}$/) },
    });
    expect(JSON.parse(readFileSync(join(into, 'cluster.json'), 'utf8'))).toEqual({
      ...{ format: 1, cluster: said.cluster, acceptors: 5, quorum: 'majority' },
    });
  });
});
