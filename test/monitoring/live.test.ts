/**
 * Goal: every query of every dashboard and rule is one that Prometheus takes, and that finds data on a real cluster.
 * Method: Debian's Prometheus scrapes a cluster of real processes to which all kinds of things are done, and is asked every query
 * over the whole time; at least one value of each must be a number. A misspelt metric must be found by the same check.
 */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isFree } from '../../deploy/local/layout.ts';
import { HOW_TO_GET, findProgram, startPrometheus } from '../../deploy/local/prometheus.ts';
import type { RunningPrometheus } from '../../deploy/local/prometheus.ts';
import { catalogue, readScrape } from '../../deploy/monitoring/catalogue.ts';
import { DASHBOARDS } from '../../deploy/monitoring/files.ts';
import { readRules } from '../../deploy/monitoring/pages.ts';
import { prometheusConfig } from '../../deploy/monitoring/prometheus/config.ts';
import { dashboardQueries, ruleQueries } from '../../deploy/monitoring/queries.ts';
import type { Asked } from '../../deploy/monitoring/queries.ts';
import { Harness, ROOT, built, eventually, scratch } from '../e2e/cluster.ts';
import { freePorts } from '../support/ports.ts';
import { Workload } from './workload.ts';

jest.setTimeout(240_000);

const program = findProgram('prometheus');
const promtool = findProgram('promtool');
const isMissing = program === undefined || promtool === undefined;
if (isMissing) process.stderr.write(`Dashboards and rules are not tried: there is no Prometheus here. ${HOW_TO_GET}\n`);
/** Without it these tests are left out, but for CI, which must have it. */
const there = isMissing ? describe.skip : describe;

const RULES = join(ROOT, 'deploy/monitoring/prometheus/rules');
const SCRAPE_SECONDS = 1;

const groups = readRules((path) => readFileSync(join(ROOT, path), 'utf8'));
const asked: Asked[] = [
  ...Object.entries(DASHBOARDS).flatMap(([name, dashboard]) => dashboardQueries(name, dashboard, '10s')),
  ...ruleQueries(groups),
];

/** What the workload makes happen; of each there must be some. */
const HAPPENED = [
  ...['chosen', 'refused', 'timeout'].map((o) => `synod_proposer_proposals_total{protocol!="probe",outcome="${o}"}`),
  ...['basic', 'multi', 'fast', 'probe'].map((p) => `synod_proposer_proposals_total{protocol="${p}",outcome="chosen"}`),
  ...['taken', 'resigned', 'lost'].map((change) => `synod_proposer_leader_changes_total{change="${change}"}`),
  ...['up', 'refused', 'silent'].map((change) => `synod_proposer_peer_changes_total{change="${change}"}`),
  ...['reached', 'timeout'].map((result) => `synod_proposer_quorums_total{phase="prepare",result="${result}"}`),
  'synod_proposer_quorums_total{phase="accept",result="reached"}',
  ...['campaigns_total', 'forwarded_total', 'collisions_total', 'pause_seconds_count'].map(
    (n) => `synod_proposer_${n}`,
  ),
  ...['leaderless_logs', 'pending', 'led_logs', 'faults_messages_dropped_total'].map((n) => `synod_proposer_${n}`),
  'synod_proposer_faults_messages_delayed_total',
  'synod_proposer_fast_seconds_count{outcome="fast"}',
  'synod_proposer_fast_seconds_count{outcome!="fast"}',
  ...['lead', 'decree'].map((purpose) => `synod_acceptor_promises_total{purpose="${purpose}"}`),
  ...['ballot|led', 'collision'].map((reason) => `synod_acceptor_rejects_total{reason=~"${reason}"}`),
  ...['votes_total', 'voted_bytes_total', 'trims_total', 'call_seconds_count'].map((n) => `synod_acceptor_${n}`),
  ...['faults_active', 'trace_followers', 'journal_has_room', 'speaks'].map((n) => `synod_acceptor_${n}`),
  ...['local', 'linearizable', 'end'].map((kind) => `synod_learner_reads_total{kind="${kind}",outcome="answered"}`),
  ...['learned_slots_total', 'gaps_total', 'subscribers'].map((n) => `synod_learner_${n}`),
  'synod_learner_votes_total',
];

if (process.env['CI'] === 'true')
  test('CI has Prometheus', () => {
    expect({ program, promtool, how: HOW_TO_GET }).toEqual({
      program: expect.any(String),
      promtool: expect.any(String),
      how: HOW_TO_GET,
    });
  });

there('rules', () => {
  const run = (...args: string[]): { status: number | null; text: string } => {
    const { status, stdout, stderr } = spawnSync(promtool ?? '', args, { cwd: ROOT, encoding: 'utf8' });
    return { status, text: stdout + stderr };
  };
  const TESTS = ['cluster', 'members', 'acceptor', 'learner'].map(
    (n) => `deploy/monitoring/prometheus/tests/${n}.test.yaml`,
  );

  test('and the configuration for npm start are what Prometheus takes', () => {
    expect(run('check', 'config', 'deploy/monitoring/prometheus/prometheus.yaml')).toMatchObject({ status: 0 });
  });

  test('alerts fire when they should, and only then', () => {
    expect(run('test', 'rules', ...TESTS)).toMatchObject({ status: 0 });
  });

  test('a threshold that was changed is noticed (negative control)', () => {
    const { path, remove } = scratch();
    try {
      const planted = readFileSync(join(RULES, 'alerts.yaml'), 'utf8').replace('p99_5m > 0.1', 'p99_5m > 10');
      const tests = readFileSync(join(ROOT, TESTS[2]!), 'utf8').replaceAll('../rules/', '');
      writeFileSync(join(path, 'alerts.yaml'), planted);
      writeFileSync(join(path, 'recording.yaml'), readFileSync(join(RULES, 'recording.yaml')));
      writeFileSync(join(path, 'x.test.yaml'), tests);
      expect(run('test', 'rules', join(path, 'x.test.yaml'))).toMatchObject({
        status: 1,
        text: expect.stringContaining('SynodFsyncSlow'),
      });
    } finally {
      remove();
    }
  });
});

there('on a cluster to which everything is done', () => {
  let harness: Harness;
  let prometheus: RunningPrometheus;
  let workload: Workload;
  const began = Date.now() / 1_000;

  beforeAll(async () => {
    await built();
    harness = await Harness.start({ faults: true, roleArguments: { proposer: ['--probe-interval', '1s'] } });
    const { cluster, folder } = harness;
    const configFile = join(folder, 'prometheus.yaml');
    const targets = cluster.members.map(({ http }) => http);
    const [port = 0] = await freePorts(1);
    writeFileSync(
      configFile,
      prometheusConfig({
        cluster: 'tried',
        targets,
        ruleFiles: join(RULES, '*.yaml'),
        intervalSeconds: SCRAPE_SECONDS,
      }),
    );
    prometheus = await startPrometheus({ program: program ?? '', configFile, data: join(folder, 'tsdb'), port });
    // What happens before the first scrape is not in any rate.
    await eventually('all members are scraped', async () => (await numbersOf('sum(up) == 7')) > 0);
    workload = new Workload(harness);
    await workload.run();
  });
  afterAll(async () => {
    await (workload as Workload | undefined)?.stop();
    await (prometheus as RunningPrometheus | undefined)?.stop();
    await (harness as Harness | undefined)?.stop();
  });

  /** How many values a query found over the whole time; those that are no number do not count. Throws what Prometheus says of it. */
  async function numbersOf(expr: string): Promise<number> {
    const end = Date.now() / 1_000;
    const body = new URLSearchParams({ query: expr, start: String(began), end: String(end), step: '1' });
    const answer = await fetch(`${prometheus.url}/api/v1/query_range`, { method: 'POST', body });
    const said = (await answer.json()) as {
      status: string;
      error?: string;
      data?: { result: { values: [number, string][] }[] };
    };
    if (said.status !== 'success') throw new Error(`${expr}: ${said.error ?? answer.statusText}`);
    const values = said.data?.result.flatMap((series) => series.values.map(([, value]) => Number(value))) ?? [];
    return values.filter(Number.isFinite).length;
  }

  /** Queries that find nothing. */
  async function empty(queries: readonly Asked[]): Promise<string[]> {
    const found: string[] = [];
    for (const { by, expr } of queries) if ((await numbersOf(expr)) === 0) found.push(`${by}: ${expr}`);
    return found;
  }

  /** What a list is when it is empty, or when that took too long. */
  async function soonEmpty(list: () => Promise<string[]>): Promise<string[]> {
    let last: string[] = [];
    await eventually('nothing is missing', async () => (last = await list()).length === 0, 15_000).catch(
      () => undefined,
    );
    return last;
  }

  test('everything that is to be shown has happened', async () => {
    const events = HAPPENED.map((expr) => ({ by: 'happened', expr: `${expr} > 0` }));
    expect(await soonEmpty(() => empty(events))).toEqual([]);
  });

  test('every query of every panel and rule finds numbers', async () => {
    expect(asked.length).toBeGreaterThan(150);
    expect(await soonEmpty(() => empty(asked))).toEqual([]);
  });

  test('a misspelt metric, and a query that is none, are found (negative control)', async () => {
    const planted = [
      { by: 'misspelt', expr: 'sum(rate(synod_acceptor_vote_total{cluster=~".*"}[10s]))' },
      { by: 'sound', expr: 'sum(rate(synod_acceptor_votes_total{cluster=~".*"}[10s]))' },
    ];
    expect(await empty(planted)).toEqual([expect.stringMatching(/^misspelt/)]);
    await expect(empty([{ by: 'broken', expr: 'sum by (rate(' }])).rejects.toThrow(/parse error/);
  });

  test('the queries of the runbooks are what Prometheus takes', async () => {
    const folder = join(ROOT, 'docs/runbooks');
    const lines = readdirSync(folder).flatMap((name) =>
      [...readFileSync(join(folder, name), 'utf8').matchAll(/^```\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) =>
        block.split('\n').filter((line) => /(?:synod|process|nodejs)_/.test(line)),
      ),
    );
    expect(lines.length).toBeGreaterThan(50);
    // Some rightly find nothing here, such as those that look for what is cut off.
    for (const line of lines) await numbersOf(line);
  });

  test('every rule was evaluated without an error', async () => {
    const { data } = (await (await fetch(`${prometheus.url}/api/v1/rules`)).json()) as {
      data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] };
    };
    const rules = data.groups.flatMap((group) => group.rules);
    expect(rules).toHaveLength(groups.flatMap((group) => group.rules).length);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  });

  test('npm run monitor scrapes it, says where to look, and ends when it is told to', async () => {
    const [port = 0] = await freePorts(1);
    const { path, remove } = scratch();
    const args = ['--port', String(port), '--port-base', String(harness.cluster.portBase), '--data', path, '--json'];
    const child = spawn(process.execPath, ['deploy/local/monitor.mjs', ...args, '--interval', '1'], { cwd: ROOT });
    try {
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
      await eventually('it is ready', () => said.includes('\n'));
      const { url, targets } = JSON.parse(said) as { url: string; targets: string[] };
      expect(targets.sort()).toEqual(harness.cluster.members.map(({ http }) => http).sort());
      const up = async (): Promise<number> => {
        const answer = await fetch(
          `${url}/api/v1/query?query=${encodeURIComponent('sum(up{job="synod",cluster="local"})')}`,
        );
        const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } };
        return Number(data.result[0]?.value[1]);
      };
      await eventually('all members are scraped', async () => (await up()) === targets.length);
      child.kill('SIGINT');
      const [code] = (await once(child, 'exit')) as [number | null];
      expect(code).toBe(0);
      expect(await isFree(port)).toBe(true);
    } finally {
      child.kill('SIGKILL');
      remove();
    }
  });

  test('the catalogue of metrics is what the processes serve', async () => {
    const known = await catalogue();
    for (const role of ['acceptor', 'proposer', 'learner'] as const) {
      const text = await (await fetch(`http://${harness.member(role, 1).http}/metrics`)).text();
      const served = readScrape(text, role);
      const sorted = (metrics: typeof known): unknown[] =>
        metrics.filter((each) => each.role === role).sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(sorted(served)).toEqual(sorted(known));
    }
  });
});
