import { Readable } from 'node:stream';
import { findUser, issueDirectoryToken } from '@sallyport/access';
import { Pace } from '@sallyport/directory';
import { expect, test } from 'vitest';
import { createScimGroup } from '../../src/scim/groups.ts';
import { scimScene } from './scim-scene.ts';

const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error';
const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
const V2 = '/scim/v2';
const { call, access, lines } = await scimScene();

let count = 0;
async function user(over: object = {}): Promise<string> {
  count += 1;
  const { status, body } = await call('POST', `${V2}/Users`, { userName: `user-${count}@corp.example`, ...over });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.id;
}
async function group(over: object = {}): Promise<string> {
  count += 1;
  const { status, body } = await call('POST', `${V2}/Groups`, { displayName: `group ${count}`, ...over });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.id;
}
const patch = (url: string, ...Operations: object[]) => call('PATCH', `${V2}${url}`, { Operations });
const membersOf = async (id: string): Promise<string[]> =>
  ((await call('GET', `${V2}/Groups/${id}`)).body.members ?? []).map(({ value }: { value: string }) => value).sort();

test.each([
  ['application/scim+json', {}],
  ['application/json', { 'content-length': '0' }],
  ['application/json; charset=utf-8', {}],
  ['text/xml', {}],
  ['application/octet-stream', { 'content-length': '0' }],
])('DELETE without a body may say the type of one: %s', async (type, more) => {
  const id = await user();
  expect((await call('DELETE', `${V2}/Users/${id}`, undefined, { 'content-type': type, ...more })).status).toBe(204);
  expect((await call('GET', `${V2}/Users/${id}`, undefined, { 'content-type': type })).status).toBe(404);
  const team = await group();
  expect((await call('DELETE', `${V2}/Groups/${team}`, undefined, { 'content-type': type, ...more })).status).toBe(204);
  const other = await user();
  expect((await call('DELETE', `${V2}/Users/${other}`, '{"reason":"left"', { 'content-type': type })).status).toBe(204);
});

test('a body of another type, none at all and a broken one are refused in words of SCIM', async () => {
  const cases = [
    ['<user/>', 'text/xml', 415],
    ['', 'application/scim+json', 400],
    ['{"userName":', 'application/json', 400],
    ['[]', 'application/json', 400],
  ] as const;
  for (const [body, type, status] of cases)
    expect(await call('POST', `${V2}/Users`, body, { 'content-type': type })).toMatchObject({
      status,
      body: { schemas: [ERROR], status: String(status) },
    });
});

test.each([
  ['GET', `${V2}//Users`, 200],
  ['GET', `${V2}/Users/`, 200],
  ['GET', `//scim//v2///Groups//`, 200],
  ['GET', `${V2}/ServiceProviderConfig/`, 200],
  ['GET', V2, 404],
  ['GET', '/scim', 404],
  ['GET', '/scim/v1/Users', 404],
  ['GET', `${V2}/Nothing`, 404],
  ['DELETE', `${V2}/Users`, 405],
  ['POST', `${V2}/Users/some-id`, 405],
  ['POST', `${V2}/ServiceProviderConfig`, 405],
  ['DELETE', `${V2}/Schemas`, 405],
  ['PATCH', `${V2}/ResourceTypes/User`, 405],
  ['PUT', `${V2}/Groups`, 405],
  ['GET', `${V2}/Me`, 501],
  ['POST', `${V2}/Bulk`, 501],
  ['POST', `${V2}/.search`, 501],
  ['POST', `${V2}/Users/.search`, 501],
  ['GET', `${V2}/Users/%zz`, 400],
  ['GET', `${V2}/%`, 400],
  ['GET', `${V2}/Users/%00`, 404],
  ['GET', `${V2}/Users/${'x'.repeat(300)}`, 400],
  ['GET', `${V2}/Users?filter=a&filter=b`, 400],
  ['GET', `${V2}/Users?attributes=userName&attributes=id`, 400],
  ['GET', `${V2}/Groups?count=1&count=2`, 400],
  ['GET', `${V2}/Users?startIndex=99999999999999999999`, 200],
  ['GET', `${V2}/Users?count=99999999999999999999&startIndex=-99999999999999999999`, 200],
  ['GET', `${V2}/Users?filter=${encodeURIComponent('userName eq "a\\u0000b"')}`, 400],
  ['GET', `${V2}/Users?filter=${encodeURIComponent('userName eq "a\u0000b"')}`, 400],
  ['GET', `${V2}/Users?filter=%zz`, 400],
] as const)('%s %s is %i, with a body of SCIM', async (method, url, status) => {
  const answer = await call(method, url);
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  expect(answer.headers['content-type']).toContain('application/scim+json');
  if (status >= 400) expect(answer.body).toMatchObject({ schemas: [ERROR], status: String(status) });
  if (status === 405) expect(answer.headers['allow']).toMatch(/GET/);
});

test('no control character gets into a store, and none is taken for an outage', async () => {
  const id = await user();
  const team = await group();
  const answers = [
    await call('POST', `${V2}/Users`, { userName: 'a\0b' }),
    await call('POST', `${V2}/Users`, { userName: 'a\u001bb' }),
    await call('POST', `${V2}/Users`, { userName: 'ok', displayName: 'a\nb' }),
    await call('POST', `${V2}/Users`, { userName: 'ok', externalId: '\u0085' }),
    await call('POST', `${V2}/Users`, { userName: 'ok', title: 'x\0' }),
    await call('POST', `${V2}/Users`, { userName: 'ok', title: 'half \ud800' }),
    await call('POST', `${V2}/Users`, { userName: 'ok', 'na\0me': 'x' }),
    await call('POST', `${V2}/Groups`, { displayName: 'a\0b' }),
    await call('POST', `${V2}/Groups`, { displayName: 'a', externalId: 'b\0' }),
    await call('POST', `${V2}/Groups`, { displayName: 'a', members: [{ value: 'x\0' }] }),
    await patch(`/Users/${id}`, { op: 'add', path: 'title', value: '\0' }),
    await patch(`/Groups/${team}`, { op: 'add', path: 'members', value: [{ value: '\0' }] }),
    await patch(`/Groups/${team}`, { op: 'replace', path: 'displayName', value: 'x\u007f' }),
  ];
  for (const [i, answer] of answers.entries())
    expect(answer, `${i} ${JSON.stringify(answer.body)}`).toMatchObject({ status: 400, body: { schemas: [ERROR] } });
  // An address may have several lines.
  await user({ addresses: [{ formatted: 'Street 1\nTown' }] });
  expect(lines.filter((line) => line.includes('"level":50'))).toEqual([]);
});

test('an attribute under two names that differ by case is refused; its name has no case', async () => {
  const { body, status } = await call('POST', `${V2}/Users`, { userName: 'x', USERNAME: 'y' });
  expect([status, body.scimType]).toEqual([400, 'invalidSyntax']);
  const id = await user({ USERNAME: 'other-case@corp.example', userName: undefined, EXTERNALID: 'e-case' });
  const found = await call('GET', `${V2}/Users?filter=${encodeURIComponent('externalid eq "e-case"')}`);
  expect(found.body.Resources.map((one: { id: string }) => one.id)).toEqual([id]);
});

test('userName has no case: a second one is a conflict, a change of its case is none', async () => {
  const id = await user({ userName: 'Grace@corp.example' });
  expect((await call('POST', `${V2}/Users`, { userName: 'grace@corp.example' })).status).toBe(409);
  expect((await patch(`/Users/${id}`, { op: 'replace', path: 'userName', value: 'GRACE@corp.example' })).status).toBe(
    200,
  );
});

test('somebody who comes back is provisioned again, under the same user', async () => {
  const body = { userName: 'back@example.com', externalId: 'r1' };
  const id = await user(body);
  const { user: before } = (await findUser(access, 'back@example.com'))!;
  await call('DELETE', `${V2}/Users/${id}`);
  expect((await findUser(access, 'back@example.com'))!.user.enabled).toBe(false);
  expect(await user(body)).not.toBe(id);
  expect((await findUser(access, 'back@example.com'))!.user).toMatchObject({ id: before.id, enabled: true });
});

test('groups of one displayName are told apart by their externalId, and stay apart in the realm', async () => {
  const one = await group({ displayName: 'Sales', externalId: 'g1' });
  const two = await group({ displayName: 'Sales', externalId: 'g2' });
  await group({ displayName: 'SALES' });
  for (const externalId of ['g1', 'g2'])
    expect((await call('POST', `${V2}/Groups`, { displayName: 'Sales', externalId })).body.scimType).toBe('uniqueness');
  const ada = await user();
  await patch(`/Groups/${one}`, { op: 'add', path: 'members', value: [{ value: ada }] });
  expect([await membersOf(one), await membersOf(two)]).toEqual([[ada], []]);
  const { body } = await call('GET', `${V2}/Groups?filter=${encodeURIComponent('externalId eq "g2"')}`);
  expect(body.Resources.map(({ id }: { id: string }) => id)).toEqual([two]);
  // Nobody gets the rights of a namesake.
  const names = (await access.store.transaction(({ tables }) => tables.directoryGroups.list()))
    .filter(({ name }) => name === 'Sales')
    .map(({ groupName }) => groupName);
  expect(new Set(names).size).toBe(2);
  expect((await patch(`/Groups/${two}`, { op: 'replace', path: 'externalId', value: 'g1' })).status).toBe(409);
});

test('one unknown member among many: nothing is changed, and the answer names them', async () => {
  const [ada, bob] = [await user(), await user()];
  const team = await group({ members: [{ value: ada }] });
  const gone = '00000000-0000-4000-8000-000000000000';
  const members = [{ value: bob }, { value: gone }];
  const put = await call('PUT', `${V2}/Groups/${team}`, { displayName: 'new', members });
  expect(put).toMatchObject({ status: 400, body: { scimType: 'invalidValue', detail: expect.stringContaining(gone) } });
  expect((await patch(`/Groups/${team}`, { op: 'add', path: 'members', value: members })).status).toBe(400);
  expect((await call('POST', `${V2}/Groups`, { displayName: 'other', members })).status).toBe(400);
  expect(await membersOf(team)).toEqual([ada]);
  // Taking out who is not in changes nothing, and is no error.
  expect((await patch(`/Groups/${team}`, { op: 'remove', path: `members[value eq "${gone}"]` })).status).toBe(204);
});

test('several members leave by one filter, by a list, or one operation each', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 8; i++) ids.push(await user());
  const team = await group({ members: ids.map((value) => ({ value, display: 'x', type: 'User' })) });
  const [a, b, c, d, e, f, ...rest] = ids as [string, string, string, string, string, string, ...string[]];
  const core = 'urn:ietf:params:scim:schemas:core:2.0:Group:members';
  await patch(`/Groups/${team}`, { op: 'Remove', path: `members[value eq "${a}" or value eq "${b}"]` });
  await patch(`/Groups/${team}`, { op: 'remove', path: 'members', value: [{ value: c }] });
  await patch(`/Groups/${team}`, { op: 'remove', path: `${core}[value eq "${d}"]` });
  await patch(`/Groups/${team}`, ...[e, f].map((one) => ({ op: 'remove', path: `members[value eq "${one}"]` })));
  expect(await membersOf(team)).toEqual(rest.sort());
  // The last word on somebody counts.
  await patch(
    `/Groups/${team}`,
    { op: 'add', path: 'members', value: [{ value: a }, { value: b }] },
    { op: 'remove', path: `members[value eq "${a}"]` },
    { op: 'add', path: 'members', value: [{ value: c }] },
  );
  expect(await membersOf(team)).toEqual([...rest, b, c].sort());
});

test.each([
  [`${ENTERPRISE}`, { department: 'Harbour' }],
  [`${ENTERPRISE.toUpperCase()}`, { department: 'Harbour' }],
  [`${ENTERPRISE}:department`, 'Harbour'],
  [`${ENTERPRISE.toLowerCase()}:Department`, 'Harbour'],
])('the extension is reached by %s', async (path, value) => {
  const id = await user({ [ENTERPRISE]: { employeeNumber: '7', department: 'Old' } });
  const { body } = await patch(`/Users/${id}`, { op: 'replace', path, value });
  expect(body[ENTERPRISE]).toEqual({ employeeNumber: '7', department: 'Harbour' });
  expect(Object.keys(body).filter((name) => name.startsWith('urn:'))).toEqual([ENTERPRISE]);
  const left = (await patch(`/Users/${id}`, { op: 'remove', path: ENTERPRISE })).body;
  expect(left).not.toHaveProperty([ENTERPRISE]);
});

test('attributes of the core are reached by their URN, too', async () => {
  const id = await user();
  const core = 'urn:ietf:params:scim:schemas:core:2.0:User';
  const { body } = await patch(
    `/Users/${id}`,
    { op: 'replace', path: `${core}:name.givenName`, value: 'Ada' },
    { op: 'add', path: core, value: { title: 'Captain' } },
    { op: 'add', value: { [`${core}:nickName`]: 'A' } },
  );
  expect(body).toMatchObject({ name: { givenName: 'Ada' }, title: 'Captain', nickName: 'A' });
  expect(Object.keys(body).filter((name) => name.startsWith('urn:'))).toEqual([]);
  expect((await patch(`/Users/${id}`, { op: 'remove', path: core })).status).toBe(400);
});

test('a manager that is written as a bare id becomes what its schema says, and is found', async () => {
  const id = await user();
  const { body } = await patch(`/Users/${id}`, { op: 'Add', path: `${ENTERPRISE}:manager`, value: 'm1' });
  expect(body[ENTERPRISE].manager).toEqual({ value: 'm1' });
  for (const filter of [`${ENTERPRISE}:manager.value eq "m1"`, `${ENTERPRISE}:manager eq "m1"`]) {
    const found = await call('GET', `${V2}/Users?filter=${encodeURIComponent(filter)}`);
    expect(
      found.body.Resources.map((one: { id: string }) => one.id),
      filter,
    ).toEqual([id]);
  }
  const made = await user({ [ENTERPRISE]: { manager: 'm2' } });
  expect((await call('GET', `${V2}/Users/${made}`)).body[ENTERPRISE].manager).toEqual({ value: 'm2' });
  expect(
    (await patch(`/Users/${id}`, { op: 'Replace', path: `${ENTERPRISE}:manager`, value: '' })).body,
  ).not.toHaveProperty([ENTERPRISE, 'manager']);
});

test('a group is found by its members, without reading all of them', async () => {
  const [ada, bob] = [await user(), await user()];
  const one = await group({ members: [{ value: ada }] });
  const two = await group({ members: [{ value: ada }, { value: bob }] });
  const found = async (filter: string) => {
    const { body } = await call('GET', `${V2}/Groups?excludedAttributes=members&filter=${encodeURIComponent(filter)}`);
    return (body.Resources ?? []).map(({ id }: { id: string }) => id).sort();
  };
  expect(await found(`members eq "${ada}"`)).toEqual([one, two].sort());
  expect(await found(`members.value eq "${ada}" and members[value eq "${bob}"]`)).toEqual([two]);
  expect(await found(`id eq "${one}" and not (members eq "${bob}")`)).toEqual([one]);
  const { body } = await call('GET', `${V2}/Groups?filter=${encodeURIComponent('members co "a"')}`);
  expect(body.scimType).toBe('invalidFilter');
});

test('a token that is ended while a body is on its way changes nothing', async () => {
  const { access, service } = await scimScene();
  const by = { actor: 'olga', reason: 'unit test' };
  const { token } = await issueDirectoryToken(access, 'corp', { endOthers: false }, by);
  let reads = 0;
  // A body is read once its sender was let in.
  const payload = new Readable({
    read() {
      reads += 1;
      void access.store
        .transaction(({ tables }) => tables.directoryTokens.remove({}))
        .then(() => {
          this.push(JSON.stringify({ schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName: 'eve' }));
          this.push(null);
        });
    },
  });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/scim+json' };
  const late = await service.inject({ method: 'POST', url: '/scim/v2/Users', headers, payload });
  expect([late.statusCode, reads]).toEqual([401, 1]);
  expect(await access.store.transaction(({ tables }) => tables.users.count())).toBe(0);
});

test('bodies that do not say how long they are share what large ones may take', async () => {
  const { authorization, service } = await scimScene();
  const waiting: Readable[] = [];
  const send = (mebibytes: number, onSent: (body: Readable) => void) => {
    let left = mebibytes;
    const payload = new Readable({
      read() {
        left -= 1;
        if (left >= 0) this.push(Buffer.alloc(1024 * 1024, ' '));
        else if (left === -1) onSent(this);
      },
    });
    const headers = { authorization, 'content-type': 'application/scim+json', 'transfer-encoding': 'chunked' };
    return service.inject({ method: 'POST', url: `${V2}/Groups`, headers, payload });
  };
  const first = [send(31, (body) => waiting.push(body)), send(31, (body) => waiting.push(body))];
  await expect.poll(() => waiting.length).toBe(2);
  expect((await send(8, (body) => body.push(null))).statusCode).toBe(429);
  for (const body of waiting) body.push(null);
  // Nothing but spaces is no JSON.
  expect((await Promise.all(first)).map(({ statusCode }) => statusCode)).toEqual([400, 400]);
  expect((await send(8, (body) => body.push(null))).statusCode).toBe(400);
});

test('the members that a request names are gone through in turns', async () => {
  const turnsFor = async (n: number): Promise<number> => {
    const pace = new Pace();
    const members = Array.from({ length: n }, (_, i) => ({ value: `nobody-${i}` }));
    const client = { directory: 'corp', base: '', by: { actor: 'corp', reason: 'unit test' } };
    const made = createScimGroup(access, client, { displayName: 'crowd', members }, pace);
    await expect(made).rejects.toMatchObject({ scimType: 'invalidValue' });
    return pace.turns;
  };
  const [small, large] = [await turnsFor(25_000), await turnsFor(100_000)];
  expect(small).toBeGreaterThan(8);
  expect(large / small).toBeGreaterThan(3);
});
