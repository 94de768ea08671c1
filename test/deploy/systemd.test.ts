/**
 * Goal: the systemd units start their roles, and what they forbid the roles do not need. Method: units are read as data; each role is
 * started as its unit says, under strace, and the system calls that it makes are looked for in the unit's filter, by systemd's lists.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { acceptorSettings } from '../../services/acceptor/config.ts';
import { learnerSettings } from '../../services/learner/config.ts';
import { proposerSettings } from '../../services/proposer/config.ts';
import { loadConfig } from '../../shared/platform/config/load.ts';
import { hostPortText } from '../../shared/platform/config/values.ts';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import { built, eventually } from '../e2e/cluster.ts';
import { freePorts } from '../support/ports.ts';
import { ROOT, textOf } from '../tidy/source.ts';
import { ROLES } from './edges.ts';
import type { Role } from './edges.ts';

jest.setTimeout(180_000);

const FOLDER = 'deploy/systemd';
const SETTINGS = { acceptor: acceptorSettings, proposer: proposerSettings, learner: learnerSettings };

/** The lines of a unit: `Name=value`, each name with all its values, `%i` as 1. */
function unitOf(role: Role): Map<string, string[]> {
  const unit = new Map<string, string[]>();
  for (const line of textOf(ROOT, `${FOLDER}/synod-${role}@.service`).split('\n')) {
    const [, name, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) unit.set(name, [...(unit.get(name) ?? []), value.replaceAll('%i', '1')]);
  }
  return unit;
}

/** The variables of member 1, by the unit and the example files that it names. */
function environmentOf(role: Role): Record<string, string> {
  const unit = unitOf(role);
  const files = unit.get('EnvironmentFile')!.map((path) => textOf(ROOT, path.replace(/^-?\/etc\/synod/, FOLDER)));
  const lines = [...files.flatMap((text) => text.split('\n')), ...unit.get('Environment')!];
  const pairs = lines.flatMap((line) => {
    const [, name, value = ''] = /^"?([A-Z_]+)=([^"]*)"?$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(pairs);
}

describe.each(ROLES)('the unit of the %s', (role) => {
  const unit = unitOf(role);

  test('has settings that the role takes, and listens where the others look for it', () => {
    const env = environmentOf(role);
    const loaded = loadConfig(SETTINGS[role], { name: role, summary: '', argv: [], env });
    if (loaded.kind !== 'config') throw new Error('it printed its help');
    expect(loaded.warnings).toEqual([]);
    expect(env[`SYNOD_${role.toUpperCase()}S`]).toContain(`1=${hostPortText(loaded.config.listen)}`);
  });

  test('starts the launcher, and not again after a refusal', () => {
    expect(unit.get('ExecStart')).toEqual([`/usr/bin/node /opt/synod/bin/synod.mjs ${role}`]);
    expect(unit.get('Restart')).toEqual(['on-failure']);
    expect(unit.get('RestartPreventExitStatus')).toEqual([String(EXIT.refused)]);
    expect(Number(unit.get('TimeoutStopSec'))).toBeGreaterThanOrEqual(10);
  });

  test('is hardened, and can write its state alone', () => {
    for (const [name, value] of [
      ...[
        ['ProtectSystem', 'strict'],
        ['ProtectHome', 'yes'],
        ['PrivateTmp', 'yes'],
        ['NoNewPrivileges', 'yes'],
      ],
      ...[
        ['CapabilityBoundingSet', ''],
        ['RestrictAddressFamilies', 'AF_INET AF_INET6 AF_UNIX'],
        ['User', 'synod'],
      ],
    ])
      expect([name, unit.get(name!)]).toEqual([name, [value]]);
    expect(unit.get('StateDirectory')).toEqual(role === 'proposer' ? undefined : [`synod/${role}-1`]);
    // The compiler of V8 writes code.
    expect(unit.has('MemoryDenyWriteExecute')).toBe(false);
  });
});

const has = (command: string): boolean => spawnSync('which', [command], { stdio: 'ignore' }).status === 0;
const systemd = has('systemd-analyze') ? describe : describe.skip;

systemd('systemd itself', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'synod-systemd-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const verify = (path: string): { code: number | null; said: string } => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
    return { code: status, said: stdout + stderr };
  };

  test.each(ROLES)('finds nothing wrong with the unit of the %s', (role) => {
    const name = `synod-${role}@1.service`;
    const text = textOf(ROOT, `${FOLDER}/synod-${role}@.service`).replace('/usr/bin/node', process.execPath);
    writeFileSync(join(folder, name), text);
    // Other units of the machine may have faults of their own.
    const ours = verify(join(folder, name))
      .said.split('\n')
      .filter((line) => line.includes('synod'));
    expect(ours).toEqual([]);
    // Control: a slip is found.
    writeFileSync(join(folder, name), text.replace('ProtectHome=yes', 'ProtectHoem=yes'));
    expect(verify(join(folder, name)).said).toMatch(/Unknown key.* 'ProtectHoem'/);
  });
});

/** System calls of a set of systemd, those of the sets in it included. */
function callsOf(set: string): string[] {
  const { stdout } = spawnSync('systemd-analyze', ['syscall-filter', set], { encoding: 'utf8' });
  const names = stdout.split('\n').flatMap((line) => /^ {4}(@?[\w-]+)$/.exec(line)?.[1] ?? []);
  return names.flatMap((name) => (name.startsWith('@') ? callsOf(name) : [name]));
}

/** What the filters of a unit let through: the first names what is allowed, one with ~ takes away. */
function allowedBy(filters: readonly string[]): Set<string> {
  const sets = (text: string): string[] =>
    text.split(' ').flatMap((each) => (each.startsWith('@') ? callsOf(each) : [each]));
  // Allowed whatever the filter says.
  const allowed = new Set(callsOf('@default'));
  for (const filter of filters)
    for (const call of sets(filter.replace(/^~/, '')))
      if (filter.startsWith('~')) allowed.delete(call);
      else allowed.add(call);
  return allowed;
}

const traced = has('systemd-analyze') && has('strace') ? describe : describe.skip;

traced('the system calls', () => {
  let folder: string;
  beforeAll(async () => {
    await built();
    folder = mkdtempSync(join(tmpdir(), 'synod-strace-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(ROLES)('of the %s are allowed by its unit', async (role) => {
    const [grpc = 0, http = 0, other = 0] = await freePorts(3);
    const at = `127.0.0.1:${String(grpc)}`;
    const elsewhere = [2, 3].map((id) => `${String(id)}=127.0.0.${String(id)}:${String(other)}`).join(',');
    const list = `1=${at},${elsewhere}`;
    const env = {
      ...environmentOf(role),
      ...{ SYNOD_LISTEN: at, SYNOD_HTTP: `127.0.0.1:${String(http)}`, SYNOD_DATA: join(folder, role) },
      ...{ SYNOD_ACCEPTORS: list, SYNOD_PROPOSERS: list, SYNOD_LEARNERS: list, SYNOD_REFLECTION: 'true' },
    };
    const trace = join(folder, `${role}.trace`);
    // With -D the child is the role itself, which signals reach.
    const command = ['-D', '-f', '-qq', '-o', trace, process.execPath, join(ROOT, 'bin/synod.mjs'), role];
    const child = spawn('strace', command, { env: { PATH: process.env['PATH'], ...env }, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    try {
      await eventually(`the ${role} is alive`, () => isAlive(http));
    } finally {
      child.kill('SIGTERM');
      await ended;
    }
    await eventually(
      'the trace is whole',
      () => existsSync(trace) && /^\d+ +exit_group\(/m.test(readFileSync(trace, 'utf8')),
    );
    const made = new Set([...readFileSync(trace, 'utf8').matchAll(/^\d+ +(\w+)\(/gm)].map(([, call = '']) => call));
    expect(made.size).toBeGreaterThan(40);
    const filters = unitOf(role).get('SystemCallFilter')!;
    const allowed = allowedBy(filters);
    expect([...made].filter((call) => !allowed.has(call))).toEqual([]);
    // Control: a filter that forbids the network is seen to be too narrow.
    const narrow = allowedBy([...filters, '~@network-io']);
    expect([...made].filter((call) => !narrow.has(call))).toContain('bind');
  });
});

function isAlive(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path: '/livez', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}
