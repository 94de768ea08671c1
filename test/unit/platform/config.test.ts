/** Goal: a configuration is taken from the right place, and whatever is wrong with it is said at once, in words. */
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { addressBook, commonSettings, dataFolder, httpAddress } from '../../../shared/platform/config/common.ts';
import { ConfigError, loadConfig } from '../../../shared/platform/config/load.ts';
import { nearest } from '../../../shared/platform/config/nearest.ts';
import {
  choice,
  duration,
  durationText,
  endpoints,
  hostPort,
  integer,
  ipPort,
  members,
  optional,
  size,
  sizeText,
  text,
  yesNo,
} from '../../../shared/platform/config/values.ts';

const schema = z.object({
  cluster: text({ describe: 'the cluster' }),
  'trim.holders': integer({ describe: 'learner disks', default: '2', min: 1, max: 9 }),
  'sync.wait': duration({ describe: 'a wait', default: '100ms', max: 60_000 }),
  'journal.bytes.max': size({ describe: 'the journal', default: '1GiB', min: 1024 }),
  peers: optional(endpoints({ describe: 'the others' })),
  mode: choice(['slow', 'fast'], { describe: 'how', default: 'slow' }),
  verbose: yesNo({ describe: 'say more', default: 'false' }),
  token: optional(text({ describe: 'a secret', secret: true })),
});

function load(argv: string[] = [], env: Record<string, string> = {}, file?: string) {
  const loaded = loadConfig(schema, {
    name: 'synod-test',
    summary: 'A test.',
    argv: [...(file === undefined ? [] : ['--config', 'synod.yaml']), ...argv],
    env,
    readFile: () => file ?? '',
  });
  if (loaded.kind !== 'config') throw new Error('help was not asked for');
  return loaded;
}

function faults(argv: string[], env: Record<string, string> = {}, file?: string): readonly string[] {
  try {
    load(argv, env, file);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe('where a setting comes from', () => {
  test('a default is read like any other text', () => {
    expect(load(['--cluster', 'c']).config).toEqual({
      cluster: 'c',
      'trim.holders': 2,
      'sync.wait': 100,
      'journal.bytes.max': 1024 ** 3,
      mode: 'slow',
      verbose: false,
    });
  });

  test('flags win over the environment, this over the file, that over defaults', () => {
    const file = 'cluster: from-file\ntrim:\n  holders: 3\nsync.wait: 1s\n';
    const env = { SYNOD_TRIM_HOLDERS: '4', SYNOD_CLUSTER: 'from-env' };
    const { config, shown } = load(['--trim-holders=5', '--verbose'], env, file);
    expect(config).toMatchObject({ cluster: 'from-env', 'trim.holders': 5, 'sync.wait': 1000, verbose: true });
    expect(shown).toMatchObject({
      'trim.holders': '5 (--trim-holders)',
      cluster: 'from-env (SYNOD_CLUSTER)',
      'sync.wait': '1s (synod.yaml: sync.wait)',
      mode: 'slow (default)',
    });
  });

  test('a file may write a list of endpoints as a map', () => {
    const { config } = load([], {}, 'cluster: c\npeers:\n  2: 10.0.0.2:7102\n  1: 10.0.0.1:7101\n');
    expect([...(config.peers ?? [])]).toEqual([
      [1, '10.0.0.1:7101'],
      [2, '10.0.0.2:7102'],
    ]);
  });

  test('a secret is never shown, in faults neither', () => {
    expect(load(['--cluster', 'c', '--token', 's3cret']).shown['token']).toBe('(hidden) (--token)');
    expect(faults(['--cluster', 'c', '--token', '']).join()).not.toContain('""');
  });

  test('help names every setting with flag, variable and default', () => {
    const loaded = loadConfig(schema, { name: 'synod-test', summary: 'A test.', argv: ['--help'], env: {} });
    expect(loaded.kind === 'help' ? loaded.text : '').toContain(
      '  --trim-holders N\n        learner disks (default 2); SYNOD_TRIM_HOLDERS\n',
    );
    expect(loaded.kind === 'help' ? loaded.text : '').toContain(
      '--cluster TEXT\n        the cluster (required); SYNOD_CLUSTER',
    );
  });
});

describe('what is wrong', () => {
  test('is said all at once, each with the key, the value and the limit', () => {
    const all = faults(['--trim-holders', '12', '--mode=quick', '--sync-wait', '5'], {
      SYNOD_JOURNAL_BYTES_MAX: '1TB',
    });
    expect(all).toEqual([
      '--cluster is missing (the cluster; also SYNOD_CLUSTER, or cluster in the file of --config)',
      '--trim-holders must be a whole number from 1 to 9, not "12"',
      '--sync-wait must be a duration such as 100ms, 5s or 2m, from 0ms to 1m, not "5"',
      'SYNOD_JOURNAL_BYTES_MAX must be a size such as 512KiB or 64MiB, from 1KiB to 1024TiB, not "1TB"',
      '--mode must be one of slow, fast, not "quick"',
    ]);
  });

  test.each([
    [['--cluster', 'c', '--trim-holder', '3'], '--trim-holder is not a setting; did you mean --trim-holders?'],
    [['--cluster', 'c', '--zzz'], '--zzz is not a setting'],
    [['--cluster', 'c', 'up'], '"up" is not expected: settings are written as --name value'],
    [['--cluster', 'c', '--cluster', 'd'], '--cluster is given twice'],
    [['--cluster', 'c', '--mode'], '--mode needs a value'],
    [['--cluster', ''], '--cluster must not be empty, not ""'],
    [['--cluster', 'c', '--peers', '1=a'], '7102, not "1=a"'],
    [['--cluster', 'c', '--peers', '1=a:1,2=b'], '(see "2=b"), not "1=a:1,2=b"'],
    [['--cluster', 'c', '--peers', '1=a:1,1=b:1'], 'must name each id once (1 is there twice)'],
    [['--cluster', 'c', '--peers', '1=a:1,2=a:1'], 'must name each address once (a:1 is there twice)'],
    [['--cluster', 'c', '--peers', '0=a:1'], '7102, not "0=a:1"'],
    [['--cluster', 'c', '--verbose=maybe'], '--verbose must be true or false, not "maybe"'],
  ])('%j', (argv, said) => {
    expect(faults(argv).join('\n')).toContain(said);
  });

  test.each([
    ['clutser: c', 'synod.yaml: clutser is not a setting; did you mean cluster?'],
    ['cluster: c\ntrim:\n  holder: 2', 'synod.yaml: trim.holder is not a setting; did you mean trim.holders?'],
    ['cluster: c\ntrim.holders:', 'synod.yaml: trim.holders must not be empty'],
    ['- 1', 'must hold settings as name: value'],
    ['a: [', 'cannot be read'],
  ])('in the file %j', (file, said) => {
    expect(faults([], {}, file).join('\n')).toContain(said);
  });

  test('a variable close to a setting is warned of, and one of somebody else is not', () => {
    const { warnings } = load(['--cluster', 'c'], { SYNOD_TRIM_HOLDER: '3', SYNOD_ACCEPTOR_SERVICE_HOST: '10.0.0.1' });
    expect(warnings).toEqual(['the variable SYNOD_TRIM_HOLDER is not used; did you mean SYNOD_TRIM_HOLDERS?']);
  });
});

describe('kinds of settings', () => {
  const read = <T>(kind: z.ZodType<T, string | undefined>, given: string): T | 'refused' => {
    const result = kind.safeParse(given);
    return result.success ? result.data : 'refused';
  };
  const about = { describe: '' };

  test.each([
    ['100ms', 100],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['5', 'refused'],
    ['-5s', 'refused'],
    ['s', 'refused'],
    ['1e3s', 'refused'],
    ['48h', 'refused'],
  ])('the duration %s', (given, ms) => {
    expect(read(duration(about), given)).toBe(ms);
  });

  test.each([
    ['64MiB', 64 * 1024 ** 2],
    ['0B', 0],
    ['1.5KiB', 1536],
    ['64MB', 'refused'],
    ['64', 'refused'],
  ])('the size %s', (given, bytes) => {
    expect(read(size(about), given)).toBe(bytes);
  });

  test.each([
    ['127.0.0.1:7101', { host: '127.0.0.1', port: 7101 }],
    ['[::1]:1', { host: '[::1]', port: 1 }],
    ['acceptor-0.synod:7101', { host: 'acceptor-0.synod', port: 7101 }],
    ['7101', 'refused'],
    ['host:65536', 'refused'],
    ['a b:1', 'refused'],
  ])('the address %s', (given, value) => {
    expect(read(hostPort(about), given)).toEqual(value);
  });

  test.each([
    [
      '1=a:1,2=b:2',
      new Map([
        [1, 'a:1'],
        [2, 'b:2'],
      ]),
    ],
    ['dns:synod-learner', { kind: 'dns', host: 'synod-learner', service: 'grpc', port: undefined }],
    ['dns:synod-learner:7301', { kind: 'dns', host: 'synod-learner', service: 'grpc', port: 7301 }],
    ['dns:l.ns.svc:synod', { kind: 'dns', host: 'l.ns.svc', service: 'synod', port: undefined }],
    ['dns:', 'refused'],
    ['dns:a:0', 'refused'],
    ['dns:a:65536', 'refused'],
    ['dns:a:b:c', 'refused'],
    ['dns:a,dns:b', 'refused'],
    ['1=a:1,dns:b', 'refused'],
    ['DNS:a', 'refused'],
  ])('the members %s', (given, value) => {
    expect(read(members(about), given)).toEqual(value);
  });

  test.each([
    ['127.0.0.1:53', { host: '127.0.0.1', port: 53 }],
    ['[::1]:53', { host: '[::1]', port: 53 }],
    ['dns.test:53', 'refused'],
    ['127.0.0.1:0', 'refused'],
  ])('the address without a name %s', (given, value) => {
    expect(read(ipPort(about), given)).toEqual(value);
  });

  test.each([
    ['0', 0],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740992', 'refused'],
    ['-1', 'refused'],
    ['1.5', 'refused'],
    [' 1', 'refused'],
    ['0x10', 'refused'],
  ])('the number %s', (given, value) => {
    expect(read(integer(about), given)).toBe(value);
  });

  test('texts of durations and sizes are the shortest that are exact', () => {
    expect([durationText(5000), durationText(1500), durationText(0), durationText(7_200_000)]).toEqual([
      '5s',
      '1500ms',
      '0ms',
      '2h',
    ]);
    expect([sizeText(64 * 1024 ** 2), sizeText(1000)]).toEqual(['64MiB', '1000B']);
  });

  test('a slip is found, and a stranger is not', () => {
    expect(nearest('--quroum', ['--quorum', '--listen'])).toBe('--quorum');
    expect(nearest('--colour', ['--quorum', '--listen'])).toBeUndefined();
  });
});

describe('the settings of every role', () => {
  const role = z.object({ ...commonSettings, ...addressBook, data: dataFolder });
  const argv = ['--cluster', 'c1', '--id', '1', '--listen', '127.0.0.1:7101', '--data', 'd'].concat(
    ...['acceptors', 'proposers', 'learners'].map((name) => [`--${name}`, '1=127.0.0.1:7101']),
  );

  test('are read, and the HTTP port is 1000 above the gRPC port unless it is given', () => {
    const load = (more: string[]) => loadConfig(role, { name: 'r', summary: '', argv: [...argv, ...more], env: {} });
    const plain = load([]);
    const given = load(['--http', '127.0.0.1:9']);
    expect(plain.kind === 'config' && httpAddress(plain.config)).toBe('127.0.0.1:8101');
    expect(given.kind === 'config' && httpAddress(given.config)).toBe('127.0.0.1:9');
    expect(plain.kind === 'config' && plain.config).toMatchObject({
      quorum: 'majority',
      'call.deadline': 5000,
      reflection: false,
    });
  });
});
