// Goal: identities are SHA-256. Method: against the platform's own, over all lengths around a block, and a known digest.
import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { compareBytes } from '../../../shared/base/batch.ts';
import { sha256 } from '../../../shared/base/sha256.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('sha256', () => {
  test('gives the digest of the standard for "abc"', () => {
    expect(hex(sha256(Buffer.from('abc')))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  test('gives what the platform gives, for every length of up to three blocks and a large one', () => {
    for (const length of [...Array(200).keys(), 100_000]) {
      const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length) & 255));
      expect(hex(sha256(bytes))).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
  });

  test('reads a view of a larger buffer from where the view begins', () => {
    const view = Buffer.from('xxabcxx').subarray(2, 5);
    expect(hex(sha256(view))).toBe(hex(sha256(Buffer.from('abc'))));
  });
});

test('byte strings are ordered as their first difference says, a prefix first', () => {
  const sorted = ['', 'a', 'ab', 'b', 'ba'].map((text) => Buffer.from(text));
  for (const [i, a] of sorted.entries())
    for (const [j, b] of sorted.entries()) expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(i - j));
});
