import { type JournalWriter, putDirectory } from '@sallyport/access';
import { expect, test } from 'vitest';
import { scimScene } from '../scim/scim-scene.ts';

const V2 = '/scim/v2';
const BY = { actor: 'olga', reason: 'unit test' };

/** A scene whose journal takes nothing, and whose time runs a minute with each look: nothing gets in force. */
async function neverInForce() {
  const upTo = async (): Promise<void> => Promise.reject(new Error('the journal is away'));
  const journal = { upTo, mayLease: true } as unknown as JournalWriter;
  return scimScene(undefined, { journal, monotonicMs: (clock) => (clock.now += 60_000) });
}

const PROVIDER = { issuer: 'https://idp', clientId: 'gateway', redirects: ['app:back'] };

test('SCIM hears 503 and when to come again for what is committed but not in force, also when it repeats', async () => {
  const { call } = await neverInForce();
  const made = await call('POST', `${V2}/Users`, {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
    userName: 'ada',
  });
  expect(made.status).toBe(201);
  const leaves = () =>
    call('PATCH', `${V2}/Users/${made.body.id}`, {
      schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
      Operations: [{ op: 'replace', path: 'active', value: false }],
    });
  for (const answer of [await leaves(), await leaves()]) {
    expect(answer.status, JSON.stringify(answer.body)).toBe(503);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(answer.body.detail).toContain('not in force');
  }
});

test('a provider that logs somebody out hears 503 and when to come again', async () => {
  const { access, call, context, service } = await neverInForce();
  const made = await call('POST', `${V2}/Users`, {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
    userName: 'ada',
  });
  await call('DELETE', `${V2}/Users/${made.body.id}`);
  await putDirectory(access, 'idp', { kind: 'oidc', stage: 'active', settings: PROVIDER }, BY);
  // The far end: a provider whose token is good.
  const readLogout = async () => ({ id: 'logout-1', session: 's-1', subject: undefined });
  Object.assign(context.connectors, { oidc: () => ({ readLogout, checkLogoutForm: () => undefined }) });
  const answer = await service.inject({
    method: 'POST',
    url: '/oidc/idp/backchannel-logout',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: 'logout_token=x',
  });
  expect(answer.statusCode, answer.body).toBe(503);
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  expect(answer.json().code).toBe('ERR_SECURITY_NOT_IN_FORCE');
});
