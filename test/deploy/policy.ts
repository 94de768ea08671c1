/** What NetworkPolicies let through, by the rules of Kubernetes: what no policy selects may do all, the rest only what one allows. */
import type { INetworkPolicy, INetworkPolicyPeer } from 'kubernetes-models/networking.k8s.io/v1';
import type { ILabelSelector } from '@kubernetes-models/apimachinery/apis/meta/v1/LabelSelector';

/** An end of a connection. */
export interface End {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Whether `from` may open a connection to a port of `to`. Both ends must agree. */
export function allows(policies: readonly INetworkPolicy[], from: End, to: End, port: number): boolean {
  return passes(policies, 'Egress', from, to, port) && passes(policies, 'Ingress', to, from, port);
}

function passes(
  policies: readonly INetworkPolicy[],
  direction: 'Ingress' | 'Egress',
  self: End,
  other: End,
  port: number,
): boolean {
  const own = policies.filter(
    ({ metadata, spec }) =>
      metadata?.namespace === self.namespace &&
      spec?.policyTypes?.includes(direction) === true &&
      matches(spec.podSelector, self.labels),
  );
  if (own.length === 0) return true;
  return own.some(({ metadata, spec }) => {
    const rules =
      direction === 'Ingress'
        ? (spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
        : (spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
    return rules.some(
      ({ peers, ports }) =>
        (ports === undefined || ports.some((each) => each.port === port && each.protocol === 'TCP')) &&
        (peers === undefined || peers.some((peer) => isPeer(peer, other, metadata?.namespace ?? ''))),
    );
  });
}

function isPeer(peer: INetworkPolicyPeer, end: End, namespace: string): boolean {
  // Addresses are of nodes here, not of pods.
  if (peer.ipBlock !== undefined) return false;
  const inNamespace =
    peer.namespaceSelector === undefined
      ? end.namespace === namespace
      : matches(peer.namespaceSelector, { 'kubernetes.io/metadata.name': end.namespace });
  return inNamespace && matches(peer.podSelector, end.labels);
}

function matches(selector: ILabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  const exact = Object.entries(selector?.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
  const among = (selector?.matchExpressions ?? []).every(({ key, operator, values }) => {
    if (operator !== 'In') throw new Error(`the operator ${operator} is not known here`);
    return values?.includes(labels[key] ?? '') === true;
  });
  return exact && among;
}
