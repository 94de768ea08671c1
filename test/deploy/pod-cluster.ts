/** All pods of an overlay, on a part of loopback of their own, with the names that a cluster's DNS would give them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IStatefulSet } from 'kubernetes-models/apps/v1';
import type { IConfigMap } from 'kubernetes-models/v1';
import { eventually } from '../e2e/cluster.ts';
import { assembleImage } from './image.ts';
import { objectsOf } from './kustomize.ts';
import type { Applied, KubeObject } from './kustomize.ts';
import { Pod, makeWorld } from './pod.ts';
import type { PodOptions, World } from './pod.ts';

export const ROLES = ['acceptor', 'proposer', 'learner'] as const;
export type Role = (typeof ROLES)[number];

export function statefulSet(objects: readonly KubeObject[], role: Role): IStatefulSet {
  return objects.find(
    ({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === `synod-${role}`,
  ) as IStatefulSet;
}

/** The ConfigMap of settings, whose name ends in a hash of them. */
export function settingsOf(objects: readonly KubeObject[]): IConfigMap {
  return objects.find(
    ({ kind, metadata }) => kind === 'ConfigMap' && /^synod-[a-z0-9]{10}$/.test(metadata.name),
  ) as IConfigMap;
}

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

export class PodCluster {
  readonly objects: readonly KubeObject[];
  readonly world: World & { remove(): void };
  readonly #network: Network;
  readonly #image: string;
  readonly #pods = new Set<Pod>();
  readonly #addresses = new Map<string, { readonly role: Role; readonly ip: string }>();

  private constructor(overlay: Applied, image: string, network: Network) {
    this.objects = objectsOf(overlay);
    this.#image = image;
    this.#network = network;
    this.world = makeWorld(assembleImage(image, { built: true }));
  }

  /** Starts every pod that the replicas ask for. */
  static async start(overlay: Applied): Promise<PodCluster> {
    const network = await claimNetwork();
    const cluster = new PodCluster(overlay, mkdtempSync(join(tmpdir(), 'synod-image-')), network);
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

  start(role: Role, ordinal: number, { host = ordinal, unnamed = false, ...more }: StartOptions = {}): Pod {
    const ip = `${this.#network.prefix}.${ROLES.indexOf(role) + 1}.${host}`;
    const objects = { set: statefulSet(this.objects, role), config: settingsOf(this.objects) };
    const pod = new Pod({ world: this.world, objects, ordinal, ip, ...more });
    if (!unnamed) this.#addresses.set(pod.name, { role, ip });
    this.#tellNames();
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
    this.#network.guard.close();
    this.world.remove();
    rmSync(this.#image, { recursive: true, force: true });
  }

  #tellNames(): void {
    const lines = [...this.#addresses].map(
      ([name, { role, ip }]) =>
        `${ip} ${name}.${statefulSet(this.objects, role).spec!.serviceName!}.synod.svc.cluster.local`,
    );
    writeFileSync(this.world.hosts, `127.0.0.1 localhost\n${lines.join('\n')}\n`);
  }
}
