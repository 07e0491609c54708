import { type BackupTarget, makeIdentity } from '@sallyport/backup';
import { expect, test } from 'vitest';
import { chooseExport } from '../../src/commands/restore-source.ts';

const [OLDER, NEWER] = ['20261126T141000Z-00000001', '20261126T141500Z-00000002'];
const KEYS = { current: 1, mac: () => new Uint8Array(), verifyMac: () => false, checkValue: () => undefined };

/** A target with two exports, each of which is asked for in vain. */
function silentTarget(code: string): { readonly target: BackupTarget; readonly asked: string[] } {
  const asked: string[] = [];
  const objects = [OLDER, NEWER].map((name) => ({ path: `main/${name}/manifest.json`, bytes: 1 }));
  const nothing = async (): Promise<void> => undefined;
  const target: BackupTarget = {
    description: 'a target',
    put: nothing,
    list: async () => objects,
    // biome-ignore lint/correctness/useYield: it gives nothing.
    async *get(path) {
      asked.push(path);
      throw Object.assign(new Error('nothing'), { code });
    },
    remove: nothing,
    close: nothing,
  };
  return { target, asked };
}

test('a target that does not answer makes nobody restore an older export; what is not there is passed over', async () => {
  const identity = await makeIdentity('officer');
  const choice = { realm: 'main', which: 'newest', before: undefined, keys: KEYS, identity };
  for (const code of ['ERR_TARGET_SLOW', 'ERR_TARGET_GONE', 'ERR_TARGET_DENIED']) {
    const { target, asked } = silentTarget(code);
    await expect(chooseExport(target, choice)).rejects.toMatchObject({ code });
    expect(asked).toEqual([`main/${NEWER}/manifest.json`]);
  }
  const { target, asked } = silentTarget('ERR_TARGET_MISSING');
  await expect(chooseExport(target, choice)).rejects.toMatchObject({ code: 'ERR_TARGET_MISSING' });
  expect(asked).toHaveLength(2);
});
