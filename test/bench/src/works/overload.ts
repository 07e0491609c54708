import type { Subject } from '../subject.ts';
import type { Bench, Line, Measured, Work } from '../work.ts';

const LANES = 256;
const IN_FLIGHT = 8;
const CAPACITY_MS = 5_000;
const OVERLOAD_MS = 60_000;
const AFTER_MS = 8_000;
const FACTOR = 2;
/** Load after the overload, by capacity, and what of it must be served for the gateway to count as recovered. */
const AFTER = 0.5;
const RECOVERED = 0.95;

async function measure({ load, scale }: Bench, subject: Subject): Promise<Measured> {
  await load.open(await subject.lanes(LANES, IN_FLIGHT));
  const calm = await load.closed(2, CAPACITY_MS * scale);
  const capacity = (calm.done / calm.wallMs) * 1000;
  const memoryBefore = subject.memoryMiB();
  let peakMiB = memoryBefore;
  const watch = setInterval(() => {
    peakMiB = Math.max(peakMiB, subject.memoryMiB());
  }, 1_000);
  const storm = await load.paced(capacity * FACTOR, OVERLOAD_MS * scale);
  clearInterval(watch);
  const after = await load.paced(capacity * AFTER, AFTER_MS);
  await load.close();
  const wanted = capacity * AFTER * RECOVERED;
  const recovered = after.perSecond.findIndex((count) => count >= wanted);
  const p99 = storm.latency.percentile(99) / 1000;
  const refused = Object.entries(storm.problems)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
  const note = [
    `capacity ${Math.round(capacity)}/s`,
    `p99 of the accepted ${p99.toFixed(0)} ms`,
    `memory ${memoryBefore.toFixed(0)} to ${peakMiB.toFixed(0)} MiB`,
    recovered < 0 ? 'not recovered' : `recovered within ${recovered + 1} s`,
    `refused: ${refused || 'none'}`,
  ].join('; ');
  return { value: (100 * storm.done) / (storm.wallMs / 1000) / capacity, note };
}

/** W8: twice as much as can be done, for a minute. */
export const overload: Work = {
  name: 'W8',
  title: 'Twice the capacity for a minute',
  once: true,
  goals: [],
  lines(bench) {
    const { gateway, peers } = bench;
    const lineOf = (subject: Subject): Line => ({
      subject: subject.name,
      variant: 'goodput',
      unit: '% of capacity',
      measure: () => measure(bench, subject),
    });
    return [gateway.subject(1), peers.nginxCached].map(lineOf);
  },
};
