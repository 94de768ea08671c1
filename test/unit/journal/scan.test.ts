/**
 * Records that are whole, with checksums that fit, and still do not belong where they stand: each is refused for its own reason,
 * with file, offset and position (R6). A flipped bit cannot make one; a disk that mixes up its sectors, or another program, can.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { crc32 } from 'node:zlib';
import { dumpJournal } from '../../../shared/journal/index.ts';
import {
  HEADER,
  patternBytes,
  patternWord,
  readHeader,
  SECTOR,
  seedOf,
  writeRecord,
} from '../../../shared/journal/record.ts';
import { refusalError, type Verdict } from '../../../shared/journal/verdict.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { appendSynced, entry, open, options, settled } from './support.ts';

const FIRST = '0000000000.seg';
const SECOND = '0000000001.seg';
const SEED = seedOf(options().identity.disk);

async function verdictOf(disk: MemoryDisk): Promise<Verdict> {
  return (await dumpJournal(disk, () => undefined)).verdict;
}

/** The damage for which a journal is refused, and where. */
async function refusal(disk: MemoryDisk): Promise<unknown[]> {
  const verdict = await verdictOf(disk);
  return verdict.kind === 'refused'
    ? [verdict.damage, verdict.file, verdict.offset / SECTOR, verdict.position]
    : [verdict.kind];
}

/** Changes the header of the record at a sector, and makes its checksum fit again. */
function forge(disk: MemoryDisk, file: string, sector: number, change: (view: DataView) => void): void {
  const all = disk.bytesOf(file);
  const bytes = all.subarray(sector * SECTOR, sector * SECTOR + HEADER);
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER);
  change(view);
  const isStart = view.getUint8(5) === 1;
  view.setUint32(HEADER - 4, crc32(bytes.subarray(0, HEADER - 4), isStart ? 0 : SEED), true);
}

/** Writes another text into the start of the first segment. */
function restart(disk: MemoryDisk, text: string): void {
  const bytes = disk.bytesOf(FIRST);
  const { segment, offset, first, oldest, previous } = readHeader(bytes, 0, SEED)!;
  const start = [new TextEncoder().encode(text)];
  writeRecord(bytes.subarray(0, SECTOR), 'start', { segment, offset, first, oldest, previous }, start, SEED);
}

/** One segment: its start, three records of two entries at sectors 1, 3 and 5, a mark at sector 7. */
let small: MemoryDisk;
/** Several segments of one entry a record, three sectors each. */
let long: MemoryDisk;

beforeAll(async () => {
  const one = new MemoryDisk();
  const { journal } = await open(one);
  for (let i = 0; i < 3; i++) await appendSynced(journal, 2, 300);
  journal.idle();
  await settled();
  small = one.kill();
  const many = new MemoryDisk();
  const other = await open(many);
  for (let i = 0; i < 40; i++) await appendSynced(other.journal, 1, 1000);
  await other.journal.close();
  long = many.kill();
});

describe('a record that is whole and out of place', () => {
  test.each<[string, string, (view: DataView) => void]>([
    ['of another segment', 'misplaced-record', (v) => v.setUint32(8, 1, true)],
    ['of another offset', 'misplaced-record', (v) => v.setUint32(12, 5 * SECTOR, true)],
    ['of a newer version', 'newer-format', (v) => v.setUint8(4, 2)],
    ['that is a start', 'malformed-record', (v) => v.setUint8(5, 1)],
    ['that is a head behind the head', 'malformed-record', (v) => v.setUint8(5, 2)],
    ['that follows another record', 'broken-chain', (v) => v.setUint32(40, 1, true)],
    ['of another position', 'broken-chain', (v) => v.setUint32(24, 3, true)],
    ['of a far position', 'broken-chain', (v) => v.setUint32(28, 1, true)],
    ['that names another position as synced', 'broken-chain', (v) => v.setUint32(32, 1, true)],
    ['of more entries than it holds', 'malformed-record', (v) => v.setUint32(20, 3, true)],
    ['of fewer entries than it holds', 'malformed-record', (v) => v.setUint32(20, 1, true)],
    ['that is longer than the file', 'malformed-record', (v) => v.setUint32(16, 2 ** 31, true)],
  ])('%s is refused: %s', async (_, damage, change) => {
    const disk = small.clone();
    forge(disk, FIRST, 3, change);
    // A head and a start have checksums of their own over the payload; these say what else is wrong only if that fits, too.
    const bytes = disk.bytesOf(FIRST);
    if (bytes[3 * SECTOR + 5] === 1) {
      const place = { ...readHeader(bytes, 3 * SECTOR, SEED)! };
      writeRecord(bytes.subarray(3 * SECTOR), 'start', place, [entry(2, 300), entry(3, 300)], SEED);
    }
    expect(await refusal(disk)).toEqual([damage, FIRST, 3, 2]);
  });

  test('control: with its header written again as it was, it belongs there', async () => {
    const disk = small.clone();
    forge(disk, FIRST, 3, () => undefined);
    expect(await refusal(disk)).toEqual(['clean']);
  });
});

describe('the start of a segment', () => {
  const start = { format: 1, ...options().identity, size: options().segmentBytes, previousEnd: 0, heads: 1 };

  test('control: the start that this writes anew is the one that was there', async () => {
    const disk = small.clone();
    restart(disk, JSON.stringify({ ...start, heads: 0 }));
    expect(Buffer.compare(disk.bytesOf(FIRST), small.bytesOf(FIRST))).toBe(0);
  });

  test.each([
    ['of a newer format', JSON.stringify({ ...start, format: 2 }), 'newer-format'],
    ['that says less than it must', JSON.stringify({ ...start, heads: undefined }), 'damaged-start'],
    ['that is no object', '7', 'damaged-start'],
    ['that is no JSON', 'a start', 'damaged-start'],
    ['that promises a head that is not there', JSON.stringify(start), 'malformed-record'],
    ['of a larger file', JSON.stringify({ ...start, size: 2 * start.size, heads: 0 }), 'short-file'],
  ])('%s is refused', async (_, text, damage) => {
    const disk = small.clone();
    restart(disk, text);
    expect((await refusal(disk))[0]).toBe(damage);
  });

  test('is refused where it is no start, longer than the file, of another place, or damaged inside', async () => {
    const damage = async (change: (view: DataView) => void): Promise<unknown> => {
      const disk = small.clone();
      forge(disk, FIRST, 0, change);
      return (await refusal(disk))[0];
    };
    expect(await damage((v) => v.setUint8(5, 4))).toBe('damaged-start');
    expect(await damage((v) => v.setUint32(16, 2 ** 31, true))).toBe('short-file');
    expect(await damage((v) => v.setUint32(12, SECTOR, true))).toBe('misplaced-record');
    expect(await damage((v) => v.setUint32(8, 4, true))).toBe('misplaced-record');
    expect(await damage((v) => v.setUint32(20, 2, true))).toBe('damaged-start');
    const disk = small.clone();
    disk.bytesOf(FIRST)[HEADER + 30]! ^= 4;
    expect(await refusal(disk)).toEqual(['damaged-start', FIRST, 0, 0]);
  });

  /** A journal whose oldest segment begins with a head, and the name of that segment. */
  async function withHead(heads: readonly Uint8Array[]): Promise<{ disk: MemoryDisk; oldest: string }> {
    const disk = new MemoryDisk();
    const { journal } = await open(disk, { head: () => [...heads], bytesMax: 64 * options().segmentBytes });
    for (let i = 0; i < 20; i++) await appendSynced(journal, 1, 1000);
    await journal.trim(19);
    expect(journal.first).toBeGreaterThan(0);
    await journal.close();
    const [oldest = ''] = await disk.list();
    return { disk: disk.kill(), oldest };
  }

  test('is followed by its whole head, or the segment is refused', async () => {
    const { disk, oldest } = await withHead([entry(0, 700)]);
    expect(await refusal(disk)).toEqual(['clean']);
    const bytes = disk.bytesOf(oldest);
    expect(readHeader(bytes, SECTOR, SEED)?.type).toBe('head');
    const word = patternWord(SEED, Number(oldest.slice(0, 10)));
    bytes.set(patternBytes(word, bytes.length - SECTOR), SECTOR);
    expect((await refusal(disk)).slice(0, 3)).toEqual(['damaged-start', oldest, 1]);
  });

  test('is followed by heads alone until all of them are there', async () => {
    const { disk, oldest } = await withHead([entry(0, 100)]);
    forge(disk, oldest, 1, (v) => {
      v.setUint8(5, 3);
    });
    expect((await refusal(disk)).slice(0, 3)).toEqual(['malformed-record', oldest, 1]);
  });
});

describe('one segment after another', () => {
  test('control: undamaged, they are one journal', async () => {
    expect(await refusal(long.clone())).toEqual(['clean']);
  });

  test.each<[string, (view: DataView) => void]>([
    ['another record', (v) => v.setUint32(40, 1, true)],
    ['another position', (v) => v.setUint32(24, 1, true)],
  ])('a segment that continues %s than the one before ended with is refused', async (_, change) => {
    const disk = long.clone();
    forge(disk, SECOND, 0, change);
    const next = readHeader(long.bytesOf(SECOND), 0, SEED)!.first;
    expect(await refusal(disk)).toEqual(['broken-chain', SECOND, 0, next]);
  });

  test('a segment whose last record went back to preallocation is refused: the next one says where it ended', async () => {
    const disk = long.clone();
    const bytes = disk.bytesOf(FIRST);
    const next = readHeader(long.bytesOf(SECOND), 0, SEED)!.first;
    let last = 0;
    for (let at = SECTOR; at < bytes.length; at += SECTOR)
      if (readHeader(bytes, at, SEED)?.type === 'entries') last = at;
    bytes.set(patternBytes(patternWord(SEED, 0), bytes.length - last), last);
    expect(await refusal(disk)).toEqual(['damaged-before-later-write', FIRST, last / SECTOR, next - 1]);
  });

  test('a segment that is missing is named, with the position that is known from before it', async () => {
    const middle = long.clone();
    const third = readHeader(middle.bytesOf(SECOND), 0, SEED)!.first;
    middle.drop('0000000002.seg');
    expect(await refusal(middle)).toEqual(['missing-segment', '0000000002.seg', 0, third]);
    const oldest = long.clone();
    oldest.drop(FIRST);
    expect(await refusal(oldest)).toEqual(['missing-segment', FIRST, 0, 0]);
  });
});

describe('what lies behind the end', () => {
  /** One record in a segment of 1 MiB, closed with a mark. */
  async function large(): Promise<MemoryDisk> {
    const disk = new MemoryDisk();
    const { journal } = await open(disk, { segmentBytes: 2 ** 20, bytesMax: 2 ** 22, reserveBytes: 2 ** 20 });
    await appendSynced(journal, 1, 300);
    await journal.close();
    return disk.kill();
  }

  test('is found in every part of a large segment: at both ends of each piece that is read, and at the last sector', async () => {
    const whole = await large();
    expect(await refusal(whole)).toEqual(['clean']);
    const piece = 512 * 1024;
    // The start, the entry and the mark are one sector, one sector and one sector; the end is looked at from the fifth on.
    const first = 4 * SECTOR;
    for (const at of [first + piece - SECTOR, first + piece, 2 ** 20 - SECTOR]) {
      const disk = whole.clone();
      disk.bytesOf(FIRST)[at + 100]! ^= 1;
      expect([at, ...(await refusal(disk))]).toEqual([at, 'torn']);
    }
  });

  test('a segment that is full to its last sector ends cleanly behind a mark, and unmarked behind entries', async () => {
    for (const [last, kind] of [
      ['mark', 'clean'],
      ['entries', 'unmarked'],
    ] as const) {
      const disk = small.clone();
      const bytes = disk.bytesOf(FIRST);
      let { crc: previous } = readHeader(bytes, 7 * SECTOR, SEED)!;
      for (let at = 8 * SECTOR; at < bytes.length; at += SECTOR) {
        const place = { segment: 0, offset: at, first: 6, oldest: 0, previous };
        const isEntry = at + SECTOR === bytes.length && last === 'entries';
        const entries = isEntry ? [entry(6)] : [];
        previous = writeRecord(bytes.subarray(at), isEntry ? 'entries' : 'mark', place, entries, SEED).crc;
      }
      expect((await verdictOf(disk)).kind).toBe(kind);
    }
  });
});

describe('a journal that is refused', () => {
  /** Files that were opened and not closed. */
  async function left(disk: MemoryDisk): Promise<number> {
    let count = 0;
    disk.gate = (op) => {
      if (op.kind === 'open') count++;
      if (op.kind === 'close') count--;
      return undefined;
    };
    await expect(open(disk, { create: false })).rejects.toThrow();
    return count;
  }

  test('leaves no file open, whichever segment it is refused for, and when its disk cannot be read', async () => {
    for (const sector of [0, 3]) {
      const disk = long.clone();
      disk.bytesOf(SECOND).fill(0, sector * SECTOR, (sector + 1) * SECTOR);
      expect(await left(disk)).toBe(0);
    }
    const disk = long.clone();
    disk.fault = (op) => (op.kind === 'read' && op.name === SECOND ? new Error('the disk is gone') : undefined);
    expect(await left(disk)).toBeLessThanOrEqual(1);
  });

  test('is told with the detail that is known, or without one', () => {
    const damage = { kind: 'refused', damage: 'short-file', file: FIRST, offset: 512, position: 7 } as const;
    const plain = refusalError(damage).message;
    expect(plain).toContain('the file is shorter than when it was made');
    expect(plain).not.toContain('(disk 3)');
    expect(refusalError(damage, 'disk 3').message).toBe(
      plain.replace('the file is shorter than when it was made', 'the file is shorter than when it was made (disk 3)'),
    );
  });
});
