#!/usr/bin/env node
/**
 * Stands in for kind, docker and kubectl, by the name it is called by, so that up.sh and e2e.mjs can be run to their end without a
 * container engine. Behind it is a cluster of processes (SYNOD_PORT_BASE): what asks Synod something gets Synod's answer; what asks
 * Kubernetes is told that all went well. Files in STAND_IN tell one call what another did. LOSE makes it hide a value of the log.
 */
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const { STAND_IN: folder, ROOT: root, LOSE: lost, SYNOD_PORT_BASE: base } = process.env;
const name = basename(process.argv[1]);
const args = process.argv.slice(2);
const at = (file) => join(folder, file);
const say = (text) => process.stdout.write(`${text}\n`);
appendFileSync(at('calls'), `${name} ${args.join(' ').slice(0, 300)}\n`);

if (name === 'kind') kind();
else if (name === 'kubectl') kubectl();

function kind() {
  if (args[0] === 'get' && existsSync(at('created'))) say('synod');
  if (args[0] === 'create') writeFileSync(at('created'), '');
}

function kubectl() {
  const rest = args.filter(
    (arg, i) => !/^--(context|namespace)$/.test(arg) && !/^--(context|namespace)$/.test(args[i - 1] ?? ''),
  );
  const namespace = args[args.indexOf('--namespace') + 1];
  const [verb, first = ''] = rest;
  const inner = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : [];
  if (verb === 'exec' && inner[0] === 'synod') synod(inner.slice(2));
  else if (verb === 'exec' && first === 'load') process.kill(Number(readFileSync(at('load.pid'), 'utf8')), 'SIGTERM');
  else if (verb === 'exec' && first.includes('prometheus')) say('{"data":{"result":[{"value":[0,"7"]}]}}');
  else if (verb === 'exec' && first.includes('grafana')) say(JSON.stringify(Array(5).fill({ type: 'dash-db' })));
  else if (verb === 'exec') say('3');
  else if (verb === 'apply' && rest.includes('-')) pod(JSON.parse(readFileSync(0, 'utf8')), namespace);
  else if (verb === 'logs') say(readFileSync(at(`${first}.log`), 'utf8'));
  else if (verb === 'get' && first === 'nodes') say('synod-control-plane synod-worker synod-worker2');
  else if (verb === 'get' && rest.join(' ').includes('podIP')) process.stdout.write('127.0.0.1');
  else if (verb === 'get') say('… An empty or foreign disk cannot take its place, …');
}

function synod(command) {
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'bin/synod.mjs'), 'ctl', ...command], {
    encoding: 'utf8',
    // A long log is cut off otherwise.
    maxBuffer: 1024 ** 3,
  });
  const lines = stdout.split('\n').filter((line) => lost === undefined || !line.includes(`"value":"${lost}"`));
  process.stdout.write(lines.join('\n'));
  process.exitCode = status ?? 1;
}

/** The load is run; a pod that tries an address gets what the policies would let it have. */
function pod({ metadata, spec }, namespace) {
  const [{ command }] = spec.containers;
  if (metadata.name === 'load') {
    const proposers = [1, 2].map((id) => `127.0.0.1:${Number(base) + 200 + id}`);
    const out = openSync(at('load.log'), 'w');
    const child = spawn(process.execPath, [join(root, 'deploy/kubernetes/kind/load.mjs'), command[2], ...proposers], {
      detached: true,
      stdio: ['ignore', out, out],
      env: { ...process.env, SYNOD_ROOT: root },
    });
    writeFileSync(at('load.pid'), String(child.pid));
    child.unref();
    return;
  }
  const isClient = metadata.labels['synod-client'] === 'true' && /port: 7[23]01/.test(command[2]);
  writeFileSync(at(`${metadata.name}.log`), isClient && namespace !== '' ? 'open' : 'timeout');
}
