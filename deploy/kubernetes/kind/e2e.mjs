/**
 * `npm run e2e:kind`: all of it on a real Kubernetes, where docker or podman and kind are installed. up.sh, then, while a pod proposes
 * values without a pause: pods killed, nodes drained, every role restarted, members added, the network asked for what it must refuse;
 * at the end every answered value must be in its slot, once; then down.sh.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { apply, ctl, eventually, kubectl, podIp, podOf, podReady, reach, rolledOut, run } from './cluster.mjs';
import { faultsOf, longestGapMs, parseLines } from './judge.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const EXIT = { ok: 0, failed: 1, usage: 64, missing: 69 };
// A cluster that was kept has those of earlier runs.
const LOG = `e2e-${Date.now().toString(36)}`;
const ROLES = ['acceptor', 'proposer', 'learner'];

const HELP = `npm run e2e:kind: runs Synod on a kind cluster, hurts it, and checks that nothing is lost. Takes some 15 minutes.

  --no-build   take the image synod:kind as it is
  --keep       leave the cluster as it is at the end
  --only TEXT  of the steps only those whose names hold TEXT, with the load and what judges it
  --json       print one JSON object a step on standard output
  --help       this text

Example:
  npm run e2e:kind -- --keep --only drained

Exit codes: 0 all held; 1 something did not; 64 wrong usage; 69 docker or podman, kind or kubectl is missing, nothing was started.
`;

/** The load: a pod that proposes, on a node that is not drained. */
const load = {
  async start(node) {
    const proposers = ['synod-propose', 'synod-proposer-1.synod-proposers', 'synod-proposer-2.synod-proposers'];
    await kubectl(['delete', 'configmap', 'load', '--ignore-not-found']);
    await kubectl(['create', 'configmap', 'load', `--from-file=${join(HERE, 'load.mjs')}`]);
    const addresses = proposers.map((name) => `${name}.synod.svc.cluster.local:7201`);
    const command = ['node', '/files/load.mjs', LOG, ...addresses];
    await apply(podOf({ name: 'load', labels: { 'synod-client': 'true' }, command, node, files: 'load' }));
    await podReady('load');
  },
  async answers() {
    return parseLines(await kubectl(['logs', 'load'])).filter(({ value }) => value !== undefined);
  },
  /** Values are answered from now on: at least ten more. */
  async goesOn() {
    const answered = async () => (await this.answers()).filter(({ failed }) => failed === undefined).length;
    const before = await answered();
    await eventually('ten more values are answered', async () => (await answered()) >= before + 10);
  },
  /** The load ends its last proposal, and says so. */
  async stop() {
    await kubectl(['exec', 'load', '--', 'node', '-e', 'process.kill(1, "SIGTERM")']);
    await eventually('the load has ended', async () => (await kubectl(['logs', 'load'])).includes('"done":true'));
    return this.answers();
  },
};

const steps = {
  async 'the commands that up.sh prints work'() {
    const [{ slot }] = await ctl(['propose', 'hello']);
    check(Number.isInteger(slot), `propose answered with slot ${slot}`);
    await ctl(['status']);
  },
  async 'a load begins'() {
    const nodes = await kubectl(['get', 'nodes', '--output', 'jsonpath={.items[*].metadata.name}']);
    await load.start(nodes.split(' ').find((name) => name.endsWith('control-plane')));
    await load.goesOn();
  },
  async 'a pod of each role is killed, and comes back with another address'() {
    for (const role of ROLES) {
      const pod = `synod-${role}-1`;
      const before = await podIp(pod);
      await kubectl(['delete', 'pod', pod, '--force', '--grace-period=0']);
      await load.goesOn();
      await eventually(`${pod} is there again`, async () => (await podIp(pod)) !== '');
      await podReady(pod);
      process.stderr.write(`   ${pod}: ${before} → ${await podIp(pod)}\n`);
    }
    await allConnected();
  },
  async 'two acceptors of three killed at once: proposals wait, then go on'() {
    await kubectl(['delete', 'pod', 'synod-acceptor-1', 'synod-acceptor-2', '--force', '--grace-period=0']);
    await rolledOut('acceptor');
    await load.goesOn();
  },
  async 'every node but one is drained, one after the other'() {
    const nodes = (await kubectl(['get', 'nodes', '--output', 'jsonpath={.items[*].metadata.name}'])).split(' ');
    for (const node of nodes.filter((name) => !name.endsWith('control-plane'))) {
      // Its acceptor stays pending meanwhile: the disk is on this node.
      await kubectl(['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=240s']);
      await load.goesOn();
      await kubectl(['uncordon', node]);
      for (const role of ROLES) await rolledOut(role);
    }
  },
  async 'a node is stopped and started again'() {
    // The containers of kind are its nodes.
    const { engine } = tools;
    await succeed(engine, ['pause', 'synod-worker']);
    await load.goesOn();
    await succeed(engine, ['unpause', 'synod-worker']);
    for (const role of ROLES) await rolledOut(role);
  },
  async 'every role is restarted, pod by pod'() {
    for (const role of ROLES) {
      await kubectl(['rollout', 'restart', `statefulset/synod-${role}`]);
      await rolledOut(role);
      await load.goesOn();
    }
    await allConnected();
  },
  async 'a third learner and proposer are found by the others'() {
    await kubectl(['scale', 'statefulset/synod-learner', 'statefulset/synod-proposer', '--replicas=3']);
    await rolledOut('learner');
    await rolledOut('proposer');
    for (const role of ['proposer', 'learner'])
      await eventually(`${role} 3 is in the status`, async () => {
        const ip = await podIp(`synod-${role}-3`);
        return JSON.stringify(await ctl(['status'])).includes(ip);
      });
    await kubectl(['scale', 'statefulset/synod-learner', 'statefulset/synod-proposer', '--replicas=2']);
    await load.goesOn();
  },
  async 'the network refuses who is not named in a policy'() {
    const ports = { acceptor: 7101, proposer: 7201, learner: 7301 };
    const address = async (role) => `${await podIp(`synod-${role}-1`)}:${ports[role]}`;
    for (const namespace of ['synod', 'default']) {
      for (const role of ROLES) {
        const labels = { app: 'stranger' };
        const said = await reach({ namespace, labels, address: await address(role) });
        check(said !== 'open', `a stranger in namespace ${namespace} reaches the ${role}`);
      }
      const labels = { 'synod-client': 'true' };
      for (const role of ['proposer', 'learner']) {
        const said = await reach({ namespace, labels, address: await address(role) });
        check(said === 'open', `a client in namespace ${namespace} does not reach the ${role}: ${said}`);
      }
      const said = await reach({ namespace, labels, address: await address('acceptor') });
      check(said !== 'open', `a client in namespace ${namespace} reaches an acceptor`);
    }
  },
  async 'Prometheus reads every member, and Grafana has the dashboards'() {
    const query = 'http://127.0.0.1:9090/api/v1/query?query=sum(up%7Bjob%3D%22synod%22%7D)';
    await eventually('seven members are up', async () => {
      const { data } = JSON.parse(await kubectl(['exec', 'deployment/prometheus', '--', 'wget', '-qO-', query]));
      return data.result[0]?.value[1] === '7';
    });
    const search = 'http://127.0.0.1:3000/api/search?query=';
    const found = JSON.parse(await kubectl(['exec', 'deployment/grafana', '--', 'wget', '-qO-', search]));
    check(found.filter(({ type }) => type === 'dash-db').length >= 5, `Grafana has ${found.length} dashboards`);
  },
  async 'every answered value is in its slot, once'() {
    const answers = await load.stop();
    const entries = await ctl(['log', '--log', LOG, '--limit', '10000000']);
    const faults = faultsOf(answers, entries);
    const answered = answers.filter(({ failed }) => failed === undefined).length;
    process.stderr.write(`   ${answered} values answered, ${answers.length - answered} not; `);
    process.stderr.write(`the longest time without an answer was ${longestGapMs(answers)} ms\n`);
    check(faults.length === 0, faults.slice(0, 10).join('; '));
    check(answered > 100, `only ${answered} values were answered`);
  },
  async 'an acceptor that comes back with an empty disk is refused, and says so'() {
    await kubectl(['delete', 'pvc', 'data-synod-acceptor-3', '--wait=false']);
    await kubectl(['delete', 'pod', 'synod-acceptor-3']);
    const path = '{.status.containerStatuses[0].lastState.terminated.message}';
    await eventually('its termination message says why', async () => {
      const message = await kubectl(['get', 'pod', 'synod-acceptor-3', '--output', `jsonpath=${path}`]);
      return message.includes('An empty or foreign disk cannot take its place');
    });
    const [{ slot }] = await ctl(['propose', 'without it']);
    check(Number.isInteger(slot), 'nothing is chosen without it');
  },
};

const tools = { engine: undefined };

function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

async function succeed(command, args) {
  const { code, out, err } = await run(command, args);
  check(code === 0, `${command} ${args.join(' ')}: ${(err || out).trim()}`);
}

/** Every proposer is connected to every acceptor: it says so on its page. */
async function allConnected() {
  const script =
    "fetch('http://127.0.0.1:8201/metrics').then((r) => r.text()).then((t) => console.log((t.match(/^synod_proposer_acceptor_connected.* 1$/gm) ?? []).length))";
  for (const pod of ['synod-proposer-1', 'synod-proposer-2'])
    await eventually(`${pod} is connected to three acceptors`, async () => {
      return (await kubectl(['exec', pod, '--', 'node', '-e', script])).trim() === '3';
    });
}

/** What is missing here, a sentence each. */
async function missing() {
  const found = [];
  for (const [tool, args] of [
    ['kind', ['version']],
    ['kubectl', ['version', '--client']],
  ])
    if ((await run(tool, args)).code !== 0) found.push(`${tool} is not installed`);
  for (const engine of ['docker', 'podman']) {
    if (tools.engine === undefined && (await run(engine, ['info'])).code === 0) tools.engine = engine;
  }
  if (tools.engine === undefined) found.push('no container engine answers (docker, podman)');
  return found;
}

async function main(argv) {
  const options = readOptions(argv);
  if (typeof options === 'number') return options;
  const absent = await missing();
  if (absent.length > 0) {
    process.stderr.write(`e2e:kind cannot run here: ${absent.join('; ')}. Nothing was started.\n`);
    return EXIT.missing;
  }
  const all = {
    'up.sh makes the cluster': () => succeed(join(HERE, 'up.sh'), options['no-build'] ? ['--no-build'] : []),
    ...Object.fromEntries(Object.entries(steps).filter(([name]) => isWanted(name, options.only))),
  };
  let failed = false;
  for (const [name, step] of Object.entries(all)) {
    const began = Date.now();
    let error;
    if (!options.json) process.stdout.write(`── ${name}\n`);
    await step().catch((reason) => (error = reason.message));
    const seconds = Math.round((Date.now() - began) / 1000);
    if (options.json)
      process.stdout.write(`${JSON.stringify({ step: name, ok: error === undefined, seconds, error })}\n`);
    else process.stdout.write(error === undefined ? `   ok after ${seconds} s\n` : `   FAILED: ${error}\n`);
    // What comes after a step builds on it.
    if (error !== undefined) {
      failed = true;
      break;
    }
  }
  if (failed) await tellState();
  if (options.keep) process.stderr.write('The cluster is left as it is; deploy/kubernetes/kind/down.sh removes it.\n');
  else await succeed(join(HERE, 'down.sh'), []);
  return failed ? EXIT.failed : EXIT.ok;
}

/** Without these a run says nothing. */
const ALWAYS = ['a load begins', 'every answered value is in its slot, once'];

function isWanted(name, only) {
  return only === undefined || ALWAYS.includes(name) || name.includes(only);
}

function readOptions(argv) {
  const flags = {
    help: { type: 'boolean' },
    keep: { type: 'boolean' },
    json: { type: 'boolean' },
    'no-build': { type: 'boolean' },
    only: { type: 'string' },
  };
  try {
    const { values } = parseArgs({ args: argv, options: flags });
    if (values.help !== true) return values;
    process.stdout.write(HELP);
    return EXIT.ok;
  } catch (error) {
    process.stderr.write(`e2e:kind: ${error.message}; see --help\n`);
    return EXIT.usage;
  }
}

/** For whoever looks at a failure once the cluster is gone. */
async function tellState() {
  for (const args of [
    ['get', 'pods', '--output', 'wide'],
    ['get', 'events', '--sort-by=.lastTimestamp'],
  ])
    process.stderr.write(await kubectl(args).catch((error) => `${error.message}\n`));
}

process.exitCode = await main(process.argv.slice(2));
