import { expect, test } from 'vitest';
import { runSeed } from '../src/run.ts';

const FIRST = process.env['SEED'] === undefined ? (Math.random() * 2 ** 30) | 0 : Number(process.env['SEED']);
const SEEDS = 600;
process.stdout.write(`simulation: seeds from ${FIRST} on (repeat with SEED=${FIRST})\n`);

test('under faults of every kind no request is served after the acknowledgement of its revocation', async () => {
  let acknowledged = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const run = await runSeed(seed);
    expect(run.late, `seed ${seed}: npm run simulate -- --seed ${seed}`).toEqual([]);
    acknowledged += run.acknowledged.length;
  }
  expect(acknowledged).toBeGreaterThan(SEEDS);
}, 300_000);

test('a seed gives the same run each time', async () => {
  expect(await runSeed(FIRST)).toEqual(await runSeed(FIRST));
});

test.each(['waiting', 'drift guard', 'new epoch'] as const)(
  'without the %s it would be noticed',
  async (omit) => {
    let failing = 0;
    for (let seed = FIRST; failing === 0 && seed < FIRST + 4_000; seed++)
      failing += (await runSeed(seed, { omit })).late.length;
    expect(failing).toBeGreaterThan(0);
  },
  300_000,
);
