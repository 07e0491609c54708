import { expect, test } from 'vitest';
import { fuzz } from '../src/fuzz.ts';

const ROUNDS = 5_000;

test('no bytes of devices, backends and strangers end a process, or give anybody another one’s answer', async () => {
  const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 30);
  process.stdout.write(`seed ${seed} (repeat with TEST_SEED=${seed})\n`);
  const { problems, channels, reached, honest } = await fuzz({ rounds: ROUNDS, seed });
  expect(problems).toEqual([]);
  expect(channels).toBeGreaterThan(10);
  expect(reached.webSockets).toBeGreaterThan(50);
  expect(reached.messages).toBeGreaterThan(500);
  for (const { right } of honest) expect(right).toBeGreaterThan(0);
}, 300_000);
