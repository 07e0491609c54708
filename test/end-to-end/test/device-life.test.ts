import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeHint, encodeSessionEnd, endKeyOf, formatHex, MESSAGE_TYPES } from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { Device, type DeviceState, type DeviceStorage, memoryStorage } from '@sallyport/device';
import { fileStorage, nodeWebSocket } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { runCommand, scratchFolder } from '@sallyport/support';
import { afterAll, expect, test, vi } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';

const backend = await startBackend();
const gateway = await Gateway.start();
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
const folder = scratchFolder();
afterAll(async () => {
  await gateway.stop();
  await backend.close();
  rmSync(folder, { recursive: true, force: true });
});

const PROCESS = fileURLToPath(new URL('../src/device-process.ts', import.meta.url));

/** Runs steps of a device in a process of its own; gives their outcomes. */
async function inProcess(crypto: string, file: string, ...args: readonly string[]): Promise<object[]> {
  const run = await runCommand('node', [PROCESS, '--crypto', crypto, '--file', file, ...args]);
  if (run.code !== 0) throw new Error(run.stderr);
  return run.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
}

test.each(['node', 'sodium', 'noble'])('what one process enrolled, the next one signs in with: %s', async (crypto) => {
  const file = join(folder, `${crypto}.json`);
  const link = await gateway.link('ada');
  expect(await inProcess(crypto, file, '--link', link, 'enroll=wrong')).toEqual([{ enroll: 'CREDENTIALS_INVALID' }]);
  // The second try, in a process of its own, uses the keys that the first one has stored.
  expect(await inProcess(crypto, file, '--link', link, `enroll=${PASSWORD}`)).toEqual([{ enroll: 'ok' }]);
  const signedIn = [{ login: 'ok' }, { fetch: 200 }];
  expect(await inProcess(crypto, file, `login=${PASSWORD}`, 'fetch=http://wiki.corp/echo')).toEqual(signedIn);
  expect(await inProcess(crypto, file, 'resume', 'fetch=http://wiki.corp/echo')).toEqual([
    { resume: 'ok' },
    { fetch: 200 },
  ]);
});

test('a device whose file was written with {"type":"Buffer"} signs in again, and its file is healed', async () => {
  const file = join(folder, 'sodium.json');
  const record = JSON.parse(readFileSync(file, 'utf8'));
  for (const field of ['deviceSecret', 'rs']) record[field] = Buffer.from(record[field].$bytes, 'base64url').toJSON();
  record.keys.current = Buffer.from(record.keys.current.$bytes, 'base64url').toJSON();
  writeFileSync(file, JSON.stringify(record));
  expect(await inProcess('sodium', file, `login=${PASSWORD}`)).toEqual([{ login: 'ok' }]);
  expect(readFileSync(file, 'utf8')).not.toContain('"Buffer"');
});

/** Waits for a condition; generously, because a busy machine is slow and not wrong. */
function until(what: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(what, { timeout: 90_000, interval: 20 });
}

/** Every state that a device says from now on. */
function statesOf(device: Device): DeviceState[] {
  const states: DeviceState[] = [];
  device.on('state', ({ state }) => states.push(state));
  return states;
}

/** A device that says after half a second that it is offline, unless another patience is named. */
function impatient(storage: DeviceStorage, patienceMs = 500): Promise<Device> {
  return Device.open({
    storage,
    crypto: nodeCrypto(),
    webSocket: nodeWebSocket,
    context: () => CONTEXT,
    patienceMs,
  });
}

test('without any gateway a device is offline, never signed out, and comes back by itself', async () => {
  const storage = memoryStorage();
  (await gateway.device('ada', storage)).close();
  const device = await impatient(storage);
  expect(device.state).toBe('offline');
  // A machine that is busy for half a second is called offline, too: it goes on behind that.
  device.resume().catch(() => undefined);
  await until(() => expect(device.state).toBe('connected'));
  const states = statesOf(device);
  await gateway.proxies[0]!.end('SIGKILL');
  // Before it has heard of it, a request goes out on the dead connection, and rightly ends as lost.
  await until(() => expect(states).toContain('connecting'));
  const post = device.fetch('http://wiki.corp/echo', { method: 'POST', body: 'x' });
  await expect(post).rejects.toMatchObject({ code: 'OFFLINE', mayHaveRun: false });
  await until(() => expect(device.state).toBe('offline'));
  // Who asks now hears it at once; a process that starts now has the same session, and says the same.
  await expect(device.fetch('http://wiki.corp/echo')).rejects.toMatchObject({ code: 'OFFLINE' });
  const other = await impatient(storage);
  await expect(other.resume()).rejects.toMatchObject({ code: 'OFFLINE' });
  expect(other.state).toBe('offline');
  expect(other.hasSession).toBe(true);
  await gateway.restartProxy(0);
  await until(() => expect([device.state, other.state]).toEqual(['connected', 'connected']));
  expect(states).toEqual(['connecting', 'offline', 'connected']);
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  device.close();
  other.close();
});

test('a gateway that is silent while somebody waits is not called connected', async () => {
  const device = await gateway.device('ada');
  const states = statesOf(device);
  gateway.proxies[0]!.kill('SIGSTOP');
  const asked = device.fetch('http://wiki.corp/echo');
  await until(() => expect(device.state).toBe('silent'));
  gateway.proxies[0]!.kill('SIGCONT');
  expect((await asked).status).toBe(200);
  await until(() => expect(device.state).toBe('connected'));
  expect(states[0]).toBe('silent');
  device.close();
});

test('a slow backend is not a silent gateway, and a quiet device sends nothing', async () => {
  const device = await gateway.device('ada');
  const states = statesOf(device);
  expect((await device.fetch('http://wiki.corp/slow/5000')).status).toBe(200);
  expect(states).toEqual([]);
  device.close();
});

async function liveSessions(): Promise<string[]> {
  const sessions = await gateway.operator.call(api.sessions.list);
  return sessions.map(({ id }) => id);
}

async function sidOf(storage: DeviceStorage): Promise<string> {
  return formatHex((await storage.load())!.session!.sid);
}

test('a sign-out ends the session at Security, and leaves no secret of it on the device', async () => {
  const storage = memoryStorage();
  const device = await gateway.device('ada', storage);
  const before = (await storage.load())!;
  const sid = await sidOf(storage);
  await device.logout();
  expect(device.state).toBe('signed-out');
  expect(await liveSessions()).not.toContain(sid);
  const after = (await storage.load())!;
  expect([after.session, after.ending]).toEqual([undefined, undefined]);
  // Whoever copied the storage before is out, too.
  const copy = memoryStorage();
  await copy.store(before);
  const copied = await impatient(copy, 90_000);
  await expect(copied.resume()).rejects.toMatchObject({ code: 'REVOKED', message: 'this session was signed out' });
  expect([copied.state, copied.hasSession]).toEqual(['signed-out', false]);
  copied.close();
});

test('a sign-out that nobody heard is remembered, survives a restart, and is told at the next contact', async () => {
  const file = join(folder, 'sign-out.json');
  const device = await gateway.device('ada', fileStorage(file));
  const sid = await sidOf(fileStorage(file));
  await gateway.proxies[0]!.end('SIGKILL');
  await device.logout();
  device.close();
  const kept = (await fileStorage(file).load())!;
  expect(kept.session).toBeUndefined();
  expect(kept.ending).toHaveLength(1);
  await gateway.restartProxy(0);
  expect(await liveSessions()).toContain(sid);
  const again = await impatient(fileStorage(file));
  await until(async () => expect((await fileStorage(file).load())!.ending).toBeUndefined());
  expect(await liveSessions()).not.toContain(sid);
  expect(again.state).toBe('signed-out');
  again.close();
});

test('however often a device signs in, it has one session that is used', async () => {
  const storage = memoryStorage();
  const device = await gateway.device('ada', storage);
  const sids = [await sidOf(storage)];
  for (let i = 0; i < 5; i++) {
    await device.login({ user: 'ada', password: PASSWORD });
    sids.push(await sidOf(storage));
  }
  await until(async () => {
    const live = await liveSessions();
    expect(sids.filter((sid) => live.includes(sid))).toEqual(sids.slice(-1));
  });
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  device.close();
});

test('a stranger who wants to end a session learns nothing of it', async () => {
  const socket = new WebSocket(`${gateway.origins[0]}/sallyport/v1`, 'sallyport.1');
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  const answer = new Promise<Uint8Array>((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(new Uint8Array(data as ArrayBuffer)));
  });
  const end = encodeSessionEnd(nodeCrypto(), MESSAGE_TYPES.END, endKeyOf(new Uint8Array(32)), new Uint8Array(16));
  socket.send(Uint8Array.from(end));
  expect(decodeHint(await answer).code).toBe('SESSION_UNKNOWN');
  socket.close();
});
