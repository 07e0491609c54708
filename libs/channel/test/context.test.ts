import { expect, test } from 'vitest';
import { encodeCbor } from '../src/cbor.ts';
import { decodeContext, encodeContext } from '../src/context.ts';
import { CONTEXT } from './sample-context.ts';

test('an app context is read as it was written', () => {
  expect(decodeContext(encodeContext(CONTEXT))).toEqual(CONTEXT);
});

test('what a device does not know it leaves out, and everything but id and version may be', () => {
  const least = encodeCbor({ id: 'app', version: '1.0' });
  const unknown = { build: '', signer: new Uint8Array(0), os: '', osVersion: '', osPatch: '', model: '', sdk: '' };
  expect(decodeContext(least)).toEqual({ id: 'app', version: '1.0', posture: {}, ...unknown });
  expect(encodeContext({ ...CONTEXT, ...unknown }).length).toBeLessThan(encodeContext(CONTEXT).length);
  for (const missing of [{ id: 'app' }, { version: '1' }, {}])
    expect(() => decodeContext(encodeCbor(missing))).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_CBOR' }));
});
