import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBase64Url, formatHex } from '@sallyport/channel';
import { type DeviceRecord, memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { freePort } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';
import { contentsUnder, keptBySecurity } from '../src/kept-files.ts';
import { RecordingProxy } from '../src/recording-proxy.ts';

const CANARIES = { path: 'canary-in-a-path', header: 'canary-in-a-header', body: 'canary-in-a-body' };
const backend = await startBackend();
// Security says of itself that it is reached through the second tap.
const securityPort = await freePort();
const securityTap = await RecordingProxy.start({ host: '127.0.0.1', port: securityPort });
const gateway = await Gateway.start({
  environment: {
    SALLYPORT_PROXY_LISTEN: `127.0.0.1:${securityPort}`,
    SALLYPORT_PROXY_URL: `https://127.0.0.1:${securityTap.port}`,
  },
});
await gateway.addResource('wiki', 'canary-host.corp', backend.url);
await gateway.addUser('canary-user');
const deviceTap = await RecordingProxy.start({ host: '127.0.0.1', port: Number(new URL(gateway.origins[0]!).port) });
afterAll(async () => {
  deviceTap.close();
  securityTap.close();
  await gateway.stop();
  await backend.close();
});

/** A secret in the forms in which it could leak. */
function formsOf(secret: Uint8Array): Buffer[] {
  return [
    Buffer.from(secret),
    Buffer.from(formatHex(secret)),
    Buffer.from(Buffer.from(secret).toString('base64').slice(0, 40)),
    Buffer.from(formatBase64Url(secret).slice(0, 40)),
  ];
}

async function runJob(): Promise<DeviceRecord> {
  await gateway.operator.call(api.sites.put, {
    params: { name: 'here' },
    body: { origins: [`ws://127.0.0.1:${deviceTap.port}`] },
  });
  const storage = memoryStorage();
  const device = await openDevice(storage, () => CONTEXT);
  const credentials = { user: 'canary-user', password: PASSWORD };
  await device.enroll(await gateway.link('canary-user'), credentials);
  await device.login(credentials);
  const init = { method: 'POST', body: CANARIES.body, headers: { 'x-canary': CANARIES.header } };
  const response = await device.fetch(`http://canary-host.corp/echo/${CANARIES.path}`, init);
  expect(await response.text()).toBe(CANARIES.body);
  device.close();
  return (await storage.load())!;
}

test('a wiretap between device and Proxy, and between Proxy and Security, hears no credential, URL or content', async () => {
  const record = await runJob();
  expect(deviceTap.capture.length).toBeGreaterThan(5_000);
  expect(securityTap.capture.length).toBeGreaterThan(5_000);
  const words = [PASSWORD, 'canary-user', 'canary-host', record.iid!, ...Object.values(CANARIES)].map((text) =>
    Buffer.from(text),
  );
  const secrets = [record.deviceSecret, record.keys!.current, record.session!.secret].flatMap(formsOf);
  for (const capture of [deviceTap.capture, securityTap.capture]) {
    for (const word of [...words, ...secrets]) expect(capture.includes(word), word.toString()).toBe(false);
  }
});

test('what a Proxy keeps on disk opens no login: no key of Security and no secret of a device is in it', async () => {
  const record = await runJob();
  const kek = JSON.parse(readFileSync(join(gateway.folder, 'security-data', 'security', 'kek.json'), 'utf8')).keys[
    '1'
  ] as string;
  const files = contentsUnder(join(gateway.folder, 'p1'));
  const log = Buffer.from(gateway.proxies.map((proxy) => proxy.log).join(''));
  for (const secret of [record.deviceSecret, record.keys!.current, record.session!.secret].flatMap(formsOf)) {
    for (const content of [...files, log]) expect(content.includes(secret)).toBe(false);
  }
  for (const content of [...files, log]) expect(content.includes(kek)).toBe(false);
});

test('a raw scan of database files, write-ahead log and server logs finds no secret', async () => {
  const record = await runJob();
  const { token } = await gateway.operator.call(api.operators.invite, { params: { name: 'second' } });
  const { code } = await gateway.operator.call(api.codes.issue, { body: { user: 'canary-user' } });
  await gateway.operator.call(api.users.put, {
    params: { name: 'canary-user' },
    body: { password: 'canary-password-2' },
  });
  const data = join(gateway.folder, 'security-data');
  const kek = JSON.parse(readFileSync(join(data, 'security', 'kek.json'), 'utf8')).keys['1'] as string;
  const texts = [
    PASSWORD,
    'canary-password-2',
    token as string,
    code.split('-')[1]!,
    kek,
    readFileSync(join(data, 'security', 'database-password'), 'utf8'),
  ];
  const secrets = [record.deviceSecret, record.keys!.current, record.session!.secret].flatMap(formsOf);
  const needles = [...texts.map((text) => Buffer.from(text)), ...secrets];
  const contents = keptBySecurity(gateway);
  const bytes = contents.reduce((sum, content) => sum + content.length, 0);
  expect(bytes).toBeGreaterThan(10_000_000);
  // The scan can find: the installation id is no secret and is there.
  expect(contents.some((content) => content.includes(record.iid!))).toBe(true);
  for (const needle of needles)
    expect(
      contents.some((content) => content.includes(needle)),
      needle.toString(),
    ).toBe(false);
});
