// Goal: the hand-written codec of Entry speaks protobuf. Method: the same entries through protobufjs, and damaged bytes.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { SynodError } from '../../../shared/base/errors.ts';
import { decodeEntry, ENTRY_ID_BYTES, encodeEntry, readEntryId } from '../../../shared/machine/entry.ts';
import type { Entry } from '../../../shared/machine/entry.ts';

fc.configureGlobal({ seed: 20261123 });

const client = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const payload = fc.uint8Array({ maxLength: 300 });
const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const entries: fc.Arbitrary<Entry> = fc.oneof(
  fc.constant<Entry>({ kind: 'no-op' }),
  client.map((c): Entry => ({ kind: 'open-session', client: c })),
  fc.record({ client, payload }).map((e): Entry => ({ kind: 'decree', ...e })),
  fc
    .record({ client, payload, session: number, numbers: fc.uniqueArray(number, { minLength: 2, maxLength: 2 }) })
    .map(({ numbers, ...e }): Entry => {
      const [acknowledged = 0, sequence = 1] = numbers.sort((a, b) => a - b);
      return { kind: 'command', ...e, sequence, acknowledged };
    }),
);
const KINDS = { 'no-op': 1, 'open-session': 2, command: 3, decree: 4 } as const;
const C = 'ab'.repeat(16);

function refusalOf(bytes: readonly number[]): string {
  try {
    decodeEntry(Uint8Array.from(bytes));
  } catch (error) {
    expect(error).toBeInstanceOf(SynodError);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'none' });
    return (error as SynodError).message;
  }
  return 'not refused';
}

describe('the entry codec', () => {
  const type = protobuf.loadSync('proto/synod/v1/values.proto').lookupType('synod.v1.Entry');

  test('writes the bytes that a protobuf library writes, defaults left out', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const fields: Record<string, unknown> = { kind: KINDS[entry.kind] };
        if (entry.kind !== 'no-op') fields.client = Buffer.from(entry.client, 'hex');
        if (entry.kind === 'command')
          for (const name of ['session', 'sequence', 'acknowledged'] as const)
            if (entry[name] !== 0) fields[name] = entry[name];
        if ((entry.kind === 'command' || entry.kind === 'decree') && entry.payload.length > 0)
          fields.payload = entry.payload;
        expect(Buffer.from(encodeEntry(entry))).toEqual(Buffer.from(type.encode(type.create(fields)).finish()));
      }),
    );
  });

  test('reads back what it wrote', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
      }),
    );
  });

  test('skips fields that it does not know, of every wire type', () => {
    const known = encodeEntry({ kind: 'open-session', client: C });
    const unknown = [
      0x78, 0x81, 0x01, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 2, 9, 9, 0x7d, 1, 2, 3, 4, 0x7b, 0x08, 0x05, 0x7c,
    ];
    expect(decodeEntry(Uint8Array.from([...unknown, ...known, ...unknown]))).toEqual({
      kind: 'open-session',
      client: C,
    });
  });

  test('names the number of a kind that it does not know', () => {
    expect(decodeEntry(Uint8Array.of(0x08, 77))).toEqual({ kind: 'unknown', number: 77 });
    expect(decodeEntry(new Uint8Array(0))).toEqual({ kind: 'unknown', number: 0 });
  });

  test('refuses every entry that is cut short', () => {
    const whole = encodeEntry({
      kind: 'command',
      client: C,
      session: 300,
      sequence: 900,
      acknowledged: 800,
      payload: Uint8Array.of(1, 2, 3),
    });
    const fieldEnds = new Set([0, 2, 20, 23, 26, 29]);
    for (let cut = 0; cut < whole.length; cut++) {
      if (fieldEnds.has(cut)) continue; // a whole message of fewer fields
      expect(refusalOf([...whole.subarray(0, cut)])).toMatch(/ends inside/);
    }
  });

  test('refuses numbers past 2^53, clients that are not 16 bytes, and numbers that contradict one another', () => {
    const command = [0x08, 3, 0x12, 16, ...new Array<number>(16).fill(7)];
    expect(refusalOf([...command, 0x20, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10])).toMatch(/above 2\^53/);
    expect(refusalOf([0x08, 2, 0x12, 3, 1, 2, 3])).toMatch(/3 bytes instead of 16/);
    expect(refusalOf([0x08, 2])).toMatch(/0 bytes instead of 16/);
    expect(refusalOf(command)).toMatch(/sequence number 0/);
    expect(refusalOf([...command, 0x20, 5, 0x28, 5])).toMatch(/sequence number 5 and acknowledges numbers up to 5/);
    expect(() => encodeEntry({ kind: 'open-session', client: 'AB'.repeat(16) })).toThrow(/lower-case hex/);
    expect(() => encodeEntry({ kind: 'open-session', client: 'ab' })).toThrow(/2 hex digits instead of 32/);
  });
});

describe('the id of an entry', () => {
  test('is read out of its first bytes, whatever comes after them', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const head = new Uint8Array(ENTRY_ID_BYTES);
        head.set(encodeEntry(entry).subarray(0, ENTRY_ID_BYTES));
        const { client: c, session, sequence } = { client: '', session: 0, sequence: 0, ...entry };
        const kind = entry.kind === 'no-op' ? 'unknown' : entry.kind;
        expect(readEntryId(head)).toEqual({ kind, client: c, session, sequence });
      }),
    );
  });

  test.each([
    ['no bytes', []],
    ['bytes of another encoder', [0x32, 1, 0, 0x08, 3]],
    ['a client id that is too short', [0x08, 3, 0x12, 2, 1, 1]],
    ['half a number', [0x08, 3, 0x12, 16, ...new Array<number>(16).fill(1), 0x18, 0x80]],
  ])('is unknown for %s, or read as far as it goes', (_, bytes) => {
    const id = readEntryId(Uint8Array.from(bytes));
    expect([id.client.length, id.sequence]).toEqual([id.kind === 'unknown' ? 0 : 32, 0]);
  });
});
