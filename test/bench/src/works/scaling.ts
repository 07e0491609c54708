import { allRight, type Bench, cpuOf, type Line, OURS, type Work } from '../work.ts';

const PROXIES = [1, 2, 4] as const;
const LANES = 128;
const IN_FLIGHT = 8;
const WARM_MS = 1_500;
const FOR_MS = 5_000;
const EFFICIENCY = 0.85;
const variantOf = (proxies: number): string => `${proxies} Proxies`;

function lineOf({ gateway, load, scale }: Bench, proxies: number): Line {
  const subject = gateway.subject(1);
  return {
    subject: subject.name,
    variant: variantOf(proxies),
    unit: 'CPU µs per request',
    async measure() {
      await gateway.useProxies(proxies);
      await load.open(await subject.lanes(LANES, IN_FLIGHT));
      await load.closed(IN_FLIGHT, WARM_MS * scale);
      const { cpuMicros, result } = await cpuOf(subject, () => load.closed(IN_FLIGHT, FOR_MS * scale));
      await load.close();
      await gateway.useProxies(1);
      allRight(result);
      const perSecond = Math.round((result.done / result.wallMs) * 1000);
      const cores = cpuMicros / 1000 / result.wallMs;
      return { value: cpuMicros / result.done, note: `${perSecond}/s on ${cores.toFixed(2)} cores` };
    },
  };
}

/** W9: several Proxies. Their work per request must not grow; the wall figure ends where the machine's cores do. */
export const scaling: Work = {
  name: 'W9',
  title: 'Several Proxies on one machine',
  lines: (bench) => PROXIES.map((proxies) => lineOf(bench, proxies)),
  goals: PROXIES.slice(1).map((proxies) => ({
    title: `CPU per request with 1 Proxy by that with ${proxies}`,
    above: { subject: OURS, variant: variantOf(1) },
    below: { subject: OURS, variant: variantOf(proxies) },
    atLeast: EFFICIENCY,
  })),
};
