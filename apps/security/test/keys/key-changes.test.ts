import { hkdfSync } from 'node:crypto';
import { beginKeyChange, type LastingPurpose, listLastingKeys } from '@sallyport/access';
import { certificatesOf } from '@sallyport/certificates';
import { decodeText, followRoots, parseBase64Url, rootThumbprint } from '@sallyport/channel';
import { verifyStrictly } from '@sallyport/support';
import { createLocalJWKSet, jwtVerify, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { assertionJwks } from '../../src/keys/assertions.ts';
import { nextKeyOf, type SigningKey } from '../../src/keys/keys.ts';
import { rootKeyOf, siteMapSigner } from '../../src/sign-in/site-map.ts';
import { onlineKeyOf } from '../../src/updates/online-key.ts';
import { type SceneParts, scene } from '../scene.ts';

const HOUR = 3_600_000;
const BY = { actor: 'olga', reason: 'a test' };

/** Two nodes of one farm, both beating. */
async function farm() {
  const one = await scene();
  const two = await scene({ access: one.context.access, clock: one.clock }, { id: 'n2' });
  const [a, b] = [one.context, two.context];
  const tell = async (...nodes: SceneParts[]): Promise<void> => {
    for (const { node } of nodes) await node.report();
  };
  await tell(a, b, a);
  return { a, b, clock: one.clock, tell };
}

async function begin({ access }: SceneParts, purpose: LastingPurpose) {
  return beginKeyChange(access, purpose, { make: nextKeyOf(access, purpose), by: BY });
}

async function states({ access }: SceneParts, purpose: LastingPurpose): Promise<string[]> {
  const own = (await listLastingKeys(access)).filter((key) => key.purpose === purpose);
  return own.map(({ id, state }) => `${id} ${state}`);
}

test.each(['ca', 'root', 'assertion'] as const)(
  'the next %s is used once every node has it, whoever is killed when, and the old one retired after its time',
  async (purpose) => {
    const { a, b, clock, tell } = await farm();
    const first = (await states(a, purpose))[0]!.split(' ')[0]!;
    const next = `${purpose}-2`;
    expect(await begin(a, purpose)).toEqual({ id: next, begun: true });
    // Asked again, or at another node: it goes on.
    expect(await begin(b, purpose)).toEqual({ id: next, begun: false });
    // One node alone takes it no further, however often it looks.
    await tell(a, a, a);
    expect(await states(a, purpose)).toEqual([`${next} coming`, `${first} in use`]);
    const { leadMs } = a.liveKeys.times;
    if (leadMs[purpose] > 0) {
      // All nodes show it, and it signs nothing before backends have read it.
      await tell(b, a, b);
      clock.now += leadMs[purpose] - 20_000;
      await tell(b, a, b);
      expect(await states(a, purpose)).toEqual([`${next} coming`, `${first} in use`]);
      clock.now += 20_000;
    }
    // The other one learns it and is killed; then it is silent, and nobody waits for it.
    await tell(b, a);
    clock.now += 10_000;
    await tell(a);
    expect(await states(a, purpose)).toEqual([`${next} in use`, `${first} trusted`]);
    await expect(begin(a, purpose)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
    // It comes back, and goes on where the first one is killed now.
    clock.now += a.liveKeys.times.overlapMs[purpose] + HOUR;
    await tell(b, b);
    expect(await states(b, purpose)).toEqual([`${next} in use`]);
    const row = (await b.access.store.transaction(({ tables }) => tables.keys.list({ where: { purpose } }))).find(
      ({ id }) => id === first,
    );
    expect(row?.secret).toBeNull();
    await tell(a);
    expect(a.liveKeys.current.lastingIds).toEqual(b.liveKeys.current.lastingIds);
    expect(a.liveKeys.current.changing).toBe(false);
    // And again.
    expect(await begin(a, purpose)).toEqual({ id: `${purpose}-3`, begun: true });
  },
);

test('whoever trusts the old CA trusts what the next one issues, until that one is retired', async () => {
  const { a, b, clock, tell } = await farm();
  const old = a.liveKeys.current.authorities[0]!;
  const pinned = a.liveKeys.current.ca.fingerprint;
  await begin(a, 'ca');
  await tell(a, b, a, b, a);
  const { ca, authorities } = a.liveKeys.current;
  expect(authorities).toHaveLength(2);
  expect(authorities[1]).toBe(old);
  const { certificate } = await ca.issueServer(['localhost'], clock.now);
  for (const trusted of authorities)
    expect(verifyStrictly({ ca: trusted, certificate, use: 'sslserver', host: 'localhost' })).toContain(': OK');
  // Join tokens of before pin a certificate that listeners still show.
  expect(ca.fingerprint).toBe(pinned);
  const marks = certificatesOf(certificate).map(({ fingerprint256 }) =>
    fingerprint256.replaceAll(':', '').toLowerCase(),
  );
  expect(marks).toContain(pinned);
  clock.now += a.liveKeys.times.overlapMs.ca + HOUR;
  await tell(a, b);
  expect(b.liveKeys.current.authorities).toEqual([authorities[0]]);
  const later = await b.liveKeys.current.ca.issueServer(['localhost'], clock.now - 60 * HOUR);
  expect(verifyStrictly({ ca: old, certificate: later.certificate, use: 'sslserver' })).not.toContain(': OK');
  expect(verifyStrictly({ ca: authorities[0]!, certificate: later.certificate, use: 'sslserver' })).toContain(': OK');
});

test('backends verify assertions by the old key and by the next one while both may be met', async () => {
  const { a, b, clock, tell } = await farm();
  const before = a.liveKeys.current.assertion;
  await begin(a, 'assertion');
  await tell(a);
  // Published before anything is signed with it.
  expect(assertionJwks(a).keys.map(({ kid }) => kid)).toEqual(['assertion-2', 'assertion-1']);
  clock.now += a.liveKeys.times.leadMs.assertion;
  await tell(b, a, b, a);
  const after = a.liveKeys.current.assertion;
  expect(after.id).toBe('assertion-2');
  const known = createLocalJWKSet(assertionJwks(a));
  for (const { id, privateKey } of [before, after]) {
    const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: id }).sign(privateKey);
    await expect(jwtVerify(token, known)).resolves.toBeDefined();
  }
});

test('the old root key names the next one, and its own secret is none of the public part', async () => {
  const { a, b, clock, tell } = await farm();
  const [old, pinned] = [a.liveKeys.current.root, a.liveKeys.current.rootThumbprint];
  const online = onlineKeyOf(a.liveKeys)(3);
  await begin(a, 'root');
  await tell(a, b, a, b, a);
  const { root, rootStatements } = a.liveKeys.current;
  const thumbprint = rootThumbprint(a.access.crypto, root.publicJwk as never);
  // Links pin the old one while Proxies may have maps by it.
  expect(a.liveKeys.current.rootThumbprint).toEqual(pinned);
  expect(rootStatements).toHaveLength(1);
  expect(rootThumbprint(a.access.crypto, old.publicJwk as never)).toEqual(pinned);
  expect(JSON.stringify([root.publicJwk, rootStatements])).not.toContain('"d"');
  const of = { realm: 'main', statements: rootStatements };
  expect(followRoots(a.access.crypto, pinned, of)).toEqual(thumbprint);
  expect(followRoots(a.access.crypto, thumbprint, of)).toEqual(thumbprint);
  // What signs updates online is named by metadata that persons have signed: it stays.
  expect(onlineKeyOf(a.liveKeys)(3)).toEqual(online);
  expect(online).toEqual(Buffer.from(hkdfSync('sha256', secretOf(old), 'sallyport', 'sallyport/1 updates/3', 32)));
  for (const context of [a, b]) {
    const map = await siteMapSigner(context)();
    expect(JSON.parse(rootKeyOf(map))).toEqual(root.publicJwk);
    const [header = ''] = map.split('.');
    expect(JSON.parse(decodeText(parseBase64Url(header)))).toMatchObject({
      jwk: root.publicJwk,
      roots: rootStatements,
    });
  }
  clock.now += 25 * HOUR;
  await tell(a, a);
  expect(a.liveKeys.current.rootThumbprint).toEqual(thumbprint);
  // Who was away for all of that time, and has the old one, is led on.
  const still = { realm: 'main', statements: a.liveKeys.current.rootStatements };
  expect(followRoots(a.access.crypto, pinned, still)).toEqual(thumbprint);
});

/** The secret of a root key, 32 bytes. */
function secretOf({ privateKey }: SigningKey): Buffer {
  return Buffer.from((privateKey.export({ format: 'jwk' }) as { d: string }).d, 'base64url');
}
