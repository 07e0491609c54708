import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { lifeOf } from '@sallyport/certificates';
import { Secret } from '@sallyport/settings';
import { AcmeServer, freePort, scratchFolder, TestAuthority, tlsLoad } from '@sallyport/support';
import { createLog, createMetrics } from '@sallyport/telemetry';
import { afterAll, expect, test } from 'vitest';
import { AcmeCertificate, type AcmeSettings } from '../src/acme.ts';
import { useCertificate } from '../src/app.ts';
import { openPublicCertificate, withAcme } from '../src/public-certificate.ts';
import { OriginNames } from '../src/serving/origin-names.ts';
import { tellCertificates } from '../src/tell-certificates.ts';
import { deviceListener } from './device-listener.ts';

const DAY = 86_400_000;
const lines: string[] = [];
const log = createLog('proxy', 'info', { write: (line) => void lines.push(line) });
const clock = { now: Date.now() };
const authority = await TestAuthority.create('Corp ACME');
const server = await AcmeServer.start({ authority, challengePorts: [], lifeMs: 90 * DAY, now: () => clock.now });
const opened: AcmeCertificate[] = [];
afterAll(async () => {
  for (const acme of opened) await acme.stop();
  server.close();
});

/** A Proxy of its own folder, to whose port the authority finds. */
async function proxy(given: Partial<AcmeSettings> = {}) {
  Object.assign(server.options, { refuses: false, names: undefined, binding: undefined });
  const folder = scratchFolder();
  const port = await freePort();
  server.options.challengePorts = [port];
  const ca = join(folder, 'authority.pem');
  writeFileSync(ca, authority.certificate);
  const settings: AcmeSettings = {
    SALLYPORT_DATA: folder,
    SALLYPORT_ACME_DIRECTORY: server.url,
    SALLYPORT_ACME_NAMES: ['gate.example', 'gate2.example'],
    SALLYPORT_ACME_LISTEN: { host: '127.0.0.1', port },
    SALLYPORT_ACME_CONTACT: undefined,
    SALLYPORT_ACME_CA: ca,
    SALLYPORT_ACME_ACCOUNT_KEY: undefined,
    SALLYPORT_ACME_EAB_KID: undefined,
    SALLYPORT_ACME_EAB_KEY: undefined,
    SALLYPORT_TLS_CERT: undefined,
    SALLYPORT_TLS_KEY: undefined,
    ...given,
  };
  const open = async (metrics = createMetrics()): Promise<AcmeCertificate> => {
    const acme = (await AcmeCertificate.open(settings, { log, metrics, wallMs: () => clock.now }))!;
    opened.push(acme);
    return acme;
  };
  return { folder, port, open };
}

/** The listener for devices with that certificate, as the Proxy builds it. */
async function listening(acme: AcmeCertificate) {
  const names = new OriginNames(
    () => 'a',
    async () => ({ siteMap: 'x', rootKey: '' }),
  );
  const none = { SALLYPORT_TLS_CERT: undefined, SALLYPORT_TLS_KEY: undefined, SALLYPORT_TLS_TRUSTED: undefined };
  const files = openPublicCertificate(withAcme(none, acme), { names, log, metrics: createMetrics() })!;
  const { listener, port } = await deviceListener(log, files.current);
  const tls = { host: '127.0.0.1', port, servername: 'gate.example', ca: authority.certificate };
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(tls, () => {
        resolve(socket.getPeerX509Certificate()!.serialNumber);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  /** What the watch does every two seconds; what may be half written is judged at the second look. */
  const takeOver = (): void => {
    for (const _ of [1, 2]) {
      const changed = files.look(clock.now);
      if (changed) useCertificate(listener, changed);
    }
  };
  return { files, tls, shown, takeOver, close: () => listener.close() };
}

/** To a day in the last third of the life of what is there. */
function moveToRenewal({ file }: AcmeCertificate): void {
  const { beginsAt, endsAt } = lifeOf(readFileSync(file, 'utf8'));
  clock.now = beginsAt + (endsAt - beginsAt) * 0.7;
}

test('the authority gives a certificate, and the next one after two thirds of its life; a refusal leaves the one before, and no request fails', async () => {
  const { folder, open } = await proxy();
  const metrics = createMetrics();
  const acme = await open(metrics);
  const { files, tls, shown, takeOver, close } = await listening(acme);
  for (const name of ['tls.pem', 'account.key']) expect(statSync(join(folder, 'acme', name)).mode & 0o777).toBe(0o600);
  const loads = [new Agent({ keepAlive: true }), new Agent({ maxCachedSessions: 0 })].map((agent) =>
    tlsLoad({ ...tls, path: '/sallyport/v1/site-map' }, agent),
  );
  const first = await shown();
  await acme.look();
  expect(server.ordered).toBe(1);
  moveToRenewal(acme);
  await acme.look();
  takeOver();
  const second = await shown();
  expect(second).not.toBe(first);
  expect(server.accounts).toBe(1);
  moveToRenewal(acme);
  // It refuses, then gives one for somebody else, then its answer is lost: each time the one before stays.
  const orders = server.ordered;
  for (const [wrong, words] of [
    [{ refuses: true }, /^the authority gave no certificate for gate.example, gate2.example: .*too many \?\[31m/],
    [{ names: ['other.example'] }, /: the certificate is for other.example, not for gate.example/],
    [{ challengePorts: [await freePort()] }, /^the authority gave no certificate/],
  ] as const) {
    const before = { ...server.options };
    Object.assign(server.options, wrong);
    clock.now += DAY;
    await acme.look();
    expect(acme.trouble).toMatch(words);
    // It is not asked again at once.
    const asked = server.ordered;
    await acme.look();
    expect(server.ordered).toBe(asked);
    takeOver();
    expect(await shown()).toBe(second);
    expect(files.trouble).toBeUndefined();
    Object.assign(server.options, { refuses: false, names: undefined, challengePorts: before.challengePorts });
  }
  expect(server.ordered).toBe(orders + 3);
  expect(await metrics.render()).toMatch(/^sallyport_certificate_orders_failed_total 3$/m);
  expect(lines.join()).toContain('the one before stays');
  const told: unknown[] = [];
  const security = { tellCertificates: async (shownOnes: unknown) => void told.push(shownOnes) };
  const stop = tellCertificates({ security, identity: () => files.current, files, acme } as never);
  await expect.poll(() => told.length).toBe(1);
  stop();
  expect(told[0]).toMatchObject([{}, { place: 'public', renewedBy: 'itself', trouble: acme.trouble }]);
  clock.now += DAY;
  await acme.look();
  expect(acme.trouble).toBeUndefined();
  takeOver();
  expect(await shown()).not.toBe(second);
  for (const one of loads) {
    const enough = one.answered + 5;
    await expect.poll(() => one.answered).toBeGreaterThan(enough);
    expect((await one.stop()).failed).toBe(0);
  }
  close();
  expect(lines.join()).not.toContain('PRIVATE KEY');
});

test('a start without a certificate says why none was given, and starts again and again without asking for it', async () => {
  const { open } = await proxy();
  server.options.refuses = true;
  await expect(open()).rejects.toThrow(/^the authority gave no certificate for gate.example/);
  const { ordered } = server;
  for (const _ of [1, 2]) await expect(open()).rejects.toThrow(/; it is asked again after 20/);
  expect(server.ordered).toBe(ordered);
  clock.now += 61_000;
  await expect(open()).rejects.toThrow(/^the authority gave no certificate/);
  clock.now += 61_000;
  await expect(open()).rejects.toThrow(/asked again after/);
  server.options.refuses = false;
  clock.now += 60_000;
  const acme = await open();
  const { file } = acme;
  const before = readFileSync(file, 'utf8');
  // The next start takes what is there; what is over is replaced.
  await acme.stop();
  const again = await open();
  expect(readFileSync(file, 'utf8')).toBe(before);
  await again.stop();
  clock.now = lifeOf(before).endsAt + 1;
  await open();
  expect(readFileSync(file, 'utf8')).not.toBe(before);
});

test('what is gone from the folder while it runs is ordered anew, and the key told to nobody', async () => {
  const { open } = await proxy();
  const acme = await open();
  const { files, close } = await listening(acme);
  rmSync(acme.file);
  await acme.look();
  expect(readFileSync(acme.file, 'utf8')).toContain('PRIVATE KEY');
  expect(files.current.certificate).not.toContain('PRIVATE');
  close();
});

test('each of several Proxies of one account answers for all of them', async () => {
  const account = join(scratchFolder(), 'account.key');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(account, privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const one = await proxy({ SALLYPORT_ACME_ACCOUNT_KEY: account });
  await one.open();
  const two = await proxy({ SALLYPORT_ACME_ACCOUNT_KEY: account });
  server.options.challengePorts = [one.port];
  await two.open();
  expect(readFileSync(join(two.folder, 'acme', 'tls.pem'), 'utf8')).toContain('BEGIN CERTIFICATE');
});

test('an account is bound to that of a customer where the authority wants it, and what is missing is said', async () => {
  const binding = { kid: 'customer-1', key: randomBytes(32).toString('base64url') };
  const bound = { SALLYPORT_ACME_EAB_KID: binding.kid, SALLYPORT_ACME_EAB_KEY: new Secret(binding.key) };
  const stranger = await proxy();
  server.options.binding = binding;
  await expect(stranger.open()).rejects.toThrow(/SALLYPORT_ACME_EAB_KID and SALLYPORT_ACME_EAB_KEY .*who are you/);
  const customer = await proxy(bound);
  server.options.binding = binding;
  const acme = await customer.open();
  expect(readFileSync(acme.file, 'utf8')).toContain('BEGIN CERTIFICATE');
  const other = await proxy({ ...bound, SALLYPORT_ACME_EAB_KEY: new Secret('A'.repeat(43)) });
  server.options.binding = binding;
  await expect(other.open()).rejects.toThrow(/^the authority gave no certificate/);
  expect(lines.join()).not.toContain(binding.key);
});

test('an authority that cannot be reached or is not trusted is named at once', async () => {
  const gone = await proxy({ SALLYPORT_ACME_DIRECTORY: `https://127.0.0.1:${await freePort()}/directory` });
  await expect(gone.open()).rejects.toThrow(/its directory cannot be read \(ECONNREFUSED\): sallyport doctor/);
  const stranger = await proxy({ SALLYPORT_ACME_CA: undefined });
  await expect(stranger.open()).rejects.toThrow(/its directory cannot be read \([A-Z_]+\)/);
  const elsewhere = await proxy({ SALLYPORT_ACME_DIRECTORY: `${server.url}/nowhere` });
  await expect(elsewhere.open()).rejects.toThrow(/its directory cannot be read \(status 400\)/);
});

test('each order trusts the CA of its own settings, and nobody else is made to trust it', async () => {
  const one = await proxy();
  await one.open();
  const { axios } = await import('acme-client');
  expect(axios.defaults.httpsAgent).toBeUndefined();
  await expect(axios.get(server.url, { retryAttempt: 99 } as object)).rejects.toThrow();
});

test('where challenges are answered nothing else is, and nothing comes back as it was sent', async () => {
  const { port, open } = await proxy();
  await open();
  const place = `http://127.0.0.1:${port}`;
  const token = 'x'.repeat(22);
  const good = await fetch(`${place}/.well-known/acme-challenge/${token}`);
  expect([good.status, good.headers.get('x-content-type-options')]).toEqual([200, 'nosniff']);
  expect(await good.text()).toMatch(/^x{22}\.[A-Za-z0-9_-]{43}$/);
  for (const path of [
    '/',
    '/.well-known/acme-challenge/',
    '/.well-known/acme-challenge/short',
    `/.well-known/acme-challenge/${token}%3Cb%3E`,
    `/.well-known/acme-challenge/a/${token}`,
    '/readyz',
  ]) {
    const answer = await fetch(`${place}${path}`);
    expect([path, answer.status, await answer.text()]).toEqual([path, 404, '']);
  }
  expect((await fetch(`${place}/.well-known/acme-challenge/${token}`, { method: 'POST' })).status).toBe(404);
});

test.each([
  [{ SALLYPORT_ACME_NAMES: [] }, 'SALLYPORT_ACME_NAMES is missing'],
  [{ SALLYPORT_ACME_NAMES: ['*.gate.example'] }, 'no authority gives a certificate for "*.gate.example"'],
  [{ SALLYPORT_ACME_NAMES: ['10.1.2.3'] }, 'no authority gives a certificate for "10.1.2.3"'],
  [{ SALLYPORT_ACME_LISTEN: undefined }, 'SALLYPORT_ACME_LISTEN is missing'],
  [{ SALLYPORT_ACME_DIRECTORY: 'http://authority.example/directory' }, 'anybody could pretend to be the authority'],
  [{ SALLYPORT_ACME_DIRECTORY: undefined }, 'SALLYPORT_ACME_DIRECTORY is missing'],
  [{ SALLYPORT_TLS_CERT: '/tls.crt', SALLYPORT_TLS_KEY: '/tls.key' }, 'a listener has one certificate'],
  [{ SALLYPORT_ACME_ACCOUNT_KEY: '/dev/null' }, 'holds no key of an account'],
  [{ SALLYPORT_ACME_EAB_KID: 'customer-1' }, 'belong together'],
  [
    { SALLYPORT_ACME_EAB_KID: 'customer-1', SALLYPORT_ACME_EAB_KEY: new Secret('short') },
    'no key of an account binding',
  ],
] as const)('refused at the start: %o', async (given, words) => {
  const { open } = await proxy(given);
  await expect(open()).rejects.toThrow(words);
});
