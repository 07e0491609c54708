import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Values of labels by their names. */
type Labels = Readonly<Record<string, string>>;

/** How often something happened. Whoever counts adds to it. */
export interface Tally {
  count: number;
}

/** Metrics of one process, in the Prometheus text format. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  /**
   * A counter of what happens at every request: counting is an addition. The caller keeps what `labelled` gave, for labels of few
   * values.
   */
  tally(name: string, help: string, labels: readonly string[]): { labelled(labels: Labels): Tally };
  /** A value read whenever the metrics are asked for. */
  gauge(name: string, help: string, read: () => number): void;
  render(): Promise<string>;
  readonly contentType: string;
}

/** Creates an empty set with the metrics of the process itself. Labels must have few values. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  return {
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: [...labels], registers: [registry] }),
    tally: (name, help, labelNames) => {
      const tallies: { readonly labels: Labels; readonly tally: Tally }[] = [];
      new Counter({
        name,
        help,
        labelNames: [...labelNames],
        registers: [registry],
        collect() {
          this.reset();
          for (const { labels, tally } of tallies) this.inc(labels, tally.count);
        },
      });
      return {
        labelled(labels) {
          const tally = { count: 0 };
          tallies.push({ labels, tally });
          return tally;
        },
      };
    },
    gauge: (name, help, read) =>
      void new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      }),
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
