/**
 * A pod without a cluster: a process in a mount namespace of its own, whose root is read-only and holds the image and the volumes of its
 * manifest and nothing else that can be written; the user, groups, rights, command and variables of the manifest; a name and an
 * address on loopback of its own. It takes root and `unshare`.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IStatefulSet } from 'kubernetes-models/apps/v1';
import type { IConfigMap, IContainer, IEnvVar, IProbe } from 'kubernetes-models/v1';
import type { Image } from './image.ts';

/** Why pods cannot be run here; undefined where they can. */
export const podsMissing: string | undefined =
  spawnSync('unshare', ['--mount', 'sh', '-c', 'mount -t tmpfs none /mnt && command -v chroot setpriv'], {
    stdio: 'ignore',
  }).status === 0
    ? undefined
    : 'pods need root, mount namespaces and setpriv (Linux, util-linux)';

/** What the kubelet takes of a log for the termination message. */
const MESSAGE_BYTES_MAX = 2_048;

/** Makes the root of a container and becomes its process. $1 root, $2 image, $3 node, $4 hosts, $5 resolv.conf, $6 volumes. */
const ENTER = `
set -eu
root=$1 image=$2 node=$3 hosts=$4 resolv=$5 volumes=$6
shift 6
readonly_bind() { mount --bind "$1" "$2"; mount -o remount,bind,ro "$2"; }
mount -t tmpfs -o size=1m,mode=755 root "$root"
for name in usr bin sbin lib lib64 etc; do
  if [ -L "/$name" ]; then cp -P "/$name" "$root/$name"
  elif [ -d "/$name" ]; then mkdir "$root/$name"; readonly_bind "/$name" "$root/$name"; fi
done
mkdir "$root/proc" "$root/dev" "$root/synod" "$root/tmp"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
readonly_bind "$image/synod" "$root/synod"
touch "$root/node"
readonly_bind "$node" "$root/node"
readonly_bind "$hosts" "$root/etc/hosts"
readonly_bind "$resolv" "$root/etc/resolv.conf"
for volume in $volumes; do
  mkdir -p "$root\${volume#*:}"
  mount --bind "\${volume%%:*}" "$root\${volume#*:}"
done
mount -o remount,ro "$root"
exec chroot "$root" "$@"
`;

export interface Objects {
  readonly set: IStatefulSet;
  readonly config: IConfigMap;
}

export interface World {
  readonly image: Image;
  /** For volumes and files; belongs to the test. */
  readonly folder: string;
  /** Files that all pods read: their own name, and who answers for other names. */
  readonly hosts: string;
  readonly resolv: string;
}

export interface PodOptions {
  readonly world: World;
  readonly objects: Objects;
  readonly ordinal: number;
  readonly ip: string;
  /** The folder of its claim; default: one of its own that stays for all who have its name. */
  readonly claim?: string;
  /** What a test sets otherwise than the manifest. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How a command in a container ended. */
export interface Executed {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class Pod {
  readonly name: string;
  readonly ip: string;
  readonly container: IContainer;
  readonly #options: PodOptions;
  readonly #root: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #log = '';

  constructor(options: PodOptions) {
    const { objects, ordinal, ip, world } = options;
    this.#options = options;
    this.name = `${objects.set.metadata?.name ?? ''}-${ordinal}`;
    this.ip = ip;
    this.container = objects.set.spec!.template.spec!.containers[0]!;
    this.#root = mkdtempSync(join(world.folder, `${this.name}-root-`));
    const [node = '', ...entrypoint] = world.image.entrypoint;
    if (node !== 'node') throw new Error(`the entry point begins with ${node}`);
    const command = this.container.command ?? ['/node', ...entrypoint];
    this.#child = spawn('unshare', this.#enter([...command, ...(this.container.args ?? [])]), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    this.#ended = new Promise((resolve) => {
      // Once its output is read, too.
      this.#child.once('close', resolve);
    });
  }

  get log(): string {
    return this.#log;
  }

  /** What `kubectl describe` shows of its end, by `FallbackToLogsOnError`. */
  get terminationMessage(): string {
    if (this.container.terminationMessagePolicy !== 'FallbackToLogsOnError') return '';
    return this.#log.slice(-MESSAGE_BYTES_MAX);
  }

  /** The process of its container. */
  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The settings that the process gets. */
  get env(): Record<string, string> {
    const { objects, ordinal, ip, world, env = {} } = this.#options;
    const resolve = ({ value, valueFrom }: IEnvVar): string => {
      if (valueFrom === undefined) return value ?? '';
      if (valueFrom.fieldRef?.fieldPath === "metadata.labels['apps.kubernetes.io/pod-index']") return String(ordinal);
      throw new Error(`not known here: ${JSON.stringify(valueFrom)}`);
    };
    const shared = this.container.envFrom?.some(
      ({ configMapRef }) => configMapRef?.name === objects.config.metadata?.name,
    );
    const own = (this.container.env ?? []).map((each) => [each.name, resolve(each)] as const);
    const all = { ...world.image.env, ...(shared === true ? objects.config.data : {}), ...Object.fromEntries(own) };
    // All pods share one network here: each takes its own address of it, where in a cluster it would take all it has.
    const listen = all['SYNOD_LISTEN']?.replace(/^0\.0\.0\.0:/, `${ip}:`);
    return { ...all, ...(listen === undefined ? {} : { SYNOD_LISTEN: listen }), ...env };
  }

  /** `kubectl exec`: another command in the same container. Without `asRoot`, as its user. */
  exec(command: readonly string[], asRoot = false): Promise<Executed> {
    const child = spawn('unshare', this.#enter(command, asRoot), { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text));
    return new Promise((resolve) => {
      child.once('close', (code) => resolve({ code, ...said }));
    });
  }

  /** The answer to a probe: its status, and the text. */
  probe(probe: IProbe | undefined): Promise<{ readonly status: number; readonly text: string }> {
    const { path = '/', port } = probe?.httpGet ?? { port: 0 };
    const number = this.container.ports?.find(({ name }) => name === port)?.containerPort;
    return new Promise((resolve) => {
      const refused = (error: Error): void => resolve({ status: 0, text: error.message });
      get({ host: this.ip, port: number, path, agent: false, timeout: 5_000 }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text })).on('error', refused);
      }).on('error', refused);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code, once it has ended. */
  ended(): Promise<number | null> {
    return this.#ended;
  }

  #enter(command: readonly string[], asRoot = false): string[] {
    const { world } = this.#options;
    const { image } = world;
    const spec = this.#options.objects.set.spec!.template.spec!;
    const { runAsUser, runAsGroup, fsGroup } = spec.securityContext!;
    const volumes = (this.container.volumeMounts ?? []).map(
      ({ name, mountPath }) => `${this.#claim(name)}:${mountPath}`,
    );
    const variables = Object.entries(this.env).map(([name, value]) => `${name}=${value}`);
    const user = [
      'setpriv',
      `--reuid=${String(runAsUser)}`,
      `--regid=${String(runAsGroup)}`,
      `--groups=${String(fsGroup)}`,
    ];
    const rights = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
    return [
      ...['--mount', '--propagation=private', 'sh', '-c', ENTER, 'enter', this.#root, image.root, process.execPath],
      ...[world.hosts, world.resolv, volumes.join(' ')],
      ...(asRoot ? [] : [...user, ...rights]),
      ...['env', '-i', `--chdir=${image.workdir}`, ...variables, ...command],
    ];
  }

  /** The folder of a claim, as the kubelet leaves it for `fsGroup`. */
  #claim(name: string): string {
    const folder = this.#options.claim ?? join(this.#options.world.folder, `${name}-${this.name}`);
    mkdirSync(folder, { recursive: true });
    chownSync(folder, 0, this.#options.objects.set.spec!.template.spec!.securityContext!.fsGroup!);
    chmodSync(folder, 0o2775);
    return folder;
  }
}

/** The files that pods share, in a folder of their own. */
export function makeWorld(image: Image, resolvConf: string): World & { remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'synod-pods-'));
  const world = { image, folder, hosts: join(folder, 'hosts'), resolv: join(folder, 'resolv.conf') };
  writeFileSync(world.hosts, '127.0.0.1 localhost\n');
  writeFileSync(world.resolv, resolvConf);
  return {
    ...world,
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
