/**
 * Goal: what deploy/monitoring hands to an operator is sound and current, as far as can be told without a running cluster.
 * Method: the sources themselves are read and compared: dashboards with the metrics of the registries, alerts with their
 * pages and tests, made files with what makes them; each check has a planted fault.
 */
import { describe, expect, test } from '@jest/globals';
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { catalogue } from '../../deploy/monitoring/catalogue.ts';
import type { Metric } from '../../deploy/monitoring/catalogue.ts';
import { DASHBOARDS, madeFiles, withParts } from '../../deploy/monitoring/files.ts';
import { readRules } from '../../deploy/monitoring/pages.ts';
import { dashboardQueries, metricsOf, ruleQueries } from '../../deploy/monitoring/queries.ts';
import type { Asked } from '../../deploy/monitoring/queries.ts';
import { UNSHOWN } from '../../deploy/monitoring/unshown.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const groups = readRules(read);
const alerts = groups.flatMap(({ rules }) => rules).filter(({ alert }) => alert !== undefined);
const metrics = await catalogue();
const pages = Object.entries(DASHBOARDS);
const shown = pages.flatMap(([name, dashboard]) => dashboardQueries(name, dashboard, '10s'));
const asked = [...shown, ...ruleQueries(groups)];

/** Series that a metric has: a histogram has three. */
function seriesOf({ name, type }: Metric): string[] {
  return type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name];
}

const known = metrics.flatMap(seriesOf);
/** Names that Prometheus or Node's default metrics bring, and those of recording rules. */
const others = new Set([
  ...['up', 'ALERTS', 'process_start_time_seconds', 'process_cpu_seconds_total', 'process_resident_memory_bytes'],
  ...groups.flatMap(({ rules }) => rules.flatMap(({ record }) => record ?? [])),
]);

/** Queries that name a metric which nobody has. */
function unknownMetrics(queries: readonly Asked[]): string[] {
  return queries.flatMap(({ by, expr }) =>
    metricsOf(expr, known)
      .filter((name) => !known.includes(name) && !others.has(name))
      .map((name) => `${by}: ${name}`),
  );
}

/** `rate` and `increase` of what may fall, and quantiles that are not by `le`. */
function unsoundQueries(queries: readonly Asked[]): string[] {
  const rising = metrics.flatMap((each) => (each.type === 'gauge' ? [] : seriesOf(each)));
  return queries.flatMap(({ by, expr }) => {
    const rated = [...expr.matchAll(/\b(?:rate|increase|irate)\(([\w:]+)/g)].map(([, name = '']) => name);
    const quantiles = [...expr.matchAll(/histogram_quantile\([^,]+, sum by \(([^)]*)\) \(rate\((\w+)/g)];
    const unclear = (expr.match(/histogram_quantile/g) ?? []).length - quantiles.length;
    return [
      ...rated
        .filter((name) => !rising.includes(name) && name !== 'process_cpu_seconds_total')
        .map((n) => `${by}: rate of ${n}`),
      ...quantiles
        .filter(([, labels = '', name = '']) => !/\ble$/.test(labels) || !name.endsWith('_bucket'))
        .map(() => `${by}: not by le`),
      ...(unclear === 0 ? [] : [`${by}: a quantile that is not of a sum by le of rates`]),
      ...(/[^=!]=~?"[^"]*"/.test(expr) && /\blog=/.test(expr) ? [`${by}: a log is never a label`] : []),
    ];
  });
}

/** Metrics that no panel shows and no reason excuses, and reasons for what is shown or gone. */
function unshown(queries: readonly Asked[], reasons: Readonly<Record<string, string>>): string[] {
  const seen = new Set(queries.flatMap(({ expr }) => metricsOf(expr, known)));
  const isShown = (metric: Metric): boolean => seriesOf(metric).some((name) => seen.has(name));
  const missing = metrics.filter((each) => !isShown(each) && reasons[each.name] === undefined).map(({ name }) => name);
  const stale = Object.keys(reasons).filter((name) => {
    const metric = metrics.find((each) => each.name === name);
    return metric === undefined || isShown(metric);
  });
  return [...missing.map((name) => `${name} is not shown`), ...stale.map((name) => `${name} needs no reason`)];
}

const panelsOf = (dashboard: Dashboard): Panel[] =>
  (dashboard.panels ?? []).filter((each): each is Panel => each.type !== 'row');

describe('dashboards', () => {
  test('ask for metrics that there are', () => {
    expect(asked.length).toBeGreaterThan(150);
    expect(unknownMetrics(asked)).toEqual([]);
  });

  test('a misspelt metric is found (negative control)', () => {
    const planted = [...asked, { by: 'x', expr: 'sum by (id) (rate(synod_acceptor_vote_total{id="1"}[10s]))' }];
    expect(unknownMetrics(planted)).toEqual(['x: synod_acceptor_vote_total']);
  });

  test('take rates of counters, and quantiles of buckets by le', () => {
    expect(unsoundQueries(asked)).toEqual([]);
  });

  test('a rate of a gauge and a quantile without le are found (negative control)', () => {
    const planted = [
      { by: 'a', expr: 'rate(synod_learner_lag_slots[10s])' },
      { by: 'b', expr: 'histogram_quantile(0.9, sum by (id) (rate(synod_acceptor_fsync_seconds_bucket[10s])))' },
      { by: 'c', expr: 'histogram_quantile(0.9, synod_acceptor_fsync_seconds_bucket)' },
      { by: 'd', expr: 'synod_learner_lag_slots{log="orders"}' },
    ];
    expect(unsoundQueries(planted).map((each) => each.slice(0, 2))).toEqual(['a:', 'b:', 'c:', 'd:']);
  });

  test('show every metric, or there is a reason', () => {
    expect(metrics.length).toBeGreaterThan(90);
    expect(unshown(shown, UNSHOWN)).toEqual([]);
  });

  test('a metric that is not shown, and a reason that is stale, are found (negative control)', () => {
    const less = shown.filter(({ expr }) => !expr.includes('synod_acceptor_trims_total'));
    expect(unshown(less, UNSHOWN)).toEqual(['synod_acceptor_trims_total is not shown']);
    const more = { ...UNSHOWN, synod_acceptor_speaks: 'x', synod_acceptor_gone: 'x' };
    expect(unshown(shown, more)).toEqual([
      'synod_acceptor_speaks needs no reason',
      'synod_acceptor_gone needs no reason',
    ]);
  });

  test.each(pages)('%s: each panel has a sentence of help, a unit, legends and a place of its own', (_, dashboard) => {
    const panels = panelsOf(dashboard);
    expect(panels.length).toBeGreaterThan(8);
    for (const panel of panels) {
      const { title, description = '', datasource, fieldConfig, gridPos, targets = [] } = panel;
      const { x = 0, w = 0 } = gridPos ?? {};
      expect([title, description]).toEqual([title, expect.stringMatching(/^.{20,}\.$/s)]);
      expect([title, datasource]).toEqual([title, { type: 'prometheus', uid: '${datasource}' }]);
      expect([title, x + w <= 24]).toEqual([title, true]);
      // A heatmap's unit is that of its axis; tables and states have words.
      if (['timeseries', 'stat'].includes(panel.type))
        expect([title, fieldConfig?.defaults.unit]).toEqual([title, expect.any(String)]);
      for (const target of targets as { legendFormat?: string }[])
        if (panel.type !== 'table') expect([title, target.legendFormat]).toEqual([title, expect.stringMatching(/./)]);
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  });

  test.each(pages)('%s: has a fixed address, the variables, and links to the others', (name, dashboard) => {
    expect(dashboard.uid).toBe(`synod-${name}`);
    const variables = (dashboard.templating.list ?? []).map((each) => each.name);
    expect(variables.slice(0, 2)).toEqual(['datasource', 'cluster']);
    expect(variables).toContain(name === 'cluster' ? 'role' : 'instance');
    expect(dashboard.links).toEqual([
      expect.objectContaining({ type: 'dashboards', tags: ['synod'], includeVars: true, keepTime: true }),
    ]);
    const used = JSON.stringify(dashboard.panels).match(/\$(?!__)\w+/g) ?? [];
    expect(new Set(used.map((each) => each.slice(1)))).toEqual(
      new Set(variables.filter((each) => each !== 'datasource')),
    );
  });
});

describe('alerts', () => {
  const names = alerts.map(({ alert }) => alert ?? '');

  test('each says how bad it is, for whom, with numbers, and where its page is', () => {
    expect(names.length).toBeGreaterThan(20);
    expect(new Set(names).size).toBe(names.length);
    for (const { alert, labels, annotations } of alerts) {
      expect([alert, labels?.['severity']]).toEqual([alert, expect.stringMatching(/^(critical|warning)$/)]);
      for (const part of ['summary', 'description'])
        expect([alert, annotations?.[part]]).toEqual([alert, expect.stringContaining('{{ $labels.cluster }}')]);
      expect([alert, existsSync(join(ROOT, annotations?.['runbook'] ?? ''))]).toEqual([alert, true]);
    }
  });

  test('each page belongs to an alert, is named after it, and says the four things that somebody woken up needs', () => {
    const wanted = alerts.map(({ annotations }) => annotations?.['runbook']?.replace('docs/runbooks/', ''));
    expect(readdirSync(join(ROOT, 'docs/runbooks')).sort()).toEqual([...wanted].sort());
    for (const { alert, annotations } of alerts) {
      const page = read(annotations?.['runbook'] ?? '');
      const heads = [...page.matchAll(/^#+ (.*)$/gm)].map(([, head]) => head);
      expect(heads).toEqual([alert, 'What it means', 'How to look', 'What to do', 'What not to do']);
      expect([alert, page.includes('```\n')]).toEqual([alert, true]);
    }
  });

  test('pages and docs name metrics that there are', () => {
    const files = [
      ...readdirSync(join(ROOT, 'docs/runbooks')).map((name) => `docs/runbooks/${name}`),
      'docs/operations.md',
    ];
    const bases = metrics.map(({ name }) => name);
    const wrong = (text: string): string[] =>
      (text.match(/\bsynod_(?:proposer|acceptor|learner)_\w+/g) ?? []).filter((n) => ![...known, ...bases].includes(n));
    expect(files.flatMap((file) => wrong(read(file)).map((name) => `${file}: ${name}`))).toEqual([]);
    expect(wrong('look at synod_acceptor_vote_total and synod_acceptor_votes_total')).toEqual([
      'synod_acceptor_vote_total',
    ]);
  });

  test('each has a test in which it fires, and moments in which it does not', () => {
    interface Case {
      readonly alert_rule_test: readonly { alertname: string; exp_alerts: readonly unknown[] }[];
    }
    const folder = 'deploy/monitoring/prometheus/tests';
    const cases = readdirSync(join(ROOT, folder))
      .flatMap((file) => (parse(read(`${folder}/${file}`)) as { tests: Case[] }).tests)
      .flatMap((each) => each.alert_rule_test);
    const tested = (is: (count: number) => boolean): string[] =>
      cases.filter(({ exp_alerts }) => is(exp_alerts.length)).map(({ alertname }) => alertname);
    expect(tested((count) => count === 1).sort()).toEqual([...names].sort());
    expect(new Set(tested((count) => count === 0))).toEqual(new Set(names));
  });

  test('one that is not written as a comparison with a number is refused (negative control)', () => {
    expect(() => ruleQueries([{ name: 'x', rules: [{ alert: 'X', expr: 'up{job="synod"}' }] }])).toThrow(/alert X/);
  });
});

describe('made files', () => {
  test('are what their sources make: else run npm run dashboards and commit the result', async () => {
    for (const [path, text] of Object.entries(await madeFiles(read)))
      expect([path, read(path) === text]).toEqual([path, true]);
  });

  test('a page without its marks is refused (negative control)', () => {
    expect(() => withParts('# Monitoring\n', { metrics: 'x' })).toThrow(/no marks/);
  });

  test('the dashboards fit into one ConfigMap that kubectl apply can keep, and all of them are in it', () => {
    const { configMapGenerator } = parse(read('deploy/monitoring/kustomization.yaml')) as {
      configMapGenerator: { name: string; files: string[] }[];
    };
    const files = configMapGenerator.find(({ name }) => name === 'synod-dashboards')?.files ?? [];
    expect(files).toEqual(pages.map(([name]) => `grafana/dashboards/synod-${name}.json`));
    const texts = files.map((file) => read(`deploy/monitoring/${file}`));
    // kubectl keeps what was applied in an annotation, as JSON; annotations have 262,144 bytes together.
    expect(Buffer.byteLength(JSON.stringify(texts))).toBeLessThan(250_000);
  });

  test('the data source that dashboards choose first is the one that is provisioned', () => {
    const { datasources } = parse(read('deploy/monitoring/grafana/provisioning/datasources/synod.yaml')) as {
      datasources: { uid: string; name: string }[];
    };
    const [{ uid, name } = { uid: '', name: '' }] = datasources;
    for (const [, { templating }] of pages)
      expect(templating.list?.[0]?.current).toEqual({ selected: true, text: name, value: uid });
  });
});
