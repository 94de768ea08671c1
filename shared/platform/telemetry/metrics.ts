/**
 * Metrics of one process. The only file that knows prom-client, which has a successor that needs a newer Node.
 *
 * Every series exists from the start, at zero, for all label values that are given: a rate over a series that appears with its
 * first event would miss that event. Labels have few values, never a key, a slot or a log's name.
 */
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

  /** `role` and `id` are on every series, so that one scrape of several processes stays apart. */
  constructor(process: { readonly role: string; readonly id: number }) {
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
  gaugeOf(name: string, help: string, read: () => number): void {
    const inner: PromGauge = new PromGauge({
      name,
      help,
      registers: [this.#registry],
      collect: () => {
        inner.set(read());
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

  /** The media type of that text. */
  get contentType(): string {
    return this.#registry.contentType;
  }
}

/** Every combination of label values; one without labels for a metric that has none. */
function combinations(labels: LabelValues): Record<string, string>[] {
  return Object.entries(labels).reduce<Record<string, string>[]>(
    (made, [name, values]) => made.flatMap((each) => values.map((value) => ({ ...each, [name]: value }))),
    [{}],
  );
}
