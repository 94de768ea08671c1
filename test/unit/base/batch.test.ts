// Goal: a batch is its list of values, whatever is cut and joined. Method: random lists against arrays; damaged bytes.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Batch, bytesEqual } from '../../../shared/base/batch.ts';
import { Fifo } from '../../../shared/base/fifo.ts';
import { Prng } from '../../../shared/base/prng.ts';
import { Values } from '../../../shared/wire/gen/synod/v1/values.ts';

fc.configureGlobal({ seed: 20261123, numRuns: 300 });

const value = fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ minLength: 120, maxLength: 140 }));
const values = fc.array(value, { maxLength: 12 });

const lists = (of: readonly Uint8Array[]): number[][] => of.map((v) => [...v]);

describe('a batch', () => {
  test('gives back the values that it was made of, empty ones included', () => {
    fc.assert(
      fc.property(values, (of) => {
        const batch = Batch.of(of);
        expect([batch.count, lists(batch.values())]).toEqual([of.length, lists(of)]);
        expect(lists(Batch.from(Uint8Array.from(batch.bytes), of.length).values())).toEqual(lists(of));
      }),
    );
  });

  test('is the protobuf message that it says it is', () => {
    fc.assert(
      fc.property(values, (of) => {
        expect(lists(Values.decode(Batch.of(of).bytes).value)).toEqual(lists(of));
      }),
    );
  });

  test('is cut and joined like an array', () => {
    fc.assert(
      fc.property(values, fc.nat(12), fc.nat(12), (of, a, b) => {
        const [from, to] = [Math.min(a, of.length), Math.min(b, of.length)];
        const batch = Batch.of(of);
        const part = batch.slice(from, to);
        expect([part.count, lists(part.values())]).toEqual([Math.max(0, to - from), lists(of.slice(from, to))]);
        const again = Batch.concat([batch.slice(0, from), batch.slice(from, of.length)]);
        expect(again.equals(batch)).toBe(true);
        expect(again.equals(Batch.of([...of, new Uint8Array()]))).toBe(false);
      }),
    );
  });

  test('is refused when its bytes are not so many whole values', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), fc.nat(), (of, at) => {
        const { bytes } = Batch.of(of);
        expect(() => Batch.from(bytes, of.length + 1)).toThrow(
          `the batch says ${of.length + 1} values and holds ${of.length}`,
        );
        expect(() => Batch.from(bytes.subarray(0, at % bytes.length), of.length)).toThrow();
      }),
    );
    expect(() => Batch.from(Uint8Array.of(0x12, 0), 1)).toThrow('a batch has byte 18 where a value begins');
    expect(() => Batch.from(Uint8Array.of(0x0a, 5, 1), 1)).toThrow('a batch ends inside a value');
    expect(() => Batch.from(Uint8Array.of(0x0a, 0x80), 1)).toThrow('a batch ends inside a length');
    expect(() => Batch.from(Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff), 1)).toThrow(
      'a batch ends inside a length',
    );
  });
});

describe('small things', () => {
  test('bytes are equal when they are the same, byte for byte', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(bytesEqual(a, b)).toBe(Buffer.compare(a, b) === 0);
        expect(bytesEqual(a, Uint8Array.from(a))).toBe(true);
      }),
    );
  });

  test('a fifo gives what came first, over long use', () => {
    const fifo = new Fifo<number>();
    const model: number[] = [];
    const prng = new Prng(1);
    for (let i = 0; i < 20_000; i++) {
      if (prng.chance(0.52)) {
        fifo.push(i);
        model.push(i);
      } else expect(fifo.shift()).toBe(model.shift());
      expect([fifo.length, fifo.peek()]).toEqual([model.length, model[0]]);
    }
    expect(fifo.toArray()).toEqual(model);
    expect(fifo.drain()).toEqual(model);
    expect(fifo.shift()).toBeUndefined();
  });

  test('a seed gives the same numbers on every machine', () => {
    const prng = new Prng(42);
    expect([prng.uint32(), prng.uint32(), prng.uint32()]).toMatchInlineSnapshot(`
      [
        2837322924,
        544945897,
        479756282,
      ]
    `);
    const other = new Prng(43);
    expect(new Prng(42).uint32()).not.toBe(other.uint32());
    for (let i = 0; i < 1_000; i++) {
      const n = other.below(7);
      expect(n >= 0 && n < 7 && Number.isInteger(n)).toBe(true);
    }
  });
});
