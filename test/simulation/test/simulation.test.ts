import { expect, test } from 'vitest';
import type { Omission } from '../src/omissions.ts';
import { runSeed } from '../src/run.ts';

const FIRST = process.env['SEED'] === undefined ? (Math.random() * 2 ** 30) | 0 : Number(process.env['SEED']);
const SEEDS = 200;
process.stdout.write(`simulation: seeds from ${FIRST} on (repeat with SEED=${FIRST})\n`);

/** For each rule seeds at which something is served late without it. */
const FAILING: Readonly<Record<Omission, readonly number[]>> = {
  waiting: [1],
  'drift guard': [10],
  'copy guard': [10],
  'new epoch': [1],
  claim: [12],
  authority: [370],
  'app of the grant': [2],
  'last look': [1],
  'late grants': [3],
  'begin anew': [4],
  'slow rights': [1],
  instance: [59],
  remembering: [30],
  witness: [27],
  'server run': [101_505, 120_845],
};

test('under faults of every kind no request is served after the acknowledgement of its revocation', async () => {
  let acknowledged = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const run = await runSeed(seed);
    expect(run.late, `seed ${seed}: npm run simulate -- --seed ${seed}`).toEqual([]);
    acknowledged += run.acknowledged.length;
  }
  expect(acknowledged).toBeGreaterThan(SEEDS);
}, 300_000);

test('a log that went back writes over nothing that the journal holds, so that its node notices', async () => {
  expect((await runSeed(173_704)).late).toEqual([]);
});

test('a seed gives the same run each time', async () => {
  expect(await runSeed(FIRST)).toEqual(await runSeed(FIRST));
});

const CASES = (Object.entries(FAILING) as [Omission, number[]][]).flatMap(([omit, seeds]) =>
  seeds.map((seed): [Omission, number] => [omit, seed]),
);

test.each(CASES)('without the rule "%s" seed %i serves what was revoked, with it nothing', async (omit, seed) => {
  expect((await runSeed(seed, { omit })).late).not.toEqual([]);
  expect((await runSeed(seed)).late).toEqual([]);
});
