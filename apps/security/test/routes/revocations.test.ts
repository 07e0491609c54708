import { expect, test } from 'vitest';
import { adminScene } from '../admin-scene.ts';

const everything = { kind: 'before', subject: 'now', reason: 'keys in wrong hands' };

test('a revocation has an id of whoever asks: again it is the same, with another body a conflict', async () => {
  const { call } = await adminScene();
  const first = await call('PUT', '/v1/revocations/request-1', { body: everything });
  expect(first).toMatchObject({ status: 200, json: { inForce: true, waitingFor: [], reason: everything.reason } });
  const again = await call('PUT', '/v1/revocations/request-1', { body: everything });
  expect(again.json).toMatchObject({ index: first.json.index, inForce: true });
  const other = await call('PUT', '/v1/revocations/request-1', {
    body: { ...everything, kind: 'app', subject: 'a@1' },
  });
  expect(other).toMatchObject({ status: 409, json: { code: 'ERR_ACCESS_CONFLICT' } });
  expect((await call('GET', '/v1/revocations')).json).toHaveLength(1);
});

test.each([
  ['without a reason', { kind: 'before', subject: 'now' }, 400],
  ['with an empty reason', { ...everything, reason: '' }, 400],
  ['of a kind that there is not', { ...everything, kind: 'planet' }, 400],
  ['of everything before a time to come', { ...everything, subject: '99999999999999' }, 422],
  ['of a session that there is not', { ...everything, kind: 'session', subject: 'ab'.repeat(32) }, 404],
  ['of an installation that there is not', { ...everything, kind: 'installation', subject: 'none' }, 404],
  ['lifting what was never revoked', { ...everything, kind: 'lift', subject: 'a@1' }, 404],
])('a revocation %s is refused, and nothing is revoked', async (_, body, status) => {
  const { call } = await adminScene();
  const answer = await call('PUT', '/v1/revocations/request-1', { body });
  expect(answer.status, JSON.stringify(answer.json)).toBe(status);
  expect((await call('GET', '/v1/revocations')).json).toEqual([]);
});

test('of a version that nobody has the answer doubts, and it can be lifted', async () => {
  const { call } = await adminScene();
  const app = { kind: 'app', subject: 'a@1', reason: 'leaks' };
  expect((await call('PUT', '/v1/revocations/request-1', { body: app })).json.doubt).toContain('a@1');
  await call('PUT', '/v1/revocations/request-2', { body: { ...app, kind: 'lift' } });
  const { json: listed } = await call('GET', '/v1/revocations');
  expect(listed).toMatchObject([
    { kind: 'lift', subject: 'a@1', lifted: false },
    { kind: 'app', subject: 'a@1', lifted: true, actor: 'olga', reason: 'leaks' },
  ]);
});

test('the audit log is read in both directions, and only by what there is', async () => {
  const { call } = await adminScene();
  for (const name of ['a', 'b', 'c']) await call('PUT', `/v1/groups/${name}`);
  const subjects = async (query: string) =>
    (await call('GET', `/v1/audit?${query}`)).json.map(({ subject }: { subject: string }) => subject);
  expect(await subjects('limit=2')).toEqual(['c', 'b']);
  expect(await subjects('action=group.create&outcome=done&subject=b')).toEqual(['b']);
  expect((await subjects('after=0')).slice(-3)).toEqual(['a', 'b', 'c']);
  for (const query of ['limit=0', 'limit=5001', 'outcome=perhaps', 'colour=red', 'after=x'])
    expect((await call('GET', `/v1/audit?${query}`)).status, query).toBe(400);
});
