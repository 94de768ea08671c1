/** All metrics of all roles, by the very registries that the roles fill. */
import { acceptorMetrics, callMetrics } from '../../services/acceptor/metrics.ts';
import { LearnerMetrics } from '../../services/learner/metrics.ts';
import { proposerMetrics } from '../../services/proposer/metrics.ts';
import { exposeProcess } from '../../shared/platform/admin/http.ts';
import { realClock } from '../../shared/platform/clock.ts';
import { Faults } from '../../shared/platform/faults/faults.ts';
import { EventLoop } from '../../shared/platform/telemetry/event-loop.ts';
import { createLogger } from '../../shared/platform/telemetry/logger.ts';
import { Metrics } from '../../shared/platform/telemetry/metrics.ts';
import { Tracing } from '../../shared/platform/tracing.ts';

export const ROLES = ['proposer', 'acceptor', 'learner'] as const;
type Role = (typeof ROLES)[number];

export interface Metric {
  /** Without `_bucket`, `_sum`, `_count`. */
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Without `role` and `id`, which every series has, and `le`. */
  readonly labels: readonly string[];
  readonly role: Role;
}

/** Every metric whose name begins with `synod_`, in the order in which a role makes them. */
export async function catalogue(): Promise<Metric[]> {
  const all = await Promise.all(ROLES.map(async (role) => readScrape(await scrapeOf(role), role)));
  return all.flat();
}

async function scrapeOf(role: Role): Promise<string> {
  const metrics = new Metrics({ role, id: 1 });
  // Values do not matter here: only names, texts and labels are read.
  const zero = new Proxy({}, { get: () => () => 0 });
  if (role === 'acceptor') {
    acceptorMetrics(metrics).gauges(zero as Parameters<ReturnType<typeof acceptorMetrics>['gauges']>[0]);
    callMetrics(metrics);
  } else if (role === 'proposer')
    proposerMetrics(metrics, [1]).gauges(zero as Parameters<ReturnType<typeof proposerMetrics>['gauges']>[0]);
  else new LearnerMetrics(metrics, [1], zero as ConstructorParameters<typeof LearnerMetrics>[2]);
  const self = { cluster: '', configuration: '', role, id: 1, incarnation: undefined } as const;
  const log = createLogger({ role, id: 1, level: 'silent' });
  new Tracing({ self, log, metrics });
  new Faults({ on: false, self, log, metrics });
  new EventLoop(realClock, role, metrics).stop();
  exposeProcess(metrics, () => 0);
  return metrics.scrape();
}

/** The metrics of a scrape by their HELP and TYPE lines, with the labels of their series. */
export function readScrape(text: string, role: Role): Metric[] {
  const found: Metric[] = [];
  for (const [, name = '', help = ''] of text.matchAll(/^# HELP (synod_\S+) (.*)$/gm)) {
    const type = new RegExp(`^# TYPE ${name} (\\w+)$`, 'm').exec(text)?.[1] ?? '';
    const series = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, 'm').exec(text)?.[1] ?? '';
    const labels = [...series.matchAll(/(\w+)="/g)].map(([, label = '']) => label);
    found.push({ name, type, help, role, labels: labels.filter((each) => !['le', 'role', 'id'].includes(each)) });
  }
  return found;
}
