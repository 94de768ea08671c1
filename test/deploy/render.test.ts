/**
 * Goal: every overlay, and base with every combination of components, is rendered by `kubectl kustomize` into objects that Kubernetes
 * takes. Method: rendered objects are checked twice, by the schemas of kubernetes-models (wrong types, missing fields) and by the
 * compiler against its types (fields that there are not). Kinds of the Prometheus operator have no schema there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { IStatefulSet } from 'kubernetes-models/apps/v1';
import ts from 'typescript';
import { ROOT } from '../tidy/source.ts';
import {
  APPLIED,
  COMPONENTS,
  KUBERNETES,
  kept,
  kustomize,
  kustomizeThat,
  missing,
  nameOf,
  objectsOf,
  parseObjects,
  renderedFile,
} from './kustomize.ts';
import type { Applied, KubeObject } from './kustomize.ts';

/** As far as it is looked at. */
interface PodMonitor {
  readonly spec: {
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly podMetricsEndpoints: readonly { readonly port: string }[];
  };
}

const require = createRequire(import.meta.url);
const names = Object.keys(APPLIED) as Applied[];
/** Objects of the Prometheus operator: their definitions are its own. */
const OPERATOR = 'monitoring.coreos.com/v1';
const rendering = missing === undefined ? describe : describe.skip;

const subsets = COMPONENTS.reduce<string[][]>((all, each) => [...all, ...all.map((set) => [...set, each])], [[]]);

/** Without its folder in kubernetes-models: that of `v1`. */
const moduleOf = ({ apiVersion, kind }: KubeObject): string => `kubernetes-models/${apiVersion}/${kind}`;

/** What the schema of its kind says against an object. */
function invalid(object: KubeObject): string[] {
  if (object.apiVersion === OPERATOR) return [];
  const models = require(moduleOf(object)) as Record<string, new (data: unknown) => { validate(): void }>;
  try {
    new models[object.kind]!(object).validate();
    return [];
  } catch (error) {
    return [`${nameOf(object)}: ${String(error)}`];
  }
}

/** What the compiler says against objects written out as constants of their types. */
function mistyped(objects: readonly KubeObject[]): string[] {
  const known = objects.filter(({ apiVersion }) => apiVersion !== OPERATOR);
  const lines = known.map((object, i) => {
    const type = `import('${moduleOf(object)}').I${object.kind}`;
    return `export const object${String(i)}: ${type} = ${JSON.stringify(object)};`;
  });
  const options: ts.CompilerOptions = {
    ...{ noEmit: true, strict: true, skipLibCheck: true, types: [] },
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  };
  // A file that is nowhere but here, in the repository, where its packages are found.
  const file = join(ROOT, 'test', 'deploy', 'objects-of-this-test.ts');
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, ...rest) =>
    name === file
      ? ts.createSourceFile(name, lines.join('\n'), ts.ScriptTarget.ES2022, true)
      : getSourceFile.call(host, name, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText, file: source, start }) => {
    const line = source === undefined || start === undefined ? 0 : source.getLineAndCharacterOfPosition(start).line;
    return `${nameOf(known[line]!)}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

rendering('rendering', () => {
  test.each(names)('what was rendered of %s and is kept is what is rendered now', (name) => {
    const now = kept(kustomize(join(KUBERNETES, APPLIED[name])));
    if (process.env['UPDATE'] === '1') writeFileSync(renderedFile(name), now);
    expect(readFileSync(renderedFile(name), 'utf8')).toBe(now);
  });

  test.each(subsets.map((set) => ({ set, title: set.join(' and ') || 'no component' })))(
    'base with $title is rendered, and every object has its schema',
    ({ set }) => {
      const text = kustomizeThat((at) => ({
        resources: [at('base')],
        components: set.map((each) => at(`components/${each}`)),
      }));
      const objects = parseObjects(text);
      expect(objects.length).toBeGreaterThan(12);
      expect(objects.flatMap(invalid)).toEqual([]);
    },
  );
});

rendering('the component monitoring', () => {
  test('has a PodMonitor that selects every pod, by a port that each has', () => {
    const objects = parseObjects(
      kustomizeThat((at) => ({ resources: [at('base')], components: [at('components/monitoring')] })),
    );
    const [monitor] = objects.filter(({ kind }) => kind === 'PodMonitor') as unknown as PodMonitor[];
    const sets = objects.filter(({ kind }) => kind === 'StatefulSet') as (KubeObject & IStatefulSet)[];
    expect(sets).toHaveLength(3);
    for (const { spec } of sets) {
      const { metadata, spec: pod } = spec!.template;
      expect(metadata!.labels).toMatchObject(monitor!.spec.selector.matchLabels);
      const ports = pod!.containers.flatMap((each) => each.ports ?? []).map(({ name }) => name);
      for (const { port } of monitor!.spec.podMetricsEndpoints) expect(ports).toContain(port);
    }
    expect(objects.map(({ kind }) => kind)).toContain('PrometheusRule');
    expect(objects.map(nameOf)).toContain('ConfigMap/synod-dashboards');
  });
});

describe('objects', () => {
  test.each(names)('of %s are valid', (name) => {
    expect(objectsOf(name).flatMap(invalid)).toEqual([]);
  });

  test('of base and every overlay have no field that their kind has not', () => {
    expect(mistyped(names.flatMap(objectsOf))).toEqual([]);
  });

  test('negative control: a wrong type is found by the schema, a field that is not there by the compiler', () => {
    const [set] = objectsOf('base').filter(({ kind }) => kind === 'StatefulSet') as (KubeObject & { spec: object })[];
    const wrong = { ...set!, spec: { ...set!.spec, replicas: 'three' } };
    expect(invalid(wrong)).toEqual([expect.stringContaining('replicas')]);
    const unknown = { ...set!, spec: { ...set!.spec, replica: 3 } };
    expect(invalid(unknown)).toEqual([]);
    expect(mistyped([unknown])).toEqual([expect.stringContaining(`'"replica"' does not exist`)]);
  });
});
