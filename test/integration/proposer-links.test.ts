/**
 * Goal: a proposer counts what acceptors and proposers say by who they are, not by the address that it dialled, and finds a peer
 * that is gone at once.
 * Method: real gRPC in one process; configurations with planted mistakes; every wait is for a condition.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SynodError } from '../../shared/base/errors.ts';
import { ConfigError, loadConfig } from '../../shared/platform/config/load.ts';
import { proposerSettings } from '../../services/proposer/config.ts';
import { encodePeerHello } from '../../shared/wire/codec/peers.ts';
import type { Header } from '../../shared/wire/codec/header.ts';
import { writeHeader } from '../../shared/wire/codec/header.ts';
import { PeerServiceService } from '../../shared/wire/gen/synod/v1/peer_service.ts';
import { raw } from '../../shared/wire/raw.ts';
import { TestCluster } from '../support/proposer.ts';
import { until } from '../support/until.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start();
});
afterEach(async () => {
  await cluster.end();
  expect(cluster.fatals).toEqual([]);
});

describe('acceptors', () => {
  test('two addresses that lead to one acceptor are one vote (R9): there is no quorum of them', async () => {
    const [one = '', two = ''] = [1, 2].map((id) => cluster.acceptors.get(id)?.address);
    await cluster.stopAcceptor(3);
    // The second entry leads to acceptor 1 again, by another spelling of its address.
    const acceptors = `1=${one},2=${one.replace('127.0.0.1', 'localhost')},3=127.0.0.1:9`;
    const wrong = await cluster.startProposer(1, { acceptors });
    await until(() =>
      /connected to 1 of 3.*acceptor 2: at localhost.* answers acceptor 1/.test(wrong.notReady().join()),
    );
    await cluster.killProposer(1);
    // The control: with the right address the same two acceptors are a quorum.
    const right = await cluster.startProposer(1, { acceptors: `1=${one},2=${two},3=127.0.0.1:9` });
    await until(() => right.notReady().length === 0);
  });
});

describe('peers', () => {
  test('a second process with the id of one that runs is refused, with both starts; its next start, once it is gone, is not', async () => {
    const second = await cluster.startProposer(2);
    const first = await cluster.startProposer(1);
    const lines: string[] = [];
    const heard = (of: typeof second): boolean => of.node.machine.peers().some(({ id, alive }) => id === 1 && alive);
    await until(() => heard(second));
    const { header } = first.node;
    const twin = { ...header, incarnation: 'ff'.repeat(8) };
    const stream = cluster.client(2).bidi(raw(PeerServiceService.heartbeats));
    stream.on('data', () => undefined);
    stream.on('error', (error) => lines.push(cluster.client(2).errorOf(error as never).message));
    stream.write(hello(twin, {}));
    await until(() => lines.length === 1);
    expect(lines[0]).toMatch(
      /^proposer 1 runs already, as start [0-9a-f]{8}, and this is start ffffffff: two processes/,
    );
    expect(lines[0]).toContain(header.incarnation?.slice(0, 8));
    // The control.
    await cluster.killProposer(1);
    await cluster.startProposer(1);
    await until(() => heard(second) && second.node.peers.answers(1));
  });

  test('an address that leads to another proposer is not that of the one that was meant', async () => {
    const [one, two] = [cluster.addressOf(1), cluster.addressOf(2)];
    await cluster.startProposer(2);
    const proposers = `1=${one},2=${two},3=${two.replace('127.0.0.1', 'localhost')}`;
    const first = await cluster.startProposer(1, { proposers });
    const connected = (): string =>
      first.node.peers
        .links(0)
        .filter((link) => link.connected)
        .map(({ id }) => id)
        .join();
    await until(() => connected() === '2');
  });

  const hello = (of: Header, change: Partial<Header>): Buffer => encodePeerHello({ ...of, ...change });

  test.each([
    ['another cluster', { cluster: 'other' }, 'FAILED_PRECONDITION', '"other"'],
    ['another configuration', { configuration: 'ab'.repeat(8) }, 'FAILED_PRECONDITION', 'abababab'],
    ['a proposer that nobody configured', { id: 9 }, 'FAILED_PRECONDITION', 'proposer 9'],
    ['a proposer with the same id', { id: 1 }, 'FAILED_PRECONDITION', 'same --id'],
  ] as const)('%s is refused at its hello', async (_, change, code, text) => {
    const proposer = await cluster.startProposer(1);
    const stream = cluster.client(1).bidi(raw(PeerServiceService.heartbeats));
    const errors: SynodError[] = [];
    stream.on('data', () => undefined);
    stream.on('error', (error) => errors.push(cluster.client(1).errorOf(error as never)));
    stream.write(hello({ ...proposer.node.header, id: 2 }, change));
    await until(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code, outcome: 'none' });
    expect(errors[0]?.message).toContain(text);
  });

  test('one that is gone refuses connections, which is silence at once', async () => {
    // Silence alone would take a minute.
    const patient = { 'peer.silence.min': '60000ms', 'peer.silence.max': '60000ms' };
    await Promise.all([cluster.startProposer(1, patient), cluster.startProposer(2, patient)]);
    await cluster.ready();
    await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    await cluster.killProposer(leader);
    const other = cluster.proposers.get(3 - leader);
    await until(() => other?.node.machine.leaderOf('a') === 3 - leader);
    expect(other?.node.machine.peers()).toEqual([expect.objectContaining({ alive: false })]);
  });

  test('what learners want finished is passed to whoever leads', async () => {
    await Promise.all([cluster.startProposer(1), cluster.startProposer(2)]);
    await cluster.ready();
    await cluster.propose(1);
    const leader = await cluster.leaderOf('a');
    const { header } = cluster.proposers.get(1)?.node ?? { header: undefined };
    const request = {
      header: header === undefined ? undefined : writeHeader({ ...header, role: 'learner', incarnation: undefined }),
      finish: { log: 'a', from: 0, to: 1 },
    };
    const answer = await cluster.client(3 - leader).unary(PeerServiceService.finish, request, { timeoutMs: 5_000 });
    expect(answer).toEqual({ leader });
  });
});

describe('settings', () => {
  test('every fault is named at once', () => {
    const argv = [
      ...['--cluster', 'c', '--id', '3', '--listen', '127.0.0.1:1', '--acceptors', '1=h:1', '--proposers', '1=h:2'],
      ...['--learners', '1=h:3', '--peer-silence-min', '100ms', '--peer-silence-max', '50ms'],
    ];
    let faults: readonly string[] = [];
    try {
      loadConfig(proposerSettings, { name: 'synod-proposer', summary: '', argv, env: {} });
    } catch (error) {
      if (error instanceof ConfigError) faults = error.faults;
    }
    expect(faults).toEqual([
      expect.stringContaining('--id 3'),
      expect.stringContaining('--acceptors names 1'),
      expect.stringContaining('--peer-silence-max'),
      expect.stringContaining('two heartbeats'),
    ]);
  });
});
