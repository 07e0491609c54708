import type { Subject } from '../subject.ts';
import { against, type Bench, cpuOf, fewRefused, type Line, type Work } from '../work.ts';

const FOR_MS = 4_000;
const WARM_MS = 1_500;
const SHAPES = [
  { lanes: 64, inFlight: 1 },
  { lanes: 512, inFlight: 1 },
  { lanes: 64, inFlight: 8 },
] as const;
const variantOf = ({ lanes, inFlight }: { lanes: number; inFlight: number }): string =>
  `${lanes} channels, ${inFlight} in flight`;

function lineOf({ load, scale }: Bench, subject: Subject, shape: (typeof SHAPES)[number]): Line {
  return {
    subject: subject.name,
    variant: variantOf(shape),
    unit: 'CPU µs per request',
    async measure() {
      await load.open(await subject.lanes(shape.lanes, shape.inFlight));
      await load.closed(shape.inFlight, WARM_MS * scale);
      const { cpuMicros, result } = await cpuOf(subject, () => load.closed(shape.inFlight, FOR_MS * scale));
      await load.close();
      const refused = fewRefused(result);
      const perSecond = Math.round((result.done / result.wallMs) * 1000);
      const [p50, p99] = [50, 99].map((part) => (result.latency.percentile(part) / 1000).toFixed(1));
      const note = `${perSecond}/s, p50 ${p50} ms, p99 ${p99} ms`;
      return { value: cpuMicros / result.done, note: refused > 0 ? `${note}, ${refused} refused` : note };
    },
  };
}

/** W1: small requests over standing channels, closed loop. */
export const small: Work = {
  name: 'W1',
  title: '1 KiB GET over standing channels',
  goals: SHAPES.map(variantOf).flatMap((variant) => [
    against(variant, 'nginx TLS + auth_request, cached 10 s', { atMost: 1 }),
    against(variant, 'nginx TLS + auth_request', { atMost: 0.5 }),
    against(variant, 'fastify + reply-from TLS', { atMost: 0.4 }),
  ]),
  lines(bench) {
    const { gateway, peers } = bench;
    const subjects = [
      gateway.subject(1),
      gateway.subject(2),
      peers.nginxCached,
      peers.nginxAuth,
      peers.nginxTls,
      peers.nginxPlain,
      peers.haproxy,
      peers.replyFrom,
    ];
    return SHAPES.flatMap((shape) => subjects.map((subject) => lineOf(bench, subject, shape)));
  },
};
