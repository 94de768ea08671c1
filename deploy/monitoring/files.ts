/**
 * Every file of deploy/monitoring and docs that is made from a source: which it is, and its text. `npm run dashboards` writes
 * them, and a test compares them.
 */
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { stringify } from 'yaml';
import { acceptor } from './grafana/acceptor.ts';
import { cluster } from './grafana/cluster.ts';
import { fast } from './grafana/fast.ts';
import { learner } from './grafana/learner.ts';
import { proposer } from './grafana/proposer.ts';
import { alertTable, metricTable, readRules } from './pages.ts';
import { prometheusConfig } from './prometheus/config.ts';
import { layout } from '../local/layout.ts';

/** The dashboards by their file, the one to open first at the top. */
export const DASHBOARDS = { cluster, proposer, acceptor, learner, fast } as const;

const FOLDER = 'deploy/monitoring';
const PAGE = 'docs/monitoring.md';

/** Files that are wholly made, by their path below the root. `read` gives the text of a file of the repository. */
export async function madeFiles(read: (path: string) => string): Promise<Record<string, string>> {
  const made: Record<string, string> = {};
  for (const [name, dashboard] of Object.entries(DASHBOARDS))
    made[`${FOLDER}/grafana/dashboards/synod-${name}.json`] = dashboardText(dashboard);
  made[`${FOLDER}/prometheus/prometheus.yaml`] = prometheusConfig({
    cluster: 'local',
    targets: layout({ acceptors: 3, proposers: 2, learners: 2 }, 7_000, '').map(({ http }) => http),
    ruleFiles: 'rules/*.yaml',
  });
  made[`${FOLDER}/prometheus/prometheus-rule.yaml`] = prometheusRule(read);
  made[PAGE] = withParts(read(PAGE), { metrics: await metricTable(), alerts: alertTable(read) });
  return made;
}

/** JSON with small objects on one line: to be read in a difference, and to fit into one ConfigMap with the others. */
function dashboardText(dashboard: Dashboard): string {
  const text = JSON.stringify(dashboard, null, 1);
  return `${text.replaceAll(/([[{])\n\s*([^[\]{}]{1,100}?)\n\s*([\]}])/g, (_, open: string, inner: string, close: string) => `${open} ${inner.replaceAll(/\n\s*/g, ' ')} ${close}`)}\n`;
}

/** The rules as an object of the Prometheus operator. */
function prometheusRule(read: (path: string) => string): string {
  const rule = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'synod', labels: { 'app.kubernetes.io/part-of': 'synod' } },
    spec: { groups: readRules(read) },
  };
  return `# Made from rules/*.yaml by npm run dashboards.\n${stringify(rule, { lineWidth: 0 })}`;
}

/** A page with the text between `<!-- NAME: made … -->` and `<!-- /NAME -->` made anew. Throws where a mark is missing. */
export function withParts(page: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const marks = new RegExp(`(<!-- ${name}: [^>]*-->\n)[\\s\\S]*?(<!-- /${name} -->)`);
    if (!marks.test(text)) throw new Error(`${PAGE} has no marks <!-- ${name}: made by … --> and <!-- /${name} -->`);
    return text.replace(marks, (_, begin: string, end: string) => `${begin}\n${part}\n${end}`);
  }, page);
}
