/**
 * Metrics of one process. The only file that knows prom-client, which has a successor that needs a newer Node.
 *
 * Every series exists from the start, at zero, for all label values that are given: a rate over a series that appears with its
 * first event would miss that event. Labels have few values, never a key, a slot or a log's name.
 */
import { assert } from '../../base/assert.ts';
import {
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
  collectDefaultMetrics,
} from 'prom-client';

/** For each label the values it will ever have. */
export type LabelValues = Readonly<Record<string, readonly string[]>>;
export type Labels<L extends LabelValues> = { readonly [K in keyof L]: L[K][number] };

export interface Counter<L extends LabelValues> {
  inc(labels: Labels<L>, by?: number): void;
}

export interface Gauge<L extends LabelValues> {
  set(labels: Labels<L>, value: number): void;
}

export interface Histogram<L extends LabelValues> {
  /** On hot paths once per batch: an observation costs about 300 ns. */
  observe(labels: Labels<L>, value: number): void;
}

/** Seconds from 100 µs to 10 s, three a decade. */
export const LATENCY_BUCKETS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** Counts of things that go together, from 1 to 1,000. */
export const BATCH_BUCKETS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

export class Metrics {
  readonly #registry = new Registry();
  /** The role whose metrics these are; their names begin with `synod_ROLE_`. */
  readonly role: string;

  /** `role` and `id` are on every series, so that one scrape of several processes stays apart. */
  constructor(process: { readonly role: string; readonly id: number }) {
    this.role = process.role;
    this.#registry.setDefaultLabels({ role: process.role, id: String(process.id) });
    collectDefaultMetrics({ register: this.#registry });
  }

  counter<const L extends LabelValues>(name: string, help: string, labels: L): Counter<L> {
    const inner = new PromCounter({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
    for (const each of combinations(labels)) inner.inc(each, 0);
    return {
      inc: (of, by = 1) => {
        inner.inc(of, by);
      },
    };
  }

  gauge<const L extends LabelValues>(name: string, help: string, labels: L): Gauge<L> {
    const inner = new PromGauge({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
    for (const each of combinations(labels)) inner.set(each, 0);
    return {
      set: (of, value) => {
        inner.set(of, value);
      },
    };
  }

  /** A gauge that is asked for its value when it is scraped. */
  gaugeOf(name: string, help: string, read: () => number | Promise<number>): void {
    const inner: PromGauge = new PromGauge({
      name,
      help,
      registers: [this.#registry],
      collect: async () => {
        inner.set(await read());
      },
    });
  }

  /** A gauge with one label, each of its values asked for when it is scraped. */
  gaugesOf(name: string, help: string, label: string, reads: Readonly<Record<string, () => number>>): void {
    const inner: PromGauge = new PromGauge({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect: () => {
        for (const [value, read] of Object.entries(reads)) inner.set({ [label]: value }, read());
      },
    });
  }

  histogram<const L extends LabelValues>(
    name: string,
    help: string,
    labels: L,
    buckets = LATENCY_BUCKETS,
  ): Histogram<L> {
    const inner = new PromHistogram({
      name,
      help,
      labelNames: Object.keys(labels),
      buckets: [...buckets],
      registers: [this.#registry],
    });
    for (const each of combinations(labels)) inner.zero(each);
    return {
      observe: (of, value) => {
        inner.observe(of, value);
      },
    };
  }

  /** The text of a scrape. */
  scrape(): Promise<string> {
    return this.#registry.metrics();
  }

  /** What the metrics that are named say now, for a status: sums over the series that have these label values. */
  async activity(of: ActivityNames): Promise<ActivityNow> {
    const tallies = Object.entries(of.tallies).map(async ([name, [metric, labels]]) => {
      const values = await this.#values(metric, labels);
      return { name, count: values.reduce((sum, { value }) => sum + value, 0) };
    });
    const times = Object.entries(of.times).map(async ([name, [metric, labels]]) => ({
      name,
      ...timesOf(await this.#values(metric, labels)),
    }));
    return { tallies: await Promise.all(tallies), times: await Promise.all(times) };
  }

  async #values(metric: string, labels: Readonly<Record<string, string>>): Promise<Series[]> {
    const found = this.#registry.getSingleMetric(metric);
    assert(found !== undefined, 'metrics', () => `there is no metric ${metric}`);
    const { values } = (await found.get()) as { values: Series[] };
    return values.filter((each) => Object.entries(labels).every(([name, value]) => each.labels[name] === value));
  }

  /** The media type of that text. */
  get contentType(): string {
    return this.#registry.contentType;
  }
}

/** Under the name that a status gives it: a metric and the label values that count. */
type Named = Readonly<Record<string, readonly [metric: string, labels: Readonly<Record<string, string>>]>>;

/** Counters and histograms of seconds that a status shows. */
export interface ActivityNames {
  readonly tallies: Named;
  readonly times: Named;
}

/** As `Activity` in `common.proto`. */
export interface ActivityNow {
  readonly tallies: { readonly name: string; readonly count: number }[];
  readonly times: { readonly name: string; readonly boundsUs: number[]; readonly counts: number[] }[];
}

interface Series {
  readonly value: number;
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
}

/** The buckets of a histogram, added up over its series: a count for each bound, of what lies between it and the one before. */
function timesOf(series: readonly Series[]): { boundsUs: number[]; counts: number[] } {
  const upTo = new Map<number, number>();
  for (const { metricName = '', labels, value } of series) {
    if (!metricName.endsWith('_bucket')) continue;
    const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
    upTo.set(bound, (upTo.get(bound) ?? 0) + value);
  }
  const bounds = [...upTo.keys()].sort((a, b) => a - b);
  return {
    boundsUs: bounds.filter(Number.isFinite).map((bound) => Math.round(bound * 1e6)),
    counts: bounds.map((bound, at) => (upTo.get(bound) ?? 0) - (at === 0 ? 0 : (upTo.get(bounds[at - 1] ?? 0) ?? 0))),
  };
}

/** Every combination of label values; one without labels for a metric that has none. */
function combinations(labels: LabelValues): Record<string, string>[] {
  return Object.entries(labels).reduce<Record<string, string>[]>(
    (made, [name, values]) => made.flatMap((each) => values.map((value) => ({ ...each, [name]: value }))),
    [{}],
  );
}
