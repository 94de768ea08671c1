/** All pods of an overlay, on a part of loopback of their own, with the names that a cluster's DNS would give them. */
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IStatefulSet } from 'kubernetes-models/apps/v1';
import type { IConfigMap } from 'kubernetes-models/v1';
import { eventually } from '../e2e/cluster.ts';
import { DnsServer } from '../support/dns-server.ts';
import { ROLES } from './edges.ts';
import type { Role } from './edges.ts';
import { assembleImage } from './image.ts';
import { objectsOf } from './kustomize.ts';
import type { Applied, KubeObject } from './kustomize.ts';
import { Pod, makeWorld } from './pod.ts';
import type { PodOptions, World } from './pod.ts';

export function statefulSet(objects: readonly KubeObject[], role: Role): IStatefulSet {
  return objects.find(
    ({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === `synod-${role}`,
  ) as IStatefulSet;
}

/** The ConfigMap that pods take their settings from. */
export function settingsOf(objects: readonly KubeObject[]): IConfigMap {
  const [from] = statefulSet(objects, 'acceptor').spec!.template.spec!.containers[0]!.envFrom!;
  const name = from!.configMapRef!.name;
  return objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name) as IConfigMap;
}

/** Where pods of the namespace have their names. */
const DOMAIN = 'synod.svc.cluster.local';

/** A state of TCP in /proc/net/tcp. */
const ESTABLISHED = '01';

interface Network {
  /** `127.93` */
  readonly prefix: string;
  readonly guard: Server;
}

/** A part of loopback that no other test on this machine has, as long as its guard listens. */
async function claimNetwork(): Promise<Network> {
  for (let tries = 0; tries < 100; tries++) {
    const prefix = `127.${20 + Math.floor(Math.random() * 200)}`;
    const guard = createServer().unref();
    const isOurs = await new Promise<boolean>((resolve) => {
      guard.once('error', () => resolve(false));
      guard.listen({ host: `${prefix}.0.1`, port: 7000 }, () => resolve(true));
    });
    if (isOurs) return { prefix, guard };
  }
  throw new Error('no part of loopback is free');
}

export interface StartOptions extends Partial<Pick<PodOptions, 'claim' | 'env'>> {
  /** The last part of its address; default: its ordinal. */
  readonly host?: number;
  /** Leave the names as they are: others go on to reach who had them. */
  readonly unnamed?: boolean;
}

/** `socket:[4711]` for each that a process has open. */
function socketsOf(pid: number): string[] {
  const folder = `/proc/${String(pid)}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(join(folder, fd))];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
}

export class PodCluster {
  readonly objects: readonly KubeObject[];
  readonly world: World & { remove(): void };
  readonly #network: Network;
  readonly #image: string;
  readonly #dns: DnsServer;
  readonly #pods = new Set<Pod>();
  readonly #addresses = new Map<string, { readonly role: Role; readonly ip: string }>();

  private constructor(overlay: Applied, image: string, network: Network, dns: DnsServer) {
    this.objects = objectsOf(overlay);
    this.#image = image;
    this.#network = network;
    this.#dns = dns;
    // As the kubelet writes it.
    const conf = `search ${DOMAIN} svc.cluster.local cluster.local\nnameserver ${dns.at.host}\noptions ndots:5\n`;
    this.world = makeWorld(assembleImage(image, { built: true }), conf);
  }

  /** Starts every pod that the replicas ask for. */
  static async start(overlay: Applied): Promise<PodCluster> {
    const network = await claimNetwork();
    const dns = await DnsServer.start(`${network.prefix}.0.53`, 53);
    const cluster = new PodCluster(overlay, mkdtempSync(join(tmpdir(), 'synod-image-')), network, dns);
    for (const role of ROLES)
      for (let i = 1; i <= statefulSet(cluster.objects, role).spec!.replicas!; i++) cluster.start(role, i);
    return cluster;
  }

  /** All that run. */
  get pods(): Pod[] {
    return [...this.#pods].filter((pod) => pod.running);
  }

  pod(role: Role, ordinal: number): Pod {
    const found = this.pods.find(({ name }) => name === `synod-${role}-${ordinal}`);
    if (found === undefined) throw new Error(`synod-${role}-${ordinal} does not run`);
    return found;
  }

  /** `proposer → acceptor` for each connection between pods, by the sockets of who dialled. */
  edges(): Set<string> {
    const inodes = new Map<string, Role>();
    for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
      const [, , remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const [address = '', port = ''] = remote.split(':');
      const bytes = Buffer.from(address, 'hex').reverse();
      const role = ROLES[(bytes[2] ?? 0) - 1];
      const isOurs = `${String(bytes[0])}.${String(bytes[1])}` === this.#network.prefix;
      if (isOurs && state === ESTABLISHED && role !== undefined && parseInt(port, 16) === this.#grpcPort(role))
        inodes.set(`socket:[${inode}]`, role);
    }
    const found = this.pods.flatMap((pod) => {
      const from = ROLES.find((role) => pod.name.startsWith(`synod-${role}-`))!;
      return socketsOf(pod.pid).flatMap((socket) => {
        const to = inodes.get(socket);
        return to === undefined ? [] : [`${from} → ${to}`];
      });
    });
    return new Set(found);
  }

  #grpcPort(role: Role): number | undefined {
    const { ports = [] } = statefulSet(this.objects, role).spec!.template.spec!.containers[0]!;
    return ports.find(({ name }) => name === 'grpc')?.containerPort;
  }

  start(role: Role, ordinal: number, { host = ordinal, unnamed = false, ...more }: StartOptions = {}): Pod {
    const ip = `${this.#network.prefix}.${ROLES.indexOf(role) + 1}.${host}`;
    const objects = { set: statefulSet(this.objects, role), config: settingsOf(this.objects) };
    const pod = new Pod({ world: this.world, objects, ordinal, ip, ...more });
    if (!unnamed) this.#addresses.set(pod.name, { role, ip });
    this.#tellNames(role);
    this.#pods.add(pod);
    return pod;
  }

  async ready(pod: Pod): Promise<void> {
    await eventually(`${pod.name} is ready`, async () => {
      if (!pod.running) throw new Error(`${pod.name} ended: ${pod.log}`);
      return (await pod.probe(pod.container.readinessProbe)).status === 200;
    });
  }

  async stop(): Promise<void> {
    for (const pod of this.pods) pod.signal('SIGKILL');
    await Promise.all([...this.#pods].map((pod) => pod.ended()));
    await this.#dns.stop();
    this.#network.guard.close();
    this.world.remove();
    rmSync(this.#image, { recursive: true, force: true });
  }

  /** Deletes a pod for good, as a StatefulSet does that is scaled down. */
  async remove(pod: Pod): Promise<void> {
    pod.signal('SIGTERM');
    await pod.ended();
    const { role } = this.#addresses.get(pod.name)!;
    this.#addresses.delete(pod.name);
    this.#tellNames(role);
  }

  /** A headless Service, as the DNS of a cluster has it: the SRV records of its named ports, and a name for each pod. */
  #tellNames(role: Role): void {
    const { serviceName = '', template } = statefulSet(this.objects, role).spec!;
    const pods = [...this.#addresses].filter(([, each]) => each.role === role);
    for (const [name, { ip }] of pods) this.#dns.hosts.set(`${name}.${serviceName}.${DOMAIN}`, [ip]);
    for (const { name: port = '', containerPort } of template.spec!.containers[0]!.ports ?? []) {
      const records = pods.map(([name]) => ({ target: `${name}.${serviceName}.${DOMAIN}`, port: containerPort }));
      this.#dns.services.set(`_${port}._tcp.${serviceName}.${DOMAIN}`, records);
    }
  }
}
