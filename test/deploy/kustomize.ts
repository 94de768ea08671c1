/**
 * Manifests as a cluster would get them. `kubectl kustomize` renders them; where it is missing, tests read what it rendered last,
 * which is kept in `rendered/` (`UPDATE=1 npm test -- test/deploy/render` writes it anew).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { ROOT } from '../tidy/source.ts';

export const KUBERNETES = join(ROOT, 'deploy', 'kubernetes');
/** Folders below deploy/kubernetes that are applied as they are, by the name of their rendering. */
export const APPLIED = { base: 'base', kind: 'overlays/kind', production: 'overlays/production' } as const;
export type Applied = keyof typeof APPLIED;
export const COMPONENTS = ['monitoring', 'network-policies', 'topology-spread'] as const;

/** Older ones know no components and no `labels`; Debian 12 has such a one. */
const KUSTOMIZE_MAJOR_MIN = 5;

/** What is missing here to render, a line for a person; undefined where nothing is. */
export const missing: string | undefined = whatIsMissing();
if (missing !== undefined) process.stderr.write(`manifests are read as they were rendered last: ${missing}\n`);

function whatIsMissing(): string | undefined {
  const { status, stdout } = spawnSync('kubectl', ['version', '--client', '--output=json'], { encoding: 'utf8' });
  if (status !== 0) return 'kubectl is not installed';
  const { kustomizeVersion = 'none' } = JSON.parse(stdout) as { kustomizeVersion?: string };
  const major = Number(/^v(\d+)/.exec(kustomizeVersion)?.[1] ?? 0);
  return major >= KUSTOMIZE_MAJOR_MIN ? undefined : `kubectl brings kustomize ${kustomizeVersion}, v5 is needed`;
}

/** What `kubectl kustomize` prints for a folder. Throws with its words where it fails. */
export function kustomize(folder: string): string {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', folder], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`kubectl kustomize ${relative(ROOT, folder)}: ${stderr}`);
  return stdout;
}

/** A kustomization of one's own, rendered. Paths of its resources are below deploy/kubernetes. */
export function kustomizeThat(kustomization: (at: (path: string) => string) => object): string {
  const folder = mkdtempSync(join(tmpdir(), 'synod-kustomize-'));
  try {
    const text = JSON.stringify(kustomization((path) => relative(folder, join(KUBERNETES, path))));
    writeFileSync(join(folder, 'kustomization.yaml'), text);
    return kustomize(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const renderedFile = (name: Applied): string => join(ROOT, 'test', 'deploy', 'rendered', `${name}.yaml`);

/** The objects of base or of an overlay. */
export function objectsOf(name: Applied): KubeObject[] {
  return parseObjects(
    missing === undefined ? kustomize(join(KUBERNETES, APPLIED[name])) : readFileSync(renderedFile(name), 'utf8'),
  );
}

/** An object of any kind; what is asked of one kind is read with `of`. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

export function parseObjects(text: string): KubeObject[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return document.toJS() as KubeObject;
  });
}

/** A rendering as it is kept: without what ConfigMaps hold of deploy/monitoring, which is kept there. */
export function kept(text: string): string {
  const isCopied = ({ kind, metadata }: KubeObject): boolean => kind === 'ConfigMap' && COPIED.has(metadata.name);
  const objects = parseObjects(text).map((each) => (isCopied(each) ? { ...each, data: {} } : each));
  return objects.map((each) => stringify(each, { lineWidth: 0 })).join('---\n');
}

const COPIED = new Set(['synod-dashboards', 'synod-prometheus-rules', 'synod-grafana-provisioning']);

/** `StatefulSet/synod-acceptor` */
export function nameOf({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.name}`;
}
