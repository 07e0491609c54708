import { once } from 'node:events';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { Downloads } from '../../src/updates/downloads.ts';

test('an installation has four downloads at a time, and others have theirs', async () => {
  const downloads = new Downloads();
  const open = (): Readable => Readable.from(['x']);
  const [first] = Array.from({ length: 4 }, () => downloads.begin('ada', open));
  const refused = { code: 'ERR_SECURITY_SLOW' };
  expect(() => downloads.begin('ada', open)).toThrow(expect.objectContaining(refused));
  downloads.begin('bob', open);
  first!.destroy();
  await once(first!, 'close');
  downloads.begin('ada', open);
  expect(() => downloads.begin('ada', open)).toThrow(expect.objectContaining(refused));
});
