import { randomBytes } from 'node:crypto';
import { allRight, type Bench, cpuOf, type Line, type Measured, OURS, sharesOf, type Work } from '../work.ts';

const SIZES = [1_000, 100_000, 1_000_000] as const;
const LIVE = 128;
const COUNT = 1_000;
const PARALLEL = 32;
const FLAT = 1.5;
const variantOf = (size: number): string => `${size.toLocaleString('en')} sessions`;

/** Fills the table up with copies of one row that differ in their id. */
async function fill({ gateway, say }: Bench, size: number): Promise<void> {
  const [row] = await gateway.sql<{ count: number }>(
    'select count(*)::int as count from sessions where ended_at is null',
  );
  const missing = size - row!.count;
  say(`writing ${Math.max(0, missing)} sessions …`);
  for (let left = missing; left > 0; left -= 50_000) {
    await gateway.sql(
      `insert into sessions (realm, id, installation_id, user_id, secret, app, created_at, expires_at, chan_no)
       select realm, md5(random()::text || i), installation_id, user_id, secret, app,
         (extract(epoch from clock_timestamp()) * 1000)::bigint, expires_at, 0
       from (select * from sessions limit 1) as one, generate_series(1, ${Math.min(left, 50_000)}) as i`,
    );
  }
  await gateway.sql('analyze sessions');
}

async function authorisations(bench: Bench, size: number): Promise<Measured> {
  const { gateway, load, scale } = bench;
  const subject = gateway.subject(1);
  const sessions = await gateway.sessions(LIVE);
  await fill(bench, size);
  const lanes = gateway.lanes(sessions, 1);
  await load.reopen(lanes, { count: COUNT / 4, parallel: PARALLEL });
  const count = COUNT * scale;
  const { parts, result } = await cpuOf(subject, () => load.reopen(lanes, { count, parallel: PARALLEL }));
  allRight(result);
  const p99 = result.latency.percentile(99) / 1000;
  const { Security = 0, database = 0 } = parts;
  const note = `p99 ${p99.toFixed(1)} ms at ${PARALLEL} at once${sharesOf(parts, result.done)}`;
  return { value: (Security + database) / result.done, note };
}

async function revokeEverything({ gateway }: Bench): Promise<Measured> {
  const start = performance.now();
  const body = { kind: 'before', subject: 'now', reason: 'bench' };
  const answer = await gateway.operator.call('PUT', `/v1/revocations/${randomBytes(16).toString('hex')}`, body);
  if (answer['inForce'] !== true) throw new Error('the revocation is not in force');
  return { value: performance.now() - start, note: 'until it is in force on every Proxy' };
}

/** W10: Security with many sessions in its database. */
export const sessions: Work = {
  name: 'W10',
  title: 'Security with many sessions',
  once: true,
  lines(bench) {
    const subject = bench.gateway.subject(1).name;
    return SIZES.flatMap((size): Line[] => [
      {
        subject,
        variant: variantOf(size),
        unit: 'CPU µs of Security and database per authorisation',
        measure: () => authorisations(bench, size),
      },
      {
        subject,
        variant: `${variantOf(size)}, revoke everything`,
        unit: 'ms',
        measure: () => revokeEverything(bench),
      },
    ]);
  },
  goals: SIZES.slice(1).map((size) => ({
    title: `${variantOf(size)} by ${variantOf(SIZES[0])}`,
    above: { subject: OURS, variant: variantOf(size) },
    below: { subject: OURS, variant: variantOf(SIZES[0]) },
    atMost: FLAT,
  })),
};
