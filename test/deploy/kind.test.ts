/**
 * Goal: what runs on a kind cluster is right as far as that can be told without one. Method: the scripts are read by shellcheck and asked for
 * help; the load runs against a cluster of processes; what judges its answers is shown answers that are wrong.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { Harness, built, eventually } from '../e2e/cluster.ts';
import { ROOT, textOf } from '../tidy/source.ts';
import { describeWith } from '../examples/support.ts';
import { faultsOf, longestGapMs, parseLines } from './judge.ts';
import { objectsOf } from './kustomize.ts';

jest.setTimeout(180_000);

const KIND = join(ROOT, 'deploy', 'kubernetes', 'kind');

const ran = (
  command: string,
  args: readonly string[],
  path = process.env['PATH'],
): { code: number | null; said: string } => {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1024 ** 3,
    env: { ...process.env, PATH: path },
  });
  return { code: status, said: stdout + stderr };
};

const shellcheck = ran('shellcheck', ['--version']).code === 0;
describeWith({ missing: shellcheck ? undefined : 'on Debian: apt-get install shellcheck' }, 'shellcheck', () => {
  test('finds nothing in the scripts for kind', () => {
    expect(ran('shellcheck', ['-x', ...['up.sh', 'down.sh', 'common.sh'].map((name) => join(KIND, name))])).toEqual({
      code: 0,
      said: '',
    });
  });
});

describe('the scripts', () => {
  let bare: string;
  beforeAll(() => {
    // No kind, no kubectl, no container engine.
    bare = mkdtempSync(join(tmpdir(), 'synod-path-'));
    for (const name of ['bash', 'dirname', 'basename', 'cat', 'env']) symlinkSync(`/usr/bin/${name}`, join(bare, name));
    symlinkSync(process.execPath, join(bare, 'node'));
  });
  afterAll(() => {
    rmSync(bare, { recursive: true, force: true });
  });

  test.each([
    ['up.sh', [join(KIND, 'up.sh')]],
    ['down.sh', [join(KIND, 'down.sh')]],
    ['e2e:kind', ['node', join(KIND, 'e2e.mjs')]],
  ])('%s has help with an example and its exit codes, and names what is missing', (_, [command = '', ...args]) => {
    const help = ran(command, [...args, '--help']);
    expect(help.code).toBe(0);
    expect(help.said).toMatch(/Example:\n/);
    expect(help.said).toMatch(/Exit codes: .*64.*69/s);
    expect(ran(command, [...args, '--nonsense'])).toMatchObject({
      code: 64,
      said: expect.stringContaining('see --help'),
    });
    expect(ran(join(bare, 'env'), [command, ...args], bare)).toMatchObject({
      code: 69,
      said: expect.stringMatching(/kind is not installed/),
    });
  });

  test('name the image, the namespace and the members of the overlay', () => {
    const common = textOf(ROOT, 'deploy/kubernetes/kind/common.sh');
    const objects = objectsOf('kind');
    const names = objects.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`);
    expect(common).toContain('IMAGE=synod:kind');
    expect(JSON.stringify(objects)).toContain('"image":"synod:kind"');
    const [, waited = ''] = /for workload in ([^;]+); do/.exec(textOf(ROOT, 'deploy/kubernetes/kind/up.sh')) ?? [];
    const workloads = names.filter((name) => /^(statefulset|deployment)\//.test(name));
    expect(waited.split(' ').sort()).toEqual(workloads.sort());
    const services = names.filter((name) => name.startsWith('service/')).map((name) => name.slice('service/'.length));
    for (const [, name = ''] of textOf(ROOT, 'deploy/kubernetes/kind/up.sh').matchAll(/([\w-]+)\.\$NAMESPACE\.svc/g))
      expect(services).toContain(name);
  });

  test('make three nodes, each in a zone, all of which take pods', () => {
    const { nodes } = parse(textOf(ROOT, 'deploy/kubernetes/kind/cluster.yaml')) as {
      nodes: { role: string; labels: Record<string, string> }[];
    };
    expect(nodes.map(({ role }) => role)).toEqual(['control-plane', 'worker', 'worker']);
    expect(new Set(nodes.map(({ labels }) => labels['topology.kubernetes.io/zone'])).size).toBe(3);
  });
});

describe('the judge', () => {
  const answers = [
    { value: 'load 1', at: 10, slot: 1 },
    { value: 'load 2', at: 60, slot: 2 },
    { value: 'load 3', at: 70, failed: 'x', outcome: 'unknown' },
    { value: 'load 4', at: 75, slot: 4 },
  ];
  const entries = [1, 2, 4, 5].map((slot) => ({ value: `load ${String(slot)}`, slot }));

  test('takes answers that are in their slots; an unknown one may be there or not, and so may the last', () => {
    expect(faultsOf(answers, entries)).toEqual([]);
    expect(faultsOf(answers, [...entries, { value: 'load 3', slot: 3 }])).toEqual([]);
    expect(longestGapMs(answers)).toBe(50);
    expect(parseLines('a warning\n{"value":"load 1"}\n')).toEqual([{ value: 'load 1' }]);
  });

  test('negative controls: what is lost, moved, doubled or comes from nowhere is found', () => {
    const first = entries[0]!;
    expect(faultsOf(answers, entries.slice(1))).toEqual(['load 1 was answered with slot 1, and is lost']);
    const moved = [{ value: 'load 1', slot: 9 }, ...entries.slice(1)];
    expect(faultsOf(answers, moved)).toEqual(['load 1 was answered with slot 1, and is in slot 9']);
    expect(faultsOf(answers, [...entries, { ...first, slot: 7 }])).toEqual([
      'load 1 is chosen and applied twice: slots 1, 7',
    ]);
    expect(faultsOf([{ value: 'load 1', failed: 'x', outcome: 'none' }], [first])).toEqual([
      'load 1 was refused without effect, and is in slot 1',
    ]);
    expect(faultsOf(answers, [...entries, { value: 'nobody', slot: 6 }])).toEqual([
      'the log holds values that nobody was answered for: load 5, nobody',
    ]);
  });
});

describe('a run', () => {
  let harness: Harness;
  beforeAll(async () => {
    await built();
    harness = await Harness.start();
  });
  afterAll(async () => {
    await (harness as Harness | undefined)?.stop();
  });

  test('of the load goes on while its proposer dies, ends on SIGTERM, and what it was answered is in the log', async () => {
    const proposers = harness.cluster.addresses('proposer');
    const child = spawn(process.execPath, [join(KIND, 'load.mjs'), 'load', ...proposers], {
      env: { ...process.env, SYNOD_ROOT: ROOT },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    const answered = (): number => parseLines(out.slice(0, out.lastIndexOf('\n') + 1)).length;
    try {
      await eventually('values are answered', () => answered() > 20);
      await harness.end('proposer', 1);
      const before = answered();
      await eventually('more values are answered', () => answered() > before + 20);
    } finally {
      child.kill('SIGTERM');
    }
    expect(await ended).toBe(0);
    const learners = harness.cluster.addresses('learner').map((at) => `learner=${at}`);
    const shown = ['log', '--log', 'load', '--limit', '100000', '--json', '--endpoints', learners.join(',')];
    const log = ran(process.execPath, [join(ROOT, 'bin', 'synod.mjs'), 'ctl', ...shown]);
    const answers = parseLines(out).filter(({ value }) => value !== undefined);
    expect(answers.length).toBeGreaterThan(40);
    expect(faultsOf(answers, parseLines(log.said))).toEqual([]);
    await harness.back('proposer', 1);
  });

  /** e2e:kind from up.sh to down.sh, with stand-ins for kind, docker and kubectl before this cluster. */
  async function wholeRun(
    args: readonly string[],
    env: Record<string, string>,
  ): Promise<{ code: number | null; said: string; calls: string }> {
    const folder = mkdtempSync(join(tmpdir(), 'synod-stand-in-'));
    try {
      for (const name of ['kind', 'docker', 'kubectl'])
        symlinkSync(join(ROOT, 'test', 'deploy', 'stand-in.mjs'), join(folder, name));
      const child = spawn(process.execPath, [join(KIND, 'e2e.mjs'), ...args], {
        env: {
          ...{ ...process.env, PATH: `${folder}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}` },
          ...{ STAND_IN: folder, ROOT, SYNOD_PORT_BASE: String(harness.cluster.portBase), ...env },
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => (said += text));
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      return { code, said, calls: readFileSync(join(folder, 'calls'), 'utf8') };
    } finally {
      endLoad(folder);
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** The load of a run that failed before its end. */
  function endLoad(folder: string): void {
    const file = join(folder, 'load.pid');
    if (!existsSync(file)) return;
    try {
      process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
    } catch {
      // It has ended.
    }
  }

  test('of e2e:kind: every step is taken and holds where nothing is lost', async () => {
    const { code, said, calls } = await wholeRun([], {});
    expect(said).not.toContain('FAILED');
    expect(said).toContain('values answered');
    expect(code).toBe(0);
    expect(said.match(/ {3}ok after/g)!.length).toBeGreaterThanOrEqual(13);
    for (const call of [
      'docker build',
      'kind create cluster',
      'kind load',
      'drain synod-worker',
      'rollout restart',
      'kind delete',
    ])
      expect(calls).toContain(call);
  });

  test('of e2e:kind: negative control: a value that is lost fails the run, with code 1, and the cluster is removed all the same', async () => {
    const { code, said, calls } = await wholeRun(['--only', 'two acceptors'], { LOSE: 'load 3' });
    expect(said).toMatch(/FAILED: load 3 was answered with slot \d+, and is lost/);
    expect(code).toBe(1);
    expect(calls).not.toContain('drain');
    expect(calls).toContain('kind delete cluster');
  });
});
