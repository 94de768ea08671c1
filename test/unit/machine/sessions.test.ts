// Goal: R12, sentence by sentence. Method: entries applied by hand, then properties over random logs against a model that
// keeps everything for ever.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LIMITS } from '../../../shared/base/limits.ts';
import type { Entry } from '../../../shared/machine/entry.ts';
import { Sessions } from '../../../shared/machine/sessions.ts';
import type { Applied } from '../../../shared/machine/sessions.ts';

fc.configureGlobal({ seed: 20261123 });

const NONE = new Uint8Array(0);
const A = 'aa'.repeat(16);
const B = 'bb'.repeat(16);

const open = (client: string): Entry => ({ kind: 'open-session', client });
const command = (client: string, session: number, sequence: number, acknowledged = 0): Entry => ({
  kind: 'command',
  client,
  session,
  sequence,
  acknowledged,
  payload: NONE,
});
const refused = (reason: string): unknown => ({ kind: 'refused', reason });

/** Applies entries from the table's next slot on. */
function applyAll(sessions: Sessions, ...entries: Entry[]): Applied[] {
  return entries.map((entry) => sessions.apply(sessions.next, entry));
}

/** A table with the session of A, number 0. */
function withA(): Sessions {
  const sessions = new Sessions();
  applyAll(sessions, open(A));
  return sessions;
}

describe('a session table', () => {
  test('applies a number once, and names the slot of the first effect ever after', () => {
    const sessions = withA();
    expect(applyAll(sessions, command(A, 0, 1), command(A, 0, 2), command(A, 0, 1), command(A, 0, 1))).toEqual([
      { kind: 'applied' },
      { kind: 'applied' },
      { kind: 'duplicate', slot: 1 },
      { kind: 'duplicate', slot: 1 },
    ]);
  });

  test('takes numbers in any order, up to the end of the window', () => {
    const sessions = withA();
    expect(applyAll(sessions, command(A, 0, LIMITS.sessionWindow), command(A, 0, 500), command(A, 0, 1))).toEqual([
      { kind: 'applied' },
      { kind: 'applied' },
      { kind: 'applied' },
    ]);
    expect(applyAll(sessions, command(A, 0, LIMITS.sessionWindow))).toEqual([{ kind: 'duplicate', slot: 1 }]);
  });

  test('refuses a number above the window, and one that the client acknowledged', () => {
    const sessions = withA();
    expect(applyAll(sessions, command(A, 0, LIMITS.sessionWindow + 1))).toEqual([refused('above-window')]);
    applyAll(sessions, command(A, 0, 1), command(A, 0, 2, 1));
    expect(applyAll(sessions, command(A, 0, 1))).toEqual([refused('below-window')]);
    expect(applyAll(sessions, command(A, 0, 2))).toEqual([{ kind: 'duplicate', slot: 3 }]);
  });

  test('judges a command by the window that its own acknowledgement opens', () => {
    const sessions = withA();
    expect(applyAll(sessions, command(A, 0, 5000, 4999))).toEqual([{ kind: 'applied' }]);
    expect(applyAll(sessions, command(A, 0, 4999))).toEqual([refused('below-window')]);
    expect(applyAll(sessions, command(A, 0, 5000))).toEqual([{ kind: 'duplicate', slot: 1 }]);
  });

  test('never lowers the floor, and never raises it by a command that is refused or a duplicate', () => {
    const sessions = withA();
    applyAll(sessions, command(A, 0, 10, 9), command(A, 0, 11, 2));
    expect(sessions.lookup(A, 0, 9)).toEqual(refused('below-window'));
    applyAll(sessions, command(A, 0, 11, 10), command(A, 0, 9000, 5));
    expect(sessions.lookup(A, 0, 10)).toEqual({ kind: 'known', slot: 1 });
  });

  test('a number that acknowledges itself still has its effect only once', () => {
    const sessions = withA();
    expect(applyAll(sessions, command(A, 0, 3, 3), command(A, 0, 3, 3))).toEqual([
      { kind: 'applied' },
      { kind: 'duplicate', slot: 1 },
    ]);
  });

  test('opens a session under the number of its slot, and answers a second opening with the first number', () => {
    const sessions = new Sessions();
    expect(applyAll(sessions, { kind: 'no-op' }, open(A), open(B), open(A))).toEqual([
      { kind: 'no-op' },
      { kind: 'opened', session: 1 },
      { kind: 'opened', session: 2 },
      { kind: 'opened', session: 1 },
    ]);
  });

  test('refuses a command of a session that was never opened, also where the client has another', () => {
    const sessions = withA();
    expect(applyAll(sessions, command(B, 0, 1), command(A, 7, 1))).toEqual([
      refused('session-unknown'),
      refused('session-unknown'),
    ]);
  });

  test('expires the session unused the longest by log order, and refuses its retries as expired', () => {
    const sessions = new Sessions({ window: 8, sessionsMax: 2 });
    applyAll(sessions, open(A), open(B), command(A, 0, 1));
    const C = 'cc'.repeat(16);
    expect(applyAll(sessions, open(C))).toEqual([{ kind: 'opened', session: 3 }]);
    expect(applyAll(sessions, command(B, 1, 1), command(A, 0, 1))).toEqual([
      refused('session-expired'),
      { kind: 'duplicate', slot: 2 },
    ]);
  });

  test('a command delayed past the end of its session has no effect in the later one of its client', () => {
    const sessions = new Sessions({ window: 8, sessionsMax: 1 });
    applyAll(sessions, open(A), open(B), open(A));
    expect(applyAll(sessions, command(A, 0, 1), command(A, 2, 1))).toEqual([
      refused('session-expired'),
      { kind: 'applied' },
    ]);
  });

  test('a refused entry does not keep its session in use', () => {
    const sessions = new Sessions({ window: 8, sessionsMax: 2 });
    applyAll(sessions, open(A), open(B), command(A, 0, 100));
    applyAll(sessions, open('cc'.repeat(16)));
    expect(sessions.sessionOf(A)).toBeUndefined();
    expect(sessions.sessionOf(B)).toBe(1);
  });

  test('a decree and a no-op need no session', () => {
    expect(applyAll(new Sessions(), { kind: 'decree', client: A, payload: NONE }, { kind: 'no-op' })).toEqual([
      { kind: 'decree' },
      { kind: 'no-op' },
    ]);
  });

  test('stops at a gap, at a slot of the past, and at an entry of an unknown kind', () => {
    const sessions = withA();
    expect(() => sessions.apply(2, { kind: 'no-op' })).toThrow(/R11: slot 2 is applied where 1 is next/);
    expect(() => sessions.apply(0, { kind: 'no-op' })).toThrow(/R11/);
    expect(() => sessions.apply(1, { kind: 'unknown', number: 9 })).toThrow(/R11: slot 1 holds an entry of kind 9/);
    expect(sessions.next).toBe(1);
  });

  test('refuses bytes that are cut, of another version, or out of order', () => {
    const sessions = withA();
    applyAll(sessions, open(B), command(A, 0, 3));
    const bytes = sessions.export();
    for (let cut = 0; cut < bytes.length; cut++)
      expect(() => Sessions.import(bytes.subarray(0, cut))).toThrow(/a session table/);
    expect(() => Sessions.import(Uint8Array.of(9))).toThrow(/format 9/);
    expect(() => Sessions.import(Uint8Array.from([...bytes, 0]))).toThrow(/goes on after/);
  });
});

const LIMITS_SMALL = { window: 16, sessionsMax: 3 };

/** Random logs of few clients and few numbers, full of duplicates, delays and acknowledgements. Most openings come first. */
const logs = fc
  .array(
    fc.oneof(
      { weight: 1, arbitrary: fc.nat(4).map((c) => open(clientOf(c))) },
      {
        weight: 12,
        arbitrary: fc
          .tuple(fc.nat(2), fc.option(fc.nat(12), { freq: 8 }), fc.integer({ min: 1, max: 30 }), fc.nat(40))
          .map(([c, other, sequence, back]) =>
            command(clientOf(c), other ?? c, sequence, Math.max(0, sequence - 1 - back)),
          ),
      },
      { weight: 1, arbitrary: fc.constant<Entry>({ kind: 'no-op' }) },
    ),
    { minLength: 40, maxLength: 120, size: 'max' },
  )
  .map((rest) => [open(clientOf(0)), open(clientOf(1)), open(clientOf(2)), ...rest]);

function clientOf(n: number): string {
  return String(n).repeat(32);
}

describe('over any log', () => {
  test('no number takes effect twice, and a duplicate names the slot of the effect', () => {
    let duplicates = 0;
    fc.assert(
      fc.property(logs, (log) => {
        const sessions = new Sessions(LIMITS_SMALL);
        const effects = new Map<string, number>();
        log.forEach((entry, slot) => {
          const applied = sessions.apply(slot, entry);
          if (entry.kind !== 'command') return;
          const id = `${entry.client}/${String(entry.session)}/${String(entry.sequence)}`;
          if (applied.kind === 'applied') {
            expect(effects.has(id)).toBe(false);
            effects.set(id, slot);
          } else if (applied.kind === 'duplicate') {
            duplicates++;
            expect(applied.slot).toBe(effects.get(id));
          } else if (applied.kind === 'refused' && applied.reason === 'session-unknown') {
            // Outcome none is promised here.
            expect(effects.has(id)).toBe(false);
          }
        });
      }),
      { numRuns: 300 },
    );
    expect(duplicates).toBeGreaterThan(100);
  });

  test('negative control: without the table the same logs give a number two effects', () => {
    const twice = fc.check(
      fc.property(logs, (log) => {
        const ids = log.flatMap((e) =>
          e.kind === 'command' ? [`${e.client}/${String(e.session)}/${String(e.sequence)}`] : [],
        );
        return new Set(ids).size === ids.length;
      }),
    );
    expect(twice.failed).toBe(true);
  });

  test('lookup foretells what apply does', () => {
    fc.assert(
      fc.property(logs, (log) => {
        const sessions = new Sessions(LIMITS_SMALL);
        log.forEach((entry, slot) => {
          const known =
            entry.kind === 'command'
              ? sessions.lookup(entry.client, entry.session, entry.sequence, entry.acknowledged)
              : undefined;
          const applied = sessions.apply(slot, entry);
          if (known?.kind === 'new') expect(applied).toEqual({ kind: 'applied' });
          if (known?.kind === 'known') expect(applied).toEqual({ kind: 'duplicate', slot: known.slot });
          if (known?.kind === 'refused') expect(applied).toEqual(known);
        });
      }),
    );
  });

  test('a table that was exported and imported, whole or by rows, goes on as if nothing had happened', () => {
    fc.assert(
      fc.property(logs, fc.nat(120), (log, at) => {
        const whole = new Sessions(LIMITS_SMALL);
        const copies: Sessions[] = [];
        log.forEach((entry, slot) => {
          if (slot === at) {
            const bytes = whole.export();
            const copy = Sessions.import(bytes, LIMITS_SMALL);
            expect(copy.export()).toEqual(bytes);
            const rows = whole.usedSince(0).map((client) => whole.exportSession(client) ?? NONE);
            copies.push(copy, Sessions.fromRows(whole.next, whole.expired, rows, LIMITS_SMALL));
          }
          const applied = whole.apply(slot, entry);
          for (const copy of copies) expect(copy.apply(slot, entry)).toEqual(applied);
        });
        for (const copy of copies) {
          expect(copy.export()).toEqual(whole.export());
          expect(copy.fingerprint()).toEqual(whole.fingerprint());
        }
      }),
      { numRuns: 300 },
    );
  });

  test('the fingerprint is that of the state, whenever it was asked for, and differs where the state does', () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(logs, fc.integer({ min: 1, max: 9 }), (log, every) => {
        const asked = new Sessions(LIMITS_SMALL);
        const never = new Sessions(LIMITS_SMALL);
        log.forEach((entry, slot) => {
          asked.apply(slot, entry);
          never.apply(slot, entry);
          if (slot % every === 0) asked.fingerprint();
        });
        const print = Buffer.from(asked.fingerprint()).toString('hex');
        expect(Buffer.from(never.fingerprint()).toString('hex')).toBe(print);
        const state = Buffer.from(asked.export()).toString('hex');
        expect(seen.get(print) ?? state).toBe(state);
        seen.set(print, state);
      }),
    );
    expect(seen.size).toBeGreaterThan(20);
  });

  test('what changed since a slot is what usedSince and onExpired tell', () => {
    fc.assert(
      fc.property(logs, fc.nat(100), (log, since) => {
        const sessions = new Sessions(LIMITS_SMALL);
        const rows = new Map<string, Uint8Array>();
        log.forEach((entry, slot) => {
          sessions.apply(slot, entry);
          if (slot === since) for (const c of sessions.usedSince(0)) rows.set(c, sessions.exportSession(c) ?? NONE);
          if (slot === since) sessions.onExpired = (client) => void rows.delete(client);
        });
        if (log.length <= since) return;
        for (const c of sessions.usedSince(since)) rows.set(c, sessions.exportSession(c) ?? NONE);
        const again = Sessions.fromRows(sessions.next, sessions.expired, rows.values(), LIMITS_SMALL);
        expect(again.export()).toEqual(sessions.export());
      }),
    );
  });
});
