/**
 * Goal: any language can take part from `proto/` alone. Method: for every message of every page, the generated code writes the very
 * bytes that an independent implementation writes from the page, with every field set, with each case of each oneof, and with none.
 */
import { describe, expect, test } from '@jest/globals';
import { loadGenerated, loadMessages } from './reflect.ts';
import type { Field, Message } from './reflect.ts';

const messages = loadMessages();
const generated = await loadGenerated();

/** One value in the two shapes: with oneofs as plain fields, and as ts-proto's unions. */
interface Sample {
  readonly plain: Record<string, unknown>;
  readonly union: Record<string, unknown>;
}

function samples(message: Message): Sample[] {
  const oneofs = new Set(message.fields.flatMap((f) => (f.oneof === undefined ? [] : [f.oneof])));
  const cases = Math.max(1, ...[...oneofs].map((o) => message.fields.filter((f) => f.oneof === o).length));
  const all: Sample[] = [{ plain: {}, union: {} }];
  for (let i = 0; i < cases; i++) all.push(full(message, i, 0));
  return all;
}

/** Every field set; of each oneof the case with the given number. */
function full(message: Message, choice: number, depth: number): Sample {
  const sample: Sample = { plain: {}, union: {} };
  const chosen = new Map<string, Field>();
  for (const name of new Set(message.fields.map((f) => f.oneof))) {
    const cases = message.fields.filter((f) => f.oneof === name);
    const field = cases[choice % cases.length];
    if (name !== undefined && field !== undefined) chosen.set(name, field);
  }
  for (const field of message.fields) {
    if (field.oneof !== undefined && chosen.get(field.oneof) !== field) continue;
    const values = (field.repeated ? [0, 1] : [0]).map((n) => value(field, choice + n, depth));
    const plain = field.repeated ? values.map((v) => v.plain) : values[0]?.plain;
    const union = field.repeated ? values.map((v) => v.union) : values[0]?.union;
    sample.plain[field.name] = plain;
    if (field.oneof === undefined) sample.union[field.name] = union;
    else sample.union[field.oneof] = { $case: field.name, value: union };
  }
  return sample;
}

function value(field: Field, seed: number, depth: number): { plain: unknown; union: unknown } {
  const both = (v: unknown): { plain: unknown; union: unknown } => ({ plain: v, union: v });
  switch (field.type) {
    case 'TYPE_STRING':
      return both(`grün ${field.name} ${String(seed)}`);
    case 'TYPE_BYTES':
      return both(Buffer.from([0, 255, 128, seed]));
    case 'TYPE_BOOL':
      return both(true);
    case 'TYPE_UINT32':
    case 'TYPE_FIXED32':
      return both(seed % 2 === 0 ? 0xffffffff : 300);
    case 'TYPE_UINT64':
      return both(seed % 2 === 0 ? Number.MAX_SAFE_INTEGER : 2 ** 32 + seed);
    case 'TYPE_ENUM':
      return both(1);
    case 'TYPE_MESSAGE': {
      const message = messages.get(field.typeName);
      if (message === undefined || depth > 8) throw new Error(`no message ${field.typeName} for ${field.name}`);
      return full(message, seed, depth + 1);
    }
    default:
      throw new Error(`no sample for ${field.type} ${field.name}: teach this test about it`);
  }
}

test('the pages and the generated code have the same messages', () => {
  expect([...generated.keys()].sort()).toEqual([...messages.keys()].sort());
  expect(messages.size).toBeGreaterThan(90);
});

describe.each([...messages.values()].map((m) => [m.name, m] as const))('%s', (name, message) => {
  test('the generated code writes the bytes that the page says, and reads them back', () => {
    const code = generated.get(name);
    if (code === undefined) throw new Error(`${name} is not generated`);
    const seen = new Set<string>();
    for (const { plain, union } of samples(message)) {
      const expected = Buffer.from(message.serialize(plain));
      const bytes = Buffer.from(code.encode(code.fromPartial(union)).finish());
      expect(bytes.toString('hex')).toBe(expected.toString('hex'));
      expect(Buffer.from(code.encode(code.decode(bytes)).finish()).toString('hex')).toBe(bytes.toString('hex'));
      for (const field of Object.keys(plain)) seen.add(field);
    }
    expect([...seen].sort()).toEqual(message.fields.map((f) => f.name).sort());
  });
});

test('the comparison notices a field that is written under another number (negative control)', () => {
  const tell = messages.get('synod.v1.Tell');
  const resign = generated.get('synod.v1.TakeOver');
  if (tell === undefined || resign === undefined) throw new Error('the control compares Tell and TakeOver');
  const bytes = Buffer.from(resign.encode(resign.fromPartial({ log: 'a' })).finish());
  expect(bytes.toString('hex')).not.toBe(Buffer.from(tell.serialize({ log: 'a', watermark: 1 })).toString('hex'));
});
