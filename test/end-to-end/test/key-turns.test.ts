import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { memoryStorage } from '@sallyport/device';
import {
  type EscrowReceipt,
  formatOfficer,
  makeOfficer,
  openIdentity,
  openShare,
  receiptOfShare,
} from '@sallyport/escrow';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { ChildPostgres } from '@sallyport/store-sql';
import { CLI, freePort, Repeating, sallyport, scratchFolder, startCommand, waitFor } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway, PASSWORD } from '../src/gateway.ts';
import { contentsUnder } from '../src/kept-files.ts';

/** Far longer than a turn takes, on however slow a machine, ms. */
const LIMIT_MS = 120_000;

const folder = scratchFolder();
const database = await ChildPostgres.start({ folder: join(folder, 'db'), passwordFile: join(folder, 'password') });
const { host, port, user, password, database: name } = database.address;
const gateway = await Gateway.start({
  environment: {
    SALLYPORT_NODE: 'n1',
    SALLYPORT_DATABASE_HOSTS: `${host}:${port}`,
    SALLYPORT_DATABASE_USER: user,
    SALLYPORT_DATABASE_NAME: name,
    SALLYPORT_DATABASE_PASSWORD: password,
  },
});
const fileOf = (data: string): string => join(data, 'security', 'kek.json');
const [first, second] = [gateway.securityEnvironment['SALLYPORT_DATA']!, join(folder, 'n2')];
const others = {
  ...gateway.securityEnvironment,
  SALLYPORT_NODE: 'n2',
  SALLYPORT_DATA: second,
  SALLYPORT_PROXY_LISTEN: `127.0.0.1:${await freePort()}`,
  SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
};
mkdirSync(join(second, 'security'), { recursive: true });
copyFileSync(fileOf(first), fileOf(second));
let other = await AppProcess.start('security', { environment: others });
await gateway.addUser('ada');
afterAll(async () => {
  await other.end('SIGKILL');
  await gateway.stop();
  await database.stop();
  rmSync(folder, { recursive: true, force: true });
});

const show = () => gateway.operator.call(api.keks.show);
const keysOf = (data: string) =>
  JSON.parse(readFileSync(fileOf(data), 'utf8')) as {
    current: number;
    keys: Record<string, string>;
    retired?: Record<string, string>;
  };

/** A turn that is further already is as good: between two looks of a busy machine all may have been wrapped. */
async function until(state: 'wrapping' | 'done'): Promise<void> {
  const reached = state === 'done' ? ['done'] : ['wrapping', 'done'];
  await expect.poll(async () => (await show()).turn?.state, { timeout: LIMIT_MS }).toBeOneOf(reached);
}

const turnsBegun = async (): Promise<number> =>
  (await gateway.operator.call(api.audit.list, { query: { action: 'kek.rotate' } })).length;

/** The number of the key of the last turn: a node that was too slow to keep the one it drew draws another one. */
const turnedTo = async (): Promise<number> => (await show()).turn!.kek;

test('a key is turned on two nodes that are killed meanwhile, while people sign in; devices notice nothing', async () => {
  const before = await gateway.device('ada');
  before.close();
  copyFileSync(fileOf(second), join(folder, 'old.json'));
  const signedIn: number[] = [];
  await using signingIn = new Repeating(async () => {
    const device = await gateway.device('ada').catch(() => undefined);
    if (device) signedIn.push((await show().catch(() => undefined))?.turn?.kek ?? -1);
    device?.close();
  });
  // The one that does not lead stands still and is killed while the key is on its way: the turn waits for it.
  other.kill('SIGSTOP');
  const { turn: begun } = await gateway.operator.call(api.keks.rotate, { body: {} });
  await other.end('SIGKILL');
  expect(await gateway.operator.call(api.keks.rotate, { body: {} })).toMatchObject({
    turn: { startedAt: begun!.startedAt, state: 'spreading', without: [] },
  });
  other = await AppProcess.start('security', { environment: others });
  await until('wrapping');
  const kek = await turnedTo();
  expect(kek).toBeGreaterThan(1);
  expect(keysOf(second).keys[kek]).toBeDefined();
  expect(keysOf(second).keys[kek]).toBe(keysOf(first).keys[kek]);
  // The one that leads, while everything is wrapped.
  await gateway.restartSecurity('SIGKILL');
  await gateway.live(1);
  await until('done');
  await expect
    .poll(() => [keysOf(first), keysOf(second)].map(({ keys }) => Object.keys(keys)), { timeout: LIMIT_MS })
    .toEqual([[`${kek}`], [`${kek}`]]);
  expect(Object.keys(keysOf(first).retired!)).toEqual(['1']);
  expect(await turnsBegun()).toBe(1);
  const enough = signedIn.length + 2;
  await expect.poll(() => signedIn.length, { timeout: LIMIT_MS }).toBeGreaterThanOrEqual(enough);
  await signingIn.stop();
  await before.login({ user: 'ada', password: PASSWORD });
  expect(before.state).toBe('connected');
  before.close();
  expect((await gateway.operator.call(api.status.get)).degraded.filter((word) => word.includes('waits'))).toEqual([]);
}, 300_000);

test('a node that comes with the file of before the turn refuses to start and says what it lacks', async () => {
  const kek = await turnedTo();
  await other.end();
  copyFileSync(join(folder, 'old.json'), fileOf(second));
  const start = AppProcess.start('security', { environment: others });
  await expect(start).rejects.toThrow(
    `sealed with key-encryption key ${kek}, which kek.json of this node lacks: copy the file`,
  );
  copyFileSync(fileOf(first), fileOf(second));
  other = await AppProcess.start('security', { environment: others });
});

test('CA, root key and key of assertions are replaced under load, a node killed meanwhile: nobody signs in anew, also when all was restarted', async () => {
  const backend = await startBackend();
  await gateway.addResource('wiki', 'wiki.corp', backend.url);
  const [kept, away] = [memoryStorage(), memoryStorage()];
  const device = await gateway.device('ada', kept);
  // One that is off during all of it.
  (await gateway.device('ada', away)).close();
  const logins = async (): Promise<number> =>
    (await gateway.operator.call(api.audit.list, { query: { limit: '500' } })).filter(
      ({ action }) => action === 'session.create',
    ).length;
  const before = await logins();
  const [failed, passed]: [unknown[], number[]] = [[], []];
  await using reading = new Repeating(async () => {
    const status = await device.fetch('http://wiki.corp/echo').then((answer) => answer.status, String);
    if (status === 200) passed.push(status);
    else failed.push(status);
  });
  const change = async (purpose: 'ca' | 'root' | 'assertion') =>
    gateway.operator.call(api.certificates.change, { params: { purpose } });
  const rotate = async (purpose: 'ca' | 'root' | 'assertion') =>
    gateway.operator.call(api.certificates.rotate, { params: { purpose } });
  const used = async (purpose: 'ca' | 'root'): Promise<string | undefined> =>
    (await change(purpose)).keys.find(({ state }) => state === 'in use')?.id;
  const oldRoot = (await kept.load())!.root;
  await rotate('ca');
  await other.end('SIGKILL');
  // It goes on, or is so far that only the old one has to be retired: no second one begins.
  const again = await rotate('ca').then(
    ({ begun }) => begun,
    (error: { code: string }) => error.code,
  );
  expect([false, 'ERR_ACCESS_CONFLICT']).toContain(again);
  other = await AppProcess.start('security', { environment: others });
  await expect.poll(() => used('ca'), { timeout: LIMIT_MS }).toBe('ca-2');
  // Each listener and each Proxy has a certificate by the next CA by itself, and the file for whoever joins has both.
  const issuers = async (): Promise<string[]> =>
    (await gateway.operator.call(api.certificates.list))
      .filter(({ purpose }) => purpose === 'Proxy' || purpose === 'listener')
      .map(({ issuer }) => issuer);
  await expect
    .poll(async () => new Set(await issuers()), { timeout: LIMIT_MS })
    .toEqual(new Set(['CN=Sallyport main CA 2']));
  for (const data of [first, second])
    await expect
      .poll(() => readFileSync(join(data, 'security', 'ca.pem'), 'utf8').match(/BEGIN CERTIFICATE/g)?.length)
      .toBe(2);
  await rotate('root');
  await expect.poll(() => used('root'), { timeout: LIMIT_MS }).toBe('root-2');
  // Backends see the next key for an hour before it signs.
  await expect.poll(async () => (await rotate('assertion')).waitingFor, { timeout: LIMIT_MS }).toEqual([]);
  expect((await change('assertion')).keys.map(({ state }) => state)).toEqual(['coming', 'in use']);
  // The device follows the root key by what its Proxy tells, and one that comes now knows the next one or is led to it.
  await expect.poll(async () => (await kept.load())!.root, { timeout: LIMIT_MS }).not.toEqual(oldRoot);
  const enough = passed.length + 20;
  await expect.poll(() => passed.length, { timeout: LIMIT_MS }).toBeGreaterThanOrEqual(enough);
  await reading.stop();
  expect(failed).toEqual([]);
  device.close();
  await other.end();
  await gateway.restartSecurity();
  other = await AppProcess.start('security', { environment: others });
  await gateway.restartProxy(0);
  await gateway.live(1);
  for (const storage of [kept, away]) {
    const again = await gateway.reopen(storage);
    expect((await again.fetch('http://wiki.corp/echo')).status).toBe(200);
    await expect.poll(async () => (await storage.load())!.root, { timeout: LIMIT_MS }).not.toEqual(oldRoot);
    again.close();
  }
  expect(await logins()).toBe(before);
  (await gateway.device('ada')).close();
  const actions = (await gateway.operator.call(api.audit.list, { query: { limit: '500' } })).map(
    ({ action }) => action,
  );
  expect(actions).toEqual(expect.arrayContaining(['key.replace', 'key.use', 'certificate.take']));
  await backend.close();
}, 300_000);

test('officers hold the keys: they prove it, open them on a new host, and a set of before counts no more once it is renewed', async () => {
  const host = join(folder, 'officers');
  mkdirSync(host);
  const run = async (args: readonly string[], input = ''): Promise<string> => {
    const result = await sallyport(['--data', join(host, 'data'), ...args], input, gateway.securityEnvironment);
    expect(result.code, result.stderr).toBe(0);
    return result.stdout;
  };
  const at = (name: string): string => join(host, name);
  await run(['escrow', 'officer', 'new', 'olga', '--out', host, '--passphrase-stdin'], PASSWORD);
  for (const name of ['pia', 'ravi']) {
    const { officer, identity } = await makeOfficer(name, PASSWORD, 10);
    writeFileSync(at(`${name}.identity.age`), identity);
    writeFileSync(at(`${name}.officer`), formatOfficer(officer));
  }
  const officers = ['olga', 'pia', 'ravi'].map((name) => at(`${name}.officer`));
  const make = ['--officers', ...officers, '--threshold', '2', '--reason', 'a test of escrows'];
  const degraded = async () =>
    (await gateway.operator.call(api.status.get)).degraded.filter((word) => word.includes('escrow'));
  expect(await degraded()).toEqual([expect.stringContaining(`key-encryption key ${await turnedTo()} is in no escrow`)]);
  await run(['escrow', 'create', ...make, '--out', at('set')]);
  expect(await degraded()).toEqual([]);
  const secret = await openIdentity(readFileSync(at('olga.identity.age')), async () => PASSWORD);
  const ofOlga = receiptOfShare(await openShare(readFileSync(at('set/olga.share.age')), secret), Date.now());
  const both = (set: string): string[] => [
    ...['--share', at(`${set}/pia.share.age`), at(`${set}/ravi.share.age`)],
    ...['--identity', at('pia.identity.age'), at('ravi.identity.age'), '--passphrase-stdin'],
  ];
  await run(['escrow', 'drill', ...both('set'), '--receipt', at('drill.json')], `${PASSWORD}\n${PASSWORD}`);
  const drill = JSON.parse(readFileSync(at('drill.json'), 'utf8')) as EscrowReceipt;
  const prove = ({ keks, ...rest }: EscrowReceipt) =>
    gateway.operator.call(api.escrows.prove, { body: keks ? { ...rest, keks } : rest });
  await prove(ofOlga);
  await prove(drill);
  // Again, and in the name of another one.
  await expect(prove(drill)).rejects.toMatchObject({ code: 'ERR_ACCESS_INVALID' });
  await expect(prove({ ...ofOlga, officers: ['ravi'] })).rejects.toMatchObject({ code: 'ERR_ESCROW_RECEIPT' });
  const allKeks = (): number[] =>
    [keysOf(first).keys, keysOf(first).retired!].flatMap((keys) => Object.keys(keys).map(Number)).sort((a, b) => a - b);
  const [made] = await gateway.operator.call(api.escrows.list);
  expect(made).toMatchObject({ fits: true, threshold: 2, drilledAt: expect.any(Number) });
  expect(made!.officers.every(({ provenAt }) => provenAt !== undefined)).toBe(true);
  // While it waits for a node that stands still, its command is killed: it does not go on by itself, and the next try does.
  other.kill('SIGSTOP');
  const cutOff = startCommand('node', [CLI, '--data', join(host, 'data'), 'escrow', 'renew', ...make], {
    cwd: host,
    environment: gateway.securityEnvironment,
  });
  await waitFor(() => cutOff.output().includes('waits for n2'), 'a renewal that waits', cutOff.output, LIMIT_MS);
  await cutOff.killAlone();
  other.kill('SIGCONT');
  expect(readdirSync(host).filter((name) => name.startsWith('escrow-'))).toEqual([]);
  const renewed = await run(['escrow', 'renew', ...make, '--out', at('renewed')]);
  expect(renewed).toContain('sets that count no more');
  const sets = await gateway.operator.call(api.escrows.list);
  expect(sets.find(({ set }) => set === made!.set)).toMatchObject({ fits: false, endedAt: expect.any(Number) });
  expect(sets.find(({ set }) => set !== made!.set)).toMatchObject({ fits: true, keks: allKeks() });
  // The renewal that was cut off had begun a turn, and the next one none.
  expect(await turnsBegun()).toBe(2);
  await run(['escrow', 'open', ...both('renewed'), '--root-key', at('root.json')], `${PASSWORD}\n${PASSWORD}`);
  expect(keysOf(join(host, 'data'))).toMatchObject({
    current: await turnedTo(),
    keys: keysOf(first).keys,
    retired: keysOf(first).retired,
  });
  expect(JSON.parse(readFileSync(at('root.json'), 'utf8'))).toMatchObject({ kty: 'OKP', d: expect.any(String) });
  await other.end();
  copyFileSync(fileOf(join(host, 'data')), fileOf(second));
  other = await AppProcess.start('security', { environment: others });
  const events = await gateway.operator.call(api.audit.list, { query: { limit: '200' } });
  for (const action of ['escrow.create', 'escrow.check', 'escrow.drill', 'escrow.end'])
    expect(events.map((event) => event.action)).toContain(action);
}, 300_000);

test('no file of the database has ever held the new key', () => {
  const [key] = Object.values(keysOf(first).keys) as [string];
  const raw = Buffer.from(key, 'base64url');
  const contents = contentsUnder(join(folder, 'db'));
  expect(contents.length).toBeGreaterThan(100);
  for (const content of contents)
    for (const form of [raw, key, raw.toString('hex'), raw.toString('base64')])
      expect(content.includes(form)).toBe(false);
});
