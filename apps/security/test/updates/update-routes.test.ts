import { UPDATE_AUTHORITY } from '@sallyport/channel';
import type { Grant } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { createProxyService } from '../../src/app.ts';
import { withAssertions } from '../../src/keys/assertions.ts';
import { siteMapSigner } from '../../src/sign-in/site-map.ts';
import { handshakesOf, scene } from '../scene.ts';

/** The listener for Proxies, asked as by one that brings an assertion for an installation. */
async function listener() {
  const { context, clock } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const parts = { ...context, handshakes: handshakesOf(context), siteMap: siteMapSigner(context) };
  const { service } = createProxyService(parts, certificate);
  const assertionFor = (installationId: string, authority: string = UPDATE_AUTHORITY): string => {
    const backend = { url: 'https://127.0.0.1:1', networks: [] };
    const resource = { name: 'updates', kind: 'http', authority, backend, rules: [] };
    const whose = { realm: 'main', userId: 'u', userName: 'ada', groups: [], sid: 's', installationId };
    // What is asked of a grant here.
    const grant = { ...whose, resources: [resource] } as unknown as Grant;
    return withAssertions(context, grant).resources[0]!.assertion!;
  };
  const ask = async (assertion: string, url = '/updates/v1/offer?app=a&version=1&os=linux'): Promise<number> =>
    (await service.inject({ method: 'GET', url, headers: { 'sallyport-assertion': assertion } })).statusCode;
  return { clock, assertionFor, ask };
}

test('updates are for who brings an assertion for them, and for nothing else', async () => {
  const { assertionFor, ask } = await listener();
  expect(await ask(assertionFor('i1'))).toBe(200);
  expect(await ask('')).toBe(403);
  expect(await ask(assertionFor('i1', 'wiki.corp'))).toBe(403);
  expect(await ask(`${assertionFor('i1').slice(0, -6)}AAAAAA`)).toBe(403);
  for (const path of ['metadata/..%2f..%2fkek.json', 'targets/releases/..%2f1', 'metadata/1.draft.json'])
    expect([400, 404], path).toContain(await ask(assertionFor('i1'), `/updates/v1/${path}`));
});

test('a device that asks for updates without end is slowed down, and no other one', async () => {
  const { clock, assertionFor, ask } = await listener();
  const assertion = assertionFor('i1');
  for (let i = 0; i < 1_000; i++) expect(await ask(assertion)).toBe(200);
  expect(await ask(assertion)).toBe(429);
  expect(await ask(assertionFor('i2'))).toBe(200);
  clock.now += 60_000;
  expect(await ask(assertion)).toBe(200);
});
