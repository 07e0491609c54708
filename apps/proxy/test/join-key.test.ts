import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { keptJoinKey } from '../src/join-key.ts';

test('a Proxy whose join was broken off asks with the same key again, and never with that of an identity which it had', async () => {
  const file = join(scratchFolder(), 'identity.json');
  const key = await keptJoinKey(file);
  expect(await keptJoinKey(file)).toBe(key);
  expect(await keptJoinKey(file, 'another key')).toBe(key);
  // The join was finished, and the power failed before the file was gone.
  const next = await keptJoinKey(file, key);
  expect(next).not.toBe(key);
  expect(await keptJoinKey(file, key)).toBe(next);
});
