import type { AddressInfo } from 'node:net';
import { TLS_RULES, type TlsListener } from '@sallyport/certificates';
import { groupsOf, scanTls } from '@sallyport/support';
import type { FastifyInstance } from 'fastify';
import { afterAll, expect, test } from 'vitest';
import { createAdminService, createDirectoryService, createProxyService } from '../src/app.ts';
import { DATABASE, handshakesOf, scene } from './scene.ts';

const { context } = await scene();
const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
const shared = { kind: 'in-process', server: () => '' } as const;
const parts = { ...context, handshakes: handshakesOf(context), siteMap: async () => '' };
const services: Record<Exclude<TlsListener, 'public'>, FastifyInstance> = {
  Proxy: createProxyService(parts, certificate).service,
  admin: await createAdminService({ ...context, version: '0', database: DATABASE, shared }, certificate),
  directory: createDirectoryService(context, certificate),
};
afterAll(() => Promise.all(Object.values(services).map((service) => service.close())));

/** Key agreements that somebody could want, those of the table among them. */
const GROUPS = [
  'X25519MLKEM768',
  'x25519',
  'secp256r1',
  'secp384r1',
  'secp521r1',
  'x448',
  'ffdhe2048',
  'brainpoolP256r1',
];

test.each(['Proxy', 'admin', 'directory'] as const)(
  'the %s listener speaks what the table says, and nothing else',
  async (name) => {
    const service = services[name];
    await service.listen({ host: '127.0.0.1', port: 0 });
    const { port } = service.server.address() as AddressInfo;
    const { versions, suites, groups } = TLS_RULES[name];
    const scanned = await scanTls(port);
    expect(scanned.versions).toEqual([...versions]);
    // Our CA issues no RSA.
    expect(scanned.suites).toEqual(suites.filter((suite) => !suite.startsWith('ECDHE-RSA')).sort());
    expect(scanned.compresses || scanned.renegotiates).toBe(false);
    expect((await groupsOf(port, GROUPS)).sort()).toEqual([...groups].sort());
  },
);
