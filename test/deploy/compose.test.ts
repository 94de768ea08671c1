/** Goal: compose.yaml starts the cluster that it says. Method: it is read as data, and every service's settings by its role's schema. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { IDeployment } from 'kubernetes-models/apps/v1';
import { parse } from 'yaml';
import { acceptorSettings } from '../../services/acceptor/config.ts';
import { learnerSettings } from '../../services/learner/config.ts';
import { proposerSettings } from '../../services/proposer/config.ts';
import { parseEndpoints } from '../../services/cli/endpoints.ts';
import { loadConfig } from '../../shared/platform/config/load.ts';
import { ROOT, textOf } from '../tidy/source.ts';
import { describeWith } from '../examples/support.ts';
import { objectsOf } from './kustomize.ts';
import { ROLES } from './edges.ts';
import type { Role } from './edges.ts';
import { heapBytes } from './restricted.ts';

interface Service {
  readonly image: string;
  readonly build?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly mem_limit?: string;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
}

const FOLDER = 'deploy/compose';
const compose = parse(textOf(ROOT, `${FOLDER}/compose.yaml`), { merge: true }) as Compose;
const SETTINGS = { acceptor: acceptorSettings, proposer: proposerSettings, learner: learnerSettings };
const PORT: Readonly<Record<Role, number>> = { acceptor: 7101, proposer: 7201, learner: 7301 };
const { version } = JSON.parse(textOf(ROOT, 'package.json')) as { version: string };
const members = Object.entries(compose.services).flatMap(([name, service]) => {
  const [, role, id] = /^(acceptor|proposer|learner)-(\d+)$/.exec(name) ?? [];
  return role === undefined ? [] : [{ name, role: role as Role, id: Number(id), service }];
});

describe('compose.yaml', () => {
  test('has three acceptors, two proposers, two learners, Prometheus and Grafana', () => {
    const count = (role: Role): number => members.filter((each) => each.role === role).length;
    expect(ROLES.map(count)).toEqual([3, 2, 2]);
    expect(Object.keys(compose.services)).toHaveLength(9);
  });

  test('the image is built by one service alone, for builds of one tag side by side fail', () => {
    const builds = Object.values(compose.services).flatMap(({ build }) => (build === undefined ? [] : [build]));
    expect(builds).toEqual([{ context: '../..', dockerfile: 'deploy/docker/Dockerfile' }]);
  });

  test.each(members)(
    '$name takes its settings, and listens where the others look for it',
    ({ name, role, id, service }) => {
      expect(service.command).toEqual([role]);
      expect(service.image).toBe(`synod:${version}`);
      const loaded = loadConfig(SETTINGS[role], { name, summary: '', argv: [], env: service.environment! });
      if (loaded.kind !== 'config') throw new Error('it printed its help');
      expect(loaded.warnings).toEqual([]);
      expect(loaded.config.id).toBe(id);
      expect(loaded.config.listen).toEqual({ host: '0.0.0.0', port: PORT[role] });
      const all = members.filter((each) => each.role === role);
      const list = all.map((each) => `${each.id}=${each.name}:${PORT[role]}`).join(',');
      for (const each of members) expect(each.service.environment![`SYNOD_${role.toUpperCase()}S`]).toBe(list);
    },
  );

  test.each(members)(
    '$name is published where npm start would have it, on this machine alone',
    ({ role, id, service }) => {
      const port = PORT[role];
      const published = `${String(port + id - 1)}:${String(port)}`;
      const http = `${String(port + 1_000 + id - 1)}:${String(port + 1_000)}`;
      expect(service.ports).toEqual([`127.0.0.1:${published}`, `127.0.0.1:${http}`]);
      expect(service.healthcheck!.test.at(-1)).toContain(`http://127.0.0.1:${String(port + 1_000)}/readyz`);
    },
  );

  test('synodctl in a container finds all', () => {
    const { places } = parseEndpoints(members[0]!.service.environment!['SYNOD_ENDPOINTS']!, 'SYNOD_ENDPOINTS');
    const all = members.map(({ name, role }) => `${name}:${PORT[role]}`);
    expect(places.map(({ address }) => address).sort()).toEqual(all.sort());
  });

  test('containers are read-only, without rights, and have time to stop', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      expect([name, service.read_only, service.cap_drop]).toEqual([name, true, ['ALL']]);
      expect(service.security_opt).toEqual(['no-new-privileges:true']);
      for (const each of service.ports) expect(each).toMatch(/^127\.0\.0\.1:/);
    }
    for (const { service } of members) {
      expect(service).toMatchObject({ restart: 'on-failure:5', stop_grace_period: '15s', mem_limit: '512m' });
      expect(heapBytes(service.environment!['NODE_OPTIONS'])).toBeLessThan(0.7 * 512 * 1024 ** 2);
    }
  });

  test('every volume is there, and every folder that is mounted', () => {
    const mounted = Object.values(compose.services).flatMap(({ volumes = [] }) =>
      volumes.map((each) => each.split(':')[0]!),
    );
    for (const source of mounted)
      if (source.startsWith('.')) expect([source, existsSync(join(ROOT, FOLDER, source))]).toEqual([source, true]);
      else expect(Object.keys(compose.volumes)).toContain(source);
    for (const { name, role, service } of members)
      expect(service.volumes ?? []).toEqual(role === 'proposer' ? [] : [`${name}:/data`]);
  });

  test('Prometheus reads all members', () => {
    const { scrape_configs: scrapes } = parse(textOf(ROOT, `${FOLDER}/prometheus.yaml`)) as {
      scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[];
    };
    expect(scrapes).toHaveLength(1);
    expect(scrapes[0]!.job_name).toBe('synod');
    const targets = members.map(({ name, role }) => `${name}:${PORT[role] + 1_000}`);
    expect(scrapes[0]!.static_configs.flatMap((each) => each.targets).sort()).toEqual(targets.sort());
  });

  test('Prometheus and Grafana are those of the kind overlay, and ask nobody on the Internet for anything', () => {
    const objects = objectsOf('kind');
    const images = JSON.stringify(objects);
    for (const name of ['prometheus', 'grafana'])
      expect(images).toContain(`"image":"${compose.services[name]!.image}"`);
    const { environment = {} } = compose.services['grafana']!;
    const grafana = objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'grafana');
    const [container] = (grafana as IDeployment & typeof grafana).spec!.template.spec!.containers;
    expect(Object.fromEntries((container!.env ?? []).map(({ name, value }) => [name, value]))).toEqual(environment);
    // It would fetch plugins at each start, from where network policies let it not.
    expect(environment).toMatchObject({ GF_PLUGINS_PREINSTALL_DISABLED: 'true' });
  });
});

const promtool = spawnSync('promtool', ['--version'], { stdio: 'ignore' }).status === 0;
describeWith({ missing: promtool ? undefined : 'on Debian: apt-get install prometheus' }, 'promtool', () => {
  test.each([`${FOLDER}/prometheus.yaml`, 'deploy/kubernetes/overlays/kind/prometheus-config.yaml'])(
    'takes %s',
    (path) => {
      const check = ['check', 'config', '--syntax-only', join(ROOT, path)];
      const { status, stdout, stderr } = spawnSync('promtool', check, { encoding: 'utf8' });
      expect({ status, said: stdout + stderr }).toMatchObject({ status: 0 });
    },
  );
});
