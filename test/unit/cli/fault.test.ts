/**
 * Goal: `synodctl fault` has the right members make the right fault, and says who did.
 * Method: command lines run in this process against members that serve nothing but faults, on loopback.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { run } from '../../../services/cli/program.ts';
import { faults } from '../../../shared/client/index.ts';
import { Faults } from '../../../shared/platform/faults/faults.ts';
import { serve } from '../../../shared/platform/grpc/server.ts';
import type { RunningServer } from '../../../shared/platform/grpc/server.ts';
import { peersText } from '../../../shared/wire/codec/fault.ts';
import type { Role } from '../../../shared/wire/codec/header.ts';
import { statusOf } from '../../../shared/wire/status.ts';
import { silentLog } from '../../support/silent-log.ts';
import { deadAddress } from '../client/fakes.ts';

interface Member {
  readonly name: string;
  readonly server: RunningServer;
  readonly faults: Faults;
}

let members: Member[];

async function member(role: Role, id: number, on = true): Promise<Member> {
  const self = { cluster: 'c', configuration: 'ab'.repeat(8), role, id, incarnation: undefined };
  const made = new Faults({ on, self, log: silentLog });
  const server = await serve({
    ...{ address: '127.0.0.1:0', services: [made.service], facing: 'roles', toStatus: statusOf, log: silentLog },
  });
  return { name: `${role}-${id}`, server, faults: made };
}

beforeEach(async () => {
  members = await Promise.all([
    ...[1, 2, 3].map((id) => member('acceptor', id)),
    ...[1, 2].map((id) => member('proposer', id)),
    member('learner', 1),
  ]);
});
afterEach(async () => {
  for (const { server, faults: made } of members) {
    made.stop();
    await server.close(0);
  }
});

interface Result {
  readonly code: number;
  readonly out: string[];
  readonly err: string[];
}

async function fault(line: string, also = ''): Promise<Result> {
  const out: string[] = [];
  const err: string[] = [];
  const endpoints = members.map(({ name, server }) => `${name.split('-')[0]}=${server.address}`).join(',') + also;
  const code = await run(['fault', ...line.split(' ')], {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    env: { SYNOD_ENDPOINTS: endpoints },
    input: (async function* () {})(),
    piped: false,
    listens: async () => true,
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

/** What each member makes, without ids. */
async function inForce(): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const { name, server } of members) {
    const listed = (await faults.list(server.address)).faults;
    if (listed.length === 0) continue;
    all[name] = listed.map(({ action, direction, peers }) => `${action.kind} ${direction} ${peersText(peers)}`);
  }
  return all;
}

describe('who makes a fault', () => {
  test('both sides of a partition, in both directions', async () => {
    const { code, out } = await fault('partition acceptor-1 from proposer-1,proposer-2');
    expect([code, out]).toEqual([
      0,
      [
        expect.stringMatching(
          /^fault \w+: cut, until synodctl fault heal \w+; made by acceptor-1, proposer-1, proposer-2$/,
        ),
      ],
    ]);
    expect(await inForce()).toEqual({
      'acceptor-1': ['cut both proposers 1 and 2'],
      'proposer-1': ['cut both acceptor 1'],
      'proposer-2': ['cut both acceptor 1'],
    });
  });

  test('one way, what the first side sends to the second', async () => {
    await fault('partition acceptor-1 from learners --one-way');
    expect(await inForce()).toEqual({ 'acceptor-1': ['cut out learner 1'], 'learner-1': ['cut in acceptor 1'] });
  });

  test('a group leaves out whom the other side names, so that a minority stays together', async () => {
    await fault('partition proposer-1, acceptor-1 from all');
    const others = 'acceptors 2 and 3, proposer 2, learner 1';
    expect(await inForce()).toMatchObject({
      'proposer-1': [`cut both ${others}`],
      'acceptor-1': [`cut both ${others}`],
      'acceptor-2': ['cut both proposer 1, acceptor 1'],
    });
  });

  test('senders alone, where messages are held or lost by chance: at both ends that would count twice', async () => {
    await fault('delay 50ms --jitter 20ms proposer-1 to acceptors');
    await fault('drop 30% acceptor-1 to learner-1 --both-ways');
    expect(await inForce()).toEqual({
      'proposer-1': ['delay out acceptors 1, 2 and 3'],
      'acceptor-1': ['drop out learner 1'],
      'learner-1': ['drop out acceptor 1'],
    });
    const [held] = (await faults.list(members[3]!.server.address)).faults;
    expect(held).toMatchObject({ action: { kind: 'delay', ms: 50, jitterMs: 20 }, forMs: 0 });
    const [lost] = (await faults.list(members[0]!.server.address)).faults;
    expect(lost).toMatchObject({ action: { kind: 'drop', share: 0.3 } });
  });

  test('members, for clients, which nobody can ask for anything', async () => {
    await fault('drop 0.5 clients to proposers');
    await fault('partition learner-1 from clients');
    expect(await inForce()).toEqual({
      'proposer-1': ['drop in clients'],
      'proposer-2': ['drop in clients'],
      'learner-1': ['cut both clients'],
    });
  });

  test('who is left, when a member is down: one side of each pair is enough for a partition', async () => {
    const dead = `,acceptor=${await deadAddress()}`;
    const cut = await fault('partition acceptor-4 from proposers', dead);
    expect(cut).toMatchObject({ code: 0, err: [expect.stringContaining('without acceptor-4: ')] });
    expect(await inForce()).toEqual({ 'proposer-1': ['cut both acceptor 4'], 'proposer-2': ['cut both acceptor 4'] });
    // The control: nobody is left to hold what the one that is down would send.
    const held = await fault('delay 10ms acceptor-4,acceptor-1 to proposers', dead);
    expect(held).toMatchObject({
      code: 1,
      err: [expect.anything(), expect.stringContaining('not in force for acceptor-4')],
    });
  });
});

describe('healing and looking', () => {
  test('heal ends all, or those that are named, everywhere', async () => {
    const [one] = (await fault('partition acceptor-1 from proposer-1 --json')).out;
    await fault('drop 10% proposers to acceptors --for 10s');
    const { id } = JSON.parse(one ?? '') as { id: string };
    expect((await fault('list')).out).toHaveLength(5);
    expect((await fault(`heal ${id}`)).out).toEqual([`healed at acceptor-1: ${id}`, `healed at proposer-1: ${id}`]);
    expect(Object.keys(await inForce())).toEqual(['proposer-1', 'proposer-2']);
    await fault('heal');
    expect(await inForce()).toEqual({});
    expect((await fault('heal')).out).toEqual(['no such fault was in force']);
    expect((await fault('list')).out).toEqual(['No faults are in force.']);
  });

  test('a member whose faults are off refuses, and the setting is named', async () => {
    const off = await member('learner', 2, false);
    members.push(off);
    const { code, err } = await fault('partition learner-2 from acceptor-1');
    expect([code, err]).toEqual([
      0,
      [expect.stringMatching(/^without learner-2: .*faults are switched off at learner 2.*--faults/)],
    ]);
    const alone = await fault('drop 5% learner-2 to acceptors');
    expect([alone.code, alone.err.join()]).toEqual([
      1,
      expect.stringContaining('npm start -- --faults sets it for all roles) [FAILED_PRECONDITION, outcome none'),
    ]);
    expect((await fault('list')).code).toBe(1);
  });
});

test.each([
  ['partition acceptor-1', 'A[,B…] from C[,D…]'],
  ['partition acceptor-1 to proposer-1', 'A[,B…] from C[,D…]'],
  ['partition acceptor-9 from proposer-1', '"acceptor-9" is nobody in SYNOD_ENDPOINTS: there are acceptor-1'],
  ['partition acceptor-1 from acceptor-1', 'acceptor-1 is named on both sides'],
  ['partition learners from learner-1', 'nobody is left on one side'],
  ['partition clients from clients', 'clients is named on both sides'],
  ['drop 0% acceptor-1 to proposer-1', 'SHARE must be above 0'],
  ['drop 101% acceptor-1 to proposer-1', 'SHARE must be above 0'],
  ['delay 5 acceptor-1 to proposer-1', 'TIME must be a duration'],
  ['delay 2m acceptor-1 to proposer-1', 'TIME must be a duration'],
  ['delay 5ms --jitter x acceptor-1 to proposer-1', '--jitter must be a duration'],
  ['partition acceptor-1 from proposer-1 --for 0s', '--for must be a duration'],
])('fault %s: a wrong command line makes no fault', async (line, text) => {
  const { code, err } = await fault(line);
  expect([code, err.join()]).toEqual([2, expect.stringContaining(text)]);
  expect(await inForce()).toEqual({});
});
