import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  formatUpdate,
  parseHex,
  parseUpdate,
  signUpdate,
  UPDATE_AUTHORITY,
  UPDATE_CHUNK_BYTES,
} from '@sallyport/channel';
import { type Device, memoryStorage } from '@sallyport/device';
import { fileStorage } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import {
  type ApkKey,
  makeApk,
  makeApkKey,
  makeBundle,
  runCommand,
  sallyport,
  scratchFolder,
  signApk,
  signBundle,
  startCommand,
  waitFor,
} from '@sallyport/support';
import { afterAll, expect, test, vi } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';
import { terminalPicture } from '../src/terminal-picture.ts';

const APP = 'com.example.field';
const CHILD = fileURLToPath(new URL('../src/update-child.ts', import.meta.url));
const folder = scratchFolder();
const at = (name: string): string => join(folder, name);
const [gateway, key, backend] = await Promise.all([Gateway.start(), makeApkKey(folder, 'field'), startBackend()]);
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});
const { operator } = gateway;

/** Runs a command of the operator, or of who has that profile, and gives what it printed. */
async function run(args: readonly string[], profile = at('operator')): Promise<string> {
  const { code, stdout, stderr } = await sallyport(['--data', profile, '--reason', 'a test', ...args]);
  if (code !== 0) throw new Error(stderr || stdout);
  return stdout;
}

async function apk(version: string, build: number, padding = 0): Promise<string> {
  const made = await makeApk(folder, { id: APP, version, build, padding });
  return signApk(made, at(`${version}.signed.apk`), key);
}

const signer = new X509Certificate(readFileSync(key.certificate)).fingerprint256;
const signerHex = signer.replaceAll(':', '').toLowerCase();
const registered = { groups: ['staff'], signers: [signerHex], platforms: [{ os: 'android' }] };
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await operator.call(api.resources.put, {
  params: { name: 'updates' },
  // Whose certificate Security shows there is said by Security itself.
  body: {
    kind: 'http',
    authority: UPDATE_AUTHORITY,
    backend: { url: gateway.security.ready['proxyUrl']!, prefix: '/updates', networks: ['127.0.0.0/8'] },
  },
});
const open = { groups: ['staff'], resources: ['updates'], context: {}, methods: ['GET', 'PUT'] };
await operator.call(api.policies.put, { params: { name: 'updates' }, body: open });
const { token } = await operator.call(api.operators.invite, { params: { name: 'olga' } });
writeFileSync(at('ca.pem'), gateway.security.ready.ca!);
const login = ['login', gateway.security.ready.adminUrl!, '--ca', at('ca.pem'), '--token-stdin'];
expect((await sallyport(['--data', at('operator'), ...login], token)).code).toBe(0);
await gateway.addUser('ada');
const contextOf = (version: string) => ({
  ...{ ...CONTEXT, id: APP, version, os: 'android', osVersion: '15' },
  signer: parseHex(signerHex),
});
const context = contextOf('1.0.0');

/** Publishes as a pipeline, which can do nothing else, and signs as somebody else. */
async function publish(file: string, ...more: string[]): Promise<string> {
  await run(['app', 'publish', file, ...more], at('ci'));
  const known = await operator.call(api.releases.list);
  const { id } = known.find(({ state }) => state === 'proposed')!;
  expect(await run(['app', 'sign', id, '--key', at('targets.json'), '--package', file])).toContain('live');
  return id;
}

const newestId = async (): Promise<string> =>
  (await operator.call(api.releases.standings, { params: { id: APP } }))[0]!.release.id;

test('keys, root, app and pipeline are set up by commands', async () => {
  await Promise.all(['root', 'targets'].map((name) => run(['app', 'keys', at(`${name}.json`)])));
  await expect(run(['app', 'keys', at('root.json')])).rejects.toThrow('is there already');
  const root = at('root.file');
  const keys = ['--root-key', at('root.json'), '--targets-key', at('targets.json')];
  expect(await run(['app', 'root', 'make', ...keys, '--out', root])).toContain('root 1 is in');
  await expect(run(['app', 'root', 'put', root])).rejects.toThrow('0 of the 1 signatures');
  expect(await run(['app', 'root', 'sign', root, '--key', at('root.json')])).toContain('1 of the 1 signatures');
  expect(await run(['app', 'root', 'put', root])).toContain('root 1 is in use');
  const put = ['app', 'put', APP, '--title', 'Field', '--group', 'staff', '--platform', 'android', '--signer', signer];
  expect(await run(put)).toContain('Field');
  expect(await run(['app', 'publisher', 'add', 'ci', '--to', at('ci')])).toContain('It publishes so');
});

test('a pipeline publishes and can do nothing else; who published cannot sign', async () => {
  await expect(run(['app', 'releases'], at('ci'))).rejects.toThrow('publisher ci may only publish');
  const profile = JSON.parse(readFileSync(join(at('ci'), 'cli', 'operator.json'), 'utf8')) as { token: string };
  const eve = operator.with(profile.token).call(api.users.put, { params: { name: 'eve' }, body: {} });
  await expect(eve).rejects.toMatchObject({ code: 'ERR_SECURITY_OPERATOR' });
  const said = await run(['app', 'publish', await apk('1.0.5', 5)]);
  const [, id = ''] = /app sign (\S+)/.exec(said)!;
  await expect(run(['app', 'sign', id, '--key', at('targets.json')])).rejects.toThrow('by somebody else');
  await run(['app', 'withdraw', id]);
  expect(await run(['app', 'releases'])).toContain('withdrawn');
});

test('a package that does not fit its app, or is none, is refused with words, and the store stays as it was', async () => {
  const stranger = await makeApkKey(folder, 'stranger');
  const made = await makeApk(folder, { id: APP, version: '1.0.6', build: 6 });
  const foreign = await signApk(made, at('foreign.apk'), stranger);
  await expect(run(['app', 'publish', foreign], at('ci'))).rejects.toThrow('it is signed by');
  writeFileSync(at('cut.apk'), readFileSync(foreign).subarray(0, -100));
  await expect(run(['app', 'publish', at('cut.apk')], at('ci'))).rejects.toThrow('the package is refused');
  expect((await operator.call(api.releases.list)).filter(({ state }) => state !== 'withdrawn')).toEqual([]);
});

test('of an app bundle nothing is published: it is read, held against its app, and told what makes an APK of it', async () => {
  const publish = async (by: ApkKey): Promise<string> => {
    const parts = await makeBundle(folder, { id: APP, version: '1.0.6', build: 6 });
    const file = await signBundle(parts, at('field.aab'), by);
    return run(['app', 'publish', file], at('ci')).catch((error: Error) => error.message);
  };
  const said = await publish(key);
  expect(said).toMatch(/nothing was published: .*field\.aab is an app bundle/);
  expect(said).toContain(`It is ${APP} 1.0.6, build 6, for android 8.0 and later, signed by ${signerHex}`);
  expect(said).toMatch(
    /and fits the app\n.*: bundletool build-apks --mode=universal --bundle=\S*field\.aab --output=\S*field\.apks /,
  );
  expect(said).toMatch(/ && unzip \S*field\.apks universal\.apk && sallyport app publish universal\.apk/);
  expect(await publish(await makeApkKey(folder, 'bundler'))).toContain('it is signed by');
  writeFileSync(at('field.aab'), readFileSync(at('field.aab')).subarray(0, -100));
  await expect(run(['app', 'publish', at('field.aab')], at('ci'))).rejects.toThrow('the package is refused');
  expect((await operator.call(api.releases.list)).filter(({ state }) => state !== 'withdrawn')).toEqual([]);
});

/** Several devices of one user; the first keeps its record in a file. */
const record = at('device.json');
let devices: Device[] = [];

test('a release goes to just the part of the devices that its steps say, to all at last, and is told of', async () => {
  const storages = [fileStorage(record), ...Array.from({ length: 11 }, () => memoryStorage())];
  for (const storage of storages) devices.push(await gateway.device('ada', storage, context));
  writeFileSync(at('notes.md'), 'It is\nquicker.\n');
  // More than what lies on the way at a time: some of it is still to come when the right to it ends.
  const file = await apk('1.1.0', 11, 16 * UPDATE_CHUNK_BYTES);
  const id = await publish(file, '--notes', `en=${at('notes.md')}`, '--step', '25%', '100%@24h');
  const ids = (await operator.call(api.installations.list)).filter(({ app }) => app === `${APP}@1.0.0`);
  const bucketOf = (installation: string): number =>
    createHash('sha256').update(`rollout/${id}/${installation}`).digest().readUInt32BE() % 10_000;
  const offered = async (): Promise<number> =>
    (await Promise.all(devices.map((device) => device.checkForUpdate()))).filter((update) => update).length;
  expect(await offered()).toBe(ids.filter((one) => bucketOf(one.id) < 2_500).length);
  await run(['app', 'halt', id]);
  expect(await offered()).toBe(0);
  expect(await run(['app', 'status', APP])).toContain('halted: a test');
  await run(['app', 'resume', id]);
  expect(await run(['app', 'advance', id])).toContain('100 %');
  expect(await offered()).toBe(12);
  const heard: string[] = [];
  devices[0]!.on('update-available', ({ update }) => heard.push(update.version));
  // At the same moment as somebody looks at all apps.
  const [update, apps] = await Promise.all([devices[0]!.checkForUpdate(), devices[0]!.catalogue()]);
  expect(update).toMatchObject({ release: id, app: APP, notes: { en: 'It is quicker.' } });
  expect(apps).toMatchObject([{ app: APP, title: 'Field', releases: [{ release: id }] }]);
  expect(heard).toEqual(['1.1.0']);
  expect(await run(['app', 'status', APP])).toMatch(/1\.1\.0\s+android\s+live\s+100 %\s+0/);
  for (const device of devices.splice(1)) device.close();
});

test('who loses the app, or the group of a release, gets no further byte of it, in the middle of a download as well', async () => {
  const [device] = devices as [Device];
  const rest = async (download: AsyncIterator<Uint8Array>): Promise<void> => {
    // In the time that the right to it may take to end, no more is read than is left over.
    while (!(await download.next()).done) await sleep(250);
  };
  const begun = async (): Promise<AsyncIterator<Uint8Array>> => {
    const download = device.download((await device.checkForUpdate())!)[Symbol.asyncIterator]();
    expect((await download.next()).done).toBe(false);
    return download;
  };
  const ofApp = await begun();
  await operator.call(api.apps.put, { params: { id: APP }, body: { ...registered, groups: [] } });
  await expect(rest(ofApp)).rejects.toMatchObject({ name: 'DeviceError' });
  await expect(device.checkForUpdate()).rejects.toMatchObject({ code: 'CONTEXT_DENIED' });
  await operator.call(api.apps.put, { params: { id: APP }, body: registered });
  const ofRelease = await begun();
  await run(['app', 'halt', await newestId()]);
  await expect(rest(ofRelease)).rejects.toMatchObject({ name: 'DeviceError' });
  await run(['app', 'resume', await newestId()]);
  expect((await device.checkForUpdate())?.version).toBe('1.1.0');
});

test('from its day on an old version gets its update and nothing else, also when it signs in anew', async () => {
  let [device] = devices as [Device];
  const wiki = (): Promise<Response> => device.fetch('http://wiki.corp/echo');
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
  const put = ['app', 'put', APP, '--group', 'staff', '--platform', 'android', '--signer', signer];
  const minimum = [...put, '--min-version', '1.1.0'];
  await run([...minimum, '--from', tomorrow]);
  const required: number[] = [];
  device.on('update-required', ({ until }) => required.push(until));
  await device.checkForUpdate();
  expect(required).toEqual([Date.parse(tomorrow)]);
  expect((await wiki()).status).toBe(200);
  await run(minimum);
  await expect(wiki()).rejects.toMatchObject({ code: 'APP_UPDATE_REQUIRED' });
  await device.login({ user: 'ada', password: PASSWORD });
  expect(required).toEqual([Date.parse(tomorrow), 0]);
  await expect(wiki()).rejects.toMatchObject({ code: 'APP_UPDATE_REQUIRED' });
  expect((await device.checkForUpdate())?.version).toBe('1.1.0');
  device.close();

  // The app downloads it as a process of its own, is killed in the middle, and goes on in another one.
  const told = JSON.stringify({ ...context, signer: signerHex });
  const child = [CHILD, record, told, at('installed.apk')];
  const killed = startCommand('node', [...child, 'hold']);
  await waitFor(() => killed.output().includes('kept'), 'the first piece', killed.output);
  killed.child.kill('SIGKILL');
  await waitFor(() => killed.child.signalCode !== null, 'the end of the first process');
  const { stdout, stderr } = await runCommand('node', child);
  expect(stderr).toBe('');
  expect(stdout).toContain(`from ${UPDATE_CHUNK_BYTES}, kept`);
  expect(stdout).toContain('installed');
  expect(readFileSync(at('installed.apk')).equals(readFileSync(at('1.1.0.signed.apk')))).toBe(true);

  // With the same session the new version reaches everything again.
  device = await gateway.reopen(fileStorage(record), contextOf('1.1.0'));
  expect((await wiki()).status).toBe(200);
  expect(await device.checkForUpdate()).toBeUndefined();
  // Revoked, it is served nothing, though another version began the session: not when its device comes back either.
  await run(['revoke', 'app', `${APP}@1.1.0`, '--reason', 'it leaks']);
  const withdrawn = { code: 'CONTEXT_DENIED', message: expect.stringContaining('was withdrawn: install a newer one') };
  await expect(wiki()).rejects.toMatchObject(withdrawn);
  await expect(device.checkForUpdate()).rejects.toMatchObject({ code: 'CONTEXT_DENIED' });
  await run(['revoke', 'lift', `${APP}@1.1.0`, '--reason', 'it does not']);
  // Whom every Proxy refused asks again after a while.
  await vi.waitFor(async () => expect((await wiki()).status).toBe(200), { timeout: 90_000, interval: 500 });
  expect(await run(['app', 'status', APP])).toMatch(/1\.1\.0\s+android\s+live\s+100 %\s+0\s+\d+\s+1\s+0/);
  devices = [device];
});

test('a rollout halts by itself when too many say that it failed', async () => {
  const id = await publish(await apk('1.2.0', 12), '--halt-above', '30');
  // Devices of the version before: each says what came of it.
  const all: Device[] = [];
  for (let i = 0; i < 10; i++) all.push(await gateway.device('ada', memoryStorage(), contextOf('1.1.0')));
  for (const [i, device] of all.entries())
    await device.installed((await device.checkForUpdate())!, i < 6 ? 'installed' : 'failed');
  const [newest] = await operator.call(api.releases.standings, { params: { id: APP } });
  expect(newest).toMatchObject({ percents: { stable: 0 }, installed: 6, failed: 4, release: { id } });
  expect(await run(['app', 'status', APP])).toContain('halted: 4 failed and 0 refused of 10: more than 30 %');
  expect(await all[0]!.checkForUpdate()).toBeUndefined();
  for (const device of all) device.close();
});

test('a release on a channel is for its testers, until it begins for everybody', async () => {
  await operator.call(api.groups.put, { params: { name: 'testers' } });
  const put = ['app', 'put', APP, '--group', 'staff', '--platform', 'android', '--signer', signer];
  const told = await run([...put, '--channel', 'beta=testers', '--min-version', '1.1.0']);
  expect(told).toContain('beta: testers');
  const id = await publish(await apk('1.3.0', 13), '--channel', 'beta');
  const [device] = devices as [Device];
  expect(await device.checkForUpdate()).toBeUndefined();
  // This device alone, by a command with a reason.
  const own = (await operator.call(api.installations.list)).find(({ app }) => app === `${APP}@1.1.0`)!.id;
  await run(['app', 'channel', 'add', APP, 'beta', own]);
  expect(await run(['app', 'channel', 'list', APP, 'beta'])).toMatch(new RegExp(`${own}\\s+ada.*a test`));
  await run(['app', 'channel', 'remove', APP, 'beta', own]);
  const groups = (...names: string[]) =>
    operator.call(api.users.put, { params: { name: 'ada' }, body: { groups: names } });
  await groups('staff', 'testers');
  expect((await device.checkForUpdate())?.version).toBe('1.3.0');
  await groups('staff');
  expect(await device.checkForUpdate()).toBeUndefined();
  await run(['app', 'rollout', id, '--channel', 'stable', '--step', '100%']);
  expect((await device.checkForUpdate())?.version).toBe('1.3.0');
  const status = await run(['app', 'status', APP]);
  expect(status).toMatch(/1\.3\.0\s+android\s+live\s+stable 100 %; beta 100 %/);
  // What devices run, and the realm never released.
  expect(status).toMatch(/1\.0\.0\s+android\s+unknown, below the minimum\s/);
  await terminalPicture(`sallyport app status ${APP}`, status, 'app-status');
});

test('targets that somebody else made up are refused, whoever signed them', async () => {
  const { metadata } = await operator.call(api.releases.draft, { params: { id: await newestId() } });
  const update = parseUpdate('targets', Buffer.from(metadata));
  const { secret } = JSON.parse(readFileSync(at('targets.json'), 'utf8')) as { secret: string };
  const changed = signUpdate({ ...update, signed: { ...update.signed, targets: {} } }, parseHex(secret));
  const body = { metadata: Buffer.from(formatUpdate(changed)).toString() };
  await expect(operator.call(api.releases.sign, { params: { id: await newestId() }, body })).rejects.toMatchObject({
    code: 'ERR_ACCESS_INVALID',
  });
});
