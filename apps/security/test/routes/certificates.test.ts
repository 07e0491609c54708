import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { recordCertificates } from '@sallyport/access';
import { scratchFolder, TestAuthority } from '@sallyport/support';
import { expect, test } from 'vitest';
import { TrustedFiles } from '../../src/upkeep/trusted-files.ts';
import { adminScene } from '../admin-scene.ts';

const DAY = 86_400_000;
const { call, context, clock } = await adminScene();
const { access } = context;
const corp = await TestAuthority.create('Corp CA');
const idOf = (id: string): string => `/v1/certificates/${encodeURIComponent(id)}`;
const WIKI = { kind: 'http', authority: 'wiki.corp', backend: { url: 'https://wiki.internal', networks: [] } };

async function words(): Promise<string[]> {
  return (await call('GET', '/v1/status')).json.degraded;
}

test('every certificate of the realm is in one list, with its days and who renews it', async () => {
  const client = await corp.issue({ names: ['gate'], use: 'client', until: Date.now() + 29.5 * DAY });
  const shown = await corp.issue({ names: ['gate.example'] });
  await call('PUT', '/v1/resources/wiki', {
    body: { ...WIKI, backend: { ...WIKI.backend, ca: corp.certificate, clientCertificate: client } },
  });
  await context.node.report();
  const own = await context.keys.ca.issueServer(['localhost'], Date.now() - DAY / 2);
  const listener = { place: 'admin', chain: own.certificate, renewedBy: 'itself', trouble: null } as const;
  await recordCertificates(access, { kind: 'node', name: 'n1' }, [listener]);
  await recordCertificates(access, { kind: 'proxy', name: 'gone' }, [{ ...listener, chain: shown.certificate }]);
  const { json } = await call('GET', '/v1/certificates');
  const row = (id: string) => json.find((one: { id: string }) => one.id === id);
  expect(json.map(({ id }: { id: string }) => id)).toEqual([
    'assertion-1',
    'backend/wiki',
    'ca',
    'node/n1/admin',
    'root-1',
    'trusted/resource/wiki',
  ]);
  expect(row('backend/wiki')).toMatchObject({
    names: ['gate'],
    daysLeft: 29,
    renewedBy: 'operator',
    purpose: 'backend client',
  });
  expect(row('node/n1/admin')).toMatchObject({ daysLeft: 1, renewedBy: 'itself', names: ['localhost'] });
  expect(row('ca')).toMatchObject({ purpose: 'CA', daysLeft: 3649 });
  expect(JSON.stringify(json)).not.toContain('BEGIN');
  const one = await call('GET', idOf('backend/wiki'));
  expect(one.json.chain).toContain('BEGIN CERTIFICATE');
  expect(JSON.stringify(one.json)).not.toContain('PRIVATE');
  expect((await call('GET', idOf('backend/none'))).status).toBe(404);
  expect((await call('GET', '/v1/status')).json.certificates).toMatchObject({
    count: 6,
    firstEnd: { id: 'backend/wiki', daysLeft: 29 },
  });
});

test('what ends soon, and what was refused, stands in the status and in the audit log', async () => {
  expect((await words()).join()).not.toContain('backend/wiki');
  const soon = await corp.issue({
    names: ['gate'],
    use: 'client',
    from: clock.now - 90 * DAY,
    until: clock.now + 4.5 * DAY,
  });
  await call('PUT', idOf('backend/wiki'), { body: soon });
  expect((await words()).join('\n')).toMatch(/the certificate backend\/wiki ends at .*, in 4 days/);
  const late = await corp.issue({ names: ['gate'], use: 'client', until: clock.now + 99.5 * DAY });
  const renewed = await call('PUT', idOf('backend/wiki'), { body: late });
  expect(renewed.json).toMatchObject({ daysLeft: 99 });
  expect((await words()).join()).not.toContain('backend/wiki');
  const refused = {
    place: 'directory',
    chain: late.certificate,
    renewedBy: 'files',
    trouble: 'tls.crt: it is over',
  } as const;
  await recordCertificates(access, { kind: 'node', name: 'n1' }, [refused]);
  await recordCertificates(access, { kind: 'node', name: 'n1' }, [refused]);
  const { json } = await call('GET', '/v1/audit?limit=100');
  expect(JSON.stringify(json).match(/certificate.refuse/g)).toHaveLength(1);
  expect(JSON.stringify(json)).toContain('node/n1/admin until');
});

test('a bad certificate for a backend is refused in words, and the one before stays', async () => {
  const before = (await call('GET', idOf('backend/wiki'))).json.fingerprint;
  const pair = await corp.issue({ names: ['gate'], use: 'client', until: clock.now + 9 * DAY });
  const other = await corp.issue({ names: ['gate'], use: 'client', until: clock.now + 9 * DAY });
  const cases: readonly [object, string][] = [
    [await corp.issue({ names: ['gate'], use: 'client', until: clock.now - DAY }), 'is over since'],
    [await corp.issue({ names: ['gate'], until: clock.now + DAY }), 'is not for a TLS client'],
    [{ ...pair, key: other.key }, 'do not belong together'],
    [{ certificate: pair.certificate }, 'give the new key, too'],
    [{ ...pair, certificate: pair.certificate.slice(0, 200) }, 'is cut off'],
  ];
  for (const [body, why] of cases) {
    const { status, json } = await call('PUT', idOf('backend/wiki'), { body });
    expect([status, json.title]).toEqual([422, expect.stringContaining(why)]);
  }
  expect((await call('GET', idOf('backend/wiki'))).json.fingerprint).toBe(before);
});

test('what is not renewed, given or taken away by a command says how it is', async () => {
  const said = async (method: 'POST' | 'PUT' | 'DELETE', id: string): Promise<string> => {
    const body = method === 'PUT' ? { body: { certificate: corp.certificate } } : {};
    const { status, json } = await call(method, `${idOf(id)}${method === 'POST' ? '/renew' : ''}`, body);
    expect(status).toBe(409);
    return json.title;
  };
  expect(await said('POST', 'ca')).toContain('sallyport certificate rotate ca');
  expect(await said('POST', 'root-1')).toContain('rotate root');
  expect(await said('POST', 'backend/wiki')).toContain('--certificate');
  expect(await said('PUT', 'root-1')).toContain('only backend/NAME');
  expect(await said('DELETE', 'node/n1/directory')).toContain('node remove');
  expect(await said('POST', 'node/n1/directory')).toContain('whoever writes them');
  const own = await context.keys.ca.issueServer(['localhost'], Date.now());
  const shown = { place: 'admin', chain: own.certificate, renewedBy: 'itself', trouble: null } as const;
  await recordCertificates(access, { kind: 'node', name: 'n1' }, [shown]);
  const ordered = await call('POST', `${idOf('node/n1/admin')}/renew`, { reason: 'the host was lent away' });
  expect(ordered.json).toEqual({ done: true });
  expect((await call('GET', '/v1/audit?limit=1')).json[0]).toMatchObject({
    ...{ actor: 'olga', reason: 'the host was lent away' },
    ...{ action: 'certificate.renew', subject: 'node/n1/admin', outcome: 'done' },
  });
  expect((await call('DELETE', idOf('backend/wiki'))).json).toEqual({ done: true });
  expect((await call('GET', idOf('backend/wiki'))).status).toBe(404);
});

test('CAs in files, by which a node trusts its database, Redis and journal, are in the registry with what is wrong with them', async () => {
  const folder = scratchFolder();
  const [database, journal] = [join(folder, 'database.pem'), join(folder, 'journal.pem')];
  const other = await TestAuthority.create('Other CA');
  writeFileSync(database, corp.certificate);
  writeFileSync(journal, `${corp.certificate}${other.certificate}`);
  let now = 0;
  const files = new TrustedFiles(
    { SALLYPORT_DATABASE_CA: database, SALLYPORT_JOURNAL_CA: journal, SALLYPORT_REDIS_CA: undefined },
    () => now,
  );
  const tell = (): Promise<void> =>
    recordCertificates(
      access,
      { kind: 'node', name: 'n1' },
      files.shown.map((one) => ({ ...one, trouble: one.trouble ?? null })),
    );
  await tell();
  const rows = async (): Promise<Record<string, unknown>[]> =>
    (await call('GET', '/v1/certificates')).json.filter(({ id }: { id: string }) => id.startsWith('node/n1/'));
  expect((await rows()).map(({ id, purpose, subject }) => [id, purpose, subject])).toEqual([
    ['node/n1/trusted/database', 'trusted CA', 'CN=Corp CA'],
    ['node/n1/trusted/journal/1', 'trusted CA', 'CN=Corp CA'],
    ['node/n1/trusted/journal/2', 'trusted CA', 'CN=Other CA'],
  ]);
  writeFileSync(database, '');
  now += 60_000;
  await tell();
  expect((await rows())[0]).toMatchObject({
    trouble: `${database}: the file of the certificate is empty`,
  });
  expect((await words()).join()).toContain('node/n1/trusted/database');
});

test('a key of the realm is replaced by a command, but not beside a node that does not say which keys it knows', async () => {
  const rotate = () => call('POST', '/v1/key-changes/root');
  const old = {
    id: 'n9',
    proxyUrl: '',
    adminUrl: '',
    version: '0',
    startedAt: 0,
    state: 'up',
    beat: 1,
    seenAt: 0,
  } as const;
  const row = { ...old, clockOffsetMs: 0, degraded: [], keyId: '', knownKeys: [], journal: '' };
  await access.store.transaction(({ tables }) => tables.nodes.insert(row));
  await context.node.report();
  const { status, json } = await rotate();
  expect([status, json.title]).toEqual([409, expect.stringContaining('the nodes n9 do not say which keys they know')]);
  await access.store.transaction(({ tables }) => tables.nodes.remove({ where: { id: 'n9' } }));
  await context.node.report();
  expect((await rotate()).json).toMatchObject({ begun: true, keys: [{ state: 'coming' }, { state: 'in use' }] });
  await context.node.report();
  await context.node.report();
  expect((await call('GET', '/v1/key-changes/root')).json).toMatchObject({
    keys: [
      { id: 'root-2', state: 'in use' },
      { id: 'root-1', state: 'trusted' },
    ],
    waitingFor: [],
  });
  expect((await rotate()).status).toBe(409);
});
