import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  formatExpires,
  formatUpdate,
  parseHex,
  parseUpdate,
  signUpdate,
  UPDATE_AUTHORITY,
  UPDATE_CHUNK_BYTES,
  UPDATE_SPEC,
  updateKeyFrom,
  updateKeyId,
  updateKeyOf,
} from '@sallyport/channel';
import { memoryStorage } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { makeApk, makeApkKey, scratchFolder, signApk } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { CONTEXT, Gateway } from '../src/gateway.ts';

const APP = 'com.example.field';
const folder = scratchFolder();
const [gateway, key] = await Promise.all([Gateway.start(), makeApkKey(folder, 'field')]);
afterAll(() => gateway.stop());
const { operator } = gateway;

/** Keys of persons: on no server. */
const [ROOT, TARGETS] = [randomBytes(32), randomBytes(32)];

async function putRoot(version: number): Promise<void> {
  const { onlineKeys } = await operator.call(api.updates.root);
  const online = updateKeyOf(parseHex(onlineKeys[0]!));
  const [root, targets] = [updateKeyFrom(ROOT), updateKeyFrom(TARGETS)];
  const role = (id: string) => ({ keyids: [id], threshold: 1 });
  const signed = {
    _type: 'root',
    spec_version: UPDATE_SPEC,
    version,
    expires: formatExpires(Date.now() + 86_400_000),
    consistent_snapshot: true,
    keys: { [root.id]: root.key, [targets.id]: targets.key, [updateKeyId(online)]: online },
    roles: {
      root: role(root.id),
      targets: role(targets.id),
      snapshot: role(updateKeyId(online)),
      timestamp: role(updateKeyId(online)),
    },
  };
  const metadata = Buffer.from(formatUpdate(signUpdate({ signatures: [], signed }, ROOT))).toString();
  await operator.call(api.updates.put, { body: { metadata } });
}

async function apk(version: string, build: number, padding = 0): Promise<Buffer> {
  const made = await makeApk(folder, { id: APP, version, build, padding });
  return readFileSync(await signApk(made, join(folder, `${version}.signed.apk`), key));
}

async function upload(content: Buffer): Promise<string> {
  const sha256 = createHash('sha256').update(content).digest('hex');
  for (let at = 0; at < content.length; at += UPDATE_CHUNK_BYTES) {
    const part = content.subarray(at, at + UPDATE_CHUNK_BYTES).toString('base64url');
    await operator.call(api.releases.upload, {
      params: { sha256 },
      body: { at, bytes: content.length, content: part },
    });
  }
  return sha256;
}

/** Publishes as a pipeline, which can do nothing else, and signs as the operator. */
async function publish(content: Buffer, rollout: object): Promise<string> {
  const sha256 = await upload(content);
  const { id } = await pipeline.call(api.releases.publish, { body: { sha256, notes: { en: 'better' }, rollout } });
  const { metadata } = await operator.call(api.releases.draft, { params: { id } });
  const update = signUpdate(parseUpdate('targets', Buffer.from(metadata)), TARGETS);
  const signed = Buffer.from(formatUpdate(update)).toString();
  expect((await operator.call(api.releases.sign, { params: { id }, body: { metadata: signed } })).state).toBe('live');
  return id;
}

const signer = new X509Certificate(readFileSync(key.certificate)).fingerprint256.replaceAll(':', '').toLowerCase();
const registered = { groups: ['staff'], signers: [signer], platforms: [{ os: 'android' }] };
await operator.call(api.groups.put, { params: { name: 'staff' } });
await operator.call(api.apps.put, { params: { id: APP }, body: registered });
await operator.call(api.resources.put, {
  params: { name: 'updates' },
  body: {
    kind: 'http',
    authority: UPDATE_AUTHORITY,
    backend: {
      url: gateway.security.ready['proxyUrl']!,
      prefix: '/updates',
      ca: gateway.security.ready['ca']!,
      networks: ['127.0.0.0/8'],
    },
  },
});
const open = { groups: ['staff'], resources: ['updates'], context: {}, methods: ['GET', 'PUT'] };
await operator.call(api.policies.put, { params: { name: 'updates' }, body: open });
const { token } = await operator.call(api.publishers.issue, { body: { name: 'ci' } });
const pipeline = operator.with(token);
await gateway.addUser('ada');
const context = { ...CONTEXT, id: APP, version: '1.0.0', os: 'android', osVersion: '15', signer: parseHex(signer) };
const storage = memoryStorage();
let device = await gateway.device('ada', storage, context);

test('a pipeline publishes and can do nothing else; who published cannot sign', async () => {
  await putRoot(1);
  await expect(pipeline.call(api.releases.list)).rejects.toMatchObject({ code: 'ERR_SECURITY_OPERATOR' });
  await expect(pipeline.call(api.users.put, { params: { name: 'eve' }, body: {} })).rejects.toMatchObject({
    code: 'ERR_SECURITY_OPERATOR',
  });
  const sha256 = await upload(await apk('1.0.5', 5));
  const { id } = await operator.call(api.releases.publish, { body: { sha256 } });
  const { metadata } = await operator.call(api.releases.draft, { params: { id } });
  const update = signUpdate(parseUpdate('targets', Buffer.from(metadata)), TARGETS);
  const body = { metadata: Buffer.from(formatUpdate(update)).toString() };
  await expect(operator.call(api.releases.sign, { params: { id }, body })).rejects.toMatchObject({
    code: 'ERR_ACCESS_CONFLICT',
  });
  await operator.call(api.releases.withdraw, { params: { id } });
});

test('a package that does not fit its app, or is none, is refused with words, and the store stays as it was', async () => {
  const stranger = await makeApkKey(folder, 'stranger');
  const made = await makeApk(folder, { id: APP, version: '1.0.6', build: 6 });
  const foreign = readFileSync(await signApk(made, join(folder, 'foreign.apk'), stranger));
  const sha256 = await upload(foreign);
  await expect(pipeline.call(api.releases.publish, { body: { sha256 } })).rejects.toThrow('it is signed by');
  await expect(upload(foreign.subarray(0, -100))).rejects.toThrow('the package is refused');
  expect((await operator.call(api.releases.list)).filter(({ state }) => state !== 'withdrawn')).toEqual([]);
});

test('from a published APK to an installed update: rolled out, broken off, resumed, verified', async () => {
  await device.login({ user: 'ada', password: 'correct horse battery' });
  const content = await apk('1.1.0', 11, 3 * UPDATE_CHUNK_BYTES);
  const id = await publish(content, { steps: [{ percent: 1, afterMs: 0 }], groups: ['staff'] });
  // Whether one device is among 1 % hangs on its id; at 100 % it is.
  await operator.call(api.releases.rollout, {
    params: { id },
    body: { do: 'steps', steps: [{ percent: 100, afterMs: 0 }] },
  });
  const heard: string[] = [];
  device.on('update-available', ({ update }) => heard.push(update.version));
  const update = (await device.checkForUpdate())!;
  expect(update).toMatchObject({ release: id, app: APP, version: '1.1.0', notes: { en: 'better' } });
  expect(heard).toEqual(['1.1.0']);
  const kept: Uint8Array[] = [];
  for await (const piece of device.download(update)) {
    kept.push(piece);
    break;
  }
  device.close();
  device = await gateway.reopen(storage, context);
  for await (const piece of device.download(update, { from: UPDATE_CHUNK_BYTES })) kept.push(piece);
  expect(Buffer.concat(kept).equals(content)).toBe(true);
  writeFileSync(join(folder, 'installed.apk'), Buffer.concat(kept));
  await device.installed(update);
  const [standing] = await operator.call(api.releases.standings, { params: { id: APP } });
  expect(standing).toMatchObject({ percent: 100, installed: 1, failed: 0, release: { version: '1.1.0' } });
});

test('a rollout that halts offers nothing, and goes on when it is resumed', async () => {
  const [newest] = await operator.call(api.releases.standings, { params: { id: APP } });
  const { release } = newest!;
  await operator.call(api.releases.rollout, { params: { id: release.id }, body: { do: 'halt' } });
  expect(await device.checkForUpdate()).toBeUndefined();
  await operator.call(api.releases.rollout, { params: { id: release.id }, body: { do: 'resume' } });
  expect((await device.checkForUpdate())?.version).toBe('1.1.0');
});

test('who loses the app gets no further byte of it, in the middle of a download as well', async () => {
  const update = (await device.checkForUpdate())!;
  const download = device.download(update)[Symbol.asyncIterator]();
  expect((await download.next()).done).toBe(false);
  await operator.call(api.apps.put, { params: { id: APP }, body: { ...registered, groups: [] } });
  const rest = async (): Promise<void> => {
    while (!(await download.next()).done);
  };
  await expect(rest()).rejects.toMatchObject({ name: 'DeviceError' });
  await expect(device.checkForUpdate()).rejects.toMatchObject({ code: 'CONTEXT_DENIED' });
  await operator.call(api.apps.put, { params: { id: APP }, body: registered });
  expect((await device.checkForUpdate())?.version).toBe('1.1.0');
});

test('from its day on an old version is refused with a code, and told until when it goes on', async () => {
  const minimum = { version: '1.1.0', from: Date.now() + 86_400_000 };
  await operator.call(api.apps.put, { params: { id: APP }, body: { ...registered, minimum } });
  const required: number[] = [];
  device.on('update-required', ({ until }) => required.push(until));
  await device.checkForUpdate();
  expect(required).toEqual([minimum.from]);
  await operator.call(api.apps.put, { params: { id: APP }, body: { ...registered, minimum: { ...minimum, from: 0 } } });
  await expect(device.fetch(`http://${UPDATE_AUTHORITY}/v1/offer`)).rejects.toMatchObject({
    code: 'APP_UPDATE_REQUIRED',
  });
});
