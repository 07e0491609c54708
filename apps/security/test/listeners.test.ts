import { writeFileSync } from 'node:fs';
import { Agent, type createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import type { CertificateFiles } from '@sallyport/http-service';
import { badCertificates, type IssuedPair, scratchFolder, TestAuthority, tlsLoad, waitFor } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { createAdminService, createDirectoryService, createProxyService } from '../src/app.ts';
import { certificatesOfRealm } from '../src/farm/certificates.ts';
import { Renewal } from '../src/upkeep/renewal.ts';
import { DATABASE, handshakesOf, scene } from './scene.ts';

const DAY = 86_400_000;
const { context } = await scene();
const { ca } = context.keys;
const closing: { close(): unknown }[] = [];
afterAll(() => Promise.all(closing.map((server) => server.close())));

/** Serial number of the certificate that a listener shows. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.certificate, servername: 'localhost' }, () => {
      resolve(socket.getPeerX509Certificate()!.serialNumber);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

function opened(port: number, authority: string, servername = 'localhost'): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: authority, servername }, () => resolve(socket));
    socket.once('error', reject);
  });
}

async function directoryListener(certificate: { certificate: string; key: string }) {
  const service = createDirectoryService(context, certificate);
  closing.push(service);
  await service.listen({ host: '127.0.0.1', port: 0 });
  return { service, port: (service.server.address() as AddressInfo).port };
}

/** Looks at the files of a listener: what may be half written is judged at the second look. */
function lookTwice(files: CertificateFiles, server: ReturnType<typeof createServer>): void {
  for (const _ of [1, 2]) {
    const changed = files.look(Date.now());
    if (changed) server.setSecureContext({ cert: changed.certificate, key: changed.key });
  }
}

test("the directory listener's own certificate is renewed with the others, while it listens", async () => {
  const { listeners } = (await scene()).context;
  const certificate = await ca.issueServer(['localhost'], Date.now());
  const { service, port } = await directoryListener(certificate);
  listeners.keep('directory', service, { certificate });
  const before = await shown(port);
  listeners.renew(await ca.issueServer(['localhost'], Date.now()), [ca.certificate]);
  expect(await shown(port)).not.toBe(before);
});

test('every listener renews its own certificate before that ends, again and again, and no connection is dropped for it', async () => {
  const { context: own } = await scene();
  const { access, liveKeys, listeners, log } = own;
  const authority = liveKeys.current.ca;
  const [lifeMs, everyMs] = [3_600_000, 50];
  const certificate = await authority.issueServer(['localhost'], Date.now(), lifeMs);
  const parts = { ...own, handshakes: handshakesOf(own), siteMap: async () => '' };
  const shared = { kind: 'in-process', server: () => '' } as const;
  const services = {
    Proxy: createProxyService(parts, certificate).service,
    admin: await createAdminService({ ...own, version: '0', database: DATABASE, shared }, certificate),
    directory: createDirectoryService(own, certificate),
  };
  const renewal = new Renewal({ access, liveKeys, listeners, id: 'n1', names: ['localhost'], lifeMs, everyMs, log });
  renewal.start();
  for (const [name, service] of Object.entries(services)) {
    closing.push(service);
    await service.listen({ host: '127.0.0.1', port: 0 });
    listeners.keep(name as keyof typeof services, service, { certificate });
  }
  const ports = Object.values(services).map((service) => (service.server.address() as AddressInfo).port);
  const standing = await Promise.all(ports.map((port) => opened(port, authority.certificate)));
  const before = standing.map((socket) => socket.getPeerX509Certificate()!.serialNumber);
  await waitFor(async () => {
    const sockets = await Promise.all(ports.map((port) => opened(port, authority.certificate)));
    for (const socket of sockets) socket.destroy();
    return sockets.every((socket, at) => socket.getPeerX509Certificate()?.serialNumber !== before[at]);
  }, 'another certificate on every listener');
  expect(standing.some((socket) => socket.destroyed)).toBe(false);
  for (const socket of standing) socket.destroy();
  await own.node.report();
  const isKnown = async (): Promise<boolean> =>
    (await certificatesOfRealm(access, Date.now())).some(({ id }) => id === 'node/n1/directory');
  await waitFor(isKnown, 'what listeners show in the registry');
  renewal.stop();
});

test('a certificate file that changes is taken over without a restart; a bad one is refused, and that is told', async () => {
  const { context: own, lines } = await scene();
  const { listeners } = own;
  const folder = scratchFolder();
  const paths = { certificateFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
  const write = ({ certificate, key }: { certificate: string; key: string }): void => {
    writeFileSync(paths.certificateFile, certificate);
    writeFileSync(paths.keyFile, key);
  };
  const first = await ca.issueServer(['localhost'], Date.now());
  write(first);
  const files = listeners.open('directory', paths);
  const { service, port } = await directoryListener(files.current);
  listeners.keep('directory', service, { certificate: files.current, files });
  const server = service.server as unknown as ReturnType<typeof createServer>;
  const look = (): void => lookTwice(files, server);
  const one = await shown(port);
  const second = await ca.issueServer(['localhost'], Date.now());
  // Half written: the certificate is there, its key is not yet.
  writeFileSync(paths.certificateFile, second.certificate);
  look();
  expect(await shown(port)).toBe(one);
  expect(listeners.words(Date.now()).join()).toMatch(/is refused: .*do not belong together/);
  writeFileSync(paths.keyFile, second.key);
  look();
  const two = await shown(port);
  expect(two).not.toBe(one);
  expect(listeners.words(Date.now())).toEqual([]);
  const over = await ca.issueServer(['localhost'], Date.now() - 30 * DAY);
  for (const bad of [over, { certificate: 'no pem', key: 'no pem' }, { ...second, key: 'no pem' }]) {
    write(bad);
    look();
    expect(await shown(port)).toBe(two);
    expect(listeners.words(Date.now()).join()).toContain('is refused');
  }
  expect(lines.join()).not.toContain('PRIVATE KEY');
});

test('the directory listener under load: a certificate that is replaced, its CA too, and each that is no good cost no request', async () => {
  const { context: own } = await scene();
  const { listeners, metrics } = own;
  const [corp, other] = [await TestAuthority.create('Corp CA'), await TestAuthority.create('Other CA')];
  const names: [string] = ['scim.example'];
  const folder = scratchFolder();
  const [certificateFile, keyFile, trustedFile] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const mount = ({ certificate, key }: IssuedPair, ca: string): void => {
    writeFileSync(certificateFile, certificate);
    writeFileSync(keyFile, key);
    writeFileSync(trustedFile, ca);
  };
  const first = await corp.issue({ names });
  mount(first, corp.certificate);
  const files = listeners.open('directory', { certificateFile, keyFile, trustedFile }, names);
  const { service, port } = await directoryListener(files.current);
  listeners.keep('directory', service, { certificate: files.current, files });
  const server = service.server as unknown as ReturnType<typeof createServer>;
  const look = (): void => lookTwice(files, server);
  const trusted = corp.certificate + other.certificate;
  const serial = async (): Promise<string> => {
    const socket = await opened(port, trusted, names[0]);
    const { serialNumber } = socket.getPeerX509Certificate()!;
    socket.destroy();
    return serialNumber;
  };
  const place = { port, path: '/healthz', ca: trusted, servername: names[0] };
  const loads = [new Agent({ keepAlive: true }), new Agent({ maxCachedSessions: 0 })].map((one) => tlsLoad(place, one));
  const one = await serial();
  const second = await corp.issue({ names });
  mount(second, corp.certificate);
  look();
  const two = await serial();
  expect(two).not.toBe(one);
  const bad = await badCertificates({ corp, other, names, inUse: second });
  for (const { pair, words } of bad) {
    mount(pair, corp.certificate);
    look();
    expect(listeners.words(Date.now()).join()).toContain(words);
    expect(await serial()).toBe(two);
  }
  const refused = await metrics.render();
  for (const { why } of bad)
    expect(refused).toContain(`sallyport_certificates_refused_total{listener="directory",why="${why}"} 1`);
  mount(await other.issue({ names }), other.certificate);
  look();
  expect(await serial()).not.toBe(two);
  expect(listeners.words(Date.now())).toEqual([]);
  for (const load of loads) {
    const { answered, failed } = await load.stop();
    expect(answered).toBeGreaterThan(0);
    expect(failed).toBe(0);
  }
  listeners.stop();
});

test('an end that is less than a day away is told, and stands in the metrics', async () => {
  const { context: own } = await scene();
  const certificate = await ca.issueServer(['localhost'], Date.now());
  const { service } = await directoryListener(certificate);
  own.listeners.keep('directory', service, { certificate });
  expect(own.listeners.words(Date.now())).toEqual([]);
  expect(own.listeners.words(Date.now() + 1.5 * DAY).join()).toMatch(/certificate of the directory listener ends at/);
  expect(own.listeners.words(Date.now() + 3 * DAY).join()).toMatch(/certificate of the directory listener is over/);
  expect(await own.metrics.render()).toMatch(/^sallyport_certificate_end_seconds \d/m);
});
