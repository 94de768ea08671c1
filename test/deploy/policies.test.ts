/**
 * Goal: network policies let through the edges of the protocol, clients and metrics, and nothing else. Method: policies are evaluated
 * by the rules of Kubernetes for every pair of ends, and compared with whom the code dials (here by its text; in pods.test.ts by its
 * sockets).
 */
import { describe, expect, test } from '@jest/globals';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { filesOf } from '../tidy/source.ts';
import { ROLES, dialled } from './edges.ts';
import { KUBERNETES, objectsOf } from './kustomize.ts';
import type { Applied } from './kustomize.ts';
import { allows } from './policy.ts';
import type { End } from './policy.ts';

const GRPC = { acceptor: 7101, proposer: 7201, learner: 7301 } as const;

const own = (component: string): End => ({
  namespace: 'synod',
  labels: { 'app.kubernetes.io/name': 'synod', 'app.kubernetes.io/component': component },
});
const other = (namespace: string, labels: Record<string, string>): End => ({ namespace, labels });

const ENDS: Readonly<Record<string, End>> = {
  ...Object.fromEntries(ROLES.map((role) => [role, own(role)])),
  'client of another namespace': other('shop', { 'synod-client': 'true' }),
  'client of this namespace': other('synod', { 'synod-client': 'true' }),
  stranger: other('shop', { app: 'shop' }),
  'stranger of this namespace': other('synod', { app: 'shop' }),
  prometheus: other('monitoring', { 'app.kubernetes.io/name': 'prometheus' }),
};

/** `proposer → acceptor` for every pair of ends that may meet on a port of the second. */
function edges(policies: readonly INetworkPolicy[], above: number): string[] {
  return Object.entries(ENDS)
    .flatMap(([from, end]) =>
      ROLES.filter((role) => allows(policies, end, own(role), GRPC[role] + above)).map((role) => `${from} → ${role}`),
    )
    .sort();
}

const policiesOf = (name: Applied): INetworkPolicy[] =>
  objectsOf(name).filter(({ kind }) => kind === 'NetworkPolicy') as INetworkPolicy[];

const CLIENTS = ['client of another namespace', 'client of this namespace'].flatMap((from) =>
  ['proposer', 'learner'].map((to) => `${from} → ${to}`),
);

describe.each(['kind', 'production'] as const)('network policies of %s', (name) => {
  const policies = policiesOf(name);

  test('let through whom the code dials, and clients to proposers and learners', () => {
    expect(dialled()).toEqual([
      ...['acceptor → acceptor', 'learner → acceptor', 'learner → learner', 'learner → proposer'],
      ...['proposer → acceptor', 'proposer → learner', 'proposer → proposer'],
    ]);
    expect(edges(policies, 0)).toEqual([...dialled(), ...CLIENTS].sort());
  });

  test('let Prometheus read metrics, and nobody else', () => {
    expect(edges(policies, 1_000)).toEqual(ROLES.map((role) => `prometheus → ${role}`).sort());
  });

  test('no role may reach anything else, names apart', () => {
    const outside = other('default', { app: 'anything' });
    for (const role of ROLES)
      for (const port of [80, 443, 53, 7201]) expect(allows(policies, own(role), outside, port)).toBe(false);
    const dns = other('kube-system', { 'k8s-app': 'kube-dns' });
    for (const role of ROLES) {
      expect(allows(policies, own(role), dns, 53)).toBe(true);
      expect(allows(policies, own(role), dns, 443)).toBe(false);
    }
  });

  test('negative controls: without a policy its edge is missing, without deny-all a stranger comes in, a stray one is found', () => {
    const without = (part: string): INetworkPolicy[] => policies.filter(({ metadata }) => metadata?.name !== part);
    expect(edges(without('proposer-to-acceptor-egress'), 0)).not.toContain('proposer → acceptor');
    expect(edges(without('proposer-to-acceptor-ingress'), 0)).not.toContain('proposer → acceptor');
    expect(edges([], 0)).toContain('stranger → acceptor');
    const stray = {
      metadata: { name: 'stray', namespace: 'synod' },
      spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{}] },
    };
    expect(edges([...policies, stray as INetworkPolicy], 0)).toContain('stranger → learner');
  });
});

describe('the component', () => {
  test('has a file for each edge of the protocol', () => {
    const files = filesOf(KUBERNETES, ['components'], (path) => /network-policies\/\w+-to-\w+\.yaml$/.test(path));
    const named = files.map((path) => path.replace(/^.*\/(\w+)-to-(\w+)\.yaml$/, '$1 → $2'));
    expect(named.sort()).toEqual([...dialled(), 'client → learner', 'client → proposer'].sort());
  });
});
