/**
 * Goal: a role that must not run (the volume of another cluster, an empty one, an id that is taken, quorums that are not safe, a wrong list) ends
 * with code 78, its last line says what is wrong, so that a supervisor that shows only the end shows that, and its volume stays as it
 * was. Method: real processes on the folders of a real cluster that runs.
 */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { connect } from '../../shared/client/index.ts';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import type { Role } from '../../deploy/local/cluster.ts';
import { Harness, built, main, runToEnd, scratch } from './cluster.ts';

jest.setTimeout(120_000);

const volume = scratch();
let harness: Harness;

beforeAll(async () => {
  await built();
  harness = await Harness.start({ proposers: 1 });
  const client = connect({ proposers: harness.cluster.addresses('proposer'), timeoutMs: 30_000 });
  await client.propose('log', Buffer.from('something to keep')).finally(() => {
    client.close();
  });
  for (const [role, id] of [
    ['acceptor', 3],
    ['learner', 2],
  ] as const)
    await harness.end(role, id, 'SIGTERM');
});
afterAll(async () => {
  await (harness as Harness | undefined)?.stop();
  volume.remove();
});

/** Files with their hashes; a lock that is held leaves a socket, which is no file. LMDB's table of readers holds no data. */
function contents(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile() && each.name !== 'lock.mdb')
    .map(
      ({ name }) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}`,
    )
    .sort();
}

interface Case {
  readonly role: Role;
  readonly id: number;
  /** Settings in place of those that fit. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whose folder the volume is a copy of; undefined: an empty one. */
  readonly of?: 'acceptor' | 'learner';
  readonly says: RegExp;
  /** An empty volume is begun before anybody can know that another was meant: that is its identity, and an empty journal. */
  readonly begins?: true;
}

const CASES: Readonly<Record<string, Case>> = {
  'an acceptor on the volume of another cluster': {
    ...{ role: 'acceptor', id: 3, of: 'acceptor', settings: { cluster: 'another' } },
    says: /^the data folder belongs to cluster [0-9a-f]{32}, and this process is of cluster another; give it its own/,
  },
  'an acceptor on the volume of another acceptor': {
    ...{ role: 'acceptor', id: 2, of: 'acceptor' },
    says: /^the data folder belongs to id 3, and this process is of id 2;/,
  },
  'an acceptor on an empty volume, or a second one under an id that is taken': {
    ...{ role: 'acceptor', id: 3, begins: true },
    // By whoever is heard first.
    says: /acceptor 3 does not speak with disk [0-9a-f]{32}: (acceptor \d knows acceptor 3 by disk|learner \d remembers start)/,
  },
  'an acceptor with quorums that are not safe': {
    ...{ role: 'acceptor', id: 3, of: 'acceptor', settings: { quorum: 'sizes:1,2' } },
    says: /--quorum with --acceptors: quorums sizes:1,2 of 3 acceptors are not safe/,
  },
  'an acceptor with another quorum system than its volume': {
    ...{ role: 'acceptor', id: 3, of: 'acceptor', settings: { quorum: 'sizes:3,1' } },
    says: /^the data folder belongs to configuration [0-9a-f]{16}, and this process is of configuration [0-9a-f]{16};/,
  },
  'an acceptor that its own list does not name': {
    ...{ role: 'acceptor', id: 4, of: 'acceptor' },
    says: /--id 4 is not among the acceptors 1, 2, 3 \(--acceptors\)/,
  },
  'a learner on the volume of another cluster': {
    ...{ role: 'learner', id: 2, of: 'learner', settings: { cluster: 'another' } },
    says: /^the learner's store belongs to learner 2 of cluster [0-9a-f]{32}; this is learner 2 of cluster another\. Give it/,
  },
  'a learner on the volume of another learner': {
    ...{ role: 'learner', id: 1, of: 'learner' },
    says: /^the learner's store belongs to learner 2 of cluster/,
  },
  'a learner whose list is no list': {
    ...{ role: 'learner', id: 2, of: 'learner', settings: { learners: 'dns:a,dns:b' } },
    says: /--learners must be dns:HOST:PORT with one host name/,
  },
};

test.each(Object.entries(CASES))('%s', async (_, { role, id, of, settings = {}, says, begins }) => {
  const data = join(volume.path, 'data');
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { mode: 0o700 });
  const from = of === undefined ? undefined : harness.member(of, of === 'acceptor' ? 3 : 2).data;
  if (from !== undefined) cpSync(from, data, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  const before = contents(data);
  // The addresses of the member that was stopped: nobody else may be disturbed.
  const { grpc, http } = harness.member(role, role === 'acceptor' ? 3 : 2);
  const all = {
    ...{ id: String(id), cluster: harness.cluster.id, listen: grpc, http, data },
    ...{ acceptors: harness.cluster.endpoints('acceptor'), proposers: harness.cluster.endpoints('proposer') },
    ...{ learners: harness.cluster.endpoints('learner'), ...settings },
  };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  const { code, out, err } = await runToEnd([main(role), ...args]);
  expect(code).toBe(EXIT.refused);
  expect(lastWords(out, err)).toMatch(says);
  if (begins === undefined) expect(contents(data)).toEqual(before);
  else expect(contents(data).every((each) => !each.startsWith('roster '))).toBe(false);
});

/** What a person reads at the end of the log: plain text, or the message of the last line of JSON. */
function lastWords(out: string, err: string): string {
  // A sentence may be followed by where to read more.
  if (err.trim() !== '') return err.trim().replaceAll('\n', ' ');
  const last = out.trim().split('\n').at(-1) ?? '';
  return (JSON.parse(last) as { readonly msg: string }).msg;
}
