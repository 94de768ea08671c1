/** The configuration of a Prometheus for a cluster on this machine. */
import { stringify } from 'yaml';

export interface PrometheusConfig {
  /** The label `cluster` of every series. */
  readonly cluster: string;
  /** `127.0.0.1:8101`, … */
  readonly targets: readonly string[];
  /** A path with `*`, absolute or from the folder of the configuration. */
  readonly ruleFiles: string;
  /** Seconds between two scrapes, and between two evaluations of the rules. Default 5. */
  readonly intervalSeconds?: number;
}

/** The text of `prometheus.yaml`. */
export function prometheusConfig({ cluster, targets, ruleFiles, intervalSeconds = 5 }: PrometheusConfig): string {
  const interval = `${String(intervalSeconds)}s`;
  const config = {
    global: { scrape_interval: interval, evaluation_interval: interval, scrape_timeout: interval },
    rule_files: [ruleFiles],
    scrape_configs: [
      {
        // Rules look for the job `synod`. `role` and `id` are on every series already.
        job_name: 'synod',
        static_configs: [{ targets: [...targets], labels: { cluster } }],
      },
    ],
  };
  const what =
    '# For the cluster of npm start, with its default members and ports. Made by npm run dashboards; npm run monitor makes its\n' +
    '# own for the members that it finds. Alerts are shown by Prometheus itself (/alerts): there is no Alertmanager here.\n';
  return `${what}${stringify(config)}`;
}
