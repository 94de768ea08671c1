/** `npm run monitor`: a Prometheus for the cluster of `npm start`, with our rules, while a person looks. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SynodError, messageOf } from '../../shared/base/errors.ts';
import { EXIT } from '../../shared/platform/lifecycle.ts';
import { prometheusConfig } from '../monitoring/prometheus/config.ts';
import { stopRequest } from './cluster.ts';
import { ROLES, isFree, layout } from './layout.ts';
import { HOW_TO_GET, findProgram, startPrometheus } from './prometheus.ts';
import type { RunningPrometheus } from './prometheus.ts';

const HELP = `npm run monitor -- [flags]: a Prometheus for the cluster of npm start, with Synod's rules

  --port N        where Prometheus listens, on 127.0.0.1 (default 9090)
  --port-base N   of the cluster (default 7000; SYNOD_PORT_BASE)
  --cluster NAME  the label cluster of every series (default local)
  --interval N    seconds between two scrapes, and between two looks at the rules (default 5)
  --data DIR      the cluster's folder; what Prometheus stores goes to DIR/prometheus (default ./data)
  --json          the address and the targets as one JSON object, once it is ready
  --help          this text

For example, beside npm start in another terminal:

  npm run monitor -- --port 9091

Members that are started later are found and scraped, too. Ctrl-C stops it; what was stored is kept. The program is looked up
on the PATH. ${HOW_TO_GET}

Exit codes: 0 stopped as asked; 1 it could not be started or ended by itself; 2 wrong usage.
`;

/** How often new members are looked for. */
const LOOK_MS = 5_000;
/** Members of each role that are looked for. */
const MEMBERS_MAX = 20;
/** What `npm start` runs when it is not told otherwise: these are scraped, and told to be down, even where nobody listens. */
const SHAPE = { acceptors: 3, proposers: 2, learners: 2 } as const;
const RULES = 'deploy/monitoring/prometheus/rules/*.yaml';

export interface MonitorOptions {
  readonly port: number;
  readonly portBase: number;
  readonly cluster: string;
  readonly intervalSeconds: number;
  readonly data: string;
  readonly json: boolean;
}

/** Prints, runs until it is told to stop, and exits. `root` is the folder of this repository. */
export async function main(argv: readonly string[], root: string): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const asked = stopRequest(new AbortController());
  let options: MonitorOptions | 'help';
  try {
    options = readOptions(argv, process.env);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(2);
  }
  if (options === 'help') {
    process.stdout.write(HELP);
    process.exit(EXIT.ok);
  }
  let monitor: Monitor;
  try {
    monitor = await startMonitor(options, root);
  } catch (error) {
    process.stderr.write(`npm run monitor: ${messageOf(error)}\n`);
    process.exit(EXIT.failed);
  }
  process.stdout.write(`${monitor.said}\n`);
  const words = await Promise.race([asked, monitor.prometheus.ended]);
  if (words !== undefined) process.stderr.write(`npm run monitor: Prometheus ended: ${words}\n`);
  await monitor.stop();
  process.exit(words === undefined ? EXIT.ok : EXIT.failed);
}

export interface Monitor {
  readonly prometheus: RunningPrometheus;
  /** What is told once it is ready. */
  readonly said: string;
  stop(): Promise<void>;
}

/** Starts it. Throws FAILED_PRECONDITION where Prometheus is not installed, UNAVAILABLE where it cannot listen or does not start. */
export async function startMonitor(options: MonitorOptions, root: string): Promise<Monitor> {
  const program = findProgram('prometheus');
  if (program === undefined)
    throw new SynodError('FAILED_PRECONDITION', `there is no prometheus on the PATH. ${HOW_TO_GET}`);
  const { port } = options;
  if (!(await isFree(port)))
    throw new SynodError(
      'UNAVAILABLE',
      `port ${String(port)} of 127.0.0.1 is in use; choose another: npm run monitor -- --port ${String(port + 1)}`,
    );
  const folder = join(resolve(options.data), 'prometheus');
  const configFile = join(folder, 'prometheus.yaml');
  let targets = await findTargets(options.portBase);
  const write = (): void => {
    const { cluster, intervalSeconds } = options;
    writeFileSync(
      configFile,
      prometheusConfig({ cluster, targets: targets.all, ruleFiles: join(root, RULES), intervalSeconds }),
    );
  };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  write();
  const prometheus = await startPrometheus({ program, configFile, data: join(folder, 'tsdb'), port });
  const look = async (): Promise<void> => {
    const now = await findTargets(options.portBase);
    // A member that was seen once stays: that it is gone is what one wants to be told.
    const all = [...new Set([...targets.all, ...now.all])];
    if (all.length === targets.all.length) return;
    targets = { all, listening: now.listening };
    write();
    prometheus.reload();
  };
  const timer = setInterval(() => {
    // One look that fails is followed by the next; what is scraped so far stays.
    look().catch(() => undefined);
  }, LOOK_MS);
  return {
    prometheus,
    said: options.json
      ? JSON.stringify({ url: prometheus.url, cluster: options.cluster, targets: targets.all, folder })
      : readyLines(prometheus.url, options, targets, folder),
    stop: async () => {
      clearInterval(timer);
      await prometheus.stop();
    },
  };
}

interface Targets {
  /** `127.0.0.1:8101`, …: who listens, and who should. */
  readonly all: readonly string[];
  readonly listening: number;
}

async function findTargets(portBase: number): Promise<Targets> {
  const most = { acceptors: MEMBERS_MAX, proposers: MEMBERS_MAX, learners: MEMBERS_MAX };
  const looked = await Promise.all(
    layout(most, portBase, '').map(async (member) => ({ ...member, isThere: await listens(member.http) })),
  );
  const all = ROLES.flatMap((role) => {
    const there = looked.filter((each) => each.role === role && each.isThere).map(({ id }) => id);
    const last = Math.max(SHAPE[`${role}s`], ...there);
    return looked.filter((each) => each.role === role && each.id <= last).map(({ http }) => http);
  });
  return { all, listening: looked.filter(({ isThere }) => isThere).length };
}

function listens(address: string): Promise<boolean> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((done) => {
    const socket = connect({ host, port: Number(port), timeout: 1_000 });
    const end = (is: boolean): void => {
      socket.destroy();
      done(is);
    };
    socket.once('connect', () => {
      end(true);
    });
    for (const event of ['error', 'timeout'])
      socket.once(event, () => {
        end(false);
      });
  });
}

function readyLines(url: string, options: MonitorOptions, { all, listening }: Targets, folder: string): string {
  const graph = encodeURIComponent('sum by (outcome) (rate(synod_proposer_proposals_total{protocol!="probe"}[1m]))');
  const rows = [
    [`${url}/alerts`, 'what is wrong; each alert names a page of docs/runbooks'],
    [`${url}/targets`, 'who is scraped'],
    [`${url}/graph?g0.tab=0&g0.expr=${graph}`, 'proposals by outcome'],
  ] as const;
  return [
    listening === 0
      ? `Nobody listens on port base ${String(options.portBase)} yet: start a cluster with npm start. Prometheus waits for ${String(all.length)} members.`
      : `Prometheus scrapes ${String(listening)} members on port base ${String(options.portBase)} every ${String(options.intervalSeconds)} s.`,
    `What it stores is in ${folder}. Open:`,
    '',
    ...rows.map(([address, what]) => `  ${what}:\n    ${address}`),
    '',
    'The dashboards (deploy/monitoring/grafana/dashboards) need a Grafana, which is not in Debian: docs/monitoring.md says how.',
    'Ctrl-C stops it.',
  ].join('\n');
}

/** Reads flags and environment. Throws INVALID_ARGUMENT with every fault. */
export function readOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): MonitorOptions | 'help' {
  const text = { type: 'string' } as const;
  const known = { port: text, 'port-base': text, cluster: text, interval: text, data: text };
  const faults: string[] = [];
  let values: Partial<Record<keyof typeof known, string>> & { help?: boolean; json?: boolean } = {};
  try {
    const flags = { help: { type: 'boolean' }, json: { type: 'boolean' } } as const;
    ({ values } = parseArgs({ args: [...argv], options: { ...known, ...flags } }));
  } catch (error) {
    faults.push(messageOf(error));
  }
  if (values.help === true) return 'help';
  const number = (name: string, given: string | undefined, preset: number, min: number, max: number): number => {
    if (given === undefined) return preset;
    const value = /^\d{1,6}$/.test(given) ? Number(given) : NaN;
    if (value >= min && value <= max) return value;
    faults.push(`${name} must be a whole number from ${String(min)} to ${String(max)}, not ${JSON.stringify(given)}`);
    return preset;
  };
  const base = values['port-base'] ?? env['SYNOD_PORT_BASE'];
  const options = {
    port: number('--port', values.port, 9_090, 1, 65_535),
    portBase: number(values['port-base'] === undefined ? 'SYNOD_PORT_BASE' : '--port-base', base, 7_000, 1_024, 64_000),
    intervalSeconds: number('--interval', values.interval, 5, 1, 300),
    cluster: values.cluster ?? 'local',
    data: values.data ?? 'data',
    json: values.json ?? false,
  };
  if (options.cluster === '') faults.push('--cluster needs a name');
  if (options.data === '') faults.push('--data needs a folder');
  if (faults.length > 0)
    throw new SynodError(
      'INVALID_ARGUMENT',
      `npm run monitor: ${faults.join('\n  ')}\nSee npm run monitor -- --help for every setting.`,
    );
  return options;
}
