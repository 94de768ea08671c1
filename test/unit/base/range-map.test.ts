// Goal: RangeMap says for every slot what an array of slots says. Method: random programs against that array.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RangeMap } from '../../../shared/base/range-map.ts';

fc.configureGlobal({ seed: 20261123, numRuns: 400 });

const SLOTS = 24;

/** A value that knows which slots it is for, so that a wrong cut is seen. */
interface Piece {
  readonly name: string;
  readonly first: number;
  readonly count: number;
}

const cut = (p: Piece, from: number, to: number): Piece => ({ name: p.name, first: p.first + from, count: to - from });
const piece = (name: string, from: number, to: number): Piece => ({ name, first: from, count: to - from });

type Command = { kind: 'set' | 'update' | 'clear-in'; from: number; to: number } | { kind: 'drop'; below: number };

const slot = fc.nat(SLOTS);
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constantFrom('set' as const, 'update' as const, 'clear-in' as const), from: slot, to: slot }),
  fc.record({ kind: fc.constant('drop' as const), below: slot }),
);

function run(map: RangeMap<Piece>, model: (string | undefined)[], c: Command, name: string): void {
  if (c.kind === 'drop') {
    map.dropBelow(c.below);
    model.fill(undefined, 0, c.below);
    return;
  }
  if (c.kind === 'set') map.set(c.from, c.to, piece(name, c.from, c.to));
  else if (c.kind === 'update')
    map.update(c.from, c.to, (old, a, b) => {
      if (old !== undefined) expect([old.first, old.count]).toEqual([a, b - a]);
      return piece(`${old?.name ?? '-'}${name}`.slice(-3), a, b);
    });
  else map.update(c.from, c.to, () => undefined);
  for (let i = c.from; i < c.to; i++)
    model[i] = c.kind === 'set' ? name : c.kind === 'update' ? `${model[i] ?? '-'}${name}`.slice(-3) : undefined;
}

function slots(map: RangeMap<Piece>): (string | undefined)[] {
  const out = new Array<string | undefined>(SLOTS).fill(undefined);
  let last = -1;
  for (const { from, to, value } of map) {
    expect(from).toBeGreaterThanOrEqual(last);
    expect(to).toBeGreaterThan(from);
    expect([value.first, value.count]).toEqual([from, to - from]);
    out.fill(value.name, from, to);
    last = to;
  }
  return out;
}

describe('a range map', () => {
  test('holds for every slot what was set there last', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), slot, slot, (commands, a, b) => {
        const map = new RangeMap<Piece>(cut);
        const model = new Array<string | undefined>(SLOTS).fill(undefined);
        commands.forEach((c, i) => run(map, model, c, String.fromCharCode(97 + (i % 26))));
        expect(slots(map)).toEqual(model);
        const held = model.flatMap((name, i) => (name === undefined ? [] : [i]));
        expect([map.first, map.end]).toEqual([
          held[0],
          held.length === 0 ? undefined : (held[held.length - 1] ?? 0) + 1,
        ]);
        for (let i = 0; i < SLOTS; i++) expect(map.rangeAt(i)?.value.name).toBe(model[i]);
        const inside = new Array<string | undefined>(SLOTS).fill(undefined);
        for (const r of map.within(a, b)) {
          expect([r.value.first, r.value.count, r.from >= a, r.to <= b]).toEqual([r.from, r.to - r.from, true, true]);
          inside.fill(r.value.name, r.from, r.to);
        }
        expect(inside).toEqual(model.map((name, i) => (i >= a && i < b ? name : undefined)));
        const free = map.gaps(a, b).flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i));
        expect(free).toEqual(
          Array.from({ length: SLOTS + 1 }, (_, i) => i).filter((i) => i >= a && i < b && model[i] === undefined),
        );
      }),
    );
  });

  test('stays right over long use from the front and at the end', () => {
    const map = new RangeMap<Piece>(cut);
    for (let i = 0; i < 1_000; i++) {
      map.set(i * 2, i * 2 + 2, piece('x', i * 2, i * 2 + 2));
      map.dropBelow(Math.max(0, i * 2 - 3));
    }
    expect([map.first, map.end, map.size]).toEqual([1_995, 2_000, 3]);
    map.clear();
    expect([map.first, map.size]).toEqual([undefined, 0]);
  });
});
