import { randomBytes } from 'node:crypto';
import { formatHex } from '@sallyport/channel';
import { median } from '../report.ts';
import type { Bench, Measured, Work } from '../work.ts';

const CHANNELS = 64;
const PERCENT_99 = 0.99;

/** Revokes one session after the other while all of them are asked for pages as fast as they answer. */
async function measure({ gateway, load }: Bench): Promise<Measured> {
  const sessions = await gateway.sessions(CHANNELS);
  await load.open(gateway.lanes(sessions, 1));
  await load.watchEnd();
  const traffic = load.closed(2, 500 + CHANNELS * 150);
  const asked: number[] = [];
  const answered: number[] = [];
  for (const { sid } of sessions) {
    asked.push(performance.timeOrigin + performance.now());
    const body = { kind: 'session', subject: formatHex(sid), reason: 'bench' };
    await gateway.operator.call('PUT', `/v1/revocations/${randomBytes(16).toString('hex')}`, body);
    answered.push(performance.timeOrigin + performance.now());
  }
  await traffic;
  const ends = [...(await load.close()).ends].sort((a, b) => a - b);
  if (ends.length !== CHANNELS) throw new Error(`${ends.length} of ${CHANNELS} channels ended`);
  const delays = ends.map((end, i) => end - asked[i]!).sort((a, b) => a - b);
  const late = ends.filter((end, i) => end > answered[i]! + 1).length;
  const note = `p50 ${median(delays).toFixed(1)} ms, at most ${delays.at(-1)!.toFixed(1)} ms; ${late} of ${CHANNELS} heard of it only after the answer to the revocation`;
  return { value: delays[Math.ceil(delays.length * PERCENT_99) - 1]!, note };
}

/** W7: from asking for a revocation to the end of the channel, under traffic. */
export const revocation: Work = {
  name: 'W7',
  title: 'Revocation under traffic',
  goals: [],
  lines: (bench) => [
    {
      subject: bench.gateway.subject(1).name,
      variant: 'revoke a session',
      unit: 'ms to the last byte, p99',
      measure: () => measure(bench),
    },
  ],
};
