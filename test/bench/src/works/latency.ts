import { NO_ROOM } from '../load/lane.ts';
import type { Subject } from '../subject.ts';
import { allRight, type Bench, type Line, type Work } from '../work.ts';

const LANES = 64;
const IN_FLIGHT = 8;
const WARM_MS = 3_000;
const CAPACITY_MS = 3_000;
const FOR_MS = 8_000;
const LOADS = [25, 50, 75] as const;

function lineOf(bench: Bench, subject: Subject, part: number, capacities: Map<string, number>): Line {
  const { load, scale } = bench;
  return {
    subject: subject.name,
    variant: `${part} % of capacity`,
    unit: 'ms, p99',
    async measure() {
      await load.open(await subject.lanes(LANES, IN_FLIGHT));
      let capacity = capacities.get(subject.name);
      if (capacity === undefined) {
        await load.closed(2, WARM_MS * scale);
        const { done, wallMs } = await load.closed(2, CAPACITY_MS * scale);
        capacity = (done / wallMs) * 1000;
        capacities.set(subject.name, capacity);
      }
      const outcome = await load.paced((capacity * part) / 100, FOR_MS * scale);
      await load.close();
      const { [NO_ROOM]: unsent = 0, ...wrong } = outcome.problems;
      allRight({ ...outcome, problems: wrong });
      const [p50, p99, p999] = [50, 99, 99.9].map((at) => outcome.latency.percentile(at) / 1000);
      const rate = Math.round((capacity * part) / 100);
      const note = `p50 ${p50!.toFixed(2)}, p99.9 ${p999!.toFixed(2)} ms at ${rate}/s${unsent > 0 ? `, ${unsent} found no room` : ''}`;
      return { value: p99!, note };
    },
  };
}

/** W5: latency at a fixed rate, counted from when a request was due. */
export const latency: Work = {
  name: 'W5',
  title: 'Latency of a 1 KiB GET at a fixed rate',
  goals: [],
  lines(bench) {
    const { gateway, peers } = bench;
    const capacities = new Map<string, number>();
    const subjects = [gateway.subject(1), peers.nginxCached, peers.nginxTls, peers.haproxy, peers.direct];
    return LOADS.flatMap((part) => subjects.map((subject) => lineOf(bench, subject, part, capacities)));
  },
};
