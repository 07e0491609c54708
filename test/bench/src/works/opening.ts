import type { LaneKind } from '../load/lane.ts';
import type { Subject } from '../subject.ts';
import { against, allRight, type Bench, cpuOf, type Line, OURS, sharesOf, type Work } from '../work.ts';

const COUNT = 1_000;
const PARALLEL = 32;
const LOGINS = 400;
const UNIT = 'CPU µs each';

function reopenLine(bench: Bench, subject: Subject, variant: string, options: { resumed?: boolean } = {}): Line {
  return {
    subject: subject.name,
    variant,
    unit: UNIT,
    async measure() {
      const lanes: LaneKind = await subject.lanes(PARALLEL * 4, 1);
      const count = COUNT * bench.scale;
      await bench.load.reopen(lanes, { count: count / 4, parallel: PARALLEL, ...options });
      const { cpuMicros, parts, result } = await cpuOf(subject, () =>
        bench.load.reopen(lanes, { count, parallel: PARALLEL, ...options }),
      );
      allRight(result);
      const [p50, p99] = [50, 99].map((part) => (result.latency.percentile(part) / 1000).toFixed(1));
      const shares = sharesOf(parts, result.done);
      return { value: cpuMicros / result.done, note: `p50 ${p50} ms, p99 ${p99} ms at ${PARALLEL} at once${shares}` };
    },
  };
}

function loginLine(bench: Bench, withPassword: boolean): Line {
  const { gateway } = bench;
  const subject = gateway.subject(1);
  return {
    subject: subject.name,
    variant: withPassword ? 'login with password' : 'login without password',
    unit: UNIT,
    async measure() {
      await gateway.operator.call('PATCH', '/v1/realm', { loginNeedsPassword: withPassword });
      const devices = await Promise.all(Array.from({ length: 8 }, () => gateway.device()));
      const count = Math.ceil((LOGINS * bench.scale) / devices.length);
      await Promise.all(devices.map(({ login }) => login(withPassword)));
      const { cpuMicros, parts } = await cpuOf(subject, () =>
        Promise.all(
          devices.map(async ({ login }) => {
            for (let i = 0; i < count; i++) await login(withPassword);
          }),
        ),
      );
      for (const { device } of devices) device.close();
      const logins = count * devices.length;
      return { value: cpuMicros / logins, note: `with the first channel${sharesOf(parts, logins)}` };
    },
  };
}

/** W4: what it costs to come in. */
export const opening: Work = {
  name: 'W4',
  title: 'Login, and opening a channel on a live session',
  goals: [
    against('open', 'nginx TLS', { atMost: 0.6 }),
    against('open', 'nginx TLS, RSA', { atMost: 0.6 }),
    {
      title: 'login without password by a full handshake of nginx TLS',
      above: { subject: OURS, variant: 'login without password' },
      below: { subject: 'nginx TLS', variant: 'open' },
      atMost: 2,
    },
  ],
  lines(bench) {
    const { gateway, peers } = bench;
    return [
      reopenLine(bench, gateway.subject(1), 'open'),
      reopenLine(bench, peers.nginxTls, 'open'),
      reopenLine(bench, peers.nginxRsa, 'open'),
      reopenLine(bench, peers.haproxy, 'open'),
      reopenLine(bench, peers.nginxTls, 'resumed', { resumed: true }),
      loginLine(bench, false),
      loginLine(bench, true),
    ];
  },
};
