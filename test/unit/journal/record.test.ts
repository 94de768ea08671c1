/** One record to the byte: what is written is read, nothing else passes for a record, and preallocation is known by every word. */
import { describe, expect, test } from '@jest/globals';
import type { Place, RecordType } from '../../../shared/journal/record.ts';
import {
  eachEntry,
  entriesOf,
  HEADER,
  isPattern,
  isWellFormed,
  patternBytes,
  patternWord,
  payloadIsWhole,
  readHeader,
  SECTOR,
  seedOf,
  VERSION,
  writeRecord,
} from '../../../shared/journal/record.ts';

const SEED = seedOf('a disk');
const PLACE: Place = { segment: 3, offset: 2 * SECTOR, first: 2 ** 40 + 7, oldest: 2, previous: 0xfedcba98 };
const ENTRIES = [Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(4)];

/** A record at `at` in a buffer that is itself a view from `shift`. */
function written(at = 0, shift = 0, type: RecordType = 'entries', seed = SEED): { bytes: Uint8Array; crc: number } {
  const bytes = new Uint8Array(shift + at + SECTOR).subarray(shift);
  const { size, crc } = writeRecord(bytes.subarray(at), type, PLACE, ENTRIES, seed);
  expect(size).toBe(SECTOR);
  return { bytes, crc };
}

describe('a record', () => {
  test.each([
    [0, 0],
    [SECTOR, 0],
    [0, 24],
    [SECTOR, 40],
  ])('is read as it was written, at %i of a buffer that begins at %i, positions above 2^32 included', (at, shift) => {
    const { bytes, crc } = written(at, shift);
    const header = readHeader(bytes, at, SEED)!;
    expect(header).toEqual({
      ...{ ...PLACE, type: 'entries', version: VERSION, length: 3 * 4 + 4, count: 3 },
      ...{ synced: PLACE.first - 1, payloadCrc: expect.any(Number), crc },
    });
    expect([payloadIsWhole(bytes, at, header, SEED), isWellFormed(bytes, at, header)]).toEqual([true, true]);
    expect(entriesOf(bytes, at, header)).toEqual(ENTRIES);
  });

  test('is no record with any bit of its header flipped, nor whole with any bit of its payload or padding flipped', () => {
    const { bytes } = written();
    const header = readHeader(bytes, 0, SEED)!;
    const missed: number[] = [];
    for (let at = 0; at < SECTOR; at++)
      for (let bit = 0; bit < 8; bit++) {
        bytes[at]! ^= 1 << bit;
        const passes = at < HEADER ? readHeader(bytes, 0, SEED) !== undefined : payloadIsWhole(bytes, 0, header, SEED);
        if (passes) missed.push(at * 8 + bit);
        bytes[at]! ^= 1 << bit;
      }
    expect(missed).toEqual([]);
    expect(readHeader(bytes, 0, SEED)).toEqual(header);
    expect(readHeader(bytes.subarray(0, HEADER - 1), 0, SEED)).toBeUndefined();
  });

  test('of an unknown type, or that does not begin as records do, is none, although its checksum fits', async () => {
    const { crc32 } = await import('node:zlib');
    for (const [at, value] of [
      [5, 5],
      [5, 0],
      [0, 0],
    ] as const) {
      const { bytes } = written();
      bytes[at] = value;
      new DataView(bytes.buffer).setUint32(HEADER - 4, crc32(bytes.subarray(0, HEADER - 4), SEED), true);
      expect(readHeader(bytes, 0, SEED)).toBeUndefined();
    }
  });

  test('of another disk is none; only a start can be read before the disk is known', () => {
    expect(seedOf('a disk')).not.toBe(seedOf('another disk'));
    for (const type of ['entries', 'head', 'mark', 'start'] as const) {
      const { bytes } = written(0, 0, type);
      const header = readHeader(bytes, 0, SEED)!;
      expect(readHeader(bytes, 0, seedOf('another disk'))?.type).toBe(type === 'start' ? 'start' : undefined);
      expect(payloadIsWhole(bytes, 0, header, seedOf('another disk'))).toBe(type === 'start');
    }
  });

  test('is well formed only if its entries fill it to the byte', () => {
    const { bytes } = written();
    const header = readHeader(bytes, 0, SEED)!;
    for (const [count, length, is] of [
      [3, 16, true],
      [2, 16, false],
      [4, 16, false],
      [3, 15, false],
      [3, 17, false],
      [2, 11, true],
      [2, 10, false],
      [0, 0, true],
      [1, 3, false],
    ] as const)
      expect([count, length, isWellFormed(bytes, 0, { ...header, count, length })]).toEqual([count, length, is]);
  });

  test('shows a reader the entries that it asked for, until it has enough', () => {
    const { bytes } = written();
    const header = readHeader(bytes, 0, SEED)!;
    const seen = (from: number, to: number, enough = Infinity): unknown => {
      const entries: number[] = [];
      const went = eachEntry(bytes, 0, header, from, to, (i) => entries.push(i) < enough);
      return [entries, went];
    };
    expect(seen(0, 3)).toEqual([[0, 1, 2], true]);
    expect(seen(1, 9)).toEqual([[1, 2], true]);
    expect(seen(0, 2)).toEqual([[0, 1], true]);
    expect(seen(0, 3, 2)).toEqual([[0, 1], false]);
  });
});

describe('preallocation', () => {
  const word = patternWord(SEED, 0);

  test('is the same eight bytes again and again, for any size', () => {
    for (const size of [3, 8, 9, 24, 100, 1024, 1500])
      expect([...patternBytes(word, size)]).toEqual(Array.from({ length: size }, (_, i) => word[i & 7]));
  });

  test('differs from disk to disk and from segment to segment, in either half of its eight bytes', () => {
    const halves = (seed: number, segment: number): number[] => {
      const view = new DataView(patternWord(seed, segment).buffer);
      return [view.getUint32(0, true), view.getUint32(4, true)];
    };
    const all = [halves(SEED, 0), halves(SEED, 1), halves(seedOf('another disk'), 0)];
    expect(new Set(all.flat()).size).toBe(6);
  });

  test('is known wherever it lies in a buffer, and is none with any one byte changed', () => {
    for (const shift of [0, 2, 4, 8])
      for (const from of [0, 16, 24])
        for (const size of [8, 64, 61]) {
          const bytes = new Uint8Array(shift + 256).subarray(shift);
          bytes.set(patternBytes(word, size), from);
          expect(isPattern(bytes, from, from + size, word)).toBe(true);
          for (let at = from; at < from + size; at++) {
            bytes[at]! ^= 1;
            expect(isPattern(bytes, from, from + size, word)).toBe(false);
            bytes[at]! ^= 1;
          }
          // What lies around it is not looked at.
          expect([bytes[from + size], isPattern(bytes, from, from + size + 8, word)]).toEqual([0, false]);
        }
    expect(isPattern(new Uint8Array(8), 0, 0, word)).toBe(true);
  });
});
