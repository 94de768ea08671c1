/**
 * Goal: an acceptor whose disk is empty, another's, older than it was or damaged does not speak, says why, ends with the code that
 * tells a supervisor not to try again, and changes nothing (R5, R6). Method: the folder of a stopped acceptor is exchanged, the
 * acceptor run to its end; then the right folder is put back, and it must start. That is each refusal's control.
 */
import { cpSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { connect } from '../../shared/client/index.ts';
import type { SynodClient } from '../../shared/client/index.ts';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import { Harness, built, synodctl } from './cluster.ts';
import { readAll } from './load.ts';

jest.setTimeout(120_000);

const LOG = 'disks';

let harness: Harness;
let client: SynodClient;
const written: string[] = [];

beforeAll(async () => {
  await built();
  harness = await Harness.start();
  client = connect({ proposers: harness.cluster.addresses('proposer'), timeoutMs: 30_000 });
});
afterAll(async () => {
  (client as SynodClient | undefined)?.close();
  await (harness as Harness | undefined)?.stop();
});

/** Has a few values chosen; most tests want the journal to hold something new. */
async function write(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) {
    const value = `value ${written.length}`;
    await client.propose(LOG, Buffer.from(value));
    written.push(value);
  }
}

const folderOf = (id: number): string => harness.member('acceptor', id).data ?? '';

/** Every file of a folder with its bytes, but for sockets. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { withFileTypes: true, recursive: true }).filter((each) => each.isFile());
  return Object.fromEntries(files.map(({ name }) => [name, readFileSync(join(folder, name)).toString('base64')]));
}

/** A place in the journal: in the oldest value of these tests that is kept there. */
function somewhereIn(folder: string): { readonly name: string; readonly bytes: Buffer; readonly at: number } {
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.seg'))) {
    const bytes = readFileSync(join(folder, name));
    const at = bytes.indexOf('value ');
    if (at > 0) return { name, bytes, at };
  }
  throw new Error(`no segment in ${folder} holds a value`);
}

interface Refused {
  readonly code: number | null;
  readonly said: string;
  readonly before: Record<string, string>;
  readonly after: Record<string, string>;
}

/** Puts another folder in the place of an acceptor's, runs it to its end, and puts the right one back. */
async function refusalWith(id: number, make: (folder: string) => void): Promise<Refused> {
  const folder = folderOf(id);
  renameSync(folder, `${folder}.right`);
  make(folder);
  const before = contents(folder);
  try {
    const { code, out, err } = await harness.run('acceptor', id);
    return { code, said: out + err, before, after: contents(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
    renameSync(`${folder}.right`, folder);
  }
}

async function expectItGoesOn(...ids: number[]): Promise<void> {
  for (const id of ids) await harness.back('acceptor', id);
  await write();
}

describe('an acceptor refuses to speak, and ends with the code for it,', () => {
  test('when its folder is empty', async () => {
    await write();
    await harness.end('acceptor', 1, 'SIGTERM');
    await write();
    const { code, said } = await refusalWith(1, (folder) => {
      mkdirSync(folder);
    });
    await expectItGoesOn(1);
    // Who answers first, an acceptor or a learner, knows it by its disk or by its start.
    expect(said).toMatch(
      /knows acceptor 1 by disk [0-9a-f]+.*An empty or foreign disk cannot|remembers start \d+ of it.*It is empty, foreign or older/,
    );
    expect(code).toBe(EXIT.refused);
  });

  test('when its folder is an older copy', async () => {
    const old = join(harness.folder, 'older-copy');
    await harness.end('acceptor', 2, 'SIGTERM');
    cpSync(folderOf(2), old, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    await harness.back('acceptor', 2);
    await write();
    await harness.end('acceptor', 2, 'SIGKILL');
    await write();
    const { code, said } = await refusalWith(2, (folder) => {
      renameSync(old, folder);
    });
    await expectItGoesOn(2);
    // Whoever hears it first, an acceptor or a learner, remembers the later start.
    expect(said).toMatch(
      /acceptor 2 does not speak with disk [0-9a-f]+: (?:acceptor|learner) \d .*The disk was restored or copied/,
    );
    expect(code).toBe(EXIT.refused);
  });

  test('when two folders are exchanged', async () => {
    await harness.end('acceptor', 2, 'SIGTERM');
    await harness.end('acceptor', 3, 'SIGTERM');
    const exchange = (): void => {
      renameSync(folderOf(2), `${folderOf(2)}.away`);
      renameSync(folderOf(3), folderOf(2));
      renameSync(`${folderOf(2)}.away`, folderOf(3));
    };
    exchange();
    const ended = await Promise.all([2, 3].map((id) => harness.run('acceptor', id)));
    exchange();
    await expectItGoesOn(2, 3);
    for (const [at, { code, out, err }] of ended.entries()) {
      expect(out + err).toMatch(new RegExp(`belongs to id ${3 - at}, and this process is of id ${2 + at}`));
      expect(code).toBe(EXIT.refused);
    }
  });

  test('when a byte of its journal has changed, with file and offset, and leaves it as it is', async () => {
    await write();
    await harness.end('acceptor', 3, 'SIGTERM');
    const copy = join(harness.folder, 'damaged');
    cpSync(folderOf(3), copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    const { name, bytes, at } = somewhereIn(copy);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(join(copy, name), bytes);
    const verified = await synodctl(harness.cluster.portBase, ['journal', 'verify', copy]);
    const { code, said, before, after } = await refusalWith(3, (folder) => {
      renameSync(copy, folder);
    });
    await expectItGoesOn(3);
    expect(after).toEqual(before);
    const where = new RegExp(
      `${name.replace('.', '\\.')} at byte (\\d+), the record of position \\d+: a record is damaged`,
    );
    const found = where.exec(said);
    // The record that holds the byte begins before it.
    expect(Number(found?.[1])).toBeGreaterThan(0);
    expect(Number(found?.[1])).toBeLessThan(at);
    expect(code).toBe(EXIT.refused);
    expect(verified.err).toMatch(where);
    expect(verified.code).toBe(5);
  });

  test('when another process uses its folder, which goes on undisturbed', async () => {
    const elsewhere = { grpc: '127.0.0.1:0', http: '127.0.0.1:0' };
    const { code, out, err } = await harness.run('acceptor', 1, elsewhere);
    expect(out + err).toMatch(/another process uses the data folder .*acceptor-1; stop it first/);
    expect(code).not.toBe(0);
    await write();
  });
});

test('after all of that every value is there once, in the order of writing, at every learner', async () => {
  await write();
  const logs = await readAll(harness.cluster, LOG);
  expect(logs.length).toBe(2);
  for (const { entries } of logs)
    expect(
      entries.filter(({ effect, kind }) => kind === 'proposal' && effect === 'applied').map(({ value }) => value),
    ).toEqual(written);
});
