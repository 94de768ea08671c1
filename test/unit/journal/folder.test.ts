/** The journal and its lock in a real folder, with a real second process. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Journal } from '../../../shared/ports/journal.ts';
import { openFolder, readFolder } from '../../../shared/platform/disk.ts';
import { lockFolder } from '../../../shared/platform/journal-lock.ts';
import { verifyJournal } from '../../../shared/journal/index.ts';
import { entry, open, positions, range } from './support.ts';

let folder: string;

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'synod-journal-'));
});

afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

function synced(journal: Journal): Promise<void> {
  return new Promise((done) => {
    journal.onSynced = (position) => {
      if (position === journal.newest) done();
    };
  });
}

describe('a journal in a real folder', () => {
  test('writes, rotates, trims, and is found again', async () => {
    const disk = await openFolder(join(folder, 'a', 'b'));
    const { journal } = await open(disk, { head: () => [entry(1)] });
    for (let i = 0; i < 60; i++) {
      journal.append(entry(i, i % 7 === 0 ? 3500 : 200));
      await synced(journal);
    }
    expect(await positions(journal)).toEqual(range(0, 60));
    await journal.trim(40);
    expect(journal.first).toBeGreaterThan(0);
    // The mark with which a trim begins.
    expect((await verifyJournal(readFolder(join(folder, 'a', 'b')))).verdict.kind).toBe('clean');
    await journal.close();
    const again = await open(disk, { create: false });
    expect(again.verdict).toEqual({ kind: 'clean' });
    expect(await positions(again.journal)).toEqual(range(journal.first, 60));
    await again.journal.close();
    const stat = fs.statSync(join(folder, 'a', 'b'));
    expect(stat.mode & 0o777).toBe(0o700);
    for (const name of fs.readdirSync(join(folder, 'a', 'b')))
      expect(fs.statSync(join(folder, 'a', 'b', name)).mode & 0o777).toBe(0o600);
  });

  test('verify never takes a journal that is being written for a damaged one', async () => {
    const { journal } = await open(await openFolder(folder), { head: () => [entry(1)] });
    const reader = readFolder(folder);
    let looks = 0;
    const looking = (async () => {
      for (; looks < 30; looks++) expect((await verifyJournal(reader)).verdict).not.toMatchObject({ kind: 'refused' });
    })();
    let trimmed = Promise.resolve();
    for (let i = 0; looks < 30; i++) {
      journal.append(entry(i, 40 + ((i * 977) % 3500)));
      await synced(journal);
      if (i % 40 === 39) trimmed = trimmed.then(() => journal.trim(i - 30));
    }
    await looking;
    await trimmed;
    await journal.close();
  }, 30_000);

  test('a folder that others can write, or that is a file, is refused', async () => {
    fs.chmodSync(folder, 0o770);
    await expect(openFolder(folder)).rejects.toThrow(/written by its group.*mode 770.*chmod go-w/);
    fs.chmodSync(folder, 0o700);
    await openFolder(folder);
    fs.writeFileSync(join(folder, 'file'), '');
    await expect(openFolder(join(folder, 'file'))).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});

/** A process that holds an open lock as another Synod process would: it listens on a socket of that name in the folder. */
async function holder(name: string): Promise<ChildProcess> {
  const code = `process.chdir(${JSON.stringify(folder)});
    require('node:net').createServer((s) => s.destroy()).listen(${JSON.stringify(name)}, () => console.log('held'));`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

describe('the lock of a folder', () => {
  test('a second taker is refused until the first lets go', async () => {
    const first = await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow(/another process uses the data folder .*stop it first/);
    await first.release();
    const second = await lockFolder(folder);
    await second.release();
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test('another process holds it until it is gone, however it ends', async () => {
    const child = await holder('lock.00.sock');
    try {
      await expect(lockFolder(folder)).rejects.toThrow(/another process/);
      // A stopped process still holds it: it may go on at any time.
      child.kill('SIGSTOP');
      await expect(lockFolder(folder)).rejects.toThrow(/another process/);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    expect(fs.readdirSync(folder)).toEqual(['lock.00.sock']);
    const lock = await lockFolder(folder);
    expect(fs.existsSync(join(folder, 'lock.00.sock'))).toBe(false);
    await lock.release();
  });

  test('of many that start at once at most one goes on', async () => {
    for (let round = 0; round < 5; round++) {
      const locks = await Promise.allSettled(range(0, 6).map(() => lockFolder(folder)));
      const held = locks.filter((lock) => lock.status === 'fulfilled');
      expect(held.length).toBeLessThanOrEqual(1);
      for (const lock of held) await lock.value.release();
    }
    await (await lockFolder(folder)).release();
  });

  test('a path that is longer than a socket address is locked all the same', async () => {
    const deep = join(folder, 'x'.repeat(120));
    fs.mkdirSync(deep);
    const first = await lockFolder(deep);
    await expect(lockFolder(deep)).rejects.toThrow(/another process/);
    await first.release();
    expect(fs.readdirSync(deep)).toEqual([]);
  });
});
