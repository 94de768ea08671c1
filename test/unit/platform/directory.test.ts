/**
 * Goal: members that DNS names are found, followed when they move, and forgotten only when they neither answer nor are named for
 * long. Method: a directory over a lookup and a clock that the test moves.
 */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { SynodError } from '../../../shared/base/errors.ts';
import { DnsDirectory, FixedDirectory, memberNumber } from '../../../shared/platform/discovery/directory.ts';
import type { Named } from '../../../shared/platform/discovery/directory.ts';
import { fullNames, readSearch } from '../../../shared/platform/discovery/dns-lookup.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const NAME = { kind: 'dns', host: 'synod-learner', service: 'grpc', port: undefined } as const;
const INTERVAL = 2_000;
/** So many answers without a member let it be forgotten. */
const MISSED = 5;

let clock: ManualClock;
let answer: () => readonly Named[] | Promise<readonly Named[]>;
let told: [number, string | undefined][];
let lines: string[];
let living: Set<number>;
let directory: DnsDirectory;

beforeEach(() => {
  clock = new ManualClock();
  [told, lines, living] = [[], [], new Set()];
  const line = (_: object, text: string): void => void lines.push(text);
  const log = { debug: line, info: line, warn: line, error: line, fatal: line };
  const lookup = { find: async () => answer() };
  const options = { intervalMs: INTERVAL, forgetMs: MISSED * INTERVAL, lookup, clock, log };
  directory = new DnsDirectory(NAME, 'learner', options);
});

const member = (id: number, ...ips: string[]): Named => ({
  target: `synod-learner-${String(id)}.synod-learner.default.svc.cluster.local`,
  addresses: ips.map((ip) => `${ip}:7301`),
});

const nobody = (): never => {
  throw new SynodError('UNAVAILABLE', 'DNS has no SRV record of x');
};

/** One question, and what follows from its answer. */
async function look(...found: Named[]): Promise<void> {
  answer = () => found;
  await directory.look();
}

/** Watches, after the first question, to which nobody is the answer. */
async function watch(): Promise<void> {
  answer = nobody;
  directory.watch({ onMember: (id, address) => told.push([id, address]), answers: (id) => living.has(id) });
  await new Promise(setImmediate);
}

describe('a directory of members that DNS names', () => {
  test('takes the number of a member from the end of its name', async () => {
    await watch();
    await look(member(2, '10.0.0.2'), member(1, '10.0.0.1'));
    expect([...directory.members]).toEqual([
      [1, '10.0.0.1:7301'],
      [2, '10.0.0.2:7301'],
    ]);
    expect(told).toHaveLength(2);
  });

  test('asks at once, and again after each interval', async () => {
    let asked = 0;
    await watch();
    answer = () => {
      asked++;
      return [member(1, '10.0.0.1')];
    };
    await directory.look();
    for (let i = 0; i < 3; i++) {
      clock.advance(INTERVAL);
      // A question is answered after a turn of its own.
      await new Promise(setImmediate);
    }
    expect(asked).toBeGreaterThanOrEqual(3);
    expect(told).toEqual([[1, '10.0.0.1:7301']]);
    directory.stop();
    const before = asked;
    clock.advance(10 * INTERVAL);
    expect(asked).toBe(before);
  });

  test('tells of new members, and of those that have another address', async () => {
    await watch();
    await look(member(1, '10.0.0.1'));
    await look(member(1, '10.0.0.1'), member(3, '10.0.0.3'));
    await look(member(1, '10.0.0.9'), member(3, '10.0.0.3'));
    expect(told).toEqual([
      [1, '10.0.0.1:7301'],
      [3, '10.0.0.3:7301'],
      [1, '10.0.0.9:7301'],
    ]);
  });

  test('keeps the address of a member as long as it is one of its addresses', async () => {
    await watch();
    await look(member(1, '10.0.0.5'));
    await look(member(1, '10.0.0.1', '10.0.0.5'));
    expect(told).toEqual([[1, '10.0.0.5:7301']]);
  });

  test('leaves a member where it was while its name has no address', async () => {
    await watch();
    await look(member(1, '10.0.0.1'), member(2, '10.0.0.2'));
    for (let i = 0; i < 3 * MISSED; i++) await look(member(1, '10.0.0.1'), member(2));
    expect([...directory.members.keys()]).toEqual([1, 2]);
  });

  test('keeps everybody through errors and empty answers, however long they last, and says once what is wrong', async () => {
    await watch();
    await look(member(1, '10.0.0.1'), member(2, '10.0.0.2'));
    const before = lines.length;
    answer = nobody;
    for (let i = 0; i < 10 * MISSED; i++) await directory.look();
    expect(lines.slice(before)).toEqual(['DNS does not say where every learner is; those that are known stay']);
    expect(directory.trouble).toBe('dns:synod-learner:grpc: DNS has no SRV record of x');
    for (let i = 0; i < 10 * MISSED; i++) await look();
    expect([...directory.members.keys()]).toEqual([1, 2]);
    expect(directory.trouble).toMatch(/^dns:synod-learner:grpc: no name that DNS gives/);
    await look(member(1, '10.0.0.1'), member(2, '10.0.0.2'));
    expect(directory.trouble).toBeUndefined();
  });

  test('forgets a member that many answers in a row do not name', async () => {
    await watch();
    await look(member(1, '10.0.0.1'), member(2, '10.0.0.2'));
    for (let i = 1; i < MISSED; i++) await look(member(1, '10.0.0.1'));
    // One answer that names it, and all is as it was.
    await look(member(1, '10.0.0.1'), member(2, '10.0.0.2'));
    for (let i = 1; i < MISSED; i++) await look(member(1, '10.0.0.1'));
    expect([...directory.members.keys()]).toEqual([1, 2]);
    await look(member(1, '10.0.0.1'));
    expect([...directory.members.keys()]).toEqual([1]);
    expect(told.at(-1)).toEqual([2, undefined]);
  });

  test('never forgets a member that answers', async () => {
    await watch();
    living.add(2);
    await look(member(1, '10.0.0.1'), member(2, '10.0.0.2'));
    for (let i = 0; i < 10 * MISSED; i++) await look(member(1, '10.0.0.1'));
    expect([...directory.members.keys()]).toEqual([1, 2]);
    living.delete(2);
    await look(member(1, '10.0.0.1'));
    expect([...directory.members.keys()]).toEqual([1]);
  });

  test('is settled once a member that is gone would have been forgotten', async () => {
    await watch();
    for (let i = 0; i < 3 * MISSED; i++) {
      answer = nobody;
      await directory.look();
    }
    for (let i = 1; i < MISSED; i++) await look(member(1, '10.0.0.1'));
    expect(directory.isSettled).toBe(false);
    await look(member(1, '10.0.0.1'));
    expect(directory.isSettled).toBe(true);
  });

  test('is not settled while a name has no address, as where DNS answers one question and not the next, and says which', async () => {
    await watch();
    for (let i = 0; i < 3 * MISSED; i++) await look(member(1, '10.0.0.1'), member(2));
    expect(directory.isSettled).toBe(false);
    expect(directory.trouble).toMatch(/: DNS gives no address of synod-learner-2\.synod-learner\.default/);
    for (let i = 0; i < MISSED; i++) await look(member(1, '10.0.0.1'), member(2, '10.0.0.2'));
    expect([directory.isSettled, directory.trouble]).toEqual([true, undefined]);
  });

  test('takes no more members than the limit, and says so', async () => {
    await watch();
    const all = Array.from({ length: 300 }, (_, i) => member(i + 1, '10.0.0.1'));
    await look(...all);
    const [known = 0] = directory.members.keys();
    await look(member(known, '10.0.0.1'));
    expect([directory.members.size, directory.trouble]).toEqual([256, undefined]);
    await look(member(known, '10.0.0.1'), member(999, '10.0.0.1'));
    expect(directory.members.size).toBe(256);
    expect(directory.trouble).toContain('256 members are known, and no more are taken');
  });

  test('leaves out names without a number, and the second of two with one number, and says so once', async () => {
    await watch();
    const odd: Named[] = [
      { target: 'synod-learner-0.x', addresses: ['10.0.0.7:1'] },
      { target: '10-244-0-5.x', addresses: ['10.0.0.8:1'] },
      { target: 'learner.x', addresses: ['10.0.0.9:1'] },
      { target: 'another-1.x', addresses: ['10.0.0.6:1'] },
    ];
    for (let i = 0; i < 3; i++) await look(...odd, member(1, '10.0.0.1'));
    expect([...directory.members]).toEqual([[1, '10.0.0.6:1']]);
    const left = lines.filter((line) => line.includes('left out'));
    expect(left).toHaveLength(4);
    expect(left.join('\n')).toMatch(/synod-learner-0\.x is no learner and left out: its first label does not end/);
    expect(left.join('\n')).toMatch(/synod-learner-1\..* is no learner and left out: another-1\.x has the same number/);
  });
});

test('a fixed list is settled from the start', () => {
  const fixed = new FixedDirectory(new Map([[1, 'a:1']]));
  expect([fixed.isSettled, fixed.trouble, [...fixed.members.keys()]]).toEqual([true, undefined, [1]]);
});

test.each([
  ['synod-proposer-3.synod-proposer.ns.svc.cluster.local', 3],
  ['a-b-12', 12],
  ['learner-65535', 65_535],
  ['learner-65536', undefined],
  ['learner-0', undefined],
  ['learner-03', undefined],
  ['learner3', undefined],
  ['3', undefined],
  ['10-1-2-3.x', undefined],
  ['fd00--5.x', undefined],
])('the number of %s is %s', (target, id) => {
  expect(memberNumber(target)).toBe(id);
});

describe('names that are not complete', () => {
  const conf = 'nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local\noptions ndots:5 timeout:1\n';
  test('are looked for in the search domains, first or last by their dots', () => {
    const search = readSearch(conf);
    expect(fullNames('_grpc._tcp.synod', search)).toEqual([
      ...['_grpc._tcp.synod.ns.svc.cluster.local', '_grpc._tcp.synod.svc.cluster.local', '_grpc._tcp.synod'],
    ]);
    expect(fullNames('_grpc._tcp.synod.ns.svc.cluster.local', search)[0]).toBe('_grpc._tcp.synod.ns.svc.cluster.local');
    expect(fullNames('a.b.', search)).toEqual(['a.b']);
    expect(fullNames('a.b', readSearch(''))).toEqual(['a.b']);
  });
});
