/** The Pod Security Standard `restricted` (Kubernetes 1.32), and what this project asks for above it. */
import type { IContainer, IPodSpec } from 'kubernetes-models/v1';

const VOLUMES = new Set([
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'],
]);

/** What the standard says against a pod, a phrase each. */
export function notRestricted(spec: IPodSpec): string[] {
  const faults: string[] = [];
  const unless = (holds: boolean, fault: string): void => {
    if (!holds) faults.push(fault);
  };
  const pod = spec.securityContext ?? {};
  for (const name of ['hostNetwork', 'hostPID', 'hostIPC'] as const) unless(spec[name] !== true, name);
  for (const { name, ...source } of spec.volumes ?? [])
    for (const kind of Object.keys(source)) unless(VOLUMES.has(kind), `volume ${name} is a ${kind}`);
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const own = container.securityContext ?? {};
    const seccomp = (own.seccompProfile ?? pod.seccompProfile)?.type;
    const fault = (text: string): string => `${container.name}: ${text}`;
    unless(own.privileged !== true, fault('privileged'));
    unless(own.allowPrivilegeEscalation === false, fault('allowPrivilegeEscalation'));
    unless((own.runAsNonRoot ?? pod.runAsNonRoot) === true, fault('runAsNonRoot'));
    unless((own.runAsUser ?? pod.runAsUser ?? 1) !== 0, fault('runAsUser 0'));
    unless(seccomp === 'RuntimeDefault' || seccomp === 'Localhost', fault('seccompProfile'));
    unless(own.capabilities?.drop?.includes('ALL') === true, fault('capabilities are not dropped'));
    unless(
      (own.capabilities?.add ?? []).every((each) => each === 'NET_BIND_SERVICE'),
      fault('capabilities are added'),
    );
    unless(
      (container.ports ?? []).every(({ hostPort }) => hostPort === undefined),
      fault('hostPort'),
    );
  }
  return faults;
}

/** What this project asks for besides. */
export function notHardened(spec: IPodSpec): string[] {
  const faults: string[] = [];
  const unless = (holds: boolean, fault: string): void => {
    if (!holds) faults.push(fault);
  };
  unless(spec.automountServiceAccountToken === false, 'automountServiceAccountToken');
  unless(spec.enableServiceLinks === false, 'enableServiceLinks');
  for (const container of spec.containers) {
    unless(container.securityContext?.readOnlyRootFilesystem === true, `${container.name}: readOnlyRootFilesystem`);
    for (const kind of ['requests', 'limits'] as const)
      for (const what of ['cpu', 'memory'])
        unless(container.resources?.[kind]?.[what] !== undefined, `${container.name}: no ${kind} of ${what}`);
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const)
      unless(container[probe] !== undefined, `${container.name}: no ${probe}`);
  }
  return faults;
}

const UNITS: Readonly<Record<string, number>> = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, '': 1 };

/** Bytes of `512Mi`. */
export function quantityBytes(text: string | number): number {
  const [, count = '', unit = ''] = /^(\d+)(Ki|Mi|Gi|)$/.exec(String(text)) ?? [];
  return Number(count) * UNITS[unit]!;
}

/** Bytes of the heap that NODE_OPTIONS allows. */
export function heapBytes(options: string | undefined): number {
  return Number(/--max-old-space-size=(\d+)/.exec(options ?? '')?.[1]) * 1024 ** 2;
}

/** The variables that Kubernetes would give to all pods of the namespace of a Service, unless enableServiceLinks is false. */
export function serviceVariables(
  name: string,
  ports: readonly { readonly name?: string; readonly port: number }[],
): string[] {
  const upper = (text: string): string => text.toUpperCase().replaceAll('-', '_');
  const service = upper(name);
  return [
    ...[`${service}_SERVICE_HOST`, `${service}_SERVICE_PORT`, `${service}_PORT`],
    ...ports.flatMap(({ name: port, port: number }) => [
      ...(port === undefined ? [] : [`${service}_SERVICE_PORT_${upper(port)}`]),
      ...['', '_PROTO', '_PORT', '_ADDR'].map((end) => `${service}_PORT_${String(number)}_TCP${end}`),
    ]),
  ];
}

export type { IContainer };
