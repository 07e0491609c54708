import { expect, test } from 'vitest';
import { remoteError } from '../../src/errors.ts';
import { Repeats } from '../../src/streams/repeats.ts';

/** Repeats that wait for nothing. */
const atOnce = (): Repeats => new Repeats(async () => undefined);
const GET = { method: 'GET', body: undefined };

/** How often each of some requests was sent, by a gateway that always says the same. */
async function sent(repeats: Repeats, code: 'CALM_DOWN' | 'DRAINING' | 'RESOURCE_UNKNOWN', requests: number) {
  let count = 0;
  for (let i = 0; i < requests; i++) {
    const asked = repeats.sending(GET, async () => {
      count += 1;
      throw remoteError(code);
    });
    await expect(asked).rejects.toMatchObject({ code });
  }
  return count;
}

test('a passing fault is met by three more tries, any other by none', async () => {
  expect(await sent(atOnce(), 'DRAINING', 2)).toBe(8);
  expect(await sent(atOnce(), 'RESOURCE_UNKNOWN', 2)).toBe(2);
});

test('told to calm down, a device repeats ten requests at once and a tenth of those that follow, for as long as it lives', async () => {
  const repeats = atOnce();
  expect(await sent(repeats, 'CALM_DOWN', 10)).toBeLessThanOrEqual(21);
  expect((await sent(repeats, 'CALM_DOWN', 1_000)) - 1_000).toBeGreaterThanOrEqual(95);
  for (let i = 0; i < 100; i++) await repeats.sending(GET, async () => undefined);
  expect(await sent(repeats, 'CALM_DOWN', 3)).toBeGreaterThanOrEqual(12);
});
