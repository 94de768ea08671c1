/** What e2e.mjs asks of kubectl and of Synod in the kind cluster. Throws with what a command said where it fails. */
import { spawn } from 'node:child_process';
import { parseLines } from './judge.mjs';

const CONTEXT = 'kind-synod';
const NAMESPACE = 'synod';
export const IMAGE = 'synod:kind';
const WAIT = '300s';

/** Runs a command to its end; resolves to its exit code and what it said. */
export function run(command, args, { input, show = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    for (const [stream, name] of [
      [child.stdout, 'out'],
      [child.stderr, 'err'],
    ])
      stream.setEncoding('utf8').on('data', (text) => {
        said[name] += text;
        if (show) process.stderr.write(text);
      });
    child.stdin.on('error', () => undefined).end(input ?? '');
    child.once('error', (error) => resolve({ code: 127, out: '', err: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, ...said }));
  });
}

export async function kubectl(args, options = {}) {
  const all = ['--context', CONTEXT, '--namespace', options.namespace ?? NAMESPACE, ...args];
  const { code, out, err } = await run('kubectl', all, options);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${(err || out).trim()}`);
  return out;
}

/** `synod ctl` in a pod; resolves to the lines of its JSON. */
export async function ctl(args, pod = 'synod-proposer-1') {
  return parseLines(await kubectl(['exec', pod, '--', 'synod', 'ctl', ...args, '--json']));
}

/** Waits for a condition, asking ever less often; rejects with what was waited for. */
export async function eventually(what, condition, msMax = 180_000) {
  const end = Date.now() + msMax;
  for (let last = 'no', waitMs = 50; ; waitMs = Math.min(1_000, 2 * waitMs)) {
    try {
      const found = await condition();
      if (found) return found;
    } catch (error) {
      last = error.message;
    }
    if (Date.now() > end) throw new Error(`not within ${msMax / 1000} s: ${what} (${last})`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

export async function rolledOut(role) {
  await kubectl(['rollout', 'status', `statefulset/synod-${role}`, `--timeout=${WAIT}`]);
}

export async function podReady(pod) {
  await kubectl(['wait', '--for=condition=Ready', `pod/${pod}`, `--timeout=${WAIT}`]);
}

export async function podIp(pod) {
  return (await kubectl(['get', 'pod', pod, '--output', 'jsonpath={.status.podIP}'])).trim();
}

/** A pod of the image that runs a script, by the standard that the namespace enforces. */
export function podOf({ name, labels = {}, command, node, files }) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 90,
      // What is drained must not take it along.
      ...(node === undefined ? {} : { nodeName: node }),
      securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'main',
          image: IMAGE,
          imagePullPolicy: 'Never',
          command,
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          ...(files === undefined ? {} : { volumeMounts: [{ name: 'files', mountPath: '/files' }] }),
        },
      ],
      ...(files === undefined ? {} : { volumes: [{ name: 'files', configMap: { name: files } }] }),
    },
  };
}

export async function apply(object, namespace) {
  await kubectl(['apply', '--filename', '-'], { input: JSON.stringify(object), ...(namespace && { namespace }) });
}

/** Whether a pod of these labels gets a connection to an address: `open`, or why not. */
export async function reach({ namespace, labels, address }) {
  const name = `reach-${Math.random().toString(36).slice(2, 8)}`;
  const [host, port] = address.split(':');
  const script =
    `const s = require('node:net').connect({ host: '${host}', port: ${port}, timeout: 5000 });` +
    `s.once('connect', () => { console.log('open'); process.exit(0); });` +
    `s.once('timeout', () => { console.log('timeout'); process.exit(0); });` +
    `s.once('error', (e) => { console.log(e.code); process.exit(0); });`;
  try {
    await apply(podOf({ name, labels, command: ['node', '-e', script] }), namespace);
    await kubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/${name}`, '--timeout=120s'], { namespace });
    return (await kubectl(['logs', name], { namespace })).trim();
  } finally {
    await kubectl(['delete', 'pod', name, '--wait=false', '--ignore-not-found'], { namespace });
  }
}
