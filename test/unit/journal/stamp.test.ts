import { crc32 } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { markBegun, openStamp, readStamp } from '../../../shared/journal/index.ts';
import { Prng } from '../../../shared/base/prng.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { settled } from './support.ts';

const owner = { cluster: 'test', configuration: 'c1', role: 'acceptor', id: 1 };
const draw = (): string => 'a'.repeat(32);
const never = (): string => {
  throw new Error('a second disk id was drawn');
};
const NAMES = ['identity.json', 'identity.copy.json'];

describe('the stamp of a data folder', () => {
  test('a disk id is drawn once, in the empty folder, and kept (R5)', async () => {
    const disk = new MemoryDisk();
    const stamp = await openStamp(disk, owner, draw);
    expect(stamp).toMatchObject({ ...owner, disk: 'a'.repeat(32), begun: false });
    expect(await openStamp(disk, owner, never)).toEqual(stamp);
    await markBegun(disk, stamp);
    expect(await openStamp(disk, owner, never)).toMatchObject({ begun: true });
    expect(await readStamp(disk)).toMatchObject({ begun: true, id: 1 });
  });

  test.each([
    [{ cluster: 'other' }, /belongs to cluster test, and this process is of cluster other/],
    [{ configuration: 'c2' }, /belongs to configuration c1.*c2/],
    [{ role: 'learner' }, /belongs to role acceptor.*learner/],
    [{ id: 2 }, /belongs to id 1.*id 2/],
  ])('the folder of another %j is refused and not changed', async (change, message) => {
    const disk = new MemoryDisk();
    await openStamp(disk, owner, draw);
    const before = NAMES.map((name) => [...disk.bytesOf(name)]);
    await expect(openStamp(disk, { ...owner, ...change }, never)).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(message),
    });
    expect(NAMES.map((name) => [...disk.bytesOf(name)])).toEqual(before);
  });

  test('a folder with other files is refused by their name, one with a lock alone is not', async () => {
    const disk = new MemoryDisk();
    disk.put('lock.0123.sock', new Uint8Array(0));
    disk.put('photos.zip', new Uint8Array(3));
    await expect(openStamp(disk, owner, draw)).rejects.toThrow(/photos\.zip/);
    expect(await disk.list()).toEqual(['lock.0123.sock', 'photos.zip']);
    disk.drop('photos.zip');
    await openStamp(disk, owner, draw);
  });

  test('one damaged copy is written again from the other; two are refused', async () => {
    for (const name of NAMES) {
      const disk = new MemoryDisk();
      const stamp = await openStamp(disk, owner, draw);
      const bytes = disk.bytesOf(name);
      const good = bytes.slice();
      for (let at = 0; at < bytes.length - 1; at++) {
        const damaged = disk.clone();
        damaged.bytesOf(name)[at] = (bytes[at] ?? 0) ^ 4;
        expect(await openStamp(damaged, owner, never)).toEqual(stamp);
        expect(damaged.bytesOf(name)).toEqual(good);
      }
      for (const each of NAMES) disk.bytesOf(each).fill(0);
      await expect(openStamp(disk, owner, never)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    }
  });

  test('two copies that name different disks are refused', async () => {
    const disk = new MemoryDisk();
    await openStamp(disk, owner, draw);
    const other = new MemoryDisk();
    await openStamp(other, owner, () => 'b'.repeat(32));
    disk.put('identity.json', other.bytesOf('identity.json'));
    await expect(openStamp(disk, owner, never)).rejects.toThrow(/different disks/);
  });

  test('a newer format is refused with the way out', async () => {
    const disk = new MemoryDisk();
    await openStamp(disk, owner, draw);
    for (const name of NAMES) {
      const fields = JSON.parse(Buffer.from(disk.bytesOf(name)).toString()) as Record<string, unknown>;
      delete fields['check'];
      fields['format'] = 2;
      const check = crc32(JSON.stringify(fields)).toString(16).padStart(8, '0');
      disk.put(name, Buffer.from(JSON.stringify({ ...fields, check })));
    }
    await expect(openStamp(disk, owner, never)).rejects.toThrow(/format 2.*up to 1; start a newer one/);
  });

  test('a loss of power at any moment leaves the old stamp or the new one', async () => {
    for (let dies = 0; dies < 30; dies++) {
      for (let seed = 0; seed < 8; seed++) {
        const disk = new MemoryDisk();
        disk.diesAt = dies;
        const told = { begun: false };
        void openStamp(disk, owner, draw)
          .then((stamp) => markBegun(disk, stamp))
          .then(() => (told.begun = true));
        await settled();
        const stamp = await openStamp(disk.crash(new Prng(seed)), owner, draw);
        if (told.begun) expect(stamp.begun).toBe(true);
        expect(stamp.disk).toBe('a'.repeat(32));
      }
    }
  });
});
