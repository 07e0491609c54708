import { TestAuthority } from '@sallyport/support';
import { expect, test } from 'vitest';
import { endWords, lifeOf } from '../src/index.ts';

const DAY = 86_400_000;
const begins = Date.UTC(2027, 0, 1);
const corp = await TestAuthority.create('Corp CA');

test.each([
  ['of a year, two weeks before', 365, 14],
  ['of forty days, a quarter of its life before', 40, 10],
  ['of two days, twelve hours before', 2, 0.5],
])('the end of a certificate %s, is told', async (_what, days, before) => {
  const until = begins + days * DAY;
  const life = lifeOf((await corp.issue({ names: ['a'], from: begins, until })).certificate);
  expect(endWords(life, until - before * DAY - 1)).toBeUndefined();
  expect(endWords(life, until - before * DAY)).toMatch(/^ends at 20.* in (14 days|10 days|12 hours)$/);
  expect(endWords(life, until)).toMatch(/^is over since 20/);
});

test('of a CA it is told half a year before', () => {
  const { endsAt, warnsAt } = lifeOf(corp.certificate);
  expect(endsAt - warnsAt).toBe(180 * DAY);
});
