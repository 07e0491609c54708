import { sealedStore } from '@sallyport/access';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startDatabase } from '../../../libs/store-sql/test/real-postgres.ts';
import { groundOn, parallelScene } from './parallel-scene.ts';

/** Pairs of changes that a run tries; all of them are tried in memory. */
const PAIRS = 16;
/** How often two run at the same moment: which one is first, and where they meet, is up to the database. */
const TRIES = 3;

const { store } = await startDatabase();
const forged: unknown[] = [];
const { operations, inOrder, interleavings, atOnce } = await parallelScene(({ keyring }) =>
  groundOn(sealedStore(store.in('main'), keyring, (row) => forged.push(row))),
);
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const names = Object.keys(operations);

test('on PostgreSQL, with its locks, two changes are as if one had come after the other, too', async () => {
  console.log(`seed ${seed} (repeat with SEED=${seed})`);
  const name = fc.constantFrom(...names);
  for (const [one, other] of fc.sample(fc.tuple(name, name), { seed, numRuns: PAIRS })) {
    const [first, second] = [operations[one]!, operations[other]!];
    const serial = [await inOrder(first, second, false), await inOrder(second, first, true)];
    for (let i = 0; i < TRIES; i++)
      expect(serial, `${one} together with ${other}`).toContain(await atOnce(first, second));
    for (const [at, outcome] of await interleavings(first, second))
      expect(serial, `${other} before transaction ${at} of ${one}`).toContain(outcome);
  }
  expect(forged).toEqual([]);
}, 300_000);
