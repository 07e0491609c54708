import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { KeptText } from '../src/kept-text.ts';

test('what Security said last of its database is there in the next run', async () => {
  const file = join(scratchFolder(), 'witness');
  const kept = new KeptText(file, () => undefined);
  expect(kept.read()).toBeUndefined();
  for (let i = 0; i < 50; i++) kept.keep(`said.${i}`);
  await expect.poll(() => new KeptText(file, () => undefined).read()).toBe('said.49');
});

test('a disk that takes nothing is said, and no more', async () => {
  const troubles: unknown[] = [];
  const kept = new KeptText('/proc/sallyport/witness', (error) => void troubles.push(error));
  kept.keep('said.1');
  await expect.poll(() => troubles.length).toBe(1);
});
