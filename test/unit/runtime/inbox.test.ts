// Goal: how events reach a machine: in order, one turn for what has gathered, never re-entered, and nothing after a broken
// invariant. Method: a machine that writes down what it is given.
import { describe, expect, test } from '@jest/globals';
import { Inbox } from '../../../shared/runtime/inbox.ts';
import type { Moment } from '../../../shared/paxos/step.ts';

function rig(step: (event: string) => string[] = (event) => [event.toUpperCase()]): {
  inbox: Inbox<string, string>;
  done: string[];
  fatal: unknown[];
  turn: () => void;
  scheduled: () => number;
} {
  const done: string[] = [];
  const fatal: unknown[] = [];
  const soon: (() => void)[] = [];
  const machine = { step: (event: string, _moment: Moment) => step(event) };
  const inbox: Inbox<string, string> = new Inbox<string, string>(
    machine,
    {
      now: () => 0,
      random: () => 0,
      soon: (callback) => void soon.push(callback),
      onFatal: (error) => void fatal.push(error),
    },
    (effect) => {
      done.push(effect);
      if (effect === 'A') inbox.post('late');
    },
    () => void done.push('end'),
  );
  return { inbox, done, fatal, turn: () => soon.splice(0).forEach((run) => run()), scheduled: () => soon.length };
}

describe('an inbox', () => {
  test('handles what has gathered in one turn, in order, then ends the turn', () => {
    const r = rig();
    for (const event of ['x', 'y', 'z']) r.inbox.post(event);
    expect([r.done, r.scheduled()]).toEqual([[], 1]);
    r.turn();
    expect(r.done).toEqual(['X', 'Y', 'Z', 'end']);
  });

  test('leaves what comes while effects are done to the next turn', () => {
    const r = rig();
    r.inbox.post('a');
    r.turn();
    expect(r.done).toEqual(['A', 'end']);
    r.turn();
    expect(r.done).toEqual(['A', 'end', 'LATE', 'end']);
  });

  test('tells the owner of a broken invariant once, and handles nothing more', () => {
    const r = rig((event) => {
      if (event === 'bad') throw new Error('R2');
      return [event];
    });
    for (const event of ['x', 'bad', 'y']) r.inbox.post(event);
    r.turn();
    r.inbox.post('z');
    r.turn();
    expect([r.done, r.fatal.length]).toEqual([['x'], 1]);
  });

  test('that is stopped handles nothing more', () => {
    const r = rig();
    r.inbox.post('x');
    r.inbox.stop();
    r.turn();
    r.inbox.handleNow('y');
    expect([r.done, r.inbox.waiting]).toEqual([[], 0]);
  });
});
