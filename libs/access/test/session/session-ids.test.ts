import { expect, test } from 'vitest';
import { createKeyring, isOurSession, newSessionId } from '../../src/index.ts';
import { scene } from '../scene.ts';

test('ids of sessions show that their realm made them, also after a change of keys, and no byte of one may change', async () => {
  const { access } = await scene();
  const other = (await scene('other')).access;
  const sid = newSessionId(access);
  expect(sid).toHaveLength(16);
  expect(isOurSession(access, sid)).toBe(true);
  expect(isOurSession(other, sid)).toBe(false);
  for (let at = 0; at < sid.length; at++)
    expect(isOurSession(access, sid.with(at, sid[at]! ^ 1)), `byte ${at}`).toBe(false);
  for (const junk of [new Uint8Array(0), sid.subarray(1), Uint8Array.of(...sid, 0)])
    expect(isOurSession(access, junk)).toBe(false);
  const [first, second] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const turned = createKeyring(access.crypto, new Map([[2, second]]), 2, new Map([[1, first]]));
  expect(isOurSession({ ...access, keyring: turned }, sid)).toBe(true);
  expect(newSessionId(access)).not.toEqual(sid);
});
