/**
 * Goal: the example client in Go compiles as it is, and does on a running cluster what its README says.
 * Method: compiled with Debian's Go and its packaged modules, offline, then run against real processes.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Harness, built, scratch } from '../e2e/cluster.ts';
import { freePorts } from '../support/ports.ts';
import { EXAMPLES, describeWith, goTools, run } from './support.ts';

// The compiler starts with the sources of gRPC.
jest.setTimeout(300_000);

const SOURCES = ['client.go', 'main.go'];
/** Where Debian puts the sources of packages. */
const PACKAGED = '/usr/share/gocode';

describeWith(goTools(PACKAGED), 'the example client in Go', () => {
  const { path, remove } = scratch();
  const program = join(path, 'synod-go-client');
  let harness: Harness;

  beforeAll(async () => {
    compile(path, program);
    await built();
    harness = await Harness.start();
  });
  afterAll(async () => {
    await (harness as Harness | undefined)?.stop();
    remove();
  });

  async function go(command: string, ...args: string[]): Promise<Record<string, unknown>[]> {
    const { cluster } = harness;
    const members = [
      '--proposers',
      cluster.addresses('proposer').join(),
      '--learners',
      cluster.addresses('learner').join(),
    ];
    const { code, out, err } = await run(program, [command, '--json', ...members, '--timeout', '30s', ...args]);
    expect({ command, code, err }).toEqual({ command, code: 0, err: '' });
    return out.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  test('makes its tour: propose, retry elsewhere, subscribe, resume', async () => {
    expect((await go('tour')).map(({ step }) => step)).toEqual(['propose', 'retry', 'subscribe', 'resume']);
  });

  test('gets the slot of the first effect with the same id, from another process and through any proposer', async () => {
    const [first] = await go('propose', '--log', 'go', 'once');
    for (const address of harness.cluster.addresses('proposer')) {
      const [again] = await go('retry', '--log', 'go', '--proposers', address, '--id', String(first?.['id']), 'once');
      expect(again?.['slot']).toBe(first?.['slot']);
    }
    const [second] = await go('propose', '--log', 'go', 'twice');
    const heard = await go('subscribe', '--log', 'go', '--from', '0', '--count', '2');
    expect(heard.map(({ slot }) => slot)).toEqual([first?.['slot'], second?.['slot']]);
    const [resumed] = await go('subscribe', '--log', 'go', '--from', String(heard[0]?.['next']), '--count', '1');
    expect(Buffer.from(String(resumed?.['payload']), 'base64').toString()).toBe('twice');
  });

  test('says that nobody answers where no cluster runs, and what is wrong with an id', async () => {
    const [port] = await freePorts(1);
    const nobody = await run(program, ['propose', '--proposers', `127.0.0.1:${port}`, '--timeout', '1s', 'x']);
    expect(nobody).toMatchObject({ code: 4, out: '' });
    expect(nobody.err).toContain(`nobody answers at 127.0.0.1:${port}; is the cluster running?`);
    const wrong = await run(program, ['retry', '--id', 'nonsense', 'x']);
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('"nonsense" is no CLIENT:SESSION:SEQUENCE');
  });
});

/** As the README says for a machine without a module proxy: the sources in a folder of GOPATH, beside Debian's. */
function compile(folder: string, program: string): void {
  const source = join(folder, 'src', 'example.com', 'synod-go-client');
  mkdirSync(source, { recursive: true });
  for (const file of SOURCES) copyFileSync(join(EXAMPLES, 'go', file), join(source, file));
  const env = { ...process.env, GO111MODULE: 'off', CGO_ENABLED: '0', GOFLAGS: '', GOPATH: `${folder}:${PACKAGED}` };
  const steps: readonly (readonly [string, ...string[]])[] = [
    [join(EXAMPLES, 'go', 'generate.sh'), source],
    ['go', 'vet', '.'],
    ['go', 'build', '-o', program, '.'],
  ];
  for (const [command, ...args] of steps) {
    const { status, stderr } = spawnSync(command, args, { cwd: source, env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stderr}`);
  }
}
