/**
 * Goal: every role starts with exactly the command, variables, user, rights and read-only root of its manifest, and answers each probe;
 * a pod that must not run says why in its termination message. Method: a whole cluster of pods without Kubernetes (pod.ts), by the
 * objects of the overlay for kind.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import { built, eventually } from '../e2e/cluster.ts';
import { ROOT } from '../tidy/source.ts';
import { ROLES, dialled } from './edges.ts';
import { faultsOf, parseLines } from './judge.ts';
import { PodCluster, statefulSet } from './pod-cluster.ts';
import type { StartOptions } from './pod-cluster.ts';
import { podsMissing } from './pod.ts';
import type { Executed, Pod } from './pod.ts';

jest.setTimeout(180_000);

if (podsMissing !== undefined) process.stderr.write(`skipped: test/deploy/pods: ${podsMissing}\n`);
const described = podsMissing === undefined || process.env['CI'] !== undefined ? describe : describe.skip;

const KIND = join(ROOT, 'deploy', 'kubernetes', 'kind');
const SYNODCTL = ['/node', '/synod/bin/synod.mjs', 'ctl'];

let cluster: PodCluster;

described('pods', () => {
  beforeAll(async () => {
    await built();
    cluster = await PodCluster.start('kind');
  });
  afterAll(async () => {
    await (cluster as PodCluster | undefined)?.stop();
  });

  /** A value that is chosen, asked for in a pod of a proposer. */
  const propose = (value: string): Promise<Executed> =>
    cluster.pod('proposer', 1).exec([...SYNODCTL, 'propose', value, '--json', '--timeout', '30']);

  const sentence = (text: string): string => text.trim().split('\n').at(-1) ?? '';

  test('of every role start, answer the startup and the liveness probe, and become ready', async () => {
    expect(cluster.pods).toHaveLength(7);
    for (const pod of cluster.pods) {
      const { startupProbe, livenessProbe } = pod.container;
      await eventually(`${pod.name} has started`, async () => (await pod.probe(startupProbe)).status === 200);
      expect(await pod.probe(livenessProbe)).toEqual({ status: 200, text: 'ok\n' });
    }
    for (const pod of cluster.pods) await cluster.ready(pod);
    for (const pod of cluster.pods) expect(pod.log).not.toMatch(/did you mean|"level":"(error|fatal)"/);
  });

  test('can write nothing but their volume: all the rest is read-only, even to root', async () => {
    for (const role of ROLES) {
      const pod = cluster.pod(role, 1);
      expect(pod.container.securityContext?.readOnlyRootFilesystem).toBe(true);
      const { code, err } = await pod.exec(['touch', '/x', '/tmp/x', '/synod/dist/x', '/etc/x', '/usr/x'], true);
      expect({ code, refused: err.match(/Read-only file system/g)?.length }).toEqual({ code: 1, refused: 5 });
    }
    // Controls: what is a volume can be written, by the user of the manifest; a proposer has none.
    expect((await cluster.pod('acceptor', 1).exec(['touch', '/data/x'])).code).toBe(0);
    expect((await cluster.pod('proposer', 1).exec(['ls', '/data'])).code).not.toBe(0);
  });

  test('run as the user of the manifest, without rights', async () => {
    const command = 'id -u; id -G; grep -E "^(CapBnd|CapEff|NoNewPrivs)" /proc/self/status';
    const { out } = await cluster.pod('acceptor', 1).exec(['sh', '-c', command]);
    const rights = ['CapEff: 0000000000000000', 'CapBnd: 0000000000000000', 'NoNewPrivs: 1'];
    expect(out.trim().replaceAll('\t', ' ').split('\n')).toEqual(['10001', '10001', ...rights]);
  });

  test('have synodctl inside, which finds the cluster by itself', async () => {
    expect(await propose('hello')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('"value":"hello"') });
    const status = await cluster.pod('proposer', 1).exec([...SYNODCTL, 'status', '--json']);
    expect(status).toMatchObject({ code: 0, err: '' });
    expect(status.out.match(/"role":"(acceptor|proposer|learner)"/g)).not.toBeNull();
  });

  test('dial those whom the code names, and nobody else', async () => {
    // A learner dials a proposer only where slots are left unfinished; the policies let it (policies.test.ts).
    const always = dialled().filter((edge) => edge !== 'learner → proposer');
    await eventually('all edges are there', () => always.every((edge) => cluster.edges().has(edge)));
    expect([...cluster.edges()].filter((edge) => !dialled().includes(edge))).toEqual([]);
  });

  test('a learner that is scaled up is found by the others, and may go again', async () => {
    const third = cluster.start('learner', 3);
    await cluster.ready(third);
    const members = async (): Promise<string> =>
      (await cluster.pod('proposer', 1).exec([...SYNODCTL, 'status', '--json'])).out;
    const first = cluster.pod('learner', 1);
    await eventually('learner 1 knows learner 3', () => first.log.includes('"learner":3,"address":'));
    expect(await members()).toContain(`${third.ip}:7301`);
    await cluster.remove(third);
    expect(await members()).not.toContain(`${third.ip}:7301`);
    expect(await propose('without it')).toMatchObject({ code: 0 });
  });

  test('an acceptor that comes back with another address is found again', async () => {
    const before = cluster.pod('acceptor', 2);
    before.signal('SIGKILL');
    await before.ended();
    const after = cluster.start('acceptor', 2, { host: 102 });
    await cluster.ready(after);
    expect(after.ip).not.toBe(before.ip);
    // Without it there is no majority now.
    const third = cluster.pod('acceptor', 3);
    third.signal('SIGKILL');
    await third.ended();
    expect(await propose('found again')).toMatchObject({ code: 0 });
  });

  test('without a quorum are alive, whatever else they are: no probe restarts them', async () => {
    const second = cluster.pod('acceptor', 2);
    second.signal('SIGKILL');
    await second.ended();
    const proposer = cluster.pod('proposer', 1);
    await eventually('the proposer is not ready', async () => {
      const { status, text } = await proposer.probe(proposer.container.readinessProbe);
      return status === 503 && text.includes('connected to 1 of 3');
    });
    for (const pod of cluster.pods)
      expect(await pod.probe(pod.container.livenessProbe)).toEqual({ status: 200, text: 'ok\n' });
    for (const id of [2, 3]) cluster.start('acceptor', id);
    for (const pod of cluster.pods) await cluster.ready(pod);
  });

  test('a rolling update of every role under load loses nothing, and proposals go on', async () => {
    const proposers = [1, 2].map((id) => `${cluster.pod('proposer', id).ip}:7201`);
    const load = spawn(process.execPath, [join(KIND, 'load.mjs'), 'rolling', ...proposers], {
      env: { ...process.env, SYNOD_ROOT: ROOT },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const loadEnded = new Promise((resolve) => load.once('exit', resolve));
    let out = '';
    load.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    const answered = (): number => out.split('"slot":').length - 1;
    try {
      for (const role of ROLES)
        // As a StatefulSet does it: from the highest ordinal on, the next one when the last is ready.
        for (let id = statefulSet(cluster.objects, role).spec!.replicas!; id >= 1; id--) {
          const pod = cluster.pod(role, id);
          pod.signal('SIGTERM');
          expect(await pod.ended()).toBe(EXIT.ok);
          expect(pod.log).toContain('"msg":"stopped"');
          const before = answered();
          await eventually(`proposals go on without ${pod.name}`, () => answered() > before + 5);
          await cluster.ready(cluster.start(role, id));
        }
    } finally {
      load.kill('SIGTERM');
      await loadEnded;
    }
    const { out: log } = await cluster
      .pod('proposer', 1)
      .exec([...SYNODCTL, 'log', '--log', 'rolling', '--limit', '1000000', '--json']);
    const answers = parseLines(out).filter(({ value }) => value !== undefined);
    expect(answers.length).toBeGreaterThan(40);
    expect(faultsOf(answers, parseLines(log))).toEqual([]);
  });

  describe('that must not run', () => {
    /** Runs a second pod of that name to its end. What is in its claim before and after is told, too. */
    async function refused(pod: Pod): Promise<void> {
      const seen: number[] = [];
      while (pod.running) seen.push((await pod.probe(pod.container.readinessProbe)).status);
      expect(await pod.ended()).toBe(EXIT.refused);
      expect(seen).not.toContain(200);
    }

    const claim = (name: string): string => join(cluster.world.folder, name);
    const contents = (folder: string): Record<string, string> => {
      const files = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : [];
      const real = files.filter((each) => each.isFile());
      return Object.fromEntries(
        real.map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name)).toString('base64')]),
      );
    };

    test.each<[string, StartOptions, string]>([
      [
        'an unsafe quorum',
        { env: { SYNOD_QUORUM: 'sizes:1,2' } },
        '--quorum with --acceptors: quorums sizes:1,2 of 3 acceptors are not safe',
      ],
      [
        'a list without this acceptor',
        { env: { SYNOD_ACCEPTORS: '1=a:7101,3=c:7101,4=d:7101' } },
        '--id 2 is not among the acceptors 1, 3, 4',
      ],
      [
        'a list with a name twice',
        { env: { SYNOD_ACCEPTORS: '1=a:7101,2=a:7101' } },
        'SYNOD_ACCEPTORS must name each address once (a:7101 is there twice)',
      ],
      ['a list that is none', { env: { SYNOD_ACCEPTORS: 'a:7101' } }, 'SYNOD_ACCEPTORS must be a list such as'],
    ])('%s: the termination message says what is wrong, and nothing is written', async (name, options, message) => {
      const empty = claim(`refused ${name}`.replaceAll(' ', '-'));
      const pod = cluster.start('acceptor', 2, { ...options, claim: empty, host: 200, unnamed: true });
      await refused(pod);
      expect(pod.terminationMessage).toContain(message);
      expect(contents(empty)).toEqual({});
    });

    test('a claim of another cluster: it is named, and not changed', async () => {
      const right = cluster.pod('acceptor', 2);
      right.signal('SIGTERM');
      await right.ended();
      const folder = claim('data-synod-acceptor-2');
      const before = contents(folder);
      expect(Object.keys(before)).toContain('identity.json');
      const pod = cluster.start('acceptor', 2, { env: { SYNOD_CLUSTER: 'other' } });
      await refused(pod);
      expect(sentence(pod.terminationMessage)).toContain(
        'the data folder belongs to cluster kind, and this process is of cluster other',
      );
      expect(contents(folder)).toEqual(before);
      // Control: with its own settings it starts.
      await cluster.ready(cluster.start('acceptor', 2));
    });

    test('a claim that is empty: the roster does not know its disk', async () => {
      const right = cluster.pod('acceptor', 2);
      right.signal('SIGTERM');
      await right.ended();
      const pod = cluster.start('acceptor', 2, { claim: claim('empty') });
      await refused(pod);
      expect(sentence(pod.terminationMessage)).toMatch(
        /"level":"fatal".*An empty or foreign disk cannot take its place/,
      );
      await cluster.ready(cluster.start('acceptor', 2));
    });

    test('an ordinal that is there twice: the second has another disk and is refused, the first goes on', async () => {
      const twin = cluster.start('acceptor', 1, { host: 201, unnamed: true, claim: claim('twin') });
      await refused(twin);
      expect(sentence(twin.terminationMessage)).toMatch(
        /"level":"fatal".*An empty or foreign disk cannot take its place/,
      );
      await cluster.ready(cluster.pod('acceptor', 1));
      expect(await propose('goes on')).toMatchObject({ code: 0 });
    });

    test('a claim that another pod has: it is held by that one', async () => {
      const twin = cluster.start('acceptor', 1, { host: 202, unnamed: true });
      await refused(twin);
      expect(sentence(twin.terminationMessage)).toBe('another process uses the data folder /data/synod; stop it first');
    });
  });
});
