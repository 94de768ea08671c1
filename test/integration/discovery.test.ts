/** Goal: what DNS says of members is read as it is meant. Method: the lookup that ships asks a DNS server on loopback. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findEndpoints } from '../../services/cli/endpoints.ts';
import type { DnsName } from '../../shared/platform/config/values.ts';
import { DnsLookup } from '../../shared/platform/discovery/dns-lookup.ts';
import { DnsServer } from '../support/dns-server.ts';

const SERVICE = '_grpc._tcp.synod-learner.test';

let server: DnsServer;
beforeEach(async () => {
  server = await DnsServer.start();
});
afterEach(async () => {
  await server.stop();
});

const name = (given: Partial<DnsName> = {}): DnsName => ({
  ...{ kind: 'dns', host: 'synod-learner.test', service: 'grpc', port: undefined },
  ...given,
});
const lookup = (): DnsLookup => new DnsLookup({ server: server.at });
const members = (...list: [string, string][]): void => {
  server.set(SERVICE, new Map(list));
};

describe('a lookup of members', () => {
  test('finds the hosts and ports of SRV records, with the addresses of each', async () => {
    members(['learner-1', '127.0.0.1:7301'], ['learner-2', '127.0.0.2:7302']);
    const found = await lookup().find(name());
    expect([...found].sort((a, b) => (a.target < b.target ? -1 : 1))).toEqual([
      { target: 'learner-1.synod-learner.test', addresses: ['127.0.0.1:7301'] },
      { target: 'learner-2.synod-learner.test', addresses: ['127.0.0.2:7302'] },
    ]);
  });

  test('sees a change at once', async () => {
    const same = lookup();
    members(['learner-1', '127.0.0.1:7301']);
    await same.find(name());
    members(['learner-1', '127.0.0.9:7301']);
    expect((await same.find(name()))[0]?.addresses).toEqual(['127.0.0.9:7301']);
  });

  test('takes a port that is given as a number in place of that of the records', async () => {
    members(['learner-1', '127.0.0.1:7301']);
    expect((await lookup().find(name({ port: 9000 })))[0]?.addresses).toEqual(['127.0.0.1:9000']);
  });

  test('takes the name of another port, and a whole name of a record', async () => {
    server.set('_synod._tcp.x.test', new Map([['p-1', '127.0.0.1:1']]));
    expect(await lookup().find(name({ host: 'x.test', service: 'synod' }))).toHaveLength(1);
    expect(await lookup().find(name({ host: '_synod._tcp.x.test' }))).toHaveLength(1);
  });

  test('takes no answer that names more members than the limit', async () => {
    members(...Array.from({ length: 257 }, (_, i): [string, string] => [`l-${String(i + 1)}`, '127.0.0.1:1']));
    await expect(lookup().find(name())).rejects.toThrow(
      'DNS names 257 members by _grpc._tcp.synod-learner.test; at most 256 are taken',
    );
    expect(server.asked.filter((each) => each.startsWith('l-'))).toEqual([]);
    members(...Array.from({ length: 256 }, (_, i): [string, string] => [`l-${String(i + 1)}`, '127.0.0.1:1']));
    expect(await lookup().find(name())).toHaveLength(256);
  });

  test('takes IPv6 addresses where there are no others, and leaves a host without one without', async () => {
    members(['learner-1', '127.0.0.1:7301'], ['learner-2', '127.0.0.2:7302']);
    server.hosts.set('learner-1.synod-learner.test', ['fd00::5']);
    server.hosts.delete('learner-2.synod-learner.test');
    const found = new Map((await lookup().find(name())).map(({ target, addresses }) => [target, addresses]));
    expect(found.get('learner-1.synod-learner.test')).toEqual(['[fd00::5]:7301']);
    expect(found.get('learner-2.synod-learner.test')).toEqual([]);
  });

  test('asks in the search domains, and first where it found them', async () => {
    members(['learner-1', '127.0.0.1:7301']);
    const short = new DnsLookup({ server: server.at, resolvConf: 'search other.test test\noptions ndots:5' });
    await short.find(name({ host: 'synod-learner' }));
    await short.find(name({ host: 'synod-learner' }));
    expect(server.asked.filter((each) => each.startsWith('_grpc'))).toEqual([
      ...['_grpc._tcp.synod-learner.other.test', SERVICE, SERVICE],
    ]);
  });

  test('says for which names there is nothing', async () => {
    const short = new DnsLookup({ server: server.at, resolvConf: 'search test' });
    await expect(short.find(name({ host: 'x' }))).rejects.toThrow(
      'DNS has no SRV record of _grpc._tcp.x, nor of _grpc._tcp.x.test',
    );
  });

  test('says that DNS does not answer', async () => {
    server.mood = 'failing';
    await expect(lookup().find(name())).rejects.toThrow(`DNS does not say who is ${SERVICE}: ESERVFAIL`);
    server.mood = 'silent';
    await expect(lookup().find(name())).rejects.toThrow(`who is ${SERVICE}: ETIMEOUT`);
  });
});

describe('synodctl --endpoints', () => {
  const io = () => ({
    env: { SYNOD_DISCOVERY_SERVER: `127.0.0.1:${server.at.port}` },
    listens: async () => false,
  });

  test('finds the members of a role by DNS, with their numbers', async () => {
    members(['learner-3', '127.0.0.1:7303'], ['learner-1', '127.0.0.1:7301'], ['x', '127.0.0.1:1']);
    const endpoints = 'proposer=127.0.0.1:7201,learner=dns:synod-learner.test';
    const found = await findEndpoints({ endpoints }, io());
    expect(found.of('learner').map(({ id, address }) => [id, address])).toEqual([
      [1, '127.0.0.1:7301'],
      [3, '127.0.0.1:7303'],
    ]);
    expect(found.reachable('proposer')).toEqual(['127.0.0.1:7201']);
  });

  test('says who is not found, and what is written wrongly', async () => {
    const find = (endpoints: string, env = io().env) => findEndpoints({ endpoints }, { ...io(), env });
    await expect(find('learner=dns:nobody.test:7301')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'no learner is found by dns:nobody.test:7301: DNS has no SRV record of _grpc._tcp.nobody.test',
    });
    members(['x', '127.0.0.1:1']);
    await expect(find('learner=dns:synod-learner.test')).rejects.toThrow('of 1 names that DNS gives none has a number');
    await expect(find('learner=dns:synod-learner.test:99999')).rejects.toThrow('neither ROLE=HOST:PORT nor');
    members(['learner-1', '127.0.0.1:1']);
    await expect(find('learner=h:1,learner=dns:synod-learner.test')).rejects.toThrow('names learners twice');
    await expect(find('learner=dns:x', { SYNOD_DISCOVERY_SERVER: 'dns.test:53' })).rejects.toThrow(
      'SYNOD_DISCOVERY_SERVER must be IP:PORT of a DNS server, not "dns.test:53"',
    );
  });
});
