/**
 * Goal: what manifests say agrees: names, ports, selectors, addresses, probes, limits, with one another and with what the roles take.
 * Method: the objects of base and every overlay, rendered, are read as data; what the roles say of their settings is their schema.
 */
import { describe, expect, test } from '@jest/globals';
import type { IStatefulSet } from 'kubernetes-models/apps/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { IConfigMap, IPodTemplateSpec, IService } from 'kubernetes-models/v1';
import { parse } from 'yaml';
import { acceptorSettings } from '../../services/acceptor/config.ts';
import { learnerSettings } from '../../services/learner/config.ts';
import { proposerSettings } from '../../services/proposer/config.ts';
import { envOf, loadConfig } from '../../shared/platform/config/load.ts';
import { ROOT, textOf } from '../tidy/source.ts';
import { APPLIED, missing, nameOf, objectsOf } from './kustomize.ts';
import type { Applied, KubeObject } from './kustomize.ts';
import { ROLES } from './edges.ts';
import type { Role } from './edges.ts';
import { settingsOf, statefulSet } from './pod-cluster.ts';
import { heapBytes, notHardened, notRestricted, quantityBytes, serviceVariables } from './restricted.ts';

const SETTINGS = { acceptor: acceptorSettings, proposer: proposerSettings, learner: learnerSettings };
const KNOWN = new Set(Object.values(SETTINGS).flatMap((schema) => Object.keys(schema.shape).map(envOf)));
const PORT: Readonly<Record<Role, number>> = { acceptor: 7101, proposer: 7201, learner: 7301 };
const ZONE = 'topology.kubernetes.io/zone';
const NODE = 'kubernetes.io/hostname';
const names = Object.keys(APPLIED) as Applied[];
const { version } = JSON.parse(textOf(ROOT, 'package.json')) as { version: string };

const ofKind = <T>(objects: readonly KubeObject[], kind: string): (T & KubeObject)[] =>
  objects.filter((each) => each.kind === kind) as (T & KubeObject)[];

interface Workload {
  readonly spec: { readonly template: IPodTemplateSpec };
}
const workloads = (objects: readonly KubeObject[]): (Workload & KubeObject)[] =>
  ['StatefulSet', 'Deployment'].flatMap((kind) => ofKind<Workload>(objects, kind));

/** Whether a selector takes pods of these labels. */
function selects(selector: Readonly<Record<string, string>> | undefined, template: IPodTemplateSpec): boolean {
  const labels = template.metadata?.labels ?? {};
  return selector !== undefined && Object.entries(selector).every(([name, value]) => labels[name] === value);
}

const container = (set: IStatefulSet): NonNullable<IPodTemplateSpec['spec']>['containers'][number] =>
  set.spec!.template.spec!.containers[0]!;

/** The variables of a role's pod 1, as far as manifests set them. */
function variables(objects: readonly KubeObject[], role: Role): Record<string, string> {
  const own = (container(statefulSet(objects, role)).env ?? []).map(({ name, value }) => [name, value ?? '1'] as const);
  return { ...settingsOf(objects).data, ...Object.fromEntries(own) };
}

function configOf(
  objects: readonly KubeObject[],
  role: Role,
): Record<string, unknown> & { warnings: readonly string[] } {
  const loaded = loadConfig(SETTINGS[role], { name: role, summary: '', argv: [], env: variables(objects, role) });
  if (loaded.kind !== 'config') throw new Error('it printed its help');
  return { ...loaded.config, warnings: loaded.warnings };
}

describe.each(names)('the objects of %s', (name) => {
  const objects = objectsOf(name);
  const services = ofKind<IService>(objects, 'Service');
  const sets = Object.fromEntries(ROLES.map((role) => [role, statefulSet(objects, role)])) as Record<
    Role,
    IStatefulSet
  >;

  test('have one namespace, where pods are restricted', () => {
    const [namespace] = ofKind<KubeObject>(objects, 'Namespace');
    expect(namespace!.metadata.labels?.['pod-security.kubernetes.io/enforce']).toBe('restricted');
    const others = objects.filter(({ kind }) => kind !== 'Namespace' && kind !== 'PriorityClass');
    expect(new Set(others.map(({ metadata }) => metadata.namespace))).toEqual(new Set([namespace!.metadata.name]));
  });

  test('every Service takes the pods of one workload, and its ports are ports of theirs', () => {
    expect(services.length).toBeGreaterThanOrEqual(5);
    for (const service of services) {
      const taken = workloads(objects).filter(({ spec }) => selects(service.spec?.selector, spec.template));
      expect([nameOf(service), taken.length]).toEqual([nameOf(service), 1]);
      const ports = taken[0]!.spec.template.spec!.containers.flatMap((each) => each.ports ?? []);
      for (const { port, targetPort, name: portName } of service.spec!.ports!)
        expect(ports).toContainEqual(expect.objectContaining({ name: targetPort ?? portName, containerPort: port }));
    }
  });

  test.each(ROLES)('the %s is a StatefulSet with ids from 1, started and found while it is not ready', (role) => {
    const { spec } = sets[role];
    expect(spec).toMatchObject({ ordinals: { start: 1 }, podManagementPolicy: 'Parallel' });
    expect(spec!.updateStrategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } });
    expect(selects(spec!.selector.matchLabels, spec!.template)).toBe(true);
    const headless = services.find(({ metadata }) => metadata.name === spec!.serviceName)!;
    expect(headless.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
    expect(selects(headless.spec!.selector, spec!.template)).toBe(true);
  });

  test.each(ROLES)('the %s has its image, its role, its ports, and the probes that its HTTP port answers', (role) => {
    const { image, args, ports, ...probes } = container(sets[role]);
    expect(image).toBe(`synod:${name === 'kind' ? 'kind' : version}`);
    expect(args).toEqual([role]);
    const port = PORT[role];
    expect(ports).toEqual([
      { name: 'grpc', containerPort: port },
      { name: 'http', containerPort: port + 1_000 },
    ]);
    expect(configOf(objects, role)['listen']).toEqual({ host: '0.0.0.0', port });
    expect(probes.startupProbe?.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(probes.livenessProbe?.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(probes.readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'http' });
    expect(probes.terminationMessagePolicy).toBe('FallbackToLogsOnError');
  });

  test.each(ROLES)('the %s takes every setting, none of which looks like a slip', (role) => {
    expect(configOf(objects, role).warnings).toEqual([]);
    const unknown = Object.keys(variables(objects, role)).filter(
      (each) => each.startsWith('SYNOD_') && each !== 'SYNOD_ENDPOINTS' && !KNOWN.has(each),
    );
    expect(unknown).toEqual([]);
  });

  test('addresses are names of pods that there are, at ports that they have', () => {
    const domain = (set: IStatefulSet): string =>
      `${set.spec!.serviceName!}.${set.metadata!.namespace!}.svc.cluster.local`;
    const { data = {} } = settingsOf(objects);
    const acceptors = Array.from({ length: sets.acceptor.spec!.replicas! }, (_, at) => at + 1).map(
      (id) => [id, `${sets.acceptor.metadata!.name!}-${id}.${domain(sets.acceptor)}:${PORT.acceptor}`] as const,
    );
    expect(data['SYNOD_ACCEPTORS']).toBe(acceptors.map(([id, address]) => `${id}=${address}`).join(','));
    const found = (role: Role): string => `dns:${domain(sets[role])}:${PORT[role]}`;
    expect(data['SYNOD_PROPOSERS']).toBe(found('proposer'));
    expect(data['SYNOD_LEARNERS']).toBe(found('learner'));
    const places = ROLES.map((role) => `${role}=${found(role)}`);
    expect(data['SYNOD_ENDPOINTS']).toBe(places.join(','));
  });

  test('Kubernetes gives pods no variable that is a setting', () => {
    const given = services.flatMap(({ metadata, spec }) => serviceVariables(metadata.name, spec!.ports!));
    expect(given.length).toBeGreaterThan(20);
    expect(given.filter((each) => KNOWN.has(each))).toEqual([]);
    for (const { spec } of workloads(objects)) expect(spec.template.spec!.enableServiceLinks).toBe(false);
  });

  test('pods are restricted in full, and hardened', () => {
    for (const each of workloads(objects)) {
      const { spec } = each.spec.template;
      expect([nameOf(each), ...notRestricted(spec!), ...notHardened(spec!)]).toEqual([nameOf(each)]);
    }
    // Not for speed alone: else each mount would open the data folder to its group, and the role refuse it.
    const owned = { runAsUser: 10001, fsGroup: 10001, fsGroupChangePolicy: 'OnRootMismatch' };
    for (const role of ROLES) expect(sets[role].spec!.template.spec!.securityContext).toMatchObject(owned);
  });

  test('the heap ends well below the memory limit, and threads are set', () => {
    const { data = {} } = settingsOf(objects);
    expect(Number(data['UV_THREADPOOL_SIZE'])).toBeGreaterThanOrEqual(8);
    expect(data['NODE_OPTIONS']).toContain('--disable-proto=delete');
    for (const role of ROLES) {
      const { memory } = container(sets[role]).resources!.limits!;
      // Buffers and caches live outside of the heap.
      expect(heapBytes(data['NODE_OPTIONS'])).toBeLessThanOrEqual(0.7 * quantityBytes(memory!));
    }
  });

  test('a claim has room for a full journal, and stays when its pod goes', () => {
    const { spec } = sets.acceptor;
    const config = configOf(objects, 'acceptor') as Record<string, number>;
    const [claim] = spec!.volumeClaimTemplates!;
    const needed = config['journal.bytes.max']! + 4 * config['journal.segment.bytes']!;
    expect(quantityBytes(claim!.spec!.resources!.requests!['storage']!)).toBeGreaterThan(needed);
    for (const role of ['acceptor', 'learner'] as const) {
      const kept = { whenDeleted: 'Retain', whenScaled: 'Retain' };
      expect(sets[role].spec!.persistentVolumeClaimRetentionPolicy).toEqual(kept);
      expect(container(sets[role]).volumeMounts).toEqual([{ name: 'data', mountPath: '/data' }]);
      expect(configOf(objects, role)['data']).toBe('/data/synod');
    }
    expect(sets.proposer.spec!.volumeClaimTemplates).toBeUndefined();
  });

  test('a pod has time for an orderly stop before it is killed', () => {
    for (const role of ROLES) {
      const { terminationGracePeriodSeconds } = sets[role].spec!.template.spec!;
      const before = container(sets[role]).lifecycle?.preStop?.sleep?.seconds ?? 0;
      const graceMs = configOf(objects, role)['stop.grace'] as number;
      expect(1_000 * (terminationGracePeriodSeconds! - before)).toBeGreaterThanOrEqual(2 * graceMs);
    }
  });

  test('voluntary disruptions take one pod of a role at a time, and can always take one', () => {
    const budgets = ofKind<IPodDisruptionBudget>(objects, 'PodDisruptionBudget');
    expect(budgets).toHaveLength(ROLES.length);
    for (const role of ROLES) {
      const { spec } = budgets.find((each) => selects(each.spec!.selector!.matchLabels, sets[role].spec!.template))!;
      // `minAvailable: 1` would hold the node of a role that was scaled to one for ever, and let two of three go at once.
      expect([role, spec!.maxUnavailable, spec!.minAvailable]).toEqual([role, 1, undefined]);
      // An acceptor that is not ready counts against the others; one of the other roles is no reason to keep its node.
      expect(spec!.unhealthyPodEvictionPolicy).toBe(role === 'acceptor' ? undefined : 'AlwaysAllow');
    }
  });

  test('pods are spread by constraints that select themselves', () => {
    for (const role of ROLES) {
      const { template } = sets[role].spec!;
      const { topologySpreadConstraints = [], affinity } = template.spec!;
      expect(topologySpreadConstraints.map(({ topologyKey }) => topologyKey)).toEqual(
        name === 'base' ? [] : role === 'acceptor' ? [ZONE] : [ZONE, NODE],
      );
      const {
        requiredDuringSchedulingIgnoredDuringExecution: must = [],
        preferredDuringSchedulingIgnoredDuringExecution: should = [],
      } = affinity!.podAntiAffinity!;
      const apart = [...must, ...should.map(({ podAffinityTerm }) => podAffinityTerm)];
      expect(apart.length).toBeGreaterThan(0);
      for (const { labelSelector } of [...topologySpreadConstraints, ...apart])
        expect(selects(labelSelector!.matchLabels, template)).toBe(true);
    }
  });

  if (name !== 'base')
    test('two acceptors are never on one node, and a zone that is out keeps no acceptor of another zone waiting', () => {
      const { topologySpreadConstraints = [], affinity } = sets.acceptor.spec!.template.spec!;
      // A skew of 1 over nodes would put a fifth acceptor beside the fourth where there are four nodes.
      const must = affinity!.podAntiAffinity!.requiredDuringSchedulingIgnoredDuringExecution!;
      expect(must.map(({ topologyKey }) => topologyKey)).toEqual([NODE]);
      // Nodes that take no pods count as places with no acceptor; then the zones that are left may have one each, and not two.
      expect(topologySpreadConstraints).toEqual([
        expect.objectContaining({ topologyKey: ZONE, whenUnsatisfiable: 'DoNotSchedule', nodeTaintsPolicy: 'Honor' }),
      ]);
      expect(topologySpreadConstraints[0]!.minDomains).toBeUndefined();
    });
});

describe('Prometheus and Grafana of kind', () => {
  const objects = objectsOf('kind');
  const configMaps = ofKind<IConfigMap>(objects, 'ConfigMap');
  const deployments = ofKind<Workload>(objects, 'Deployment');

  test('mount what there is', () => {
    expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual(['grafana', 'prometheus']);
    for (const { spec } of deployments) {
      const { volumes = [], containers } = spec.template.spec!;
      for (const { configMap } of volumes)
        if (configMap !== undefined) expect(configMaps.map(({ metadata }) => metadata.name)).toContain(configMap.name);
      for (const { name, subPath } of containers[0]!.volumeMounts!) {
        const volume = volumes.find((each) => each.name === name)!;
        const { data = {} } = configMaps.find(({ metadata }) => metadata.name === volume.configMap?.name) ?? {};
        // Without kubectl, ConfigMaps of deploy/monitoring are empty here.
        if (subPath !== undefined && missing === undefined) expect(Object.keys(data)).toContain(subPath);
      }
    }
  });

  test('Prometheus asks DNS for the HTTP port of every role, and calls itself as the rules expect', () => {
    const from = deployments.find(({ metadata }) => metadata.name === 'prometheus')!.spec.template.spec!;
    const name = from.volumes!.find((each) => each.name === 'config')!.configMap!.name!;
    const config = parse(configMaps.find(({ metadata }) => metadata.name === name)!.data!['prometheus.yaml']!) as {
      scrape_configs: { job_name: string; dns_sd_configs: { type: string; names: string[] }[] }[];
    };
    expect(config.scrape_configs.map(({ job_name: job }) => job)).toEqual(['synod']);
    const [asked] = config.scrape_configs[0]!.dns_sd_configs;
    const services = ofKind<IService>(objects, 'Service').filter(({ spec }) => spec!.clusterIP === 'None');
    expect(services.every(({ spec }) => spec!.ports!.some((port) => port.name === 'http'))).toBe(true);
    const names = services.map(
      ({ metadata }) => `_http._tcp.${metadata.name}.${metadata.namespace!}.svc.cluster.local`,
    );
    expect(asked).toMatchObject({ type: 'SRV', names: expect.arrayContaining(names) as unknown });
    expect(asked!.names).toHaveLength(names.length);
  });
});

describe('production', () => {
  const objects = objectsOf('production');

  test('has five acceptors, three of the others, and a priority', () => {
    const count = (role: Role): number => statefulSet(objects, role).spec!.replicas!;
    expect(ROLES.map(count)).toEqual([5, 3, 3]);
    const [priority] = ofKind<KubeObject>(objects, 'PriorityClass');
    for (const role of ROLES)
      expect(statefulSet(objects, role).spec!.template.spec!.priorityClassName).toBe(priority!.metadata.name);
  });

  test('says that traffic is not encrypted', () => {
    expect(textOf(ROOT, 'deploy/kubernetes/overlays/production/kustomization.yaml')).toContain(
      'TRAFFIC IS NOT ENCRYPTED',
    );
  });
});

describe('negative controls', () => {
  const { spec } = statefulSet(objectsOf('base'), 'acceptor').spec!.template;

  test('a pod that asks for more than it should is found', () => {
    const [own] = spec!.containers;
    const open = { ...own!, securityContext: { privileged: true } };
    const faults = notRestricted({
      hostNetwork: true,
      volumes: [{ name: 'v', hostPath: { path: '/' } }],
      containers: [open],
    });
    expect(faults).toEqual([
      ...['hostNetwork', 'volume v is a hostPath', 'acceptor: privileged', 'acceptor: allowPrivilegeEscalation'],
      ...['acceptor: runAsNonRoot', 'acceptor: seccompProfile', 'acceptor: capabilities are not dropped'],
    ]);
    const bare = notHardened({ containers: [{ name: 'c', resources: { limits: { cpu: 1, memory: 1 } } }] });
    expect(bare).toContain('enableServiceLinks');
    expect(bare).toContain('c: no requests of memory');
  });

  test('a Service that would give pods a setting is found', () => {
    const given = serviceVariables('synod-stop', [{ name: 'grace', port: 1 }]);
    expect(given).toContain('SYNOD_STOP_SERVICE_PORT_GRACE');
    expect(given).toContain('SYNOD_STOP_PORT_1_TCP_ADDR');
  });
});
