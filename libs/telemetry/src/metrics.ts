import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Metrics of one process, in the Prometheus text format. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
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
