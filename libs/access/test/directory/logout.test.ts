import { expect, test } from 'vitest';
import { type AccessContext, applyAccounts, endProviderSessions, NEVER, putDirectory } from '../../src/index.ts';
import { sampleSession } from '../sample-session.ts';
import { BY, directoryOf, scene } from '../scene.ts';

async function signedIn(access: AccessContext, id: string, providerSession: string | null): Promise<void> {
  await access.store.transaction(async ({ tables, now }) => {
    const user = (await tables.users.list())[0]!;
    const at = { userId: user.id, createdAt: now(), expiresAt: now() + 1_000_000 };
    await tables.sessions.insert(sampleSession(id, { ...at, directory: 'idp', providerSession }));
  });
}

const live = (access: AccessContext) =>
  access.store.transaction(async ({ tables }) =>
    (await tables.sessions.list({ where: { endedAt: null } })).map(({ id }) => id),
  );

test('a logout token ends what it means, once: who signed in since stays', async () => {
  const { access, clock } = await scene();
  await putDirectory(access, 'idp', directoryOf('oidc'), BY);
  const account = { subject: 'ada', externalId: '', login: 'ada', displayName: 'Ada', active: true, expiresAt: NEVER };
  await applyAccounts(access, 'idp', [{ ...account, dn: '', version: '', attributes: {} }], BY);
  await signedIn(access, 's1', 'sid-1');
  await signedIn(access, 's2', 'sid-2');
  await signedIn(access, 's3', null);
  const order = { directory: 'idp', id: 'jti-1', session: 'sid-1', subject: 'ada' };
  const first = await endProviderSessions(access, order);
  expect(first.ended).toBe(2);
  expect(await live(access)).toEqual(['s2']);
  clock.now += 60_000;
  await signedIn(access, 's4', 'sid-1');
  // A provider that got no answer repeats itself, and learns of the same entry.
  expect(await endProviderSessions(access, order)).toEqual({ ended: 0, index: first.index });
  expect(await live(access)).toEqual(['s2', 's4']);
  expect(await endProviderSessions(access, { ...order, id: 'jti-2' })).toMatchObject({ ended: 1 });
  expect(await endProviderSessions(access, { ...order, id: 'jti-3', session: undefined })).toMatchObject({ ended: 1 });
  expect(await live(access)).toEqual([]);
});
