import { expect, test } from 'vitest';
import {
  formatReceipt,
  issueReceipt,
  lookAtTarget,
  type ManifestKeys,
  makeIdentity,
  parseManifest,
  putExport,
} from '../src/index.ts';
import { LyingTarget } from './lying-target.ts';
import { keysOf, OFFICER, SOME_KEYS, sealedExport } from './sealed-export.ts';

const START = Date.UTC(2026, 10, 26, 12);
async function put(target: LyingTarget, at: number, keys?: ManifestKeys): Promise<string> {
  const sealed = await sealedExport(at, keys);
  await putExport(target, sealed);
  return sealed.manifest.name;
}

function verify(target: LyingTarget, name: string, by = OFFICER): void {
  const text = String(target.objects.get(`main/${name}/manifest.json`));
  const checks = { manifest: parseManifest(text), text, product: '1', verifiedAt: START, macs: true };
  target.objects.set(`main/${name}/receipt.json`, Buffer.from(formatReceipt(issueReceipt(by, checks))));
}

const look = (target: LyingTarget, expected?: string) =>
  lookAtTarget(target, { realm: 'main', keys: SOME_KEYS, recipients: [OFFICER.recipient], expected });

test('the newest that is verified is the newest with a receipt of somebody whom we know', async () => {
  const target = new LyingTarget();
  const names = [await put(target, START), await put(target, START + 1_000), await put(target, START + 2_000)];
  expect((await look(target)).verified).toEqual([]);
  verify(target, names[0]!);
  verify(target, names[1]!);
  const { verified, exports, fault } = await look(target, names[2]);
  expect(verified.map(({ name }) => name)).toEqual([names[1], names[0]]);
  expect(verified[0]).toMatchObject({ takenAt: START + 1_000, verifiedAt: START });
  expect([exports.length, fault]).toEqual([3, undefined]);
  verify(target, names[2]!, await makeIdentity('stranger'));
  const again = await look(target, names[2]);
  expect(again.verified[0]!.name).toBe(names[1]);
  expect(again.fault).toMatchObject({ code: 'ERR_BACKUP_RECEIPT' });
  expect([...again.doubtful]).toEqual([names[2]]);
});

test('the receipt of another export, and an export of other keys, count for nothing', async () => {
  const target = new LyingTarget();
  const first = await put(target, START);
  const second = await put(target, START + 1_000);
  verify(target, first);
  target.objects.set(`main/${second}/receipt.json`, target.objects.get(`main/${first}/receipt.json`)!);
  expect((await look(target)).verified.map(({ name }) => name)).toEqual([first]);
  const foreign = await put(target, START + 2_000, keysOf('theirs'));
  verify(target, foreign);
  const { verified, fault } = await look(target);
  expect(verified.map(({ name }) => name)).toEqual([first]);
  expect(fault).toMatchObject({ code: 'ERR_BACKUP_KEK' });
});

test('a target that takes and loses is named when it is written to, and when it loses later', async () => {
  const target = new LyingTarget();
  target.loses = (path) => path.endsWith('data.age');
  await expect(put(target, START)).rejects.toMatchObject({ code: 'ERR_TARGET_DAMAGED' });
  expect((await look(target)).exports).toEqual([]);
  target.loses = () => false;
  const name = await put(target, START + 1_000);
  expect((await look(target, name)).fault).toBeUndefined();
  target.objects.delete(`main/${name}/manifest.json`);
  expect((await look(target, name)).fault).toMatchObject({
    code: 'ERR_TARGET_DAMAGED',
    message: expect.stringContaining(`has lost ${name}`),
  });
});

test('a name that somebody puts there does not hide what a target has lost; a newer one of the realm does', async () => {
  const target = new LyingTarget();
  const name = await put(target, START);
  target.objects.delete(`main/${name}/manifest.json`);
  await put(target, START + 1_000, keysOf('theirs'));
  target.objects.set('main/20261126T130000Z-00000000/manifest.json', Buffer.from('{}'));
  expect((await look(target, name)).fault?.message).toContain(`has lost ${name}`);
  await put(target, START + 2_000);
  expect((await look(target, name)).fault).toBeUndefined();
});

test('a target that gives back other bytes is named, and no export is there', async () => {
  const target = new LyingTarget();
  target.gives = (path, content) => (path.endsWith('data.age') ? Buffer.concat([content, Buffer.of(0)]) : content);
  await expect(put(target, START)).rejects.toMatchObject({ code: 'ERR_TARGET_DAMAGED' });
  expect((await look(target)).exports).toEqual([]);
});

test('a target that lists what it does not have is named', async () => {
  const target = new LyingTarget();
  const phantom = 'main/20261126T130000Z-00000000';
  target.phantoms = [`${phantom}/manifest.json`, `${phantom}/receipt.json`];
  expect((await look(target)).fault).toMatchObject({ code: 'ERR_TARGET_DAMAGED' });
});

test('a target that does not answer is no empty target', async () => {
  const target = new LyingTarget();
  target.list = async () => {
    throw Object.assign(new Error('away'), { code: 'ERR_TARGET_GONE' });
  };
  await expect(look(target)).rejects.toMatchObject({ code: 'ERR_TARGET_GONE' });
});
