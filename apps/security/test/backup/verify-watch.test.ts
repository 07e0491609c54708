import { formatReceipt, issueReceipt, parseManifest, putExport } from '@sallyport/backup';
import { expect, test } from 'vitest';
import { LyingTarget } from '../../../../libs/backup/test/lying-target.ts';
import { OFFICER, sealedExport } from '../../../../libs/backup/test/sealed-export.ts';
import { type VerifyWatch, verifyNewest, watchExports } from '../../src/backup/verify-watch.ts';

const NOW = Date.UTC(2026, 10, 26, 12);

/** A target, and a verification that only leaves its receipt. */
function scene() {
  const target = new LyingTarget();
  const [verified, said]: [string[], string[]] = [[], []];
  const put = async (at: number): Promise<string> => {
    const sealed = await sealedExport(at);
    await putExport(target, sealed);
    return sealed.manifest.name;
  };
  const watch: VerifyWatch = {
    ...{ realm: 'main', recipient: OFFICER.recipient, pauseMs: 1, say: (line) => void said.push(line) },
    targets: [{ description: 'a target', open: async () => target }],
    verify: async (_, name) => {
      verified.push(name);
      const text = String(target.objects.get(`main/${name}/manifest.json`));
      const checks = { manifest: parseManifest(text), text, product: '1', verifiedAt: NOW, macs: true };
      target.objects.set(`main/${name}/receipt.json`, Buffer.from(formatReceipt(issueReceipt(OFFICER, checks))));
    },
  };
  return { target, watch, put, verified, said, look: () => verifyNewest(watch, watch.targets[0]!) };
}

test('the newest is verified once, and the next one when it comes', async () => {
  const { put, look, verified } = scene();
  expect(await look()).toBe(false);
  await put(NOW);
  const second = await put(NOW + 1_000);
  expect([await look(), await look()]).toEqual([true, true]);
  const third = await put(NOW + 2_000);
  await look();
  expect(verified).toEqual([second, third]);
});

test('a receipt that counts for nothing keeps nobody from looking', async () => {
  const { target, put, look, verified } = scene();
  const name = await put(NOW);
  target.objects.set(`main/${name}/receipt.json`, Buffer.from('{}'));
  await look();
  expect(verified).toEqual([name]);
});

test('what fails is said and tried again, and holds no other target', async () => {
  const { watch, put, verified, said } = scene();
  await put(NOW);
  const away = {
    description: 'away',
    open: () => Promise.reject(Object.assign(new Error('no share'), { code: 'ERR_TARGET_GONE' })),
  };
  const end = new AbortController();
  const say = (line: string): void => {
    said.push(line);
    if (said.filter((one) => one.startsWith('away')).length === 3) end.abort();
  };
  await watchExports({ ...watch, say, targets: [away, ...watch.targets] }, end.signal);
  expect(verified).toHaveLength(1);
  expect(said.filter((line) => line === 'away: ERR_TARGET_GONE: no share')).toHaveLength(3);
  expect(said).toContainEqual(expect.stringMatching(/at a target is verified$/));
});
